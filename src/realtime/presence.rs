//! Whether people are there, for those who want to know and may.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tracing::warn;

use super::Shared;
use super::hubs::Said;
use super::people::Guest;
use crate::chat::{News, Presence, Seated, Status};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::{RoomId, UserId};

/// People whom one connection watches, at most.
pub(super) const MAX_WATCHED: usize = 200;

/// How often it is written down when people were last seen.
const WRITTEN_EVERY: Duration = Duration::from_mins(1);

impl Shared {
    /// A connection is there, is busy elsewhere, or is gone. Those who may know are told soon.
    pub(super) fn set_status(&self, guest: &Guest, status: Status) {
        let user = guest.user_id();
        // What was asked before the end may come after it.
        let status = if guest.is_gone() {
            Status::Offline
        } else {
            status
        };
        let presences = self.hub.presences();
        let now = self.clock.now();
        let here = presences.connection(user, guest.username(), guest.number(), status, now);
        if let Some(status) = here {
            self.say(&Said::Person {
                user,
                username: guest.username().to_owned(),
                status,
            });
        }
    }

    /// Tells people here who came and who went, for ever: by one hand, so that the last word is the last one told, and with
    /// a pause between, so that whoever comes and goes all the time is not told all the time.
    pub(super) async fn tell_news(&self) {
        let pause = Duration::from_millis(self.options.presence_ms);
        loop {
            self.hub.presences().rung().await;
            let News { seats, people } = self.hub.presences().take_news();
            for (user, status, username) in people {
                if let Err(error) = self.tell_watchers(user, username, status).await {
                    warn!(error = %error, causes = error.causes(), "Nobody is told that somebody came or went");
                }
            }
            if let Err(error) = self.tell_seats(seats).await {
                warn!(error = %error, causes = error.causes(), "Nobody is told who came into a room, or left");
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Tells those in rooms who came, and who left; of whom that may be told.
    async fn tell_seats(&self, seats: Vec<Seated>) -> Result<()> {
        // Where nobody is, nobody is told.
        let seats: Vec<(String, Seated)> = seats
            .into_iter()
            .filter_map(|one| Some((self.hub.key(one.room)?, one)))
            .collect();
        if seats.is_empty() {
            return Ok(());
        }
        let pairs: Vec<(RoomId, UserId)> =
            seats.iter().map(|(_, one)| (one.room, one.user)).collect();
        let shown: HashSet<(RoomId, UserId)> =
            self.chat.shown_in_rooms(pairs).await?.into_iter().collect();
        let nameless = seats.iter().filter(|(_, one)| one.username.is_none());
        let nameless: Vec<UserId> = nameless.map(|(_, one)| one.user).collect();
        let named = if nameless.is_empty() {
            HashMap::new()
        } else {
            self.chat.people(nameless).await?
        };
        let timestamp = self.clock.now().as_millis();
        for (key, one) in seats {
            if !shown.contains(&(one.room, one.user)) {
                continue;
            }
            let known = || named.get(&one.user).map(|person| person.username.clone());
            let Some(username) = one.username.clone().or_else(known) else {
                continue;
            };
            let payload = json!({
                "userId": one.user, "username": username, "roomId": key, "timestamp": timestamp,
            });
            let name = if one.is_there {
                "user_joined"
            } else {
                "user_left"
            };
            self.hub
                .show_others(one.room, one.user, name, &payload.to_string());
        }
        Ok(())
    }

    /// Tells those who watch somebody that they are there, or not.
    async fn tell_watchers(
        &self,
        user: UserId,
        username: Option<String>,
        status: Status,
    ) -> Result<()> {
        let watchers = self.hub.watchers(user);
        if watchers.is_empty() {
            return Ok(());
        }
        let username = if username.is_some() {
            username
        } else {
            let mut known = self.chat.people(vec![user]).await?;
            known.remove(&user).map(|person| person.username)
        };
        let gone_at = || {
            self.hub
                .presences()
                .gone_at(user)
                .unwrap_or_else(|| self.clock.now())
        };
        let last_seen_at = (status == Status::Offline).then(gone_at);
        let payload = told(user, status, last_seen_at);
        for watcher in &watchers {
            watcher.tell("presence", &payload);
            if status == Status::Online {
                let online = json!({ "userId": user, "username": username });
                watcher.tell("user_online", &online.to_string());
            }
        }
        Ok(())
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
        let mut people = people;
        people.sort_unstable();
        people.dedup();
        let (viewer, wanted) = (guest.user_id(), people.clone());
        let before = self.chat.presence_of(viewer, people).await?;
        let allowed: Vec<UserId> = before.iter().map(|one| one.user_id).collect();
        self.hub.watch(guest, allowed);
        if guest.is_gone() {
            self.hub.watch(guest, Vec::new());
        }
        // Asked again, now that what changes is heard: of whom they may not know any more, they are told nothing.
        let asked = self.chat.presence_of(viewer, wanted).await?;
        for one in &before {
            if !asked.iter().any(|known| known.user_id == one.user_id) {
                self.hub.unwatch(viewer, one.user_id);
            }
        }
        // Of one's own hub, which is where it changes.
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

    /// One follows the other no more: who may not know of the other now sees them no more.
    pub(super) async fn reconsider(&self, one: UserId, other: UserId) {
        for (watcher, watched) in [(one, other), (other, one)] {
            if !self.hub.watches(watcher, watched) {
                continue;
            }
            // What cannot be asked is not shown.
            let known = self.chat.presence_of(watcher, vec![watched]).await;
            if known.is_ok_and(|known| !known.is_empty()) {
                continue;
            }
            let payload = told(watched, Status::Offline, None);
            for guest in self.hub.unwatch(watcher, watched) {
                guest.tell("presence", &payload);
            }
        }
    }

    /// Two who are not there for each other see each other no more.
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
            let presences = self.hub.presences();
            let seen = presences.seen(self.clock.now());
            match self.chat.note_seen(&seen).await {
                Ok(()) => presences.forget_seen(&seen),
                Err(error) => {
                    warn!(error = %error, causes = error.causes(), "When people were last seen could not be written; later then");
                }
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
