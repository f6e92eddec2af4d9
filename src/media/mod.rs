//! Pictures, video and audio: taken in, made into what is served, and served.
//!
//! * `intake`, `claim`, `resumable`: from bytes on the wire to a content that is known and kept;
//! * [`container`], [`ffmpeg`], `films`, `convert`, `queue`: what plays, and making it play everywhere;
//! * [`pictures`]: decoding, resizing, encoding, with nothing but bytes in and out;
//! * `variants`: what there is of a picture, and under which names;
//! * `pool`: the threads for all that;
//! * `serving`: what an address opens; `preview`: a picture in small, for other parts of the server;
//! * `sweep`: what nobody uses goes;
//! * `commands`, `sql`: what is noted in the database. The bytes are files: see [`crate::blobs`].
//!
//! An upload belongs to who brought it and is held by one thing: a post, a profile. Who may see that, may see it; the
//! domain of the holder says so by [`attach`] and [`publish`], in its own commands.

mod claim;
mod commands;
pub mod container;
mod convert;
pub mod ffmpeg;
mod films;
mod intake;
pub mod pictures;
mod pool;
mod preview;
mod queue;
mod resumable;
mod serving;
pub mod sql;
mod sweep;
mod variants;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::actor::Actor;
use crate::blobs::Blobs;
use crate::clock::Timestamp;
use crate::config;
use crate::disk::DiskGuard;
use crate::error::{Code, Error, FieldError, Result};
use crate::id::{Ids, MediaId, UserId};
use crate::links::{Link, Signer};
use crate::page::{Cursor, Page, Slice};
use crate::store::{Registry, Store};
use crate::tasks::Tasks;
use crate::text;

pub use claim::Claim;
pub use commands::{
    AddMedia, ForgetBlob, NewMedia, PruneMedia, RemoveMedia, SetConversion, UpdateMedia, attach,
    insert, publish, release, set_end,
};
#[cfg(fuzzing)]
pub use intake::recognised_as;
pub use intake::{Description, Received, Upload};
pub use resumable::{Resumable, ResumableDraft};
pub use serving::{Content, Served, Wish};

/// Files of one post at most.
pub const MAX_PER_POST: usize = 10;

/// Characters of a description.
pub const MAX_ALT_CHARS: usize = 1_500;

/// The side of a drawn avatar, in pixels.
const DRAWN_SIDE: u32 = 400;

/// Bytes of drawn avatars that are remembered.
const DRAWN: u64 = 4 * 1024 * 1024;

/// Bytes that a form has beside its file.
const FORM: u64 = 64 * 1024;

/// What an upload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A picture, still or moving.
    Image,
    /// A video.
    Video,
    /// A recording.
    Audio,
}

/// How far a content is on its way into what browsers play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Conversion {
    /// It needs none.
    None,
    /// Not there yet.
    Waiting,
    /// There.
    Done,
    /// It could not be converted. As it was uploaded it is not shown: what a camera wrote into it would be.
    Failed,
}

/// Whether an upload is ready to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = MediaStatus)]
pub enum Status {
    /// It is.
    Ready,
    /// It is being converted.
    Processing,
    /// It could not be converted.
    Failed,
}

/// The point of a picture that should stay in sight when it is cropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Focus {
    /// From -1 (left) to 1 (right).
    pub x: f32,
    /// From -1 (top) to 1 (bottom).
    pub y: f32,
}

/// An upload as it is shown (contract, "Details").
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MediaItem {
    /// Its id.
    pub id: MediaId,
    /// Where it is: a picture in the form that the client's `Accept` asks for, at most 2,048 pixels wide.
    pub url: Link,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Its width in pixels.
    #[schema(required)]
    pub width: Option<u32>,
    /// Its height in pixels.
    #[schema(required)]
    pub height: Option<u32>,
    /// How long it plays, in milliseconds.
    #[schema(required)]
    pub duration_ms: Option<u64>,
    /// A blurred likeness to show while it loads: a `ThumbHash` in Base64.
    #[schema(required)]
    pub thumbhash: Option<String>,
    /// The colour that it has most of.
    #[schema(required, example = "#7a6c5d")]
    pub dominant_color: Option<String>,
    /// What it shows, for those who do not see it.
    #[schema(required)]
    pub alt: Option<String>,
    /// What should stay in sight when it is cropped.
    pub focus: Focus,
    /// Whether to ask before it is shown.
    pub is_sensitive: bool,
    /// Whether it moves.
    pub is_animated: bool,
    /// The same, smaller; narrowest first. Of a video: of its poster.
    pub variants: Vec<VariantLink>,
    /// A picture of a video, where there is one.
    #[schema(required)]
    pub poster_url: Option<Link>,
    /// A video in several sizes for changing connections (HLS), once it is converted.
    #[schema(required)]
    pub hls_url: Option<Link>,
    /// Whether it is ready to be shown.
    pub status: Status,
    /// Why it could not be converted: the code of an error, such as `conversion_timed_out`.
    #[schema(required, value_type = Option<String>)]
    pub error_code: Option<Code>,
    /// Its size as uploaded, in bytes.
    pub size_bytes: u64,
    /// When it was uploaded.
    pub created_at: Timestamp,
}

/// A picture in another size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VariantLink {
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
    /// Where it is.
    pub url: Link,
}

/// What the content itself says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub kind: Kind,
    /// `jpeg`, `png`, `gif`, `webp`; the usual extension of a video or recording.
    pub format: String,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub duration_ms: Option<u64>,
    pub is_animated: bool,
    /// Whether browsers play it as it is.
    pub plays: bool,
    /// In Base64.
    pub thumbhash: Option<String>,
    /// `#rrggbb`.
    pub color: Option<String>,
}

/// A row of `media`, as far as it is shown.
struct Stored {
    kind: Kind,
    width: Option<u32>,
    height: Option<u32>,
    duration_ms: Option<u64>,
    is_animated: bool,
    thumbhash: Option<String>,
    color: Option<String>,
    alt: Option<String>,
    focus: Focus,
    is_sensitive: bool,
    is_public: bool,
    size_bytes: u64,
    created_at: Timestamp,
    conversion: Conversion,
    failure: Option<Code>,
}

impl MediaItem {
    /// Has its addresses signed for some minutes alone, those that are signed.
    fn sign_briefly(&mut self) {
        let variants = self.variants.iter_mut().map(|variant| &mut variant.url);
        let others = self.poster_url.iter_mut().chain(&mut self.hls_url);
        for link in variants.chain(others).chain([&mut self.url]) {
            link.sign_briefly();
        }
    }

    fn new(id: MediaId, stored: Stored) -> Self {
        let link = |path: String| {
            if stored.is_public {
                Link::public(path)
            } else {
                Link::signed(path)
            }
        };
        // A video without a likeness has no poster.
        let has_picture = stored.kind == Kind::Image || stored.thumbhash.is_some();
        let variants = match (has_picture, stored.width, stored.height) {
            (true, Some(width), Some(height)) => {
                variants::offered(width, height, stored.is_animated)
                    .map(|narrow| VariantLink {
                        width: narrow,
                        height: variants::height_of(narrow, width, height),
                        url: link(format!("/media/{id}/{narrow}")),
                    })
                    .collect()
            }
            _ => Vec::new(),
        };
        Self {
            id,
            url: link(format!("/media/{id}")),
            kind: stored.kind,
            width: stored.width,
            height: stored.height,
            duration_ms: stored.duration_ms,
            thumbhash: stored.thumbhash,
            dominant_color: stored.color,
            alt: stored.alt,
            focus: stored.focus,
            is_sensitive: stored.is_sensitive,
            is_animated: stored.is_animated,
            variants,
            poster_url: (stored.kind == Kind::Video && has_picture)
                .then(|| link(format!("/media/{id}/1280"))),
            hls_url: (stored.kind == Kind::Video && stored.conversion == Conversion::Done).then(
                || {
                    if stored.is_public {
                        Link::public(format!("/media/{id}/hls/open/master.m3u8"))
                    } else {
                        Link::signed_within(format!("/media/{id}/hls/{{key}}/master.m3u8"))
                    }
                },
            ),
            status: match stored.conversion {
                Conversion::None | Conversion::Done => Status::Ready,
                Conversion::Waiting => Status::Processing,
                Conversion::Failed => Status::Failed,
            },
            error_code: (stored.conversion == Conversion::Failed)
                .then(|| stored.failure.unwrap_or(Code::ConversionFailed)),
            size_bytes: stored.size_bytes,
            created_at: stored.created_at,
        }
    }
}

/// What has an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nothing yet.
    Nobody,
    /// A post, by its id.
    Post(i64),
    /// A person, as their picture.
    Avatar(i64),
    /// A person, as the wide picture above their profile.
    Banner(i64),
    /// A message, by its id.
    Message(i64),
    /// A room, as its picture.
    Room(i64),
    /// A story, by its id.
    Story(i64),
}

impl Holder {
    fn columns(self) -> (i64, Option<i64>) {
        match self {
            Self::Nobody => (0, None),
            Self::Post(id) => (1, Some(id)),
            Self::Avatar(id) => (2, Some(id)),
            Self::Banner(id) => (3, Some(id)),
            Self::Message(id) => (4, Some(id)),
            Self::Room(id) => (5, Some(id)),
            Self::Story(id) => (6, Some(id)),
        }
    }

    fn from_columns(kind: i64, id: Option<i64>) -> Self {
        match (kind, id) {
            (1, Some(id)) => Self::Post(id),
            (2, Some(id)) => Self::Avatar(id),
            (3, Some(id)) => Self::Banner(id),
            (4, Some(id)) => Self::Message(id),
            (5, Some(id)) => Self::Room(id),
            (6, Some(id)) => Self::Story(id),
            _ => Self::Nobody,
        }
    }
}

/// How much room there is, in bytes; none means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    pub quota_bytes: Option<u64>,
    pub cap_bytes: Option<u64>,
}

/// What to change in what is said of an upload: absent fields stay, a null empties.
#[derive(Clone, Debug, Default)]
pub struct MediaEdit {
    pub alt: Option<Option<String>>,
    pub focus: Option<Focus>,
    pub is_sensitive: Option<bool>,
}

/// The domain's handle.
#[derive(Clone)]
pub struct Media {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    ids: Ids,
    blobs: Blobs,
    options: config::Media,
    pool: pool::Pool,
    film_pool: pool::Pool,
    /// What the threads of both may decode at once.
    budget: pool::Budget,
    making: variants::Making,
    shelf: serving::Shelf,
    /// Drawn avatars that were asked for.
    drawn: moka::sync::Cache<UserId, Bytes>,
    signer: Signer,
    films: films::Films,
    busy: resumable::Busy,
    open: Arc<resumable::Open>,
    /// Held while an upload is begun, so that what is open is counted right.
    beginning: tokio::sync::Mutex<()>,
    doubtful: Arc<sweep::Doubtful>,
    progress: Arc<convert::Progress>,
}

/// Adds the domain's commands.
pub fn register(registry: &mut Registry) {
    registry.add::<AddMedia>();
    registry.add::<UpdateMedia>();
    registry.add::<RemoveMedia>();
    registry.add::<PruneMedia>();
    registry.add::<SetConversion>();
    registry.add::<ForgetBlob>();
}

impl Media {
    /// Opens the files and starts the threads.
    pub async fn start(
        store: Store,
        ids: Ids,
        options: &config::Media,
        s3: &config::S3,
        data_dir: &Path,
        secret: &[u8; 32],
        tasks: &Tasks,
    ) -> Result<Self> {
        let dir = options
            .dir
            .clone()
            .unwrap_or_else(|| data_dir.join("media"));
        let reserve_bytes = options.reserve_bytes;
        films::check(&options.ffmpeg)?;
        let (kept_in, s3) = (options.store, s3.clone());
        let owner = blake3::derive_key("SocialHub 2026-11 owner of a bucket", secret);
        let owner = blake3::Hash::from_bytes(owner).to_hex();
        let blobs = crate::tasks::blocking(move || {
            let guard = DiskGuard::for_uploads(&dir, reserve_bytes);
            let blobs = Blobs::open(&dir, guard, kept_in, &s3, &owner).map_err(Error::internal)?;
            let open = resumable::Open::read(&blobs)?;
            Ok((blobs, open))
        });
        let (blobs, open) = blobs.await?;
        let minutes = u64::from(options.signed_minutes);
        let media = Self {
            shared: Arc::new(Shared {
                busy: resumable::Busy::default(),
                open: Arc::new(open),
                beginning: tokio::sync::Mutex::default(),
                doubtful: Arc::default(),
                progress: Arc::default(),
                films: films::Films::new(options, tasks.stopping().clone()),
                blobs,
                pool: pool::Pool::start(options)?,
                film_pool: pool::Pool::start_for_films(options)?,
                budget: pool::Budget::new(
                    u64::from(options.picture_memory_mib.max(1)) * 1024 * 1024,
                ),
                making: variants::Making::default(),
                shelf: serving::Shelf::new(options, &store),
                drawn: moka::sync::Cache::builder()
                    .max_capacity(DRAWN)
                    .weigher(|_id, png: &Bytes| u32::try_from(png.len()).unwrap_or(u32::MAX))
                    .build(),
                signer: Signer::new(secret, Duration::from_mins(minutes)),
                options: options.clone(),
                store,
                ids,
            }),
        };
        let (blobs, stopping) = (media.shared.blobs.clone(), tasks.stopping().clone());
        tasks.spawn("media store", async move { blobs.tend(&stopping).await });
        media.keep_clean(tasks);
        media.keep_converting(tasks);
        Ok(media)
    }

    /// Makes the signatures of addresses.
    pub fn signer(&self) -> &Signer {
        &self.shared.signer
    }

    /// The picture that is drawn for somebody who brought none, as a PNG this wide.
    pub async fn drawn_avatar(&self, id: UserId) -> Result<Bytes> {
        if let Some(known) = self.shared.drawn.get(&id) {
            return Ok(known);
        }
        let drawn = self.shared.drawn.clone();
        let work = move || {
            let png = pictures::default_avatar_png(&id.get().to_be_bytes(), DRAWN_SIDE);
            let png = Bytes::from(png.map_err(Error::internal)?);
            drawn.insert(id, png.clone());
            Ok((png, None))
        };
        self.shared.pool.run(work).await
    }

    /// What is said of this part in the health report.
    pub fn report(&self) -> serde_json::Value {
        serde_json::json!({
            "state": "running",
            "videos": self.shared.films.report(),
            "contents": self.shared.blobs.report(),
        })
    }

    /// How long a client may pause within an upload.
    pub fn pause(&self) -> Duration {
        Duration::from_secs(self.shared.options.upload_pause_s.into())
    }

    /// The largest form with one file, in bytes.
    pub fn max_form_bytes(&self) -> u64 {
        let options = &self.shared.options;
        let largest = options.max_picture_bytes.max(options.max_video_bytes);
        largest.saturating_add(FORM)
    }

    /// What one person's uploads may take, in bytes; none for no limit.
    pub fn quota_bytes(&self) -> Option<u64> {
        Some(self.shared.options.quota_bytes).filter(|bytes| *bytes > 0)
    }

    /// Notes an upload that is to be attached later.
    pub async fn add(&self, actor: &Actor, upload: Upload) -> Result<MediaItem> {
        let received = self.take_in(upload).await?;
        let command = AddMedia(self.new_media(actor, &received));
        let added = self
            .shared
            .store
            .submit_once(command, actor.once.clone())
            .await;
        if added.is_ok() {
            received.confirm();
        }
        added
    }

    /// One of one's own.
    pub async fn get(&self, actor: &Actor, id: MediaId) -> Result<MediaItem> {
        let owner = actor.user_id;
        let found = self
            .shared
            .store
            .read(move |tx| sql::find_own(tx, owner, id));
        found.await?.ok_or(Code::MediaNotFound.into())
    }

    /// One's own, newest first, and what they take in bytes.
    pub async fn list(&self, actor: &Actor, page: Page) -> Result<(Slice<MediaItem>, u64)> {
        let owner = actor.user_id;
        self.shared
            .store
            .read(move |tx| {
                let items = sql::own(tx, owner, &page)?;
                let usage = sql::usage_bytes(tx, owner)?;
                Ok((page.cut(items, |item| Cursor::id(item.id.get())), usage))
            })
            .await
    }

    /// Changes what is said of one of one's own.
    pub async fn update(&self, actor: &Actor, id: MediaId, edit: MediaEdit) -> Result<MediaItem> {
        let mut wrong = Vec::new();
        let command = UpdateMedia {
            id,
            owner_id: actor.user_id,
            alt: edit.alt.map(|alt| alt_text(&mut wrong, alt.as_deref())),
            focus: edit.focus.map(|focus| focus_point(&mut wrong, focus)),
            is_sensitive: edit.is_sensitive,
        };
        if !wrong.is_empty() {
            return Err(Error::invalid_fields(wrong));
        }
        if command.alt.is_none() && command.focus.is_none() && command.is_sensitive.is_none() {
            return Err(Error::new(Code::NothingToChange));
        }
        let is_moved = command.focus.is_some();
        let once = actor.once.clone();
        let item = self.shared.store.submit_once(command, once).await?;
        if is_moved && let Err(error) = self.drop_old_crops(id).await {
            // They only take room.
            warn!(error = %error, causes = error.causes(), "Crops around an old focus stay");
        }
        Ok(item)
    }

    /// Removes one of one's own that nothing holds.
    pub async fn remove(&self, actor: &Actor, id: MediaId) -> Result<()> {
        let command = RemoveMedia {
            id,
            owner_id: actor.user_id,
            at: self.shared.ids.now(),
        };
        self.shared
            .store
            .submit_once(command, actor.once.clone())
            .await
    }

    /// The row of an upload that was taken in; to be given to a command that inserts it while `received` stands.
    pub fn new_media(&self, actor: &Actor, received: &Received) -> NewMedia {
        let limit = |bytes: u64| (bytes > 0).then_some(bytes);
        NewMedia {
            id: self.shared.ids.next(),
            owner_id: actor.user_id,
            hash: received.hash,
            size_bytes: received.size_bytes,
            facts: received.facts.clone(),
            alt: received.description.alt.clone(),
            focus: received.description.focus,
            is_sensitive: received.description.is_sensitive,
            needs_conversion: received.needs_conversion,
            room: Room {
                quota_bytes: limit(self.shared.options.quota_bytes),
                cap_bytes: limit(self.shared.options.cap_bytes),
            },
            at: self.shared.ids.now(),
        }
    }
}

/// A description; an empty one counts as none.
fn alt_text(wrong: &mut Vec<FieldError>, raw: Option<&str>) -> Option<String> {
    let raw = raw.filter(|raw| text::is_visible(raw))?;
    text::body("alt", raw, 1, MAX_ALT_CHARS)
        .map_err(|error| wrong.push(error))
        .ok()
}

fn focus_point(wrong: &mut Vec<FieldError>, focus: Focus) -> Focus {
    let is_within = |part: f32| (-1.0..=1.0).contains(&part);
    if !is_within(focus.x) || !is_within(focus.y) {
        wrong.push(FieldError::new(
            "focus",
            "out_of_range",
            "Each part of a focus lies between -1 and 1.",
        ));
    }
    focus
}
