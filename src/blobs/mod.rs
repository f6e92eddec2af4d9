//! Bytes in files, named by their hash: each content once, whoever brought it and however often.
//!
//! ```text
//! <media>/originals/ab/cd/abcd...   as uploaded; never served as it is
//! <media>/made/ab/cd/abcd.../       what was made of it with an effort: films, posters
//! <media>/variants/ab/cd/abcd.../   what is made again at once; may be deleted at any time
//! <media>/incoming/                 uploads under way, and what is being made
//! <media>/uploads/                  uploads that may go on after a break
//! <media>/in-a-bucket               there while contents of ours are in a bucket, so that no other is taken for it
//! ```
//!
//! The first two are kept for good, by a [backend](backend::Backend): this directory itself, or a bucket with the same
//! names in it. Then the directory is where things are worked on, and remembers what was asked for.
//!
//! Who needs which content is for the database to know: a content is [kept](Blobs::keep) before the command that says
//! so, and [removed](Blobs::remove) after the one that says that nobody does. In between, the pin of whoever keeps it
//! stands in the way of its removal, so the two cannot race.

mod backend;
mod bucket;
mod directory;
mod hash;
mod incoming;
mod moving;
mod partial;
mod pins;

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::warn;

use crate::clock::Timestamp;
use crate::config::{self, MediaStore};
use crate::disk::DiskGuard;
use crate::error::{Code, Error, Result};
use crate::random;
use crate::tasks::{Turns, blocking, blocking_in_turn};

use backend::{Backend, Key};
use bucket::Bucket;
use directory::{Directory, make_dir};
use incoming::Temporary;
use pins::Pins;

pub use backend::{Object, Opened, Part};
pub use hash::BlobHash;
pub use incoming::{Incoming, Staged};
pub use moving::Moving;
pub use partial::{Appending, Partial};
pub use pins::Pin;

/// Larger things are read where they are rather than copied here first.
const COPIED: u64 = 8 * 1024 * 1024;

/// All contents. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Blobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: Directory,
    /// As long as one is configured, also when contents are not kept there any more.
    bucket: Option<Bucket>,
    /// Where contents are kept from now on.
    store: MediaStore,
    /// Room for copies of what is in the bucket.
    cache_bytes: u64,
    guard: DiskGuard,
    pins: Pins,
    /// Each thing is fetched once, however many ask.
    fetching: Turns<Key>,
    moving: Arc<Moving>,
}

/// A directory to work in.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left of it goes at the next start.
        fs::remove_dir_all(&self.0).ok();
    }
}

impl Blobs {
    /// Opens the directory, makes it if need be, and throws away what uploads left there. A bucket is not asked for
    /// anything yet; `owner` is what it will be marked with as ours. Blocks.
    pub fn open(
        dir: &Path,
        guard: DiskGuard,
        store: MediaStore,
        s3: &config::S3,
        owner: &str,
    ) -> anyhow::Result<Self> {
        let directory = Directory::open(dir)?;
        let note = directory.root().join("in-a-bucket");
        let bucket = s3.bucket.is_some().then(|| Bucket::open(s3, owner, note));
        Ok(Self {
            inner: Arc::new(Inner {
                directory,
                bucket: bucket.transpose()?,
                store,
                cache_bytes: u64::from(s3.cache_mib) * 1024 * 1024,
                guard,
                pins: Pins::default(),
                fetching: Turns::default(),
                moving: Arc::default(),
            }),
        })
    }

    /// Refuses where there is no room for uploads.
    pub fn check_room(&self) -> Result<()> {
        self.inner.guard.check()
    }

    /// Begins to take a content in.
    ///
    /// Errors: `storage_full`.
    pub async fn receive(&self) -> Result<Incoming> {
        self.check_room()?;
        Incoming::create(self.temporary()?, self.inner.guard.clone()).await
    }

    /// Keeps a content that was taken in, and that is [pinned](Self::pin). On return it is on this disk under its name;
    /// it is safe once it is [secured](Self::secure). Blocks.
    pub fn keep(&self, staged: Staged) -> Result<()> {
        let key = Key::new(staged.hash, Part::Original);
        let directory = &self.inner.directory;
        if directory.path(&key).exists() {
            // Whoever put it there may not have come to this yet.
            directory.sync(&key).map_err(io)
        } else {
            directory.adopt(&key, staged.path()).map_err(io)
        }
    }

    /// Takes over a file that was made of a pinned content, from a [scratch](Self::scratch) directory. To be
    /// [secured](Self::secure) as well. Blocks.
    pub fn adopt(&self, hash: BlobHash, name: &str, made: &Path) -> Result<()> {
        let key = Key::new(hash, Part::Made(name.to_owned().into()));
        self.inner.directory.adopt(&key, made).map_err(io)
    }

    /// Brings what is here of a pinned content to where contents are kept for good.
    ///
    /// Errors: `media_store_unavailable`.
    pub async fn secure(&self, hash: BlobHash) -> Result<()> {
        let inner = &*self.inner;
        let (MediaStore::S3, Some(bucket)) = (inner.store, &inner.bucket) else {
            return Ok(());
        };
        bucket.belongs_to_us().await?;
        bucket.note().await?;
        let directory = inner.directory.clone();
        for part in blocking_in_turn(move || Ok(directory.parts(hash))).await? {
            if bucket.size(&part.key).await? != Some(part.size_bytes) {
                let path = inner.directory.path(&part.key);
                bucket.put(&part.key, &path).await?;
            }
        }
        Ok(())
    }

    /// Brings a part of a pinned content here; none when there is nothing.
    ///
    /// Errors: `media_store_unavailable`.
    pub async fn bring(&self, hash: BlobHash, part: Part) -> Result<Option<PathBuf>> {
        let (inner, key) = (&*self.inner, Key::new(hash, part));
        let is_brought = match &inner.bucket {
            _ if self.is_here(&key).await? => true,
            None => false,
            Some(bucket) => {
                // The place first: nobody has the turn who does not get on with it.
                let _place = bucket.place_to_fetch().await?;
                let _turn = inner.fetching.turn(&key).await;
                self.is_here(&key).await? || self.transfer(bucket, &inner.directory, &key).await?
            }
        };
        Ok(is_brought.then(|| inner.directory.path(&key)))
    }

    async fn is_here(&self, key: &Key) -> Result<bool> {
        let path = self.inner.directory.path(key);
        blocking(move || Ok(path.exists())).await
    }

    /// Opens a part of a content; none when there is nothing.
    ///
    /// Errors: `media_store_unavailable`; `overloaded` when too many read from the bucket.
    pub async fn open_part(&self, hash: BlobHash, part: Part) -> Result<Option<Opened>> {
        let key = Key::new(hash, part);
        let directory = &self.inner.directory;
        if let Some(opened) = directory.open(&key).await? {
            return Ok(Some(opened));
        }
        let Some(bucket) = &self.inner.bucket else {
            return Ok(None);
        };
        let Some(size_bytes) = bucket.known_size(&key).await? else {
            return Ok(None);
        };
        // A copy may be refused: the disk may be full, or the content be removed just now.
        if size_bytes <= COPIED
            && let Ok(_pin) = self.pin(hash)
        {
            match self.copy_here(bucket, &key).await {
                Ok(true) => return directory.open(&key).await,
                Ok(false) => {}
                Err(error) if error.code() == Code::StorageFull => {}
                Err(error) => return Err(error),
            }
        }
        bucket.open(&key).await
    }

    /// Copies something from the bucket to the disk; false when that would have to wait for others, or there is nothing.
    async fn copy_here(&self, bucket: &Bucket, key: &Key) -> Result<bool> {
        let _turn = self.inner.fetching.turn(key).await;
        if self.is_here(key).await? {
            return Ok(true);
        }
        let Some(_place) = bucket.free_place_to_fetch() else {
            return Ok(false);
        };
        self.transfer(bucket, &self.inner.directory, key).await
    }

    /// Copies something from one backend to another, and makes sure that it is what its name says; false when there is
    /// nothing.
    async fn transfer(&self, from: &dyn Backend, to: &dyn Backend, key: &Key) -> Result<bool> {
        self.check_room()?;
        let between = Temporary(self.temporary()?);
        if !from.fetch(key, &between.0).await? {
            return Ok(false);
        }
        if key.part == Part::Original {
            let path = between.0.clone();
            let hash = blocking_in_turn(move || hash_of(&path)).await?;
            if hash != key.hash {
                return Err(Error::internal(format!(
                    "{} in {} is damaged: its content is {hash}",
                    key.hash,
                    from.name()
                )));
            }
        }
        to.put(key, &between.0).await?;
        Ok(true)
    }

    /// Where a variant lies, if it was made.
    pub fn variant(&self, hash: BlobHash, name: &str) -> PathBuf {
        self.inner.directory.variants(hash).join(name)
    }

    /// Opens a variant; none when it was not made yet.
    pub async fn open_variant(&self, hash: BlobHash, name: &str) -> Result<Option<Opened>> {
        let path = self.variant(hash, name);
        let opened = blocking(move || directory::open_file(&path).map_err(io)).await?;
        // What a power cut left is made again.
        let is_whole = |opened: &Opened| !matches!(opened, Opened::File { size_bytes: 0, .. });
        Ok(opened.filter(is_whole))
    }

    /// Puts down a variant of a content, whole or not at all. Not synced: it can be made again. Blocks.
    pub fn put_variant(&self, hash: BlobHash, name: &str, bytes: &[u8]) -> Result<()> {
        self.check_room()?;
        let path = self.variant(hash, name);
        let dir = path.parent().unwrap_or(self.inner.directory.root());
        let new = self.temporary()?;
        let put = || {
            make_dir(dir)?;
            let mut file = File::create_new(&new)?;
            file.write_all(bytes)?;
            fs::rename(&new, &path)
        };
        put().map_err(|error| {
            // It may not be there.
            fs::remove_file(&new).ok();
            io(error)
        })
    }

    /// Removes the variants of a content whose names are not wanted any more. Blocks.
    pub fn remove_variants(&self, hash: BlobHash, is_wanted: impl Fn(&str) -> bool) -> Result<()> {
        remove_unwanted(
            self.inner.directory.variants_of(hash).into_iter(),
            is_wanted,
        )
    }

    /// The same among all contents in one of 256 shares.
    pub async fn remove_variants_in(&self, share: u8, is_wanted: fn(&str) -> bool) -> Result<()> {
        let directory = self.inner.directory.clone();
        blocking_in_turn(move || {
            let files = directory.replaceable(share).into_iter();
            let variants = files.filter(|file| file.key.is_none());
            remove_unwanted(variants.map(|file| file.path), is_wanted)
        })
        .await
    }

    /// A directory to work in, gone when it is dropped. Blocks.
    pub fn scratch(&self) -> Result<Scratch> {
        let path = self.temporary()?;
        make_dir(&path).map_err(io)?;
        Ok(Scratch(path))
    }

    /// Removes a content and all that was made of it, unless somebody keeps it just now, which is false. `forget` is to
    /// make sure, and to note, that nobody uses it; it says whether that is so.
    pub async fn remove(
        &self,
        hash: BlobHash,
        forget: impl Future<Output = Result<bool>>,
    ) -> Result<bool> {
        let Some(_claim) = self.inner.pins.claim(hash) else {
            return Ok(false);
        };
        if !forget.await? {
            return Ok(false);
        }
        self.inner.directory.remove(hash).await?;
        // What is another's stays; and what cannot be reached is found by the sweep of files.
        if let Some(bucket) = &self.inner.bucket
            && bucket.belongs_to_us().await.is_ok()
            && let Err(error) = bucket.remove(hash).await
        {
            warn!(error = %error, causes = error.causes(), "{hash} stays in the bucket for now");
        }
        Ok(true)
    }

    /// The contents in one of 256 shares that lie there since before then, to be compared with what the database knows.
    pub async fn from_before(&self, share: u8, then: Timestamp) -> Result<Vec<BlobHash>> {
        let then = system_time(then);
        let inner = &*self.inner;
        let mut listed = inner.directory.list(share).await?;
        if let Some(bucket) = &inner.bucket {
            bucket.belongs_to_us().await?;
            listed.extend(bucket.list(share).await?);
        }
        let directory = inner.directory.clone();
        let variants = blocking_in_turn(move || Ok(directory.replaceable(share))).await?;
        let mut hashes: Vec<BlobHash> = listed
            .into_iter()
            .filter(|listed| listed.modified < then)
            .map(|listed| listed.key.hash)
            .chain(
                variants
                    .into_iter()
                    .filter(|file| file.key.is_none() && file.used < then)
                    .map(|file| file.hash),
            )
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        Ok(hashes)
    }

    /// Keeps a content from being removed.
    ///
    /// Errors: `overloaded` while it is being removed.
    pub fn pin(&self, hash: BlobHash) -> Result<Pin> {
        self.inner.pins.pin(hash)
    }

    /// A new name among what is under way.
    fn temporary(&self) -> Result<PathBuf> {
        let incoming = self.inner.directory.root().join("incoming");
        Ok(incoming.join(random::token()?))
    }
}

fn remove_unwanted(
    files: impl Iterator<Item = PathBuf>,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<()> {
    for path in files {
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_none_or(&is_wanted) {
            continue;
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn system_time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(at.as_millis().try_into().unwrap_or(0))
}

fn hash_of(path: &Path) -> Result<BlobHash> {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update_reader(File::open(path).map_err(io)?)
        .map_err(io)?;
    Ok(BlobHash::new(*hasher.finalize().as_bytes()))
}

/// A full disk has its own answer.
fn io(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Error::new(Code::StorageFull).with_source(error)
        }
        _ => Error::internal(error),
    }
}
