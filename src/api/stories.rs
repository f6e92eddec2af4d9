//! Stories, what becomes of them, and highlights.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::chat::{MessageReply, reply};
use super::paging::PageQuery;
use super::{Done, SharedDomains};
use crate::chat::Chat;
use crate::error::Result;
use crate::gateway::{Body, Caller, ErrorBody, Path, Query};
use crate::id::{HighlightId, MediaId, StoryId, UserId};
use crate::page::DEFAULT_LIMIT;
use crate::stories::{
    Circle, Highlight, Stories, Story, StoryAudience, StoryDraft, StoryViewer, TrayEntry,
};
use crate::users::Person;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(tray, post))
        .routes(routes!(get, delete))
        .routes(routes!(view))
        .routes(routes!(viewers))
        .routes(routes!(answer))
        .routes(routes!(react, unreact))
        .routes(routes!(of))
        .routes(routes!(close_friends))
        .routes(routes!(add_close_friend, remove_close_friend))
        .routes(routes!(hidden_from))
        .routes(routes!(hide_from, show_to))
        .routes(routes!(highlights_of))
        .routes(routes!(create_highlight))
        .routes(routes!(highlight, update_highlight, delete_highlight))
}

#[derive(Serialize, utoipa::ToSchema)]
struct TrayReply {
    #[schema(example = true)]
    success: bool,
    /// One's own first, then those with something unseen, then the others; the latest first. 201 at most.
    tray: Vec<TrayEntry>,
}

/// Whose stories one may look at
///
/// One's own, and those of people whom one follows and does not mute.
#[utoipa::path(
    get, path = "/api/v1/stories", tag = "stories", security(("token" = [])),
    responses((status = 200, description = "All of them.", body = TrayReply))
)]
async fn tray(State(stories): State<Stories>, caller: Caller) -> Result<Json<TrayReply>> {
    Ok(Json(TrayReply {
        success: true,
        tray: stories.tray(caller.id()).await?,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct StoryBody {
    /// An upload of one's own: a picture or a video.
    media_id: Option<MediaId>,
    /// What it says; needed where there is no upload.
    #[serde(default)]
    #[schema(max_length = 500, example = "Good morning")]
    text: String,
    /// What stands behind a text alone: a colour, or two joined by a comma.
    #[schema(
        pattern = "^#[0-9a-fA-F]{6}(,#[0-9a-fA-F]{6})?$",
        example = "#4f46e5,#db2777"
    )]
    background: Option<String>,
    /// Who may see it.
    #[serde(default)]
    audience: StoryAudience,
}

#[derive(Serialize, utoipa::ToSchema)]
struct StoryReply {
    #[schema(example = true)]
    success: bool,
    story: Story,
}

/// Show something for a day
#[utoipa::path(
    post, path = "/api/v1/stories", tag = "stories", security(("token" = [])), request_body = StoryBody,
    responses(
        (status = 201, description = "The story.", body = StoryReply),
        (status = 404, description = "`media_not_found`: not one's own, or used already.", body = ErrorBody),
        (status = 409, description = "`too_many_stories`.", body = ErrorBody),
        (status = 415, description = "`unsupported_file`: a recording.", body = ErrorBody),
    )
)]
async fn post(
    State(stories): State<Stories>,
    caller: Caller,
    Body(body): Body<StoryBody>,
) -> Result<(StatusCode, Json<StoryReply>)> {
    let draft = StoryDraft {
        media_id: body.media_id,
        text: body.text,
        background: body.background,
        audience: body.audience,
    };
    let story = stories.post(&caller.actor, draft).await?;
    let success = true;
    Ok((StatusCode::CREATED, Json(StoryReply { success, story })))
}

/// A story
#[utoipa::path(
    get, path = "/api/v1/stories/{storyId}", tag = "stories", security(("token" = [])),
    params(("storyId" = StoryId, Path)),
    responses((status = 200, description = "The story, while it is there.", body = StoryReply))
)]
async fn get(
    State(stories): State<Stories>,
    caller: Caller,
    Path(id): Path<StoryId>,
) -> Result<Json<StoryReply>> {
    let story = stories.get(caller.id(), id).await?;
    let success = true;
    Ok(Json(StoryReply { success, story }))
}

/// Take a story back
///
/// From highlights as well. An admin takes anybody's.
#[utoipa::path(
    delete, path = "/api/v1/stories/{storyId}", tag = "stories", security(("token" = [])),
    params(("storyId" = StoryId, Path)),
    responses((status = 200, description = "Done.", body = Done))
)]
async fn delete(
    State(stories): State<Stories>,
    caller: Caller,
    Path(id): Path<StoryId>,
) -> Result<Json<Done>> {
    stories.delete(&caller.actor, id).await?;
    Ok(Done::new("Removed."))
}

/// Say that one has seen a story
///
/// Its author sees who has.
#[utoipa::path(
    post, path = "/api/v1/stories/{storyId}/view", tag = "stories", security(("token" = [])),
    params(("storyId" = StoryId, Path)),
    responses((status = 200, description = "Noted; again changes nothing.", body = Done))
)]
async fn view(
    State(stories): State<Stories>,
    caller: Caller,
    Path(id): Path<StoryId>,
) -> Result<Json<Done>> {
    stories.view(&caller.actor, id).await?;
    Ok(Done::new("Noted."))
}

#[derive(Serialize, utoipa::ToSchema)]
struct StoryViewersReply {
    #[schema(example = true)]
    success: bool,
    /// The latest first.
    viewers: Vec<StoryViewer>,
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Who has seen a story of one's own, and how they reacted
#[utoipa::path(
    get, path = "/api/v1/stories/{storyId}/viewers", tag = "stories", security(("token" = [])),
    params(("storyId" = StoryId, Path), PageQuery),
    responses((status = 200, description = "One page of them.", body = StoryViewersReply))
)]
async fn viewers(
    State(stories): State<Stories>,
    caller: Caller,
    Path(id): Path<StoryId>,
    Query(query): Query<PageQuery>,
) -> Result<Json<StoryViewersReply>> {
    let page = query.parse_unnumbered(DEFAULT_LIMIT)?;
    let slice = stories.viewers(caller.id(), id, page).await?;
    Ok(Json(StoryViewersReply {
        success: true,
        next_cursor: slice.next_cursor(),
        viewers: slice.items,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct StoryAnswerBody {
    #[schema(min_length = 1, max_length = 10_000, example = "How beautiful!")]
    message: String,
    /// The client's own name for it, so that sending it again is the same message: printable ASCII.
    #[serde(alias = "clientId")]
    #[schema(max_length = 64, pattern = "^[!-~]+$")]
    client_id: Option<String>,
}

/// Answer a story
///
/// It is a message to its author, and points to the story (`storyId`).
#[utoipa::path(
    post, path = "/api/v1/stories/{storyId}/replies", tag = "stories", security(("token" = [])),
    params(("storyId" = StoryId, Path)), request_body = StoryAnswerBody,
    responses(
        (status = 200, description = "The message.", body = MessageReply),
        (status = 403, description = "`cannot_message`: the author does not want to be written to, or is oneself.", body = ErrorBody),
        (status = 409, description = "`too_many_requests_pending`.", body = ErrorBody),
    )
)]
async fn answer(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<StoryId>,
    Body(body): Body<StoryAnswerBody>,
) -> Result<Json<MessageReply>> {
    let said = chat
        .answer_story(&caller.actor, id, body.message, body.client_id)
        .await?;
    Ok(reply("Sent.", said))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct StoryReactionBody {
    #[schema(min_length = 1, example = "👏")]
    emoji: String,
}

/// React to a story
///
/// Its author sees it among those who have seen the story, and as a message. Another reaction takes its place: the message
/// is edited.
#[utoipa::path(
    put, path = "/api/v1/stories/{storyId}/reaction", tag = "stories", security(("token" = [])),
    params(("storyId" = StoryId, Path)), request_body = StoryReactionBody,
    responses(
        (status = 200, description = "The message; again, the same.", body = MessageReply),
        (status = 403, description = "`cannot_message`: the author does not want to be written to, or is oneself.", body = ErrorBody),
        (status = 409, description = "`too_many_requests_pending`.", body = ErrorBody),
    )
)]
async fn react(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<StoryId>,
    Body(body): Body<StoryReactionBody>,
) -> Result<Json<MessageReply>> {
    let said = chat.react_to_story(&caller.actor, id, body.emoji).await?;
    Ok(reply("Sent.", said))
}

/// Take one's reaction to a story back
///
/// The message stays, until one removes it.
#[utoipa::path(
    delete, path = "/api/v1/stories/{storyId}/reaction", tag = "stories", security(("token" = [])),
    params(("storyId" = StoryId, Path)),
    responses((status = 200, description = "Done.", body = Done))
)]
async fn unreact(
    State(stories): State<Stories>,
    caller: Caller,
    Path(id): Path<StoryId>,
) -> Result<Json<Done>> {
    stories.unreact(&caller.actor, id).await?;
    Ok(Done::new("Done."))
}

#[derive(Serialize, utoipa::ToSchema)]
struct StoriesReply {
    #[schema(example = true)]
    success: bool,
    /// In the order in which they were posted.
    stories: Vec<Story>,
}

/// Somebody's stories
#[utoipa::path(
    get, path = "/api/v1/users/{userId}/stories", tag = "stories", security(("token" = [])),
    params(("userId" = UserId, Path)),
    responses((status = 200, description = "Those that one may see.", body = StoriesReply))
)]
async fn of(
    State(stories): State<Stories>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<StoriesReply>> {
    Ok(Json(StoriesReply {
        success: true,
        stories: stories.of(caller.id(), id).await?,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct CircleReply {
    #[schema(example = true)]
    success: bool,
    users: Vec<Person>,
    #[schema(required)]
    next_cursor: Option<String>,
}

async fn circle(
    stories: &Stories,
    caller: &Caller,
    circle: Circle,
    query: &PageQuery,
) -> Result<Json<CircleReply>> {
    let page = query.parse_unnumbered(DEFAULT_LIMIT)?;
    let slice = stories.circle(caller.id(), circle, page).await?;
    Ok(Json(CircleReply {
        success: true,
        next_cursor: slice.next_cursor(),
        users: slice.items,
    }))
}

/// One's close friends
#[utoipa::path(
    get, path = "/api/v1/stories/close-friends", tag = "stories", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of them.", body = CircleReply))
)]
async fn close_friends(
    State(stories): State<Stories>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<CircleReply>> {
    circle(&stories, &caller, Circle::CloseFriends, &query).await
}

/// Make somebody a close friend
///
/// They see what is for close friends. Nobody is told.
#[utoipa::path(
    put, path = "/api/v1/stories/close-friends/{userId}", tag = "stories", security(("token" = [])),
    params(("userId" = UserId, Path)),
    responses(
        (status = 200, description = "Done.", body = Done),
        (status = 409, description = "`too_many_in_circle`.", body = ErrorBody),
    )
)]
async fn add_close_friend(
    State(stories): State<Stories>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<Done>> {
    let set = stories.set_circle(&caller.actor, Circle::CloseFriends, id, true);
    set.await?;
    Ok(Done::new("Done."))
}

/// Let somebody be no close friend any more
#[utoipa::path(
    delete, path = "/api/v1/stories/close-friends/{userId}", tag = "stories", security(("token" = [])),
    params(("userId" = UserId, Path)),
    responses((status = 200, description = "Done.", body = Done))
)]
async fn remove_close_friend(
    State(stories): State<Stories>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<Done>> {
    let set = stories.set_circle(&caller.actor, Circle::CloseFriends, id, false);
    set.await?;
    Ok(Done::new("Done."))
}

/// From whom one's stories are hidden
#[utoipa::path(
    get, path = "/api/v1/stories/hidden-from", tag = "stories", security(("token" = [])), params(PageQuery),
    responses((status = 200, description = "One page of them.", body = CircleReply))
)]
async fn hidden_from(
    State(stories): State<Stories>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Json<CircleReply>> {
    circle(&stories, &caller, Circle::HiddenFrom, &query).await
}

/// Hide one's stories from somebody
///
/// All of them, highlights as well. Nobody is told.
#[utoipa::path(
    put, path = "/api/v1/stories/hidden-from/{userId}", tag = "stories", security(("token" = [])),
    params(("userId" = UserId, Path)),
    responses(
        (status = 200, description = "Done.", body = Done),
        (status = 409, description = "`too_many_in_circle`.", body = ErrorBody),
    )
)]
async fn hide_from(
    State(stories): State<Stories>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<Done>> {
    let set = stories.set_circle(&caller.actor, Circle::HiddenFrom, id, true);
    set.await?;
    Ok(Done::new("Done."))
}

/// Show one's stories to somebody again
#[utoipa::path(
    delete, path = "/api/v1/stories/hidden-from/{userId}", tag = "stories", security(("token" = [])),
    params(("userId" = UserId, Path)),
    responses((status = 200, description = "Done.", body = Done))
)]
async fn show_to(
    State(stories): State<Stories>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<Done>> {
    let set = stories.set_circle(&caller.actor, Circle::HiddenFrom, id, false);
    set.await?;
    Ok(Done::new("Done."))
}

#[derive(Serialize, utoipa::ToSchema)]
struct HighlightsReply {
    #[schema(example = true)]
    success: bool,
    /// The latest first; 50 at most.
    highlights: Vec<Highlight>,
}

/// What somebody keeps of their stories
#[utoipa::path(
    get, path = "/api/v1/users/{userId}/highlights", tag = "stories", security(("token" = [])),
    params(("userId" = UserId, Path)),
    responses((status = 200, description = "Those in which one may see something.", body = HighlightsReply))
)]
async fn highlights_of(
    State(stories): State<Stories>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<HighlightsReply>> {
    Ok(Json(HighlightsReply {
        success: true,
        highlights: stories.highlights(caller.id(), id).await?,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct HighlightBody {
    #[schema(min_length = 1, max_length = 40, example = "Holidays")]
    title: String,
    /// Stories of one's own, in this order; the first is the cover.
    #[schema(min_items = 1, max_items = 100)]
    story_ids: Vec<StoryId>,
}

#[derive(Serialize, utoipa::ToSchema)]
struct HighlightReply {
    #[schema(example = true)]
    success: bool,
    highlight: Highlight,
}

impl HighlightReply {
    fn of(highlight: Highlight) -> Json<Self> {
        Json(Self {
            success: true,
            highlight,
        })
    }
}

/// Keep stories on one's profile
#[utoipa::path(
    post, path = "/api/v1/highlights", tag = "stories", security(("token" = [])), request_body = HighlightBody,
    responses(
        (status = 201, description = "The highlight.", body = HighlightReply),
        (status = 404, description = "`story_not_found`: not one's own, or over.", body = ErrorBody),
        (status = 409, description = "`too_many_highlights`.", body = ErrorBody),
    )
)]
async fn create_highlight(
    State(stories): State<Stories>,
    caller: Caller,
    Body(body): Body<HighlightBody>,
) -> Result<(StatusCode, Json<HighlightReply>)> {
    let made = stories
        .create_highlight(&caller.actor, &body.title, body.story_ids)
        .await?;
    Ok((StatusCode::CREATED, HighlightReply::of(made)))
}

#[derive(Serialize, utoipa::ToSchema)]
struct HighlightViewReply {
    #[schema(example = true)]
    success: bool,
    highlight: Highlight,
    /// Those in it that one may see, in its order.
    stories: Vec<Story>,
}

/// A highlight
#[utoipa::path(
    get, path = "/api/v1/highlights/{highlightId}", tag = "stories", security(("token" = [])),
    params(("highlightId" = HighlightId, Path)),
    responses((status = 200, description = "It, and its stories.", body = HighlightViewReply))
)]
async fn highlight(
    State(stories): State<Stories>,
    caller: Caller,
    Path(id): Path<HighlightId>,
) -> Result<Json<HighlightViewReply>> {
    let (highlight, stories) = stories.highlight(caller.id(), id).await?;
    Ok(Json(HighlightViewReply {
        success: true,
        highlight,
        stories,
    }))
}

/// Absent fields stay.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct HighlightChangeBody {
    #[schema(min_length = 1, max_length = 40)]
    title: Option<String>,
    /// All that it has from then on, in this order; the first is the cover.
    #[schema(min_items = 1, max_items = 100)]
    story_ids: Option<Vec<StoryId>>,
}

/// Give a highlight another title, or other stories
#[utoipa::path(
    patch, path = "/api/v1/highlights/{highlightId}", tag = "stories", security(("token" = [])),
    params(("highlightId" = HighlightId, Path)), request_body = HighlightChangeBody,
    responses((status = 200, description = "The highlight as it is now.", body = HighlightReply))
)]
async fn update_highlight(
    State(stories): State<Stories>,
    caller: Caller,
    Path(id): Path<HighlightId>,
    Body(body): Body<HighlightChangeBody>,
) -> Result<Json<HighlightReply>> {
    let (title, ids) = (body.title.as_deref(), body.story_ids);
    let changed = stories.update_highlight(&caller.actor, id, title, ids);
    Ok(HighlightReply::of(changed.await?))
}

/// Remove a highlight
#[utoipa::path(
    delete, path = "/api/v1/highlights/{highlightId}", tag = "stories", security(("token" = [])),
    params(("highlightId" = HighlightId, Path)),
    responses((status = 200, description = "Done.", body = Done))
)]
async fn delete_highlight(
    State(stories): State<Stories>,
    caller: Caller,
    Path(id): Path<HighlightId>,
) -> Result<Json<Done>> {
    stories.delete_highlight(&caller.actor, id).await?;
    Ok(Done::new("Removed."))
}
