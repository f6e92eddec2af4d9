//! The writes of notifications: what people did with theirs.

use serde::{Deserialize, Serialize};

use super::sql;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::event::{Event, Mark};
use crate::id::UserId;
use crate::store::{Command, WriteTx};

/// Notifications that one command marks at most.
pub const MAX_MARKED: usize = 1_000;

/// Marks some of a person's notifications.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MarkNotifications {
    pub user_id: UserId,
    /// At most [`MAX_MARKED`].
    pub ids: Vec<u64>,
    pub mark: Mark,
    pub at: Timestamp,
    /// Those up to this one are gone already, being too many or too old, so that what was marked of them can be
    /// forgotten.
    pub forget_below: u64,
}

impl Command for MarkNotifications {
    const NAME: &'static str = "notifications.mark";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        if self.ids.len() > MAX_MARKED {
            return Err(Error::internal(
                "more notifications at once than one command marks",
            ));
        }
        let mut marked = sql::watermarks(tx, self.user_id)?;
        if self.forget_below > marked.deleted_through {
            marked.deleted_through = self.forget_below;
            sql::put_watermarks(tx, self.user_id, marked)?;
            sql::forget_marks(tx, self.user_id, self.forget_below, Mark::Deleted)?;
        }
        let known = match self.mark {
            Mark::Read => marked.deleted_through.max(marked.read_through),
            Mark::Deleted => marked.deleted_through,
        };
        let mut ids = Vec::new();
        for id in self.ids.iter().copied().filter(|id| *id > known) {
            if sql::put_mark(tx, self.user_id, id, self.mark)? {
                ids.push(id);
            }
        }
        if !ids.is_empty() {
            let event = Event::NotificationsMarked {
                user_id: self.user_id,
                ids,
                mark: self.mark,
            };
            tx.emit(self.at, event)?;
        }
        Ok(())
    }
}

/// Marks all of a person's notifications up to one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MarkAllNotifications {
    pub user_id: UserId,
    pub through: u64,
    pub mark: Mark,
    pub at: Timestamp,
}

impl Command for MarkAllNotifications {
    const NAME: &'static str = "notifications.mark_all";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        let mut marked = sql::watermarks(tx, self.user_id)?;
        let through = match self.mark {
            Mark::Read => &mut marked.read_through,
            Mark::Deleted => &mut marked.deleted_through,
        };
        if self.through <= *through {
            return Ok(());
        }
        *through = self.through;
        sql::put_watermarks(tx, self.user_id, marked)?;
        sql::forget_marks(tx, self.user_id, self.through, self.mark)?;
        let event = Event::NotificationsAllMarked {
            user_id: self.user_id,
            through: self.through,
            mark: self.mark,
        };
        tx.emit(self.at, event)?;
        Ok(())
    }
}
