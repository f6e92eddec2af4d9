//! The ordered record of what happened, on sled, for those who derive something from it.
//!
//! * `database`: the trees, and the form of a record;
//! * `access`: the one way to the database, which shuts it when it is not to be trusted any more;
//! * `repair`: opening, and setting a damaged directory aside;
//! * `relay`: the way from the store's outbox to the log;
//! * `retention`: forgetting what is old, here and in the outbox;
//! * `derived`: a tree of one's own beside the log, for what is derived from it;
//! * `dead_letters`: events that a consumer could not take.
//!
//! Everything here is derived from SQLite and may be lost: a directory that is damaged, or that belongs to another state
//! of the database, is set aside and made again from the outbox. What the outbox no longer has is before
//! [`Reach::start`], and who derives from it must take it from the rows.
//!
//! The log knows no consumer: those wait on [`EventLog::reach`] and read [`EventLog::after`].
#![warn(missing_docs)]

mod access;
mod database;
mod dead_letters;
mod derived;
mod relay;
mod repair;
mod retention;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Timestamp};
use crate::config;
use crate::disk::DiskGuard;
use crate::error::{Error, Result};
use crate::event::{self, Event, Topic};
use crate::store::Store;
use crate::tasks::{Tasks, blocking, blocking_in_turn};

use access::Access;

pub use access::Fault;
pub use dead_letters::DeadLetter;
pub use derived::Derived;

/// The log's directory in the data directory.
pub const DIR: &str = "events";

/// One event in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the order of commits.
    pub seq: u64,
    /// The stream that it belongs to.
    pub topic: Topic,
    /// The id whose events stay in order.
    pub key: i64,
    /// When it happened.
    pub at: Timestamp,
    /// The contract's envelope, JSON.
    pub envelope: String,
}

impl Record {
    /// The event in the envelope.
    pub fn event(&self) -> Result<Event> {
        event::from_envelope(&self.envelope).map_err(Error::internal)
    }
}

/// A stretch of the log, some topics of it.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The sequence that it begins after.
    pub after: u64,
    /// Its records in order.
    pub records: Vec<Record>,
    /// The sequence that it reaches to, whether or not the last record has it.
    pub through: u64,
}

impl Batch {
    /// A batch that does nothing but move a position.
    pub fn empty(after: u64, through: u64) -> Self {
        Self {
            after,
            records: Vec::new(),
            through,
        }
    }
}

/// What the log holds on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Events up to this sequence are not there, or not all of them.
    pub start: u64,
    /// The newest sequence.
    pub end: u64,
}

/// The log's size, for an admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpan {
    /// The stream.
    pub topic: Topic,
    /// Its oldest sequence.
    pub first: Option<u64>,
    /// Its newest sequence.
    pub last: Option<u64>,
}

/// The log's handle; cheap to clone.
#[derive(Clone)]
pub struct EventLog {
    inner: Arc<Inner>,
}

struct Inner {
    access: Access,
    options: config::Events,
    guard: DiskGuard,
    clock: Clock,
    reach: watch::Sender<Option<Reach>>,
    /// Cancelled when the relay is no more.
    ended: CancellationToken,
}

impl EventLog {
    /// The log in `data_dir`. Touches no file: that is [`start`](Self::start)'s, so that a log in need of repair keeps
    /// nobody waiting.
    pub fn new(data_dir: &Path, options: &config::Events, guard: DiskGuard, clock: Clock) -> Self {
        Self {
            inner: Arc::new(Inner {
                access: Access::new(data_dir.join(DIR), guard.clone()),
                options: options.clone(),
                guard,
                clock,
                reach: watch::Sender::new(None),
                ended: CancellationToken::new(),
            }),
        }
    }

    /// Opens the log, moves into it what the outbox has, and keeps both within retention, until the process stops.
    pub fn start(&self, store: &Store, tasks: &Tasks) {
        let stopping = tasks.stopping().clone();
        let relay = relay::run(self.clone(), store.clone(), stopping.clone());
        let ends = self.inner.ended.clone().drop_guard();
        tasks.spawn("relay", async move {
            relay.await;
            drop(ends);
        });
        tasks.spawn(
            "retention",
            retention::run(self.clone(), store.clone(), stopping),
        );
    }

    /// What the log holds; `None` while it is not open. Changes with each batch that is on disk.
    pub fn reach(&self) -> watch::Receiver<Option<Reach>> {
        self.inner.reach.subscribe()
    }

    /// Whether the log is open and what is committed comes into it, for the health report.
    pub fn is_open(&self) -> bool {
        self.inner.access.is_open()
            && self.inner.reach.borrow().is_some()
            && !self.inner.ended.is_cancelled()
    }

    /// The events of these topics after `seq`, oldest first, at most `limit`.
    ///
    /// Errors: `repairing` while the log is not open.
    pub async fn after(&self, topics: &'static [Topic], seq: u64, limit: usize) -> Result<Batch> {
        let reach = *self.inner.reach.borrow();
        let end = reach.ok_or_else(access::closed)?.end;
        self.run_in_turn(move |database| Ok(database.after(topics, seq, end, limit)?))
            .await
    }

    /// The ends of each topic.
    pub async fn topics(&self) -> Result<Vec<TopicSpan>> {
        self.run(|database| Ok(database.spans()?)).await
    }

    /// A tree of one's own.
    pub fn derived(&self, name: &'static str) -> Derived {
        Derived::new(self.clone(), name)
    }

    /// Writes what is still in memory and closes the files. Blocks; after it the log stays closed.
    pub fn close(&self) {
        self.inner.access.close();
    }

    /// Whether there is room to write.
    fn check_room(&self) -> Result<()> {
        self.inner.guard.check()
    }

    /// Runs `work` on the database, off the async threads. For requests: see [`blocking`].
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&database::Database) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        blocking(move || inner.access.with(work)).await
    }

    /// Like [`run`](Self::run), for the tasks in the background: see [`blocking_in_turn`].
    async fn run_in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&database::Database) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        blocking_in_turn(move || inner.access.with(work)).await
    }
}

#[cfg(test)]
mod tests;
