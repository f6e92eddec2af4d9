//! Who is typing. A client says so now and then while it goes on; who is not heard of any more has stopped.
//!
//! A person types in a room as long as one of their devices does: the others are told when the first begins, and when the
//! last has stopped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::Shared;
use super::people::Guest;
use crate::id::{RoomId, UserId};

/// How soon those who look are told again.
const TOLD_AGAIN: Duration = Duration::from_secs(3);

/// Who is typing where, of those who are connected to one hub.
#[derive(Default)]
pub(super) struct Typing {
    all: Mutex<People>,
}

type People = HashMap<UserId, HashMap<RoomId, Typed>>;

/// Somebody types in a room.
struct Typed {
    /// The room's name.
    key: String,
    username: String,
    /// Until when each of their connections does, as far as it said.
    devices: HashMap<u64, Instant>,
    told_at: Instant,
}

/// What the others are to be told.
struct Told {
    room: RoomId,
    user: UserId,
    username: String,
    key: String,
    is_typing: bool,
}

impl Typing {
    fn lock(&self) -> MutexGuard<'_, People> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a connection types in a room, for so long.
    fn begin(&self, guest: &Guest, room: RoomId, key: &str, lasts: Duration) -> Option<Told> {
        let (user, now) = (guest.user_id(), Instant::now());
        let mut all = self.lock();
        let mut is_new = false;
        let rooms = all.entry(user).or_default();
        let typed = rooms.entry(room).or_insert_with(|| {
            is_new = true;
            Typed {
                key: key.to_owned(),
                username: guest.username().to_owned(),
                devices: HashMap::new(),
                told_at: now,
            }
        });
        typed.devices.insert(guest.number(), now + lasts);
        let is_due = is_new || now.duration_since(typed.told_at) >= TOLD_AGAIN;
        is_due.then(|| {
            typed.told_at = now;
            typed.told(room, user, true)
        })
    }

    /// A connection types no more in the rooms that are meant.
    fn end(&self, guest: &Guest, is_meant: impl Fn(RoomId, &str) -> bool) -> Vec<Told> {
        let (user, mut told) = (guest.user_id(), Vec::new());
        let mut all = self.lock();
        let Some(rooms) = all.get_mut(&user) else {
            return told;
        };
        rooms.retain(|room, typed| {
            if is_meant(*room, &typed.key) && typed.devices.remove(&guest.number()).is_some() {
                return typed.goes_on(*room, user, &mut told);
            }
            true
        });
        if rooms.is_empty() {
            all.remove(&user);
        }
        told
    }

    /// Ends what was not said again in time.
    fn expire(&self, now: Instant) -> Vec<Told> {
        let mut told = Vec::new();
        self.lock().retain(|user, rooms| {
            rooms.retain(|room, typed| {
                typed.devices.retain(|_, until| *until > now);
                typed.goes_on(*room, *user, &mut told)
            });
            !rooms.is_empty()
        });
        told
    }
}

impl Typed {
    /// Whether some device still types; where none does, that is to be told.
    fn goes_on(&self, room: RoomId, user: UserId, told: &mut Vec<Told>) -> bool {
        if self.devices.is_empty() {
            told.push(self.told(room, user, false));
        }
        !self.devices.is_empty()
    }

    fn told(&self, room: RoomId, user: UserId, is_typing: bool) -> Told {
        Told {
            room,
            user,
            username: self.username.clone(),
            key: self.key.clone(),
            is_typing,
        }
    }
}

impl Shared {
    /// Somebody says that they are typing, or have stopped.
    pub(super) fn set_typing(&self, guest: &Guest, room: RoomId, key: &str, is_typing: bool) {
        if is_typing {
            let lasts = Duration::from_millis(self.options.typing_ms);
            if let Some(told) = self.typing.begin(guest, room, key, lasts) {
                self.show_typing(&told);
            }
        } else {
            self.end_typing(guest, room);
        }
    }

    /// A connection has stopped typing in a room, if it was: it said so, or may not be there any more.
    pub(super) fn end_typing(&self, guest: &Guest, room: RoomId) {
        for told in self.typing.end(guest, |known, _| known == room) {
            self.show_typing(&told);
        }
    }

    /// The same, by the room's name: it sent what it typed.
    pub(super) fn end_typing_in(&self, guest: &Guest, key: &str) {
        for told in self.typing.end(guest, |_, known| known == key) {
            self.show_typing(&told);
        }
    }

    /// A connection is gone.
    pub(super) fn end_all_typing(&self, guest: &Guest) {
        for told in self.typing.end(guest, |_, _| true) {
            self.show_typing(&told);
        }
    }

    /// Ends what is not said again, for ever.
    pub(super) async fn expire_typing(self: Arc<Self>) {
        let pause = Duration::from_millis((self.options.typing_ms / 10).clamp(10, 1_000));
        let mut ticks = tokio::time::interval(pause);
        loop {
            ticks.tick().await;
            for told in self.typing.expire(Instant::now()) {
                self.show_typing(&told);
            }
        }
    }

    fn show_typing(&self, told: &Told) {
        let payload = json!({
            "userId": told.user,
            "username": told.username,
            "isTyping": told.is_typing,
            "roomId": told.key,
            "conversationId": told.key,
        });
        self.show_to_others(told.room, told.user, "user_typing", payload.to_string());
    }
}
