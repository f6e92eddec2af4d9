//! Comments appear, change, go, are liked.

use serde::{Deserialize, Serialize};

use super::super::commands::{active_person, mentioned, those_who_may_see};
use super::super::sql as posts_sql;
use super::hidden::HiddenAnswers;
use super::{Comment, sql};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::id::{CommentId, PostId, ReactionId, UserId};
use crate::store::{Command, ReadTx, WriteTx};
use crate::users;

/// Writes a comment; its text is valid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreateComment {
    pub id: CommentId,
    pub post_id: PostId,
    /// The comment that it answers, of the same post.
    pub parent_id: Option<CommentId>,
    pub author_id: UserId,
    pub content: String,
    pub at: Timestamp,
}

impl Command for CreateComment {
    const NAME: &'static str = "posts.comment";
    type Output = Comment;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Comment> {
        let post = visible_post(tx, self.author_id, self.post_id)?;
        let author = active_person(tx, self.author_id)?;
        let parent_author = match self.parent_id {
            None => None,
            Some(parent) => {
                let stub = visible_comment(tx, self.author_id, parent)?;
                if stub.post_id != self.post_id || stub.is_deleted {
                    return Err(Error::new(Code::CommentNotFound));
                }
                Some(stub.author_id)
            }
        };
        // Who answered here once may see the post no longer; then it is no news for them.
        let parent_author_id = match parent_author {
            Some(person) if post.visibility.allows_viewer(tx, person, post.author_id)? => {
                Some(person)
            }
            _ => None,
        };
        let mentioned = mentioned(tx, [Some(&self.content)])?;
        let mut mentions = those_who_may_see(tx, &mentioned, post.author_id, post.visibility)?;
        // The post's author sees their own post, and is told of the comment itself. Who does not see the comment is not.
        let mut unseeing = vec![self.author_id];
        for person in &mentions {
            if users::is_blocked_pair(tx, self.author_id, *person)? {
                unseeing.push(*person);
            }
        }
        mentions.retain(|person| !unseeing.contains(person));
        let event = Event::CommentCreated {
            comment_id: self.id,
            post_id: self.post_id,
            author_id: self.author_id,
            author_username: author.username.clone(),
            recipient_id: post.author_id,
            parent_author_id,
            created_at: self.at,
            mentions,
        };
        let event_seq = tx.emit(self.at, event)?;
        sql::insert(tx, self, event_seq)?;
        sql::put_mentions(tx, self.id, &mentioned)?;
        if let Some(parent) = self.parent_id {
            sql::add_reply_count(tx, parent, 1)?;
        }
        sql::add_comment_count(tx, self.post_id, 1)?;
        sql::find(tx, self.author_id, self.id)?.ok_or(Code::CommentNotFound.into())
    }
}

/// Changes one's own comment; its text is valid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateComment {
    pub id: CommentId,
    pub by: UserId,
    pub content: String,
    pub at: Timestamp,
}

impl Command for UpdateComment {
    const NAME: &'static str = "posts.update_comment";
    type Output = Comment;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Comment> {
        active_person(tx, self.by)?;
        let stub = visible_comment(tx, self.by, self.id)?;
        if stub.is_deleted {
            return Err(Error::new(Code::CommentNotFound));
        }
        if stub.author_id != self.by {
            return Err(Error::new(Code::Forbidden));
        }
        sql::update(tx, self.id, &self.content, self.at)?;
        sql::put_mentions(tx, self.id, &mentioned(tx, [Some(&self.content)])?)?;
        let event = Event::CommentUpdated {
            comment_id: self.id,
            post_id: stub.post_id,
            author_id: self.by,
        };
        tx.emit(self.at, event)?;
        get(tx, self.by, stub.post_id, self.id)
    }
}

/// Removes a comment. It keeps its place, without its text, while it has answers; doing so twice changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeleteComment {
    pub id: CommentId,
    pub by: UserId,
    /// Admins may remove what others wrote.
    pub as_admin: bool,
    pub at: Timestamp,
}

impl Command for DeleteComment {
    const NAME: &'static str = "posts.delete_comment";
    type Output = Comment;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Comment> {
        active_person(tx, self.by)?;
        let stub = sql::find_stub(tx, self.id)?.ok_or(Code::CommentNotFound)?;
        // One's own can be removed from where one may not look any more, too; and so can what stands beneath one's own
        // post, whoever wrote it.
        let post_author = posts_sql::find_stub(tx, stub.post_id)?.map(|post| post.author_id);
        if stub.author_id != self.by && post_author != Some(self.by) && !self.as_admin {
            visible_comment(tx, self.by, self.id)?;
            return Err(Error::new(Code::Forbidden));
        }
        if !stub.is_deleted {
            sql::mark_deleted(tx, self.id, self.at)?;
            sql::add_comment_count(tx, stub.post_id, -1)?;
            hide_empty(tx, self.id)?;
            let event = Event::CommentDeleted {
                comment_id: self.id,
                post_id: stub.post_id,
                author_id: stub.author_id,
            };
            tx.emit(self.at, event)?;
        }
        get(tx, self.by, stub.post_id, self.id)
    }
}

/// Takes a removed comment that nobody answered out of its parent's count, and so on up, where that leaves another
/// removed one without answers. Each comment goes this way once, so the loop costs no more than the writing did.
fn hide_empty(tx: &WriteTx<'_>, id: CommentId) -> Result<()> {
    let mut next = Some(id);
    while let Some(id) = next {
        next = sql::find_stub(tx, id)?
            .filter(|stub| stub.is_deleted && stub.replies_count == 0)
            .and_then(|stub| stub.parent_id);
        if let Some(parent) = next {
            sql::add_reply_count(tx, parent, -1)?;
        }
    }
    Ok(())
}

/// What somebody wants of their like of a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommentWish {
    /// To like it; again changes nothing.
    Like,
    /// To like it no more.
    Unlike,
    /// To like it, or no more if they do.
    Toggle,
}

/// How a comment stands after a like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentLiked {
    /// Whether the person likes it.
    pub liked: bool,
    /// How many like it.
    pub likes: u64,
}

/// Sets whether one person likes one comment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LikeComment {
    /// The row's id, if there is none yet.
    pub id: ReactionId,
    pub comment_id: CommentId,
    pub user_id: UserId,
    pub wish: CommentWish,
    pub at: Timestamp,
}

impl Command for LikeComment {
    const NAME: &'static str = "posts.like_comment";
    type Output = CommentLiked;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<CommentLiked> {
        let stub = visible_comment(tx, self.user_id, self.comment_id)?;
        if stub.is_deleted {
            return Err(Error::new(Code::CommentNotFound));
        }
        active_person(tx, self.user_id)?;
        let row = sql::find_like(tx, self.comment_id, self.user_id)?;
        let before = row.is_some_and(|(_, is_active)| is_active);
        let liked = match self.wish {
            CommentWish::Like => true,
            CommentWish::Unlike => false,
            CommentWish::Toggle => !before,
        };
        if liked != before {
            self.change(tx, &stub, row.map(|(id, _)| id), liked)?;
        }
        Ok(CommentLiked {
            liked,
            likes: sql::like_count(tx, self.comment_id)?,
        })
    }
}

impl LikeComment {
    fn change(
        &self,
        tx: &WriteTx<'_>,
        stub: &sql::Stub,
        known: Option<ReactionId>,
        liked: bool,
    ) -> Result<()> {
        let (comment_id, post_id, author_id) = (self.comment_id, stub.post_id, self.user_id);
        let id = known.unwrap_or(self.id);
        match (known, liked) {
            (None, _) => {
                let post = visible_post(tx, author_id, post_id)?;
                let sees = post
                    .visibility
                    .allows_viewer(tx, stub.author_id, post.author_id)?;
                let recipient_id = sees.then_some(stub.author_id);
                let event = Event::CommentLiked {
                    like_id: id,
                    comment_id,
                    post_id,
                    author_id,
                    recipient_id,
                };
                let event_seq = tx.emit(self.at, event)?;
                sql::insert_like(tx, id, comment_id, author_id, self.at, event_seq)?;
            }
            // Told once: a like that comes back is no news.
            (Some(_), true) => sql::set_like(tx, id, true)?,
            (Some(_), false) => {
                sql::set_like(tx, id, false)?;
                tx.emit(
                    self.at,
                    Event::CommentUnliked {
                        like_id: id,
                        comment_id,
                        post_id,
                        author_id,
                    },
                )?;
            }
        }
        sql::add_like_count(tx, comment_id, if liked { 1 } else { -1 })
    }
}

fn visible_post(tx: &ReadTx<'_>, viewer: UserId, id: PostId) -> Result<posts_sql::Stub> {
    let stub = posts_sql::find_stub(tx, id)?.ok_or(Code::PostNotFound)?;
    if stub.visibility.allows_viewer(tx, viewer, stub.author_id)? {
        Ok(stub)
    } else {
        Err(Error::new(Code::PostNotFound))
    }
}

/// A comment, by somebody who is there for the viewer, beneath a post that the viewer may see; what one may not see is
/// not there.
fn visible_comment(tx: &ReadTx<'_>, viewer: UserId, id: CommentId) -> Result<sql::Stub> {
    let stub = sql::find_stub(tx, id)?.ok_or(Code::CommentNotFound)?;
    if users::is_blocked_pair(tx, viewer, stub.author_id)? {
        return Err(Error::new(Code::CommentNotFound));
    }
    match visible_post(tx, viewer, stub.post_id) {
        Ok(_) => Ok(stub),
        Err(error) if error.code() == Code::PostNotFound => Err(Error::new(Code::CommentNotFound)),
        Err(error) => Err(error),
    }
}

/// A comment as the viewer is shown it.
fn get(tx: &ReadTx<'_>, viewer: UserId, post: PostId, id: CommentId) -> Result<Comment> {
    let mut comment = sql::find(tx, viewer, id)?.ok_or(Code::CommentNotFound)?;
    HiddenAnswers::of(tx, viewer, post)?.leave_out(std::slice::from_mut(&mut comment));
    Ok(comment)
}
