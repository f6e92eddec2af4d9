//! Who is where just now, and who is there at all. Kept in memory alone: it ends with the connections. What other hubs say
//! of theirs is kept beside one's own, and goes when they are not heard of any more.

mod people;
mod rooms;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::id::{RoomId, UserId};

use people::People;
use rooms::Rooms;

/// Which hub.
type HubId = u64;

/// Whether somebody is there.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[schema(as = PresenceStatus)]
pub enum Status {
    /// With no connection.
    #[default]
    Offline,
    /// Connected, and busy elsewhere, on all devices.
    Away,
    /// Connected.
    Online,
}

/// Whether somebody is there, for who may know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// Who.
    pub user_id: UserId,
    /// Whether.
    pub status: Status,
    /// When they last were, as far as it is known; null while they are.
    #[schema(required)]
    pub last_seen_at: Option<Timestamp>,
}

/// All that one hub knows. Cheap to clone.
#[derive(Clone, Default)]
pub struct Presences {
    state: Arc<Mutex<State>>,
    rung: Arc<Notify>,
}

#[derive(Default)]
struct State {
    rooms: Rooms,
    people: People,
    /// What changed and was not told yet: how it was before, and the person's username where it is known.
    seats: HashMap<(RoomId, UserId), (bool, Option<String>)>,
    statuses: HashMap<UserId, (Status, Option<String>)>,
    /// When people went, until that is written down.
    gone: HashMap<UserId, Timestamp>,
}

/// What is to be told: how it is now, where that is not as it was told last.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Who looks at which room now, or does no more.
    pub seats: Vec<Seated>,
    /// Who is there now, or not, with their username where it is known.
    pub people: Vec<(UserId, Status, Option<String>)>,
}

/// That somebody looks at a room, or does no more.
#[derive(Debug, PartialEq, Eq)]
pub struct Seated {
    pub room: RoomId,
    pub user: UserId,
    /// Where it is known.
    pub username: Option<String>,
    pub is_there: bool,
}

/// What a hub says of all its own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Snapshot {
    pub rooms: Vec<(RoomId, Vec<UserId>)>,
    pub people: Vec<(UserId, Status)>,
}

impl State {
    /// Notes that somebody's place in a room may have changed.
    fn note_seat(&mut self, room: RoomId, user: UserId, was_there: bool, username: Option<&str>) {
        if was_there != self.rooms.has(room, user) {
            let entry = self.seats.entry((room, user));
            let noted = entry.or_insert((was_there, None));
            if noted.1.is_none() {
                noted.1 = username.map(ToOwned::to_owned);
            }
        }
    }

    /// Notes that somebody may stand otherwise than before.
    fn note_status(
        &mut self,
        user: UserId,
        before: Status,
        username: Option<&str>,
        now: Timestamp,
    ) {
        let after = self.people.status(user);
        if after == before {
            return;
        }
        if after == Status::Offline {
            self.gone.insert(user, now);
        } else {
            self.gone.remove(&user);
        }
        let noted = self.statuses.entry(user).or_insert((before, None));
        if noted.1.is_none() {
            noted.1 = username.map(ToOwned::to_owned);
        }
    }
}

impl Presences {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when there may be news.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }

    /// What has changed since this was last asked. What changed back in between is no news; so whoever asks now and then
    /// tells the last word, however often it changes.
    pub fn take_news(&self) -> News {
        let mut state = self.lock();
        let seats = std::mem::take(&mut state.seats);
        let people = std::mem::take(&mut state.statuses);
        let seated = |((room, user), (was_there, username))| {
            let is_there = state.rooms.has(room, user);
            (is_there != was_there).then_some(Seated {
                room,
                user,
                username,
                is_there,
            })
        };
        let stands = |(user, (before, username))| {
            let now = state.people.status(user);
            (now != before).then_some((user, now, username))
        };
        News {
            seats: seats.into_iter().filter_map(seated).collect(),
            people: people.into_iter().filter_map(stands).collect(),
        }
    }

    /// A connection looks at a room: true when it is the person's first one there on this hub.
    pub fn enter(&self, room: RoomId, user: UserId, username: &str) -> bool {
        let mut state = self.lock();
        let was_there = state.rooms.has(room, user);
        let is_first = state.rooms.enter(room, user);
        state.note_seat(room, user, was_there, Some(username));
        drop(state);
        self.rung.notify_one();
        is_first
    }

    /// A connection looks at it no more: true when it was the person's last one there on this hub.
    pub fn leave(&self, room: RoomId, user: UserId, username: &str) -> bool {
        let mut state = self.lock();
        let was_there = state.rooms.has(room, user);
        let is_last = state.rooms.leave(room, user);
        state.note_seat(room, user, was_there, Some(username));
        drop(state);
        self.rung.notify_one();
        is_last
    }

    /// Another hub says that somebody came, or went.
    pub fn heard(&self, hub: HubId, room: RoomId, user: UserId, username: &str, is_there: bool) {
        let mut state = self.lock();
        let was_there = state.rooms.has(room, user);
        state.rooms.heard(hub, room, user, is_there);
        state.note_seat(room, user, was_there, Some(username));
        drop(state);
        self.rung.notify_one();
    }

    /// Who looks at a room, by id.
    pub fn in_room(&self, room: RoomId) -> Vec<UserId> {
        self.lock().rooms.people(room)
    }

    /// A connection of somebody's is there, or says that it is so now; [`Status::Offline`] when it is gone. The status on
    /// this hub, when it is another one now.
    pub fn connection(
        &self,
        user: UserId,
        username: &str,
        connection: u64,
        status: Status,
        now: Timestamp,
    ) -> Option<Status> {
        let mut state = self.lock();
        let before = state.people.status(user);
        let here = state.people.connection(user, connection, status);
        state.note_status(user, before, Some(username), now);
        drop(state);
        self.rung.notify_one();
        here
    }

    /// Another hub says so of somebody.
    pub fn heard_status(
        &self,
        hub: HubId,
        user: UserId,
        username: &str,
        status: Status,
        now: Timestamp,
    ) {
        let mut state = self.lock();
        let before = state.people.status(user);
        state.people.heard(hub, user, status);
        state.note_status(user, before, Some(username), now);
        drop(state);
        self.rung.notify_one();
    }

    /// When somebody went who is not there, as far as it is not written down yet.
    pub fn gone_at(&self, user: UserId) -> Option<Timestamp> {
        self.lock().gone.get(&user).copied()
    }

    /// Who was here when, as far as it is not written down: those who are connected to this hub now, and those who went.
    pub fn seen(&self, now: Timestamp) -> Vec<(UserId, Timestamp)> {
        let state = self.lock();
        let mut seen: HashMap<UserId, Timestamp> = state.gone.clone();
        seen.extend(state.people.local().into_iter().map(|user| (user, now)));
        drop(state);
        let mut seen: Vec<(UserId, Timestamp)> = seen.into_iter().collect();
        seen.sort_unstable();
        seen
    }

    /// This is written down.
    pub fn forget_seen(&self, seen: &[(UserId, Timestamp)]) {
        let mut state = self.lock();
        for (user, at) in seen {
            if state.gone.get(user) == Some(at) {
                state.gone.remove(user);
            }
        }
    }

    /// Whether somebody is there.
    pub fn status(&self, user: UserId) -> Status {
        self.lock().people.status(user)
    }

    /// What the other hubs are to know of this one.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        Snapshot {
            rooms: state.rooms.local(),
            people: state.people.local_statuses(),
        }
    }

    /// Another hub says how it stands, in place of all that it said before; nothing when it is gone.
    pub fn replace(&self, hub: HubId, snapshot: Option<Snapshot>, now: Timestamp) {
        let Snapshot { rooms, people } = snapshot.unwrap_or_default();
        let mut state = self.lock();
        let mut seats = state.rooms.of_hub(hub);
        let all = rooms.iter();
        seats.extend(all.flat_map(|(room, people)| people.iter().map(|user| (*room, *user))));
        let seats: HashMap<(RoomId, UserId), bool> = seats
            .into_iter()
            .map(|seat| (seat, state.rooms.has(seat.0, seat.1)))
            .collect();
        let mut concerned = state.people.of_hub(hub);
        concerned.extend(people.iter().map(|(user, _)| *user));
        let before: HashMap<UserId, Status> = concerned
            .into_iter()
            .map(|user| (user, state.people.status(user)))
            .collect();
        state.rooms.replace(hub, rooms);
        state.people.replace(hub, people.into_iter().collect());
        for ((room, user), was_there) in seats {
            state.note_seat(room, user, was_there, None);
        }
        for (user, before) in before {
            state.note_status(user, before, None, now);
        }
        drop(state);
        self.rung.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(7);

    fn seated(user: i64, is_there: bool) -> Seated {
        Seated {
            room: 1.into(),
            user: user.into(),
            username: Some("ada".to_owned()),
            is_there,
        }
    }

    #[test]
    fn the_last_word_is_told_and_told_once() {
        let presences = Presences::default();
        let (room, ada) = (RoomId::from(1), UserId::from(5));
        assert!(presences.enter(room, ada, "ada"));
        assert!(!presences.enter(room, ada, "ada"));
        assert_eq!(presences.take_news().seats, [seated(5, true)]);
        assert_eq!(presences.take_news(), News::default());
        // On both hubs; both devices go, in whatever order that is heard.
        presences.heard(7, room, ada, "ada", true);
        assert!(!presences.leave(room, ada, "ada"));
        assert!(presences.leave(room, ada, "ada"));
        assert_eq!(presences.take_news(), News::default());
        presences.heard(7, room, ada, "ada", false);
        assert_eq!(presences.take_news().seats, [seated(5, false)]);
        // Gone and back in between is no news.
        presences.enter(room, ada, "ada");
        presences.leave(room, ada, "ada");
        assert_eq!(presences.take_news(), News::default());
    }

    #[test]
    fn a_hub_that_says_how_it_stands_mends_lost_words() {
        let presences = Presences::default();
        let (room, ada) = (RoomId::from(1), UserId::from(5));
        let standing = Snapshot {
            rooms: vec![(room, vec![ada])],
            people: vec![(ada, Status::Online)],
        };
        presences.replace(7, Some(standing), NOW);
        let news = presences.take_news();
        assert_eq!((news.seats.len(), news.people.len()), (1, 1));
        assert!(news.seats[0].is_there);
        presences.replace(7, None, NOW);
        let news = presences.take_news();
        assert!(!news.seats[0].is_there);
        assert_eq!(news.people, [(ada, Status::Offline, None)]);
        assert_eq!(presences.gone_at(ada), Some(NOW));
        let seen = presences.seen(NOW);
        presences.forget_seen(&seen);
        assert_eq!(presences.gone_at(ada), None);
    }
}
