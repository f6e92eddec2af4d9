//! Rooms and what is said in them (contract, sections 7 and 13).
//!
//! * `access`: which room a name means, and who may be there, in one place;
//! * `commands`: rooms appear, messages come, change, go;
//! * `presence`: who is where just now; `connections`: with what;
//! * `sql`: the statements.
//!
//! What is kept comes through here, whichever way it was sent; that those who look see it at once is `realtime`'s
//! business, which hears of it by [`Event::Live`](crate::event::Event::Live).

mod access;
mod commands;
mod connections;
mod presence;
mod sql;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::config;
use crate::error::{Code, Error, FieldError, Result};
use crate::id::{Ids, MessageId, RoomId, UserId};
use crate::links::Link;
use crate::page::{Cursor, Page, Slice};
use crate::store::{Registry, Store};
use crate::text;
use crate::users::{self, Person};

pub use access::RoomKey;
pub use commands::{DeleteMessage, EditMessage, JoinRoom, MarkRead, ReactToMessage, SendMessage};
pub use connections::{Connection, Connections, Sockets};
pub use presence::Presence;

/// Characters in a message.
pub const MAX_MESSAGE_CHARS: usize = 10_000;
/// Messages that one answer holds at most.
pub const MAX_MESSAGES: u32 = 100;
/// Bytes of the name that a client gives a message.
const MAX_CLIENT_ID: usize = 64;
/// Bytes of one emoji, however many characters it is put together of.
const MAX_EMOJI: usize = 64;

/// What a room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoomKind {
    /// Known by its name.
    Named,
    /// The conversation of two people.
    Direct,
}

/// A room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    pub id: RoomId,
    /// How clients name it.
    pub key: String,
    pub kind: RoomKind,
    /// The number of its newest message; 0 when there is none.
    pub last_number: u64,
    pub created_at: Timestamp,
}

/// A message (contract, section 7: the first five fields in its spelling).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The room, as clients name it.
    pub room_id: String,
    /// Who sent it.
    pub user_id: UserId,
    /// Their username.
    pub username: String,
    /// What it says; empty when it was removed.
    pub message: String,
    /// When it was sent, in milliseconds since 1970.
    pub timestamp: i64,
    /// Its id.
    pub id: MessageId,
    /// Its place in the room: 1, 2, ... in the order that everybody sees.
    pub number: u64,
    /// The name that its sender goes by.
    pub name: String,
    /// The address of their picture.
    pub avatar: Link,
    /// The name that the sender's client gave it, so that sending it again is the same message.
    #[serde(rename = "client_id")]
    #[schema(required)]
    pub client_id: Option<String>,
    /// The message that it answers.
    #[schema(required)]
    pub reply_to: Option<MessageId>,
    /// Who reacted how.
    pub reactions: Vec<Reaction>,
    /// When its text last changed.
    #[schema(required)]
    pub edited_at: Option<Timestamp>,
    /// Whether it was removed; it keeps its place, without its text.
    pub is_deleted: bool,
}

/// Those who reacted to a message in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reaction {
    /// How.
    pub emoji: String,
    /// Who.
    pub user_ids: Vec<UserId>,
}

/// A conversation of two, as one of them sees it (contract, section 13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    #[serde(skip)]
    pub room_id: RoomId,
    /// How clients name it.
    pub conversation_id: String,
    /// The number of its newest message.
    pub last_number: u64,
    /// With whom.
    #[serde(skip)]
    pub partner_id: UserId,
    /// With whom, to show; null when they are gone.
    #[schema(required)]
    pub partner: Option<Person>,
    /// Messages of theirs that were not read; counted up to a thousand.
    pub unread_count: u64,
    /// The newest message.
    #[schema(required)]
    pub last_message: Option<Message>,
    /// When it came.
    pub last_message_at: Timestamp,
}

/// A message to send, as a client wrote it.
#[derive(Clone, Debug, Default)]
pub struct MessageDraft {
    pub text: String,
    pub client_id: Option<String>,
    pub reply_to: Option<MessageId>,
    /// A person to whom it is meant: it is refused where they may not be written to.
    pub target: Option<UserId>,
}

/// Which part of a room's messages is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The newest.
    Latest,
    /// Those before this number.
    Before(u64),
    /// Those after it.
    After(u64),
    /// Those around a message.
    Around(MessageId),
}

/// A part of a room's messages, oldest first.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub messages: Vec<Message>,
    /// Whether there are older ones.
    pub has_older: bool,
    /// Whether there are newer ones.
    pub has_newer: bool,
}

/// The domain's handle.
#[derive(Clone)]
pub struct Chat {
    store: Store,
    ids: Ids,
    opens_rooms: bool,
    presence: Presence,
    connections: Connections,
}

/// Adds the domain's commands.
pub fn register(registry: &mut Registry) {
    registry.add::<JoinRoom>();
    registry.add::<SendMessage>();
    registry.add::<EditMessage>();
    registry.add::<DeleteMessage>();
    registry.add::<ReactToMessage>();
    registry.add::<MarkRead>();
}

impl Chat {
    pub fn new(store: Store, ids: Ids, options: &config::Chat) -> Self {
        Self {
            store,
            ids,
            opens_rooms: options.opens_rooms,
            presence: Presence::default(),
            connections: Connections::default(),
        }
    }

    /// Enters a room; one that is not there is made, where that is allowed.
    pub async fn join(&self, actor: &Actor, key: RoomKey, target: Option<UserId>) -> Result<Room> {
        let user = actor.user_id;
        // Most come back to where they have been before, and that needs no write.
        let known = {
            let key = key.clone();
            self.store.read(move |tx| {
                if let Some(target) = target {
                    access::check_may_message(tx, user, target)?;
                }
                let Some(room) = access::find_readable(tx, user, &key)? else {
                    return Ok(None);
                };
                Ok(sql::is_member(tx, room.id, user)?.then_some(room))
            })
        };
        if let Some(room) = known.await? {
            return Ok(room);
        }
        let command = JoinRoom {
            id: self.ids.next(),
            key,
            user_id: user,
            may_create: self.opens_rooms,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Who is where just now.
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Who is connected just now.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// A room in which somebody may read.
    pub async fn get(&self, user: UserId, key: RoomKey) -> Result<Room> {
        self.store
            .read(move |tx| access::find_readable(tx, user, &key)?.ok_or(Code::RoomNotFound.into()))
            .await
    }

    /// Says something.
    pub async fn send(&self, actor: &Actor, key: RoomKey, draft: MessageDraft) -> Result<Message> {
        let body = message_text(&draft.text)?;
        if let Some(client_id) = &draft.client_id {
            check_client_id(client_id)?;
        }
        let command = SendMessage {
            id: self.ids.next(),
            room_id: self.ids.next(),
            key,
            sender_id: actor.user_id,
            body,
            client_id: draft.client_id,
            reply_to: draft.reply_to,
            target: draft.target,
            may_create: self.opens_rooms,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Changes what one said; the text before is kept.
    pub async fn edit(&self, actor: &Actor, id: MessageId, text: &str) -> Result<Message> {
        let command = EditMessage {
            id,
            by: actor.user_id,
            body: message_text(text)?,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Takes back what one said, or as an admin what anybody did.
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
        let is_emoji = text::is_visible(emoji)
            && emoji.len() <= MAX_EMOJI
            && !emoji.chars().any(|c| c.is_control() || c.is_whitespace());
        if !is_emoji {
            return Err(Error::invalid_field(
                "emoji",
                "invalid_emoji",
                "This is no emoji.",
            ));
        }
        let command = ReactToMessage {
            id,
            user_id: actor.user_id,
            emoji: emoji.to_owned(),
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
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// A part of what was said in a room. A conversation that has not begun is empty.
    ///
    /// Errors: `room_not_found`, `forbidden`, `message_not_found`.
    pub async fn history(
        &self,
        user: UserId,
        key: RoomKey,
        span: Span,
        limit: u32,
    ) -> Result<History> {
        let limit = limit.clamp(1, MAX_MESSAGES);
        self.store
            .read(move |tx| {
                let Some(room) = access::find_readable(tx, user, &key)? else {
                    return match key {
                        RoomKey::Direct(..) => Ok(History::default()),
                        RoomKey::Named(_) => Err(Error::new(Code::RoomNotFound)),
                    };
                };
                history(tx, &room, span, limit)
            })
            .await
    }

    /// The ids of people whom somebody may write to.
    pub async fn chatable(&self, user: UserId) -> Result<Vec<UserId>> {
        self.store
            .read(move |tx| sql::mutuals(tx, user, crate::page::MAX_LIMIT))
            .await
    }

    /// Somebody's conversations of two, the latest first.
    pub async fn conversations(&self, user: UserId, page: Page) -> Result<Slice<Conversation>> {
        self.store
            .read(move |tx| {
                let rows = sql::conversations(tx, user, &page)?;
                let mut slice = page.cut(rows, |one| Cursor {
                    rank: one.last_message_at.as_millis(),
                    id: one.room_id.get(),
                });
                let ids: Vec<_> = slice.items.iter().map(|one| one.partner_id).collect();
                let mut partners = users::summaries(tx, &ids)?;
                let rooms: Vec<_> = slice.items.iter().map(|one| one.room_id).collect();
                let last = sql::last_messages(tx, &rooms)?;
                let mut last: HashMap<String, Message> = last
                    .into_iter()
                    .map(|message| (message.room_id.clone(), message))
                    .collect();
                for one in &mut slice.items {
                    one.partner = partners.remove(&one.partner_id);
                    one.last_message = last.remove(&one.conversation_id);
                }
                Ok(slice)
            })
            .await
    }

    /// Messages that somebody has not read, in all conversations of two; counted up to a thousand.
    pub async fn unread_total(&self, user: UserId) -> Result<u64> {
        self.store.read(move |tx| sql::unread_total(tx, user)).await
    }
}

/// Writes the addresses in what was announced as they are to be seen where this is called; none when there are none in it.
pub fn rewrite_links(name: &str, payload: &str) -> Option<String> {
    match name {
        "new_message" | "message_edited" => rewrite::<Message>(payload),
        "new_message_notification" => rewrite::<commands::Notice>(payload),
        _ => None,
    }
}

fn rewrite<T: Serialize + serde::de::DeserializeOwned>(payload: &str) -> Option<String> {
    let value: T = serde_json::from_str(payload).ok()?;
    serde_json::to_string(&value).ok()
}

fn history(tx: &crate::store::ReadTx<'_>, room: &Room, span: Span, limit: u32) -> Result<History> {
    let older = |before, limit| -> Result<(Vec<Message>, bool)> {
        let mut messages = sql::messages_before(tx, room.id, before, limit + 1)?;
        let has_more = messages.len() > limit as usize;
        messages.truncate(limit as usize);
        messages.reverse();
        Ok((messages, has_more))
    };
    let newer = |after, limit| -> Result<(Vec<Message>, bool)> {
        let mut messages = sql::messages_after(tx, room.id, after, limit + 1)?;
        let has_more = messages.len() > limit as usize;
        messages.truncate(limit as usize);
        Ok((messages, has_more))
    };
    Ok(match span {
        Span::Latest => {
            let (messages, has_older) = older(u64::MAX, limit)?;
            History {
                messages,
                has_older,
                has_newer: false,
            }
        }
        Span::Before(number) => {
            let (messages, has_older) = older(number, limit)?;
            History {
                messages,
                has_older,
                has_newer: number <= room.last_number,
            }
        }
        Span::After(number) => {
            let (messages, has_newer) = newer(number, limit)?;
            History {
                messages,
                has_older: number > 0,
                has_newer,
            }
        }
        Span::Around(id) => {
            let number = sql::number_of(tx, room.id, id)?.ok_or(Code::MessageNotFound)?;
            let (mut messages, has_older) = older(number, limit / 2)?;
            let (rest, has_newer) = newer(number - 1, limit - limit / 2)?;
            messages.extend(rest);
            History {
                messages,
                has_older,
                has_newer,
            }
        }
    })
}

/// What a message may say.
fn message_text(raw: &str) -> Result<String> {
    if !text::is_visible(raw) {
        return Err(Error::new(Code::EmptyMessage));
    }
    text::body("message", raw, 1, MAX_MESSAGE_CHARS)
        .map_err(|error: FieldError| Error::invalid_fields(vec![error]))
}

fn check_client_id(raw: &str) -> Result<()> {
    let is_plain =
        !raw.is_empty() && raw.len() <= MAX_CLIENT_ID && raw.bytes().all(|b| b.is_ascii_graphic());
    if is_plain {
        Ok(())
    } else {
        Err(Error::invalid_field(
            "client_id",
            "invalid_client_id",
            format!("client_id has 1 to {MAX_CLIENT_ID} printable ASCII characters."),
        ))
    }
}
