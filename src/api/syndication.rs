//! Public posts for feed readers, without an account.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::SharedDomains;
use crate::discovery::{Discovery, Format, Source};
use crate::error::{Error, Result};
use crate::gateway::Path;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(person_atom))
        .routes(routes!(person_rss))
        .routes(routes!(tag_atom))
        .routes(routes!(tag_rss))
}

/// Somebody's public posts as Atom
///
/// The latest thirty, as far as they fit, for everybody. Who does not want it is not there, and nobody is where the server
/// does not do it.
#[utoipa::path(
    get, path = "/api/v1/users/by-username/{username}/posts.atom", tag = "discovery",
    params(("username" = String, Path)),
    responses(
        (status = 200, description = "A feed, RFC 4287.", body = String, content_type = "application/atom+xml"),
        (status = 304, description = "The one that the client has."),
    )
)]
async fn person_atom(
    State(discovery): State<Discovery>,
    Path(username): Path<String>,
) -> Result<Response> {
    answer(&discovery, Source::Person(username), Format::Atom).await
}

/// Somebody's public posts as RSS
#[utoipa::path(
    get, path = "/api/v1/users/by-username/{username}/posts.rss", tag = "discovery",
    params(("username" = String, Path)),
    responses(
        (status = 200, description = "A feed, RSS 2.0.", body = String, content_type = "application/rss+xml"),
        (status = 304, description = "The one that the client has."),
    )
)]
async fn person_rss(
    State(discovery): State<Discovery>,
    Path(username): Path<String>,
) -> Result<Response> {
    answer(&discovery, Source::Person(username), Format::Rss).await
}

/// The public posts with a hashtag as Atom
///
/// The latest thirty, as far as they fit, of people who want it, for everybody.
#[utoipa::path(
    get, path = "/api/v1/tags/{tag}/posts.atom", tag = "discovery",
    params(("tag" = String, Path, description = "With or without `#`.")),
    responses(
        (status = 200, description = "A feed, RFC 4287.", body = String, content_type = "application/atom+xml"),
        (status = 304, description = "The one that the client has."),
    )
)]
async fn tag_atom(State(discovery): State<Discovery>, Path(tag): Path<String>) -> Result<Response> {
    answer(&discovery, Source::Tag(tag), Format::Atom).await
}

/// The public posts with a hashtag as RSS
#[utoipa::path(
    get, path = "/api/v1/tags/{tag}/posts.rss", tag = "discovery",
    params(("tag" = String, Path, description = "With or without `#`.")),
    responses(
        (status = 200, description = "A feed, RSS 2.0.", body = String, content_type = "application/rss+xml"),
        (status = 304, description = "The one that the client has."),
    )
)]
async fn tag_rss(State(discovery): State<Discovery>, Path(tag): Path<String>) -> Result<Response> {
    answer(&discovery, Source::Tag(tag), Format::Rss).await
}

async fn answer(discovery: &Discovery, source: Source, format: Format) -> Result<Response> {
    let feed = discovery.syndicate(source, format).await?;
    let mut response = ([(header::CONTENT_TYPE, format.media_type())], feed.text).into_response();
    if let Some(modified) = feed.modified {
        let modified = HeaderValue::try_from(modified.to_http_date()).map_err(Error::internal)?;
        response
            .headers_mut()
            .insert(header::LAST_MODIFIED, modified);
    }
    Ok(response)
}
