//! The rows that the index is made of, and those that say what somebody may see.

use std::collections::{HashMap, HashSet};

use rusqlite::{Row, named_params};

use super::schema::{Doc, Kind};
use super::stale::Position;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::UserId;
use crate::store::{ReadTx, outbox};

/// Rooms of somebody's whose messages are searched: the first so many.
const MAX_ROOMS: u32 = 10_000;
/// People whom somebody follows and whose posts for followers they find: the first so many.
const MAX_FOLLOWED: u32 = 50_000;

/// Hashtags that begin alike and are all compared; of more, those with the most posts are looked for.
const MAX_TAGS: u32 = 1_000;
/// Hashtags among which they are looked for: those with the most posts of all.
const MAX_TAGS_LOOKED_AT: u32 = 20_000;

const PEOPLE: &str = "
    SELECT id, username, name, created_at
    FROM users";

const POSTS: &str = "
    SELECT p.id, p.author_id, p.content, p.caption, p.hashtags, p.visibility, p.media_count, p.created_at
    FROM posts AS p";

const COMMENTS: &str = "
    SELECT c.id, c.author_id, c.content, c.created_at, c.post_id, p.author_id AS post_author_id, p.visibility
    FROM comments AS c
    JOIN posts AS p ON p.id = c.post_id";

const MESSAGES: &str = "
    SELECT m.id, m.sender_id, m.body, m.has_media, m.room_id, m.number, m.created_at, m.touched,
           m.edited_at IS NOT NULL AS is_edited
    FROM messages AS m";

/// Those of these things that are to be found.
pub(super) fn of_ids(tx: &ReadTx<'_>, kind: Kind, ids: &[i64]) -> Result<Vec<Doc>> {
    let ids = serde_json::to_string(ids).map_err(Error::internal)?;
    let params = named_params! { ":ids": ids };
    match kind {
        Kind::Person => tx.all(
            &format!("{PEOPLE} WHERE id IN (SELECT value FROM json_each(:ids)) AND status = 'active'"),
            params,
            person,
        ),
        Kind::Post => tx.all(
            &format!("{POSTS} WHERE p.id IN (SELECT value FROM json_each(:ids)) AND p.is_deleted = 0"),
            params,
            post,
        ),
        Kind::Comment => tx.all(
            &format!("{COMMENTS} WHERE c.id IN (SELECT value FROM json_each(:ids)) AND c.is_deleted = 0 AND p.is_deleted = 0"),
            params,
            comment,
        ),
        Kind::Message => tx.all(
            &format!("{MESSAGES} WHERE m.id IN (SELECT value FROM json_each(:ids)) AND m.deleted_at IS NULL"),
            params,
            message,
        ),
    }
}

/// The next things that are to be found, in the order of their ids.
pub(super) fn after(tx: &ReadTx<'_>, kind: Kind, id: i64, limit: u32) -> Result<Vec<Doc>> {
    let params = named_params! { ":id": id, ":limit": limit };
    match kind {
        Kind::Person => tx.all(
            &format!("{PEOPLE} WHERE id > :id AND status = 'active' ORDER BY id LIMIT :limit"),
            params,
            person,
        ),
        Kind::Post => tx.all(
            &format!("{POSTS} WHERE p.id > :id AND p.is_deleted = 0 ORDER BY p.id LIMIT :limit"),
            params,
            post,
        ),
        Kind::Comment => tx.all(
            &format!(
                "{COMMENTS} WHERE c.id > :id AND c.is_deleted = 0 AND p.is_deleted = 0 ORDER BY c.id LIMIT :limit"
            ),
            params,
            comment,
        ),
        Kind::Message => tx.all(
            &format!(
                "{MESSAGES} WHERE m.id > :id AND m.deleted_at IS NULL ORDER BY m.id LIMIT :limit"
            ),
            params,
            message,
        ),
    }
}

/// The next comments of a post that are to be found.
pub(super) fn comments_of(tx: &ReadTx<'_>, post: i64, id: i64, limit: u32) -> Result<Vec<Doc>> {
    tx.all(
        &format!(
            "{COMMENTS}
             WHERE c.post_id = :post AND c.is_deleted = 0 AND c.id > :id AND p.is_deleted = 0
             ORDER BY c.id
             LIMIT :limit"
        ),
        named_params! { ":post": post, ":id": id, ":limit": limit },
        comment,
    )
}

/// The messages after a touch, in the order of their touches: each with its id, and what is to be found of it.
pub(super) fn touched(
    tx: &ReadTx<'_>,
    after: u64,
    limit: u32,
) -> Result<Vec<(u64, i64, Option<Doc>)>> {
    tx.all(
        "SELECT m.id, m.sender_id, m.body, m.has_media, m.room_id, m.number, m.created_at, m.touched,
                m.edited_at IS NOT NULL AS is_edited, m.deleted_at IS NOT NULL AS is_deleted
         FROM messages AS m
         WHERE m.touched > :after
         ORDER BY m.touched
         LIMIT :limit",
        named_params! { ":after": after, ":limit": limit },
        |row| {
            let doc = if row.get("is_deleted")? { None } else { Some(message(row)?) };
            Ok((row.get("touched")?, row.get("id")?, doc))
        },
    )
}

/// How far the rows have come.
pub(super) fn newest(tx: &ReadTx<'_>) -> Result<Position> {
    Ok(Position {
        log: outbox::newest(tx)?,
        messages: tx.one("SELECT last FROM message_touches WHERE id = 1", [], |row| {
            row.get("last")
        })?,
    })
}

fn person(row: &Row<'_>) -> rusqlite::Result<Doc> {
    let id = row.get("id")?;
    Ok(Doc {
        kind: Kind::Person,
        id,
        author: id,
        at: row.get("created_at")?,
        texts: vec![row.get("username")?, row.get("name")?],
        tags: Vec::new(),
        has_media: false,
        post: None,
        room: None,
        first_touch: None,
    })
}

fn post(row: &Row<'_>) -> rusqlite::Result<Doc> {
    let (id, author) = (row.get("id")?, row.get("author_id")?);
    let texts: [Option<String>; 2] = [row.get("content")?, row.get("caption")?];
    let tags: String = row.get("hashtags")?;
    let media: i64 = row.get("media_count")?;
    Ok(Doc {
        kind: Kind::Post,
        id,
        author,
        at: row.get("created_at")?,
        texts: texts.into_iter().flatten().collect(),
        tags: serde_json::from_str(&tags).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
        })?,
        has_media: media > 0,
        post: Some((id, author, row.get("visibility")?)),
        room: None,
        first_touch: None,
    })
}

fn comment(row: &Row<'_>) -> rusqlite::Result<Doc> {
    let content: String = row.get("content")?;
    let post = (
        row.get("post_id")?,
        row.get("post_author_id")?,
        row.get("visibility")?,
    );
    Ok(Doc {
        kind: Kind::Comment,
        id: row.get("id")?,
        author: row.get("author_id")?,
        at: row.get("created_at")?,
        tags: crate::text::hashtags(&content),
        texts: vec![content],
        has_media: false,
        post: Some(post),
        room: None,
        first_touch: None,
    })
}

fn message(row: &Row<'_>) -> rusqlite::Result<Doc> {
    let body: String = row.get("body")?;
    let is_edited: bool = row.get("is_edited")?;
    Ok(Doc {
        kind: Kind::Message,
        id: row.get("id")?,
        author: row.get("sender_id")?,
        at: row.get("created_at")?,
        tags: crate::text::hashtags(&body),
        texts: vec![body],
        has_media: row.get("has_media")?,
        post: None,
        room: Some((row.get("room_id")?, row.get("number")?)),
        first_touch: if is_edited {
            None
        } else {
            Some(row.get("touched")?)
        },
    })
}

/// Who is not there for somebody, nor they for them.
pub(super) fn apart(tx: &ReadTx<'_>, viewer: UserId) -> Result<HashSet<i64>> {
    // All of them, however many: who is left out here would be shown.
    let found = tx.all(
        "SELECT other_id FROM blocked_pairs WHERE user_id = :viewer",
        named_params! { ":viewer": viewer },
        |row| row.get("other_id"),
    )?;
    Ok(found.into_iter().collect())
}

/// Whom somebody follows.
pub(super) fn followed(tx: &ReadTx<'_>, viewer: UserId) -> Result<HashSet<i64>> {
    let found = tx.all(
        "SELECT following_id FROM follows
         WHERE follower_id = :viewer AND is_active = 1
         ORDER BY id DESC
         LIMIT :limit",
        named_params! { ":viewer": viewer, ":limit": MAX_FOLLOWED },
        |row| row.get("following_id"),
    )?;
    Ok(found.into_iter().collect())
}

/// The rooms that somebody is in and reads, with the number up to which they threw away what was said. Without those from
/// which they are banned, conversations that they declined, and those with somebody who is not there for them; the newest
/// of very many.
pub(super) fn rooms(tx: &ReadTx<'_>, viewer: UserId, now: Timestamp) -> Result<HashMap<i64, i64>> {
    let found = tx.all(
        "SELECT p.room_id, p.cleared_number
         FROM room_members AS p
         JOIN rooms AS r ON r.id = p.room_id
         WHERE p.user_id = :viewer AND p.request < 2 AND r.closed_at IS NULL
               AND NOT EXISTS (
                   SELECT 1 FROM room_sanctions AS s
                   WHERE s.room_id = p.room_id AND s.user_id = :viewer AND s.kind = 1
                         AND (s.until IS NULL OR s.until > :now)
               )
               AND NOT EXISTS (
                   SELECT 1
                   FROM room_members AS o
                   JOIN blocked_pairs AS b ON b.user_id = :viewer AND b.other_id = o.user_id
                   WHERE r.kind = 1 AND o.room_id = p.room_id
               )
         ORDER BY p.room_id DESC
         LIMIT :limit",
        named_params! { ":viewer": viewer, ":now": now, ":limit": MAX_ROOMS },
        |row| Ok((row.get("room_id")?, row.get("cleared_number")?)),
    )?;
    Ok(found.into_iter().collect())
}

/// People whom somebody mutes at a time.
pub(super) fn muted_people(
    tx: &ReadTx<'_>,
    viewer: UserId,
    now: Timestamp,
) -> Result<HashSet<i64>> {
    let found = tx.all(
        "SELECT muted_id FROM mutes WHERE muter_id = :viewer AND (ends_at IS NULL OR ends_at > :now)",
        named_params! { ":viewer": viewer, ":now": now },
        |row| row.get("muted_id"),
    )?;
    Ok(found.into_iter().collect())
}

/// Hashtags that somebody mutes at a time.
pub(super) fn muted_tags(
    tx: &ReadTx<'_>,
    viewer: UserId,
    now: Timestamp,
) -> Result<HashSet<String>> {
    let found = tx.all(
        "SELECT key FROM muted_terms
         WHERE user_id = :viewer AND kind = 1 AND (ends_at IS NULL OR ends_at > :now)",
        named_params! { ":viewer": viewer, ":now": now },
        |row| row.get("key"),
    )?;
    Ok(found.into_iter().collect())
}

/// Hashtags of public posts that begin so, those with the most posts first; where very many begin so, out of those that
/// have the most posts of all.
pub(super) fn public_tags(tx: &ReadTx<'_>, prefix: &str, limit: u32) -> Result<Vec<String>> {
    // No text sorts after the last code point.
    let end = format!("{prefix}\u{10FFFF}");
    let tag = |row: &Row<'_>| Ok((row.get("posts_count")?, row.get("tag")?));
    let mut found: Vec<(i64, String)> = tx.all(
        "SELECT tag, posts_count
         FROM tags
         WHERE tag >= :prefix AND tag < :end AND posts_count > 0
         ORDER BY tag
         LIMIT :limit",
        named_params! { ":prefix": prefix, ":end": end, ":limit": MAX_TAGS },
        tag,
    )?;
    if found.len() >= MAX_TAGS as usize {
        found = tx.all(
            "SELECT tag, posts_count
             FROM (SELECT tag, posts_count FROM tags WHERE posts_count > 0
                   ORDER BY posts_count DESC, tag LIMIT :looked_at) AS used
             WHERE tag >= :prefix AND tag < :end
             LIMIT :limit",
            named_params! {
                ":prefix": prefix, ":end": end, ":looked_at": MAX_TAGS_LOOKED_AT, ":limit": limit,
            },
            tag,
        )?;
    }
    found.sort_by(|one, other| (other.0, &one.1).cmp(&(one.0, &other.1)));
    found.truncate(limit as usize);
    Ok(found.into_iter().map(|(_, tag)| tag).collect())
}
