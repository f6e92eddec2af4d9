//! Which event tells whom what.

use super::entry::{Entry, Object, Story};
use crate::clock::Timestamp;
use crate::event::{Event, Mark, UserStatus};
use crate::id::{CommentId, FollowId, PostId, ReactionId, UserId};

/// What an event means for notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// These people are to be told.
    Tell(Vec<(UserId, Entry)>),
    /// What entries are about is gone, and they go with it.
    Remove(Removal),
    /// Each of these people, the first of a pair, is told no more what the second did.
    Silence(Vec<(UserId, UserId)>),
    /// A person marked some.
    Mark {
        user: UserId,
        ids: Vec<u64>,
        mark: Mark,
    },
    /// A person marked all up to one.
    MarkAll {
        user: UserId,
        through: u64,
        mark: Mark,
    },
}

/// Something that is gone; who was told of it is found in the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// With everything beneath it.
    Post(PostId),
    Comment(CommentId, PostId),
    PostLike(ReactionId, PostId),
    CommentLike(ReactionId, CommentId),
    /// Told to the one who was followed.
    Follow(FollowId, UserId),
    /// A person, and all that tells of them.
    User(UserId),
}

impl Removal {
    /// What entries about it look like.
    pub(super) fn object(self) -> Object {
        match self {
            Self::Post(post) => Object::Post(post.get()),
            Self::Comment(comment, _) => Object::Comment(comment.get()),
            Self::PostLike(like, _) => Object::PostLike(like.get()),
            Self::CommentLike(like, _) => Object::CommentLike(like.get()),
            Self::Follow(follow, _) => Object::Follow(follow.get()),
            Self::User(user) => Object::Deeds(user),
        }
    }

    /// Whether any number of people may have been told of it.
    pub(super) fn is_wide(self) -> bool {
        matches!(self, Self::Post(_) | Self::User(_))
    }
}

/// The effect of an event that happened at `at`.
pub(super) fn effect(event: Event, at: Timestamp) -> Effect {
    match event {
        Event::PostCreated {
            post_id,
            author_id,
            mentions,
            ..
        } => {
            let mut told = Told::by(author_id, at, post_id.get());
            told.oneself(Story::OwnPost);
            told.others(mentions, Story::PostMention);
            told.into_effect()
        }
        Event::CommentCreated {
            comment_id,
            post_id,
            author_id,
            recipient_id,
            parent_author_id,
            mentions,
            created_at,
            ..
        } => {
            let mut told = Told::by(author_id, created_at, post_id.get());
            told.comment = comment_id.get();
            // One entry a person: the first that fits.
            told.others(parent_author_id, Story::Reply);
            told.others([recipient_id], Story::Comment);
            told.others(mentions, Story::CommentMention);
            told.into_effect()
        }
        Event::LikeCreated {
            like_id,
            post_id,
            author_id,
            recipient_id,
        } => {
            let mut told = Told::by(author_id, at, post_id.get());
            told.link = like_id.get();
            told.others([recipient_id], Story::PostLike);
            told.into_effect()
        }
        Event::CommentLiked {
            like_id,
            comment_id,
            post_id,
            author_id,
            recipient_id,
        } => {
            let mut told = Told::by(author_id, at, post_id.get());
            told.comment = comment_id.get();
            told.link = like_id.get();
            told.others(recipient_id, Story::CommentLike);
            told.into_effect()
        }
        Event::FollowCreated {
            follow_id,
            author_id,
            following_id,
            ..
        } => {
            let mut told = Told::by(author_id, at, 0);
            told.link = follow_id.get();
            told.others([following_id], Story::Follow);
            told.into_effect()
        }
        Event::PasswordChanged { user_id } => {
            let mut told = Told::by(user_id, at, 0);
            told.oneself(Story::PasswordChanged);
            told.into_effect()
        }
        Event::EmailVerified { user_id } => {
            let mut told = Told::by(user_id, at, 0);
            told.oneself(Story::EmailVerified);
            told.into_effect()
        }
        Event::PostDeleted { post_id, .. } => Effect::Remove(Removal::Post(post_id)),
        Event::CommentDeleted {
            comment_id,
            post_id,
            ..
        } => Effect::Remove(Removal::Comment(comment_id, post_id)),
        Event::LikeRemoved {
            like_id, post_id, ..
        } => Effect::Remove(Removal::PostLike(like_id, post_id)),
        Event::CommentUnliked {
            like_id,
            comment_id,
            ..
        } => Effect::Remove(Removal::CommentLike(like_id, comment_id)),
        Event::UnfollowCreated {
            follow_id,
            following_id,
            ..
        } => Effect::Remove(Removal::Follow(follow_id, following_id)),
        Event::NotificationsMarked { user_id, ids, mark } => Effect::Mark {
            user: user_id,
            ids,
            mark,
        },
        Event::NotificationsAllMarked {
            user_id,
            through,
            mark,
        } => Effect::MarkAll {
            user: user_id,
            through,
            mark,
        },
        Event::UserStatusChanged {
            user_id,
            status: UserStatus::Deleted,
        } => Effect::Remove(Removal::User(user_id)),
        Event::UserBlocked {
            user_id,
            blocked_id,
        } => Effect::Silence(vec![(user_id, blocked_id), (blocked_id, user_id)]),
        Event::UserMuted {
            user_id, muted_id, ..
        } => Effect::Silence(vec![(user_id, muted_id)]),
        // What was done before is not told afterwards either.
        Event::UserUnblocked { .. }
        | Event::UserUnmuted { .. }
        | Event::PostUpdated { .. }
        | Event::CommentUpdated { .. }
        | Event::UserCreated { .. }
        | Event::UserUpdated { .. }
        | Event::UserStatusChanged { .. }
        | Event::SessionStarted { .. }
        | Event::SessionEnded { .. }
        | Event::SessionsEnded { .. }
        | Event::MediaChanged { .. }
        | Event::Live(_)
        | Event::PresenceHidden { .. }
        | Event::RoomLeft { .. }
        | Event::RoomClosed { .. }
        | Event::ChatCountsChanged { .. }
        | Event::MessageTouched { .. }
        | Event::MessagesExpired { .. }
        | Event::FollowedTagsChanged { .. } => Effect::None,
    }
}

/// Gathers whom one deed is told to.
struct Told {
    actor: UserId,
    at: Timestamp,
    post: i64,
    comment: i64,
    link: i64,
    entries: Vec<(UserId, Entry)>,
}

impl Told {
    fn by(actor: UserId, at: Timestamp, post: i64) -> Self {
        Self {
            actor,
            at,
            post,
            comment: 0,
            link: 0,
            entries: Vec::new(),
        }
    }

    fn oneself(&mut self, story: Story) {
        self.entries.push((self.actor, self.entry(story)));
    }

    /// Nobody is told of their own doing, nor of the same deed twice.
    fn others(&mut self, people: impl IntoIterator<Item = UserId>, story: Story) {
        for person in people {
            let is_told = self.entries.iter().any(|(told, _)| *told == person);
            if person != self.actor && !is_told {
                self.entries.push((person, self.entry(story)));
            }
        }
    }

    fn entry(&self, story: Story) -> Entry {
        Entry {
            story,
            at: self.at,
            actor: self.actor,
            post: self.post,
            comment: self.comment,
            link: self.link,
        }
    }

    fn into_effect(self) -> Effect {
        Effect::Tell(self.entries)
    }
}
