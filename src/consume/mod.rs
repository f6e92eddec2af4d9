//! Runs those who derive something from the event log: at least once delivered, once in effect, since each keeps its
//! position together with what it derives.
//!
//! A [`Consumer`] says what to do with a batch; `runner` decides when, tries again what failed, and passes over what
//! cannot be taken; one file for each consumer ties a domain to it. The domains below know nothing of this.
#![warn(missing_docs)]

mod notifications;
mod runner;
mod search;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config;
use crate::error::{Code, Error, Result};
use crate::event::Topic;
use crate::eventlog::{Batch, DeadLetter, EventLog};
use crate::store::Store;
use crate::tasks::Tasks;

use runner::Runner;

/// Who derives something from the event log.
///
/// An error of kind `Unavailable` or `StorageFull` means "not now": the same batch comes again until it succeeds. Any
/// other error, and a panic, is taken for the event's fault: it comes again a few times, then it is passed over.
pub trait Consumer: Send + Sync + 'static {
    /// Its name, for good: positions and dead letters go by it.
    fn name(&self) -> &'static str;

    /// What it wants to know.
    fn topics(&self) -> &'static [Topic];

    /// The sequence up to which it has applied everything; `None` when it has nothing at all.
    fn position(&self) -> impl Future<Output = Result<Option<u64>>> + Send;

    /// Takes from the rows what the log no longer tells, events up to `through`, which then is its position. What it has
    /// already may stay.
    fn rebuild(&self, through: u64) -> impl Future<Output = Result<()>> + Send;

    /// Applies the records, if any, and moves the position to the batch's end: both or neither. Records that were
    /// applied before change nothing. A batch that does not begin at its position is refused as `Unavailable`.
    fn apply(&self, batch: Batch) -> impl Future<Output = Result<()>> + Send;

    /// Waits until it wants to be asked for its position although nothing happened: it lost what it had, say.
    fn stirred(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// How a consumer is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ConsumerStatus)]
pub struct Status {
    /// Its name.
    pub name: &'static str,
    /// The sequence up to which it has applied everything; null while it has nothing.
    #[schema(required)]
    pub position: Option<u64>,
    /// Events in the log that it has not reached.
    pub lag: u64,
    /// Events that it passed over.
    pub dead_letters: u64,
    /// What went wrong at the last attempt; null when it went well.
    #[schema(required)]
    pub error: Option<String>,
}

/// All consumers; cheap to clone.
#[derive(Clone)]
pub struct Consumers {
    inner: Arc<Inner>,
}

struct Inner {
    log: EventLog,
    tasks: Tasks,
    options: config::Events,
    commits: watch::Receiver<u64>,
    running: Mutex<Vec<Running>>,
}

/// One consumer as seen from outside its task.
#[derive(Clone)]
struct Running {
    name: &'static str,
    progress: watch::Receiver<Progress>,
    orders: mpsc::Sender<Order>,
}

/// Where a consumer stands.
#[derive(Clone, Debug, Default)]
struct Progress {
    position: Option<u64>,
    error: Option<String>,
}

/// What a consumer may be told while it runs.
enum Order {
    /// Begin again after this sequence.
    Rewind(u64, oneshot::Sender<Result<()>>),
    /// Try once more what was passed over.
    Retry(DeadLetter, oneshot::Sender<Result<()>>),
}

impl Consumers {
    /// None yet.
    pub fn new(log: EventLog, store: &Store, tasks: Tasks, options: &config::Events) -> Self {
        Self {
            inner: Arc::new(Inner {
                log,
                tasks,
                options: options.clone(),
                commits: store.commits(),
                running: Mutex::default(),
            }),
        }
    }

    /// Runs `consumer` until the process stops.
    pub fn start(&self, consumer: impl Consumer) {
        let name = consumer.name();
        let (announce, progress) = watch::channel(Progress::default());
        // An admin's hand: there is never a queue.
        let (orders, incoming) = mpsc::channel(4);
        let runner = Runner::new(
            consumer,
            self.inner.log.clone(),
            self.inner.commits.clone(),
            &self.inner.options,
            announce,
        );
        let stopping = self.inner.tasks.stopping().clone();
        self.inner.tasks.spawn(name, runner.run(incoming, stopping));
        self.running(|all| {
            all.push(Running {
                name,
                progress,
                orders,
            });
        });
    }

    /// Whether each runs and has found where it stands, for the health report.
    pub fn are_ready(&self) -> bool {
        self.running(|all| {
            all.iter().all(|one| {
                // A task that panicked has dropped its end; what it announced last is still there.
                one.progress.has_changed().is_ok() && one.progress.borrow().position.is_some()
            })
        })
    }

    /// How each is doing.
    pub async fn status(&self) -> Result<Vec<Status>> {
        let end = self.inner.log.reach().borrow().map_or(0, |reach| reach.end);
        let mut all = Vec::new();
        for one in self.running(|all| all.clone()) {
            let Progress { position, error } = one.progress.borrow().clone();
            all.push(Status {
                name: one.name,
                position,
                lag: end.saturating_sub(position.unwrap_or(0)),
                dead_letters: self.inner.log.count_dead_letters(one.name).await?,
                error,
            });
        }
        Ok(all)
    }

    /// Lets a consumer apply everything from sequence `from` on once more, while the server runs. What the log no longer
    /// has is taken from the rows.
    pub async fn replay(&self, name: &str, from: u64) -> Result<()> {
        let after = from.saturating_sub(1);
        self.order(name, |done| Order::Rewind(after, done)).await
    }

    /// The events that a consumer passed over after sequence `after`, oldest first.
    pub async fn dead_letters(
        &self,
        name: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let name = self.find(name)?.name;
        self.inner.log.dead_letters(name, after, limit).await
    }

    /// Lets a consumer try once more what it passed over; when that succeeds, it is no dead letter any more. False when
    /// there is no such dead letter.
    pub async fn retry(&self, name: &str, seq: u64) -> Result<bool> {
        let name = self.find(name)?.name;
        let Some(letter) = self.inner.log.find_dead_letter(name, seq).await? else {
            return Ok(false);
        };
        self.order(name, |done| Order::Retry(letter, done)).await?;
        self.inner.log.remove_dead_letter(name, seq).await
    }

    /// Throws away what a consumer passed over; false when there is no such dead letter.
    pub async fn discard(&self, name: &str, seq: u64) -> Result<bool> {
        let name = self.find(name)?.name;
        self.inner.log.remove_dead_letter(name, seq).await
    }

    /// Waits until the log and every consumer have reached what is committed now; false when that takes longer than
    /// `patience`.
    pub async fn settle(&self, patience: Duration) -> bool {
        let newest = *self.inner.commits.borrow();
        let all = self.running(|all| all.clone());
        let settled = async {
            let mut reach = self.inner.log.reach();
            let has_all = |end: Option<u64>| end.is_some_and(|end| end >= newest);
            if reach
                .wait_for(|reach| has_all(reach.map(|reach| reach.end)))
                .await
                .is_err()
            {
                return false;
            }
            for mut one in all {
                let there = one.progress.wait_for(|progress| has_all(progress.position));
                if there.await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(patience, settled)
            .await
            .unwrap_or(false)
    }

    async fn order(
        &self,
        name: &str,
        order: impl FnOnce(oneshot::Sender<Result<()>>) -> Order,
    ) -> Result<()> {
        let gone = || Error::new(Code::NotReady);
        let orders = self.find(name)?.orders;
        let (done, answer) = oneshot::channel();
        orders.send(order(done)).await.map_err(|_stopped| gone())?;
        answer.await.map_err(|_stopped| gone())?
    }

    fn find(&self, name: &str) -> Result<Running> {
        self.running(|all| all.iter().find(|one| one.name == name).cloned())
            .ok_or(Code::ConsumerNotFound.into())
    }

    fn running<T>(&self, look: impl FnOnce(&mut Vec<Running>) -> T) -> T {
        look(
            &mut self
                .inner
                .running
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

#[cfg(test)]
mod tests;
