//! Who looks at which room.

use std::collections::{HashMap, HashSet};

use super::{Changed, HubId};
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

    fn changed(&self, room: RoomId, user: UserId, here: bool) -> Changed<()> {
        Changed {
            here: here.then_some(()),
            anywhere: (here && !self.is_elsewhere(room, user)).then_some(()),
        }
    }

    pub(super) fn enter(&mut self, room: RoomId, user: UserId) -> Changed<()> {
        let connections = self.here.entry(room).or_default().entry(user).or_default();
        *connections += 1;
        let is_first = *connections == 1;
        self.changed(room, user, is_first)
    }

    pub(super) fn leave(&mut self, room: RoomId, user: UserId) -> Changed<()> {
        let is_last = self.take(room, user);
        self.changed(room, user, is_last)
    }

    fn take(&mut self, room: RoomId, user: UserId) -> bool {
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

    pub(super) fn heard(&mut self, hub: HubId, room: RoomId, user: UserId, is_there: bool) -> bool {
        let was_there = self.is_here(room, user) || self.is_elsewhere(room, user);
        let rooms = self.elsewhere.entry(hub).or_default();
        if is_there {
            rooms.entry(room).or_default().insert(user);
        } else if let Some(people) = rooms.get_mut(&room) {
            people.remove(&user);
            if people.is_empty() {
                rooms.remove(&room);
            }
        }
        let is_there = self.is_here(room, user) || self.is_elsewhere(room, user);
        was_there != is_there
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

    /// Puts another hub's people in place of those it had; returns who is nowhere any more.
    pub(super) fn replace(
        &mut self,
        hub: HubId,
        rooms: Vec<(RoomId, Vec<UserId>)>,
    ) -> Vec<(RoomId, UserId)> {
        let now: HashMap<RoomId, HashSet<UserId>> = rooms
            .into_iter()
            .map(|(room, people)| (room, people.into_iter().collect()))
            .collect();
        let before = if now.is_empty() {
            self.elsewhere.remove(&hub)
        } else {
            self.elsewhere.insert(hub, now)
        };
        before
            .into_iter()
            .flatten()
            .flat_map(|(room, people)| people.into_iter().map(move |user| (room, user)))
            .filter(|(room, user)| !self.is_here(*room, *user) && !self.is_elsewhere(*room, *user))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Changed<()> = Changed {
        here: Some(()),
        anywhere: Some(()),
    };
    const HERE: Changed<()> = Changed {
        here: Some(()),
        anywhere: None,
    };
    const NOTHING: Changed<()> = Changed {
        here: None,
        anywhere: None,
    };

    #[test]
    fn a_person_is_there_as_long_as_one_of_their_connections() {
        let mut rooms = Rooms::default();
        let (room, ada, bob) = (RoomId::from(1), UserId::from(1), UserId::from(2));
        assert_eq!(rooms.enter(room, ada), BOTH);
        assert_eq!(rooms.enter(room, ada), NOTHING);
        assert_eq!(rooms.enter(room, bob), BOTH);
        assert_eq!(rooms.people(room), [ada, bob]);
        assert_eq!(rooms.leave(room, ada), NOTHING);
        assert_eq!(rooms.leave(room, ada), BOTH);
        assert_eq!(rooms.leave(room, ada), NOTHING);
        assert_eq!(rooms.people(room), [bob]);
        assert_eq!(rooms.leave(room, bob), BOTH);
        assert!(rooms.here.is_empty());
    }

    #[test]
    fn a_person_may_be_there_on_another_hub() {
        let mut rooms = Rooms::default();
        let (room, ada) = (RoomId::from(1), UserId::from(1));
        assert!(rooms.heard(7, room, ada, true));
        assert!(!rooms.heard(8, room, ada, true));
        assert_eq!(rooms.enter(room, ada), HERE);
        assert_eq!(rooms.people(room), [ada]);
        assert!(!rooms.heard(7, room, ada, false));
        assert_eq!(rooms.leave(room, ada), HERE);
        // The hub that had them is gone.
        assert_eq!(rooms.replace(8, Vec::new()), [(room, ada)]);
        assert!(rooms.people(room).is_empty());
        assert!(rooms.replace(8, vec![(room, vec![ada])]).is_empty());
        assert_eq!(rooms.people(room), [ada]);
    }
}
