//! Whom people choose for their stories.

use rusqlite::named_params;
use rusqlite::types::{ToSql, ToSqlOutput};

use super::super::Circle;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::UserId;
use crate::page::Page;
use crate::store::{ReadTx, WriteTx};
use crate::users::{self, Person};

/// The people of a circle who are there for its owner, in the order of their ids.
pub(in crate::stories) fn circle(
    tx: &ReadTx<'_>,
    owner: UserId,
    circle: Circle,
    page: &Page,
) -> Result<Vec<Person>> {
    tx.all(
        "SELECT u.id, u.username, u.name, u.avatar
         FROM story_circles AS c
         JOIN users AS u ON u.id = c.user_id
         WHERE c.owner_id = :owner AND c.circle = :circle AND c.user_id > :above AND u.status <> 'deleted'
           AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                           WHERE b.user_id = :owner AND b.other_id = c.user_id)
         ORDER BY c.user_id
         LIMIT :limit",
        named_params! {
            ":owner": owner, ":circle": circle, ":above": page.above(), ":limit": page.fetch(),
        },
        users::sql::person,
    )
}

/// Takes somebody out of all circles, and all out of theirs: so many of each at most; returns how many.
pub(in crate::stories) fn leave_circles(
    tx: &WriteTx<'_>,
    user: UserId,
    limit: u32,
) -> Result<usize> {
    let own = tx.execute(
        "DELETE FROM story_circles
         WHERE (owner_id, circle, user_id) IN
             (SELECT owner_id, circle, user_id FROM story_circles WHERE owner_id = :user LIMIT :limit)",
        named_params! { ":user": user, ":limit": limit },
    )?;
    let others = tx.execute(
        "DELETE FROM story_circles
         WHERE (owner_id, circle, user_id) IN
             (SELECT owner_id, circle, user_id FROM story_circles WHERE user_id = :user LIMIT :limit)",
        named_params! { ":user": user, ":limit": limit },
    )?;
    Ok(own + others)
}

/// How many people of a circle are there for its owner.
pub(in crate::stories) fn circle_count(
    tx: &ReadTx<'_>,
    owner: UserId,
    circle: Circle,
) -> Result<u32> {
    tx.one(
        "SELECT count(*)
         FROM story_circles AS c
         JOIN users AS u ON u.id = c.user_id
         WHERE c.owner_id = :owner AND c.circle = :circle AND u.status <> 'deleted'
           AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                           WHERE b.user_id = :owner AND b.other_id = c.user_id)",
        named_params! { ":owner": owner, ":circle": circle },
        |row| row.get(0),
    )
}

pub(in crate::stories) fn is_in_circle(
    tx: &ReadTx<'_>,
    owner: UserId,
    circle: Circle,
    user: UserId,
) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM story_circles WHERE owner_id = :owner AND circle = :circle AND user_id = :user",
        named_params! { ":owner": owner, ":circle": circle, ":user": user },
    )
}

pub(in crate::stories) fn add_to_circle(
    tx: &WriteTx<'_>,
    owner: UserId,
    circle: Circle,
    user: UserId,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO story_circles (owner_id, circle, user_id, added_at)
         VALUES (:owner, :circle, :user, :at)
         ON CONFLICT DO NOTHING",
        named_params! { ":owner": owner, ":circle": circle, ":user": user, ":at": at },
    )?;
    Ok(())
}

pub(in crate::stories) fn take_from_circle(
    tx: &WriteTx<'_>,
    owner: UserId,
    circle: Circle,
    user: UserId,
) -> Result<()> {
    tx.execute(
        "DELETE FROM story_circles WHERE owner_id = :owner AND circle = :circle AND user_id = :user",
        named_params! { ":owner": owner, ":circle": circle, ":user": user },
    )?;
    Ok(())
}

impl ToSql for Circle {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::CloseFriends => 0,
            Self::HiddenFrom => 1,
        }))
    }
}
