//! Who looks at which room.

use std::collections::{HashMap, HashSet};

use super::HubId;
use crate::id::{RoomId, UserId};

/// With how many connections each person looks at each room here; and who does elsewhere.
#[derive(Default)]
pub(super) struct Rooms {
    here: HashMap<RoomId, HashMap<UserId, usize>>,
    elsewhere: HashMap<HubId, HashMap<RoomId, HashSet<UserId>>>,
}

impl Rooms {
    fn is_elsewhere(&self, room: RoomId, user: UserId) -> bool {
        self.elsewhere.values().any(|rooms| {
            rooms
                .get(&room)
                .is_some_and(|people| people.contains(&user))
        })
    }

    fn is_here(&self, room: RoomId, user: UserId) -> bool {
        self.here
            .get(&room)
            .is_some_and(|people| people.contains_key(&user))
    }

    /// Whether somebody looks at a room, on whatever hub.
    pub(super) fn has(&self, room: RoomId, user: UserId) -> bool {
        self.is_here(room, user) || self.is_elsewhere(room, user)
    }

    /// True for the person's first connection there.
    pub(super) fn enter(&mut self, room: RoomId, user: UserId) -> bool {
        let connections = self.here.entry(room).or_default().entry(user).or_default();
        *connections += 1;
        *connections == 1
    }

    /// True for the person's last connection there.
    pub(super) fn leave(&mut self, room: RoomId, user: UserId) -> bool {
        let Some(people) = self.here.get_mut(&room) else {
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
            self.here.remove(&room);
        }
        true
    }

    pub(super) fn heard(&mut self, hub: HubId, room: RoomId, user: UserId, is_there: bool) {
        let rooms = self.elsewhere.entry(hub).or_default();
        if is_there {
            rooms.entry(room).or_default().insert(user);
        } else if let Some(people) = rooms.get_mut(&room) {
            people.remove(&user);
            if people.is_empty() {
                rooms.remove(&room);
            }
        }
    }

    pub(super) fn people(&self, room: RoomId) -> Vec<UserId> {
        let here = self.here.get(&room).into_iter().flat_map(HashMap::keys);
        let elsewhere = self.elsewhere.values().filter_map(|rooms| rooms.get(&room));
        let mut people: Vec<UserId> = here.chain(elsewhere.flatten()).copied().collect();
        people.sort_unstable();
        people.dedup();
        people
    }

    pub(super) fn local(&self) -> Vec<(RoomId, Vec<UserId>)> {
        self.here
            .iter()
            .map(|(room, people)| (*room, people.keys().copied().collect()))
            .collect()
    }

    /// Who looks at which room on another hub, as far as it said so.
    pub(super) fn of_hub(&self, hub: HubId) -> Vec<(RoomId, UserId)> {
        let rooms = self.elsewhere.get(&hub).into_iter().flatten();
        rooms
            .flat_map(|(room, people)| people.iter().map(|user| (*room, *user)))
            .collect()
    }

    /// Puts another hub's people in place of those it had.
    pub(super) fn replace(&mut self, hub: HubId, rooms: Vec<(RoomId, Vec<UserId>)>) {
        let now: HashMap<RoomId, HashSet<UserId>> = rooms
            .into_iter()
            .map(|(room, people)| (room, people.into_iter().collect()))
            .collect();
        if now.is_empty() {
            self.elsewhere.remove(&hub);
        } else {
            self.elsewhere.insert(hub, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_there_as_long_as_one_of_their_connections() {
        let mut rooms = Rooms::default();
        let (room, ada, bob) = (RoomId::from(1), UserId::from(1), UserId::from(2));
        assert!(rooms.enter(room, ada));
        assert!(!rooms.enter(room, ada));
        assert!(rooms.enter(room, bob));
        assert_eq!(rooms.people(room), [ada, bob]);
        assert!(!rooms.leave(room, ada));
        assert!(rooms.has(room, ada));
        assert!(rooms.leave(room, ada));
        assert!(!rooms.leave(room, ada));
        assert_eq!(rooms.people(room), [bob]);
        assert!(rooms.leave(room, bob));
        assert!(rooms.here.is_empty());
    }

    #[test]
    fn a_person_may_be_there_on_another_hub() {
        let mut rooms = Rooms::default();
        let (room, ada) = (RoomId::from(1), UserId::from(1));
        rooms.heard(7, room, ada, true);
        rooms.heard(8, room, ada, true);
        assert!(rooms.enter(room, ada));
        assert_eq!(rooms.people(room), [ada]);
        rooms.heard(7, room, ada, false);
        assert!(rooms.leave(room, ada));
        assert!(rooms.has(room, ada));
        // The hub that had them is gone.
        assert_eq!(rooms.of_hub(8), [(room, ada)]);
        rooms.replace(8, Vec::new());
        assert!(rooms.people(room).is_empty());
        rooms.replace(8, vec![(room, vec![ada])]);
        assert_eq!(rooms.people(room), [ada]);
    }
}
