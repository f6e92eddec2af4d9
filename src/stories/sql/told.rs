//! Stories as such: what is shown, posted and swept.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Row, named_params};

use super::super::{PostStory, Story, StoryAudience};
use super::VISIBLE;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{StoryId, UserId};
use crate::media;
use crate::store::{ReadTx, WriteTx};
use crate::users;

/// What is shown of a story; with more tables or conditions after it.
pub(super) const STORY: &str = "
    SELECT s.id AS story_id, s.author_id, s.text, s.background, s.has_media, s.audience, s.created_at, s.expires_at,
           s.view_count, s.reaction_count, v.user_id IS NOT NULL AS is_seen, v.emoji, s.author_id = :viewer AS is_own,
           u.id, u.username, u.name, u.avatar
    FROM stories AS s
    JOIN users AS u ON u.id = s.author_id
    LEFT JOIN story_views AS v ON v.story_id = s.id AND v.user_id = :viewer";

/// A story, and whether its file has to be read yet.
pub(super) fn story(row: &Row<'_>) -> rusqlite::Result<(Story, bool)> {
    let is_own: bool = row.get("is_own")?;
    let (views, reactions): (u32, u32) = (row.get("view_count")?, row.get("reaction_count")?);
    let story = Story {
        id: row.get("story_id")?,
        author: users::sql::person(row)?,
        media: None,
        text: row.get("text")?,
        background: row.get("background")?,
        audience: row.get("audience")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        is_seen: is_own || row.get("is_seen")?,
        reaction: row.get("emoji")?,
        view_count: is_own.then_some(views),
        reaction_count: is_own.then_some(reactions),
    };
    Ok((story, row.get("has_media")?))
}

/// Gives stories their files: one query.
pub(super) fn with_media(tx: &ReadTx<'_>, rows: Vec<(Story, bool)>) -> Result<Vec<Story>> {
    let bringing: Vec<i64> = rows
        .iter()
        .filter(|(_, has_media)| *has_media)
        .map(|(story, _)| story.id.get())
        .collect();
    let mut stories: Vec<Story> = rows.into_iter().map(|(story, _)| story).collect();
    if bringing.is_empty() {
        return Ok(stories);
    }
    for (id, item) in media::sql::of_stories(tx, &bringing)? {
        // A hundred at most.
        if let Some(story) = stories.iter_mut().find(|one| one.id.get() == id) {
            story.media = Some(item);
        }
    }
    Ok(stories)
}

/// A story that is there, for who may see it.
pub(in crate::stories) fn find(
    tx: &ReadTx<'_>,
    viewer: UserId,
    id: StoryId,
    now: Timestamp,
) -> Result<Option<Story>> {
    let found = tx.optional(
        &format!(
            "{STORY}
             WHERE s.id = :id AND (s.expires_at > :now OR s.is_kept = 1) AND {VISIBLE}"
        ),
        named_params! { ":id": id, ":viewer": viewer, ":now": now },
        story,
    )?;
    Ok(with_media(tx, found.into_iter().collect())?.pop())
}

/// Who shows a story that is there, for who may see it.
pub(in crate::stories) fn find_author(
    tx: &ReadTx<'_>,
    viewer: UserId,
    id: StoryId,
    now: Timestamp,
) -> Result<Option<UserId>> {
    tx.optional(
        &format!(
            "SELECT s.author_id
             FROM stories AS s
             JOIN users AS u ON u.id = s.author_id
             WHERE s.id = :id AND (s.expires_at > :now OR s.is_kept = 1) AND {VISIBLE}"
        ),
        named_params! { ":id": id, ":viewer": viewer, ":now": now },
        |row| row.get("author_id"),
    )
}

/// Who shows a story that is there, whoever asks.
pub(in crate::stories) fn find_author_of_any(
    tx: &ReadTx<'_>,
    id: StoryId,
    now: Timestamp,
) -> Result<Option<UserId>> {
    tx.optional(
        "SELECT author_id FROM stories WHERE id = :id AND (expires_at > :now OR is_kept = 1)",
        named_params! { ":id": id, ":now": now },
        |row| row.get("author_id"),
    )
}

/// Somebody's stories whose time is not over, in their order.
pub(in crate::stories) fn stories_of(
    tx: &ReadTx<'_>,
    viewer: UserId,
    author: UserId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Story>> {
    let rows = tx.all(
        &format!(
            "{STORY}
             WHERE s.author_id = :author AND s.expires_at > :now AND {VISIBLE}
             ORDER BY s.expires_at, s.id
             LIMIT :limit"
        ),
        named_params! { ":author": author, ":viewer": viewer, ":now": now, ":limit": limit },
        story,
    )?;
    with_media(tx, rows)
}

/// How many stories somebody shows.
pub(in crate::stories) fn count_of(tx: &ReadTx<'_>, author: UserId, now: Timestamp) -> Result<u32> {
    tx.one(
        "SELECT count(*) FROM stories WHERE author_id = :author AND expires_at > :now",
        named_params! { ":author": author, ":now": now },
        |row| row.get(0),
    )
}

pub(in crate::stories) fn insert(
    tx: &WriteTx<'_>,
    new: &PostStory,
    expires_at: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO stories (id, author_id, text, background, has_media, audience, created_at, expires_at)
         VALUES (:id, :author, :text, :background, :has_media, :audience, :at, :expires_at)",
        named_params! {
            ":id": new.id, ":author": new.author_id, ":text": new.text, ":background": new.background,
            ":has_media": new.media.is_some(), ":audience": new.audience, ":at": new.at, ":expires_at": expires_at,
        },
    )?;
    Ok(())
}

/// A story is there no more.
pub(in crate::stories) fn end(tx: &WriteTx<'_>, id: StoryId, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE stories SET expires_at = :at, is_kept = 0, has_media = 0 WHERE id = :id",
        named_params! { ":id": id, ":at": at },
    )?;
    Ok(())
}

/// The stories that somebody shows, whoever may see them.
pub(in crate::stories) fn showing(
    tx: &ReadTx<'_>,
    author: UserId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<StoryId>> {
    tx.all(
        "SELECT id FROM stories
         WHERE author_id = :author AND expires_at > :now
         ORDER BY expires_at, id
         LIMIT :limit",
        named_params! { ":author": author, ":now": now, ":limit": limit },
        |row| row.get("id"),
    )
}

/// Stories whose time is over and that no highlight has, the oldest first.
pub(in crate::stories) fn over(
    tx: &ReadTx<'_>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<StoryId>> {
    tx.all(
        "SELECT id FROM stories
         WHERE is_kept = 0 AND expires_at <= :now
         ORDER BY expires_at
         LIMIT :limit",
        named_params! { ":now": now, ":limit": limit },
        |row| row.get("id"),
    )
}

pub(in crate::stories) fn forget(tx: &WriteTx<'_>, id: StoryId) -> Result<()> {
    tx.execute(
        "DELETE FROM stories WHERE id = :id",
        named_params! { ":id": id },
    )?;
    Ok(())
}

impl ToSql for StoryAudience {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::Public => 0,
            Self::Followers => 1,
            Self::Close => 2,
        }))
    }
}

impl FromSql for StoryAudience {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            0 => Ok(Self::Public),
            1 => Ok(Self::Followers),
            2 => Ok(Self::Close),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}
