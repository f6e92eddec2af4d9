//! Threads for one kind of work: a few, with a bounded queue before them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, TrySendError};
use metrics::counter;
use tokio::sync::oneshot;
use tracing::error;

use crate::error::{Code, Error, Result};

/// What may wait to be written: the log, the messages, the rows that are filled in, each one thing at a time.
const WRITERS_WAITING: u32 = 64;

type Job = Box<dyn FnOnce() + Send>;

pub(super) struct Pool {
    queue: Mutex<Option<Sender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Pool {
    /// The threads on which is searched: so many (0 means one per processor core), and so many searches that may wait for
    /// them.
    pub(super) fn to_search(threads: u32, capacity: u32) -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let count = if threads == 0 {
            cores
        } else {
            threads as usize
        };
        Self::start("search", count, capacity, || {})
    }

    /// The thread on which the index is written, one thing after the other. Those who talk go before what can be found of
    /// it: where the machine is busy it waits, and catches up later. The threads that tantivy starts from this one to
    /// write, and to merge what is written, are like it.
    pub(super) fn to_write() -> std::io::Result<Self> {
        Self::start("index", 1, WRITERS_WAITING, || {
            // On Linux this concerns the calling thread alone. Refused only where a sandbox forbids it; then it is no nicer.
            rustix::process::nice(10).ok();
        })
    }

    fn start(name: &str, count: usize, capacity: u32, begin: fn()) -> std::io::Result<Self> {
        let (queue, jobs) = crossbeam_channel::bounded::<Job>(capacity.max(1) as usize);
        let threads = (0..count).map(|number| {
            let jobs = jobs.clone();
            std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || {
                    begin();
                    jobs.iter().for_each(|job| job());
                })
        });
        Ok(Self {
            threads: Mutex::new(threads.collect::<std::io::Result<_>>()?),
            queue: Mutex::new(Some(queue)),
        })
    }

    /// Runs `work` on one of them. Errors: the work's own; `overloaded` when too much waits; a panic is an internal one.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let gone = || Error::new(Code::NotReady);
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move || {
            if reply.is_closed() {
                return;
            }
            let outcome = catch_unwind(AssertUnwindSafe(work))
                .unwrap_or_else(|_panic| Err(Error::internal("a thread of the search panicked")));
            // Who asked may have gone away.
            drop(reply.send(outcome));
        });
        let queue = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .ok_or_else(gone)?;
        queue.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => {
                counter!("socialhub_searches_refused_total").increment(1);
                Error::new(Code::Overloaded)
            }
            TrySendError::Disconnected(_) => gone(),
        })?;
        drop(queue);
        answer.await.map_err(|_thread_gone| gone())?
    }

    /// Lets what is queued end, and waits for the threads. Blocks.
    pub(super) fn close(&self) {
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
                error!("A thread of the search panicked");
            }
        }
    }
}
