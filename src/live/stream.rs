//! One stream: what somebody is told, one event after the other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::people::Opening;
use super::ring::{Happening, Place};
use super::{Counts, Live, Shared};
use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::error::{Code, Result};
use crate::id::{SessionId, UserId};
use crate::random;

/// Somebody's stream, until it is dropped.
pub struct Stream {
    shared: Arc<Shared>,
    user: UserId,
    session: SessionId,
    /// Among all streams.
    number: u64,
    /// The number of the last event that it had.
    cursor: u64,
    bell: watch::Receiver<()>,
    /// Whether what was missed is not known any more.
    is_lost: bool,
    /// The id of the event before its first.
    id: String,
}

/// What comes next on a stream.
pub enum Next {
    /// These events, each with its id.
    Events(Vec<(String, Arc<Happening>)>),
    /// Nothing, for as long as was to be waited.
    Silence,
    /// The end, and why if it is the client's business.
    End(Option<Code>),
}

impl Live {
    /// Begins somebody's stream, after the event with this id; with the next if it is empty.
    ///
    /// Errors: `too_many_connections`, `overloaded`, `not_ready`.
    pub fn open(&self, actor: &Actor, expires_at: Timestamp, last_id: &str) -> Result<Stream> {
        let epoch = u64::from_le_bytes(random::bytes()?);
        let shared = &self.shared;
        let Opening {
            number,
            place,
            cursor,
            id,
            bell,
        } = shared.people.open(
            actor.user_id,
            expires_at,
            last_id,
            format!("{epoch:016x}"),
            shared.options.max_streams as usize,
        )?;
        metrics::gauge!("socialhub_streams").increment(1);
        Ok(Stream {
            shared: Arc::clone(shared),
            user: actor.user_id,
            session: actor.session_id,
            number,
            cursor,
            bell,
            is_lost: place == Place::Lost,
            id,
        })
    }
}

impl Stream {
    /// The id of the event before its first.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether the client has missed what is not known any more, and has to load anew what it shows.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// What waits for the person now.
    pub async fn counts(&self) -> Result<Counts> {
        self.shared.counts(self.user).await
    }

    /// Waits for what comes next, at most so long.
    pub async fn next(&mut self, patience: Duration) -> Next {
        loop {
            // Before the look, so that what comes after it is not slept through.
            self.bell.mark_unchanged();
            if self.shared.stopping.is_cancelled() {
                return Next::End(None);
            }
            if !self.shared.auth.is_live(self.session) {
                return Next::End(Some(Code::Unauthenticated));
            }
            match self.shared.people.after(self.user, self.cursor) {
                None => return Next::End(Some(Code::TooSlow)),
                Some(events) => {
                    if let Some((last, _, _)) = events.last() {
                        self.cursor = *last;
                        let events = events.into_iter();
                        return Next::Events(events.map(|(_, id, one)| (id, one)).collect());
                    }
                }
            }
            tokio::select! {
                rung = self.bell.changed() => {
                    if rung.is_err() {
                        return Next::End(None);
                    }
                }
                () = self.shared.stopping.cancelled() => {}
                () = tokio::time::sleep(patience) => return Next::Silence,
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.people.close(self.user, self.number);
        metrics::gauge!("socialhub_streams").decrement(1);
    }
}
