//! What one reads at home, and the original's routes to it (contract, section 8).

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paging::PageQuery;
use super::{Done, SharedDomains};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::feed::{Feed, FeedItem, Order};
use crate::gateway::{Body, Caller, ErrorBody, Path, Query};
use crate::id::{PostId, UserId};
use crate::page::{DEFAULT_LIMIT, Page, Slice};
use crate::posts::{Post, Posts};

/// Feeds that one request names at most; only one's own can be among them.
const MAX_FEEDS: usize = 100;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(home))
        .routes(routes!(personalized))
        .routes(routes!(settings, change_settings))
        .routes(routes!(local))
        .routes(routes!(health))
        .routes(routes!(numbered, forget))
        .routes(routes!(regenerate))
        .routes(routes!(batch_regenerate))
        .routes(routes!(add_post))
        .routes(routes!(cache_followers))
        .routes(routes!(cache_following))
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct FeedReply {
    #[schema(example = true)]
    success: bool,
    posts: Vec<Post>,
    /// The cursor of the next page; null at the end.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl FeedReply {
    pub(super) fn of(slice: Slice<Post>) -> Json<Self> {
        Json(Self {
            success: true,
            next_cursor: slice.next_cursor(),
            posts: slice.items,
        })
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct HomeReply {
    #[schema(example = true)]
    success: bool,
    /// The order that they are in.
    order: Order,
    posts: Vec<FeedItem>,
    /// The cursor of the next page; null at the end.
    #[schema(required)]
    next_cursor: Option<String>,
}

impl HomeReply {
    fn of(order: Order, slice: Slice<FeedItem>) -> Json<Self> {
        Json(Self {
            success: true,
            order,
            next_cursor: slice.next_cursor(),
            posts: slice.items,
        })
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct OrderQuery {
    /// Instead of the order that one has set.
    #[param(inline)]
    order: Option<Order>,
}

/// What one reads at home
///
/// The posts of those whom one follows, public ones with hashtags that one follows, and one's own, without what one mutes:
/// the newest first, or, for who asks for it, by what may matter most, and then with public posts that those whom one follows
/// like. Each says why it is there. A page can have fewer posts than wanted, even none, and others behind it: it ends where
/// `next_cursor` is null. A cursor goes on in the order of its page.
#[utoipa::path(
    get, path = "/api/v1/feed", tag = "feed", security(("token" = [])), params(OrderQuery, PageQuery),
    responses(
        (status = 200, description = "One page of it.", body = HomeReply),
        (status = 400, description = "`invalid_query`: also a cursor of the other order.", body = ErrorBody),
    )
)]
async fn home(
    State(feed): State<Feed>,
    caller: Caller,
    Query(order): Query<OrderQuery>,
    Query(query): Query<PageQuery>,
) -> Result<Json<HomeReply>> {
    let page = query.parse_unnumbered(DEFAULT_LIMIT)?;
    let order = match (order.order, order_of(&page)) {
        (Some(wanted), Some(begun)) if wanted != begun => return Err(other_order()),
        (Some(order), _) | (None, Some(order)) => order,
        (None, None) => feed.order(caller.id()).await?,
    };
    let slice = match order {
        Order::Latest => feed.home(caller.id(), page).await?,
        Order::Ranked => feed.ranked(caller.id(), page).await?,
    };
    Ok(HomeReply::of(order, slice))
}

/// What may matter most to one, under the original's name
#[utoipa::path(
    get, path = "/api/v1/feed/personalized", tag = "feed", security(("token" = [])), params(PageQuery),
    responses(
        (status = 200, description = "One page of it.", body = HomeReply),
        (status = 400, description = "`invalid_query`: also a cursor of the other order.", body = ErrorBody),
    )
)]
async fn personalized(
    State(feed): State<Feed>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<HomeReply>> {
    let page = query.parse_unnumbered(DEFAULT_LIMIT)?;
    if order_of(&page) == Some(Order::Latest) {
        return Err(other_order());
    }
    let slice = feed.ranked(caller.id(), page).await?;
    Ok(HomeReply::of(Order::Ranked, slice))
}

/// The order in which a page goes on, where it does.
fn order_of(page: &Page) -> Option<Order> {
    // In the latest order there is no rank.
    page.after.map(|after| match after.rank {
        0 => Order::Latest,
        _ => Order::Ranked,
    })
}

fn other_order() -> Error {
    Error::new(Code::InvalidQuery).with_message("This cursor goes on in the other order.")
}

#[derive(Serialize, utoipa::ToSchema)]
struct FeedSettingsReply {
    #[schema(example = true)]
    success: bool,
    order: Order,
}

/// The order in which one wants to read at home
#[utoipa::path(
    get, path = "/api/v1/feed/settings", tag = "feed", security(("token" = [])),
    responses((status = 200, description = "The order.", body = FeedSettingsReply))
)]
async fn settings(State(feed): State<Feed>, caller: Caller) -> Result<Json<FeedSettingsReply>> {
    Ok(Json(FeedSettingsReply {
        success: true,
        order: feed.order(caller.id()).await?,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct FeedSettingsBody {
    order: Order,
}

/// Say in which order one wants to read at home
///
/// Only for those who want it ranked is it noted whose profiles and posts they look at; with `latest` that is forgotten.
#[utoipa::path(
    patch, path = "/api/v1/feed/settings", tag = "feed", security(("token" = [])), request_body = FeedSettingsBody,
    responses((status = 200, description = "The order.", body = FeedSettingsReply))
)]
async fn change_settings(
    State(feed): State<Feed>,
    caller: Caller,
    Body(FeedSettingsBody { order }): Body<FeedSettingsBody>,
) -> Result<Json<FeedSettingsReply>> {
    feed.set_order(&caller.actor, order).await?;
    Ok(Json(FeedSettingsReply {
        success: true,
        order,
    }))
}

/// All public posts, newest first
///
/// Without those of people, words and hashtags that one mutes.
#[utoipa::path(
    get, path = "/api/v1/feed/local", tag = "feed", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of them.", body = FeedReply))
)]
async fn local(
    State(feed): State<Feed>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<FeedReply>> {
    let page = query.parse_unnumbered(DEFAULT_LIMIT)?;
    Ok(FeedReply::of(feed.local(caller.id(), page).await?))
}

#[derive(Serialize, utoipa::ToSchema)]
struct FeedHealthReply {
    #[schema(example = true)]
    success: bool,
    #[schema(example = "feed-service")]
    service: &'static str,
    #[schema(example = "ok")]
    status: &'static str,
    timestamp: Timestamp,
}

/// Whether feeds work
#[utoipa::path(
    get, path = "/api/v1/feed/health", tag = "feed",
    responses((status = 200, description = "They do.", body = FeedHealthReply))
)]
async fn health(State(feed): State<Feed>) -> Json<FeedHealthReply> {
    Json(FeedHealthReply {
        success: true,
        service: "feed-service",
        status: "ok",
        timestamp: feed.now(),
    })
}

/// A post in the original's feeds.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct FeedEntry {
    post_id: PostId,
    /// Its likes, and its comments twice.
    engagement_score: u64,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct NumberedReply {
    #[schema(example = true)]
    success: bool,
    /// Newest first.
    posts: Vec<FeedEntry>,
    /// Of the newest hundred posts.
    total: usize,
    page: u32,
    limit: u32,
    has_more: bool,
    /// Always false: there is nothing that would have to be generated.
    #[schema(example = false)]
    regenerated: bool,
}

/// The ids of the newest hundred posts that one reads at home
#[utoipa::path(
    get, path = "/api/v1/feed/{userId}", tag = "feed", security(("token" = [])),
    params(("userId" = UserId, Path, description = "Oneself."), PageQuery),
    responses(
        (status = 200, description = "One page of them.", body = NumberedReply),
        (status = 403, description = "`forbidden`: somebody else's.", body = ErrorBody),
    )
)]
async fn numbered(
    State(feed): State<Feed>,
    caller: Caller,
    Path(id): Path<UserId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<NumberedReply>> {
    check_own(&caller, id)?;
    let page = query.parse()?;
    if page.after.is_some() {
        let message = "This list has numbered pages alone.";
        return Err(Error::new(Code::InvalidQuery).with_message(message));
    }
    let posts = feed.numbered(id).await?;
    let total = posts.len();
    let begin = (page.offset as usize).min(total);
    let end = (begin + page.limit as usize).min(total);
    let entry = |post: &Post| FeedEntry {
        post_id: post.id,
        engagement_score: post.count.likes + 2 * post.count.comments,
    };
    Ok(Json(NumberedReply {
        success: true,
        posts: posts[begin..end].iter().map(entry).collect(),
        total,
        page: page.offset / page.limit + 1,
        limit: page.limit,
        has_more: end < total,
        regenerated: false,
    }))
}

/// Have one's feed made anew
#[utoipa::path(
    delete, path = "/api/v1/feed/{userId}", tag = "feed", security(("token" = [])),
    params(("userId" = UserId, Path, description = "Oneself.")),
    responses(
        (status = 200, description = "The next look makes it.", body = Done),
        (status = 403, description = "`forbidden`: somebody else's.", body = ErrorBody),
    )
)]
async fn forget(
    State(feed): State<Feed>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<Done>> {
    check_own(&caller, id)?;
    feed.forget(id);
    Ok(Done::new("Forgotten."))
}

/// What the original was told of whom somebody follows. It is known here.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct RegenerateBody {
    /// Not looked at: whom one follows is known.
    following_ids: Vec<UserId>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct RegeneratedReply {
    #[schema(example = true)]
    success: bool,
    #[schema(example = "The next look makes it anew.")]
    message: &'static str,
    user_id: UserId,
}

/// Have one's feed made anew, as the original's clients ask for it
#[utoipa::path(
    post, path = "/api/v1/feed/regenerate/{userId}", tag = "feed", security(("token" = [])),
    params(("userId" = UserId, Path, description = "Oneself.")), request_body = RegenerateBody,
    responses(
        (status = 200, description = "The next look makes it.", body = RegeneratedReply),
        (status = 403, description = "`forbidden`: somebody else's.", body = ErrorBody),
    )
)]
async fn regenerate(
    State(feed): State<Feed>,
    caller: Caller,
    Path(id): Path<UserId>,
    Body(RegenerateBody {
        following_ids: _known,
    }): Body<RegenerateBody>,
) -> Result<Json<RegeneratedReply>> {
    check_own(&caller, id)?;
    feed.forget(id);
    Ok(Json(RegeneratedReply {
        success: true,
        message: "The next look makes it anew.",
        user_id: id,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct BatchBody {
    /// Oneself.
    #[schema(min_items = 1, max_items = 100)]
    user_ids: Vec<UserId>,
}

/// Have feeds made anew: one's own
#[utoipa::path(
    post, path = "/api/v1/feed/batch-regenerate", tag = "feed", security(("token" = [])), request_body = BatchBody,
    responses(
        (status = 200, description = "The next look makes it.", body = Done),
        (status = 403, description = "`forbidden`: somebody else's is among them.", body = ErrorBody),
    )
)]
async fn batch_regenerate(
    State(feed): State<Feed>,
    caller: Caller,
    Body(body): Body<BatchBody>,
) -> Result<Json<Done>> {
    if body.user_ids.is_empty() || body.user_ids.len() > MAX_FEEDS {
        let message = format!("1 to {MAX_FEEDS} feeds can be named.");
        return Err(Error::invalid_field("userIds", "out_of_range", message));
    }
    for id in body.user_ids {
        check_own(&caller, id)?;
    }
    feed.forget(caller.id());
    Ok(Done::new("The next look makes it anew."))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct AddPostBody {
    /// Oneself.
    author_id: UserId,
    /// A post of one's own.
    post_id: PostId,
}

/// Tell of a post of one's own
///
/// The original had to be told. Here it stands in all feeds where it belongs since it was written.
#[utoipa::path(
    post, path = "/api/v1/feed/post", tag = "feed", security(("token" = [])), request_body = AddPostBody,
    responses(
        (status = 200, description = "It is there.", body = Done),
        (status = 403, description = "`forbidden`: somebody else's.", body = ErrorBody),
    )
)]
async fn add_post(
    State(posts): State<Posts>,
    caller: Caller,
    Body(body): Body<AddPostBody>,
) -> Result<Json<Done>> {
    check_own(&caller, body.author_id)?;
    let post = posts.get(caller.id(), body.post_id).await?;
    check_own(&caller, post.author_id)?;
    Ok(Done::new("It is there."))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct FollowersBody {
    /// Oneself.
    user_id: UserId,
    /// Not looked at: who follows one is known.
    follower_ids: Vec<UserId>,
}

/// Tell of one's followers, who are known
#[utoipa::path(
    post, path = "/api/v1/feed/cache-followers", tag = "feed", security(("token" = [])), request_body = FollowersBody,
    responses(
        (status = 200, description = "Known.", body = Done),
        (status = 403, description = "`forbidden`: somebody else's.", body = ErrorBody),
    )
)]
async fn cache_followers(
    caller: Caller,
    Body(FollowersBody {
        user_id,
        follower_ids: _known,
    }): Body<FollowersBody>,
) -> Result<Json<Done>> {
    check_own(&caller, user_id)?;
    Ok(Done::new("Known."))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct FollowingBody {
    /// Oneself.
    user_id: UserId,
    /// Not looked at: whom one follows is known.
    following_ids: Vec<UserId>,
}

/// Tell of whom one follows, which is known
#[utoipa::path(
    post, path = "/api/v1/feed/cache-following", tag = "feed", security(("token" = [])), request_body = FollowingBody,
    responses(
        (status = 200, description = "Known.", body = Done),
        (status = 403, description = "`forbidden`: somebody else's.", body = ErrorBody),
    )
)]
async fn cache_following(
    caller: Caller,
    Body(FollowingBody {
        user_id,
        following_ids: _known,
    }): Body<FollowingBody>,
) -> Result<Json<Done>> {
    check_own(&caller, user_id)?;
    Ok(Done::new("Known."))
}

/// Errors: `forbidden` for somebody else's feed.
fn check_own(caller: &Caller, id: UserId) -> Result<()> {
    if id == caller.id() {
        Ok(())
    } else {
        Err(Error::new(Code::Forbidden))
    }
}
