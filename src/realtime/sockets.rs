//! The server's half of Socket.IO, for whatever application: who is connected to which namespace, events in the order in
//! which each connection sent them, and what is sent back.
//!
//! Beneath is [`engine`](super::engine), which makes one stream of messages of long polling and of the
//! `WebSocket` protocol.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::extract::Request;
use bytes::Bytes;
use metrics::counter;
use tokio::time::Instant;
use tracing::debug;

use super::engine::{Ending, Frame, Handler, SendError, Session};
use super::pace::{Pace, Rate};
use super::packet::{self, Content, Event, MAIN, Malformed, Packet};
use crate::tasks::Tasks;

/// Events of one connection that wait for those before them.
const MAX_WAITING: usize = 64;

/// How often one connection may ask to be connected to a namespace, or not to be any more.
const CONNECTS: Rate = Rate {
    each: Duration::from_secs(6),
    burst: 20,
};

/// Binary messages of one event, and what they hold together, at most.
const MAX_ATTACHMENTS: usize = 10;
const MAX_ATTACHED_BYTES: usize = 1_000_000;

/// What people, or a test, do over the sockets.
pub(super) trait Application: Send + Sync + Sized + 'static {
    /// What is kept of somebody who is connected to a namespace.
    type Guest: Send + Sync + 'static;
    /// What is kept of the request with which a connection began.
    type Origin: Send + Sync + 'static;

    /// The namespaces that there are; the first is [`MAIN`].
    const NAMESPACES: &'static [&'static str];

    fn origin(&self, request: &Request) -> Self::Origin;

    /// Lets somebody in, or not. `auth` is the JSON object that came along. Who is let in is told so before anything else
    /// that goes to the outlet.
    ///
    /// Errors: what the client is told, as a JSON object with `message`.
    fn connect(
        &self,
        outlet: Outlet<Self>,
        origin: &Self::Origin,
        auth: Option<&str>,
    ) -> Result<Arc<Self::Guest>, String>;

    /// They are connected now.
    fn welcome(&self, guest: &Arc<Self::Guest>);

    /// Whether a client that sends events before it asks to be connected is taken for one that asked.
    fn expects_no_connect(&self, origin: &Self::Origin) -> bool;

    /// Does what an event wants, and answers it.
    fn handle(&self, guest: Arc<Self::Guest>, event: Event) -> impl Future<Output = ()> + Send;

    /// How many events one connection may send; none for as many as it likes.
    fn rate(&self) -> Option<Rate>;

    /// Says that an event came too soon after too many others.
    fn refuse(&self, guest: &Arc<Self::Guest>, event: &Event);

    /// They are gone, or were shown out. Called once for each guest.
    fn disconnect(&self, guest: Arc<Self::Guest>);
}

/// Socket.IO for an application.
pub(super) struct Server<A: Application> {
    application: Arc<A>,
    connect_timeout: Duration,
    tasks: Tasks,
}

/// A connection to such a server.
type Connection<A> = Session<Server<A>>;

/// What is kept of one connection.
pub(super) struct Link<A: Application> {
    state: Mutex<State<A>>,
}

struct State<A: Application> {
    /// How much it has asked: events, and to be connected or not.
    events: Pace,
    connects: Pace,
    /// Since when nobody is connected; and whether somebody watches over how long.
    empty_since: Option<Instant>,
    is_watched: bool,
    /// Who is connected to which namespace, by its place in [`Application::NAMESPACES`].
    guests: Vec<(usize, Arc<A::Guest>)>,
    /// An event whose attachments are not all there.
    partial: Option<Partial>,
    /// What waits to be handled, in the order in which it came.
    waiting: VecDeque<(Arc<A::Guest>, Event)>,
    /// Whether somebody handles it.
    is_busy: bool,
    is_over: bool,
}

struct Partial {
    namespace: usize,
    /// None for an answer, which nobody wants.
    event: Option<Event>,
    missing: usize,
    size_bytes: usize,
}

impl<A: Application> Default for Link<A> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                events: Pace::new(Instant::now()),
                connects: Pace::new(Instant::now()),
                empty_since: None,
                is_watched: false,
                guests: Vec::new(),
                partial: None,
                waiting: VecDeque::new(),
                is_busy: false,
                is_over: false,
            }),
        }
    }
}

impl<A: Application> Link<A> {
    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Application> State<A> {
    fn guest(&self, namespace: usize) -> Option<Arc<A::Guest>> {
        self.guests
            .iter()
            .find(|(known, _)| *known == namespace)
            .map(|(_, guest)| Arc::clone(guest))
    }

    fn remove(&mut self, namespace: usize) -> Option<Arc<A::Guest>> {
        let place = self
            .guests
            .iter()
            .position(|(known, _)| *known == namespace)?;
        Some(self.guests.swap_remove(place).1)
    }
}

/// The way to one connected client.
pub(super) struct Outlet<A: Application> {
    connection: Arc<Connection<A>>,
    namespace: usize,
    sid: Box<str>,
}

impl<A: Application> Outlet<A> {
    pub(super) fn namespace(&self) -> &'static str {
        A::NAMESPACES.get(self.namespace).copied().unwrap_or(MAIN)
    }

    /// Under which id the client knows the connection; not what names it to the transport, which is a secret.
    pub(super) fn sid(&self) -> &str {
        &self.sid
    }

    /// Sends a packet, made for this namespace. Never waits.
    pub(super) fn send(&self, packet: Frame) -> Result<(), SendError> {
        self.connection.send(packet)
    }

    /// Sends a packet with what belongs to it.
    pub(super) fn send_with(&self, packet: &str, attachments: &[Bytes]) -> Result<(), SendError> {
        let attachments = attachments.iter().cloned().map(Frame::Binary);
        let frames = [Frame::message(packet)].into_iter().chain(attachments);
        self.connection.send_all(frames)
    }

    /// Ends the connection to this namespace, after telling so, and with the last one the connection. The application
    /// does not hear of it any more.
    pub(super) fn show_out(&self) {
        let is_last = {
            let mut state = self.connection.link.lock();
            state.remove(self.namespace);
            state.guests.is_empty()
        };
        let farewell = Frame::message(&packet::disconnected(self.namespace()));
        if is_last {
            self.connection.close_with(Ending::ShownOut, Some(farewell));
        } else if self.send(farewell) == Err(SendError::Full) {
            self.connection.close(Ending::TooSlow);
        }
    }

    /// Ends the connection of a client that does not read what it is sent; `last` is what it finds when it does.
    pub(super) fn give_up(&self, last: Option<Frame>) {
        self.connection.close_with(Ending::TooSlow, last);
    }

    /// The way to answer an event.
    pub(super) fn ack(
        &self,
        id: u64,
        arguments: &str,
        attachments: &[Bytes],
    ) -> Result<(), SendError> {
        let packet = packet::ack(self.namespace(), id, arguments, attachments.len());
        self.send_with(&packet, attachments)
    }

    /// Sends an event to this client alone.
    pub(super) fn emit(&self, name: &str, arguments: &str) -> Result<(), SendError> {
        let packet = packet::event(self.namespace(), name, arguments, 0);
        self.send(Frame::message(&packet))
    }
}

impl<A: Application> Server<A> {
    pub(super) fn new(application: Arc<A>, connect_timeout: Duration, tasks: Tasks) -> Self {
        Self {
            application,
            connect_timeout,
            tasks,
        }
    }

    /// Closes the connection if nobody is connected to a namespace in time.
    fn expect_guests(&self, connection: &Arc<Connection<A>>) {
        {
            let mut state = connection.link.lock();
            state.empty_since = Some(Instant::now());
            if std::mem::replace(&mut state.is_watched, true) {
                return;
            }
        }
        let (connection, timeout) = (Arc::downgrade(connection), self.connect_timeout);
        let stopping = self.tasks.stopping().clone();
        self.tasks.spawn("socket", async move {
            loop {
                let Some(connection) = Weak::upgrade(&connection) else {
                    return;
                };
                let until = {
                    let mut state = connection.link.lock();
                    match state.empty_since {
                        Some(since) if state.guests.is_empty() => since + timeout,
                        _ => {
                            state.is_watched = false;
                            return;
                        }
                    }
                };
                if until <= Instant::now() {
                    connection.close(Ending::Silent);
                    return;
                }
                // The connection may end meanwhile.
                drop(connection);
                let pause = tokio::time::sleep_until(until);
                if stopping.run_until_cancelled(pause).await.is_none() {
                    return;
                }
            }
        });
    }

    fn connect(&self, connection: &Arc<Connection<A>>, namespace: &str, auth: Option<&str>) {
        let revision_4 = connection.is_of_old();
        let Some(place) = A::NAMESPACES.iter().position(|known| *known == namespace) else {
            let json = refusal(revision_4, r#"{"message":"Invalid namespace"}"#);
            tell(connection, &packet::refused(namespace, &json));
            return;
        };
        if connection.link.lock().guest(place).is_some() {
            return;
        }
        // Not the session's own id, which is as good as a password while the session lasts.
        let Ok(sid) = crate::random::token() else {
            connection.close(Ending::Stopping);
            return;
        };
        let outlet = Outlet {
            connection: Arc::clone(connection),
            namespace: place,
            sid: sid.as_str().into(),
        };
        match self.application.connect(outlet, &connection.origin, auth) {
            Ok(guest) => {
                let mut state = connection.link.lock();
                if state.is_over || state.guest(place).is_some() {
                    return;
                }
                let sid = (!revision_4).then_some(sid.as_str());
                tell(connection, &packet::connected(namespace, sid));
                state.guests.push((place, Arc::clone(&guest)));
                drop(state);
                self.application.welcome(&guest);
            }
            Err(json) => {
                let json = refusal(revision_4, &json);
                tell(connection, &packet::refused(namespace, &json));
            }
        }
    }

    fn receive(&self, connection: &Arc<Connection<A>>, text: &str) -> Result<(), Malformed> {
        let packet = Packet::decode(text)?;
        if connection.link.lock().partial.is_some() {
            return Err(Malformed);
        }
        let place = A::NAMESPACES
            .iter()
            .position(|known| *known == packet.namespace);
        if matches!(packet.content, Content::Connect(_) | Content::Disconnect) {
            let mut state = connection.link.lock();
            // Each costs us a look at the token, and others a word that somebody came or went.
            if !state.connects.allows(Instant::now(), CONNECTS) {
                return Err(Malformed);
            }
        }
        let event = match packet.content {
            Content::Connect(auth) => {
                self.connect(connection, packet.namespace, auth);
                return Ok(());
            }
            Content::Disconnect => {
                if let Some(guest) = place.and_then(|place| connection.link.lock().remove(place)) {
                    self.application.disconnect(guest);
                    self.expect_guests(connection);
                }
                return Ok(());
            }
            Content::Ack => None,
            Content::Event(event) => Some(event),
        };
        let place = place.ok_or(Malformed)?;
        if connection.link.lock().guest(place).is_none() {
            if place == 0 && self.application.expects_no_connect(&connection.origin) {
                self.connect(connection, MAIN, None);
            }
            if connection.link.lock().guest(place).is_none() {
                return Err(Malformed);
            }
        }
        if packet.attachments > MAX_ATTACHMENTS {
            return Err(Malformed);
        }
        if packet.attachments > 0 {
            connection.link.lock().partial = Some(Partial {
                namespace: place,
                event,
                missing: packet.attachments,
                size_bytes: 0,
            });
            return Ok(());
        }
        if let Some(event) = event {
            self.enqueue(connection, place, event);
        }
        Ok(())
    }

    fn receive_attachment(
        &self,
        connection: &Arc<Connection<A>>,
        bytes: &Bytes,
    ) -> Result<(), Malformed> {
        let complete = {
            let mut state = connection.link.lock();
            let partial = state.partial.as_mut().ok_or(Malformed)?;
            partial.missing -= 1;
            partial.size_bytes += bytes.len();
            if partial.size_bytes > MAX_ATTACHED_BYTES {
                return Err(Malformed);
            }
            if let Some(event) = &mut partial.event {
                // A copy: these may be a part of a larger buffer.
                event.attachments.push(Bytes::copy_from_slice(bytes));
            }
            if partial.missing > 0 {
                return Ok(());
            }
            state.partial.take()
        };
        if let Some(Partial {
            namespace,
            event: Some(event),
            ..
        }) = complete
        {
            self.enqueue(connection, namespace, event);
        }
        Ok(())
    }

    /// Has an event handled after those that the connection sent before.
    fn enqueue(&self, connection: &Arc<Connection<A>>, namespace: usize, event: Event) {
        let mut state = connection.link.lock();
        let Some(guest) = state.guest(namespace) else {
            return;
        };
        let rate = self.application.rate();
        let is_in_time = rate.is_none_or(|rate| state.events.allows(Instant::now(), rate));
        if !is_in_time || state.waiting.len() >= MAX_WAITING {
            drop(state);
            self.application.refuse(&guest, &event);
            return;
        }
        state.waiting.push_back((guest, event));
        if state.is_busy {
            return;
        }
        state.is_busy = true;
        drop(state);
        // A task as long as there is something to do: an idle connection costs none.
        let (connection, application) = (Arc::clone(connection), Arc::clone(&self.application));
        self.tasks.spawn("socket events", async move {
            loop {
                let next = {
                    let mut state = connection.link.lock();
                    let next = state.waiting.pop_front();
                    state.is_busy = next.is_some();
                    next
                };
                let Some((guest, event)) = next else { return };
                application.handle(guest, event).await;
            }
        });
    }
}

/// What refuses a connection, as JSON: revision 4 has nothing but the message.
fn refusal(revision_4: bool, json: &str) -> String {
    let message = || {
        let value: serde_json::Value = serde_json::from_str(json).ok()?;
        Some(value.get("message")?.to_string())
    };
    revision_4
        .then(message)
        .flatten()
        .unwrap_or_else(|| json.to_owned())
}

/// Sends a packet to a client that cannot be behind yet.
fn tell<A: Application>(connection: &Arc<Connection<A>>, packet: &str) {
    if connection.send(Frame::message(packet)) == Err(SendError::Full) {
        connection.close(Ending::TooSlow);
    }
}

impl<A: Application> Handler for Server<A> {
    type Link = Link<A>;
    type Origin = A::Origin;

    fn origin(&self, request: &Request) -> A::Origin {
        self.application.origin(request)
    }

    fn opened(&self, connection: &Arc<Connection<A>>) {
        // Revision 4 has no CONNECT for the main namespace: whoever is there is in it.
        if connection.is_of_old() {
            self.connect(connection, MAIN, None);
        }
        if connection.link.lock().guests.is_empty() {
            self.expect_guests(connection);
        }
    }

    fn text(&self, connection: &Arc<Connection<A>>, text: &str) {
        if self.receive(connection, text).is_err() {
            connection.close(Ending::Malformed);
        }
    }

    fn binary(&self, connection: &Arc<Connection<A>>, bytes: Bytes) {
        if self.receive_attachment(connection, &bytes).is_err() {
            connection.close(Ending::Malformed);
        }
    }

    fn closed(&self, connection: &Arc<Connection<A>>, ending: Ending) {
        let guests = {
            let mut state = connection.link.lock();
            state.is_over = true;
            state.partial = None;
            state.waiting.clear();
            std::mem::take(&mut state.guests)
        };
        counter!("socialhub_socket_endings_total", "reason" => ending.as_str()).increment(1);
        debug!(reason = ending.as_str(), "A socket is gone");
        for (_, guest) in guests {
            self.application.disconnect(guest);
        }
    }
}
