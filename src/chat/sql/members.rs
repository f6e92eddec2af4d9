//! Who is in a room, is invited to it, or is not to be there.

use rusqlite::{Row, named_params};

use super::super::{Invitation, Member, Role, RoomKind, Sanction, Sanctioned};
use super::rooms::{ROOM, room};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{RoomId, UserId};
use crate::page::Page;
use crate::store::{ReadTx, WriteTx};
use crate::users::{self, Person};

/// Notes a member; true when they were none before.
pub(in crate::chat) fn add_member(
    tx: &WriteTx<'_>,
    room: RoomId,
    user: UserId,
    role: Role,
    at: Timestamp,
) -> Result<bool> {
    let added = tx.execute(
        // What was said before is no news to them; in a group, it is not theirs.
        "INSERT INTO room_members (room_id, user_id, role, joined_at, read_number, cleared_number, sent_at)
         SELECT r.id, :user, :role, :at, r.last_number,
                CASE WHEN r.kind = 2 THEN r.last_number ELSE coalesce(p.cleared_number, 0) END, p.sent_at
         FROM rooms AS r
         LEFT JOIN room_past_members AS p ON p.room_id = r.id AND p.user_id = :user
         WHERE r.id = :room
         ON CONFLICT DO NOTHING",
        named_params! { ":room": room, ":user": user, ":role": role, ":at": at },
    )?;
    if added > 0 {
        add_count(tx, room, 1)?;
    }
    Ok(added > 0)
}

/// Takes a member out, of their own will or not; true when they were in it.
pub(in crate::chat) fn remove_member(
    tx: &WriteTx<'_>,
    room: RoomId,
    user: UserId,
    leaves: bool,
) -> Result<bool> {
    tx.execute(
        "INSERT INTO room_past_members (room_id, user_id, cleared_number, sent_at, leavings)
         SELECT room_id, user_id, cleared_number, sent_at, :leaves
         FROM room_members
         WHERE room_id = :room AND user_id = :user
         ON CONFLICT (room_id, user_id)
         DO UPDATE SET cleared_number = excluded.cleared_number, sent_at = excluded.sent_at,
                       leavings = leavings + excluded.leavings",
        named_params! { ":room": room, ":user": user, ":leaves": leaves },
    )?;
    let removed = tx.execute(
        "DELETE FROM room_members WHERE room_id = :room AND user_id = :user",
        named_params! { ":room": room, ":user": user },
    )?;
    if removed > 0 {
        add_count(tx, room, -1)?;
    }
    Ok(removed > 0)
}

fn add_count(tx: &WriteTx<'_>, room: RoomId, change: i64) -> Result<()> {
    tx.execute(
        "UPDATE rooms SET member_count = member_count + :change WHERE id = :room",
        named_params! { ":room": room, ":change": change },
    )?;
    Ok(())
}

pub(in crate::chat) fn find_role(
    tx: &ReadTx<'_>,
    room: RoomId,
    user: UserId,
) -> Result<Option<Role>> {
    tx.optional(
        "SELECT role FROM room_members WHERE room_id = :room AND user_id = :user",
        named_params! { ":room": room, ":user": user },
        |row| row.get("role"),
    )
}

pub(in crate::chat) fn set_role(
    tx: &WriteTx<'_>,
    room: RoomId,
    user: UserId,
    role: Role,
) -> Result<()> {
    tx.execute(
        "UPDATE room_members SET role = :role WHERE room_id = :room AND user_id = :user",
        named_params! { ":room": room, ":user": user, ":role": role },
    )?;
    Ok(())
}

/// Whether somebody else owns the room.
pub(in crate::chat) fn has_other_owner(tx: &ReadTx<'_>, room: RoomId, but: UserId) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM room_members
         WHERE room_id = :room AND role = 2 AND user_id <> :but",
        named_params! { ":room": room, ":but": but },
    )
}

/// Who is to own a room next: the highest of those who are there, and of these the oldest account.
pub(in crate::chat) fn heir(tx: &ReadTx<'_>, room: RoomId) -> Result<Option<UserId>> {
    tx.optional(
        "SELECT p.user_id
         FROM room_members AS p INDEXED BY room_members_by_role
         JOIN users AS u ON u.id = p.user_id
         WHERE p.room_id = :room AND u.status = 'active'
         ORDER BY p.role DESC, p.user_id DESC
         LIMIT 1",
        named_params! { ":room": room },
        |row| row.get("user_id"),
    )
}

/// Who is in a room: a page in the order of their ids. What they have read is shown in conversations alone.
pub(in crate::chat) fn members(
    tx: &ReadTx<'_>,
    room: RoomId,
    viewer: UserId,
    kind: RoomKind,
    page: &Page,
) -> Result<Vec<Member>> {
    tx.all(
        "SELECT p.user_id, p.role, p.joined_at,
                CASE p.request WHEN 0 THEN p.read_number ELSE 0 END AS read_number,
                CASE p.request WHEN 0 THEN p.delivered_number ELSE 0 END AS delivered_number,
                u.id, u.username, u.name, u.avatar
         FROM room_members AS p
         JOIN users AS u ON u.id = p.user_id
         WHERE p.room_id = :room AND p.user_id > :above AND u.status <> 'deleted'
           AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                           WHERE b.user_id = :viewer AND b.other_id = p.user_id)
         ORDER BY p.user_id
         LIMIT :limit",
        named_params! {
            ":room": room, ":viewer": viewer, ":above": page.above(), ":limit": page.fetch(),
        },
        |row| {
            let is_conversation = kind != RoomKind::Named;
            let read: u64 = row.get("read_number")?;
            let delivered: u64 = row.get("delivered_number")?;
            Ok(Member {
                person: users::sql::person(row)?,
                role: row.get("role")?,
                joined_at: row.get("joined_at")?,
                // Whoever has not accepted a conversation has not shown either that they saw it.
                read_number: is_conversation.then_some(read),
                // What was read has arrived.
                delivered_number: is_conversation.then_some(delivered.max(read)),
            })
        },
    )
}

/// The ids of all members, with how each stands to the conversation; for groups, which are small.
pub(in crate::chat) fn member_requests(
    tx: &ReadTx<'_>,
    room: RoomId,
    limit: u32,
) -> Result<Vec<(UserId, u8)>> {
    tx.all(
        "SELECT user_id, request FROM room_members WHERE room_id = :room ORDER BY user_id LIMIT :limit",
        named_params! { ":room": room, ":limit": limit },
        |row| Ok((row.get("user_id")?, row.get("request")?)),
    )
}

/// How often somebody left a room of their own will.
pub(in crate::chat) fn leavings(tx: &ReadTx<'_>, room: RoomId, user: UserId) -> Result<u32> {
    let found = tx.optional(
        "SELECT leavings FROM room_past_members WHERE room_id = :room AND user_id = :user",
        named_params! { ":room": room, ":user": user },
        |row| row.get("leavings"),
    )?;
    Ok(found.unwrap_or_default())
}

/// How many rooms somebody is in, conversations left out; counted up to a limit.
pub(in crate::chat) fn membership_count(tx: &ReadTx<'_>, user: UserId, limit: u32) -> Result<u32> {
    tx.one(
        "SELECT count(*)
         FROM (SELECT 1
               FROM room_members AS p
               JOIN rooms AS r ON r.id = p.room_id
               WHERE p.user_id = :user AND r.kind = 0 AND r.closed_at IS NULL
               LIMIT :limit)",
        named_params! { ":user": user, ":limit": limit },
        |row| row.get(0),
    )
}

/// How many rooms somebody has made, counted up to a limit.
pub(in crate::chat) fn rooms_made(tx: &ReadTx<'_>, user: UserId, limit: u32) -> Result<u32> {
    tx.one(
        "SELECT count(*)
         FROM (SELECT 1 FROM rooms
               WHERE created_by = :user AND kind = 0 AND closed_at IS NULL
               LIMIT :limit)",
        named_params! { ":user": user, ":limit": limit },
        |row| row.get(0),
    )
}

/// How many groups somebody has made and is in, counted up to a limit.
pub(in crate::chat) fn groups_made(tx: &ReadTx<'_>, user: UserId, limit: u32) -> Result<u32> {
    tx.one(
        "SELECT count(*)
         FROM (SELECT 1
               FROM rooms AS r
               JOIN room_members AS p ON p.room_id = r.id AND p.user_id = :user
               WHERE r.created_by = :user AND r.kind = 2 AND r.closed_at IS NULL
               LIMIT :limit)",
        named_params! { ":user": user, ":limit": limit },
        |row| row.get(0),
    )
}

/// Those of these people who are in a room.
pub(in crate::chat) fn members_among(
    tx: &ReadTx<'_>,
    room: RoomId,
    people: &[UserId],
) -> Result<Vec<UserId>> {
    let ids = ids_as_json(people)?;
    tx.all(
        "SELECT p.user_id
         FROM json_each(:ids) AS wanted
         JOIN room_members AS p ON p.room_id = :room AND p.user_id = wanted.value",
        named_params! { ":room": room, ":ids": ids },
        |row| row.get("user_id"),
    )
}

/// Those of these people who are not there for somebody: one of the two has blocked the other.
pub(in crate::chat) fn apart(
    tx: &ReadTx<'_>,
    viewer: UserId,
    people: &[UserId],
) -> Result<Vec<UserId>> {
    tx.all(
        "SELECT b.other_id
         FROM json_each(:ids) AS wanted
         JOIN blocked_pairs AS b ON b.user_id = :viewer AND b.other_id = wanted.value",
        named_params! { ":viewer": viewer, ":ids": ids_as_json(people)? },
        |row| row.get("other_id"),
    )
}

/// All who are not there for somebody, up to a limit: first those whom they block.
pub(in crate::chat) fn all_apart(
    tx: &ReadTx<'_>,
    viewer: UserId,
    limit: u32,
) -> Result<Vec<UserId>> {
    tx.all(
        "SELECT blocked_id AS other_id FROM blocks WHERE blocker_id = :viewer AND ended_at IS NULL
         UNION ALL
         SELECT blocker_id AS other_id FROM blocks WHERE blocked_id = :viewer AND ended_at IS NULL
         LIMIT :limit",
        named_params! { ":viewer": viewer, ":limit": limit },
        |row| row.get("other_id"),
    )
}

pub(super) fn ids_as_json(people: &[UserId]) -> Result<String> {
    let ids: Vec<i64> = people.iter().map(|id| id.get()).collect();
    serde_json::to_string(&ids).map_err(crate::error::Error::internal)
}

/// Notes that a member has said something, and so has read what was there.
pub(in crate::chat) fn put_sent(
    tx: &WriteTx<'_>,
    room: RoomId,
    user: UserId,
    number: u64,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE room_members
         SET read_number = :number, sent_at = :at
         WHERE room_id = :room AND user_id = :user",
        named_params! { ":room": room, ":user": user, ":number": number, ":at": at },
    )?;
    Ok(())
}

/// Notes what a member has read; true when it is more than before.
pub(in crate::chat) fn put_read(
    tx: &WriteTx<'_>,
    room: RoomId,
    user: UserId,
    number: u64,
) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE room_members
         SET read_number = :number
         WHERE room_id = :room AND user_id = :user AND read_number < :number",
        named_params! { ":room": room, ":user": user, ":number": number },
    )?;
    Ok(changed > 0)
}

/// Notes what has reached a member; true when it is more than before.
pub(in crate::chat) fn put_delivered(
    tx: &WriteTx<'_>,
    room: RoomId,
    user: UserId,
    number: u64,
) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE room_members
         SET delivered_number = :number
         WHERE room_id = :room AND user_id = :user
           AND delivered_number < :number AND read_number < :number",
        named_params! { ":room": room, ":user": user, ":number": number },
    )?;
    Ok(changed > 0)
}

/// Invites somebody; true when they were not before.
pub(in crate::chat) fn invite(
    tx: &WriteTx<'_>,
    room: RoomId,
    user: UserId,
    by: UserId,
    at: Timestamp,
) -> Result<bool> {
    let added = tx.execute(
        "INSERT INTO room_invitations (room_id, user_id, by_id, created_at)
         VALUES (:room, :user, :by, :at)
         ON CONFLICT DO NOTHING",
        named_params! { ":room": room, ":user": user, ":by": by, ":at": at },
    )?;
    Ok(added > 0)
}

/// Notes that an invitation was declined; true when there was one.
pub(in crate::chat) fn decline(tx: &WriteTx<'_>, room: RoomId, user: UserId) -> Result<bool> {
    let declined = tx.execute(
        "UPDATE room_invitations SET is_declined = 1
         WHERE room_id = :room AND user_id = :user AND is_declined = 0",
        named_params! { ":room": room, ":user": user },
    )?;
    Ok(declined > 0)
}

/// Ends the invitations to a room that were not made by who keeps order there.
pub(in crate::chat) fn end_casual_invitations(tx: &WriteTx<'_>, room: RoomId) -> Result<()> {
    tx.execute(
        "DELETE FROM room_invitations
         WHERE room_id = :room
           AND NOT EXISTS (SELECT 1 FROM room_members AS p
                           WHERE p.room_id = :room AND p.user_id = by_id AND p.role > 0)",
        named_params! { ":room": room },
    )?;
    Ok(())
}

/// How many invitations somebody has, counted up to a limit.
pub(in crate::chat) fn invited_count(tx: &ReadTx<'_>, user: UserId, limit: u32) -> Result<u32> {
    tx.one(
        "SELECT count(*)
         FROM (SELECT 1 FROM room_invitations WHERE user_id = :user AND is_declined = 0 LIMIT :limit)",
        named_params! { ":user": user, ":limit": limit },
        |row| row.get(0),
    )
}

/// Ends an invitation, however; true when there was one.
pub(in crate::chat) fn uninvite(tx: &WriteTx<'_>, room: RoomId, user: UserId) -> Result<bool> {
    let removed = tx.execute(
        "DELETE FROM room_invitations WHERE room_id = :room AND user_id = :user",
        named_params! { ":room": room, ":user": user },
    )?;
    Ok(removed > 0)
}

/// How many are invited to a room, counted up to a limit.
pub(in crate::chat) fn invitation_count(tx: &ReadTx<'_>, room: RoomId, limit: u32) -> Result<u32> {
    tx.one(
        "SELECT count(*) FROM (SELECT 1 FROM room_invitations WHERE room_id = :room LIMIT :limit)",
        named_params! { ":room": room, ":limit": limit },
        |row| row.get(0),
    )
}

fn prefixed(
    row: &Row<'_>,
    id: &str,
    username: &str,
    name: &str,
    avatar: &str,
) -> rusqlite::Result<Person> {
    let id: UserId = row.get(id)?;
    let own: Option<String> = row.get(avatar)?;
    Ok(Person {
        id,
        username: row.get(username)?,
        name: row.get(name)?,
        avatar: crate::links::Link::public(own.unwrap_or_else(|| users::sql::default_avatar(id))),
    })
}

fn invitation(row: &Row<'_>) -> rusqlite::Result<Invitation> {
    Ok(Invitation {
        room: room(row)?,
        person: prefixed(row, "user_id", "username", "user_name", "user_avatar")?,
        invited_by: prefixed(row, "by_id", "by_username", "by_name", "by_avatar")?,
        created_at: row.get("created_at")?,
    })
}

/// The invitations that somebody has, the newest first.
pub(in crate::chat) fn invitations_of(
    tx: &ReadTx<'_>,
    user: UserId,
    page: &Page,
) -> Result<Vec<Invitation>> {
    let after = page.after;
    tx.all(
        &format!(
            "SELECT {ROOM}, i.created_at, i.user_id, u.username, u.name AS user_name, u.avatar AS user_avatar,
                    i.by_id, b.username AS by_username, b.name AS by_name, b.avatar AS by_avatar
             FROM room_invitations AS i INDEXED BY room_invitations_by_user
             JOIN rooms AS r ON r.id = i.room_id
             JOIN users AS u ON u.id = i.user_id
             JOIN users AS b ON b.id = i.by_id
             WHERE i.user_id = :user AND i.is_declined = 0
               AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS x
                               WHERE x.user_id = :user AND x.other_id = i.by_id)
               AND (i.created_at, i.room_id) < (:rank, :id)
             ORDER BY i.created_at DESC, i.room_id DESC
             LIMIT :limit"
        ),
        named_params! {
            ":user": user,
            ":rank": after.map_or(i64::MAX, |cursor| cursor.rank),
            ":id": after.map_or(i64::MAX, |cursor| cursor.id),
            ":limit": page.fetch(),
        },
        invitation,
    )
}

/// Who is invited to a room, in the order of their ids.
pub(in crate::chat) fn invitations_to(
    tx: &ReadTx<'_>,
    room: RoomId,
    page: &Page,
) -> Result<Vec<Invitation>> {
    tx.all(
        &format!(
            "SELECT {ROOM}, i.created_at, i.user_id, u.username, u.name AS user_name, u.avatar AS user_avatar,
                    i.by_id, b.username AS by_username, b.name AS by_name, b.avatar AS by_avatar
             FROM room_invitations AS i
             JOIN rooms AS r ON r.id = i.room_id
             JOIN users AS u ON u.id = i.user_id
             JOIN users AS b ON b.id = i.by_id
             WHERE i.room_id = :room AND i.user_id > :above AND i.is_declined = 0
             ORDER BY i.user_id
             LIMIT :limit"
        ),
        named_params! { ":room": room, ":above": page.above(), ":limit": page.fetch() },
        invitation,
    )
}

/// What is done to somebody, and by whom.
pub(in crate::chat) struct NewSanction<'a> {
    pub(in crate::chat) room_id: RoomId,
    pub(in crate::chat) user_id: UserId,
    pub(in crate::chat) kind: Sanction,
    pub(in crate::chat) until: Option<Timestamp>,
    pub(in crate::chat) reason: Option<&'a str>,
    pub(in crate::chat) by: UserId,
    pub(in crate::chat) at: Timestamp,
}

pub(in crate::chat) fn put_sanction(tx: &WriteTx<'_>, new: &NewSanction<'_>) -> Result<()> {
    tx.execute(
        "INSERT INTO room_sanctions (room_id, user_id, kind, until, reason, by_id, created_at)
         VALUES (:room, :user, :kind, :until, :reason, :by, :at)
         ON CONFLICT (room_id, user_id, kind)
         DO UPDATE SET until = :until, reason = :reason, by_id = :by, created_at = :at",
        named_params! {
            ":room": new.room_id, ":user": new.user_id, ":kind": new.kind, ":until": new.until,
            ":reason": new.reason, ":by": new.by, ":at": new.at,
        },
    )?;
    Ok(())
}

/// Who muted or banned somebody.
pub(in crate::chat) fn sanctioned_by(
    tx: &ReadTx<'_>,
    room: RoomId,
    user: UserId,
    kind: Sanction,
) -> Result<Option<UserId>> {
    tx.optional(
        "SELECT by_id FROM room_sanctions
         WHERE room_id = :room AND user_id = :user AND kind = :kind",
        named_params! { ":room": room, ":user": user, ":kind": kind },
        |row| row.get("by_id"),
    )
}

pub(in crate::chat) fn end_sanction(
    tx: &WriteTx<'_>,
    room: RoomId,
    user: UserId,
    kind: Sanction,
) -> Result<bool> {
    let removed = tx.execute(
        "DELETE FROM room_sanctions WHERE room_id = :room AND user_id = :user AND kind = :kind",
        named_params! { ":room": room, ":user": user, ":kind": kind },
    )?;
    Ok(removed > 0)
}

/// Who is muted or banned, in the order of their ids.
pub(in crate::chat) fn sanctions(
    tx: &ReadTx<'_>,
    room: RoomId,
    now: Timestamp,
    page: &Page,
) -> Result<Vec<Sanctioned>> {
    tx.all(
        "SELECT s.kind, s.until, s.reason, s.created_at, u.id, u.username, u.name, u.avatar
         FROM room_sanctions AS s
         JOIN users AS u ON u.id = s.user_id
         WHERE s.room_id = :room AND (s.user_id, s.kind) > (:above, :rank)
           AND (s.until IS NULL OR s.until > :now)
         ORDER BY s.user_id, s.kind
         LIMIT :limit",
        named_params! {
            ":room": room, ":above": page.above(), ":rank": page.after.map_or(-1, |cursor| cursor.rank),
            ":now": now, ":limit": page.fetch(),
        },
        |row| {
            Ok(Sanctioned {
                person: users::sql::person(row)?,
                kind: row.get("kind")?,
                until: row.get("until")?,
                reason: row.get("reason")?,
                created_at: row.get("created_at")?,
            })
        },
    )
}
