//! Who is there at all.

use std::collections::HashMap;

use super::{Changed, HubId, Status};
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

    pub(super) fn connection(
        &mut self,
        user: UserId,
        connection: u64,
        status: Status,
    ) -> Changed<Status> {
        let (here, anywhere) = (self.status_here(user), self.status(user));
        let connections = self.here.entry(user).or_default();
        if status == Status::Offline {
            connections.remove(&connection);
        } else {
            connections.insert(connection, status);
        }
        if connections.is_empty() {
            self.here.remove(&user);
        }
        let (here_now, anywhere_now) = (self.status_here(user), self.status(user));
        Changed {
            here: (here != here_now).then_some(here_now),
            anywhere: (anywhere != anywhere_now).then_some(anywhere_now),
        }
    }

    pub(super) fn heard(&mut self, hub: HubId, user: UserId, status: Status) -> Option<Status> {
        let before = self.status(user);
        let people = self.elsewhere.entry(hub).or_default();
        if status == Status::Offline {
            people.remove(&user);
        } else {
            people.insert(user, status);
        }
        let now = self.status(user);
        (before != now).then_some(now)
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

    /// Puts another hub's people in place of those it had; returns those who stand otherwise now.
    pub(super) fn replace(
        &mut self,
        hub: HubId,
        now: HashMap<UserId, Status>,
    ) -> Vec<(UserId, Status)> {
        let known = self.elsewhere.get(&hub);
        let mut concerned: Vec<UserId> =
            known.into_iter().flatten().map(|(user, _)| *user).collect();
        concerned.extend(now.keys());
        concerned.sort_unstable();
        concerned.dedup();
        let before: Vec<Status> = concerned.iter().map(|user| self.status(*user)).collect();
        if now.is_empty() {
            self.elsewhere.remove(&hub);
        } else {
            self.elsewhere.insert(hub, now);
        }
        concerned
            .into_iter()
            .zip(before)
            .map(|(user, before)| (user, before, self.status(user)))
            .filter(|(_, before, now)| before != now)
            .map(|(user, _, now)| (user, now))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_as_present_as_the_most_present_of_their_devices() {
        let mut people = People::default();
        let ada = UserId::from(1);
        let both = |status| Changed {
            here: Some(status),
            anywhere: Some(status),
        };
        let nothing = Changed {
            here: None,
            anywhere: None,
        };
        assert_eq!(
            people.connection(ada, 1, Status::Online),
            both(Status::Online)
        );
        assert_eq!(people.connection(ada, 2, Status::Online), nothing);
        assert_eq!(people.connection(ada, 1, Status::Away), nothing);
        assert_eq!(
            people.connection(ada, 2, Status::Offline),
            both(Status::Away)
        );
        assert_eq!(people.heard(7, ada, Status::Online), Some(Status::Online));
        let here = people.connection(ada, 1, Status::Offline);
        assert_eq!((here.here, here.anywhere), (Some(Status::Offline), None));
        assert_eq!(people.heard(7, ada, Status::Away), Some(Status::Away));
        assert_eq!(people.replace(7, HashMap::new()), [(ada, Status::Offline)]);
        assert_eq!(people.status(ada), Status::Offline);
        assert!(people.here.is_empty() && people.elsewhere.is_empty());
    }
}
