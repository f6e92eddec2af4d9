//! The statements of notifications: marks, and the rows from which lost notifications are made again.

use rusqlite::{Row, named_params};

use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::{Event, Mark};
use crate::id::{CommentId, PostId, UserId};
use crate::posts::Visibility;
use crate::store::{ReadTx, WriteTx};

/// Up to where all of a person's notifications were marked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watermarks {
    pub(super) read_through: u64,
    pub(super) deleted_through: u64,
}

pub(super) fn watermarks(tx: &ReadTx<'_>, user: UserId) -> Result<Watermarks> {
    let found = tx.optional(
        "SELECT user_id, read_through, deleted_through
         FROM notification_watermarks
         WHERE user_id = :user",
        named_params! { ":user": user },
        watermark_row,
    )?;
    Ok(found.map(|(_, marked)| marked).unwrap_or_default())
}

/// The watermarks of people after `user`, in order of their ids.
pub(super) fn watermarks_after(
    tx: &ReadTx<'_>,
    user: i64,
    limit: u32,
) -> Result<Vec<(UserId, Watermarks)>> {
    tx.all(
        "SELECT user_id, read_through, deleted_through
         FROM notification_watermarks
         WHERE user_id > :user
         ORDER BY user_id
         LIMIT :limit",
        named_params! { ":user": user, ":limit": limit },
        watermark_row,
    )
}

fn watermark_row(row: &Row<'_>) -> rusqlite::Result<(UserId, Watermarks)> {
    let marked = Watermarks {
        read_through: row.get("read_through")?,
        deleted_through: row.get("deleted_through")?,
    };
    Ok((row.get("user_id")?, marked))
}

pub(super) fn put_watermarks(tx: &WriteTx<'_>, user: UserId, marked: Watermarks) -> Result<()> {
    tx.execute(
        "INSERT INTO notification_watermarks (user_id, read_through, deleted_through)
         VALUES (:user, :read_through, :deleted_through)
         ON CONFLICT (user_id) DO UPDATE
         SET read_through = excluded.read_through, deleted_through = excluded.deleted_through",
        named_params! {
            ":user": user, ":read_through": marked.read_through, ":deleted_through": marked.deleted_through,
        },
    )?;
    Ok(())
}

/// Marks one notification; false when that changes nothing.
pub(super) fn put_mark(tx: &WriteTx<'_>, user: UserId, id: u64, mark: Mark) -> Result<bool> {
    let changed = tx.execute(
        "INSERT INTO notification_marks (user_id, notification_id, mark)
         VALUES (:user, :id, :mark)
         ON CONFLICT (user_id, notification_id) DO UPDATE
         SET mark = excluded.mark
         WHERE mark = 'read' AND excluded.mark = 'deleted'",
        named_params! { ":user": user, ":id": id, ":mark": mark_name(mark) },
    )?;
    Ok(changed > 0)
}

/// Forgets single marks up to `through` that a watermark there says as well.
pub(super) fn forget_marks(tx: &WriteTx<'_>, user: UserId, through: u64, mark: Mark) -> Result<()> {
    tx.execute(
        "DELETE FROM notification_marks
         WHERE user_id = :user AND notification_id <= :through AND (:mark = 'deleted' OR mark = 'read')",
        named_params! { ":user": user, ":through": through, ":mark": mark_name(mark) },
    )?;
    Ok(())
}

/// Single marks after this one, in order.
pub(super) fn marks_after(
    tx: &ReadTx<'_>,
    (user, id): (i64, u64),
    limit: u32,
) -> Result<Vec<(UserId, u64, Mark)>> {
    tx.all(
        "SELECT user_id, notification_id, mark
         FROM notification_marks
         WHERE (user_id, notification_id) > (:user, :id)
         ORDER BY user_id, notification_id
         LIMIT :limit",
        named_params! { ":user": user, ":id": id, ":limit": limit },
        |row| {
            let mark = match row.get_ref("mark")?.as_str()? {
                "deleted" => Mark::Deleted,
                _ => Mark::Read,
            };
            Ok((row.get("user_id")?, row.get("notification_id")?, mark))
        },
    )
}

fn mark_name(mark: Mark) -> &'static str {
    match mark {
        Mark::Read => "read",
        Mark::Deleted => "deleted",
    }
}

/// A row as the event that told of it.
#[derive(Clone, Debug)]
pub(super) struct Retold {
    pub(super) id: i64,
    /// The event's sequence; 0 for a row that is gone, or of which nobody was told.
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) event: Event,
}

/// The tables that events tell of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Posts,
    Comments,
    Likes,
    CommentLikes,
    Follows,
}

impl Source {
    pub(super) const ALL: [Self; 5] = [
        Self::Posts,
        Self::Comments,
        Self::Likes,
        Self::CommentLikes,
        Self::Follows,
    ];

    /// Its rows below `id`, newest first, whether or not they still stand: the reader filters, so that a page costs the
    /// same everywhere.
    pub(super) fn below(self, tx: &ReadTx<'_>, id: i64, limit: u32) -> Result<Vec<Retold>> {
        let params = named_params! { ":id": id, ":limit": limit };
        match self {
            Self::Posts => {
                let mut rows = tx.all(
                    "SELECT id, author_id, created_at, iif(is_deleted, 0, event_seq) AS seq
                     FROM posts
                     WHERE id < :id
                     ORDER BY id DESC
                     LIMIT :limit",
                    params,
                    |row| {
                        retold(row, |row| {
                            Ok(Event::PostCreated {
                                post_id: row.get("id")?,
                                author_id: row.get("author_id")?,
                                username: String::new(),
                                mentions: Vec::new(),
                            })
                        })
                    },
                )?;
                for row in rows.iter_mut().filter(|row| row.seq > 0) {
                    let named = post_mentions(tx, row.id)?;
                    let named = those_who_may_see(tx, row.id.into(), named)?;
                    if let Event::PostCreated { mentions, .. } = &mut row.event {
                        *mentions = named;
                    }
                }
                Ok(rows)
            }
            Self::Comments => {
                let mut rows = tx.all(
                    "SELECT c.id, c.post_id, c.author_id, c.created_at, p.author_id AS recipient_id,
                         parent.author_id AS parent_author_id,
                         iif(c.is_deleted OR p.is_deleted, 0, c.event_seq) AS seq
                     FROM comments AS c
                     JOIN posts AS p ON p.id = c.post_id
                     LEFT JOIN comments AS parent ON parent.id = c.parent_id
                     WHERE c.id < :id
                     ORDER BY c.id DESC
                     LIMIT :limit",
                    params,
                    |row| {
                        retold(row, |row| {
                            Ok(Event::CommentCreated {
                                comment_id: row.get("id")?,
                                post_id: row.get("post_id")?,
                                author_id: row.get("author_id")?,
                                author_username: String::new(),
                                recipient_id: row.get("recipient_id")?,
                                parent_author_id: row.get("parent_author_id")?,
                                created_at: row.get("created_at")?,
                                mentions: Vec::new(),
                            })
                        })
                    },
                )?;
                for row in rows.iter_mut().filter(|row| row.seq > 0) {
                    let named = comment_mentions(tx, row.id)?;
                    if let Event::CommentCreated {
                        mentions,
                        post_id,
                        parent_author_id,
                        ..
                    } = &mut row.event
                    {
                        *mentions = those_who_may_see(tx, *post_id, named)?;
                        let answered = parent_author_id.iter().copied().collect();
                        *parent_author_id = those_who_may_see(tx, *post_id, answered)?.pop();
                    }
                }
                Ok(rows)
            }
            Self::Likes => tx.all(
                "SELECT r.id, r.post_id, r.user_id, r.created_at, p.author_id AS recipient_id,
                     iif(r.value = 1 AND NOT p.is_deleted, max(coalesce(r.event_seq, 0), 0), 0) AS seq
                 FROM reactions AS r
                 JOIN posts AS p ON p.id = r.post_id
                 WHERE r.id < :id
                 ORDER BY r.id DESC
                 LIMIT :limit",
                params,
                |row| {
                    retold(row, |row| {
                        Ok(Event::LikeCreated {
                            like_id: row.get("id")?,
                            post_id: row.get("post_id")?,
                            author_id: row.get("user_id")?,
                            recipient_id: row.get("recipient_id")?,
                        })
                    })
                },
            ),
            Self::CommentLikes => {
                let mut rows = tx.all(
                "SELECT l.id, l.comment_id, c.post_id, l.user_id, l.created_at, c.author_id AS recipient_id,
                     iif(l.is_active AND NOT c.is_deleted AND NOT p.is_deleted, max(l.event_seq, 0), 0) AS seq
                 FROM comment_likes AS l
                 JOIN comments AS c ON c.id = l.comment_id
                 JOIN posts AS p ON p.id = c.post_id
                 WHERE l.id < :id
                 ORDER BY l.id DESC
                 LIMIT :limit",
                params,
                |row| {
                    retold(row, |row| {
                        Ok(Event::CommentLiked {
                            like_id: row.get("id")?,
                            comment_id: row.get("comment_id")?,
                            post_id: row.get("post_id")?,
                            author_id: row.get("user_id")?,
                            recipient_id: row.get("recipient_id")?,
                        })
                    })
                },
            )?;
                for row in rows.iter_mut().filter(|row| row.seq > 0) {
                    if let Event::CommentLiked { post_id, recipient_id, .. } = &mut row.event {
                        let told = recipient_id.iter().copied().collect();
                        *recipient_id = those_who_may_see(tx, *post_id, told)?.pop();
                    }
                }
                Ok(rows)
            }
            Self::Follows => tx.all(
                "SELECT id, follower_id, following_id, event_at AS created_at, iif(is_active, event_seq, 0) AS seq
                 FROM follows
                 WHERE id < :id
                 ORDER BY id DESC
                 LIMIT :limit",
                params,
                |row| {
                    retold(row, |row| {
                        Ok(Event::FollowCreated {
                            follow_id: row.get("id")?,
                            author_id: row.get("follower_id")?,
                            following_id: row.get("following_id")?,
                            new_follower: String::new(),
                            followed_username: String::new(),
                        })
                    })
                },
            ),
        }
    }

    /// What `user` made of it below `id`, newest first: its id, its post, and whom else it was told, but for those whom
    /// its text names.
    pub(super) fn made_by(
        self,
        tx: &ReadTx<'_>,
        user: UserId,
        id: i64,
        limit: u32,
    ) -> Result<Vec<Made>> {
        let sql = match self {
            Self::Posts => {
                "SELECT id, id AS post_id, NULL AS told_id, NULL AS also_told_id
                 FROM posts
                 WHERE author_id = :user AND id < :id
                 ORDER BY id DESC
                 LIMIT :limit"
            }
            Self::Comments => {
                "SELECT c.id, c.post_id, p.author_id AS told_id, parent.author_id AS also_told_id
                 FROM comments AS c
                 JOIN posts AS p ON p.id = c.post_id
                 LEFT JOIN comments AS parent ON parent.id = c.parent_id
                 WHERE c.author_id = :user AND c.id < :id
                 ORDER BY c.id DESC
                 LIMIT :limit"
            }
            Self::Likes => {
                "SELECT r.id, r.post_id, p.author_id AS told_id, NULL AS also_told_id
                 FROM reactions AS r
                 JOIN posts AS p ON p.id = r.post_id
                 WHERE r.user_id = :user AND r.id < :id
                 ORDER BY r.id DESC
                 LIMIT :limit"
            }
            Self::CommentLikes => {
                "SELECT l.id, c.post_id, c.author_id AS told_id, NULL AS also_told_id
                 FROM comment_likes AS l
                 JOIN comments AS c ON c.id = l.comment_id
                 WHERE l.user_id = :user AND l.id < :id
                 ORDER BY l.id DESC
                 LIMIT :limit"
            }
            Self::Follows => {
                "SELECT id, 0 AS post_id, following_id AS told_id, NULL AS also_told_id
                 FROM follows
                 WHERE follower_id = :user AND id < :id
                 ORDER BY id DESC
                 LIMIT :limit"
            }
        };
        tx.all(
            sql,
            named_params! { ":user": user, ":id": id, ":limit": limit },
            |row| {
                let told: [Option<UserId>; 2] = [row.get("told_id")?, row.get("also_told_id")?];
                Ok(Made {
                    id: row.get("id")?,
                    post: row.get("post_id")?,
                    told: told.into_iter().flatten().collect(),
                })
            },
        )
    }
}

/// Something that a person made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) id: i64,
    pub(super) post: i64,
    pub(super) told: Vec<UserId>,
}

/// Who wrote a post.
pub(super) fn post_author(tx: &ReadTx<'_>, post: PostId) -> Result<Option<UserId>> {
    tx.optional(
        "SELECT author_id FROM posts WHERE id = :post",
        named_params! { ":post": post },
        |row| row.get("author_id"),
    )
}

/// Who wrote a comment.
pub(super) fn comment_author(tx: &ReadTx<'_>, comment: CommentId) -> Result<Option<UserId>> {
    tx.optional(
        "SELECT author_id FROM comments WHERE id = :comment",
        named_params! { ":comment": comment },
        |row| row.get("author_id"),
    )
}

/// Who was told of a comment, but for those whom its text names: its author of its likes, and whom it answers.
pub(super) fn told_of_comment(tx: &ReadTx<'_>, comment: CommentId) -> Result<Vec<UserId>> {
    tx.all(
        "SELECT author_id AS told_id FROM comments WHERE id = :comment
         UNION
         SELECT p.author_id FROM comments AS c JOIN posts AS p ON p.id = c.post_id WHERE c.id = :comment
         UNION
         SELECT p.author_id FROM comments AS c JOIN comments AS p ON p.id = c.parent_id WHERE c.id = :comment",
        named_params! { ":comment": comment },
        |row| row.get("told_id"),
    )
}

/// A place in the comments of one post: whether removed, and the id.
pub(super) type CommentPlace = (bool, i64);

/// Who wrote a post's comments after this place, in its order; the places are those of the comments.
pub(super) fn commenters(
    tx: &ReadTx<'_>,
    post: PostId,
    (is_deleted, id): CommentPlace,
    limit: u32,
) -> Result<Vec<(UserId, CommentPlace)>> {
    // Two ranges of the index, merged: a comparison of pairs would seek by the first column alone.
    tx.all(
        "SELECT id, is_deleted, author_id
         FROM comments
         WHERE post_id = :post AND is_deleted = :is_deleted AND id > :id
         UNION ALL
         SELECT id, is_deleted, author_id
         FROM comments
         WHERE post_id = :post AND is_deleted > :is_deleted
         ORDER BY is_deleted, id
         LIMIT :limit",
        named_params! { ":post": post, ":is_deleted": is_deleted, ":id": id, ":limit": limit },
        |row| {
            Ok((
                row.get("author_id")?,
                (row.get("is_deleted")?, row.get("id")?),
            ))
        },
    )
}

fn retold(
    row: &Row<'_>,
    event: impl FnOnce(&Row<'_>) -> rusqlite::Result<Event>,
) -> rusqlite::Result<Retold> {
    Ok(Retold {
        id: row.get("id")?,
        seq: row.get("seq")?,
        at: row.get("created_at")?,
        event: event(row)?,
    })
}

/// Those of `people` who may see a post, as the event would have had them.
fn those_who_may_see(
    tx: &ReadTx<'_>,
    post: PostId,
    mut people: Vec<UserId>,
) -> Result<Vec<UserId>> {
    let (author, visibility): (UserId, Visibility) = tx.one(
        "SELECT author_id, visibility FROM posts WHERE id = :post",
        named_params! { ":post": post },
        |row| Ok((row.get("author_id")?, row.get("visibility")?)),
    )?;
    let mut refused = Vec::new();
    for person in &people {
        if *person != author && !visibility.allows_viewer(tx, *person, author)? {
            refused.push(*person);
        }
    }
    people.retain(|person| !refused.contains(person));
    Ok(people)
}

fn post_mentions(tx: &ReadTx<'_>, post: i64) -> Result<Vec<UserId>> {
    tx.all(
        "SELECT user_id
         FROM post_mentions
         WHERE post_id = :post
         ORDER BY user_id",
        named_params! { ":post": post },
        |row| row.get("user_id"),
    )
}

fn comment_mentions(tx: &ReadTx<'_>, comment: i64) -> Result<Vec<UserId>> {
    tx.all(
        "SELECT user_id
         FROM comment_mentions
         WHERE comment_id = :comment
         ORDER BY user_id",
        named_params! { ":comment": comment },
        |row| row.get("user_id"),
    )
}
