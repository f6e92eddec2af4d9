//! What is answered to a request whose head is no HTTP, or too long.
//!
//! hyper refuses such a head by itself, before any service sees it and with nothing but a status. Here its few bytes are
//! exchanged for the answer that every other refusal gets. What hyper writes is its own when all requests that it handed
//! on are answered and those answers are on the wire; only then is it looked at, so nothing that a body contains can be
//! taken for it. That holds for HTTP/1 alone: HTTP/2 keeps bodies that are over for itself, and sends them later.

use std::fmt::Write as _;
use std::io::{Error as IoError, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::{StatusCode, Version};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::rt::{Read, ReadBufCursor, Write};
use tracing::debug;

use super::error::{ErrorBody, status};
use super::request_id;
use crate::error::{Code, Error};

/// How an answer of HTTP/1 begins.
const BEGINNING: &[u8] = b"HTTP/1.";

/// The requests of one connection. It never waits, so the counts only have to be each right.
#[derive(Debug, Default)]
struct Counts {
    begun: AtomicUsize,
    ended: AtomicUsize,
}

impl Counts {
    fn begun(&self) -> usize {
        self.begun.load(Ordering::Acquire)
    }

    fn is_idle(&self) -> bool {
        self.ended.load(Ordering::Acquire) == self.begun()
    }
}

/// A request under way, until the last of its answer was handed over.
#[derive(Debug)]
struct UnderWay(Arc<Counts>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::AcqRel);
    }
}

/// The requests of a connection, as the service that answers them tells of them.
#[derive(Clone, Debug)]
pub(super) struct Requests(Arc<Counts>);

impl Requests {
    /// One was handed on.
    pub(super) fn begin(&self) {
        self.0.begun.fetch_add(1, Ordering::AcqRel);
    }

    /// One is answered, as soon as the body is.
    pub(super) fn answer(&self, body: Body) -> CountedBody {
        CountedBody {
            body,
            _under_way: UnderWay(Arc::clone(&self.0)),
        }
    }
}

/// Watches what is written to a connection, if it speaks HTTP/1, and needs to be told of its requests.
pub(super) fn watch<I>(io: I, version: Version) -> (Answering<I>, Requests) {
    let counts = Arc::new(Counts::default());
    let io = Answering {
        io,
        counts: Arc::clone(&counts),
        told: 0,
        exchange: None,
        may_exchange: version == Version::HTTP_11,
    };
    (io, Requests(counts))
}

/// The body of an answer; its request is over with it.
pub(super) struct CountedBody {
    body: Body,
    _under_way: UnderWay,
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection on which hyper's own answers are exchanged for ours.
#[derive(Debug)]
pub(super) struct Answering<I> {
    io: I,
    counts: Arc<Counts>,
    /// How many requests had been answered when everything was last on the wire.
    told: usize,
    exchange: Option<Exchange>,
    /// Once at most: the connection is closed after it.
    may_exchange: bool,
}

/// Bytes that are written in place of others.
#[derive(Debug)]
struct Exchange {
    ours: Bytes,
    /// How many bytes the writer believes to write.
    theirs: usize,
}

impl<I: Write + Unpin> Answering<I> {
    /// What is written in place of these bytes, which nobody's request asked for.
    fn begin_exchange(&mut self, bytes: &[u8]) -> bool {
        if self.may_exchange && bytes.starts_with(BEGINNING) && self.counts.begun() == self.told {
            self.exchange = ours(bytes).map(|ours| Exchange {
                ours: ours.into(),
                theirs: bytes.len(),
            });
            self.may_exchange = self.exchange.is_none();
        }
        self.exchange.is_some()
    }

    fn poll_exchange(&mut self, context: &mut Context<'_>) -> Poll<Result<usize, IoError>> {
        let Some(exchange) = &mut self.exchange else {
            return Poll::Ready(Ok(0));
        };
        while !exchange.ours.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(context, &exchange.ours))?;
            if written == 0 {
                return Poll::Ready(Ok(0));
            }
            bytes::Buf::advance(&mut exchange.ours, written);
        }
        let theirs = exchange.theirs;
        self.exchange = None;
        Poll::Ready(Ok(theirs))
    }
}

impl<I: Read + Unpin> Read for Answering<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<Result<(), IoError>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<I: Write + Unpin> Write for Answering<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize, IoError>> {
        if self.begin_exchange(bytes) {
            return self.poll_exchange(context);
        }
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, IoError>> {
        if slices
            .first()
            .is_some_and(|first| self.begin_exchange(first))
        {
            return self.poll_exchange(context);
        }
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), IoError>> {
        ready!(Pin::new(&mut self.io).poll_flush(context))?;
        // hyper flushes when it has nothing left to write.
        if self.counts.is_idle() {
            self.told = self.counts.begun();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), IoError>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// Our answer in place of a bare one.
fn ours(bare: &[u8]) -> Option<String> {
    let status_code = StatusCode::from_bytes(bare.get(9..12)?).ok()?;
    let code = match status_code {
        StatusCode::URI_TOO_LONG => Code::AddressTooLong,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => Code::HeadersTooLarge,
        StatusCode::BAD_REQUEST => Code::MalformedRequest,
        _ => return None,
    };
    let body = serde_json::to_string(&ErrorBody::from(&Error::new(code))).ok()?;
    let (status, id) = (status(code.kind()), request_id::make());
    let bare = str::from_utf8(bare).ok()?;
    let date = bare.lines().find_map(|line| line.strip_prefix("date: "))?;
    debug!(
        request.id = id,
        "A request could not be read: {status} {code}"
    );
    let mut answer = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in [
        ("content-type", "application/json"),
        ("content-length", &body.len().to_string()),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        (request_id::NAME.as_str(), &id),
        ("date", date),
        ("connection", "close"),
    ] {
        write!(answer, "{name}: {value}\r\n").ok()?;
    }
    write!(answer, "\r\n{body}").ok()?;
    Some(answer)
}

#[cfg(test)]
mod tests {
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const BARE: &[u8] =
        b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ndate: Sun, 22 Nov 2026 12:00:00 GMT\r\n\r\n";

    #[tokio::test]
    async fn nothing_that_an_answer_contains_is_exchanged() {
        let (near, mut far) = duplex(64 * 1024);
        let (answering, requests) = watch(TokioIo::new(near), Version::HTTP_11);
        let mut io = TokioIo::new(answering);
        let mut read = vec![0; BARE.len()];

        requests.begin();
        let body = requests.answer(Body::empty());
        for _ in 0..3 {
            // Each piece of a body that is sent as it is read begins a write, after a flush.
            io.write_all(BARE).await.unwrap();
            io.flush().await.unwrap();
            far.read_exact(&mut read).await.unwrap();
            assert_eq!(read, BARE);
        }
        // The last piece is written when the body is gone already.
        drop(body);
        io.write_all(BARE).await.unwrap();
        io.flush().await.unwrap();
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(read, BARE);

        // From here on nobody is owed an answer.
        io.write_all(BARE).await.unwrap();
        io.flush().await.unwrap();
        drop(io);
        let mut answer = String::new();
        far.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains(r#""code":"malformed_request""#), "{answer}");
    }

    #[tokio::test]
    async fn frames_of_http_2_are_left_as_they_are() {
        let (near, mut far) = duplex(64 * 1024);
        let (answering, _requests) = watch(TokioIo::new(near), Version::HTTP_2);
        let mut io = TokioIo::new(answering);
        io.write_all(BARE).await.unwrap();
        drop(io);
        let mut frames = Vec::new();
        far.read_to_end(&mut frames).await.unwrap();
        assert_eq!(frames, BARE);
    }

    #[tokio::test]
    async fn an_answer_is_exchanged_whole_over_a_narrow_connection() {
        let (near, mut far) = duplex(7);
        let (answering, _requests) = watch(TokioIo::new(near), Version::HTTP_11);
        let writing = async move {
            let mut io = TokioIo::new(answering);
            io.write_all(BARE).await.unwrap();
            io.flush().await.unwrap();
        };
        let mut answer = String::new();
        let ((), read) = tokio::join!(writing, far.read_to_string(&mut answer));
        read.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{answer}"
        );
    }
}
