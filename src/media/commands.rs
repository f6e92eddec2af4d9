//! What changes uploads. Those that change what holds them (a post, a profile) are others' commands, which call
//! [`attach`], [`publish`] and [`release`].

use serde::{Deserialize, Serialize};

use super::{Conversion, Facts, Focus, Holder, Kind, MAX_PER_POST, MediaItem, Room, sql};
use crate::blobs::BlobHash;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::id::{MediaId, UserId};
use crate::store::{Command, WriteTx};

/// An upload whose content is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewMedia {
    pub id: MediaId,
    pub owner_id: UserId,
    pub hash: BlobHash,
    pub size_bytes: u64,
    pub facts: Facts,
    pub alt: Option<String>,
    pub focus: Focus,
    pub is_sensitive: bool,
    /// Whether it is to be made into what browsers play.
    pub needs_conversion: bool,
    /// How much room there is; here, because configurations differ.
    pub room: Room,
    pub at: Timestamp,
}

/// Notes an upload; nothing holds it yet.
///
/// Errors: `user_not_found`, `quota_exceeded`, `storage_full`.
pub fn insert(tx: &WriteTx<'_>, new: &NewMedia) -> Result<()> {
    if !sql::is_active(tx, new.owner_id)? {
        return Err(Error::new(Code::UserNotFound));
    }
    let usage = sql::usage_bytes(tx, new.owner_id)?.saturating_add(new.size_bytes);
    if new.room.quota_bytes.is_some_and(|quota| usage > quota) {
        return Err(Error::new(Code::QuotaExceeded));
    }
    let size_bytes = i64::try_from(new.size_bytes).map_err(Error::internal)?;
    if sql::use_blob(tx, new)? {
        let total = sql::total_bytes(tx)?.saturating_add(new.size_bytes);
        if new.room.cap_bytes.is_some_and(|cap| total > cap) {
            return Err(Error::new(Code::StorageFull)
                .with_message("The server has no room for more pictures and videos."));
        }
        sql::add_total(tx, size_bytes)?;
    }
    sql::add_usage(tx, new.owner_id, size_bytes)?;
    sql::insert(tx, new)?;
    changed(tx, new.id);
    Ok(())
}

/// Gives a holder these uploads, in this order, after those that it has. They have to be its author's own, and free.
///
/// Errors: `media_not_found`, `too_many_files`, `unsupported_file`.
pub fn attach(
    tx: &WriteTx<'_>,
    owner: UserId,
    ids: &[MediaId],
    holder: Holder,
    is_public: bool,
) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let before = sql::held_by(tx, holder)?.len();
    if before + ids.len() > MAX_PER_POST {
        return Err(Error::new(Code::TooManyFiles));
    }
    for (position, id) in (before..).zip(ids) {
        let found = sql::find_stub(tx, *id)?
            .filter(|stub| stub.owner_id == owner && stub.holder == Holder::Nobody)
            .ok_or(Code::MediaNotFound)?;
        let fits = match holder {
            Holder::Avatar(_) | Holder::Banner(_) | Holder::Room(_) => found.kind == Kind::Image,
            Holder::Story(_) => found.kind != Kind::Audio,
            _ => true,
        };
        if !fits {
            return Err(Error::new(Code::UnsupportedFile));
        }
        sql::put_holder(tx, *id, holder, position, is_public)?;
        changed(tx, *id);
    }
    Ok(())
}

/// Sets whether everybody may see what a holder has.
pub fn publish(tx: &WriteTx<'_>, holder: Holder, is_public: bool) -> Result<()> {
    for stub in sql::held_by(tx, holder)? {
        sql::set_public(tx, stub.id, is_public)?;
        changed(tx, stub.id);
    }
    Ok(())
}

/// Sets from when on nobody gets what a holder has; none for never.
pub fn set_end(tx: &WriteTx<'_>, holder: Holder, ends_at: Option<Timestamp>) -> Result<()> {
    for stub in sql::held_by(tx, holder)? {
        sql::set_end(tx, stub.id, ends_at)?;
        changed(tx, stub.id);
    }
    Ok(())
}

/// Removes all that a holder has.
pub fn release(tx: &WriteTx<'_>, holder: Holder, at: Timestamp) -> Result<()> {
    for stub in sql::held_by(tx, holder)? {
        remove(tx, &stub, at)?;
    }
    Ok(())
}

fn remove(tx: &WriteTx<'_>, stub: &sql::Stub, at: Timestamp) -> Result<()> {
    sql::delete(tx, stub.id)?;
    sql::disuse_blob(tx, stub.hash, at)?;
    sql::add_usage(tx, stub.owner_id, -stub.size_bytes)?;
    changed(tx, stub.id);
    Ok(())
}

/// Who remembers what a file is has to look again.
fn changed(tx: &WriteTx<'_>, media_id: MediaId) {
    tx.signal(Event::MediaChanged { media_id });
}

/// Notes an upload that is to be attached later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AddMedia(pub NewMedia);

impl Command for AddMedia {
    const NAME: &'static str = "media.add";
    type Output = MediaItem;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<MediaItem> {
        insert(tx, &self.0)?;
        sql::find_own(tx, self.0.owner_id, self.0.id)?.ok_or(Code::MediaNotFound.into())
    }
}

/// Changes what is said of an upload; what is absent stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UpdateMedia {
    pub id: MediaId,
    pub owner_id: UserId,
    pub alt: Option<Option<String>>,
    pub focus: Option<Focus>,
    pub is_sensitive: Option<bool>,
}

impl Command for UpdateMedia {
    const NAME: &'static str = "media.update";
    type Output = MediaItem;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<MediaItem> {
        let before = sql::find_own(tx, self.owner_id, self.id)?.ok_or(Code::MediaNotFound)?;
        let alt = self.alt.clone().unwrap_or(before.alt);
        sql::set_description(
            tx,
            self.id,
            alt.as_deref(),
            self.focus.unwrap_or(before.focus),
            self.is_sensitive.unwrap_or(before.is_sensitive),
        )?;
        changed(tx, self.id);
        sql::find_own(tx, self.owner_id, self.id)?.ok_or(Code::MediaNotFound.into())
    }
}

/// Removes an upload that nothing holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoveMedia {
    pub id: MediaId,
    pub owner_id: UserId,
    pub at: Timestamp,
}

impl Command for RemoveMedia {
    const NAME: &'static str = "media.remove";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        let stub = sql::find_stub(tx, self.id)?
            .filter(|stub| stub.owner_id == self.owner_id)
            .ok_or(Code::MediaNotFound)?;
        if stub.holder != Holder::Nobody {
            return Err(Error::new(Code::MediaInUse));
        }
        remove(tx, &stub, self.at)
    }
}

/// Removes uploads that nothing has held since long ago.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PruneMedia {
    /// Those from then on stay.
    pub before: Timestamp,
    pub at: Timestamp,
    /// Rows at most.
    pub limit: u32,
}

impl Command for PruneMedia {
    const NAME: &'static str = "media.prune";
    /// How many were removed.
    type Output = usize;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<usize> {
        let loose = sql::loose(tx, self.before, self.limit)?;
        for stub in &loose {
            remove(tx, stub, self.at)?;
        }
        Ok(loose.len())
    }
}

/// Notes how far a content is on its way into what browsers play.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SetConversion {
    pub hash: BlobHash,
    pub state: Conversion,
    /// Why it failed, if it did.
    pub failure: Option<Code>,
}

impl Command for SetConversion {
    const NAME: &'static str = "media.set_conversion";
    type Output = ();

    fn apply(&self, tx: &WriteTx<'_>) -> Result<()> {
        sql::set_conversion(tx, self.hash, self.state, self.failure)?;
        for id in sql::of_hash(tx, self.hash)? {
            changed(tx, id);
        }
        Ok(())
    }
}

/// Forgets a content that nobody uses; its file is removed afterwards, by who asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ForgetBlob {
    pub hash: BlobHash,
}

impl Command for ForgetBlob {
    const NAME: &'static str = "media.forget_blob";
    /// Whether it may be removed: nobody uses it.
    type Output = bool;

    fn apply(&self, tx: &WriteTx<'_>) -> Result<bool> {
        if let Some(size_bytes) = sql::delete_blob(tx, self.hash)? {
            sql::add_total(tx, -size_bytes)?;
        }
        Ok(!sql::is_known(tx, self.hash)?)
    }
}
