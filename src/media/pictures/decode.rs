//! From a file to pixels: a still, or the first frame of what moves.

use std::io::{BufRead, Cursor, ErrorKind, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::{gif::GifDecoder, jpeg::JpegDecoder, png::PngDecoder, webp::WebPDecoder};
use image::error::ImageError;
use image::{DynamicImage, ImageDecoder};

use super::color::ToSrgb;
use super::headers::{Header, is_whole_jpeg};
use super::picture::Picture;
use super::raster::Raster;
use super::{Excess, Format, Limits, PictureError, Result, broken};

/// What a PNG's texts, profile and rows may take while it is read; its pixels are counted apart.
const MAX_PNG_CHUNK_BYTES: u64 = 16 << 20;

impl Picture {
    /// Decodes a file from its start. A file that is cut short is [`PictureError::Broken`], even where a part of it could
    /// be shown: nobody means to publish half a photo.
    pub fn decode(
        mut reader: impl BufRead + Seek,
        format: Format,
        limits: &Limits,
    ) -> Result<Self> {
        let header = Header::read(&mut reader, format)?;
        header.check(limits)?;
        let file = read_all(reader, &header)?;
        header.check_file(&file, limits)?;
        let (image, profile) = guarded(format, || match format {
            Format::Jpeg => {
                if !is_whole_jpeg(&file) {
                    return Err(broken(format));
                }
                let decoder = JpegDecoder::new(Cursor::new(&*file));
                pixels(decoder, &header, limits)
            }
            Format::Png => {
                let mut png_limits = image::Limits::no_limits();
                png_limits.max_alloc = Some(MAX_PNG_CHUNK_BYTES.min(limits.max_memory_bytes));
                let decoder = PngDecoder::with_limits(Cursor::new(&*file), png_limits);
                pixels(decoder, &header, limits)
            }
            Format::Gif => pixels(GifDecoder::new(Cursor::new(&*file)), &header, limits),
            Format::WebP => pixels(WebPDecoder::new(Cursor::new(&*file)), &header, limits),
        })?;
        drop(file);
        let is_gray = !image.color().has_color();
        let raster = Raster::from_image(image);
        let to_srgb =
            profile.and_then(|profile| ToSrgb::from_profile(&profile, raster.channels, is_gray));
        Ok(Self::new(raster, header.orientation, to_srgb))
    }
}

/// Reads a whole file, whose size has been checked against the limits.
pub(super) fn read_all(mut reader: impl BufRead + Seek, header: &Header) -> Result<Vec<u8>> {
    reader.rewind().map_err(PictureError::Read)?;
    let size_bytes = usize::try_from(header.size_bytes)
        .map_err(|_too_large| PictureError::TooLarge(Excess::Bytes))?;
    let mut file = Vec::with_capacity(size_bytes);
    reader
        .take(header.size_bytes)
        .read_to_end(&mut file)
        .map_err(PictureError::Read)?;
    Ok(file)
}

/// Decodes the pixels of a file; its profile, too, if there is one.
fn pixels<D: ImageDecoder>(
    decoder: image::ImageResult<D>,
    header: &Header,
    limits: &Limits,
) -> Result<(DynamicImage, Option<Vec<u8>>)> {
    let format = header.format;
    let fault = |error| fault(format, error);
    let mut decoder = decoder.map_err(fault)?;
    // The size that was checked must be the one that is allocated.
    if decoder.dimensions() != (header.width, header.height) {
        return Err(broken(format));
    }
    let mut image_limits = image::Limits::no_limits();
    image_limits.max_alloc = Some(limits.max_memory_bytes);
    decoder.set_limits(image_limits).map_err(fault)?;
    let profile = decoder.icc_profile().unwrap_or_default();
    let image = DynamicImage::from_decoder(decoder).map_err(fault)?;
    Ok((image, profile))
}

/// What a decoder's error means. It reads from memory, so that an end too soon is the file's own.
pub(super) fn fault(format: Format, error: ImageError) -> PictureError {
    match error {
        ImageError::Limits(_) => PictureError::TooLarge(Excess::Bytes),
        ImageError::IoError(error) if error.kind() == ErrorKind::OutOfMemory => {
            PictureError::TooLarge(Excess::Bytes)
        }
        ImageError::Unsupported(_) => PictureError::Unsupported {
            format,
            source: Box::new(error),
        },
        _ => PictureError::Broken {
            format,
            source: Some(Box::new(error)),
        },
    }
}

/// Runs a decoder, and takes its panic for a broken file: there is no proof that the decoders never panic.
pub(super) fn guarded<T>(format: Format, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_panic| Err(broken(format)))
}
