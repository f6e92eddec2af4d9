//! What nobody uses goes: uploads that were never attached, contents whose last use is gone, files that no row knows.

use std::time::Duration;

use tracing::{info, warn};

use super::{ForgetBlob, Media, PruneMedia, Received, sql};
use crate::blobs::BlobHash;
use crate::error::Result;
use crate::tasks::{self, Tasks};

/// How often.
const EVERY: Duration = Duration::from_mins(10);

/// Rows in one go.
const STEP: u32 = 200;

/// How long a content stays after its last use, so that who still reads a page sees its pictures.
const LINGER: Duration = Duration::from_mins(10);

/// How long a file may lie there that no row knows: its upload may still be under way.
const UNKNOWN: Duration = Duration::from_hours(2);

impl Media {
    pub(super) fn keep_clean(&self, tasks: &Tasks) {
        let (media, stopping) = (self.clone(), tasks.stopping().clone());
        tasks.spawn("media sweep", async move {
            let mut ticks = tokio::time::interval(EVERY);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = stopping.cancelled() => return,
                }
                let swept = tokio::select! {
                    swept = media.sweep() => swept,
                    () = stopping.cancelled() => return,
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

    /// Gives up contents that were taken in for something that was then refused.
    pub async fn discard(&self, received: Vec<Received>) {
        let hashes: Vec<BlobHash> = received.iter().map(|one| one.hash).collect();
        drop(received);
        for hash in hashes {
            // The sweep finds what is left.
            if let Err(error) = self.forget(hash).await {
                warn!(error = %error, causes = error.causes(), "A file that is not used could not be removed");
            }
        }
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
