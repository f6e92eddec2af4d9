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
