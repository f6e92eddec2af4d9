//! The home feed in the order of what may matter to a person, for who asks for it; each post says why it is there.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::commands::SetFeedOrder;
use super::home::Home;
use super::muted::Muted;
use super::rankings::{self, Ranking};
use super::{Feed, Order, sql, timeline};
use crate::actor::Actor;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::id::{PostId, UserId};
use crate::page::{Cursor, Page, Slice};
use crate::posts::{self, Post};
use crate::store::ReadTx;
use crate::users::{self, Person};

/// Likers that a reason names.
const NAMED: usize = 3;

/// Why a post stands in somebody's feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(as = FeedReason)]
pub enum Reason {
    /// It is one's own.
    Own,
    /// One follows its author.
    Following,
    /// One follows a hashtag that it carries.
    Tag {
        /// The hashtag, folded, without `#`.
        tag: String,
    },
    /// People whom one follows like it.
    LikedByFollowed {
        /// How many of them, as far as was looked.
        count: u32,
        /// Some of them.
        users: Vec<Person>,
    },
    /// One often likes and answers what its author writes, or looks at it.
    OftenRead,
}

/// A post with why it is there.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct FeedItem {
    /// The post.
    #[serde(flatten)]
    pub post: Post,
    /// Why one sees it here.
    pub reasons: Vec<Reason>,
}

impl Feed {
    /// A page of somebody's home feed in the order of what may matter to them. The first page makes the order; those after
    /// it go on in it while it is remembered, and else in a new one.
    pub async fn ranked(&self, viewer: UserId, page: Page) -> Result<Slice<FeedItem>> {
        let now = self.now();
        let inner = Arc::clone(&self.inner);
        self.with_home(viewer, now, move |tx, home| {
            let known = page
                .after
                .and_then(|after| inner.rankings.find(viewer, after.rank));
            let ranking = if let Some(known) = known {
                known
            } else {
                let (number, weights) = (inner.ids.next(), &inner.options);
                let made = Ranking::make(tx, (viewer, &mut *home), number, now, weights)?;
                let made = Arc::new(made);
                inner.rankings.keep(viewer, Arc::clone(&made));
                made
            };
            show(tx, viewer, (home, &ranking), now, &page)
        })
        .await
    }

    /// The order in which somebody wants their home feed.
    pub async fn order(&self, user: UserId) -> Result<Order> {
        let is_ranked = self
            .inner
            .store
            .read(move |tx| sql::is_ranked(tx, user))
            .await?;
        Ok(if is_ranked {
            Order::Ranked
        } else {
            Order::Latest
        })
    }

    /// Sets that order. Without ranking, whom one has visited is forgotten.
    pub async fn set_order(&self, actor: &Actor, order: Order) -> Result<()> {
        let command = SetFeedOrder {
            user_id: actor.user_id,
            is_ranked: order == Order::Ranked,
        };
        let store = &self.inner.store;
        let set = store.submit_once(command, actor.once.clone()).await;
        self.inner.visits.forget_order(actor.user_id);
        set
    }
}

fn show(
    tx: &ReadTx<'_>,
    viewer: UserId,
    (home, ranking): (&Home, &Ranking),
    now: Timestamp,
    page: &Page,
) -> Result<Slice<FeedItem>> {
    let muted = Muted::of(tx, viewer, now)?;
    let begin = page.after.map_or(0, |after| after.id);
    let mut at = usize::try_from(begin).unwrap_or(0);
    let wanted = page.limit as usize;
    let mut shown: Vec<Post> = Vec::with_capacity(wanted);
    let mut likers: HashMap<PostId, Vec<UserId>> = HashMap::new();
    while shown.len() < wanted && at < ranking.posts.len() {
        let end = (at + wanted - shown.len()).min(ranking.posts.len());
        let ids = ranking.posts.get(at..end).unwrap_or_default();
        at = end;
        // Who liked them when the order was made may have taken that back since, or be apart from the viewer.
        likers.extend(ranking.likers_now(tx, viewer, ids, now)?);
        let mut posts = posts::readable(tx, viewer, ids)?;
        posts.retain(|post| {
            post.author_id == viewer
                || (home.has(post) || likers.contains_key(&post.id)) && !muted.hides(post)
        });
        timeline::drop_muted_people(tx, viewer, now, &mut posts)?;
        posts.sort_by_key(|post| ids.iter().position(|id| *id == post.id));
        shown.extend(posts);
    }
    let next = (at < ranking.posts.len()).then(|| Cursor {
        rank: ranking.number,
        id: i64::try_from(at).unwrap_or(i64::MAX),
    });
    Ok(Slice {
        items: explain(tx, viewer, (home, ranking), &likers, shown)?,
        next,
    })
}

/// Says of each post why it is there.
fn explain(
    tx: &ReadTx<'_>,
    viewer: UserId,
    (home, ranking): (&Home, &Ranking),
    likers: &HashMap<PostId, Vec<UserId>>,
    posts: Vec<Post>,
) -> Result<Vec<FeedItem>> {
    let named = |all: &[UserId]| all.iter().take(NAMED).copied().collect::<Vec<UserId>>();
    let mut ids: Vec<UserId> = posts
        .iter()
        .filter_map(|post| likers.get(&post.id))
        .flat_map(|all| named(all))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let people = users::summaries(tx, &ids)?;
    let explained = posts.into_iter().map(|post| {
        let mut reasons = home.reasons(viewer, &post);
        if let Some(all) = likers.get(&post.id) {
            let users = named(all);
            reasons.push(Reason::LikedByFollowed {
                count: rankings::count(all),
                users: users
                    .iter()
                    .filter_map(|id| people.get(id).cloned())
                    .collect(),
            });
        }
        if ranking.close.contains(&post.author_id) {
            reasons.push(Reason::OftenRead);
        }
        FeedItem { post, reasons }
    });
    Ok(explained.collect())
}
