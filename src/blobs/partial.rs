//! A content that arrives in several goes, and survives restarts between them.
//!
//! Each has a directory `<media>/uploads/<name>` with `data`, whose length is how far it has come, and `about`, which
//! its maker writes once and reads again.

use std::any::Any;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::directory::{make_dir, sync_dir};
use super::incoming::{HEAD, Temporary, gather};
use super::{BlobHash, Blobs, Staged, io};
use crate::disk::DiskGuard;
use crate::error::{Code, Error, Result};
use crate::tasks::blocking_in_turn;

/// Bytes that are hashed at once.
const HASHED: usize = 256 * 1024;

/// A content that is not whole yet.
#[derive(Clone, Debug)]
pub struct Partial {
    dir: PathBuf,
    guard: DiskGuard,
}

/// Bytes on their way to the end of a [`Partial`].
pub struct Appending {
    partial: Partial,
    file: Option<File>,
    gathered: BytesMut,
    turn: Arc<dyn Any + Send + Sync>,
}

impl Blobs {
    /// Begins a content under a new name. Blocks.
    ///
    /// Errors: `storage_full`.
    pub fn begin_partial(&self, name: &str, about: &[u8]) -> Result<()> {
        self.check_room()?;
        let dir = self.partial_dir(name);
        let begin = || {
            make_dir(&dir)?;
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o600);
            options.open(dir.join("data"))?.sync_all()?;
            let mut file = options.open(dir.join("about"))?;
            file.write_all(about)?;
            file.sync_all()?;
            sync_dir(&dir)
        };
        begin().map_err(|error| {
            fs::remove_dir_all(&dir).ok();
            io(error)
        })
    }

    /// A content by its name: what its maker wrote, and how many bytes there are. Blocks.
    pub fn find_partial(&self, name: &str) -> Result<Option<(Partial, Vec<u8>, u64)>> {
        let dir = self.partial_dir(name);
        let read = || -> std::io::Result<(Vec<u8>, u64)> {
            let about = fs::read(dir.join("about"))?;
            let length = fs::metadata(dir.join("data"))?.len();
            Ok((about, length))
        };
        match read() {
            Ok((about, length)) => {
                let guard = self.inner.guard.clone();
                Ok(Some((Partial { dir, guard }, about, length)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io(error)),
        }
    }

    /// Removes what is left under a name, whole or not. Blocks.
    pub fn remove_partial(&self, name: &str) -> Result<()> {
        match fs::remove_dir_all(self.partial_dir(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The names of all. Blocks.
    pub fn partials(&self) -> Vec<String> {
        fs::read_dir(self.inner.directory.root().join("uploads"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }

    fn partial_dir(&self, name: &str) -> PathBuf {
        self.inner.directory.root().join("uploads").join(name)
    }
}

impl Partial {
    /// Begins to add to it. `turn` is kept until the last write has ended, also when nobody waits for it any more.
    pub async fn append(&self, turn: Arc<dyn Any + Send + Sync>) -> Result<Appending> {
        let (partial, path) = (self.clone(), self.dir.join("data"));
        let file = blocking_in_turn(move || {
            partial.guard.check()?;
            OpenOptions::new().append(true).open(path).map_err(io)
        });
        Ok(Appending {
            partial: self.clone(),
            file: Some(file.await?),
            gathered: BytesMut::new(),
            turn,
        })
    }

    /// Takes back what was added beyond a length. Blocks.
    pub fn cut(&self, length: u64) -> Result<()> {
        let cut = || {
            let file = OpenOptions::new().write(true).open(self.dir.join("data"))?;
            file.set_len(length)?;
            file.sync_all()
        };
        cut().map_err(io)
    }

    /// It is whole: makes it a content that can be kept. It stays here as well, until it is [removed](Blobs::remove_partial).
    /// Blocks.
    pub fn finish(&self, blobs: &Blobs) -> Result<Staged> {
        let path = blobs.temporary()?;
        fs::hard_link(self.dir.join("data"), &path).map_err(io)?;
        let path = Temporary(path);
        let mut file = File::open(&path.0).map_err(io)?;
        let mut hasher = blake3::Hasher::new();
        let (mut head, mut size_bytes) = (Vec::new(), 0);
        let mut piece = vec![0; HASHED];
        loop {
            let length = file.read(&mut piece).map_err(io)?;
            let read = piece.get(..length).unwrap_or_default();
            if read.is_empty() {
                break;
            }
            hasher.update(read);
            let missing = HEAD.saturating_sub(head.len()).min(length);
            head.extend_from_slice(read.get(..missing).unwrap_or_default());
            size_bytes += length as u64;
        }
        Ok(Staged {
            hash: BlobHash::new(*hasher.finalize().as_bytes()),
            size_bytes,
            head,
            path,
        })
    }
}

impl Appending {
    /// The next bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if gather(&mut self.gathered, &mut rest) {
                self.flush(false).await?;
            }
        }
        Ok(())
    }

    /// Brings all to the disk.
    pub async fn finish(mut self) -> Result<()> {
        self.flush(true).await
    }

    async fn flush(&mut self, sync: bool) -> Result<()> {
        let piece: Bytes = self.gathered.split().freeze();
        let guard = self.partial.guard.clone();
        let turn = Arc::clone(&self.turn);
        let Some(mut file) = self.file.take() else {
            return Err(Error::new(Code::Internal).with_source("an upload goes on after it failed"));
        };
        let file = blocking_in_turn(move || {
            guard.check()?;
            file.write_all(&piece).map_err(io)?;
            if sync {
                file.sync_all().map_err(io)?;
            }
            drop(turn);
            Ok(file)
        });
        self.file = Some(file.await?);
        Ok(())
    }
}
