//! The statements over `posts`, their tags, mentions and edits, and `reactions`.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Row, named_params};

use super::{Count, CreatePost, Edit, Post, Visibility};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{PostId, ReactionId, UserId};
use crate::media::{self, MediaItem};
use crate::page::Page;
use crate::store::{CachedRow, ReadTx, WriteTx};
use crate::users::{self, Person, User};

/// A post's row: what is the same for all its readers.
#[derive(Debug)]
pub(super) struct PostRow {
    author_id: UserId,
    content: Option<String>,
    caption: Option<String>,
    hashtags: Vec<String>,
    visibility: Visibility,
    likes: u64,
    dislikes: u64,
    comments: u64,
    has_media: bool,
    is_edited: bool,
    is_deleted: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl CachedRow for PostRow {
    const TABLE: &'static str = "posts";

    fn read(tx: &ReadTx<'_>, ids: &[i64]) -> Result<Vec<(i64, Self)>> {
        let ids = serde_json::to_string(ids).map_err(Error::internal)?;
        tx.all(
            "SELECT id, author_id, content, caption, hashtags, visibility, likes_count, dislikes_count, comments_count,
                    media_count, is_deleted, created_at, updated_at,
                    -- The row is updated with each edit.
                    EXISTS (SELECT 1 FROM post_edits AS e WHERE e.post_id = posts.id) AS is_edited
             FROM posts
             WHERE id IN (SELECT value FROM json_each(:ids))",
            named_params! { ":ids": ids },
            |row| {
                let media_count: i64 = row.get("media_count")?;
                let post = Self {
                    author_id: row.get("author_id")?,
                    content: row.get("content")?,
                    caption: row.get("caption")?,
                    hashtags: hashtags(row)?,
                    visibility: row.get("visibility")?,
                    likes: row.get("likes_count")?,
                    dislikes: row.get("dislikes_count")?,
                    comments: row.get("comments_count")?,
                    has_media: media_count > 0,
                    is_edited: row.get("is_edited")?,
                    is_deleted: row.get("is_deleted")?,
                    created_at: row.get("created_at")?,
                    updated_at: row.get("updated_at")?,
                };
                Ok((row.get("id")?, post))
            },
        )
    }

    fn heap_bytes(&self) -> usize {
        let texts = [self.content.as_ref(), self.caption.as_ref()];
        let texts = texts.into_iter().flatten().chain(&self.hashtags);
        texts
            .map(|text| size_of::<String>() + text.len())
            .sum::<usize>()
    }
}

impl PostRow {
    /// The post for one reader, without what it has of pictures.
    fn post(&self, id: PostId, author: Person, reaction: Option<i64>) -> Post {
        Post {
            id,
            author_id: author.id,
            author_username: author.username.clone(),
            author,
            content: self.content.clone(),
            caption: self.caption.clone(),
            ai_content: None,
            ai_caption: None,
            image_urls: Vec::new(),
            image_public_ids: Vec::new(),
            media: Vec::new(),
            hashtags: self.hashtags.clone(),
            visibility: self.visibility,
            likes: self.likes,
            dislikes: self.dislikes,
            is_liked: reaction == Some(1),
            is_disliked: reaction == Some(-1),
            count: Count {
                likes: self.likes,
                comments: self.comments,
            },
            is_edited: self.is_edited,
            is_active: !self.is_deleted,
            is_deleted: self.is_deleted,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}

/// These posts as somebody sees them, in this order; not those that are removed, and those alone of which `shows` is true.
fn posts(
    tx: &ReadTx<'_>,
    viewer: UserId,
    ids: &[PostId],
    shows: impl Fn(&PostRow) -> bool,
) -> Result<Vec<Post>> {
    let numbers: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let rows = tx.rows::<PostRow>(&numbers)?;
    show(tx, viewer, ids, &rows, shows)
}

fn show(
    tx: &ReadTx<'_>,
    viewer: UserId,
    ids: &[PostId],
    rows: &HashMap<i64, Arc<PostRow>>,
    shows: impl Fn(&PostRow) -> bool,
) -> Result<Vec<Post>> {
    let shown: Vec<(PostId, &PostRow)> = ids
        .iter()
        .filter_map(|id| Some((*id, rows.get(&id.get())?.as_ref())))
        .filter(|(_, row)| !row.is_deleted && shows(row))
        .collect();
    if shown.is_empty() {
        return Ok(Vec::new());
    }
    let authors = distinct(shown.iter().map(|(_, row)| row.author_id));
    let authors: Vec<i64> = authors.into_iter().map(UserId::get).collect();
    let authors = tx.rows::<User>(&authors)?;
    let reactions = reactions(tx, viewer, &shown)?;
    let with_media = shown.iter().filter(|(_, row)| row.has_media);
    let with_media: Vec<i64> = with_media.map(|(id, _)| id.get()).collect();
    let posts = shown.into_iter().filter_map(|(id, row)| {
        let author = authors.get(&row.author_id.get())?.person.clone();
        Some(row.post(id, author, reactions.get(&id).copied()))
    });
    bring_media(tx, posts.collect(), &with_media)
}

fn distinct(ids: impl Iterator<Item = UserId>) -> Vec<UserId> {
    let mut ids: Vec<UserId> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// How somebody reacted to these posts.
fn reactions(
    tx: &ReadTx<'_>,
    viewer: UserId,
    posts: &[(PostId, &PostRow)],
) -> Result<HashMap<PostId, i64>> {
    let ids: Vec<i64> = posts.iter().map(|(id, _)| id.get()).collect();
    let ids = serde_json::to_string(&ids).map_err(Error::internal)?;
    let rows = tx.all(
        "SELECT r.post_id, r.value
         FROM json_each(:ids) AS wanted
         CROSS JOIN reactions AS r ON r.post_id = wanted.value AND r.user_id = :viewer",
        named_params! { ":ids": ids, ":viewer": viewer },
        |row| Ok((row.get("post_id")?, row.get("value")?)),
    )?;
    Ok(rows.into_iter().collect())
}

/// Brings the posts their pictures: in one statement for all, and none where there are none.
fn bring_media(tx: &ReadTx<'_>, mut posts: Vec<Post>, wanting: &[i64]) -> Result<Vec<Post>> {
    if wanting.is_empty() {
        return Ok(posts);
    }
    let mut found: HashMap<i64, Vec<MediaItem>> = HashMap::new();
    for (id, item) in media::sql::of_posts(tx, wanting)? {
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
    Ok(posts(tx, viewer, &[id], |_row| true)?.pop())
}

/// Those of these posts that the viewer may see, newest first.
pub(super) fn readable(tx: &ReadTx<'_>, viewer: UserId, ids: &[PostId]) -> Result<Vec<Post>> {
    let mut ids = ids.to_vec();
    ids.sort_unstable_by_key(|id| Reverse(*id));
    ids.dedup();
    let numbers: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let rows = tx.rows::<PostRow>(&numbers)?;
    let authors = distinct(rows.values().map(|row| row.author_id));
    let relations = users::relations(tx, viewer, &authors)?;
    show(tx, viewer, &ids, &rows, |row| {
        relations
            .get(&row.author_id)
            .is_some_and(|relation| row.visibility.allows(*relation))
    })
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
    let ids = tx.all(
        &format!("{ids} ORDER BY id DESC LIMIT :limit OFFSET :offset"),
        named_params! {
            ":author": author, ":below": page.below(), ":limit": page.fetch(), ":offset": page.offset,
        },
        |row| row.get("id"),
    )?;
    posts(tx, viewer, &ids, |_row| true)
}

/// All public posts but of people whom the viewer mutes, and the viewer's own that are not public, newest first.
pub(super) fn timeline(
    tx: &ReadTx<'_>,
    viewer: UserId,
    now: Timestamp,
    page: &Page,
) -> Result<Vec<Post>> {
    let ids = tx.all(
        "SELECT id FROM posts
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
         LIMIT :limit OFFSET :offset",
        named_params! {
            ":viewer": viewer, ":now": now, ":below": page.below(), ":limit": page.fetch(), ":offset": page.offset,
        },
        |row| row.get("id"),
    )?;
    readable(tx, viewer, &ids)
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

/// Takes a post away from all tags.
pub(super) fn clear_hashtags(tx: &WriteTx<'_>, id: PostId) -> Result<()> {
    tx.execute(
        "UPDATE tags SET posts_count = posts_count - 1
         WHERE tag IN (SELECT tag FROM post_hashtags WHERE post_id = :id)",
        named_params! { ":id": id },
    )?;
    tx.execute(
        "DELETE FROM tags
         WHERE tag IN (SELECT tag FROM post_hashtags WHERE post_id = :id) AND posts_count = 0 AND followers_count = 0",
        named_params! { ":id": id },
    )?;
    tx.execute(
        "DELETE FROM post_hashtags WHERE post_id = :id",
        named_params! { ":id": id },
    )?;
    Ok(())
}

/// Puts a post that is under no tags under these; what is not public stands under none.
pub(super) fn put_hashtags(
    tx: &WriteTx<'_>,
    id: PostId,
    visibility: Visibility,
    tags: &[String],
) -> Result<()> {
    if visibility != Visibility::Public {
        return Ok(());
    }
    for tag in tags {
        let added = tx.execute(
            "INSERT OR IGNORE INTO post_hashtags (tag, post_id) VALUES (:tag, :id)",
            named_params! { ":tag": tag, ":id": id },
        )?;
        tx.execute(
            "INSERT INTO tags (tag, posts_count) VALUES (:tag, :added)
             ON CONFLICT (tag) DO UPDATE SET posts_count = posts_count + excluded.posts_count",
            named_params! { ":tag": tag, ":added": added },
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

/// Keeps the author's count of posts of a visibility, and which of their public ones is the newest.
pub(super) fn add_post_count(
    tx: &WriteTx<'_>,
    author: UserId,
    visibility: Visibility,
    by: i64,
) -> Result<()> {
    let sql = match visibility {
        Visibility::Public => {
            "UPDATE users
             SET public_posts = public_posts + :by,
                 latest_public_post = (SELECT max(id) FROM posts
                                       WHERE author_id = :id AND is_deleted = 0 AND visibility = 0)
             WHERE id = :id"
        }
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
