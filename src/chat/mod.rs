//! Rooms and what is said in them (contract, sections 7 and 13).
//!
//! * `room`, `message`, `conversation`: the nouns;
//! * `access`: which room a name means, who may be there, and what they may do, in one place;
//! * `commands`: rooms appear, people come and go, messages come, change, go;
//! * `reading`: lists and histories;
//! * `presence`: who is where just now; `connections`: with what;
//! * `sql`: the statements.
//!
//! What is kept comes through here, whichever way it was sent; that those who look see it at once is `realtime`'s
//! business, which hears of it by [`Event::Live`](crate::event::Event::Live).

mod access;
mod commands;
mod connections;
mod conversation;
mod message;
mod presence;
mod reading;
mod room;
mod sql;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::config;
use crate::error::{Code, Error, Result};
use crate::id::{Ids, MessageId, RoomId, StoryId, UserId};
use crate::store::{Registry, Store};
use crate::{markdown, stories, text};

pub use access::{ChatSettings, RoomKey, WhoMayMessage};
use commands::Notice;
pub use commands::{
    AddToGroup, AnswerRequest, ClearConversation, CloseRoom, CreateGroup, CreateRoom,
    DeleteMessage, EditMessage, ExpireMessages, InviteToRoom, JoinRoom, LiftSanction,
    MarkDelivered, MarkRead, NoteSeen, PinMessage, ReactToMessage, RemoveMember, SanctionMember,
    SendMessage, SetChatSettings, SetRole, StartConversation, StoryAnswer, UpdateRoom,
    WithdrawInvitation,
};
pub use connections::{Connection, Connections, Sockets};
pub use conversation::{ChatType, Conversation, Folder};
pub use message::{
    Delivery, History, InConversation, MAX_MESSAGE_CHARS, Message, MessageDraft, MessageEdit,
    MessageType, Reach, Reaction, Span,
};
pub use presence::{News, Presence, Presences, Seated, Snapshot, Status};
pub use reading::{MAX_MESSAGES, MAX_ONLOOKERS};
pub use room::{
    Invitation, MAX_GROUP, MAX_RETENTION_DAYS, MAX_SLOW_MODE_S, MAX_TITLE_CHARS, MAX_TOPIC_CHARS,
    Member, Role, Room, RoomChange, RoomKind, RoomView, Sanction, SanctionDraft, Sanctioned,
    Visibility,
};

/// Characters of why somebody was muted or banned.
const MAX_REASON_CHARS: usize = 300;
/// People whom one command notes as seen.
const SEEN_AT_ONCE: usize = 1_000;
/// Messages that one command removes at most because they are too old.
const EXPIRY_STEP: u32 = 500;

/// The domain's handle.
#[derive(Clone)]
pub struct Chat {
    store: Store,
    ids: Ids,
    opens_rooms: bool,
    presence: Presences,
    connections: Connections,
}

/// Adds the domain's commands.
pub fn register(registry: &mut Registry) {
    commands::register(registry);
}

impl Chat {
    pub fn new(store: Store, ids: Ids, options: &config::Chat) -> Self {
        Self {
            store,
            ids,
            opens_rooms: options.opens_rooms,
            presence: Presences::default(),
            connections: Connections::default(),
        }
    }

    /// Who is where just now.
    pub fn presence(&self) -> &Presences {
        &self.presence
    }

    /// Who is connected just now.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Enters a room; one that is not there is made, where that is allowed.
    pub async fn join(&self, actor: &Actor, key: RoomKey, target: Option<UserId>) -> Result<Room> {
        // Most come back to where they have been before, and that needs no write.
        if let Some(room) = self.known(actor.user_id, key.clone(), target).await? {
            return Ok(room);
        }
        let command = JoinRoom {
            id: self.ids.next(),
            key,
            user_id: actor.user_id,
            may_create: self.may_open(actor),
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Whether somebody may make a room.
    fn may_open(&self, actor: &Actor) -> bool {
        self.opens_rooms || actor.is_admin
    }

    /// Makes a room, with a name or without.
    ///
    /// Errors: `invalid_fields`, `forbidden`, `room_exists`, `media_not_found`.
    pub async fn create_room(
        &self,
        actor: &Actor,
        name: Option<&str>,
        change: RoomChange,
    ) -> Result<Room> {
        if !self.may_open(actor) {
            return Err(Error::new(Code::Forbidden));
        }
        let id: RoomId = self.ids.next();
        let key = match name {
            None => RoomKey::Numbered(id),
            Some(name) => RoomKey::parse(name)?,
        };
        if name.is_some() && !matches!(key, RoomKey::Named(_)) {
            let message = "This name means a conversation.";
            return Err(Error::invalid_field("name", "invalid_room", message));
        }
        let command = CreateRoom {
            id,
            key,
            by: actor.user_id,
            change: change.check()?,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Changes what a room is.
    pub async fn update_room(
        &self,
        actor: &Actor,
        key: RoomKey,
        change: RoomChange,
    ) -> Result<Room> {
        let change = change.check()?;
        if change.is_empty() {
            return Err(Error::new(Code::NothingToChange));
        }
        let command = UpdateRoom {
            key,
            by: actor.user_id,
            as_admin: actor.is_admin,
            change,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Closes a room, for all.
    ///
    /// Errors: `forbidden` for who does not own it, and for conversations; `room_not_found`.
    pub async fn close_room(&self, actor: &Actor, key: RoomKey) -> Result<()> {
        let command = CloseRoom {
            key,
            by: actor.user_id,
            as_admin: actor.is_admin,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Gives a member another role.
    pub async fn set_role(
        &self,
        actor: &Actor,
        key: RoomKey,
        user_id: UserId,
        role: Role,
    ) -> Result<()> {
        let command = SetRole {
            key,
            by: actor.user_id,
            as_admin: actor.is_admin,
            user_id,
            role,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Takes somebody out of a room, or leaves it oneself.
    pub async fn remove_member(&self, actor: &Actor, key: RoomKey, user_id: UserId) -> Result<()> {
        let command = RemoveMember {
            key,
            by: actor.user_id,
            as_admin: actor.is_admin,
            user_id,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Invites somebody to a room.
    pub async fn invite(&self, actor: &Actor, key: RoomKey, user_id: UserId) -> Result<()> {
        let command = InviteToRoom {
            key,
            by: actor.user_id,
            as_admin: actor.is_admin,
            user_id,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Takes an invitation back, or declines one's own.
    pub async fn uninvite(&self, actor: &Actor, key: RoomKey, user_id: UserId) -> Result<()> {
        let command = WithdrawInvitation {
            key,
            by: actor.user_id,
            as_admin: actor.is_admin,
            user_id,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Mutes somebody in a room, or bans them from it.
    pub async fn sanction(&self, actor: &Actor, key: RoomKey, draft: SanctionDraft) -> Result<()> {
        let now = self.ids.now();
        if draft.until.is_some_and(|until| until <= now) {
            let message = "until has passed already.";
            return Err(Error::invalid_field("until", "out_of_range", message));
        }
        let reason = draft
            .reason
            .filter(|reason| text::is_visible(reason))
            .map(|reason| text::body("reason", &reason, 1, MAX_REASON_CHARS))
            .transpose()
            .map_err(|fault| Error::invalid_fields(vec![fault]))?;
        let command = SanctionMember {
            key,
            by: actor.user_id,
            as_admin: actor.is_admin,
            user_id: draft.user_id,
            kind: draft.kind,
            until: draft.until,
            reason,
            at: now,
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Takes a mute or a ban back.
    pub async fn lift(
        &self,
        actor: &Actor,
        key: RoomKey,
        user_id: UserId,
        kind: Sanction,
    ) -> Result<()> {
        let command = LiftSanction {
            key,
            by: actor.user_id,
            as_admin: actor.is_admin,
            user_id,
            kind,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Says something.
    pub async fn send(&self, actor: &Actor, key: RoomKey, draft: MessageDraft) -> Result<Message> {
        self.say(actor, key, draft, None).await
    }

    /// Answers a story: says something to its author.
    ///
    /// Errors: `story_not_found`, and those of a message.
    pub async fn answer_story(
        &self,
        actor: &Actor,
        id: StoryId,
        text: String,
        client_id: Option<String>,
    ) -> Result<Message> {
        let draft = MessageDraft {
            text,
            client_id,
            ..MessageDraft::default()
        };
        let is_reaction = false;
        self.say_of_story(actor, draft, StoryAnswer { id, is_reaction })
            .await
    }

    /// Reacts to a story: an emoji at the story, and as a message to its author.
    ///
    /// Errors: `story_not_found`, `invalid_fields`, and those of a message.
    pub async fn react_to_story(
        &self,
        actor: &Actor,
        id: StoryId,
        emoji: String,
    ) -> Result<Message> {
        message::check_emoji(&emoji)?;
        let draft = MessageDraft {
            text: emoji,
            ..MessageDraft::default()
        };
        let is_reaction = true;
        self.say_of_story(actor, draft, StoryAnswer { id, is_reaction })
            .await
    }

    async fn say_of_story(
        &self,
        actor: &Actor,
        draft: MessageDraft,
        story: StoryAnswer,
    ) -> Result<Message> {
        let (sender, now) = (actor.user_id, self.ids.now());
        let author = self
            .store
            .read(move |tx| stories::author_of(tx, sender, story.id, now))
            .await?;
        if author == sender {
            return Err(Error::new(Code::CannotMessage));
        }
        let key = RoomKey::direct(sender, author);
        self.say(actor, key, draft, Some(story)).await
    }

    async fn say(
        &self,
        actor: &Actor,
        key: RoomKey,
        draft: MessageDraft,
        story: Option<StoryAnswer>,
    ) -> Result<Message> {
        let body = draft.check()?;
        let html = markdown::to_html(&body);
        let command = SendMessage {
            id: self.ids.next(),
            room_id: self.ids.next(),
            key,
            sender_id: actor.user_id,
            body,
            html,
            client_id: draft.client_id,
            reply_to: draft.reply_to,
            target: draft.target,
            media: draft.media,
            linked_post: message::linked_post(&draft.text),
            post_id: draft.post_id,
            story,
            may_create: self.may_open(actor),
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Changes what one said; the text before is kept.
    pub async fn edit(&self, actor: &Actor, id: MessageId, text: &str) -> Result<Message> {
        // What brings something else may do without a text; whether it does, the command knows.
        let body = if text::is_visible(text) {
            message::message_text(text)?
        } else {
            String::new()
        };
        let command = EditMessage {
            id,
            by: actor.user_id,
            html: markdown::to_html(&body),
            body,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Takes back what one said; who keeps order, what anybody did.
    pub async fn delete(&self, actor: &Actor, id: MessageId) -> Result<Message> {
        let command = DeleteMessage {
            id,
            by: actor.user_id,
            as_admin: actor.is_admin,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Reacts to a message, or takes that back.
    pub async fn react(
        &self,
        actor: &Actor,
        id: MessageId,
        emoji: &str,
        wants: bool,
    ) -> Result<Message> {
        message::check_emoji(emoji)?;
        let command = ReactToMessage {
            id,
            user_id: actor.user_id,
            emoji: emoji.to_owned(),
            wants,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Pins a message, or takes it down.
    pub async fn pin(&self, actor: &Actor, id: MessageId, wants: bool) -> Result<Message> {
        let command = PinMessage {
            id,
            by: actor.user_id,
            as_admin: actor.is_admin,
            wants,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Notes that somebody has read a room up to a message.
    pub async fn mark_read(&self, actor: &Actor, key: RoomKey, number: Option<u64>) -> Result<()> {
        let command = MarkRead {
            key,
            user_id: actor.user_id,
            number,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Notes that messages have reached somebody's devices, up to this one.
    pub async fn mark_delivered(
        &self,
        actor: &Actor,
        key: RoomKey,
        number: Option<u64>,
    ) -> Result<()> {
        // In a room nobody asks, and there it would be a write for each message and member.
        if self.get(actor.user_id, key.clone()).await?.kind == RoomKind::Named {
            return Ok(());
        }
        let command = MarkDelivered {
            key,
            user_id: actor.user_id,
            number,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Begins a conversation of two, or finds the one there is.
    pub async fn start_conversation(&self, actor: &Actor, with: UserId) -> Result<Conversation> {
        let command = StartConversation {
            id: self.ids.next(),
            by: actor.user_id,
            with,
            at: self.ids.now(),
        };
        let room: Room = self.store.submit_once(command, actor.once.clone()).await?;
        self.conversation(actor.user_id, RoomKey::parse(&room.key)?)
            .await
    }

    /// Begins a conversation of a few.
    ///
    /// Errors: `invalid_fields`, `cannot_message`, `user_not_found`, `too_many_members`.
    pub async fn create_group(
        &self,
        actor: &Actor,
        people: Vec<UserId>,
        title: Option<String>,
    ) -> Result<Conversation> {
        check_people(&people)?;
        let change = RoomChange {
            title: Some(title),
            ..RoomChange::default()
        };
        let command = CreateGroup {
            id: self.ids.next(),
            by: actor.user_id,
            people,
            title: change.check()?.title.flatten(),
            at: self.ids.now(),
        };
        let room: Room = self.store.submit_once(command, actor.once.clone()).await?;
        self.conversation(actor.user_id, RoomKey::Numbered(room.id))
            .await
    }

    /// Takes people into a group.
    pub async fn add_to_group(
        &self,
        actor: &Actor,
        key: RoomKey,
        people: Vec<UserId>,
    ) -> Result<Room> {
        check_people(&people)?;
        let command = AddToGroup {
            key,
            by: actor.user_id,
            people,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Accepts a conversation that somebody else began, or declines it.
    pub async fn answer_request(&self, actor: &Actor, key: RoomKey, accepts: bool) -> Result<()> {
        let command = AnswerRequest {
            key,
            user_id: actor.user_id,
            accepts,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Takes a conversation out of one's list, with all that was said so far.
    pub async fn clear_conversation(&self, actor: &Actor, key: RoomKey) -> Result<()> {
        let command = ClearConversation {
            key,
            user_id: actor.user_id,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Sets who may write to somebody, and whether they are seen; what is absent stays.
    pub async fn set_settings(
        &self,
        actor: &Actor,
        who_may_message: Option<WhoMayMessage>,
        shows_presence: Option<bool>,
    ) -> Result<ChatSettings> {
        let command = SetChatSettings {
            user_id: actor.user_id,
            who_may_message,
            shows_presence,
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Notes when people were there; as many as there are. Those who hide that are passed over.
    pub async fn note_seen(&self, people: &[(UserId, Timestamp)]) -> Result<()> {
        for some in people.chunks(SEEN_AT_ONCE) {
            let command = NoteSeen {
                people: some.to_vec(),
            };
            self.store.submit(command).await?;
        }
        Ok(())
    }

    /// Removes the messages that are older than their rooms keep them; some at a time.
    pub async fn expire(&self) -> Result<()> {
        let at = self.ids.now();
        let mut after = None;
        loop {
            let step = ExpireMessages {
                after,
                at,
                limit: EXPIRY_STEP,
            };
            let done = self.store.submit(step).await?;
            if !done.has_more {
                return Ok(());
            }
            after = done.next;
        }
    }
}

fn check_people(people: &[UserId]) -> Result<()> {
    match people.len() {
        0 => {
            let message = "Name somebody to talk to.";
            Err(Error::invalid_field("userIds", "required", message))
        }
        count if count > MAX_GROUP as usize => Err(Error::new(Code::TooManyMembers)),
        _ => Ok(()),
    }
}

/// Writes the addresses in what was announced as they are to be seen where this is called; none when there are none in it.
pub fn rewrite_links(name: &str, payload: &str) -> Option<String> {
    match name {
        "new_message" | "message_edited" => rewrite::<Message>(payload),
        "new_message_notification" => rewrite::<Notice>(payload),
        "room_updated" => rewrite::<Room>(payload),
        _ => None,
    }
}

/// The message that an announcement tells to be gone, if it does.
pub fn deleted_message(name: &str, payload: &str) -> Option<MessageId> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Deleted {
        message_id: MessageId,
    }
    if name != "message_deleted" {
        return None;
    }
    let told: Option<Deleted> = serde_json::from_str(payload).ok();
    told.map(|told| told.message_id)
}

/// Who reacted, as far as an announcement tells it.
pub fn reactors(name: &str, payload: &str) -> Vec<UserId> {
    #[derive(Deserialize)]
    struct Reacted {
        reactions: Vec<Reaction>,
    }
    if !TELLS_REACTIONS.contains(&name) {
        return Vec::new();
    }
    let told: Option<Reacted> = serde_json::from_str(payload).ok();
    let reactions = told.map(|told| told.reactions).unwrap_or_default();
    reactions.into_iter().flat_map(|one| one.user_ids).collect()
}

/// An announcement without the reactions of these people; none when it tells of no reactions.
pub fn without_reactors(payload: &str, people: &[UserId]) -> Option<String> {
    let mut told: serde_json::Value = serde_json::from_str(payload).ok()?;
    let reactions = told.get_mut("reactions")?;
    let mut kept: Vec<Reaction> = serde_json::from_value(reactions.take()).ok()?;
    message::drop_reactors(&mut kept, people);
    *reactions = serde_json::to_value(kept).ok()?;
    Some(told.to_string())
}

/// Announcements with everybody's reactions.
const TELLS_REACTIONS: [&str; 3] = ["message_edited", "reaction_added", "reaction_removed"];

fn rewrite<T: Serialize + DeserializeOwned>(payload: &str) -> Option<String> {
    let value: T = serde_json::from_str(payload).ok()?;
    serde_json::to_string(&value).ok()
}
