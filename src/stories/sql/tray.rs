//! Whose stories one may look at.

use rusqlite::{Row, named_params};

use super::super::TrayEntry;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::UserId;
use crate::store::ReadTx;
use crate::users;

/// What the tray tells of an author.
const ENTRY: &str = "
    count(*) AS stories, coalesce(sum(v.user_id IS NULL), 0) AS unseen,
    coalesce(max(s.audience = 2), 0) AS is_close, max(s.created_at) AS latest,
    coalesce(min(CASE WHEN v.user_id IS NULL THEN s.id END), min(s.id)) AS first_id,
    u.id, u.username, u.name, u.avatar";

fn entry(row: &Row<'_>) -> rusqlite::Result<TrayEntry> {
    Ok(TrayEntry {
        author: users::sql::person(row)?,
        story_count: row.get("stories")?,
        unseen_count: row.get("unseen")?,
        is_close: row.get("is_close")?,
        latest_at: row.get("latest")?,
        first_id: row.get("first_id")?,
    })
}

/// Those whom somebody follows and who show something: first who has something unseen, the latest first. The conditions are
/// those of [`VISIBLE`](super::VISIBLE) for who follows, but asked once for each author instead of for each story.
pub(in crate::stories) fn tray(
    tx: &ReadTx<'_>,
    viewer: UserId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<TrayEntry>> {
    tx.all(
        &format!(
            "WITH authors AS MATERIALIZED (
                 SELECT u.id, u.username, u.name, u.avatar,
                        EXISTS (SELECT 1 FROM story_circles AS c
                                WHERE c.owner_id = u.id AND c.circle = 0 AND c.user_id = :viewer) AS is_close_to
                 FROM follows AS o
                 CROSS JOIN users AS u ON u.id = o.following_id
                 WHERE o.follower_id = :viewer AND o.is_active = 1
                   AND EXISTS (SELECT 1 FROM stories AS s
                               WHERE s.author_id = o.following_id AND s.expires_at > :now)
                   AND u.status = 'active'
                   AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                                   WHERE b.user_id = :viewer AND b.other_id = u.id)
                   AND NOT EXISTS (SELECT 1 FROM story_circles AS c
                                   WHERE c.owner_id = u.id AND c.circle = 1 AND c.user_id = :viewer)
                   AND NOT EXISTS (SELECT 1 FROM mutes AS m
                                   WHERE m.muter_id = :viewer AND m.muted_id = u.id
                                     AND (m.ends_at IS NULL OR m.ends_at > :now))
             )
             SELECT {ENTRY}
             FROM authors AS u
             CROSS JOIN stories AS s ON s.author_id = u.id AND s.expires_at > :now
             LEFT JOIN story_views AS v ON v.story_id = s.id AND v.user_id = :viewer
             WHERE s.audience < 2 OR u.is_close_to
             GROUP BY u.id
             ORDER BY unseen > 0 DESC, latest DESC
             LIMIT :limit"
        ),
        named_params! { ":viewer": viewer, ":now": now, ":limit": limit },
        entry,
    )
}

/// What somebody shows themselves.
pub(in crate::stories) fn own_tray(
    tx: &ReadTx<'_>,
    viewer: UserId,
    now: Timestamp,
) -> Result<Option<TrayEntry>> {
    tx.optional(
        "SELECT count(*) AS stories, 0 AS unseen, coalesce(max(s.audience = 2), 0) AS is_close,
                max(s.created_at) AS latest, min(s.id) AS first_id, u.id, u.username, u.name, u.avatar
         FROM stories AS s
         JOIN users AS u ON u.id = s.author_id
         WHERE s.author_id = :viewer AND s.expires_at > :now
         GROUP BY s.author_id",
        named_params! { ":viewer": viewer, ":now": now },
        entry,
    )
}
