//! Posts and likes (contract, section 4).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::media::{DescriptionFields, read_form};
use super::paging::{Numbering, PageQuery};
use super::{Done, SharedDomains};
use crate::auth::Claims;
use crate::error::{Code, Error, Result};
use crate::feed::Feed;
use crate::gateway::{Body, BodyLimits, Caller, ErrorBody, OneOrMany, Path, Query};
use crate::id::{MediaId, PostId, UserId};
use crate::media::{MAX_PER_POST, Media, Upload};
use crate::page::MAX_LIMIT;
use crate::posts::{Edit, Like, Post, PostDraft, PostEdit, Posts, Reacted, Visibility, Wish};
use crate::users::Person;

/// Posts that one request may name.
const MAX_BATCH: usize = 50;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(create, timeline))
        .routes(routes!(own))
        .routes(routes!(test))
        .routes(routes!(by_author))
        .routes(routes!(batch))
        .routes(routes!(get, update, delete))
        .routes(routes!(history))
        .routes(routes!(likers))
        .routes(routes!(like, unlike))
        .routes(routes!(toggle_like))
        .routes(routes!(dislike, undislike))
        .routes(routes!(toggle_dislike))
}

/// Further fields are accepted and not kept, `aicaption` and `aiContent` of the original among them.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct PostBody {
    /// At most 10,000 characters.
    #[schema(max_length = 10_000, example = "Hello, #world! @ada, have a look.")]
    content: Option<String>,
    /// At most 2,200 characters.
    #[schema(max_length = 2_200)]
    caption: Option<String>,
    /// Tags beside those in the text; at most 30.
    #[schema(example = json!(["hello"]))]
    hashtags: Option<OneOrMany>,
    /// `public` when absent.
    visibility: Option<Visibility>,
    /// Ids of one's own uploads that nothing has yet; at most 10, with the files that come along.
    media_ids: Option<OneOrMany>,
    /// Descriptions of the files that come along, in their order.
    #[serde(default)]
    alt: Option<OneOrMany>,
}

/// A post with files.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes a form that is read field by field")]
struct PostForm {
    /// Pictures, at most 10.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: String,
    /// At most 10,000 characters.
    #[schema(max_length = 10_000)]
    content: Option<String>,
    /// At most 2,200 characters.
    #[schema(max_length = 2_200)]
    caption: Option<String>,
    /// Tags beside those in the text; repeated, at most 30.
    hashtags: Option<Vec<String>>,
    /// `public` when absent.
    visibility: Option<Visibility>,
    /// Descriptions of the files, in their order.
    alt: Option<Vec<String>>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct CreatedReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    post: Post,
    author_username: AuthorName,
}

/// The author in the original's form.
#[derive(Serialize, utoipa::ToSchema)]
struct AuthorName {
    id: UserId,
    username: String,
}

/// Write a post
#[utoipa::path(
    post, path = "/api/v1/posts", tag = "posts", security(("token" = [])),
    request_body(content((PostBody = "application/json"), (PostForm = "multipart/form-data"))),
    responses(
        (status = 201, description = "The post.", body = CreatedReply),
        (status = 413, description = "`file_too_large`, `quota_exceeded`.", body = ErrorBody),
        (status = 415, description = "`unsupported_file`, `mismatched_file`.", body = ErrorBody),
        (
            status = 422, body = ErrorBody,
            description = "`broken_file`, `too_many_pixels`, `too_long`, `conversion_timed_out`, `conversion_crashed`, \
                `conversion_failed`.",
        ),
    )
)]
async fn create(
    State(posts): State<Posts>,
    State(media): State<Media>,
    axum::Extension(limits): axum::Extension<BodyLimits>,
    mut caller: Caller,
    request: Request,
) -> Result<(StatusCode, Json<CreatedReply>)> {
    let (body, uploads): (PostBody, _) =
        read_form(&media, request, &mut caller, MAX_PER_POST, limits.any).await?;
    let draft = PostDraft {
        uploads: described(uploads, body.alt.map(Into::into).unwrap_or_default())?,
        media: media_ids(body.media_ids.map(Into::into).unwrap_or_default())?,
        content: body.content,
        caption: body.caption,
        hashtags: body.hashtags.map(Into::into).unwrap_or_default(),
        visibility: body.visibility.unwrap_or_default(),
    };
    let post = posts.create(&caller.actor, draft).await?;
    let author_username = AuthorName {
        id: post.author_id,
        username: post.author_username.clone(),
    };
    let reply = CreatedReply {
        success: true,
        message: "Your post is out.",
        post,
        author_username,
    };
    Ok((StatusCode::CREATED, Json(reply)))
}

/// Gives the files their descriptions.
fn described(uploads: Vec<Upload>, alts: Vec<String>) -> Result<Vec<Upload>> {
    let mut alts = alts.into_iter();
    uploads
        .into_iter()
        .map(|upload| {
            let fields = DescriptionFields {
                alt: alts.next(),
                ..DescriptionFields::default()
            };
            Ok(upload.described(fields.parse()?))
        })
        .collect()
}

fn media_ids(raw: Vec<String>) -> Result<Vec<MediaId>> {
    let ids = raw.iter().map(|id| id.parse());
    ids.collect::<Result<_, _>>().map_err(|_malformed| {
        Error::invalid_field("mediaIds", "invalid_type", "mediaIds are ids of uploads.")
    })
}

#[derive(Serialize, utoipa::ToSchema)]
struct PostsReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    /// Newest first.
    posts: Vec<Post>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// All public posts, and one's own
///
/// Without those of people, words and hashtags that one mutes; so a page can have fewer posts than wanted.
#[utoipa::path(
    get, path = "/api/v1/posts", tag = "posts", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of them.", body = PostsReply))
)]
async fn timeline(
    State(posts): State<Posts>,
    State(feed): State<Feed>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<PostsReply>> {
    let mut slice = posts.timeline(caller.id(), query.parse()?).await?;
    let next_cursor = slice.next_cursor();
    feed.drop_muted(caller.id(), &mut slice.items).await?;
    Ok(Json(PostsReply {
        success: true,
        message: "The newest posts.",
        posts: slice.items,
        next_cursor,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct OwnPostsReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    /// Newest first.
    posts: Vec<Post>,
    /// How many there are in all.
    count: u64,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// One's own posts
#[utoipa::path(
    get, path = "/api/v1/posts/getall", tag = "posts", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of them.", body = OwnPostsReply))
)]
async fn own(
    State(posts): State<Posts>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<OwnPostsReply>> {
    let (slice, count) = posts
        .by_author(caller.id(), caller.id(), query.parse_with(MAX_LIMIT)?)
        .await?;
    let next_cursor = slice.next_cursor();
    Ok(Json(OwnPostsReply {
        success: true,
        message: "Your posts.",
        posts: slice.items,
        count,
        next_cursor,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct TestReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    /// What the token says.
    #[schema(value_type = Object)]
    user_data: Arc<Claims>,
}

/// What the token says, as the original's test route told
#[utoipa::path(
    get, path = "/api/v1/posts/test", tag = "posts", security(("token" = [])),
    responses((status = 200, description = "The claims.", body = TestReply))
)]
async fn test(caller: Caller) -> Json<TestReply> {
    Json(TestReply {
        success: true,
        message: "Your token is good.",
        user_data: caller.claims,
    })
}

#[derive(Serialize, utoipa::ToSchema)]
struct AuthorPostsReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    /// Newest first; those that the caller may see.
    posts: Vec<Post>,
    pagination: PostPagination,
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct PostPagination {
    #[serde(flatten)]
    numbering: Numbering,
    /// How many the caller may see in all.
    total_posts: u64,
}

/// Somebody's posts
#[utoipa::path(
    get, path = "/api/v1/posts/user/{userId}", tag = "posts", security(("token" = [])),
    params(("userId" = UserId, Path), PageQuery),
    responses((status = 200, description = "One page of them.", body = AuthorPostsReply))
)]
async fn by_author(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<UserId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<AuthorPostsReply>> {
    let page = query.parse()?;
    let (slice, total_posts) = posts.by_author(caller.id(), id, page).await?;
    let next_cursor = slice.next_cursor();
    let pagination = PostPagination {
        numbering: Numbering::of(&page, total_posts, next_cursor.is_some()),
        total_posts,
    };
    Ok(Json(AuthorPostsReply {
        success: true,
        message: "Their posts.",
        posts: slice.items,
        pagination,
        next_cursor,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct PostReply {
    #[schema(example = true)]
    success: bool,
    /// The post, under the original code's key.
    data: Post,
    /// The post, under the original documentation's key.
    post: Post,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct BatchQuery {
    /// 1 to 50 ids, joined by commas.
    #[param(example = "465910002886901760")]
    ids: String,
}

impl BatchQuery {
    fn parse(&self) -> Result<Vec<PostId>> {
        let ids = self.ids.split(',').map(str::parse);
        ids.collect::<std::result::Result<Vec<PostId>, _>>()
            .ok()
            .filter(|ids| ids.len() <= MAX_BATCH)
            .ok_or_else(|| {
                Error::new(Code::InvalidQuery)
                    .with_message(format!("ids are 1 to {MAX_BATCH} ids of posts."))
            })
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct BatchReply {
    #[schema(example = true)]
    success: bool,
    /// In the order of the ids.
    posts: Vec<Post>,
}

/// Some posts at once
///
/// Those of them that one may see, to be shown where they are pointed to.
#[utoipa::path(
    get, path = "/api/v1/posts/batch", tag = "posts", security(("token" = [])), params(BatchQuery),
    responses((status = 200, description = "The posts.", body = BatchReply))
)]
async fn batch(
    State(posts): State<Posts>,
    caller: Caller,
    Query(query): Query<BatchQuery>,
) -> Result<Json<BatchReply>> {
    Ok(Json(BatchReply {
        success: true,
        posts: posts.get_many(caller.id(), query.parse()?).await?,
    }))
}

/// A post
#[utoipa::path(
    get, path = "/api/v1/posts/{id}", tag = "posts", security(("token" = [])), params(("id" = PostId, Path)),
    responses((status = 200, description = "The post.", body = PostReply))
)]
async fn get(
    State(posts): State<Posts>,
    State(feed): State<Feed>,
    caller: Caller,
    Path(id): Path<PostId>,
) -> Result<Json<PostReply>> {
    let post = posts.get(caller.id(), id).await?;
    feed.note_visit(caller.id(), post.author_id).await;
    Ok(Json(PostReply {
        success: true,
        data: post.clone(),
        post,
    }))
}

/// Absent fields stay.
#[derive(Deserialize, utoipa::ToSchema)]
struct PostEditBody {
    /// At most 10,000 characters; an empty text empties it.
    #[schema(max_length = 10_000, example = "Hello again, #world!")]
    content: Option<String>,
    /// At most 2,200 characters; an empty text empties it.
    #[schema(max_length = 2_200)]
    caption: Option<String>,
    /// Tags beside those in the text; at most 30.
    hashtags: Option<OneOrMany>,
    /// Who may see it from now on.
    visibility: Option<Visibility>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct UpdatedReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    post: Post,
}

/// Change one's post
///
/// The text before is kept, at `/posts/{id}/history`.
#[utoipa::path(
    patch, path = "/api/v1/posts/{id}", tag = "posts", security(("token" = [])), params(("id" = PostId, Path)),
    request_body = PostEditBody,
    responses((status = 200, description = "The post as it is now.", body = UpdatedReply))
)]
async fn update(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
    Body(body): Body<PostEditBody>,
) -> Result<Json<UpdatedReply>> {
    let edit = PostEdit {
        content: body.content,
        caption: body.caption,
        hashtags: body.hashtags.map(Into::into),
        visibility: body.visibility,
    };
    let post = posts.update(&caller.actor, id, edit).await?;
    Ok(Json(UpdatedReply {
        success: true,
        message: "Your post is changed.",
        post,
    }))
}

/// Remove one's post
#[utoipa::path(
    delete, path = "/api/v1/posts/{id}", tag = "posts", security(("token" = [])), params(("id" = PostId, Path)),
    responses((status = 200, description = "It is gone.", body = Done))
)]
async fn delete(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
) -> Result<Json<Done>> {
    posts.delete(&caller.actor, id).await?;
    Ok(Done::new("Your post is gone."))
}

#[derive(Serialize, utoipa::ToSchema)]
struct HistoryReply {
    #[schema(example = true)]
    success: bool,
    /// Newest first, without the present text.
    edits: Vec<Edit>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// The texts that a post had
#[utoipa::path(
    get, path = "/api/v1/posts/{id}/history", tag = "posts", security(("token" = [])),
    params(("id" = PostId, Path), PageQuery),
    responses((status = 200, description = "One page of them.", body = HistoryReply))
)]
async fn history(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<HistoryReply>> {
    let slice = posts.history(caller.id(), id, query.parse()?).await?;
    Ok(Json(HistoryReply {
        success: true,
        next_cursor: slice.next_cursor(),
        edits: slice.items,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct LikersReply {
    #[schema(example = true)]
    success: bool,
    /// Newest like first.
    users: Vec<Person>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Those who like a post
#[utoipa::path(
    get, path = "/api/v1/posts/{id}/likes", tag = "posts", security(("token" = [])),
    params(("id" = PostId, Path), PageQuery),
    responses((status = 200, description = "One page of them.", body = LikersReply))
)]
async fn likers(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<LikersReply>> {
    let slice = posts.likers(caller.id(), id, query.parse()?).await?;
    Ok(Json(LikersReply {
        success: true,
        next_cursor: slice.next_cursor(),
        users: slice.items,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct ReactionReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    /// The caller's like, if they ever gave one.
    #[schema(required)]
    data: Option<Like>,
    /// Whether the caller likes it now.
    liked: bool,
    /// Whether the caller dislikes it now.
    disliked: bool,
    /// How many like it now.
    likes: u64,
    /// How many dislike it now.
    dislikes: u64,
}

async fn react(
    posts: &Posts,
    caller: &Caller,
    id: PostId,
    wish: Wish,
) -> Result<Json<ReactionReply>> {
    let Reacted {
        like,
        liked,
        disliked,
        likes,
        dislikes,
    } = posts.react(&caller.actor, id, wish).await?;
    let message = match (liked, disliked) {
        (true, _) => "You like this.",
        (_, true) => "You dislike this.",
        _ => "You neither like nor dislike this.",
    };
    Ok(Json(ReactionReply {
        success: true,
        message,
        data: like,
        liked,
        disliked,
        likes,
        dislikes,
    }))
}

/// Like a post
///
/// Again changes nothing; takes a dislike back.
#[utoipa::path(
    post, path = "/api/v1/posts/like/{id}", tag = "posts", security(("token" = [])), params(("id" = PostId, Path)),
    responses((status = 200, description = "Liked.", body = ReactionReply))
)]
async fn like(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
) -> Result<Json<ReactionReply>> {
    react(&posts, &caller, id, Wish::Like).await
}

/// Take a like back
#[utoipa::path(
    patch, path = "/api/v1/posts/like/{id}", tag = "posts", security(("token" = [])), params(("id" = PostId, Path)),
    responses((status = 200, description = "Not liked.", body = ReactionReply))
)]
async fn unlike(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
) -> Result<Json<ReactionReply>> {
    react(&posts, &caller, id, Wish::Unlike).await
}

/// Like a post, or take the like back
#[utoipa::path(
    post, path = "/api/v1/posts/{id}/like", tag = "posts", security(("token" = [])), params(("id" = PostId, Path)),
    responses((status = 200, description = "`liked` tells which.", body = ReactionReply))
)]
async fn toggle_like(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
) -> Result<Json<ReactionReply>> {
    react(&posts, &caller, id, Wish::ToggleLike).await
}

/// Dislike a post
///
/// Again changes nothing; takes a like back.
#[utoipa::path(
    post, path = "/api/v1/posts/dislike/{id}", tag = "posts", security(("token" = [])),
    params(("id" = PostId, Path)),
    responses((status = 200, description = "Disliked.", body = ReactionReply))
)]
async fn dislike(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
) -> Result<Json<ReactionReply>> {
    react(&posts, &caller, id, Wish::Dislike).await
}

/// Take a dislike back
#[utoipa::path(
    patch, path = "/api/v1/posts/dislike/{id}", tag = "posts", security(("token" = [])),
    params(("id" = PostId, Path)),
    responses((status = 200, description = "Not disliked.", body = ReactionReply))
)]
async fn undislike(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
) -> Result<Json<ReactionReply>> {
    react(&posts, &caller, id, Wish::Undislike).await
}

/// Dislike a post, or take the dislike back
#[utoipa::path(
    post, path = "/api/v1/posts/{id}/dislike", tag = "posts", security(("token" = [])),
    params(("id" = PostId, Path)),
    responses((status = 200, description = "`disliked` tells which.", body = ReactionReply))
)]
async fn toggle_dislike(
    State(posts): State<Posts>,
    caller: Caller,
    Path(id): Path<PostId>,
) -> Result<Json<ReactionReply>> {
    react(&posts, &caller, id, Wish::ToggleDislike).await
}
