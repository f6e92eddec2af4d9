//! Conversations: of two people, and of a few.

use serde::{Deserialize, Serialize};

use super::{Message, RoomKind};
use crate::clock::Timestamp;
use crate::id::{RoomId, UserId};
use crate::links::Link;
use crate::users::Person;

/// Which of somebody's conversations are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Folder {
    /// Those that they have accepted.
    #[default]
    Accepted,
    /// Those that somebody began whom they do not follow.
    Requests,
    /// Those that they have declined.
    Declined,
}

impl Folder {
    /// As the row has it.
    pub(super) fn as_request(self) -> u8 {
        match self {
            Self::Accepted => 0,
            Self::Requests => 1,
            Self::Declined => super::access::DECLINED,
        }
    }
}

/// Between how many a conversation is (contract, section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChatType {
    /// Two.
    Single,
    /// A few.
    Group,
}

impl From<RoomKind> for ChatType {
    fn from(kind: RoomKind) -> Self {
        match kind {
            RoomKind::Direct => Self::Single,
            RoomKind::Group | RoomKind::Named => Self::Group,
        }
    }
}

/// A conversation, as one of its people sees it (contract, section 13).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    #[serde(skip, default = "nowhere")]
    pub(super) room_id: RoomId,
    #[serde(skip)]
    pub(super) cleared_number: u64,
    /// How clients name it.
    pub conversation_id: String,
    /// Between how many it is.
    pub chat_type: ChatType,
    /// A group's title.
    #[schema(required)]
    pub title: Option<String>,
    /// A group's picture.
    #[schema(required)]
    pub avatar: Option<Link>,
    /// Whose it is, oneself among them.
    pub participants: Vec<Person>,
    /// With whom, where it is one other; null when they are gone.
    #[schema(required)]
    pub partner: Option<Person>,
    /// Whether it waits to be accepted.
    pub is_request: bool,
    /// The number of its newest message.
    pub last_number: u64,
    /// Messages of others that were not read; counted up to a hundred.
    pub unread_count: u64,
    /// Those among them that name one; counted up to a hundred.
    pub mention_count: u64,
    /// The newest message.
    #[schema(required)]
    pub last_message: Option<Message>,
    /// Whose that is.
    #[schema(required)]
    pub last_message_by: Option<UserId>,
    /// When it came.
    pub last_message_at: Timestamp,
}

fn nowhere() -> RoomId {
    RoomId::from(0)
}
