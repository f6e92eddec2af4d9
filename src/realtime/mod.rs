//! What happens while one looks: Socket.IO.
//!
//! * `engine`: the transport, Engine.IO, over long polling and the `WebSocket` protocol;
//! * `packet`, `sockets`: the Socket.IO protocol, for whatever application;
//! * `people`: the application: who somebody is; `pace`: how much a connection may ask;
//! * `events`: what they ask;
//! * `hub`: who looks at what, and has been shown which of it;
//! * `hubs`: what hubs tell each other, where there are several;
//! * `presence`: whether people are there, for those who may know;
//! * `typing`: who is typing; `listing`: who is connected;
//! * `protocol_test`: the application that the official test suites talk to.
//!
//! What is kept goes through `chat` into the database, and is shown when it is committed there, in the order of the
//! commits: [`Event::Live`]. What passes, such as that somebody is typing, goes from one to the others without a stop.

mod engine;
mod events;
mod hub;
mod hubs;
mod listing;
mod pace;
mod packet;
mod people;
mod presence;
mod protocol_test;
mod sockets;
mod typing;

use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use metrics::counter;
use serde_json::json;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::hubs::{Hubs, Said};
use crate::auth::Auth;
use crate::chat::{Chat, Presences, Status};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::error::{Code, Error, Result};
use crate::event::{Event, Live, UserStatus};
use crate::gateway::Limits;
use crate::id::{RoomId, SessionId, UserId};
use crate::links::{Links, Signer};
use crate::live;
use crate::pubsub::{Alone, Ear, HubId, Loopback, PubSub};
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
    id: HubId,
    hub: hub::Hub,
    /// Joins this hub to the others, where there are any.
    bus: Arc<dyn PubSub>,
    has_others: bool,
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
    typing: typing::Typing,
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
    RoomClosed(RoomId),
    /// Somebody does not want to be seen any more.
    Hidden(UserId),
    /// One follows the other no more.
    Parted(UserId, UserId),
    /// One has blocked the other.
    Blocked(UserId, UserId),
    /// One blocks the other no more.
    Unblocked(UserId, UserId),
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
        let count = config.realtime.hubs.max(1);
        let bus: Arc<dyn PubSub> = if count > 1 {
            Arc::new(Loopback::default())
        } else {
            Arc::new(Alone)
        };
        let lost = Arc::new(Notify::new());
        let mut all = Vec::new();
        for id in 0..u64::from(count) {
            // What is asked over HTTP is asked of the first one.
            let presences = if id == 0 {
                chat.presence().clone()
            } else {
                Presences::default()
            };
            let (committed, backlog) = mpsc::channel(MAX_BACKLOG);
            let ear = bus.subscribe(id);
            let shared = Arc::new(Shared {
                id,
                hub: hub::Hub::new(presences),
                bus: Arc::clone(&bus),
                has_others: ear.is_some(),
                chat: chat.clone(),
                auth: auth.clone(),
                limits: limits.clone(),
                live: live.clone(),
                options: config.realtime.clone(),
                has_limits: config.limits.enabled,
                tasks: tasks.clone(),
                signer: signer.clone(),
                clock: clock.clone(),
                committed: committed.clone(),
                shown: Notify::new(),
                typing: typing::Typing::default(),
            });
            observe(store, committed, Arc::clone(&lost));
            shared.start(backlog, ear);
            all.push(shared);
        }
        let hubs = Arc::new(Hubs::new(all));
        live.observe(Box::new({
            let hubs = Arc::clone(&hubs);
            move |user, happening| hubs.tell(user, happening)
        }));
        let sockets: Weak<Hubs> = Arc::downgrade(&hubs);
        chat.connections().are_known_to(sockets);
        let (routes, close) = if config.realtime.protocol_test_profile {
            test_routes(&config.realtime, tasks)
        } else {
            people_routes(hubs, &config.realtime, tasks)
        };
        tasks.spawn("sockets", async move {
            while stopping
                .run_until_cancelled(lost.notified())
                .await
                .is_some()
            {
                warn!(
                    "More was committed than could be shown: all sockets are closed, and come back"
                );
                close();
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

/// Hands over what is committed; says so where there is no room for it.
fn observe(store: &Store, committed: mpsc::Sender<Committed>, lost: Arc<Notify>) {
    store.observe(Box::new(move |events| {
        let all = events
            .iter()
            .filter_map(|one| Committed::from_event(&one.event));
        for one in all {
            if committed.try_send(one).is_err() {
                lost.notify_one();
            }
        }
    }));
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
            Event::RoomClosed { room_id } => Some(Self::RoomClosed(*room_id)),
            Event::PresenceHidden { user_id } => Some(Self::Hidden(*user_id)),
            Event::UnfollowCreated {
                user_id,
                following_id,
                ..
            } => Some(Self::Parted(*user_id, *following_id)),
            Event::UserBlocked {
                user_id,
                blocked_id,
            } => Some(Self::Blocked(*user_id, *blocked_id)),
            Event::UserUnblocked {
                user_id,
                blocked_id,
            } => Some(Self::Unblocked(*user_id, *blocked_id)),
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
    /// Begins to show, to hear, and to note who is there.
    fn start(self: &Arc<Self>, backlog: mpsc::Receiver<Committed>, ear: Option<Ear>) {
        let shared = Arc::clone(self);
        let stopping = self.tasks.stopping().clone();
        self.tasks.spawn("live", async move {
            stopping.run_until_cancelled(shared.show(backlog)).await;
        });
        let shared = Arc::clone(self);
        self.tasks
            .spawn("last seen", async move { shared.write_seen().await });
        let shared = Arc::clone(self);
        let stopping = self.tasks.stopping().clone();
        self.tasks.spawn("typing", async move {
            stopping.run_until_cancelled(shared.expire_typing()).await;
        });
        let shared = Arc::clone(self);
        let stopping = self.tasks.stopping().clone();
        self.tasks.spawn("presence", async move {
            stopping.run_until_cancelled(shared.tell_news()).await;
        });
        if let Some(ear) = ear {
            let shared = Arc::clone(self);
            self.tasks
                .spawn("hubs", async move { shared.listen(ear).await });
        }
    }

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
                Some(Committed::RoomClosed(room_id)) => {
                    for user in self.hub.seated(room_id) {
                        self.see_out(user, room_id, "closed");
                    }
                }
                Some(Committed::Hidden(user_id)) => self.hide(user_id),
                Some(Committed::Parted(one, other)) => self.reconsider(one, other).await,
                Some(Committed::Blocked(one, other)) => {
                    self.part(one, other);
                    for (user, other) in [(one, other), (other, one)] {
                        for guest in self.hub.guests_of(user) {
                            guest.add_apart(other);
                        }
                    }
                }
                Some(Committed::Unblocked(one, other)) => {
                    for user in [one, other] {
                        self.learn_apart(user).await;
                    }
                }
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

    /// Somebody is there for somebody again: read once, however many connections they have. Where it cannot be, they stay
    /// apart until the connection goes to a room.
    async fn learn_apart(&self, user: UserId) {
        let guests = self.hub.guests_of(user);
        if guests.is_empty() {
            return;
        }
        let asked: Vec<u32> = guests.iter().map(|guest| guest.forget_apart()).collect();
        match self.chat.apart_from(user).await {
            Ok(people) => {
                for (guest, asked) in guests.iter().zip(asked) {
                    guest.put_apart(asked, people.clone());
                }
            }
            Err(error) => {
                warn!(error = %error, "Who is not there for somebody could not be read");
            }
        }
    }

    /// Finds out who is not there for somebody, where that is not known.
    async fn find_apart(&self, guest: &people::Guest) -> Result<()> {
        while let Some(asked) = guest.needs_apart() {
            let people = self.chat.apart_from(guest.user_id()).await?;
            guest.put_apart(asked, people);
        }
        Ok(())
    }

    /// Somebody may look at a room no more: their connections are told, and do not.
    fn see_out(&self, user: UserId, room: RoomId, reason: &str) {
        for guest in self.hub.guests_of(user) {
            let Some((is_last, key)) = self.hub.vacate(&guest, room) else {
                continue;
            };
            guest.drop_room(room);
            self.end_typing(&guest, room);
            let payload = json!({ "roomId": key, "reason": reason });
            guest.tell("room_left", &payload.to_string());
            if is_last {
                self.say_seat(&guest, room, false);
            }
        }
    }

    /// A connection is gone: so is its person from the rooms, if they have no other there.
    fn gone(&self, guest: &Arc<people::Guest>) {
        self.end_all_typing(guest);
        for room in self.hub.remove(guest) {
            self.say_seat(guest, room, false);
        }
        self.set_status(guest, Status::Offline);
    }

    /// Tells the other hubs that somebody looks at a room with their first connection here, or did with their last.
    fn say_seat(&self, guest: &people::Guest, room: RoomId, is_there: bool) {
        self.say(&Said::Room {
            room,
            user: guest.user_id(),
            username: guest.username().to_owned(),
            is_there,
        });
    }
}

type Close = Box<dyn Fn() + Send>;

fn people_routes(hubs: Arc<Hubs>, options: &config::Realtime, tasks: &Tasks) -> (Router, Close) {
    let connect_timeout = Duration::from_millis(options.connect_timeout_ms);
    let people = Arc::new(people::People(hubs));
    let server = sockets::Server::new(people, connect_timeout, tasks.clone());
    let engine = engine::Engine::new(server, engine_options(options), tasks.clone());
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
