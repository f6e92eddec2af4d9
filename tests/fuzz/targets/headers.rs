//! Whatever headers ask for parts of a file, they get parts of that file, each byte once at most, or the whole; and what
//! the headers of an upload that goes on after a break say is what is in them.
//!
//! An input is eight bytes for the size of the file, one for the method, and lines of which the first byte names the
//! header and the rest is its value.
#![no_main]

use std::fs::File;
use std::sync::{Arc, OnceLock};

use axum::body::to_bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use libfuzzer_sys::{Corpus, fuzz_target};
use socialhub::api::tus_headers;
use socialhub::gateway::ranges::{FileBody, Source, respond};
use socialhub_fuzz::{attempt, prepare, wait};

const ETAG: &str = "\"the-tag\"";

/// Of one answer.
const MAX_PARTS: usize = 16;

/// A file up to this size lies in memory, and its answers are read to their end.
const SMALL: u64 = 4 * 1024;

fuzz_target!(init: prepare(), |input: &[u8]| -> Corpus { attempt(|| all_of(input)) });

fn all_of(input: &[u8]) -> Corpus {
    let Some((size, rest)) = input.split_first_chunk() else {
        return Corpus::Reject;
    };
    let Some((method, lines)) = rest.split_first() else {
        return Corpus::Reject;
    };
    let method = if *method == b'H' {
        Method::HEAD
    } else {
        Method::GET
    };
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some((name, value)) = line.split_first() else {
            continue;
        };
        let name = match name {
            b'r' => header::RANGE,
            b'i' => header::IF_RANGE,
            b'm' => header::IF_MATCH,
            b'n' => header::IF_NONE_MATCH,
            b'l' => HeaderName::from_static("upload-length"),
            b'o' => HeaderName::from_static("upload-offset"),
            b'd' => HeaderName::from_static("upload-metadata"),
            b'c' => HeaderName::from_static("upload-checksum"),
            _ => return Corpus::Reject,
        };
        let Ok(value) = HeaderValue::from_bytes(value) else {
            return Corpus::Reject;
        };
        headers.append(name, value);
    }
    parts(&method, &headers, u64::from_le_bytes(*size));
    uploads(&headers);
    Corpus::Keep
}

// ---- parts of a file

fn parts(method: &Method, headers: &HeaderMap, size: u64) {
    // No file is larger.
    let size = size.min(i64::MAX as u64);
    let bytes: Bytes = (0..size.min(SMALL))
        .map(|at| (at * 31 + at / 256) as u8)
        .collect();
    let source = if size <= SMALL {
        Source::Memory(bytes.clone())
    } else {
        static NOTHING: OnceLock<Arc<File>> = OnceLock::new();
        let nothing = || Arc::new(File::open("/dev/null").expect("the null device"));
        Source::File {
            file: Arc::clone(NOTHING.get_or_init(nothing)),
            size_bytes: size,
        }
    };
    let body = FileBody {
        source,
        media_type: "video/mp4",
        etag: ETAG.to_owned(),
        cache_control: "private".into(),
    };
    let response = respond(method, headers, &body);
    let status = response.status();
    let asked = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let length = said(&response, header::CONTENT_LENGTH).map(|length| length.parse::<u64>());
    let length = length.transpose().expect("a length is a number");
    let kind = said(&response, header::CONTENT_TYPE).unwrap_or_default();
    match status {
        StatusCode::OK => {
            assert_eq!(length, Some(size));
            if size <= SMALL && method == Method::GET {
                assert_eq!(content(response), bytes);
            }
        }
        StatusCode::PARTIAL_CONTENT => {
            assert!(method == Method::GET && asked(header::RANGE).is_some());
            assert!(asked(header::IF_RANGE).is_none_or(|tag| tag.trim() == ETAG));
            if let Some(boundary) = kind.strip_prefix("multipart/byteranges; boundary=") {
                if size <= SMALL {
                    let body = content(response);
                    assert_eq!(length, Some(body.len() as u64));
                    several(&body, &bytes, boundary);
                }
                // No byte twice, and a head for each part.
                assert!(length.is_some_and(|length| length <= size + 256 * (MAX_PARTS as u64 + 1)));
            } else {
                let range = said(&response, header::CONTENT_RANGE).expect("a range");
                let (start, end) = range_of(&range, size);
                assert_eq!(length, Some(end - start));
                if size <= SMALL {
                    assert_eq!(content(response), bytes[start as usize..end as usize]);
                }
            }
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            assert!(asked(header::RANGE).is_some());
            let range = said(&response, header::CONTENT_RANGE);
            assert_eq!(range, Some(format!("bytes */{size}")));
        }
        StatusCode::NOT_MODIFIED => {
            assert!(asked(header::IF_NONE_MATCH).is_some());
            assert!(content(response).is_empty());
        }
        StatusCode::PRECONDITION_FAILED => assert!(asked(header::IF_MATCH).is_some()),
        other => panic!("{other}"),
    }
}

fn said(response: &Response, name: HeaderName) -> Option<String> {
    let value = response.headers().get(name)?.to_str();
    Some(value.expect("our own header is text").to_owned())
}

fn content(response: Response) -> Bytes {
    wait(to_bytes(response.into_body(), usize::MAX)).expect("a body from memory")
}

/// The start and the end of `bytes 0-9/100`, within the file and not empty.
fn range_of(range: &str, size: u64) -> (u64, u64) {
    let (range, whole) = range
        .strip_prefix("bytes ")
        .and_then(|range| range.split_once('/'))
        .expect("a range");
    let (first, last) = range.split_once('-').expect("two ends");
    let number = |digits: &str| digits.parse::<u64>().expect("a number");
    let (first, last) = (number(first), number(last));
    assert_eq!(number(whole), size);
    assert!(first <= last && last < size, "{range} of {size}");
    (first, last + 1)
}

/// Reads an answer of several parts as a client does: by the lengths that their ranges give.
fn several(mut body: &[u8], bytes: &[u8], boundary: &str) {
    let mut seen = vec![false; bytes.len()];
    let mut count = 0;
    loop {
        body = body
            .strip_prefix(format!("\r\n--{boundary}").as_bytes())
            .expect("a boundary");
        if body == b"--\r\n" {
            break;
        }
        let end = body
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a head");
        let head = std::str::from_utf8(&body[..end]).expect("text");
        let mut lines = head.split("\r\n").skip(1);
        assert_eq!(lines.next(), Some("content-type: video/mp4"));
        let range = lines
            .next()
            .and_then(|line| line.strip_prefix("content-range: "));
        let (start, stop) = range_of(range.expect("a range"), bytes.len() as u64);
        let part = &bytes[start as usize..stop as usize];
        body = body[end + 4..]
            .strip_prefix(part)
            .expect("the part of the file");
        for seen in &mut seen[start as usize..stop as usize] {
            assert!(!*seen, "a byte comes twice");
            *seen = true;
        }
        count += 1;
    }
    assert!((2..=MAX_PARTS).contains(&count));
}

// ---- uploads that go on after a break

fn uploads(headers: &HeaderMap) {
    let told = tus_headers(headers);
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    for (number, name) in [
        (told.length, "upload-length"),
        (told.offset, "upload-offset"),
    ] {
        // Digits alone, of a number that fits.
        let digits = text(name).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        assert_eq!(number, digits.and_then(|digits| digits.parse().ok()));
    }
    for (value, key) in [(told.media_type, "filetype"), (told.alt, "alt")] {
        let Some(value) = value else { continue };
        let pair = format!("{key} {}", STANDARD.encode(&value));
        let pairs = text("upload-metadata").unwrap_or_default();
        let is_there = pairs.split(',').any(|other| {
            other
                .split_ascii_whitespace()
                .eq(pair.split_ascii_whitespace())
        });
        assert!(is_there, "{pair:?} in {pairs:?}");
    }
    match told.checksum {
        Ok(None) => assert!(text("upload-checksum").is_none()),
        Ok(Some(sum)) => {
            let sum = STANDARD.encode(sum);
            let rest = text("upload-checksum").and_then(|text| text.strip_prefix("sha1 "));
            assert_eq!(rest.map(str::trim), Some(sum.as_str()));
        }
        Err(error) => assert_eq!(error.code(), socialhub::error::Code::InvalidFields),
    }
}
