//! The statements over `comments`, their mentions and likes.

use rusqlite::{Row, named_params};

use super::{Comment, CreateComment, Sort};
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::id::{CommentId, PostId, ReactionId, UserId};
use crate::page::Page;
use crate::store::{ReadTx, WriteTx};
use crate::users;

/// A comment as its reader sees it: one row joined with its author and with the reader's like (`:viewer`).
const COMMENT: &str = "
    SELECT c.id AS comment_id, c.post_id, c.parent_id, c.content, c.likes_count, c.replies_count, c.score,
           c.is_deleted, c.created_at, c.updated_at,
           u.id, u.username, u.name, u.avatar,
           COALESCE(l.is_active, 0) AS is_liked,
           EXISTS (SELECT 1 FROM blocked_pairs WHERE user_id = :viewer AND other_id = c.author_id) AS is_hidden
    FROM comments AS c
    JOIN users AS u ON u.id = c.author_id
    LEFT JOIN comment_likes AS l ON l.comment_id = c.id AND l.user_id = :viewer";

fn comment(row: &Row<'_>) -> rusqlite::Result<Comment> {
    // To whom its author is not there it looks removed.
    let is_deleted = row.get("is_deleted")? || row.get("is_hidden")?;
    let created_at = row.get("created_at")?;
    let updated_at = row.get("updated_at")?;
    let author = if is_deleted {
        None
    } else {
        Some(users::sql::person(row)?)
    };
    Ok(Comment {
        id: row.get("comment_id")?,
        post_id: row.get("post_id")?,
        parent_comment_id: row.get("parent_id")?,
        author_id: author.as_ref().map(|author| author.id),
        author_username: author.as_ref().map(|author| author.username.clone()),
        author,
        content: if is_deleted {
            None
        } else {
            Some(row.get("content")?)
        },
        likes: row.get("likes_count")?,
        is_liked: row.get("is_liked")?,
        replies_count: row.get("replies_count")?,
        is_edited: !is_deleted && created_at != updated_at,
        is_active: !is_deleted,
        is_delete: is_deleted,
        created_at,
        updated_at,
        replies: None,
        replies_cursor: None,
        score: row.get("score")?,
    })
}

/// The list that comments stand in, as `comments.list_id` has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListId(i64);

impl ListId {
    pub(super) fn top_of(post: PostId) -> Self {
        Self(-post.get())
    }

    pub(super) fn beneath(comment: CommentId) -> Self {
        Self(comment.get())
    }
}

/// What commands ask of a comment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stub {
    pub(super) post_id: PostId,
    pub(super) parent_id: Option<CommentId>,
    pub(super) author_id: UserId,
    pub(super) replies_count: u64,
    pub(super) is_deleted: bool,
}

/// A comment, removed or not, whoever may see it.
pub(super) fn find_stub(tx: &ReadTx<'_>, id: CommentId) -> Result<Option<Stub>> {
    tx.optional(
        "SELECT post_id, parent_id, author_id, replies_count, is_deleted FROM comments WHERE id = :id",
        named_params! { ":id": id },
        |row| {
            Ok(Stub {
                post_id: row.get("post_id")?,
                parent_id: row.get("parent_id")?,
                author_id: row.get("author_id")?,
                replies_count: row.get("replies_count")?,
                is_deleted: row.get("is_deleted")?,
            })
        },
    )
}

/// A comment, removed or not, whoever may see it.
pub(super) fn find(tx: &ReadTx<'_>, viewer: UserId, id: CommentId) -> Result<Option<Comment>> {
    tx.optional(
        &format!("{COMMENT} WHERE c.id = :id"),
        named_params! { ":id": id, ":viewer": viewer },
        comment,
    )
}

/// Those of these comments that are there, removed or not, whoever may see them.
pub(super) fn find_many(
    tx: &ReadTx<'_>,
    viewer: UserId,
    ids: &[CommentId],
) -> Result<Vec<Comment>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
    let ids = serde_json::to_string(&ids).map_err(Error::internal)?;
    tx.all(
        &format!("{COMMENT} WHERE c.id IN (SELECT value FROM json_each(:ids))"),
        named_params! { ":ids": ids, ":viewer": viewer },
        comment,
    )
}

impl Sort {
    /// The order, over the columns of `prefix`.
    fn order(self, prefix: &str) -> String {
        match self {
            Self::Newest => format!("{prefix}id DESC"),
            Self::Oldest => format!("{prefix}id"),
            Self::Best => format!("{prefix}score DESC, {prefix}id DESC"),
        }
    }

    /// The ids of one page of the comments that `filter` lets through, after the cursor `:rank`, `:after`.
    fn page(self, filter: &str) -> String {
        let after = match self {
            Self::Newest => "id < :after AND :rank = 0",
            Self::Oldest => "id > :after AND :rank = 0",
            // Two ranges of the index, merged: a comparison of pairs would seek by the score alone, and read all that
            // share it up to the cursor.
            Self::Best => {
                return format!(
                    "SELECT id
                     FROM (
                         SELECT id, score FROM comments WHERE {filter} AND score = :rank AND id < :after
                         UNION ALL
                         SELECT id, score FROM comments WHERE {filter} AND score < :rank
                         ORDER BY score DESC, id DESC
                         LIMIT :limit OFFSET :offset
                     )"
                );
            }
        };
        format!(
            "SELECT id FROM comments WHERE {filter} AND {after} ORDER BY {} LIMIT :limit OFFSET :offset",
            self.order("")
        )
    }
}

/// One page of all comments of a post, without the removed and those of people who are not there for the viewer.
pub(super) fn flat(
    tx: &ReadTx<'_>,
    viewer: UserId,
    post: PostId,
    sort: Sort,
    page: &Page,
) -> Result<Vec<Comment>> {
    read_page(
        tx,
        viewer,
        "post_id = :of AND is_deleted = 0
         AND NOT EXISTS (SELECT 1 FROM blocked_pairs WHERE user_id = :viewer AND other_id = comments.author_id)",
        post.get(),
        sort,
        page,
    )
}

/// One page of a list, removed ones with answers among them, and so those of people who are not there for the viewer.
pub(super) fn list(
    tx: &ReadTx<'_>,
    viewer: UserId,
    list: ListId,
    sort: Sort,
    page: &Page,
) -> Result<Vec<Comment>> {
    read_page(
        tx,
        viewer,
        "list_id = :of AND is_shown = 1
         AND (
             replies_count > 0
             OR NOT EXISTS (SELECT 1 FROM blocked_pairs WHERE user_id = :viewer AND other_id = comments.author_id)
         )",
        list.0,
        sort,
        page,
    )
}

fn read_page(
    tx: &ReadTx<'_>,
    viewer: UserId,
    filter: &str,
    of: i64,
    sort: Sort,
    page: &Page,
) -> Result<Vec<Comment>> {
    let start = page.after.unwrap_or(sort.start());
    tx.all(
        &format!(
            "{COMMENT} WHERE c.id IN ({}) ORDER BY {}",
            sort.page(filter),
            sort.order("c.")
        ),
        named_params! {
            ":viewer": viewer, ":of": of, ":rank": start.rank, ":after": start.id,
            ":limit": page.fetch(), ":offset": page.offset,
        },
        comment,
    )
}

/// The first answers of each of these comments, in one statement; answers of one comment are in order.
pub(super) fn answers(
    tx: &ReadTx<'_>,
    viewer: UserId,
    parents: &[CommentId],
    sort: Sort,
    per_comment: u32,
) -> Result<Vec<Comment>> {
    let parents = serde_json::to_string(&parents.iter().map(|id| id.get()).collect::<Vec<_>>())
        .map_err(Error::internal)?;
    tx.all(
        &format!(
            "{COMMENT}
             WHERE c.id IN (
                 SELECT a.id
                 FROM json_each(:parents) AS parent
                 JOIN comments AS a ON a.id IN (
                     SELECT id
                     FROM comments
                     WHERE list_id = parent.value AND is_shown = 1
                           AND (
                               replies_count > 0
                               OR NOT EXISTS (
                                   SELECT 1 FROM blocked_pairs WHERE user_id = :viewer AND other_id = comments.author_id
                               )
                           )
                     ORDER BY {}
                     LIMIT :per_comment
                 )
             )
             ORDER BY {}",
            sort.order(""),
            sort.order("c.")
        ),
        named_params! { ":viewer": viewer, ":parents": parents, ":per_comment": per_comment },
        comment,
    )
}

/// The comments to which somebody answered who is not there for the viewer, in a way that is not shown: once for each
/// such answer. Looks at no more than these many of a viewer's blocked pairs.
pub(super) fn hidden_answers(
    tx: &ReadTx<'_>,
    viewer: UserId,
    post: PostId,
    max_pairs: u32,
) -> Result<Vec<CommentId>> {
    tx.all(
        "SELECT a.parent_id
         FROM (SELECT other_id FROM blocked_pairs WHERE user_id = :viewer LIMIT :max_pairs) AS pair
         CROSS JOIN comments AS a ON a.post_id = :post AND a.author_id = pair.other_id
         WHERE a.parent_id IS NOT NULL AND a.is_deleted = 0 AND a.replies_count = 0",
        named_params! { ":viewer": viewer, ":post": post, ":max_pairs": max_pairs },
        |row| row.get("parent_id"),
    )
}

pub(super) fn insert(tx: &WriteTx<'_>, comment: &CreateComment, event_seq: u64) -> Result<()> {
    tx.execute(
        "INSERT INTO comments (id, post_id, parent_id, author_id, content, created_at, updated_at, event_seq)
         VALUES (:id, :post_id, :parent_id, :author_id, :content, :at, :at, :event_seq)",
        named_params! {
            ":id": comment.id, ":post_id": comment.post_id, ":parent_id": comment.parent_id,
            ":author_id": comment.author_id, ":content": comment.content, ":at": comment.at, ":event_seq": event_seq,
        },
    )?;
    Ok(())
}

pub(super) fn update(tx: &WriteTx<'_>, id: CommentId, content: &str, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE comments SET content = :content, updated_at = :at WHERE id = :id",
        named_params! { ":id": id, ":content": content, ":at": at },
    )?;
    Ok(())
}

/// Removes a comment and its text.
pub(super) fn mark_deleted(tx: &WriteTx<'_>, id: CommentId, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE comments SET is_deleted = 1, content = '', updated_at = :at WHERE id = :id",
        named_params! { ":id": id, ":at": at },
    )?;
    Ok(())
}

/// Keeps the count of answers that are shown.
pub(super) fn add_reply_count(tx: &WriteTx<'_>, id: CommentId, by: i64) -> Result<()> {
    tx.execute(
        "UPDATE comments SET replies_count = replies_count + :by WHERE id = :id",
        named_params! { ":id": id, ":by": by },
    )?;
    Ok(())
}

/// Keeps the post's count of comments.
pub(super) fn add_comment_count(tx: &WriteTx<'_>, post: PostId, by: i64) -> Result<()> {
    tx.execute(
        "UPDATE posts SET comments_count = comments_count + :by WHERE id = :post",
        named_params! { ":post": post, ":by": by },
    )?;
    Ok(())
}

/// Notes the people whom a comment mentions, and no others.
pub(super) fn put_mentions(tx: &WriteTx<'_>, id: CommentId, people: &[UserId]) -> Result<()> {
    tx.execute(
        "DELETE FROM comment_mentions WHERE comment_id = :id",
        named_params! { ":id": id },
    )?;
    for person in people {
        tx.execute(
            "INSERT INTO comment_mentions (comment_id, user_id) VALUES (:id, :person)",
            named_params! { ":id": id, ":person": person },
        )?;
    }
    Ok(())
}

/// A person's like of a comment: its row, and whether it holds.
pub(super) fn find_like(
    tx: &ReadTx<'_>,
    comment: CommentId,
    user: UserId,
) -> Result<Option<(ReactionId, bool)>> {
    tx.optional(
        "SELECT id, is_active FROM comment_likes WHERE comment_id = :comment AND user_id = :user",
        named_params! { ":comment": comment, ":user": user },
        |row| Ok((row.get("id")?, row.get("is_active")?)),
    )
}

pub(super) fn insert_like(
    tx: &WriteTx<'_>,
    id: ReactionId,
    comment: CommentId,
    user: UserId,
    at: Timestamp,
    event_seq: u64,
) -> Result<()> {
    tx.execute(
        "INSERT INTO comment_likes (id, comment_id, user_id, is_active, created_at, event_seq)
         VALUES (:id, :comment, :user, 1, :at, :event_seq)",
        named_params! { ":id": id, ":comment": comment, ":user": user, ":at": at, ":event_seq": event_seq },
    )?;
    Ok(())
}

/// Takes a like back or gives it again; either way it is not to be told (again), not even when notifications are rebuilt
/// from rows, so its event's sequence turns negative.
pub(super) fn set_like(tx: &WriteTx<'_>, id: ReactionId, is_active: bool) -> Result<()> {
    tx.execute(
        "UPDATE comment_likes SET is_active = :is_active, event_seq = -ABS(event_seq) WHERE id = :id",
        named_params! { ":id": id, ":is_active": is_active },
    )?;
    Ok(())
}

pub(super) fn add_like_count(tx: &WriteTx<'_>, comment: CommentId, by: i64) -> Result<()> {
    tx.execute(
        "UPDATE comments SET likes_count = likes_count + :by WHERE id = :comment",
        named_params! { ":comment": comment, ":by": by },
    )?;
    Ok(())
}

pub(super) fn like_count(tx: &ReadTx<'_>, comment: CommentId) -> Result<u64> {
    tx.one(
        "SELECT likes_count FROM comments WHERE id = :comment",
        named_params! { ":comment": comment },
        |row| row.get("likes_count"),
    )
}
