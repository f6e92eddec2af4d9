//! What people choose of how they are found, and of whom they are shown.

use serde::{Deserialize, Serialize};

use super::{DiscoverySettings, sql};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::UserId;
use crate::store::{Command, WriteTx};
use crate::users;

/// People whom one person does not want suggested, at most; the oldest are forgotten.
const MAX_DISMISSED: u32 = 1_000;

/// Sets how somebody can be found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetDiscovery {
    pub user_id: UserId,
    pub settings: DiscoverySettings,
}

impl Command for SetDiscovery {
    const NAME: &'static str = "discovery.set";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        users::living(tx, self.user_id)?;
        sql::put_settings(tx, self.user_id, self.settings)
    }
}

/// Suggests a person to somebody no more; again changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DismissSuggestion {
    pub user_id: UserId,
    pub other_id: UserId,
    pub at: Timestamp,
}

impl Command for DismissSuggestion {
    const NAME: &'static str = "discovery.dismiss";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        users::living(tx, self.user_id)?;
        if self.user_id == self.other_id {
            return Err(Error::new(Code::UserNotFound));
        }
        users::visible(tx, self.user_id, self.other_id)?;
        sql::dismiss(tx, self.user_id, self.other_id, self.at, MAX_DISMISSED)
    }
}

/// Removes what a deleted account chose of how it is found, and that others did not want to see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EraseDiscovery {
    pub user_id: UserId,
    /// Rows, about.
    pub limit: u32,
}

impl Command for EraseDiscovery {
    const NAME: &'static str = "discovery.erase";
    /// Whether something is left.
    type Output = bool;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<bool> {
        if !users::is_to_be_erased(tx, self.user_id)? {
            return Ok(false);
        }
        sql::forget_settings(tx, self.user_id)?;
        let gone = sql::forget_dismissals(tx, self.user_id, self.limit)?;
        Ok(gone >= self.limit as usize)
    }
}
