//! The threads that decode, resize and encode: as many as there are cores, at low priority, behind a bounded queue, and
//! with a bounded memory that they share.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
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

/// The memory that pictures may take while they are decoded, all together. Cheap to clone.
#[derive(Clone)]
pub(super) struct Budget {
    shared: Arc<Shares>,
}

struct Shares {
    total: u64,
    state: Mutex<Free>,
    changed: Condvar,
}

/// Whoever came first is served first: small pictures do not pass a large one by for ever.
struct Free {
    bytes: u64,
    next_ticket: u64,
    served_ticket: u64,
}

/// A part of the memory, given back when it is dropped.
pub(super) struct Share {
    budget: Budget,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(total: u64) -> Self {
        Self {
            shared: Arc::new(Shares {
                total,
                state: Mutex::new(Free {
                    bytes: total,
                    next_ticket: 0,
                    served_ticket: 0,
                }),
                changed: Condvar::new(),
            }),
        }
    }

    /// Waits until so much is free, or all, where that is less. Blocks; whoever waits holds no other share.
    pub(super) fn take(&self, bytes: u64) -> Share {
        let Shares {
            total,
            state,
            changed,
        } = &*self.shared;
        let bytes = bytes.min(*total);
        let mut free = state.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = free.next_ticket;
        free.next_ticket += 1;
        let mut free = changed
            .wait_while(free, |free| {
                free.served_ticket != ticket || free.bytes < bytes
            })
            .unwrap_or_else(PoisonError::into_inner);
        free.served_ticket += 1;
        free.bytes -= bytes;
        drop(free);
        changed.notify_all();
        Share {
            budget: self.clone(),
            bytes,
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Shares { state, changed, .. } = &*self.budget.shared;
        let mut free = state.lock().unwrap_or_else(PoisonError::into_inner);
        free.bytes += self.bytes;
        drop(free);
        changed.notify_all();
    }
}

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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn shares_never_add_up_to_more_than_there_is() {
        let (budget, taken) = (Budget::new(100), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for number in 0..8_u64 {
                let (budget, taken) = (budget.clone(), &taken);
                scope.spawn(move || {
                    for round in 0..500 {
                        let bytes = (number * 31 + round * 17) % 100 + 1;
                        let share = budget.take(bytes);
                        assert!(taken.fetch_add(bytes, Ordering::SeqCst) + bytes <= 100);
                        taken.fetch_sub(bytes, Ordering::SeqCst);
                        drop(share);
                    }
                });
            }
        });
        // All of it is there again; and what is larger than all gets all.
        assert_eq!(budget.take(1_000).bytes, 100);
    }

    #[test]
    fn a_large_one_is_not_passed_by_small_ones() {
        let budget = Budget::new(100);
        let first = budget.take(50);
        let order = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for (place, bytes) in [(1, 80), (2, 10)] {
                let (waiting, order) = (budget.clone(), &order);
                scope.spawn(move || {
                    let _share = waiting.take(bytes);
                    order.lock().unwrap().push(bytes);
                });
                // It stands in the queue.
                while budget.shared.state.lock().unwrap().next_ticket <= place {
                    std::thread::yield_now();
                }
            }
            drop(first);
        });
        let served = budget.shared.state.lock().unwrap().served_ticket;
        assert_eq!((served, order.into_inner().unwrap().len()), (3, 2));
    }
}
