//! Messages, and what is done to them.

use rusqlite::{Row, named_params};

use super::super::{Delivery, InConversation, Message, MessageEdit, MessageType, Reaction, Room};
use super::members::ids_as_json;
use super::touches::{next_touch, tell_touch, touch};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{MessageId, PostId, RoomId, StoryId, UserId};
use crate::links::Link;
use crate::media;
use crate::store::{ReadTx, WriteTx};
use crate::users;

/// Gives a room's next message its number.
pub(in crate::chat) fn next_number(tx: &WriteTx<'_>, room: RoomId) -> Result<u64> {
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
pub(in crate::chat) struct NewMessage<'a> {
    pub(in crate::chat) id: MessageId,
    pub(in crate::chat) room_id: RoomId,
    pub(in crate::chat) number: u64,
    pub(in crate::chat) sender_id: UserId,
    pub(in crate::chat) body: &'a str,
    pub(in crate::chat) html: Option<&'a str>,
    pub(in crate::chat) has_media: bool,
    pub(in crate::chat) post_id: Option<PostId>,
    pub(in crate::chat) story_id: Option<StoryId>,
    pub(in crate::chat) reply_to: Option<MessageId>,
    pub(in crate::chat) client_id: Option<&'a str>,
    pub(in crate::chat) at: Timestamp,
}

pub(in crate::chat) fn insert_message(tx: &WriteTx<'_>, new: &NewMessage<'_>) -> Result<()> {
    let touched = next_touch(tx)?;
    tx.execute(
        "INSERT INTO messages
             (id, room_id, number, sender_id, body, html, has_media, post_id, story_id, reply_to, client_id,
              created_at, touched)
         VALUES (:id, :room, :number, :sender, :body, :html, :has_media, :post, :story, :reply_to, :client_id, :at,
                 :touched)",
        named_params! {
            ":id": new.id, ":room": new.room_id, ":number": new.number, ":sender": new.sender_id,
            ":body": new.body, ":html": new.html, ":has_media": new.has_media, ":post": new.post_id,
            ":story": new.story_id, ":reply_to": new.reply_to, ":client_id": new.client_id, ":at": new.at,
            ":touched": touched,
        },
    )?;
    tell_touch(tx, new.id, touched, true);
    Ok(())
}

/// Notes who is named in a message, instead of those before.
pub(in crate::chat) fn put_mentions(
    tx: &WriteTx<'_>,
    id: MessageId,
    people: &[UserId],
) -> Result<()> {
    tx.execute(
        "DELETE FROM message_mentions WHERE message_id = :id",
        named_params! { ":id": id },
    )?;
    if !people.is_empty() {
        tx.execute(
            "INSERT INTO message_mentions (message_id, user_id, room_id, number)
             SELECT m.id, named.value, m.room_id, m.number
             FROM messages AS m
             JOIN json_each(:people) AS named
             WHERE m.id = :id",
            named_params! { ":id": id, ":people": ids_as_json(people)? },
        )?;
    }
    Ok(())
}

/// What commands ask of a message.
pub(in crate::chat) struct Stub {
    pub(in crate::chat) room_id: RoomId,
    pub(in crate::chat) room_key: String,
    pub(in crate::chat) number: u64,
    pub(in crate::chat) sender_id: UserId,
    pub(in crate::chat) body: String,
    pub(in crate::chat) has_media: bool,
    pub(in crate::chat) has_post: bool,
    pub(in crate::chat) is_pinned: bool,
    pub(in crate::chat) is_deleted: bool,
}

pub(in crate::chat) fn find_stub(tx: &ReadTx<'_>, id: MessageId) -> Result<Option<Stub>> {
    tx.optional(
        "SELECT m.room_id, r.key, m.number, m.sender_id, m.body, m.has_media, m.post_id IS NOT NULL AS has_post,
                m.pinned_at IS NOT NULL AS is_pinned, m.deleted_at IS NOT NULL AS is_deleted
         FROM messages AS m
         JOIN rooms AS r ON r.id = m.room_id
         WHERE m.id = :id",
        named_params! { ":id": id },
        |row| {
            Ok(Stub {
                room_id: row.get("room_id")?,
                room_key: row.get("key")?,
                number: row.get("number")?,
                sender_id: row.get("sender_id")?,
                body: row.get("body")?,
                has_media: row.get("has_media")?,
                has_post: row.get("has_post")?,
                is_pinned: row.get("is_pinned")?,
                is_deleted: row.get("is_deleted")?,
            })
        },
    )
}

/// The message that its sender gave this name.
pub(in crate::chat) fn find_by_client_id(
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

pub(in crate::chat) fn edit_message(
    tx: &WriteTx<'_>,
    id: MessageId,
    before: &str,
    (body, html): (&str, Option<&str>),
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
        "UPDATE messages SET body = :body, html = :html, edited_at = :at WHERE id = :id",
        named_params! { ":id": id, ":body": body, ":html": html, ":at": at },
    )?;
    touch(tx, id)
}

/// Takes all that a message said.
pub(in crate::chat) fn delete_message(
    tx: &WriteTx<'_>,
    id: MessageId,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE messages
         SET body = '', html = NULL, has_media = 0, post_id = NULL, pinned_at = NULL, deleted_at = :at
         WHERE id = :id",
        named_params! { ":id": id, ":at": at },
    )?;
    touch(tx, id)?;
    forget_details(tx, id)
}

/// Notes that a message has changed; returns the number of the change in the room.
pub(in crate::chat) fn put_change(tx: &WriteTx<'_>, room: RoomId, id: MessageId) -> Result<u64> {
    tx.execute(
        "UPDATE rooms SET last_change = last_change + 1 WHERE id = :room",
        named_params! { ":room": room },
    )?;
    tx.execute(
        "UPDATE messages SET change = (SELECT last_change FROM rooms WHERE id = :room) WHERE id = :id",
        named_params! { ":room": room, ":id": id },
    )?;
    last_change(tx, room)
}

/// The number of a room's latest change.
pub(in crate::chat) fn last_change(tx: &ReadTx<'_>, room: RoomId) -> Result<u64> {
    tx.one(
        "SELECT last_change FROM rooms WHERE id = :room",
        named_params! { ":room": room },
        |row| row.get("last_change"),
    )
}

/// The messages up to a number that have changed after a change, in the order of their changes.
pub(in crate::chat) fn messages_changed(
    tx: &ReadTx<'_>,
    room: RoomId,
    viewer: UserId,
    (after, through): (u64, u64),
    limit: u32,
) -> Result<Vec<Message>> {
    let rows = tx.all(
        &format!(
            "{MESSAGES}
             WHERE m.room_id = :room AND m.change > :after AND +m.number <= :through
               AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                               WHERE b.user_id = :viewer AND b.other_id = m.sender_id)
             ORDER BY m.change
             LIMIT :limit"
        ),
        named_params! {
            ":room": room, ":viewer": viewer, ":after": signed(after), ":through": signed(through),
            ":limit": limit,
        },
        message,
    )?;
    seen_by(tx, viewer, rows)
}

/// Takes what hangs on a message.
fn forget_details(tx: &WriteTx<'_>, id: MessageId) -> Result<()> {
    tx.execute(
        "DELETE FROM message_edits WHERE message_id = :id",
        named_params! { ":id": id },
    )?;
    tx.execute(
        "DELETE FROM message_reactions WHERE message_id = :id",
        named_params! { ":id": id },
    )?;
    tx.execute(
        "DELETE FROM message_mentions WHERE message_id = :id",
        named_params! { ":id": id },
    )?;
    Ok(())
}

/// Takes a message as if it had never been; what answered it answers nothing.
pub(in crate::chat) fn forget_message(tx: &WriteTx<'_>, id: MessageId) -> Result<()> {
    forget_details(tx, id)?;
    tx.execute(
        "UPDATE messages SET reply_to = NULL WHERE reply_to = :id",
        named_params! { ":id": id },
    )?;
    tx.execute(
        "DELETE FROM messages WHERE id = :id",
        named_params! { ":id": id },
    )?;
    Ok(())
}

/// The oldest messages of a room, as far as they were sent before a time; with whether they have files.
pub(in crate::chat) fn oldest_messages(
    tx: &ReadTx<'_>,
    room: RoomId,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<(MessageId, bool)>> {
    tx.all(
        "SELECT id, has_media
         FROM (SELECT id, has_media, created_at
               FROM messages
               WHERE room_id = :room
               ORDER BY number
               LIMIT :limit)
         WHERE created_at < :before",
        named_params! { ":room": room, ":before": before, ":limit": limit },
        |row| Ok((row.get("id")?, row.get("has_media")?)),
    )
}

pub(in crate::chat) fn set_pinned(
    tx: &WriteTx<'_>,
    id: MessageId,
    at: Option<Timestamp>,
) -> Result<()> {
    tx.execute(
        "UPDATE messages SET pinned_at = :at WHERE id = :id",
        named_params! { ":id": id, ":at": at },
    )?;
    Ok(())
}

/// How many messages of a room are pinned.
pub(in crate::chat) fn pin_count(tx: &ReadTx<'_>, room: RoomId) -> Result<u32> {
    tx.one(
        "SELECT count(*) FROM messages WHERE room_id = :room AND pinned_at IS NOT NULL",
        named_params! { ":room": room },
        |row| row.get(0),
    )
}

/// The texts that a message had before, the latest first.
pub(in crate::chat) fn edits(
    tx: &ReadTx<'_>,
    id: MessageId,
    limit: u32,
) -> Result<Vec<MessageEdit>> {
    tx.all(
        "SELECT number, body, edited_at FROM message_edits
         WHERE message_id = :id
         ORDER BY number DESC
         LIMIT :limit",
        named_params! { ":id": id, ":limit": limit },
        |row| {
            Ok(MessageEdit {
                number: row.get("number")?,
                message: row.get("body")?,
                edited_at: row.get("edited_at")?,
            })
        },
    )
}

/// What messages say; with `WHERE` and so on after it.
const MESSAGES: &str = "
    SELECT m.id, r.key, m.number, m.sender_id, u.username, u.name, u.avatar, m.body, m.html, m.has_media, m.post_id, m.story_id,
           m.reply_to, m.client_id, m.created_at, m.edited_at, m.pinned_at, m.deleted_at, m.change,
           (SELECT json_group_array(json_array(x.created_at, x.user_id, x.emoji))
            FROM message_reactions AS x
            WHERE x.message_id = m.id) AS reactions,
           (SELECT json_group_array(x.user_id)
            FROM message_mentions AS x
            WHERE x.message_id = m.id) AS mentions,
           -- In a conversation: how far it has come with all the others; who has not accepted shows nothing.
           CASE r.kind WHEN 0 THEN NULL
           ELSE (SELECT coalesce(min(CASE WHEN x.request <> 0 THEN 0
                                          WHEN x.read_number >= m.number THEN 2
                                          WHEN x.delivered_number >= m.number THEN 1
                                          ELSE 0 END), 0)
                 FROM room_members AS x
                 WHERE x.room_id = m.room_id AND x.user_id <> m.sender_id) END AS delivery
    FROM messages AS m
    JOIN rooms AS r ON r.id = m.room_id
    JOIN users AS u ON u.id = m.sender_id";

/// A message, and whether its files have to be read yet.
fn message(row: &Row<'_>) -> rusqlite::Result<(Message, bool)> {
    let sender_id: UserId = row.get("sender_id")?;
    let deleted_at: Option<Timestamp> = row.get("deleted_at")?;
    let reactions: Vec<(i64, i64, String)> = list(row, "reactions")?;
    let mentions: Vec<i64> = list(row, "mentions")?;
    let avatar: Option<String> = row.get("avatar")?;
    let (room_id, username): (String, String) = (row.get("key")?, row.get("username")?);
    let (body, created_at): (String, Timestamp) = (row.get("body")?, row.get("created_at")?);
    let delivery: Option<u8> = row.get("delivery")?;
    let in_conversation = delivery.map(|delivery| InConversation {
        conversation_id: room_id.clone(),
        sender_id,
        sender_username: username.clone(),
        content: body.clone(),
        media_url: None,
        status: match delivery {
            0 => Delivery::Sent,
            1 => Delivery::Delivered,
            _ => Delivery::Read,
        },
        created_at,
    });
    let message = Message {
        id: row.get("id")?,
        room_id,
        number: row.get("number")?,
        user_id: sender_id,
        username,
        name: row.get("name")?,
        avatar: avatar.map_or_else(
            || Link::public(users::sql::default_avatar(sender_id)),
            Link::public,
        ),
        message_type: MessageType::Text,
        html: row.get("html")?,
        message: body,
        media: Vec::new(),
        post_id: row.get("post_id")?,
        story_id: row.get("story_id")?,
        mentions: mentions.into_iter().map(UserId::from).collect(),
        timestamp: created_at.as_millis(),
        client_id: row.get("client_id")?,
        reply_to: row.get("reply_to")?,
        reactions: gather(reactions),
        edited_at: row.get("edited_at")?,
        pinned_at: row.get("pinned_at")?,
        is_deleted: deleted_at.is_some(),
        change: row.get("change")?,
        in_conversation,
    };
    Ok((message, row.get("has_media")?))
}

fn list<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<Vec<T>> {
    match row.get_ref(column)?.as_str()? {
        "[]" => Ok(Vec::new()),
        json => serde_json::from_str(json)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into())),
    }
}

/// Who reacted how, in the order in which the emoji first came.
fn gather(mut rows: Vec<(i64, i64, String)>) -> Vec<Reaction> {
    rows.sort_unstable();
    let mut reactions: Vec<Reaction> = Vec::new();
    for (_, user, emoji) in rows {
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

/// Gives messages their files: one query, and none where none of them has any.
fn with_media(tx: &ReadTx<'_>, rows: Vec<(Message, bool)>) -> Result<Vec<Message>> {
    let bringing: Vec<i64> = rows
        .iter()
        .filter(|(_, has_media)| *has_media)
        .map(|(message, _)| message.id.get())
        .collect();
    let mut messages: Vec<Message> = rows.into_iter().map(|(message, _)| message).collect();
    if bringing.is_empty() {
        return Ok(messages);
    }
    for (id, item) in media::sql::of_messages(tx, &bringing)? {
        // A page has a hundred at most.
        if let Some(message) = messages.iter_mut().find(|one| one.id.get() == id) {
            message.media.push(item);
        }
    }
    for message in &mut messages {
        message.message_type = MessageType::of(&message.media);
        if let Some(names) = &mut message.in_conversation {
            names.media_url = message.media.first().map(|item| item.url.clone());
        }
    }
    Ok(messages)
}

pub(in crate::chat) fn find_message(tx: &ReadTx<'_>, id: MessageId) -> Result<Option<Message>> {
    let found = tx.optional(
        &format!("{MESSAGES} WHERE m.id = :id"),
        named_params! { ":id": id },
        message,
    )?;
    Ok(with_media(tx, found.into_iter().collect())?.pop())
}

/// Messages with their files, as somebody sees them: without the reactions of those who are not there for them.
fn seen_by(tx: &ReadTx<'_>, viewer: UserId, rows: Vec<(Message, bool)>) -> Result<Vec<Message>> {
    let mut messages = with_media(tx, rows)?;
    let mut people: Vec<UserId> = messages.iter().flat_map(Message::reactors).collect();
    if people.is_empty() {
        return Ok(messages);
    }
    people.sort_unstable();
    people.dedup();
    let apart = super::apart(tx, viewer, &people)?;
    for message in &mut messages {
        message.drop_reactors(&apart);
    }
    Ok(messages)
}

/// One message, as somebody sees it who may read it.
pub(in crate::chat) fn find_message_for(
    tx: &ReadTx<'_>,
    id: MessageId,
    viewer: UserId,
) -> Result<Option<Message>> {
    let found = find_message(tx, id)?;
    let rows = found.into_iter().map(|message| (message, false)).collect();
    Ok(seen_by(tx, viewer, rows)?.pop())
}

/// Those of these messages that were not removed, with their rooms and the conversations' names, whoever may see them.
pub(in crate::chat) fn find_messages(tx: &ReadTx<'_>, ids: &[MessageId]) -> Result<Vec<Message>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let ids = serde_json::to_string(&ids).map_err(Error::internal)?;
    let rows = tx.all(
        &format!(
            "{MESSAGES}
             WHERE m.id IN (SELECT value FROM json_each(:ids)) AND m.deleted_at IS NULL"
        ),
        named_params! { ":ids": ids },
        message,
    )?;
    with_media(tx, rows)
}

/// The messages before a number and after another, newest first.
pub(in crate::chat) fn messages_before(
    tx: &ReadTx<'_>,
    room: RoomId,
    viewer: UserId,
    before: u64,
    after: u64,
    limit: u32,
) -> Result<Vec<Message>> {
    let rows = tx.all(
        &format!(
            "{MESSAGES}
             WHERE m.room_id = :room AND m.number < :before AND m.number > :after
               AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                               WHERE b.user_id = :viewer AND b.other_id = m.sender_id)
             ORDER BY m.number DESC
             LIMIT :limit"
        ),
        named_params! {
            ":room": room, ":viewer": viewer, ":before": signed(before), ":after": signed(after), ":limit": limit,
        },
        message,
    )?;
    seen_by(tx, viewer, rows)
}

/// The messages after a number, oldest first.
pub(in crate::chat) fn messages_after(
    tx: &ReadTx<'_>,
    room: RoomId,
    viewer: UserId,
    after: u64,
    limit: u32,
) -> Result<Vec<Message>> {
    let rows = tx.all(
        &format!(
            "{MESSAGES}
             WHERE m.room_id = :room AND m.number > :after
               AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                               WHERE b.user_id = :viewer AND b.other_id = m.sender_id)
             ORDER BY m.number
             LIMIT :limit"
        ),
        named_params! { ":room": room, ":viewer": viewer, ":after": signed(after), ":limit": limit },
        message,
    )?;
    seen_by(tx, viewer, rows)
}

/// The messages with files before a number and after another, newest first.
pub(in crate::chat) fn messages_with_media(
    tx: &ReadTx<'_>,
    room: RoomId,
    viewer: UserId,
    before: u64,
    after: u64,
    limit: u32,
) -> Result<Vec<Message>> {
    let rows = tx.all(
        &format!(
            "{MESSAGES}
             WHERE m.room_id = :room AND m.has_media = 1 AND m.number < :before AND m.number > :after
               AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                               WHERE b.user_id = :viewer AND b.other_id = m.sender_id)
             ORDER BY m.number DESC
             LIMIT :limit"
        ),
        named_params! {
            ":room": room, ":viewer": viewer, ":before": signed(before), ":after": signed(after), ":limit": limit,
        },
        message,
    )?;
    seen_by(tx, viewer, rows)
}

/// The pinned messages of a room, the latest pinned first.
pub(in crate::chat) fn pinned(
    tx: &ReadTx<'_>,
    room: RoomId,
    viewer: UserId,
    after: u64,
    limit: u32,
) -> Result<Vec<Message>> {
    let rows = tx.all(
        &format!(
            "{MESSAGES}
             WHERE m.room_id = :room AND m.pinned_at IS NOT NULL AND +m.number > :after
               AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                               WHERE b.user_id = :viewer AND b.other_id = m.sender_id)
             ORDER BY m.pinned_at DESC
             LIMIT :limit"
        ),
        named_params! { ":room": room, ":viewer": viewer, ":after": signed(after), ":limit": limit },
        message,
    )?;
    seen_by(tx, viewer, rows)
}

/// The last message of each of these rooms.
pub(in crate::chat) fn last_messages(
    tx: &ReadTx<'_>,
    rooms: &[RoomId],
    viewer: UserId,
) -> Result<Vec<Message>> {
    let rooms = serde_json::to_string(&rooms.iter().map(|id| id.get()).collect::<Vec<_>>())
        .map_err(Error::internal)?;
    let rows = tx.all(
        &format!(
            "{MESSAGES}
             JOIN json_each(:rooms) AS wanted ON wanted.value = r.id
             WHERE m.number = r.last_number
               AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                               WHERE b.user_id = :viewer AND b.other_id = m.sender_id)"
        ),
        named_params! { ":rooms": rooms, ":viewer": viewer },
        message,
    )?;
    seen_by(tx, viewer, rows)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number of the first message of a room that was not sent before a time. Numbers and times rise together, so it is
/// found by halving: each step is one look into the index, however long the history is.
pub(in crate::chat) fn first_number_since(
    tx: &ReadTx<'_>,
    room: &Room,
    at: Timestamp,
) -> Result<u64> {
    let (mut low, mut high) = (1, room.last_number + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        // Those that retention took are missing at the beginning.
        let found: Option<(u64, Timestamp)> = tx.optional(
            "SELECT number, created_at FROM messages
             WHERE room_id = :room AND number >= :number
             ORDER BY number
             LIMIT 1",
            named_params! { ":room": room.id, ":number": signed(middle) },
            |row| Ok((row.get("number")?, row.get("created_at")?)),
        )?;
        match found {
            Some((number, sent)) if sent < at => low = number + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The last message of somebody else's among those up to a number. It looks at the last hundred.
pub(in crate::chat) fn last_of_others(
    tx: &ReadTx<'_>,
    room: RoomId,
    user: UserId,
    through: u64,
) -> Result<Option<MessageId>> {
    tx.optional(
        "SELECT id FROM messages
         WHERE room_id = :room AND number <= :through AND number > :through - 100 AND sender_id <> :user
         ORDER BY number DESC
         LIMIT 1",
        named_params! { ":room": room, ":user": user, ":through": signed(through) },
        |row| row.get("id"),
    )
}

/// The number of a message of this room.
pub(in crate::chat) fn number_of(
    tx: &ReadTx<'_>,
    room: RoomId,
    id: MessageId,
) -> Result<Option<u64>> {
    tx.optional(
        "SELECT number FROM messages WHERE id = :id AND room_id = :room",
        named_params! { ":id": id, ":room": room },
        |row| row.get("number"),
    )
}

/// Whether somebody has ever said something in a room.
pub(in crate::chat) fn has_written(tx: &ReadTx<'_>, room: RoomId, user: UserId) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM room_members WHERE room_id = :room AND user_id = :user AND sent_at IS NOT NULL",
        named_params! { ":room": room, ":user": user },
    )
}
