//! Finds out what is due for those who are there, and tells them: for all at once, and then not for a moment, so that many
//! changes make few events.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tracing::warn;

use super::people::Due;
use super::{Counts, Shared};
use crate::error::Result;
use crate::id::UserId;
use crate::tasks::Tasks;

/// From one round to the next, at least.
const PAUSE: Duration = Duration::from_millis(100);
/// The same after a round in which something could not be read.
const LONG_PAUSE: Duration = Duration::from_secs(1);
/// People looked after at once.
const AT_ONCE: usize = 4;
/// How often it is looked for sessions that have expired.
const SWEEP: Duration = Duration::from_secs(1);

pub(super) fn start(shared: &Arc<Shared>, tasks: &Tasks) {
    let going = Arc::clone(shared);
    tasks.spawn("live rounds", async move {
        tokio::select! {
            () = rounds(&going) => {}
            () = going.stopping.cancelled() => {}
        }
    });
    let sweeping = Arc::clone(shared);
    tasks.spawn("live sweep", async move {
        let mut ticks = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                _ = ticks.tick() => sweeping.people.sweep(sweeping.clock.now()),
                () = sweeping.stopping.cancelled() => break,
            }
        }
        sweeping.people.close_all();
    });
}

async fn rounds(shared: &Shared) {
    loop {
        shared.people.due.notified().await;
        let due = shared.people.take_due();
        let failed = stream::iter(due)
            .map(|(user, due)| async move {
                let Err(error) = tell_due(shared, user, &due).await else {
                    return false;
                };
                warn!(error = %error, causes = error.causes(), "What is new for somebody could not be read; the next round tries again");
                shared.people.note(user, |again| {
                    again.counts |= due.counts;
                    again.add_notices(&due.notices);
                });
                true
            })
            .buffer_unordered(AT_ONCE)
            .fold(false, |any, failed| async move { any || failed })
            .await;
        let pause = if failed { LONG_PAUSE } else { PAUSE };
        tokio::time::sleep(pause).await;
    }
}

async fn tell_due(shared: &Shared, user: UserId, due: &Due) -> Result<()> {
    let notices = shared
        .notifications
        .describe_ids(user, due.notices.clone())
        .await?;
    let counts = shared.counts(user).await?;
    // The oldest first, as they happened.
    for notice in notices.iter().rev() {
        shared.tell(user, "notification", notice);
    }
    if shared.people.tell_counts(user, counts) {
        shared.tell(user, "counts", &counts);
    }
    Ok(())
}

impl Shared {
    /// What waits for somebody.
    pub(super) async fn counts(&self, user: UserId) -> Result<Counts> {
        Ok(Counts {
            notifications: self.notifications.unread_count(user).await?,
            messages: self.chat.unread_total(user).await?,
            requests: self.chat.request_count(user).await?,
        })
    }
}
