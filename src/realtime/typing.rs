//! Who is typing. A client says so now and then while it goes on; who is not heard of any more has stopped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::Shared;
use super::people::Guest;
use crate::id::RoomId;

/// How long somebody is typing who does not say so again.
const EXPIRES: Duration = Duration::from_secs(10);

/// Where one connection is typing.
#[derive(Default)]
pub(super) struct Typing {
    rooms: Mutex<HashMap<RoomId, (String, Instant)>>,
}

impl Typing {
    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, (String, Instant)>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that they are typing. True when that is new, and somebody has to watch over its end.
    fn begin(&self, room: RoomId, key: &str, now: Instant) -> bool {
        let until = now + EXPIRES;
        self.lock().insert(room, (key.to_owned(), until)).is_none()
    }

    /// The room of that name, if they are typing there.
    fn room(&self, key: &str) -> Option<RoomId> {
        let rooms = self.lock();
        let mut known = rooms.iter();
        known
            .find(|(_, (name, _))| name == key)
            .map(|(room, _)| *room)
    }

    fn end(&self, room: RoomId) -> Option<String> {
        self.lock().remove(&room).map(|(key, _)| key)
    }

    /// Until when they are, as far as they said.
    fn until(&self, room: RoomId) -> Option<Instant> {
        self.lock().get(&room).map(|(_, until)| *until)
    }
}

impl Shared {
    /// Somebody says that they are typing, or have stopped.
    pub(super) fn set_typing(
        self: &Arc<Self>,
        guest: &Arc<Guest>,
        room: RoomId,
        key: &str,
        is_typing: bool,
    ) {
        if !is_typing {
            self.end_typing(guest, room);
            return;
        }
        let is_new = guest.typing.begin(room, key, Instant::now());
        self.show_typing(guest, room, key, true);
        if is_new {
            let (shared, guest) = (Arc::clone(self), Arc::clone(guest));
            let stopping = self.tasks.stopping().clone();
            self.tasks.spawn("typing", async move {
                while let Some(until) = guest.typing.until(room) {
                    if until <= Instant::now() {
                        shared.end_typing(&guest, room);
                        return;
                    }
                    let pause = tokio::time::sleep_until(until);
                    if stopping.run_until_cancelled(pause).await.is_none() {
                        return;
                    }
                }
            });
        }
    }

    /// Tells the others that somebody has stopped typing, if they were: they said so, sent what they typed, or are gone.
    pub(super) fn end_typing(&self, guest: &Guest, room: RoomId) {
        if let Some(key) = guest.typing.end(room) {
            self.show_typing(guest, room, &key, false);
        }
    }

    /// The same, by the room's name.
    pub(super) fn end_typing_in(&self, guest: &Guest, key: &str) {
        if let Some(room) = guest.typing.room(key) {
            self.end_typing(guest, room);
        }
    }

    fn show_typing(&self, guest: &Guest, room: RoomId, key: &str, is_typing: bool) {
        let payload = json!({
            "userId": guest.user_id(),
            "username": guest.username(),
            "isTyping": is_typing,
            "roomId": key,
            "conversationId": key,
        });
        self.show_to_others(room, guest.user_id(), "user_typing", payload.to_string());
    }
}
