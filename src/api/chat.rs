//! Chat without a socket, as the original had it (contract, section 7).

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::SharedDomains;
use super::paging::{from_one, from_zero};
use crate::chat::{Chat, History, Message, MessageDraft, RoomKey, Span};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::gateway::{Body, Caller, ErrorBody, Path, Query};
use crate::id::{MediaId, MessageId, PostId, UserId};

/// Messages that one answer holds when the client does not say.
pub(super) const USUAL: u32 = 50;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(history))
        .routes(routes!(send))
        .routes(routes!(people))
        .routes(routes!(chatable))
        .routes(routes!(chatable_of))
}

#[derive(Serialize, utoipa::ToSchema)]
struct ChatHealthReply {
    #[schema(example = "ok")]
    status: &'static str,
    #[schema(example = "chat-service")]
    service: &'static str,
    /// The original's word for where what passes is kept.
    #[schema(example = "ready")]
    redis: &'static str,
    /// What carries events from one connection to the others.
    #[schema(example = "in-process")]
    socket_adapter: &'static str,
}

/// Whether chat works
#[utoipa::path(
    get, path = "/api/v1/chat/health", tag = "chat",
    responses((status = 200, description = "It does.", body = ChatHealthReply))
)]
async fn health() -> Json<ChatHealthReply> {
    Json(ChatHealthReply {
        status: "ok",
        service: "chat-service",
        redis: "ready",
        socket_adapter: "in-process",
    })
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryQuery {
    /// Messages wanted, from 1; more than 100 count as 100.
    #[param(schema_with = from_one)]
    limit: Option<String>,
    /// Only those before this number; `next_cursor` of the page before.
    #[param(schema_with = from_zero)]
    cursor: Option<String>,
    /// Only those after this number.
    #[param(schema_with = from_zero)]
    after: Option<String>,
    /// Those around this message, by its id.
    #[param(value_type = Option<String>, pattern = "^[1-9][0-9]{0,18}$")]
    around: Option<String>,
    /// Only those sent before this time (contract, section 13).
    before: Option<Timestamp>,
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct MessagesReply {
    #[schema(example = true)]
    success: bool,
    messages: Vec<Message>,
    /// Where the older ones are; null when there are none.
    #[schema(required)]
    next_cursor: Option<String>,
    /// After which number the newer ones are; null when there are none.
    #[schema(required)]
    newer_after: Option<String>,
}

impl MessagesReply {
    pub(super) fn of(history: History) -> Json<Self> {
        let number = |message: Option<&Message>| message.map(|message| message.number.to_string());
        Json(Self {
            success: true,
            next_cursor: number(history.messages.first().filter(|_| history.has_older)),
            newer_after: number(history.messages.last().filter(|_| history.has_newer)),
            messages: history.messages,
        })
    }
}

impl MessagesReply {
    /// The same for a list that begins with the newest.
    pub(super) fn newest_first(history: History) -> Json<Self> {
        let last = history.messages.last().filter(|_| history.has_older);
        Json(Self {
            success: true,
            next_cursor: last.map(|message| message.number.to_string()),
            newer_after: None,
            messages: history.messages,
        })
    }
}

impl HistoryQuery {
    pub(super) fn span(&self) -> Result<Span> {
        let bad = || Error::new(Code::InvalidQuery);
        let number = |text: &str| text.parse::<u64>().map_err(|_no_number| bad());
        match (&self.cursor, &self.after, &self.around, self.before) {
            (None, None, None, None) => Ok(Span::Latest),
            (Some(before), None, None, None) => Ok(Span::Before(number(before)?)),
            (None, Some(after), None, None) => Ok(Span::After(number(after)?)),
            (None, None, Some(id), None) => Ok(Span::Around(id.parse().map_err(|_no_id| bad())?)),
            (None, None, None, Some(time)) => Ok(Span::Until(time)),
            _ => {
                let message = "Only one of cursor, after, around and before can be meant.";
                Err(bad().with_message(message))
            }
        }
    }

    pub(super) fn limit(&self) -> Result<u32> {
        let Some(text) = &self.limit else {
            return Ok(USUAL);
        };
        let limit: u64 = text.parse().map_err(|_no_number| Code::InvalidQuery)?;
        if limit == 0 {
            return Err(Error::new(Code::InvalidQuery));
        }
        Ok(u32::try_from(limit).unwrap_or(u32::MAX))
    }
}

/// What was said in a room
#[utoipa::path(
    get, path = "/api/v1/chat/{roomId}/history", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path, description = "The room's name; of two people, their ids joined by `_`."), HistoryQuery),
    responses(
        (status = 200, description = "A part of it, oldest first.", body = MessagesReply),
        (status = 403, description = "`forbidden`: other people's conversation.", body = ErrorBody),
    )
)]
async fn history(
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

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageBody {
    /// 1 to 10,000 characters; none are needed beside files or a post.
    #[serde(default, alias = "content")]
    #[schema(max_length = 10_000, example = "Hello!")]
    message: String,
    /// Up to 10 uploads of one's own.
    #[serde(default)]
    #[schema(max_items = 10)]
    media_ids: Vec<MediaId>,
    /// A post to point to.
    post_id: Option<PostId>,
    /// A person to whom it is meant: it is refused where they may not be written to.
    target_user_id: Option<UserId>,
    /// The client's own name for it, so that sending it again is the same message: printable ASCII.
    #[serde(rename = "client_id", alias = "clientId")]
    #[schema(max_length = 64, pattern = "^[!-~]+$")]
    client_id: Option<String>,
    /// The message that it answers.
    reply_to: Option<MessageId>,
}

impl MessageBody {
    pub(super) fn into_draft(self) -> MessageDraft {
        MessageDraft {
            text: self.message,
            client_id: self.client_id,
            reply_to: self.reply_to,
            target: self.target_user_id,
            media: self.media_ids,
            post_id: self.post_id,
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct MessageReply {
    #[schema(example = true)]
    success: bool,
    message: &'static str,
    data: Message,
}

pub(super) fn reply(message: &'static str, data: Message) -> Json<MessageReply> {
    Json(MessageReply {
        success: true,
        message,
        data,
    })
}

/// Say something in a room
///
/// Everybody who is there sees it at once. The sender is the caller, whatever the body says.
#[utoipa::path(
    post, path = "/api/v1/chat/{roomId}/message", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)), request_body = MessageBody,
    responses(
        (status = 200, description = "The message.", body = MessageReply),
        (status = 403, description = "`forbidden`, `cannot_message`.", body = ErrorBody),
    )
)]
async fn send(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
    Body(body): Body<MessageBody>,
) -> Result<Json<MessageReply>> {
    let key = RoomKey::parse(&room)?;
    let data = chat.send(&caller.actor, key, body.into_draft()).await?;
    Ok(reply("Sent.", data))
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct OnlookersReply {
    #[schema(example = true)]
    success: bool,
    room_id: String,
    user_count: usize,
    /// Who looks at the room just now; a thousand at most.
    users: Vec<UserId>,
}

/// Who is in a room just now
#[utoipa::path(
    get, path = "/api/v1/chat/{roomId}/users", tag = "chat", security(("token" = [])),
    params(("roomId" = String, Path)),
    responses(
        (status = 200, description = "Their ids.", body = OnlookersReply),
        (status = 403, description = "`forbidden`: other people's conversation.", body = ErrorBody),
    )
)]
async fn people(
    State(chat): State<Chat>,
    caller: Caller,
    Path(room): Path<String>,
) -> Result<Json<OnlookersReply>> {
    let key = RoomKey::parse(&room)?;
    let (user_count, users) = chat.onlookers(caller.id(), key.clone()).await?;
    Ok(Json(OnlookersReply {
        success: true,
        room_id: key.as_text(),
        user_count,
        users,
    }))
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChatableReply {
    #[schema(example = true)]
    success: bool,
    user_id: UserId,
    chatable_users: Vec<UserId>,
    count: usize,
}

async fn find_chatable(chat: &Chat, caller: &Caller) -> Result<Json<ChatableReply>> {
    let chatable_users = chat.chatable(caller.id()).await?;
    Ok(Json(ChatableReply {
        success: true,
        user_id: caller.id(),
        count: chatable_users.len(),
        chatable_users,
    }))
}

/// Those whom one follows and who follow one
///
/// As the original has it; others may let one write to them as well.
#[utoipa::path(
    get, path = "/api/v1/chat/chatable-users", tag = "chat", security(("token" = [])),
    responses((status = 200, description = "Up to 100 ids.", body = ChatableReply))
)]
async fn chatable(State(chat): State<Chat>, caller: Caller) -> Result<Json<ChatableReply>> {
    find_chatable(&chat, &caller).await
}

/// The same, under another name of the original's
#[utoipa::path(
    get, path = "/api/v1/chat/chatable-users/{userId}", tag = "chat", security(("token" = [])),
    params(("userId" = UserId, Path, description = "Oneself.")),
    responses(
        (status = 200, description = "Up to 100 ids.", body = ChatableReply),
        (status = 403, description = "`forbidden`: somebody else.", body = ErrorBody),
    )
)]
async fn chatable_of(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<ChatableReply>> {
    if id != caller.id() {
        return Err(Error::new(Code::Forbidden));
    }
    find_chatable(&chat, &caller).await
}
