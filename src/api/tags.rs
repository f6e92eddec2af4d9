//! Hashtags: what is written under them, and following them.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::SharedDomains;
use super::feed::FeedReply;
use super::paging::PageQuery;
use crate::error::Result;
use crate::feed::{Feed, Tag};
use crate::gateway::{Caller, ErrorBody, Path, Query};
use crate::page::DEFAULT_LIMIT;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(following))
        .routes(routes!(get))
        .routes(routes!(posts))
        .routes(routes!(follow, unfollow))
}

#[derive(Serialize, utoipa::ToSchema)]
struct TagsReply {
    #[schema(example = true)]
    success: bool,
    tags: Vec<Tag>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct PrefixQuery {
    /// How they begin, with or without `#`.
    prefix: Option<String>,
}

/// Hashtags, those with the most public posts first
///
/// With how often they are used, and without those that one mutes. There is one page.
#[utoipa::path(
    get, path = "/api/v1/tags", tag = "feed", security(("token" = [])), params(PrefixQuery, PageQuery),
    responses((status = 200, description = "The first of them.", body = TagsReply))
)]
async fn list(
    State(feed): State<Feed>,
    caller: Caller,
    Query(PrefixQuery { prefix }): Query<PrefixQuery>,
    Query(query): Query<PageQuery>,
) -> Result<Json<TagsReply>> {
    let page = query.parse_unnumbered(DEFAULT_LIMIT)?;
    let prefix = prefix.unwrap_or_default();
    Ok(Json(TagsReply {
        success: true,
        tags: feed.tags(caller.id(), &prefix, page.limit).await?,
    }))
}

/// The hashtags that one follows, by name
#[utoipa::path(
    get, path = "/api/v1/tags/following", tag = "feed", security(("token" = [])),
    responses((status = 200, description = "All of them; 100 at most.", body = TagsReply))
)]
async fn following(State(feed): State<Feed>, caller: Caller) -> Result<Json<TagsReply>> {
    Ok(Json(TagsReply {
        success: true,
        tags: feed.followed_tags(caller.id()).await?,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct TagReply {
    #[schema(example = true)]
    success: bool,
    tag: Tag,
}

impl TagReply {
    fn of(tag: Tag) -> Json<Self> {
        Json(Self { success: true, tag })
    }
}

/// A hashtag
///
/// One that nobody has used has no posts.
#[utoipa::path(
    get, path = "/api/v1/tags/{tag}", tag = "feed", security(("token" = [])),
    params(("tag" = String, Path, description = "With or without `#`.")),
    responses((status = 200, description = "What it counts.", body = TagReply))
)]
async fn get(
    State(feed): State<Feed>,
    caller: Caller,
    Path(tag): Path<String>,
) -> Result<Json<TagReply>> {
    Ok(TagReply::of(feed.tag(caller.id(), &tag).await?))
}

/// The public posts with a hashtag, newest first
#[utoipa::path(
    get, path = "/api/v1/tags/{tag}/posts", tag = "feed", security(("token" = [])),
    params(("tag" = String, Path, description = "With or without `#`."), PageQuery),
    responses((status = 200, description = "One page of them.", body = FeedReply))
)]
async fn posts(
    State(feed): State<Feed>,
    caller: Caller,
    Path(tag): Path<String>,
    Query(query): Query<PageQuery>,
) -> Result<Json<FeedReply>> {
    let page = query.parse_unnumbered(DEFAULT_LIMIT)?;
    Ok(FeedReply::of(feed.tagged(caller.id(), &tag, page).await?))
}

/// Follow a hashtag: its public posts stand in one's home feed
#[utoipa::path(
    post, path = "/api/v1/tags/{tag}/follow", tag = "feed", security(("token" = [])),
    params(("tag" = String, Path, description = "With or without `#`.")),
    responses(
        (status = 200, description = "The hashtag.", body = TagReply),
        (status = 409, description = "`too_many_followed_tags`.", body = ErrorBody),
    )
)]
async fn follow(
    State(feed): State<Feed>,
    caller: Caller,
    Path(tag): Path<String>,
) -> Result<Json<TagReply>> {
    Ok(TagReply::of(
        feed.follow_tag(&caller.actor, &tag, true).await?,
    ))
}

/// Follow a hashtag no more
#[utoipa::path(
    delete, path = "/api/v1/tags/{tag}/follow", tag = "feed", security(("token" = [])),
    params(("tag" = String, Path, description = "With or without `#`.")),
    responses((status = 200, description = "The hashtag.", body = TagReply))
)]
async fn unfollow(
    State(feed): State<Feed>,
    caller: Caller,
    Path(tag): Path<String>,
) -> Result<Json<TagReply>> {
    Ok(TagReply::of(
        feed.follow_tag(&caller.actor, &tag, false).await?,
    ))
}
