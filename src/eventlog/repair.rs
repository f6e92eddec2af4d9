//! Opening the database, and setting aside a directory that cannot be trusted.

use std::error::Error as _;
use std::fs;
use std::io;
use std::path::Path;

use metrics::counter;
use tracing::warn;

use super::Inner;
use super::access::Trust;
use super::database::Database;
use crate::error::{Code, Error, Result};

/// The name that a directory has when it was set aside; the moment follows.
const DAMAGED: &str = "events.damaged-";
/// Openings that fail before a directory is set aside for which sled names no damage.
pub(super) const MAX_ATTEMPTS: u32 = 5;
/// Entries read in one piece when everything is read.
pub(super) const PIECE: usize = 4_096;

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("sled cannot open it")]
    Sled(#[from] sled::Error),
    #[error("sled panicked over it")]
    Panicked,
    #[error("no thread to open it with")]
    Thread(#[from] io::Error),
}

impl OpenError {
    /// Whether trying again is of no use.
    fn is_damage(&self) -> bool {
        match self {
            Self::Sled(sled::Error::Io(error)) => matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
            ),
            Self::Sled(_) | Self::Panicked => true,
            Self::Thread(_) => false,
        }
    }
}

impl Inner {
    /// Opens the database; a directory that is damaged, or that fails at every `attempt` (they count from 1), is set
    /// aside and made anew. Blocks.
    pub(super) fn open(&self, attempt: u32) -> Result<()> {
        let trust = self.access.trust();
        if let Trust::Damaged(reason) = &trust {
            self.set_aside(reason)?;
        }
        let opened = self.try_open(trust == Trust::Doubtful).or_else(|failure| {
            // Without room nothing can be said of the directory, and nothing can be made anew.
            self.guard.check()?;
            let reason = describe(&failure);
            if !failure.is_damage() && attempt < MAX_ATTEMPTS {
                return Err(Error::new(Code::Repairing).with_source(failure));
            }
            self.set_aside(&reason)?;
            self.try_open(false)
                .map_err(|failure| Error::new(Code::Repairing).with_source(failure))
        })?;
        self.access.install(opened);
        Ok(())
    }

    /// Renames the directory out of the way. The one set aside before it is removed: one is enough to look into.
    pub(super) fn set_aside(&self, reason: &str) -> Result<()> {
        self.access.close();
        self.reach.send_replace(None);
        let dir = self.access.dir();
        let place = dir.with_file_name(format!("{DAMAGED}{}", self.clock.now().as_millis()));
        let moved = remove_set_aside(dir).and_then(|()| match fs::rename(dir, &place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved,
        });
        moved.map_err(|error| Error::new(Code::Repairing).with_source(error))?;
        self.access.renew();
        counter!("socialhub_log_set_aside_total").increment(1);
        warn!(
            log.reason = reason,
            log.path = %place.display(),
            "The event log cannot be trusted ({reason}): set it aside as {} and will rebuild it from the database",
            place.display()
        );
        Ok(())
    }

    fn try_open(&self, is_doubtful: bool) -> Result<Database, OpenError> {
        let dir = self.access.dir().to_owned();
        let cache_bytes = u64::from(self.options.cache_mib) * 1024 * 1024;
        // A thread of its own: whatever sled panics over, the panic ends there.
        std::thread::Builder::new()
            .name("eventlog-open".to_owned())
            .spawn(move || open(&dir, cache_bytes, is_doubtful))?
            .join()
            .map_err(|_panic| OpenError::Panicked)?
    }
}

fn open(dir: &Path, cache_bytes: u64, is_doubtful: bool) -> Result<Database, OpenError> {
    let db = sled::Config::new()
        .path(dir)
        .cache_capacity(cache_bytes)
        // Flushed by the relay, which must know when.
        .flush_every_ms(None)
        .open()?;
    let database = Database::new(db)?;
    database.sample()?;
    if is_doubtful {
        for name in database.tree_names() {
            let mut from = Vec::new();
            while let Some(next) = database.read_through(&name, &from, PIECE)? {
                from = next;
            }
        }
    }
    Ok(database)
}

fn remove_set_aside(dir: &Path) -> io::Result<()> {
    let Some(parent) = dir.parent() else {
        return Ok(());
    };
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(DAMAGED) {
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// The failure and its causes in one line.
fn describe(failure: &OpenError) -> String {
    match failure.source() {
        Some(cause) => format!("{failure}: {cause}"),
        None => failure.to_string(),
    }
}
