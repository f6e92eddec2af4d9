//! What is talked about.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::SharedDomains;
use super::feed::FeedReply;
use super::paging::PageQuery;
use crate::error::Result;
use crate::feed::{Feed, TrendingTag};
use crate::gateway::{Caller, Query};
use crate::page::DEFAULT_LIMIT;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(posts))
        .routes(routes!(original))
        .routes(routes!(tags))
}

/// Public posts that are talked about, most first
///
/// By their likes and comments of the last two days, each counting less the older it is; found out once a minute.
#[utoipa::path(
    get, path = "/api/v1/trending/posts", tag = "feed", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of them.", body = FeedReply))
)]
async fn posts(
    State(feed): State<Feed>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<FeedReply>> {
    let page = query.parse_unnumbered(DEFAULT_LIMIT)?;
    Ok(FeedReply::of(feed.trending_posts(caller.id(), page).await?))
}

/// The same, under the original's name
#[utoipa::path(
    get, path = "/api/v1/feed/trending", tag = "feed", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of them.", body = FeedReply))
)]
async fn original(
    feed: State<Feed>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<Json<FeedReply>> {
    posts(feed, caller, query).await
}

#[derive(Serialize, utoipa::ToSchema)]
struct TrendingTagsReply {
    #[schema(example = true)]
    success: bool,
    /// A hundred at most.
    tags: Vec<TrendingTag>,
}

/// Hashtags that are talked about, most first
///
/// By how many people wrote public posts with them in the last week, each counting less the older their latest is.
#[utoipa::path(
    get, path = "/api/v1/trending/tags", tag = "feed", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "The first of them.", body = TrendingTagsReply))
)]
async fn tags(
    State(feed): State<Feed>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<TrendingTagsReply>> {
    let page = query.parse_unnumbered(DEFAULT_LIMIT)?;
    Ok(Json(TrendingTagsReply {
        success: true,
        tags: feed.trending_tags(caller.id(), page.limit).await?,
    }))
}
