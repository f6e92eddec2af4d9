//! The statements by which people, and posts for feed readers, are found.

use rusqlite::named_params;

use super::DiscoverySettings;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{PostId, UserId};
use crate::store::{ReadTx, WriteTx};
use crate::users::{self, Person};

/// Whom somebody (`:viewer`, at `:now`) may be shown: people who are there, and whom they neither know already nor want to
/// see. What these people themselves want comes on top.
const MAY_BE_SHOWN: &str = "
    u.status = 'active' AND u.id <> :viewer
    AND NOT EXISTS (SELECT 1 FROM follows AS f
                    WHERE f.follower_id = :viewer AND f.following_id = u.id AND f.is_active = 1)
    AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b WHERE b.user_id = :viewer AND b.other_id = u.id)
    AND NOT EXISTS (SELECT 1 FROM mutes AS m
                    WHERE m.muter_id = :viewer AND m.muted_id = u.id AND (m.ends_at IS NULL OR m.ends_at > :now))";

pub(super) fn settings(tx: &ReadTx<'_>, user: UserId) -> Result<DiscoverySettings> {
    let found = tx.optional(
        "SELECT is_listed, is_suggested, is_syndicated FROM discovery_settings WHERE user_id = :user",
        named_params! { ":user": user },
        |row| {
            Ok(DiscoverySettings {
                is_listed: row.get("is_listed")?,
                is_suggested: row.get("is_suggested")?,
                is_syndicated: row.get("is_syndicated")?,
            })
        },
    )?;
    Ok(found.unwrap_or_default())
}

pub(super) fn put_settings(
    tx: &WriteTx<'_>,
    user: UserId,
    settings: DiscoverySettings,
) -> Result<()> {
    tx.execute(
        "INSERT INTO discovery_settings (user_id, is_listed, is_suggested, is_syndicated)
         VALUES (:user, :is_listed, :is_suggested, :is_syndicated)
         ON CONFLICT (user_id) DO UPDATE
         SET is_listed = excluded.is_listed, is_suggested = excluded.is_suggested,
             is_syndicated = excluded.is_syndicated",
        named_params! {
            ":user": user,
            ":is_listed": settings.is_listed,
            ":is_suggested": settings.is_suggested,
            ":is_syndicated": settings.is_syndicated,
        },
    )?;
    Ok(())
}

/// Notes that somebody does not want a person suggested, and forgets the oldest of these beyond `keep`.
pub(super) fn dismiss(
    tx: &WriteTx<'_>,
    user: UserId,
    other: UserId,
    at: Timestamp,
    keep: u32,
) -> Result<()> {
    tx.execute(
        "INSERT INTO dismissed_suggestions (user_id, other_id, dismissed_at)
         VALUES (:user, :other, :at)
         ON CONFLICT DO NOTHING",
        named_params! { ":user": user, ":other": other, ":at": at },
    )?;
    tx.execute(
        "DELETE FROM dismissed_suggestions
         WHERE user_id = :user AND other_id IN (
             SELECT other_id FROM dismissed_suggestions
             WHERE user_id = :user
             ORDER BY dismissed_at DESC, other_id DESC
             LIMIT -1 OFFSET :keep
         )",
        named_params! { ":user": user, ":keep": keep },
    )?;
    Ok(())
}

pub(super) fn forget_settings(tx: &WriteTx<'_>, user: UserId) -> Result<()> {
    tx.execute(
        "DELETE FROM discovery_settings WHERE user_id = :user",
        named_params! { ":user": user },
    )?;
    Ok(())
}

/// Forgets whom somebody did not want to see, and who did not want to see them: so many of each at most; returns how many.
pub(super) fn forget_dismissals(tx: &WriteTx<'_>, user: UserId, limit: u32) -> Result<usize> {
    let own = tx.execute(
        "DELETE FROM dismissed_suggestions
         WHERE user_id = :user AND other_id IN
             (SELECT other_id FROM dismissed_suggestions WHERE user_id = :user LIMIT :limit)",
        named_params! { ":user": user, ":limit": limit },
    )?;
    let others = tx.execute(
        "DELETE FROM dismissed_suggestions
         WHERE other_id = :user AND user_id IN
             (SELECT user_id FROM dismissed_suggestions WHERE other_id = :user LIMIT :limit)",
        named_params! { ":user": user, ":limit": limit },
    )?;
    Ok(own + others)
}

/// The people who came last, below an id; each with their place in the list.
pub(super) fn newest_people(tx: &ReadTx<'_>, below: i64, limit: u32) -> Result<Vec<(i64, UserId)>> {
    tx.all(
        "SELECT id FROM users WHERE id < :below ORDER BY id DESC LIMIT :limit",
        named_params! { ":below": below, ":limit": limit },
        |row| Ok((row.get("id")?, row.get("id")?)),
    )
}

/// The people who last wrote public posts, below a post; each with their place in the list, that post.
pub(super) fn latest_writers(
    tx: &ReadTx<'_>,
    below: i64,
    limit: u32,
) -> Result<Vec<(i64, UserId)>> {
    tx.all(
        "SELECT latest_public_post, id
         FROM users
         WHERE latest_public_post < :below
         ORDER BY latest_public_post DESC
         LIMIT :limit",
        named_params! { ":below": below, ":limit": limit },
        |row| Ok((row.get("latest_public_post")?, row.get("id")?)),
    )
}

/// Those of these people who may stand in somebody's directory, in no order.
pub(super) fn listable(
    tx: &ReadTx<'_>,
    viewer: UserId,
    now: Timestamp,
    people: &[UserId],
) -> Result<Vec<Person>> {
    tx.all(
        &format!(
            "SELECT u.id, u.username, u.name, u.avatar
             FROM json_each(:ids) AS wanted
             JOIN users AS u ON u.id = wanted.value
             WHERE {MAY_BE_SHOWN}
               AND NOT EXISTS (SELECT 1 FROM discovery_settings AS s
                               WHERE s.user_id = u.id AND s.is_listed = 0)"
        ),
        named_params! { ":ids": json(people)?, ":viewer": viewer, ":now": now },
        users::sql::person,
    )
}

/// Those of these people who may be suggested to somebody, in no order.
pub(super) fn suggestible(
    tx: &ReadTx<'_>,
    viewer: UserId,
    now: Timestamp,
    people: &[UserId],
) -> Result<Vec<Person>> {
    tx.all(
        &format!(
            "SELECT u.id, u.username, u.name, u.avatar
             FROM json_each(:ids) AS wanted
             JOIN users AS u ON u.id = wanted.value
             WHERE {MAY_BE_SHOWN}
               AND NOT EXISTS (SELECT 1 FROM discovery_settings AS s
                               WHERE s.user_id = u.id AND s.is_suggested = 0)
               AND NOT EXISTS (SELECT 1 FROM dismissed_suggestions AS d
                               WHERE d.user_id = :viewer AND d.other_id = u.id)"
        ),
        named_params! { ":ids": json(people)?, ":viewer": viewer, ":now": now },
        users::sql::person,
    )
}

fn json(people: &[UserId]) -> Result<String> {
    let ids: Vec<i64> = people.iter().map(|id| id.get()).collect();
    serde_json::to_string(&ids).map_err(Error::internal)
}

/// Those whom somebody followed last, who are there and whom they do not mute: of the latest `limit`, the last first.
pub(super) fn latest_heard(
    tx: &ReadTx<'_>,
    of: UserId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<UserId>> {
    tx.all(
        "SELECT f.following_id
         FROM (SELECT id, following_id FROM follows
               WHERE follower_id = :of AND is_active = 1
               ORDER BY id DESC LIMIT :limit) AS f
         JOIN users AS u ON u.id = f.following_id
         WHERE u.status = 'active'
           AND NOT EXISTS (SELECT 1 FROM mutes AS m
                           WHERE m.muter_id = :of AND m.muted_id = u.id
                             AND (m.ends_at IS NULL OR m.ends_at > :now))
         ORDER BY f.id DESC",
        named_params! { ":of": of, ":now": now, ":limit": limit },
        |row| row.get("following_id"),
    )
}

/// Whom somebody followed last.
pub(super) fn latest_followees(tx: &ReadTx<'_>, of: UserId, limit: u32) -> Result<Vec<UserId>> {
    tx.all(
        "SELECT following_id
         FROM follows
         WHERE follower_id = :of AND is_active = 1
         ORDER BY id DESC
         LIMIT :limit",
        named_params! { ":of": of, ":limit": limit },
        |row| row.get("following_id"),
    )
}

/// The hashtags that somebody followed last, and those of their latest public posts, some more than once; not what they
/// mute.
pub(super) fn own_tags(
    tx: &ReadTx<'_>,
    of: UserId,
    now: Timestamp,
    posts: u32,
) -> Result<(Vec<String>, Vec<String>)> {
    // There is a most that one follows.
    let mut followed: Vec<(Timestamp, String)> = tx.all(
        "SELECT tag, followed_at FROM followed_tags WHERE user_id = :of",
        named_params! { ":of": of },
        |row| Ok((row.get("followed_at")?, row.get("tag")?)),
    )?;
    followed.sort_unstable_by(|one, other| other.cmp(one));
    let mut followed: Vec<String> = followed.into_iter().map(|(_, tag)| tag).collect();
    let mut written = tx.all(
        "SELECT h.tag
         FROM (SELECT id FROM posts
               WHERE author_id = :of AND is_deleted = 0 AND visibility = 0
               ORDER BY id DESC LIMIT :limit) AS p
         JOIN post_hashtags AS h ON h.post_id = p.id",
        named_params! { ":of": of, ":limit": posts },
        |row| row.get::<_, String>("tag"),
    )?;
    let muted: Vec<String> = tx.all(
        "SELECT key FROM muted_terms
         WHERE user_id = :of AND kind = 1 AND (ends_at IS NULL OR ends_at > :now)",
        named_params! { ":of": of, ":now": now },
        |row| row.get("key"),
    )?;
    for tags in [&mut followed, &mut written] {
        tags.retain(|tag| !muted.contains(tag));
    }
    Ok((followed, written))
}

/// Who wrote the latest public posts with a hashtag, once for each post.
pub(super) fn latest_authors(tx: &ReadTx<'_>, tag: &str, limit: u32) -> Result<Vec<UserId>> {
    tx.all(
        "SELECT p.author_id
         FROM (SELECT post_id AS id FROM post_hashtags
               WHERE tag = :tag
               ORDER BY id DESC LIMIT :limit) AS h
         JOIN posts AS p ON p.id = h.id",
        named_params! { ":tag": tag, ":limit": limit },
        |row| row.get("author_id"),
    )
}

/// Somebody's latest public posts.
pub(super) fn latest_public(tx: &ReadTx<'_>, author: UserId, limit: u32) -> Result<Vec<PostId>> {
    tx.all(
        "SELECT id
         FROM posts
         WHERE author_id = :author AND is_deleted = 0 AND visibility = 0
         ORDER BY id DESC
         LIMIT :limit",
        named_params! { ":author": author, ":limit": limit },
        |row| row.get("id"),
    )
}

/// The latest public posts with a hashtag, of those who are there and let them be read without an account; of the latest
/// `looked_at` in all.
pub(super) fn latest_tagged(
    tx: &ReadTx<'_>,
    tag: &str,
    looked_at: u32,
    limit: u32,
) -> Result<Vec<PostId>> {
    tx.all(
        "SELECT p.id
         FROM (SELECT post_id AS id FROM post_hashtags
               WHERE tag = :tag
               ORDER BY id DESC LIMIT :looked_at) AS h
         JOIN posts AS p ON p.id = h.id
         JOIN users AS u ON u.id = p.author_id
         WHERE u.status = 'active'
           AND NOT EXISTS (SELECT 1 FROM discovery_settings AS s WHERE s.user_id = u.id AND s.is_syndicated = 0)
         ORDER BY h.id DESC
         LIMIT :limit",
        named_params! { ":tag": tag, ":looked_at": looked_at, ":limit": limit },
        |row| row.get("id"),
    )
}
