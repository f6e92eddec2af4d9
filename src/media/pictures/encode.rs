//! From pixels to what is served.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use jpeg_encoder::{ColorType, SamplingFactor};

use super::raster::{Channels, Raster};
use super::{Result, encoding};

const JPEG_QUALITY: u8 = 82;
/// The coarse picture, then all the rest: as small as a JPEG that is not progressive, while the usual four scans cost a
/// tenth more.
const JPEG_SCANS: u8 = 2;
const WEBP_QUALITY: f32 = 80.0;
/// libwebp's effort, 0 to 6. The usual 4 takes three times as long as 2, for files a twentieth smaller.
const WEBP_METHOD: i32 = 2;

/// A picture at the size at which it is served: upright, in sRGB.
#[derive(Clone)]
pub struct Rendered {
    pub(super) raster: Raster,
}

/// How a still is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Lossy; keeps transparency.
    WebP,
    /// Progressive; what is transparent becomes white.
    Jpeg,
    /// Lossless; keeps transparency.
    Png,
}

impl Rendered {
    pub(super) fn new(raster: Raster) -> Self {
        Self { raster }
    }

    pub fn width(&self) -> u32 {
        self.raster.width
    }

    pub fn height(&self) -> u32 {
        self.raster.height
    }

    pub fn has_alpha(&self) -> bool {
        self.raster.channels == Channels::Rgba
    }

    pub fn encode(&self, encoding: Encoding) -> Result<Vec<u8>> {
        match encoding {
            Encoding::WebP => webp(&self.raster, WEBP_QUALITY, WEBP_METHOD),
            Encoding::Jpeg => jpeg(&self.raster),
            Encoding::Png => png(&self.raster),
        }
    }
}

pub(super) fn webp(raster: &Raster, quality: f32, method: i32) -> Result<Vec<u8>> {
    let Raster {
        width,
        height,
        pixels,
        ..
    } = raster;
    let encoder = match raster.channels {
        Channels::Rgb => webp::Encoder::from_rgb(pixels, *width, *height),
        Channels::Rgba => webp::Encoder::from_rgba(pixels, *width, *height),
    };
    let mut config =
        webp::WebPConfig::new().map_err(|()| encoding("libwebp is of another version"))?;
    config.quality = quality;
    config.method = method;
    let file = encoder
        .encode_advanced(&config)
        .map_err(|error| encoding(format!("libwebp: {error:?}")))?;
    Ok(file.to_vec())
}

fn jpeg(raster: &Raster) -> Result<Vec<u8>> {
    let side = |side: u32| u16::try_from(side).map_err(encoding);
    let (width, height) = (side(raster.width)?, side(raster.height)?);
    let mut file = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut file, JPEG_QUALITY);
    encoder.set_progressive_scans(JPEG_SCANS);
    encoder.set_optimized_huffman_tables(true);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    match raster.channels {
        Channels::Rgb => encoder.encode(&raster.pixels, width, height, ColorType::Rgb),
        Channels::Rgba => encoder.encode(&raster.on_white(), width, height, ColorType::Rgb),
    }
    .map_err(encoding)?;
    Ok(file)
}

pub(super) fn png(raster: &Raster) -> Result<Vec<u8>> {
    let color = match raster.channels {
        Channels::Rgb => ExtendedColorType::Rgb8,
        Channels::Rgba => ExtendedColorType::Rgba8,
    };
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(&raster.pixels, raster.width, raster.height, color)
        .map_err(encoding)?;
    Ok(file)
}
