//! Search.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paging::PageQuery;
use super::{Done, SharedDomains};
use crate::chat::{Message, RoomKey};
use crate::error::{Code, Error, Result};
use crate::gateway::{Admin, Caller, ErrorBody, Path, Query};
use crate::search::{Highlight, Part, Results, Search, Section, Status, Suggestions, Wanted};

/// Hits of each section when the client does not say.
const USUAL: u32 = 10;
/// Messages of one room when the client does not say (contract, section 13).
const USUAL_MESSAGES: u32 = 20;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(search))
        .routes(routes!(suggest))
        .routes(routes!(search_conversation))
        .routes(routes!(status))
        .routes(routes!(rebuild))
        .routes(routes!(verify))
}

/// In which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SearchOrder)]
enum Order {
    /// What fits best first; the newer of two that fit alike.
    #[default]
    Best,
    /// The newest first.
    Newest,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct SearchQuery {
    /// At most 256 characters, 16 words and operators: `word`, `"a phrase"`, `-word`, `#tag`, `from:name`, `in:posts`
    /// (`comments`, `people`, `tags`, `messages`), `in:room`, `in:@name`, `has:media`, `before:2026-01-31`, `after:2026-01`.
    #[param(example = "\"good morning\" from:ada")]
    q: String,
    /// Some of `people`, `tags`, `posts`, `comments`, `messages`, joined by commas; all without it.
    #[param(example = "posts,people")]
    types: Option<String>,
    /// What fits best first, or the newest. What has no words is always in order of time.
    #[param(inline)]
    sort: Option<Order>,
}

impl SearchQuery {
    fn sections(&self) -> Result<Vec<Section>> {
        let Some(types) = self.types.as_deref().filter(|types| !types.is_empty()) else {
            return Ok(Vec::new());
        };
        let named = types.split(',').map(|name| Section::from_name(name.trim()));
        named.collect::<Option<_>>().ok_or_else(|| {
            Error::new(Code::InvalidQuery)
                .with_message("types are people, tags, posts, comments, messages.")
        })
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct SearchReply {
    #[schema(example = true)]
    success: bool,
    #[serde(flatten)]
    results: Results,
}

/// Search everything
///
/// One answer with a section for each kind; nothing is found, counted or shown that one may not see. What was written a
/// moment ago is found within a second. Highlights are pieces of plain text, never HTML. With a cursor, one of `types` has
/// to be given; tags come on one page.
#[utoipa::path(
    get, path = "/api/v1/search", tag = "search", security(("token" = [])), params(SearchQuery, PageQuery),
    responses(
        (status = 200, description = "What was found.", body = SearchReply),
        (status = 400, description = "`invalid_query`: nothing to look for, too much, or no day.", body = ErrorBody),
        (status = 503, description = "`overloaded`, `timed_out`.", body = ErrorBody),
    )
)]
async fn search(
    State(search): State<Search>,
    caller: Caller,
    Query(query): Query<SearchQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<SearchReply>> {
    let wanted = Wanted {
        sections: query.sections()?,
        page: page.parse_unnumbered(USUAL)?,
        newest_first: query.sort == Some(Order::Newest),
        text: query.q,
    };
    Ok(Json(SearchReply {
        success: true,
        results: search.search(caller.id(), wanted).await?,
    }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct SuggestQuery {
    /// How a name or tag begins, at most 64 characters; with `@` only people, with `#` only tags.
    #[param(example = "#ru")]
    q: String,
}

#[derive(Serialize, utoipa::ToSchema)]
struct SuggestReply {
    #[schema(example = true)]
    success: bool,
    #[serde(flatten)]
    suggestions: Suggestions,
}

/// Complete a name or a tag
///
/// A letter of a longer name may be wrong. People and tags that one mutes are left out; tags are counted over public posts and
/// one's own.
#[utoipa::path(
    get, path = "/api/v1/search/suggest", tag = "search", security(("token" = [])), params(SuggestQuery, PageQuery),
    responses(
        (status = 200, description = "People and tags.", body = SuggestReply),
        (status = 400, description = "`invalid_query`.", body = ErrorBody),
    )
)]
async fn suggest(
    State(search): State<Search>,
    caller: Caller,
    Query(query): Query<SuggestQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<SuggestReply>> {
    let limit = page.parse_unnumbered(USUAL)?.limit as usize;
    Ok(Json(SuggestReply {
        success: true,
        suggestions: search.suggest(caller.id(), &query.q, limit).await?,
    }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct InRoomQuery {
    /// As for the search of everything.
    #[param(example = "hello")]
    q: String,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct FoundMessagesReply {
    #[schema(example = true)]
    success: bool,
    /// Whether the index is being made: then there may be more than is found.
    rebuilding: bool,
    /// How many there are, counted up to a thousand.
    total: usize,
    /// Whether there may be more than that.
    is_capped: bool,
    /// The newest first.
    messages: Vec<Message>,
    /// What fits in each of them, in the same order.
    highlights: Vec<Vec<Highlight>>,
    #[serde(rename = "next_cursor")]
    #[schema(required)]
    next_cursor: Option<String>,
}

/// Search one room
///
/// A conversation, or any room in which one may read.
#[utoipa::path(
    get, path = "/api/v1/chat/conversations/{roomId}/search", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path), InRoomQuery, PageQuery),
    responses(
        (status = 200, description = "The messages that fit.", body = FoundMessagesReply),
        (status = 400, description = "`invalid_query`.", body = ErrorBody),
        (status = 403, description = "`forbidden`: other people's.", body = ErrorBody),
    )
)]
async fn search_conversation(
    State(search): State<Search>,
    caller: Caller,
    Path(room): Path<String>,
    Query(query): Query<InRoomQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<FoundMessagesReply>> {
    let key = RoomKey::parse(&room)?;
    let wanted = Wanted {
        text: query.q,
        sections: Vec::new(),
        page: page.parse_unnumbered(USUAL_MESSAGES)?,
        newest_first: true,
    };
    let results = search.search_room(caller.id(), key, wanted).await?;
    let part = results.messages.unwrap_or_else(Part::default);
    let (messages, highlights) = part
        .hits
        .into_iter()
        .map(|hit| (hit.message, hit.highlights))
        .unzip();
    Ok(Json(FoundMessagesReply {
        success: true,
        rebuilding: results.rebuilding,
        total: part.total,
        is_capped: part.is_capped,
        messages,
        highlights,
        next_cursor: part.next_cursor,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct SearchStatusReply {
    #[schema(example = true)]
    success: bool,
    #[serde(flatten)]
    status: Status,
}

/// How the search index is doing
#[utoipa::path(
    get, path = "/api/v1/admin/search", tag = "admin", security(("token" = [])),
    responses(
        (status = 200, description = "Its state.", body = SearchStatusReply),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
    )
)]
async fn status(State(search): State<Search>, _admin: Admin) -> Result<Json<SearchStatusReply>> {
    Ok(Json(SearchStatusReply {
        success: true,
        status: search.status(),
    }))
}

/// Make the search index anew
///
/// The present one is searched, and follows what happens, until the new one is complete. While one is being made, no other
/// is begun.
#[utoipa::path(
    post, path = "/api/v1/admin/search/rebuild", tag = "admin", security(("token" = [])),
    responses(
        (status = 202, description = "It has begun.", body = Done),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
    )
)]
async fn rebuild(State(search): State<Search>, _admin: Admin) -> Result<(StatusCode, Json<Done>)> {
    search.rebuild_anew().await?;
    let done = Done::new("The search index is being made anew.");
    Ok((StatusCode::ACCEPTED, done))
}

/// Compare the search index with the database
///
/// What is wrong is put right. The result is in the index's state.
#[utoipa::path(
    post, path = "/api/v1/admin/search/verify", tag = "admin", security(("token" = [])),
    responses(
        (status = 202, description = "It has begun.", body = Done),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
        (status = 503, description = "`repairing`: an index is being made, or compared already.", body = ErrorBody),
    )
)]
async fn verify(State(search): State<Search>, _admin: Admin) -> Result<(StatusCode, Json<Done>)> {
    search.verify()?;
    let done = Done::new("The search index is being compared with the database.");
    Ok((StatusCode::ACCEPTED, done))
}
