//! Rooms.

use rusqlite::{Row, named_params};

use super::super::access::Place;
use super::super::{Room, RoomChange, RoomKind, RoomView, Visibility};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{RoomId, UserId};
use crate::links::Link;
use crate::page::Page;
use crate::store::{ReadTx, WriteTx};

/// What is shown of a room; with `FROM` and so on after it.
pub(super) const ROOM: &str =
    "r.id, r.key, r.kind, r.title, r.topic, r.avatar, r.visibility, r.slow_mode_s, r.is_read_only,
     r.retention_days, r.member_count, r.last_number, r.created_at AS made_at";

pub(super) fn room(row: &Row<'_>) -> rusqlite::Result<Room> {
    Ok(Room {
        id: row.get("id")?,
        key: row.get("key")?,
        kind: row.get("kind")?,
        title: row.get("title")?,
        topic: row.get("topic")?,
        avatar: row.get::<_, Option<String>>("avatar")?.map(Link::public),
        visibility: row.get("visibility")?,
        slow_mode_seconds: row.get("slow_mode_s")?,
        is_read_only: row.get("is_read_only")?,
        retention_days: row.get("retention_days")?,
        member_count: row.get("member_count")?,
        last_number: row.get("last_number")?,
        created_at: row.get("made_at")?,
    })
}

/// The room of that name, and how somebody stands to it.
pub(in crate::chat) fn find_place(
    tx: &ReadTx<'_>,
    key: &str,
    user: UserId,
    now: Timestamp,
) -> Result<Option<Place>> {
    tx.optional(
        &format!(
            "SELECT {ROOM}, p.role, coalesce(p.cleared_number, 0) AS cleared_number,
                    coalesce(p.sent_at, (SELECT x.sent_at FROM room_past_members AS x
                                         WHERE x.room_id = r.id AND x.user_id = :user)) AS sent_at,
                    EXISTS (SELECT 1 FROM room_invitations AS i
                            WHERE i.room_id = r.id AND i.user_id = :user AND i.is_declined = 0) AS is_invited,
                    EXISTS (SELECT 1 FROM room_sanctions AS s
                            WHERE s.room_id = r.id AND s.user_id = :user AND s.kind = 0
                              AND (s.until IS NULL OR s.until > :now)) AS is_muted,
                    EXISTS (SELECT 1 FROM room_sanctions AS s
                            WHERE s.room_id = r.id AND s.user_id = :user AND s.kind = 1
                              AND (s.until IS NULL OR s.until > :now)) AS is_banned
             FROM rooms AS r
             LEFT JOIN room_members AS p ON p.room_id = r.id AND p.user_id = :user
             WHERE r.key = :key AND r.closed_at IS NULL"
        ),
        named_params! { ":key": key, ":user": user, ":now": now },
        |row| {
            Ok(Place {
                room: room(row)?,
                role: row.get("role")?,
                is_invited: row.get("is_invited")?,
                is_muted: row.get("is_muted")?,
                is_banned: row.get("is_banned")?,
                sent_at: row.get("sent_at")?,
                cleared_number: row.get("cleared_number")?,
            })
        },
    )
}

pub(in crate::chat) fn find_room(tx: &ReadTx<'_>, id: RoomId) -> Result<Option<Room>> {
    tx.optional(
        &format!("SELECT {ROOM} FROM rooms AS r WHERE r.id = :id"),
        named_params! { ":id": id },
        room,
    )
}

/// A room to be written.
pub(in crate::chat) struct NewRoom<'a> {
    pub(in crate::chat) id: RoomId,
    pub(in crate::chat) key: &'a str,
    pub(in crate::chat) kind: RoomKind,
    pub(in crate::chat) visibility: Visibility,
    pub(in crate::chat) by: UserId,
    pub(in crate::chat) at: Timestamp,
}

pub(in crate::chat) fn insert_room(tx: &WriteTx<'_>, new: &NewRoom<'_>) -> Result<()> {
    tx.execute(
        "INSERT INTO rooms (id, key, kind, visibility, created_by, created_at)
         VALUES (:id, :key, :kind, :visibility, :by, :at)",
        named_params! {
            ":id": new.id, ":key": new.key, ":kind": new.kind, ":visibility": new.visibility,
            ":by": new.by, ":at": new.at,
        },
    )?;
    Ok(())
}

/// Writes what changes, but for the picture.
pub(in crate::chat) fn update_room(
    tx: &WriteTx<'_>,
    id: RoomId,
    change: &RoomChange,
) -> Result<()> {
    tx.execute(
        "UPDATE rooms
         SET title = CASE WHEN :sets_title THEN :title ELSE title END,
             topic = CASE WHEN :sets_topic THEN :topic ELSE topic END,
             visibility = coalesce(:visibility, visibility),
             slow_mode_s = coalesce(:slow_mode_s, slow_mode_s),
             is_read_only = coalesce(:is_read_only, is_read_only),
             retention_days = CASE WHEN :sets_retention THEN :retention_days ELSE retention_days END
         WHERE id = :id",
        named_params! {
            ":id": id,
            ":sets_title": change.title.is_some(),
            ":title": change.title.as_ref().and_then(Option::as_deref),
            ":sets_topic": change.topic.is_some(),
            ":topic": change.topic.as_ref().and_then(Option::as_deref),
            ":visibility": change.visibility,
            ":slow_mode_s": change.slow_mode_s,
            ":is_read_only": change.is_read_only,
            ":sets_retention": change.retention_days.is_some(),
            ":retention_days": change.retention_days.flatten(),
        },
    )?;
    Ok(())
}

pub(in crate::chat) fn set_avatar(tx: &WriteTx<'_>, id: RoomId, path: Option<&str>) -> Result<()> {
    tx.execute(
        "UPDATE rooms SET avatar = :path WHERE id = :id",
        named_params! { ":id": id, ":path": path },
    )?;
    Ok(())
}

/// The rooms that everybody finds and whose names begin like that, by name.
pub(in crate::chat) fn listed_rooms(
    tx: &ReadTx<'_>,
    prefix: &str,
    page: &Page,
) -> Result<Vec<Room>> {
    tx.all(
        &format!(
            "SELECT {ROOM}
             FROM rooms AS r INDEXED BY rooms_listed
             WHERE r.kind = 0 AND r.visibility < 2 AND r.closed_at IS NULL
               AND r.key >= :prefix AND r.key < :prefix || char(1114111) 
               AND r.key > coalesce((SELECT key FROM rooms WHERE id = :above), '')
             ORDER BY r.key
             LIMIT :limit"
        ),
        named_params! { ":prefix": prefix, ":above": page.above(), ":limit": page.fetch() },
        room,
    )
}

/// The rooms that somebody is in, conversations left out; the latest made first.
pub(in crate::chat) fn rooms_of(
    tx: &ReadTx<'_>,
    user: UserId,
    page: &Page,
) -> Result<Vec<RoomView>> {
    tx.all(
        &format!(
            "SELECT {ROOM}, p.role, {UNREAD}, {UNREAD_MENTIONS}
             FROM room_members AS p INDEXED BY room_members_by_user
             JOIN rooms AS r ON r.id = p.room_id
             WHERE p.user_id = :user AND p.room_id < :below AND r.kind = 0 AND r.closed_at IS NULL
             ORDER BY p.room_id DESC
             LIMIT :limit"
        ),
        named_params! { ":user": user, ":below": page.below(), ":limit": page.fetch() },
        room_view,
    )
}

/// Messages in a room that somebody has not read; at most a thousand.
pub(in crate::chat) fn unread_in(tx: &ReadTx<'_>, room: RoomId, user: UserId) -> Result<u64> {
    tx.one(
        "SELECT count(*)
         FROM (SELECT 1
               FROM room_members AS p
               JOIN messages AS m ON m.room_id = p.room_id AND m.number > p.read_number
               WHERE p.room_id = :room AND p.user_id = :user
                 AND m.sender_id <> :user AND m.deleted_at IS NULL
               LIMIT 1000)",
        named_params! { ":room": room, ":user": user },
        |row| row.get(0),
    )
}

/// Of a member `p` of a room `r`: messages of others that they have not read; at most a hundred, as a list has many rooms.
pub(super) const UNREAD: &str = "
    (SELECT count(*)
     FROM (SELECT 1 FROM messages AS m
           WHERE m.room_id = r.id AND m.number > p.read_number AND m.sender_id <> p.user_id
             AND m.deleted_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                             WHERE b.user_id = p.user_id AND b.other_id = m.sender_id)
           LIMIT 100)) AS unread";

fn room_view(row: &Row<'_>) -> rusqlite::Result<RoomView> {
    Ok(RoomView {
        room: room(row)?,
        role: row.get("role")?,
        unread_count: row.get("unread")?,
        mention_count: row.get("mentions")?,
    })
}

/// Of a member `p` of a room `r`: messages that they have not read and that name them; at most a hundred.
pub(super) const UNREAD_MENTIONS: &str = "
    (SELECT count(*)
     FROM (SELECT 1
           FROM message_mentions AS x
           JOIN messages AS m ON m.id = x.message_id
           WHERE x.user_id = p.user_id AND x.room_id = r.id AND x.number > p.read_number
             AND m.sender_id <> p.user_id
             AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                             WHERE b.user_id = p.user_id AND b.other_id = m.sender_id)
           LIMIT 100)) AS mentions";

/// A room that somebody is in, as they see it.
pub(in crate::chat) fn room_of(
    tx: &ReadTx<'_>,
    room: RoomId,
    user: UserId,
) -> Result<Option<RoomView>> {
    tx.optional(
        &format!(
            "SELECT {ROOM}, p.role, {UNREAD}, {UNREAD_MENTIONS}
             FROM room_members AS p
             JOIN rooms AS r ON r.id = p.room_id
             WHERE p.user_id = :user AND p.room_id = :room"
        ),
        named_params! { ":user": user, ":room": room },
        room_view,
    )
}

/// A room is there for nobody from now on, and its name is free.
pub(in crate::chat) fn close_room(tx: &WriteTx<'_>, room: RoomId, at: Timestamp) -> Result<()> {
    tx.execute(
        "DELETE FROM room_invitations WHERE room_id = :room",
        named_params! { ":room": room },
    )?;
    tx.execute(
        "UPDATE rooms SET closed_at = :at WHERE id = :room",
        named_params! { ":room": room, ":at": at },
    )?;
    Ok(())
}

/// Rooms whose messages go: with the days after which they do, or because they are closed; some after another.
pub(in crate::chat) fn rooms_that_forget(
    tx: &ReadTx<'_>,
    after: Option<RoomId>,
    limit: u32,
) -> Result<Vec<Forgetting>> {
    tx.all(
        "SELECT id, retention_days, closed_at IS NOT NULL AS is_closed
         FROM rooms
         WHERE (retention_days IS NOT NULL OR closed_at IS NOT NULL) AND id > coalesce(:after, 0)
         ORDER BY id
         LIMIT :limit",
        named_params! { ":after": after, ":limit": limit },
        |row| {
            let is_closed: bool = row.get("is_closed")?;
            Ok(Forgetting {
                room: row.get("id")?,
                days: if is_closed {
                    None
                } else {
                    row.get("retention_days")?
                },
            })
        },
    )
}

/// A room whose messages go.
pub(in crate::chat) struct Forgetting {
    pub(in crate::chat) room: RoomId,
    /// After how many days; none when it is closed, and all of it goes.
    pub(in crate::chat) days: Option<i64>,
}

/// Takes what is left of a closed room without messages: so many rows at most, and the room itself when no other is left.
/// Returns how many rows went.
pub(in crate::chat) fn forget_room(tx: &WriteTx<'_>, room: RoomId, limit: u32) -> Result<u32> {
    let mut gone = 0;
    for statement in [
        "DELETE FROM room_members WHERE room_id = :room AND user_id IN
             (SELECT user_id FROM room_members WHERE room_id = :room LIMIT :limit)",
        "DELETE FROM room_past_members WHERE room_id = :room AND user_id IN
             (SELECT user_id FROM room_past_members WHERE room_id = :room LIMIT :limit)",
        "DELETE FROM room_sanctions WHERE room_id = :room AND user_id IN
             (SELECT user_id FROM room_sanctions WHERE room_id = :room LIMIT :limit)",
        "DELETE FROM rooms WHERE id = :room AND :limit > 0",
    ] {
        let count = tx.execute(
            statement,
            named_params! { ":room": room, ":limit": limit.saturating_sub(gone) },
        )?;
        gone += u32::try_from(count).map_err(Error::internal)?;
        if gone >= limit {
            break;
        }
    }
    Ok(gone)
}
