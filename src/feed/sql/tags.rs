//! Hashtags, their public posts, and who follows them.

use std::collections::HashMap;

use rusqlite::{Row, named_params};

use super::super::Tag;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{PostId, UserId};
use crate::store::{ReadTx, WriteTx};

/// The public posts of a hashtag from one id on and below another, newest first.
pub(in crate::feed) fn tagged(
    tx: &ReadTx<'_>,
    tag: &str,
    (from, below): (PostId, i64),
    limit: usize,
) -> Result<Vec<PostId>> {
    tx.all(
        "SELECT post_id FROM post_hashtags
         WHERE tag = :tag AND post_id < :below AND post_id >= :from
         ORDER BY post_id DESC
         LIMIT :limit",
        named_params! { ":tag": tag, ":below": below, ":from": from, ":limit": limit },
        |row| row.get("post_id"),
    )
}

/// Of each of these hashtags the newest public post below an id.
pub(in crate::feed) fn newest_of_each_tag(
    tx: &ReadTx<'_>,
    tags: &[String],
    below: i64,
) -> Result<Vec<(String, PostId)>> {
    let tags = serde_json::to_string(tags).map_err(Error::internal)?;
    let rows: Vec<(String, Option<PostId>)> = tx.all(
        "SELECT wanted.value AS tag,
                (SELECT post_id FROM post_hashtags
                 WHERE tag = wanted.value AND post_id < :below
                 ORDER BY post_id DESC
                 LIMIT 1) AS newest
         FROM json_each(:tags) AS wanted",
        named_params! { ":tags": tags, ":below": below },
        |row| Ok((row.get("tag")?, row.get("newest")?)),
    )?;
    let newest = |(tag, newest): (String, Option<PostId>)| Some((tag, newest?));
    Ok(rows.into_iter().filter_map(newest).collect())
}

fn tag(row: &Row<'_>) -> rusqlite::Result<Tag> {
    Ok(Tag {
        name: row.get("tag")?,
        posts_count: row.get("posts_count")?,
        followers_count: row.get("followers_count")?,
        is_following: row.get("is_following")?,
    })
}

pub(in crate::feed) fn find_tag(
    tx: &ReadTx<'_>,
    viewer: UserId,
    name: &str,
) -> Result<Option<Tag>> {
    tx.optional(
        "SELECT t.tag, t.posts_count, t.followers_count, f.user_id IS NOT NULL AS is_following
         FROM tags AS t
         LEFT JOIN followed_tags AS f ON f.tag = t.tag AND f.user_id = :viewer
         WHERE t.tag = :tag",
        named_params! { ":viewer": viewer, ":tag": name },
        tag,
    )
}

/// The hashtags that somebody follows, by name: all that there may be.
pub(in crate::feed) fn followed_tags(
    tx: &ReadTx<'_>,
    viewer: UserId,
    limit: u32,
) -> Result<Vec<Tag>> {
    tx.all(
        "SELECT t.tag, t.posts_count, t.followers_count, 1 AS is_following
         FROM followed_tags AS f
         JOIN tags AS t ON t.tag = f.tag
         WHERE f.user_id = :viewer
         ORDER BY f.tag
         LIMIT :limit",
        named_params! { ":viewer": viewer, ":limit": limit },
        tag,
    )
}

pub(in crate::feed) fn follow_tag(
    tx: &WriteTx<'_>,
    user: UserId,
    name: &str,
    at: Timestamp,
) -> Result<bool> {
    tx.execute(
        "INSERT INTO tags (tag) VALUES (:tag) ON CONFLICT DO NOTHING",
        named_params! { ":tag": name },
    )?;
    let added = tx.execute(
        "INSERT INTO followed_tags (user_id, tag, followed_at)
         VALUES (:user, :tag, :at)
         ON CONFLICT DO NOTHING",
        named_params! { ":user": user, ":tag": name, ":at": at },
    )?;
    count_followers(tx, name, i64::try_from(added).unwrap_or(0))?;
    Ok(added > 0)
}

pub(in crate::feed) fn unfollow_tag(tx: &WriteTx<'_>, user: UserId, name: &str) -> Result<bool> {
    let removed = tx.execute(
        "DELETE FROM followed_tags WHERE user_id = :user AND tag = :tag",
        named_params! { ":user": user, ":tag": name },
    )?;
    count_followers(tx, name, -i64::try_from(removed).unwrap_or(0))?;
    tx.execute(
        "DELETE FROM tags WHERE tag = :tag AND posts_count = 0 AND followers_count = 0",
        named_params! { ":tag": name },
    )?;
    Ok(removed > 0)
}

fn count_followers(tx: &WriteTx<'_>, name: &str, change: i64) -> Result<()> {
    tx.execute(
        "UPDATE tags SET followers_count = followers_count + :change WHERE tag = :tag",
        named_params! { ":tag": name, ":change": change },
    )?;
    Ok(())
}

/// The hashtags with the most public posts, the most first.
pub(in crate::feed) fn top_tags(tx: &ReadTx<'_>, viewer: UserId, limit: u32) -> Result<Vec<Tag>> {
    tx.all(
        "SELECT t.tag, t.posts_count, t.followers_count, f.user_id IS NOT NULL AS is_following
         FROM tags AS t
         LEFT JOIN followed_tags AS f ON f.tag = t.tag AND f.user_id = :viewer
         WHERE t.posts_count > 0
         ORDER BY t.posts_count DESC, t.tag
         LIMIT :limit",
        named_params! { ":viewer": viewer, ":limit": limit },
        tag,
    )
}

/// How many public posts these hashtags are on; those that are on none are absent.
pub(in crate::feed) fn post_counts(tx: &ReadTx<'_>, tags: &[&str]) -> Result<HashMap<String, u32>> {
    let tags = serde_json::to_string(tags).map_err(Error::internal)?;
    let counts = tx.all(
        "SELECT tag, posts_count
         FROM tags
         WHERE tag IN (SELECT value FROM json_each(:tags)) AND posts_count > 0",
        named_params! { ":tags": tags },
        |row| Ok((row.get("tag")?, row.get("posts_count")?)),
    )?;
    Ok(counts.into_iter().collect())
}

/// The first hashtags by name that begin so and are on public posts.
pub(in crate::feed) fn tags_beginning(
    tx: &ReadTx<'_>,
    viewer: UserId,
    prefix: &str,
    limit: u32,
) -> Result<Vec<Tag>> {
    tx.all(
        "SELECT t.tag, t.posts_count, t.followers_count, f.user_id IS NOT NULL AS is_following
         FROM tags AS t INDEXED BY tags_in_use
         LEFT JOIN followed_tags AS f ON f.tag = t.tag AND f.user_id = :viewer
         WHERE t.tag >= :prefix AND t.tag < :end AND t.posts_count > 0
         ORDER BY t.tag
         LIMIT :limit",
        // No text sorts after the last code point.
        named_params! {
            ":viewer": viewer, ":prefix": prefix, ":end": format!("{prefix}\u{10FFFF}"), ":limit": limit,
        },
        tag,
    )
}
