//! The statements over rooms, members and messages.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Row, named_params};

use super::{Conversation, Message, Reaction, Room, RoomKind};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{MessageId, RoomId, UserId};
use crate::links::Link;
use crate::page::Page;
use crate::store::{ReadTx, WriteTx};
use crate::users::{self, Person};

impl ToSql for RoomKind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::Named => 0,
            Self::Direct => 1,
        }))
    }
}

impl FromSql for RoomKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            0 => Ok(Self::Named),
            1 => Ok(Self::Direct),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

pub(super) fn find_room(tx: &ReadTx<'_>, key: &str) -> Result<Option<Room>> {
    tx.optional(
        "SELECT id, key, kind, last_number, created_at FROM rooms WHERE key = :key",
        named_params! { ":key": key },
        room,
    )
}

fn room(row: &Row<'_>) -> rusqlite::Result<Room> {
    Ok(Room {
        id: row.get("id")?,
        key: row.get("key")?,
        kind: row.get("kind")?,
        last_number: row.get("last_number")?,
        created_at: row.get("created_at")?,
    })
}

pub(super) fn insert_room(
    tx: &WriteTx<'_>,
    id: RoomId,
    key: &str,
    kind: RoomKind,
    by: UserId,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO rooms (id, key, kind, created_by, created_at)
         VALUES (:id, :key, :kind, :by, :at)",
        named_params! { ":id": id, ":key": key, ":kind": kind, ":by": by, ":at": at },
    )?;
    Ok(())
}

/// Notes a member; true when they were none before.
pub(super) fn add_member(
    tx: &WriteTx<'_>,
    room: RoomId,
    user: UserId,
    at: Timestamp,
) -> Result<bool> {
    let added = tx.execute(
        "INSERT INTO room_members (room_id, user_id, joined_at)
         VALUES (:room, :user, :at)
         ON CONFLICT DO NOTHING",
        named_params! { ":room": room, ":user": user, ":at": at },
    )?;
    Ok(added > 0)
}

pub(super) fn is_member(tx: &ReadTx<'_>, room: RoomId, user: UserId) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM room_members WHERE room_id = :room AND user_id = :user",
        named_params! { ":room": room, ":user": user },
    )
}

/// Notes that something was said in a conversation of two.
pub(super) fn touch_members(tx: &WriteTx<'_>, room: RoomId, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE room_members SET active_at = :at WHERE room_id = :room",
        named_params! { ":room": room, ":at": at },
    )?;
    Ok(())
}

/// Notes what a member has read; true when it is more than before.
pub(super) fn put_read(tx: &WriteTx<'_>, room: RoomId, user: UserId, number: u64) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE room_members
         SET read_number = :number
         WHERE room_id = :room AND user_id = :user AND read_number < :number",
        named_params! { ":room": room, ":user": user, ":number": number },
    )?;
    Ok(changed > 0)
}

/// Gives a room's next message its number.
pub(super) fn next_number(tx: &WriteTx<'_>, room: RoomId) -> Result<u64> {
    tx.execute(
        "UPDATE rooms SET last_number = last_number + 1 WHERE id = :room",
        named_params! { ":room": room },
    )?;
    tx.one(
        "SELECT last_number FROM rooms WHERE id = :room",
        named_params! { ":room": room },
        |row| row.get("last_number"),
    )
}

/// A message to be written.
pub(super) struct NewMessage<'a> {
    pub(super) id: MessageId,
    pub(super) room_id: RoomId,
    pub(super) number: u64,
    pub(super) sender_id: UserId,
    pub(super) body: &'a str,
    pub(super) reply_to: Option<MessageId>,
    pub(super) client_id: Option<&'a str>,
    pub(super) at: Timestamp,
}

pub(super) fn insert_message(tx: &WriteTx<'_>, new: &NewMessage<'_>) -> Result<()> {
    tx.execute(
        "INSERT INTO messages (id, room_id, number, sender_id, body, reply_to, client_id, created_at)
         VALUES (:id, :room, :number, :sender, :body, :reply_to, :client_id, :at)",
        named_params! {
            ":id": new.id, ":room": new.room_id, ":number": new.number, ":sender": new.sender_id,
            ":body": new.body, ":reply_to": new.reply_to, ":client_id": new.client_id, ":at": new.at,
        },
    )?;
    Ok(())
}

/// What commands ask of a message.
pub(super) struct Stub {
    pub(super) room_id: RoomId,
    pub(super) room_key: String,
    pub(super) sender_id: UserId,
    pub(super) body: String,
    pub(super) is_deleted: bool,
}

pub(super) fn find_stub(tx: &ReadTx<'_>, id: MessageId) -> Result<Option<Stub>> {
    tx.optional(
        "SELECT m.room_id, r.key, m.sender_id, m.body, m.deleted_at IS NOT NULL AS is_deleted
         FROM messages AS m
         JOIN rooms AS r ON r.id = m.room_id
         WHERE m.id = :id",
        named_params! { ":id": id },
        |row| {
            Ok(Stub {
                room_id: row.get("room_id")?,
                room_key: row.get("key")?,
                sender_id: row.get("sender_id")?,
                body: row.get("body")?,
                is_deleted: row.get("is_deleted")?,
            })
        },
    )
}

/// The message that its sender gave this name.
pub(super) fn find_by_client_id(
    tx: &ReadTx<'_>,
    sender: UserId,
    room: RoomId,
    client_id: &str,
) -> Result<Option<MessageId>> {
    tx.optional(
        "SELECT id FROM messages
         WHERE sender_id = :sender AND room_id = :room AND client_id = :client_id",
        named_params! { ":sender": sender, ":room": room, ":client_id": client_id },
        |row| row.get("id"),
    )
}

pub(super) fn edit_message(
    tx: &WriteTx<'_>,
    id: MessageId,
    before: &str,
    body: &str,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO message_edits (message_id, number, body, edited_at)
         SELECT :id, COALESCE(MAX(number), 0) + 1, :before, :at
         FROM message_edits
         WHERE message_id = :id",
        named_params! { ":id": id, ":before": before, ":at": at },
    )?;
    tx.execute(
        "UPDATE messages SET body = :body, edited_at = :at WHERE id = :id",
        named_params! { ":id": id, ":body": body, ":at": at },
    )?;
    Ok(())
}

/// Takes all that a message said.
pub(super) fn delete_message(tx: &WriteTx<'_>, id: MessageId, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE messages SET body = '', deleted_at = :at WHERE id = :id",
        named_params! { ":id": id, ":at": at },
    )?;
    tx.execute(
        "DELETE FROM message_edits WHERE message_id = :id",
        named_params! { ":id": id },
    )?;
    tx.execute(
        "DELETE FROM message_reactions WHERE message_id = :id",
        named_params! { ":id": id },
    )?;
    Ok(())
}

pub(super) fn add_reaction(
    tx: &WriteTx<'_>,
    id: MessageId,
    user: UserId,
    emoji: &str,
    at: Timestamp,
) -> Result<bool> {
    let added = tx.execute(
        "INSERT INTO message_reactions (message_id, user_id, emoji, created_at)
         VALUES (:id, :user, :emoji, :at)
         ON CONFLICT DO NOTHING",
        named_params! { ":id": id, ":user": user, ":emoji": emoji, ":at": at },
    )?;
    Ok(added > 0)
}

pub(super) fn remove_reaction(
    tx: &WriteTx<'_>,
    id: MessageId,
    user: UserId,
    emoji: &str,
) -> Result<bool> {
    let removed = tx.execute(
        "DELETE FROM message_reactions WHERE message_id = :id AND user_id = :user AND emoji = :emoji",
        named_params! { ":id": id, ":user": user, ":emoji": emoji },
    )?;
    Ok(removed > 0)
}

/// How many different emoji a message has from one person.
pub(super) fn reaction_count(tx: &ReadTx<'_>, id: MessageId, user: UserId) -> Result<u32> {
    tx.one(
        "SELECT COUNT(*) FROM message_reactions WHERE message_id = :id AND user_id = :user",
        named_params! { ":id": id, ":user": user },
        |row| row.get(0),
    )
}

/// What messages say; with `WHERE` and so on after it.
const MESSAGES: &str = "
    SELECT m.id, r.key, m.number, m.sender_id, u.username, u.name, u.avatar, m.body, m.reply_to, m.client_id,
           m.created_at, m.edited_at, m.deleted_at,
           (SELECT json_group_array(json_array(x.emoji, x.user_id))
            FROM message_reactions AS x
            WHERE x.message_id = m.id) AS reactions
    FROM messages AS m
    JOIN rooms AS r ON r.id = m.room_id
    JOIN users AS u ON u.id = m.sender_id";

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let sender_id: UserId = row.get("sender_id")?;
    let deleted_at: Option<Timestamp> = row.get("deleted_at")?;
    let pairs: Vec<(String, i64)> = serde_json::from_str(&row.get::<_, String>("reactions")?)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let avatar: Option<String> = row.get("avatar")?;
    Ok(Message {
        id: row.get("id")?,
        room_id: row.get("key")?,
        number: row.get("number")?,
        user_id: sender_id,
        username: row.get("username")?,
        name: row.get("name")?,
        avatar: avatar.map_or_else(
            || Link::public(users::sql::default_avatar(sender_id)),
            Link::public,
        ),
        message: row.get("body")?,
        timestamp: row.get::<_, Timestamp>("created_at")?.as_millis(),
        client_id: row.get("client_id")?,
        reply_to: row.get("reply_to")?,
        reactions: gather(pairs),
        edited_at: row.get("edited_at")?,
        is_deleted: deleted_at.is_some(),
    })
}

/// Who reacted how, in the order in which the emoji first came.
fn gather(pairs: Vec<(String, i64)>) -> Vec<Reaction> {
    let mut reactions: Vec<Reaction> = Vec::new();
    for (emoji, user) in pairs {
        let user_id = UserId::from(user);
        match reactions.iter_mut().find(|known| known.emoji == emoji) {
            Some(known) => known.user_ids.push(user_id),
            None => reactions.push(Reaction {
                emoji,
                user_ids: vec![user_id],
            }),
        }
    }
    reactions
}

pub(super) fn find_message(tx: &ReadTx<'_>, id: MessageId) -> Result<Option<Message>> {
    tx.optional(
        &format!("{MESSAGES} WHERE m.id = :id"),
        named_params! { ":id": id },
        message,
    )
}

/// The messages before a number, newest first.
pub(super) fn messages_before(
    tx: &ReadTx<'_>,
    room: RoomId,
    before: u64,
    limit: u32,
) -> Result<Vec<Message>> {
    tx.all(
        &format!(
            "{MESSAGES}
             WHERE m.room_id = :room AND m.number < :before
             ORDER BY m.number DESC
             LIMIT :limit"
        ),
        named_params! { ":room": room, ":before": signed(before), ":limit": limit },
        message,
    )
}

/// The messages after a number, oldest first.
pub(super) fn messages_after(
    tx: &ReadTx<'_>,
    room: RoomId,
    after: u64,
    limit: u32,
) -> Result<Vec<Message>> {
    tx.all(
        &format!(
            "{MESSAGES}
             WHERE m.room_id = :room AND m.number > :after
             ORDER BY m.number
             LIMIT :limit"
        ),
        named_params! { ":room": room, ":after": signed(after), ":limit": limit },
        message,
    )
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number of a message of this room.
pub(super) fn number_of(tx: &ReadTx<'_>, room: RoomId, id: MessageId) -> Result<Option<u64>> {
    tx.optional(
        "SELECT number FROM messages WHERE id = :id AND room_id = :room",
        named_params! { ":id": id, ":room": room },
        |row| row.get("number"),
    )
}

/// The ids of people whom somebody follows and who follow them.
pub(super) fn mutuals(tx: &ReadTx<'_>, of: UserId, limit: u32) -> Result<Vec<UserId>> {
    let page = Page::first(limit);
    let people: Vec<(_, Person)> = users::sql::mutuals(tx, of, &page)?;
    Ok(people
        .into_iter()
        .map(|(_, person)| person.id)
        .take(limit as usize)
        .collect())
}

/// Somebody's conversations of two, the latest first.
pub(super) fn conversations(tx: &ReadTx<'_>, of: UserId, page: &Page) -> Result<Vec<Conversation>> {
    let after = page.after;
    tx.all(
        "SELECT r.id, r.key, r.last_number, o.user_id AS partner, p.read_number, p.active_at,
                (SELECT COUNT(*)
                 FROM (SELECT 1 FROM messages AS m
                       WHERE m.room_id = r.id AND m.number > p.read_number AND m.sender_id <> :of
                         AND m.deleted_at IS NULL
                       LIMIT 1000)) AS unread
         FROM room_members AS p INDEXED BY room_members_by_activity
         JOIN rooms AS r ON r.id = p.room_id
         JOIN room_members AS o ON o.room_id = p.room_id AND o.user_id <> :of
         WHERE p.user_id = :of AND p.active_at IS NOT NULL
           AND (p.active_at, p.room_id) < (:rank, :id)
         ORDER BY p.active_at DESC, p.room_id DESC
         LIMIT :limit",
        named_params! {
            ":of": of,
            ":rank": after.map_or(i64::MAX, |cursor| cursor.rank),
            ":id": after.map_or(i64::MAX, |cursor| cursor.id),
            ":limit": page.fetch(),
        },
        |row| {
            Ok(Conversation {
                room_id: row.get("id")?,
                conversation_id: row.get("key")?,
                last_number: row.get("last_number")?,
                partner_id: row.get("partner")?,
                unread_count: row.get("unread")?,
                last_message_at: row.get("active_at")?,
                partner: None,
                last_message: None,
            })
        },
    )
}

/// Messages that somebody has not read, in all conversations of two; at most a thousand.
pub(super) fn unread_total(tx: &ReadTx<'_>, of: UserId) -> Result<u64> {
    tx.one(
        "SELECT COUNT(*)
         FROM (SELECT 1
               FROM room_members AS p INDEXED BY room_members_by_activity
               JOIN messages AS m ON m.room_id = p.room_id AND m.number > p.read_number
               WHERE p.user_id = :of AND p.active_at IS NOT NULL
                 AND m.sender_id <> :of AND m.deleted_at IS NULL
               LIMIT 1000)",
        named_params! { ":of": of },
        |row| row.get(0),
    )
}

/// Reads the last message of each of these rooms.
pub(super) fn last_messages(tx: &ReadTx<'_>, rooms: &[RoomId]) -> Result<Vec<Message>> {
    let rooms = serde_json::to_string(&rooms.iter().map(|id| id.get()).collect::<Vec<_>>())
        .map_err(Error::internal)?;
    tx.all(
        &format!(
            "{MESSAGES}
             JOIN json_each(:rooms) AS wanted ON wanted.value = r.id
             WHERE m.number = r.last_number"
        ),
        named_params! { ":rooms": rooms },
        message,
    )
}
