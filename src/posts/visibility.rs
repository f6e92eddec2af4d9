//! Who may see a post: decided here and nowhere else.
//!
//! | visibility  | reads, likes, comments, is notified | counts in a profile for | stands in lists of      |
//! |-------------|-------------------------------------|-------------------------|-------------------------|
//! | `public`    | everybody with an account           | everybody               | its author, the public  |
//! | `followers` | its author and who follows them now | the same                | its author, for them    |
//! | `private`   | its author                          | its author              | its author, for them    |
//!
//! "Everybody" is everybody but those who block the author or whom the author blocks: to them none of this applies. In
//! statements that is the view `blocked_pairs`. Likewise nobody sees a comment, or a like, of such a person. A comment of
//! theirs that has answers keeps its place, like a removed one: without its text, and without saying whose it was. The
//! answers beneath it are shown.
//!
//! Public posts are read without an account as well, as Atom and RSS, unless their author or the server does not want it.
//!
//! What one may not see does not exist for one: 404, never 403. Mutes hide posts in the timeline alone.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::UserId;
use crate::store::ReadTx;
use crate::users::{self, Relation};

/// Who may see a post.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody.
    #[default]
    Public,
    /// Those who follow the author.
    Followers,
    /// The author.
    Private,
}

impl Visibility {
    /// Whether somebody who stands so to the author may see it.
    pub fn allows(self, relation: Relation) -> bool {
        Self::seen_by(relation).contains(&self)
    }

    /// All that somebody who stands so to the author may see.
    pub fn seen_by(relation: Relation) -> &'static [Self] {
        match relation {
            Relation::Oneself => &[Self::Public, Self::Followers, Self::Private],
            Relation::Follower => &[Self::Public, Self::Followers],
            Relation::Stranger => &[Self::Public],
            Relation::Blocked => &[],
        }
    }

    /// Whether `viewer` may see a post of `author` with this visibility.
    pub fn allows_viewer(self, tx: &ReadTx<'_>, viewer: UserId, author: UserId) -> Result<bool> {
        match self {
            // No question about follows.
            Self::Public => Ok(!users::is_blocked_pair(tx, viewer, author)?),
            Self::Followers | Self::Private => {
                Ok(self.allows(users::relation(tx, viewer, author)?))
            }
        }
    }
}

impl ToSql for Visibility {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::Public => 0,
            Self::Followers => 1,
            Self::Private => 2,
        }))
    }
}

impl FromSql for Visibility {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            0 => Ok(Self::Public),
            1 => Ok(Self::Followers),
            2 => Ok(Self::Private),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}
