//! Messages by their ids: changed, taken back, reacted to, pinned (contract, section 13).

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::SharedDomains;
use super::chat::{MessageReply, reply};
use crate::chat::{Chat, MessageEdit};
use crate::error::Result;
use crate::gateway::{Body, Caller, ErrorBody, Path};
use crate::id::MessageId;

pub(super) fn routes() -> OpenApiRouter<SharedDomains> {
    OpenApiRouter::new()
        .routes(routes!(get, edit, delete))
        .routes(routes!(edits))
        .routes(routes!(react, unreact))
        .routes(routes!(pin, unpin))
}

/// One message
#[utoipa::path(
    get, path = "/api/v1/chat/messages/{messageId}", tag = "chat", security(("token" = [])),
    params(("messageId" = MessageId, Path)),
    responses((status = 200, description = "The message.", body = MessageReply))
)]
async fn get(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<Json<MessageReply>> {
    Ok(reply("Here it is.", chat.message(caller.id(), id).await?))
}

#[derive(Serialize, utoipa::ToSchema)]
struct MessageEditsReply {
    #[schema(example = true)]
    success: bool,
    /// The latest first; at most 100.
    edits: Vec<MessageEdit>,
}

/// What a message said before it was changed
#[utoipa::path(
    get, path = "/api/v1/chat/messages/{messageId}/edits", tag = "chat", security(("token" = [])),
    params(("messageId" = MessageId, Path)),
    responses((status = 200, description = "Its earlier texts.", body = MessageEditsReply))
)]
async fn edits(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<Json<MessageEditsReply>> {
    Ok(Json(MessageEditsReply {
        success: true,
        edits: chat.edits(caller.id(), id).await?,
    }))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct MessageEditBody {
    /// 1 to 10,000 characters; none are needed beside files or a post.
    #[schema(max_length = 10_000, example = "Hello, all!")]
    #[serde(alias = "content")]
    message: String,
}

/// Change what one said
#[utoipa::path(
    patch, path = "/api/v1/chat/messages/{messageId}", tag = "chat", security(("token" = [])),
    params(("messageId" = MessageId, Path)), request_body = MessageEditBody,
    responses(
        (status = 200, description = "The message as it is now.", body = MessageReply),
        (status = 403, description = "`forbidden`: somebody else's.", body = ErrorBody),
    )
)]
async fn edit(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<MessageId>,
    Body(body): Body<MessageEditBody>,
) -> Result<Json<MessageReply>> {
    Ok(reply(
        "Changed.",
        chat.edit(&caller.actor, id, &body.message).await?,
    ))
}

/// Take a message back
///
/// For everybody; one's own, or as who keeps order in the room. It keeps its place, without its text.
#[utoipa::path(
    delete, path = "/api/v1/chat/messages/{messageId}", tag = "chat", security(("token" = [])),
    params(("messageId" = MessageId, Path)),
    responses(
        (status = 200, description = "What is left of it.", body = MessageReply),
        (status = 403, description = "`forbidden`: somebody else's.", body = ErrorBody),
    )
)]
async fn delete(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<Json<MessageReply>> {
    Ok(reply("Removed.", chat.delete(&caller.actor, id).await?))
}

#[derive(Deserialize, utoipa::ToSchema)]
struct EmojiBody {
    /// One emoji.
    #[schema(min_length = 1, max_length = 64, example = "👍")]
    emoji: String,
}

/// React to a message
#[utoipa::path(
    post, path = "/api/v1/chat/messages/{messageId}/reactions", tag = "chat", security(("token" = [])),
    params(("messageId" = MessageId, Path)), request_body = EmojiBody,
    responses(
        (status = 200, description = "The message with all reactions.", body = MessageReply),
        (status = 403, description = "`muted_in_room`, `room_read_only`, `cannot_message`.", body = ErrorBody),
    )
)]
async fn react(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<MessageId>,
    Body(body): Body<EmojiBody>,
) -> Result<Json<MessageReply>> {
    let data = chat.react(&caller.actor, id, &body.emoji, true).await?;
    Ok(reply("Added.", data))
}

/// Take a reaction back
#[utoipa::path(
    delete, path = "/api/v1/chat/messages/{messageId}/reactions", tag = "chat", security(("token" = [])),
    params(("messageId" = MessageId, Path)), request_body = EmojiBody,
    responses(
        (status = 200, description = "The message with the reactions that are left.", body = MessageReply),
        (status = 403, description = "`muted_in_room`, `room_read_only`, `cannot_message`.", body = ErrorBody),
    )
)]
async fn unreact(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<MessageId>,
    Body(body): Body<EmojiBody>,
) -> Result<Json<MessageReply>> {
    let data = chat.react(&caller.actor, id, &body.emoji, false).await?;
    Ok(reply("Removed.", data))
}

/// Pin a message
///
/// In a room, by who keeps order; in a conversation, by anybody. Again changes nothing.
#[utoipa::path(
    put, path = "/api/v1/chat/messages/{messageId}/pin", tag = "chat", security(("token" = [])),
    params(("messageId" = MessageId, Path)),
    responses(
        (status = 200, description = "The message, pinned.", body = MessageReply),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
        (status = 409, description = "`too_many_pins`.", body = ErrorBody),
    )
)]
async fn pin(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<Json<MessageReply>> {
    Ok(reply("Pinned.", chat.pin(&caller.actor, id, true).await?))
}

/// Take a pin down
#[utoipa::path(
    delete, path = "/api/v1/chat/messages/{messageId}/pin", tag = "chat", security(("token" = [])),
    params(("messageId" = MessageId, Path)),
    responses(
        (status = 200, description = "The message, pinned no more.", body = MessageReply),
        (status = 403, description = "`forbidden`.", body = ErrorBody),
    )
)]
async fn unpin(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<Json<MessageReply>> {
    Ok(reply(
        "Taken down.",
        chat.pin(&caller.actor, id, false).await?,
    ))
}
