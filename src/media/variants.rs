//! What there is of a picture: its sizes, their names, and how each is made when it is not there yet.
//!
//! | name                          | what it is                                     |
//! |-------------------------------|------------------------------------------------|
//! | `320`, `640`, `1280`, `2048`  | that wide at most, whole                       |
//! | `avatar-96`, `avatar-400`     | a square around the focus                      |
//! | `banner-600`, `banner-1500`   | three times as wide as high, around the focus  |
//!
//! Each in WebP, or in JPEG for those who do not take that; what moves, in WebP or GIF. A JPEG is made when the first
//! such client asks, since nearly all take WebP.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::films::POSTER;
use super::intake::picture_error;
use super::pictures::{
    self, AnimatedEncoding, Animation, Encoding, Format, Limits, MAX_RENDERED_SIDE, Picture, Shape,
};
use super::pool::{Budget, Share};
use super::serving::spot;
use super::{Focus, Kind, Media};
use crate::blobs::{BlobHash, Part};
use crate::config;
use crate::error::{Code, Error, Result};
use crate::id::MediaId;
use crate::tasks::{Turn, Turns, blocking};

/// Stands in the names of files, and so in their tags. To be changed whenever pictures come out otherwise: the same tag
/// means the same bytes.
const ENCODER: &str = "1";

/// The widths, narrowest first.
pub(super) const WIDTHS: [u32; 4] = [320, 640, 1280, 2048];

/// What moves is not made wider: it grows with every frame.
pub(super) const MAX_ANIMATED_WIDTH: u32 = 640;

/// The sides of avatars.
const AVATARS: [u32; 2] = [96, 400];

/// The widths of banners.
const BANNERS: [u32; 2] = [600, 1500];

/// Variants of which it is remembered that they could not be made, and for how long: trying costs a whole decoding, and
/// ends the same way unless the fault was a passing one of ours.
const FAILURES: u64 = 10_000;
const FAILED_FOR: Duration = Duration::from_mins(5);

/// The widths in which a picture is offered beside its own. A very long one is not as wide as it was asked for.
pub(super) fn offered(width: u32, height: u32, is_animated: bool) -> impl Iterator<Item = u32> {
    let widest = if is_animated {
        MAX_ANIMATED_WIDTH
    } else {
        u32::MAX
    };
    WIDTHS
        .into_iter()
        .filter(move |narrow| *narrow < width && *narrow <= widest)
        .filter(move |narrow| height_of(*narrow, width, height) <= MAX_RENDERED_SIDE)
}

/// The height of a picture that is made this narrow.
pub(super) fn height_of(narrow: u32, width: u32, height: u32) -> u32 {
    let scaled =
        (u64::from(height) * u64::from(narrow) + u64::from(width) / 2) / u64::from(width.max(1));
    u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
}

/// A size by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Size {
    Width(u32),
    Avatar(u32),
    Banner(u32),
}

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    WebP,
    Jpeg,
    Gif,
}

/// One thing that there is of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Variant {
    pub(super) size: Size,
    pub(super) form: Form,
}

impl Size {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let known = |sides: &[u32], digits: &str| {
            // Only the canonical form: one address for one thing.
            sides
                .iter()
                .copied()
                .find(|side| side.to_string() == digits)
        };
        if let Some(digits) = name.strip_prefix("avatar-") {
            known(&AVATARS, digits).map(Self::Avatar)
        } else if let Some(digits) = name.strip_prefix("banner-") {
            known(&BANNERS, digits).map(Self::Banner)
        } else {
            known(&WIDTHS, name).map(Self::Width)
        }
    }

    fn shape(self, focus: Focus) -> Shape {
        let focus = (focus.x, focus.y);
        match self {
            Self::Width(width) => Shape::Width(width),
            Self::Avatar(side) => Shape::Cover {
                width: side,
                height: side,
                focus,
            },
            Self::Banner(width) => Shape::Cover {
                width,
                height: width / 3,
                focus,
            },
        }
    }
}

impl Form {
    pub(super) fn parse(extension: &str) -> Option<Self> {
        match extension {
            "webp" => Some(Self::WebP),
            "jpg" => Some(Self::Jpeg),
            "gif" => Some(Self::Gif),
            _ => None,
        }
    }

    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::WebP => "webp",
            Self::Jpeg => "jpg",
            Self::Gif => "gif",
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::WebP => "image/webp",
            Self::Jpeg => "image/jpeg",
            Self::Gif => "image/gif",
        }
    }
}

impl Variant {
    /// The name of its file. What depends on the focus is another file for another focus.
    pub(super) fn file_name(self, focus: Focus) -> String {
        let end = format!("{ENCODER}.{}", self.form.extension());
        match self.size {
            Size::Width(width) => format!("{width}.{end}"),
            Size::Avatar(side) => format!("avatar-{side}{}{end}", around(focus)),
            Size::Banner(side) => format!("banner-{side}{}{end}", around(focus)),
        }
    }
}

/// The part of a crop's name that tells around which spot it is.
fn around(focus: Focus) -> String {
    format!("@{},{}.", spot(focus.x), spot(focus.y))
}

/// Whether a file is one of those that this release makes.
pub(super) fn is_current(file_name: &str) -> bool {
    file_name
        .rsplit('.')
        .nth(1)
        .is_some_and(|version| version == ENCODER)
}

/// What a decoder may use.
pub(super) fn limits(options: &config::Media) -> Limits {
    Limits {
        max_pixels: options.max_pixels,
        max_side: 30_000,
        max_memory_bytes: options.max_pixels.saturating_mul(8).max(64 * 1024 * 1024),
        max_frames: 1_000,
        max_total_pixels: options.max_pixels.saturating_mul(8),
    }
}

/// Reads the format as it is noted in the database.
pub(super) fn format(name: &str) -> Result<Format> {
    match name {
        "jpeg" => Ok(Format::Jpeg),
        "png" => Ok(Format::Png),
        "gif" => Ok(Format::Gif),
        "webp" => Ok(Format::WebP),
        other => Err(Error::internal(format!("no picture format: {other}"))),
    }
}

/// Waits until there is memory to decode a picture with. Blocks.
pub(super) fn share_for(
    budget: &Budget,
    file: &Path,
    format: Format,
    limits: &Limits,
) -> Result<Share> {
    let file = BufReader::new(File::open(file).map_err(Error::internal)?);
    let bytes = pictures::weigh(file, format, limits).map_err(picture_error)?;
    Ok(budget.take(bytes))
}

/// Makes one variant of a picture from its original. Blocks and keeps a core busy.
fn make(
    original: &Path,
    format: Format,
    limits: &Limits,
    variant: Variant,
    focus: Focus,
    is_animated: bool,
    budget: &Budget,
) -> Result<Vec<u8>> {
    let _share = share_for(budget, original, format, limits)?;
    let file = BufReader::new(File::open(original).map_err(Error::internal)?);
    // A square that moves would be no avatar that anybody wants to look at in a list.
    if let (true, Size::Width(width), Form::WebP | Form::Gif) =
        (is_animated, variant.size, variant.form)
    {
        let encoding = if variant.form == Form::Gif {
            AnimatedEncoding::Gif
        } else {
            AnimatedEncoding::WebP
        };
        return Animation::open(file, format, limits)
            .and_then(|animation| animation.encode(width.min(MAX_ANIMATED_WIDTH), encoding))
            .map_err(picture_error);
    }
    let encoding = match variant.form {
        Form::WebP => Encoding::WebP,
        Form::Jpeg | Form::Gif => Encoding::Jpeg,
    };
    Picture::decode(file, format, limits)
        .and_then(|picture| picture.render(&variant.size.shape(focus)))
        .and_then(|rendered| rendered.encode(encoding))
        .map_err(picture_error)
}

/// Which variant of which content.
type Key = (BlobHash, String);

/// Which variants are being made, so that each is made once, however many ask; and which could not be.
#[derive(Clone)]
pub(super) struct Making {
    turns: Turns<Key>,
    failed: moka::sync::Cache<Key, Code>,
}

/// The right to make one variant.
struct Maker {
    making: Making,
    key: Key,
    _turn: Turn<Key>,
}

impl Default for Making {
    fn default() -> Self {
        let failed = moka::sync::Cache::builder()
            .max_capacity(FAILURES)
            .time_to_live(FAILED_FOR);
        Self {
            turns: Turns::default(),
            failed: failed.build(),
        }
    }
}

impl Making {
    /// Whether it was tried a while ago.
    fn check(&self, key: &Key) -> Result<()> {
        match self.failed.get(key) {
            Some(code) => Err(Error::new(code)),
            None => Ok(()),
        }
    }

    /// Waits until nobody else makes it.
    async fn turn(&self, key: Key) -> Result<Maker> {
        self.check(&key)?;
        let turn = self.turns.turn(&key).await;
        // Maybe by who came before in the queue.
        self.check(&key)?;
        Ok(Maker {
            making: self.clone(),
            key,
            _turn: turn,
        })
    }
}

impl Maker {
    fn note_failure(&self, error: &Error) {
        self.making.failed.insert(self.key.clone(), error.code());
    }
}

impl Media {
    /// Removes crops around another spot than a picture's present one. Who shares its content and not its focus has theirs
    /// made again.
    pub(super) async fn drop_old_crops(&self, id: MediaId) -> Result<()> {
        let file = self.find_file(id).await?;
        let (blobs, around) = (self.shared.blobs.clone(), around(file.focus));
        blocking(move || {
            let is_wanted = |name: &str| !name.contains('@') || name.contains(&around);
            blobs.remove_variants(file.hash, is_wanted)
        })
        .await
    }

    /// Makes a variant that is not there. Given back is what could not be put down for want of room.
    ///
    /// Errors: `overloaded`; `media_not_found` when the original is gone.
    pub(super) async fn make_variant(
        &self,
        file: &super::sql::File,
        variant: Variant,
        name: &str,
    ) -> Result<Option<Bytes>> {
        let shared = &self.shared;
        let maker = shared.making.turn((file.hash, name.to_owned())).await?;
        // It may be removed, or, where it is a copy, dropped.
        let pin = shared.blobs.pin(file.hash)?;
        let original = match file.kind {
            Kind::Image => Part::Original,
            Kind::Video | Kind::Audio => Part::Made(POSTER.into()),
        };
        let original = shared.blobs.bring(file.hash, original).await?;
        let original = original.ok_or(Code::MediaNotFound)?;
        let (blobs, limits) = (shared.blobs.clone(), limits(&shared.options));
        let budget = shared.budget.clone();
        let (hash, focus, is_animated) = (file.hash, file.focus, file.is_animated);
        let format = match file.kind {
            Kind::Image => format(&file.format)?,
            Kind::Video | Kind::Audio => Format::Png,
        };
        let name = name.to_owned();
        let work = move || {
            // With the work, so that it is begun once even when those who asked have gone away.
            let (maker, _pin) = (maker, pin);
            if blobs.variant(hash, &name).exists() {
                return Ok((None, None));
            }
            let bytes = make(
                &original,
                format,
                &limits,
                variant,
                focus,
                is_animated,
                &budget,
            )
            .inspect_err(|error| maker.note_failure(error))?;
            let left = match blobs.put_variant(hash, &name, &bytes) {
                Ok(()) => None,
                Err(error) if error.code() == Code::StorageFull => Some(bytes.into()),
                Err(error) => return Err(error),
            };
            Ok((left, None))
        };
        shared.pool.run(work).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_one_name() {
        assert_eq!(Size::parse("320"), Some(Size::Width(320)));
        assert_eq!(Size::parse("avatar-96"), Some(Size::Avatar(96)));
        assert_eq!(Size::parse("banner-1500"), Some(Size::Banner(1500)));
        for wrong in [
            "",
            "0320",
            "321",
            "+320",
            "avatar-",
            "avatar-97",
            "original",
            "../320",
        ] {
            assert_eq!(Size::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_very_long_picture_is_offered_as_it_comes_out() {
        let widths = |width, height| offered(width, height, false).collect::<Vec<_>>();
        assert_eq!(widths(2_000, 1_500), [320, 640, 1_280]);
        // Twice as wide would be higher than any format holds.
        assert_eq!(widths(2_000, 29_000), [320, 640]);
        assert_eq!(widths(600, 30_000), [320]);
    }

    #[test]
    fn heights_keep_the_shape_and_are_never_nothing() {
        assert_eq!(height_of(320, 640, 480), 240);
        assert_eq!(height_of(320, 1000, 1), 1);
        assert_eq!(height_of(320, 641, 481), 240);
    }
}
