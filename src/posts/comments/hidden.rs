//! Answers that are left out for one reader, because of a block: the counts of answers that are kept count everybody's.

use std::collections::HashMap;

use super::{Comment, sql};
use crate::error::Result;
use crate::id::{CommentId, PostId, UserId};
use crate::store::ReadTx;

/// Blocked pairs of one reader that are looked at: each is one step into an index. Who is in more of them, and that is
/// somebody whom very many block, sees counts that may be too high.
const MAX_PAIRS: u32 = 20_000;

/// How many answers to each comment of a post are left out for a reader.
pub(super) struct HiddenAnswers(HashMap<CommentId, u64>);

impl HiddenAnswers {
    pub(super) fn of(tx: &ReadTx<'_>, viewer: UserId, post: PostId) -> Result<Self> {
        let mut counts = HashMap::new();
        for answered in sql::hidden_answers(tx, viewer, post, MAX_PAIRS)? {
            *counts.entry(answered).or_default() += 1;
        }
        Ok(Self(counts))
    }

    /// Counts only what the reader is shown.
    pub(super) fn leave_out(&self, comments: &mut [Comment]) {
        for comment in comments {
            let hidden = self.0.get(&comment.id).copied().unwrap_or(0);
            comment.replies_count = comment.replies_count.saturating_sub(hidden);
        }
    }
}
