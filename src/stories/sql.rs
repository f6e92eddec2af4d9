//! The statements over stories.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Row, named_params};

use super::{Circle, Highlight, PostStory, Story, StoryAudience, StoryViewer, TrayEntry};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{HighlightId, StoryId, UserId};
use crate::media::{self, Holder};
use crate::page::Page;
use crate::store::{ReadTx, WriteTx};
use crate::users::{self, Person};

/// Whether `:viewer` may see a story `s` of `u`, as long as it is there.
const VISIBLE: &str = "
    u.status = 'active'
    AND (s.author_id = :viewer
         OR (NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                         WHERE b.user_id = :viewer AND b.other_id = s.author_id)
             AND NOT EXISTS (SELECT 1 FROM story_circles AS c
                             WHERE c.owner_id = s.author_id AND c.circle = 1 AND c.user_id = :viewer)
             AND (s.audience = 0
                  OR (s.audience = 1
                      AND EXISTS (SELECT 1 FROM follows AS f
                                  WHERE f.follower_id = :viewer AND f.following_id = s.author_id AND f.is_active = 1))
                  OR (s.audience = 2
                      AND EXISTS (SELECT 1 FROM story_circles AS c
                                  WHERE c.owner_id = s.author_id AND c.circle = 0 AND c.user_id = :viewer)))))";

/// What is shown of a story; with more tables or conditions after it.
const STORY: &str = "
    SELECT s.id AS story_id, s.author_id, s.text, s.background, s.has_media, s.audience, s.created_at, s.expires_at,
           s.view_count, s.reaction_count, v.user_id IS NOT NULL AS is_seen, v.emoji, s.author_id = :viewer AS is_own,
           u.id, u.username, u.name, u.avatar
    FROM stories AS s
    JOIN users AS u ON u.id = s.author_id
    LEFT JOIN story_views AS v ON v.story_id = s.id AND v.user_id = :viewer";

/// A story, and whether its file has to be read yet.
fn story(row: &Row<'_>) -> rusqlite::Result<(Story, bool)> {
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
fn with_media(tx: &ReadTx<'_>, rows: Vec<(Story, bool)>) -> Result<Vec<Story>> {
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
pub(super) fn find(
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
pub(super) fn find_author(
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
pub(super) fn find_author_of_any(
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
pub(super) fn stories_of(
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
             ORDER BY s.expires_at
             LIMIT :limit"
        ),
        named_params! { ":author": author, ":viewer": viewer, ":now": now, ":limit": limit },
        story,
    )?;
    with_media(tx, rows)
}

/// How many stories somebody shows.
pub(super) fn count_of(tx: &ReadTx<'_>, author: UserId, now: Timestamp) -> Result<u32> {
    tx.one(
        "SELECT count(*) FROM stories WHERE author_id = :author AND expires_at > :now",
        named_params! { ":author": author, ":now": now },
        |row| row.get(0),
    )
}

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

/// Those whom somebody follows and who show something: first who has something unseen, the latest first.
pub(super) fn tray(
    tx: &ReadTx<'_>,
    viewer: UserId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<TrayEntry>> {
    tx.all(
        &format!(
            "SELECT {ENTRY}
             FROM follows AS o
             CROSS JOIN stories AS s ON s.author_id = o.following_id AND s.expires_at > :now
             JOIN users AS u ON u.id = s.author_id
             LEFT JOIN story_views AS v ON v.story_id = s.id AND v.user_id = :viewer
             WHERE o.follower_id = :viewer AND o.is_active = 1 AND {VISIBLE}
               AND NOT EXISTS (SELECT 1 FROM mutes AS m
                               WHERE m.muter_id = :viewer AND m.muted_id = s.author_id
                                 AND (m.ends_at IS NULL OR m.ends_at > :now))
             GROUP BY s.author_id
             ORDER BY unseen > 0 DESC, latest DESC
             LIMIT :limit"
        ),
        named_params! { ":viewer": viewer, ":now": now, ":limit": limit },
        entry,
    )
}

/// What somebody shows themselves.
pub(super) fn own_tray(
    tx: &ReadTx<'_>,
    viewer: UserId,
    now: Timestamp,
) -> Result<Option<TrayEntry>> {
    let found = tx.optional(
        "SELECT count(*) AS stories, 0 AS unseen, coalesce(max(s.audience = 2), 0) AS is_close,
                max(s.created_at) AS latest, min(s.id) AS first_id, u.id, u.username, u.name, u.avatar
         FROM stories AS s
         JOIN users AS u ON u.id = s.author_id
         WHERE s.author_id = :viewer AND s.expires_at > :now
         GROUP BY s.author_id",
        named_params! { ":viewer": viewer, ":now": now },
        entry,
    )?;
    Ok(found)
}

/// Who has seen a story, the latest first; without those who are not there for its author.
pub(super) fn viewers(
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

pub(super) fn insert(tx: &WriteTx<'_>, new: &PostStory, expires_at: Timestamp) -> Result<()> {
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

/// Notes that somebody has seen a story; again changes nothing.
pub(super) fn add_view(tx: &WriteTx<'_>, id: StoryId, user: UserId, at: Timestamp) -> Result<()> {
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
pub(super) fn set_reaction(
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

/// A story is there no more.
pub(super) fn end(tx: &WriteTx<'_>, id: StoryId, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE stories SET expires_at = :at, is_kept = 0, has_media = 0 WHERE id = :id",
        named_params! { ":id": id, ":at": at },
    )?;
    Ok(())
}

/// Stories whose time is over and that no highlight has, the oldest first.
pub(super) fn over(tx: &ReadTx<'_>, now: Timestamp, limit: u32) -> Result<Vec<StoryId>> {
    tx.all(
        "SELECT id FROM stories
         WHERE is_kept = 0 AND expires_at <= :now
         ORDER BY expires_at
         LIMIT :limit",
        named_params! { ":now": now, ":limit": limit },
        |row| row.get("id"),
    )
}

/// Takes so many at most of those who have seen a story; returns how many.
pub(super) fn forget_views(tx: &WriteTx<'_>, id: StoryId, limit: u32) -> Result<u32> {
    let gone = tx.execute(
        "DELETE FROM story_views WHERE story_id = :id AND user_id IN
             (SELECT user_id FROM story_views WHERE story_id = :id LIMIT :limit)",
        named_params! { ":id": id, ":limit": limit },
    )?;
    u32::try_from(gone).map_err(crate::error::Error::internal)
}

pub(super) fn forget(tx: &WriteTx<'_>, id: StoryId) -> Result<()> {
    tx.execute(
        "DELETE FROM stories WHERE id = :id",
        named_params! { ":id": id },
    )?;
    Ok(())
}

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
    let raw = serde_json::to_string(&raw).map_err(crate::error::Error::internal)?;
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
pub(super) fn highlights_of(
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
pub(super) fn find_highlight(
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
pub(super) fn highlight_stories(
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

pub(super) fn highlight_count(tx: &ReadTx<'_>, owner: UserId) -> Result<u32> {
    tx.one(
        "SELECT count(*) FROM highlights WHERE owner_id = :owner",
        named_params! { ":owner": owner },
        |row| row.get(0),
    )
}

pub(super) fn owner_of_highlight(tx: &ReadTx<'_>, id: HighlightId) -> Result<Option<UserId>> {
    tx.optional(
        "SELECT owner_id FROM highlights WHERE id = :id",
        named_params! { ":id": id },
        |row| row.get("owner_id"),
    )
}

pub(super) fn insert_highlight(
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

pub(super) fn set_title(tx: &WriteTx<'_>, id: HighlightId, title: &str) -> Result<()> {
    tx.execute(
        "UPDATE highlights SET title = :title WHERE id = :id",
        named_params! { ":id": id, ":title": title },
    )?;
    Ok(())
}

pub(super) fn delete_highlight(tx: &WriteTx<'_>, id: HighlightId) -> Result<()> {
    tx.execute(
        "DELETE FROM highlights WHERE id = :id",
        named_params! { ":id": id },
    )?;
    Ok(())
}

/// Keeps a story in a highlight.
pub(super) fn put_in(
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

/// Whether somebody has seen a story.
pub(super) fn has_viewed(tx: &ReadTx<'_>, story: StoryId, user: UserId) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM story_views WHERE story_id = :story AND user_id = :user",
        named_params! { ":story": story, ":user": user },
    )
}

/// Takes all out of a highlight; returns what was in it.
pub(super) fn empty(tx: &WriteTx<'_>, highlight: HighlightId) -> Result<Vec<StoryId>> {
    let before = all_of(tx, highlight)?;
    tx.execute(
        "DELETE FROM highlight_stories WHERE highlight_id = :highlight",
        named_params! { ":highlight": highlight },
    )?;
    Ok(before)
}

/// The highlights that have a story.
pub(super) fn highlights_with(tx: &ReadTx<'_>, story: StoryId) -> Result<Vec<HighlightId>> {
    tx.all(
        "SELECT highlight_id FROM highlight_stories WHERE story_id = :story",
        named_params! { ":story": story },
        |row| row.get("highlight_id"),
    )
}

/// Takes a story out of a highlight, which goes with its last one.
pub(super) fn take_out(tx: &WriteTx<'_>, highlight: HighlightId, story: StoryId) -> Result<()> {
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
pub(super) fn forget_unkept(tx: &WriteTx<'_>, stories: &[StoryId]) -> Result<()> {
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

/// The people of a circle who are there for its owner, in the order of their ids.
pub(super) fn circle(
    tx: &ReadTx<'_>,
    owner: UserId,
    circle: Circle,
    page: &Page,
) -> Result<Vec<Person>> {
    tx.all(
        "SELECT u.id, u.username, u.name, u.avatar
         FROM story_circles AS c
         JOIN users AS u ON u.id = c.user_id
         WHERE c.owner_id = :owner AND c.circle = :circle AND c.user_id > :above AND u.status <> 'deleted'
           AND NOT EXISTS (SELECT 1 FROM blocked_pairs AS b
                           WHERE b.user_id = :owner AND b.other_id = c.user_id)
         ORDER BY c.user_id
         LIMIT :limit",
        named_params! {
            ":owner": owner, ":circle": circle, ":above": page.above(), ":limit": page.fetch(),
        },
        users::sql::person,
    )
}

pub(super) fn circle_count(tx: &ReadTx<'_>, owner: UserId, circle: Circle) -> Result<u32> {
    tx.one(
        "SELECT count(*) FROM story_circles WHERE owner_id = :owner AND circle = :circle",
        named_params! { ":owner": owner, ":circle": circle },
        |row| row.get(0),
    )
}

pub(super) fn is_in_circle(
    tx: &ReadTx<'_>,
    owner: UserId,
    circle: Circle,
    user: UserId,
) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM story_circles WHERE owner_id = :owner AND circle = :circle AND user_id = :user",
        named_params! { ":owner": owner, ":circle": circle, ":user": user },
    )
}

pub(super) fn add_to_circle(
    tx: &WriteTx<'_>,
    owner: UserId,
    circle: Circle,
    user: UserId,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO story_circles (owner_id, circle, user_id, added_at)
         VALUES (:owner, :circle, :user, :at)
         ON CONFLICT DO NOTHING",
        named_params! { ":owner": owner, ":circle": circle, ":user": user, ":at": at },
    )?;
    Ok(())
}

pub(super) fn take_from_circle(
    tx: &WriteTx<'_>,
    owner: UserId,
    circle: Circle,
    user: UserId,
) -> Result<()> {
    tx.execute(
        "DELETE FROM story_circles WHERE owner_id = :owner AND circle = :circle AND user_id = :user",
        named_params! { ":owner": owner, ":circle": circle, ":user": user },
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

impl ToSql for Circle {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::CloseFriends => 0,
            Self::HiddenFrom => 1,
        }))
    }
}
