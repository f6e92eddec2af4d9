//! Whose profiles and posts people look at, for those who want their feed ranked. It stays on this server, and ends with
//! that wish.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use tracing::warn;

use super::commands::{NoteVisits, Visits};
use super::{Feed, Order};
use crate::id::UserId;
use crate::tasks::Tasks;

/// Visits that wait to be written down; more are passed over.
const MAX_WAITING: usize = 10_000;
/// How many are written at once: others who write wait for some milliseconds at most.
const PART: usize = 200;
/// How often they are.
const PAUSE: Duration = Duration::from_secs(30);
/// People of whom it is remembered whether they want their feed ranked, and for how long.
const MAX_KNOWN: u64 = 20_000;
const KNOWN_FOR: Duration = Duration::from_mins(1);

/// Visits that are not written down yet.
pub(super) struct Waiting {
    visits: Mutex<HashMap<(UserId, UserId), u32>>,
    /// Who wants their feed ranked, as far as was asked lately. The command that writes visits down asks again.
    orders: Cache<UserId, Order>,
}

impl Default for Waiting {
    fn default() -> Self {
        Self {
            visits: Mutex::default(),
            orders: Cache::builder()
                .max_capacity(MAX_KNOWN)
                .time_to_live(KNOWN_FOR)
                .build(),
        }
    }
}

impl Waiting {
    /// Somebody wants another order.
    pub(super) fn forget_order(&self, of: UserId) {
        self.orders.invalidate(&of);
    }

    fn take(&self) -> Vec<Visits> {
        let waiting = {
            let mut waiting = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *waiting)
        };
        let mut visits: Vec<Visits> = waiting
            .into_iter()
            .map(|((user_id, author_id), visits)| Visits {
                user_id,
                author_id,
                visits,
            })
            .collect();
        visits.sort_unstable_by_key(|one| (one.user_id, one.author_id));
        visits
    }
}

impl Feed {
    /// Somebody looks at what somebody else is or has written; noted if they want their feed ranked.
    pub async fn note_visit(&self, viewer: UserId, author: UserId) {
        if viewer == author || !self.wants_visits(viewer).await {
            return;
        }
        let waiting = &self.inner.visits.visits;
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < MAX_WAITING {
            *waiting.entry((viewer, author)).or_default() += 1;
        }
    }

    async fn wants_visits(&self, viewer: UserId) -> bool {
        let orders = &self.inner.visits.orders;
        if let Some(known) = orders.get(&viewer) {
            return known == Order::Ranked;
        }
        match self.order(viewer).await {
            Ok(order) => {
                orders.insert(viewer, order);
                order == Order::Ranked
            }
            Err(error) => {
                // What they look at is there for them all the same.
                warn!(error = %error, causes = error.causes(), "Whether visits count could not be found out");
                false
            }
        }
    }

    /// Writes down the visits that wait.
    pub async fn write_visits(&self) {
        for part in self.inner.visits.take().chunks(PART) {
            let command = NoteVisits {
                visits: part.to_vec(),
                at: self.now(),
            };
            if let Err(error) = self.inner.store.submit(command).await {
                warn!(error = %error, causes = error.causes(), "Who visited whom could not be written down");
            }
        }
    }

    pub(super) fn keep_visits(&self, tasks: &Tasks) {
        let (feed, stopping) = (self.clone(), tasks.stopping().clone());
        tasks.spawn("visits", async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => feed.write_visits().await,
                    () = stopping.cancelled() => {
                        feed.write_visits().await;
                        return;
                    }
                }
            }
        });
    }
}
