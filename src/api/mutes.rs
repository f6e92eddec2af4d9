//! Words and hashtags that one does not want to read of.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Done, SharedDomains};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::feed::{Feed, MutedKind, MutedTerm};
use crate::gateway::{Body, Caller, ErrorBody, Path};
use crate::id::MutedTermId;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(list, mute))
        .routes(routes!(unmute))
}

#[derive(Serialize, utoipa::ToSchema)]
struct MutesReply {
    #[schema(example = true)]
    success: bool,
    /// The latest first; 200 at most.
    mutes: Vec<MutedTerm>,
}

/// The words and hashtags that one mutes
///
/// Posts that have them are left out where posts of many people stand together. People are muted at
/// `/api/v1/users/{id}/mute`.
#[utoipa::path(
    get, path = "/api/v1/mutes", tag = "feed", security(("token" = [])),
    responses((status = 200, description = "All of them.", body = MutesReply))
)]
async fn list(State(feed): State<Feed>, caller: Caller) -> Result<Json<MutesReply>> {
    Ok(Json(MutesReply {
        success: true,
        mutes: feed.muted_terms(caller.id()).await?,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct MuteTermBody {
    kind: MutedKind,
    /// A word or phrase of 1 to 100 characters, or a hashtag with or without `#`.
    #[schema(min_length = 1, max_length = 100, example = "season finale")]
    text: String,
    /// When it ends by itself; null or absent without an end.
    until: Option<Timestamp>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct MuteReply {
    #[schema(example = true)]
    success: bool,
    mute: MutedTerm,
}

/// Mute a word, a phrase or a hashtag
///
/// Doing it again sets another end.
#[utoipa::path(
    post, path = "/api/v1/mutes", tag = "feed", security(("token" = [])), request_body = MuteTermBody,
    responses(
        (status = 201, description = "It is muted.", body = MuteReply),
        (status = 409, description = "`too_many_muted_terms`.", body = ErrorBody),
    )
)]
async fn mute(
    State(feed): State<Feed>,
    caller: Caller,
    Body(body): Body<MuteTermBody>,
) -> Result<(StatusCode, Json<MuteReply>)> {
    let mute = feed
        .mute_term(&caller.actor, body.kind, &body.text, body.until)
        .await?;
    let reply = MuteReply {
        success: true,
        mute,
    };
    Ok((StatusCode::CREATED, Json(reply)))
}

/// Mute a word or hashtag no more
#[utoipa::path(
    delete, path = "/api/v1/mutes/{id}", tag = "feed", security(("token" = [])),
    params(("id" = MutedTermId, Path)),
    responses((status = 200, description = "Done.", body = Done))
)]
async fn unmute(
    State(feed): State<Feed>,
    caller: Caller,
    Path(id): Path<MutedTermId>,
) -> Result<Json<Done>> {
    feed.unmute_term(&caller.actor, id).await?;
    Ok(Done::new("Not muted any more."))
}
