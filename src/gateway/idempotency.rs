//! `Idempotency-Key`: a change that is sent twice happens once.
//!
//! The key itself is kept by the command (see `store::Once`), so that it survives a kill exactly when the change does.
//! Here it is read, bound to method, path and body, and a repeat is refused while the first is under way.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::Edge;
use super::caller::Identity;
use super::extract::{BodyLimits, collect};
use super::form::is_form;
use super::paths::takes_files;
use crate::error::{Code, Error, Result};
use crate::id::UserId;
use crate::store::Once;

/// How long a key is kept.
const KEPT: Duration = Duration::from_hours(24);

/// Keys longer than this are refused.
const MAX_KEY: usize = 255;

/// The keys of requests that are being answered.
#[derive(Default)]
pub(super) struct InProgress {
    keys: Mutex<HashSet<(UserId, String)>>,
}

/// Holds a key while its request is answered; a client that goes away gives it up as well.
struct Claim<'a> {
    of: &'a InProgress,
    key: (UserId, String),
}

impl InProgress {
    fn claim(&self, user: UserId, key: &str) -> Option<Claim<'_>> {
        let key = (user, key.to_owned());
        let is_new = self
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone());
        is_new.then_some(Claim { of: self, key })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.of
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}

/// Makes the changing requests that carry a key happen once.
pub(super) async fn once(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let changes = matches!(
        *request.method(),
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE
    );
    if !changes || !request.headers().contains_key("idempotency-key") {
        return next.run(request).await;
    }
    // A key is a person's; without one there is nobody to keep it for.
    let user = request.extensions().get::<Identity>().and_then(|identity| {
        identity
            .as_ref()
            .as_ref()
            .ok()
            .map(|(_, actor)| actor.user_id)
    });
    let Some(user) = user else {
        return next.run(request).await;
    };
    match prepare(&edge, request, user).await {
        Ok((request, key)) => match edge.shared.in_progress.claim(user, &key) {
            Some(_claim) => next.run(request).await,
            None => Error::new(Code::IdempotencyInProgress).into_response(),
        },
        Err(refusal) => refusal.into_response(),
    }
}

async fn prepare(edge: &Edge, request: Request, user_id: UserId) -> Result<(Request, String)> {
    let key = request
        .headers()
        .get("idempotency-key")
        .and_then(|value| value.to_str().ok())
        .filter(|key| (1..=MAX_KEY).contains(&key.len()))
        .ok_or(Code::InvalidIdempotencyKey)?
        .to_owned();
    // What is read whole here may be no larger than a text.
    let limit = request
        .extensions()
        .get::<BodyLimits>()
        .map_or(0, |limits| limits.text);
    // A form with files is read as it arrives, and the rest of the fingerprint is added then.
    let brings_files = takes_files(request.method(), request.uri().path())
        && (is_form(&request) || request.method() == Method::PATCH);
    let (mut parts, mut body) = request.into_parts();
    let read = if brings_files {
        Bytes::new()
    } else {
        let read = collect(std::mem::take(&mut body), limit).await?;
        body = Body::from(read.clone());
        read
    };
    let mut hasher = blake3::Hasher::new();
    for part in [
        parts.method.as_str().as_bytes(),
        parts.uri.to_string().as_bytes(),
        &read,
    ] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let at = edge.shared.clock.now();
    parts.extensions.insert(Once {
        user_id,
        key: key.clone(),
        fingerprint: hasher.finalize().to_hex().to_string(),
        at,
        expires_at: at.plus(KEPT),
    });
    Ok((Request::from_parts(parts, body), key))
}
