//! What is told of connections to those whose they are.

use super::Shared;
use crate::chat::{Connection, Sockets};
use crate::id::UserId;

impl Sockets for Shared {
    fn connections(&self, user: UserId) -> Vec<Connection> {
        let guests = self.hub.guests_of(user);
        guests
            .iter()
            .map(|guest| Connection {
                id: guest.sid().to_owned(),
                user_id: user,
                username: guest.username().to_owned(),
                rooms: guest
                    .rooms()
                    .into_iter()
                    .filter_map(|room| self.hub.key(room))
                    .collect(),
                connected: true,
            })
            .collect()
    }
}
