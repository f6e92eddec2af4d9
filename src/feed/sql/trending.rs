//! What people do lately with public posts, for what is talked about.

use rusqlite::{Row, named_params};

use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{PostId, UserId};
use crate::store::ReadTx;

/// Of the latest likes above an id those of public posts, newest first, with whose they are; not authors' of their own.
pub(in crate::feed) fn likes_since(
    tx: &ReadTx<'_>,
    since: i64,
    limit: u32,
) -> Result<Vec<(PostId, UserId, Timestamp)>> {
    tx.all(
        "SELECT d.post_id, d.user_id, d.created_at
         FROM (SELECT post_id, user_id, created_at FROM reactions
               WHERE id > :since AND value = 1
               ORDER BY id DESC
               LIMIT :limit) AS d
         CROSS JOIN posts AS p ON p.id = d.post_id
         WHERE p.is_deleted = 0 AND p.visibility = 0 AND p.author_id <> d.user_id",
        named_params! { ":since": since, ":limit": limit },
        deed,
    )
}

/// The same of comments, with who wrote them.
pub(in crate::feed) fn comments_since(
    tx: &ReadTx<'_>,
    since: i64,
    limit: u32,
) -> Result<Vec<(PostId, UserId, Timestamp)>> {
    tx.all(
        "SELECT d.post_id, d.user_id, d.created_at
         FROM (SELECT post_id, author_id AS user_id, created_at FROM comments
               WHERE id > :since AND is_deleted = 0
               ORDER BY id DESC
               LIMIT :limit) AS d
         CROSS JOIN posts AS p ON p.id = d.post_id
         WHERE p.is_deleted = 0 AND p.visibility = 0 AND p.author_id <> d.user_id",
        named_params! { ":since": since, ":limit": limit },
        deed,
    )
}

fn deed(row: &Row<'_>) -> rusqlite::Result<(PostId, UserId, Timestamp)> {
    Ok((
        row.get("post_id")?,
        row.get("user_id")?,
        row.get("created_at")?,
    ))
}

/// The hashtags of the latest public posts above an id, newest first, with who used them.
pub(in crate::feed) fn tags_since(
    tx: &ReadTx<'_>,
    since: i64,
    limit: u32,
) -> Result<Vec<(String, UserId, Timestamp)>> {
    tx.all(
        "SELECT h.tag, p.author_id, p.created_at
         FROM (SELECT id, author_id, created_at FROM posts
               WHERE id > :since AND is_deleted = 0 AND visibility = 0
               ORDER BY id DESC
               LIMIT :limit) AS p
         JOIN post_hashtags AS h ON h.post_id = p.id",
        named_params! { ":since": since, ":limit": limit },
        |row| {
            Ok((
                row.get("tag")?,
                row.get("author_id")?,
                row.get("created_at")?,
            ))
        },
    )
}
