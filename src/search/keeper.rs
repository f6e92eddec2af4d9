//! The event log's side: what keeps the index up to date.
//!
//! Events and messages only say which things may have changed; what is indexed is what the rows have at that moment. So
//! doing it twice, or out of order, comes to the same, and an index can be filled from the rows while events go on.
//!
//! Messages come in no event: there are too many of them. Each has the number of its latest touch (written, edited,
//! removed), which counts up over all messages, and the index knows up to which it has come.
//!
//! The index is written on a thread of its own, which goes last where the machine is busy.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};
use tracing::{info, warn};

use super::index::{Advance, Change, Entry};
use super::schema::{Doc, Kind};
use super::shelf::Shelf;
use super::sql;
use super::stale::Position;
use super::{Inner, Search};
use crate::error::{Code, Result};
use crate::event::{Event, Topic};
use crate::eventlog::Batch;
use crate::tasks::Backoff;

/// The topics that tell of what is indexed.
pub const TOPICS: &[Topic] = &[Topic::Post, Topic::User, Topic::Account];

/// Rows read and written in one go.
const PAGE: u32 = 500;
/// From one commit to the next while an index is being filled.
const FILLING: Duration = Duration::from_secs(2);

/// Which things the events of a batch concern.
#[derive(Default)]
struct Touched {
    people: BTreeSet<i64>,
    new_posts: BTreeSet<i64>,
    changed_posts: BTreeSet<i64>,
    comments: BTreeSet<i64>,
    /// No longer kept.
    messages: BTreeSet<i64>,
}

impl Touched {
    fn take(&mut self, event: &Event) {
        match event {
            Event::PostCreated { post_id, .. } => {
                self.new_posts.insert(post_id.get());
            }
            Event::PostUpdated { post_id, .. } | Event::PostDeleted { post_id, .. } => {
                self.changed_posts.insert(post_id.get());
            }
            Event::CommentCreated { comment_id, .. }
            | Event::CommentUpdated { comment_id, .. }
            | Event::CommentDeleted { comment_id, .. } => {
                self.comments.insert(comment_id.get());
            }
            Event::UserCreated { user_id, .. }
            | Event::UserUpdated { user_id }
            | Event::UserStatusChanged { user_id, .. } => {
                self.people.insert(user_id.get());
            }
            Event::MessagesExpired { message_ids, .. } => {
                self.messages.extend(message_ids.iter().map(|id| id.get()));
            }
            _ => {}
        }
    }
}

impl Search {
    /// The sequence up to which every event is written to the index; `None` when an index has to be made.
    pub async fn position(&self) -> Result<Option<u64>> {
        let newest = self.inner.store.read(sql::newest).await?;
        let (position, is_new) = self
            .on_shelf(move |shelf| {
                let is_new = shelf.open_once(newest);
                Ok((shelf.position(), is_new))
            })
            .await?;
        if is_new {
            self.doubt_files();
        }
        Ok(position.map(|position| position.log))
    }

    /// Begins a new index. It is filled from the rows in the background, and takes part in what happens meanwhile, as does
    /// the one that is searched, unless the log no longer tells what that lacks. What was being filled is given up.
    pub async fn rebuild(&self, through: u64) -> Result<()> {
        let _turn = self.inner.turn.lock().await;
        // Whatever was committed until now, the rows say.
        let newest = self.inner.store.read(sql::newest).await?;
        let number = self
            .on_shelf(move |shelf| shelf.begin(newest, through))
            .await?;
        gauge!("socialhub_search_rebuilding").set(1.0);
        let stopping = self.inner.tasks.stopping().child_token();
        let before = std::mem::replace(
            &mut *self
                .inner
                .filling
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
            stopping.clone(),
        );
        before.cancel();
        let search = self.clone();
        self.inner.tasks.spawn("search-filling", async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = search.fill(number, newest) => {}
            }
        });
        Ok(())
    }

    /// Writes what the records concern, and moves the position. It is searched soon after.
    pub async fn apply(&self, batch: Batch) -> Result<()> {
        let _turn = self.inner.turn.lock().await;
        let mut touched = Touched::default();
        for record in &batch.records {
            touched.take(&record.event()?);
        }
        self.write_posts(touched.new_posts, touched.changed_posts)
            .await?;
        for (kind, ids) in [
            (Kind::Comment, touched.comments),
            (Kind::Person, touched.people),
            (Kind::Message, touched.messages),
        ] {
            for some in chunks(ids) {
                let docs = self.read_docs(kind, some.clone()).await?;
                self.write(move || puts_and_removals(kind, &some, &docs))
                    .await?;
            }
        }
        let advance = Advance::Log {
            after: batch.after,
            through: batch.through,
        };
        self.on_shelf(move |shelf| shelf.write(Vec::new(), advance))
            .await?;
        self.inner.committing.notify_one();
        Ok(())
    }

    /// New and changed posts; and of those that changed the comments, where they may be indexed for others than may see
    /// the post now.
    async fn write_posts(&self, new: BTreeSet<i64>, changed: BTreeSet<i64>) -> Result<()> {
        let all = new.union(&changed).copied().collect();
        for some in chunks(all) {
            let docs = self.read_docs(Kind::Post, some.clone()).await?;
            let known = changed.clone();
            let shifted = self
                .on_shelf(move |shelf| {
                    let seen_by = |doc: &Doc| doc.post.map_or(0, |(.., visibility)| visibility);
                    let shifted: Vec<i64> = docs
                        .iter()
                        .filter(|doc| known.contains(&doc.id))
                        .filter(|doc| shelf.has_otherwise(doc.id, seen_by(doc)))
                        .map(|doc| doc.id)
                        .collect();
                    let changes = puts_and_removals(Kind::Post, &some, &docs);
                    shelf.write(changes, Advance::No)?;
                    Ok(shifted)
                })
                .await?;
            for post in shifted {
                self.write_comments_of(post).await?;
            }
        }
        Ok(())
    }

    async fn write_comments_of(&self, post: i64) -> Result<()> {
        let mut after = 0;
        loop {
            let docs = self
                .inner
                .store
                .read(move |tx| sql::comments_of(tx, post, after, PAGE))
                .await?;
            let Some(last) = docs.last() else {
                return Ok(());
            };
            after = last.id;
            self.write(move || docs.iter().map(put).collect()).await?;
        }
    }

    async fn read_docs(&self, kind: Kind, ids: Vec<i64>) -> Result<Vec<Doc>> {
        self.inner
            .store
            .read(move |tx| sql::of_ids(tx, kind, &ids))
            .await
    }

    /// Writes what `make` makes, which may be much work.
    pub(super) async fn write(
        &self,
        make: impl FnOnce() -> Vec<Change> + Send + 'static,
    ) -> Result<()> {
        self.on_shelf(move |shelf| shelf.write(make(), Advance::No))
            .await
    }

    /// Does something to the indexes, on their thread.
    pub(super) async fn on_shelf<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shelf) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        self.inner.writing.run(move || work(&inner.shelf)).await
    }

    /// Writes the messages that were touched, whenever there are some, until the process stops.
    pub(super) async fn follow_messages(self) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        loop {
            match self.write_messages().await {
                Ok(true) => backoff.reset(),
                Ok(false) => {
                    backoff.reset();
                    self.inner.spoken.notified().await;
                }
                Err(error) => {
                    if error.code() != Code::Repairing {
                        warn!(error = %error, causes = error.causes(), "Messages cannot be indexed at present; it will be tried again");
                    }
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
        }
    }

    /// Writes the next messages; whether there were some.
    async fn write_messages(&self) -> Result<bool> {
        let _turn = self.inner.turn.lock().await;
        let newest = self.inner.store.read(sql::newest).await?;
        let position = self.on_shelf(|shelf| Ok(shelf.position())).await?;
        let after = position.ok_or(Code::Repairing)?.messages;
        let rows = self
            .inner
            .store
            .read(move |tx| sql::touched(tx, after, PAGE))
            .await?;
        // Messages that are no more may have had the last touches.
        let (last, has_some) = match rows.last() {
            Some((touched, ..)) => (*touched, true),
            None => (newest.messages.max(after), false),
        };
        if last == after {
            return Ok(false);
        }
        let advance = Advance::Messages {
            after,
            through: last,
        };
        self.on_shelf(move |shelf| {
            let changes = rows.iter().map(|(_, id, doc)| match doc {
                Some(doc) => put(doc),
                None => Change::Remove(Kind::Message, *id),
            });
            shelf.write(changes.collect(), advance)
        })
        .await?;
        self.inner.committing.notify_one();
        Ok(has_some)
    }

    /// Commits what is written, soon after the first of it and then from time to time, until the process stops.
    pub(super) async fn commit_now_and_then(self) {
        let pause = Duration::from_millis(u64::from(self.inner.options.commit_ms));
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            self.inner.committing.notified().await;
            let outcome = {
                // Not between the parts of a batch: going back to the last commit would lose some of them.
                let _turn = self.inner.turn.lock().await;
                self.on_shelf(Shelf::commit).await
            };
            match outcome {
                Ok(has_committed) => {
                    if has_committed {
                        counter!("socialhub_search_commits_total").increment(1);
                    }
                    backoff.reset();
                    tokio::time::sleep(pause).await;
                }
                Err(error) => {
                    warn!(error = %error, causes = error.causes(), "The search index cannot be committed at present; it will be tried again");
                    // What is not written comes again from the log.
                    self.inner.stirred.notify_one();
                    self.inner.committing.notify_one();
                    tokio::time::sleep(backoff.pause()).await;
                }
            }
            self.measure();
        }
    }

    /// Says how large it is.
    #[expect(clippy::cast_precision_loss, reason = "gauges")]
    fn measure(&self) {
        if let Some(view) = self.inner.shelf.view() {
            gauge!("socialhub_search_documents").set(view.searcher.num_docs() as f64);
            gauge!("socialhub_search_segments").set(view.searcher.segment_readers().len() as f64);
        }
    }

    /// Fills a new index from the rows; when something fails, another one is begun.
    async fn fill(&self, number: u64, start: Position) {
        info!(
            "The search index is made from the database, up to event {}",
            start.log
        );
        if let Err(error) = self.fill_all(number).await {
            warn!(error = %error, causes = error.causes(), "The search index could not be made; it will be tried again");
            tokio::time::sleep(FILLING).await;
            let given_up = self.on_shelf(move |shelf| {
                shelf.give_up(number);
                Ok(())
            });
            if let Err(error) = given_up.await {
                warn!(error = %error, "The search index could not be given up");
            }
            self.inner.stirred.notify_one();
        }
    }

    async fn fill_all(&self, number: u64) -> Result<()> {
        let mut commit_at = tokio::time::Instant::now() + FILLING / 8;
        for kind in Kind::ALL {
            let mut after = 0;
            loop {
                let turn = self.inner.turn.lock().await;
                let docs = self
                    .inner
                    .store
                    .read(move |tx| sql::after(tx, kind, after, PAGE))
                    .await?;
                let Some(last) = docs.last() else { break };
                after = last.id;
                self.on_shelf(move |shelf| {
                    shelf.fill(number, docs.iter().map(Entry::from).collect())
                })
                .await?;
                drop(turn);
                if tokio::time::Instant::now() >= commit_at {
                    self.inner.committing.notify_one();
                    commit_at = tokio::time::Instant::now() + FILLING;
                }
            }
        }
        let _turn = self.inner.turn.lock().await;
        let newest = self.inner.store.read(sql::newest).await?;
        self.on_shelf(move |shelf| shelf.finish(number, newest))
            .await?;
        gauge!("socialhub_search_rebuilding").set(0.0);
        self.measure();
        Ok(())
    }

    /// Has another index made, unless one is: instead of the one there is at once, if that one is damaged, otherwise when it
    /// is complete.
    pub(super) async fn discard(&self, is_damaged: bool) -> Result<()> {
        self.on_shelf(move |shelf| {
            shelf.discard(is_damaged);
            Ok(())
        })
        .await?;
        self.inner.stirred.notify_one();
        Ok(())
    }

    /// Waits until the [position](Self::position) may be another one, though nothing happened.
    pub async fn stirred(&self) {
        self.inner.stirred.notified().await;
    }
}

impl Inner {
    /// Called by the store's writer with each commit.
    pub(super) fn observe(&self, events: &[crate::store::Committed]) {
        self.stale.take(events);
        let is_message =
            |one: &crate::store::Committed| matches!(one.event, Event::MessageTouched { .. });
        if events.iter().any(is_message) {
            self.spoken.notify_one();
        }
    }
}

fn put(doc: &Doc) -> Change {
    Change::Put(Box::new(Entry::from(doc)))
}

/// The things that are there are put, the others removed.
fn puts_and_removals(kind: Kind, ids: &[i64], docs: &[Doc]) -> Vec<Change> {
    let found: BTreeSet<i64> = docs.iter().map(|doc| doc.id).collect();
    let gone = ids.iter().filter(|id| !found.contains(id));
    let removals = gone.map(|id| match kind {
        Kind::Post => Change::RemovePost(*id),
        Kind::Person | Kind::Comment | Kind::Message => Change::Remove(kind, *id),
    });
    removals.chain(docs.iter().map(put)).collect()
}

fn chunks(ids: BTreeSet<i64>) -> Vec<Vec<i64>> {
    let ids: Vec<i64> = ids.into_iter().collect();
    ids.chunks(PAGE as usize).map(<[i64]>::to_vec).collect()
}
