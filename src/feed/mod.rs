//! What somebody reads at home: the posts of those whom they follow, and their own.
//!
//! * `changes`: what was written and followed lately, one list for all;
//! * `home`: one person's timeline in memory, which catches up with the changes when it is read;
//! * `merge`: the same from the database, for who comes for the first time or reads on for long;
//! * `timeline`: a page of any timeline, and what is shown of what stands there;
//! * `tags`, `lists`: timelines of hashtags and of chosen people, and `muted`: words that nobody has to read;
//! * `ranked`: home in the order of what may matter to somebody, for who asks for it; `rankings` makes such orders, by the
//!   weights of `ranking` and what the person does and looks at (`visits`), and remembers them;
//! * `trending`: what is talked about;
//! * `commands`, `sql`: how all that is kept.
//!
//! Nothing is handed out when a post is written: its author's followers find it among the changes when they read next. So
//! a post costs its writer the same whether one or a hundred thousand follow, and a timeline that nobody reads costs
//! nothing. Timelines are few and bounded; whoever has none, or has been away for too long, gets theirs made anew from the
//! rows, which are the truth.

mod changes;
mod commands;
mod home;
mod lists;
mod merge;
mod muted;
mod ranked;
mod ranking;
mod rankings;
mod sql;
mod tags;
mod timeline;
mod trending;
mod visits;

use std::cell::RefCell;
use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Timestamp};
use crate::config;
use crate::error::Result;
use crate::id::{Ids, UserId};
use crate::page::{Page, Slice};
use crate::posts::{Post, Visibility};
use crate::store::{ReadTx, Registry, Store};
use crate::tasks::Tasks;

use changes::Changes;
use home::Home;
use rankings::Rankings;
use visits::Waiting;

pub use commands::{
    AddToList, CreateList, DeleteList, EraseChoices, FollowTag, MuteTerm, NoteVisits,
    RemoveFromList, RenameList, SetFeedOrder, UnmuteTerm, Visits,
};
pub use lists::List;
pub use muted::{MutedKind, MutedTerm};
pub use ranked::{FeedItem, Reason};
pub use tags::Tag;
pub use trending::TrendingTag;

/// Posts that the original kept for each person (contract, section 8).
pub const MAX_NUMBERED: usize = 100;
/// Rows that one command removes of what a deleted account chose.
const ERASE_STEP: u32 = 200;

/// The handle; cheap to clone.
#[derive(Clone)]
pub struct Feed {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    ids: Ids,
    clock: Clock,
    changes: Arc<Changes>,
    /// The timelines that are held. One is never changed: who reads takes a copy, and leaves it here for the next.
    homes: Cache<UserId, Arc<Home>>,
    /// The orders in which people read at the moment.
    rankings: Rankings,
    trends: trending::Held,
    visits: Waiting,
    options: config::Feed,
}

/// The order of a home feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = FeedOrder)]
pub enum Order {
    /// The newest first.
    Latest,
    /// What may matter most first.
    Ranked,
}

/// Adds this module's commands.
pub fn register(registry: &mut Registry) {
    registry.add::<FollowTag>();
    registry.add::<MuteTerm>();
    registry.add::<UnmuteTerm>();
    registry.add::<CreateList>();
    registry.add::<RenameList>();
    registry.add::<DeleteList>();
    registry.add::<AddToList>();
    registry.add::<RemoveFromList>();
    registry.add::<SetFeedOrder>();
    registry.add::<NoteVisits>();
    registry.add::<EraseChoices>();
}

impl Feed {
    /// Begins to follow what is committed.
    pub fn start(
        store: Store,
        ids: Ids,
        clock: Clock,
        options: &config::Feed,
        tasks: &Tasks,
    ) -> Self {
        let changes = Arc::new(Changes::default());
        let noting = Arc::clone(&changes);
        store.observe(Box::new(move |events| {
            noting.note(events.iter().map(|one| &one.event));
        }));
        let bytes = 1_024 * u64::from(options.timelines_kib);
        let rankings = Rankings::new(bytes / 4);
        let homes = Cache::builder()
            .max_capacity(bytes - bytes / 4)
            .weigher(|_viewer, home: &Arc<Home>| u32::try_from(home.bytes()).unwrap_or(u32::MAX))
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let feed = Self {
            inner: Arc::new(Inner {
                store,
                ids,
                clock,
                changes,
                homes,
                rankings,
                trends: trending::Held::default(),
                visits: Waiting::default(),
                options: options.clone(),
            }),
        };
        feed.keep_visits(tasks);
        feed.keep_trends(tasks);
        feed
    }

    /// A page of somebody's home feed, newest first: their own posts, those of whom they follow, and public ones with
    /// hashtags that they follow, without what they mute.
    pub async fn home(&self, viewer: UserId, page: Page) -> Result<Slice<FeedItem>> {
        let now = self.now();
        self.with_home(viewer, now, move |tx, home| {
            let mut reading = home.reading();
            let home = RefCell::new(home);
            let ids = |below, limit| home.borrow_mut().below(tx, &mut reading, below, limit);
            let slice =
                timeline::page(tx, viewer, now, &page, ids, |post| home.borrow().has(post))?;
            let home = home.into_inner();
            Ok(slice.map(|post| FeedItem {
                reasons: home.reasons(viewer, &post),
                post,
            }))
        })
        .await
    }

    /// Calls `look` with somebody's timeline, as it is now.
    async fn with_home<T: Send + 'static>(
        &self,
        viewer: UserId,
        now: Timestamp,
        look: impl FnOnce(&ReadTx<'_>, &mut Home) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let known = self.inner.homes.get(&viewer);
        // Before the snapshot is taken, so that it has all that these changes tell of.
        let position = self.inner.changes.end();
        let inner = Arc::clone(&self.inner);
        self.inner
            .store
            .read(move |tx| {
                // Who reads twice at once has two copies, each true to what it says it knows: nobody waits for the other.
                let known = known.and_then(|known| {
                    let mut home = Home::clone(&known);
                    if home.catch_up(&inner.changes, position, now) {
                        return Some(home);
                    }
                    // Whom or what they follow is another: so is what an order was made of.
                    inner.rankings.forget(viewer);
                    None
                });
                let mut home = match known {
                    Some(home) => home,
                    None => Home::build(tx, viewer, position, now)?,
                };
                let seen = look(tx, &mut home)?;
                inner.homes.insert(viewer, Arc::new(home));
                Ok(seen)
            })
            .await
    }

    /// All public posts, newest first, without what one mutes.
    pub async fn local(&self, viewer: UserId, page: Page) -> Result<Slice<Post>> {
        let now = self.now();
        self.inner
            .store
            .read(move |tx| {
                let ids = |below, limit| sql::public(tx, below, limit);
                timeline::page(tx, viewer, now, &page, ids, |post| {
                    post.visibility == Visibility::Public
                })
            })
            .await
    }

    /// The newest posts of somebody's home feed, as many as the original kept.
    pub async fn numbered(&self, viewer: UserId) -> Result<Vec<Post>> {
        let page = Page::first(u32::try_from(MAX_NUMBERED).unwrap_or(u32::MAX));
        let items = self.home(viewer, page).await?.items;
        Ok(items.into_iter().map(|item| item.post).collect())
    }

    /// Forgets somebody's timeline; the next look makes it anew from the rows.
    pub fn forget(&self, viewer: UserId) {
        self.inner.homes.invalidate(&viewer);
        self.inner.rankings.forget(viewer);
    }

    /// Removes what a deleted account chose to read and not to.
    pub async fn erase(&self, user_id: UserId) -> Result<()> {
        let command = EraseChoices {
            user_id,
            limit: ERASE_STEP,
        };
        while self.inner.store.submit(command.clone()).await? {}
        self.forget(user_id);
        Ok(())
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }
}
