//! What a room is, and who is what in it.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::{FieldError, Result};
use crate::id::{MediaId, RoomId, UserId};
use crate::links::Link;
use crate::text;
use crate::users::Person;

/// Characters of a room's title.
pub const MAX_TITLE_CHARS: usize = 80;
/// Characters of what a room is about.
pub const MAX_TOPIC_CHARS: usize = 500;
/// Seconds between two messages of one member, at most.
pub const MAX_SLOW_MODE_S: u32 = 6 * 60 * 60;
/// Days that a room keeps its messages, at most, where it does not keep them for ever.
pub const MAX_RETENTION_DAYS: u32 = 3_650;
/// People in a group.
pub const MAX_GROUP: u32 = 50;

/// What a room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = RoomKind)]
pub enum RoomKind {
    /// A room that people come to and go from.
    Named,
    /// The conversation of two people.
    Direct,
    /// The conversation of a few.
    Group,
}

/// Who finds a room, and may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = RoomVisibility)]
pub enum Visibility {
    /// Everybody.
    Open,
    /// Everybody finds it; those come in who are invited.
    Invite,
    /// Only those who are in it or invited know that it is there.
    Hidden,
}

/// What somebody may do in a room; each may what the one before may.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[schema(as = RoomRole)]
pub enum Role {
    /// Takes part.
    Member,
    /// Keeps order: mutes, removes, bans, pins; writes where others only read.
    Moderator,
    /// Decides who may come in and who keeps order.
    Owner,
}

/// What is done to somebody who does not behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sanction {
    /// They may read and not write.
    Mute,
    /// They may not be there.
    Ban,
}

/// A room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// How clients name it, in every event and address.
    #[serde(rename = "roomId")]
    pub key: String,
    /// What it is.
    pub kind: RoomKind,
    /// What to show instead of its name.
    #[schema(required)]
    pub title: Option<String>,
    /// What it is about.
    #[schema(required)]
    pub topic: Option<String>,
    /// The address of its picture.
    #[schema(required)]
    pub avatar: Option<Link>,
    /// Who finds it, and may come in.
    pub visibility: Visibility,
    /// Seconds that a member waits between two messages; 0 for none.
    pub slow_mode_seconds: u32,
    /// Whether only moderators write.
    pub is_read_only: bool,
    /// Days after which messages go; null when they stay.
    #[schema(required)]
    pub retention_days: Option<u32>,
    /// How many are in it.
    pub member_count: u32,
    /// The number of its newest message; 0 when there is none.
    pub last_number: u64,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A room as somebody sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoomView {
    #[serde(flatten)]
    pub room: Room,
    /// What they are in it; null when they are not in it.
    #[schema(required)]
    pub role: Option<Role>,
    /// Messages of others that they have not read; counted up to a hundred.
    pub unread_count: u64,
    /// Those among them that name one; counted up to a hundred.
    pub mention_count: u64,
}

/// Somebody in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    #[serde(flatten)]
    pub person: Person,
    /// What they are in it.
    pub role: Role,
    /// When they came.
    pub joined_at: Timestamp,
    /// The number up to which they have read; null in rooms, where that is nobody's business.
    #[schema(required)]
    pub read_number: Option<u64>,
    /// The number up to which messages have reached them; null in rooms.
    #[schema(required)]
    pub delivered_number: Option<u64>,
}

/// An invitation to a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    /// Where to.
    pub room: Room,
    /// Who is invited.
    pub person: Person,
    /// By whom.
    pub invited_by: Person,
    /// When.
    pub created_at: Timestamp,
}

/// Somebody who is muted in a room, or banned from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sanctioned {
    /// Who.
    pub person: Person,
    /// What.
    #[serde(rename = "type")]
    pub kind: Sanction,
    /// Until when; null until it is taken back.
    #[schema(required)]
    pub until: Option<Timestamp>,
    /// Why.
    #[schema(required)]
    pub reason: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
}

/// What a client wants of a room: absent fields stay, a null empties.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomChange {
    pub title: Option<Option<String>>,
    pub topic: Option<Option<String>>,
    /// An upload of one's own.
    pub avatar: Option<Option<MediaId>>,
    pub visibility: Option<Visibility>,
    pub slow_mode_s: Option<u32>,
    pub is_read_only: Option<bool>,
    pub retention_days: Option<Option<u32>>,
}

impl RoomChange {
    /// Checks the texts and numbers.
    pub fn check(mut self) -> Result<Self> {
        let mut faults = Vec::new();
        let mut tidy = |field: &'static str, text: &mut Option<Option<String>>, max| {
            let Some(Some(raw)) = text else { return };
            match text::body(field, raw, 0, max) {
                // What shows nothing is no title.
                Ok(tidy) => *text = Some(Some(tidy).filter(|tidy| text::is_visible(tidy))),
                Err(fault) => faults.push(fault),
            }
        };
        tidy("title", &mut self.title, MAX_TITLE_CHARS);
        tidy("topic", &mut self.topic, MAX_TOPIC_CHARS);
        if self.slow_mode_s.is_some_and(|s| s > MAX_SLOW_MODE_S) {
            let message = format!("Between two messages are at most {MAX_SLOW_MODE_S} seconds.");
            faults.push(FieldError::new("slowModeSeconds", "out_of_range", message));
        }
        let is_out = |days: u32| days == 0 || days > MAX_RETENTION_DAYS;
        if self.retention_days.flatten().is_some_and(is_out) {
            let message = format!("Messages are kept 1 to {MAX_RETENTION_DAYS} days, or for ever.");
            faults.push(FieldError::new("retentionDays", "out_of_range", message));
        }
        if faults.is_empty() {
            Ok(self)
        } else {
            Err(crate::error::Error::invalid_fields(faults))
        }
    }

    /// Whether only an owner may decide that.
    pub(super) fn is_for_owners(&self) -> bool {
        self.visibility.is_some() || self.retention_days.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What to do to a member who does not behave, and how long.
#[derive(Clone, Debug)]
pub struct SanctionDraft {
    pub user_id: UserId,
    pub kind: Sanction,
    pub until: Option<Timestamp>,
    pub reason: Option<String>,
}
