//! Room on the disk: refuses writes while there is still enough left to stop cleanly.
#![warn(missing_docs)]

use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};

/// The reserve for all that is written, unless one is configured: a share of the file system, and bytes at most.
const FOR_ALL: (u64, u64) = (16, 64 * 1024 * 1024);

/// The reserve that uploads leave, unless one is configured: they stop long before anything else has to.
const FOR_UPLOADS: (u64, u64) = (8, 512 * 1024 * 1024);

/// Watches the free space of the file system that holds a directory. Cheap: one system call a check.
#[derive(Clone, Debug)]
pub struct DiskGuard {
    dir: PathBuf,
    reserve_bytes: u64,
    default: (u64, u64),
}

impl DiskGuard {
    /// Guards the file system of `dir`. A reserve of 0 means a sixteenth of it, at most 64 MiB.
    pub fn new(dir: &Path, reserve_bytes: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            reserve_bytes,
            default: FOR_ALL,
        }
    }

    /// The same for uploads. A reserve of 0 means an eighth of it, at most 512 MiB.
    pub fn for_uploads(dir: &Path, reserve_bytes: u64) -> Self {
        Self {
            default: FOR_UPLOADS,
            ..Self::new(dir, reserve_bytes)
        }
    }

    /// `StorageFull` when less than the reserve is free. An unreadable file system is no reason to stop: the write
    /// itself will tell.
    pub fn check(&self) -> Result<()> {
        let Ok(space) = rustix::fs::statvfs(&self.dir) else {
            return Ok(());
        };
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let reserve = if self.reserve_bytes == 0 {
            let (share, at_most) = self.default;
            (space.f_blocks.saturating_mul(space.f_frsize) / share).min(at_most)
        } else {
            self.reserve_bytes
        };
        if free < reserve {
            Err(Error::new(Code::StorageFull))
        } else {
            Ok(())
        }
    }
}
