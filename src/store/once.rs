//! Requests that must happen once (`Idempotency-Key`): the key is recorded in the command's own transaction, together
//! with the command's output, so that it survives a kill exactly when the change does.

use rusqlite::named_params;
use serde::{Deserialize, Serialize};

use super::{Command, ReadTx, WriteTx};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::UserId;

/// Identifies one request of one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Once {
    /// Whose key it is: two people may use the same.
    pub user_id: UserId,
    /// What the client sent.
    pub key: String,
    /// A hash of method, path and body, in hexadecimal: tells another request under the same key.
    pub fingerprint: String,
    /// When the request arrived.
    pub at: Timestamp,
    /// Until when a repeat gets the first one's output.
    pub expires_at: Timestamp,
}

/// Applies `command`, or gives the output that the same request had before.
pub(super) fn apply<C: Command>(
    command: &C,
    once: Option<&Once>,
    tx: &WriteTx<'_>,
) -> Result<C::Output> {
    let Some(once) = once else {
        return command.apply(tx);
    };
    if let Some(output) = find_output::<C>(once, tx)? {
        return Ok(output);
    }
    let output = command.apply(tx)?;
    let kept = serde_json::to_string(&output).map_err(Error::internal)?;
    tx.execute(
        "INSERT OR REPLACE INTO once (user_id, key, fingerprint, output, expires_at)
         VALUES (:user_id, :key, :fingerprint, :output, :expires_at)",
        named_params! {
            ":user_id": once.user_id, ":key": once.key, ":fingerprint": once.fingerprint,
            ":output": kept, ":expires_at": once.expires_at,
        },
    )?;
    Ok(output)
}

/// The output that the same request had before, if any.
pub(super) fn find_output<C: Command>(once: &Once, tx: &ReadTx<'_>) -> Result<Option<C::Output>> {
    let Some((fingerprint, output)) = find(tx, once)? else {
        return Ok(None);
    };
    if fingerprint != once.fingerprint {
        return Err(Error::new(Code::IdempotencyMismatch));
    }
    serde_json::from_str(&output)
        .map(Some)
        .map_err(Error::internal)
}

fn find(tx: &ReadTx<'_>, once: &Once) -> Result<Option<(String, String)>> {
    tx.optional(
        "SELECT fingerprint, output
         FROM once
         WHERE user_id = :user_id AND key = :key AND expires_at > :at",
        named_params! { ":user_id": once.user_id, ":key": once.key, ":at": once.at },
        |row| Ok((row.get("fingerprint")?, row.get("output")?)),
    )
}

/// Forgets keys whose time is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PruneOnce {
    /// The present moment.
    pub at: Timestamp,
    /// Rows at most; a long backlog takes several commands.
    pub limit: u32,
}

impl Command for PruneOnce {
    const NAME: &'static str = "store.prune_once";
    /// How many were forgotten.
    type Output = usize;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<usize> {
        tx.execute(
            "DELETE FROM once
             WHERE (user_id, key) IN (
                 SELECT user_id, key FROM once WHERE expires_at <= :at ORDER BY expires_at, user_id, key LIMIT :limit
             )",
            named_params! { ":at": self.at, ":limit": self.limit },
        )
    }
}
