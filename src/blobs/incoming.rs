//! A content on its way in: hashed as it comes, written piece by piece, gone without trace when it does not end.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};

use super::{BlobHash, io};
use crate::disk::DiskGuard;
use crate::error::Result;
use crate::tasks::blocking_in_turn;

/// Bytes that are gathered before they are written: each write goes to another thread.
const PIECE: usize = 128 * 1024;

/// Bytes between two looks at the room on the disk.
const LOOK_EVERY: u64 = 8 * 1024 * 1024;

/// The beginning of a content, by which its kind is known.
pub(super) const HEAD: usize = 8 * 1024;

/// A content that is being taken in.
#[derive(Debug)]
pub struct Incoming {
    gathered: BytesMut,
    /// With the thread that writes, while it does.
    sink: Option<Sink>,
    size_bytes: u64,
}

#[derive(Debug)]
struct Sink {
    file: File,
    path: Temporary,
    hasher: Box<blake3::Hasher>,
    head: Vec<u8>,
    guard: DiskGuard,
    written: u64,
}

/// A file that is removed when nobody wants it any more.
#[derive(Debug)]
pub(super) struct Temporary(pub(super) PathBuf);

/// A content that is whole and on the disk, under no name yet.
#[derive(Debug)]
pub struct Staged {
    /// Its name to be.
    pub hash: BlobHash,
    /// Its size.
    pub size_bytes: u64,
    /// Its beginning.
    pub head: Vec<u8>,
    pub(super) path: Temporary,
}

impl Incoming {
    pub(super) async fn create(path: PathBuf, guard: DiskGuard) -> Result<Self> {
        let sink = blocking_in_turn(move || {
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .map_err(io)?;
            Ok(Sink {
                file,
                path: Temporary(path),
                hasher: Box::default(),
                head: Vec::new(),
                guard,
                written: 0,
            })
        });
        Ok(Self {
            gathered: BytesMut::new(),
            sink: Some(sink.await?),
            size_bytes: 0,
        })
    }

    /// Bytes so far.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The next bytes.
    ///
    /// Errors: `storage_full`.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.size_bytes += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            if gather(&mut self.gathered, &mut rest) {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// The beginning so far, once there is enough of it or all.
    pub fn head(&self) -> &[u8] {
        match &self.sink {
            Some(sink) if !sink.head.is_empty() => &sink.head,
            _ => &self.gathered,
        }
    }

    /// All is there: brings it to the disk.
    pub async fn finish(mut self) -> Result<Staged> {
        self.flush().await?;
        let Some(sink) = self.sink else {
            return Err(lost());
        };
        let size_bytes = self.size_bytes;
        blocking_in_turn(move || {
            sink.file.sync_all().map_err(io)?;
            Ok(Staged {
                hash: BlobHash::new(*sink.hasher.finalize().as_bytes()),
                size_bytes,
                head: sink.head,
                path: sink.path,
            })
        })
        .await
    }

    async fn flush(&mut self) -> Result<()> {
        let piece = self.gathered.split().freeze();
        let Some(mut sink) = self.sink.take() else {
            return Err(lost());
        };
        let sink = blocking_in_turn(move || {
            sink.write(&piece)?;
            Ok(sink)
        });
        self.sink = Some(sink.await?);
        Ok(())
    }
}

/// Takes as much of the rest as makes a piece with what is there; whether it is one now.
pub(super) fn gather(gathered: &mut BytesMut, rest: &mut &[u8]) -> bool {
    if gathered.is_empty() {
        // By itself it would grow to twice a piece.
        gathered.reserve(PIECE);
    }
    let room = PIECE.saturating_sub(gathered.len());
    let (part, later) = rest.split_at(room.min(rest.len()));
    gathered.extend_from_slice(part);
    *rest = later;
    gathered.len() >= PIECE
}

/// An earlier write failed, and with it the whole.
fn lost() -> crate::error::Error {
    crate::error::Error::internal("an upload goes on after it failed")
}

impl Sink {
    fn write(&mut self, piece: &Bytes) -> Result<()> {
        if self.written / LOOK_EVERY != (self.written + piece.len() as u64) / LOOK_EVERY {
            self.guard.check()?;
        }
        let missing = HEAD.saturating_sub(self.head.len()).min(piece.len());
        self.head
            .extend_from_slice(piece.get(..missing).unwrap_or_default());
        self.hasher.update(piece);
        self.written += piece.len() as u64;
        self.file.write_all(piece).map_err(io)
    }
}

impl Staged {
    /// Where it lies meanwhile.
    pub fn path(&self) -> &Path {
        &self.path.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        // It may have been moved to its place.
        let remove = move || drop(fs::remove_file(path));
        // To remove a large file takes a while.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_outside) => remove(),
        }
    }
}
