//! The vocabulary of what happened: ids and the few names that a reader needs, never rows.
//!
//! A command emits these through `WriteTx::emit`; they reach the event log in the contract's envelope
//! `{eventType, timestamp, data}` (contract, section 6), whose field names the variants carry.
#![warn(missing_docs)]

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{
    CommentId, FollowId, MediaId, MessageId, PostId, ReactionId, RoomId, SessionId, UserId,
};

/// A stream of the event log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Posts, comments, likes: `POST_TOPIC`.
    Post,
    /// People and follows: `USER_TOPIC`.
    User,
    /// What concerns one person's account alone and is never published: `ACCOUNT_TOPIC`.
    Account,
}

impl Topic {
    /// All topics.
    pub const ALL: [Self; 3] = [Self::Post, Self::User, Self::Account];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST_TOPIC",
            Self::User => "USER_TOPIC",
            Self::Account => "ACCOUNT_TOPIC",
        }
    }

    /// The topic of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.as_str() == name)
    }
}

/// Why a notification's mark changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Seen by its person.
    Read,
    /// Thrown away by its person.
    Deleted,
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    /// In use.
    Active,
    /// Closed by an admin, for now.
    Suspended,
    /// Gone for good.
    Deleted,
}

/// Something to show at once to those who look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Who is shown it.
    pub audience: Audience,
    /// Whose doing it is.
    pub by: UserId,
    /// Its name for clients.
    pub name: String,
    /// The place among a room's messages, where it is one: nobody is shown a place twice.
    pub number: Option<u64>,
    /// JSON, as clients get it.
    pub payload: String,
}

/// Who is shown something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Audience {
    /// All who are in a room.
    Room(RoomId),
    /// Some people, wherever they are not in that room.
    PeopleOutside {
        /// Who.
        user_ids: Vec<UserId>,
        /// Which room.
        room_id: RoomId,
    },
    /// One person, wherever they are.
    Person(UserId),
}

/// Something that happened and is now true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "eventType", content = "data")]
#[expect(
    missing_docs,
    reason = "the fields are the contract's, and ids name what they are of"
)]
pub enum Event {
    /// A post appeared.
    #[serde(rename = "post.created", rename_all = "camelCase")]
    PostCreated {
        post_id: PostId,
        author_id: UserId,
        username: String,
        /// People named in it who may see it.
        mentions: Vec<UserId>,
    },
    /// A post's text or visibility changed.
    #[serde(rename = "post.updated", rename_all = "camelCase")]
    PostUpdated { post_id: PostId, author_id: UserId },
    /// A post was removed.
    #[serde(rename = "post.deleted", rename_all = "camelCase")]
    PostDeleted { post_id: PostId, author_id: UserId },
    /// A comment appeared.
    #[serde(rename = "comment.created", rename_all = "camelCase")]
    CommentCreated {
        comment_id: CommentId,
        post_id: PostId,
        author_id: UserId,
        author_username: String,
        /// The post's author.
        recipient_id: UserId,
        /// The author of the comment that this one answers.
        parent_author_id: Option<UserId>,
        created_at: Timestamp,
        /// People named in it who may see it.
        mentions: Vec<UserId>,
    },
    /// A comment's text changed.
    #[serde(rename = "comment.updated", rename_all = "camelCase")]
    CommentUpdated {
        comment_id: CommentId,
        post_id: PostId,
        author_id: UserId,
    },
    /// A comment was removed, by its author or the post's.
    #[serde(rename = "comment.deleted", rename_all = "camelCase")]
    CommentDeleted {
        comment_id: CommentId,
        post_id: PostId,
        author_id: UserId,
    },
    /// A post was liked by this person for the first time.
    #[serde(rename = "like.created", rename_all = "camelCase")]
    LikeCreated {
        like_id: ReactionId,
        post_id: PostId,
        author_id: UserId,
        recipient_id: UserId,
    },
    /// A like was taken back.
    #[serde(rename = "like.removed", rename_all = "camelCase")]
    LikeRemoved {
        like_id: ReactionId,
        post_id: PostId,
        author_id: UserId,
    },
    /// A comment was liked by this person for the first time.
    #[serde(rename = "comment.liked", rename_all = "camelCase")]
    CommentLiked {
        like_id: ReactionId,
        comment_id: CommentId,
        post_id: PostId,
        author_id: UserId,
        /// The comment's author, if they may see the post.
        recipient_id: Option<UserId>,
    },
    /// A like of a comment was taken back.
    #[serde(rename = "comment.unliked", rename_all = "camelCase")]
    CommentUnliked {
        like_id: ReactionId,
        comment_id: CommentId,
        post_id: PostId,
        author_id: UserId,
    },

    /// A follow began, or began again.
    #[serde(rename = "follow.created", rename_all = "camelCase")]
    FollowCreated {
        follow_id: FollowId,
        /// The follower.
        author_id: UserId,
        following_id: UserId,
        /// The follower's username, in the contract's spelling.
        #[serde(rename = "newfollower")]
        new_follower: String,
        followed_username: String,
    },
    /// A follow ended.
    #[serde(rename = "unfollow.created")]
    UnfollowCreated {
        #[serde(rename = "followId")]
        follow_id: FollowId,
        user_id: UserId,
        following_id: UserId,
    },
    /// Somebody signed up.
    #[serde(rename = "user.created", rename_all = "camelCase")]
    UserCreated { user_id: UserId, username: String },
    /// Somebody's name, username, biography or picture changed.
    #[serde(rename = "user.updated", rename_all = "camelCase")]
    UserUpdated { user_id: UserId },
    /// An account was suspended, restored or deleted.
    #[serde(rename = "user.status_changed", rename_all = "camelCase")]
    UserStatusChanged { user_id: UserId, status: UserStatus },

    /// Somebody blocks somebody. What they followed of each other ended just before, each with its own event. Like the
    /// next three it is the business of the one who did it, so it is of the account.
    #[serde(rename = "user.blocked", rename_all = "camelCase")]
    UserBlocked { user_id: UserId, blocked_id: UserId },
    /// Somebody blocks somebody no more.
    #[serde(rename = "user.unblocked", rename_all = "camelCase")]
    UserUnblocked { user_id: UserId, blocked_id: UserId },
    /// Somebody mutes somebody, or sets another end. When the end comes there is no event.
    #[serde(rename = "user.muted", rename_all = "camelCase")]
    UserMuted {
        user_id: UserId,
        muted_id: UserId,
        until: Option<Timestamp>,
    },
    /// Somebody mutes somebody no more, before the end that was set.
    #[serde(rename = "user.unmuted", rename_all = "camelCase")]
    UserUnmuted { user_id: UserId, muted_id: UserId },

    /// Somebody logged in. This and the next two are signals alone: the session's row says the same.
    #[serde(rename = "session.started", rename_all = "camelCase")]
    SessionStarted {
        session_id: SessionId,
        user_id: UserId,
        is_admin: bool,
        expires_at: Timestamp,
    },
    /// One session was ended.
    #[serde(rename = "session.ended", rename_all = "camelCase")]
    SessionEnded {
        session_id: SessionId,
        user_id: UserId,
    },
    /// All of somebody's sessions were ended, but the one to keep.
    #[serde(rename = "sessions.ended", rename_all = "camelCase")]
    SessionsEnded {
        user_id: UserId,
        kept: Option<SessionId>,
    },
    /// What is said of an upload, or who may see it, changed, or it is gone. A signal alone, as well.
    #[serde(rename = "media.changed", rename_all = "camelCase")]
    MediaChanged { media_id: MediaId },
    /// Something to show at once. A signal alone: the rows say the same.
    #[serde(rename = "live")]
    Live(Live),
    /// Somebody does not want to be seen any more. A signal alone, as well.
    #[serde(rename = "presence.hidden", rename_all = "camelCase")]
    PresenceHidden { user_id: UserId },
    /// Somebody may look at a room no more. A signal alone, as well.
    #[serde(rename = "room.left", rename_all = "camelCase")]
    RoomLeft {
        room_id: RoomId,
        user_id: UserId,
        /// `left`, `removed`, `banned`.
        reason: String,
    },
    /// Nobody may look at a room any more: it is closed. A signal alone, as well.
    #[serde(rename = "room.closed", rename_all = "camelCase")]
    RoomClosed { room_id: RoomId },
    /// How many messages or requests wait for somebody may have changed, and nothing else tells them. A signal alone, as well.
    #[serde(rename = "chat.counts_changed", rename_all = "camelCase")]
    ChatCountsChanged { user_id: UserId },
    /// A message was written, edited or removed. A signal alone: its row has the number of its latest touch.
    #[serde(rename = "message.touched", rename_all = "camelCase")]
    MessageTouched {
        message_id: MessageId,
        /// Counts up over all messages.
        touched: u64,
        is_new: bool,
    },
    /// Messages of a room are gone, because they were older than it keeps them.
    #[serde(rename = "messages.expired", rename_all = "camelCase")]
    MessagesExpired {
        room_id: RoomId,
        message_ids: Vec<MessageId>,
    },
    /// Somebody follows other hashtags. A signal alone, as well.
    #[serde(rename = "tags.followed_changed", rename_all = "camelCase")]
    FollowedTagsChanged { user_id: UserId },
    /// Somebody's password was replaced.
    #[serde(rename = "password.changed", rename_all = "camelCase")]
    PasswordChanged { user_id: UserId },
    /// Somebody proved to own their e-mail address.
    #[serde(rename = "email.verified", rename_all = "camelCase")]
    EmailVerified { user_id: UserId },
    /// Some of somebody's notifications were read or thrown away; ids are event sequences.
    #[serde(rename = "notifications.marked", rename_all = "camelCase")]
    NotificationsMarked {
        user_id: UserId,
        ids: Vec<u64>,
        mark: Mark,
    },
    /// All of somebody's notifications up to this one were read or thrown away.
    #[serde(rename = "notifications.all_marked", rename_all = "camelCase")]
    NotificationsAllMarked {
        user_id: UserId,
        through: u64,
        mark: Mark,
    },
}

impl Event {
    /// The stream that it belongs to.
    pub fn topic(&self) -> Topic {
        match self {
            Self::PostCreated { .. }
            | Self::PostUpdated { .. }
            | Self::PostDeleted { .. }
            | Self::CommentCreated { .. }
            | Self::CommentUpdated { .. }
            | Self::CommentDeleted { .. }
            | Self::LikeCreated { .. }
            | Self::LikeRemoved { .. }
            | Self::CommentLiked { .. }
            | Self::CommentUnliked { .. } => Topic::Post,
            Self::FollowCreated { .. }
            | Self::UnfollowCreated { .. }
            | Self::UserCreated { .. }
            | Self::UserUpdated { .. }
            | Self::UserStatusChanged { .. } => Topic::User,
            Self::UserBlocked { .. }
            | Self::UserUnblocked { .. }
            | Self::UserMuted { .. }
            | Self::UserUnmuted { .. }
            | Self::SessionStarted { .. }
            | Self::SessionEnded { .. }
            | Self::SessionsEnded { .. }
            | Self::MediaChanged { .. }
            | Self::Live(_)
            | Self::PresenceHidden { .. }
            | Self::RoomLeft { .. }
            | Self::RoomClosed { .. }
            | Self::ChatCountsChanged { .. }
            | Self::MessageTouched { .. }
            | Self::MessagesExpired { .. }
            | Self::FollowedTagsChanged { .. }
            | Self::PasswordChanged { .. }
            | Self::EmailVerified { .. }
            | Self::NotificationsMarked { .. }
            | Self::NotificationsAllMarked { .. } => Topic::Account,
        }
    }

    /// The id whose events must stay in order: the post's, or the acting person's.
    pub fn key(&self) -> i64 {
        match self {
            Self::PostCreated { post_id, .. }
            | Self::PostUpdated { post_id, .. }
            | Self::PostDeleted { post_id, .. }
            | Self::CommentCreated { post_id, .. }
            | Self::CommentUpdated { post_id, .. }
            | Self::CommentDeleted { post_id, .. }
            | Self::LikeCreated { post_id, .. }
            | Self::LikeRemoved { post_id, .. }
            | Self::CommentLiked { post_id, .. }
            | Self::CommentUnliked { post_id, .. } => post_id.get(),
            Self::FollowCreated {
                author_id: user_id, ..
            }
            | Self::UnfollowCreated { user_id, .. }
            | Self::UserCreated { user_id, .. }
            | Self::UserUpdated { user_id }
            | Self::UserStatusChanged { user_id, .. }
            | Self::UserBlocked { user_id, .. }
            | Self::UserUnblocked { user_id, .. }
            | Self::UserMuted { user_id, .. }
            | Self::UserUnmuted { user_id, .. }
            | Self::SessionStarted { user_id, .. }
            | Self::SessionEnded { user_id, .. }
            | Self::SessionsEnded { user_id, .. }
            | Self::PresenceHidden { user_id }
            | Self::ChatCountsChanged { user_id }
            | Self::FollowedTagsChanged { user_id }
            | Self::PasswordChanged { user_id }
            | Self::EmailVerified { user_id }
            | Self::NotificationsMarked { user_id, .. }
            | Self::NotificationsAllMarked { user_id, .. } => user_id.get(),
            Self::MediaChanged { media_id } => media_id.get(),
            Self::MessageTouched { message_id, .. } => message_id.get(),
            Self::RoomLeft { room_id, .. }
            | Self::RoomClosed { room_id }
            | Self::MessagesExpired { room_id, .. } => room_id.get(),
            Self::Live(live) => match &live.audience {
                Audience::Room(room_id) | Audience::PeopleOutside { room_id, .. } => room_id.get(),
                Audience::Person(user_id) => user_id.get(),
            },
        }
    }
}

/// Writes the contract's envelope: `{"timestamp":"...Z","eventType":"...","data":{...}}`.
pub fn to_envelope(at: Timestamp, event: &Event) -> serde_json::Result<String> {
    let tagged = serde_json::to_string(event)?;
    let fields = tagged.strip_prefix('{').unwrap_or(&tagged);
    Ok(format!(r#"{{"timestamp":"{at}",{fields}"#))
}

/// Reads the event out of an envelope.
pub fn from_envelope(envelope: &str) -> serde_json::Result<Event> {
    serde_json::from_str(envelope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_the_contracts() {
        let at = Timestamp::from_millis(1_700_000_000_000);
        let event = Event::FollowCreated {
            follow_id: 3.into(),
            author_id: 1.into(),
            following_id: 2.into(),
            new_follower: "ada".to_owned(),
            followed_username: "bob".to_owned(),
        };
        let envelope = to_envelope(at, &event).unwrap();
        assert_eq!(
            envelope,
            r#"{"timestamp":"2023-11-14T22:13:20.000Z","eventType":"follow.created","data":{"followId":"3","authorId":"1","followingId":"2","newfollower":"ada","followedUsername":"bob"}}"#
        );
        assert_eq!(from_envelope(&envelope).unwrap(), event);
    }
}
