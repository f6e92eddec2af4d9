//! The one thread that writes: takes what is queued, applies each command in a savepoint of its own, commits them
//! together, then answers. While a commit waits for the disk the next batch gathers, so there is nothing to tune: the
//! busier the server, the larger the batch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use metrics::{counter, gauge, histogram};
use rusqlite::Connection;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::error;

use super::cache::Cache;
use super::{Command, Encoded, Once, Registry, WriteTx, closed, once, outbox};
use crate::config;
use crate::disk::DiskGuard;
use crate::error::{Code, Error, Kind, Result};
use crate::event::Event;

/// How long a batch may be applied before it is committed, so that those who wait are not kept for more.
const MAX_APPLY: Duration = Duration::from_millis(20);

/// An event of a commit.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its place in the outbox; none for what is kept in no log.
    pub seq: Option<u64>,
    /// What happened.
    pub event: Event,
}

/// Is told of each commit; see `Store::observe`.
pub type Observer = Box<dyn Fn(&[Committed]) + Send + Sync>;

type Observers = Arc<Mutex<Vec<Observer>>>;

/// The way to the writer's thread.
pub(super) struct Handle {
    queue: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    commits: watch::Receiver<u64>,
    observers: Observers,
    guard: DiskGuard,
    registry: Arc<Registry>,
}

impl Handle {
    pub(super) fn start(
        connection: Connection,
        options: &config::Store,
        guard: DiskGuard,
        registry: Arc<Registry>,
        cache: Arc<Cache>,
    ) -> Result<Self, super::OpenError> {
        let newest = outbox::newest(&super::ReadTx::new(&connection))
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let (queue, jobs) = mpsc::channel(options.queue_capacity as usize);
        let (announce, commits) = watch::channel(newest);
        let observers = Observers::default();
        let writer = Writer {
            connection,
            jobs,
            max_batch: options.max_batch as usize,
            announce,
            observers: Arc::clone(&observers),
            guard: guard.clone(),
            cache,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            thread: Mutex::new(Some(thread)),
            commits,
            observers,
            guard,
            registry,
        })
    }

    pub(super) async fn submit<C: Command>(
        &self,
        command: C,
        once: Option<Once>,
        deadline: Instant,
    ) -> Result<C::Output> {
        self.enqueue(C::NAME, deadline, move |tx| {
            once::apply(&command, once.as_ref(), tx)
        })
        .await
    }

    pub(super) async fn submit_encoded(
        &self,
        encoded: Encoded,
        deadline: Instant,
    ) -> Result<Value> {
        let registry = Arc::clone(&self.registry);
        self.enqueue("encoded", deadline, move |tx| registry.apply(&encoded, tx))
            .await
    }

    async fn enqueue<T: Send + 'static>(
        &self,
        name: &'static str,
        deadline: Instant,
        apply: impl FnOnce(&WriteTx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job = Pending {
            name,
            deadline,
            apply: Some(apply),
            outcome: None,
            reply,
        };
        let queue = lock(&self.queue).clone().ok_or_else(closed)?;
        queue
            .try_send(Box::new(job))
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => {
                    counter!("socialhub_store_refused_total").increment(1);
                    Error::new(Code::Overloaded)
                }
                mpsc::error::TrySendError::Closed(_) => closed(),
            })?;
        gauge!("socialhub_store_queue_depth").set(depth(&queue));
        drop(queue);
        answer.await.map_err(|_writer_gone| closed())?
    }

    pub(super) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    pub(super) fn observe(&self, observer: Observer) {
        lock(&self.observers).push(observer);
    }

    pub(super) fn is_alive(&self) -> bool {
        lock(&self.thread)
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    pub(super) fn check_room(&self) -> Result<()> {
        self.guard.check()
    }

    /// Lets the writer finish its queue, then waits for it.
    pub(super) fn close(&self) {
        drop(lock(&self.queue).take());
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            error!("The store's writer panicked");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::cast_precision_loss, reason = "a gauge")]
fn depth<T>(queue: &mpsc::Sender<T>) -> f64 {
    (queue.max_capacity() - queue.capacity()) as f64
}

/// A command on its way, its types hidden from the loop.
trait Job: Send {
    /// Whether anybody still waits for it.
    fn is_wanted(&self) -> bool;
    /// Applies it; `false` means that it must be undone.
    fn apply(&mut self, tx: &WriteTx<'_>) -> bool;
    /// Why it must be undone.
    fn refusal(&self) -> Option<&Error>;
    /// Tells the caller the outcome, or the failure of the whole batch.
    fn answer(self: Box<Self>, failure: Option<Error>);
}

struct Pending<T, F> {
    name: &'static str,
    deadline: Instant,
    apply: Option<F>,
    outcome: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T, F> Job for Pending<T, F>
where
    T: Send,
    F: FnOnce(&WriteTx<'_>) -> Result<T> + Send,
{
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed() && Instant::now() < self.deadline
    }

    fn apply(&mut self, tx: &WriteTx<'_>) -> bool {
        let Some(apply) = self.apply.take() else {
            return false;
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| apply(tx))).unwrap_or_else(|_panic| {
            error!(
                command = self.name,
                "The command {} panicked and was undone", self.name
            );
            Err(Error::internal(format!(
                "the command {} panicked",
                self.name
            )))
        });
        let kept = outcome.is_ok();
        self.outcome = Some(outcome);
        kept
    }

    fn refusal(&self) -> Option<&Error> {
        self.outcome.as_ref()?.as_ref().err()
    }

    fn answer(self: Box<Self>, failure: Option<Error>) {
        let outcome = match (self.outcome, failure) {
            // A command that refused by itself has its own answer, whatever became of the batch.
            (Some(Err(error)), _) => Err(error),
            (_, Some(failure)) => Err(failure),
            (Some(outcome), None) => outcome,
            (None, None) => Err(Error::new(Code::TimedOut)),
        };
        // The caller may have gone away; the change stands all the same.
        drop(self.reply.send(outcome));
    }
}

struct Writer {
    connection: Connection,
    jobs: mpsc::Receiver<Box<dyn Job>>,
    max_batch: usize,
    announce: watch::Sender<u64>,
    observers: Observers,
    guard: DiskGuard,
    cache: Arc<Cache>,
}

impl Writer {
    fn run(mut self) {
        let mut batch = Vec::with_capacity(self.max_batch);
        while self.jobs.blocking_recv_many(&mut batch, self.max_batch) > 0 {
            self.write(&mut batch);
        }
        // The readers are gone already (see `Store::close`): leave a file without a log beside it.
        if let Err(error) = self
            .connection
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE);")
        {
            error!(error = %error, "The last checkpoint failed; the next start will make it");
        }
    }

    /// Takes the batch through one or, when it takes long to apply, several commits.
    fn write(&mut self, batch: &mut Vec<Box<dyn Job>>) {
        while !batch.is_empty() {
            let started = Instant::now();
            if let Err(full) = self.guard.check() {
                for job in batch.drain(..) {
                    job.answer(Some(same(&full)));
                }
                return;
            }
            let (applied, outcome) = self.commit(batch);
            self.cache.end_commit();
            histogram!("socialhub_store_commit_seconds").record(started.elapsed());
            #[expect(clippy::cast_precision_loss, reason = "a histogram")]
            histogram!("socialhub_store_batch_size").record(applied as f64);
            let failure = match outcome {
                Ok(events) => {
                    self.tell(&events);
                    counter!("socialhub_store_commands_total").increment(applied as u64);
                    None
                }
                Err(failure) => {
                    counter!("socialhub_store_failed_commits_total").increment(1);
                    error!(error = %failure, causes = failure.causes(), "A commit failed and was undone");
                    Some(failure)
                }
            };
            for job in batch.drain(..applied) {
                job.answer(failure.as_ref().map(same));
            }
        }
    }

    /// Applies as many jobs as fit into the time and commits them: how many, and the events of those that stand.
    fn commit(&mut self, batch: &mut [Box<dyn Job>]) -> (usize, Result<Vec<Committed>>) {
        let total = batch.len();
        let tx = WriteTx::new(&self.connection);
        let started = Instant::now();
        let mut applied = 0;
        let outcome = tx.execute("BEGIN IMMEDIATE", []).and_then(|_| {
            for job in batch {
                applied += 1;
                if job.is_wanted() {
                    apply_one(&tx, job.as_mut())?;
                }
                if started.elapsed() > MAX_APPLY {
                    break;
                }
            }
            tx.execute("COMMIT", [])
        });
        match outcome {
            Ok(_) => (applied, Ok(tx.into_emitted())),
            Err(failure) => {
                if !self.connection.is_autocommit()
                    && let Err(error) = tx.execute("ROLLBACK", [])
                {
                    error!(error = %error, "A rollback failed");
                }
                // Nobody learned anything yet, so those not reached share the failure.
                (total, Err(failure))
            }
        }
    }

    fn tell(&self, events: &[Committed]) {
        if events.is_empty() {
            return;
        }
        for observer in lock(&self.observers).iter() {
            if catch_unwind(AssertUnwindSafe(|| observer(events))).is_err() {
                error!("An observer of commits panicked");
            }
        }
        if let Some(newest) = events.iter().rev().find_map(|event| event.seq) {
            self.announce.send_replace(newest);
        }
    }
}

/// Applies one job in a savepoint. Errors only when the transaction itself is lost: on a full disk, on an I/O error and
/// the like SQLite undoes all of it by itself, and nothing of the batch stands.
fn apply_one(tx: &WriteTx<'_>, job: &mut dyn Job) -> Result<()> {
    tx.execute("SAVEPOINT command", [])?;
    let emitted = tx.emitted_count();
    if !job.apply(tx) {
        tx.forget_after(emitted);
        if let Err(gone) = tx.execute("ROLLBACK TO command", []) {
            // There is no savepoint any more; the job knows why.
            return Err(job.refusal().map_or(gone, lost));
        }
    }
    tx.execute("RELEASE command", []).map(drop)
}

/// The failure of a whole batch, from the error of the job during which SQLite gave it up.
fn lost(error: &Error) -> Error {
    match error.kind() {
        Kind::StorageFull | Kind::Unavailable => same(error),
        // Whatever the job made of it, to the others it is a fault of ours.
        _ => Error::internal(format!(
            "SQLite gave the transaction up: {error}: {}",
            error.causes()
        )),
    }
}

/// The same error for another who waits.
fn same(error: &Error) -> Error {
    let causes = error.causes();
    if causes.is_empty() {
        Error::new(error.code())
    } else {
        Error::new(error.code()).with_source(causes)
    }
}

#[cfg(test)]
mod tests {
    use crate::error::Code;
    use crate::store::testing::{self, Execute};

    #[tokio::test]
    async fn a_lost_transaction_is_not_called_a_full_disk() {
        let dir = tempfile::tempdir().unwrap();
        let store = testing::open(dir.path(), |_| {});
        let run = |statements: &[&str]| {
            let statements = statements.iter().map(|&text| text.to_owned()).collect();
            store.submit(Execute(statements))
        };
        for lost in [&["ROLLBACK"][..], &["ROLLBACK", "DELETE FROM nowhere"]] {
            let error = run(lost).await.unwrap_err();
            assert_eq!(error.code(), Code::Internal, "{lost:?}: {error:?}");
            assert!(!error.causes().is_empty());
        }
        run(&["DELETE FROM outbox WHERE seq = 0"]).await.unwrap();
        store.close();
    }
}
