//! Blocking and muting people.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::SharedDomains;
use super::paging::PageQuery;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::gateway::{Body, Caller, ErrorBody, Path, Query};
use crate::id::UserId;
use crate::users::{BlockedPerson, MutedPerson, Relationship, Users};

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(block, unblock))
        .routes(routes!(mute, unmute))
        .routes(routes!(blocked))
        .routes(routes!(muted))
}

#[derive(Serialize, utoipa::ToSchema)]
struct RelationshipReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    data: Relationship,
}

impl RelationshipReply {
    fn new(message: &'static str, data: Relationship) -> Json<Self> {
        Json(Self {
            success: true,
            message,
            data,
        })
    }
}

/// Block somebody
///
/// The two no longer follow each other, and neither is there for the other any more, in profiles, lists, posts, comments
/// or notifications. Again changes nothing. Who blocks the caller is not there, and cannot be blocked.
#[utoipa::path(
    post, path = "/api/v1/users/{id}/block", tag = "users", security(("token" = [])), params(("id" = UserId, Path)),
    responses(
        (status = 200, description = "They are blocked.", body = RelationshipReply),
        (status = 409, description = "`too_many_blocks`.", body = ErrorBody),
    )
)]
async fn block(
    State(users): State<Users>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<RelationshipReply>> {
    let data = users.block(&caller.actor, id).await?;
    Ok(RelationshipReply::new("You have blocked them.", data))
}

/// Block somebody no more
///
/// Also when one did not. What the block ended stays so: follows do not come back.
#[utoipa::path(
    delete, path = "/api/v1/users/{id}/block", tag = "users", security(("token" = [])), params(("id" = UserId, Path)),
    responses((status = 200, description = "They are not blocked.", body = RelationshipReply))
)]
async fn unblock(
    State(users): State<Users>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<RelationshipReply>> {
    let data = users.unblock(&caller.actor, id).await?;
    Ok(RelationshipReply::new("You do not block them.", data))
}

/// How to mute somebody.
#[derive(Default, Deserialize, utoipa::ToSchema)]
struct MuteBody {
    /// When the mute ends by itself, within ten years; absent or null without an end.
    until: Option<Timestamp>,
}

/// Mute somebody
///
/// Nothing that they do is notified, and their posts are left out of the list of all posts. They are not told. Again sets
/// the end anew. The body can be left out.
#[utoipa::path(
    post, path = "/api/v1/users/{id}/mute", tag = "users", security(("token" = [])), params(("id" = UserId, Path)),
    request_body = Option<MuteBody>,
    responses(
        (status = 200, description = "They are muted.", body = RelationshipReply),
        (status = 409, description = "`too_many_mutes`.", body = ErrorBody),
    )
)]
async fn mute(
    State(users): State<Users>,
    caller: Caller,
    Path(id): Path<UserId>,
    body: Option<Body<MuteBody>>,
) -> Result<Json<RelationshipReply>> {
    let until = body.and_then(|Body(body)| body.until);
    let data = users.mute(&caller.actor, id, until).await?;
    Ok(RelationshipReply::new("You have muted them.", data))
}

/// Mute somebody no more
///
/// Also when one did not.
#[utoipa::path(
    delete, path = "/api/v1/users/{id}/mute", tag = "users", security(("token" = [])), params(("id" = UserId, Path)),
    responses((status = 200, description = "They are not muted.", body = RelationshipReply))
)]
async fn unmute(
    State(users): State<Users>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<RelationshipReply>> {
    let data = users.unmute(&caller.actor, id).await?;
    Ok(RelationshipReply::new("You do not mute them.", data))
}

#[derive(Serialize, utoipa::ToSchema)]
struct BlockedReply {
    #[schema(example = true)]
    success: bool,
    /// The latest first.
    users: Vec<BlockedPerson>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// People whom one blocks
#[utoipa::path(
    get, path = "/api/v1/users/blocked", tag = "users", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of them.", body = BlockedReply))
)]
async fn blocked(
    State(users): State<Users>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<BlockedReply>> {
    let slice = users.blocked(caller.id(), page.parse()?).await?;
    Ok(Json(BlockedReply {
        success: true,
        next_cursor: slice.next_cursor(),
        users: slice.items,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct MutedReply {
    #[schema(example = true)]
    success: bool,
    /// The latest first.
    users: Vec<MutedPerson>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// People whom one mutes
#[utoipa::path(
    get, path = "/api/v1/users/muted", tag = "users", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of them.", body = MutedReply))
)]
async fn muted(
    State(users): State<Users>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Json<MutedReply>> {
    let slice = users.muted(caller.id(), page.parse()?).await?;
    Ok(Json(MutedReply {
        success: true,
        next_cursor: slice.next_cursor(),
        users: slice.items,
    }))
}
