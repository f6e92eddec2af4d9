//! What a file says of itself before a pixel is decoded. Read by us, not by the decoders: these allocate while they read
//! headers, and each leaves something out that is needed here (frames, loops, how progressive).

use std::io::{BufRead, ErrorKind, Read, Seek, SeekFrom};

use image::metadata::Orientation;

use super::decode::read_all;
use super::{Excess, Format, Limits, PictureError, Result, broken};

mod gif;
mod jpeg;
mod png;
mod vp8l;
mod webp;

pub(super) use jpeg::is_whole as is_whole_jpeg;

/// What is known of a picture without decoding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// As shown, that is upright.
    pub width: u32,
    pub height: u32,
    pub is_animated: bool,
}

/// Reads the headers of a file from its start, and refuses what is over the limits.
pub fn inspect(mut reader: impl BufRead + Seek, format: Format, limits: &Limits) -> Result<Facts> {
    let header = Header::read(&mut reader, format)?;
    header.check(limits)?;
    if header.frames > 1 {
        header.check_animation(limits)?;
    }
    let (width, height) = header.shown_size();
    Ok(Facts {
        width,
        height,
        is_animated: header.frames > 1,
    })
}

/// What decoding a file holds at its peak, in bytes; refuses what is over the limits. Of most formats this reads the
/// headers alone.
pub fn weigh(mut reader: impl BufRead + Seek, format: Format, limits: &Limits) -> Result<u64> {
    let header = Header::read(&mut reader, format)?;
    header.check(limits)?;
    let codes_bytes = match format {
        Format::WebP => header.check_file(&read_all(reader, &header)?, limits)?,
        Format::Jpeg | Format::Png | Format::Gif => 0,
    };
    let canvas_bytes = if header.frames > 1 {
        header.canvas_limit_bytes()
    } else {
        0
    };
    Ok(header
        .memory_bytes()
        .max(canvas_bytes)
        .saturating_add(codes_bytes))
}

/// All that the headers say.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) format: Format,
    /// As stored; an orientation may turn it.
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) orientation: Orientation,
    /// The whole file; of a WebP, up to where it says that it ends.
    pub(super) size_bytes: u64,
    /// What decoding holds at its peak for each pixel: the result, and the decoder's own planes.
    decoding_bytes_per_pixel: u64,
    /// 1 for a still.
    pub(super) frames: u32,
    total_pixels: u64,
    largest_frame: u64,
    /// How often an animation is played; 0 is for ever.
    pub(super) plays: u32,
}

impl Header {
    fn still(format: Format, width: u32, height: u32) -> Self {
        Self {
            format,
            width,
            height,
            orientation: Orientation::NoTransforms,
            size_bytes: 0,
            decoding_bytes_per_pixel: 8,
            frames: 1,
            total_pixels: 0,
            largest_frame: 0,
            plays: 1,
        }
    }

    pub(super) fn read(reader: &mut (impl BufRead + Seek), format: Format) -> Result<Self> {
        let size_bytes = reader.seek(SeekFrom::End(0)).map_err(PictureError::Read)?;
        reader.rewind().map_err(PictureError::Read)?;
        let mut source = Source { reader, format };
        let mut header = match format {
            Format::Jpeg => jpeg::read(&mut source),
            Format::Png => png::read(&mut source),
            Format::Gif => gif::read(&mut source),
            Format::WebP => webp::read(&mut source, size_bytes),
        }?;
        if format != Format::WebP {
            header.size_bytes = size_bytes;
        }
        if header.width == 0 || header.height == 0 {
            return Err(broken(format));
        }
        Ok(header)
    }

    /// Whether one frame may be decoded.
    pub(super) fn check(&self, limits: &Limits) -> Result<()> {
        let too_large = |excess| Err(PictureError::TooLarge(excess));
        // A frame of a GIF may be larger than the canvas, and is decoded in full.
        let pixels = self.pixels().max(self.largest_frame);
        if self.width.max(self.height) > limits.max_side {
            return too_large(Excess::PixelsAlongASide);
        }
        if pixels > limits.max_pixels {
            return too_large(Excess::Pixels);
        }
        if self.memory_bytes() > limits.max_memory_bytes {
            return too_large(Excess::Bytes);
        }
        Ok(())
    }

    fn memory_bytes(&self) -> u64 {
        self.pixels()
            .max(self.largest_frame)
            .saturating_mul(self.decoding_bytes_per_pixel)
            .saturating_add(2 * self.size_bytes)
    }

    /// Whether decoding holds no more than that, as far as only the file behind its headers tells; and how much it adds.
    pub(super) fn check_file(&self, file: &[u8], limits: &Limits) -> Result<u64> {
        if self.format != Format::WebP {
            return Ok(0);
        }
        let left = limits.max_memory_bytes.saturating_sub(self.memory_bytes());
        webp::check_bitstreams(file, (self.width, self.height), left)
    }

    /// Whether all frames may be decoded, one after another.
    pub(super) fn check_animation(&self, limits: &Limits) -> Result<()> {
        if self.frames > limits.max_frames {
            return Err(PictureError::TooLarge(Excess::Frames));
        }
        let total_pixels = self
            .pixels()
            .saturating_mul(self.frames.into())
            .max(self.total_pixels);
        if total_pixels > limits.max_total_pixels {
            return Err(PictureError::TooLarge(Excess::TotalPixels));
        }
        Ok(())
    }

    /// What a decoder of animations may hold: the canvas, and a frame or two, which may be larger than it.
    pub(super) fn canvas_limit_bytes(&self) -> u64 {
        self.largest_frame.max(self.pixels()).saturating_mul(16)
    }

    pub(super) fn shown_size(&self) -> (u32, u32) {
        if is_turned(self.orientation) {
            (self.height, self.width)
        } else {
            (self.width, self.height)
        }
    }

    fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Counts a frame; one larger than the canvas still costs its own pixels.
    fn count_frame(&mut self, width: u32, height: u32) {
        self.frames = self.frames.saturating_add(1);
        let pixels = (u64::from(width) * u64::from(height)).max(self.pixels());
        self.largest_frame = self.largest_frame.max(pixels);
        self.total_pixels = self.total_pixels.saturating_add(pixels);
    }
}

/// Whether width and height change places.
pub(super) fn is_turned(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// The orientation in an EXIF block, which some writers start with the six bytes that JPEG puts before it.
fn orientation(exif: &[u8]) -> Option<Orientation> {
    Orientation::from_exif_chunk(exif.strip_prefix(b"Exif\0\0").unwrap_or(exif))
}

/// A reader that knows which format it fails to be.
struct Source<'a, R> {
    reader: &'a mut R,
    format: Format,
}

impl<R: BufRead + Seek> Source<'_, R> {
    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        match self.reader.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(broken(self.format)),
            Err(error) => Err(PictureError::Read(error)),
        }
    }

    fn byte(&mut self) -> Result<u8> {
        let [byte] = self.bytes()?;
        Ok(byte)
    }

    fn u16_be(&mut self) -> Result<u16> {
        self.bytes().map(u16::from_be_bytes)
    }

    fn u16_le(&mut self) -> Result<u16> {
        self.bytes().map(u16::from_le_bytes)
    }

    fn u32_be(&mut self) -> Result<u32> {
        self.bytes().map(u32::from_be_bytes)
    }

    fn u32_le(&mut self) -> Result<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u24_le(&mut self) -> Result<u32> {
        let [a, b, c] = self.bytes()?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    /// The next bytes as far as there are any; the callers bound `length`.
    fn take(&mut self, length: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader
            .by_ref()
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(PictureError::Read)?;
        Ok(bytes)
    }

    fn skip(&mut self, length: u64) -> Result<()> {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        self.reader
            .seek_relative(length)
            .map_err(PictureError::Read)
    }

    fn broken(&self) -> PictureError {
        broken(self.format)
    }
}
