//! What a refused request still sends.
//!
//! Many clients write their whole body before they read. Were the connection closed on them meanwhile, they would see a
//! broken pipe instead of the reason for the refusal (RFC 9112 section 9.6). So what a route leaves of a body is read
//! and thrown away beside the answer, within bounds.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Version, header};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::sync::oneshot;

use crate::tasks::Tasks;

/// Bytes that are thrown away at most; who sends more is cut off.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gives back what a request's body is dropped with.
pub(super) struct Leftover(Option<oneshot::Receiver<Body>>);

/// A body that hands itself back when it is dropped before its end.
struct Watched {
    body: Body,
    is_over: bool,
    back: Option<oneshot::Sender<Body>>,
}

/// Watches the body of a request. Not where the client waits to be asked for it, or where other requests share the
/// connection: there a refusal arrives anyway.
pub(super) fn watch(request: Request) -> (Request, Leftover) {
    if request.version() > Version::HTTP_11
        || request.headers().contains_key(header::EXPECT)
        || request.body().is_end_stream()
    {
        return (request, Leftover(None));
    }
    let (back, leftover) = oneshot::channel();
    let request = request.map(|body| {
        Body::new(Watched {
            body,
            is_over: false,
            back: Some(back),
        })
    });
    (request, Leftover(Some(leftover)))
}

impl Leftover {
    /// Reads what is left, beside the answer.
    pub(super) fn throw_away(self, tasks: &Tasks) {
        let Some(mut body) = self.0.and_then(|mut leftover| leftover.try_recv().ok()) else {
            return;
        };
        let stopping = tasks.stopping().clone();
        tasks.spawn("leftover", async move {
            let mut left = MAX_BYTES;
            let read = async {
                while let Some(Ok(frame)) = body.frame().await {
                    left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
                    if left == 0 {
                        return;
                    }
                }
            };
            tokio::select! {
                _ = tokio::time::timeout(PATIENCE, read) => {}
                () = stopping.cancelled() => {}
            }
        });
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.is_over |= matches!(polled, Poll::Ready(None | Some(Err(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.is_over
            && !self.body.is_end_stream()
            && let Some(back) = self.back.take()
        {
            // Nobody asks for it when the request itself was dropped.
            back.send(std::mem::take(&mut self.body)).ok();
        }
    }
}
