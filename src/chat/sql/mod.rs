//! The statements over rooms, members and messages.

mod conversations;
mod members;
mod messages;
mod reactions;
mod rooms;
mod touches;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use super::access::WhoMayMessage;
use super::{Role, RoomKind, Sanction, Visibility};

pub(super) use conversations::*;
pub(super) use members::*;
pub(super) use messages::*;
pub(super) use reactions::*;
pub(super) use rooms::*;

/// Keeps a choice as its place in a list.
macro_rules! as_integer {
    ($( $name:ident { $( $variant:ident = $number:literal ),+ } )+) => { $(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(match self { $( Self::$variant => $number, )+ }))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                match value.as_i64()? {
                    $( $number => Ok(Self::$variant), )+
                    _ => Err(FromSqlError::InvalidType),
                }
            }
        }
    )+ };
}

as_integer! {
    RoomKind { Named = 0, Direct = 1, Group = 2 }
    Visibility { Open = 0, Invite = 1, Hidden = 2 }
    Role { Member = 0, Moderator = 1, Owner = 2 }
    Sanction { Mute = 0, Ban = 1 }
    WhoMayMessage { Nobody = 0, Mutuals = 1, Followed = 2, Everyone = 3 }
}
