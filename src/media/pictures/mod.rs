//! Pictures: what people upload, turned into what is served. Pure: bytes in, bytes out.
//!
//! The first bytes say what a file is ([`sniff`]); its headers say how large it will be ([`inspect`]), so that what is
//! too large is refused before a pixel is decoded. [`Picture`] is a still, or the first frame of what moves; [`Animation`]
//! keeps moving. What is encoded here is sRGB, stands upright and holds pixels alone: EXIF, XMP, comments and profiles
//! stay behind with the upload, because they are never copied.
//!
//! All of it blocks and keeps a core busy. On which thread it runs, how many at once, and where the results are kept, is
//! left to the callers.

use std::error::Error;
use std::fmt;
use std::io;

mod animation;
mod avatar;
mod color;
mod decode;
mod encode;
mod headers;
mod picture;
mod raster;
mod summary;
#[cfg(test)]
mod tests;

pub use animation::{AnimatedEncoding, Animation};
pub use avatar::{default_avatar_png, default_avatar_svg};
pub use encode::{Encoding, Rendered};
pub use headers::{Facts, inspect, weigh};
pub use picture::{Crop, MAX_RENDERED_SIDE, Picture, Shape};

/// The formats that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    Jpeg,
    Png,
    Gif,
    WebP,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
        })
    }
}

/// The format that a file starts like, whatever its name claims. The first 64 bytes are enough.
pub fn sniff(head: &[u8]) -> Option<Format> {
    match head {
        [0xFF, 0xD8, 0xFF, ..] => Some(Format::Jpeg),
        [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Some(Format::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some(Format::WebP),
        _ => None,
    }
}

/// How much one picture may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Pixels of a still, or of one frame.
    pub max_pixels: u64,
    /// Pixels along the longer side.
    pub max_side: u32,
    /// What reading and decoding one file may hold at its peak: the file, the pixels, the decoder's working memory.
    pub max_memory_bytes: u64,
    /// Frames of an animation.
    pub max_frames: u32,
    /// Pixels of all frames of an animation together.
    pub max_total_pixels: u64,
}

/// Why a picture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// Cut short, damaged, or another format than was said.
    #[error("the file is not a whole {format} picture")]
    Broken {
        format: Format,
        source: Option<Fault>,
    },
    /// A file that may be well-formed, in a variety that is not decoded.
    #[error("this variety of {format} is not supported")]
    Unsupported { format: Format, source: Fault },
    #[error("the picture has too many {0}")]
    TooLarge(Excess),
    #[error("the picture could not be read")]
    Read(#[source] io::Error),
    /// A fault of ours: what was decoded could not be resized or encoded.
    #[error("the picture could not be encoded")]
    Encoding(#[source] Fault),
}

type Fault = Box<dyn Error + Send + Sync>;

/// What a picture has too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    Pixels,
    PixelsAlongASide,
    Frames,
    /// Over all frames of an animation.
    TotalPixels,
    /// In the memory that decoding would take.
    Bytes,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pixels => "pixels",
            Self::PixelsAlongASide => "pixels along a side",
            Self::Frames => "frames",
            Self::TotalPixels => "pixels in all its frames",
            Self::Bytes => "bytes to decode",
        })
    }
}

type Result<T, E = PictureError> = std::result::Result<T, E>;

fn broken(format: Format) -> PictureError {
    PictureError::Broken {
        format,
        source: None,
    }
}

fn encoding(error: impl Into<Fault>) -> PictureError {
    PictureError::Encoding(error.into())
}
