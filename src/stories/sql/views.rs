//! Who has seen a story, and how they reacted.

use rusqlite::named_params;

use super::super::StoryViewer;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{MessageId, StoryId, UserId};
use crate::page::Page;
use crate::store::{ReadTx, WriteTx};
use crate::users;

/// Who has seen a story, the latest first; without those who are not there for its author.
pub(in crate::stories) fn viewers(
    tx: &ReadTx<'_>,
    id: StoryId,
    author: UserId,
    page: &Page,
) -> Result<Vec<StoryViewer>> {
    let after = page.after;
    tx.all(
        "SELECT v.seen_at, v.emoji, u.id, u.username, u.name, u.avatar
         FROM story_views AS v INDEXED BY story_views_by_time
         JOIN users AS u ON u.id = v.user_id
         WHERE v.story_id = :id AND (v.seen_at, v.user_id) < (:rank, :user) AND u.status <> 'deleted'
           AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                           WHERE b.user_id = :author AND b.other_id = v.user_id)
         ORDER BY v.seen_at DESC, v.user_id DESC
         LIMIT :limit",
        named_params! {
            ":id": id,
            ":author": author,
            ":rank": after.map_or(i64::MAX, |cursor| cursor.rank),
            ":user": after.map_or(i64::MAX, |cursor| cursor.id),
            ":limit": page.fetch(),
        },
        |row| {
            Ok(StoryViewer {
                person: users::sql::person(row)?,
                seen_at: row.get("seen_at")?,
                reaction: row.get("emoji")?,
            })
        },
    )
}

/// Notes that somebody has seen a story; again changes nothing.
pub(in crate::stories) fn add_view(
    tx: &WriteTx<'_>,
    id: StoryId,
    user: UserId,
    at: Timestamp,
) -> Result<()> {
    let added = tx.execute(
        "INSERT INTO story_views (story_id, user_id, seen_at)
         VALUES (:id, :user, :at)
         ON CONFLICT DO NOTHING",
        named_params! { ":id": id, ":user": user, ":at": at },
    )?;
    if added > 0 {
        tx.execute(
            "UPDATE stories SET view_count = view_count + 1 WHERE id = :id",
            named_params! { ":id": id },
        )?;
    }
    Ok(())
}

/// Notes how somebody who has seen a story reacts to it.
pub(in crate::stories) fn set_reaction(
    tx: &WriteTx<'_>,
    id: StoryId,
    user: UserId,
    emoji: Option<&str>,
) -> Result<()> {
    tx.execute(
        "UPDATE stories
         SET reaction_count = reaction_count + (:emoji IS NOT NULL)
             - (SELECT v.emoji IS NOT NULL FROM story_views AS v WHERE v.story_id = :id AND v.user_id = :user)
         WHERE id = :id",
        named_params! { ":id": id, ":user": user, ":emoji": emoji },
    )?;
    tx.execute(
        "UPDATE story_views SET emoji = :emoji WHERE story_id = :id AND user_id = :user",
        named_params! { ":id": id, ":user": user, ":emoji": emoji },
    )?;
    Ok(())
}

pub(in crate::stories) fn reaction_message(
    tx: &ReadTx<'_>,
    id: StoryId,
    user: UserId,
) -> Result<Option<MessageId>> {
    let found = tx.optional(
        "SELECT message_id FROM story_views WHERE story_id = :id AND user_id = :user",
        named_params! { ":id": id, ":user": user },
        |row| row.get("message_id"),
    )?;
    Ok(found.flatten())
}

pub(in crate::stories) fn set_reaction_message(
    tx: &WriteTx<'_>,
    id: StoryId,
    user: UserId,
    message: MessageId,
) -> Result<()> {
    tx.execute(
        "UPDATE story_views SET message_id = :message WHERE story_id = :id AND user_id = :user",
        named_params! { ":id": id, ":user": user, ":message": message },
    )?;
    Ok(())
}

/// Takes so many at most of those who have seen a story; returns how many.
pub(in crate::stories) fn forget_views(tx: &WriteTx<'_>, id: StoryId, limit: u32) -> Result<u32> {
    let gone = tx.execute(
        "DELETE FROM story_views WHERE story_id = :id AND user_id IN
             (SELECT user_id FROM story_views WHERE story_id = :id LIMIT :limit)",
        named_params! { ":id": id, ":limit": limit },
    )?;
    u32::try_from(gone).map_err(crate::error::Error::internal)
}

/// Whether somebody has seen a story.
pub(in crate::stories) fn has_viewed(
    tx: &ReadTx<'_>,
    story: StoryId,
    user: UserId,
) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM story_views WHERE story_id = :story AND user_id = :user",
        named_params! { ":story": story, ":user": user },
    )
}
