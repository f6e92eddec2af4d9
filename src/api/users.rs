//! People and follows (contract, section 3).

use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::SharedDomains;
use super::auth::SearchQuery;
use super::media::{DescriptionFields, one_file, read_form};
use super::paging::{Numbering, PageQuery};
use crate::error::{Code, Error, Result};
use crate::feed::Feed;
use crate::gateway::{Body, Caller, ErrorBody, Path, Query, is_form, patch};
use crate::id::UserId;
use crate::media::Media;
use crate::page::{MAX_LIMIT, Slice};
use crate::users::{Counts, Direction, Follow, Person, Profile, ProfileDraft, Slot, Users};

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(follow))
        .routes(routes!(unfollow, unfollow_by_delete))
        .routes(routes!(followers))
        .routes(routes!(followers_list))
        .routes(routes!(followers_of))
        .routes(routes!(following))
        .routes(routes!(following_list))
        .routes(routes!(following_of))
        .routes(routes!(mutuals))
        .routes(routes!(known_followers))
        .routes(routes!(counts))
        .routes(routes!(search))
        .routes(routes!(own_profile, update_profile))
        .routes(routes!(set_avatar, remove_avatar))
        .routes(routes!(set_banner, remove_banner))
        .routes(routes!(profile))
        .routes(routes!(profile_by_username))
}

#[derive(Serialize, utoipa::ToSchema)]
struct FollowReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    data: Follow,
}

/// Follow somebody
///
/// Again changes nothing; a follow that had ended is revived with its id.
#[utoipa::path(
    post, path = "/api/v1/users/follow/{id}", tag = "users", security(("token" = [])), params(("id" = UserId, Path)),
    responses((status = 200, description = "The follow.", body = FollowReply))
)]
async fn follow(
    State(users): State<Users>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<FollowReply>> {
    let data = users.follow(&caller.actor, id).await?;
    Ok(Json(FollowReply {
        success: true,
        message: "You follow them.",
        data,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct UnfollowReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    /// Always true.
    data: bool,
}

/// Stop following somebody
///
/// Also when one did not.
#[utoipa::path(
    post, path = "/api/v1/users/unfollow/{id}", tag = "users", security(("token" = [])),
    params(("id" = UserId, Path)),
    responses((status = 200, description = "One does not follow them.", body = UnfollowReply))
)]
async fn unfollow(
    State(users): State<Users>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<UnfollowReply>> {
    users.unfollow(&caller.actor, id).await?;
    Ok(Json(UnfollowReply {
        success: true,
        message: "You do not follow them.",
        data: true,
    }))
}

/// Stop following somebody
#[utoipa::path(
    delete, path = "/api/v1/users/unfollow/{id}", tag = "users", security(("token" = [])),
    params(("id" = UserId, Path)),
    responses((status = 200, description = "One does not follow them.", body = UnfollowReply))
)]
async fn unfollow_by_delete(
    state: State<Users>,
    caller: Caller,
    id: Path<UserId>,
) -> Result<Json<UnfollowReply>> {
    unfollow(state, caller, id).await
}

/// One's own list, with the rows behind it.
#[derive(Serialize, utoipa::ToSchema)]
struct OwnFollowersReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    /// Newest first.
    followers: Vec<Person>,
    /// The rows behind them, in the same order.
    data: Vec<Follow>,
    pagination: FollowPagination,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// One's own list, with the rows behind it.
#[derive(Serialize, utoipa::ToSchema)]
struct OwnFollowingReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    /// Newest first.
    following: Vec<Person>,
    /// The rows behind them, in the same order.
    data: Vec<Follow>,
    pagination: FollowPagination,
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct FollowPagination {
    #[serde(flatten)]
    numbering: Numbering,
    /// How many people there are in all.
    total: u64,
}

#[derive(Serialize, utoipa::ToSchema)]
struct FollowersReply {
    #[schema(example = true)]
    success: bool,
    /// Newest first.
    followers: Vec<Person>,
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct FollowingReply {
    #[schema(example = true)]
    success: bool,
    /// Newest first.
    following: Vec<Person>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// People, rows, pagination and cursor of one's own list.
async fn own_list(
    users: &Users,
    caller: &Caller,
    direction: Direction,
    query: &PageQuery,
) -> Result<(Vec<Person>, Vec<Follow>, FollowPagination, Option<String>)> {
    let page = query.parse_with(MAX_LIMIT)?;
    let (slice, total) = users
        .follows(caller.id(), caller.id(), direction, page)
        .await?;
    let next_cursor = slice.next_cursor();
    let pagination = FollowPagination {
        numbering: Numbering::of(&page, total, next_cursor.is_some()),
        total,
    };
    let (data, people) = slice.items.into_iter().unzip();
    Ok((people, data, pagination, next_cursor))
}

/// One's followers
#[utoipa::path(
    get, path = "/api/v1/users/followers", tag = "users", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of them.", body = OwnFollowersReply))
)]
async fn followers(
    State(users): State<Users>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<OwnFollowersReply>> {
    let (followers, data, pagination, next_cursor) =
        own_list(&users, &caller, Direction::Followers, &query).await?;
    let message = "The people who follow you.";
    Ok(Json(OwnFollowersReply {
        success: true,
        message,
        followers,
        data,
        pagination,
        next_cursor,
    }))
}

/// One's followers, under the original's name
#[utoipa::path(
    get, path = "/api/v1/users/followers/list", tag = "users", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of them.", body = OwnFollowersReply))
)]
async fn followers_list(
    users: State<Users>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<Json<OwnFollowersReply>> {
    followers(users, caller, query).await
}

/// Somebody's followers
#[utoipa::path(
    get, path = "/api/v1/users/followers/{userId}", tag = "users", security(("token" = [])),
    params(("userId" = UserId, Path), PageQuery),
    responses((status = 200, description = "One page of them.", body = FollowersReply))
)]
async fn followers_of(
    State(users): State<Users>,
    caller: Caller,
    Path(id): Path<UserId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<FollowersReply>> {
    let (slice, _) = users
        .follows(caller.id(), id, Direction::Followers, query.parse()?)
        .await?;
    let next_cursor = slice.next_cursor();
    let followers = slice.items.into_iter().map(|(_, person)| person).collect();
    Ok(Json(FollowersReply {
        success: true,
        followers,
        next_cursor,
    }))
}

/// Those whom one follows
#[utoipa::path(
    get, path = "/api/v1/users/following", tag = "users", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of them.", body = OwnFollowingReply))
)]
async fn following(
    State(users): State<Users>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<OwnFollowingReply>> {
    let (following, data, pagination, next_cursor) =
        own_list(&users, &caller, Direction::Following, &query).await?;
    let message = "The people whom you follow.";
    Ok(Json(OwnFollowingReply {
        success: true,
        message,
        following,
        data,
        pagination,
        next_cursor,
    }))
}

/// Those whom one follows, under the original's name
#[utoipa::path(
    get, path = "/api/v1/users/following/list", tag = "users", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of them.", body = OwnFollowingReply))
)]
async fn following_list(
    users: State<Users>,
    caller: Caller,
    query: Query<PageQuery>,
) -> Result<Json<OwnFollowingReply>> {
    following(users, caller, query).await
}

/// Those whom somebody follows
#[utoipa::path(
    get, path = "/api/v1/users/following/{userId}", tag = "users", security(("token" = [])),
    params(("userId" = UserId, Path), PageQuery),
    responses((status = 200, description = "One page of them.", body = FollowingReply))
)]
async fn following_of(
    State(users): State<Users>,
    caller: Caller,
    Path(id): Path<UserId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<FollowingReply>> {
    let (slice, _) = users
        .follows(caller.id(), id, Direction::Following, query.parse()?)
        .await?;
    let next_cursor = slice.next_cursor();
    let following = slice.items.into_iter().map(|(_, person)| person).collect();
    Ok(Json(FollowingReply {
        success: true,
        following,
        next_cursor,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct PeopleReply {
    #[schema(example = true)]
    success: bool,
    users: Vec<Person>,
    #[schema(required)]
    next_cursor: Option<String>,
}

impl PeopleReply {
    pub(super) fn of(slice: Slice<Person>) -> Json<Self> {
        Json(Self {
            success: true,
            next_cursor: slice.next_cursor(),
            users: slice.items,
        })
    }
}

/// People with whom one follows each other
#[utoipa::path(
    get, path = "/api/v1/users/mutuals", tag = "users", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of them.", body = PeopleReply))
)]
async fn mutuals(
    State(users): State<Users>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<PeopleReply>> {
    let slice = users.mutuals(caller.id(), query.parse()?).await?;
    Ok(PeopleReply::of(slice))
}

/// People whom one follows and who follow somebody
#[utoipa::path(
    get, path = "/api/v1/users/mutuals/{userId}", tag = "users", security(("token" = [])),
    params(("userId" = UserId, Path), PageQuery),
    responses((status = 200, description = "One page of them.", body = PeopleReply))
)]
async fn known_followers(
    State(users): State<Users>,
    caller: Caller,
    Path(id): Path<UserId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<PeopleReply>> {
    let slice = users
        .known_followers(caller.id(), id, query.parse()?)
        .await?;
    Ok(PeopleReply::of(slice))
}

#[derive(Serialize, utoipa::ToSchema)]
struct CountsReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    data: Counts,
}

/// One's own counts
#[utoipa::path(
    get, path = "/api/v1/users/counts", tag = "users", security(("token" = [])),
    responses((status = 200, description = "The counts.", body = CountsReply))
)]
async fn counts(State(users): State<Users>, caller: Caller) -> Result<Json<CountsReply>> {
    let data = users.counts(caller.id()).await?;
    Ok(Json(CountsReply {
        success: true,
        message: "Your counts.",
        data,
    }))
}

/// Search people
#[utoipa::path(
    get, path = "/api/v1/users/search", tag = "users", security(("token" = [])), params(SearchQuery, PageQuery),
    responses((status = 200, description = "At most twenty, without the caller.", body = PeopleReply))
)]
async fn search(
    State(users): State<Users>,
    caller: Caller,
    Query(query): Query<SearchQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PeopleReply>> {
    page.parse()?;
    let users = users.search(caller.id(), &query.query).await?;
    Ok(Json(PeopleReply {
        success: true,
        users,
        next_cursor: None,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct ProfileReply {
    #[schema(example = true)]
    success: bool,
    user: Profile,
}

/// One's own profile
#[utoipa::path(
    get, path = "/api/v1/users/profile", tag = "users", security(("token" = [])),
    responses((status = 200, description = "The profile.", body = ProfileReply))
)]
async fn own_profile(State(users): State<Users>, caller: Caller) -> Result<Json<ProfileReply>> {
    Ok(Json(ProfileReply {
        success: true,
        user: users.profile(caller.id(), caller.id()).await?,
    }))
}

/// Somebody's profile
#[utoipa::path(
    get, path = "/api/v1/users/profile/{userId}", tag = "users", security(("token" = [])),
    params(("userId" = UserId, Path)),
    responses((status = 200, description = "The profile.", body = ProfileReply))
)]
async fn profile(
    State(users): State<Users>,
    State(feed): State<Feed>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<ProfileReply>> {
    let user = users.profile(caller.id(), id).await?;
    feed.note_visit(caller.id(), user.id).await;
    Ok(Json(ProfileReply {
        success: true,
        user,
    }))
}

/// Somebody's profile, by their username
#[utoipa::path(
    get, path = "/api/v1/users/by-username/{username}", tag = "users", security(("token" = [])),
    params(("username" = String, Path)),
    responses((status = 200, description = "The profile.", body = ProfileReply))
)]
async fn profile_by_username(
    State(users): State<Users>,
    State(feed): State<Feed>,
    caller: Caller,
    Path(username): Path<String>,
) -> Result<Json<ProfileReply>> {
    let user = users.profile_by_username(caller.id(), &username).await?;
    feed.note_visit(caller.id(), user.id).await;
    Ok(Json(ProfileReply {
        success: true,
        user,
    }))
}

/// What to change; absent fields stay, `null` or an empty text empties.
#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct ProfileBody {
    /// 1 to 50 characters.
    #[schema(min_length = 1, max_length = 50, example = "Ada Lovelace")]
    name: Option<String>,
    /// 3 to 30 letters, digits, `_`, `.`, `-`.
    #[schema(min_length = 3, max_length = 30, example = "ada")]
    username: Option<String>,
    /// At most 500 characters.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<String>, max_length = 500, example = "Poetical science.")]
    bio: Option<Option<String>>,
    /// The address of a picture.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<String>, example = "https://example.org/ada.webp")]
    avatar: Option<Option<String>>,
    /// The address of a wide picture.
    #[serde(default, deserialize_with = "patch")]
    #[schema(value_type = Option<String>, example = "https://example.org/engine.webp")]
    banner: Option<Option<String>>,
}

/// Change one's profile
#[utoipa::path(
    patch, path = "/api/v1/users/profile", tag = "users", security(("token" = [])), request_body = ProfileBody,
    responses(
        (status = 200, description = "The profile as it is now.", body = ProfileReply),
        (status = 409, description = "`username_taken`.", body = ErrorBody),
    )
)]
async fn update_profile(
    State(users): State<Users>,
    caller: Caller,
    Body(body): Body<ProfileBody>,
) -> Result<Json<ProfileReply>> {
    let user = users.update_profile(&caller.actor, body.into()).await?;
    Ok(Json(ProfileReply {
        success: true,
        user,
    }))
}

/// A picture of a profile.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes a form that is read field by field")]
struct PictureForm {
    /// The picture.
    #[schema(format = Binary, content_media_type = "application/octet-stream")]
    file: String,
    /// What should stay in sight when it is cropped: `x,y`, each from -1 to 1.
    #[schema(example = "0.0,-0.5")]
    focus: Option<String>,
}

/// Give oneself a picture
///
/// It is shown as a square, around the focus.
#[utoipa::path(
    put, path = "/api/v1/users/profile/avatar", tag = "users", security(("token" = [])),
    request_body(content = PictureForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The profile as it is now.", body = ProfileReply),
        (status = 413, description = "`file_too_large`, `quota_exceeded`.", body = ErrorBody),
        (status = 415, description = "`unsupported_file`, `mismatched_file`.", body = ErrorBody),
        (status = 422, description = "`broken_file`, `too_many_pixels`.", body = ErrorBody),
    )
)]
async fn set_avatar(
    State(users): State<Users>,
    State(media): State<Media>,
    caller: Caller,
    request: Request,
) -> Result<Json<ProfileReply>> {
    set_picture(&users, &media, caller, Slot::Avatar, request).await
}

/// Give one's profile a wide picture
///
/// It is shown three times as wide as high, around the focus.
#[utoipa::path(
    put, path = "/api/v1/users/profile/banner", tag = "users", security(("token" = [])),
    request_body(content = PictureForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "The profile as it is now.", body = ProfileReply),
        (status = 413, description = "`file_too_large`, `quota_exceeded`.", body = ErrorBody),
        (status = 415, description = "`unsupported_file`, `mismatched_file`.", body = ErrorBody),
        (status = 422, description = "`broken_file`, `too_many_pixels`.", body = ErrorBody),
    )
)]
async fn set_banner(
    State(users): State<Users>,
    State(media): State<Media>,
    caller: Caller,
    request: Request,
) -> Result<Json<ProfileReply>> {
    set_picture(&users, &media, caller, Slot::Banner, request).await
}

async fn set_picture(
    users: &Users,
    media: &Media,
    mut caller: Caller,
    slot: Slot,
    request: Request,
) -> Result<Json<ProfileReply>> {
    if !is_form(&request) {
        return Err(Error::new(Code::UnsupportedMediaType)
            .with_message("Please send the picture in a multipart form."));
    }
    let max_bytes = media.max_form_bytes();
    let (fields, uploads): (DescriptionFields, _) =
        read_form(media, request, &mut caller, 1, max_bytes).await?;
    let upload = one_file(uploads)?.described(fields.parse()?);
    let user = users.set_picture(&caller.actor, slot, Some(upload)).await?;
    Ok(Json(ProfileReply {
        success: true,
        user,
    }))
}

/// Take one's picture away
///
/// The server draws one again.
#[utoipa::path(
    delete, path = "/api/v1/users/profile/avatar", tag = "users", security(("token" = [])),
    responses((status = 200, description = "The profile as it is now.", body = ProfileReply))
)]
async fn remove_avatar(State(users): State<Users>, caller: Caller) -> Result<Json<ProfileReply>> {
    let user = users.set_picture(&caller.actor, Slot::Avatar, None).await?;
    Ok(Json(ProfileReply {
        success: true,
        user,
    }))
}

/// Take one's wide picture away
#[utoipa::path(
    delete, path = "/api/v1/users/profile/banner", tag = "users", security(("token" = [])),
    responses((status = 200, description = "The profile as it is now.", body = ProfileReply))
)]
async fn remove_banner(State(users): State<Users>, caller: Caller) -> Result<Json<ProfileReply>> {
    let user = users.set_picture(&caller.actor, Slot::Banner, None).await?;
    Ok(Json(ProfileReply {
        success: true,
        user,
    }))
}

impl From<ProfileBody> for ProfileDraft {
    fn from(body: ProfileBody) -> Self {
        Self {
            name: body.name,
            username: body.username,
            bio: body.bio,
            avatar: body.avatar,
            banner: body.banner,
        }
    }
}
