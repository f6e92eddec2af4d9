//! Room on the disk: refuses writes while there is still enough left to stop cleanly.
#![warn(missing_docs)]

use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};

/// The reserve at most, unless one is configured.
const MAX_DEFAULT_RESERVE: u64 = 64 * 1024 * 1024;

/// Watches the free space of the file system that holds a directory. Cheap: one system call a check.
#[derive(Clone, Debug)]
pub struct DiskGuard {
    dir: PathBuf,
    reserve_bytes: u64,
}

impl DiskGuard {
    /// Guards the file system of `dir`. A reserve of 0 means a sixteenth of it, at most 64 MiB.
    pub fn new(dir: &Path, reserve_bytes: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            reserve_bytes,
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
            (space.f_blocks.saturating_mul(space.f_frsize) / 16).min(MAX_DEFAULT_RESERVE)
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
