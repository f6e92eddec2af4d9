//! `ETag` for small reads of what is made anew each time, so that a client that knows the answer is told just that (RFC 9110
//! section 13.1.2); by `Last-Modified` where the answer has it and the client sends no tag (section 13.1.3).
//!
//! The tag is a hash of the body and therefore weak: compressed or not, it is the same answer.

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;

/// Bodies above this are sent as they are: reading them whole would cost more than it saves.
const MAX_BYTES: u64 = 256 * 1024;

/// What is made anew each time; files have tags of their own.
const MADE_ANEW: [&str; 3] = [
    "application/json",
    "application/atom+xml",
    "application/rss+xml",
];

/// Tags a response, or answers 304. Only to a `GET`: the answer to a `HEAD` comes here without the body that would be
/// hashed, and may go without a tag (RFC 9110 section 9.3.2). The routes shall see a `HEAD` as one: it reads nothing.
pub(super) async fn tag(request: Request, next: Next) -> Response {
    if *request.method() != Method::GET {
        return next.run(request).await;
    }
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let known_since = request.headers().get(header::IF_MODIFIED_SINCE).cloned();
    let response = next.run(request).await;
    let is_made_anew = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| MADE_ANEW.iter().any(|one| kind == one));
    let is_small = response
        .body()
        .size_hint()
        .exact()
        .is_some_and(|size| size <= MAX_BYTES);
    if response.status() != StatusCode::OK
        || !is_made_anew
        || !is_small
        || response.headers().contains_key(header::ETAG)
    {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // The body is whole in memory already, so this neither waits nor fails.
    let Ok(bytes) = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
    else {
        return Response::from_parts(parts, Body::empty());
    };
    let hash = blake3::hash(&bytes).to_hex();
    let tag = format!("W/\"{}\"", hash.get(..22).unwrap_or_default());
    let is_known = match &known {
        Some(known) => matches(known, &tag),
        // Nothing but the very date that we gave: what is removed can make the date an earlier one.
        None => known_since
            .as_ref()
            .is_some_and(|since| parts.headers.get(header::LAST_MODIFIED) == Some(since)),
    };
    if is_known {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            parts.headers.insert(header::ETAG, tag);
        }
        return Response::from_parts(parts, Body::empty());
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        parts.headers.insert(header::ETAG, tag);
    }
    Response::from_parts(parts, Body::from(bytes))
}

/// Whether `If-None-Match` names the tag, compared weakly.
fn matches(known: &HeaderValue, tag: &str) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    known.to_str().is_ok_and(|list| {
        list.trim() == "*" || list.split(',').any(|one| strong(one) == strong(tag))
    })
}
