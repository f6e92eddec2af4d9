//! Which room a name means, who may be there, and what they may do: decided here and nowhere else.
//!
//! | room                 | finds             | reads             | comes in            | writes                                |
//! |----------------------|-------------------|-------------------|---------------------|---------------------------------------|
//! | open                 | everybody         | everybody         | everybody           | everybody                             |
//! | by invitation        | everybody         | members           | those invited       | members                               |
//! | hidden               | members, invited  | members           | those invited       | members                               |
//! | of two people        | the two           | the two           | the two             | the two, while each lets the other    |
//! | group                | members           | members           | who is taken in     | members                               |
//!
//! Who is banned has none of it; who is muted does not write; in a room that is read-only moderators write. An admin of the
//! server is an owner of the rooms that they may read, and of no conversation.

use serde::{Deserialize, Serialize};

use super::{Role, Room, RoomKind, Visibility, sql};
use crate::clock::Timestamp;
use crate::error::{Code, Error, FieldError, Kind, Result};
use crate::event::UserStatus;
use crate::id::{RoomId, UserId};
use crate::store::ReadTx;
use crate::{text, users};

/// Rooms that one person may be in. Conversations do not count: nobody chooses who writes to them.
const MAX_MEMBERSHIPS: u32 = 1_000;
/// Rooms that one person may make, and groups.
const MAX_MADE: u32 = 500;
/// Requests of one person that may wait to be accepted.
const MAX_PENDING: u32 = 100;
/// What stands in `request` of who has declined a conversation.
pub(super) const DECLINED: u8 = 2;
/// Names that would hide what stands at the same addresses.
const RESERVED: &[&str] = &["conversations", "messages", "rooms"];

/// Characters in the name of a room.
const MAX_NAME_CHARS: usize = 128;

/// Whom somebody lets write to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhoMayMessage {
    /// Nobody; those to whom they write may answer.
    Nobody,
    /// Those whom they follow and who follow them.
    #[default]
    Mutuals,
    /// Those whom they follow.
    Followed,
    /// Everybody; those whom they do not follow as a request.
    Everyone,
}

/// How clients name a room; valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomKey {
    /// By whatever name.
    Named(String),
    /// The conversation of two people.
    Direct(UserId, UserId),
    /// By its id: a group, or a room without a name.
    Numbered(RoomId),
}

/// What somebody has set about being written to, and being seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatSettings {
    /// Whom they let write to them.
    pub who_may_message: WhoMayMessage,
    /// Whether people they know see that they are there, and when they last were. Who does not show it does not see it.
    pub shows_presence: bool,
}

impl Default for ChatSettings {
    fn default() -> Self {
        Self {
            who_may_message: WhoMayMessage::default(),
            shows_presence: true,
        }
    }
}

impl RoomKey {
    /// Reads what a client wrote. Two ids joined by `_` mean the conversation of these two, in whatever order; `~` and an
    /// id mean that room.
    pub fn parse(raw: &str) -> Result<Self> {
        if let Some((one, other)) = raw.split_once('_')
            && let (Ok(one), Ok(other)) = (one.parse(), other.parse())
        {
            return Ok(Self::direct(one, other));
        }
        if let Some(id) = raw.strip_prefix('~')
            && let Ok(id) = id.parse()
        {
            return Ok(Self::Numbered(id));
        }
        let is_printable = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
        let is_name = !RESERVED.contains(&raw)
            && text::is_visible(raw)
            && raw.chars().all(is_printable)
            && raw.chars().take(MAX_NAME_CHARS + 1).count() <= MAX_NAME_CHARS;
        if is_name {
            Ok(Self::Named(raw.to_owned()))
        } else {
            Err(Error::invalid_fields(vec![FieldError::new(
                "roomId",
                "invalid_room",
                format!("The name of a room has 1 to {MAX_NAME_CHARS} printable characters."),
            )]))
        }
    }

    /// The conversation of two people.
    pub fn direct(one: UserId, other: UserId) -> Self {
        // As text, which is how the contract sorts them.
        if one.to_string() <= other.to_string() {
            Self::Direct(one, other)
        } else {
            Self::Direct(other, one)
        }
    }

    /// How it is kept and told.
    pub fn as_text(&self) -> String {
        match self {
            Self::Named(name) => name.clone(),
            Self::Direct(one, other) => format!("{one}_{other}"),
            Self::Numbered(id) => format!("~{id}"),
        }
    }

    /// With whom somebody talks there, if it is a conversation of two.
    pub fn partner(&self, of: UserId) -> Option<UserId> {
        match self {
            Self::Direct(one, other) if *one == of => Some(*other),
            Self::Direct(one, other) if *other == of => Some(*one),
            Self::Named(_) | Self::Direct(..) | Self::Numbered(_) => None,
        }
    }
}

/// A room, and how somebody stands to it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) room: Room,
    /// What they are in it.
    pub(super) role: Option<Role>,
    pub(super) is_invited: bool,
    pub(super) is_muted: bool,
    pub(super) is_banned: bool,
    /// When they last said something there.
    pub(super) sent_at: Option<Timestamp>,
    /// They threw away what was said up to here.
    pub(super) cleared_number: u64,
}

impl Place {
    /// What they may do as a member, or as an admin of the server.
    pub(super) fn rank(&self, is_admin: bool) -> Option<Role> {
        if is_admin && self.room.kind == RoomKind::Named {
            Some(Role::Owner)
        } else {
            self.role
        }
    }

    /// Errors: `forbidden` for who is less than that.
    pub(super) fn check_rank(&self, is_admin: bool, least: Role) -> Result<Role> {
        self.rank(is_admin)
            .filter(|role| *role >= least)
            .ok_or(Code::Forbidden.into())
    }

    /// Errors: `room_not_found`, `banned_from_room`, `invitation_needed`.
    fn check_may_read(&self) -> Result<()> {
        let is_hidden = self.room.visibility == Visibility::Hidden;
        match self.role {
            _ if self.is_banned && is_hidden => Err(Code::RoomNotFound.into()),
            _ if self.is_banned => Err(Code::BannedFromRoom.into()),
            Some(_) => Ok(()),
            None if self.room.visibility == Visibility::Open => Ok(()),
            None if is_hidden && !self.is_invited => Err(Code::RoomNotFound.into()),
            None => Err(Code::InvitationNeeded.into()),
        }
    }

    /// Whether they may know that it is there.
    ///
    /// Errors: `room_not_found`.
    pub(super) fn check_may_find(&self) -> Result<()> {
        if self.is_banned && self.room.visibility != Visibility::Hidden {
            return Err(Error::new(Code::BannedFromRoom));
        }
        let may_find = self.role.is_some()
            || self.room.visibility != Visibility::Hidden
            || (self.is_invited && !self.is_banned);
        if may_find {
            Ok(())
        } else {
            Err(Error::new(Code::RoomNotFound))
        }
    }

    /// Errors: `room_not_found`, `banned_from_room`, `invitation_needed`.
    pub(super) fn check_may_join(&self) -> Result<()> {
        if self.is_invited && !self.is_banned {
            Ok(())
        } else {
            self.check_may_read()
        }
    }

    /// Whether they may change what is there: messages of their own, reactions.
    ///
    /// Errors: `muted_in_room`, `room_read_only`.
    pub(super) fn check_may_take_part(&self) -> Result<()> {
        if self.is_muted {
            return Err(Error::new(Code::MutedInRoom));
        }
        if self.room.is_read_only && self.role < Some(Role::Moderator) {
            return Err(Error::new(Code::RoomReadOnly));
        }
        Ok(())
    }

    /// Errors: moreover `slow_mode`.
    pub(super) fn check_may_write(&self, at: Timestamp) -> Result<()> {
        self.check_may_take_part()?;
        let pause_ms = i64::from(self.room.slow_mode_seconds) * 1_000;
        if pause_ms == 0 || self.role >= Some(Role::Moderator) {
            return Ok(());
        }
        let due = self.sent_at.map_or(0, |sent| sent.as_millis() + pause_ms);
        let left_ms = due - at.as_millis();
        if left_ms <= 0 {
            return Ok(());
        }
        let seconds = u32::try_from((left_ms + 999) / 1_000).unwrap_or(u32::MAX);
        Err(Error::new(Code::SlowMode).with_retry_after(seconds))
    }
}

/// The room of that name, if there is one, whether `user` may read there or not.
///
/// Errors: `user_not_found`; `forbidden` for other people's conversations, whether there are any or not.
pub(super) fn find_place(
    tx: &ReadTx<'_>,
    user: UserId,
    key: &RoomKey,
    now: Timestamp,
) -> Result<Option<Place>> {
    if !is_active(tx, user)? {
        return Err(Error::new(Code::UserNotFound));
    }
    let RoomKey::Direct(..) = key else {
        return sql::find_place(tx, &key.as_text(), user, now);
    };
    let partner = key.partner(user).ok_or(Code::Forbidden)?;
    if users::is_blocked_pair(tx, user, partner)? {
        return Err(Error::new(Code::UserNotFound));
    }
    let place = sql::find_place(tx, &key.as_text(), user, now)?;
    // Nobody and somebody who is not there for them are one to them. What was said with somebody gone stays.
    if place.is_none() {
        users::living(tx, partner)?;
    }
    Ok(place)
}

/// The room of that name, if there is one and `user` may read there.
///
/// Errors: moreover `room_not_found`, `banned_from_room`, `invitation_needed` where they may not.
pub(super) fn find_readable(
    tx: &ReadTx<'_>,
    user: UserId,
    key: &RoomKey,
    now: Timestamp,
) -> Result<Option<Place>> {
    let place = find_place(tx, user, key, now)?;
    if let Some(place) = &place {
        place.check_may_read()?;
    }
    Ok(place)
}

/// The same without a reason where they may not.
pub(super) fn if_readable(
    tx: &ReadTx<'_>,
    user: UserId,
    key: &RoomKey,
    now: Timestamp,
) -> Result<Option<Place>> {
    match find_readable(tx, user, key, now) {
        Err(error) if matches!(error.kind(), Kind::Forbidden | Kind::NotFound) => Ok(None),
        found => found,
    }
}

/// The same for a room that has to be there.
pub(super) fn readable(
    tx: &ReadTx<'_>,
    user: UserId,
    key: &RoomKey,
    now: Timestamp,
) -> Result<Place> {
    find_readable(tx, user, key, now)?.ok_or(Code::RoomNotFound.into())
}

/// The room of a message, for who may read it.
///
/// Errors: `message_not_found` for all that is not for them: what is said between others is not there.
pub(super) fn of_message(
    tx: &ReadTx<'_>,
    user: UserId,
    stub: &sql::Stub,
    now: Timestamp,
) -> Result<Place> {
    let key = RoomKey::parse(&stub.room_key)?;
    match find_readable(tx, user, &key, now) {
        Ok(Some(place))
            if place.room.id == stub.room_id
                && stub.number > place.cleared_number
                && !users::is_blocked_pair(tx, user, stub.sender_id)? =>
        {
            Ok(place)
        }
        Ok(_) => Err(Error::new(Code::MessageNotFound)),
        Err(error) if matches!(error.kind(), Kind::Forbidden | Kind::NotFound) => {
            Err(Error::new(Code::MessageNotFound))
        }
        Err(error) => Err(error),
    }
}

/// Whether what was said in a conversation of two may still be changed: while neither has declined it.
///
/// Errors: `cannot_message`.
pub(super) fn check_still_open(
    tx: &ReadTx<'_>,
    place: &Place,
    key: &RoomKey,
    user: UserId,
) -> Result<()> {
    let Some(partner) = key.partner(user) else {
        return Ok(());
    };
    if sql::find_request(tx, place.room.id, partner)? == Some(DECLINED) {
        return Err(Error::new(Code::CannotMessage));
    }
    Ok(())
}

/// Whether somebody may be in one more room.
///
/// Errors: `too_many_rooms`.
pub(super) fn check_may_be_in_more(tx: &ReadTx<'_>, user: UserId) -> Result<()> {
    if sql::membership_count(tx, user, MAX_MEMBERSHIPS)? >= MAX_MEMBERSHIPS {
        return Err(Error::new(Code::TooManyRooms));
    }
    Ok(())
}

/// Whether somebody may make one more room, or group.
///
/// Errors: `too_many_rooms`.
pub(super) fn check_may_make_more(tx: &ReadTx<'_>, user: UserId, kind: RoomKind) -> Result<()> {
    let is_full = match kind {
        RoomKind::Named => {
            check_may_be_in_more(tx, user)?;
            sql::rooms_made(tx, user, MAX_MADE)? >= MAX_MADE
        }
        RoomKind::Group => sql::groups_made(tx, user, MAX_MADE)? >= MAX_MADE,
        RoomKind::Direct => false,
    };
    if is_full {
        return Err(Error::new(Code::TooManyRooms));
    }
    Ok(())
}

/// Whether somebody may ask one more person who does not know them.
///
/// Errors: `too_many_requests_pending`.
pub(super) fn check_may_ask_more(tx: &ReadTx<'_>, user: UserId) -> Result<()> {
    if sql::pending_count(tx, user, MAX_PENDING)? >= MAX_PENDING {
        return Err(Error::new(Code::TooManyRequestsPending));
    }
    Ok(())
}

/// How two people stand to each other, where one wants to write to the other.
pub(super) struct Acquaintance {
    /// Whether the one written to wants that, by their settings.
    pub(super) is_welcome: bool,
    /// Whether they would be welcome to the writer in turn.
    pub(super) is_welcome_back: bool,
    /// Whether the one written to follows the writer: else it is a request.
    pub(super) is_followed: bool,
}

/// Reads how they stand. Errors: `user_not_found`; `cannot_message` to oneself, or to somebody suspended.
pub(super) fn acquaintance(tx: &ReadTx<'_>, sender: UserId, to: UserId) -> Result<Acquaintance> {
    users::visible(tx, sender, to)?;
    if sender == to || !is_active(tx, to)? {
        return Err(Error::new(Code::CannotMessage));
    }
    let follows = users::sql::is_following(tx, sender, to)?;
    let is_followed = users::sql::is_following(tx, to, sender)?;
    let welcomes = |who: WhoMayMessage, follows_them: bool, follows_back: bool| match who {
        WhoMayMessage::Nobody => false,
        WhoMayMessage::Mutuals => follows_them && follows_back,
        WhoMayMessage::Followed => follows_them,
        WhoMayMessage::Everyone => true,
    };
    Ok(Acquaintance {
        is_welcome: welcomes(sql::settings(tx, to)?.who_may_message, is_followed, follows),
        is_welcome_back: welcomes(
            sql::settings(tx, sender)?.who_may_message,
            follows,
            is_followed,
        ),
        is_followed,
    })
}

/// Whether somebody may begin to write to somebody else, and how they stand then.
///
/// Errors: `user_not_found`; `cannot_message`.
pub(super) fn check_may_message(
    tx: &ReadTx<'_>,
    sender: UserId,
    to: UserId,
) -> Result<Acquaintance> {
    let stands = acquaintance(tx, sender, to)?;
    if stands.is_welcome {
        Ok(stands)
    } else {
        Err(Error::new(Code::CannotMessage))
    }
}

/// Whether somebody may say something to a person whom they name, as clients of the original do. With whom they talk in a
/// conversation of two is decided there.
///
/// Errors: `user_not_found`; `cannot_message`.
pub(super) fn check_target(
    tx: &ReadTx<'_>,
    sender: UserId,
    key: &RoomKey,
    target: Option<UserId>,
) -> Result<()> {
    match target {
        Some(target) if key.partner(sender) != Some(target) => {
            check_may_message(tx, sender, target).map(drop)
        }
        _ => Ok(()),
    }
}

fn is_active(tx: &ReadTx<'_>, user: UserId) -> Result<bool> {
    let found = users::sql::find_status(tx, user)?;
    Ok(found.is_some_and(|(_, status)| status == UserStatus::Active))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_rooms() {
        let named = |name: &str| Some(RoomKey::Named(name.to_owned()));
        for name in [
            "general",
            "a:b:c",
            "Grüße 👋",
            "12",
            "a_b",
            "_",
            "1_2_3",
            "~",
            "~x",
        ] {
            assert_eq!(RoomKey::parse(name).ok(), named(name), "{name}");
        }
        assert_eq!(
            RoomKey::parse("~12").ok(),
            Some(RoomKey::Numbered(12.into()))
        );
        let longest = "x".repeat(128);
        assert_eq!(RoomKey::parse(&longest).ok(), named(&longest));
        for name in ["", " ", "a\nb", "\u{0}", "\u{200b}", &"x".repeat(129)] {
            assert!(RoomKey::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn two_ids_mean_their_conversation_in_whatever_order() {
        let pair = RoomKey::direct(9.into(), 10.into());
        // As text, 10 stands before 9.
        assert_eq!(pair.as_text(), "10_9");
        assert_eq!(RoomKey::parse("9_10").unwrap(), pair);
        assert_eq!(RoomKey::parse("10_9").unwrap(), pair);
        assert_eq!(pair.partner(9.into()), Some(10.into()));
        assert_eq!(pair.partner(8.into()), None);
    }
}
