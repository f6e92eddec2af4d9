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
use crate::chat::{self, Presences, Room};
use crate::clock::Timestamp;
use crate::event::{Audience, Live};
use crate::id::{RoomId, SessionId, UserId};
use crate::links::{Links, Signer};

/// Events that wait for one connection until it has been shown what was there before. They are shared by all who wait, and
/// how long that takes is not up to the client: many may come in at once.
const MAX_HELD: usize = 4_096;

/// Connections of one person at once.
pub(super) const MAX_OF_ONE: usize = 64;

/// Everybody who is connected to this node.
pub(super) struct Hub {
    presences: Presences,
    rooms: RwLock<HashMap<RoomId, Arc<Place>>>,
    people: RwLock<HashMap<UserId, Vec<Arc<Guest>>>>,
    /// Who wants to know whether somebody is there.
    watchers: RwLock<HashMap<UserId, Vec<Arc<Guest>>>>,
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
    /// Whether it has to ask for more before it can be shown what comes; what passes until then is not for it.
    is_behind: bool,
    has_missed: bool,
    /// What else came until then.
    held: Vec<Frame>,
}

impl Hub {
    pub(super) fn new(presences: Presences) -> Self {
        Self {
            presences,
            rooms: RwLock::default(),
            people: RwLock::default(),
            watchers: RwLock::default(),
        }
    }

    /// Who is where, as far as this hub knows.
    pub(super) fn presences(&self) -> &Presences {
        &self.presences
    }

    /// The name of a room that somebody here looks at.
    pub(super) fn key(&self, room: RoomId) -> Option<String> {
        self.place(room).map(|place| place.key.clone())
    }

    /// Who wants to know whether somebody is there.
    pub(super) fn watchers(&self, of: UserId) -> Vec<Arc<Guest>> {
        let watchers = self.watchers.read().unwrap_or_else(PoisonError::into_inner);
        watchers.get(&of).cloned().unwrap_or_default()
    }

    /// A connection watches these people, instead of those before.
    pub(super) fn watch(&self, guest: &Arc<Guest>, people: Vec<UserId>) {
        let mut watchers = self
            .watchers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for user in &people {
            watchers.entry(*user).or_default().push(Arc::clone(guest));
        }
        for user in guest.put_watched(people) {
            take_one(&mut watchers, user, guest);
        }
    }

    /// Nobody watches somebody any more, and they watch nobody.
    pub(super) fn forget_watched(&self, user: UserId) {
        let mut watchers = self
            .watchers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for watcher in watchers.remove(&user).into_iter().flatten() {
            watcher.drop_watched(user);
        }
        for guest in self.guests_of(user) {
            for watched in guest.put_watched(Vec::new()) {
                take_one(&mut watchers, watched, &guest);
            }
        }
    }

    /// Somebody watches somebody else no more; returns the connections that did.
    pub(super) fn unwatch(&self, watcher: UserId, watched: UserId) -> Vec<Arc<Guest>> {
        let mut watchers = self
            .watchers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(all) = watchers.get_mut(&watched) else {
            return Vec::new();
        };
        let taken: Vec<Arc<Guest>> = all
            .extract_if(.., |guest| guest.user_id() == watcher)
            .collect();
        for guest in &taken {
            guest.drop_watched(watched);
        }
        if all.is_empty() {
            watchers.remove(&watched);
        }
        taken
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

    /// Somebody's connection is gone. Returns the rooms where it was the person's last one here.
    pub(super) fn remove(&self, guest: &Arc<Guest>) -> Vec<RoomId> {
        {
            let mut people = self.people.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = people.get_mut(&guest.user_id()) {
                known.retain(|one| !Arc::ptr_eq(one, guest));
                if known.is_empty() {
                    people.remove(&guest.user_id());
                }
            }
        }
        self.watch(guest, Vec::new());
        guest
            .take_rooms()
            .into_iter()
            .filter(|room| {
                self.vacate(guest, *room)
                    .is_some_and(|(is_last, _)| is_last)
            })
            .collect()
    }

    /// Seats a connection in a room. What is said from here on is not missed, though not shown before
    /// [`catch_up`](Self::catch_up). True when it is the person's first one there, on this hub.
    pub(super) fn enter(&self, guest: &Arc<Guest>, room: &Room, shown: u64) -> bool {
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
                is_behind: false,
                has_missed: false,
                held: Vec::new(),
            };
            if seats.seats.insert(guest.number(), seat).is_some() {
                return false;
            }
            return self
                .presences
                .enter(room.id, guest.user_id(), guest.username());
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
        if seat.is_live && !guest.send_all(std::mem::take(&mut seat.held)) {
            give_up(&[Arc::clone(&seat.guest)]);
        }
        seat.is_live
    }

    /// There is more than one answer holds: the connection is shown nothing until it enters again with what it has.
    pub(super) fn fall_behind(&self, guest: &Guest, room: RoomId) {
        let Some(place) = self.place(room) else {
            return;
        };
        if let Some(seat) = place.lock().seats.get_mut(&guest.number()) {
            seat.is_behind = true;
            seat.held = Vec::new();
        }
    }

    /// Takes a connection out of a room: whether it was the person's last one there, on this hub, and the room's name; none
    /// when it was not in it.
    pub(super) fn vacate(&self, guest: &Guest, room: RoomId) -> Option<(bool, String)> {
        let place = self.place(room)?;
        let mut seats = place.lock();
        seats.seats.remove(&guest.number())?;
        let is_last = self
            .presences
            .leave(room, guest.user_id(), guest.username());
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
        Some((is_last, place.key.clone()))
    }

    /// The room of that name in which a connection has a seat.
    pub(super) fn seat_in(&self, guest: &Guest, key: &str) -> Option<RoomId> {
        let mut rooms = guest.rooms().into_iter();
        rooms.find(|room| self.place(*room).is_some_and(|place| place.key == key))
    }

    /// Whose connections have a seat in a room.
    pub(super) fn seated(&self, room: RoomId) -> Vec<UserId> {
        let Some(place) = self.place(room) else {
            return Vec::new();
        };
        let seats = place.lock();
        let mut people: Vec<UserId> = seats
            .seats
            .values()
            .map(|seat| seat.guest.user_id())
            .collect();
        people.sort_unstable();
        people.dedup();
        people
    }

    /// Whether somebody watches somebody else.
    pub(super) fn watches(&self, watcher: UserId, watched: UserId) -> bool {
        let watchers = self.watchers.read().unwrap_or_else(PoisonError::into_inner);
        let all = watchers.get(&watched).into_iter().flatten();
        all.into_iter().any(|guest| guest.user_id() == watcher)
    }

    /// Whether a connection is in a room.
    pub(super) fn is_in(&self, guest: &Guest, room: RoomId) -> bool {
        self.place(room)
            .is_some_and(|place| place.lock().seats.contains_key(&guest.number()))
    }

    /// Shows something to those whom it is for.
    pub(super) fn show(&self, live: &Live, signer: &Signer, now: Timestamp) {
        let mut shown = Shown::new(&live.name, &live.payload, Some((signer, now)));
        let slow = match &live.audience {
            Audience::Room(room) => self
                .place(*room)
                .map(|place| place.show(&mut shown, live.number, live.by, false))
                .unwrap_or_default(),
            Audience::PeopleOutside { user_ids, room_id } => user_ids
                .iter()
                .flat_map(|user| self.guests_of(*user))
                .filter(|guest| !self.is_in(guest, *room_id))
                .filter(|guest| guest.show(&mut shown) == Err(SendError::Full))
                .collect(),
            Audience::Person(user_id) => self
                .guests_of(*user_id)
                .into_iter()
                .filter(|guest| guest.show(&mut shown) == Err(SendError::Full))
                .collect(),
        };
        give_up(&slow);
    }

    /// Shows something that nobody keeps to all in a room but one person.
    pub(super) fn show_others(&self, room: RoomId, but: UserId, name: &str, payload: &str) {
        let mut shown = Shown::new(name, payload, None);
        if let Some(place) = self.place(room) {
            give_up(&place.show(&mut shown, None, but, true));
        }
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

/// A connection watches somebody no more. It may have been entered twice for a moment: one goes.
fn take_one(watchers: &mut HashMap<UserId, Vec<Arc<Guest>>>, watched: UserId, guest: &Arc<Guest>) {
    let Some(all) = watchers.get_mut(&watched) else {
        return;
    };
    if let Some(at) = all.iter().position(|one| Arc::ptr_eq(one, guest)) {
        all.swap_remove(at);
    }
    if all.is_empty() {
        watchers.remove(&watched);
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

    /// Shows something of somebody's doing to all here for whom they are there, and perhaps to themselves. Returns those
    /// who cannot take it.
    fn show(
        &self,
        shown: &mut Shown<'_>,
        number: Option<u64>,
        by: UserId,
        to_others: bool,
    ) -> Vec<Arc<Guest>> {
        let mut slow = Vec::new();
        for seat in self.lock().seats.values_mut() {
            if to_others && by == seat.guest.user_id() {
                continue;
            }
            let is_apart = seat.guest.is_apart_from(by);
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
            if is_apart || seat.is_behind {
                continue;
            }
            let is_full = if seat.is_live {
                seat.guest.show(shown) == Err(SendError::Full)
            } else {
                // After what is being read just now, and only if that may be read.
                seat.held.extend(seat.guest.frames(shown));
                seat.held.len() > MAX_HELD
            };
            if is_full {
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
    reactors: Option<Vec<UserId>>,
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
            reactors: None,
        }
    }

    /// Who reacted, as far as the event tells it.
    pub(super) fn reactors(&mut self) -> &[UserId] {
        self.reactors
            .get_or_insert_with(|| chat::reactors(self.name, self.payload))
    }

    /// The event for somebody for whom these people are not there.
    pub(super) fn frame_without(
        &self,
        namespace: &'static str,
        base: &Arc<str>,
        people: &[UserId],
    ) -> Frame {
        let payload = chat::without_reactors(self.payload, people);
        let payload = payload.as_deref().unwrap_or(self.payload);
        Shown::new(self.name, payload, self.links).frame(namespace, base)
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
