//! Conversations, of two people and of a few: what only they have.

use rusqlite::named_params;

use super::super::{ChatSettings, Conversation, Folder, MAX_GROUP, RoomKey};
use super::rooms::{ROOM, UNREAD, UNREAD_MENTIONS, room};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{RoomId, UserId};
use crate::page::Page;
use crate::store::{ReadTx, WriteTx};
use crate::users::{self, Person};

/// What somebody has set, or what is usual.
pub(in crate::chat) fn settings(tx: &ReadTx<'_>, user: UserId) -> Result<ChatSettings> {
    let found = tx.optional(
        "SELECT who_may_message, shows_presence FROM chat_settings WHERE user_id = :user",
        named_params! { ":user": user },
        |row| {
            Ok(ChatSettings {
                who_may_message: row.get("who_may_message")?,
                shows_presence: row.get("shows_presence")?,
            })
        },
    )?;
    Ok(found.unwrap_or_default())
}

pub(in crate::chat) fn put_settings(
    tx: &WriteTx<'_>,
    user: UserId,
    settings: ChatSettings,
) -> Result<()> {
    tx.execute(
        "INSERT INTO chat_settings (user_id, who_may_message, shows_presence)
         VALUES (:user, :who, :shows)
         ON CONFLICT (user_id) DO UPDATE SET who_may_message = :who, shows_presence = :shows",
        named_params! {
            ":user": user, ":who": settings.who_may_message, ":shows": settings.shows_presence,
        },
    )?;
    Ok(())
}

/// Notes that people were there at a time.
pub(in crate::chat) fn put_seen(tx: &WriteTx<'_>, people: &[(UserId, Timestamp)]) -> Result<()> {
    let people: Vec<(i64, i64)> = people
        .iter()
        .map(|(user, at)| (user.get(), at.as_millis()))
        .collect();
    let people = serde_json::to_string(&people).map_err(crate::error::Error::internal)?;
    tx.execute(
        "INSERT INTO last_seen (user_id, seen_at)
         SELECT u.id, wanted.value ->> 1
         FROM json_each(:people) AS wanted
         JOIN users AS u ON u.id = wanted.value ->> 0
         WHERE NOT EXISTS (SELECT 1 FROM chat_settings AS s WHERE s.user_id = u.id AND s.shows_presence = 0)
         ON CONFLICT (user_id) DO UPDATE SET seen_at = max(seen_at, excluded.seen_at)",
        named_params! { ":people": people },
    )?;
    Ok(())
}

/// Of these people in rooms, those who may be shown there: who do not hide that they are there, and have accepted the
/// conversation, where it is one.
pub(in crate::chat) fn shown_in_rooms(
    tx: &ReadTx<'_>,
    seats: &[(RoomId, UserId)],
) -> Result<Vec<(RoomId, UserId)>> {
    let seats: Vec<(i64, i64)> = seats
        .iter()
        .map(|(room, user)| (room.get(), user.get()))
        .collect();
    let seats = serde_json::to_string(&seats).map_err(crate::error::Error::internal)?;
    tx.all(
        "SELECT r.id AS room_id, wanted.value ->> 1 AS user_id
         FROM json_each(:seats) AS wanted
         JOIN rooms AS r ON r.id = wanted.value ->> 0
         LEFT JOIN room_members AS p ON p.room_id = r.id AND p.user_id = wanted.value ->> 1
         WHERE (r.kind = 0 OR coalesce(p.request, 0) = 0)
           AND NOT EXISTS (SELECT 1 FROM chat_settings AS s
                           WHERE s.user_id = wanted.value ->> 1 AND s.shows_presence = 0)",
        named_params! { ":seats": seats },
        |row| Ok((row.get("room_id")?, row.get("user_id")?)),
    )
}

/// Those of these people whose presence somebody may know, with when they were last seen: who follow them and whom they
/// follow, and who have said something in their conversation; while both show themselves.
pub(in crate::chat) fn showing_presence(
    tx: &ReadTx<'_>,
    viewer: UserId,
    people: &[UserId],
) -> Result<Vec<(UserId, Option<Timestamp>)>> {
    let pairs: Vec<(i64, String)> = people
        .iter()
        .map(|id| (id.get(), RoomKey::direct(viewer, *id).as_text()))
        .collect();
    let pairs = serde_json::to_string(&pairs).map_err(crate::error::Error::internal)?;
    tx.all(
        "SELECT u.id, l.seen_at
         FROM json_each(:pairs) AS wanted
         JOIN users AS u ON u.id = wanted.value ->> 0
         LEFT JOIN last_seen AS l ON l.user_id = u.id
         WHERE u.status = 'active'
           AND NOT EXISTS (SELECT 1 FROM chat_settings AS s
                           WHERE s.user_id IN (u.id, :viewer) AND s.shows_presence = 0)
           AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                           WHERE b.user_id = :viewer AND b.other_id = u.id)
           AND (
               u.id = :viewer
               OR (
                   EXISTS (SELECT 1 FROM follows AS f
                           WHERE f.follower_id = :viewer AND f.following_id = u.id AND f.is_active = 1)
                   AND EXISTS (SELECT 1 FROM follows AS f
                               WHERE f.follower_id = u.id AND f.following_id = :viewer AND f.is_active = 1)
               )
               OR EXISTS (SELECT 1 FROM rooms AS r
                          JOIN room_members AS p ON p.room_id = r.id AND p.user_id = u.id
                          WHERE r.key = wanted.value ->> 1 AND r.closed_at IS NULL AND p.sent_at IS NOT NULL)
           )",
        named_params! { ":viewer": viewer, ":pairs": pairs },
        |row| Ok((row.get("id")?, row.get("seen_at")?)),
    )
}

/// How a member of a conversation stands to it: see [`Folder`]; 2 when they declined it.
pub(in crate::chat) fn find_request(
    tx: &ReadTx<'_>,
    room: RoomId,
    user: UserId,
) -> Result<Option<u8>> {
    tx.optional(
        "SELECT request FROM room_members WHERE room_id = :room AND user_id = :user",
        named_params! { ":room": room, ":user": user },
        |row| row.get("request"),
    )
}

pub(in crate::chat) fn set_request(
    tx: &WriteTx<'_>,
    room: RoomId,
    user: UserId,
    request: u8,
) -> Result<()> {
    tx.execute(
        "UPDATE room_members SET request = :request
         WHERE room_id = :room AND user_id = :user AND request <> :request",
        named_params! { ":room": room, ":user": user, ":request": request },
    )?;
    Ok(())
}

/// How many requests of somebody's wait to be accepted, in conversations that they began; counted up to a limit.
pub(in crate::chat) fn pending_count(tx: &ReadTx<'_>, of: UserId, limit: u32) -> Result<u32> {
    tx.one(
        "SELECT count(*)
         FROM (SELECT 1
               FROM rooms AS r
               JOIN room_members AS p ON p.room_id = r.id
               WHERE r.created_by = :of AND r.kind IN (1, 2) AND r.closed_at IS NULL
                 AND p.user_id <> :of AND p.request = 1
               LIMIT :limit)",
        named_params! { ":of": of, ":limit": limit },
        |row| row.get(0),
    )
}

/// Notes that something was said in a conversation.
pub(in crate::chat) fn touch_members(tx: &WriteTx<'_>, room: RoomId, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE room_members SET active_at = :at WHERE room_id = :room",
        named_params! { ":room": room, ":at": at },
    )?;
    Ok(())
}

/// Notes that a conversation is there, though nothing was said yet.
pub(in crate::chat) fn touch_member(
    tx: &WriteTx<'_>,
    room: RoomId,
    user: UserId,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE room_members SET active_at = coalesce(active_at, :at)
         WHERE room_id = :room AND user_id = :user",
        named_params! { ":room": room, ":user": user, ":at": at },
    )?;
    Ok(())
}

/// Takes a conversation out of a member's list, with all that was said so far.
pub(in crate::chat) fn clear(
    tx: &WriteTx<'_>,
    room: RoomId,
    user: UserId,
    through: u64,
) -> Result<()> {
    tx.execute(
        "UPDATE room_members
         SET cleared_number = :through, read_number = max(read_number, :through), active_at = NULL
         WHERE room_id = :room AND user_id = :user",
        named_params! { ":room": room, ":user": user, ":through": through },
    )?;
    Ok(())
}

/// The ids of people whom somebody follows and who follow them.
pub(in crate::chat) fn mutuals(tx: &ReadTx<'_>, of: UserId, limit: u32) -> Result<Vec<UserId>> {
    let page = Page::first(limit);
    let people: Vec<(_, Person)> = users::sql::mutuals(tx, of, &page)?;
    Ok(people
        .into_iter()
        .map(|(_, person)| person.id)
        .take(limit as usize)
        .collect())
}

/// Somebody's conversations, the latest first.
pub(in crate::chat) fn conversations(
    tx: &ReadTx<'_>,
    of: UserId,
    folder: Folder,
    page: &Page,
) -> Result<Vec<Conversation>> {
    let after = page.after;
    tx.all(
        &format!(
            "SELECT {ROOM}, p.active_at, p.request, p.cleared_number, {UNREAD}, {UNREAD_MENTIONS}
             FROM room_members AS p INDEXED BY room_members_by_activity
             JOIN rooms AS r ON r.id = p.room_id
             WHERE p.user_id = :of AND p.request = :request AND p.active_at IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM room_members AS o
                               JOIN blocked_pairs AS b ON b.user_id = :of AND b.other_id = o.user_id
                               WHERE o.room_id = p.room_id AND r.kind = 1)
               AND (p.active_at, p.room_id) < (:rank, :id)
             ORDER BY p.active_at DESC, p.room_id DESC
             LIMIT :limit"
        ),
        named_params! {
            ":of": of,
            ":request": folder.as_request(),
            ":rank": after.map_or(i64::MAX, |cursor| cursor.rank),
            ":id": after.map_or(i64::MAX, |cursor| cursor.id),
            ":limit": page.fetch(),
        },
        conversation,
    )
}

/// One of somebody's conversations.
pub(in crate::chat) fn find_conversation(
    tx: &ReadTx<'_>,
    of: UserId,
    id: RoomId,
) -> Result<Option<Conversation>> {
    tx.optional(
        &format!(
            "SELECT {ROOM}, coalesce(p.active_at, r.created_at) AS active_at, p.request, p.cleared_number, {UNREAD}, {UNREAD_MENTIONS}
             FROM room_members AS p
             JOIN rooms AS r ON r.id = p.room_id
             WHERE p.room_id = :id AND p.user_id = :of"
        ),
        named_params! { ":of": of, ":id": id },
        conversation,
    )
}

fn conversation(row: &rusqlite::Row<'_>) -> rusqlite::Result<Conversation> {
    let room = room(row)?;
    Ok(Conversation {
        conversation_id: room.key.clone(),
        chat_type: room.kind.into(),
        title: room.title,
        avatar: room.avatar,
        last_number: room.last_number,
        is_request: row.get::<_, u8>("request")? == 1,
        unread_count: row.get("unread")?,
        mention_count: row.get("mentions")?,
        last_message_at: row.get("active_at")?,
        cleared_number: row.get("cleared_number")?,
        participants: Vec::new(),
        partner: None,
        last_message: None,
        last_message_by: None,
        room_id: room.id,
    })
}

/// The people of conversations, with what each has read: up to a group's size for each.
pub(in crate::chat) fn participants(
    tx: &ReadTx<'_>,
    rooms: &[RoomId],
) -> Result<Vec<(RoomId, UserId)>> {
    let rooms = serde_json::to_string(&rooms.iter().map(|id| id.get()).collect::<Vec<_>>())
        .map_err(crate::error::Error::internal)?;
    tx.all(
        "SELECT p.room_id, p.user_id
         FROM json_each(:rooms) AS wanted
         JOIN room_members AS p ON p.room_id = wanted.value
         LIMIT :limit",
        named_params! { ":rooms": rooms, ":limit": 101 * MAX_GROUP },
        |row| Ok((row.get("room_id")?, row.get("user_id")?)),
    )
}

/// Messages that somebody has not read, in all conversations that they have accepted, of people whom they do not mute; at
/// most a thousand.
pub(in crate::chat) fn unread_total(tx: &ReadTx<'_>, of: UserId, now: Timestamp) -> Result<u64> {
    tx.one(
        "SELECT count(*)
         FROM (SELECT 1
               FROM room_members AS p INDEXED BY room_members_by_activity
               JOIN messages AS m ON m.room_id = p.room_id AND m.number > p.read_number
               WHERE p.user_id = :of AND p.request = 0 AND p.active_at IS NOT NULL
                 AND m.sender_id <> :of AND m.deleted_at IS NULL
                 AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                                 WHERE b.user_id = :of AND b.other_id = m.sender_id)
                 AND NOT EXISTS (SELECT 1 FROM mutes AS s
                                 WHERE s.muter_id = :of AND s.muted_id = m.sender_id
                                   AND (s.ends_at IS NULL OR s.ends_at > :now))
               LIMIT 1000)",
        named_params! { ":of": of, ":now": now },
        |row| row.get(0),
    )
}

/// Conversations that wait to be accepted, but for those with somebody whom they mute; at most a thousand.
pub(in crate::chat) fn request_count(tx: &ReadTx<'_>, of: UserId, now: Timestamp) -> Result<u64> {
    tx.one(
        "SELECT count(*)
         FROM (SELECT 1
               FROM room_members AS p INDEXED BY room_members_by_activity
               JOIN rooms AS r ON r.id = p.room_id
               WHERE p.user_id = :of AND p.request = 1 AND p.active_at IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM room_members AS o
                                 JOIN blocked_pairs AS b ON b.user_id = :of AND b.other_id = o.user_id
                                 WHERE o.room_id = p.room_id AND r.kind = 1)
                 AND NOT EXISTS (SELECT 1 FROM room_members AS o
                                 JOIN mutes AS s ON s.muter_id = :of AND s.muted_id = o.user_id
                                 WHERE o.room_id = p.room_id AND r.kind = 1
                                   AND (s.ends_at IS NULL OR s.ends_at > :now))
               LIMIT 1000)",
        named_params! { ":of": of, ":now": now },
        |row| row.get(0),
    )
}
