//! The posts of many lists as one, newest first, read from where each list stands: those of authors, and of hashtags.

use std::cmp::Reverse;
use std::sync::Arc;

use super::sql;
use crate::error::Result;
use crate::id::{PostId, UserId};
use crate::store::ReadTx;

/// What has posts in the order of their ids.
pub(super) trait Listed: Clone {
    /// Of each of these the newest post below an id, where there is one.
    fn newest_of_each(tx: &ReadTx<'_>, of: &[Self], below: i64) -> Result<Vec<(Self, PostId)>>;

    /// The posts from one id on and below another, newest first.
    fn between(&self, tx: &ReadTx<'_>, range: (PostId, i64), limit: usize) -> Result<Vec<PostId>>;
}

/// An author's, as far as their followers may see them.
impl Listed for UserId {
    fn newest_of_each(tx: &ReadTx<'_>, of: &[Self], below: i64) -> Result<Vec<(Self, PostId)>> {
        sql::newest_of_each(tx, of, below)
    }

    fn between(&self, tx: &ReadTx<'_>, range: (PostId, i64), limit: usize) -> Result<Vec<PostId>> {
        sql::for_followers(tx, *self, range, limit)
    }
}

/// A hashtag's public ones.
impl Listed for String {
    fn newest_of_each(tx: &ReadTx<'_>, of: &[Self], below: i64) -> Result<Vec<(Self, PostId)>> {
        sql::newest_of_each_tag(tx, of, below)
    }

    fn between(&self, tx: &ReadTx<'_>, range: (PostId, i64), limit: usize) -> Result<Vec<PostId>> {
        sql::tagged(tx, self, range, limit)
    }
}

/// Many lists, for who reads on in them from the top down.
pub(super) struct Merged<L> {
    lists: Arc<[L]>,
    /// The newest post of each list that has one, below where was read last.
    heads: Option<(i64, Vec<(L, PostId)>)>,
}

impl<L: Listed> Merged<L> {
    pub(super) fn of(lists: Arc<[L]>) -> Self {
        Self { lists, heads: None }
    }

    /// The newest posts from one id on and below another, each once.
    ///
    /// Each list's newest post is looked up once, and again only where one has read past it. The page can only hold posts
    /// of the lists whose newest posts are the `limit` newest, and none that is older than the oldest of these; so only
    /// they are read further, and only so far.
    pub(super) fn newest(
        &mut self,
        tx: &ReadTx<'_>,
        (from, below): (PostId, i64),
        limit: usize,
    ) -> Result<Vec<PostId>> {
        let mut heads: Vec<&(L, PostId)> = self.heads(tx, below)?.iter().collect();
        heads.retain(|(_, newest)| *newest >= from);
        heads.sort_unstable_by_key(|(_, newest)| Reverse(*newest));
        // One post can be the newest of many hashtags.
        let mut newest: Vec<PostId> = heads.iter().map(|(_, newest)| *newest).collect();
        newest.dedup();
        let mut oldest = match newest.get(limit.saturating_sub(1)) {
            Some(last) => *last,
            // With fewer lists than wanted posts, their older ones count as well.
            None => from,
        };
        let mut posts = Vec::new();
        for (list, newest) in heads {
            if *newest < oldest {
                break;
            }
            posts.extend(list.between(tx, (oldest, below), limit)?);
            // What is known so far may say that none so old is wanted.
            if posts.len() >= 2 * limit {
                cut(&mut posts, limit);
                if let (Some(last), true) = (posts.last(), posts.len() == limit) {
                    oldest = oldest.max(*last);
                }
            }
        }
        cut(&mut posts, limit);
        Ok(posts)
    }

    fn heads(&mut self, tx: &ReadTx<'_>, below: i64) -> Result<&[(L, PostId)]> {
        let known = self.heads.take().filter(|(last, _)| below <= *last);
        let heads = match known {
            None => L::newest_of_each(tx, &self.lists, below)?,
            Some((_, mut heads)) => {
                let passed = heads.extract_if(.., |(_, newest)| newest.get() >= below);
                let passed: Vec<L> = passed.map(|(list, _)| list).collect();
                heads.extend(L::newest_of_each(tx, &passed, below)?);
                heads
            }
        };
        Ok(&self.heads.insert((below, heads)).1)
    }
}

/// Leaves the newest posts, newest first, each once.
pub(super) fn cut(posts: &mut Vec<PostId>, limit: usize) {
    posts.sort_unstable_by_key(|id| Reverse(*id));
    posts.dedup();
    posts.truncate(limit);
}
