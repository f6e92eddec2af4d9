//! The `WebSocket` protocol (RFC 6455): one task for each, which reads, writes and keeps the heart beat.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};

use super::session::{Frame, PING, Session};
use super::{Ending, Engine, Handler, Options, Refusal, Revision, Wish};

/// What is read at once. Each connection has a buffer of this size for as long as it lasts.
const READ_BUFFER: usize = 1024;

/// What is gathered before it is written.
const WRITE_BUFFER: usize = 4 * 1024;

/// Messages that are handed to the connection at once.
const BATCH: usize = 32;

/// How long a client may take to read the end; and when the server stops.
const FAREWELL: Duration = Duration::from_secs(5);
const SHORT_FAREWELL: Duration = Duration::from_millis(500);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

impl<H: Handler> Engine<H> {
    /// Begins a session with a WebSocket.
    pub(super) fn open_websocket(
        self: &Arc<Self>,
        mut request: Request,
        wish: &Wish,
    ) -> Result<Response, Refusal> {
        let (upgrade, response) = accept(&mut request)?;
        let session = self.open(&request, wish)?;
        let handshake = Frame::Text(self.handshake(session.sid(), &[]).into());
        let engine = Arc::clone(self);
        self.tasks.spawn("websocket", async move {
            let Some(socket) = open(upgrade, engine.options).await else {
                session.close(Ending::Gone);
                return;
            };
            if session.send(handshake).is_ok() {
                engine.handler.opened(&session);
            }
            carry(socket, &session).await;
        });
        Ok(response)
    }

    /// Tries a WebSocket for a session that began with long polling.
    pub(super) fn upgrade(
        &self,
        mut request: Request,
        session: &Arc<Session<H>>,
    ) -> Result<Response, Refusal> {
        let (upgrade, response) = accept(&mut request)?;
        let (session, options) = (Arc::clone(session), self.options);
        if !session.begin_upgrade() {
            // Clients expect to be let in, and to be shown out.
            self.tasks.spawn("websocket", async move {
                if let Some(mut socket) = open(upgrade, options).await {
                    timeout(FAREWELL, socket.close(None)).await.ok();
                }
            });
            return Ok(response);
        }
        self.tasks.spawn("websocket", async move {
            let probed = async {
                let mut socket = open(upgrade, options).await?;
                probe(&mut socket, &session).await.then_some(socket)
            };
            let socket = timeout(options.upgrade_timeout, probed)
                .await
                .ok()
                .flatten();
            session.end_upgrade(socket.is_some());
            if let Some(socket) = socket {
                carry(socket, &session).await;
            }
        });
        Ok(response)
    }
}

/// Agrees to speak WebSocket.
fn accept(request: &mut Request) -> Result<(OnUpgrade, Response), Refusal> {
    let headers = request.headers();
    let has = |name, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(wanted))
    };
    let is_asked = *request.method() == Method::GET
        && has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .filter(|_| is_asked)
        .map(|key| derive_accept_key(key.as_bytes()))
        .ok_or(Refusal::BadRequest)?;
    let upgrade = request
        .extensions_mut()
        .remove::<OnUpgrade>()
        .ok_or(Refusal::BadRequest)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let key = HeaderValue::from_str(&key).map_err(|_never| Refusal::BadRequest)?;
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    Ok((upgrade, response))
}

async fn open(upgrade: OnUpgrade, options: Options) -> Option<Socket> {
    let io = TokioIo::new(upgrade.await.ok()?);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(options.max_payload))
        .max_frame_size(Some(options.max_payload));
    Some(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await)
}

/// Waits until the client has tried the connection and goes over to it.
async fn probe<H: Handler>(socket: &mut Socket, session: &Session<H>) -> bool {
    if !says(socket, "2probe").await || socket.send(Message::text("3probe")).await.is_err() {
        return false;
    }
    session.release_polls();
    says(socket, "5").await
}

async fn says(socket: &mut Socket, wanted: &str) -> bool {
    matches!(socket.next().await, Some(Ok(Message::Text(text))) if text.as_str() == wanted)
}

/// What comes next.
enum Turn {
    Received(Message),
    Send,
    Due,
    Broken(Option<WebSocketError>),
}

/// Whether the client is there, and when to look again.
struct Heart {
    timer: Pin<Box<Sleep>>,
    /// Whether it was asked and has not said so yet.
    is_asked: bool,
}

/// Carries a session until it is over.
async fn carry<H: Handler>(mut socket: Socket, session: &Arc<Session<H>>) {
    let options = session.engine().options;
    let stopping = session.engine().tasks.stopping().clone();
    let mut stopped = pin!(stopping.cancelled());
    let mut heart = Heart::new(session.revision, options);
    let mut frames = Vec::new();
    let mut is_flushed = true;
    loop {
        let turn = poll_fn(|context| {
            if stopped.as_mut().poll(context).is_ready() {
                session.close(Ending::Stopping);
            }
            turn(
                &mut socket,
                session,
                &mut heart,
                &mut frames,
                &mut is_flushed,
                context,
            )
        });
        match turn.await {
            Turn::Received(Message::Text(text)) => {
                heart.beat(session.revision, options, text.as_str());
                session.receive(Frame::Text(text));
            }
            Turn::Received(Message::Binary(bytes)) => {
                // Revision 3 has the kind before binary messages as well.
                let start = usize::from(session.revision == Revision::Three).min(bytes.len());
                session.receive(Frame::Binary(bytes.slice(start..)));
            }
            Turn::Received(Message::Close(_)) => session.close(Ending::Gone),
            Turn::Received(_) => {}
            Turn::Send => {
                for frame in frames.drain(..) {
                    let message = match frame {
                        Frame::Text(text) => Message::Text(text),
                        Frame::Binary(bytes) => Message::Binary(with_kind(bytes, session.revision)),
                    };
                    if socket.start_send_unpin(message).is_err() {
                        session.close(Ending::Gone);
                    }
                }
                is_flushed = false;
                if frames.capacity() > BATCH {
                    frames = Vec::new();
                }
            }
            Turn::Due => heart.due(session, options),
            Turn::Broken(error) => {
                session.close(match error {
                    Some(
                        WebSocketError::Capacity(_)
                        | WebSocketError::Protocol(_)
                        | WebSocketError::Utf8(_),
                    ) => Ending::Malformed,
                    _ => Ending::Gone,
                });
                break;
            }
        }
        if session.ended().is_some() && frames.is_empty() && is_flushed {
            break;
        }
    }
    if let Some(ending) = session.ended() {
        farewell(&mut socket, session, ending).await;
    }
}

fn turn<H: Handler>(
    socket: &mut Socket,
    session: &Session<H>,
    heart: &mut Heart,
    frames: &mut Vec<Frame>,
    is_flushed: &mut bool,
    context: &mut Context<'_>,
) -> Poll<Turn> {
    if !*is_flushed {
        match Pin::new(&mut *socket).poll_flush(context) {
            Poll::Ready(Ok(())) => *is_flushed = true,
            Poll::Ready(Err(error)) => return Poll::Ready(Turn::Broken(Some(error))),
            // What is queued waits, and what the client says is heard nevertheless.
            Poll::Pending => {}
        }
    }
    if session.ended().is_some() {
        return Poll::Ready(Turn::Broken(None));
    }
    if *is_flushed && session.poll_queue(context, BATCH, frames).is_ready() {
        return Poll::Ready(if frames.is_empty() {
            Turn::Broken(None)
        } else {
            Turn::Send
        });
    }
    match Pin::new(&mut *socket).poll_next(context) {
        Poll::Ready(Some(Ok(message))) => return Poll::Ready(Turn::Received(message)),
        Poll::Ready(Some(Err(error))) => return Poll::Ready(Turn::Broken(Some(error))),
        Poll::Ready(None) => return Poll::Ready(Turn::Broken(None)),
        Poll::Pending => {}
    }
    heart.timer.as_mut().poll(context).map(|()| Turn::Due)
}

fn with_kind(bytes: bytes::Bytes, revision: Revision) -> bytes::Bytes {
    match revision {
        Revision::Four => bytes,
        Revision::Three => {
            let mut with_kind = Vec::with_capacity(bytes.len() + 1);
            with_kind.push(4);
            with_kind.extend_from_slice(&bytes);
            with_kind.into()
        }
    }
}

/// Sends what is left to say, and why it is over.
async fn farewell<H: Handler>(socket: &mut Socket, session: &Session<H>, ending: Ending) {
    let code = match ending {
        Ending::Gone | Ending::ShownOut => CloseCode::Normal,
        Ending::Stopping => CloseCode::Restart,
        Ending::Malformed => CloseCode::Protocol,
        Ending::Silent | Ending::TooSlow => CloseCode::Policy,
    };
    let reason = CloseFrame {
        code,
        reason: ending.as_str().into(),
    };
    let work = async {
        for frame in session.take_queued(usize::MAX) {
            match frame {
                Frame::Text(text) => socket.feed(Message::Text(text)).await?,
                Frame::Binary(bytes) => {
                    let bytes = with_kind(bytes, session.revision);
                    socket.feed(Message::Binary(bytes)).await?;
                }
            }
        }
        socket.close(Some(reason)).await?;
        // The client closes its half, or has had its time.
        while let Some(Ok(_)) = socket.next().await {}
        Ok::<(), WebSocketError>(())
    };
    let patience = match ending {
        Ending::Stopping => SHORT_FAREWELL,
        _ => FAREWELL,
    };
    // Whether it arrives is the client's business.
    timeout(patience, work).await.ok();
}

impl Heart {
    fn new(revision: Revision, options: Options) -> Self {
        let first = match revision {
            Revision::Four => options.ping_interval,
            Revision::Three => options.ping_interval + options.ping_timeout,
        };
        Self {
            timer: Box::pin(tokio::time::sleep(first)),
            is_asked: false,
        }
    }

    /// The client said something.
    fn beat(&mut self, revision: Revision, options: Options, text: &str) {
        match revision {
            Revision::Four if self.is_asked && text.starts_with('3') => {
                self.is_asked = false;
                self.timer
                    .as_mut()
                    .reset(Instant::now() + options.ping_interval);
            }
            Revision::Three if text.starts_with('2') => {
                let patience = options.ping_interval + options.ping_timeout;
                self.timer.as_mut().reset(Instant::now() + patience);
            }
            _ => {}
        }
    }

    /// The time has come to ask, or is over.
    fn due<H: Handler>(&mut self, session: &Arc<Session<H>>, options: Options) {
        if self.is_asked || session.revision == Revision::Three {
            session.close(Ending::Silent);
        } else if session.send(PING).is_err() {
            session.close(Ending::TooSlow);
        } else {
            self.is_asked = true;
            self.timer
                .as_mut()
                .reset(Instant::now() + options.ping_timeout);
        }
    }
}
