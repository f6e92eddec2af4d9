//! The way from the outbox to the log.
//!
//! The log itself knows how far it has come, so a crash anywhere loses nothing and doubles nothing. Also the one who
//! opens the log, and who opens it again after a failure.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::repair::PIECE;
use super::{EventLog, Reach, Record};
use crate::error::Result;
use crate::store::outbox::OutboxRow;
use crate::store::{ReadTx, Store, outbox};
use crate::tasks::{Backoff, blocking_in_turn};

/// Rows moved at once: one flush each.
const BATCH: u32 = 2_048;

/// Sequences compared at once.
const CHECKED: u32 = 16_384;

/// Relays until the process stops; a failure is tried again, ever more rarely.
pub(super) async fn run(log: EventLog, store: Store, stopping: CancellationToken) {
    let relay = Relay { log, store };
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
    let mut failures = 0;
    loop {
        let outcome = tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            outcome = relay.step(failures + 1) => outcome,
        };
        let Err(error) = outcome else {
            if failures > 0 {
                info!("The event log works again");
            }
            failures = 0;
            backoff.reset();
            continue;
        };
        failures += 1;
        counter!("socialhub_relay_failures_total").increment(1);
        // Once: what keeps failing is said when it ends.
        if failures == 1 {
            warn!(error = %error, causes = error.causes(), "The event log cannot be written at present; it will be tried again");
        }
        tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(backoff.pause()) => {}
        }
    }
}

struct Relay {
    log: EventLog,
    store: Store,
}

impl Relay {
    /// Does what is due: opens the log, begins it, moves a batch, or waits for one.
    async fn step(&self, attempt: u32) -> Result<()> {
        if !self.log.inner.access.is_open() {
            let inner = Arc::clone(&self.log.inner);
            blocking_in_turn(move || inner.open(attempt)).await?;
        }
        let reach = *self.log.inner.reach.borrow();
        let Some(reach) = reach else {
            return self.begin().await;
        };
        let mut commits = self.store.commits();
        let newest = *commits.borrow_and_update();
        report(reach, newest);
        let rows = self
            .store
            .read(move |tx| outbox::after(tx, reach.end, BATCH))
            .await?;
        let Some(end) = rows.last().map(|row| row.seq) else {
            return self.idle(commits).await;
        };
        self.log.check_room()?;
        self.log
            .run_in_turn(move |database| Ok(database.append(&rows)?))
            .await?;
        self.log.inner.reach.send_modify(|reach| {
            if let Some(reach) = reach {
                reach.end = end;
            }
        });
        report(Reach { end, ..reach }, newest.max(end));
        Ok(())
    }

    /// Waits until there is something to do.
    async fn idle(&self, mut commits: watch::Receiver<u64>) -> Result<()> {
        tokio::select! {
            // The store is closed: nothing will come, but the end of the process.
            changed = commits.changed() => if changed.is_err() { std::future::pending().await },
            () = self.log.inner.access.was_shut() => {}
        }
        Ok(())
    }

    /// Takes up a log that was just opened where it ended, or begins a new one, and lets readers in.
    async fn begin(&self) -> Result<()> {
        let (found, newest) = self
            .log
            .run_in_turn(|database| {
                let reach = database.reach()?;
                let end = reach.map_or(0, |reach| reach.end);
                Ok((reach, database.newest(end)?))
            })
            .await?;
        let end = found.map_or(0, |reach| reach.end);
        let kept = self.store.read(move |tx| Kept::read(tx, end)).await?;
        let reach = if let Some(reach) = found {
            let mut verdict = kept.agrees_with(reach, newest.as_ref());
            if verdict.is_ok() && !self.is_whole(reach).await? {
                verdict = Err("some of its events are missing");
            }
            if let Err(reason) = verdict {
                let inner = Arc::clone(&self.log.inner);
                return blocking_in_turn(move || inner.set_aside(reason)).await;
            }
            reach
        } else {
            let start = kept.begins_after();
            self.log.check_room()?;
            self.log
                .run_in_turn(move |database| Ok(database.begin(start)?))
                .await?
        };
        self.log.inner.reach.send_replace(Some(reach));
        info!(
            log.start = reach.start,
            log.end = reach.end,
            "The event log is open and reaches to event {}",
            reach.end
        );
        self.read_through().await
    }

    /// Whether the log has what the outbox has, as far as it says: sled may lose pages of a damaged file without a word.
    async fn is_whole(&self, reach: Reach) -> Result<bool> {
        let mut after = reach.start;
        loop {
            let seqs = self
                .store
                .read(move |tx| outbox::sequences(tx, after, reach.end, CHECKED))
                .await?;
            let Some(last) = seqs.last().copied() else {
                return Ok(true);
            };
            let is_whole = self
                .log
                .run_in_turn(move |database| Ok(database.has_exactly(after, &seqs)?))
                .await?;
            if !is_whole {
                return Ok(false);
            }
            after = last;
        }
    }

    /// Reads everything once, a piece at a time, so that damage shows now and not when somebody needs it.
    async fn read_through(&self) -> Result<()> {
        let names = self
            .log
            .run_in_turn(|database| Ok(database.tree_names()))
            .await?;
        for name in names {
            let mut from = Some(Vec::new());
            while let Some(key) = from {
                let name = name.clone();
                from = self
                    .log
                    .run_in_turn(move |database| Ok(database.read_through(&name, &key, PIECE)?))
                    .await?;
            }
        }
        Ok(())
    }
}

/// What the outbox has, as far as the log must agree with it.
struct Kept {
    span: Option<(u64, u64)>,
    newest: u64,
    at_end: Option<OutboxRow>,
}

impl Kept {
    fn read(tx: &ReadTx<'_>, end: u64) -> Result<Self> {
        Ok(Self {
            span: outbox::span(tx)?,
            newest: outbox::newest(tx)?,
            at_end: outbox::find(tx, end)?,
        })
    }

    /// The sequence up to which nothing is kept.
    fn begins_after(&self) -> u64 {
        self.span.map_or(self.newest, |(first, _)| first - 1)
    }

    /// Whether the log can go on with what is kept here; if not, why.
    fn agrees_with(&self, reach: Reach, newest: Option<&Record>) -> Result<(), &'static str> {
        if reach.end > self.newest {
            return Err("it is ahead of the database, which must be an older one");
        }
        if reach.end < self.begins_after() {
            return Err("it is so far behind that the database no longer has what comes next");
        }
        // Up to its start the log has nothing, though the outbox may not have been pruned yet.
        if let Some(row) = self.at_end.as_ref().filter(|_| reach.end > reach.start)
            && !newest
                .is_some_and(|record| record.seq == row.seq && record.envelope == row.envelope)
        {
            return Err("it tells another story than the database");
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges")]
fn report(reach: Reach, newest: u64) {
    gauge!("socialhub_log_start").set(reach.start as f64);
    gauge!("socialhub_log_end").set(reach.end as f64);
    gauge!("socialhub_relay_lag").set(newest.saturating_sub(reach.end) as f64);
}
