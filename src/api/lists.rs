//! Lists of people, each its owner's alone.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::feed::FeedReply;
use super::paging::PageQuery;
use super::{Done, SharedDomains};
use crate::error::Result;
use crate::feed::{Feed, List};
use crate::gateway::{Body, Caller, ErrorBody, Path, Query};
use crate::id::{ListId, UserId};
use crate::page::DEFAULT_LIMIT;
use crate::users::Person;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(all, create))
        .routes(routes!(get, rename, delete))
        .routes(routes!(members, add))
        .routes(routes!(remove))
        .routes(routes!(posts))
}

#[derive(Serialize, utoipa::ToSchema)]
struct ListsReply {
    #[schema(example = true)]
    success: bool,
    /// The latest first; 50 at most.
    lists: Vec<List>,
}

/// One's lists of people
#[utoipa::path(
    get, path = "/api/v1/lists", tag = "feed", security(("token" = [])),
    responses((status = 200, description = "All of them.", body = ListsReply))
)]
async fn all(State(feed): State<Feed>, caller: Caller) -> Result<Json<ListsReply>> {
    Ok(Json(ListsReply {
        success: true,
        lists: feed.lists(caller.id()).await?,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct ListBody {
    #[schema(min_length = 1, max_length = 80, example = "Climbing")]
    title: String,
}

#[derive(Serialize, utoipa::ToSchema)]
struct ListReply {
    #[schema(example = true)]
    success: bool,
    list: List,
}

impl ListReply {
    fn of(list: List) -> Json<Self> {
        Json(Self {
            success: true,
            list,
        })
    }
}

/// Make a list
#[utoipa::path(
    post, path = "/api/v1/lists", tag = "feed", security(("token" = [])), request_body = ListBody,
    responses(
        (status = 201, description = "The list.", body = ListReply),
        (status = 409, description = "`too_many_lists`.", body = ErrorBody),
    )
)]
async fn create(
    State(feed): State<Feed>,
    caller: Caller,
    Body(body): Body<ListBody>,
) -> Result<(StatusCode, Json<ListReply>)> {
    let list = feed.create_list(&caller.actor, &body.title).await?;
    Ok((StatusCode::CREATED, ListReply::of(list)))
}

/// One of one's lists
#[utoipa::path(
    get, path = "/api/v1/lists/{id}", tag = "feed", security(("token" = [])), params(("id" = ListId, Path)),
    responses((status = 200, description = "The list.", body = ListReply))
)]
async fn get(
    State(feed): State<Feed>,
    caller: Caller,
    Path(id): Path<ListId>,
) -> Result<Json<ListReply>> {
    Ok(ListReply::of(feed.list(caller.id(), id).await?))
}

/// Give a list another title
#[utoipa::path(
    patch, path = "/api/v1/lists/{id}", tag = "feed", security(("token" = [])), params(("id" = ListId, Path)),
    request_body = ListBody,
    responses((status = 200, description = "The list.", body = ListReply))
)]
async fn rename(
    State(feed): State<Feed>,
    caller: Caller,
    Path(id): Path<ListId>,
    Body(body): Body<ListBody>,
) -> Result<Json<ListReply>> {
    let list = feed.rename_list(&caller.actor, id, &body.title).await?;
    Ok(ListReply::of(list))
}

/// Remove a list
#[utoipa::path(
    delete, path = "/api/v1/lists/{id}", tag = "feed", security(("token" = [])), params(("id" = ListId, Path)),
    responses((status = 200, description = "Done.", body = Done))
)]
async fn delete(
    State(feed): State<Feed>,
    caller: Caller,
    Path(id): Path<ListId>,
) -> Result<Json<Done>> {
    feed.delete_list(&caller.actor, id).await?;
    Ok(Done::new("Removed."))
}

#[derive(Serialize, utoipa::ToSchema)]
struct ListMembersReply {
    #[schema(example = true)]
    success: bool,
    users: Vec<Person>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Who is on a list
#[utoipa::path(
    get, path = "/api/v1/lists/{id}/members", tag = "feed", security(("token" = [])),
    params(("id" = ListId, Path), PageQuery),
    responses((status = 200, description = "One page of them.", body = ListMembersReply))
)]
async fn members(
    State(feed): State<Feed>,
    caller: Caller,
    Path(id): Path<ListId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<ListMembersReply>> {
    let page = query.parse_unnumbered(DEFAULT_LIMIT)?;
    let slice = feed.list_members(caller.id(), id, page).await?;
    Ok(Json(ListMembersReply {
        success: true,
        next_cursor: slice.next_cursor(),
        users: slice.items,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct ListMembersBody {
    /// Whom; nobody is told.
    #[schema(min_items = 1, max_items = 500)]
    user_ids: Vec<UserId>,
}

/// Put people on a list: all of them, or none
#[utoipa::path(
    post, path = "/api/v1/lists/{id}/members", tag = "feed", security(("token" = [])), params(("id" = ListId, Path)),
    request_body = ListMembersBody,
    responses(
        (status = 200, description = "The list.", body = ListReply),
        (status = 409, description = "`too_many_list_members`.", body = ErrorBody),
    )
)]
async fn add(
    State(feed): State<Feed>,
    caller: Caller,
    Path(id): Path<ListId>,
    Body(body): Body<ListMembersBody>,
) -> Result<Json<ListReply>> {
    let list = feed.add_to_list(&caller.actor, id, body.user_ids).await?;
    Ok(ListReply::of(list))
}

/// Take somebody off a list
#[utoipa::path(
    delete, path = "/api/v1/lists/{id}/members/{userId}", tag = "feed", security(("token" = [])),
    params(("id" = ListId, Path), ("userId" = UserId, Path)),
    responses((status = 200, description = "The list.", body = ListReply))
)]
async fn remove(
    State(feed): State<Feed>,
    caller: Caller,
    Path((id, user)): Path<(ListId, UserId)>,
) -> Result<Json<ListReply>> {
    let list = feed.remove_from_list(&caller.actor, id, user).await?;
    Ok(ListReply::of(list))
}

/// What the people of a list write, newest first
#[utoipa::path(
    get, path = "/api/v1/lists/{id}/posts", tag = "feed", security(("token" = [])),
    params(("id" = ListId, Path), PageQuery),
    responses((status = 200, description = "One page of it, as far as one may see it.", body = FeedReply))
)]
async fn posts(
    State(feed): State<Feed>,
    caller: Caller,
    Path(id): Path<ListId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<FeedReply>> {
    let page = query.parse_unnumbered(DEFAULT_LIMIT)?;
    Ok(FeedReply::of(feed.list_posts(caller.id(), id, page).await?))
}
