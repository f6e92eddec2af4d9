//! Every kind of command, at random: what the tests of the store as a whole are fed with.
//!
//! A command that is registered and has no generator here fails those tests: its writes would go unexamined.

mod assist;
mod chat;
mod discovery;
mod feed;
mod stories;

use std::time::Duration;

use serde_json::Value;
use socialhub::app;
use socialhub::auth::{
    ChangePassword, CheckOtp, EndSession, EndSessions, IssueOtp, LogIn, PruneAuth, Purpose,
    ResetPassword, SessionStart, SetStatus, SignUp,
};
use socialhub::blobs::BlobHash;
use socialhub::chat::RoomKey;
use socialhub::clock::{Clock, Timestamp};
use socialhub::error::{Code, FieldError, Result};
use socialhub::event::{Mark, UserStatus};
use socialhub::id::{
    CommentId, HighlightId, Ids, ListId, MediaId, MessageId, MutedTermId, PostId, SessionId,
    StoryId, UserId,
};
use socialhub::media::{
    AddMedia, Conversion, Facts, Focus, ForgetBlob, Kind, NewMedia, PruneMedia, RemoveMedia, Room,
    SetConversion, UpdateMedia,
};
use socialhub::notifications::{MarkAllNotifications, MarkNotifications};
use socialhub::posts::comments::{
    CommentWish, CreateComment, DeleteComment, LikeComment, UpdateComment,
};
use socialhub::posts::{CreatePost, DeletePost, PostChange, SetReaction, UpdatePost, Wish};
use socialhub::store::{Command, Encoded, Once, PruneOnce, PruneOutbox};
use socialhub::text;
use socialhub::users::{
    BlockUser, EndErasure, FollowUser, MuteUser, ProfileChange, PruneRelations, Role, SetPicture,
    Slot, UnblockUser, UnfollowUser, UnmuteUser, UpdateProfile,
};

use super::dice::Dice;

/// What a caller would learn of a command, in a form that compares.
pub(crate) type Outcome = std::result::Result<Value, (Code, String, Vec<FieldError>)>;

pub(crate) fn outcome(result: Result<Value>) -> Outcome {
    result.map_err(|error| {
        let (code, message) = (error.code(), error.message().to_owned());
        (code, message, error.fields().to_vec())
    })
}

/// Makes commands that concern one small, busy world, so that many of them meet. All follow from one number.
pub(crate) struct Script {
    dice: Dice,
    names: Vec<&'static str>,
    clock: Clock,
    ids: Ids,
    people: Vec<Known>,
    /// With their authors, who alone may do most things to them.
    posts: Vec<(PostId, UserId)>,
    comments: Vec<(PostId, CommentId, UserId)>,
    uploads: Vec<(MediaId, UserId)>,
    messages: Vec<(RoomKey, MessageId, UserId)>,
    /// Groups, and rooms that have no name.
    rooms: Vec<RoomKey>,
    muted_terms: Vec<(MutedTermId, UserId)>,
    lists: Vec<(ListId, UserId)>,
    stories: Vec<(StoryId, UserId)>,
    highlights: Vec<(HighlightId, UserId)>,
    sessions: Vec<(UserId, SessionId)>,
    codes: Vec<(String, Purpose, [u8; 32])>,
    resets: Vec<(String, [u8; 32])>,
    sent_once: Vec<Encoded>,
    /// Commands that only do something soon after the latest one.
    due: Vec<&'static str>,
    /// What the command under way makes, if it is accepted.
    making: Option<Making>,
}

#[derive(Clone)]
struct Known {
    id: UserId,
    email: String,
}

enum Making {
    Person(Known, SessionId),
    Session(UserId, SessionId),
    Post(PostId, UserId),
    Comment(PostId, CommentId, UserId),
    Upload(MediaId, UserId),
    Message(RoomKey, MessageId, UserId),
    Room(RoomKey),
    MutedTerm(MutedTermId, UserId),
    List(ListId, UserId),
    Story(StoryId, UserId),
    Highlight(HighlightId, UserId),
}

/// Passwords are replaced by one another so that a guess at the stored one is often right.
const HASHES: [&str; 2] = ["$argon2id$first", "$argon2id$second"];

impl Script {
    /// Of all commands that the server knows.
    pub(crate) fn new(seed: u64) -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        Self {
            dice: Dice::new(seed),
            // Those that make something come more often than those that remove it.
            names: app::registry()
                .names()
                .chain(
                    [
                        "auth.sign_up",
                        "posts.create",
                        "posts.comment",
                        "media.add",
                        "chat.send_message",
                        "chat.join_room",
                        "chat.update_room",
                        "chat.create_group",
                        "chat.add_to_group",
                        "chat.invite",
                        "feed.create_list",
                        "feed.add_to_list",
                        "stories.post",
                        "stories.create_highlight",
                    ]
                    .repeat(2),
                )
                .collect(),
            ids: Ids::new(clock.clone(), 0),
            clock,
            people: Vec::new(),
            posts: Vec::new(),
            comments: Vec::new(),
            uploads: Vec::new(),
            messages: Vec::new(),
            rooms: Vec::new(),
            muted_terms: Vec::new(),
            lists: Vec::new(),
            stories: Vec::new(),
            highlights: Vec::new(),
            sessions: Vec::new(),
            codes: Vec::new(),
            resets: Vec::new(),
            sent_once: Vec::new(),
            due: Vec::new(),
            making: None,
        }
    }

    /// The next command; say afterwards [whether it was accepted](Self::learn).
    ///
    /// # Panics
    /// When there is no generator for a command of some name.
    pub(crate) fn next(&mut self) -> Encoded {
        let dice = &mut Dice::new(self.dice.roll());
        let name = if self.people.is_empty() {
            "auth.sign_up"
        } else if let Some(due) = self.due.pop_if(|_| dice.is_one_in(2)) {
            due
        } else {
            dice.one_of(&self.names)
        };
        self.clock.advance(Duration::from_millis(dice.below(4_000)));
        self.making = None;
        if dice.is_one_in(12)
            && let Some(repeated) = self.repeat(dice)
        {
            return repeated;
        }
        let once = dice.is_one_in(3).then(|| self.once(dice));
        let encoded = self.command(name, once, dice);
        if encoded.once.is_some() {
            self.sent_once.push(encoded.clone());
        }
        encoded
    }

    /// Remembers what a command made, for later ones to meet.
    pub(crate) fn learn(&mut self, accepted: bool) {
        match self.making.take().filter(|_| accepted) {
            Some(Making::Person(person, session)) => {
                self.sessions.push((person.id, session));
                self.people.push(person);
            }
            Some(Making::Session(user, session)) => self.sessions.push((user, session)),
            Some(Making::Post(id, author)) => self.posts.push((id, author)),
            Some(Making::Comment(post, id, author)) => self.comments.push((post, id, author)),
            Some(Making::Upload(id, owner)) => self.uploads.push((id, owner)),
            Some(Making::Message(room, id, sender)) => self.messages.push((room, id, sender)),
            Some(Making::Room(key)) => self.rooms.push(key),
            Some(Making::MutedTerm(id, user)) => self.muted_terms.push((id, user)),
            Some(Making::List(id, owner)) => self.lists.push((id, owner)),
            Some(Making::Story(id, author)) => self.stories.push((id, author)),
            Some(Making::Highlight(id, owner)) => self.highlights.push((id, owner)),
            None => {}
        }
    }

    /// All posts that were ever written.
    pub(crate) fn posts(&self) -> Vec<PostId> {
        self.posts.iter().map(|(id, _)| *id).collect()
    }

    /// All people who ever signed up.
    pub(crate) fn people(&self) -> Vec<UserId> {
        self.people.iter().map(|person| person.id).collect()
    }

    /// A request that is sent again while its key is kept, sometimes with another body.
    fn repeat(&self, dice: &mut Dice) -> Option<Encoded> {
        let mut repeated = dice.recent(&self.sent_once)?;
        let once = repeated.once.as_mut()?;
        once.at = self.now();
        if dice.is_one_in(4) {
            "another request".clone_into(&mut once.fingerprint);
        }
        (once.at < once.expires_at).then_some(repeated)
    }

    fn once(&self, dice: &mut Dice) -> Once {
        Once {
            user_id: self.person(dice),
            key: format!("key-{}", self.sent_once.len()),
            fingerprint: "this request".to_owned(),
            at: self.now(),
            expires_at: self.now().plus(Duration::from_mins(10)),
        }
    }

    fn command(&mut self, name: &str, once: Option<Once>, dice: &mut Dice) -> Encoded {
        let at = self.now();
        match name {
            "auth.sign_up" => {
                let number = self.people.len() as u64;
                // Mostly a new name; else one that is taken, in another case.
                let username = if dice.is_one_in(5) {
                    format!("Person{}", dice.below(number + 1))
                } else {
                    format!("person{number}")
                };
                let email = if dice.is_one_in(6) {
                    format!("{}@Example.org", dice.below(number + 1))
                } else {
                    format!("{number}@example.org")
                };
                let (id, session) = (self.ids.next(), self.session(dice));
                let person = Known {
                    id,
                    email: email.clone(),
                };
                self.making = Some(Making::Person(person, session.id));
                encode(
                    once,
                    &SignUp {
                        id,
                        name: dice.sentence(),
                        username,
                        email,
                        password_hash: dice.one_of(&HASHES).to_owned(),
                        role: dice.one_of(&[Role::User, Role::User, Role::User, Role::Admin]),
                        session,
                    },
                )
            }
            "auth.log_in" => {
                let (user_id, session) = (self.person(dice), self.session(dice));
                self.making = Some(Making::Session(user_id, session.id));
                let upgraded = dice.one_of(&HASHES).to_owned();
                encode(
                    once,
                    &LogIn {
                        user_id,
                        password_hash: dice.one_of(&HASHES).to_owned(),
                        upgraded_hash: dice.is_one_in(4).then_some(upgraded),
                        session,
                    },
                )
            }
            "auth.end_session" => {
                let (user_id, session_id) = self.known_session(dice);
                encode(
                    once,
                    &EndSession {
                        user_id,
                        session_id,
                    },
                )
            }
            "auth.end_sessions" => {
                let (user_id, session) = self.known_session(dice);
                let kept = dice.is_one_in(2).then_some(session);
                encode(once, &EndSessions { user_id, kept })
            }
            "auth.change_password" => {
                let (user_id, kept) = self.known_session(dice);
                encode(
                    once,
                    &ChangePassword {
                        user_id,
                        old_hash: dice.one_of(&HASHES).to_owned(),
                        new_hash: dice.one_of(&HASHES).to_owned(),
                        kept,
                        at,
                    },
                )
            }
            "auth.issue_otp" => {
                let email_key = text::email_key(&self.email(dice));
                let purpose = dice.one_of(&[Purpose::Reset, Purpose::Verify]);
                let code_hash = dice.hash();
                self.codes.push((email_key.clone(), purpose, code_hash));
                self.due = vec!["auth.check_otp"];
                encode(
                    once,
                    &IssueOtp {
                        email_key,
                        purpose,
                        code_hash,
                        tries: 3,
                        expires_at: at.plus(Duration::from_mins(5)),
                    },
                )
            }
            "auth.check_otp" => {
                let (email_key, purpose, sent) = dice.recent(&self.codes).unwrap_or_else(|| {
                    (text::email_key(&self.email(dice)), Purpose::Reset, [0; 32])
                });
                let token = dice.hash();
                if purpose == Purpose::Reset {
                    self.resets.push((email_key.clone(), token));
                    self.due = vec!["auth.reset_password"];
                }
                encode(
                    once,
                    &CheckOtp {
                        email_key,
                        purpose,
                        code_hash: if dice.is_one_in(4) { dice.hash() } else { sent },
                        reset: (purpose == Purpose::Reset)
                            .then(|| (token, at.plus(Duration::from_mins(15)))),
                        at,
                    },
                )
            }
            "auth.reset_password" => {
                let (email_key, token_hash) = dice
                    .recent(&self.resets)
                    .unwrap_or_else(|| (text::email_key(&self.email(dice)), [1; 32]));
                encode(
                    once,
                    &ResetPassword {
                        email_key,
                        token_hash,
                        password_hash: dice.one_of(&HASHES).to_owned(),
                        at,
                    },
                )
            }
            "auth.set_status" => {
                use UserStatus::{Active, Deleted, Suspended};
                // Mostly restored: the others have to meet somebody.
                let status = dice.one_of(&[Active, Active, Active, Active, Suspended, Deleted]);
                let user_id = self.person(dice);
                encode(
                    once,
                    &SetStatus {
                        user_id,
                        status,
                        at,
                    },
                )
            }
            name if name.starts_with("chat.") => self.chat_command(name, once, dice),
            name if name.starts_with("stories.") => self.story_command(name, once, dice),
            name if name.starts_with("discovery.") => self.discovery_command(name, once, dice),
            "assist.record_call" => self.record_call(once, dice),
            name if name.starts_with("feed.") => self.feed_command(name, once, dice),
            "auth.prune" => encode(once, &PruneAuth { at, limit: 5 }),
            "store.prune_once" => encode(once, &PruneOnce { at, limit: 3 }),
            "store.prune_outbox" => {
                let command = PruneOutbox {
                    before: at.minus(Duration::from_mins(dice.below(20))),
                    through: dice.below(2_000),
                    limit: 20,
                };
                encode(once, &command)
            }
            "users.update_profile" => {
                let change = self.profile_change(dice);
                encode(
                    once,
                    &UpdateProfile {
                        user_id: self.person(dice),
                        change,
                        at,
                    },
                )
            }
            "users.set_picture" => {
                let user_id = self.person(dice);
                let upload = (!dice.is_one_in(4)).then(|| self.upload(user_id, dice));
                let slot = dice.one_of(&[Slot::Avatar, Slot::Banner]);
                encode(
                    once,
                    &SetPicture {
                        user_id,
                        slot,
                        upload,
                        at,
                    },
                )
            }
            "media.add" => {
                let owner = self.person(dice);
                let upload = self.upload(owner, dice);
                self.making = Some(Making::Upload(upload.id, owner));
                encode(once, &AddMedia(upload))
            }
            "media.update" => {
                let (id, owner_id) = self.upload_and_its_owner(dice);
                encode(
                    once,
                    &UpdateMedia {
                        id,
                        owner_id,
                        alt: dice.is_one_in(2).then(|| self.words_or_none(dice)),
                        focus: dice.is_one_in(2).then(|| focus(dice)),
                        is_sensitive: dice.is_one_in(2).then(|| dice.is_one_in(2)),
                    },
                )
            }
            "media.remove" => {
                let (id, owner_id) = self.upload_and_its_owner(dice);
                encode(once, &RemoveMedia { id, owner_id, at })
            }
            "media.prune" => {
                let before = at.minus(Duration::from_mins(dice.below(60)));
                encode(
                    once,
                    &PruneMedia {
                        before,
                        at,
                        limit: 5,
                    },
                )
            }
            "media.set_conversion" => encode(
                once,
                &SetConversion {
                    hash: content(dice).0,
                    state: dice.one_of(&[
                        Conversion::Waiting,
                        Conversion::Done,
                        Conversion::Failed,
                    ]),
                    failure: dice.one_of(&[None, Some(Code::ConversionTimedOut)]),
                },
            ),
            "media.forget_blob" => encode(
                once,
                &ForgetBlob {
                    hash: content(dice).0,
                },
            ),
            "users.follow" => encode(
                once,
                &FollowUser {
                    id: self.ids.next(),
                    follower_id: self.person(dice),
                    following_id: self.person(dice),
                    at,
                },
            ),
            "users.unfollow" => encode(
                once,
                &UnfollowUser {
                    follower_id: self.person(dice),
                    following_id: self.person(dice),
                    at,
                },
            ),
            "users.block" => encode(
                once,
                &BlockUser {
                    blocker_id: self.person(dice),
                    blocked_id: self.person(dice),
                    at,
                },
            ),
            "users.unblock" => encode(
                once,
                &UnblockUser {
                    blocker_id: self.person(dice),
                    blocked_id: self.person(dice),
                    at,
                },
            ),
            "users.mute" => encode(
                once,
                &MuteUser {
                    muter_id: self.person(dice),
                    muted_id: self.person(dice),
                    until: dice
                        .is_one_in(2)
                        .then(|| at.plus(Duration::from_secs(1 + dice.below(600)))),
                    at,
                },
            ),
            "users.unmute" => encode(
                once,
                &UnmuteUser {
                    muter_id: self.person(dice),
                    muted_id: self.person(dice),
                    at,
                },
            ),
            "users.end_erasure" => {
                let user_id = self.person(dice);
                encode(once, &EndErasure { user_id })
            }
            "users.prune_relations" => encode(
                once,
                &PruneRelations {
                    before: at.minus(Duration::from_mins(dice.below(20))),
                    limit: 3,
                },
            ),
            "posts.create" => {
                let (id, has_content) = (self.ids.next(), !dice.is_one_in(3));
                let author_id = self.person(dice);
                self.making = Some(Making::Post(id, author_id));
                encode(
                    once,
                    &CreatePost {
                        id,
                        author_id,
                        content: has_content.then(|| self.words(dice)),
                        caption: (!has_content || dice.is_one_in(3)).then(|| self.words(dice)),
                        hashtags: dice.hashtags(),
                        visibility: dice.visibility(),
                        uploads: (0..dice.below(9).saturating_sub(6))
                            .map(|_| self.upload(author_id, dice))
                            .collect(),
                        media: (0..dice.below(9).saturating_sub(6))
                            .map(|_| self.upload_and_its_owner(dice).0)
                            .collect(),
                        at,
                    },
                )
            }
            "posts.update" => {
                let (id, author_id) = self.post_and_its_author(dice);
                let change = PostChange {
                    content: dice.is_one_in(2).then(|| self.words_or_none(dice)),
                    caption: dice.is_one_in(2).then(|| self.words_or_none(dice)),
                    hashtags: dice.is_one_in(3).then(|| dice.hashtags()),
                    visibility: dice.is_one_in(2).then(|| dice.visibility()),
                };
                encode(
                    once,
                    &UpdatePost {
                        id,
                        author_id,
                        change,
                        at,
                    },
                )
            }
            "posts.delete" => {
                let (id, by) = self.post_and_its_author(dice);
                let as_admin = dice.is_one_in(8);
                encode(
                    once,
                    &DeletePost {
                        id,
                        by,
                        as_admin,
                        at,
                    },
                )
            }
            "posts.react" => {
                use Wish::{Dislike, Like, ToggleDislike, ToggleLike, Undislike, Unlike};
                let wishes = [Like, Dislike, ToggleLike, ToggleDislike, Unlike, Undislike];
                encode(
                    once,
                    &SetReaction {
                        id: self.ids.next(),
                        post_id: self.post_and_its_author(dice).0,
                        user_id: self.person(dice),
                        wish: dice.one_of(&wishes),
                        at,
                    },
                )
            }
            "posts.comment" => {
                let id = self.ids.next();
                // An answer beneath the comment's own post, mostly.
                let (post_id, parent_id) = match dice.recent(&self.comments) {
                    Some((_, parent, _)) if dice.is_one_in(20) => {
                        (self.post_and_its_author(dice).0, Some(parent))
                    }
                    Some((post, parent, _)) if dice.is_one_in(2) => (post, Some(parent)),
                    _ => (self.post_and_its_author(dice).0, None),
                };
                let author_id = self.person(dice);
                self.making = Some(Making::Comment(post_id, id, author_id));
                encode(
                    once,
                    &CreateComment {
                        id,
                        post_id,
                        parent_id,
                        author_id,
                        content: self.words(dice),
                        at,
                    },
                )
            }
            "posts.update_comment" => {
                let (id, by) = self.comment_and_its_author(dice);
                let content = self.words(dice);
                encode(
                    once,
                    &UpdateComment {
                        id,
                        by,
                        content,
                        at,
                    },
                )
            }
            "posts.delete_comment" => {
                let (id, by) = self.comment_and_its_author(dice);
                let as_admin = dice.is_one_in(8);
                encode(
                    once,
                    &DeleteComment {
                        id,
                        by,
                        as_admin,
                        at,
                    },
                )
            }
            "posts.like_comment" => {
                let wishes = [CommentWish::Like, CommentWish::Unlike, CommentWish::Toggle];
                encode(
                    once,
                    &LikeComment {
                        id: self.ids.next(),
                        comment_id: self.comment_and_its_author(dice).0,
                        user_id: self.person(dice),
                        wish: dice.one_of(&wishes),
                        at,
                    },
                )
            }
            "notifications.mark" => {
                let ids = (0..dice.below(5)).map(|_| dice.below(2_000)).collect();
                let command = MarkNotifications {
                    user_id: self.account(dice),
                    ids,
                    mark: dice.one_of(&[Mark::Read, Mark::Deleted]),
                    at,
                    forget_below: if dice.is_one_in(8) {
                        dice.below(400)
                    } else {
                        0
                    },
                };
                encode(once, &command)
            }
            "notifications.mark_all" => {
                let command = MarkAllNotifications {
                    user_id: self.account(dice),
                    through: dice.below(1_500),
                    mark: dice.one_of(&[Mark::Read, Mark::Deleted]),
                    at,
                };
                encode(once, &command)
            }
            unknown => panic!(
                "the command {unknown} has no generator; write one in tests/it/support/script.rs"
            ),
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn session(&self, dice: &mut Dice) -> SessionStart {
        let at = self.now();
        SessionStart {
            id: self.ids.next(),
            at,
            expires_at: at.plus(Duration::from_mins(dice.below(60))),
            user_agent: dice.is_one_in(2).then(|| "Böwser/1.0".to_owned()),
            ip: dice.is_one_in(2).then(|| "203.0.113.9".to_owned()),
        }
    }

    /// Somebody, mostly one of the few who came last; sometimes nobody.
    fn person(&self, dice: &mut Dice) -> UserId {
        let known = dice.recent(&self.people);
        let is_nobody = dice.is_one_in(40);
        known
            .filter(|_| !is_nobody)
            .map_or(UserId::from(1), |known| known.id)
    }

    /// Somebody who has an account or had one: what commands ask who are made for the caller alone.
    fn account(&self, dice: &mut Dice) -> UserId {
        dice.recent(&self.people).unwrap().id
    }

    fn email(&self, dice: &mut Dice) -> String {
        dice.among(&self.people).map_or_else(
            || "nobody@example.org".to_owned(),
            |known| known.email.clone(),
        )
    }

    fn known_session(&self, dice: &mut Dice) -> (UserId, SessionId) {
        dice.recent(&self.sessions)
            .unwrap_or((UserId::from(1), SessionId::from(1)))
    }

    /// A post, and its author or sometimes somebody else.
    fn post_and_its_author(&self, dice: &mut Dice) -> (PostId, UserId) {
        let somebody = self.person(dice);
        match dice.recent(&self.posts) {
            Some((id, author)) if !dice.is_one_in(3) => (id, author),
            Some((id, _)) => (id, somebody),
            None => (PostId::from(1), somebody),
        }
    }

    /// A comment, and its author or sometimes somebody else.
    fn comment_and_its_author(&self, dice: &mut Dice) -> (CommentId, UserId) {
        let somebody = self.person(dice);
        match dice.recent(&self.comments) {
            Some((_, id, author)) if !dice.is_one_in(3) => (id, author),
            Some((_, id, _)) => (id, somebody),
            None => (CommentId::from(1), somebody),
        }
    }

    /// An upload, of one of a few contents.
    fn upload(&self, owner_id: UserId, dice: &mut Dice) -> NewMedia {
        let (hash, size_bytes) = content(dice);
        NewMedia {
            id: self.ids.next(),
            owner_id,
            hash,
            size_bytes,
            facts: Facts {
                kind: dice.one_of(&[Kind::Image, Kind::Image, Kind::Image, Kind::Video]),
                format: "jpeg".to_owned(),
                width: Some(640),
                height: Some(480),
                duration_ms: None,
                is_animated: dice.is_one_in(5),
                plays: dice.is_one_in(2),
                thumbhash: Some("3OcRJYB4d3h/iIeHeEh3eIhw+j3A".to_owned()),
                color: Some("#7a6c5d".to_owned()),
            },
            alt: self.words_or_none(dice),
            focus: focus(dice),
            is_sensitive: dice.is_one_in(4),
            needs_conversion: dice.is_one_in(3),
            room: Room {
                quota_bytes: dice.is_one_in(3).then_some(20_000),
                cap_bytes: dice.is_one_in(3).then_some(30_000),
            },
            at: self.now(),
        }
    }

    /// An upload, and its owner or sometimes somebody else.
    fn upload_and_its_owner(&self, dice: &mut Dice) -> (MediaId, UserId) {
        let somebody = self.person(dice);
        match dice.recent(&self.uploads) {
            Some((id, owner)) if !dice.is_one_in(4) => (id, owner),
            Some((id, _)) => (id, somebody),
            None => (MediaId::from(1), somebody),
        }
    }

    /// A text with people and tags in it.
    fn words(&self, dice: &mut Dice) -> String {
        let count = self.people.len() as u64 + 1;
        (0..=dice.below(6))
            .map(|_| match dice.below(4) {
                0 => format!("@person{} ", dice.below(count)),
                1 => format!("#Tag{} ", dice.below(5)),
                2 => "«naïve» 漢字 🦀 ".to_owned(),
                _ => dice.sentence(),
            })
            .collect()
    }

    fn words_or_none(&self, dice: &mut Dice) -> Option<String> {
        (!dice.is_one_in(4)).then(|| self.words(dice))
    }

    fn profile_change(&self, dice: &mut Dice) -> ProfileChange {
        let count = self.people.len() as u64 + 1;
        let picture = "/media/picture.webp".to_owned();
        ProfileChange {
            name: dice.is_one_in(2).then(|| dice.sentence()),
            username: dice
                .is_one_in(3)
                .then(|| format!("person{}", dice.below(2 * count))),
            bio: dice.is_one_in(3).then(|| self.words_or_none(dice)),
            avatar: dice
                .is_one_in(3)
                .then(|| dice.is_one_in(2).then_some(picture)),
            banner: dice.is_one_in(6).then_some(None),
        }
    }
}

/// One of a few contents, and its size.
fn content(dice: &mut Dice) -> (BlobHash, u64) {
    let number = dice.one_of(&[1_u8, 2, 3, 4, 5, 6, 7]);
    (BlobHash::new([number; 32]), 1_000 * u64::from(number))
}

fn focus(dice: &mut Dice) -> Focus {
    Focus {
        x: dice.one_of(&[0.0, -1.0, 0.25]),
        y: dice.one_of(&[0.0, 1.0, -0.1]),
    }
}

fn encode<C: Command>(once: Option<Once>, command: &C) -> Encoded {
    Encoded::new(command, once).unwrap()
}
