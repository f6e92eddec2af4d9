//! Bytes in files, named by their hash: each content once, whoever brought it and however often.
//!
//! ```text
//! <media>/originals/ab/cd/abcd...   as uploaded; never served as it is
//! <media>/variants/ab/cd/abcd.../   what is served, made from the original; may be deleted at any time
//! <media>/incoming/                 uploads under way, and what is being made
//! <media>/uploads/                  uploads that may go on after a break
//! ```
//!
//! Who needs which content is for the database to know: a content is [kept](Blobs::keep) before the command that says
//! so, and [removed](Blobs::remove) after the one that says that nobody does. In between, the pin of whoever keeps it
//! stands in the way of its removal, so the two cannot race.

mod incoming;
mod partial;

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;
use crate::disk::DiskGuard;
use crate::error::{Code, Error, Result};
use crate::random;

pub use incoming::{Incoming, Staged};
pub use partial::{Appending, Partial};

/// The BLAKE3 hash of a content: its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlobHash([u8; 32]);

/// All contents. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Blobs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    guard: DiskGuard,
    /// How many keep each content just now; none while it is being removed.
    pins: Mutex<HashMap<BlobHash, Option<usize>>>,
}

/// Keeps a content from being removed, until the database says that it is used.
#[derive(Debug)]
pub struct Pin {
    inner: Arc<Inner>,
    hash: BlobHash,
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

/// The right to remove a content, while nobody keeps it.
struct Claim<'a> {
    inner: &'a Inner,
    hash: BlobHash,
}

impl Blobs {
    /// Opens the directory, makes it if need be, and throws away what uploads left there. Blocks.
    pub fn open(dir: &Path, guard: DiskGuard) -> std::io::Result<Self> {
        let incoming = dir.join("incoming");
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        for part in [
            incoming,
            dir.join("originals"),
            dir.join("variants"),
            dir.join("uploads"),
        ] {
            make_dir(&part)?;
        }
        Ok(Self {
            inner: Arc::new(Inner {
                dir: dir.to_owned(),
                guard,
                pins: Mutex::default(),
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
        let path = self.inner.dir.join("incoming").join(random::token()?);
        Incoming::create(path, self.inner.guard.clone()).await
    }

    /// Keeps a content that was taken in, and that is [pinned](Self::pin). On return it is on the disk under its name.
    /// Blocks.
    pub fn keep(&self, staged: Staged) -> Result<()> {
        let path = self.original(staged.hash);
        if !path.exists() {
            let dir = path.parent().unwrap_or(&self.inner.dir);
            let is_new = !dir.exists();
            make_dir(dir).map_err(io)?;
            staged.move_to(&path).map_err(io)?;
            sync_dir(dir).map_err(io)?;
            if is_new {
                // The directories above know of it only then.
                for above in dir.ancestors().skip(1).take(2) {
                    sync_dir(above).map_err(io)?;
                }
            }
        }
        Ok(())
    }

    /// Where the content lies.
    pub fn original(&self, hash: BlobHash) -> PathBuf {
        self.place("originals", hash)
    }

    /// Where what was made of it lies.
    pub fn variant(&self, hash: BlobHash, name: &str) -> PathBuf {
        self.place("variants", hash).join(name)
    }

    /// Puts down something that was made of a content, whole or not at all. Not synced: it can be made again. Blocks.
    pub fn put_variant(&self, hash: BlobHash, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.variant(hash, name);
        let dir = path.parent().unwrap_or(&self.inner.dir);
        let new = self.inner.dir.join("incoming").join(random::token()?);
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

    /// Takes over a file that was made of a content, from a [scratch](Self::scratch) directory. Blocks.
    pub fn adopt_variant(&self, hash: BlobHash, name: &str, made: &Path) -> Result<()> {
        let path = self.variant(hash, name);
        let dir = path.parent().unwrap_or(&self.inner.dir);
        let adopt = || {
            make_dir(dir)?;
            File::open(made)?.sync_all()?;
            fs::rename(made, &path)?;
            sync_dir(dir)
        };
        adopt().map_err(io)
    }

    /// A directory to work in, gone when it is dropped. Blocks.
    pub fn scratch(&self) -> Result<Scratch> {
        let path = self.inner.dir.join("incoming").join(random::token()?);
        make_dir(&path).map_err(io)?;
        Ok(Scratch(path))
    }

    /// Removes a content and all that was made of it, unless somebody keeps it just now, which is false. `forget` is to
    /// make sure, and to note, that nobody uses it; it says whether that is so. Blocks.
    pub fn remove(&self, hash: BlobHash, forget: impl FnOnce() -> Result<bool>) -> Result<bool> {
        let Some(_claim) = self.claim(hash) else {
            return Ok(false);
        };
        if !forget()? {
            return Ok(false);
        }
        // The original last: a crash between leaves something to be found by.
        for result in [
            fs::remove_dir_all(self.place("variants", hash)),
            fs::remove_file(self.original(hash)),
        ] {
            match result {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(true)
    }

    /// The contents that lie there since before then, in no order, to be compared with what the database knows. Blocks.
    pub fn from_before(&self, then: Timestamp) -> impl Iterator<Item = BlobHash> + use<> {
        let then = UNIX_EPOCH + Duration::from_millis(then.as_millis().try_into().unwrap_or(0));
        let below = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten();
        below(self.inner.dir.join("originals"))
            .chain(below(self.inner.dir.join("variants")))
            .flat_map(move |first| below(first.path()))
            .flat_map(move |second| below(second.path()))
            .filter(move |file| {
                let modified = file.metadata().and_then(|data| data.modified());
                modified.is_ok_and(|modified| modified < then)
            })
            .filter_map(|file| BlobHash::from_hex(file.file_name().to_str()?))
    }

    /// Keeps a content from being removed.
    ///
    /// Errors: `overloaded` while it is being removed.
    pub fn pin(&self, hash: BlobHash) -> Result<Pin> {
        let mut pins = lock(&self.inner.pins);
        let count = pins.entry(hash).or_insert(Some(0));
        let Some(count) = count else {
            return Err(Error::new(Code::Overloaded));
        };
        *count += 1;
        Ok(Pin {
            inner: Arc::clone(&self.inner),
            hash,
        })
    }

    fn claim(&self, hash: BlobHash) -> Option<Claim<'_>> {
        let mut pins = lock(&self.inner.pins);
        if pins.contains_key(&hash) {
            return None;
        }
        pins.insert(hash, None);
        Some(Claim {
            inner: &self.inner,
            hash,
        })
    }

    /// Two levels, so that no directory has too many entries.
    fn place(&self, kind: &str, hash: BlobHash) -> PathBuf {
        let hex = hash.to_string();
        let (first, rest) = hex.split_at_checked(2).unwrap_or_default();
        let (second, _) = rest.split_at_checked(2).unwrap_or_default();
        let mut path = self.inner.dir.join(kind);
        path.extend([first, second, &hex]);
        path
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = lock(&self.inner.pins);
        if let Some(Some(count)) = pins.get_mut(&self.hash) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.hash);
            }
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        lock(&self.inner.pins).remove(&self.hash);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn make_dir(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn sync_dir(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
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

impl BlobHash {
    /// From the hash itself.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text)
            .ok()
            .map(|hash| Self(*hash.as_bytes()))
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for BlobHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlobHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| serde::de::Error::custom("not a hash"))
    }
}

impl ToSql for BlobHash {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.as_slice()))
    }
}

impl FromSql for BlobHash {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value
            .as_blob()?
            .try_into()
            .map(Self)
            .map_err(|_length| FromSqlError::InvalidType)
    }
}
