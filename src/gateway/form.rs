//! Multipart forms that bring files (RFC 7578): read as they arrive, file by file; their texts are gathered on the way.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::Request;
use axum::http::header;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use multer::{Field, Multipart};
use serde::de::DeserializeOwned;

use super::extract::{BodyLimits, MAX_FORM_FIELDS, essence, from_fields};
use crate::error::{Code, Error, Result};
use crate::store::Once;

/// Bytes before a part's content at most.
const MAX_HEAD: u64 = 64 * 1024;

/// Whether a request brings a multipart form.
pub fn is_form(request: &Request) -> bool {
    essence(request.headers()) == "multipart/form-data"
}

/// A form that is being read.
pub struct Form {
    multipart: Multipart<'static>,
    gauge: Arc<Gauge>,
    fields: Vec<(String, String)>,
    text_bytes: u64,
    max_text_bytes: u64,
    pause: Duration,
    /// Of all that was read, but for the contents of files.
    hasher: blake3::Hasher,
}

/// Stands between the connection and the reader, which would gather all that a fast client has sent before it looks at
/// any, and take the end of a short form for an end too soon.
///
/// It gives one piece at a time, and only when what was given before is not enough. And it watches how much goes by while
/// the head of a part is looked for: that is gathered whole, and so is what stands before the first one.
#[derive(Debug, Default)]
struct Gauge {
    passed: AtomicU64,
    allowed: AtomicU64,
    may_give: AtomicBool,
    /// Whether something will have the reader look again: the connection, or what was given.
    is_awaited: AtomicBool,
}

impl Gauge {
    /// Lets the reader look at what it has, and then at one piece more each time.
    async fn feed<T>(&self, mut look: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        let mut has_looked = false;
        poll_fn(|context| {
            self.may_give.store(has_looked, Ordering::Relaxed);
            self.is_awaited.store(false, Ordering::Relaxed);
            has_looked = true;
            look(context)
        })
        .await
    }

    fn expect_head(&self) {
        let passed = self.passed.load(Ordering::Relaxed);
        self.allowed.store(passed + MAX_HEAD, Ordering::Relaxed);
    }

    fn expect_content(&self) {
        self.allowed.store(u64::MAX, Ordering::Relaxed);
    }

    fn pass<E: From<&'static str>>(&self, piece: Result<Bytes, E>) -> Result<Bytes, E> {
        let piece = piece?;
        let before = self.passed.fetch_add(piece.len() as u64, Ordering::Relaxed);
        // Pieces are as large as the connection makes them, so the one that goes beyond passes.
        if before > self.allowed.load(Ordering::Relaxed) {
            return Err("the head of a part is too long".into());
        }
        Ok(piece)
    }

    fn watch<S, E>(
        self: &Arc<Self>,
        pieces: S,
    ) -> impl Stream<Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>> + Send + use<S, E>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let gauge = Arc::clone(self);
        let mut pieces = Box::pin(pieces);
        stream::poll_fn(move |context| {
            if gauge.may_give.swap(false, Ordering::Relaxed) {
                let next = pieces.poll_next_unpin(context);
                gauge.is_awaited.store(next.is_pending(), Ordering::Relaxed);
                return next.map(|piece| Some(gauge.pass(piece?.map_err(Into::into))));
            }
            if !gauge.is_awaited.swap(true, Ordering::Relaxed) {
                context.waker().wake_by_ref();
            }
            Poll::Pending
        })
    }
}

/// A file of a form.
pub struct FormFile {
    /// The name of its field.
    pub field: String,
    /// What the client says that it is.
    pub media_type: Option<String>,
    /// The name that it has there.
    pub file_name: Option<String>,
    content: Field<'static>,
    gauge: Arc<Gauge>,
    pause: Duration,
}

impl Form {
    /// Begins to read the form of a request, of at most so many bytes, in which the client makes no longer pauses.
    ///
    /// Errors: `body_too_large`, `invalid_body`.
    pub fn open(request: Request, max_bytes: u64, pause: Duration) -> Result<Self> {
        let limits = request.extensions().get::<BodyLimits>().copied();
        let max_text_bytes = limits.ok_or(Code::Internal)?.text;
        let declared = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length: u64| length > max_bytes) {
            return Err(Error::new(Code::BodyTooLarge));
        }
        let limit = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let boundary = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|kind| multer::parse_boundary(kind).ok())
            .ok_or(Code::InvalidBody)?;
        let gauge = Arc::new(Gauge::default());
        let pieces = gauge.watch(Limited::new(request.into_body(), limit).into_data_stream());
        Ok(Self {
            multipart: Multipart::new(pieces, boundary),
            gauge,
            fields: Vec::new(),
            text_bytes: 0,
            max_text_bytes,
            pause,
            hasher: blake3::Hasher::new(),
        })
    }

    /// The next file; none at the end, when all texts were read as well.
    pub async fn next_file(&mut self) -> Result<Option<FormFile>> {
        loop {
            self.gauge.expect_head();
            let next = self
                .gauge
                .feed(|context| self.multipart.poll_next_field(context));
            let Some(field) = tokio::time::timeout(self.pause, next)
                .await
                .map_err(|_elapsed| Code::TimedOut)?
                .map_err(malformed)?
            else {
                return Ok(None);
            };
            self.gauge.expect_content();
            let name = field.name().unwrap_or_default().to_owned();
            if field.file_name().is_some() {
                self.hasher.update(b"file").update(name.as_bytes());
                return Ok(Some(FormFile {
                    field: name,
                    media_type: field.content_type().map(ToString::to_string),
                    file_name: field.file_name().map(str::to_owned),
                    content: field,
                    gauge: Arc::clone(&self.gauge),
                    pause: self.pause,
                }));
            }
            if self.fields.len() == MAX_FORM_FIELDS {
                return Err(
                    Error::new(Code::InvalidBody).with_message("This form has too many fields.")
                );
            }
            let mut file = FormFile {
                field: name,
                media_type: None,
                file_name: None,
                content: field,
                gauge: Arc::clone(&self.gauge),
                pause: self.pause,
            };
            let mut text = Vec::new();
            while let Some(piece) = file.next().await? {
                self.text_bytes += piece.len() as u64;
                if self.text_bytes > self.max_text_bytes {
                    return Err(Error::new(Code::BodyTooLarge));
                }
                text.extend_from_slice(&piece);
            }
            let text = String::from_utf8(text)
                .map_err(|error| Error::new(Code::InvalidBody).with_source(error))?;
            for part in [file.field.as_bytes(), text.as_bytes()] {
                self.hasher.update(&(part.len() as u64).to_le_bytes());
                self.hasher.update(part);
            }
            self.fields.push((file.field, text));
        }
    }

    /// The texts alone.
    pub(super) fn into_texts(self) -> Vec<(String, String)> {
        self.fields
    }

    /// The texts, as the object that they mean; and the `Idempotency-Key`, bound to them and to the files, which are
    /// known by their hashes: the raw bytes of a form differ each time it is sent.
    pub fn finish<T: DeserializeOwned>(
        mut self,
        files: impl IntoIterator<Item = String>,
        once: Option<Once>,
    ) -> Result<(T, Option<Once>)> {
        for file in files {
            self.hasher.update(file.as_bytes());
        }
        let once = once.map(|once| {
            self.hasher.update(once.fingerprint.as_bytes());
            Once {
                fingerprint: self.hasher.finalize().to_hex().to_string(),
                ..once
            }
        });
        let body = from_fields(self.fields)?;
        Ok((body.0, once))
    }
}

impl FormFile {
    /// The content, piece by piece; errors as of [`next`](Self::next).
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes>> + Send {
        stream::try_unfold(self, |mut file| async move {
            let piece = file.next().await?;
            Ok(piece.map(|piece| (piece, file)))
        })
    }

    /// The next bytes; none at the end.
    ///
    /// Errors: `timed_out` when the client pauses too long; `body_too_large`, `invalid_body`.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        let next = self
            .gauge
            .feed(|context| self.content.poll_next_unpin(context));
        tokio::time::timeout(self.pause, next)
            .await
            .map_err(|_elapsed| Code::TimedOut)?
            .transpose()
            .map_err(malformed)
    }
}

fn malformed(error: multer::Error) -> Error {
    let is_too_large = matches!(&error, multer::Error::StreamReadFailed(source) if source.is::<LengthLimitError>());
    let code = if is_too_large {
        Code::BodyTooLarge
    } else {
        Code::InvalidBody
    };
    Error::new(code).with_source(error)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    /// A form of one file, in pieces that are there whenever they are asked for, or never at once.
    async fn length(size: usize, piece: usize, is_fast: bool) -> Result<usize> {
        let form = [
            b"--B\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n",
            &vec![b'x'; size][..],
            b"\r\n--B--\r\n",
        ]
        .concat();
        let pieces: Vec<_> = form.chunks(piece).map(Bytes::copy_from_slice).collect();
        let pieces = stream::iter(pieces).then(move |piece| async move {
            if !is_fast {
                tokio::task::yield_now().await;
            }
            Ok::<_, std::io::Error>(piece)
        });
        let mut request = Request::new(Body::from_stream(pieces));
        let kind = header::HeaderValue::from_static("multipart/form-data; boundary=B");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        let limits = BodyLimits { any: 0, text: 0 };
        request.extensions_mut().insert(limits);
        let mut form = Form::open(request, 10 << 20, Duration::from_secs(10))?;
        let mut file = form.next_file().await?.expect("a file");
        let mut length = 0;
        while let Some(piece) = file.next().await? {
            length += piece.len();
        }
        drop(file);
        assert!(form.next_file().await?.is_none());
        Ok(length)
    }

    #[tokio::test]
    async fn a_form_is_read_at_any_pace() {
        for size in [0, 10, 300_000] {
            for piece in [7, 16_384, 100_000, 400_000] {
                for is_fast in [true, false] {
                    let read = length(size, piece, is_fast).await;
                    assert_eq!(read.expect("a form"), size, "{piece}, {is_fast}");
                }
            }
        }
    }
}
