//! What nobody uses goes: uploads that were never attached, contents whose last use is gone, files that no row knows.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{info, warn};

use super::{ForgetBlob, Media, PruneMedia, sql};
use crate::blobs::BlobHash;
use crate::error::Result;
use crate::tasks::{self, Tasks};

/// How often.
const EVERY: Duration = Duration::from_mins(10);

/// How soon what is in doubt is looked at again.
const AGAIN: Duration = Duration::from_millis(500);

/// Rows in one go.
const STEP: u32 = 200;

/// How long a content stays after its last use, so that who still reads a page sees its pictures.
const LINGER: Duration = Duration::from_mins(10);

/// How long a file may lie there that no row knows: its upload may still be under way.
const UNKNOWN: Duration = Duration::from_hours(2);

/// Contents of which it is not sure whether a row knows them: who brought them was refused, or went away.
#[derive(Debug, Default)]
pub(super) struct Doubtful {
    hashes: Mutex<HashSet<BlobHash>>,
    news: Notify,
}

impl Doubtful {
    pub(super) fn add(&self, hash: BlobHash) {
        self.put_back(hash);
        self.news.notify_one();
    }

    fn put_back(&self, hash: BlobHash) {
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.insert(hash);
    }

    fn take(&self) -> HashSet<BlobHash> {
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut hashes)
    }

    /// Until there is something to look at; what stays in doubt is looked at again soon.
    async fn news(&self) {
        let is_empty = {
            let hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
            hashes.is_empty()
        };
        if is_empty {
            self.news.notified().await;
        } else {
            tokio::time::timeout(AGAIN, self.news.notified()).await.ok();
        }
    }
}

impl Media {
    pub(super) fn keep_clean(&self, tasks: &Tasks) {
        let (media, stopping) = (self.clone(), tasks.stopping().clone());
        tasks.spawn("media sweep", async move {
            let mut ticks = tokio::time::interval(EVERY);
            loop {
                let work = async {
                    tokio::select! {
                        _ = ticks.tick() => media.sweep().await,
                        () = media.shared.doubtful.news() => media.settle_doubts().await,
                    }
                };
                let Some(swept) = stopping.run_until_cancelled(work).await else {
                    return;
                };
                if let Err(error) = swept {
                    warn!(error = %error, causes = error.causes(), "Unused media could not be removed; later then");
                }
            }
        });
    }

    /// Removes what nobody uses, once.
    pub async fn sweep(&self) -> Result<()> {
        let shared = &self.shared;
        let now = shared.ids.now();
        let keep = Duration::from_hours(shared.options.keep_loose_hours.into());
        let prune = PruneMedia {
            before: now.minus(keep),
            at: now,
            limit: STEP,
        };
        while shared.store.submit(prune.clone()).await? >= STEP as usize {}
        let before = now.minus(LINGER);
        loop {
            let unused = shared
                .store
                .read(move |tx| sql::unused_blobs(tx, before, STEP))
                .await?;
            let mut removed = 0;
            for hash in &unused {
                removed += usize::from(self.forget(*hash).await?);
            }
            // Some may be kept just now.
            if removed < STEP as usize {
                break;
            }
        }
        self.sweep_resumables().await?;
        self.sweep_files().await
    }

    /// Removes files that no row knows, as a crash between file and row leaves them.
    async fn sweep_files(&self) -> Result<()> {
        let shared = &self.shared;
        let blobs = shared.blobs.clone();
        let then = shared.ids.now().minus(UNKNOWN);
        let mut old = tasks::blocking_in_turn(move || Ok(blobs.from_before(then))).await?;
        loop {
            let (some, rest) = tasks::blocking_in_turn(move || {
                let some: Vec<BlobHash> = old.by_ref().take(STEP as usize).collect();
                Ok((some, old))
            })
            .await?;
            if some.is_empty() {
                return Ok(());
            }
            old = rest;
            let unknown = shared.store.read(move |tx| {
                let mut unknown = Vec::new();
                for hash in some {
                    if !sql::is_known(tx, hash)? {
                        unknown.push(hash);
                    }
                }
                Ok(unknown)
            });
            for hash in unknown.await? {
                if self.forget(hash).await? {
                    info!("Removed the file {hash}, which nothing knows");
                }
            }
        }
    }

    /// Removes contents that were brought and that no row knows. What is pinned stays in doubt.
    async fn settle_doubts(&self) -> Result<()> {
        for hash in self.shared.doubtful.take() {
            let known = self.shared.store.read(move |tx| sql::is_known(tx, hash));
            if !known.await? && !self.forget(hash).await? {
                self.shared.doubtful.put_back(hash);
            }
        }
        Ok(())
    }

    /// Removes a content, unless somebody uses it or is about to; whether it is gone.
    async fn forget(&self, hash: BlobHash) -> Result<bool> {
        let (store, blobs) = (self.shared.store.clone(), self.shared.blobs.clone());
        let runtime = tokio::runtime::Handle::current();
        tasks::blocking_in_turn(move || {
            blobs.remove(hash, || runtime.block_on(store.submit(ForgetBlob { hash })))
        })
        .await
    }
}
