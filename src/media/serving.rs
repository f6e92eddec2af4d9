//! What an address opens. The usual request touches neither the database nor the disk: what a file is, and small files
//! themselves, are remembered, and forgotten with the commit that changes them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use tokio::sync::Notify;

use super::container::Container;
use super::convert::{FILM, LADDER, SOUND};
use super::variants::{Form, Size, Variant, WIDTHS};
use super::{Conversion, Kind, Media, sql};
use crate::blobs::{BlobHash, Object, Opened, Part};
use crate::clock::Timestamp;
use crate::config;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::id::MediaId;
use crate::store::Store;
use crate::tasks;

/// Files up to this size are remembered.
const SMALL: u64 = 256 * 1024;

/// How long what is not for everybody may be kept at most by who is shown it.
const FRESH: Duration = Duration::from_hours(1);

/// Files whose rows are remembered.
const ROWS: u64 = 20_000;

/// What an address opens.
#[derive(Debug)]
pub struct Served {
    pub content: Content,
    pub media_type: &'static str,
    /// Strong: the same tag means the same bytes.
    pub etag: String,
    /// Whether everybody may keep it.
    pub is_public: bool,
    /// How long who is shown it may keep it, where it is not for everybody.
    pub fresh_for: Duration,
    /// Whether this address never shows anything else.
    pub is_fixed: bool,
}

/// The bytes of a file.
#[derive(Clone, Debug)]
pub enum Content {
    /// All of them.
    Memory(Bytes),
    /// To be read as they are sent.
    File { file: Arc<File>, size_bytes: u64 },
    /// To be fetched as they are sent.
    Object(Object),
}

/// What asks for a file.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    pub id: MediaId,
    /// A size with or without an extension; none for the widest.
    pub name: Option<&'a str>,
    /// Whether the client says that it takes WebP.
    pub takes_webp: bool,
    /// The end of its validity and the signature, where the address has one.
    pub signature: Option<(i64, &'a str)>,
}

/// What is remembered.
pub(super) struct Shelf {
    rows: moka::sync::Cache<MediaId, Arc<sql::File>>,
    small: moka::sync::Cache<Key, Bytes>,
    /// Counts what was forgotten: what was read before that is not to be remembered after it.
    changes: Arc<AtomicU64>,
    /// Wakes those who wait for something to change.
    pub(super) news: Arc<Notify>,
}

/// A file: content, size and form, and for what is cropped, around which spot.
type Key = (BlobHash, Variant, (i8, i8));

impl Shelf {
    pub(super) fn new(options: &config::Media, store: &Store) -> Self {
        let rows: moka::sync::Cache<MediaId, Arc<sql::File>> = moka::sync::Cache::new(ROWS);
        let changes = Arc::new(AtomicU64::new(0));
        let news = Arc::new(Notify::new());
        let (known, counter, bell) = (rows.clone(), Arc::clone(&changes), Arc::clone(&news));
        store.observe(Box::new(move |events| {
            for committed in events {
                if let Event::MediaChanged { media_id } = &committed.event {
                    counter.fetch_add(1, Ordering::SeqCst);
                    known.invalidate(media_id);
                    bell.notify_one();
                }
            }
        }));
        let bytes = u64::from(options.cache_mib) * 1024 * 1024;
        Self {
            rows,
            changes,
            news,
            small: moka::sync::Cache::builder()
                .max_capacity(bytes)
                .weigher(|_key, bytes: &Bytes| u32::try_from(bytes.len() + 128).unwrap_or(u32::MAX))
                .build(),
        }
    }
}

impl Media {
    /// The file that somebody asks for.
    ///
    /// Errors: `media_not_found`; `invalid_signature` where it is not public; those of making it.
    pub async fn open(&self, wish: Wish<'_>) -> Result<Served> {
        let file = self.find_lasting(wish.id).await?;
        if !file.is_public {
            self.check_signature(wish)?;
        }
        if file.kind != Kind::Image && wish.name.is_none() {
            return self.open_film(&file).await;
        }
        let variant = variant(&file, wish).ok_or(Code::MediaNotFound)?;
        let name = variant.file_name(file.focus);
        let etag = format!("\"{:.16}-{name}\"", file.hash.to_string());
        Ok(Served {
            content: self.open_picture(&file, variant, &name).await?,
            media_type: variant.form.media_type(),
            etag,
            is_public: file.is_public,
            fresh_for: self.fresh_for(&file),
            is_fixed: matches!(variant.size, Size::Width(_)),
        })
    }

    /// A film or a recording, in the form that every browser plays as soon as there is one.
    async fn open_film(&self, file: &sql::File) -> Result<Served> {
        let (part, name, media_type) = match (file.conversion, file.kind) {
            // Where it failed, a part may have succeeded: that is without what the camera wrote.
            (Conversion::Done | Conversion::Failed, Kind::Video) => {
                (Part::Made(FILM.into()), FILM, "video/mp4")
            }
            (Conversion::Done | Conversion::Failed, _) => {
                (Part::Made(SOUND.into()), SOUND, "audio/mp4")
            }
            // What a camera wrote into the original is nobody's business while it can still be left behind.
            (Conversion::Waiting, _) => {
                return Err(Error::new(Code::MediaProcessing).with_retry_after(5));
            }
            (Conversion::None, _) if file.plays => {
                (Part::Original, "original", original_type(&file.format))
            }
            (Conversion::None, _) => return Err(Error::new(Code::BrokenFile)),
        };
        let opened = self.shared.blobs.open_part(file.hash, part).await?;
        let missing = match file.conversion {
            Conversion::Failed => file.failure.unwrap_or(Code::ConversionFailed),
            Conversion::None | Conversion::Waiting | Conversion::Done => Code::MediaNotFound,
        };
        Ok(Served {
            content: read(opened).await?.ok_or(missing)?,
            media_type,
            etag: format!("\"{:.16}-{name}\"", file.hash.to_string()),
            is_public: file.is_public,
            fresh_for: self.fresh_for(file),
            is_fixed: true,
        })
    }

    /// How long it may be kept by who is shown it.
    fn fresh_for(&self, file: &sql::File) -> Duration {
        let left = file.ends_at.map(|end| end.since(self.shared.ids.now()));
        left.map_or(FRESH, |left| left.min(FRESH))
    }

    /// The file by that id, unless its time is over.
    async fn find_lasting(&self, id: MediaId) -> Result<Arc<sql::File>> {
        let file = self.find_file(id).await?;
        let now = self.shared.ids.now();
        if file.ends_at.is_some_and(|end| end <= now) {
            return Err(Error::new(Code::MediaNotFound));
        }
        Ok(file)
    }

    /// A part of a film for changing connections. `key` is `open`, or a signature.
    ///
    /// Errors: `media_not_found`; `invalid_signature` where it is not public.
    pub async fn open_ladder(&self, id: MediaId, key: &str, name: &str) -> Result<Served> {
        let file = self.find_lasting(id).await?;
        if !file.is_public {
            let signature = key
                .split_once('-')
                .and_then(|(expires, signature)| Some((expires.parse().ok()?, signature)));
            self.check_signature(Wish {
                id,
                name: None,
                takes_webp: false,
                signature,
            })?;
        }
        let is_plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
        };
        let is_name = name.split('/').count() <= 2 && name.split('/').all(is_plain);
        let media_type = match name.rsplit_once('.') {
            Some((_, "m3u8")) => "application/vnd.apple.mpegurl",
            Some((_, "mp4" | "m4s")) => "video/mp4",
            Some((_, "ts")) => "video/mp2t",
            _ => return Err(Error::new(Code::MediaNotFound)),
        };
        if !is_name || file.conversion != Conversion::Done {
            return Err(Error::new(Code::MediaNotFound));
        }
        let part = Part::Made(format!("{LADDER}/{name}").into());
        let opened = self.shared.blobs.open_part(file.hash, part).await?;
        Ok(Served {
            content: read(opened).await?.ok_or(Code::MediaNotFound)?,
            media_type,
            etag: format!(
                "\"{:.16}-{}\"",
                file.hash.to_string(),
                name.replace('/', "-")
            ),
            is_public: file.is_public,
            fresh_for: self.fresh_for(&file),
            is_fixed: true,
        })
    }

    fn check_signature(&self, wish: Wish<'_>) -> Result<()> {
        let (expires, signature) = wish.signature.ok_or(Code::InvalidSignature)?;
        let path = format!("/media/{}", wish.id);
        let now: Timestamp = self.shared.ids.now();
        if self.shared.signer.allows(&path, expires, signature, now) {
            Ok(())
        } else {
            Err(Error::new(Code::InvalidSignature))
        }
    }

    pub(super) async fn find_file(&self, id: MediaId) -> Result<Arc<sql::File>> {
        let shelf = &self.shared.shelf;
        if let Some(file) = shelf.rows.get(&id) {
            return Ok(file);
        }
        let before = shelf.changes.load(Ordering::SeqCst);
        let found = self.shared.store.read(move |tx| sql::find_file(tx, id));
        let file = Arc::new(found.await?.ok_or(Code::MediaNotFound)?);
        if shelf.changes.load(Ordering::SeqCst) == before {
            shelf.rows.insert(id, Arc::clone(&file));
            // A change in between may have looked for it before it was there.
            if shelf.changes.load(Ordering::SeqCst) != before {
                shelf.rows.invalidate(&id);
            }
        }
        Ok(file)
    }

    pub(super) async fn open_picture(
        &self,
        file: &sql::File,
        variant: Variant,
        name: &str,
    ) -> Result<Content> {
        let spot = match variant.size {
            Size::Width(_) => (0, 0),
            Size::Avatar(_) | Size::Banner(_) => (spot(file.focus.x), spot(file.focus.y)),
        };
        let key = (file.hash, variant, spot);
        if let Some(bytes) = self.shared.shelf.small.get(&key) {
            counter!("socialhub_media_cache_total", "outcome" => "hit").increment(1);
            return Ok(Content::Memory(bytes));
        }
        counter!("socialhub_media_cache_total", "outcome" => "miss").increment(1);
        let blobs = &self.shared.blobs;
        let there = read(blobs.open_variant(file.hash, name).await?).await?;
        let content = if let Some(content) = there {
            content
        } else {
            match self.make_variant(file, variant, name).await? {
                Some(bytes) => Content::Memory(bytes),
                None => read(blobs.open_variant(file.hash, name).await?)
                    .await?
                    .ok_or(Code::MediaNotFound)?,
            }
        };
        if let Content::Memory(bytes) = &content {
            self.shared.shelf.small.insert(key, bytes.clone());
        }
        Ok(content)
    }
}

/// Small files as a whole, the others to be read later.
async fn read(opened: Option<Opened>) -> Result<Option<Content>> {
    let (file, size_bytes) = match opened {
        None => return Ok(None),
        Some(Opened::Object(object)) => return Ok(Some(Content::Object(object))),
        Some(Opened::File { file, size_bytes }) => (file, size_bytes),
    };
    if size_bytes > SMALL {
        return Ok(Some(Content::File { file, size_bytes }));
    }
    let length = usize::try_from(size_bytes).map_err(Error::internal)?;
    let bytes = tasks::blocking(move || {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0).map_err(Error::internal)?;
        Ok(Bytes::from(bytes))
    });
    Ok(Some(Content::Memory(bytes.await?)))
}

/// The media type of an original by its usual extension.
fn original_type(extension: &str) -> &'static str {
    [
        Container::Mp4,
        Container::M4a,
        Container::WebM,
        Container::Ogg,
        Container::Mp3,
        Container::Wav,
        Container::Flac,
    ]
    .into_iter()
    .find(|container| container.extension() == extension)
    .map_or("application/octet-stream", Container::mime)
}

/// A part of a focus, as fine as crops are made.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a focus lies between -1 and 1"
)]
pub(super) fn spot(part: f32) -> i8 {
    (part * 10.0).round() as i8
}

/// Which variant a name means, for a client that takes these forms.
fn variant(file: &sql::File, wish: Wish<'_>) -> Option<Variant> {
    let usual = if wish.takes_webp {
        Form::WebP
    } else if file.is_animated {
        Form::Gif
    } else {
        Form::Jpeg
    };
    let (size, form) = match wish.name {
        None => (Size::Width(WIDTHS[3]), usual),
        Some(name) => match name.rsplit_once('.') {
            Some((size, extension)) => (Size::parse(size)?, Form::parse(extension)?),
            None => (Size::parse(name)?, usual),
        },
    };
    let is_still = !file.is_animated || !matches!(size, Size::Width(_));
    let form = match form {
        Form::Gif if is_still && wish.name.is_some_and(|name| name.contains('.')) => return None,
        Form::Gif if is_still => Form::Jpeg,
        form => form,
    };
    Some(Variant { size, form })
}
