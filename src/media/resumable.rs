//! Uploads that go on after a break: what tus 1.0 needs, without its headers.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use tracing::warn;

use super::{Claim, Description, Media, MediaItem, Upload, sql};
use crate::actor::Actor;
use crate::blobs::{Blobs, Partial};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Kind, Result};
use crate::id::UserId;
use crate::random;
use crate::tasks::blocking;

/// Unfinished uploads of one person at most.
const MAX_OPEN: usize = 20;

/// How long an upload may take in all.
const KEPT: Duration = Duration::from_hours(24);

/// How long one is kept of which nothing has come: it holds room that others could use.
const EMPTY_KEPT: Duration = Duration::from_hours(1);

/// What is remembered of an upload.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct About {
    owner: UserId,
    length: u64,
    #[serde(flatten)]
    claim: Claim,
    description: Description,
    metadata: Option<String>,
    expires_at: Timestamp,
}

/// What is open, so that room can be promised without reading what every upload is about.
pub(super) struct Open(Mutex<HashMap<String, Promise>>);

/// The room that an open upload was promised.
#[derive(Clone, Copy, Debug)]
struct Promise {
    owner: UserId,
    length: u64,
    expires_at: Timestamp,
}

impl Open {
    /// Looks through the disk, before anything is open here. Blocks.
    pub(super) fn read(blobs: &Blobs) -> Result<Self> {
        let mut found = HashMap::new();
        for name in blobs.partials() {
            if let Some((_, bytes, offset)) = blobs.find_partial(&name)?
                && let Some(about) = read(&bytes)
            {
                found.insert(name, about.promise(offset));
            }
        }
        Ok(Self(Mutex::new(found)))
    }

    fn promises(&self) -> MutexGuard<'_, HashMap<String, Promise>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many of one person's are open at a time, and what room they have and all have.
    fn promised(&self, owner: UserId, now: Timestamp) -> (usize, u64, u64) {
        let (mut count, mut own, mut all) = (0, 0, 0);
        let promises = self.promises();
        for promise in promises.values().filter(|promise| promise.expires_at > now) {
            all += promise.length;
            if promise.owner == owner {
                count += 1;
                own += promise.length;
            }
        }
        (count, own, all)
    }

    fn note(&self, name: &str, promise: Promise) {
        self.promises().insert(name.to_owned(), promise);
    }

    fn forget(&self, name: &str) {
        self.promises().remove(name);
    }
}

/// An upload to begin.
#[derive(Clone, Debug)]
pub struct ResumableDraft {
    pub length: u64,
    pub claim: Claim,
    pub description: Description,
    /// What the client wants to be told again.
    pub metadata: Option<String>,
}

/// How far an upload is.
#[derive(Clone, Debug)]
pub struct Resumable {
    pub name: String,
    pub offset: u64,
    pub length: u64,
    pub metadata: Option<String>,
    pub expires_at: Timestamp,
}

impl About {
    fn at(&self, name: &str, offset: u64) -> Resumable {
        Resumable {
            name: name.to_owned(),
            offset,
            length: self.length,
            metadata: self.metadata.clone(),
            expires_at: self.expires_at(offset),
        }
    }

    /// When one that has come so far is over.
    fn expires_at(&self, offset: u64) -> Timestamp {
        if offset > 0 {
            self.expires_at
        } else {
            self.expires_at.minus(KEPT).plus(EMPTY_KEPT)
        }
    }

    fn promise(&self, offset: u64) -> Promise {
        Promise {
            owner: self.owner,
            length: self.length,
            expires_at: self.expires_at(offset),
        }
    }
}

/// The uploads to which somebody adds just now.
#[derive(Clone, Default)]
pub(super) struct Busy(Arc<Mutex<HashSet<String>>>);

/// The right to add to one upload, while nobody else does.
struct Turn {
    busy: Busy,
    name: String,
    /// What came with a checksum counts once that was compared; until then, how far to go back.
    unverified: Mutex<Option<(Partial, u64)>>,
}

impl Busy {
    fn begin(&self, name: &str) -> Option<Turn> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.insert(name.to_owned()).then(|| Turn {
            busy: self.clone(),
            name: name.to_owned(),
            unverified: Mutex::default(),
        })
    }
}

impl Busy {
    fn end(&self, name: &str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.remove(name);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let unverified = self
            .unverified
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let (busy, name) = (self.busy.clone(), std::mem::take(&mut self.name));
        let Some((partial, length)) = unverified.take() else {
            busy.end(&name);
            return;
        };
        // Whoever sent it has gone away. Nobody else adds to it before that is done.
        let cut = move || {
            if let Err(error) = partial.cut(length) {
                warn!(error = %error, causes = error.causes(), "A piece of an upload that was not verified stays");
            }
            busy.end(&name);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(cut)),
            Err(_outside) => cut(),
        }
    }
}

impl Media {
    /// The largest upload, in bytes.
    pub fn max_upload_bytes(&self) -> u64 {
        let options = &self.shared.options;
        options.max_picture_bytes.max(options.max_video_bytes)
    }

    /// Begins an upload.
    ///
    /// Errors: `file_too_large`, `too_many_uploads`, `storage_full`.
    pub async fn begin(&self, actor: &Actor, draft: ResumableDraft) -> Result<Resumable> {
        if draft.length == 0 {
            return Err(Error::new(Code::EmptyFile));
        }
        if draft.length > self.max_upload_bytes() {
            return Err(Error::new(Code::FileTooLarge));
        }
        let about = About {
            owner: actor.user_id,
            length: draft.length,
            claim: draft.claim,
            description: draft.description,
            metadata: draft.metadata,
            expires_at: self.shared.ids.now().plus(KEPT),
        };
        let name = random::token()?;
        let blobs = self.shared.blobs.clone();
        let resumable = about.at(&name, 0);
        let _one_by_one = self.shared.beginning.lock().await;
        let owner = actor.user_id;
        let taken = self
            .shared
            .store
            .read(move |tx| Ok((sql::usage_bytes(tx, owner)?, sql::total_bytes(tx)?)));
        let (usage, total) = taken.await?;
        let quota = self.quota_bytes();
        let cap = Some(self.shared.options.cap_bytes).filter(|bytes| *bytes > 0);
        // What is promised to others counts as well.
        let (count, own, all) = self.shared.open.promised(owner, self.shared.ids.now());
        if count >= MAX_OPEN {
            return Err(Error::new(Code::TooManyUploads));
        }
        if quota.is_some_and(|quota| usage + own + about.length > quota) {
            return Err(Error::new(Code::QuotaExceeded));
        }
        if cap.is_some_and(|cap| total + all + about.length > cap) {
            return Err(Error::new(Code::StorageFull));
        }
        let open = Arc::clone(&self.shared.open);
        blocking(move || {
            let bytes = serde_json::to_vec(&about).map_err(Error::internal)?;
            blobs.begin_partial(&name, &bytes)?;
            open.note(&name, about.promise(0));
            Ok(())
        })
        .await?;
        Ok(resumable)
    }

    /// Removes what there is of an upload.
    async fn remove_resumable(&self, name: &str) -> Result<()> {
        let (blobs, name) = (self.shared.blobs.clone(), name.to_owned());
        let open = Arc::clone(&self.shared.open);
        blocking(move || {
            blobs.remove_partial(&name)?;
            open.forget(&name);
            Ok(())
        })
        .await
    }

    /// One of one's own that is not over. One that is whole, and was not taken in because something came between, is
    /// taken in now: clients believe that it was.
    pub async fn resumable(
        &self,
        actor: &Actor,
        name: &str,
    ) -> Result<(Resumable, Option<MediaItem>)> {
        let (partial, about, offset) = self.find_resumable(actor, name).await?;
        let resumable = about.at(name, offset);
        let is_whole = offset == about.length;
        let turn = self.shared.busy.begin(name).filter(|_| is_whole);
        let item = match turn {
            Some(_turn) => Some(self.complete(actor, name, partial, &about).await?),
            None => None,
        };
        Ok((resumable, item))
    }

    async fn find_resumable(&self, actor: &Actor, name: &str) -> Result<(Partial, About, u64)> {
        // A name is one of those that were given, and no path.
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if name.len() != 43 || !name.bytes().all(is_plain) {
            return Err(Error::new(Code::UploadNotFound));
        }
        let (blobs, name) = (self.shared.blobs.clone(), name.to_owned());
        let found = blocking(move || blobs.find_partial(&name)).await?;
        let (partial, bytes, offset) = found.ok_or(Code::UploadNotFound)?;
        let about = read(&bytes)
            .filter(|about| about.owner == actor.user_id)
            .filter(|about| about.expires_at(offset) > self.shared.ids.now())
            .ok_or(Code::UploadNotFound)?;
        Ok((partial, about, offset))
    }

    /// Adds to an upload, from an offset that has to be its present end; when that makes it whole, it becomes one of
    /// one's own uploads. What arrived before a break stays, unless it came with a checksum: that is of the whole.
    ///
    /// Errors: `upload_conflict`, `upload_busy`, `checksum_mismatch`, and those of [`add`](Self::add).
    pub async fn append(
        &self,
        actor: &Actor,
        name: &str,
        offset: u64,
        checksum: Option<[u8; 20]>,
        pieces: impl Stream<Item = Result<Bytes>> + Send,
    ) -> Result<(Resumable, Option<MediaItem>)> {
        let turn = Arc::new(self.shared.busy.begin(name).ok_or(Code::UploadBusy)?);
        let (partial, about, present) = self.find_resumable(actor, name).await?;
        if offset != present {
            return Err(Error::new(Code::UploadConflict));
        }
        // Here already, since whoever sends it may go away at any moment.
        self.shared.open.note(name, about.promise(present.max(1)));
        let unverified = || {
            turn.unverified
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if checksum.is_some() {
            *unverified() = Some((partial.clone(), present));
        }
        let mut appending = partial.append(Arc::<Turn>::clone(&turn)).await?;
        let (mut end, mut hasher) = (present, Sha1::new());
        let mut pieces = pin!(pieces);
        let broken = loop {
            match pieces.next().await {
                None => break None,
                Some(Err(error)) => break Some(error),
                Some(Ok(piece)) => {
                    end += piece.len() as u64;
                    if end > about.length {
                        break Some(Error::new(Code::FileTooLarge));
                    }
                    if checksum.is_some() {
                        hasher.update(&piece);
                    }
                    appending.write(&piece).await?;
                }
            }
        };
        appending.finish().await?;
        let is_right = checksum.is_none_or(|sum| sum[..] == hasher.finalize()[..]);
        let counts = checksum.is_none() || (is_right && broken.is_none());
        if !counts || end > about.length {
            let partial = partial.clone();
            blocking(move || partial.cut(present)).await?;
        }
        *unverified() = None;
        match broken {
            Some(error) => return Err(error),
            None if !is_right => return Err(Error::new(Code::ChecksumMismatch)),
            None => {}
        }
        let resumable = about.at(name, end);
        if end < about.length {
            return Ok((resumable, None));
        }
        let item = self.complete(actor, name, partial, &about).await?;
        Ok((resumable, Some(item)))
    }

    /// What is whole is taken in like any upload. Then it is not open any more; nor when it is refused for good.
    async fn complete(
        &self,
        actor: &Actor,
        name: &str,
        partial: Partial,
        about: &About,
    ) -> Result<MediaItem> {
        let blobs = self.shared.blobs.clone();
        let staged = blocking(move || partial.finish(&blobs)).await?;
        let added = async {
            let upload: Upload = self.recognised(staged, &about.claim)?;
            self.add(actor, upload.described(about.description.clone()))
                .await
        }
        .await;
        let may_try_again = added.as_ref().is_err_and(|error| {
            matches!(
                error.kind(),
                Kind::Unavailable | Kind::StorageFull | Kind::Internal
            )
        });
        if !may_try_again {
            self.remove_resumable(name).await?;
        }
        added
    }

    /// Gives an upload up.
    pub async fn abandon(&self, actor: &Actor, name: &str) -> Result<()> {
        let _turn = self.shared.busy.begin(name).ok_or(Code::UploadBusy)?;
        self.find_resumable(actor, name).await?;
        self.remove_resumable(name).await
    }

    /// Removes uploads whose time is over.
    pub(super) async fn sweep_resumables(&self) -> Result<()> {
        let (blobs, now) = (self.shared.blobs.clone(), self.shared.ids.now());
        let (busy, open) = (self.shared.busy.clone(), Arc::clone(&self.shared.open));
        crate::tasks::blocking_in_turn(move || {
            for name in blobs.partials() {
                let Some(_turn) = busy.begin(&name) else {
                    continue;
                };
                let expires_at = blobs
                    .find_partial(&name)?
                    .and_then(|(_, bytes, offset)| Some(read(&bytes)?.expires_at(offset)));
                if expires_at.is_none_or(|expires_at| expires_at <= now) {
                    blobs.remove_partial(&name)?;
                    open.forget(&name);
                }
            }
            Ok(())
        })
        .await
    }
}

fn read(about: &[u8]) -> Option<About> {
    serde_json::from_slice(about).ok()
}
