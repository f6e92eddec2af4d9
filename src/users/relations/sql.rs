//! The statements over `blocks` and `mutes`.

use rusqlite::named_params;

use super::super::sql::person;
use super::{BlockedPerson, Deed, MutedPerson};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::UserId;
use crate::page::Page;
use crate::store::{ReadTx, WriteTx};

pub(super) fn is_blocked_pair(tx: &ReadTx<'_>, one: UserId, other: UserId) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM blocked_pairs WHERE user_id = :one AND other_id = :other",
        named_params! { ":one": one, ":other": other },
    )
}

/// Those of these people with whom somebody is a blocked pair.
pub(super) fn blocked_among(tx: &ReadTx<'_>, of: UserId, people: &[UserId]) -> Result<Vec<UserId>> {
    let ids: Vec<i64> = people.iter().map(|id| id.get()).collect();
    let ids = serde_json::to_string(&ids).map_err(Error::internal)?;
    tx.all(
        "SELECT b.other_id
         FROM json_each(:ids) AS wanted
         JOIN blocked_pairs AS b ON b.user_id = :of AND b.other_id = wanted.value",
        named_params! { ":ids": ids, ":of": of },
        |row| row.get(0),
    )
}

/// Whether one blocks the other, this way round.
pub(super) fn is_blocking(tx: &ReadTx<'_>, blocker: UserId, blocked: UserId) -> Result<bool> {
    tx.exists(
        "SELECT 1
         FROM blocks
         WHERE blocker_id = :blocker AND blocked_id = :blocked AND ended_at IS NULL",
        named_params! { ":blocker": blocker, ":blocked": blocked },
    )
}

pub(super) fn count_blocks(tx: &ReadTx<'_>, blocker: UserId) -> Result<u64> {
    tx.one(
        "SELECT COUNT(*) AS count FROM blocks WHERE blocker_id = :blocker AND ended_at IS NULL",
        named_params! { ":blocker": blocker },
        |row| row.get("count"),
    )
}

/// Begins a block, or begins it again.
pub(super) fn put_block(
    tx: &WriteTx<'_>,
    blocker: UserId,
    blocked: UserId,
    at: Timestamp,
    event_seq: u64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO blocks (blocker_id, blocked_id, event_seq, began_at)
         VALUES (:blocker, :blocked, :event_seq, :at)
         ON CONFLICT (blocker_id, blocked_id) DO UPDATE
         SET event_seq = excluded.event_seq, began_at = excluded.began_at, ended_at = NULL",
        named_params! { ":blocker": blocker, ":blocked": blocked, ":event_seq": event_seq, ":at": at },
    )?;
    Ok(())
}

/// Ends a block; its row stays for a while.
pub(super) fn end_block(
    tx: &WriteTx<'_>,
    blocker: UserId,
    blocked: UserId,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE blocks SET ended_at = :at WHERE blocker_id = :blocker AND blocked_id = :blocked",
        named_params! { ":blocker": blocker, ":blocked": blocked, ":at": at },
    )?;
    Ok(())
}

/// Notes that one lets the other write to them, whatever their settings say.
pub(super) fn put_welcome(tx: &WriteTx<'_>, host: UserId, guest: UserId) -> Result<()> {
    tx.execute(
        "INSERT INTO welcomes (host_id, guest_id) VALUES (:host, :guest) ON CONFLICT DO NOTHING",
        named_params! { ":host": host, ":guest": guest },
    )?;
    Ok(())
}

pub(super) fn end_welcome(tx: &WriteTx<'_>, host: UserId, guest: UserId) -> Result<()> {
    tx.execute(
        "DELETE FROM welcomes WHERE host_id = :host AND guest_id = :guest",
        named_params! { ":host": host, ":guest": guest },
    )?;
    Ok(())
}

pub(super) fn is_welcome(tx: &ReadTx<'_>, host: UserId, guest: UserId) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM welcomes WHERE host_id = :host AND guest_id = :guest",
        named_params! { ":host": host, ":guest": guest },
    )
}

/// Those whom somebody blocks, the latest first.
pub(super) fn blocked(tx: &ReadTx<'_>, by: UserId, page: &Page) -> Result<Vec<BlockedPerson>> {
    tx.all(
        "SELECT b.event_seq, b.began_at, u.id, u.username, u.name, u.avatar
         FROM blocks AS b
         JOIN users AS u ON u.id = b.blocked_id
         WHERE b.blocker_id = :by AND b.ended_at IS NULL AND b.event_seq < :below
         ORDER BY b.event_seq DESC
         LIMIT :limit OFFSET :offset",
        named_params! { ":by": by, ":below": page.below(), ":limit": page.fetch(), ":offset": page.offset },
        |row| {
            Ok(BlockedPerson {
                person: person(row)?,
                blocked_at: row.get("began_at")?,
                event_seq: row.get("event_seq")?,
            })
        },
    )
}

/// The end of a mute that holds at `now`: `Some(None)` without an end, `None` when there is no such mute.
pub(super) fn find_mute(
    tx: &ReadTx<'_>,
    muter: UserId,
    muted: UserId,
    now: Timestamp,
) -> Result<Option<Option<Timestamp>>> {
    tx.optional(
        "SELECT ends_at
         FROM mutes
         WHERE muter_id = :muter AND muted_id = :muted AND (ends_at IS NULL OR ends_at > :now)",
        named_params! { ":muter": muter, ":muted": muted, ":now": now },
        |row| row.get("ends_at"),
    )
}

pub(super) fn count_mutes(tx: &ReadTx<'_>, muter: UserId, now: Timestamp) -> Result<u64> {
    tx.one(
        "SELECT COUNT(*) AS count
         FROM mutes
         WHERE muter_id = :muter AND (ends_at IS NULL OR ends_at > :now)",
        named_params! { ":muter": muter, ":now": now },
        |row| row.get("count"),
    )
}

/// Begins a mute, or sets its end.
pub(super) fn put_mute(
    tx: &WriteTx<'_>,
    muter: UserId,
    muted: UserId,
    until: Option<Timestamp>,
    at: Timestamp,
    event_seq: u64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO mutes (muter_id, muted_id, event_seq, began_at, ends_at)
         VALUES (:muter, :muted, :event_seq, :at, :until)
         ON CONFLICT (muter_id, muted_id) DO UPDATE
         SET event_seq = excluded.event_seq, began_at = excluded.began_at, ends_at = excluded.ends_at",
        named_params! {
            ":muter": muter, ":muted": muted, ":event_seq": event_seq, ":at": at, ":until": until,
        },
    )?;
    Ok(())
}

/// Those of these people who mute somebody.
pub(super) fn muters_among(
    tx: &ReadTx<'_>,
    of: UserId,
    people: &[UserId],
    now: Timestamp,
) -> Result<Vec<UserId>> {
    let ids: Vec<i64> = people.iter().map(|id| id.get()).collect();
    let ids = serde_json::to_string(&ids).map_err(Error::internal)?;
    tx.all(
        "SELECT m.muter_id
         FROM json_each(:ids) AS wanted
         JOIN mutes AS m ON m.muter_id = wanted.value AND m.muted_id = :of
         WHERE m.ends_at IS NULL OR m.ends_at > :now",
        named_params! { ":ids": ids, ":of": of, ":now": now },
        |row| row.get(0),
    )
}

/// Ends a mute; its row stays for a while.
pub(super) fn end_mute(
    tx: &WriteTx<'_>,
    muter: UserId,
    muted: UserId,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE mutes SET ends_at = :at WHERE muter_id = :muter AND muted_id = :muted",
        named_params! { ":muter": muter, ":muted": muted, ":at": at },
    )?;
    Ok(())
}

/// Those whom somebody mutes at `now`, the latest first; who blocks them meanwhile is not there.
pub(super) fn muted(
    tx: &ReadTx<'_>,
    by: UserId,
    now: Timestamp,
    page: &Page,
) -> Result<Vec<MutedPerson>> {
    tx.all(
        "SELECT m.event_seq, m.began_at, m.ends_at, u.id, u.username, u.name, u.avatar
         FROM mutes AS m
         JOIN users AS u ON u.id = m.muted_id
         WHERE m.muter_id = :by AND m.event_seq < :below AND (m.ends_at IS NULL OR m.ends_at > :now)
               AND NOT EXISTS (SELECT 1 FROM blocked_pairs WHERE user_id = :by AND other_id = m.muted_id)
         ORDER BY m.event_seq DESC
         LIMIT :limit OFFSET :offset",
        named_params! {
            ":by": by, ":now": now, ":below": page.below(), ":limit": page.fetch(), ":offset": page.offset,
        },
        |row| {
            Ok(MutedPerson {
                person: person(row)?,
                muted_at: row.get("began_at")?,
                muted_until: row.get("ends_at")?,
                event_seq: row.get("event_seq")?,
            })
        },
    )
}

/// The places of the deeds that are not to be told.
pub(super) fn untold(tx: &ReadTx<'_>, deeds: &[Deed]) -> Result<Vec<usize>> {
    let deeds: Vec<[i64; 3]> = deeds
        .iter()
        .map(|deed| [deed.told.get(), deed.actor.get(), deed.at.as_millis()])
        .collect();
    tx.all(
        "SELECT deed.key
         FROM json_each(:deeds) AS deed
         WHERE EXISTS (
             SELECT 1
             FROM mutes
             WHERE muter_id = deed.value ->> 0 AND muted_id = deed.value ->> 1
                   AND (ends_at IS NULL OR ends_at > deed.value ->> 2)
         ) OR EXISTS (
             SELECT 1
             FROM blocks
             WHERE blocker_id = deed.value ->> 0 AND blocked_id = deed.value ->> 1
                   AND (ended_at IS NULL OR ended_at > deed.value ->> 2)
         ) OR EXISTS (
             SELECT 1
             FROM blocks
             WHERE blocker_id = deed.value ->> 1 AND blocked_id = deed.value ->> 0
                   AND (ended_at IS NULL OR ended_at > deed.value ->> 2)
         )",
        named_params! { ":deeds": serde_json::to_string(&deeds).map_err(Error::internal)? },
        |row| row.get("key"),
    )
}

/// Forgets blocks and mutes that ended before this moment; how many.
pub(super) fn delete_ended(tx: &WriteTx<'_>, before: Timestamp, limit: u32) -> Result<usize> {
    let params = named_params! { ":before": before, ":limit": limit };
    let blocks = tx.execute(
        "DELETE FROM blocks
         WHERE (blocker_id, blocked_id) IN (
             SELECT blocker_id, blocked_id FROM blocks WHERE ended_at < :before ORDER BY ended_at LIMIT :limit
         )",
        params,
    )?;
    let mutes = tx.execute(
        "DELETE FROM mutes
         WHERE (muter_id, muted_id) IN (
             SELECT muter_id, muted_id FROM mutes WHERE ends_at < :before ORDER BY ends_at LIMIT :limit
         )",
        params,
    )?;
    Ok(blocks + mutes)
}
