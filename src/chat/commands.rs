//! Rooms appear; messages come, change, go.

use serde::{Deserialize, Serialize};

use super::{Message, Room, RoomKey, RoomKind, access, sql};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::{Audience, Event, Live};
use crate::id::{MessageId, RoomId, UserId};
use crate::store::{Command, WriteTx};

/// Different emoji that one person may leave on one message.
const MAX_REACTIONS: u32 = 20;

/// Makes somebody a member of a room, which is made if there is none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinRoom {
    /// The room's id, if there is none yet.
    pub id: RoomId,
    pub key: RoomKey,
    pub user_id: UserId,
    /// Whether a name that nobody used before makes a room.
    pub may_create: bool,
    pub at: Timestamp,
}

impl Command for JoinRoom {
    const NAME: &'static str = "chat.join_room";
    type Output = Room;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Room> {
        let room = enter(
            tx,
            &self.key,
            self.user_id,
            self.id,
            self.may_create,
            self.at,
        )?;
        sql::add_member(tx, room.id, self.user_id, self.at)?;
        Ok(room)
    }
}

/// The room, made if there is none.
fn enter(
    tx: &WriteTx<'_>,
    key: &RoomKey,
    user: UserId,
    id: RoomId,
    may_create: bool,
    at: Timestamp,
) -> Result<Room> {
    if let Some(room) = access::find_readable(tx, user, key)? {
        return Ok(room);
    }
    let kind = match key {
        RoomKey::Named(_) if !may_create => return Err(Error::new(Code::RoomNotFound)),
        RoomKey::Named(_) => RoomKind::Named,
        RoomKey::Direct(..) => RoomKind::Direct,
    };
    if let Some(partner) = key.partner(user) {
        access::check_may_message(tx, user, partner)?;
    }
    sql::insert_room(tx, id, &key.as_text(), kind, user, at)?;
    if let RoomKey::Direct(one, other) = key {
        sql::add_member(tx, id, *one, at)?;
        sql::add_member(tx, id, *other, at)?;
    }
    sql::find_room(tx, &key.as_text())?
        .ok_or_else(|| Error::internal("a room is gone that was just written"))
}

/// Says something in a room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SendMessage {
    pub id: MessageId,
    /// The room's id, if there is none yet.
    pub room_id: RoomId,
    pub key: RoomKey,
    pub sender_id: UserId,
    /// Valid.
    pub body: String,
    pub client_id: Option<String>,
    pub reply_to: Option<MessageId>,
    pub target: Option<UserId>,
    pub may_create: bool,
    pub at: Timestamp,
}

impl Command for SendMessage {
    const NAME: &'static str = "chat.send_message";
    type Output = Message;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Message> {
        let sender = self.sender_id;
        let room = enter(
            tx,
            &self.key,
            sender,
            self.room_id,
            self.may_create,
            self.at,
        )?;
        if let Some(client_id) = &self.client_id
            && let Some(known) = sql::find_by_client_id(tx, sender, room.id, client_id)?
        {
            return sql::find_message(tx, known)?.ok_or(Code::MessageNotFound.into());
        }
        for person in self.key.partner(sender).into_iter().chain(self.target) {
            access::check_may_message(tx, sender, person)?;
        }
        if let Some(answered) = self.reply_to {
            sql::find_stub(tx, answered)?
                .filter(|stub| stub.room_id == room.id && !stub.is_deleted)
                .ok_or(Code::MessageNotFound)?;
        }
        let new = sql::NewMessage {
            id: self.id,
            room_id: room.id,
            number: sql::next_number(tx, room.id)?,
            sender_id: sender,
            body: &self.body,
            reply_to: self.reply_to,
            client_id: self.client_id.as_deref(),
            at: self.at,
        };
        sql::insert_message(tx, &new)?;
        if room.kind == RoomKind::Direct {
            sql::touch_members(tx, room.id, self.at)?;
        }
        // Who says something has seen what was there.
        sql::put_read(tx, room.id, sender, new.number)?;
        let message = find(tx, self.id)?;
        announce(tx, room.id, "new_message", Some(new.number), &message)?;
        if let Some(partner) = self.key.partner(sender) {
            tx.signal(Event::Live(Live {
                audience: Audience::PersonOutside {
                    user_id: partner,
                    room_id: room.id,
                },
                name: "new_message_notification".to_owned(),
                number: None,
                payload: encode(&Notice {
                    conversation_id: room.key.clone(),
                    message: message.clone(),
                })?,
            }));
        }
        Ok(message)
    }
}

/// Tells somebody of a message in a conversation that they do not look at (contract, section 13).
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Notice {
    conversation_id: String,
    message: Message,
}

/// Changes the text of a message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EditMessage {
    pub id: MessageId,
    pub by: UserId,
    /// Valid.
    pub body: String,
    pub at: Timestamp,
}

impl Command for EditMessage {
    const NAME: &'static str = "chat.edit_message";
    type Output = Message;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Message> {
        let stub = readable(tx, self.id, self.by)?;
        if stub.sender_id != self.by {
            return Err(Error::new(Code::Forbidden));
        }
        if stub.body != self.body {
            sql::edit_message(tx, self.id, &stub.body, &self.body, self.at)?;
            let message = find(tx, self.id)?;
            announce(tx, stub.room_id, "message_edited", None, &message)?;
        }
        find(tx, self.id)
    }
}

/// Takes a message back, for all. It keeps its place.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteMessage {
    pub id: MessageId,
    pub by: UserId,
    pub as_admin: bool,
    pub at: Timestamp,
}

/// Tells of a message that was taken back.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Deleted<'a> {
    message_id: MessageId,
    room_id: &'a str,
    conversation_id: &'a str,
    number: u64,
}

impl Command for DeleteMessage {
    const NAME: &'static str = "chat.delete_message";
    type Output = Message;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Message> {
        let stub = readable(tx, self.id, self.by)?;
        if stub.sender_id != self.by && !self.as_admin {
            return Err(Error::new(Code::Forbidden));
        }
        sql::delete_message(tx, self.id, self.at)?;
        let message = find(tx, self.id)?;
        let deleted = Deleted {
            message_id: message.id,
            room_id: &message.room_id,
            conversation_id: &message.room_id,
            number: message.number,
        };
        announce(tx, stub.room_id, "message_deleted", None, &deleted)?;
        Ok(message)
    }
}

/// Leaves an emoji on a message, or takes it away; again changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReactToMessage {
    pub id: MessageId,
    pub user_id: UserId,
    /// Valid.
    pub emoji: String,
    pub wants: bool,
    pub at: Timestamp,
}

/// Tells of a reaction (contract, section 13).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reacted<'a> {
    message_id: MessageId,
    room_id: &'a str,
    user_id: UserId,
    emoji: &'a str,
    reactions: &'a [super::Reaction],
}

impl Command for ReactToMessage {
    const NAME: &'static str = "chat.react";
    type Output = Message;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Message> {
        let stub = readable(tx, self.id, self.user_id)?;
        let changed = if self.wants {
            let has = sql::reaction_count(tx, self.id, self.user_id)?;
            let added = sql::add_reaction(tx, self.id, self.user_id, &self.emoji, self.at)?;
            if added && has >= MAX_REACTIONS {
                return Err(Error::new(Code::TooManyReactions));
            }
            added
        } else {
            sql::remove_reaction(tx, self.id, self.user_id, &self.emoji)?
        };
        let message = find(tx, self.id)?;
        if changed {
            let reacted = Reacted {
                message_id: message.id,
                room_id: &message.room_id,
                user_id: self.user_id,
                emoji: &self.emoji,
                reactions: &message.reactions,
            };
            let name = if self.wants {
                "reaction_added"
            } else {
                "reaction_removed"
            };
            announce(tx, stub.room_id, name, None, &reacted)?;
        }
        Ok(message)
    }
}

/// Notes how far somebody has read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MarkRead {
    pub key: RoomKey,
    pub user_id: UserId,
    /// The number of the last message; all that there are without one.
    pub number: Option<u64>,
}

/// Tells how far somebody has read (contract, section 13).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Read<'a> {
    conversation_id: &'a str,
    room_id: &'a str,
    user_id: UserId,
    number: u64,
}

impl Command for MarkRead {
    const NAME: &'static str = "chat.mark_read";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        let room = access::find_readable(tx, self.user_id, &self.key)?.ok_or(Code::RoomNotFound)?;
        let number = self
            .number
            .unwrap_or(room.last_number)
            .min(room.last_number);
        let has_changed = sql::put_read(tx, room.id, self.user_id, number)?;
        // Who has read what in a room of thousands is nobody's business, and would be told too often.
        if has_changed && room.kind == RoomKind::Direct {
            let read = Read {
                conversation_id: &room.key,
                room_id: &room.key,
                user_id: self.user_id,
                number,
            };
            announce(tx, room.id, "messages_read", None, &read)?;
        }
        Ok(())
    }
}

/// A message that is there, in a room in which somebody may read.
fn readable(tx: &WriteTx<'_>, id: MessageId, user: UserId) -> Result<sql::Stub> {
    let stub = sql::find_stub(tx, id)?
        .filter(|stub| !stub.is_deleted)
        .ok_or(Code::MessageNotFound)?;
    let key = RoomKey::parse(&stub.room_key)?;
    match access::find_readable(tx, user, &key) {
        Ok(Some(_)) => Ok(stub),
        // What is said between others is not there.
        Ok(None) => Err(Error::new(Code::MessageNotFound)),
        Err(error) if error.code() == Code::Forbidden => Err(Error::new(Code::MessageNotFound)),
        Err(error) => Err(error),
    }
}

fn find(tx: &WriteTx<'_>, id: MessageId) -> Result<Message> {
    sql::find_message(tx, id)?.ok_or(Code::MessageNotFound.into())
}

/// Tells those who look at a room.
fn announce(
    tx: &WriteTx<'_>,
    room_id: RoomId,
    name: &str,
    number: Option<u64>,
    payload: &impl Serialize,
) -> Result<()> {
    tx.signal(Event::Live(Live {
        audience: Audience::Room(room_id),
        name: name.to_owned(),
        number,
        payload: encode(payload)?,
    }));
    Ok(())
}

fn encode(payload: &impl Serialize) -> Result<String> {
    serde_json::to_string(payload).map_err(Error::internal)
}
