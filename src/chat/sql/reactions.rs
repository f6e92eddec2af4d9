//! Emoji that people leave on messages.

use rusqlite::named_params;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{MessageId, UserId};
use crate::store::{ReadTx, WriteTx};

pub(in crate::chat) fn add_reaction(
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

pub(in crate::chat) fn remove_reaction(
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

/// How many reactions a message has.
pub(in crate::chat) fn reaction_total(tx: &ReadTx<'_>, id: MessageId) -> Result<u32> {
    tx.one(
        "SELECT count(*) FROM message_reactions WHERE message_id = :id",
        named_params! { ":id": id },
        |row| row.get(0),
    )
}

/// How many different emoji a message has from one person.
pub(in crate::chat) fn reaction_count(tx: &ReadTx<'_>, id: MessageId, user: UserId) -> Result<u32> {
    tx.one(
        "SELECT COUNT(*) FROM message_reactions WHERE message_id = :id AND user_id = :user",
        named_params! { ":id": id, ":user": user },
        |row| row.get(0),
    )
}
