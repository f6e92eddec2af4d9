//! What nobody uses goes: uploads that were never attached, contents whose last use is gone, files that no row knows.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::{info, warn};

use super::{ForgetBlob, Media, PruneMedia, sql, variants};
use crate::blobs::BlobHash;
use crate::error::Result;
use crate::tasks::Tasks;

/// How often rows are looked through, and how often files, of which there are many more to look at.
const EVERY: Duration = Duration::from_mins(10);
const FILES_EVERY: Duration = Duration::from_hours(24);

/// How soon what is in doubt is looked at again.
const AGAIN: Duration = Duration::from_millis(500);

/// The pause after a failure, so that a bucket that is away is not asked, and told of, without end.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

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
            let mut file_ticks = tokio::time::interval(FILES_EVERY);
            loop {
                let work = async {
                    tokio::select! {
                        _ = ticks.tick() => media.sweep_rows().await,
                        _ = file_ticks.tick() => media.sweep_files().await,
                        () = media.shared.doubtful.news() => media.settle_doubts().await,
                    }
                };
                let Some(swept) = stopping.run_until_cancelled(work).await else {
                    return;
                };
                if let Err(error) = swept {
                    warn!(error = %error, causes = error.causes(), "Unused media could not be removed; later then");
                    stopping
                        .run_until_cancelled(tokio::time::sleep(AFTER_FAILURE))
                        .await;
                }
            }
        });
    }

    /// Removes what nobody uses, once.
    pub async fn sweep(&self) -> Result<()> {
        self.sweep_rows().await?;
        self.sweep_files().await
    }

    async fn sweep_rows(&self) -> Result<()> {
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
        self.sweep_resumables().await
    }

    /// Removes files that no row knows, as a crash between file and row leaves them, and variants as an earlier release made
    /// them.
    async fn sweep_files(&self) -> Result<()> {
        let shared = &self.shared;
        let then = shared.ids.now().minus(UNKNOWN);
        for share in 0..=u8::MAX {
            let blobs = &shared.blobs;
            blobs
                .remove_variants_in(share, variants::is_current)
                .await?;
            let old = shared.blobs.from_before(share, then).await?;
            for some in old.chunks(STEP as usize) {
                let some = some.to_vec();
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
        Ok(())
    }

    /// Removes contents that were brought and that no row knows. What is pinned stays in doubt.
    async fn settle_doubts(&self) -> Result<()> {
        let mut failed = Ok(());
        for hash in self.shared.doubtful.take() {
            match self.settle(hash).await {
                Ok(true) => {}
                Ok(false) => self.shared.doubtful.put_back(hash),
                Err(error) => {
                    self.shared.doubtful.put_back(hash);
                    failed = Err(error);
                }
            }
        }
        failed
    }

    /// Whether there is no doubt any more.
    async fn settle(&self, hash: BlobHash) -> Result<bool> {
        let known = self.shared.store.read(move |tx| sql::is_known(tx, hash));
        Ok(known.await? || self.forget(hash).await?)
    }

    /// Removes a content, unless somebody uses it or is about to; whether it is gone.
    async fn forget(&self, hash: BlobHash) -> Result<bool> {
        let forget = self.shared.store.submit(ForgetBlob { hash });
        self.shared.blobs.remove(hash, forget).await
    }
}
