//! What is said in a room.

use serde::{Deserialize, Serialize};
use utoipa::PartialSchema;
use utoipa::openapi::{RefOr, Schema};

use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::{MediaId, MessageId, PostId, RoomId, StoryId, UserId};
use crate::links::{Link, Links};
use crate::media::{Kind, MediaItem};
use crate::text;

/// Characters in a message.
pub const MAX_MESSAGE_CHARS: usize = 10_000;
/// Bytes of the name that a client gives a message.
const MAX_CLIENT_ID: usize = 64;
/// Bytes of one emoji, however many characters it is put together of.
const MAX_EMOJI: usize = 64;

/// A message (contract, section 7: the first five fields in its spelling).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The room, as clients name it.
    pub room_id: String,
    /// Who sent it.
    pub user_id: UserId,
    /// Their username.
    pub username: String,
    /// What it says, in the subset of Markdown that messages have; empty when it was removed.
    pub message: String,
    /// When it was sent, in milliseconds since 1970.
    pub timestamp: i64,
    /// Its id.
    pub id: MessageId,
    /// Its place in the room: 1, 2, ... in the order that everybody sees.
    pub number: u64,
    /// The name that its sender goes by.
    pub name: String,
    /// The address of their picture.
    pub avatar: Link,
    /// What it is (contract, section 13).
    pub message_type: MessageType,
    /// What it says as HTML, safe to be shown as it stands; null when it is text and nothing else.
    #[schema(required)]
    pub html: Option<String>,
    /// Pictures, videos and recordings.
    pub media: Vec<MediaItem>,
    /// A post that it points to; `/api/v1/posts/batch` shows it to those who may see it.
    #[schema(required)]
    pub post_id: Option<PostId>,
    /// A story of the other's that it answers; it may be over.
    #[schema(required)]
    pub story_id: Option<StoryId>,
    /// Members who are named in it.
    pub mentions: Vec<UserId>,
    /// The name that its sender's client gave it, so that sending it again is the same message.
    #[serde(rename = "client_id")]
    #[schema(required)]
    pub client_id: Option<String>,
    /// The message that it answers.
    #[schema(required)]
    pub reply_to: Option<MessageId>,
    /// Who reacted how.
    pub reactions: Vec<Reaction>,
    /// When its text last changed.
    #[schema(required)]
    pub edited_at: Option<Timestamp>,
    /// Since when it is pinned.
    #[schema(required)]
    pub pinned_at: Option<Timestamp>,
    /// Whether it was removed; it keeps its place, without its text.
    pub is_deleted: bool,
    /// The number of its latest change in the room; null when it is as it was sent.
    #[schema(required)]
    pub change: Option<u64>,
    /// In a conversation: the same once more, in the spelling of the contract's section 13.
    #[serde(flatten)]
    #[schema(schema_with = only_in_conversations)]
    pub in_conversation: Option<InConversation>,
}

impl Message {
    /// Who reacted to it, some perhaps more than once.
    pub(super) fn reactors(&self) -> impl Iterator<Item = UserId> {
        self.reactions
            .iter()
            .flat_map(|one| one.user_ids.iter().copied())
    }

    /// Leaves out the reactions of these people.
    pub(super) fn drop_reactors(&mut self, people: &[UserId]) {
        drop_reactors(&mut self.reactions, people);
    }
}

/// Leaves out what these people did.
pub(super) fn drop_reactors(reactions: &mut Vec<Reaction>, people: &[UserId]) {
    for one in reactions.iter_mut() {
        one.user_ids.retain(|user| !people.contains(user));
    }
    reactions.retain(|one| !one.user_ids.is_empty());
}

/// What a message of a conversation has beside (contract, section 13).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InConversation {
    /// The conversation: `roomId`.
    pub conversation_id: String,
    /// Who sent it: `userId`.
    pub sender_id: UserId,
    /// Their username.
    pub sender_username: String,
    /// What it says: `message`.
    pub content: String,
    /// The address of the first file that it brings.
    #[schema(required)]
    pub media_url: Option<Link>,
    /// How far it has come with all the others.
    pub status: Delivery,
    /// When it was sent: `timestamp`.
    pub created_at: Timestamp,
}

/// The fields of [`InConversation`], none of which a message of a room has.
fn only_in_conversations() -> RefOr<Schema> {
    let mut schema = InConversation::schema();
    if let RefOr::T(Schema::Object(object)) = &mut schema {
        object.required.clear();
        // Nothing else in the document refers to it.
        object
            .properties
            .insert("status".into(), Delivery::schema());
    }
    schema
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Delivery {
    Sent,
    Delivered,
    Read,
}

/// What a message is, by the first file that it brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum MessageType {
    Text,
    Image,
    Video,
    Audio,
}

impl MessageType {
    pub(super) fn of(media: &[MediaItem]) -> Self {
        match media.first().map(|item| item.kind) {
            None => Self::Text,
            Some(Kind::Image) => Self::Image,
            Some(Kind::Video) => Self::Video,
            Some(Kind::Audio) => Self::Audio,
        }
    }
}

/// Those who reacted to a message in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reaction {
    /// How.
    pub emoji: String,
    /// Who.
    pub user_ids: Vec<UserId>,
}

/// A text that a message had before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageEdit {
    /// 1, 2, ... in the order of time.
    pub number: u32,
    /// What it said.
    pub message: String,
    /// When it was replaced.
    pub edited_at: Timestamp,
}

/// A message to send, as a client wrote it.
#[derive(Clone, Debug, Default)]
pub struct MessageDraft {
    pub text: String,
    pub client_id: Option<String>,
    pub reply_to: Option<MessageId>,
    /// A person to whom it is meant: it is refused where they may not be written to.
    pub target: Option<UserId>,
    /// Uploads of the sender's, in this order.
    pub media: Vec<MediaId>,
    /// A post to point to, which the sender may see.
    pub post_id: Option<PostId>,
}

/// Which part of a room's messages is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The newest.
    Latest,
    /// Those before this number.
    Before(u64),
    /// Those sent before this time (contract, section 13).
    Until(Timestamp),
    /// Those after it.
    After(u64),
    /// Those around a message.
    Around(MessageId),
}

/// What somebody may read of a room.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// Which room.
    pub room_id: RoomId,
    /// They have thrown away what was said up to here.
    pub cleared_number: i64,
}

/// A part of a room's messages, oldest first.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub messages: Vec<Message>,
    /// Whether there are older ones.
    pub has_older: bool,
    /// Whether there are newer ones.
    pub has_newer: bool,
}

impl MessageDraft {
    /// The text as it is kept. Only what brings something else may be without.
    ///
    /// Errors: `empty_message`, `invalid_fields`, `too_many_files`.
    pub(super) fn check(&self) -> Result<String> {
        if let Some(client_id) = &self.client_id {
            check_client_id(client_id)?;
        }
        if self.media.len() > crate::media::MAX_PER_POST {
            return Err(Error::new(Code::TooManyFiles));
        }
        let is_bare = self.media.is_empty() && self.post_id.is_none();
        if is_bare || text::is_visible(&self.text) {
            message_text(&self.text)
        } else {
            Ok(String::new())
        }
    }
}

/// The text of a message as it is kept.
pub(super) fn message_text(raw: &str) -> Result<String> {
    if !text::is_visible(raw) {
        return Err(Error::new(Code::EmptyMessage));
    }
    text::body("message", raw, 1, MAX_MESSAGE_CHARS)
        .map_err(|fault| Error::invalid_fields(vec![fault]))
}

fn check_client_id(raw: &str) -> Result<()> {
    let is_plain =
        !raw.is_empty() && raw.len() <= MAX_CLIENT_ID && raw.bytes().all(|b| b.is_ascii_graphic());
    if is_plain {
        return Ok(());
    }
    Err(Error::invalid_field(
        "client_id",
        "invalid_client_id",
        format!("client_id has 1 to {MAX_CLIENT_ID} printable ASCII characters."),
    ))
}

pub(super) fn check_emoji(emoji: &str) -> Result<()> {
    let is_emoji = text::is_visible(emoji)
        && emoji.len() <= MAX_EMOJI
        && !emoji.is_ascii()
        && !emoji
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c.is_ascii_alphabetic());
    if is_emoji {
        return Ok(());
    }
    Err(Error::invalid_field(
        "emoji",
        "invalid_emoji",
        "This is no emoji.",
    ))
}

/// The first post of this server whose address stands in a text.
pub(super) fn linked_post(text: &str) -> Option<PostId> {
    let base = Links::current_base()?;
    let address = format!("{base}/posts/");
    let (_, rest) = text.split_once(&address)?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest.get(..digits)?.parse().ok()
}
