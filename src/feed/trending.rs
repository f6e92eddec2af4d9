//! What is talked about: public posts by how they are liked and commented on, and hashtags by how many use them, each deed
//! counting less the older it is.
//!
//! It is found out anew now and then from the latest rows, of which there is a most, and held in memory for all; each
//! person is shown what of it they may see.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tracing::warn;

use super::muted::Muted;
use super::{Feed, ranking, sql, timeline};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{self, PostId, UserId};
use crate::page::{Cursor, Page, Slice};
use crate::posts::{self, Post};
use crate::store::ReadTx;
use crate::tasks::Tasks;

/// How far back deeds count, and after how long they count half.
const POSTS_SINCE: Duration = Duration::from_hours(48);
const POSTS_HALF_LIFE: Duration = Duration::from_hours(6);
const TAGS_SINCE: Duration = Duration::from_hours(7 * 24);
const TAGS_HALF_LIFE: Duration = Duration::from_hours(24);
/// Deeds of each kind that are looked at: the latest.
const MAX_DEEDS: u32 = 100_000;
/// What a comment counts beside a like.
const COMMENT: f64 = 2.0;
/// Posts and hashtags that are remembered.
const MAX_POSTS: usize = 500;
const MAX_TAGS: usize = 100;

/// A hashtag that is talked about.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrendingTag {
    /// Folded, without `#`.
    pub name: String,
    /// Public posts of the last week that carry it, among the latest hundred thousand.
    pub posts_count: u32,
    /// How many people wrote them.
    pub people_count: u32,
}

/// What was found out last.
#[derive(Debug, Default)]
pub(super) struct Trends {
    posts: Vec<PostId>,
    tags: Vec<TrendingTag>,
}

/// Where that is held; none before the first time.
pub(super) type Held = Mutex<Option<Arc<Trends>>>;

impl Trends {
    fn find(tx: &ReadTx<'_>, now: Timestamp) -> Result<Self> {
        Ok(Self {
            posts: find_posts(tx, now)?,
            tags: find_tags(tx, now)?,
        })
    }
}

fn decayed(now: Timestamp, at: Timestamp, half_life: Duration) -> f64 {
    (-now.since(at).as_secs_f64() / half_life.as_secs_f64()).exp2()
}

fn find_posts(tx: &ReadTx<'_>, now: Timestamp) -> Result<Vec<PostId>> {
    let since = id::first_at(now.minus(POSTS_SINCE));
    let mut counts: HashMap<PostId, f64> = HashMap::new();
    for (post, _, at) in sql::likes_since(tx, since, MAX_DEEDS)? {
        *counts.entry(post).or_default() += decayed(now, at, POSTS_HALF_LIFE);
    }
    // Who writes ten comments is one person; the rows come newest first.
    let mut heard: HashSet<(PostId, UserId)> = HashSet::new();
    for (post, user, at) in sql::comments_since(tx, since, MAX_DEEDS)? {
        if heard.insert((post, user)) {
            *counts.entry(post).or_default() += COMMENT * decayed(now, at, POSTS_HALF_LIFE);
        }
    }
    let ranked = ranking::top(counts, MAX_POSTS);
    Ok(ranked.into_iter().map(|(post, _)| post).collect())
}

fn find_tags(tx: &ReadTx<'_>, now: Timestamp) -> Result<Vec<TrendingTag>> {
    let since = id::first_at(now.minus(TAGS_SINCE));
    let mut counts: HashMap<String, (f64, u32, HashSet<UserId>)> = HashMap::new();
    for (tag, author, at) in sql::tags_since(tx, since, MAX_DEEDS)? {
        let (count, posts, people) = counts.entry(tag).or_default();
        *posts += 1;
        // Each person once, with the latest post; the rows come newest first.
        if people.insert(author) {
            *count += decayed(now, at, TAGS_HALF_LIFE);
        }
    }
    let mut tags: Vec<_> = counts.into_iter().collect();
    tags.sort_by(|(a, (one, ..)), (b, (other, ..))| other.total_cmp(one).then_with(|| a.cmp(b)));
    tags.truncate(MAX_TAGS);
    let trending =
        |(name, (_, posts_count, people)): (String, (f64, u32, HashSet<UserId>))| TrendingTag {
            name,
            posts_count,
            people_count: u32::try_from(people.len()).unwrap_or(u32::MAX),
        };
    Ok(tags.into_iter().map(trending).collect())
}

impl Feed {
    /// The public posts that are talked about, most first, without what one mutes.
    pub async fn trending_posts(&self, viewer: UserId, page: Page) -> Result<Slice<Post>> {
        let trends = self.trends().await?;
        let now = self.now();
        self.inner
            .store
            .read(move |tx| show(tx, viewer, &trends.posts, now, &page))
            .await
    }

    /// The hashtags that are talked about, most first, without those that one mutes.
    pub async fn trending_tags(&self, viewer: UserId, limit: u32) -> Result<Vec<TrendingTag>> {
        let trends = self.trends().await?;
        let now = self.now();
        self.inner
            .store
            .read(move |tx| show_tags(tx, viewer, &trends.tags, now, limit as usize))
            .await
    }

    /// Finds out anew what is talked about.
    pub async fn refresh_trends(&self) -> Result<()> {
        let now = self.now();
        let found = self
            .inner
            .store
            .read(move |tx| Trends::find(tx, now))
            .await?;
        let mut held = self
            .inner
            .trends
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *held = Some(Arc::new(found));
        Ok(())
    }

    async fn trends(&self) -> Result<Arc<Trends>> {
        let held = || {
            let held = self
                .inner
                .trends
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            held.clone()
        };
        if let Some(known) = held() {
            return Ok(known);
        }
        self.refresh_trends().await?;
        Ok(held().unwrap_or_default())
    }

    pub(super) fn keep_trends(&self, tasks: &Tasks) {
        let (feed, stopping) = (self.clone(), tasks.stopping().clone());
        let pause = Duration::from_secs(u64::from(self.inner.options.trends_s.max(1)));
        tasks.spawn("trends", async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stopping.cancelled() => return,
                }
                if let Err(error) = feed.refresh_trends().await {
                    warn!(error = %error, causes = error.causes(), "What is talked about could not be found out; later then");
                }
            }
        });
    }
}

/// Those that are on public posts still: what was found out is as old as it is.
fn show_tags(
    tx: &ReadTx<'_>,
    viewer: UserId,
    ranked: &[TrendingTag],
    now: Timestamp,
    limit: usize,
) -> Result<Vec<TrendingTag>> {
    let muted = Muted::of(tx, viewer, now)?;
    let names: Vec<&str> = ranked.iter().map(|tag| tag.name.as_str()).collect();
    let counts = sql::post_counts(tx, &names)?;
    let shown = ranked.iter().filter_map(|tag| {
        let most = *counts.get(&tag.name)?;
        (!muted.has_tag(&tag.name)).then(|| TrendingTag {
            name: tag.name.clone(),
            posts_count: tag.posts_count.min(most),
            people_count: tag.people_count.min(most),
        })
    });
    Ok(shown.take(limit).collect())
}

fn show(
    tx: &ReadTx<'_>,
    viewer: UserId,
    ranked: &[PostId],
    now: Timestamp,
    page: &Page,
) -> Result<Slice<Post>> {
    let muted = Muted::of(tx, viewer, now)?;
    let mut at = usize::try_from(page.after.map_or(0, |after| after.id)).unwrap_or(0);
    let wanted = page.limit as usize;
    let mut shown: Vec<Post> = Vec::with_capacity(wanted);
    while shown.len() < wanted && at < ranked.len() {
        let end = (at + wanted - shown.len()).min(ranked.len());
        let ids = ranked.get(at..end).unwrap_or_default();
        at = end;
        let mut posts = posts::readable(tx, viewer, ids)?;
        posts.retain(|post| {
            post.visibility == posts::Visibility::Public
                && (post.author_id == viewer || !muted.hides(post))
        });
        timeline::drop_muted_people(tx, viewer, now, &mut posts)?;
        posts.sort_by_key(|post| ids.iter().position(|id| *id == post.id));
        shown.extend(posts);
    }
    let next = (at < ranked.len()).then(|| Cursor::id(i64::try_from(at).unwrap_or(i64::MAX)));
    Ok(Slice { items: shown, next })
}
