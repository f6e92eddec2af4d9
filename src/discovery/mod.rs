//! How people find each other: the directory, whom to follow and why, and public posts for feed readers.
//!
//! * `directory`: the people who are here;
//! * `suggestions`: people whom those follow whom one follows, and who write of the same;
//! * `syndication`: the public posts of one person or with one hashtag, without an account, and `documents`, which writes
//!   them as Atom and RSS;
//! * `commands`, `sql`: what each has chosen, and how it is kept.
//!
//! Who does not want to be found says so ([`DiscoverySettings`]). Nobody is shown whom the one who looks blocks, is blocked
//! by, mutes or follows already, nor who is suspended; `sql` has these conditions in one place. Nothing here is remembered
//! beside the database, so that what somebody has chosen, hidden or taken back holds at once. What is looked at is bounded
//! everywhere, however many follow and write.

mod commands;
mod directory;
mod documents;
mod sql;
mod suggestions;
mod syndication;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::actor::Actor;
use crate::clock::Clock;
use crate::config;
use crate::error::Result;
use crate::id::UserId;
use crate::store::{Registry, Store};

pub use commands::{DismissSuggestion, EraseDiscovery, SetDiscovery};
pub use directory::Order;
pub use documents::Format;
pub use suggestions::{Reason, Suggestion};
pub use syndication::{Source, Syndicated};

/// How somebody can be found; who has said nothing, in every way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiscoverySettings {
    /// Whether one stands in the directory.
    pub is_listed: bool,
    /// Whether one is suggested to others.
    pub is_suggested: bool,
    /// Whether one's public posts can be read as Atom and RSS, without an account.
    pub is_syndicated: bool,
}

impl Default for DiscoverySettings {
    fn default() -> Self {
        Self {
            is_listed: true,
            is_suggested: true,
            is_syndicated: true,
        }
    }
}

/// Rows that one command removes of what a deleted account chose.
const ERASE_STEP: u32 = 200;

/// The handle; cheap to clone.
#[derive(Clone)]
pub struct Discovery {
    store: Store,
    clock: Clock,
    options: config::Discovery,
    /// What stands before the addresses of posts and people, without a slash at the end.
    public_url: Arc<str>,
}

/// Adds this module's commands.
pub fn register(registry: &mut Registry) {
    registry.add::<SetDiscovery>();
    registry.add::<DismissSuggestion>();
    registry.add::<EraseDiscovery>();
}

impl Discovery {
    /// Over this store; `public_url` is where people reach the server, without a slash at the end.
    pub fn new(
        store: Store,
        clock: Clock,
        options: &config::Discovery,
        public_url: String,
    ) -> Self {
        Self {
            store,
            clock,
            options: options.clone(),
            public_url: public_url.into(),
        }
    }

    /// How somebody can be found.
    pub async fn settings(&self, user: UserId) -> Result<DiscoverySettings> {
        self.store.read(move |tx| sql::settings(tx, user)).await
    }

    /// Sets how one can be found.
    pub async fn set(&self, actor: &Actor, settings: DiscoverySettings) -> Result<()> {
        let command = SetDiscovery {
            user_id: actor.user_id,
            settings,
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Removes what a deleted account chose of how it is found, and that others did not want to see it.
    pub async fn erase(&self, user_id: UserId) -> Result<()> {
        let command = EraseDiscovery {
            user_id,
            limit: ERASE_STEP,
        };
        while self.store.submit(command.clone()).await? {}
        Ok(())
    }
}
