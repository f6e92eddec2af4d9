//! What happens while one looks: Socket.IO.
//!
//! * `engine`: the transport, Engine.IO, over long polling and the `WebSocket` protocol;
//! * `packet`, `sockets`: the Socket.IO protocol, for whatever application;
//! * `people`: the application: who somebody is, and how much they may ask;
//! * `events`: what they ask;
//! * `hub`: who looks at what, and has been shown which of it;
//! * `typing`: who is typing;
//! * `protocol_test`: the application that the official test suites talk to.
//!
//! What is kept goes through `chat` into the database, and is shown when it is committed there, in the order of the
//! commits: [`Event::Live`]. What passes, such as that somebody is typing, goes from one to the others without a stop.

mod engine;
mod events;
mod hub;
mod packet;
mod people;
mod protocol_test;
mod sockets;
mod typing;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use metrics::counter;
use serde_json::json;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::auth::Auth;
use crate::chat::Chat;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::error::{Code, Error, Result};
use crate::event::{Audience, Event, Live, UserStatus};
use crate::gateway::Limits;
use crate::id::{RoomId, SessionId, UserId};
use crate::links::{Links, Signer};
use crate::live;
use crate::store::Store;
use crate::tasks::Tasks;

/// Where the sockets are.
const PATHS: &[&str] = &["/socket.io", "/chat/socket.io"];

/// How long a client may take to go over to a WebSocket, as everywhere.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// What was committed and has yet to be shown, at most; those who look are sent away beyond it, and come back.
const MAX_BACKLOG: usize = 16_384;

/// From how much of that on those who send more have to wait.
const MUCH: usize = 1_024;

/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often sessions are looked through for those that have expired.
const EXPIRY: Duration = Duration::from_secs(1);

/// The sockets; see [`start`](Self::start).
pub struct Realtime {
    routes: Router,
}

/// What the sockets do their work with.
pub struct Needs {
    pub chat: Chat,
    pub auth: Auth,
    pub limits: Limits,
    pub live: live::Live,
    pub signer: Signer,
    pub clock: Clock,
}

/// What the parts of this module share.
struct Shared {
    hub: hub::Hub,
    chat: Chat,
    auth: Auth,
    limits: Limits,
    live: live::Live,
    options: config::Realtime,
    has_limits: bool,
    tasks: Tasks,
    signer: Signer,
    clock: Clock,
    committed: mpsc::Sender<Committed>,
    /// Rung when something of the backlog was shown.
    shown: Notify,
}

/// What those who look have to hear of a commit.
enum Committed {
    Live(Live),
    SessionEnded {
        user_id: UserId,
        session_id: SessionId,
    },
    SessionsEnded {
        user_id: UserId,
        kept: Option<SessionId>,
    },
    RoomLeft {
        room_id: RoomId,
        user_id: UserId,
        reason: String,
    },
}

impl Realtime {
    /// Begins to show what is committed. `stopping` ends all connections.
    pub fn start(
        store: &Store,
        needs: Needs,
        config: &Config,
        tasks: &Tasks,
        stopping: CancellationToken,
    ) -> Self {
        let Needs {
            chat,
            auth,
            limits,
            live,
            signer,
            clock,
        } = needs;
        let (committed, backlog) = mpsc::channel(MAX_BACKLOG);
        let shared = Arc::new(Shared {
            hub: hub::Hub::new(chat.presence().clone()),
            chat,
            auth,
            limits,
            live,
            options: config.realtime.clone(),
            has_limits: config.limits.enabled,
            tasks: tasks.clone(),
            signer,
            clock,
            committed: committed.clone(),
            shown: Notify::new(),
        });
        let (routes, close) = if config.realtime.protocol_test_profile {
            test_routes(&config.realtime, tasks)
        } else {
            people_routes(&shared, tasks)
        };
        let lost = Arc::new(CancellationToken::new());
        store.observe(Box::new({
            let lost = Arc::clone(&lost);
            move |events| {
                let all = events
                    .iter()
                    .filter_map(|one| Committed::from_event(&one.event));
                for one in all {
                    if committed.try_send(one).is_err() {
                        lost.cancel();
                    }
                }
            }
        }));
        let telling = Arc::clone(&shared);
        shared.live.observe(Box::new(move |user, happening| {
            let told = Live {
                audience: Audience::Person(user),
                name: happening.name.clone(),
                number: None,
                payload: happening.payload.clone(),
            };
            telling
                .hub
                .show(&told, &telling.signer, telling.clock.now());
        }));
        let showing = Arc::clone(&shared);
        tasks.spawn("live", async move {
            tokio::select! {
                () = showing.show(backlog) => {}
                () = stopping.cancelled() => {}
                () = lost.cancelled() => {
                    warn!("More was committed than could be shown: all sockets are closed, and come back");
                }
            }
            close();
        });
        Self { routes }
    }

    /// The routes of the sockets.
    pub fn routes(self) -> Router {
        self.routes
    }
}

impl Committed {
    fn from_event(event: &Event) -> Option<Self> {
        match event {
            Event::Live(live) => Some(Self::Live(live.clone())),
            Event::SessionEnded {
                session_id,
                user_id,
            } => Some(Self::SessionEnded {
                user_id: *user_id,
                session_id: *session_id,
            }),
            Event::SessionsEnded { user_id, kept } => Some(Self::SessionsEnded {
                user_id: *user_id,
                kept: *kept,
            }),
            Event::RoomLeft {
                room_id,
                user_id,
                reason,
            } => Some(Self::RoomLeft {
                room_id: *room_id,
                user_id: *user_id,
                reason: reason.clone(),
            }),
            Event::UserStatusChanged { user_id, status } if *status != UserStatus::Active => {
                Some(Self::SessionsEnded {
                    user_id: *user_id,
                    kept: None,
                })
            }
            _ => None,
        }
    }
}

impl Shared {
    /// Shows what is committed, in its order, for ever.
    async fn show(&self, mut backlog: mpsc::Receiver<Committed>) {
        let mut ticks = tokio::time::interval(EXPIRY);
        loop {
            let next = tokio::select! {
                next = backlog.recv() => next,
                _ = ticks.tick() => {
                    for guest in self.hub.expired(self.clock.now()) {
                        self.show_out(&guest);
                    }
                    continue;
                }
            };
            match next {
                None => return,
                Some(Committed::Live(live)) => {
                    self.hub.show(&live, &self.signer, self.clock.now());
                    counter!("socialhub_live_events_total").increment(1);
                }
                Some(Committed::SessionEnded {
                    user_id,
                    session_id,
                }) => {
                    for guest in self.hub.of_session(user_id, |id| id == session_id) {
                        self.show_out(&guest);
                    }
                }
                Some(Committed::SessionsEnded { user_id, kept }) => {
                    for guest in self.hub.of_session(user_id, |id| Some(id) != kept) {
                        self.show_out(&guest);
                    }
                }
                Some(Committed::RoomLeft {
                    room_id,
                    user_id,
                    reason,
                }) => self.see_out(user_id, room_id, &reason),
            }
            self.shown.notify_waiters();
            // One node serves others as well.
            tokio::task::consume_budget().await;
        }
    }

    /// How addresses are written for a client that reaches us under `base`.
    fn links(&self, base: &Arc<str>) -> Links {
        Links {
            base: Arc::clone(base),
            signer: self.signer.clone(),
            now: self.clock.now(),
        }
    }

    /// Waits until what was said before has mostly been shown.
    ///
    /// Errors: `overloaded`.
    async fn wait_for_room_to_show(&self) -> Result<()> {
        let has_room = || MAX_BACKLOG - self.committed.capacity() < MUCH;
        let wait = async {
            while !has_room() {
                let shown = self.shown.notified();
                if !has_room() {
                    shown.await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .map_err(|_elapsed| Code::Overloaded.into())
    }

    /// Counts a change against the person's limit, as a request would be.
    fn check_writes(&self, guest: &people::Guest) -> Result<(), Error> {
        self.limits.check_writes(guest.user_id())
    }

    /// A session has ended: its connections are told, and end.
    fn show_out(&self, guest: &Arc<people::Guest>) {
        guest.show_out(Code::Unauthenticated);
        self.gone(guest);
    }

    /// Somebody may look at a room no more: their connections are told, and do not.
    fn see_out(&self, user: UserId, room: RoomId, reason: &str) {
        for guest in self.hub.guests_of(user) {
            let Some((change, key)) = self.hub.vacate(&guest, room) else {
                continue;
            };
            guest.drop_room(room);
            self.end_typing(&guest, room);
            let payload = json!({ "roomId": key, "reason": reason });
            guest.tell("room_left", &payload.to_string());
            if change == hub::Change::Person {
                self.tell_presence("user_left", &guest, room, &key);
            }
        }
    }

    /// A connection is gone: so is its person from the rooms, if they have no other there.
    fn gone(&self, guest: &Arc<people::Guest>) {
        for room in guest.rooms() {
            self.end_typing(guest, room);
        }
        for (room, key) in self.hub.remove(guest) {
            self.tell_presence("user_left", guest, room, &key);
        }
    }

    /// Tells the others in a room that somebody came or went.
    fn tell_presence(&self, name: &str, guest: &people::Guest, room: RoomId, key: &str) {
        let payload = json!({
            "userId": guest.user_id(),
            "username": guest.username(),
            "roomId": key,
            "timestamp": self.clock.now().as_millis(),
        });
        self.hub
            .show_others(room, guest.user_id(), name, &payload.to_string());
    }
}

type Close = Box<dyn FnOnce() + Send>;

fn people_routes(shared: &Arc<Shared>, tasks: &Tasks) -> (Router, Close) {
    let connect_timeout = Duration::from_millis(shared.options.connect_timeout_ms);
    let people = Arc::new(people::People(Arc::clone(shared)));
    let server = sockets::Server::new(people, connect_timeout, tasks.clone());
    let engine = engine::Engine::new(server, engine_options(&shared.options), tasks.clone());
    (engine.routes(PATHS), Box::new(move || engine.close_all()))
}

fn test_routes(options: &config::Realtime, tasks: &Tasks) -> (Router, Close) {
    let options = engine::Options {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        max_payload: 1_000_000,
        assumes_revision_3: false,
        ..engine_options(options)
    };
    let echo = Arc::new(protocol_test::SocketIoEcho);
    let server = sockets::Server::new(echo, Duration::from_secs(1), tasks.clone());
    let sockets = engine::Engine::new(server, options, tasks.clone());
    let raw = engine::Engine::new(protocol_test::EngineIoEcho, options, tasks.clone());
    let routes = sockets.routes(PATHS).merge(raw.routes(&["/engine.io"]));
    let close = move || {
        sockets.close_all();
        raw.close_all();
    };
    (routes, Box::new(close))
}

fn engine_options(options: &config::Realtime) -> engine::Options {
    engine::Options {
        ping_interval: Duration::from_millis(options.ping_interval_ms),
        ping_timeout: Duration::from_millis(options.ping_timeout_ms),
        upgrade_timeout: UPGRADE_TIMEOUT,
        max_payload: options.max_payload_bytes as usize,
        queue_capacity: options.queue_capacity as usize,
        queue_bytes: options.queue_kib as usize * 1024,
        max_sessions: options.max_sessions as usize,
        assumes_revision_3: true,
    }
}
