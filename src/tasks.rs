//! Background work that the process waits for when it stops, the patience with which it tries again, and turns at what
//! only one shall do at a time.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{OwnedMutexGuard, Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, info_span};

use crate::error::{Code, Error, Result};

/// Blocking work at once: what waits for the disk shall not take all of the runtime's threads and then pile up behind
/// them.
const MAX_BLOCKING: usize = 256;

static PLACES: Semaphore = Semaphore::const_new(MAX_BLOCKING);

/// Starts tasks, tells them to stop, and waits until they have. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stopping: CancellationToken,
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `work` until it ends by itself; it should watch [`stopping`](Self::stopping). A panic ends this task alone.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let guarded = async move {
            if AssertUnwindSafe(work).catch_unwind().await.is_err() {
                error!(task.name = name, "The task {name} panicked and is gone");
            }
        };
        self.tracker
            .spawn(guarded.instrument(info_span!("task", task.name = name)));
    }

    /// Cancelled when the process stops.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Tells all tasks to stop and waits at most `patience`; false when some did not end in time.
    pub async fn stop(&self, patience: Duration) -> bool {
        self.stopping.cancel();
        self.tracker.close();
        tokio::time::timeout(patience, self.tracker.wait())
            .await
            .is_ok()
    }
}

/// Runs blocking work off the async threads, for a request.
///
/// Errors: the work's own; `overloaded` when too much is under way.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let place = PLACES.try_acquire().map_err(|_none| Code::Overloaded)?;
    run_blocking(place, work).await
}

/// Like [`blocking`], for a task in the background: waits while too much is under way.
pub async fn blocking_in_turn<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let place = PLACES.acquire().await.map_err(Error::internal)?;
    run_blocking(place, work).await
}

async fn run_blocking<T: Send + 'static>(
    place: SemaphorePermit<'static>,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(move || {
        let done = work();
        // Held by the work, which goes on when who waits for it has gone away.
        drop(place);
        done
    })
    .await
    .map_err(Error::internal)?
}

/// Pauses between attempts, each twice as long as the one before, up to the longest.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Pauses from `first` to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// How long to wait after another failure.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.longest);
        pause
    }

    /// It went well: the next failure starts from the shortest pause.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

type Lock = Arc<tokio::sync::Mutex<()>>;

/// What is being done just now, so that each thing is done once, however many ask. Cheap to clone.
#[derive(Debug)]
pub struct Turns<K: Hash + Eq>(Arc<Mutex<HashMap<K, Lock>>>);

/// The right to do one thing, until it is dropped.
#[derive(Debug)]
pub struct Turn<K: Hash + Eq> {
    // In this order: who is next is let in before it is asked whether somebody is.
    _first: OwnedMutexGuard<()>,
    _place: Place<K>,
}

/// A place in the queue for one thing.
#[derive(Debug)]
struct Place<K: Hash + Eq> {
    turns: Turns<K>,
    key: K,
    lock: Lock,
}

impl<K: Hash + Eq> Clone for Turns<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Hash + Eq> Default for Turns<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Hash + Eq + Clone> Turns<K> {
    /// Waits until nobody else does this.
    pub async fn turn(&self, key: &K) -> Turn<K> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(key.clone()).or_default())
        };
        let place = Place {
            turns: self.clone(),
            key: key.clone(),
            lock,
        };
        Turn {
            _first: Arc::clone(&place.lock).lock_owned().await,
            _place: place,
        }
    }
}

impl<K: Hash + Eq> Drop for Place<K> {
    fn drop(&mut self) {
        let mut locks = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's own, and this one: nobody else is waiting.
        if Arc::strong_count(&self.lock) == 2 {
            locks.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_has_the_turn_and_nothing_is_left_after_the_last() {
        let turns = Turns::default();
        let first = turns.turn(&"picture").await;
        let mut second = Box::pin(turns.turn(&"picture"));
        assert!((&mut second).now_or_never().is_none());
        assert!(turns.turn(&"film").now_or_never().is_some());
        drop(first);
        let second = second.now_or_never();
        assert!(second.is_some());
        // Somebody who went away while waiting.
        assert!(turns.turn(&"picture").now_or_never().is_none());
        drop(second);
        assert!(turns.0.lock().unwrap().is_empty());
    }
}
