//! For the tests of those who read the outbox: a store whose only command is to say that something happened.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Command, PruneOnce, PruneOutbox, Registry, Store, WriteTx};
use crate::clock::Timestamp;
use crate::config;
use crate::error::Result;
use crate::event::Event;

/// Says that these things happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Emit {
    pub(crate) at: Timestamp,
    pub(crate) events: Vec<Event>,
}

impl Command for Emit {
    const NAME: &'static str = "testing.emit";
    /// The sequences.
    type Output = Vec<u64>;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Vec<u64>> {
        self.events
            .iter()
            .map(|event| tx.emit(self.at, event.clone()))
            .collect()
    }
}

/// Runs statements as they stand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Execute(pub(crate) Vec<String>);

impl Command for Execute {
    const NAME: &'static str = "testing.execute";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        for statement in &self.0 {
            tx.execute(statement, [])?;
        }
        Ok(())
    }
}

/// A store in `dir` that knows these commands, its own, and those that `register` adds.
pub(crate) fn open(dir: &Path, register: impl FnOnce(&mut Registry)) -> Store {
    let mut registry = Registry::default();
    registry.add::<Emit>();
    registry.add::<Execute>();
    registry.add::<PruneOutbox>();
    registry.add::<PruneOnce>();
    register(&mut registry);
    let (store, _) = Store::open(dir, &config::Store::default(), registry)
        .expect("a fresh directory holds a store");
    store
}
