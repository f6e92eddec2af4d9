//! The cookie with which the web client says who it is, where a browser lets it give no token along (see
//! `gateway::cookies`).

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Done, SharedDomains};
use crate::auth::Auth;
use crate::error::{Code, Error, Result};
use crate::gateway::{Caller, OverTls, SESSION_COOKIE, carried_token};

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new().routes(routes!(set, clear))
}

/// Have the token in a cookie as well
///
/// For pages of this server in a browser, which can send no header with a WebSocket or an `EventSource`: there, and nowhere
/// else, the cookie `socialhub_session` stands for the token. Scripts cannot read it; it is as good as the token, and as
/// long.
#[utoipa::path(
    post, path = "/api/v1/auth/cookie", tag = "auth", security(("token" = [])),
    responses((status = 200, description = "It is set.", body = Done, headers(("set-cookie" = String))))
)]
async fn set(
    State(auth): State<Auth>,
    axum::Extension(over_tls): axum::Extension<OverTls>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response> {
    let token = carried_token(&headers).ok_or(Code::Unauthenticated)?;
    let seconds = auth.seconds_left(&caller.claims);
    let is_secure = over_tls.0 || auth.is_behind_tls();
    let cookie = header_value(token, seconds, is_secure)?;
    let done = Done::new("Your browser keeps the token.");
    Ok(([(header::SET_COOKIE, cookie)], done).into_response())
}

/// Clear the cookie
///
/// The token stays good.
#[utoipa::path(
    delete, path = "/api/v1/auth/cookie", tag = "auth",
    responses((status = 200, description = "It is gone.", body = Done, headers(("set-cookie" = String))))
)]
async fn clear() -> Result<Response> {
    let done = Done::new("Your browser keeps no token.");
    Ok(([(header::SET_COOKIE, cleared()?)], done).into_response())
}

/// Takes the cookie away.
pub(super) fn cleared() -> Result<HeaderValue> {
    header_value("", 0, false)
}

fn header_value(token: &str, seconds: i64, is_secure: bool) -> Result<HeaderValue> {
    let secure = if is_secure { "; Secure" } else { "" };
    HeaderValue::from_str(&format!(
        "{SESSION_COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}"
    ))
    .map_err(Error::internal)
}
