//! Whatever comes as a form with files is read to its end or refused: in bounded memory, with no more in its parts than
//! there was in the whole, and the same in whatever pieces it arrives.
//!
//! An input is a byte for the size of the pieces, one for the filler, a line with the `Content-Type`, and the body, in
//! which two bytes of 0xFF stand for so much filler.
#![no_main]

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;
use socialhub::config;
use socialhub::error::Code;
use socialhub::gateway::{BodyLimits, Form, MAX_FORM_FIELDS, is_form};
use socialhub::media::container::{self, SNIFF_BYTES};
use socialhub::media::{Kind, pictures, recognised_as};
use socialhub_fuzz::{attempt, peak, prepare, wait};
use std::time::Duration;

const LIMITS: BodyLimits = BodyLimits {
    any: 64 * 1024,
    text: 4 * 1024,
};

/// Of a form with files.
const MAX_BYTES: usize = 1536 * 1024;

const FILLER: usize = 4 * 1024;

/// The head of a part that is never too long.
const LONGEST_HEAD: usize = 64 * 1024;

/// What is held of a form beside a few pieces: the head of a part and what is read from it, and the texts, as they grow.
const MOST_HELD: usize = 1024 * 1024;

fuzz_target!(init: prepare(), |input: &[u8]| -> Corpus { attempt(|| all_of(input)) });

fn all_of(input: &[u8]) -> Corpus {
    let Some(([size, filler], rest)) = input.split_first_chunk() else {
        return Corpus::Reject;
    };
    let Some(line) = rest.iter().position(|byte| *byte == b'\n') else {
        return Corpus::Reject;
    };
    let Ok(kind) = HeaderValue::from_bytes(&rest[..line]) else {
        return Corpus::Reject;
    };
    let body = filled(&rest[line + 1..], usize::from(*filler) * FILLER);
    // A long body in pieces of single bytes would only take long.
    let scale = if body.len() > 8 * 1024 { 64 } else { 1 };
    let size = ((usize::from(*size) + 1) * scale).max(body.len() / 512);
    let one = told(&kind, &body, size, Client::Fast);
    let others = [
        (size, Client::Slow),
        (16 * 1024, Client::Fast),
        (100 * 1024, Client::Slow),
    ];
    for (size, client) in others {
        let other = told(&kind, &body, size, client);
        let is_same = match (&one, &other) {
            (Ok(one), Ok(other)) => one == other,
            // Of two faults, either may be named.
            (Err(_), Err(_)) => true,
            // How much longer than the longest a head may be depends on the pieces.
            (Ok(told), Err(_)) | (Err(_), Ok(told)) => body.len() - told.bytes() > LONGEST_HEAD,
        };
        assert!(is_same, "it depends on the pieces: {one:?}, {other:?}");
    }
    // What is no form at all teaches little.
    if one == Err(None) {
        Corpus::Reject
    } else {
        Corpus::Keep
    }
}

/// The body with its filler, at most twice.
fn filled(body: &[u8], filler: usize) -> Bytes {
    let mut filled = Vec::with_capacity(body.len() + 2 * filler);
    let mut rest = body;
    for _ in 0..2 {
        let Some(at) = rest.windows(2).position(|two| two == [0xFF; 2]) else {
            break;
        };
        filled.extend(&rest[..at]);
        filled.resize(filled.len() + filler, b'x');
        rest = &rest[at + 2..];
    }
    filled.extend(rest);
    filled.into()
}

/// What was read of a form.
#[derive(Debug, PartialEq)]
struct Told {
    texts: Value,
    files: Vec<File>,
}

impl Told {
    /// Of all that is in its parts.
    fn bytes(&self) -> usize {
        let brought: usize = self.files.iter().map(|(_, _, length, ..)| length).sum();
        measure(&self.texts).1 + brought
    }
}

/// A file of a form: field, declared type, length and a hash, and what it was taken for.
type File = (
    String,
    Option<String>,
    usize,
    u64,
    Result<(Kind, u64), Code>,
);

/// Whether the next piece is there whenever it is asked for, or never at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Fast,
    Slow,
}

/// What was read of a form, or why it was refused: no code where it is not a form.
fn told(
    kind: &HeaderValue,
    body: &Bytes,
    size: usize,
    client: Client,
) -> Result<Told, Option<Code>> {
    let pieces: Vec<_> = (0..body.len())
        .step_by(size)
        .map(|at| body.slice(at..body.len().min(at + size)))
        .collect();
    let pieces = stream::iter(pieces).then(move |piece| async move {
        if client == Client::Slow {
            tokio::task::yield_now().await;
        }
        Ok::<_, std::io::Error>(piece)
    });
    let mut request = Request::builder().header(header::CONTENT_TYPE, kind);
    if size % 2 == 0 {
        request = request.header(header::CONTENT_LENGTH, body.len());
    }
    let pieces = Body::from_stream(pieces);
    let mut request = request.body(pieces).expect("a request");
    request.extensions_mut().insert(LIMITS);
    if !is_form(&request) {
        return Err(None);
    }
    let (told, held) = peak(|| wait(read(request)));
    assert!(
        held <= MOST_HELD + 4 * size.min(body.len()),
        "{held} bytes held, of {} in pieces of {size} ({client:?})",
        body.len()
    );
    match told {
        Ok(told) => {
            let (count, bytes) = measure(&told.texts);
            assert!(count <= MAX_FORM_FIELDS && bytes as u64 <= LIMITS.text);
            assert!(told.bytes() <= body.len().min(MAX_BYTES));
            Ok(told)
        }
        Err(code) => {
            let is_refusal = matches!(
                code,
                Code::BodyTooLarge | Code::InvalidBody | Code::InvalidFields
            );
            assert!(is_refusal, "{code:?}");
            Err(Some(code))
        }
    }
}

async fn read(request: Request) -> Result<Told, Code> {
    let pause = Duration::from_secs(60);
    let options = config::Media::default();
    let form = Form::open(request, MAX_BYTES as u64, pause);
    let mut form = form.map_err(|error| error.code())?;
    let mut files = Vec::new();
    while let Some(mut file) = form.next_file().await.map_err(|error| error.code())? {
        // As an upload is received: the head is gathered, the rest goes by.
        let (mut head, mut length, mut hash) = (Vec::new(), 0, 0);
        while let Some(piece) = file.next().await.map_err(|error| error.code())? {
            let missing = (SNIFF_BYTES - head.len()).min(piece.len());
            head.extend(&piece[..missing]);
            length += piece.len();
            hash = piece.iter().fold(hash, |hash: u64, byte| {
                hash.wrapping_mul(0x100_0000_01B3) ^ u64::from(*byte)
            });
        }
        let declared = file.media_type.as_deref();
        let recognised = recognised_as(&head, declared, &options).map_err(|error| error.code());
        check(&head, declared, recognised, &options);
        files.push((
            file.field.clone(),
            file.media_type.clone(),
            length,
            hash,
            recognised,
        ));
    }
    let hashes = files.iter().map(|(_, _, _, hash, _)| hash.to_string());
    let hashes: Vec<_> = hashes.collect();
    let (texts, _once) = form.finish(hashes, None).map_err(|error| error.code())?;
    Ok(Told { texts, files })
}

/// A picture is a picture by its content alone, and a film likewise; what is declared can only refuse.
fn check(
    head: &[u8],
    declared: Option<&str>,
    recognised: Result<(Kind, u64), Code>,
    options: &config::Media,
) {
    let is_picture = pictures::sniff(head).is_some();
    let is_film = container::sniff(head).is_some();
    match recognised {
        Ok((Kind::Image, most)) => {
            assert!(is_picture && !is_film);
            assert_eq!(most, options.max_picture_bytes);
        }
        Ok((_, most)) => {
            assert!(is_film && !is_picture);
            assert_eq!(most, options.max_video_bytes);
        }
        Err(Code::MismatchedFile) => assert!((is_picture || is_film) && declared.is_some()),
        Err(Code::UnsupportedFile) => assert!(!is_picture && !is_film),
        Err(code) => panic!("{code:?}"),
    }
}

/// How many texts there are, and their bytes.
fn measure(texts: &Value) -> (usize, usize) {
    match texts {
        Value::String(text) => (1, text.len()),
        Value::Array(list) => sum(list.iter()),
        Value::Object(object) => sum(object.values()),
        other => panic!("{other} in a form"),
    }
}

fn sum<'a>(texts: impl Iterator<Item = &'a Value>) -> (usize, usize) {
    texts
        .map(measure)
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}
