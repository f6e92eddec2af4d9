//! The one-time link that makes the first admin.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::SharedDomains;
use super::auth::{SignUpBody, SignedInReply, client};
use crate::auth::Auth;
use crate::error::Result;
use crate::gateway::{Body, ClientIp};

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    use axum::routing::get;
    let style = get(|| async {
        (
            [(header::CONTENT_TYPE, "text/css")],
            include_str!("../../assets/web/setup.css"),
        )
    });
    let script = get(|| async {
        (
            [(header::CONTENT_TYPE, "text/javascript")],
            include_str!("../../assets/web/setup.js"),
        )
    });
    OpenApiRouter::new()
        .routes(routes!(set_up))
        .route("/setup", get(page))
        .route("/setup/setup.css", style)
        .route("/setup/setup.js", script)
}

#[derive(Deserialize, utoipa::ToSchema)]
struct SetUpBody {
    /// The secret of the link.
    token: String,
    #[serde(flatten)]
    admin: SignUpBody,
}

/// Make the first admin
///
/// With the secret of the link that the server prints at its first start. Works once.
#[utoipa::path(
    post, path = "/api/v1/setup", tag = "setup", request_body = SetUpBody,
    responses(
        (status = 201, description = "The admin's account, logged in.", body = SignedInReply),
        (status = 403, description = "`invalid_setup_token`.", body = crate::gateway::ErrorBody),
        (status = 409, description = "`email_taken` or `username_taken`.", body = crate::gateway::ErrorBody),
    )
)]
async fn set_up(
    State(auth): State<Auth>,
    axum::Extension(ip): axum::Extension<ClientIp>,
    headers: HeaderMap,
    Body(body): Body<SetUpBody>,
) -> Result<(StatusCode, Json<SignedInReply>)> {
    let signed_in = auth
        .set_up(&body.token, body.admin.into(), client(ip, &headers))
        .await?;
    Ok((
        StatusCode::CREATED,
        Json(SignedInReply::new(
            "This server is yours. Welcome!",
            signed_in,
        )),
    ))
}

/// The page that the link opens. Its script is a file of its own, as its policy demands.
async fn page() -> Response {
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                  form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    let headers = [
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(policy),
        ),
        // The secret stands in the address: it shall not travel to another site.
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
    ];
    (headers, Html(include_str!("../../assets/web/setup.html"))).into_response()
}
