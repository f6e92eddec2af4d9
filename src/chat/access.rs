//! Which room a name means, and who may be there: decided here and nowhere else.
//!
//! | room              | reads, joins                    | writes                                       |
//! |-------------------|---------------------------------|----------------------------------------------|
//! | by a name         | everybody                       | everybody                                    |
//! | of two people     | the two                         | the two, while each lets the other           |

use serde::{Deserialize, Serialize};

use super::{Room, sql};
use crate::error::{Code, Error, FieldError, Result};
use crate::event::UserStatus;
use crate::id::UserId;
use crate::store::ReadTx;
use crate::{text, users};

/// Characters in the name of a room.
const MAX_NAME_CHARS: usize = 128;

/// How clients name a room; valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomKey {
    /// By whatever name.
    Named(String),
    /// The conversation of two people.
    Direct(UserId, UserId),
}

impl RoomKey {
    /// Reads what a client wrote. Two ids joined by `_` mean the conversation of these two, in whatever order.
    pub fn parse(raw: &str) -> Result<Self> {
        if let Some((one, other)) = raw.split_once('_')
            && let (Ok(one), Ok(other)) = (one.parse(), other.parse())
        {
            return Ok(Self::direct(one, other));
        }
        let is_printable = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
        let is_name = text::is_visible(raw)
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
        }
    }

    /// With whom somebody talks there, if it is a conversation of two.
    pub fn partner(&self, of: UserId) -> Option<UserId> {
        match self {
            Self::Direct(one, other) if *one == of => Some(*other),
            Self::Direct(one, other) if *other == of => Some(*one),
            Self::Named(_) | Self::Direct(..) => None,
        }
    }
}

/// The room of that name, if there is one and `user` may read there.
///
/// Errors: `forbidden` for other people's conversations, whether there are any or not; `user_not_found`.
pub(super) fn find_readable(tx: &ReadTx<'_>, user: UserId, key: &RoomKey) -> Result<Option<Room>> {
    if !is_active(tx, user)? {
        return Err(Error::new(Code::UserNotFound));
    }
    if let RoomKey::Direct(..) = key
        && key.partner(user).is_none()
    {
        return Err(Error::new(Code::Forbidden));
    }
    sql::find_room(tx, &key.as_text())
}

/// Whether somebody may write to somebody else.
///
/// Errors: `user_not_found`; `cannot_message`.
pub(super) fn check_may_message(tx: &ReadTx<'_>, sender: UserId, to: UserId) -> Result<()> {
    users::visible(tx, sender, to)?;
    let is_mutual = sender != to
        && users::sql::is_following(tx, sender, to)?
        && users::sql::is_following(tx, to, sender)?;
    if is_mutual && is_active(tx, to)? {
        Ok(())
    } else {
        Err(Error::new(Code::CannotMessage))
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
        for name in ["general", "a:b:c", "Grüße 👋", "12", "a_b", "_", "1_2_3"] {
            assert_eq!(RoomKey::parse(name).ok(), named(name), "{name}");
        }
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
