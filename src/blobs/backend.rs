//! Where contents are kept for good, and what lies there.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::BlobHash;
use crate::error::Result;

/// A directory, or a bucket. What it holds under a name never changes.
pub(super) trait Backend: fmt::Debug + Send + Sync {
    /// What it is, for a person.
    fn name(&self) -> &'static str;

    /// Puts a file down under a name, whole or not at all; on return it is safe there. The file may be gone afterwards.
    fn put<'a>(&'a self, key: &'a Key, file: &'a Path) -> BoxFuture<'a, Result<()>>;

    /// Puts what is under a name into a new file; false when there is nothing. Who calls it bounds how many do.
    fn fetch<'a>(&'a self, key: &'a Key, file: &'a Path) -> BoxFuture<'a, Result<bool>>;

    /// What is under a name, to be read.
    fn open<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Opened>>>;

    /// Removes a content, and what was made of it.
    fn remove(&self, hash: BlobHash) -> BoxFuture<'_, Result<()>>;

    /// What there is of the contents whose hash begins with this byte, in no order.
    fn list(&self, share: u8) -> BoxFuture<'_, Result<Vec<Listed>>>;
}

/// What there is of a content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// As it was brought.
    Original,
    /// What was made of it with an effort that is not repeated lightly; its name may have folders.
    Made(Cow<'static, str>),
}

/// The name of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) hash: BlobHash,
    pub(super) part: Part,
}

/// One thing in a backend.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) key: Key,
    pub(super) size_bytes: u64,
    pub(super) modified: SystemTime,
}

/// Bytes to be read.
#[derive(Clone, Debug)]
pub enum Opened {
    /// Here.
    File {
        /// The file.
        file: Arc<File>,
        /// Its size.
        size_bytes: u64,
    },
    /// Elsewhere.
    Object(Object),
}

/// Something that lies elsewhere and is read from there.
#[derive(Clone)]
pub struct Object {
    pub(super) size_bytes: u64,
    pub(super) source: Arc<dyn ReadRanges>,
}

/// What can be read in parts.
pub(super) trait ReadRanges: Send + Sync {
    fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes>>;
}

impl Object {
    /// Its size.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Some of its bytes, fetched as they are taken.
    pub fn read(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
        self.source.read(range)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} bytes)", self.size_bytes)
    }
}

impl Key {
    pub(super) fn new(hash: BlobHash, part: Part) -> Self {
        Self { hash, part }
    }

    /// Where it lies, below the root of any backend.
    pub(super) fn path(&self) -> String {
        let place = place(self.hash);
        match &self.part {
            Part::Original => format!("originals/{place}"),
            Part::Made(name) => format!("made/{place}/{name}"),
        }
    }

    /// The reverse of [`path`](Self::path).
    pub(super) fn parse(path: &str) -> Option<Self> {
        let (kind, rest) = path.split_once('/')?;
        let mut rest = rest.splitn(4, '/').skip(2);
        let hash = BlobHash::from_hex(rest.next()?)?;
        let part = match (kind, rest.next()) {
            ("originals", None) => Part::Original,
            ("made", Some(name)) => Part::Made(name.to_owned().into()),
            _ => return None,
        };
        let key = Self { hash, part };
        (key.path() == path).then_some(key)
    }
}

/// Two levels of folders, so that none has too many entries.
pub(super) fn place(hash: BlobHash) -> String {
    let hex = hash.to_string();
    let (first, rest) = hex.split_at_checked(2).unwrap_or_default();
    let (second, _) = rest.split_at_checked(2).unwrap_or_default();
    format!("{first}/{second}/{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_as_it_is_written() {
        let hash = BlobHash::new([0xab; 32]);
        for part in [
            Part::Original,
            Part::Made("film.mp4".into()),
            Part::Made("hls/240p/1.m4s".into()),
        ] {
            let key = Key::new(hash, part);
            assert_eq!(Key::parse(&key.path()), Some(key));
        }
        let place = place(hash);
        for wrong in [
            String::new(),
            "originals".to_owned(),
            format!("originals/{place}/x"),
            format!("originals/ab/cd/{hash}"),
            format!("made/{place}"),
            format!("other/{place}"),
        ] {
            assert_eq!(Key::parse(&wrong), None, "{wrong}");
        }
    }
}
