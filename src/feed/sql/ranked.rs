//! What speaks for a post in the ranked feed: what somebody and those whom they follow did lately.

use rusqlite::named_params;

use super::super::ranking::Candidate;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{PostId, UserId};
use crate::store::{ReadTx, WriteTx};

/// How many of somebody's latest likes of posts each author has.
pub(in crate::feed) fn likes_by_author(
    tx: &ReadTx<'_>,
    viewer: UserId,
    limit: u32,
) -> Result<Vec<(UserId, u32)>> {
    tx.all(
        "SELECT p.author_id, count(*) AS likes
         FROM (SELECT post_id, value FROM reactions WHERE user_id = :viewer ORDER BY id DESC LIMIT :limit) AS r
         JOIN posts AS p ON p.id = r.post_id
         WHERE r.value = 1
         GROUP BY p.author_id",
        named_params! { ":viewer": viewer, ":limit": limit },
        |row| Ok((row.get("author_id")?, row.get("likes")?)),
    )
}

/// How many of somebody's latest comments stand beneath posts of each author.
pub(in crate::feed) fn comments_by_author(
    tx: &ReadTx<'_>,
    viewer: UserId,
    limit: u32,
) -> Result<Vec<(UserId, u32)>> {
    tx.all(
        "SELECT p.author_id, count(*) AS comments
         FROM (SELECT post_id FROM comments WHERE author_id = :viewer ORDER BY id DESC LIMIT :limit) AS c
         JOIN posts AS p ON p.id = c.post_id
         GROUP BY p.author_id",
        named_params! { ":viewer": viewer, ":limit": limit },
        |row| Ok((row.get("author_id")?, row.get("comments")?)),
    )
}

/// Whom somebody visited, how often, and when last: the latest first.
pub(in crate::feed) fn visits(
    tx: &ReadTx<'_>,
    viewer: UserId,
    limit: u32,
) -> Result<Vec<(UserId, u32, Timestamp)>> {
    tx.all(
        "SELECT author_id, visits, visited_at
         FROM profile_visits
         WHERE user_id = :viewer
         ORDER BY visited_at DESC, author_id DESC
         LIMIT :limit",
        named_params! { ":viewer": viewer, ":limit": limit },
        |row| {
            Ok((
                row.get("author_id")?,
                row.get("visits")?,
                row.get("visited_at")?,
            ))
        },
    )
}

/// The latest likes of some people, with the people: of each so many, and none from before an id.
pub(in crate::feed) fn latest_likes(
    tx: &ReadTx<'_>,
    people: &[UserId],
    since: i64,
    each: u32,
) -> Result<Vec<(PostId, UserId)>> {
    let mut likes = Vec::new();
    for person in people {
        likes.extend(tx.all(
            "SELECT post_id, user_id FROM reactions
             WHERE user_id = :person AND id > :since AND value = 1
             ORDER BY id DESC
             LIMIT :each",
            named_params! { ":person": person, ":since": since, ":each": each },
            |row| Ok((row.get("post_id")?, row.get("user_id")?)),
        )?);
    }
    Ok(likes)
}

/// Those of these likes that are still given, by people whom the viewer follows and neither mutes nor is apart from.
pub(in crate::feed) fn likes_of_followed(
    tx: &ReadTx<'_>,
    viewer: UserId,
    likes: &[(PostId, UserId)],
    now: Timestamp,
) -> Result<Vec<(PostId, UserId)>> {
    let likes: Vec<(i64, i64)> = likes
        .iter()
        .map(|(post, user)| (post.get(), user.get()))
        .collect();
    let likes = serde_json::to_string(&likes).map_err(Error::internal)?;
    tx.all(
        "SELECT r.post_id, r.user_id
         FROM json_each(:likes) AS known
         CROSS JOIN reactions AS r ON r.post_id = json_extract(known.value, '$[0]')
                                      AND r.user_id = json_extract(known.value, '$[1]')
         CROSS JOIN follows AS f ON f.follower_id = :viewer AND f.following_id = r.user_id
         WHERE r.value = 1 AND f.is_active = 1
           AND NOT EXISTS (SELECT 1 FROM mutes AS m
                           WHERE m.muter_id = :viewer AND m.muted_id = r.user_id
                             AND (m.ends_at IS NULL OR m.ends_at > :now))
           AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                           WHERE b.user_id = :viewer AND b.other_id = r.user_id)",
        named_params! { ":likes": likes, ":viewer": viewer, ":now": now },
        |row| Ok((row.get("post_id")?, row.get("user_id")?)),
    )
}

/// These posts, as far as they are there, with what a rank needs; nobody has liked them yet.
pub(in crate::feed) fn candidates(tx: &ReadTx<'_>, ids: &[PostId]) -> Result<Vec<Candidate>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let ids = serde_json::to_string(&ids).map_err(Error::internal)?;
    tx.all(
        "SELECT p.id, p.author_id, p.visibility, p.created_at
         FROM json_each(:ids) AS wanted
         JOIN posts AS p ON p.id = wanted.value
         WHERE p.is_deleted = 0",
        named_params! { ":ids": ids },
        |row| {
            Ok(Candidate {
                id: row.get("id")?,
                author: row.get("author_id")?,
                visibility: row.get("visibility")?,
                created_at: row.get("created_at")?,
                liked_by_followed: 0,
            })
        },
    )
}

/// Whether somebody wants their home feed ranked.
pub(in crate::feed) fn is_ranked(tx: &ReadTx<'_>, user: UserId) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM feed_settings WHERE user_id = :user AND is_ranked = 1",
        named_params! { ":user": user },
    )
}

pub(in crate::feed) fn set_ranked(tx: &WriteTx<'_>, user: UserId, is_ranked: bool) -> Result<()> {
    tx.execute(
        "INSERT INTO feed_settings (user_id, is_ranked) VALUES (:user, :is_ranked)
         ON CONFLICT (user_id) DO UPDATE SET is_ranked = excluded.is_ranked",
        named_params! { ":user": user, ":is_ranked": is_ranked },
    )?;
    Ok(())
}

/// Notes visits of somebody who wants their feed ranked; of others nothing is kept.
pub(in crate::feed) fn add_visits(
    tx: &WriteTx<'_>,
    user: UserId,
    author: UserId,
    visits: u32,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO profile_visits (user_id, author_id, visits, visited_at)
         SELECT s.user_id, u.id, min(:visits, 1000), :at
         FROM feed_settings AS s
         JOIN users AS u ON u.id = :author
         WHERE s.user_id = :user AND s.is_ranked = 1
         ON CONFLICT (user_id, author_id) DO UPDATE
         SET visits = min(visits + excluded.visits, 1000), visited_at = excluded.visited_at",
        named_params! { ":user": user, ":author": author, ":visits": visits, ":at": at },
    )?;
    Ok(())
}

/// Forgets whom somebody visited longest ago, beyond `keep`.
pub(in crate::feed) fn forget_oldest_visits(
    tx: &WriteTx<'_>,
    user: UserId,
    keep: u32,
) -> Result<()> {
    tx.execute(
        "DELETE FROM profile_visits
         WHERE user_id = :user AND author_id IN (
             SELECT author_id FROM profile_visits
             WHERE user_id = :user
             ORDER BY visited_at DESC, author_id DESC
             LIMIT -1 OFFSET :keep
         )",
        named_params! { ":user": user, ":keep": keep },
    )?;
    Ok(())
}

/// Forgets whom somebody visited.
pub(in crate::feed) fn forget_visits(tx: &WriteTx<'_>, user: UserId) -> Result<()> {
    tx.execute(
        "DELETE FROM profile_visits WHERE user_id = :user",
        named_params! { ":user": user },
    )?;
    Ok(())
}

/// Forgets who visited somebody, so many at most; returns how many.
pub(in crate::feed) fn forget_visits_to(
    tx: &WriteTx<'_>,
    author: UserId,
    limit: u32,
) -> Result<usize> {
    tx.execute(
        "DELETE FROM profile_visits
         WHERE author_id = :author AND user_id IN
             (SELECT user_id FROM profile_visits WHERE author_id = :author LIMIT :limit)",
        named_params! { ":author": author, ":limit": limit },
    )
}

/// Forgets in which order somebody wanted their home feed; returns how many rows that were.
pub(in crate::feed) fn forget_order(tx: &WriteTx<'_>, user: UserId) -> Result<usize> {
    tx.execute(
        "DELETE FROM feed_settings WHERE user_id = :user",
        named_params! { ":user": user },
    )
}
