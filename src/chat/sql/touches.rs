//! The order over all messages in which they were last written, edited or removed. Who derives something from messages
//! knows by it how far they have come: an event for each would cost as much as the message.

use rusqlite::named_params;

use crate::error::Result;
use crate::event::Event;
use crate::id::MessageId;
use crate::store::WriteTx;

/// Gives the next touch of any message its number.
pub(super) fn next_touch(tx: &WriteTx<'_>) -> Result<u64> {
    tx.one(
        "UPDATE message_touches SET last = last + 1 WHERE id = 1 RETURNING last",
        [],
        |row| row.get("last"),
    )
}

/// Notes that a message says something else than before.
pub(super) fn touch(tx: &WriteTx<'_>, id: MessageId) -> Result<()> {
    let touched = next_touch(tx)?;
    tx.execute(
        "UPDATE messages SET touched = :touched WHERE id = :id",
        named_params! { ":id": id, ":touched": touched },
    )?;
    tell_touch(tx, id, touched, false);
    Ok(())
}

/// Tells those who derive something from messages.
pub(super) fn tell_touch(tx: &WriteTx<'_>, message_id: MessageId, touched: u64, is_new: bool) {
    tx.signal(Event::MessageTouched {
        message_id,
        touched,
        is_new,
    });
}
