//! People over the sockets: who they are, what they may ask how often, and what they are told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::http::header;
use serde::Deserialize;
use serde_json::json;

use super::engine::{Frame, SendError};
use super::hub::{MAX_OF_ONE, Shown};
use super::hubs::Hubs;
use super::pace::Rate;
use super::packet::{self, Event, MAIN};
use super::sockets::{Application, Outlet};
use super::{Shared, events};
use crate::actor::Actor;
use crate::auth::Claims;
use crate::chat::Status;
use crate::clock::Timestamp;
use crate::error::{Code, Error};
use crate::gateway::{CookieToken, bearer_token};
use crate::id::{RoomId, SessionId, UserId};
use crate::links::Links;
use crate::live::Attendance;

/// Rooms that one connection may look at.
const MAX_ROOMS: usize = 200;

/// The application that people use.
pub(super) struct People(pub(super) Arc<Hubs>);

/// A connection of somebody.
pub(super) struct Guest {
    number: u64,
    /// The hub that it belongs to.
    shared: Arc<Shared>,
    outlet: Outlet<People>,
    actor: Actor,
    claims: Arc<Claims>,
    /// Whether they know the newer names of events, and want those alone.
    knows_new_names: bool,
    /// What stands before the paths of files for them.
    base: Arc<str>,
    /// Lets them be told of what happens for them.
    _attendance: Attendance,
    /// None once the connection is over.
    rooms: Mutex<Option<Vec<RoomId>>>,
    apart: Mutex<Apart>,
    watched: Mutex<Vec<UserId>>,
    /// Whether they were shown out; what they asked before that is not done any more.
    is_out: AtomicBool,
}

/// Who is not there for somebody: one of the two has blocked the other.
#[derive(Default)]
struct Apart {
    is_known: bool,
    /// In order.
    people: Vec<UserId>,
    /// How often it has changed.
    asked: u32,
}

/// What the request with which a connection began says of who it is.
pub(super) struct Origin {
    token: Option<String>,
    base: Arc<str>,
}

/// What a client gives along when it connects.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ConnectBody {
    token: Option<String>,
    events: Option<String>,
}

impl Guest {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Under which id its client knows the connection.
    pub(super) fn sid(&self) -> &str {
        self.outlet.sid()
    }

    pub(super) fn actor(&self) -> &Actor {
        &self.actor
    }

    pub(super) fn user_id(&self) -> UserId {
        self.actor.user_id
    }

    pub(super) fn session_id(&self) -> SessionId {
        self.actor.session_id
    }

    pub(super) fn username(&self) -> &str {
        &self.claims.username
    }

    pub(super) fn expires_at(&self) -> Timestamp {
        Timestamp::from_millis(self.claims.exp.saturating_mul(1_000))
    }

    /// Notes a room that they look at.
    pub(super) fn add_room(&self, room: RoomId) -> Result<(), Error> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let rooms = rooms.as_mut().ok_or(Code::NotInRoom)?;
        if rooms.contains(&room) {
            return Ok(());
        }
        if rooms.len() >= MAX_ROOMS {
            return Err(Error::new(Code::TooManyRooms));
        }
        rooms.push(room);
        Ok(())
    }

    pub(super) fn drop_room(&self, room: RoomId) {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rooms) = rooms.as_mut() {
            rooms.retain(|known| *known != room);
        }
    }

    /// Whether they may look at one more room.
    pub(super) fn has_room(&self) -> bool {
        self.rooms().len() < MAX_ROOMS
    }

    pub(super) fn rooms(&self) -> Vec<RoomId> {
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.clone().unwrap_or_default()
    }

    /// Notes whom they watch; returns whom they did before.
    pub(super) fn put_watched(&self, people: Vec<UserId>) -> Vec<UserId> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *watched, people)
    }

    /// They watch this person no more.
    pub(super) fn drop_watched(&self, user: UserId) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|known| *known != user);
    }

    /// The connection is over: the rooms that it looked at.
    pub(super) fn take_rooms(&self) -> Vec<RoomId> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.take().unwrap_or_default()
    }

    /// Shows an event, under the names that they know.
    pub(super) fn show(&self, shown: &mut Shown<'_>) -> Result<(), SendError> {
        self.frames(shown)
            .try_for_each(|frame| self.outlet.send(frame))
    }

    /// The same, to be sent later.
    pub(super) fn frames(&self, shown: &mut Shown<'_>) -> impl Iterator<Item = Frame> + use<> {
        let namespace = self.outlet.namespace();
        let unseen = self.apart_among(|| shown.reactors());
        let frame = if unseen.is_empty() {
            shown.frame(namespace, &self.base)
        } else {
            shown.frame_without(namespace, &self.base, &unseen)
        };
        let alias = (!self.knows_new_names)
            .then(|| shown.alias(namespace, &self.base))
            .flatten();
        std::iter::once(frame).chain(alias)
    }

    /// Sends these; false when they do not take them.
    pub(super) fn send_all(&self, frames: Vec<Frame>) -> bool {
        frames
            .into_iter()
            .all(|frame| self.outlet.send(frame) != Err(SendError::Full))
    }

    /// Whether somebody is not there for them.
    pub(super) fn is_apart_from(&self, user: UserId) -> bool {
        let apart = self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        apart.people.binary_search(&user).is_ok()
    }

    /// Those of these people who are not there for them. Most have nobody, and then nobody is asked for.
    fn apart_among<'a>(&self, people: impl FnOnce() -> &'a [UserId]) -> Vec<UserId> {
        let apart = self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        if apart.people.is_empty() {
            return Vec::new();
        }
        let is_apart = |user: &UserId| apart.people.binary_search(user).is_ok();
        people().iter().copied().filter(is_apart).collect()
    }

    /// Whether it has to be read who is not there for them; with the number of the answer that is expected.
    pub(super) fn needs_apart(&self) -> Option<u32> {
        let apart = self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        (!apart.is_known).then_some(apart.asked)
    }

    /// Who is not there for them, as read after `asked`; false when that changed in between.
    pub(super) fn put_apart(&self, asked: u32, mut people: Vec<UserId>) -> bool {
        people.sort_unstable();
        let mut apart = self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current = apart.asked == asked;
        if is_current {
            apart.people = people;
            apart.is_known = true;
        }
        is_current
    }

    /// Somebody is not there for them any more.
    pub(super) fn add_apart(&self, user: UserId) {
        let mut apart = self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(place) = apart.people.binary_search(&user) {
            apart.people.insert(place, user);
        }
        // What is being read just now may not know of it.
        apart.asked += 1;
    }

    /// Who is not there for them has changed: it is to be read again, and the number of the answer is this. What was known
    /// holds until then.
    pub(super) fn forget_apart(&self) -> u32 {
        let mut apart = self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        apart.asked += 1;
        apart.is_known = false;
        apart.asked
    }

    /// Whether the connection is over.
    pub(super) fn is_gone(&self) -> bool {
        let rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        rooms.is_none()
    }

    /// Tells them something that concerns them alone.
    pub(super) fn tell(&self, name: &str, payload: &str) {
        if self.outlet.emit(name, payload) == Err(SendError::Full) {
            self.give_up();
        }
    }

    pub(super) fn tell_error(&self, error: &Error) {
        self.tell("error", &error_json(error));
    }

    /// Answers an event.
    pub(super) fn answer(&self, ack: Option<u64>, outcome: &Result<String, Error>) {
        if let Err(error) = outcome {
            self.tell_error(error);
        }
        let Some(ack) = ack else { return };
        let json = match outcome {
            Ok(data) => format!(r#"{{"ok":true,"data":{data}}}"#),
            Err(error) => {
                let (code, message) = (error.code().as_str(), error.message());
                json!({ "ok": false, "code": code, "message": message }).to_string()
            }
        };
        if self.outlet.ack(ack, &json, &[]) == Err(SendError::Full) {
            self.give_up();
        }
    }

    /// Ends a connection that does not read what it is sent.
    pub(super) fn give_up(&self) {
        let error = error_json(&Error::new(Code::TooSlow));
        let last = packet::event(self.outlet.namespace(), "error", &error, 0);
        self.outlet.give_up(Some(Frame::message(&last)));
    }

    /// Tells them why, and ends the connection.
    pub(super) fn show_out(&self, code: Code) {
        if !self.is_out.swap(true, Ordering::AcqRel) {
            self.tell_error(&Error::new(code));
            self.outlet.show_out();
        }
    }
}

fn error_json(error: &Error) -> String {
    json!({ "message": error.message(), "code": error.code().as_str() }).to_string()
}

impl People {
    /// Who it is: by what they say now, else by what the request said.
    fn identify(&self, origin: &Origin, body: &ConnectBody) -> Result<(Arc<Claims>, Actor), Error> {
        let said = body.token.as_deref().map(bearer_token);
        let token = said
            .or(origin.token.as_deref())
            .ok_or(Code::Unauthenticated)?;
        self.0.first().auth.authenticate(token)
    }
}

impl Application for People {
    type Guest = Guest;
    type Origin = Origin;

    const NAMESPACES: &'static [&'static str] = &[MAIN, "/chat"];

    fn origin(&self, request: &Request) -> Origin {
        let header = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            // What a proxy asked for, say, is no token.
            .filter(|value| {
                let scheme = value.split_ascii_whitespace().next().unwrap_or_default();
                scheme == bearer_token(value) || scheme.eq_ignore_ascii_case("bearer")
            })
            .map(|value| bearer_token(value).to_owned());
        let query = || {
            let pairs = request.uri().query()?.split('&');
            let token = pairs
                .into_iter()
                .find_map(|pair| pair.strip_prefix("token="))?;
            // A token has nothing that would be written otherwise in an address; but `Bearer ` has.
            let token = token.strip_prefix("Bearer%20").unwrap_or(token);
            Some(token.strip_prefix("Bearer+").unwrap_or(token).to_owned())
        };
        let cookie = || {
            let CookieToken(token) = request.extensions().get()?;
            Some(token.clone())
        };
        Origin {
            token: header.or_else(query).or_else(cookie),
            base: Links::current_base().unwrap_or_default(),
        }
    }

    fn connect(
        &self,
        outlet: Outlet<Self>,
        origin: &Origin,
        auth: Option<&str>,
    ) -> Result<Arc<Guest>, String> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let refused = |message: &str, code: Code| {
            json!({ "message": message, "data": { "code": code.as_str() } }).to_string()
        };
        let body: ConnectBody = match auth.map(serde_json::from_str).transpose() {
            Ok(body) => body.unwrap_or_default(),
            Err(_no_such_body) => {
                return Err(refused(
                    "Authentication error: token is no text",
                    Code::InvalidBody,
                ));
            }
        };
        let (claims, actor) = self.identify(origin, &body).map_err(|_refused| {
            refused("Authentication error: please log in", Code::Unauthenticated)
        })?;
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let shared = self.0.of(number);
        let attendance = shared.live.attend(actor.user_id);
        Ok(Arc::new(Guest {
            number,
            shared: Arc::clone(shared),
            outlet,
            actor,
            claims,
            knows_new_names: body.events.as_deref() == Some("v2"),
            base: Arc::clone(&origin.base),
            _attendance: attendance,
            rooms: Mutex::new(Some(Vec::new())),
            apart: Mutex::default(),
            watched: Mutex::default(),
            is_out: AtomicBool::new(false),
        }))
    }

    fn welcome(&self, guest: &Arc<Guest>) {
        let shared = &guest.shared;
        if self.0.count_of(guest.user_id()) >= MAX_OF_ONE || !shared.hub.add(guest) {
            guest.show_out(Code::TooManyConnections);
            return;
        }
        // The session may have ended between the check and the place among those who are told.
        if !shared.auth.is_live(guest.session_id()) {
            shared.hub.remove(guest);
            guest.show_out(Code::Unauthenticated);
            return;
        }
        shared.set_status(guest, Status::Online);
    }

    fn expects_no_connect(&self, origin: &Origin) -> bool {
        let token = origin.token.as_deref();
        token.is_some_and(|token| self.0.first().auth.authenticate(token).is_ok())
    }

    async fn handle(&self, guest: Arc<Guest>, event: Event) {
        if guest.is_out.load(Ordering::Acquire) {
            return;
        }
        let shared = &guest.shared;
        let within = shared.limits.check_events(guest.user_id());
        let outcome = match within {
            Ok(()) => {
                let links = shared.links(&guest.base);
                links.scope(events::handle(shared, &guest, &event)).await
            }
            Err(error) => Err(error),
        };
        guest.answer(event.ack, &outcome);
    }

    fn rate(&self) -> Option<Rate> {
        let shared = self.0.first();
        let options = &shared.options;
        shared.has_limits.then(|| Rate {
            each: Duration::from_mins(1) / options.events_per_minute.max(1),
            burst: options.events_burst,
        })
    }

    fn refuse(&self, guest: &Arc<Guest>, event: &Event) {
        guest.answer(event.ack, &Err(Error::new(Code::RateLimited)));
    }

    fn disconnect(&self, guest: Arc<Guest>) {
        guest.shared.gone(&guest);
    }
}
