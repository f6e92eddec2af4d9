//! From bytes on the wire to a content that is known and kept.
//!
//! What a file is, is decided by its content; its name and its declared type can only contradict it. Each step refuses as early as
//! it can: too large while it arrives, too many pixels before one is decoded.

use std::fs::File;
use std::io::BufReader;
use std::pin::pin;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{Stream, StreamExt};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::claim::Claim;
use super::container::{self, Container};
use super::pictures::{self, AnimatedEncoding, Animation, Encoding, Format, Picture, PictureError};
use super::pool::{Budget, Rest};
use super::sweep::Doubtful;
use super::variants::{self, Form, MAX_ANIMATED_WIDTH, Size, Variant, WIDTHS};
use super::{Facts, Focus, Kind, Media, alt_text, focus_point, sql};
use crate::blobs::{BlobHash, Blobs, Pin, Staged};
use crate::config;
use crate::error::{Code, Error, FieldError, Result};
use crate::tasks;

/// Bytes by which a content is known.
const ENOUGH: usize = container::SNIFF_BYTES;

/// The narrowest, which is there before a post is answered.
pub(super) const FIRST: u32 = WIDTHS[0];

/// What its owner says of an upload, checked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Description {
    pub(super) alt: Option<String>,
    pub(super) focus: Focus,
    pub(super) is_sensitive: bool,
}

impl Description {
    /// Checks what was typed; what is wrong is added to `wrong`.
    pub fn parse(
        wrong: &mut Vec<FieldError>,
        alt: Option<&str>,
        focus: Focus,
        is_sensitive: bool,
    ) -> Self {
        Self {
            alt: alt_text(wrong, alt),
            focus: focus_point(wrong, focus),
            is_sensitive,
        }
    }
}

/// A file that has arrived.
#[derive(Debug)]
pub struct Upload {
    staged: Staged,
    format: Recognised,
    description: Description,
}

/// What a content is by its beginning.
#[derive(Clone, Copy, Debug)]
enum Recognised {
    Picture(Format),
    Film(Container),
}

/// A content that is known and kept, at least while this stands.
#[derive(Debug)]
pub struct Received {
    pub(super) hash: BlobHash,
    pub(super) size_bytes: u64,
    pub(super) facts: Facts,
    pub(super) description: Description,
    pub(super) needs_conversion: bool,
    kept: Kept,
}

/// A content that lies on the disk, and that no row knows yet. Unless one does in the end, it is removed: whoever brought
/// it may have gone away at any moment.
#[derive(Debug)]
pub(super) struct Kept {
    hash: BlobHash,
    doubtful: Option<Arc<Doubtful>>,
    _pin: Pin,
}

impl Kept {
    pub(super) fn new(doubtful: &Arc<Doubtful>, hash: BlobHash, pin: Pin) -> Self {
        Self {
            hash,
            doubtful: Some(Arc::clone(doubtful)),
            _pin: pin,
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(doubtful) = &self.doubtful {
            doubtful.add(self.hash);
        }
    }
}

impl Received {
    /// A row knows it.
    pub fn confirm(mut self) {
        self.kept.doubtful = None;
    }
}

impl Upload {
    /// What tells it from others: the hash of its content.
    pub fn fingerprint(&self) -> BlobHash {
        self.staged.hash
    }

    /// The same with what its owner says of it.
    #[must_use]
    pub fn described(self, description: Description) -> Self {
        Self {
            description,
            ..self
        }
    }
}

impl Media {
    /// Takes a file in, piece by piece.
    ///
    /// Errors: `empty_file`, `unsupported_file`, `mismatched_file`, `file_too_large`, `storage_full`, and those of
    /// the pieces. Nothing is left of what was refused.
    pub async fn receive(
        &self,
        claim: &Claim,
        pieces: impl Stream<Item = Result<Bytes>> + Send,
    ) -> Result<Upload> {
        let mut pieces = pin!(pieces);
        let mut incoming = self.shared.blobs.receive().await?;
        let mut known = None;
        loop {
            let piece = pieces.next().await.transpose()?;
            let is_over = piece.is_none();
            if let Some(piece) = piece {
                incoming.write(&piece).await?;
            }
            if known.is_none() && (incoming.head().len() >= ENOUGH || is_over) {
                if incoming.size_bytes() == 0 {
                    return Err(Error::new(Code::EmptyFile));
                }
                known = Some(recognise(incoming.head(), claim, &self.shared.options)?);
            }
            if let Some((_, max_bytes)) = known
                && incoming.size_bytes() > max_bytes
            {
                return Err(Error::new(Code::FileTooLarge));
            }
            if is_over {
                break;
            }
        }
        let (format, _) = known.ok_or(Code::EmptyFile)?;
        Ok(Upload {
            staged: incoming.finish().await?,
            format,
            description: Description::default(),
        })
    }

    /// The same of a file that has arrived already.
    pub(super) fn recognised(&self, staged: Staged, claim: &Claim) -> Result<Upload> {
        let (format, max_bytes) = recognise(&staged.head, claim, &self.shared.options)?;
        if staged.size_bytes > max_bytes {
            return Err(Error::new(Code::FileTooLarge));
        }
        Ok(Upload {
            staged,
            format,
            description: Description::default(),
        })
    }

    /// Takes several in, all at once. When one is refused, so are the others.
    pub async fn take_in_all(&self, uploads: Vec<Upload>) -> Result<Vec<Received>> {
        let taken = uploads.into_iter().map(|upload| {
            let media = self.clone();
            async move { media.take_in(upload).await }
        });
        let taken = join_all(taken).await;
        let (mut received, mut refusal) = (Vec::new(), None);
        for one in taken {
            match one {
                Ok(one) => received.push(one),
                Err(error) => {
                    refusal.get_or_insert(error);
                }
            }
        }
        match refusal {
            None => Ok(received),
            Some(refusal) => Err(refusal),
        }
    }

    /// Makes a file that has arrived known and kept: on return the original is on the disk, and the narrowest variant is
    /// there. The others follow.
    ///
    /// Errors: `broken_file`, `too_many_pixels`, `overloaded`, `media_store_unavailable`.
    pub async fn take_in(&self, upload: Upload) -> Result<Received> {
        let Upload {
            staged,
            format,
            description,
        } = upload;
        let (hash, size_bytes) = (staged.hash, staged.size_bytes);
        // From here on nobody removes what others have of the same.
        let pin = self.shared.blobs.pin(hash)?;
        let kept = Kept::new(&self.shared.doubtful, hash, pin);
        let known = self.shared.store.read(move |tx| sql::find_facts(tx, hash));
        let (facts, needs_conversion, kept) = if let Some(facts) = known.await? {
            // Somebody brought the same before: all is done, but for the claim on it.
            let blobs = self.shared.blobs.clone();
            // Whether it is converted was decided then.
            tasks::blocking(move || blobs.keep(staged)).await?;
            (facts, false, kept)
        } else {
            let blobs = self.shared.blobs.clone();
            let limits = variants::limits(&self.shared.options);
            let budget = self.shared.budget.clone();
            match format {
                Recognised::Picture(format) => {
                    let work = move || work_on(&blobs, staged, kept, format, &limits, &budget);
                    self.shared.pool.run(work).await?
                }
                Recognised::Film(container) => {
                    let films = self.shared.films.clone();
                    let work = move || {
                        let (facts, is_waiting) =
                            films.work_on(&blobs, staged, container, &limits, &budget)?;
                        Ok(((facts, is_waiting, kept), None))
                    };
                    self.shared.film_pool.run(work).await?
                }
            }
        };
        self.shared.blobs.secure(hash).await?;
        Ok(Received {
            hash,
            size_bytes,
            facts,
            description,
            needs_conversion,
            kept,
        })
    }
}

/// What a content is by its beginning, and how large that may be.
fn recognise(head: &[u8], claim: &Claim, options: &config::Media) -> Result<(Recognised, u64)> {
    let (recognised, max_bytes) = if let Some(format) = pictures::sniff(head) {
        (Recognised::Picture(format), options.max_picture_bytes)
    } else if let Some(container) = container::sniff(head) {
        (Recognised::Film(container), options.max_video_bytes)
    } else {
        return Err(Error::new(Code::UnsupportedFile));
    };
    let picture = match recognised {
        Recognised::Picture(format) => Some(format),
        Recognised::Film(_) => None,
    };
    if !claim.fits(picture) {
        return Err(Error::new(Code::MismatchedFile));
    }
    Ok((recognised, max_bytes))
}

/// The same for the fuzz targets, which know no formats of ours: a picture, or a video that may turn out to be sound.
#[cfg(fuzzing)]
pub fn recognised_as(
    head: &[u8],
    declared: Option<&str>,
    options: &config::Media,
) -> Result<(Kind, u64)> {
    let claim = Claim {
        media_type: declared.map(str::to_owned),
        file_name: None,
    };
    let (recognised, max_bytes) = recognise(head, &claim, options)?;
    let kind = match recognised {
        Recognised::Picture(_) => Kind::Image,
        Recognised::Film(_) => Kind::Video,
    };
    Ok((kind, max_bytes))
}

/// Looks at a picture, keeps it, and makes the narrowest variant; the rest is left for afterwards. Blocks and keeps a
/// core busy.
fn work_on(
    blobs: &Blobs,
    staged: Staged,
    kept: Kept,
    format: Format,
    limits: &pictures::Limits,
    budget: &Budget,
) -> Result<((Facts, bool, Kept), Option<Rest>)> {
    let open = || {
        File::open(staged.path())
            .map(BufReader::new)
            .map_err(Error::internal)
    };
    let facts = pictures::inspect(open()?, format, limits).map_err(picture_error)?;
    let share = variants::share_for(budget, staged.path(), format, limits)?;
    let picture = Picture::decode(open()?, format, limits).map_err(picture_error)?;
    let hash = staged.hash;
    let [red, green, blue] = picture.dominant_color();
    let own_width = picture.width();
    let known = Facts {
        kind: Kind::Image,
        format: format.to_string().to_lowercase(),
        width: Some(own_width),
        height: Some(picture.height()),
        duration_ms: None,
        is_animated: facts.is_animated,
        plays: true,
        thumbhash: Some(STANDARD.encode(picture.thumbhash())),
        color: Some(format!("#{red:02x}{green:02x}{blue:02x}")),
    };
    let source = if facts.is_animated {
        // One frame is all that was decoded so far.
        drop(picture);
        Source::Moving(Animation::open(open()?, format, limits).map_err(picture_error)?)
    } else {
        Source::Still(picture)
    };
    // Of what moves, this also decodes each frame: what is damaged in a later one is not published.
    source.put(blobs, hash, &[FIRST])?;
    blobs.keep(staged)?;
    // Until the rest is there, too: what is removed meanwhile would come back in parts.
    let pin = blobs.pin(hash)?;
    // Wider than the picture would be the same again; the widest is what its own address shows.
    let widest = source.widest();
    let mut rest: Vec<u32> = WIDTHS
        .into_iter()
        .filter(|width| *width > FIRST)
        .filter(|width| (*width < own_width && *width <= widest) || *width == WIDTHS[3])
        .collect();
    rest.sort_unstable_by(|a, b| b.cmp(a));
    let blobs = blobs.clone();
    let later: Rest = Box::new(move || {
        let (_pin, _share) = (pin, share);
        if let Err(error) = source.put(&blobs, hash, &rest) {
            // Whoever asks for one of them has it made.
            warn!(error = %error, causes = error.causes(), "Some sizes of a picture could not be made");
        }
    });
    Ok(((known, false, kept), Some(later)))
}

/// What the sizes of an upload are made of.
enum Source {
    Still(Picture),
    Moving(Animation),
}

impl Source {
    fn widest(&self) -> u32 {
        match self {
            Self::Still(_) => u32::MAX,
            Self::Moving(_) => MAX_ANIMATED_WIDTH,
        }
    }

    fn put(&self, blobs: &Blobs, hash: BlobHash, widths: &[u32]) -> Result<()> {
        match self {
            Self::Still(picture) => put(blobs, hash, picture, widths),
            Self::Moving(animation) => put_moving(blobs, hash, animation, widths),
        }
    }
}

fn put_moving(blobs: &Blobs, hash: BlobHash, animation: &Animation, widths: &[u32]) -> Result<()> {
    // Several names may stand for one width.
    let made = |width: u32| (width.min(MAX_ANIMATED_WIDTH), AnimatedEncoding::WebP);
    let mut targets: Vec<_> = widths.iter().map(|width| made(*width)).collect();
    targets.dedup();
    let files = animation.encode_all(&targets).map_err(picture_error)?;
    for width in widths {
        let file = targets
            .iter()
            .zip(&files)
            .find(|(target, _)| **target == made(*width));
        if let Some((_, file)) = file {
            blobs.put_variant(hash, &webp_name(*width), file)?;
        }
    }
    Ok(())
}

fn webp_name(width: u32) -> String {
    let variant = Variant {
        size: Size::Width(width),
        form: Form::WebP,
    };
    variant.file_name(Focus::default())
}

pub(super) fn put(blobs: &Blobs, hash: BlobHash, picture: &Picture, widths: &[u32]) -> Result<()> {
    let rendered = picture.render_widths(widths).map_err(picture_error)?;
    for width in widths {
        // A very long picture comes out narrower than it was asked for, maybe the same in several widths.
        let narrowed = picture.width_at(*width);
        let Some(rendered) = rendered.iter().find(|one| one.width() == narrowed) else {
            continue;
        };
        let bytes = rendered.encode(Encoding::WebP).map_err(picture_error)?;
        blobs.put_variant(hash, &webp_name(*width), &bytes)?;
    }
    Ok(())
}

/// What a person is told of a picture that cannot be used.
pub(super) fn picture_error(error: PictureError) -> Error {
    let code = match &error {
        PictureError::TooLarge(_) => Code::TooManyPixels,
        PictureError::Broken { .. } | PictureError::Unsupported { .. } => Code::BrokenFile,
        PictureError::Read(_) | PictureError::Encoding(_) => Code::Internal,
    };
    Error::new(code).with_source(error)
}
