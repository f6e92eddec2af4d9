//! One person's home feed in memory: whom they follow, and the ids of what those wrote lately.
//!
//! It only says what to look at. Whether the person may see a post is asked of the database with each page, so a timeline
//! that lags or errs can hide something for a moment, and never show anything.

use std::sync::Arc;

use super::changes::{Change, Changes};
use super::merge::{self, Merged};
use super::tags::MAX_FOLLOWED;
use super::{Reason, sql};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{PostId, UserId};
use crate::posts::{Post, Visibility};
use crate::store::ReadTx;

/// People whose posts one feed can have: those whom somebody followed last.
const MAX_FOLLOWEES: u32 = 20_000;
/// Posts that are read when somebody begins at the top, and when they read beyond what is known.
const STEP: usize = 50;
/// Posts that a timeline remembers; what is older is read each time.
const MAX_POSTS: usize = 400;
/// What a timeline takes beside its lists, with its place among the others.
const BASE_BYTES: usize = 512;

/// A timeline. A copy costs what its posts do.
#[derive(Clone, Debug)]
pub(super) struct Home {
    viewer: UserId,
    /// In order, without those who are muted.
    followees: Arc<[UserId]>,
    /// The hashtags that they follow; what carries these is read from the rows each time.
    tags: Arc<[String]>,
    /// Oldest first, without gaps: all that there is of the followees and of the person from the first one on. None until
    /// they read from the top.
    posts: Option<Vec<PostId>>,
    /// Up to which change it follows.
    position: u64,
    /// When a mute ends, and somebody is back.
    valid_until: Option<Timestamp>,
}

/// How far somebody has read, within one page or one order.
pub(super) struct Reading {
    people: Merged<UserId>,
    tags: Merged<String>,
}

impl Home {
    /// Makes it anew. `position` is a place among the changes from before `tx` began.
    pub(super) fn build(
        tx: &ReadTx<'_>,
        viewer: UserId,
        position: u64,
        now: Timestamp,
    ) -> Result<Self> {
        let mut followees = Vec::new();
        let mut valid_until: Option<Timestamp> = None;
        for (id, mute) in sql::followees(tx, viewer, now, MAX_FOLLOWEES)? {
            match mute {
                None => followees.push(id),
                Some(None) => {}
                Some(Some(end)) => {
                    valid_until = Some(valid_until.map_or(end, |known| known.min(end)));
                }
            }
        }
        let tags = sql::followed_tags(tx, viewer, MAX_FOLLOWED)?;
        Ok(Self {
            viewer,
            followees: followees.into(),
            tags: tags.into_iter().map(|tag| tag.name).collect(),
            posts: None,
            position,
            valid_until,
        })
    }

    /// Follows the changes up to a place; false when it must be made anew.
    pub(super) fn catch_up(&mut self, changes: &Changes, to: u64, now: Timestamp) -> bool {
        if self.valid_until.is_some_and(|end| end <= now) {
            return false;
        }
        let from = self.position;
        let is_known = changes.replay(from, to, |change| match change {
            Change::Relations { of } => of != self.viewer,
            Change::Post { id, author } => {
                if author == self.viewer || self.followees.binary_search(&author).is_ok() {
                    self.add(id);
                }
                true
            }
        });
        self.position = self.position.max(to);
        is_known
    }

    fn add(&mut self, id: PostId) {
        let Some(posts) = &mut self.posts else {
            return;
        };
        // What is older than all that is known is read when somebody gets there.
        if let Err(place) = posts.binary_search(&id)
            && (place > 0 || posts.len() < STEP)
        {
            posts.insert(place, id);
        }
        if posts.len() > MAX_POSTS {
            posts.drain(..STEP);
        }
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let posts = self.posts.as_ref().map_or(0, Vec::capacity);
        let tags = self.tags.iter().map(|tag| size_of::<String>() + tag.len());
        BASE_BYTES
            + self.followees.len() * size_of::<UserId>()
            + posts * size_of::<PostId>()
            + tags.sum::<usize>()
    }

    /// For who reads on in it.
    pub(super) fn reading(&self) -> Reading {
        Reading {
            people: Merged::of(Arc::clone(&self.followees)),
            tags: Merged::of(Arc::clone(&self.tags)),
        }
    }

    /// Some posts below an id, newest first: none when there are no more.
    pub(super) fn below(
        &mut self,
        tx: &ReadTx<'_>,
        reading: &mut Reading,
        below: i64,
        limit: usize,
    ) -> Result<Vec<PostId>> {
        let mut posts = self.of_people(tx, &mut reading.people, below, limit)?;
        if self.tags.is_empty() {
            return Ok(posts);
        }
        // What people wrote may be a part of what there is; what is older than that comes later.
        let oldest = posts.last().map_or(0, |id| id.get());
        let range = (PostId::from(oldest + 1), below);
        posts.extend(reading.tags.newest(tx, range, limit)?);
        merge::cut(&mut posts, limit);
        Ok(posts)
    }

    /// The same of those whom the person follows, and of themselves.
    fn of_people(
        &mut self,
        tx: &ReadTx<'_>,
        people: &mut Merged<UserId>,
        below: i64,
        limit: usize,
    ) -> Result<Vec<PostId>> {
        let viewer = self.viewer;
        let mut read = |limit| {
            let mut posts = people.newest(tx, (PostId::from(0), below), limit)?;
            posts.extend(sql::own(tx, viewer, below, limit)?);
            merge::cut(&mut posts, limit);
            Ok(posts)
        };
        let known = match &mut self.posts {
            Some(known) => known,
            None if below == i64::MAX => {
                let mut posts = read(STEP.max(limit))?;
                posts.reverse();
                self.posts.insert(posts)
            }
            // Somebody goes on where they were long ago.
            None => return read(limit),
        };
        let end = known.partition_point(|id| id.get() < below);
        if end > 0 {
            let begin = end.saturating_sub(limit);
            let part = known.get(begin..end).unwrap_or_default();
            return Ok(part.iter().rev().copied().collect());
        }
        // Remembered only where it goes on without a gap.
        let more = STEP.max(limit);
        let goes_on = known.first().is_some_and(|first| first.get() == below);
        if !goes_on || known.len() + more > MAX_POSTS {
            return read(limit);
        }
        let mut older = read(more)?;
        known.splice(..0, older.iter().rev().copied());
        older.truncate(limit);
        Ok(older)
    }

    /// Those whom the person follows and does not mute, in the order of their ids.
    pub(super) fn followees(&self) -> &[UserId] {
        &self.followees
    }

    /// Why a post is here, as far as a timeline knows.
    pub(super) fn reasons(&self, viewer: UserId, post: &Post) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if post.author_id == viewer {
            reasons.push(Reason::Own);
        }
        if self.followees.binary_search(&post.author_id).is_ok() {
            reasons.push(Reason::Following);
        }
        if post.visibility == Visibility::Public {
            let followed = post.hashtags.iter().filter(|tag| self.tags.contains(tag));
            reasons.extend(followed.map(|tag| Reason::Tag { tag: tag.clone() }));
        }
        reasons
    }

    /// Whether a post is here because its author or one of its hashtags is followed.
    pub(super) fn has(&self, post: &Post) -> bool {
        self.followees.binary_search(&post.author_id).is_ok()
            || post.visibility == Visibility::Public
                && post.hashtags.iter().any(|tag| self.tags.contains(tag))
    }
}
