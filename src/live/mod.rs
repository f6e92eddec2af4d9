//! What happens for one person, told to them while they are there: new notifications, counts, posts of those whom they
//! follow, messages that they do not look at.
//!
//! Sockets ([`Live::attend`]) are told what is found out here through [`Live::observe`]. Streams ([`Live::open`]) are told
//! that and what the commands tell one person; what they were told is kept for a while, so that who comes back with the id
//! of the last event that they have is told exactly what they missed.
//!
//! * `ring`: what was told one person lately;
//! * `people`: who is there, and what is due for them;
//! * `stream`: one stream;
//! * `rounds`: finds out what is due, and tells it;
//! * `feed_hints`: new posts of those whom somebody follows.
//!
//! The writer's thread only notes here that something may have changed for somebody who is there; what it is, is read
//! later, for many changes at once.
#![warn(missing_docs)]

mod feed_hints;
mod people;
mod ring;
mod rounds;
mod stream;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::auth::Auth;
use crate::chat::{self, Chat};
use crate::clock::Clock;
use crate::config;
use crate::event::{Audience, Event, UserStatus};
use crate::id::UserId;
use crate::links::{Links, Signer};
use crate::notifications::Notifications;
use crate::posts::Posts;
use crate::store::Store;
use crate::tasks::Tasks;

use feed_hints::FeedHints;
use people::People;

pub use ring::Happening;
pub use stream::{Next, Stream};

/// How many of each kind wait for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = UnreadCounts)]
pub struct Counts {
    /// Notifications that they have not read.
    pub notifications: u64,
    /// Messages that they have not read, in conversations that they accepted; at most a thousand.
    pub messages: u64,
    /// Conversations that wait for them to accept; at most a thousand.
    pub requests: u64,
}

/// Is told what is found out for somebody; see [`Live::observe`].
pub type Observer = Box<dyn Fn(UserId, &Happening) + Send + Sync>;

/// What this module does its work with.
#[expect(missing_docs, reason = "each is what its type is")]
pub struct Needs {
    pub auth: Auth,
    pub chat: Chat,
    pub posts: Posts,
    pub notifications: Notifications,
    pub signer: Signer,
    pub clock: Clock,
}

/// The handle; cheap to clone.
#[derive(Clone)]
pub struct Live {
    shared: Arc<Shared>,
}

struct Shared {
    people: People,
    hints: FeedHints,
    observer: OnceLock<Observer>,
    auth: Auth,
    chat: Chat,
    posts: Posts,
    notifications: Notifications,
    signer: Signer,
    clock: Clock,
    options: config::Realtime,
    stopping: CancellationToken,
}

/// Somebody's socket; they are told of what happens until it is dropped.
pub struct Attendance {
    shared: Arc<Shared>,
    user: UserId,
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.shared.people.remove_socket(self.user);
    }
}

impl Live {
    /// Begins to note what happens. `stopping` ends all streams.
    pub fn start(
        store: &Store,
        needs: Needs,
        options: &config::Realtime,
        tasks: &Tasks,
        stopping: CancellationToken,
    ) -> Self {
        let Needs {
            auth,
            chat,
            posts,
            notifications,
            signer,
            clock,
        } = needs;
        let shared = Arc::new(Shared {
            people: People::default(),
            hints: FeedHints::default(),
            observer: OnceLock::new(),
            auth,
            chat,
            posts,
            notifications,
            signer,
            clock,
            options: options.clone(),
            stopping,
        });
        let noting = Arc::clone(&shared);
        store.observe(Box::new(move |events| {
            for one in events {
                noting.note(&one.event);
            }
        }));
        let noting = Arc::clone(&shared);
        shared.notifications.observe(Box::new(move |changes| {
            for change in changes {
                noting.people.note(change.user_id, |due| {
                    due.counts = true;
                    due.add_notices(&change.new);
                });
            }
        }));
        rounds::start(&shared, tasks);
        feed_hints::start(&shared, tasks);
        Self { shared }
    }

    /// Calls `observer` with what is found out for people who are there: for the sockets. Only the first one counts.
    pub fn observe(&self, observer: Observer) {
        if self.shared.observer.set(observer).is_err() {
            tracing::error!("There is an observer of what happens for people already");
        }
    }

    /// Somebody has a socket as long as they hold this. It is told their counts soon.
    pub fn attend(&self, user: UserId) -> Attendance {
        self.shared.people.add_socket(user);
        self.shared.people.note(user, |due| due.counts = true);
        Attendance {
            shared: Arc::clone(&self.shared),
            user,
        }
    }

    /// How often a stream on which nothing happens says that it is still there.
    pub fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.shared.options.stream_heartbeat_ms)
    }

    /// An event's payload with its addresses written for a client that reaches us under `base`.
    pub fn payload(&self, happening: &Happening, base: &Arc<str>) -> String {
        let links = Links {
            base: Arc::clone(base),
            signer: self.shared.signer.clone(),
            now: self.shared.clock.now(),
        };
        links
            .within(|| chat::rewrite_links(&happening.name, &happening.payload))
            .unwrap_or_else(|| happening.payload.clone())
    }
}

impl Shared {
    /// Notes what a commit means for those who are there. Runs on the writer's thread.
    fn note(&self, event: &Event) {
        match event {
            Event::Live(live) => {
                let people: &[UserId] = match &live.audience {
                    Audience::Person(user) => std::slice::from_ref(user),
                    // A stream is in no room.
                    Audience::PeopleOutside { user_ids, .. } => user_ids,
                    Audience::Room(_) => return,
                };
                for user in people {
                    if let Some(id) = chat::deleted_message(&live.name, &live.payload) {
                        self.people
                            .replace_told(*user, &format!(r#""id":"{id}""#), live);
                    }
                    self.people.push_from(*user, live);
                }
            }
            Event::ChatCountsChanged { user_id } | Event::RoomLeft { user_id, .. } => {
                self.people.note(*user_id, |due| due.counts = true);
            }
            Event::PostCreated {
                post_id, author_id, ..
            } if !self.people.is_nobody_there() => self.hints.note(*author_id, *post_id),
            // What one was told of the other is not told again.
            Event::UserBlocked {
                user_id,
                blocked_id,
            } => {
                for user in [user_id, blocked_id] {
                    self.people.forget_told(*user);
                    self.people.note(*user, |due| due.counts = true);
                }
            }
            Event::UserUnblocked {
                user_id,
                blocked_id,
            } => {
                for user in [user_id, blocked_id] {
                    self.people.note(*user, |due| due.counts = true);
                }
            }
            Event::UserMuted { user_id, .. } | Event::UserUnmuted { user_id, .. } => {
                self.people.note(*user_id, |due| due.counts = true);
            }
            Event::SessionEnded { user_id, .. } | Event::SessionsEnded { user_id, .. } => {
                self.people.ring_bell(*user_id);
            }
            Event::UserStatusChanged { user_id, status } if *status != UserStatus::Active => {
                self.people.ring_bell(*user_id);
            }
            _ => {}
        }
    }

    /// Tells somebody something, on their streams and on their sockets.
    fn tell(&self, user: UserId, name: &str, payload: &impl Serialize) {
        // Plain structures, which serde_json always can write.
        let Ok(payload) = serde_json::to_string(payload) else {
            return;
        };
        let happening = Arc::new(Happening {
            name: name.to_owned(),
            payload,
        });
        if let Some(observer) = self.observer.get() {
            observer(user, &happening);
        }
        self.people.push(user, happening);
    }
}
