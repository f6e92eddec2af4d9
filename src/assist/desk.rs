//! Who asks the provider when: a few at once, each person one at a time, and the others wait for their turn.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::provider::Provider;
use crate::config;
use crate::error::{Code, Error, Result};
use crate::id::UserId;
use crate::tasks::{Turn, Turns};

/// When somebody who found no place may try again, in seconds.
const RETRY_AFTER_S: u32 = 5;
/// Requests of one person that may be there, asking or waiting: a few people cannot take all places.
const MAX_EACH: usize = 3;

/// The provider, and the queue for it.
pub(super) struct Desk {
    provider: Provider,
    /// Those who are there, asking or waiting.
    present: Semaphore,
    calls: Semaphore,
    turns: Turns<UserId>,
    /// How many of them are each one's.
    own: Mutex<HashMap<UserId, usize>>,
}

/// The right to ask, until it is dropped.
pub(super) struct Place<'a> {
    _call: SemaphorePermit<'a>,
    _turn: Turn<UserId>,
    _present: SemaphorePermit<'a>,
    _own: OwnPlace<'a>,
}

/// One of the few that somebody has.
struct OwnPlace<'a> {
    desk: &'a Desk,
    user: UserId,
}

impl Drop for OwnPlace<'_> {
    fn drop(&mut self) {
        let mut own = self.desk.own();
        if let Some(count) = own.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                own.remove(&self.user);
            }
        }
    }
}

impl Desk {
    pub(super) fn new(provider: Provider, options: &config::Assist) -> Self {
        let (calls, waiting) = (options.max_calls as usize, options.queue_capacity as usize);
        Self {
            provider,
            present: Semaphore::new(calls + waiting),
            calls: Semaphore::new(calls),
            turns: Turns::default(),
            own: Mutex::default(),
        }
    }

    fn own(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own_place(&self, user: UserId) -> Result<OwnPlace<'_>> {
        let mut own = self.own();
        let count = own.entry(user).or_default();
        if *count >= MAX_EACH {
            return Err(overloaded());
        }
        *count += 1;
        Ok(OwnPlace { desk: self, user })
    }

    pub(super) fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Waits for one's turn.
    ///
    /// Errors: `overloaded` when too many wait, or too many of this person's, or it does not come in time.
    pub(super) async fn place(&self, user: UserId, deadline: Instant) -> Result<Place<'_>> {
        let own = self.own_place(user)?;
        let present = self.present.try_acquire().map_err(|_none| overloaded())?;
        let turn = in_time(deadline, self.turns.turn(&user)).await?;
        let call = in_time(deadline, self.calls.acquire()).await?;
        Ok(Place {
            _call: call.map_err(|closed: AcquireError| Error::internal(closed))?,
            _turn: turn,
            _present: present,
            _own: own,
        })
    }
}

async fn in_time<T>(deadline: Instant, wait: impl Future<Output = T>) -> Result<T> {
    let waited = timeout_at(deadline, wait).await;
    waited.map_err(|_elapsed| overloaded())
}

fn overloaded() -> Error {
    Error::new(Code::Overloaded).with_retry_after(RETRY_AFTER_S)
}
