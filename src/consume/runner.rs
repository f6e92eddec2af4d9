//! The task of one consumer: waits for the log, hands over a batch, and decides what a failure means.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use metrics::{counter, gauge};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{Consumer, Order, Progress};
use crate::config;
use crate::error::{Error, Kind, Result};
use crate::eventlog::{Batch, DeadLetter, EventLog, Reach, Record};
use crate::tasks::Backoff;

/// What to do after a step.
enum Next {
    /// The next step at once.
    GoOn,
    /// Wait for the log to grow.
    Wait,
}

/// A batch failed: until its end, events go one by one, so that the one at fault is found.
struct Doubt {
    until: u64,
    attempts: u32,
}

pub(super) struct Runner<C> {
    consumer: C,
    log: EventLog,
    commits: watch::Receiver<u64>,
    max_batch: usize,
    max_attempts: u32,
    announce: watch::Sender<Progress>,
    doubt: Option<Doubt>,
}

impl<C: Consumer> Runner<C> {
    pub(super) fn new(
        consumer: C,
        log: EventLog,
        commits: watch::Receiver<u64>,
        options: &config::Events,
        announce: watch::Sender<Progress>,
    ) -> Self {
        Self {
            consumer,
            log,
            commits,
            max_batch: options.batch.max(1) as usize,
            max_attempts: options.max_attempts.max(1),
            announce,
            doubt: None,
        }
    }

    pub(super) async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        stopping: CancellationToken,
    ) {
        let mut reach = self.log.reach();
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        loop {
            let known = *reach.borrow_and_update();
            let outcome = tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                outcome = self.step(known) => outcome,
            };
            let pause = match outcome {
                Ok(next) => {
                    backoff.reset();
                    self.went_well();
                    match next {
                        Next::GoOn => Some(Duration::ZERO),
                        Next::Wait => None,
                    }
                }
                Err(error) => {
                    self.failed(&error);
                    Some(backoff.pause())
                }
            };
            let wait = async {
                if let Some(pause) = pause {
                    tokio::time::sleep(pause).await;
                } else {
                    tokio::select! {
                        // The log outlives its consumers, so its end never comes first.
                        changed = reach.changed() => drop(changed),
                        () = self.consumer.stirred() => {}
                    }
                }
            };
            tokio::select! {
                biased;
                () = stopping.cancelled() => return,
                Some(order) = orders.recv() => self.obey(order).await,
                () = wait => {}
            }
        }
    }

    /// Applies the next batch, if there is one.
    async fn step(&mut self, reach: Option<Reach>) -> Result<Next> {
        let Some(reach) = reach else {
            return Ok(Next::Wait);
        };
        let Some(position) = self.position(reach).await? else {
            return Ok(Next::GoOn);
        };
        self.stands_at(position, reach);
        if position >= reach.end {
            return Ok(Next::Wait);
        }
        let limit = if self.doubt.is_some() {
            1
        } else {
            self.max_batch
        };
        let batch = self
            .log
            .after(self.consumer.topics(), position, limit)
            .await?;
        let (after, through, count) = (batch.after, batch.through, batch.records.len());
        // One alone may turn out to be at fault.
        let suspect = if count == 1 {
            batch.records.first().cloned()
        } else {
            None
        };
        match guarded(self.consumer.apply(batch)).await {
            Ok(()) => {
                counter!("socialhub_consumer_events_total", "consumer" => self.consumer.name())
                    .increment(count as u64);
            }
            Err(error) if is_passing(&error) => return Err(error),
            Err(error) => match suspect {
                Some(record) => self.blame(record, after, through, error).await?,
                None if count == 0 => return Err(error),
                None => {
                    self.doubt = Some(Doubt {
                        until: through,
                        attempts: 0,
                    });
                    return Ok(Next::GoOn);
                }
            },
        }
        self.doubt = self.doubt.take().and_then(|doubt| {
            (doubt.until > through).then_some(Doubt {
                attempts: 0,
                ..doubt
            })
        });
        self.stands_at(through, reach);
        Ok(Next::GoOn)
    }

    /// Where the consumer stands; `None` when it had to be rebuilt first.
    async fn position(&self, reach: Reach) -> Result<Option<u64>> {
        let newest = *self.commits.borrow();
        let position = guarded(self.consumer.position()).await?;
        if let Some(position) =
            position.filter(|position| (reach.start..=newest).contains(position))
        {
            return Ok(Some(position));
        }
        if reach.start > 0 {
            info!(
                consumer = self.consumer.name(),
                "Rebuilding {} from the database up to event {}",
                self.consumer.name(),
                reach.start
            );
        }
        guarded(self.consumer.rebuild(reach.start)).await?;
        Ok(None)
    }

    /// One event alone failed: an error while it may still succeed; otherwise it is parked and passed.
    async fn blame(
        &mut self,
        record: Record,
        after: u64,
        through: u64,
        error: Error,
    ) -> Result<()> {
        let attempts = self.doubt.as_ref().map_or(0, |doubt| doubt.attempts) + 1;
        let until = self.doubt.as_ref().map_or(through, |doubt| doubt.until);
        self.doubt = Some(Doubt { until, attempts });
        if attempts < self.max_attempts {
            return Err(error);
        }
        let name = self.consumer.name();
        let seq = record.seq;
        let reason = format!("{error:?}");
        self.log.park(name, record, reason, attempts).await?;
        counter!("socialhub_dead_letters_total", "consumer" => name).increment(1);
        error!(
            consumer = name,
            event.seq = seq,
            error = %error,
            causes = error.causes(),
            "{name} cannot take event {seq} and passes over it; it is kept as a dead letter"
        );
        guarded(self.consumer.apply(Batch::empty(after, through))).await
    }

    async fn obey(&mut self, order: Order) {
        let (outcome, done) = match order {
            Order::Rewind(after, done) => (self.rewind(after).await, done),
            Order::Retry(letter, done) => (self.retry(&letter).await, done),
        };
        // Who asked may have gone away.
        drop(done.send(outcome));
    }

    async fn rewind(&mut self, after: u64) -> Result<()> {
        let name = self.consumer.name();
        if let Some(position) = guarded(self.consumer.position()).await? {
            let after = after.min(position);
            guarded(self.consumer.apply(Batch::empty(position, after))).await?;
            self.announce
                .send_modify(|progress| progress.position = Some(after));
            info!(consumer = name, "Replaying {name} from event {}", after + 1);
        }
        self.doubt = None;
        Ok(())
    }

    async fn retry(&mut self, letter: &DeadLetter) -> Result<()> {
        let Some(position) = guarded(self.consumer.position()).await? else {
            return Ok(());
        };
        let batch = Batch {
            after: position,
            records: vec![letter.record()?],
            through: position,
        };
        guarded(self.consumer.apply(batch)).await
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges")]
    fn stands_at(&self, position: u64, reach: Reach) {
        let name = self.consumer.name();
        gauge!("socialhub_consumer_position", "consumer" => name).set(position as f64);
        gauge!("socialhub_consumer_lag", "consumer" => name)
            .set(reach.end.saturating_sub(position) as f64);
        self.announce.send_if_modified(|progress| {
            let moved = progress.position != Some(position);
            progress.position = Some(position);
            moved
        });
    }

    fn went_well(&self) {
        self.announce
            .send_if_modified(|progress| progress.error.take().is_some());
    }

    fn failed(&self, error: &Error) {
        let name = self.consumer.name();
        counter!("socialhub_consumer_failures_total", "consumer" => name).increment(1);
        // Once for each kind of failure in a row: a full disk fails for hours.
        let text = error.to_string();
        let is_news = self.announce.send_if_modified(|progress| {
            let is_news = progress.error.as_ref() != Some(&text);
            progress.error = Some(text);
            is_news
        });
        if is_news {
            warn!(consumer = name, error = %error, causes = error.causes(), "{name} failed and will try again");
        }
    }
}

/// Whether the failure is of the surroundings and not of the event.
fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unavailable | Kind::StorageFull)
}

/// A panic is an error like others.
async fn guarded<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|_panic| Err(Error::internal("a consumer panicked")))
}
