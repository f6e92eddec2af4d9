//! The events of committed commands, in the order of their commit.
//!
//! The rows stay for the log's retention, so that a lost event log is rebuilt from them. Which of them the log has is
//! the log's own knowledge (its newest sequence), so that nothing needs to be marked here after a flush there.

use rusqlite::{Row, named_params};
use serde::{Deserialize, Serialize};

use super::{Command, ReadTx, WriteTx};
use crate::clock::Timestamp;
use crate::error::Result;

/// One event as it was emitted.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    /// Its place in the order of commits; gaps are possible, repeats are not.
    pub seq: u64,
    /// [`Topic::as_str`](crate::event::Topic::as_str).
    pub topic: String,
    /// [`Event::key`](crate::event::Event::key).
    pub key: i64,
    /// When it happened.
    pub at: Timestamp,
    /// The contract's envelope, JSON.
    pub envelope: String,
}

fn row(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    Ok(OutboxRow {
        seq: row.get("seq")?,
        topic: row.get("topic")?,
        key: row.get("key")?,
        at: row.get("at")?,
        envelope: row.get("envelope")?,
    })
}

/// The events after `seq`, oldest first.
pub fn after(tx: &ReadTx<'_>, seq: u64, limit: u32) -> Result<Vec<OutboxRow>> {
    tx.all(
        "SELECT seq, topic, key, at, envelope
         FROM outbox
         WHERE seq > :seq
         ORDER BY seq
         LIMIT :limit",
        named_params! { ":seq": seq, ":limit": limit },
        row,
    )
}

/// The sequences in `after..=last`, in order.
pub fn sequences(tx: &ReadTx<'_>, after: u64, last: u64, limit: u32) -> Result<Vec<u64>> {
    tx.all(
        "SELECT seq
         FROM outbox
         WHERE seq > :after AND seq <= :last
         ORDER BY seq
         LIMIT :limit",
        named_params! { ":after": after, ":last": last, ":limit": limit },
        |row| row.get("seq"),
    )
}

/// The oldest and the newest sequence that are kept, if any.
pub fn span(tx: &ReadTx<'_>) -> Result<Option<(u64, u64)>> {
    let first = tx.optional("SELECT seq FROM outbox ORDER BY seq LIMIT 1", [], |row| {
        row.get(0)
    })?;
    let last = tx.optional(
        "SELECT seq FROM outbox ORDER BY seq DESC LIMIT 1",
        [],
        |row| row.get(0),
    )?;
    Ok(first.zip(last))
}

/// The newest sequence that was ever given, kept or not.
pub fn newest(tx: &ReadTx<'_>) -> Result<u64> {
    let seq = tx.optional(
        "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'",
        [],
        |row| row.get(0),
    )?;
    Ok(seq.unwrap_or(0))
}

/// The event of that sequence, if it is kept.
pub fn find(tx: &ReadTx<'_>, seq: u64) -> Result<Option<OutboxRow>> {
    tx.optional(
        "SELECT seq, topic, key, at, envelope
         FROM outbox
         WHERE seq = :seq",
        named_params! { ":seq": seq },
        row,
    )
}

/// Forgets events that are past retention and in the log: always the oldest, so that what is kept has no hole, even
/// where the clock stepped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PruneOutbox {
    /// Events from then on stay.
    pub before: Timestamp,
    /// The newest sequence that the event log has on disk; those after it stay.
    pub through: u64,
    /// Rows at most; a long backlog takes several commands.
    pub limit: u32,
}

impl Command for PruneOutbox {
    const NAME: &'static str = "store.prune_outbox";
    /// How many were forgotten.
    type Output = usize;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<usize> {
        tx.execute(
            "DELETE FROM outbox
             WHERE seq <= (
                 SELECT MAX(seq)
                 FROM (SELECT seq, at FROM outbox WHERE seq <= :through ORDER BY seq LIMIT :limit)
                 WHERE at < :before
             )",
            named_params! { ":through": self.through, ":before": self.before, ":limit": self.limit },
        )
    }
}
