//! A tree beside the log for what somebody derives from it. What is written there is on disk when the log's next batch
//! is, or later; what a crash takes, the log gives again.
//!
//! sled may lose pages of a damaged file without a word. Who derives should be able to tell ([`Fault::damage`]).

use std::sync::Arc;

use super::{EventLog, Fault};
use crate::error::Result;
use crate::tasks::blocking;

/// A handle to one tree; cheap to clone. The tree is empty again when the database had to be set aside.
#[derive(Clone)]
pub struct Derived {
    log: EventLog,
    name: &'static str,
}

impl Derived {
    pub(super) fn new(log: EventLog, name: &'static str) -> Self {
        Self { log, name }
    }

    /// How often the database was opened; another number than before means that the tree may be another one.
    pub fn openings(&self) -> u64 {
        self.log.inner.access.openings()
    }

    /// Reads from the tree, off the async threads.
    ///
    /// Errors: the reader's own; `repairing` while the database is not open.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&sled::Tree) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let name = self.name;
        self.log
            .run(move |database| work(&database.tree(name)?))
            .await
    }

    /// Like [`read`](Self::read), for work that also writes.
    ///
    /// Errors: moreover `storage_full` when there is no room.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&sled::Tree) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let name = self.name;
        let inner = Arc::clone(&self.log.inner);
        blocking(move || {
            inner.guard.check()?;
            inner.access.with(|database| work(&database.tree(name)?))
        })
        .await
    }
}
