//! The threads that decode, resize and encode: as many as there are cores, at low priority, behind a bounded queue.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use metrics::{counter, histogram};
use tokio::sync::{Semaphore, oneshot};
use tracing::error;

use crate::config;
use crate::error::{Code, Error, Result};

/// How long work may wait for a place in the queue.
const PATIENCE: Duration = Duration::from_secs(20);

type Job = Box<dyn FnOnce() + Send>;

/// What is left to do once somebody has their answer.
pub(super) type Rest = Box<dyn FnOnce() + Send>;

/// The way to the threads.
pub(super) struct Pool {
    queue: Sender<Job>,
    /// As many as the queue has places.
    places: Arc<Semaphore>,
}

impl Pool {
    /// The threads for pictures.
    pub(super) fn start(options: &config::Media) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = if options.workers == 0 {
            cores
        } else {
            options.workers as usize
        };
        Self::start_named("media", threads, options.queue_capacity as usize)
    }

    /// One thread for films, whose helper may take long: pictures do not wait for it.
    pub(super) fn start_for_films(options: &config::Media) -> Result<Self> {
        Self::start_named("films", 1, options.queue_capacity as usize)
    }

    fn start_named(name: &str, threads: usize, capacity: usize) -> Result<Self> {
        let capacity = capacity.max(1);
        let (queue, jobs) = bounded(capacity);
        for number in 0..threads {
            let jobs = jobs.clone();
            std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || run(&jobs))
                .map_err(Error::internal)?;
        }
        Ok(Self {
            queue,
            places: Arc::new(Semaphore::new(capacity)),
        })
    }

    /// Runs work for which somebody waits, and after the answer what is left of it.
    ///
    /// Errors: the work's own; `overloaded` when too much waits for too long: what was uploaded is worth some patience.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<(T, Option<Rest>)> + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.places).acquire_owned();
        let Ok(place) = tokio::time::timeout(PATIENCE, place).await else {
            counter!("socialhub_media_refused_total").increment(1);
            return Err(Error::new(Code::Overloaded).with_retry_after(2));
        };
        let place = place.map_err(Error::internal)?;
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move || {
            drop(place);
            // Whoever asked may have gone away; what nobody waits for is not begun.
            if reply.is_closed() {
                return;
            }
            let started = std::time::Instant::now();
            let rest = match work() {
                Ok((done, rest)) => {
                    reply.send(Ok(done)).ok();
                    rest
                }
                Err(error) => {
                    reply.send(Err(error)).ok();
                    None
                }
            };
            if let Some(rest) = rest {
                rest();
            }
            histogram!("socialhub_media_work_seconds").record(started.elapsed());
        });
        // Whoever has a place finds one.
        self.queue
            .try_send(job)
            .map_err(|_full| Error::internal("the media threads are gone"))?;
        answer.await.map_err(Error::internal)?
    }
}

fn run(jobs: &Receiver<Job>) {
    // On Linux this concerns the calling thread alone. Refused only where a sandbox forbids it; then it is no nicer.
    rustix::process::nice(5).ok();
    while let Ok(job) = jobs.recv() {
        // A decoder that panics on some picture takes nothing else along.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
            error!("A job of the media threads panicked");
        }
    }
}
