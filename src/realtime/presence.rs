//! Whether people are there, for those who want to know and may.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tracing::warn;

use super::Shared;
use super::hubs::Said;
use super::people::Guest;
use crate::chat::{Presence, Status};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::UserId;

/// People whom one connection watches, at most.
pub(super) const MAX_WATCHED: usize = 200;

/// How often it is written down when people were last seen.
const WRITTEN_EVERY: Duration = Duration::from_mins(1);

impl Shared {
    /// A connection is there, is busy elsewhere, or is gone.
    pub(super) fn set_status(&self, guest: &Guest, status: Status) {
        let user = guest.user_id();
        // What was asked before the end may come after it.
        let status = if guest.is_gone() {
            Status::Offline
        } else {
            status
        };
        let changed = self
            .hub
            .presences()
            .connection(user, guest.number(), status);
        if let Some(status) = changed.here {
            if status == Status::Offline {
                self.hub.note_gone(user);
            }
            self.say(&Said::Person {
                user,
                username: guest.username().to_owned(),
                status,
            });
        }
        if let Some(status) = changed.anywhere {
            self.tell_watchers(user, guest.username(), status);
        }
    }

    /// Tells those who watch somebody that they are there, or not.
    pub(super) fn tell_watchers(&self, user: UserId, username: &str, status: Status) {
        let watchers = self.hub.watchers(user);
        if watchers.is_empty() {
            return;
        }
        let last_seen_at = (status == Status::Offline).then(|| self.clock.now());
        let payload = told(user, status, last_seen_at);
        for watcher in &watchers {
            watcher.tell("presence", &payload);
            if status == Status::Online {
                let online = json!({ "userId": user, "username": username });
                watcher.tell("user_online", &online.to_string());
            }
        }
    }

    /// Tells a connection from now on whether these people are there, instead of those before; of whom they may know.
    pub(super) async fn watch(
        &self,
        guest: &Arc<Guest>,
        people: Vec<UserId>,
    ) -> Result<Vec<Presence>> {
        if people.len() > MAX_WATCHED {
            return Err(Error::new(Code::TooManyWatched));
        }
        // Watched first and asked then: what changes in between is told twice rather than not.
        let asked = self
            .chat
            .presence_of(guest.user_id(), people.clone())
            .await?;
        let allowed: Vec<UserId> = asked.iter().map(|one| one.user_id).collect();
        self.hub.watch(guest, allowed);
        if guest.is_gone() {
            self.hub.watch(guest, Vec::new());
        }
        // Asked of one's own hub again, which is where it changes.
        let presences = self.hub.presences();
        Ok(asked
            .into_iter()
            .map(|one| {
                let status = presences.status(one.user_id);
                let last_seen_at = one.last_seen_at.filter(|_| status == Status::Offline);
                Presence {
                    status,
                    last_seen_at,
                    ..one
                }
            })
            .collect())
    }

    /// Somebody does not want to be seen any more, and so sees nobody.
    pub(super) fn hide(&self, user: UserId) {
        let payload = told(user, Status::Offline, None);
        for watcher in self.hub.watchers(user) {
            watcher.tell("presence", &payload);
        }
        self.hub.forget_watched(user);
    }

    /// Two who know each other no more see each other no more.
    pub(super) fn part(&self, one: UserId, other: UserId) {
        for (watcher, watched) in [(one, other), (other, one)] {
            let payload = told(watched, Status::Offline, None);
            for guest in self.hub.unwatch(watcher, watched) {
                guest.tell("presence", &payload);
            }
        }
    }

    /// Writes down now and then who is there, and who was; and once more at the end.
    pub(super) async fn write_seen(&self) {
        let mut ticks = tokio::time::interval(WRITTEN_EVERY);
        ticks.tick().await;
        loop {
            let is_over = tokio::select! {
                _ = ticks.tick() => false,
                () = self.tasks.stopping().cancelled() => true,
            };
            let mut people = self.hub.take_gone();
            people.extend(self.hub.presences().connected());
            people.sort_unstable();
            people.dedup();
            if let Err(error) = self.chat.note_seen(&people).await {
                warn!(error = %error, "When people were last seen could not be written");
            }
            if is_over {
                return;
            }
        }
    }
}

fn told(user_id: UserId, status: Status, last_seen_at: Option<Timestamp>) -> String {
    json!({ "userId": user_id, "status": status, "lastSeenAt": last_seen_at }).to_string()
}
