//! Muted words and hashtags.

use rusqlite::{Row, named_params};

use super::super::{MutedKind, MutedTerm};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{MutedTermId, UserId};
use crate::store::{ReadTx, WriteTx};

fn term(row: &Row<'_>) -> rusqlite::Result<MutedTerm> {
    Ok(MutedTerm {
        id: row.get("id")?,
        kind: row.get("kind")?,
        text: row.get("text")?,
        key: row.get("key")?,
        muted_until: row.get("ends_at")?,
    })
}

/// What somebody mutes at `now`, the latest first: all that there may be.
pub(in crate::feed) fn muted_terms(
    tx: &ReadTx<'_>,
    user: UserId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<MutedTerm>> {
    tx.all(
        "SELECT id, kind, text, key, ends_at
         FROM muted_terms
         WHERE user_id = :user AND (ends_at IS NULL OR ends_at > :now)
         ORDER BY id DESC
         LIMIT :limit",
        named_params! { ":user": user, ":now": now, ":limit": limit },
        term,
    )
}

pub(in crate::feed) fn find_muted_term(
    tx: &ReadTx<'_>,
    user: UserId,
    kind: MutedKind,
    key: &str,
) -> Result<Option<MutedTerm>> {
    tx.optional(
        "SELECT id, kind, text, key, ends_at
         FROM muted_terms
         WHERE user_id = :user AND kind = :kind AND key = :key",
        named_params! { ":user": user, ":kind": kind, ":key": key },
        term,
    )
}

/// Forgets what somebody muted and what has ended.
pub(in crate::feed) fn forget_ended_terms(
    tx: &WriteTx<'_>,
    user: UserId,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "DELETE FROM muted_terms WHERE user_id = :user AND ends_at <= :now",
        named_params! { ":user": user, ":now": now },
    )?;
    Ok(())
}

/// Forgets what somebody muted; returns how many.
pub(in crate::feed) fn forget_terms(tx: &WriteTx<'_>, user: UserId) -> Result<usize> {
    tx.execute(
        "DELETE FROM muted_terms WHERE user_id = :user",
        named_params! { ":user": user },
    )
}

pub(in crate::feed) fn put_muted_term(
    tx: &WriteTx<'_>,
    user: UserId,
    term: &MutedTerm,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO muted_terms (id, user_id, kind, text, key, ends_at, created_at)
         VALUES (:id, :user, :kind, :text, :key, :ends_at, :at)
         ON CONFLICT (user_id, kind, key) DO UPDATE
         SET text = excluded.text, ends_at = excluded.ends_at",
        named_params! {
            ":id": term.id, ":user": user, ":kind": term.kind, ":text": term.text, ":key": term.key,
            ":ends_at": term.muted_until, ":at": at,
        },
    )?;
    Ok(())
}

pub(in crate::feed) fn delete_muted_term(
    tx: &WriteTx<'_>,
    user: UserId,
    id: MutedTermId,
) -> Result<bool> {
    let deleted = tx.execute(
        "DELETE FROM muted_terms WHERE id = :id AND user_id = :user",
        named_params! { ":id": id, ":user": user },
    )?;
    Ok(deleted > 0)
}
