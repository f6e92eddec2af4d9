//! The statements over `posts`, their tags, mentions and edits, and `reactions`.

use std::collections::HashMap;

use rusqlite::{Row, named_params};

use super::{Count, CreatePost, Edit, Post, Visibility};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{PostId, ReactionId, UserId};
use crate::media::{self, MediaItem};
use crate::page::Page;
use crate::store::{ReadTx, WriteTx};
use crate::users::{self, Person};

/// A post as its reader sees it: one row joined with its author and with the reader's reaction (`:viewer`).
const POST: &str = "
    SELECT p.id AS post_id, p.content, p.caption, p.hashtags, p.visibility, p.likes_count, p.dislikes_count,
           p.comments_count, p.media_count, p.is_deleted, p.created_at, p.updated_at,
           EXISTS (SELECT 1 FROM post_edits AS e WHERE e.post_id = p.id) AS is_edited,
           u.id, u.username, u.name, u.avatar,
           r.value AS reaction
    FROM posts AS p
    JOIN users AS u ON u.id = p.author_id
    LEFT JOIN reactions AS r ON r.post_id = p.id AND r.user_id = :viewer";

/// A post without what it has of pictures, and whether it has some.
fn post(row: &Row<'_>) -> rusqlite::Result<(Post, bool)> {
    let author = users::sql::person(row)?;
    let likes = row.get("likes_count")?;
    let is_deleted: bool = row.get("is_deleted")?;
    let reaction: Option<i64> = row.get("reaction")?;
    let media_count: i64 = row.get("media_count")?;
    let post = Post {
        id: row.get("post_id")?,
        author_id: author.id,
        author_username: author.username.clone(),
        author,
        content: row.get("content")?,
        caption: row.get("caption")?,
        ai_content: None,
        ai_caption: None,
        image_urls: Vec::new(),
        image_public_ids: Vec::new(),
        media: Vec::new(),
        hashtags: hashtags(row)?,
        visibility: row.get("visibility")?,
        likes,
        dislikes: row.get("dislikes_count")?,
        is_liked: reaction == Some(1),
        is_disliked: reaction == Some(-1),
        count: Count {
            likes,
            comments: row.get("comments_count")?,
        },
        is_edited: row.get("is_edited")?,
        is_active: !is_deleted,
        is_deleted,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    };
    Ok((post, media_count > 0))
}

/// Brings the posts their pictures: in one statement for all, and none where there are none.
fn with_media(tx: &ReadTx<'_>, rows: Vec<(Post, bool)>) -> Result<Vec<Post>> {
    let wanting: Vec<i64> = rows
        .iter()
        .filter_map(|(post, has_media)| has_media.then_some(post.id.get()))
        .collect();
    let mut posts: Vec<Post> = rows.into_iter().map(|(post, _)| post).collect();
    if wanting.is_empty() {
        return Ok(posts);
    }
    let mut found: HashMap<i64, Vec<MediaItem>> = HashMap::new();
    for (id, item) in media::sql::of_posts(tx, &wanting)? {
        found.entry(id).or_default().push(item);
    }
    for post in &mut posts {
        post.media = found.remove(&post.id.get()).unwrap_or_default();
        post.image_urls = post.media.iter().map(|item| item.url.clone()).collect();
        post.image_public_ids = post.media.iter().map(|item| item.id).collect();
    }
    Ok(posts)
}

fn hashtags(row: &Row<'_>) -> rusqlite::Result<Vec<String>> {
    let json: String = row.get("hashtags")?;
    serde_json::from_str(&json).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
    })
}

/// What commands ask of a post.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stub {
    pub(super) author_id: UserId,
    pub(super) visibility: Visibility,
}

/// A post that is not removed, whoever may see it.
pub(super) fn find_stub(tx: &ReadTx<'_>, id: PostId) -> Result<Option<Stub>> {
    tx.optional(
        "SELECT author_id, visibility FROM posts WHERE id = :id AND is_deleted = 0",
        named_params! { ":id": id },
        |row| {
            Ok(Stub {
                author_id: row.get("author_id")?,
                visibility: row.get("visibility")?,
            })
        },
    )
}

/// A post that is not removed, whoever may see it.
pub(super) fn find(tx: &ReadTx<'_>, viewer: UserId, id: PostId) -> Result<Option<Post>> {
    let row = tx.optional(
        &format!("{POST} WHERE p.id = :id AND p.is_deleted = 0"),
        named_params! { ":id": id, ":viewer": viewer },
        post,
    )?;
    Ok(with_media(tx, row.into_iter().collect())?.pop())
}

/// Those of these posts that are not removed, whoever may see them.
pub(super) fn find_many(tx: &ReadTx<'_>, viewer: UserId, ids: &[PostId]) -> Result<Vec<Post>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let ids = serde_json::to_string(&ids).map_err(Error::internal)?;
    let rows = tx.all(
        &format!(
            "{POST}
             WHERE p.id IN (SELECT value FROM json_each(:ids)) AND p.is_deleted = 0"
        ),
        named_params! { ":ids": ids, ":viewer": viewer },
        post,
    )?;
    with_media(tx, rows)
}

/// Somebody's posts of these visibilities, newest first.
pub(super) fn by_author(
    tx: &ReadTx<'_>,
    viewer: UserId,
    author: UserId,
    visibilities: &[Visibility],
    page: &Page,
) -> Result<Vec<Post>> {
    // One ordered range for each visibility, merged: a page costs the same however many posts one may not see.
    let range = "SELECT id FROM posts
                 WHERE author_id = :author AND is_deleted = 0 AND visibility = {} AND id < :below";
    let ranges: Vec<String> = visibilities
        .iter()
        .map(|visibility| range.replace("{}", &(*visibility as u8).to_string()))
        .collect();
    let ids = ranges.join(" UNION ALL ");
    let rows = tx.all(
        &format!(
            "{POST}
             WHERE p.id IN ({ids} ORDER BY id DESC LIMIT :limit OFFSET :offset)
             ORDER BY p.id DESC"
        ),
        named_params! {
            ":viewer": viewer, ":author": author, ":below": page.below(), ":limit": page.fetch(), ":offset": page.offset,
        },
        post,
    )?;
    with_media(tx, rows)
}

/// All public posts but of people whom the viewer mutes, and the viewer's own that are not public, newest first.
pub(super) fn timeline(
    tx: &ReadTx<'_>,
    viewer: UserId,
    now: Timestamp,
    page: &Page,
) -> Result<Vec<Post>> {
    let rows = tx.all(
        &format!(
            "{POST}
             WHERE p.id IN (
                 SELECT id FROM posts
                 WHERE is_deleted = 0 AND visibility = 0 AND id < :below
                       AND NOT EXISTS (
                           SELECT 1 FROM blocked_pairs WHERE user_id = :viewer AND other_id = posts.author_id
                       )
                       AND NOT EXISTS (
                           SELECT 1
                           FROM mutes
                           WHERE muter_id = :viewer AND muted_id = posts.author_id
                                 AND (ends_at IS NULL OR ends_at > :now)
                       )
                 UNION ALL
                 SELECT id FROM posts
                 WHERE author_id = :viewer AND is_deleted = 0 AND visibility = 1 AND id < :below
                 UNION ALL
                 SELECT id FROM posts
                 WHERE author_id = :viewer AND is_deleted = 0 AND visibility = 2 AND id < :below
                 ORDER BY id DESC
                 LIMIT :limit OFFSET :offset
             )
             ORDER BY p.id DESC"
        ),
        named_params! {
            ":viewer": viewer, ":now": now, ":below": page.below(), ":limit": page.fetch(), ":offset": page.offset,
        },
        post,
    )?;
    with_media(tx, rows)
}

pub(super) fn insert(
    tx: &WriteTx<'_>,
    post: &CreatePost,
    hashtags: &[String],
    event_seq: u64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO posts (id, author_id, content, caption, hashtags, visibility, created_at, updated_at, media_count,
                            event_seq)
         VALUES (:id, :author_id, :content, :caption, :hashtags, :visibility, :at, :at, :media_count, :event_seq)",
        named_params! {
            ":id": post.id, ":author_id": post.author_id, ":content": post.content, ":caption": post.caption,
            ":hashtags": serde_json::to_string(hashtags).map_err(Error::internal)?,
            ":visibility": post.visibility, ":at": post.at, ":media_count": post.uploads.len() + post.media.len(),
            ":event_seq": event_seq,
        },
    )?;
    Ok(())
}

pub(super) fn update(
    tx: &WriteTx<'_>,
    id: PostId,
    content: Option<&str>,
    caption: Option<&str>,
    hashtags: &[String],
    visibility: Visibility,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE posts
         SET content = :content, caption = :caption, hashtags = :hashtags, visibility = :visibility, updated_at = :at
         WHERE id = :id",
        named_params! {
            ":id": id, ":content": content, ":caption": caption,
            ":hashtags": serde_json::to_string(hashtags).map_err(Error::internal)?,
            ":visibility": visibility, ":at": at,
        },
    )?;
    Ok(())
}

pub(super) fn mark_deleted(tx: &WriteTx<'_>, id: PostId, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE posts SET is_deleted = 1, updated_at = :at WHERE id = :id",
        named_params! { ":id": id, ":at": at },
    )?;
    Ok(())
}

/// Keeps the text that is about to be replaced.
pub(super) fn keep_edit(tx: &WriteTx<'_>, before: &Post, at: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO post_edits (post_id, number, content, caption, hashtags, visibility, edited_at)
         VALUES (
             :post_id,
             (SELECT COALESCE(MAX(number), 0) + 1 FROM post_edits WHERE post_id = :post_id),
             :content, :caption, :hashtags, :visibility, :at
         )",
        named_params! {
            ":post_id": before.id, ":content": before.content, ":caption": before.caption,
            ":hashtags": serde_json::to_string(&before.hashtags).map_err(Error::internal)?, ":visibility": before.visibility, ":at": at,
        },
    )?;
    Ok(())
}

pub(super) fn edits(
    tx: &ReadTx<'_>,
    id: PostId,
    visibilities: &[Visibility],
    page: &Page,
) -> Result<Vec<Edit>> {
    // From the widest to the narrowest, so the last is the limit.
    let narrowest = visibilities.last().copied().unwrap_or_default();
    tx.all(
        "SELECT number, content, caption, hashtags, edited_at
         FROM post_edits
         WHERE post_id = :id AND visibility <= :narrowest AND number < :below
         ORDER BY number DESC
         LIMIT :limit OFFSET :offset",
        named_params! {
            ":id": id, ":narrowest": narrowest, ":below": page.below(), ":limit": page.fetch(), ":offset": page.offset,
        },
        |row| {
            Ok(Edit {
                number: row.get("number")?,
                content: row.get("content")?,
                caption: row.get("caption")?,
                hashtags: hashtags(row)?,
                edited_at: row.get("edited_at")?,
            })
        },
    )
}

/// Puts a post under these tags and no others.
pub(super) fn put_hashtags(tx: &WriteTx<'_>, id: PostId, tags: &[String]) -> Result<()> {
    tx.execute(
        "DELETE FROM post_hashtags WHERE post_id = :id",
        named_params! { ":id": id },
    )?;
    for tag in tags {
        tx.execute(
            "INSERT OR IGNORE INTO post_hashtags (tag, post_id) VALUES (:tag, :id)",
            named_params! { ":tag": tag, ":id": id },
        )?;
    }
    Ok(())
}

/// Notes the people whom a post mentions, and no others.
pub(super) fn put_mentions(tx: &WriteTx<'_>, id: PostId, people: &[UserId]) -> Result<()> {
    tx.execute(
        "DELETE FROM post_mentions WHERE post_id = :id",
        named_params! { ":id": id },
    )?;
    for person in people {
        tx.execute(
            "INSERT INTO post_mentions (post_id, user_id) VALUES (:id, :person)",
            named_params! { ":id": id, ":person": person },
        )?;
    }
    Ok(())
}

/// Keeps the author's count of posts of a visibility.
pub(super) fn add_post_count(
    tx: &WriteTx<'_>,
    author: UserId,
    visibility: Visibility,
    by: i64,
) -> Result<()> {
    let sql = match visibility {
        Visibility::Public => "UPDATE users SET public_posts = public_posts + :by WHERE id = :id",
        Visibility::Followers => {
            "UPDATE users SET followers_posts = followers_posts + :by WHERE id = :id"
        }
        Visibility::Private => {
            "UPDATE users SET private_posts = private_posts + :by WHERE id = :id"
        }
    };
    tx.execute(sql, named_params! { ":id": author, ":by": by })?;
    Ok(())
}

/// A row of `reactions`.
#[derive(Clone, Debug)]
pub(super) struct Reaction {
    pub(super) id: ReactionId,
    /// Like (1), dislike (-1), neither any more (0).
    pub(super) value: i64,
    pub(super) created_at: Timestamp,
    /// Of the first like; negative once that was taken back.
    pub(super) event_seq: Option<i64>,
}

pub(super) fn find_reaction(
    tx: &ReadTx<'_>,
    post: PostId,
    user: UserId,
) -> Result<Option<Reaction>> {
    tx.optional(
        "SELECT id, value, created_at, event_seq FROM reactions WHERE post_id = :post AND user_id = :user",
        named_params! { ":post": post, ":user": user },
        |row| {
            Ok(Reaction {
                id: row.get("id")?,
                value: row.get("value")?,
                created_at: row.get("created_at")?,
                event_seq: row.get("event_seq")?,
            })
        },
    )
}

pub(super) fn put_reaction(
    tx: &WriteTx<'_>,
    post: PostId,
    user: UserId,
    row: &Reaction,
) -> Result<()> {
    tx.execute(
        "INSERT INTO reactions (id, post_id, user_id, value, created_at, event_seq)
         VALUES (:id, :post, :user, :value, :created_at, :event_seq)
         ON CONFLICT (post_id, user_id) DO UPDATE SET value = excluded.value, event_seq = excluded.event_seq",
        named_params! {
            ":id": row.id, ":post": post, ":user": user, ":value": row.value, ":created_at": row.created_at,
            ":event_seq": row.event_seq,
        },
    )?;
    Ok(())
}

pub(super) fn add_reaction_counts(
    tx: &WriteTx<'_>,
    post: PostId,
    likes: i64,
    dislikes: i64,
) -> Result<()> {
    tx.execute(
        "UPDATE posts
         SET likes_count = likes_count + :likes, dislikes_count = dislikes_count + :dislikes
         WHERE id = :post",
        named_params! { ":post": post, ":likes": likes, ":dislikes": dislikes },
    )?;
    Ok(())
}

/// How many like and dislike a post.
pub(super) fn reaction_counts(tx: &ReadTx<'_>, post: PostId) -> Result<(u64, u64)> {
    tx.one(
        "SELECT likes_count, dislikes_count FROM posts WHERE id = :post",
        named_params! { ":post": post },
        |row| Ok((row.get("likes_count")?, row.get("dislikes_count")?)),
    )
}

/// Those who like a post and are there for the viewer, newest first.
pub(super) fn likers(
    tx: &ReadTx<'_>,
    viewer: UserId,
    post: PostId,
    page: &Page,
) -> Result<Vec<(ReactionId, Person)>> {
    tx.all(
        "SELECT r.id AS reaction_id, u.id, u.username, u.name, u.avatar
         FROM reactions AS r
         JOIN users AS u ON u.id = r.user_id
         WHERE r.post_id = :post AND r.value = 1 AND r.id < :below
               AND NOT EXISTS (SELECT 1 FROM blocked_pairs WHERE user_id = :viewer AND other_id = r.user_id)
         ORDER BY r.id DESC
         LIMIT :limit OFFSET :offset",
        named_params! { ":viewer": viewer, ":post": post, ":below": page.below(), ":limit": page.fetch(), ":offset": page.offset },
        |row| Ok((row.get("reaction_id")?, users::sql::person(row)?)),
    )
}
