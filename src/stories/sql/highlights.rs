//! What people keep of their stories.

use rusqlite::{Row, named_params};

use super::super::{Highlight, Story};
use super::VISIBLE;
use super::told::{STORY, story, with_media};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{HighlightId, StoryId, UserId};
use crate::media::{self, Holder};
use crate::store::{ReadTx, WriteTx};

/// What is shown of a highlight beside its cover; `s` are those of its stories that `:viewer` may see.
const HIGHLIGHT: &str = "
    SELECT h.id AS highlight_id, h.owner_id, h.title, h.created_at, count(*) AS stories, s.id AS cover_id,
           min(x.position) AS first
    FROM highlights AS h
    JOIN highlight_stories AS x ON x.highlight_id = h.id
    JOIN stories AS s ON s.id = x.story_id
    JOIN users AS u ON u.id = s.author_id";

/// A highlight, without its cover.
struct Bare {
    id: HighlightId,
    owner_id: UserId,
    title: String,
    story_count: u32,
    cover_id: StoryId,
    created_at: Timestamp,
}

fn bare(row: &Row<'_>) -> rusqlite::Result<Bare> {
    Ok(Bare {
        id: row.get("highlight_id")?,
        owner_id: row.get("owner_id")?,
        title: row.get("title")?,
        story_count: row.get("stories")?,
        // Of the row with the smallest position, which SQLite promises beside `min`.
        cover_id: row.get("cover_id")?,
        created_at: row.get("created_at")?,
    })
}

/// These stories, as far as one may see them, in this order.
fn find_all(tx: &ReadTx<'_>, viewer: UserId, ids: &[StoryId]) -> Result<Vec<Story>> {
    let raw: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let raw = serde_json::to_string(&raw).map_err(Error::internal)?;
    let rows = tx.all(
        &format!("{STORY} JOIN json_each(:ids) AS wanted ON wanted.value = s.id WHERE {VISIBLE}"),
        named_params! { ":ids": raw, ":viewer": viewer },
        story,
    )?;
    let mut found = with_media(tx, rows)?;
    found.sort_by_key(|story| ids.iter().position(|id| *id == story.id));
    Ok(found)
}

fn with_covers(tx: &ReadTx<'_>, viewer: UserId, all: Vec<Bare>) -> Result<Vec<Highlight>> {
    let ids: Vec<StoryId> = all.iter().map(|one| one.cover_id).collect();
    let covers = find_all(tx, viewer, &ids)?;
    let highlight = |one: Bare| {
        let cover = covers.iter().find(|cover| cover.id == one.cover_id)?;
        Some(Highlight {
            id: one.id,
            owner_id: one.owner_id,
            title: one.title,
            story_count: one.story_count,
            cover: cover.clone(),
            created_at: one.created_at,
        })
    };
    Ok(all.into_iter().filter_map(highlight).collect())
}

/// Somebody's highlights in which one may see something, the latest first.
pub(in crate::stories) fn highlights_of(
    tx: &ReadTx<'_>,
    viewer: UserId,
    owner: UserId,
    limit: u32,
) -> Result<Vec<Highlight>> {
    let all = tx.all(
        &format!(
            "{HIGHLIGHT}
             WHERE h.owner_id = :owner AND {VISIBLE}
             GROUP BY h.id
             ORDER BY h.id DESC
             LIMIT :limit"
        ),
        named_params! { ":owner": owner, ":viewer": viewer, ":limit": limit },
        bare,
    )?;
    with_covers(tx, viewer, all)
}

/// A highlight in which one may see something.
pub(in crate::stories) fn find_highlight(
    tx: &ReadTx<'_>,
    viewer: UserId,
    id: HighlightId,
) -> Result<Option<Highlight>> {
    let found = tx.optional(
        &format!("{HIGHLIGHT} WHERE h.id = :id AND {VISIBLE} GROUP BY h.id"),
        named_params! { ":id": id, ":viewer": viewer },
        bare,
    )?;
    Ok(with_covers(tx, viewer, found.into_iter().collect())?.pop())
}

/// The stories of a highlight that one may see, in their order.
pub(in crate::stories) fn highlight_stories(
    tx: &ReadTx<'_>,
    viewer: UserId,
    id: HighlightId,
) -> Result<Vec<Story>> {
    find_all(tx, viewer, &all_of(tx, id)?)
}

/// The stories of a highlight, in their order.
fn all_of(tx: &ReadTx<'_>, id: HighlightId) -> Result<Vec<StoryId>> {
    tx.all(
        "SELECT story_id FROM highlight_stories WHERE highlight_id = :id ORDER BY position",
        named_params! { ":id": id },
        |row| row.get("story_id"),
    )
}

/// Somebody's highlights.
pub(in crate::stories) fn highlight_ids_of(
    tx: &ReadTx<'_>,
    owner: UserId,
    limit: u32,
) -> Result<Vec<HighlightId>> {
    tx.all(
        "SELECT id FROM highlights WHERE owner_id = :owner ORDER BY id LIMIT :limit",
        named_params! { ":owner": owner, ":limit": limit },
        |row| row.get("id"),
    )
}

pub(in crate::stories) fn highlight_count(tx: &ReadTx<'_>, owner: UserId) -> Result<u32> {
    tx.one(
        "SELECT count(*) FROM highlights WHERE owner_id = :owner",
        named_params! { ":owner": owner },
        |row| row.get(0),
    )
}

pub(in crate::stories) fn owner_of_highlight(
    tx: &ReadTx<'_>,
    id: HighlightId,
) -> Result<Option<UserId>> {
    tx.optional(
        "SELECT owner_id FROM highlights WHERE id = :id",
        named_params! { ":id": id },
        |row| row.get("owner_id"),
    )
}

pub(in crate::stories) fn insert_highlight(
    tx: &WriteTx<'_>,
    id: HighlightId,
    owner: UserId,
    title: &str,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO highlights (id, owner_id, title, created_at) VALUES (:id, :owner, :title, :at)",
        named_params! { ":id": id, ":owner": owner, ":title": title, ":at": at },
    )?;
    Ok(())
}

pub(in crate::stories) fn set_title(tx: &WriteTx<'_>, id: HighlightId, title: &str) -> Result<()> {
    tx.execute(
        "UPDATE highlights SET title = :title WHERE id = :id",
        named_params! { ":id": id, ":title": title },
    )?;
    Ok(())
}

pub(in crate::stories) fn delete_highlight(tx: &WriteTx<'_>, id: HighlightId) -> Result<()> {
    tx.execute(
        "DELETE FROM highlights WHERE id = :id",
        named_params! { ":id": id },
    )?;
    Ok(())
}

/// Keeps a story in a highlight.
pub(in crate::stories) fn put_in(
    tx: &WriteTx<'_>,
    highlight: HighlightId,
    position: u32,
    story: StoryId,
) -> Result<()> {
    tx.execute(
        "INSERT INTO highlight_stories (highlight_id, position, story_id)
         VALUES (:highlight, :position, :story)",
        named_params! { ":highlight": highlight, ":position": position, ":story": story },
    )?;
    let is_new = tx.execute(
        "UPDATE stories SET is_kept = 1 WHERE id = :story AND is_kept = 0",
        named_params! { ":story": story },
    )?;
    if is_new > 0 {
        media::set_end(tx, Holder::Story(story.get()), None)?;
    }
    Ok(())
}

/// Takes all out of a highlight; returns what was in it.
pub(in crate::stories) fn empty(tx: &WriteTx<'_>, highlight: HighlightId) -> Result<Vec<StoryId>> {
    let before = all_of(tx, highlight)?;
    tx.execute(
        "DELETE FROM highlight_stories WHERE highlight_id = :highlight",
        named_params! { ":highlight": highlight },
    )?;
    Ok(before)
}

/// The highlights that have a story.
pub(in crate::stories) fn highlights_with(
    tx: &ReadTx<'_>,
    story: StoryId,
) -> Result<Vec<HighlightId>> {
    tx.all(
        "SELECT highlight_id FROM highlight_stories WHERE story_id = :story",
        named_params! { ":story": story },
        |row| row.get("highlight_id"),
    )
}

/// Takes a story out of a highlight, which goes with its last one.
pub(in crate::stories) fn take_out(
    tx: &WriteTx<'_>,
    highlight: HighlightId,
    story: StoryId,
) -> Result<()> {
    tx.execute(
        "DELETE FROM highlight_stories WHERE highlight_id = :highlight AND story_id = :story",
        named_params! { ":highlight": highlight, ":story": story },
    )?;
    tx.execute(
        "DELETE FROM highlights
         WHERE id = :highlight
           AND NOT EXISTS (SELECT 1 FROM highlight_stories WHERE highlight_id = :highlight)",
        named_params! { ":highlight": highlight },
    )?;
    Ok(())
}

/// Notes of these stories which no highlight has any more.
pub(in crate::stories) fn forget_unkept(tx: &WriteTx<'_>, stories: &[StoryId]) -> Result<()> {
    for story in stories {
        let is_over = tx.execute(
            "UPDATE stories SET is_kept = 0
             WHERE id = :story
               AND NOT EXISTS (SELECT 1 FROM highlight_stories WHERE story_id = :story)",
            named_params! { ":story": story },
        )?;
        if is_over > 0 {
            let end = tx.optional(
                "SELECT expires_at FROM stories WHERE id = :story",
                named_params! { ":story": story },
                |row| row.get("expires_at"),
            )?;
            media::set_end(tx, Holder::Story(story.get()), end)?;
        }
    }
    Ok(())
}
