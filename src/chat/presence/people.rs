//! Who is there at all.

use std::collections::HashMap;

use super::{HubId, Status};
use crate::id::UserId;

/// How each connection of each person stands here; and how people stand elsewhere.
#[derive(Default)]
pub(super) struct People {
    here: HashMap<UserId, HashMap<u64, Status>>,
    elsewhere: HashMap<HubId, HashMap<UserId, Status>>,
}

impl People {
    fn status_here(&self, user: UserId) -> Status {
        let connections = self.here.get(&user).into_iter().flatten();
        connections
            .map(|(_, status)| *status)
            .max()
            .unwrap_or_default()
    }

    pub(super) fn status(&self, user: UserId) -> Status {
        let elsewhere = self
            .elsewhere
            .values()
            .filter_map(|people| people.get(&user));
        elsewhere
            .copied()
            .max()
            .unwrap_or_default()
            .max(self.status_here(user))
    }

    /// The status here, when it is another one now.
    pub(super) fn connection(
        &mut self,
        user: UserId,
        connection: u64,
        status: Status,
    ) -> Option<Status> {
        let before = self.status_here(user);
        let connections = self.here.entry(user).or_default();
        if status == Status::Offline {
            connections.remove(&connection);
        } else {
            connections.insert(connection, status);
        }
        if connections.is_empty() {
            self.here.remove(&user);
        }
        let now = self.status_here(user);
        (before != now).then_some(now)
    }

    pub(super) fn heard(&mut self, hub: HubId, user: UserId, status: Status) {
        let people = self.elsewhere.entry(hub).or_default();
        if status == Status::Offline {
            people.remove(&user);
        } else {
            people.insert(user, status);
        }
    }

    pub(super) fn local(&self) -> Vec<UserId> {
        self.here.keys().copied().collect()
    }

    pub(super) fn local_statuses(&self) -> Vec<(UserId, Status)> {
        self.here
            .keys()
            .map(|user| (*user, self.status_here(*user)))
            .collect()
    }

    /// Those of another hub, as far as it said so.
    pub(super) fn of_hub(&self, hub: HubId) -> Vec<UserId> {
        let people = self.elsewhere.get(&hub).into_iter().flatten();
        people.map(|(user, _)| *user).collect()
    }

    /// Puts another hub's people in place of those it had.
    pub(super) fn replace(&mut self, hub: HubId, now: HashMap<UserId, Status>) {
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
    fn a_person_is_as_present_as_the_most_present_of_their_devices() {
        let mut people = People::default();
        let ada = UserId::from(1);
        assert_eq!(
            people.connection(ada, 1, Status::Online),
            Some(Status::Online)
        );
        assert_eq!(people.connection(ada, 2, Status::Online), None);
        assert_eq!(people.connection(ada, 1, Status::Away), None);
        assert_eq!(
            people.connection(ada, 2, Status::Offline),
            Some(Status::Away)
        );
        people.heard(7, ada, Status::Online);
        assert_eq!(people.status(ada), Status::Online);
        assert_eq!(
            people.connection(ada, 1, Status::Offline),
            Some(Status::Offline)
        );
        people.heard(7, ada, Status::Away);
        assert_eq!(people.status(ada), Status::Away);
        assert_eq!(people.of_hub(7), [ada]);
        people.replace(7, HashMap::new());
        assert_eq!(people.status(ada), Status::Offline);
        assert!(people.here.is_empty() && people.elsewhere.is_empty());
    }
}
