//! Comments beneath a post, nested to any depth.
//!
//! Each comment knows its parent alone, and stands in one list: its parent's or its post's. A page of a list is one
//! range of an index, so it costs the same at the top of a thread, ten thousand comments in, and ten thousand deep. The
//! nested form reads level by level, a few answers of each comment, within a bound; the rest is a cursor away.

mod commands;
mod hidden;
mod sql;
mod thread;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};

use super::Posts;
use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::{CommentId, PostId, ReactionId, UserId};
use crate::page::{Cursor, Page, Slice};
use crate::store::Registry;
use crate::text;
use crate::users::Person;

use hidden::HiddenAnswers;

pub use commands::{
    CommentLiked, CommentWish, CreateComment, DeleteComment, LikeComment, UpdateComment,
};

/// Characters in a comment.
pub const MAX_COMMENT_CHARS: usize = 5_000;

/// A comment as somebody sees it (contract, section 4 and "Details").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comment {
    /// Its id.
    pub id: CommentId,
    /// The post that it stands beneath.
    pub post_id: PostId,
    /// The comment that it answers; null at the top.
    #[schema(required)]
    pub parent_comment_id: Option<CommentId>,
    /// Who wrote it; null when it was removed.
    #[schema(required)]
    pub author_id: Option<UserId>,
    /// Their username; null when it was removed.
    #[schema(required)]
    pub author_username: Option<String>,
    /// Who wrote it, to show; null when it was removed.
    #[schema(required)]
    pub author: Option<Person>,
    /// Its text; null when it was removed.
    #[schema(required)]
    pub content: Option<String>,
    /// How many like it.
    pub likes: u64,
    /// Whether the reader likes it.
    pub is_liked: bool,
    /// Answers to it that are shown to the reader.
    pub replies_count: u64,
    /// Whether its text is not the first.
    pub is_edited: bool,
    /// The opposite of `isDelete`.
    pub is_active: bool,
    /// Whether it was removed, or is of somebody who is not there for the reader; it is shown all the same while it has
    /// answers. The contract's spelling.
    pub is_delete: bool,
    /// When it appeared.
    pub created_at: Timestamp,
    /// When its text last changed.
    pub updated_at: Timestamp,
    /// Answers to it, in the nested form alone: the first few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion)]
    pub replies: Option<Vec<Self>>,
    /// Where further answers begin, in the nested form, for `/posts/comments/{id}/replies?cursor=`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replies_cursor: Option<String>,
    /// Its place in "best".
    #[serde(skip)]
    score: i64,
}

/// The order of a list of comments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    /// The last written first.
    #[default]
    Newest,
    /// The first written first.
    Oldest,
    /// Those with most likes and answers first.
    Best,
}

impl Sort {
    fn cursor(self, comment: &Comment) -> Cursor {
        match self {
            Self::Newest | Self::Oldest => Cursor::id(comment.id.get()),
            Self::Best => Cursor {
                rank: comment.score,
                id: comment.id.get(),
            },
        }
    }

    /// Refuses a cursor that is from a list in another order.
    fn check(self, page: &Page) -> Result<()> {
        let is_foreign = self != Self::Best && page.after.is_some_and(|cursor| cursor.rank != 0);
        if is_foreign {
            Err(Error::new(Code::InvalidQuery)
                .with_message("This cursor is from a list in another order."))
        } else {
            Ok(())
        }
    }

    /// What stands before the first comment.
    fn start(self) -> Cursor {
        match self {
            Self::Newest => Cursor::id(i64::MAX),
            Self::Oldest => Cursor::id(0),
            Self::Best => Cursor {
                rank: i64::MAX,
                id: i64::MAX,
            },
        }
    }
}

/// Adds the commands.
pub(super) fn register(registry: &mut Registry) {
    registry.add::<CreateComment>();
    registry.add::<UpdateComment>();
    registry.add::<DeleteComment>();
    registry.add::<LikeComment>();
}

impl Posts {
    /// Writes a comment beneath a post, or beneath another comment of it.
    pub async fn comment(
        &self,
        actor: &Actor,
        post_id: PostId,
        parent_id: Option<CommentId>,
        content: &str,
    ) -> Result<Comment> {
        let command = CreateComment {
            id: self.ids.next(),
            post_id,
            parent_id,
            author_id: actor.user_id,
            content: valid(content)?,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// All comments of a post, answers among them, without the removed.
    pub async fn comments(
        &self,
        viewer: UserId,
        post_id: PostId,
        sort: Sort,
        page: Page,
    ) -> Result<Slice<Comment>> {
        sort.check(&page)?;
        self.store
            .read(move |tx| {
                super::get_visible(tx, viewer, post_id)?;
                let mut rows = sql::flat(tx, viewer, post_id, sort, &page)?;
                HiddenAnswers::of(tx, viewer, post_id)?.leave_out(&mut rows);
                Ok(page.cut(rows, |comment| sort.cursor(comment)))
            })
            .await
    }

    /// The comments at the top of a post, each with its first answers.
    pub async fn thread(
        &self,
        viewer: UserId,
        post_id: PostId,
        sort: Sort,
        page: Page,
    ) -> Result<Slice<Comment>> {
        sort.check(&page)?;
        self.store
            .read(move |tx| {
                super::get_visible(tx, viewer, post_id)?;
                let hidden = HiddenAnswers::of(tx, viewer, post_id)?;
                thread::read(
                    tx,
                    viewer,
                    &hidden,
                    sql::ListId::top_of(post_id),
                    sort,
                    &page,
                )
            })
            .await
    }

    /// The answers to a comment, each with its own first answers.
    pub async fn replies(
        &self,
        viewer: UserId,
        id: CommentId,
        sort: Sort,
        page: Page,
    ) -> Result<Slice<Comment>> {
        sort.check(&page)?;
        self.store
            .read(move |tx| {
                let stub = sql::find_stub(tx, id)?.ok_or(Code::CommentNotFound)?;
                super::get_visible(tx, viewer, stub.post_id)
                    .map_err(|_unseen| Error::new(Code::CommentNotFound))?;
                let hidden = HiddenAnswers::of(tx, viewer, stub.post_id)?;
                thread::read(tx, viewer, &hidden, sql::ListId::beneath(id), sort, &page)
            })
            .await
    }

    /// Those of these comments that the viewer may see, without the answers beneath them.
    pub async fn get_comments(&self, viewer: UserId, ids: Vec<CommentId>) -> Result<Vec<Comment>> {
        self.store
            .read(move |tx| {
                let mut comments = sql::find_many(tx, viewer, &ids)?;
                // Removed ones, and those of people who are not there for the viewer.
                comments.retain(|comment| !comment.is_delete);
                let mut posts: HashMap<PostId, Option<HiddenAnswers>> = HashMap::new();
                let mut shown = Vec::new();
                for mut comment in comments {
                    let hidden = match posts.entry(comment.post_id) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => {
                            let is_visible = super::is_visible(tx, viewer, comment.post_id)?;
                            let hidden = is_visible
                                .then(|| HiddenAnswers::of(tx, viewer, comment.post_id))
                                .transpose()?;
                            new.insert(hidden)
                        }
                    };
                    if let Some(hidden) = hidden {
                        hidden.leave_out(std::slice::from_mut(&mut comment));
                        shown.push(comment);
                    }
                }
                Ok(shown)
            })
            .await
    }

    /// Changes one's own comment.
    pub async fn update_comment(
        &self,
        actor: &Actor,
        id: CommentId,
        content: &str,
    ) -> Result<Comment> {
        let command = UpdateComment {
            id,
            by: actor.user_id,
            content: valid(content)?,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Removes one's own comment, one beneath one's own post, or as an admin any.
    pub async fn delete_comment(&self, actor: &Actor, id: CommentId) -> Result<Comment> {
        let command = DeleteComment {
            id,
            by: actor.user_id,
            as_admin: actor.is_admin,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }

    /// Likes a comment, or takes that back.
    pub async fn like_comment(
        &self,
        actor: &Actor,
        comment_id: CommentId,
        wish: CommentWish,
    ) -> Result<CommentLiked> {
        let id: ReactionId = self.ids.next();
        let command = LikeComment {
            id,
            comment_id,
            user_id: actor.user_id,
            wish,
            at: self.ids.now(),
        };
        self.store.submit_once(command, actor.once.clone()).await
    }
}

fn valid(content: &str) -> Result<String> {
    text::body("content", content, 1, MAX_COMMENT_CHARS)
        .map_err(|field| Error::invalid_fields(vec![field]))
}
