//! Who is there to be told something, and what is to be found out for them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::Counts;
use super::ring::{Happening, Place, Ring};
use crate::clock::Timestamp;
use crate::error::{Code, Result};
use crate::event;
use crate::id::{NotificationId, UserId};

/// Streams of one person at once.
const MAX_OF_ONE: usize = 16;
/// How long what happens is kept for somebody whose streams have ended.
const KEPT: Duration = Duration::from_mins(10);
/// People for whom it is kept at once.
const MAX_AWAY: usize = 10_000;
/// What the events of one person may take, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// The same while those of all take more than they should.
const FEW_BYTES: usize = 32 * 1024;
/// What those of all should take.
const MAX_BYTES_OF_ALL: usize = 64 * 1024 * 1024;
/// New notifications of one person that are told one by one at once; of more, the newest.
const MAX_NOTICES: usize = 50;

/// All who are there, or were a moment ago.
#[derive(Default)]
pub(super) struct People {
    state: Mutex<State>,
    /// Rung when something is due.
    pub(super) due: Notify,
}

#[derive(Default)]
struct State {
    people: HashMap<UserId, Attended>,
    streams: usize,
    numbers: u64,
    /// What the events of all take.
    bytes: usize,
    /// Nobody is let in any more.
    is_closed: bool,
}

/// One who is there.
#[derive(Default)]
struct Attended {
    sockets: usize,
    streams: Vec<Open>,
    /// Only for who has a stream, or had one.
    log: Option<Log>,
    due: Due,
    /// What they were told of their counts last.
    told: Option<Counts>,
}

struct Log {
    ring: Ring,
    /// Changes when there is something to look at.
    bell: watch::Sender<()>,
    /// Since when they have no stream.
    left_at: Option<Instant>,
}

struct Open {
    number: u64,
    expires_at: Timestamp,
}

/// What is to be found out and told.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Notifications that are new, in their order.
    pub(super) notices: Vec<NotificationId>,
    /// Whether the counts may have changed.
    pub(super) counts: bool,
}

/// Where a stream begins.
pub(super) struct Opening {
    pub(super) number: u64,
    pub(super) place: Place,
    pub(super) cursor: u64,
    /// The id of the event before its first.
    pub(super) id: String,
    pub(super) bell: watch::Receiver<()>,
}

impl People {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has one more socket.
    pub(super) fn add_socket(&self, user: UserId) {
        let mut state = self.lock();
        let one = state.people.entry(user).or_default();
        one.sockets += 1;
        // The new one was told nothing yet.
        one.told = None;
    }

    /// Somebody has one socket less.
    pub(super) fn remove_socket(&self, user: UserId) {
        let mut state = self.lock();
        if let Some(one) = state.people.get_mut(&user) {
            one.sockets = one.sockets.saturating_sub(1);
            if one.is_gone() {
                state.people.remove(&user);
            }
        }
    }

    /// Begins a stream, after the event with this id. `epoch` names the ring, if it is a new one.
    ///
    /// Errors: `too_many_connections`, `overloaded`, `not_ready`.
    pub(super) fn open(
        &self,
        user: UserId,
        expires_at: Timestamp,
        last_id: &str,
        epoch: String,
        max_streams: usize,
    ) -> Result<Opening> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(Code::NotReady.into());
        }
        if state.streams >= max_streams {
            return Err(Code::Overloaded.into());
        }
        let one = state.people.entry(user).or_default();
        if one.streams.len() >= MAX_OF_ONE {
            return Err(Code::TooManyConnections.into());
        }
        let log = one.log.get_or_insert_with(|| Log {
            ring: Ring::new(epoch),
            bell: watch::channel(()).0,
            left_at: None,
        });
        log.left_at = None;
        let place = log.ring.place(last_id);
        let cursor = match place {
            Place::After(number) => number,
            Place::Fresh | Place::Lost => log.ring.last(),
        };
        let (id, bell) = (log.ring.id(cursor), log.bell.subscribe());
        state.numbers += 1;
        state.streams += 1;
        let number = state.numbers;
        if let Some(one) = state.people.get_mut(&user) {
            one.streams.push(Open { number, expires_at });
        }
        Ok(Opening {
            number,
            place,
            cursor,
            id,
            bell,
        })
    }

    /// Ends a stream.
    pub(super) fn close(&self, user: UserId, number: u64) {
        let mut state = self.lock();
        state.streams = state.streams.saturating_sub(1);
        if let Some(one) = state.people.get_mut(&user) {
            one.streams.retain(|open| open.number != number);
            if one.streams.is_empty()
                && let Some(log) = &mut one.log
            {
                log.left_at = Some(Instant::now());
            }
        }
    }

    /// What came after a number, with the ids; none when some of it is gone.
    pub(super) fn after(
        &self,
        user: UserId,
        number: u64,
    ) -> Option<Vec<(u64, String, Arc<Happening>)>> {
        let state = self.lock();
        let ring = &state.people.get(&user)?.log.as_ref()?.ring;
        let events = ring.after(number)?;
        Some(
            events
                .into_iter()
                .map(|(number, happening)| (number, ring.id(number), happening))
                .collect(),
        )
    }

    /// Tells somebody's streams of something.
    pub(super) fn push(&self, user: UserId, happening: Arc<Happening>) {
        let mut state = self.lock();
        let max_bytes = state.max_bytes();
        let known = state.people.get_mut(&user);
        if let Some(log) = known.and_then(|one| one.log.as_mut()) {
            let before = log.ring.bytes();
            log.ring.push(happening, max_bytes);
            log.bell.send_replace(());
            let after = log.ring.bytes();
            state.bytes = state.bytes - before + after;
        }
    }

    /// Forgets what somebody's streams were told lately: who comes back loads anew.
    pub(super) fn forget_told(&self, user: UserId) {
        let mut state = self.lock();
        let known = state.people.get_mut(&user);
        if let Some(log) = known.and_then(|one| one.log.as_mut()) {
            let bytes = log.ring.bytes();
            log.ring.clear();
            log.bell.send_replace(());
            state.bytes -= bytes;
        }
    }

    /// Somebody is told something instead of what they were told with such a text in it.
    pub(super) fn replace_told(&self, user: UserId, text: &str, live: &event::Live) {
        let mut state = self.lock();
        let known = state.people.get_mut(&user);
        if let Some(log) = known.and_then(|one| one.log.as_mut()) {
            let before = log.ring.bytes();
            log.ring.replace(text, &live.name, &live.payload);
            let after = log.ring.bytes();
            state.bytes = state.bytes - before + after;
        }
    }

    /// Tells somebody's streams of what a command tells them, after which their counts may be others.
    pub(super) fn push_from(&self, user: UserId, live: &event::Live) {
        let has_log = {
            let state = self.lock();
            let one = state.people.get(&user);
            one.is_some_and(|one| one.log.is_some())
        };
        if has_log {
            let happening = Happening {
                name: live.name.clone(),
                payload: live.payload.clone(),
            };
            self.push(user, Arc::new(happening));
        }
        self.note(user, |due| due.counts = true);
    }

    /// Lets somebody's streams look whether they still may.
    pub(super) fn ring_bell(&self, user: UserId) {
        if let Some(log) = self
            .lock()
            .people
            .get(&user)
            .and_then(|one| one.log.as_ref())
        {
            log.bell.send_replace(());
        }
    }

    /// Something may have to be found out for somebody, if they are there.
    pub(super) fn note(&self, user: UserId, note: impl FnOnce(&mut Due)) {
        let mut state = self.lock();
        if let Some(one) = state.people.get_mut(&user) {
            note(&mut one.due);
            drop(state);
            self.due.notify_one();
        }
    }

    /// What is due, which then is not any more.
    pub(super) fn take_due(&self) -> Vec<(UserId, Due)> {
        let mut state = self.lock();
        let people = state.people.iter_mut();
        people
            .filter(|(_, one)| one.due.counts || !one.due.notices.is_empty())
            .map(|(user, one)| (*user, std::mem::take(&mut one.due)))
            .collect()
    }

    /// Notes what somebody is told of their counts; false when they were told just that before.
    pub(super) fn tell_counts(&self, user: UserId, counts: Counts) -> bool {
        let mut state = self.lock();
        let known = state.people.get_mut(&user);
        known.is_some_and(|one| one.told.replace(counts) != Some(counts))
    }

    pub(super) fn is_nobody_there(&self) -> bool {
        self.lock().people.is_empty()
    }

    /// All who are there.
    pub(super) fn all(&self) -> Vec<UserId> {
        self.lock().people.keys().copied().collect()
    }

    /// Lets those look up whose session has expired, and forgets those who have been away for long.
    pub(super) fn sweep(&self, now: Timestamp) {
        let mut state = self.lock();
        let mut away = Vec::new();
        for (user, one) in &mut state.people {
            let Some(log) = &one.log else { continue };
            if one.streams.iter().any(|open| open.expires_at <= now) {
                log.bell.send_replace(());
            }
            if let Some(left_at) = log.left_at {
                away.push((left_at, *user));
            }
        }
        away.sort_unstable();
        let excess = away.len().saturating_sub(MAX_AWAY);
        for (at, (left_at, user)) in away.into_iter().enumerate() {
            let is_too_much = at < excess || state.bytes > MAX_BYTES_OF_ALL;
            if is_too_much || left_at.elapsed() > KEPT {
                state.forget(user);
            }
        }
    }

    /// Lets nobody in any more.
    pub(super) fn close_all(&self) {
        self.lock().is_closed = true;
    }
}

impl State {
    /// What the events of one person may take now.
    fn max_bytes(&self) -> usize {
        if self.bytes > MAX_BYTES_OF_ALL {
            FEW_BYTES
        } else {
            MAX_BYTES
        }
    }

    fn forget(&mut self, user: UserId) {
        if let Some(one) = self.people.get_mut(&user) {
            if let Some(log) = one.log.take() {
                self.bytes -= log.ring.bytes();
            }
            if one.is_gone() {
                self.people.remove(&user);
            }
        }
    }
}

impl Attended {
    fn is_gone(&self) -> bool {
        self.sockets == 0 && self.log.is_none()
    }
}

impl Due {
    /// Adds notifications that came before or after those that are there.
    pub(super) fn add_notices(&mut self, new: &[NotificationId]) {
        self.notices.extend_from_slice(new);
        self.notices.sort_unstable();
        self.notices.dedup();
        let excess = self.notices.len().saturating_sub(MAX_NOTICES);
        self.notices.drain(..excess);
    }
}
