//! SQLite, the truth. Reads run on a pool of read-only connections; every write is a [`Command`] that one writer thread
//! applies, many to a commit.
//!
//! * `command`: what a write is, and the registry that knows them all by name;
//! * `tx`: what a read and a write may do inside a transaction;
//! * `writer`: the group commit;
//! * `readers`: the pool;
//! * `cache`: rows that the readers find in memory;
//! * `outbox`: the events that commands emit, in the order of their commit;
//! * `once`: repeats of a request that must happen once;
//! * `migrate`: the schema.
//!
//! The store has never heard of any domain, nor of the event log: those above wait on [`Store::commits`] and read
//! [`outbox`], or [observe](Store::observe) what is committed.
#![warn(missing_docs)]

mod cache;
mod command;
mod errors;
mod migrate;
mod once;
pub mod outbox;
mod readers;
#[cfg(test)]
pub(crate) mod testing;
mod tx;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::watch;

use crate::config;
use crate::disk::DiskGuard;
use crate::error::{Error, Result};

pub use cache::CachedRow;
pub use command::{Command, Encoded, Registry};
pub use errors::is_unique_violation;
pub use migrate::{MigrateError, Migrated, SCHEMA_VERSION};
pub use once::{Once, PruneOnce};
pub use outbox::PruneOutbox;
pub use tx::{ReadTx, WriteTx};
pub use writer::{Committed, Observer};

/// The database's file in the data directory.
pub const FILE: &str = "socialhub.db";

/// The store's handle; cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writer: writer::Handle,
    readers: readers::Pool,
    cache: Arc<cache::Cache>,
    registry: Arc<Registry>,
    write_timeout: Duration,
}

impl Store {
    /// Migrates the database in `dir` (made when absent) and starts the writer and the readers.
    pub fn open(
        dir: &Path,
        options: &config::Store,
        registry: Registry,
    ) -> Result<(Self, Migrated), OpenError> {
        let path = dir.join(FILE);
        make_private(&path)?;
        let mut connection = connect(&path, OpenFlags::default(), options)?;
        let migrated = migrate::migrate(&mut connection, dir)?;
        let registry = Arc::new(registry);
        let guard = DiskGuard::new(dir, options.reserve_bytes);
        let cache_bytes = u64::from(options.row_cache_mib) * 1024 * 1024;
        let cache = Arc::new(cache::Cache::new(&registry, cache_bytes));
        cache.watch(&connection)?;
        let writer = writer::Handle::start(
            connection,
            options,
            guard,
            Arc::clone(&registry),
            Arc::clone(&cache),
        )?;
        let readers = readers::Pool::start(options, &cache, || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = connect(&path, flags, options)?;
            connection.pragma_update(None, "query_only", true)?;
            Ok(connection)
        })?;
        let write_timeout = Duration::from_millis(options.write_timeout_ms);
        let inner = Inner {
            writer,
            readers,
            cache,
            registry,
            write_timeout,
        };
        Ok((
            Self {
                inner: Arc::new(inner),
            },
            migrated,
        ))
    }

    /// Applies a command; returns after its commit is on the disk.
    ///
    /// Errors: what the command itself decided; `overloaded` when the queue is full, `timed_out` when its turn did not
    /// come in time, `storage_full` when there is no room. In each of these cases nothing was written. A caller that
    /// goes away meanwhile changes nothing.
    pub async fn submit<C: Command>(&self, command: C) -> Result<C::Output> {
        self.submit_once(command, None).await
    }

    /// Like [`submit`](Self::submit); with a `once`, a repeat of the same request gets the first one's output.
    pub async fn submit_once<C: Command>(
        &self,
        command: C,
        once: Option<Once>,
    ) -> Result<C::Output> {
        debug_assert!(
            self.inner.registry.contains(C::NAME),
            "{} is not registered",
            C::NAME
        );
        let deadline = Instant::now() + self.inner.write_timeout;
        self.inner.writer.submit(command, once, deadline).await
    }

    /// What a request that must happen once gave the first time, if there was a first time. Only where the request cannot
    /// be prepared a second time: otherwise the command finds it out by itself.
    pub async fn find_output<C: Command>(&self, once: Option<&Once>) -> Result<Option<C::Output>> {
        let Some(once) = once.cloned() else {
            return Ok(None);
        };
        self.read(move |tx| once::find_output::<C>(&once, tx)).await
    }

    /// Applies a command that arrives in its serialised form; the output is serialised likewise.
    pub async fn submit_encoded(&self, encoded: Encoded) -> Result<serde_json::Value> {
        let deadline = Instant::now() + self.inner.write_timeout;
        self.inner.writer.submit_encoded(encoded, deadline).await
    }

    /// Runs a read on one of the read-only connections, in one snapshot.
    ///
    /// Errors: what the read itself decided; `overloaded` when too many wait, `timed_out` when it ran too long.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&ReadTx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.inner.readers.read(query).await
    }

    /// Holds the sequence of the newest committed event; changes with each commit that emitted one.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.inner.writer.commits()
    }

    /// Calls `observer` with the events of each commit, on the writer's thread, after the commit and before the callers
    /// get their answers: for state in memory that must not lag. It must be quick and must not wait.
    pub fn observe(&self, observer: Observer) {
        self.inner.writer.observe(observer);
    }

    /// Whether the writer still works; asked by the health report.
    pub fn is_alive(&self) -> bool {
        self.inner.writer.is_alive()
    }

    /// Whether there is room to write.
    pub fn check_room(&self) -> Result<()> {
        self.inner.writer.check_room()
    }

    /// Sets the gauges of the rows in memory, before the metrics are read.
    pub fn measure(&self) {
        self.inner.cache.measure();
    }

    /// The names of all commands.
    pub fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    /// Finishes the writes that are queued, breaks off the reads, refuses what comes after, and closes the connections.
    /// Blocks.
    pub fn close(&self) {
        // The readers first, so that the writer's last checkpoint has nobody's snapshot to spare.
        self.inner.readers.close();
        self.inner.writer.close();
    }
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite would not open or read the file.
    #[error("cannot open the database")]
    Sqlite(#[from] rusqlite::Error),
    /// The schema could not be brought up to date.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The file could not be made, or a thread not started.
    #[error("cannot open the store")]
    Io(#[from] std::io::Error),
}

/// Makes a new database's file, for its owner alone; the files that SQLite puts beside it follow its mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}

/// Opens a connection with the settings that all of ours share.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that opens connections"
)]
fn connect(
    path: &PathBuf,
    flags: OpenFlags,
    options: &config::Store,
) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(256);
    if !flags.contains(OpenFlags::SQLITE_OPEN_READ_ONLY) {
        // Readers go on while the writer writes; a commit is one append and one fsync.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // NORMAL would lose the newest commits with the power; an acknowledged write must not be lost.
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Checkpoint after 16 MiB rather than 4: fewer fsyncs of the main file under load.
        connection.pragma_update(None, "wal_autocheckpoint", 4096)?;
        // A burst may grow the log file; give the room back afterwards.
        connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    }
    connection.pragma_update(None, "foreign_keys", true)?;
    // Negative means KiB.
    connection.pragma_update(None, "cache_size", -i64::from(options.cache_kib))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Nothing ever gathers statistics (ANALYZE, PRAGMA optimize): without them the plans are those that the tests have
    // read, on every node, and no table depends on when a process was stopped.
    // A function hidden in a tampered schema shall not run.
    connection.pragma_update(None, "trusted_schema", false)?;
    // Only a foreign tool (a shell, a backup) can hold the lock that the writer wants.
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// The error for a store whose threads have ended.
fn closed() -> Error {
    Error::new(crate::error::Code::NotReady)
}
