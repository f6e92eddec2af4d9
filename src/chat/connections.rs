//! Who is connected just now. The sockets, which are above, know; they are asked through here.

use std::sync::{Arc, OnceLock, Weak};

use serde::Serialize;

use crate::id::UserId;

/// A connection, as its owner sees it (contract, section 7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Connection {
    /// Its id, which its client knows as well.
    pub id: String,
    /// Whose it is.
    #[serde(rename = "userId")]
    pub user_id: UserId,
    /// Their username.
    pub username: String,
    /// The rooms that it looks at, by name.
    pub rooms: Vec<String>,
    /// Always true: others are not listed.
    pub connected: bool,
}

/// Whoever knows the connections.
pub trait Sockets: Send + Sync {
    /// Somebody's, the oldest first.
    fn connections(&self, user: UserId) -> Vec<Connection>;
}

/// The way to them. Cheap to clone.
#[derive(Clone, Default)]
pub struct Connections {
    sockets: Arc<OnceLock<Weak<dyn Sockets>>>,
}

impl Connections {
    /// From now on these are asked; the first who say so count.
    pub fn are_known_to(&self, sockets: Weak<dyn Sockets>) {
        self.sockets.get_or_init(|| sockets);
    }

    /// Somebody's, the oldest first; none where there are no sockets.
    pub fn of(&self, user: UserId) -> Vec<Connection> {
        self.sockets
            .get()
            .and_then(Weak::upgrade)
            .map(|sockets| sockets.connections(user))
            .unwrap_or_default()
    }
}
