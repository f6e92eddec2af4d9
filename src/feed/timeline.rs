//! A page of any timeline: where its posts stand says the caller; what is shown of them is decided here.

use super::muted::Muted;
use super::sql;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{PostId, UserId};
use crate::page::{Cursor, Page, Slice};
use crate::posts::{self, Post};
use crate::store::ReadTx;

/// How often a page looks further when posts that it found are not to be shown.
const MAX_ROUNDS: usize = 10;

/// Posts that the viewer may see and does not mute, newest first. `ids` gives some below an id, and none at the end. Posts
/// of which `keeps` is false are left out as well.
///
/// When much of what is found is not to be shown, the page is a short one, and the next begins where this ended.
pub(super) fn page(
    tx: &ReadTx<'_>,
    viewer: UserId,
    now: Timestamp,
    page: &Page,
    mut ids: impl FnMut(i64, usize) -> Result<Vec<PostId>>,
    keeps: impl Fn(&Post) -> bool,
) -> Result<Slice<Post>> {
    let muted = Muted::of(tx, viewer, now)?;
    let cursor = |post: &Post| Cursor::id(post.id.get());
    let wanted = page.fetch() as usize;
    let mut below = page.below();
    let mut shown: Vec<Post> = Vec::with_capacity(wanted);
    for _ in 0..MAX_ROUNDS {
        let found = ids(below, wanted - shown.len())?;
        let Some(last) = found.last() else {
            return Ok(page.cut(shown, cursor));
        };
        below = last.get();
        let mut posts = posts::readable(tx, viewer, &found)?;
        posts.retain(|post| post.author_id == viewer || keeps(post) && !muted.hides(post));
        drop_muted_people(tx, viewer, now, &mut posts)?;
        shown.extend(posts);
        if shown.len() == wanted {
            return Ok(page.cut(shown, cursor));
        }
    }
    Ok(Slice {
        items: shown,
        next: Some(Cursor::id(below)),
    })
}

/// Takes away what people wrote whom the viewer mutes.
pub(super) fn drop_muted_people(
    tx: &ReadTx<'_>,
    viewer: UserId,
    now: Timestamp,
    posts: &mut Vec<Post>,
) -> Result<()> {
    let authors: Vec<UserId> = posts.iter().map(|post| post.author_id).collect();
    if authors.is_empty() {
        return Ok(());
    }
    let muted = sql::muted_among(tx, viewer, &authors, now)?;
    posts.retain(|post| !muted.contains(&post.author_id));
    Ok(())
}
