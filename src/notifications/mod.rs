//! Notifications: what people are told of what others did.
//!
//! They are derived from the event log, and live beside it; a notification's id is the sequence of its event, so it is
//! the same on every node and after a rebuild. What people did with theirs (read them, threw them away) is kept in SQLite
//! by commands, and comes back through the log.
//!
//! * `stories`: which event tells whom what;
//! * `entry`, `shelf`, `ledger`, `changes`: what is kept, for one person and for all, and how it changes;
//! * `keeper`: the event log's side;
//! * `reading`, `wording`: the person's side, in names and texts;
//! * `commands`, `sql`: marks, and the rows that can be told again.
//!
//! Who runs the consumer is not known here.

mod changes;
mod commands;
mod entry;
mod keeper;
mod ledger;
mod reading;
mod shelf;
mod sql;
mod stories;
mod wording;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use crate::clock::{Clock, Timestamp};
use crate::config;
use crate::error::{Code, Error, Kind, Result};
use crate::event::Mark;
use crate::eventlog::{Derived, EventLog, Fault};
use crate::id::{CommentId, NotificationId, PostId, ReactionId, UserId};
use crate::store::{Registry, Store};
use crate::users::Person;

use ledger::Ledger;
use reading::Item;

pub use commands::{MAX_MARKED, MarkAllNotifications, MarkNotifications};
pub use keeper::TOPICS;

/// The name of the consumer, and of the tree.
pub const NAME: &str = "notifications";

/// What a notification is about, roughly (contract, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Topic {
    /// One's own posts.
    Post,
    /// Who follows.
    Connection,
    /// Comments, likes, mentions.
    Engagement,
    /// One's own account.
    Profile,
}

/// A notification as its person sees it (contract, section 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Its id.
    pub id: NotificationId,
    /// Whose it is.
    pub user_id: UserId,
    /// The username of the person who caused it.
    #[schema(required)]
    pub username: Option<String>,
    /// The post that others were active on.
    #[schema(required)]
    pub post_id: Option<PostId>,
    /// The comment that was written or liked.
    #[schema(required)]
    pub comment_id: Option<CommentId>,
    /// The like.
    #[schema(required)]
    pub like_id: Option<ReactionId>,
    /// Who follows.
    #[schema(required)]
    pub follower_id: Option<UserId>,
    /// Who is followed.
    #[schema(required)]
    pub following_id: Option<UserId>,
    /// What it is about, roughly.
    #[serde(rename = "type")]
    pub topic: Topic,
    /// Who caused it.
    pub triggered_by_id: UserId,
    /// The text, with the name of who caused it.
    pub message: String,
    /// Where in the web client it leads.
    #[schema(required)]
    pub link: Option<String>,
    /// Whether it was read before.
    #[serde(rename = "is_read")]
    pub is_read: bool,
    /// When it happened.
    pub created_at: Timestamp,
    /// As `createdAt`.
    pub updated_at: Timestamp,
}

/// Notifications of the same kind about the same thing, as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationGroup {
    /// The id of the newest.
    pub id: NotificationId,
    /// What they are about, roughly.
    #[serde(rename = "type")]
    pub topic: Topic,
    /// The text, with one or two names.
    pub message: String,
    /// Where in the web client they lead.
    #[schema(required)]
    pub link: Option<String>,
    /// The post that they are about.
    #[schema(required)]
    pub post_id: Option<PostId>,
    /// The comment that they are about.
    #[schema(required)]
    pub comment_id: Option<CommentId>,
    /// How many people caused them.
    pub count: usize,
    /// The newest of these people, at most three.
    pub actors: Vec<Person>,
    /// Their ids, newest first.
    pub ids: Vec<NotificationId>,
    /// Whether all were read before.
    #[serde(rename = "is_read")]
    pub is_read: bool,
    /// When the newest happened.
    pub created_at: Timestamp,
}

/// What became other for one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose notifications they are.
    pub user_id: UserId,
    /// Those that they were told of, in their order, and were not before.
    pub new: Vec<NotificationId>,
}

/// Is told of each change; see [`Notifications::observe`].
pub type Observer = Box<dyn Fn(&[Change]) + Send + Sync>;

/// Which notifications are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only those not read.
    pub unread_only: bool,
    /// Only those about these; empty means all.
    pub topics: Vec<Topic>,
}

/// The handle; cheap to clone.
#[derive(Clone)]
pub struct Notifications {
    store: Store,
    derived: Derived,
    clock: Clock,
    options: config::Notifications,
    /// Held while a ledger is read, changed and written. Taken where blocking is allowed, never across an await.
    writing: Arc<Mutex<()>>,
    /// The opening of the tree after which it was found to be whole.
    checked: Arc<AtomicU64>,
    observer: Arc<OnceLock<Observer>>,
}

/// Adds the domain's commands.
pub fn register(registry: &mut Registry) {
    registry.add::<MarkNotifications>();
    registry.add::<MarkAllNotifications>();
}

impl Notifications {
    /// Notifications beside `log`.
    pub fn new(
        store: Store,
        log: &EventLog,
        clock: Clock,
        options: &config::Notifications,
    ) -> Self {
        Self {
            store,
            derived: log.derived(NAME),
            clock,
            options: options.clone(),
            writing: Arc::default(),
            checked: Arc::default(),
            observer: Arc::default(),
        }
    }

    /// Calls `observer` after each change, where blocking is allowed, with those for whom something changed. Only the first
    /// observer counts. It must be quick.
    pub fn observe(&self, observer: Observer) {
        if self.observer.set(observer).is_err() {
            error!("There is an observer of notifications already");
        }
    }

    /// Marks one as read, which it may be already.
    pub async fn mark_one_read(&self, user: UserId, id: NotificationId) -> Result<()> {
        let items = self.items(user, vec![id]).await?;
        if items.is_empty() {
            return Err(Error::new(Code::NotificationNotFound));
        }
        self.mark(user, items, Mark::Read).await.map(drop)
    }

    /// Marks all as read that there are now; how many were not.
    pub async fn mark_all_read(&self, user: UserId) -> Result<u64> {
        let unread = self.unread_count(user).await?;
        if unread > 0 {
            self.mark_all(user, Mark::Read).await?;
        }
        Ok(unread)
    }

    /// Throws one away.
    pub async fn remove(&self, user: UserId, id: NotificationId) -> Result<()> {
        let items = self.items(user, vec![id]).await?;
        if items.is_empty() {
            return Err(Error::new(Code::NotificationNotFound));
        }
        self.mark(user, items, Mark::Deleted).await.map(drop)
    }

    /// Throws all away that there are now.
    pub async fn remove_all(&self, user: UserId) -> Result<()> {
        self.mark_all(user, Mark::Deleted).await
    }

    /// The newest `limit` that are not read; they are from now on, and those left out are not (contract, section 5).
    pub async fn take_unread(&self, user: UserId, limit: u32) -> Result<Vec<Notification>> {
        let filter = Filter {
            unread_only: true,
            topics: Vec::new(),
        };
        let items = self.newest(user, filter, limit as usize).await?;
        let answer = self.describe(user, items.clone()).await?;
        match self.mark(user, items, Mark::Read).await {
            // Reading goes on without room to write; they are told once more next time.
            Err(error) if matches!(error.kind(), Kind::StorageFull | Kind::Unavailable) => {
                warn!(error = %error, "Notifications that were read could not be marked");
            }
            marked => drop(marked?),
        }
        Ok(answer)
    }

    /// Marks these, as far as it changes something; how many.
    async fn mark(&self, user: UserId, items: Vec<Item>, mark: Mark) -> Result<usize> {
        let ids: Vec<u64> = items
            .iter()
            .filter(|item| mark == Mark::Deleted || !item.is_read)
            .map(|item| item.seq)
            .collect();
        for some in ids.chunks(MAX_MARKED) {
            let command = MarkNotifications {
                user_id: user,
                ids: some.to_vec(),
                mark,
                at: self.clock.now(),
                forget_below: self.floor(user).await?,
            };
            let some = some.to_vec();
            self.store.submit(command).await?;
            self.at_once(move |ledger| {
                for id in some {
                    ledger.mark(user, id, mark)?;
                }
                Ok(())
            })
            .await;
        }
        Ok(ids.len())
    }

    async fn mark_all(&self, user: UserId, mark: Mark) -> Result<()> {
        let Some(newest) = self.newest(user, Filter::default(), 1).await?.pop() else {
            return Ok(());
        };
        let through = newest.seq;
        let command = MarkAllNotifications {
            user_id: user,
            through,
            mark,
            at: self.clock.now(),
        };
        self.store.submit(command).await?;
        self.at_once(move |ledger| Ok(ledger.mark_all(user, through, mark)?))
            .await;
        Ok(())
    }

    /// Makes a change that is committed already visible to the next read. If that fails, the log brings it soon.
    async fn at_once(
        &self,
        change: impl FnOnce(&mut Ledger<'_>) -> Result<(), Fault> + Send + 'static,
    ) {
        if let Err(error) = self.change(change).await {
            warn!(error = %error, causes = error.causes(), "A mark of notifications will only show when the log brings it");
        }
    }

    /// Changes the ledger as a whole.
    async fn change(
        &self,
        change: impl FnOnce(&mut Ledger<'_>) -> Result<(), Fault> + Send + 'static,
    ) -> Result<()> {
        let writing = Arc::clone(&self.writing);
        let keep = u64::from(self.options.keep);
        let observer = Arc::clone(&self.observer);
        self.derived
            .write(move |tree| {
                let _alone = writing.lock().unwrap_or_else(PoisonError::into_inner);
                let mut ledger = Ledger::new(tree, keep);
                change(&mut ledger)?;
                let changes = ledger.write()?;
                if let Some(observer) = observer.get() {
                    observer(&changes);
                }
                Ok(())
            })
            .await
    }
}

#[cfg(test)]
mod tests;
