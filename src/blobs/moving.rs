//! What is not where contents are kept goes there, while all else goes on; and copies of it go when they take too much
//! room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use metrics::counter;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Blobs;
use super::backend::{Backend, Key};
use crate::config::MediaStore;
use crate::error::{Code, Result};
use crate::tasks::{Backoff, blocking_in_turn};

/// How often the room is looked at that copies take.
const TRIM_EVERY: Duration = Duration::from_mins(5);

/// The pauses between attempts at moving.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// All contents are in one of so many shares.
const SHARES: u64 = 256;

/// How far the move is.
#[derive(Debug, Default)]
pub struct Moving {
    /// Shares that were looked through.
    shares: AtomicU64,
    moved: AtomicU64,
    /// What could not be moved, and stays where it is.
    left: AtomicU64,
}

/// What is said of the store in the health report.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// `disk` or `s3`.
    store: MediaStore,
    /// What else is looked into for what is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    bucket: Option<&'static str>,
    /// How far the contents are that were elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    moving: Option<String>,
}

impl Blobs {
    /// What is said of it in the health report.
    pub fn report(&self) -> Report {
        let (inner, moving) = (&*self.inner, &*self.inner.moving);
        let moved = moving.moved.load(Ordering::Relaxed);
        Report {
            store: inner.store,
            bucket: inner.bucket.as_ref().map(|bucket| {
                if bucket.is_well() {
                    "answers"
                } else {
                    "does not answer"
                }
            }),
            moving: inner.bucket.as_ref().map(|_| {
                let shares = moving.shares.load(Ordering::Relaxed);
                let left = moving.left.load(Ordering::Relaxed);
                if shares < SHARES {
                    format!("{} % looked through, {moved} moved", shares * 100 / SHARES)
                } else if left > 0 {
                    format!("{left} could not be moved, {moved} moved")
                } else {
                    format!("all are there, {moved} moved")
                }
            }),
        }
    }

    /// Moves what is elsewhere to where contents are kept, and then keeps the copies small. Ends with `stopping`.
    pub async fn tend(&self, stopping: &CancellationToken) {
        if self.inner.bucket.is_none() {
            return;
        }
        let work = async {
            self.move_all().await;
            if self.inner.store == MediaStore::S3 {
                let mut ticks = tokio::time::interval(TRIM_EVERY);
                loop {
                    ticks.tick().await;
                    if let Err(error) = self.trim().await {
                        warn!(error = %error, causes = error.causes(), "Copies of media could not be removed; later then");
                    }
                }
            }
        };
        stopping.run_until_cancelled(work).await;
    }

    async fn move_all(&self) {
        let (inner, moving) = (&*self.inner, &*self.inner.moving);
        let Some(bucket) = &inner.bucket else { return };
        let (from, to): (&dyn Backend, &dyn Backend) = match inner.store {
            MediaStore::S3 => (&inner.directory, bucket),
            MediaStore::Disk => (bucket, &inner.directory),
        };
        let mut pauses = Backoff::new(PAUSES.0, PAUSES.1);
        for share in 0..=u8::MAX {
            while let Err(error) = self.move_share(from, to, share).await {
                warn!(
                    error = %error,
                    causes = error.causes(),
                    "Media could not be moved from {} to {}; again soon",
                    from.name(),
                    to.name()
                );
                tokio::time::sleep(pauses.pause()).await;
            }
            pauses.reset();
            moving.shares.fetch_add(1, Ordering::Relaxed);
        }
        let moved = moving.moved.load(Ordering::Relaxed);
        let left = moving.left.load(Ordering::Relaxed);
        if left > 0 {
            warn!(
                "{left} files of the media could not be moved, and stay in {}; the next start tries again",
                from.name()
            );
        } else if inner.store == MediaStore::Disk {
            info!(
                "All media are on the disk ({moved} files fetched): the bucket is not needed any more"
            );
        } else if moved > 0 {
            info!("All media are in the bucket ({moved} files sent)");
        }
    }

    async fn move_share(&self, from: &dyn Backend, to: &dyn Backend, share: u8) -> Result<()> {
        if let Some(bucket) = &self.inner.bucket {
            bucket.belongs_to_us().await?;
        }
        let there = to.list(share).await?.into_iter();
        let there: HashMap<Key, u64> = there
            .map(|listed| (listed.key, listed.size_bytes))
            .collect();
        for listed in from.list(share).await? {
            if there.get(&listed.key) == Some(&listed.size_bytes) {
                continue;
            }
            // What is being removed just now need not be moved.
            let Ok(_pin) = self.pin(listed.key.hash) else {
                self.inner.moving.left.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            match self.transfer(from, to, &listed.key).await {
                Ok(is_moved) => {
                    self.inner
                        .moving
                        .moved
                        .fetch_add(is_moved.into(), Ordering::Relaxed);
                    counter!("socialhub_media_moved_total").increment(is_moved.into());
                }
                // One that is damaged does not keep the others where they are.
                Err(error) if error.code() == Code::Internal => {
                    self.inner.moving.left.fetch_add(1, Ordering::Relaxed);
                    warn!(error = %error, causes = error.causes(), "A file of the media could not be moved");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes the copies that were not used for the longest time, until they take no more than nine tenths of the room
    /// that they have.
    pub async fn trim(&self) -> Result<()> {
        let room = self.inner.cache_bytes;
        let mut files: Vec<(SystemTime, u64)> = Vec::new();
        for share in 0..=u8::MAX {
            let directory = self.inner.directory.clone();
            let found = blocking_in_turn(move || Ok(directory.replaceable(share))).await?;
            files.extend(found.iter().map(|file| (file.used, file.size_bytes)));
        }
        let total: u64 = files.iter().map(|(_, bytes)| bytes).sum();
        if total <= room {
            return Ok(());
        }
        let mut excess = total - room / 10 * 9;
        files.sort_unstable();
        let mut sum = 0;
        let Some((last, _)) = files.iter().find(|(_, bytes)| {
            sum += bytes;
            sum >= excess
        }) else {
            return Ok(());
        };
        let last = *last;
        drop(files);
        for share in 0..=u8::MAX {
            let directory = self.inner.directory.clone();
            let found = blocking_in_turn(move || Ok(directory.replaceable(share))).await?;
            for file in found.into_iter().filter(|file| file.used <= last) {
                if excess == 0 {
                    return Ok(());
                }
                let size = file.size_bytes;
                if self.drop_copy(file).await? {
                    excess = excess.saturating_sub(size);
                    counter!("socialhub_media_copies_dropped_total").increment(1);
                }
            }
        }
        Ok(())
    }

    /// Removes a file that may be had again, unless it is needed just now, or is the only one.
    async fn drop_copy(&self, file: super::directory::Replaceable) -> Result<bool> {
        let Some(_claim) = self.inner.pins.claim(file.hash) else {
            return Ok(false);
        };
        if let Some(key) = &file.key {
            let Some(bucket) = &self.inner.bucket else {
                return Ok(false);
            };
            if bucket.size(key).await? != Some(file.size_bytes) {
                return Ok(false);
            }
        }
        blocking_in_turn(move || std::fs::remove_file(&file.path).map_err(super::io)).await?;
        Ok(true)
    }
}
