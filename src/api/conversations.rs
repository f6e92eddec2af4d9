//! Conversations of two and of a few (contract, section 13).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::chat::{HistoryQuery, MessageBody, MessageReply, MessagesReply, USUAL, reply};
use super::paging::{PageQuery, from_zero_or_null};
use super::{Done, SharedDomains};
use crate::chat::{
    Chat, ChatSettings, Conversation, Folder, Presence, RoomKey, Span, WhoMayMessage,
};
use crate::error::{Code, Error, Result};
use crate::gateway::{Body, Caller, ErrorBody, Path, Query};
use crate::id::UserId;
use crate::page::MAX_LIMIT;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(start))
        .routes(routes!(get, clear))
        .routes(routes!(messages, say))
        .routes(routes!(media))
        .routes(routes!(mark_read))
        .routes(routes!(mark_delivered))
        .routes(routes!(accept))
        .routes(routes!(decline))
        .routes(routes!(unread_count))
        .routes(routes!(settings, change_settings))
        .routes(routes!(presence))
}

#[derive(Serialize, utoipa::ToSchema)]
struct ConversationReply {
    #[schema(example = true)]
    success: bool,
    conversation: Conversation,
}

impl ConversationReply {
    fn of(conversation: Conversation) -> Json<Self> {
        Json(Self {
            success: true,
            conversation,
        })
    }
}

#[derive(Serialize, utoipa::ToSchema)]
struct ConversationsReply {
    #[schema(example = true)]
    success: bool,
    conversations: Vec<Conversation>,
    #[schema(required)]
    next_cursor: Option<String>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct FolderQuery {
    /// Those one has accepted, or those that wait for that.
    #[param(inline)]
    folder: Option<Folder>,
}

/// One's conversations, the latest first
#[utoipa::path(
    get, path = "/api/v1/chat/conversations", tag = "chat", security(("token" = [])),
    params(FolderQuery, PageQuery),
    responses((status = 200, description = "One page of them.", body = ConversationsReply))
)]
async fn list(
    State(chat): State<Chat>,
    caller: Caller,
    Query(folder): Query<FolderQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<ConversationsReply>> {
    let folder = folder.folder.unwrap_or_default();
    let page = page.parse_unnumbered(USUAL)?;
    let slice = chat.conversations(caller.id(), folder, page).await?;
    Ok(Json(ConversationsReply {
        success: true,
        next_cursor: slice.next_cursor(),
        conversations: slice.items,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct GroupBody {
    /// The others: 1 to 49.
    #[schema(min_items = 1, max_items = 49)]
    user_ids: Vec<UserId>,
    /// At most 80 characters.
    #[schema(max_length = 80, example = "Sunday hike")]
    title: Option<String>,
}

/// Begin a conversation of a few
///
/// Each must let the caller write to them; for who does not follow the caller it is a request.
#[utoipa::path(
    post, path = "/api/v1/chat/conversations", tag = "chat", security(("token" = [])), request_body = GroupBody,
    responses(
        (status = 201, description = "The conversation.", body = ConversationReply),
        (status = 403, description = "`cannot_message`.", body = ErrorBody),
        (status = 409, description = "`too_many_members`.", body = ErrorBody),
    )
)]
async fn create(
    State(chat): State<Chat>,
    caller: Caller,
    Body(body): Body<GroupBody>,
) -> Result<(StatusCode, Json<ConversationReply>)> {
    let conversation = chat
        .create_group(&caller.actor, body.user_ids, body.title)
        .await?;
    Ok((StatusCode::CREATED, ConversationReply::of(conversation)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct StartBody {
    /// With whom.
    target_user_id: UserId,
}

/// Begin a conversation of two, or find it
#[utoipa::path(
    post, path = "/api/v1/chat/conversations/start", tag = "chat", security(("token" = [])), request_body = StartBody,
    responses(
        (status = 200, description = "The conversation.", body = ConversationReply),
        (status = 403, description = "`cannot_message`.", body = ErrorBody),
    )
)]
async fn start(
    State(chat): State<Chat>,
    caller: Caller,
    Body(body): Body<StartBody>,
) -> Result<Json<ConversationReply>> {
    let conversation = chat
        .start_conversation(&caller.actor, body.target_user_id)
        .await?;
    Ok(ConversationReply::of(conversation))
}

/// One of one's conversations
#[utoipa::path(
    get, path = "/api/v1/chat/conversations/{roomId}", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)),
    responses(
        (status = 200, description = "The conversation.", body = ConversationReply),
        (status = 403, description = "`forbidden`: other people's.", body = ErrorBody),
    )
)]
async fn get(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
) -> Result<Json<ConversationReply>> {
    let key = RoomKey::parse(&room)?;
    Ok(ConversationReply::of(
        chat.conversation(caller.id(), key).await?,
    ))
}

/// Throw a conversation away, for oneself
///
/// It leaves one's list with all that was said so far. What is said later brings it back.
#[utoipa::path(
    delete, path = "/api/v1/chat/conversations/{roomId}", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)),
    responses(
        (status = 200, description = "Done.", body = Done),
        (status = 403, description = "`forbidden`: other people's, or a room.", body = ErrorBody),
    )
)]
async fn clear(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
) -> Result<Json<Done>> {
    let key = RoomKey::parse(&room)?;
    chat.clear_conversation(&caller.actor, key).await?;
    Ok(Done::new("Thrown away."))
}

/// What was said in a conversation
#[utoipa::path(
    get, path = "/api/v1/chat/conversations/{roomId}/messages", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path), HistoryQuery),
    responses(
        (status = 200, description = "A part of it, oldest first.", body = MessagesReply),
        (status = 403, description = "`forbidden`: other people's.", body = ErrorBody),
    )
)]
async fn messages(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<MessagesReply>> {
    let key = RoomKey::parse(&room)?;
    let history = chat
        .history(caller.id(), key, query.span()?, query.limit()?)
        .await?;
    Ok(MessagesReply::of(history))
}

/// Say something in a conversation
#[utoipa::path(
    post, path = "/api/v1/chat/conversations/{roomId}/messages", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)), request_body = MessageBody,
    responses(
        (status = 200, description = "The message.", body = MessageReply),
        (status = 403, description = "`forbidden`, `cannot_message`.", body = ErrorBody),
    )
)]
async fn say(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
    Body(body): Body<MessageBody>,
) -> Result<Json<MessageReply>> {
    let key = RoomKey::parse(&room)?;
    let data = chat.send(&caller.actor, key, body.into_draft()).await?;
    Ok(reply("Sent.", data))
}

/// The pictures, videos and recordings of a conversation
///
/// The messages that bring some, the newest first.
#[utoipa::path(
    get, path = "/api/v1/chat/conversations/{roomId}/media", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path), HistoryQuery),
    responses(
        (status = 200, description = "A page of messages.", body = MessagesReply),
        (status = 403, description = "`forbidden`: other people's.", body = ErrorBody),
    )
)]
async fn media(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<MessagesReply>> {
    let before = match query.span()? {
        Span::Latest => None,
        Span::Before(number) => Some(number),
        Span::Until(_) | Span::After(_) | Span::Around(_) => {
            let message = "This list is read with cursor alone.";
            return Err(Error::new(Code::InvalidQuery).with_message(message));
        }
    };
    let key = RoomKey::parse(&room)?;
    let found = chat.media(caller.id(), key, before, query.limit()?).await?;
    Ok(MessagesReply::newest_first(found))
}

#[derive(Default, Deserialize, utoipa::ToSchema)]
struct UpToBody {
    /// The number of the last message; without it, all are meant.
    #[schema(schema_with = from_zero_or_null)]
    number: Option<u64>,
}

/// Mark a room as read
#[utoipa::path(
    post, path = "/api/v1/chat/conversations/{roomId}/read", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)), request_body = UpToBody,
    responses(
        (status = 200, description = "Done.", body = Done),
        (status = 403, description = "`forbidden`: other people's.", body = ErrorBody),
    )
)]
async fn mark_read(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
    Body(body): Body<UpToBody>,
) -> Result<Json<Done>> {
    let key = RoomKey::parse(&room)?;
    chat.mark_read(&caller.actor, key, body.number).await?;
    Ok(Done::new("Read."))
}

/// Say that messages have arrived
#[utoipa::path(
    post, path = "/api/v1/chat/conversations/{roomId}/delivered", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)), request_body = UpToBody,
    responses(
        (status = 200, description = "Done.", body = Done),
        (status = 403, description = "`forbidden`: other people's.", body = ErrorBody),
    )
)]
async fn mark_delivered(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
    Body(body): Body<UpToBody>,
) -> Result<Json<Done>> {
    let key = RoomKey::parse(&room)?;
    chat.mark_delivered(&caller.actor, key, body.number).await?;
    Ok(Done::new("Noted."))
}

/// Accept a conversation that somebody else began
#[utoipa::path(
    post, path = "/api/v1/chat/conversations/{roomId}/accept", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)),
    responses(
        (status = 200, description = "Done.", body = Done),
        (status = 403, description = "`forbidden`: other people's, or a room.", body = ErrorBody),
    )
)]
async fn accept(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
) -> Result<Json<Done>> {
    let key = RoomKey::parse(&room)?;
    chat.answer_request(&caller.actor, key, true).await?;
    Ok(Done::new("Accepted."))
}

/// Decline a conversation that somebody else began
///
/// They write no more, until it is accepted after all.
#[utoipa::path(
    post, path = "/api/v1/chat/conversations/{roomId}/decline", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)),
    responses(
        (status = 200, description = "Done.", body = Done),
        (status = 403, description = "`forbidden`: other people's, or a room.", body = ErrorBody),
    )
)]
async fn decline(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
) -> Result<Json<Done>> {
    let key = RoomKey::parse(&room)?;
    chat.answer_request(&caller.actor, key, false).await?;
    Ok(Done::new("Declined."))
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct UnreadMessagesReply {
    #[schema(example = true)]
    success: bool,
    /// In the conversations that one has accepted; counted up to a thousand.
    unread_count: u64,
    /// Conversations that wait to be accepted; counted up to a thousand.
    request_count: u64,
}

/// How many messages one has not read
#[utoipa::path(
    get, path = "/api/v1/chat/unread-count", tag = "chat", security(("token" = [])),
    responses((status = 200, description = "In all conversations together.", body = UnreadMessagesReply))
)]
async fn unread_count(
    State(chat): State<Chat>,
    caller: Caller,
) -> Result<Json<UnreadMessagesReply>> {
    Ok(Json(UnreadMessagesReply {
        success: true,
        unread_count: chat.unread_total(caller.id()).await?,
        request_count: chat.request_count(caller.id()).await?,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
struct ChatSettingsReply {
    #[schema(example = true)]
    success: bool,
    #[serde(flatten)]
    settings: ChatSettings,
}

/// Absent fields stay.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChatSettingsBody {
    /// Whom one lets write to one.
    who_may_message: Option<WhoMayMessage>,
    /// Whether people one knows see that one is there, and when one last was; without it one does not see them either.
    shows_presence: Option<bool>,
}

/// Who may write to one, and whether one is seen
#[utoipa::path(
    get, path = "/api/v1/chat/settings", tag = "chat", security(("token" = [])),
    responses((status = 200, description = "One's settings.", body = ChatSettingsReply))
)]
async fn settings(State(chat): State<Chat>, caller: Caller) -> Result<Json<ChatSettingsReply>> {
    Ok(Json(ChatSettingsReply {
        success: true,
        settings: chat.settings(caller.id()).await?,
    }))
}

/// Say who may write to one, and whether one is seen
#[utoipa::path(
    patch, path = "/api/v1/chat/settings", tag = "chat", security(("token" = [])), request_body = ChatSettingsBody,
    responses((status = 200, description = "One's settings.", body = ChatSettingsReply))
)]
async fn change_settings(
    State(chat): State<Chat>,
    caller: Caller,
    Body(body): Body<ChatSettingsBody>,
) -> Result<Json<ChatSettingsReply>> {
    let (who, shows) = (body.who_may_message, body.shows_presence);
    if who.is_none() && shows.is_none() {
        return Err(Error::new(Code::NothingToChange));
    }
    Ok(Json(ChatSettingsReply {
        success: true,
        settings: chat.set_settings(&caller.actor, who, shows).await?,
    }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct PresenceQuery {
    /// 1 to 100 ids, joined by commas.
    #[param(example = "465910002886901760")]
    ids: String,
}

#[derive(Serialize, utoipa::ToSchema)]
struct PresenceReply {
    #[schema(example = true)]
    success: bool,
    presence: Vec<Presence>,
}

/// Who is there
///
/// People who follow one and whom one follows, and those who have written to one; while both show themselves. The
/// others are left out.
#[utoipa::path(
    get, path = "/api/v1/chat/presence", tag = "chat", security(("token" = [])), params(PresenceQuery),
    responses((status = 200, description = "How they stand.", body = PresenceReply))
)]
async fn presence(
    State(chat): State<Chat>,
    caller: Caller,
    Query(query): Query<PresenceQuery>,
) -> Result<Json<PresenceReply>> {
    let ids = query.ids.split(',').map(str::parse);
    let ids = ids.collect::<std::result::Result<Vec<UserId>, _>>().ok();
    let ids = ids.filter(|ids| ids.len() <= MAX_LIMIT as usize);
    let ids = ids.ok_or(Code::InvalidQuery)?;
    Ok(Json(PresenceReply {
        success: true,
        presence: chat.presence_of(caller.id(), ids).await?,
    }))
}
