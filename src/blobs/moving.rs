//! What is not where contents are kept goes there, while all else goes on; and copies of it go when they take too much
//! room.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use metrics::counter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Blobs;
use super::backend::{Backend, Key};
use super::bucket::Bucket;
use super::directory::Replaceable;
use crate::config::MediaStore;
use crate::error::{Code, Result};
use crate::tasks::{Backoff, blocking_in_turn};

/// How often the room is looked at that copies take.
const TRIM_EVERY: Duration = Duration::from_mins(5);

/// How often a bucket that is not well is asked whether it is again.
const LOOK_EVERY: Duration = Duration::from_secs(5);

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
    /// Wakes who keeps the copies small: there are many more.
    copies: Notify,
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
            bucket: inner.bucket.as_ref().map(Bucket::state),
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

    /// Moves what is elsewhere to where contents are kept, keeps the copies small, and sees to it that a bucket which
    /// is well again is known to be. Ends with `stopping`.
    pub async fn tend(&self, stopping: &CancellationToken) {
        let Some(bucket) = &self.inner.bucket else {
            return;
        };
        let work = async { tokio::join!(self.move_all(bucket), self.keep_small(), watch(bucket)) };
        stopping.run_until_cancelled(work).await;
    }

    /// Also while copies come into being by the move.
    async fn keep_small(&self) {
        if self.inner.store != MediaStore::S3 {
            return;
        }
        let mut ticks = tokio::time::interval(TRIM_EVERY);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.inner.moving.copies.notified() => {}
            }
            if let Err(error) = self.trim().await {
                warn!(error = %error, causes = error.causes(), "Copies of media could not be removed; later then");
            }
        }
    }

    async fn move_all(&self, bucket: &Bucket) {
        let (inner, moving) = (&*self.inner, &*self.inner.moving);
        let (from, to): (&dyn Backend, &dyn Backend) = match inner.store {
            MediaStore::S3 => (&inner.directory, bucket),
            MediaStore::Disk => (bucket, &inner.directory),
        };
        let mut pauses = Backoff::new(PAUSES.0, PAUSES.1);
        let mut new_copies_bytes = 0;
        for share in 0..=u8::MAX {
            loop {
                match self.move_share(bucket, from, to, share).await {
                    Ok(moved_bytes) => {
                        new_copies_bytes += moved_bytes;
                        break;
                    }
                    Err(error) => warn!(
                        error = %error,
                        causes = error.causes(),
                        "Media could not be moved from {} to {}; again soon",
                        from.name(),
                        to.name()
                    ),
                }
                tokio::time::sleep(pauses.pause()).await;
            }
            pauses.reset();
            moving.shares.fetch_add(1, Ordering::Relaxed);
            if new_copies_bytes > inner.cache_bytes / 10 {
                new_copies_bytes = 0;
                moving.copies.notify_one();
            }
        }
        moving.copies.notify_one();
        let moved = moving.moved.load(Ordering::Relaxed);
        let left = moving.left.load(Ordering::Relaxed);
        if left > 0 {
            warn!(
                "{left} files of the media could not be moved, and stay in {}; the next start tries again",
                from.name()
            );
        } else if inner.store == MediaStore::Disk {
            if let Err(error) = bucket.forget().await {
                warn!(error = %error, causes = error.causes(), "The bucket is still taken for one that has media");
            }
            info!(
                "All media are on the disk ({moved} files fetched): the bucket is not needed any more"
            );
        } else if moved > 0 {
            info!("All media are in the bucket ({moved} files sent)");
        }
    }

    /// How many bytes there were to be moved.
    async fn move_share(
        &self,
        bucket: &Bucket,
        from: &dyn Backend,
        to: &dyn Backend,
        share: u8,
    ) -> Result<u64> {
        bucket.belongs_to_us().await?;
        let mut moved_bytes = 0;
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
            // Whatever has to be sent is noted first.
            if self.inner.store == MediaStore::S3 {
                bucket.note().await?;
            }
            match self.transfer(from, to, &listed.key).await {
                Ok(is_moved) => {
                    moved_bytes += listed.size_bytes;
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
        Ok(moved_bytes)
    }

    /// Removes the copies that were not used for the longest time, until they take no more than nine tenths of the room
    /// that they have. What the move has not come to yet is not looked at: it may be the only one.
    pub async fn trim(&self) -> Result<()> {
        let room = self.inner.cache_bytes;
        let mut files: Vec<(SystemTime, u64)> = Vec::new();
        for share in 0..=u8::MAX {
            let found = self.replaceable(share).await?;
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
            let found = self.replaceable(share).await?;
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

    /// The files of a share that may be had again.
    async fn replaceable(&self, share: u8) -> Result<Vec<Replaceable>> {
        let directory = self.inner.directory.clone();
        let mut found = blocking_in_turn(move || Ok(directory.replaceable(share))).await?;
        if self.inner.moving.shares.load(Ordering::Relaxed) <= u64::from(share) {
            found.retain(|file| file.key.is_none());
        }
        Ok(found)
    }

    /// Removes a file that may be had again, unless it is needed just now, or is the only one; whether it is gone.
    async fn drop_copy(&self, file: Replaceable) -> Result<bool> {
        if let Some(key) = &file.key {
            let Some(bucket) = &self.inner.bucket else {
                return Ok(false);
            };
            // Before the claim: who brings the same shall not be refused for as long as a bucket takes to answer. What is
            // removed from there in between is removed here as well.
            if bucket.size(key).await? != Some(file.size_bytes) {
                return Ok(false);
            }
        }
        let pins = self.inner.pins.clone();
        let remove = move || {
            // For this moment alone: meanwhile, who needs it is refused.
            let Some(_claim) = pins.claim(file.hash) else {
                return Ok(false);
            };
            match std::fs::remove_file(&file.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(super::io(error)),
                Ok(()) | Err(_) => Ok(true),
            }
        };
        blocking_in_turn(remove).await
    }
}

/// Asks a bucket that is not well whether it is again, where nobody else does.
async fn watch(bucket: &Bucket) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    loop {
        ticks.tick().await;
        if !bucket.is_well() {
            bucket.look_again().await;
        }
    }
}
