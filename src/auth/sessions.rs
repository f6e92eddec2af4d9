//! The sessions that stand, in memory: a token check asks here and nowhere else.
//!
//! Filled from the database at start, then kept by what is committed, before the committing request is answered: a
//! revoked token is refused from the next request on.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

use crate::clock::Timestamp;
use crate::event::{Event, UserStatus};
use crate::id::{SessionId, UserId};
use crate::store::Committed;

/// One session as the check needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub(super) user_id: UserId,
    pub(super) is_admin: bool,
    pub(super) expires_at: Timestamp,
}

#[derive(Default)]
struct State {
    sessions: HashMap<SessionId, Live>,
    by_user: HashMap<UserId, HashSet<SessionId>>,
}

/// All live sessions.
#[derive(Default)]
pub(super) struct Sessions {
    state: RwLock<State>,
}

impl Sessions {
    /// The session, if it stands.
    pub(super) fn find(&self, id: SessionId, now: Timestamp) -> Option<Live> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state
            .sessions
            .get(&id)
            .copied()
            .filter(|session| session.expires_at > now)
    }

    /// Adds sessions from the database.
    pub(super) fn fill(&self, sessions: impl IntoIterator<Item = (SessionId, Live)>) {
        let mut state = self.write();
        for (id, session) in sessions {
            state.add(id, session);
        }
    }

    /// Follows what was committed.
    pub(super) fn follow(&self, events: &[Committed]) {
        for Committed { event, .. } in events {
            match event {
                Event::SessionStarted {
                    session_id,
                    user_id,
                    is_admin,
                    expires_at,
                } => {
                    let session = Live {
                        user_id: *user_id,
                        is_admin: *is_admin,
                        expires_at: *expires_at,
                    };
                    self.write().add(*session_id, session);
                }
                Event::SessionEnded { session_id, .. } => self.write().remove(*session_id),
                Event::SessionsEnded { user_id, kept } => self.write().remove_all(*user_id, *kept),
                Event::UserStatusChanged { user_id, status } if *status != UserStatus::Active => {
                    self.write().remove_all(*user_id, None);
                }
                _ => {}
            }
        }
    }

    /// Forgets what has expired.
    pub(super) fn sweep(&self, now: Timestamp) {
        let mut state = self.write();
        let expired: Vec<SessionId> = state
            .sessions
            .iter()
            .filter(|(_, session)| session.expires_at <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in expired {
            state.remove(id);
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, id: SessionId, session: Live) {
        self.sessions.insert(id, session);
        self.by_user.entry(session.user_id).or_default().insert(id);
    }

    fn remove(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.remove(&id)
            && let Some(ids) = self.by_user.get_mut(&session.user_id)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_user.remove(&session.user_id);
            }
        }
    }

    fn remove_all(&mut self, user: UserId, kept: Option<SessionId>) {
        let ids: Vec<SessionId> = self
            .by_user
            .get(&user)
            .into_iter()
            .flatten()
            .copied()
            .collect();
        for id in ids {
            if Some(id) != kept {
                self.remove(id);
            }
        }
    }
}
