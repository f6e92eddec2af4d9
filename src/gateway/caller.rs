//! Who asks.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::cookies::CookieToken;
use crate::actor::Actor;
use crate::auth::{Auth, Claims};
use crate::error::{Code, Error, Result};
use crate::id::UserId;
use crate::store::Once;

/// What the edge found out about the caller, once a request.
pub(super) type Identity = Arc<Result<(Arc<Claims>, Actor)>>;

/// Who it is by the `Authorization` header; without one by the cookie, where that counts.
pub(super) fn identify(
    auth: &Auth,
    headers: &HeaderMap,
    cookie: Option<&CookieToken>,
) -> Result<(Arc<Claims>, Actor)> {
    let token = carried_token(headers)
        .or(cookie.map(|cookie| cookie.0.as_str()))
        .ok_or(Code::Unauthenticated)?;
    auth.authenticate(token)
}

/// The token in the `Authorization` header. The scheme is not looked at, as in the original: its second word is the token.
pub fn carried_token(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    value.split_ascii_whitespace().nth(1)
}

/// A token as it stands, or behind its scheme.
pub fn bearer_token(text: &str) -> &str {
    text.split_ascii_whitespace().last().unwrap_or_default()
}

/// A person with a valid session; without one the request is answered 401.
#[derive(Clone, Debug)]
pub struct Caller {
    pub claims: Arc<Claims>,
    pub actor: Actor,
}

impl Caller {
    /// Who it is.
    pub fn id(&self) -> UserId {
        self.actor.user_id
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        let identity = parts
            .extensions
            .get::<Identity>()
            .ok_or(Code::Unauthenticated)?;
        let (claims, actor) = identity
            .as_ref()
            .as_ref()
            .map_err(|refused| Error::new(refused.code()))?;
        let once = parts.extensions.get::<Once>().cloned();
        Ok(Self {
            claims: Arc::clone(claims),
            actor: Actor {
                once,
                ..actor.clone()
            },
        })
    }
}

/// A caller who may administer the server; others are answered 403.
#[derive(Clone, Debug)]
pub struct Admin(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let caller = Caller::from_request_parts(parts, state).await?;
        if caller.actor.is_admin {
            Ok(Self(caller))
        } else {
            Err(Error::new(Code::Forbidden))
        }
    }
}
