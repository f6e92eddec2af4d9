//! Whose a bucket is, and whether it is still the one that it was: told by an object in it, the mark.
//!
//! Nothing is done in a bucket that has another's mark. And one that lacks ours, after it had it, is not believed when it
//! says that something is not there: it was emptied, or is another one than was meant.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use tracing::{info, warn};

use super::super::directory::sync_dir;
use super::super::io;
use super::{Bucket, unavailable};
use crate::error::{Error, Result};
use crate::tasks::blocking_in_turn;

/// The name of the mark.
const OWNER: &str = "socialhub-owner";

/// How long a mark that is ours need not be looked at again before something is put into the bucket.
const BELIEVED: Duration = Duration::from_secs(5);

/// What is known of the mark.
pub(super) struct Known {
    /// What it says where it is ours.
    owner: String,
    /// A file that is there while contents of ours are in a bucket. Then only one with our mark can be it.
    note: PathBuf,
    is_noted: AtomicBool,
    /// When the last look at it began, and what was seen; nothing where the bucket did not answer.
    last: tokio::sync::Mutex<Option<(Instant, Option<Mark>)>>,
    is_wrong: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Ours,
    Others,
    Missing,
}

impl Known {
    /// Nothing but whether there is a note. Blocks.
    pub(super) fn new(owner: &str, note: PathBuf) -> Self {
        Self {
            owner: owner.to_owned(),
            is_noted: AtomicBool::new(note.exists()),
            note,
            last: tokio::sync::Mutex::default(),
            is_wrong: AtomicBool::new(false),
        }
    }

    /// Whether the mark was seen to be missing, or another's.
    pub(super) fn is_wrong(&self) -> bool {
        self.is_wrong.load(Ordering::Relaxed)
    }

    fn is_noted(&self) -> bool {
        self.is_noted.load(Ordering::Relaxed)
    }
}

impl Bucket {
    /// Makes sure that nobody else keeps their contents under the same names: what one of two does not know, it would
    /// remove, and it might be all that the other has. A bucket without a mark becomes ours, unless we have another.
    ///
    /// Errors: `media_store_unavailable`, also where the mark is another's, or gone.
    pub(in super::super) async fn belongs_to_us(&self) -> Result<()> {
        let since = Instant::now().checked_sub(BELIEVED);
        let mut mark = self.mark(since).await?;
        if mark == Mark::Missing && !self.inner.mark.is_noted() {
            self.put_mark().await?;
            mark = self.mark(None).await?;
        }
        match mark {
            Mark::Ours => Ok(()),
            Mark::Others => Err(others()),
            Mark::Missing => Err(lost()),
        }
    }

    /// Makes sure, when something is said not to be in the bucket, that the bucket is the one where it should be.
    ///
    /// Errors: `media_store_unavailable`.
    pub(super) async fn is_itself(&self) -> Result<()> {
        match self.mark(None).await? {
            Mark::Others => Err(others()),
            Mark::Missing if self.inner.mark.is_noted() => Err(lost()),
            Mark::Ours | Mark::Missing => Ok(()),
        }
    }

    /// Remembers, beyond the life of this process, that contents of ours are in the bucket.
    pub(in super::super) async fn note(&self) -> Result<()> {
        let known = &self.inner.mark;
        if known.is_noted() {
            return Ok(());
        }
        let path = known.note.clone();
        let write = move || {
            File::create(&path)?.sync_all()?;
            path.parent().map_or(Ok(()), sync_dir)
        };
        blocking_in_turn(move || write().map_err(io)).await?;
        known.is_noted.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Forgets it: nothing of ours is in the bucket that is not elsewhere as well.
    pub(in super::super) async fn forget(&self) -> Result<()> {
        let path = self.inner.mark.note.clone();
        let remove = move || match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(io(error)),
            Ok(()) | Err(_) => Ok(()),
        };
        blocking_in_turn(remove).await?;
        self.inner.mark.is_noted.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Whose mark the bucket has, as it was since then, where it was ours; else as it is now. Many who ask at once share
    /// one look.
    async fn mark(&self, since: Option<Instant>) -> Result<Mark> {
        let asked = Instant::now();
        let mut last = self.inner.mark.last.lock().await;
        match *last {
            Some((at, Some(Mark::Ours))) if at >= since.unwrap_or(asked) => return Ok(Mark::Ours),
            Some((at, mark)) if at >= asked => {
                return mark.ok_or_else(|| unavailable("the bucket did not answer just now"));
            }
            _ => {}
        }
        let began = Instant::now();
        let looked = self.look().await;
        let seen = looked.as_ref().ok().copied();
        *last = Some((began, seen));
        if let Some(mark) = seen {
            let known = &self.inner.mark;
            let is_wrong = match mark {
                Mark::Ours => false,
                Mark::Others => true,
                Mark::Missing => known.is_noted(),
            };
            if known.is_wrong.swap(is_wrong, Ordering::Relaxed) != is_wrong {
                if is_wrong {
                    warn!(
                        "The bucket of the media lacks our mark, {OWNER}: it is another, or was emptied"
                    );
                } else {
                    info!("The bucket of the media has our mark again");
                }
            }
        }
        looked
    }

    async fn look(&self) -> Result<Mark> {
        let path = self.path(OWNER);
        let get = async { self.inner.store.get(&path).await?.bytes().await };
        let found = self.ask("get", 0, get).await?;
        Ok(match found {
            Some(mark) if mark == self.inner.mark.owner.as_bytes() => Mark::Ours,
            Some(_other) => Mark::Others,
            None => Mark::Missing,
        })
    }

    async fn put_mark(&self) -> Result<()> {
        let path = self.path(OWNER);
        let mark = Bytes::from(self.inner.mark.owner.clone());
        let put = async {
            let put = self
                .inner
                .store
                .put_opts(&path, mark.into(), PutMode::Create.into());
            match put.await {
                // Where another was quicker, theirs is read next.
                Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
                put => put.map(|_result| ()),
            }
        };
        self.demand("put", 0, put).await
    }
}

fn others() -> Error {
    unavailable(format!(
        "the bucket is marked, in {OWNER}, as that of another server"
    ))
}

fn lost() -> Error {
    unavailable(format!(
        "the bucket lacks the mark of this server, {OWNER}: it is another bucket or prefix, or it was emptied"
    ))
}
