//! The pool of read-only connections, each on a thread of its own, off the async threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use metrics::counter;
use rusqlite::Connection;
use tokio::sync::oneshot;
use tracing::error;

use super::cache::Cache;
use super::{ReadTx, closed};
use crate::config;
use crate::error::{Code, Error, Result};

/// Steps of SQLite's machine between two looks at the deadline: some tens of microseconds.
const STEPS_BETWEEN_CHECKS: i32 = 2_000;

type Job = Box<dyn FnOnce(&Reader) + Send>;

pub(super) struct Pool {
    queue: Mutex<Option<Sender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    closing: Arc<AtomicBool>,
}

struct Reader {
    connection: Connection,
    cache: Arc<Cache>,
    started: Instant,
    /// Milliseconds after `started` at which the present read must end.
    deadline_ms: Arc<AtomicU64>,
    timeout_ms: u64,
}

impl Pool {
    pub(super) fn start(
        options: &config::Store,
        cache: &Arc<Cache>,
        connect: impl Fn() -> rusqlite::Result<Connection>,
    ) -> Result<Self, super::OpenError> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let count = if options.readers == 0 {
            cores.max(2)
        } else {
            options.readers as usize
        };
        let (queue, jobs) = crossbeam_channel::bounded::<Job>(options.read_queue_capacity as usize);
        let mut threads = Vec::with_capacity(count);
        let closing = Arc::new(AtomicBool::new(false));
        for number in 0..count {
            let reader = Reader::new(
                connect()?,
                Arc::clone(cache),
                options.read_timeout_ms,
                Arc::clone(&closing),
            )?;
            let jobs = jobs.clone();
            threads.push(
                std::thread::Builder::new()
                    .name(format!("store-reader-{number}"))
                    .spawn(move || reader.run(&jobs))?,
            );
        }
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            threads: Mutex::new(threads),
            closing,
        })
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&ReadTx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |reader| {
            // A caller that has gone away needs no answer.
            if !reply.is_closed() {
                drop(reply.send(reader.read(query)));
            }
        });
        let queue = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .ok_or_else(closed)?;
        queue.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => {
                counter!("socialhub_store_reads_refused_total").increment(1);
                Error::new(Code::Overloaded)
            }
            TrySendError::Disconnected(_) => closed(),
        })?;
        drop(queue);
        answer.await.map_err(|_reader_gone| closed())?
    }

    /// Breaks off what is being read, since nobody is left to be told, and waits for the threads.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        drop(
            self.queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        for thread in self
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            if thread.join().is_err() {
                error!("A reader of the store panicked");
            }
        }
    }
}

impl Reader {
    fn new(
        connection: Connection,
        cache: Arc<Cache>,
        timeout_ms: u64,
        closing: Arc<AtomicBool>,
    ) -> rusqlite::Result<Self> {
        let started = Instant::now();
        let deadline_ms = Arc::new(AtomicU64::new(u64::MAX));
        let watched = Arc::clone(&deadline_ms);
        connection.progress_handler(
            STEPS_BETWEEN_CHECKS,
            Some(move || {
                millis(started.elapsed()) > watched.load(Ordering::Relaxed)
                    || closing.load(Ordering::Relaxed)
            }),
        )?;
        Ok(Self {
            connection,
            cache,
            started,
            deadline_ms,
            timeout_ms,
        })
    }

    fn run(&self, jobs: &Receiver<Job>) {
        for job in jobs {
            job(self);
        }
    }

    /// Runs one read in one snapshot, within its time.
    fn read<T>(&self, query: impl FnOnce(&ReadTx<'_>) -> Result<T>) -> Result<T> {
        let deadline = millis(self.started.elapsed()).saturating_add(self.timeout_ms);
        self.deadline_ms.store(deadline, Ordering::Relaxed);
        let tx = ReadTx::cached(&self.connection, self.cache.view());
        self.connection.prepare_cached("BEGIN")?.execute([])?;
        // The snapshot begins with the first statement that looks at a table: now, and not in the midst of the query.
        self.connection
            .prepare_cached("SELECT 1 FROM sqlite_schema LIMIT 0")?
            .exists([])?;
        let outcome = catch_unwind(AssertUnwindSafe(|| query(&tx)))
            .unwrap_or_else(|_panic| Err(Error::internal("a read panicked")));
        self.deadline_ms.store(u64::MAX, Ordering::Relaxed);
        self.connection.prepare_cached("ROLLBACK")?.execute([])?;
        outcome.map_err(|error| {
            if error.code() == Code::TimedOut {
                slow(error)
            } else {
                error
            }
        })
    }
}

fn slow(error: Error) -> Error {
    counter!("socialhub_store_reads_timed_out_total").increment(1);
    error
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
