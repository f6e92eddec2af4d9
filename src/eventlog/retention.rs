//! Forgetting what is older than its time: in the log first, then in the outbox, never there what the log has not.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::EventLog;
use crate::error::Result;
use crate::store::{PruneOutbox, Store};

const PERIOD: Duration = Duration::from_hours(1);
/// Rows forgotten in one go: a few milliseconds of a writer's time.
const STEP: u32 = 1_000;

/// Forgets at the start and every hour.
pub(super) async fn run(log: EventLog, store: Store, stopping: CancellationToken) {
    let mut reach = log.reach();
    loop {
        let sweep = async {
            // Ends only with the log, which this task holds.
            drop(reach.wait_for(Option::is_some).await);
            if let Err(error) = sweep(&log, &store).await {
                warn!(error = %error, causes = error.causes(), "Old events could not be forgotten; the next hour tries again");
            }
            tokio::time::sleep(PERIOD).await;
        };
        tokio::select! {
            biased;
            () = stopping.cancelled() => return,
            () = sweep => {}
        }
    }
}

/// Forgets what is due, in steps, so that nobody waits long.
pub(super) async fn sweep(log: &EventLog, store: &Store) -> Result<()> {
    let now = log.inner.clock.now();
    let hours = u64::from(log.inner.options.retention_hours);
    let before = now.minus(Duration::from_hours(hours));
    log.check_room()?;
    while let Some(start) = log
        .run_in_turn(move |database| Ok(database.forget(before, STEP as usize)?))
        .await?
    {
        log.inner.reach.send_modify(|reach| {
            if let Some(reach) = reach {
                reach.start = start;
            }
        });
    }
    log.forget_dead_letters(before).await?;
    let reach = *log.inner.reach.borrow();
    let mut forgotten = 0;
    if let Some(reach) = reach {
        loop {
            let step = PruneOutbox {
                before,
                through: reach.start,
                limit: STEP,
            };
            let count = store.submit(step).await?;
            forgotten += count;
            if count == 0 {
                break;
            }
        }
    }
    if forgotten > 0 {
        info!(
            events.forgotten = forgotten,
            "Forgot {forgotten} old events"
        );
    }
    Ok(())
}
