//! The events that clients send (contract, sections 7 and 13), each with its payload and its answer.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Shared;
use super::packet::Event;
use super::people::Guest;
use crate::chat::{Folder, MAX_ONLOOKERS, Message, MessageDraft, Room, RoomKey, Span, Status};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::{MediaId, MessageId, PostId, UserId};
use crate::page::Page;

/// Messages that come with joining a room, as in the original.
const ON_JOINING: u32 = 50;
/// Messages that are read at once for somebody who comes back.
const PAGE: u32 = 100;
/// What they are shown before they have to ask for more: messages, and their bytes. One page may go beyond.
const MAX_MISSED: usize = 1_000;
const MAX_MISSED_BYTES: usize = 256 * 1024;

/// Which room: the original's name for it, or the one of its conversations.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Where {
    #[serde(alias = "conversationId")]
    room_id: String,
    target_user_id: Option<UserId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Join {
    #[serde(flatten)]
    place: Where,
    /// The id, or the number, of the last message that the client has: it gets those after it.
    last_seen: Option<LastSeen>,
    /// The number of the last change that it has seen: it gets what has changed since.
    last_change: Option<u64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LastSeen {
    Number(u64),
    Id(MessageId),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Send {
    #[serde(flatten)]
    place: Where,
    #[serde(default, alias = "content")]
    message: String,
    #[serde(rename = "client_id", alias = "clientId")]
    client_id: Option<String>,
    /// The name that the contract's conversations give it: it comes back in `message_sent`.
    temp_id: Option<String>,
    reply_to: Option<MessageId>,
    #[serde(default)]
    media_ids: Vec<MediaId>,
    post_id: Option<PostId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typing {
    #[serde(flatten)]
    place: Where,
    is_typing: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OneMessage {
    message_id: MessageId,
    message: Option<String>,
    emoji: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadUpTo {
    #[serde(flatten)]
    place: Where,
    number: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct More {
    #[serde(flatten)]
    place: Where,
    before: Option<Before>,
    after: Option<u64>,
    around: Option<MessageId>,
    limit: Option<u32>,
}

/// A message's number, or a time (contract, section 13).
#[derive(Deserialize)]
#[serde(untagged)]
enum Before {
    Number(u64),
    Time(Timestamp),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arrived {
    message_id: Option<MessageId>,
    #[serde(alias = "conversationId")]
    room_id: Option<String>,
    number: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start {
    target_user_id: UserId,
}

#[derive(Deserialize)]
struct SetPresence {
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Watch {
    user_ids: Vec<UserId>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Folders {
    folder: Folder,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Joined<'a> {
    room_id: &'a str,
    last_number: u64,
    /// Whether there is more than one answer holds. Until the client joins again with what it has, it is shown nothing else.
    has_newer: bool,
    /// The number of the last change of a message that it has been shown.
    last_change: u64,
    /// Whether more has changed; joining again with `lastChange` shows it.
    has_more_changes: bool,
}

/// Does what an event wants; returns the data of the answer, as JSON.
pub(super) async fn handle(
    shared: &Arc<Shared>,
    guest: &Arc<Guest>,
    event: &Event,
) -> Result<String> {
    if !event.attachments.is_empty() {
        return Err(Error::new(Code::UnexpectedFile));
    }
    match event.name.as_str() {
        "join_room" | "join_conversation" => join(shared, guest, read(event)?).await,
        "leave_room" | "leave_conversation" => leave(shared, guest, read(event)?).await,
        "send_message" => send(shared, guest, read(event)?).await,
        "typing" => typing(shared, guest, read(event)?).await,
        "edit_message" => {
            let OneMessage {
                message_id,
                message,
                ..
            } = read(event)?;
            shared.check_writes(guest)?;
            let text = message.ok_or_else(|| missing("message"))?;
            to_json(&shared.chat.edit(guest.actor(), message_id, &text).await?)
        }
        "delete_message" => {
            let OneMessage { message_id, .. } = read(event)?;
            shared.check_writes(guest)?;
            to_json(&shared.chat.delete(guest.actor(), message_id).await?)
        }
        "add_reaction" | "remove_reaction" => {
            let OneMessage {
                message_id, emoji, ..
            } = read(event)?;
            shared.check_writes(guest)?;
            let emoji = emoji.ok_or_else(|| missing("emoji"))?;
            let wants = event.name == "add_reaction";
            let message = shared.chat.react(guest.actor(), message_id, &emoji, wants);
            to_json(&message.await?)
        }
        "mark_as_read" => {
            let ReadUpTo { place, number } = read(event)?;
            shared.check_writes(guest)?;
            let key = RoomKey::parse(&place.room_id)?;
            shared.chat.mark_read(guest.actor(), key, number).await?;
            Ok("{}".to_owned())
        }
        "load_more_messages" | "get_history" => more(shared, guest, read(event)?).await,
        "pin_message" | "unpin_message" => {
            let OneMessage { message_id, .. } = read(event)?;
            shared.check_writes(guest)?;
            let wants = event.name == "pin_message";
            to_json(&shared.chat.pin(guest.actor(), message_id, wants).await?)
        }
        "message_delivered" => {
            let Arrived {
                message_id,
                room_id,
                number,
            } = read(event)?;
            shared.check_writes(guest)?;
            let (room, number) = match (message_id, room_id) {
                (Some(id), _) => {
                    let message = shared.chat.message(guest.user_id(), id).await?;
                    (message.room_id, Some(message.number))
                }
                (None, Some(room)) => (room, number),
                (None, None) => return Err(missing("messageId")),
            };
            let key = RoomKey::parse(&room)?;
            let noted = shared.chat.mark_delivered(guest.actor(), key, number);
            noted.await.map(|()| "{}".to_owned())
        }
        "set_presence" => {
            let SetPresence { status } = read(event)?;
            let status = match status {
                // Who is connected is not gone; who does not want to be seen says so in their settings.
                Status::Offline | Status::Away => Status::Away,
                Status::Online => Status::Online,
            };
            shared.set_status(guest, status);
            Ok("{}".to_owned())
        }
        "watch_presence" => {
            let Watch { user_ids } = read(event)?;
            to_json(&shared.watch(guest, user_ids).await?)
        }
        "start_conversation" => {
            let Start { target_user_id } = read(event)?;
            shared.check_writes(guest)?;
            start(shared, guest, target_user_id).await
        }
        "get_conversations" => {
            let Folders { folder } = read(event)?;
            let page = Page::first(ON_JOINING);
            let list = shared.chat.conversations(guest.user_id(), folder, page);
            let list = to_json(&list.await?.items)?;
            guest.tell("conversations_list", &list);
            Ok(list)
        }
        _ => Err(Error::new(Code::UnknownEvent)),
    }
}

/// The payload: the first argument.
fn read<T: DeserializeOwned>(event: &Event) -> Result<T> {
    let json = event.arguments.first().map_or("null", String::as_str);
    serde_json::from_str(json).map_err(|error| {
        Error::new(Code::InvalidBody)
            .with_message(format!(
                "The payload of {} could not be read: {error}",
                event.name
            ))
            .with_source(error)
    })
}

fn missing(field: &'static str) -> Error {
    Error::invalid_field(field, "required", format!("{field} is missing."))
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

async fn join(shared: &Shared, guest: &Arc<Guest>, join: Join) -> Result<String> {
    let key = RoomKey::parse(&join.place.room_id)?;
    let (user, target) = (guest.user_id(), join.place.target_user_id);
    let room = match shared.chat.known(user, key.clone(), target).await? {
        Some(room) => room,
        // This one is written down, and so counts as a change.
        None if !guest.has_room() => return Err(Error::new(Code::TooManyRooms)),
        None => {
            shared.check_writes(guest)?;
            let joined = shared.chat.join(guest.actor(), key.clone(), target);
            joined.await?
        }
    };
    shared.find_apart(guest).await?;
    let since = match join.last_seen {
        None => None,
        Some(LastSeen::Number(number)) => Some(number),
        Some(LastSeen::Id(id)) => match shared.chat.message(user, id).await {
            Ok(message) if message.room_id == room.key => Some(message.number),
            Ok(_elsewhere) => return Err(Error::new(Code::MessageNotFound)),
            // It is gone, or they threw it away: the newest will do.
            Err(error) if error.code() == Code::MessageNotFound => None,
            Err(error) => return Err(error),
        },
    };
    // Ahead of the room is who was shown what a restored backup does not have: the newest will do.
    let since = since.filter(|number| *number <= room.last_number);
    guest.add_room(room.id)?;
    if shared.hub.enter(guest, &room, since.unwrap_or(0)) {
        shared.say_seat(guest, room.id, true);
    }
    let outcome = if guest.is_gone() {
        Err(Error::new(Code::NotInRoom))
    } else {
        show_what_was(shared, guest, &room, (since, join.last_change)).await
    };
    // Whoever may not read there after all, or is gone, has no seat.
    if outcome.is_err()
        && let Some((is_last, _)) = shared.hub.vacate(guest, room.id)
    {
        guest.drop_room(room.id);
        if is_last {
            shared.say_seat(guest, room.id, false);
        }
    }
    outcome
}

/// Shows somebody who has come in what was said, and who is there; then what comes.
async fn show_what_was(
    shared: &Shared,
    guest: &Arc<Guest>,
    room: &Room,
    (since, last_change): (Option<u64>, Option<u64>),
) -> Result<String> {
    let key = RoomKey::parse(&room.key)?;
    let user = guest.user_id();
    let first = match since {
        None => latest(shared, user, &key).await?,
        Some(number) => missed(shared, user, &key, number).await?,
    };
    let mut shown = first.last_number;
    guest.tell("message_history", &first.json);
    let (changed, last_change, has_more_changes) = shared
        .chat
        .changes(user, key.clone(), last_change, since.unwrap_or(0))
        .await?;
    if !changed.is_empty() {
        guest.tell("message_changes", &to_json(&changed)?);
    }
    let named = shared.hub.presences().in_room(room.id);
    let mut named = shared.chat.shown_in_room(user, room.id, named).await?;
    named.retain(|user| !guest.is_apart_from(*user));
    named.truncate(MAX_ONLOOKERS);
    guest.tell("room_users", &to_json(&named)?);
    // Who has not caught up is shown nothing that comes after what is missing, and asks again.
    while !first.has_newer && !shared.hub.catch_up(guest, room.id, shown) {
        let page = shared
            .chat
            .history(user, key.clone(), Span::After(shown), PAGE);
        let page = page.await?;
        // What is not for them has a number as well.
        shown = page
            .messages
            .last()
            .map_or(room.last_number, |last| last.number)
            .max(shown);
        for message in &page.messages {
            show(guest, message)?;
        }
    }
    if first.has_newer {
        shared.hub.fall_behind(guest, room.id);
    }
    to_json(&Joined {
        room_id: &room.key,
        last_number: shown,
        has_newer: first.has_newer,
        last_change,
        has_more_changes,
    })
}

/// Messages in one answer.
struct Part {
    /// Those messages, oldest first.
    json: String,
    /// The number of the last one.
    last_number: u64,
    /// Whether there are newer ones.
    has_newer: bool,
}

/// The newest messages: as many as come with joining, and as one answer holds.
async fn latest(shared: &Shared, user: UserId, key: &RoomKey) -> Result<Part> {
    let history = shared
        .chat
        .history(user, key.clone(), Span::Latest, ON_JOINING)
        .await?;
    let (mut texts, mut size_bytes) = (Vec::new(), 0);
    for message in history.messages.iter().rev() {
        let text = to_json(message)?;
        size_bytes += text.len();
        if size_bytes > MAX_MISSED_BYTES && !texts.is_empty() {
            break;
        }
        texts.push(text);
    }
    texts.reverse();
    Ok(Part {
        json: format!("[{}]", texts.join(",")),
        last_number: history.messages.last().map_or(0, |last| last.number),
        has_newer: false,
    })
}

/// What was said after a message, as much as one answer holds.
async fn missed(shared: &Shared, user: UserId, key: &RoomKey, after: u64) -> Result<Part> {
    let (mut texts, mut size_bytes, mut last) = (Vec::new(), 0, after);
    loop {
        let page = shared
            .chat
            .history(user, key.clone(), Span::After(last), PAGE)
            .await?;
        let mut is_full = false;
        for message in &page.messages {
            let text = to_json(message)?;
            size_bytes += text.len();
            is_full =
                !texts.is_empty() && (size_bytes > MAX_MISSED_BYTES || texts.len() >= MAX_MISSED);
            if is_full {
                break;
            }
            last = message.number;
            texts.push(text);
        }
        if is_full || !page.has_newer {
            return Ok(Part {
                json: format!("[{}]", texts.join(",")),
                last_number: last,
                has_newer: is_full,
            });
        }
    }
}

/// Shows a message to one connection, as if it came just now.
fn show(guest: &Guest, message: &Message) -> Result<()> {
    let payload = to_json(message)?;
    let mut shown = super::hub::Shown::new("new_message", &payload, None);
    if guest.show(&mut shown) == Err(super::engine::SendError::Full) {
        guest.give_up();
    }
    Ok(())
}

/// Begins a conversation, or finds it, with what was said last.
async fn start(shared: &Shared, guest: &Arc<Guest>, with: UserId) -> Result<String> {
    let conversation = shared.chat.start_conversation(guest.actor(), with).await?;
    let key = RoomKey::parse(&conversation.conversation_id)?;
    let history = shared
        .chat
        .history(guest.user_id(), key, Span::Latest, ON_JOINING)
        .await?;
    let started = to_json(&json!({
        "conversation": conversation,
        "messages": history.messages,
    }))?;
    guest.tell("conversation_started", &started);
    Ok(started)
}

async fn leave(shared: &Shared, guest: &Arc<Guest>, place: Where) -> Result<String> {
    let key = RoomKey::parse(&place.room_id)?;
    // One's own seats are known, whatever one may still read.
    let Some(room) = shared.hub.seat_in(guest, &key.as_text()) else {
        shared.chat.get(guest.user_id(), key).await?;
        return Err(Error::new(Code::NotInRoom));
    };
    shared.end_typing(guest, room);
    let (is_last, _) = shared.hub.vacate(guest, room).ok_or(Code::NotInRoom)?;
    guest.drop_room(room);
    if is_last {
        shared.say_seat(guest, room, false);
    }
    Ok("{}".to_owned())
}

async fn send(shared: &Shared, guest: &Arc<Guest>, send: Send) -> Result<String> {
    shared.check_writes(guest)?;
    shared.wait_for_room_to_show().await?;
    let key = RoomKey::parse(&send.place.room_id)?;
    let draft = MessageDraft {
        text: send.message,
        client_id: send.client_id,
        reply_to: send.reply_to,
        target: send.place.target_user_id,
        media: send.media_ids,
        post_id: send.post_id,
    };
    let message = shared.chat.send(guest.actor(), key, draft).await?;
    shared.end_typing_in(guest, &message.room_id);
    if let Some(temp_id) = send.temp_id {
        let sent = json!({ "tempId": temp_id, "message": message });
        guest.tell("message_sent", &sent.to_string());
    }
    to_json(&message)
}

async fn typing(shared: &Arc<Shared>, guest: &Arc<Guest>, typing: Typing) -> Result<String> {
    let key = RoomKey::parse(&typing.place.room_id)?;
    let (room, is_shown) = shared.chat.get_to_write(guest.user_id(), key).await?;
    if !shared.hub.is_in(guest, room.id) {
        return Err(Error::new(Code::NotInRoom));
    }
    // Who is not shown to be there does not type either.
    if !is_shown {
        return Ok("{}".to_owned());
    }
    shared.set_typing(guest, room.id, &room.key, typing.is_typing);
    Ok("{}".to_owned())
}

async fn more(shared: &Shared, guest: &Arc<Guest>, more: More) -> Result<String> {
    let key = RoomKey::parse(&more.place.room_id)?;
    let span = match (more.before, more.after, more.around) {
        (Some(Before::Number(number)), None, None) => Span::Before(number),
        (Some(Before::Time(time)), None, None) => Span::Until(time),
        (None, Some(number), None) => Span::After(number),
        (None, None, Some(id)) => Span::Around(id),
        (None, None, None) => Span::Latest,
        _ => {
            let message = "Only one of before, after and around can be meant.";
            return Err(Error::invalid_field("before", "ambiguous", message));
        }
    };
    let limit = more.limit.unwrap_or(ON_JOINING);
    let history = shared
        .chat
        .history(guest.user_id(), key, span, limit)
        .await?;
    let page = to_json(&json!({
        "messages": history.messages,
        "hasOlder": history.has_older,
        "hasNewer": history.has_newer,
    }))?;
    guest.tell("messages_loaded", &page);
    Ok(page)
}
