//! Where the posts of a timeline stand.

use rusqlite::named_params;

use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{PostId, UserId};
use crate::store::ReadTx;

/// Those whom somebody follows, in the order of their ids, each with when a mute ends: `Some(None)` without an end.
pub(in crate::feed) fn followees(
    tx: &ReadTx<'_>,
    of: UserId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(UserId, Option<Option<Timestamp>>)>> {
    let mut found: Vec<(UserId, Option<Option<Timestamp>>)> = tx.all(
        "SELECT f.following_id, m.muted_id IS NOT NULL AS is_muted, m.ends_at
         FROM follows AS f
         LEFT JOIN mutes AS m ON m.muter_id = :of AND m.muted_id = f.following_id
                                 AND (m.ends_at IS NULL OR m.ends_at > :now)
         WHERE f.follower_id = :of AND f.is_active = 1
         ORDER BY f.id DESC
         LIMIT :limit",
        named_params! { ":of": of, ":now": now, ":limit": limit },
        |row| {
            let is_muted: bool = row.get("is_muted")?;
            let ends_at = row.get("ends_at")?;
            Ok((row.get("following_id")?, is_muted.then_some(ends_at)))
        },
    )?;
    found.sort_unstable_by_key(|(id, _)| *id);
    Ok(found)
}

/// Of each of these authors the newest post below an id that their followers may see.
pub(in crate::feed) fn newest_of_each(
    tx: &ReadTx<'_>,
    authors: &[UserId],
    below: i64,
) -> Result<Vec<(UserId, PostId)>> {
    let ids: Vec<i64> = authors.iter().map(|id| id.get()).collect();
    let ids = serde_json::to_string(&ids).map_err(Error::internal)?;
    let rows: Vec<(UserId, Option<PostId>)> = tx.all(
        "SELECT author.value AS author_id,
                (SELECT id FROM posts INDEXED BY posts_for_followers
                 WHERE author_id = author.value AND is_deleted = 0 AND visibility < 2 AND id < :below
                 ORDER BY id DESC
                 LIMIT 1) AS newest
         FROM json_each(:ids) AS author",
        named_params! { ":ids": ids, ":below": below },
        |row| Ok((row.get("author_id")?, row.get("newest")?)),
    )?;
    let newest = |(author, newest): (UserId, Option<PostId>)| Some((author, newest?));
    Ok(rows.into_iter().filter_map(newest).collect())
}

/// An author's posts in a range of ids that their followers may see, newest first.
pub(in crate::feed) fn for_followers(
    tx: &ReadTx<'_>,
    author: UserId,
    (from, below): (PostId, i64),
    limit: usize,
) -> Result<Vec<PostId>> {
    tx.all(
        "SELECT id FROM posts INDEXED BY posts_for_followers
         WHERE author_id = :author AND is_deleted = 0 AND visibility < 2 AND id < :below AND id >= :from
         ORDER BY id DESC
         LIMIT :limit",
        named_params! { ":author": author, ":below": below, ":from": from, ":limit": limit },
        |row| row.get("id"),
    )
}

/// One's own posts below an id, newest first.
pub(in crate::feed) fn own(
    tx: &ReadTx<'_>,
    author: UserId,
    below: i64,
    limit: usize,
) -> Result<Vec<PostId>> {
    tx.all(
        "SELECT id FROM posts WHERE author_id = :author AND is_deleted = 0 AND visibility = 0 AND id < :below
         UNION ALL
         SELECT id FROM posts WHERE author_id = :author AND is_deleted = 0 AND visibility = 1 AND id < :below
         UNION ALL
         SELECT id FROM posts WHERE author_id = :author AND is_deleted = 0 AND visibility = 2 AND id < :below
         ORDER BY id DESC
         LIMIT :limit",
        named_params! { ":author": author, ":below": below, ":limit": limit },
        |row| row.get("id"),
    )
}

/// Public posts below an id, newest first.
pub(in crate::feed) fn public(tx: &ReadTx<'_>, below: i64, limit: usize) -> Result<Vec<PostId>> {
    tx.all(
        "SELECT id FROM posts
         WHERE is_deleted = 0 AND visibility = 0 AND id < :below
         ORDER BY id DESC
         LIMIT :limit",
        named_params! { ":below": below, ":limit": limit },
        |row| row.get("id"),
    )
}

/// Those of these people whom somebody mutes.
pub(in crate::feed) fn muted_among(
    tx: &ReadTx<'_>,
    viewer: UserId,
    people: &[UserId],
    now: Timestamp,
) -> Result<Vec<UserId>> {
    let ids: Vec<i64> = people.iter().map(|id| id.get()).collect();
    let ids = serde_json::to_string(&ids).map_err(Error::internal)?;
    tx.all(
        "SELECT m.muted_id
         FROM json_each(:ids) AS wanted
         JOIN mutes AS m ON m.muter_id = :viewer AND m.muted_id = wanted.value
         WHERE m.ends_at IS NULL OR m.ends_at > :now",
        named_params! { ":ids": ids, ":viewer": viewer, ":now": now },
        |row| row.get("muted_id"),
    )
}
