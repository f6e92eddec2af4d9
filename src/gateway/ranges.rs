//! Files over HTTP: conditional requests, ranges, several ranges at once (RFC 9110 sections 13 and 14).

use std::borrow::Cow;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream};

use crate::error::{Code, Error, Result};
use crate::tasks::blocking_in_turn;

/// Bytes that are read at once.
const PIECE: u64 = 128 * 1024;

/// Ranges of one request at most; who asks for more gets the whole (RFC 9110 section 14.2).
const MAX_RANGES: usize = 16;

/// What stands between the ranges of one answer. Our files may hold it as well: clients go by the lengths.
const BOUNDARY: &str = "socialhub-byteranges-5f2c9d31a7e84b60";

/// A file to send.
#[derive(Clone)]
pub struct FileBody {
    pub source: Source,
    pub media_type: &'static str,
    /// Strong, with its quotes.
    pub etag: String,
    pub cache_control: Cow<'static, str>,
}

/// Where the bytes are.
#[derive(Clone)]
pub enum Source {
    Memory(Bytes),
    File { file: Arc<File>, size_bytes: u64 },
    Remote { size_bytes: u64, read: ReadRange },
}

/// Reads a range of bytes that are elsewhere.
pub type ReadRange = Arc<dyn Fn(Range<u64>) -> BoxStream<'static, Result<Bytes>> + Send + Sync>;

impl Source {
    fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { size_bytes, .. } | Self::Remote { size_bytes, .. } => *size_bytes,
        }
    }

    /// Some of the bytes, read as they are sent.
    fn pieces(&self, range: Range<u64>) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        match self {
            Self::Memory(bytes) => {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                let part = bytes.slice(place(range.start)..place(range.end));
                stream::iter([Ok(part)]).left_stream()
            }
            Self::Remote { read, .. } => read(range).left_stream().right_stream(),
            Self::File { file, .. } => {
                let state = (Arc::clone(file), range);
                stream::try_unfold(state, |(file, range)| async move {
                    if range.is_empty() {
                        return Ok(None);
                    }
                    let end = range.end.min(range.start + PIECE);
                    let length = usize::try_from(end - range.start).map_err(Error::internal)?;
                    let reading = Arc::clone(&file);
                    let piece = blocking_in_turn(move || {
                        let mut piece = vec![0; length];
                        reading
                            .read_exact_at(&mut piece, range.start)
                            .map_err(Error::internal)?;
                        Ok(Bytes::from(piece))
                    });
                    Ok(Some((piece.await?, (file, end..range.end))))
                })
                .right_stream()
                .right_stream()
            }
        }
    }
}

/// Answers a `GET` or `HEAD` for a file.
pub fn respond(method: &Method, headers: &HeaderMap, body: &FileBody) -> Response {
    let mut response = match answer(method, headers, body) {
        Ok(response) => response,
        Err(refusal) => return refusal.into_response(),
    };
    if *method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    // A refusal is not what others should be given for the file.
    if response.status().is_client_error() {
        return response;
    }
    let shared = [
        (header::ETAG, body.etag.as_str()),
        (header::CACHE_CONTROL, body.cache_control.as_ref()),
        (header::ACCEPT_RANGES, "bytes"),
    ];
    for (name, value) in shared {
        put(&mut response, name, value);
    }
    response
}

fn answer(method: &Method, headers: &HeaderMap, body: &FileBody) -> Result<Response> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_MATCH).is_some_and(|list| !names(list, &body.etag, false)) {
        return Err(Error::new(Code::PreconditionFailed));
    }
    if text(header::IF_NONE_MATCH).is_some_and(|list| names(list, &body.etag, true)) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    // A range of another version than the client has is no use to it.
    let holds = text(header::IF_RANGE).is_none_or(|tag| tag.trim() == body.etag);
    let size = body.source.size();
    // Parts are defined for GET alone.
    let holds = holds && *method == Method::GET;
    let ranges = match text(header::RANGE).filter(|_| holds) {
        Some(wanted) => parse(wanted, size),
        None => Wanted::Whole,
    };
    Ok(match ranges {
        Wanted::Whole => whole(body, size),
        Wanted::Nothing => {
            let mut response = Error::new(Code::RangeNotSatisfiable).into_response();
            put(
                &mut response,
                header::CONTENT_RANGE,
                &format!("bytes */{size}"),
            );
            response
        }
        Wanted::Parts(parts) => match parts.as_slice() {
            [one] => single(body, one, size),
            several => multiple(body, several, size),
        },
    })
}

fn whole(body: &FileBody, size: u64) -> Response {
    let content = match &body.source {
        Source::Memory(bytes) => Body::from(bytes.clone()),
        source @ (Source::File { .. } | Source::Remote { .. }) => {
            Body::from_stream(source.pieces(0..size))
        }
    };
    let mut response = Response::new(content);
    put(&mut response, header::CONTENT_TYPE, body.media_type);
    put(&mut response, header::CONTENT_LENGTH, &size.to_string());
    response
}

fn single(body: &FileBody, part: &Range<u64>, size: u64) -> Response {
    let mut response = Response::new(Body::from_stream(body.source.pieces(part.clone())));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    put(&mut response, header::CONTENT_TYPE, body.media_type);
    put(
        &mut response,
        header::CONTENT_RANGE,
        &content_range(part, size),
    );
    let length = (part.end - part.start).to_string();
    put(&mut response, header::CONTENT_LENGTH, &length);
    response
}

fn multiple(body: &FileBody, parts: &[Range<u64>], size: u64) -> Response {
    let mut length = 0;
    let mut pieces = Vec::new();
    for part in parts {
        let head = format!(
            "\r\n--{BOUNDARY}\r\ncontent-type: {}\r\ncontent-range: {}\r\n\r\n",
            body.media_type,
            content_range(part, size)
        );
        length += head.len() as u64 + part.end - part.start;
        let head = stream::iter([Ok(Bytes::from(head))]);
        pieces.push(head.chain(body.source.pieces(part.clone())).boxed());
    }
    let end = format!("\r\n--{BOUNDARY}--\r\n");
    length += end.len() as u64;
    pieces.push(stream::iter([Ok(Bytes::from(end))]).boxed());
    let mut response = Response::new(Body::from_stream(stream::iter(pieces).flatten()));
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let kind = format!("multipart/byteranges; boundary={BOUNDARY}");
    put(&mut response, header::CONTENT_TYPE, &kind);
    put(&mut response, header::CONTENT_LENGTH, &length.to_string());
    response
}

fn content_range(part: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", part.start, part.end.saturating_sub(1))
}

fn put(response: &mut Response, name: HeaderName, value: &str) {
    // All of them are made here, of digits and names.
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Whether a list of tags names this one.
fn names(list: &str, etag: &str, weakly: bool) -> bool {
    list.trim() == "*"
        || list.split(',').map(str::trim).any(|tag| {
            tag == etag || (weakly && tag.strip_prefix("W/").is_some_and(|tag| tag == etag))
        })
}

/// What a `Range` asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Parts(Vec<Range<u64>>),
    /// All of it lies behind the end.
    Nothing,
}

fn parse(header: &str, size: u64) -> Wanted {
    let Some(list) = header.trim().strip_prefix("bytes=") else {
        return Wanted::Whole;
    };
    let mut parts: Vec<Range<u64>> = Vec::new();
    for (number, spec) in list.split(',').enumerate() {
        let Some(range) = parse_one(spec.trim(), size).filter(|_| number < MAX_RANGES) else {
            return Wanted::Whole;
        };
        if !range.is_empty() {
            parts.push(range);
        }
    }
    if parts.is_empty() {
        return Wanted::Nothing;
    }
    // Parts that overlap are a way to have one byte sent many times.
    let mut sorted = parts.clone();
    sorted.sort_unstable_by_key(|part| part.start);
    let overlap = sorted.windows(2).any(|pair| match pair {
        [first, second] => second.start < first.end,
        _ => false,
    });
    if overlap {
        Wanted::Whole
    } else {
        Wanted::Parts(parts)
    }
}

/// One range, cut to what there is: empty when it lies behind the end, none when it is no range.
fn parse_one(spec: &str, size: u64) -> Option<Range<u64>> {
    let number = |digits: &str| -> Option<u64> {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        // More than fits lies behind any end.
        plain.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let (first, last) = spec.split_once('-')?;
    if first.is_empty() {
        let length = number(last)?;
        return Some(size.saturating_sub(length)..if length == 0 { 0 } else { size });
    }
    let first = number(first)?;
    let end = if last.is_empty() {
        size
    } else {
        let last = number(last)?;
        if last < first {
            return None;
        }
        last.saturating_add(1).min(size)
    };
    Some(first..end.max(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_standard_has_them() {
        let parts = |list: &[(u64, u64)]| {
            Wanted::Parts(list.iter().map(|&(start, end)| start..end).collect())
        };
        for (header, wanted) in [
            ("bytes=0-0", parts(&[(0, 1)])),
            ("bytes=0-99", parts(&[(0, 100)])),
            ("bytes=90-", parts(&[(90, 100)])),
            ("bytes=-10", parts(&[(90, 100)])),
            ("bytes=-1000", parts(&[(0, 100)])),
            ("bytes=50-1000", parts(&[(50, 100)])),
            ("bytes=0-1, 5-6", parts(&[(0, 2), (5, 7)])),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=0-1,200-", parts(&[(0, 2)])),
            ("bytes=5-2", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("pages=1-2", Wanted::Whole),
            ("bytes=0-50,20-70", Wanted::Whole),
            (&format!("bytes={}", ["0-0"; 17].join(",")), Wanted::Whole),
        ] {
            assert_eq!(parse(header, 100), wanted, "{header}");
        }
    }
}
