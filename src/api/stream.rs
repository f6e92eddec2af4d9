//! What happens for the caller while they are there, as Server-Sent Events.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Deserialize;
use serde_json::json;
use tracing::warn;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::SharedDomains;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::gateway::{Caller, Query};
use crate::links::Links;
use crate::live::{Live, Next, Stream};

/// How long a client shall wait before it comes back, in milliseconds.
const RETRY_MS: u32 = 2_000;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new().routes(routes!(follow))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(rename_all = "camelCase")]
struct StreamQuery {
    /// As the header `Last-Event-ID`, for clients that cannot set it.
    #[serde(default)]
    #[param(required = false)]
    last_event_id: String,
}

/// What happens, as it happens
///
/// Server-Sent Events, each with an `id`; a client that comes back with the last one in `Last-Event-ID` is told exactly what
/// it missed. The same events come over Socket.IO.
///
/// * `notification`: one that is new, as `/api/v1/notifications` lists it;
/// * `counts`: `{notifications, messages, requests}`, what is unread, when it changes, and at the start;
/// * `feed_hint`: `{count}` new posts of people whom the caller follows, since they were told last;
/// * `new_message_notification`: a message, with its conversation's unread count;
/// * `room_invitation`: an invitation to a room;
/// * `reset`: what was missed is not known any more; what is shown has to be loaded anew;
/// * `error`: `{code, message}`, why the stream ends: `unauthenticated` when the session has ended, `too_slow`.
#[utoipa::path(
    get, path = "/api/v1/stream", tag = "notifications", security(("token" = [])),
    params(StreamQuery, ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that the client has.")),
    responses(
        (status = 200, description = "Events without end.", body = String, content_type = "text/event-stream"),
        (status = 409, description = "`too_many_connections`: the caller has sixteen streams already.", body = crate::gateway::ErrorBody),
    )
)]
async fn follow(
    State(live): State<Live>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<StreamQuery>,
) -> Result<Response> {
    let last_id = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .unwrap_or(&query.last_event_id);
    let expires_at = Timestamp::from_millis(caller.claims.exp.saturating_mul(1_000));
    let stream = live.open(&caller.actor, expires_at, last_id)?;
    let is_resumed = !last_id.is_empty() && !stream.is_lost();
    let told = Telling {
        base: Links::current_base().unwrap_or_default(),
        live,
        stream,
        step: if is_resumed {
            Step::Greet
        } else {
            Step::GreetAnew
        },
    };
    let body = Body::from_stream(unfold(told, Telling::step));
    let headers = [
        (header::CONTENT_TYPE.as_str(), "text/event-stream"),
        (header::CACHE_CONTROL.as_str(), "no-store"),
        // nginx would keep events until it has some kilobytes of them.
        ("x-accel-buffering", "no"),
    ];
    Ok((headers, body).into_response())
}

/// A stream on its way to its client.
struct Telling {
    live: Live,
    stream: Stream,
    /// What stands before the paths of files for the client.
    base: Arc<str>,
    step: Step,
}

enum Step {
    /// To who comes back in time.
    Greet,
    /// To who has to be told where they stand.
    GreetAnew,
    Tell,
    End,
}

impl Telling {
    /// The next piece of the answer; none at its end.
    async fn step(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let mut text = String::new();
        match self.step {
            Step::Greet => self.greet(&mut text),
            Step::GreetAnew => {
                self.greet(&mut text);
                if self.stream.is_lost() {
                    event(&mut text, None, "reset", "{}");
                }
                match self.stream.counts().await {
                    Ok(counts) => event(&mut text, None, "counts", &json!(counts).to_string()),
                    // They come with the next change.
                    Err(error) => {
                        warn!(error = %error, causes = error.causes(), "A stream begins without counts");
                    }
                }
            }
            Step::Tell => match self.stream.next(self.live.heartbeat()).await {
                Next::Events(events) => {
                    for (id, happening) in events {
                        let payload = self.live.payload(&happening, &self.base);
                        event(&mut text, Some(&id), &happening.name, &payload);
                    }
                }
                Next::Silence => text.push_str(":\n\n"),
                Next::End(None) => return None,
                Next::End(Some(code)) => {
                    let error = Error::new(code);
                    let why = json!({ "code": code.as_str(), "message": error.message() });
                    event(&mut text, None, "error", &why.to_string());
                    self.step = Step::End;
                    return Some((Ok(text.into()), self));
                }
            },
            Step::End => return None,
        }
        self.step = Step::Tell;
        Some((Ok(text.into()), self))
    }

    /// Says when to come back, and with which id: a client keeps that even if no event follows.
    fn greet(&self, text: &mut String) {
        // Writing into a String cannot fail.
        write!(text, "retry: {RETRY_MS}\nid: {}\n\n", self.stream.id()).ok();
    }
}

/// Writes one event (HTML Living Standard, section 9.2). JSON has no line breaks of its own.
fn event(text: &mut String, id: Option<&str>, name: &str, payload: &str) {
    if let Some(id) = id {
        writeln!(text, "id: {id}").ok();
    }
    write!(text, "event: {name}\ndata: {payload}\n\n").ok();
}
