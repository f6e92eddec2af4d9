//! Accounts that are deleted, and of whose belongings something may be left.
//!
//! Deleting an account hides all that was its alone at once. What it leaves in the rows of other domains (stories, lists,
//! choices) they remove themselves afterwards, some at a time, so that nobody waits for it; what it wrote to others stays,
//! without its name.

use serde::{Deserialize, Serialize};

use super::{Users, sql};
use crate::error::Result;
use crate::id::UserId;
use crate::store::{Command, ReadTx, WriteTx};

/// Notes that nothing is left of what a deleted account had.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EndErasure {
    pub user_id: UserId,
}

impl Command for EndErasure {
    const NAME: &'static str = "users.end_erasure";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        sql::end_erasure(tx, self.user_id)
    }
}

/// Whether what an account had is to be removed.
pub fn is_to_be_erased(tx: &ReadTx<'_>, user: UserId) -> Result<bool> {
    sql::is_to_be_erased(tx, user)
}

impl Users {
    /// Deleted accounts of which something may be left, some of them.
    pub async fn erasures(&self, limit: u32) -> Result<Vec<UserId>> {
        self.store.read(move |tx| sql::erasures(tx, limit)).await
    }

    /// Notes that nothing is left of what a deleted account had.
    pub async fn end_erasure(&self, user_id: UserId) -> Result<()> {
        self.store.submit(EndErasure { user_id }).await
    }
}
