//! The nested form: a page of a list, with the first answers of each comment, and theirs, within a bound.

use std::collections::HashMap;

use super::hidden::HiddenAnswers;
use super::{Comment, Sort, sql};
use crate::error::Result;
use crate::id::{CommentId, UserId};
use crate::page::{Page, Slice};
use crate::store::ReadTx;

/// Answers shown of each comment at once.
const PER_COMMENT: u32 = 10;
/// Comments in one reply beyond the page itself, however they hang together.
const MAX_NESTED: usize = 300;
/// How deep one reply goes; JSON readers in the field stop at 128 brackets.
const MAX_DEPTH: usize = 40;

/// Reads a page of a list and what hangs beneath it.
pub(super) fn read(
    tx: &ReadTx<'_>,
    viewer: UserId,
    hidden: &HiddenAnswers,
    list: sql::ListId,
    sort: Sort,
    page: &Page,
) -> Result<Slice<Comment>> {
    let mut rows = sql::list(tx, viewer, list, sort, page)?;
    hidden.leave_out(&mut rows);
    let slice = page.cut(rows, |comment| sort.cursor(comment));
    let next = slice.next;
    let mut levels: Vec<Vec<Comment>> = vec![slice.items];
    let mut nested = 0;
    while levels.len() < MAX_DEPTH && nested < MAX_NESTED {
        let parents = levels.last().map(Vec::as_slice).unwrap_or_default();
        let asked: Vec<CommentId> = parents
            .iter()
            .filter(|comment| comment.replies_count > 0)
            .map(|comment| comment.id)
            .take((MAX_NESTED - nested).div_ceil(PER_COMMENT as usize))
            .collect();
        if asked.is_empty() {
            break;
        }
        let mut level = sql::answers(tx, viewer, &asked, sort, PER_COMMENT)?;
        hidden.leave_out(&mut level);
        nested += level.len();
        levels.push(level);
    }
    Ok(Slice {
        items: hang_together(levels, sort),
        next,
    })
}

/// Hangs each level beneath the one above, from the deepest up.
fn hang_together(mut levels: Vec<Vec<Comment>>, sort: Sort) -> Vec<Comment> {
    let mut beneath: HashMap<CommentId, Vec<Comment>> = HashMap::new();
    while let Some(mut level) = levels.pop() {
        for comment in &mut level {
            let replies = beneath.remove(&comment.id).unwrap_or_default();
            if (replies.len() as u64) < comment.replies_count {
                let last = replies
                    .last()
                    .map_or_else(|| sort.start(), |last| sort.cursor(last));
                comment.replies_cursor = Some(last.encode());
            }
            comment.replies = Some(replies);
        }
        if levels.is_empty() {
            return level;
        }
        for comment in level {
            if let Some(parent) = comment.parent_comment_id {
                beneath.entry(parent).or_default().push(comment);
            }
        }
    }
    Vec::new()
}
