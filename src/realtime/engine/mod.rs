//! Engine.IO, revisions 4 and 3: one ordered stream of messages each way between a client and an application, whether it
//! comes by long polling, by a WebSocket, or begins as the one and becomes the other.
//!
//! * `session`: one connection, and what waits to be sent on it;
//! * `payload`: how several messages stand in one request or answer of long polling;
//! * `polling`, `websocket`: the two transports;
//! * here: which of them a request is for.
//!
//! The protocol: `docs/engine.io-protocol` in `github.com/socketio/socket.io`.

mod payload;
mod polling;
mod session;
mod websocket;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use metrics::gauge;

use crate::tasks::Tasks;

pub(super) use session::{Ending, Frame, SendError, Session};

/// How the transport behaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) ping_interval: Duration,
    pub(super) ping_timeout: Duration,
    /// How long a client may take to go over to a WebSocket.
    pub(super) upgrade_timeout: Duration,
    /// Bytes of one message, or of one request of long polling.
    pub(super) max_payload: usize,
    /// Messages, and their bytes, that wait for one client.
    pub(super) queue_capacity: usize,
    pub(super) queue_bytes: usize,
    /// Sessions at once.
    pub(super) max_sessions: usize,
    /// Whether a client that names no revision is taken for one of revision 3, as those of old did not.
    pub(super) assumes_revision_3: bool,
}

/// What happens with the messages.
pub(super) trait Handler: Sized + Send + Sync + 'static {
    /// What is kept of a session.
    type Link: Default + Send + Sync + 'static;
    /// What is kept of the request that began it.
    type Origin: Send + Sync + 'static;

    fn origin(&self, request: &Request) -> Self::Origin;
    /// A session has begun; what is sent from here on reaches the client.
    fn opened(&self, session: &Arc<Session<Self>>);
    /// A message came. They come in order, one at a time.
    fn text(&self, session: &Arc<Session<Self>>, text: &str);
    fn binary(&self, session: &Arc<Session<Self>>, bytes: Bytes);
    /// It is over. Called once.
    fn closed(&self, session: &Arc<Session<Self>>, ending: Ending);
}

/// Which protocol a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revision {
    /// Socket.IO 2.
    Three,
    /// Socket.IO 3 and later.
    Four,
}

/// All sessions of an application.
pub(super) struct Engine<H: Handler> {
    handler: H,
    options: Options,
    sessions: RwLock<HashMap<String, Arc<Session<H>>>>,
    tasks: Tasks,
}

/// What a request to the transport says.
#[derive(Debug)]
struct Wish {
    revision: Revision,
    is_websocket: bool,
    sid: Option<String>,
    /// Whether binary messages have to be sent as text.
    wants_base64: bool,
}

/// Why a request cannot be answered, in the form in which clients of Engine.IO expect it.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    UnknownTransport,
    UnknownSession,
    BadHandshakeMethod,
    BadRequest,
    UnsupportedRevision,
    TooLarge,
    Full,
}

impl<H: Handler> Engine<H> {
    pub(super) fn new(handler: H, options: Options, tasks: Tasks) -> Arc<Self> {
        Arc::new(Self {
            handler,
            options,
            sessions: RwLock::default(),
            tasks,
        })
    }

    /// Answers at these paths.
    pub(super) fn routes(self: &Arc<Self>, paths: &[&str]) -> Router {
        let engine = Arc::clone(self);
        let route = any(move |request: Request| {
            let engine = Arc::clone(&engine);
            async move { engine.answer(request).await }
        });
        paths.iter().fold(Router::new(), |router, path| {
            router.route(path, route.clone())
        })
    }

    /// Ends all sessions, as when the connection breaks: clients look for another server, or for this one again.
    pub(super) fn close_all(&self) {
        let sessions: Vec<_> = self.read().values().cloned().collect();
        for session in sessions {
            session.close(Ending::Stopping);
        }
    }

    async fn answer(self: Arc<Self>, request: Request) -> Response {
        let method = request.method().clone();
        let wish = match Wish::parse(request.uri(), self.options.assumes_revision_3) {
            Ok(wish) => wish,
            Err(refusal) => return refusal.into_response(),
        };
        let answered = match (&wish.sid, wish.is_websocket, &method) {
            (None, _, method) if *method != Method::GET => Err(Refusal::BadHandshakeMethod),
            (None, false, _) => self.open_polling(&request, &wish),
            (None, true, _) => self.open_websocket(request, &wish),
            (Some(sid), is_websocket, method) => {
                let Some(session) = self.find(sid) else {
                    return Refusal::UnknownSession.into_response();
                };
                match *method {
                    Method::GET if is_websocket => self.upgrade(request, &session),
                    Method::GET => polling::poll(&session).await,
                    Method::POST if !is_websocket => self.take_in(request, &session).await,
                    _ => Err(Refusal::BadRequest),
                }
            }
        };
        answered.unwrap_or_else(Refusal::into_response)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<String, Arc<Session<H>>>> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, sid: &str) -> Option<Arc<Session<H>>> {
        self.read().get(sid).cloned()
    }

    fn open(self: &Arc<Self>, request: &Request, wish: &Wish) -> Result<Arc<Session<H>>, Refusal> {
        let sid = crate::random::token().map_err(|_no_randomness| Refusal::Full)?;
        let origin = self.handler.origin(request);
        let session = Arc::new(Session::new(self, sid, wish, origin));
        let mut sessions = self
            .sessions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= self.options.max_sessions {
            return Err(Refusal::Full);
        }
        sessions.insert(session.sid().to_owned(), Arc::clone(&session));
        drop(sessions);
        gauge!("socialhub_sockets").increment(1);
        Ok(session)
    }

    fn forget(&self, sid: &str) {
        let mut sessions = self
            .sessions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if sessions.remove(sid).is_some() {
            gauge!("socialhub_sockets").decrement(1);
        }
    }

    /// What a session begins with.
    fn handshake(&self, sid: &str, upgrades: &[&str]) -> String {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        // In this order, as everybody else writes it.
        format!(
            r#"0{{"sid":"{sid}","upgrades":{},"pingInterval":{},"pingTimeout":{},"maxPayload":{}}}"#,
            serde_json::Value::from(upgrades),
            millis(self.options.ping_interval),
            millis(self.options.ping_timeout),
            self.options.max_payload,
        )
    }
}

impl Wish {
    fn parse(uri: &Uri, assumes_revision_3: bool) -> Result<Self, Refusal> {
        let query = uri.query().unwrap_or_default();
        let value = |name: &str| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
        };
        let revision = match value("EIO") {
            Some("4") => Revision::Four,
            Some("3") => Revision::Three,
            None if assumes_revision_3 => Revision::Three,
            _ => return Err(Refusal::UnsupportedRevision),
        };
        let is_websocket = match value("transport") {
            Some("websocket") => true,
            Some("polling") => false,
            _ => return Err(Refusal::UnknownTransport),
        };
        // Polling by script tags, from before browsers allowed requests to other hosts.
        if value("j").is_some() {
            return Err(Refusal::BadRequest);
        }
        Ok(Self {
            revision,
            is_websocket,
            sid: value("sid").map(ToOwned::to_owned),
            wants_base64: value("b64").is_some_and(|value| matches!(value, "1" | "true")),
        })
    }
}

impl Refusal {
    fn into_response(self) -> Response {
        let (status, code, message) = match self {
            Self::UnknownTransport => (StatusCode::BAD_REQUEST, 0, "Transport unknown"),
            Self::UnknownSession => (StatusCode::BAD_REQUEST, 1, "Session ID unknown"),
            Self::BadHandshakeMethod => (StatusCode::BAD_REQUEST, 2, "Bad handshake method"),
            Self::BadRequest => (StatusCode::BAD_REQUEST, 3, "Bad request"),
            Self::UnsupportedRevision => {
                (StatusCode::BAD_REQUEST, 5, "Unsupported protocol version")
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, 3, "Payload too large"),
            Self::Full => (StatusCode::SERVICE_UNAVAILABLE, 4, "Too many connections"),
        };
        let body = format!(r#"{{"code":{code},"message":"{message}"}}"#);
        let kind = HeaderValue::from_static("application/json");
        let mut response =
            (status, [(header::CONTENT_TYPE, kind)], Body::from(body)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let soon = HeaderValue::from_static("5");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        response
    }
}
