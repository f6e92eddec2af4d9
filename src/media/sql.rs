//! The statements over `media`, `blobs` and what they take.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Row, named_params};

use super::commands::NewMedia;
use super::queue::Waiting;
use super::{Conversion, Focus, Holder, Kind, MediaItem, Stored};
use crate::blobs::BlobHash;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::{MediaId, UserId};
use crate::page::Page;
use crate::store::{ReadTx, WriteTx};

/// A [`MediaItem`].
const ITEM: &str = "
    SELECT m.id, m.holder_id, m.kind, m.width, m.height, m.duration_ms, m.is_animated, m.thumbhash, m.color, m.alt,
           m.focus_x, m.focus_y, m.is_sensitive, m.is_public, m.size_bytes, m.created_at, b.conversion, b.failure
    FROM media AS m
    JOIN blobs AS b ON b.hash = m.hash";

fn item(row: &Row<'_>) -> rusqlite::Result<MediaItem> {
    Ok(MediaItem::new(
        row.get("id")?,
        Stored {
            kind: row.get("kind")?,
            width: row.get("width")?,
            height: row.get("height")?,
            duration_ms: row.get("duration_ms")?,
            is_animated: row.get("is_animated")?,
            thumbhash: row.get("thumbhash")?,
            color: row.get("color")?,
            alt: row.get("alt")?,
            focus: Focus {
                x: row.get("focus_x")?,
                y: row.get("focus_y")?,
            },
            is_sensitive: row.get("is_sensitive")?,
            is_public: row.get("is_public")?,
            size_bytes: row.get("size_bytes")?,
            created_at: row.get("created_at")?,
            conversion: row.get("conversion")?,
            failure: failure(row)?,
        },
    ))
}

/// Why a content could not be converted; what a later release found may have no name here.
fn failure(row: &Row<'_>) -> rusqlite::Result<Option<Code>> {
    let noted: Option<String> = row.get("failure")?;
    Ok(noted.map(|noted| {
        let known = Code::ALL.iter().find(|code| code.as_str() == noted);
        known.copied().unwrap_or(Code::ConversionFailed)
    }))
}

/// What these posts have: with the post's id, each post's in its order.
pub fn of_posts(tx: &ReadTx<'_>, posts: &[i64]) -> Result<Vec<(i64, MediaItem)>> {
    held_by_all(tx, Holder::Post(0), posts)
}

/// What these messages have: with the message's id, each message's in its order.
pub fn of_messages(tx: &ReadTx<'_>, messages: &[i64]) -> Result<Vec<(i64, MediaItem)>> {
    held_by_all(tx, Holder::Message(0), messages)
}

/// What these stories have: with the story's id. The addresses are good for some minutes, since who may see a story may
/// soon be others.
pub fn of_stories(tx: &ReadTx<'_>, stories: &[i64]) -> Result<Vec<(i64, MediaItem)>> {
    let mut found = held_by_all(tx, Holder::Story(0), stories)?;
    for (_, item) in &mut found {
        item.sign_briefly();
    }
    Ok(found)
}

/// What holders of one kind have, by their ids.
fn held_by_all(tx: &ReadTx<'_>, kind: Holder, ids: &[i64]) -> Result<Vec<(i64, MediaItem)>> {
    let ids = serde_json::to_string(ids).map_err(Error::internal)?;
    let mut rows = tx.all(
        "SELECT m.id, m.holder_id, m.kind, m.width, m.height, m.duration_ms, m.is_animated, m.thumbhash, m.color,
                m.alt, m.focus_x, m.focus_y, m.is_sensitive, m.is_public, m.size_bytes, m.created_at, m.position,
                b.conversion, b.failure
         FROM json_each(:ids) AS wanted
         JOIN media AS m ON m.holder = :holder AND m.holder_id = wanted.value
         JOIN blobs AS b ON b.hash = m.hash",
        named_params! { ":ids": ids, ":holder": kind.columns().0 },
        |row| {
            let position: i64 = row.get("position")?;
            Ok((position, (row.get("holder_id")?, item(row)?)))
        },
    )?;
    // A page has a few dozen at most.
    rows.sort_by_key(|(position, _)| *position);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// One's own, as it is shown.
pub(super) fn find_own(tx: &ReadTx<'_>, owner: UserId, id: MediaId) -> Result<Option<MediaItem>> {
    tx.optional(
        &format!("{ITEM} WHERE m.id = :id AND m.owner_id = :owner"),
        named_params! { ":id": id, ":owner": owner },
        item,
    )
}

/// One's own, newest first.
pub(super) fn own(tx: &ReadTx<'_>, owner: UserId, page: &Page) -> Result<Vec<MediaItem>> {
    tx.all(
        &format!(
            "{ITEM}
             WHERE m.owner_id = :owner AND m.id < :below
             ORDER BY m.id DESC
             LIMIT :limit OFFSET :offset"
        ),
        named_params! {
            ":owner": owner, ":below": page.below(), ":limit": page.fetch(), ":offset": page.offset,
        },
        item,
    )
}

/// What serving a file takes.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) hash: BlobHash,
    pub(super) kind: Kind,
    pub(super) format: String,
    pub(super) is_animated: bool,
    pub(super) focus: Focus,
    pub(super) is_public: bool,
    /// From then on nobody gets it.
    pub(super) ends_at: Option<Timestamp>,
    pub(super) plays: bool,
    pub(super) conversion: Conversion,
    pub(super) failure: Option<Code>,
}

/// A file by the id in its address.
pub(super) fn find_file(tx: &ReadTx<'_>, id: MediaId) -> Result<Option<File>> {
    tx.optional(
        "SELECT m.hash, m.kind, m.format, m.is_animated, m.focus_x, m.focus_y, m.is_public, m.ends_at, m.plays,
                b.conversion, b.failure
         FROM media AS m
         JOIN blobs AS b ON b.hash = m.hash
         WHERE m.id = :id",
        named_params! { ":id": id },
        |row| {
            Ok(File {
                hash: row.get("hash")?,
                kind: row.get("kind")?,
                format: row.get("format")?,
                is_animated: row.get("is_animated")?,
                focus: Focus {
                    x: row.get("focus_x")?,
                    y: row.get("focus_y")?,
                },
                is_public: row.get("is_public")?,
                ends_at: row.get("ends_at")?,
                plays: row.get("plays")?,
                conversion: row.get("conversion")?,
                failure: failure(row)?,
            })
        },
    )
}

/// What is known of a content that somebody has uploaded before.
pub(super) fn find_facts(tx: &ReadTx<'_>, hash: BlobHash) -> Result<Option<super::Facts>> {
    tx.optional(
        "SELECT kind, format, width, height, duration_ms, is_animated, plays, thumbhash, color
         FROM media
         WHERE hash = :hash
         LIMIT 1",
        named_params! { ":hash": hash },
        |row| {
            Ok(super::Facts {
                kind: row.get("kind")?,
                format: row.get("format")?,
                width: row.get("width")?,
                height: row.get("height")?,
                duration_ms: row.get("duration_ms")?,
                is_animated: row.get("is_animated")?,
                plays: row.get("plays")?,
                thumbhash: row.get("thumbhash")?,
                color: row.get("color")?,
            })
        },
    )
}

/// What commands ask of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stub {
    pub(super) id: MediaId,
    pub(super) owner_id: UserId,
    pub(super) hash: BlobHash,
    pub(super) size_bytes: i64,
    pub(super) kind: Kind,
    pub(super) holder: Holder,
}

const STUB: &str = "SELECT id, owner_id, hash, size_bytes, kind, holder, holder_id FROM media";

fn stub(row: &Row<'_>) -> rusqlite::Result<Stub> {
    Ok(Stub {
        id: row.get("id")?,
        owner_id: row.get("owner_id")?,
        hash: row.get("hash")?,
        size_bytes: row.get("size_bytes")?,
        kind: row.get("kind")?,
        holder: Holder::from_columns(row.get("holder")?, row.get("holder_id")?),
    })
}

pub(super) fn find_stub(tx: &ReadTx<'_>, id: MediaId) -> Result<Option<Stub>> {
    tx.optional(
        &format!("{STUB} WHERE id = :id"),
        named_params! { ":id": id },
        stub,
    )
}

pub(super) fn held_by(tx: &ReadTx<'_>, holder: Holder) -> Result<Vec<Stub>> {
    let (kind, id) = holder.columns();
    tx.all(
        &format!(
            "{STUB}
             WHERE holder = :holder AND holder_id = :id
             ORDER BY position"
        ),
        named_params! { ":holder": kind, ":id": id },
        stub,
    )
}

/// Uploads of before then that nothing uses, oldest first.
pub(super) fn loose(tx: &ReadTx<'_>, before: Timestamp, limit: u32) -> Result<Vec<Stub>> {
    tx.all(
        &format!(
            "{STUB} INDEXED BY media_loose
             WHERE holder = 0 AND created_at < :before
             ORDER BY created_at
             LIMIT :limit"
        ),
        named_params! { ":before": before, ":limit": limit },
        stub,
    )
}

pub(super) fn insert(tx: &WriteTx<'_>, new: &NewMedia) -> Result<()> {
    tx.execute(
        "INSERT INTO media (
             id, owner_id, hash, kind, format, size_bytes, width, height, duration_ms, is_animated, plays, thumbhash,
             color, alt, focus_x, focus_y, is_sensitive, holder, position, is_public, created_at
         )
         VALUES (
             :id, :owner_id, :hash, :kind, :format, :size_bytes, :width, :height, :duration_ms, :is_animated,
             :plays, :thumbhash, :color, :alt, :focus_x, :focus_y, :is_sensitive, 0, 0, 0, :at
         )",
        named_params! {
            ":id": new.id, ":owner_id": new.owner_id, ":hash": new.hash, ":kind": new.facts.kind,
            ":format": new.facts.format, ":size_bytes": new.size_bytes, ":width": new.facts.width,
            ":height": new.facts.height, ":duration_ms": new.facts.duration_ms,
            ":is_animated": new.facts.is_animated, ":plays": new.facts.plays, ":thumbhash": new.facts.thumbhash, ":color": new.facts.color,
            ":alt": new.alt, ":focus_x": new.focus.x, ":focus_y": new.focus.y, ":is_sensitive": new.is_sensitive,
            ":at": new.at,
        },
    )?;
    Ok(())
}

/// Whether somebody may upload.
pub(super) fn is_active(tx: &ReadTx<'_>, owner: UserId) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM users WHERE id = :owner AND status = 'active'",
        named_params! { ":owner": owner },
    )
}

/// Notes a further use of a content; whether it is the first.
pub(super) fn use_blob(tx: &WriteTx<'_>, new: &NewMedia) -> Result<bool> {
    let hash = new.hash;
    let known = tx.execute(
        "UPDATE blobs SET uses = uses + 1, unused_at = NULL WHERE hash = :hash",
        named_params! { ":hash": hash },
    )?;
    if known == 0 {
        tx.execute(
            "INSERT INTO blobs (hash, size_bytes, uses, conversion, is_as_it_came)
             VALUES (:hash, :size_bytes, 1, :conversion, :is_as_it_came)",
            named_params! {
                ":is_as_it_came": new.facts.kind != Kind::Image && !new.needs_conversion,
                ":hash": hash, ":size_bytes": new.size_bytes,
                ":conversion": if new.needs_conversion { Conversion::Waiting } else { Conversion::None },
            },
        )?;
    }
    Ok(known == 0)
}

/// Of each person the first upload that waits to be converted, but for those that are put off. While there is none, of
/// those that came when there was nothing to convert them with: they are served meanwhile.
pub(super) fn waiting(tx: &ReadTx<'_>, put_off: &[BlobHash]) -> Result<Vec<Waiting>> {
    let waiting = first_of_each(tx, "b.conversion = 1", put_off)?;
    if waiting.is_empty() {
        first_of_each(tx, "b.is_as_it_came = 1", put_off)
    } else {
        Ok(waiting)
    }
}

fn first_of_each(tx: &ReadTx<'_>, which: &str, put_off: &[BlobHash]) -> Result<Vec<Waiting>> {
    let put_off: Vec<String> = put_off.iter().map(ToString::to_string).collect();
    let put_off = serde_json::to_string(&put_off).map_err(Error::internal)?;
    // With `min`, the other columns are those of the same row. CROSS: from the few that wait to their uploads, whatever
    // SQLite thinks of it.
    tx.all(
        &format!(
            "SELECT m.owner_id, min(m.id) AS id, m.hash, m.kind, m.created_at
             FROM blobs AS b
             CROSS JOIN media AS m ON m.hash = b.hash
             WHERE {which} AND lower(hex(b.hash)) NOT IN (SELECT value FROM json_each(:put_off))
             GROUP BY m.owner_id
             LIMIT 10000"
        ),
        named_params! { ":put_off": put_off },
        |row| {
            Ok(Waiting {
                owner: row.get("owner_id")?,
                id: row.get("id")?,
                hash: row.get("hash")?,
                kind: row.get("kind")?,
                since: row.get("created_at")?,
            })
        },
    )
}

pub(super) fn set_conversion(
    tx: &WriteTx<'_>,
    hash: BlobHash,
    conversion: Conversion,
    failure: Option<Code>,
) -> Result<()> {
    let failure = failure.filter(|_| conversion == Conversion::Failed);
    tx.execute(
        "UPDATE blobs
         SET conversion = :conversion, failure = :failure, is_as_it_came = 0
         WHERE hash = :hash",
        named_params! {
            ":hash": hash, ":conversion": conversion, ":failure": failure.map(Code::as_str),
        },
    )?;
    Ok(())
}

/// All uploads of one content.
pub(super) fn of_hash(tx: &ReadTx<'_>, hash: BlobHash) -> Result<Vec<MediaId>> {
    tx.all(
        "SELECT id FROM media WHERE hash = :hash",
        named_params! { ":hash": hash },
        |row| row.get("id"),
    )
}

/// Notes that a content has one use less.
pub(super) fn disuse_blob(tx: &WriteTx<'_>, hash: BlobHash, at: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE blobs SET uses = uses - 1, unused_at = IIF(uses = 1, :at, NULL) WHERE hash = :hash",
        named_params! { ":hash": hash, ":at": at },
    )?;
    Ok(())
}

/// Contents that nobody has used since before then.
pub(super) fn unused_blobs(
    tx: &ReadTx<'_>,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<BlobHash>> {
    tx.all(
        "SELECT hash
         FROM blobs
         WHERE unused_at < :before
         ORDER BY unused_at
         LIMIT :limit",
        named_params! { ":before": before, ":limit": limit },
        |row| row.get("hash"),
    )
}

/// Whether anything is known of a content.
pub(super) fn is_known(tx: &ReadTx<'_>, hash: BlobHash) -> Result<bool> {
    tx.exists(
        "SELECT 1 FROM blobs WHERE hash = :hash",
        named_params! { ":hash": hash },
    )
}

/// Forgets a content that nobody uses; its size.
pub(super) fn delete_blob(tx: &WriteTx<'_>, hash: BlobHash) -> Result<Option<i64>> {
    tx.optional(
        "DELETE FROM blobs WHERE hash = :hash AND uses = 0 RETURNING size_bytes",
        named_params! { ":hash": hash },
        |row| row.get("size_bytes"),
    )
}

/// What all contents together take, in bytes.
pub(super) fn total_bytes(tx: &ReadTx<'_>) -> Result<u64> {
    tx.one(
        "SELECT size_bytes FROM blob_total WHERE id = 1",
        [],
        |row| row.get("size_bytes"),
    )
}

pub(super) fn add_total(tx: &WriteTx<'_>, bytes: i64) -> Result<()> {
    tx.execute(
        "UPDATE blob_total SET size_bytes = size_bytes + :bytes WHERE id = 1",
        named_params! { ":bytes": bytes },
    )?;
    Ok(())
}

/// What a person's uploads take, in bytes.
pub(super) fn usage_bytes(tx: &ReadTx<'_>, owner: UserId) -> Result<u64> {
    let bytes = tx.optional(
        "SELECT size_bytes FROM media_usage WHERE owner_id = :owner",
        named_params! { ":owner": owner },
        |row| row.get("size_bytes"),
    )?;
    Ok(bytes.unwrap_or(0))
}

pub(super) fn add_usage(tx: &WriteTx<'_>, owner: UserId, bytes: i64) -> Result<()> {
    let known = tx.execute(
        "UPDATE media_usage SET size_bytes = size_bytes + :bytes WHERE owner_id = :owner",
        named_params! { ":owner": owner, ":bytes": bytes },
    )?;
    if known == 0 {
        tx.execute(
            "INSERT INTO media_usage (owner_id, size_bytes) VALUES (:owner, :bytes)",
            named_params! { ":owner": owner, ":bytes": bytes },
        )?;
    }
    Ok(())
}

pub(super) fn put_holder(
    tx: &WriteTx<'_>,
    id: MediaId,
    holder: Holder,
    position: usize,
    is_public: bool,
) -> Result<()> {
    let (kind, holder_id) = holder.columns();
    tx.execute(
        "UPDATE media
         SET holder = :holder, holder_id = :holder_id, position = :position, is_public = :is_public
         WHERE id = :id",
        named_params! {
            ":id": id, ":holder": kind, ":holder_id": holder_id,
            ":position": i64::try_from(position).map_err(Error::internal)?, ":is_public": is_public,
        },
    )?;
    Ok(())
}

/// Sets from when on nobody gets a file.
pub(super) fn set_end(tx: &WriteTx<'_>, id: MediaId, ends_at: Option<Timestamp>) -> Result<()> {
    tx.execute(
        "UPDATE media SET ends_at = :ends_at WHERE id = :id",
        named_params! { ":id": id, ":ends_at": ends_at },
    )?;
    Ok(())
}

pub(super) fn set_public(tx: &WriteTx<'_>, id: MediaId, is_public: bool) -> Result<()> {
    tx.execute(
        "UPDATE media SET is_public = :is_public WHERE id = :id",
        named_params! { ":id": id, ":is_public": is_public },
    )?;
    Ok(())
}

pub(super) fn set_description(
    tx: &WriteTx<'_>,
    id: MediaId,
    alt: Option<&str>,
    focus: Focus,
    is_sensitive: bool,
) -> Result<()> {
    tx.execute(
        "UPDATE media
         SET alt = :alt, focus_x = :focus_x, focus_y = :focus_y, is_sensitive = :is_sensitive
         WHERE id = :id",
        named_params! {
            ":id": id, ":alt": alt, ":focus_x": focus.x, ":focus_y": focus.y, ":is_sensitive": is_sensitive,
        },
    )?;
    Ok(())
}

pub(super) fn delete(tx: &WriteTx<'_>, id: MediaId) -> Result<()> {
    tx.execute(
        "DELETE FROM media WHERE id = :id",
        named_params! { ":id": id },
    )?;
    Ok(())
}

impl ToSql for Conversion {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::None => 0,
            Self::Waiting => 1,
            Self::Done => 2,
            Self::Failed => 3,
        }))
    }
}

impl FromSql for Conversion {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            0 => Ok(Self::None),
            1 => Ok(Self::Waiting),
            2 => Ok(Self::Done),
            3 => Ok(Self::Failed),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

impl ToSql for Kind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::Image => 0,
            Self::Video => 1,
            Self::Audio => 2,
        }))
    }
}

impl FromSql for Kind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            0 => Ok(Self::Image),
            1 => Ok(Self::Video),
            2 => Ok(Self::Audio),
            _ => Err(FromSqlError::InvalidType),
        }
    }
}
