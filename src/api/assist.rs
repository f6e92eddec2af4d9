//! Writing help (contract, section 4), and what it costs.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::SharedDomains;
use crate::assist::{Assist, MonthUsage};
use crate::error::Result;
use crate::gateway::{Admin, Body, Caller, ErrorBody};
use crate::id::MediaId;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(content))
        .routes(routes!(caption))
        .routes(routes!(alt_text))
        .routes(routes!(usage))
}

/// The refusals that all writing help shares.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "describes answers that are made elsewhere")]
enum Refusal {
    /// `assist_blocked`: the provider does not write about this. Or the `Idempotency-Key` was used for a different request.
    #[response(status = 422)]
    Blocked(ErrorBody),
    /// `assist_bad_answer`: the provider's answer is of no use.
    #[response(status = 502)]
    BadAnswer(ErrorBody),
    /// `assist_disabled`, `assist_budget_spent`, `assist_unavailable`, `overloaded`; `Retry-After` says when to try again.
    #[response(status = 503)]
    Unavailable(ErrorBody),
    /// `assist_timed_out`: the provider took too long.
    #[response(status = 504)]
    TimedOut(ErrorBody),
}

#[derive(Deserialize, utoipa::ToSchema)]
struct ContentBody {
    /// What to write about; `assist.maxTopicChars` of `/api/v1/instance` says how long it may be.
    #[schema(min_length = 1, example = "our garden in autumn")]
    topic: String,
    /// How; at most 50 characters.
    #[schema(min_length = 1, max_length = 50, example = "casual")]
    tone: String,
}

#[derive(Serialize, utoipa::ToSchema)]
struct ContentReply {
    topic: String,
    tone: String,
    /// Plain text, at most 10,000 characters. A language model wrote it: show it to the person before it goes anywhere.
    content: String,
}

/// Have a post written
///
/// Nothing is published. What is sent goes to the provider that this server has chosen.
#[utoipa::path(
    post, path = "/api/v1/posts/generate-content", tag = "assist", security(("token" = [])),
    request_body = ContentBody,
    responses((status = 200, description = "The text.", body = ContentReply), Refusal)
)]
async fn content(
    State(assist): State<Assist>,
    caller: Caller,
    Body(body): Body<ContentBody>,
) -> Result<Json<ContentReply>> {
    let written = assist.write_post(&caller.actor, &body.topic, &body.tone);
    Ok(Json(ContentReply {
        content: written.await?,
        topic: body.topic,
        tone: body.tone,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct CaptionBody {
    /// What to write about; `assist.maxTopicChars` of `/api/v1/instance` says how long it may be.
    #[schema(min_length = 1, example = "our garden in autumn")]
    topic: String,
}

#[derive(Serialize, utoipa::ToSchema)]
struct CaptionReply {
    topic: String,
    /// Plain text with hashtags, at most 2,200 characters. A language model wrote it.
    caption: String,
}

/// Have a caption written
///
/// With three hashtags. What is sent goes to the provider that this server has chosen.
#[utoipa::path(
    post, path = "/api/v1/posts/generate-caption", tag = "assist", security(("token" = [])),
    request_body = CaptionBody,
    responses((status = 200, description = "The text.", body = CaptionReply), Refusal)
)]
async fn caption(
    State(assist): State<Assist>,
    caller: Caller,
    Body(body): Body<CaptionBody>,
) -> Result<Json<CaptionReply>> {
    let written = assist.write_caption(&caller.actor, &body.topic);
    Ok(Json(CaptionReply {
        caption: written.await?,
        topic: body.topic,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct AltTextBody {
    /// One of one's own pictures.
    media_id: MediaId,
}

#[derive(Serialize, utoipa::ToSchema)]
struct AltTextReply {
    #[schema(example = true)]
    success: bool,
    /// Plain text, at most 1,500 characters. A language model wrote it: have the person look at it before it is kept.
    alt: String,
}

/// Have one of one's own pictures described
///
/// For those who do not see it. Nothing is changed: see `PATCH /api/v1/media/{id}`. The picture goes, in small, to the
/// provider that this server has chosen.
#[utoipa::path(
    post, path = "/api/v1/assist/alt-text", tag = "assist", security(("token" = [])),
    request_body = AltTextBody,
    responses((status = 200, description = "The description.", body = AltTextReply), Refusal)
)]
async fn alt_text(
    State(assist): State<Assist>,
    caller: Caller,
    Body(body): Body<AltTextBody>,
) -> Result<Json<AltTextReply>> {
    let described = assist.describe_picture(&caller.actor, body.media_id);
    Ok(Json(AltTextReply {
        success: true,
        alt: described.await?,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct UsageReply {
    #[schema(example = true)]
    success: bool,
    /// What may be spent in a month, in millionths of the currency of the prices; null for no limit.
    #[schema(required)]
    budget_micros: Option<u64>,
    /// The latest two years, newest month first; those in which nothing was asked are left out.
    months: Vec<MonthUsage>,
}

/// What writing help costs
#[utoipa::path(
    get, path = "/api/v1/admin/assist", tag = "admin", security(("token" = [])),
    responses(
        (status = 200, description = "By month.", body = UsageReply),
        (status = 403, description = "`forbidden`: not an admin.", body = ErrorBody),
    )
)]
async fn usage(State(assist): State<Assist>, Admin(_caller): Admin) -> Result<Json<UsageReply>> {
    Ok(Json(UsageReply {
        success: true,
        budget_micros: assist.budget_micros(),
        months: assist.usage().await?,
    }))
}
