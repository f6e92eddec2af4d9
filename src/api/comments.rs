//! Comments (contract, section 4).

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::SharedDomains;
use super::paging::PageQuery;
use crate::error::{Error, Result};
use crate::gateway::{Body, Caller, ErrorBody, Path, Query};
use crate::id::{CommentId, PostId, UserId};
use crate::page::MAX_LIMIT;
use crate::posts::Posts;
use crate::posts::comments::{Comment, CommentLiked, CommentWish, Sort};

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(create, list, update, delete))
        .routes(routes!(create_beneath, list_beneath))
        .routes(routes!(create_beneath_alias, list_beneath_alias))
        .routes(routes!(replies))
        .routes(routes!(toggle_like, like, unlike))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct CommentBody {
    /// 1 to 5,000 characters.
    #[schema(min_length = 1, max_length = 5_000, example = "Well said, @ada.")]
    content: String,
    /// The id of the comment that it answers; absent, null or empty at the top.
    #[schema(pattern = "^([1-9][0-9]{0,18})?$")]
    parent_comment_id: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct CommentedReply {
    #[schema(example = true)]
    success: bool,
    data: Comment,
    author: AuthorId,
}

/// The author in the original's form.
#[derive(Serialize, utoipa::ToSchema)]
struct AuthorId {
    id: UserId,
}

async fn comment(
    posts: &Posts,
    caller: &Caller,
    id: PostId,
    body: CommentBody,
) -> Result<Json<CommentedReply>> {
    let parent = body
        .parent_comment_id
        .filter(|text| !text.is_empty())
        .map(|text| text.parse::<CommentId>())
        .transpose()
        .map_err(|_not_an_id| {
            Error::invalid_field(
                "parentCommentId",
                "invalid_id",
                "parentCommentId is not an id.",
            )
        })?;
    let data = posts
        .comment(&caller.actor, id, parent, &body.content)
        .await?;
    Ok(Json(CommentedReply {
        success: true,
        data,
        author: AuthorId { id: caller.id() },
    }))
}

/// Write a comment
#[utoipa::path(
    post, path = "/api/v1/posts/comment/{id}", tag = "comments", security(("token" = [])),
    params(("id" = PostId, Path, description = "The post.")), request_body = CommentBody,
    responses((status = 200, description = "The comment.", body = CommentedReply))
)]
async fn create(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
    Body(body): Body<CommentBody>,
) -> Result<Json<CommentedReply>> {
    comment(&posts, &caller, id, body).await
}

/// Write a comment
#[utoipa::path(
    post, path = "/api/v1/posts/{id}/comments", tag = "comments", security(("token" = [])),
    params(("id" = PostId, Path)), request_body = CommentBody,
    responses((status = 200, description = "The comment.", body = CommentedReply))
)]
async fn create_beneath(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
    Body(body): Body<CommentBody>,
) -> Result<Json<CommentedReply>> {
    comment(&posts, &caller, id, body).await
}

/// Write a comment, under another name of the original's
#[utoipa::path(
    post, path = "/api/v1/posts/{id}/comment", tag = "comments", security(("token" = [])),
    params(("id" = PostId, Path)), request_body = CommentBody,
    responses((status = 200, description = "The comment.", body = CommentedReply))
)]
async fn create_beneath_alias(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
    Body(body): Body<CommentBody>,
) -> Result<Json<CommentedReply>> {
    comment(&posts, &caller, id, body).await
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct CommentsQuery {
    /// Whether answers hang beneath what they answer; else all comments stand in one list.
    #[serde(default)]
    nested: bool,
    /// The order.
    #[serde(default)]
    #[param(inline)]
    sort: Sort,
}

#[derive(Serialize, utoipa::ToSchema)]
struct CommentsReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    data: Vec<Comment>,
    #[schema(required)]
    next_cursor: Option<String>,
}

async fn comments(
    posts: &Posts,
    caller: &Caller,
    id: PostId,
    query: CommentsQuery,
    page: PageQuery,
) -> Result<Json<CommentsReply>> {
    let slice = if query.nested {
        posts
            .thread(caller.id(), id, query.sort, page.parse()?)
            .await?
    } else {
        posts
            .comments(caller.id(), id, query.sort, page.parse_with(MAX_LIMIT)?)
            .await?
    };
    let message = if slice.items.is_empty() {
        "There are no comments here."
    } else {
        "The comments."
    };
    Ok(Json(CommentsReply {
        success: true,
        message,
        next_cursor: slice.next_cursor(),
        data: slice.items,
    }))
}

/// The comments of a post
#[utoipa::path(
    get, path = "/api/v1/posts/comment/{id}", tag = "comments", security(("token" = [])),
    params(("id" = PostId, Path, description = "The post."), CommentsQuery, PageQuery),
    responses((status = 200, description = "One page of them.", body = CommentsReply))
)]
async fn list(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
    Query(query): Query<CommentsQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<CommentsReply>> {
    comments(&posts, &caller, id, query, page).await
}

/// The comments of a post
#[utoipa::path(
    get, path = "/api/v1/posts/{id}/comments", tag = "comments", security(("token" = [])),
    params(("id" = PostId, Path), CommentsQuery, PageQuery),
    responses((status = 200, description = "One page of them.", body = CommentsReply))
)]
async fn list_beneath(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
    Query(query): Query<CommentsQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<CommentsReply>> {
    comments(&posts, &caller, id, query, page).await
}

/// The comments of a post, under another name of the original's
#[utoipa::path(
    get, path = "/api/v1/posts/{id}/comment", tag = "comments", security(("token" = [])),
    params(("id" = PostId, Path), CommentsQuery, PageQuery),
    responses((status = 200, description = "One page of them.", body = CommentsReply))
)]
async fn list_beneath_alias(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
    Query(query): Query<CommentsQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<CommentsReply>> {
    comments(&posts, &caller, id, query, page).await
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct RepliesQuery {
    /// The order; the same as of the list that the cursor is from.
    #[serde(default)]
    #[param(inline)]
    sort: Sort,
}

/// The answers to a comment
#[utoipa::path(
    get, path = "/api/v1/posts/comments/{id}/replies", tag = "comments", security(("token" = [])),
    params(("id" = CommentId, Path), RepliesQuery, PageQuery),
    responses((status = 200, description = "One page of them, with their own answers.", body = CommentsReply))
)]
async fn replies(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<CommentId>,
    Query(query): Query<RepliesQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<CommentsReply>> {
    let slice = posts
        .replies(caller.id(), id, query.sort, page.parse()?)
        .await?;
    let message = "The answers.";
    Ok(Json(CommentsReply {
        success: true,
        message,
        next_cursor: slice.next_cursor(),
        data: slice.items,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct CommentEditBody {
    /// 1 to 5,000 characters.
    #[schema(min_length = 1, max_length = 5_000, example = "Very well said.")]
    content: String,
}

#[derive(Serialize, utoipa::ToSchema)]
struct CommentReply {
    #[schema(example = true)]
    success: bool,
    data: Comment,
}

/// Change one's comment
#[utoipa::path(
    patch, path = "/api/v1/posts/comment/{id}", tag = "comments", security(("token" = [])),
    params(("id" = CommentId, Path, description = "The comment.")), request_body = CommentEditBody,
    responses(
        (status = 200, description = "The comment as it is now.", body = CommentReply),
        (status = 403, description = "`forbidden`: somebody else's.", body = ErrorBody),
    )
)]
async fn update(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<CommentId>,
    Body(body): Body<CommentEditBody>,
) -> Result<Json<CommentReply>> {
    let data = posts
        .update_comment(&caller.actor, id, &body.content)
        .await?;
    Ok(Json(CommentReply {
        success: true,
        data,
    }))
}

/// Remove a comment
///
/// One's own, or any beneath one's own post. Again changes nothing.
#[utoipa::path(
    delete, path = "/api/v1/posts/comment/{id}", tag = "comments", security(("token" = [])),
    params(("id" = CommentId, Path, description = "The comment.")),
    responses(
        (status = 200, description = "What is left of it.", body = CommentReply),
        (status = 403, description = "`forbidden`: neither one's own nor beneath one's own post.", body = ErrorBody),
    )
)]
async fn delete(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<CommentId>,
) -> Result<Json<CommentReply>> {
    let data = posts.delete_comment(&caller.actor, id).await?;
    Ok(Json(CommentReply {
        success: true,
        data,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct CommentLikedReply {
    #[schema(example = true)]
    success: bool,
    /// Whether the caller likes it now.
    liked: bool,
    /// How many like it now.
    likes: u64,
}

async fn wish(
    posts: &Posts,
    caller: &Caller,
    id: CommentId,
    wish: CommentWish,
) -> Result<Json<CommentLikedReply>> {
    let CommentLiked { liked, likes } = posts.like_comment(&caller.actor, id, wish).await?;
    Ok(Json(CommentLikedReply {
        success: true,
        liked,
        likes,
    }))
}

/// Like a comment, or take the like back
#[utoipa::path(
    post, path = "/api/v1/posts/comments/{id}/like", tag = "comments", security(("token" = [])),
    params(("id" = CommentId, Path)),
    responses((status = 200, description = "`liked` tells which.", body = CommentLikedReply))
)]
async fn toggle_like(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<CommentId>,
) -> Result<Json<CommentLikedReply>> {
    wish(&posts, &caller, id, CommentWish::Toggle).await
}

/// Like a comment
#[utoipa::path(
    put, path = "/api/v1/posts/comments/{id}/like", tag = "comments", security(("token" = [])),
    params(("id" = CommentId, Path)),
    responses((status = 200, description = "Liked.", body = CommentLikedReply))
)]
async fn like(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<CommentId>,
) -> Result<Json<CommentLikedReply>> {
    wish(&posts, &caller, id, CommentWish::Like).await
}

/// Take the like of a comment back
#[utoipa::path(
    delete, path = "/api/v1/posts/comments/{id}/like", tag = "comments", security(("token" = [])),
    params(("id" = CommentId, Path)),
    responses((status = 200, description = "Not liked.", body = CommentLikedReply))
)]
async fn unlike(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<CommentId>,
) -> Result<Json<CommentLikedReply>> {
    wish(&posts, &caller, id, CommentWish::Unlike).await
}
