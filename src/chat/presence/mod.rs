//! Who is where just now, and who is there at all. Kept in memory alone: it ends with the connections. What other hubs say
//! of theirs is kept beside one's own, and goes when they are not heard of any more.

mod people;
mod rooms;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

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

/// What somebody's coming or going changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed<T> {
    /// On this hub: the others are to be told.
    pub here: Option<T>,
    /// Anywhere: people are to be told.
    pub anywhere: Option<T>,
}

/// All that one hub knows. Cheap to clone.
#[derive(Clone, Default)]
pub struct Presences {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rooms: Rooms,
    people: People,
}

/// What a hub says of all its own.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Snapshot {
    pub rooms: Vec<(RoomId, Vec<UserId>)>,
    pub people: Vec<(UserId, Status)>,
}

/// What is different now that another hub has said how it stands, or is gone.
#[derive(Debug, Default)]
pub struct Difference {
    pub left: Vec<(RoomId, UserId)>,
    pub statuses: Vec<(UserId, Status)>,
}

impl Presences {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection looks at a room: true where the person did not before.
    pub fn enter(&self, room: RoomId, user: UserId) -> Changed<()> {
        self.lock().rooms.enter(room, user)
    }

    /// A connection looks at it no more: true where it was the person's last one there.
    pub fn leave(&self, room: RoomId, user: UserId) -> Changed<()> {
        self.lock().rooms.leave(room, user)
    }

    /// Another hub says that somebody came, or went; true when that is so for everybody.
    pub fn heard(&self, hub: HubId, room: RoomId, user: UserId, is_there: bool) -> bool {
        self.lock().rooms.heard(hub, room, user, is_there)
    }

    /// Who looks at a room, by id.
    pub fn in_room(&self, room: RoomId) -> Vec<UserId> {
        self.lock().rooms.people(room)
    }

    /// A connection of somebody's is there, or says that it is so now; [`Status::Offline`] when it is gone.
    pub fn connection(&self, user: UserId, connection: u64, status: Status) -> Changed<Status> {
        self.lock().people.connection(user, connection, status)
    }

    /// Another hub says so of somebody; the status when it is another one now.
    pub fn heard_status(&self, hub: HubId, user: UserId, status: Status) -> Option<Status> {
        self.lock().people.heard(hub, user, status)
    }

    /// Whether somebody is there.
    pub fn status(&self, user: UserId) -> Status {
        self.lock().people.status(user)
    }

    /// Those who are connected to this hub.
    pub fn connected(&self) -> Vec<UserId> {
        self.lock().people.local()
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
    pub fn replace(&self, hub: HubId, snapshot: Option<Snapshot>) -> Difference {
        let (rooms, people) = snapshot.map_or_else(Default::default, |snapshot| {
            let people: HashMap<UserId, Status> = snapshot.people.into_iter().collect();
            (snapshot.rooms, people)
        });
        let mut state = self.lock();
        Difference {
            left: state.rooms.replace(hub, rooms),
            statuses: state.people.replace(hub, people),
        }
    }
}
