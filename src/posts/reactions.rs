//! Likes and dislikes: one row per person and post, so that a like takes back a dislike and the other way round.

use serde::{Deserialize, Serialize};

use super::{commands, sql};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::id::{PostId, ReactionId, UserId};
use crate::store::{Command, WriteTx};

/// What somebody wants of a post's like or dislike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// To like it; again changes nothing.
    Like,
    /// To like it no more.
    Unlike,
    /// To like it, or no more if they do.
    ToggleLike,
    /// To dislike it; again changes nothing.
    Dislike,
    /// To dislike it no more.
    Undislike,
    /// To dislike it, or no more if they do.
    ToggleDislike,
}

/// What a reaction row holds: the contract's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Disliked = -1,
    Neither = 0,
    Liked = 1,
}

impl Wish {
    fn from(self, before: Value) -> Value {
        let toggled = |wanted| {
            if before == wanted {
                Value::Neither
            } else {
                wanted
            }
        };
        let without = |unwanted| {
            if before == unwanted {
                Value::Neither
            } else {
                before
            }
        };
        match self {
            Self::Like => Value::Liked,
            Self::Dislike => Value::Disliked,
            Self::ToggleLike => toggled(Value::Liked),
            Self::ToggleDislike => toggled(Value::Disliked),
            Self::Unlike => without(Value::Liked),
            Self::Undislike => without(Value::Disliked),
        }
    }
}

/// One person's like of a post (contract, section 4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Like {
    /// The row's id; kept when the like is taken back and given again.
    pub id: ReactionId,
    /// The username of the person who likes.
    pub author_username: String,
    /// What is liked.
    pub post_id: PostId,
    /// Who likes.
    pub user_id: UserId,
    /// When they first did.
    pub created_at: Timestamp,
    /// Whether it holds.
    pub is_active: bool,
    /// Whether it was taken back.
    pub is_deleted: bool,
}

/// How a post stands after a reaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reacted {
    /// The person's row; none when they never reacted.
    pub like: Option<Like>,
    /// Whether they like it.
    pub liked: bool,
    /// Whether they dislike it.
    pub disliked: bool,
    /// How many like it.
    pub likes: u64,
    /// How many dislike it.
    pub dislikes: u64,
}

/// Sets what one person thinks of one post.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetReaction {
    /// The row's id, if there is none yet.
    pub id: ReactionId,
    pub post_id: PostId,
    pub user_id: UserId,
    pub wish: Wish,
    pub at: Timestamp,
}

impl Command for SetReaction {
    const NAME: &'static str = "posts.react";
    type Output = Reacted;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<Reacted> {
        let stub = sql::find_stub(tx, self.post_id)?.ok_or(Code::PostNotFound)?;
        let row = sql::find_reaction(tx, self.post_id, self.user_id)?;
        // What one gave can be taken back from where one may not look any more, too.
        let takes_back = row.is_some() && matches!(self.wish, Wish::Unlike | Wish::Undislike);
        let may_see = stub
            .visibility
            .allows_viewer(tx, self.user_id, stub.author_id)?;
        if !takes_back && !may_see {
            return Err(Error::new(Code::PostNotFound));
        }
        let person = commands::active_person(tx, self.user_id)?;
        let before = match row.as_ref().map_or(0, |row| row.value) {
            1 => Value::Liked,
            -1 => Value::Disliked,
            _ => Value::Neither,
        };
        let after = self.wish.from(before);
        let id = row.as_ref().map_or(self.id, |row| row.id);
        let created_at = row.as_ref().map_or(self.at, |row| row.created_at);
        if after != before {
            let mut event_seq = row.as_ref().and_then(|row| row.event_seq);
            if after == Value::Liked && event_seq.is_none() {
                let event = Event::LikeCreated {
                    like_id: id,
                    post_id: self.post_id,
                    author_id: self.user_id,
                    recipient_id: stub.author_id,
                };
                event_seq = Some(i64::try_from(tx.emit(self.at, event)?).map_err(Error::internal)?);
            }
            if before == Value::Liked {
                let event = Event::LikeRemoved {
                    like_id: id,
                    post_id: self.post_id,
                    author_id: self.user_id,
                };
                tx.emit(self.at, event)?;
                // Taken back, it is not to be told again, not even when notifications are rebuilt from rows.
                event_seq = event_seq.map(|seq| -seq.abs());
            }
            let row = sql::Reaction {
                id,
                value: after as i64,
                created_at,
                event_seq,
            };
            sql::put_reaction(tx, self.post_id, self.user_id, &row)?;
            let change = |of: Value| i64::from(after == of) - i64::from(before == of);
            sql::add_reaction_counts(
                tx,
                self.post_id,
                change(Value::Liked),
                change(Value::Disliked),
            )?;
        }
        let (likes, dislikes) = sql::reaction_counts(tx, self.post_id)?;
        let liked = after == Value::Liked;
        let like = (row.is_some() || after != before).then_some(Like {
            id,
            author_username: person.username,
            post_id: self.post_id,
            user_id: self.user_id,
            created_at,
            is_active: liked,
            is_deleted: !liked,
        });
        Ok(Reacted {
            like,
            liked,
            disliked: after == Value::Disliked,
            likes,
            dislikes,
        })
    }
}
