//! The event log and its consumers, for admins.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paging::PageQuery;
use super::{Done, SharedDomains};
use crate::clock::Timestamp;
use crate::consume::{Consumers, Status};
use crate::error::{Code, Error, Result};
use crate::eventlog::EventLog;
use crate::gateway::{Admin, Body, Path, Query};
use crate::page::Cursor;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(overview))
        .routes(routes!(replay))
        .routes(routes!(dead_letters))
        .routes(routes!(retry))
        .routes(routes!(discard))
}

#[derive(Serialize, utoipa::ToSchema)]
struct TopicSummary {
    /// The topic.
    name: &'static str,
    /// The sequence of its oldest event.
    #[schema(required)]
    first: Option<u64>,
    /// The sequence of its newest event.
    #[schema(required)]
    last: Option<u64>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct OverviewReply {
    #[schema(example = true)]
    success: bool,
    topics: Vec<TopicSummary>,
    consumers: Vec<Status>,
}

/// How the event log and its consumers are doing
#[utoipa::path(
    get, path = "/api/v1/admin/events", tag = "admin", security(("token" = [])),
    responses(
        (status = 200, description = "Topics and consumers.", body = OverviewReply),
        (status = 403, description = "`forbidden`.", body = crate::gateway::ErrorBody),
    )
)]
async fn overview(
    State(log): State<EventLog>,
    State(consumers): State<Consumers>,
    _admin: Admin,
) -> Result<Json<OverviewReply>> {
    let topics = log
        .topics()
        .await?
        .into_iter()
        .map(|span| TopicSummary {
            name: span.topic.as_str(),
            first: span.first,
            last: span.last,
        })
        .collect();
    Ok(Json(OverviewReply {
        success: true,
        topics,
        consumers: consumers.status().await?,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct ReplayBody {
    /// The sequence of the first event to apply once more.
    #[schema(example = 1)]
    from: u64,
}

/// Let a consumer apply events once more
///
/// What it has already, it does not take twice.
#[utoipa::path(
    post, path = "/api/v1/admin/events/consumers/{name}/replay", tag = "admin", security(("token" = [])),
    params(("name" = String, Path)), request_body = ReplayBody,
    responses(
        (status = 200, description = "It has begun.", body = Done),
        (status = 403, description = "`forbidden`.", body = crate::gateway::ErrorBody),
    )
)]
async fn replay(
    State(consumers): State<Consumers>,
    _admin: Admin,
    Path(name): Path<String>,
    Body(body): Body<ReplayBody>,
) -> Result<Json<Done>> {
    consumers.replay(&name, body.from).await?;
    Ok(Done::new("The consumer applies them once more."))
}

/// An event that a consumer could not take.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct DeadLetterSummary {
    /// The event's sequence.
    seq: u64,
    /// Its topic.
    topic: String,
    /// The event, as in the topic.
    envelope: String,
    /// Why it could not be taken.
    error: String,
    /// How often it was tried.
    attempts: u32,
    /// When it was given up.
    at: Timestamp,
}

#[derive(Serialize, utoipa::ToSchema)]
struct DeadLettersReply {
    #[schema(example = true)]
    success: bool,
    /// Oldest first.
    dead_letters: Vec<DeadLetterSummary>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// The events that a consumer could not take
#[utoipa::path(
    get, path = "/api/v1/admin/events/consumers/{name}/dead-letters", tag = "admin", security(("token" = [])),
    params(("name" = String, Path), PageQuery),
    responses(
        (status = 200, description = "One page of them.", body = DeadLettersReply),
        (status = 403, description = "`forbidden`.", body = crate::gateway::ErrorBody),
    )
)]
async fn dead_letters(
    State(consumers): State<Consumers>,
    _admin: Admin,
    Path(name): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<DeadLettersReply>> {
    let page = query.parse()?;
    let after = u64::try_from(page.above()).unwrap_or(0);
    let letters = consumers
        .dead_letters(&name, after, page.fetch() as usize)
        .await?;
    let slice = page
        .cut(letters, |letter| {
            Cursor::id(i64::try_from(letter.seq).unwrap_or(i64::MAX))
        })
        .map(|letter| DeadLetterSummary {
            seq: letter.seq,
            topic: letter.topic,
            envelope: letter.envelope,
            error: letter.error,
            attempts: letter.attempts,
            at: letter.at,
        });
    Ok(Json(DeadLettersReply {
        success: true,
        next_cursor: slice.next_cursor(),
        dead_letters: slice.items,
    }))
}

/// Let a consumer try such an event once more
#[utoipa::path(
    post, path = "/api/v1/admin/events/consumers/{name}/dead-letters/{seq}/retry", tag = "admin",
    security(("token" = [])), params(("name" = String, Path), ("seq" = u64, Path)),
    responses(
        (status = 200, description = "It is taken, and no dead letter any more.", body = Done),
        (status = 403, description = "`forbidden`.", body = crate::gateway::ErrorBody),
    )
)]
async fn retry(
    State(consumers): State<Consumers>,
    _admin: Admin,
    Path((name, seq)): Path<(String, u64)>,
) -> Result<Json<Done>> {
    found(consumers.retry(&name, seq).await?)?;
    Ok(Done::new("It is taken."))
}

/// Throw such an event away
#[utoipa::path(
    delete, path = "/api/v1/admin/events/consumers/{name}/dead-letters/{seq}", tag = "admin",
    security(("token" = [])), params(("name" = String, Path), ("seq" = u64, Path)),
    responses(
        (status = 200, description = "It is gone.", body = Done),
        (status = 403, description = "`forbidden`.", body = crate::gateway::ErrorBody),
    )
)]
async fn discard(
    State(consumers): State<Consumers>,
    _admin: Admin,
    Path((name, seq)): Path<(String, u64)>,
) -> Result<Json<Done>> {
    found(consumers.discard(&name, seq).await?)?;
    Ok(Done::new("It is gone."))
}

fn found(there: bool) -> Result<()> {
    if there {
        Ok(())
    } else {
        Err(Error::new(Code::NotFound))
    }
}
