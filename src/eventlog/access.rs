//! The one way to the database. A failure of sled's shuts it: its errors are sticky, and after a panic nobody knows what
//! it holds. The relay opens it again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use tokio::sync::Notify;
use tracing::{error, warn};

use super::database::Database;
use crate::disk::DiskGuard;
use crate::error::{Code, Error, Result};

/// Why work on the database failed: sled's doing, or the worker's own decision.
#[derive(Debug)]
pub enum Fault {
    /// The database failed; it is opened again, or made anew.
    Sled(sled::Error),
    /// Anything else.
    Own(Error),
}

impl Fault {
    /// What is read cannot be what was written: the database is to be made anew.
    pub fn damage() -> Self {
        Self::Sled(sled::Error::Corruption { at: None, bt: () })
    }
}

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        Self::Sled(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Own(error)
    }
}

/// What is to be made of the directory when it is opened next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// As it is.
    Sound,
    /// To be read through first.
    Doubtful,
    /// Not at all, and why.
    Damaged(String),
}

pub(super) struct Access {
    dir: PathBuf,
    guard: DiskGuard,
    database: RwLock<Option<Database>>,
    trust: Mutex<Trust>,
    shut: Notify,
    /// How often it was opened.
    openings: AtomicU64,
}

impl Access {
    pub(super) fn new(dir: PathBuf, guard: DiskGuard) -> Self {
        Self {
            dir,
            guard,
            database: RwLock::default(),
            trust: Mutex::new(Trust::Sound),
            shut: Notify::new(),
            openings: AtomicU64::new(0),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// How often the database was opened; another number means that it may be another one.
    pub(super) fn openings(&self) -> u64 {
        self.openings.load(Ordering::SeqCst)
    }

    pub(super) fn is_open(&self) -> bool {
        self.database
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    /// Runs `work` on the database. Blocks.
    ///
    /// Errors: the worker's own; `repairing` while the database is not open and when it fails, in which case it is shut.
    pub(super) fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, Fault>) -> Result<T> {
        let outcome = {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            let database = database.as_ref().ok_or_else(closed)?;
            catch_unwind(AssertUnwindSafe(|| work(database)))
        };
        match outcome {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(Fault::Own(error))) => Err(error),
            Ok(Err(Fault::Sled(error))) => {
                let trust = match &error {
                    sled::Error::Io(_) => Trust::Doubtful,
                    damage => Trust::Damaged(damage.to_string()),
                };
                warn!(error = %error, "The event log's database failed and is closed");
                self.shut(trust);
                Err(closed().with_source(error))
            }
            // Sled's or the worker's: the next opening tells, since it reads everything.
            Err(_panic) => {
                error!(
                    "Work on the event log's database panicked; it is closed and will be checked"
                );
                self.shut(Trust::Doubtful);
                // Where there is no room, that is why: nobody is to blame an event for it.
                self.guard.check()?;
                Err(Error::internal("work on the event log panicked"))
            }
        }
    }

    /// Waits until the database was shut by a failure.
    pub(super) async fn was_shut(&self) {
        self.shut.notified().await;
    }

    /// What to make of the directory.
    pub(super) fn trust(&self) -> Trust {
        self.trust
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Closes the database until it is opened again. Blocks.
    pub(super) fn shut(&self, trust: Trust) {
        {
            let mut known = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
            // What is known to be damaged does not become better by failing differently.
            if !matches!(*known, Trust::Damaged(_)) {
                *known = trust;
            }
        }
        self.close();
        self.shut.notify_one();
    }

    /// The directory is a new one: what was known of the old one is void.
    pub(super) fn renew(&self) {
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner) = Trust::Sound;
    }

    /// Puts an opened database in place.
    pub(super) fn install(&self, opened: Database) {
        self.renew();
        self.openings.fetch_add(1, Ordering::SeqCst);
        *self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(opened);
    }

    /// Writes what is in memory and closes the files. Blocks.
    pub(super) fn close(&self) {
        let database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let closed = catch_unwind(AssertUnwindSafe(|| {
            if let Some(database) = database
                && let Err(error) = database.flush()
            {
                warn!(error = %error, "The event log could not be written to the end; what is missing comes again");
            }
        }));
        if closed.is_err() {
            warn!("The event log's database panicked while it was closed");
        }
    }
}

/// The error for a log that is not open.
pub(super) fn closed() -> Error {
    Error::new(Code::Repairing)
}
