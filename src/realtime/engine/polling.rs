//! Long polling: a request that waits for news, and others that bring some.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{Instant, sleep, timeout_at};

use super::session::{CLOSE, Frame, NOOP, PING, PONG, Session, Transport};
use super::{Ending, Engine, Handler, Options, Refusal, Revision, Wish, payload};

/// Packets in one answer at most: python-engineio takes more for an attack.
const MAX_PACKETS: usize = 16;

/// How long a poll waits for its client to go over to a WebSocket.
const LEAVING: Duration = Duration::from_millis(50);

impl<H: Handler> Engine<H> {
    /// Begins a session.
    pub(super) fn open_polling(
        self: &Arc<Self>,
        request: &Request,
        wish: &Wish,
    ) -> Result<Response, Refusal> {
        let session = self.open(request, wish)?;
        let handshake = Frame::Text(self.handshake(session.sid(), &["websocket"]).into());
        let mut frames = vec![handshake];
        self.handler.opened(&session);
        if session.revision == Revision::Three {
            // Clients of revision 3 wait for what comes first.
            frames.extend(session.take_queued(MAX_PACKETS));
        }
        self.tasks
            .spawn("polling session", watch(Arc::clone(&session)));
        Ok(respond(&frames, &session))
    }

    /// Takes in what a client sends.
    pub(super) async fn take_in(
        &self,
        request: Request,
        session: &Arc<Session<H>>,
    ) -> Result<Response, Refusal> {
        if session.transport() == Transport::WebSocket {
            return Err(Refusal::BadRequest);
        }
        let is_binary = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind == "application/octet-stream");
        let body = Limited::new(request.into_body(), self.options.max_payload);
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                session.close(Ending::Malformed);
                return Err(if error.is::<LengthLimitError>() {
                    Refusal::TooLarge
                } else {
                    Refusal::BadRequest
                });
            }
        };
        let Ok(frames) = payload::decode(&body, session.revision, is_binary) else {
            session.close(Ending::Malformed);
            return Err(Refusal::BadRequest);
        };
        for frame in frames {
            if frame == CLOSE {
                session.await_poll().await;
            }
            if !session.receive(frame) {
                return Err(Refusal::BadRequest);
            }
        }
        let kind = (header::CONTENT_TYPE, "text/html");
        Ok(([kind], "ok").into_response())
    }
}

/// Waits for something to send.
pub(super) async fn poll<H: Handler>(session: &Arc<Session<H>>) -> Result<Response, Refusal> {
    if session.transport() == Transport::WebSocket {
        return Err(Refusal::BadRequest);
    }
    if session.is_overdue() {
        session.close(Ending::Silent);
        return Err(Refusal::UnknownSession);
    }
    if !session.begin_poll() {
        session.close(Ending::Malformed);
        return Err(Refusal::BadRequest);
    }
    let mut waiting = Waiting {
        session,
        is_answered: false,
    };
    let mut frames = Vec::new();
    poll_fn(|context| session.poll_for_poll(context, MAX_PACKETS, &mut frames)).await;
    if frames.is_empty() && session.ended().is_none() {
        // The client tries a WebSocket. Either it asked too late, and is over there in a moment, or it waits for this one
        // to be answered before it goes.
        sleep(LEAVING).await;
        if session.transport() == Transport::WebSocket {
            waiting.is_answered = true;
            return Err(Refusal::BadRequest);
        }
        frames = session.take_queued(MAX_PACKETS);
        if frames.is_empty() {
            frames.push(NOOP);
        }
    }
    Ok(waiting.answer(&frames))
}

/// A poll that waits. A client that gives it up has gone: what was on its way to it is lost.
struct Waiting<'a, H: Handler> {
    session: &'a Arc<Session<H>>,
    is_answered: bool,
}

impl<H: Handler> Waiting<'_, H> {
    fn answer(mut self, frames: &[Frame]) -> Response {
        self.is_answered = true;
        respond(frames, self.session)
    }
}

impl<H: Handler> Drop for Waiting<'_, H> {
    fn drop(&mut self) {
        self.session.end_poll();
        if !self.is_answered {
            self.session.close(Ending::Gone);
        }
    }
}

fn respond<H: Handler>(frames: &[Frame], session: &Session<H>) -> Response {
    let payload = payload::encode(frames, session.revision, session.wants_base64);
    let kind = if payload.is_binary {
        "application/octet-stream"
    } else {
        "text/plain; charset=UTF-8"
    };
    let kind = (header::CONTENT_TYPE, kind);
    (StatusCode::OK, [kind], Body::from(payload.body)).into_response()
}

impl<H: Handler> Session<H> {
    /// Waits a moment for a poll: what a client sent before it said goodbye may come after that, on another connection.
    async fn await_poll(&self) {
        for _ in 0..5 {
            if self.is_polled() {
                return;
            }
            sleep(LEAVING / 10).await;
        }
    }

    /// Does what a packet wants; false when it was none, and ended the session.
    pub(super) fn receive(self: &Arc<Self>, frame: Frame) -> bool {
        let handler = &self.engine().handler;
        let text = match frame {
            Frame::Binary(bytes) => {
                handler.binary(self, bytes);
                return true;
            }
            Frame::Text(text) => text,
        };
        match text.as_str().split_at_checked(1) {
            Some(("4", message)) => handler.text(self, message),
            Some(("1", _)) => self.close(Ending::Gone),
            // Revision 3: the client asks, and we answer.
            Some(("2", data)) if self.revision == Revision::Three => {
                self.show_up();
                let pong = if data.is_empty() {
                    PONG
                } else {
                    Frame::Text(format!("3{data}").into())
                };
                if self.send(pong).is_err() {
                    self.close(Ending::TooSlow);
                }
            }
            Some(("3", _)) if self.revision == Revision::Four => self.show_up(),
            Some(("6", _)) => {}
            _ => {
                self.close(Ending::Malformed);
                return false;
            }
        }
        true
    }
}

/// Asks now and then whether the client is still there, until a WebSocket carries the session.
async fn watch<H: Handler>(session: Arc<Session<H>>) {
    let stopping = session.engine().tasks.stopping().clone();
    stopping.run_until_cancelled(heartbeat(&session)).await;
    if stopping.is_cancelled() {
        session.close(Ending::Stopping);
    }
}

async fn heartbeat<H: Handler>(session: &Arc<Session<H>>) {
    let Options {
        ping_interval,
        ping_timeout,
        ..
    } = session.engine().options;
    let mut asked = session.begun;
    loop {
        let due = if session.revision == Revision::Three {
            asked + ping_interval + ping_timeout
        } else {
            asked += ping_interval;
            let over = poll_fn(|context| session.poll_watch(context));
            if timeout_at(asked, over).await.is_ok() {
                return;
            }
            if session.send(PING).is_err() {
                session.close(Ending::TooSlow);
            }
            asked + ping_timeout
        };
        session.expect_by(due);
        let shown_up = poll_fn(|context| session.poll_shown_up(context));
        timeout_at(due, shown_up).await.ok();
        if session.transport() == Transport::WebSocket {
            return;
        }
        if !session.has_shown_up() {
            session.close(Ending::Silent);
            return;
        }
        // From the answer on, as everybody else counts.
        asked = Instant::now();
    }
}
