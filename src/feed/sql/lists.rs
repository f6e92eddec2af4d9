//! Lists of people.

use rusqlite::{Row, named_params};

use super::super::List;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{ListId, UserId};
use crate::page::Page;
use crate::store::{ReadTx, WriteTx};
use crate::users::{self, Person};

fn list(row: &Row<'_>) -> rusqlite::Result<List> {
    Ok(List {
        id: row.get("id")?,
        title: row.get("title")?,
        member_count: row.get("member_count")?,
        created_at: row.get("created_at")?,
    })
}

/// Somebody's lists, the latest first: all that there may be.
pub(in crate::feed) fn lists(tx: &ReadTx<'_>, owner: UserId, limit: u32) -> Result<Vec<List>> {
    tx.all(
        "SELECT l.id, l.title, l.created_at,
                (SELECT count(*) FROM list_members AS m WHERE m.list_id = l.id) AS member_count
         FROM lists AS l
         WHERE l.owner_id = :owner
         ORDER BY l.id DESC
         LIMIT :limit",
        named_params! { ":owner": owner, ":limit": limit },
        list,
    )
}

/// A list of somebody's.
pub(in crate::feed) fn find_list(
    tx: &ReadTx<'_>,
    owner: UserId,
    id: ListId,
) -> Result<Option<List>> {
    tx.optional(
        "SELECT l.id, l.title, l.created_at,
                (SELECT count(*) FROM list_members AS m WHERE m.list_id = l.id) AS member_count
         FROM lists AS l
         WHERE l.id = :id AND l.owner_id = :owner",
        named_params! { ":id": id, ":owner": owner },
        list,
    )
}

pub(in crate::feed) fn insert_list(
    tx: &WriteTx<'_>,
    id: ListId,
    owner: UserId,
    title: &str,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO lists (id, owner_id, title, created_at) VALUES (:id, :owner, :title, :at)",
        named_params! { ":id": id, ":owner": owner, ":title": title, ":at": at },
    )?;
    Ok(())
}

pub(in crate::feed) fn rename_list(tx: &WriteTx<'_>, id: ListId, title: &str) -> Result<()> {
    tx.execute(
        "UPDATE lists SET title = :title WHERE id = :id",
        named_params! { ":id": id, ":title": title },
    )?;
    Ok(())
}

pub(in crate::feed) fn delete_list(tx: &WriteTx<'_>, id: ListId) -> Result<()> {
    tx.execute(
        "DELETE FROM list_members WHERE list_id = :id",
        named_params! { ":id": id },
    )?;
    tx.execute(
        "DELETE FROM lists WHERE id = :id",
        named_params! { ":id": id },
    )?;
    Ok(())
}

pub(in crate::feed) fn add_to_list(
    tx: &WriteTx<'_>,
    id: ListId,
    user: UserId,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO list_members (list_id, user_id, added_at)
         VALUES (:id, :user, :at)
         ON CONFLICT DO NOTHING",
        named_params! { ":id": id, ":user": user, ":at": at },
    )?;
    Ok(())
}

pub(in crate::feed) fn remove_from_list(
    tx: &WriteTx<'_>,
    id: ListId,
    user: UserId,
) -> Result<bool> {
    let removed = tx.execute(
        "DELETE FROM list_members WHERE list_id = :id AND user_id = :user",
        named_params! { ":id": id, ":user": user },
    )?;
    Ok(removed > 0)
}

/// Takes somebody off the lists of others, so many at most; returns how many.
pub(in crate::feed) fn leave_lists(tx: &WriteTx<'_>, user: UserId, limit: u32) -> Result<usize> {
    tx.execute(
        "DELETE FROM list_members
         WHERE user_id = :user AND list_id IN
             (SELECT list_id FROM list_members WHERE user_id = :user LIMIT :limit)",
        named_params! { ":user": user, ":limit": limit },
    )
}

/// The people of a list who are there for its owner, by id.
pub(in crate::feed) fn list_members(
    tx: &ReadTx<'_>,
    owner: UserId,
    id: ListId,
    page: &Page,
) -> Result<Vec<Person>> {
    tx.all(
        "SELECT u.id, u.username, u.name, u.avatar
         FROM list_members AS m
         JOIN users AS u ON u.id = m.user_id
         WHERE m.list_id = :id AND m.user_id > :above AND u.status <> 'deleted'
           AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                           WHERE b.user_id = :owner AND b.other_id = m.user_id)
         ORDER BY m.user_id
         LIMIT :limit",
        named_params! {
            ":id": id, ":owner": owner, ":above": page.above(), ":limit": page.fetch(),
        },
        users::sql::person,
    )
}

/// The ids of the people of a list, in order: all that there may be.
pub(in crate::feed) fn list_member_ids(
    tx: &ReadTx<'_>,
    id: ListId,
    limit: u32,
) -> Result<Vec<UserId>> {
    tx.all(
        "SELECT user_id FROM list_members WHERE list_id = :id ORDER BY user_id LIMIT :limit",
        named_params! { ":id": id, ":limit": limit },
        |row| row.get("user_id"),
    )
}
