//! What is told of connections to those whose they are.

use super::hubs::Hubs;
use crate::chat::{Connection, Sockets};
use crate::id::UserId;

impl Sockets for Hubs {
    fn connections(&self, user: UserId) -> Vec<Connection> {
        let mut connections = Vec::new();
        for shared in self.all() {
            for guest in shared.hub.guests_of(user) {
                let rooms = guest.rooms().into_iter();
                let connection = Connection {
                    id: guest.sid().to_owned(),
                    user_id: user,
                    username: guest.username().to_owned(),
                    rooms: rooms.filter_map(|room| shared.hub.key(room)).collect(),
                    connected: true,
                };
                connections.push((guest.number(), connection));
            }
        }
        connections.sort_by_key(|(number, _)| *number);
        connections.into_iter().map(|(_, one)| one).collect()
    }
}
