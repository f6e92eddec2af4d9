//! Who is where just now. Kept in memory alone: it ends with the connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::{RoomId, UserId};

/// With how many connections each person looks at each room. Cheap to clone.
#[derive(Clone, Default)]
pub struct Presence {
    rooms: Arc<Mutex<HashMap<RoomId, HashMap<UserId, usize>>>>,
}

impl Presence {
    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, HashMap<UserId, usize>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection looks at a room. True when the person was not there before.
    pub fn enter(&self, room: RoomId, user: UserId) -> bool {
        let mut rooms = self.lock();
        let connections = rooms.entry(room).or_default().entry(user).or_default();
        *connections += 1;
        *connections == 1
    }

    /// A connection looks at it no more. True when it was the person's last one there.
    pub fn leave(&self, room: RoomId, user: UserId) -> bool {
        let mut rooms = self.lock();
        let Some(people) = rooms.get_mut(&room) else {
            return false;
        };
        let Some(connections) = people.get_mut(&user) else {
            return false;
        };
        *connections -= 1;
        if *connections > 0 {
            return false;
        }
        people.remove(&user);
        if people.is_empty() {
            rooms.remove(&room);
        }
        true
    }

    /// Who looks at a room, by id.
    pub fn people(&self, room: RoomId) -> Vec<UserId> {
        let rooms = self.lock();
        let mut people: Vec<UserId> = rooms
            .get(&room)
            .map(|people| people.keys().copied().collect())
            .unwrap_or_default();
        people.sort_unstable();
        people
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_there_as_long_as_one_of_their_connections() {
        let presence = Presence::default();
        let (room, ada, bob) = (RoomId::from(1), UserId::from(1), UserId::from(2));
        assert!(presence.enter(room, ada));
        assert!(!presence.enter(room, ada));
        assert!(presence.enter(room, bob));
        assert_eq!(presence.people(room), [ada, bob]);
        assert!(!presence.leave(room, ada));
        assert!(presence.leave(room, ada));
        assert!(!presence.leave(room, ada));
        assert_eq!(presence.people(room), [bob]);
        assert!(presence.leave(room, bob));
        assert!(presence.lock().is_empty());
    }
}
