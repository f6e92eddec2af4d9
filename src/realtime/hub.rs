//! Who looks at which room, on this node, and what they have been shown.
//!
//! Messages come here in the order in which they were committed. Each place in a room remembers the number of the last
//! message that it was shown, so that what is read from the database and what comes live fit together without a gap and
//! without a repeat: see [`Hub::catch_up`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::engine::{Frame, SendError};
use super::packet;
use super::people::Guest;
use crate::chat::{self, Presence, Room};
use crate::clock::Timestamp;
use crate::event::{Audience, Live};
use crate::id::{RoomId, SessionId, UserId};
use crate::links::{Links, Signer};

/// Connections of one person at once.
const MAX_OF_ONE: usize = 64;

/// Everybody who is connected to this node.
pub(super) struct Hub {
    presence: Presence,
    rooms: RwLock<HashMap<RoomId, Arc<Place>>>,
    people: RwLock<HashMap<UserId, Vec<Arc<Guest>>>>,
}

/// A room that somebody looks at.
pub(super) struct Place {
    key: String,
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    /// By the guest's number.
    seats: HashMap<u64, Seat>,
    /// Nobody is here any more, and the place is forgotten.
    is_closed: bool,
}

/// One connection that looks at a room.
struct Seat {
    guest: Arc<Guest>,
    /// The number of the last message that it was shown.
    shown: u64,
    /// Whether it is shown what comes; else it reads what was there before, and `has_missed` tells that there is more.
    is_live: bool,
    has_missed: bool,
}

/// What changed when somebody came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The person is here now, or no more.
    Person,
    /// They are, or were, here with another connection as well.
    Connection,
}

impl Hub {
    pub(super) fn new(presence: Presence) -> Self {
        Self {
            presence,
            rooms: RwLock::default(),
            people: RwLock::default(),
        }
    }

    fn place(&self, id: RoomId) -> Option<Arc<Place>> {
        let rooms = self.rooms.read().unwrap_or_else(PoisonError::into_inner);
        rooms.get(&id).cloned()
    }

    /// Somebody has connected; false when they have too many connections.
    pub(super) fn add(&self, guest: &Arc<Guest>) -> bool {
        let mut people = self.people.write().unwrap_or_else(PoisonError::into_inner);
        let known = people.entry(guest.user_id()).or_default();
        let has_room = known.len() < MAX_OF_ONE;
        if has_room {
            known.push(Arc::clone(guest));
        }
        has_room
    }

    /// Somebody's connection is gone. Returns the rooms in which they are no more.
    pub(super) fn remove(&self, guest: &Arc<Guest>) -> Vec<(RoomId, String)> {
        {
            let mut people = self.people.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = people.get_mut(&guest.user_id()) {
                known.retain(|one| !Arc::ptr_eq(one, guest));
                if known.is_empty() {
                    people.remove(&guest.user_id());
                }
            }
        }
        guest
            .take_rooms()
            .into_iter()
            .filter_map(|room| {
                let (change, key) = self.vacate(guest, room)?;
                (change == Change::Person).then_some((room, key))
            })
            .collect()
    }

    /// Seats a connection in a room. What is said from here on is not missed, though not shown before
    /// [`catch_up`](Self::catch_up).
    pub(super) fn enter(&self, guest: &Arc<Guest>, room: &Room, shown: u64) -> Change {
        loop {
            let place = {
                let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
                let place = rooms.entry(room.id).or_insert_with(|| {
                    Arc::new(Place {
                        key: room.key.clone(),
                        seats: Mutex::default(),
                    })
                });
                Arc::clone(place)
            };
            let mut seats = place.lock();
            // The last one went between the two locks.
            if seats.is_closed {
                continue;
            }
            let seat = Seat {
                guest: Arc::clone(guest),
                shown,
                is_live: false,
                has_missed: false,
            };
            if seats.seats.insert(guest.number(), seat).is_some() {
                return Change::Connection;
            }
            return if self.presence.enter(room.id, guest.user_id()) {
                Change::Person
            } else {
                Change::Connection
            };
        }
    }

    /// What was there has been shown up to this number. True when the connection is shown what comes from now on; false
    /// when more was said in between, which is to be read first.
    pub(super) fn catch_up(&self, guest: &Guest, room: RoomId, shown: u64) -> bool {
        let Some(place) = self.place(room) else {
            return true;
        };
        let mut seats = place.lock();
        let Some(seat) = seats.seats.get_mut(&guest.number()) else {
            return true;
        };
        seat.shown = seat.shown.max(shown);
        seat.is_live = !std::mem::take(&mut seat.has_missed);
        seat.is_live
    }

    /// Somebody leaves a room; none when they were not in it.
    pub(super) fn leave(&self, guest: &Guest, room: RoomId) -> Option<Change> {
        self.vacate(guest, room).map(|(change, _)| change)
    }

    fn vacate(&self, guest: &Guest, room: RoomId) -> Option<(Change, String)> {
        let place = self.place(room)?;
        let mut seats = place.lock();
        seats.seats.remove(&guest.number())?;
        let change = if self.presence.leave(room, guest.user_id()) {
            Change::Person
        } else {
            Change::Connection
        };
        if seats.seats.is_empty() {
            seats.is_closed = true;
            drop(seats);
            let mut rooms = self.rooms.write().unwrap_or_else(PoisonError::into_inner);
            // Somebody may have begun it anew.
            if rooms
                .get(&room)
                .is_some_and(|known| Arc::ptr_eq(known, &place))
            {
                rooms.remove(&room);
            }
        }
        Some((change, place.key.clone()))
    }

    /// Whether a connection is in a room.
    pub(super) fn is_in(&self, guest: &Guest, room: RoomId) -> bool {
        self.place(room)
            .is_some_and(|place| place.lock().seats.contains_key(&guest.number()))
    }

    /// Shows something to those whom it is for.
    pub(super) fn show(&self, live: &Live, signer: &Signer, now: Timestamp) {
        let mut shown = Shown::new(&live.name, &live.payload, Some((signer, now)));
        let slow = match live.audience {
            Audience::Room(room) => self
                .place(room)
                .map(|place| place.show(&mut shown, live.number, None))
                .unwrap_or_default(),
            Audience::PersonOutside { user_id, room_id } => self
                .guests_of(user_id)
                .into_iter()
                .filter(|guest| !self.is_in(guest, room_id))
                .filter(|guest| guest.show(&mut shown) == Err(SendError::Full))
                .collect(),
        };
        give_up(&slow);
    }

    /// Shows something that nobody keeps to all in a room but one person.
    pub(super) fn show_others(&self, room: RoomId, but: UserId, name: &str, payload: &str) {
        let mut shown = Shown::new(name, payload, None);
        if let Some(place) = self.place(room) {
            give_up(&place.show(&mut shown, None, Some(but)));
        }
    }

    /// The name of a room that somebody looks at.
    pub(super) fn key(&self, room: RoomId) -> Option<String> {
        self.place(room).map(|place| place.key.clone())
    }

    /// Somebody's connections.
    pub(super) fn guests_of(&self, user: UserId) -> Vec<Arc<Guest>> {
        let people = self.people.read().unwrap_or_else(PoisonError::into_inner);
        people.get(&user).cloned().unwrap_or_default()
    }

    /// Somebody's connections with this session; with all that they have but one, where `kept` is given.
    pub(super) fn of_session(
        &self,
        user: UserId,
        ended: impl Fn(SessionId) -> bool,
    ) -> Vec<Arc<Guest>> {
        let mut guests = self.guests_of(user);
        guests.retain(|guest| ended(guest.session_id()));
        guests
    }

    /// Those whose session has expired.
    pub(super) fn expired(&self, now: Timestamp) -> Vec<Arc<Guest>> {
        let people = self.people.read().unwrap_or_else(PoisonError::into_inner);
        people
            .values()
            .flatten()
            .filter(|guest| guest.expires_at() <= now)
            .cloned()
            .collect()
    }
}

/// Ends the connections of those who do not read what they are shown: what they missed they find when they come back.
fn give_up(slow: &[Arc<Guest>]) {
    for guest in slow {
        guest.give_up();
    }
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows something to all here but one person. Returns those who cannot take it.
    fn show(
        &self,
        shown: &mut Shown<'_>,
        number: Option<u64>,
        but: Option<UserId>,
    ) -> Vec<Arc<Guest>> {
        let mut slow = Vec::new();
        for seat in self.lock().seats.values_mut() {
            if but == Some(seat.guest.user_id()) {
                continue;
            }
            if let Some(number) = number {
                if !seat.is_live {
                    seat.has_missed = true;
                    continue;
                }
                if number <= seat.shown {
                    continue;
                }
                seat.shown = number;
            }
            if seat.guest.show(shown) == Err(SendError::Full) {
                slow.push(Arc::clone(&seat.guest));
            }
        }
        slow
    }
}

/// An event in the forms in which clients want it, each made once.
pub(super) struct Shown<'a> {
    name: &'a str,
    payload: &'a str,
    /// Writes the addresses in it, where there may be some.
    links: Option<(&'a Signer, Timestamp)>,
    made: Vec<(Form, Frame)>,
}

/// What makes two clients' forms different.
#[derive(PartialEq, Eq)]
struct Form {
    namespace: &'static str,
    base: Arc<str>,
    is_alias: bool,
}

impl<'a> Shown<'a> {
    pub(super) fn new(
        name: &'a str,
        payload: &'a str,
        links: Option<(&'a Signer, Timestamp)>,
    ) -> Self {
        Self {
            name,
            payload,
            links,
            made: Vec::new(),
        }
    }

    /// The event for a namespace, with addresses that begin with `base`.
    pub(super) fn frame(&mut self, namespace: &'static str, base: &Arc<str>) -> Frame {
        self.make(namespace, base, false)
    }

    /// The same under the name that the original gave it, for those who do not know the other.
    pub(super) fn alias(&mut self, namespace: &'static str, base: &Arc<str>) -> Option<Frame> {
        (self.name == "new_message").then(|| self.make(namespace, base, true))
    }

    fn make(&mut self, namespace: &'static str, base: &Arc<str>, is_alias: bool) -> Frame {
        let is_made = |form: &Form| {
            form.namespace == namespace && form.is_alias == is_alias && form.base == *base
        };
        if let Some((_, frame)) = self.made.iter().find(|(form, _)| is_made(form)) {
            return frame.clone();
        }
        let name = if is_alias { "message" } else { self.name };
        let written = self.links.and_then(|(signer, now)| {
            let links = Links {
                base: Arc::clone(base),
                signer: signer.clone(),
                now,
            };
            links.within(|| chat::rewrite_links(self.name, self.payload))
        });
        let payload = written.as_deref().unwrap_or(self.payload);
        let frame = Frame::message(&packet::event(namespace, name, payload, 0));
        let form = Form {
            namespace,
            base: Arc::clone(base),
            is_alias,
        };
        self.made.push((form, frame.clone()));
        frame
    }
}
