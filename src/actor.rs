//! Who asks: the first argument of every change.

use crate::id::{SessionId, UserId};
use crate::store::Once;

/// A person with a valid session, and what their request brought along. Made from a token by `auth`, never from a body.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Who it is.
    pub user_id: UserId,
    /// The session that the token stands for.
    pub session_id: SessionId,
    /// Whether they may administer the server.
    pub is_admin: bool,
    /// Present when the request carries an `Idempotency-Key`.
    pub once: Option<Once>,
}
