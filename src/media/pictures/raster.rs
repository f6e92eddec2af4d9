//! Pixels in rows, eight bits a channel, and how they are resized and turned.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{DynamicImage, RgbImage, RgbaImage};

use super::{Result, encoding};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channels {
    Rgb,
    Rgba,
}

impl Channels {
    pub(super) fn count(self) -> usize {
        match self {
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

/// As many pixels as its size says, of as many bytes as its channels say.
#[derive(Clone, Debug)]
pub(super) struct Raster {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) channels: Channels,
    pub(super) pixels: Vec<u8>,
}

/// A part of a raster, in pixels, which need not be whole ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Region {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Region {
    pub(super) fn whole(width: u32, height: u32) -> Self {
        Self {
            x: 0.0,
            y: 0.0,
            width: width.into(),
            height: height.into(),
        }
    }
}

impl Raster {
    /// Takes any decoded image over, without copying one of three or four channels of eight bits.
    pub(super) fn from_image(image: DynamicImage) -> Self {
        let has_alpha = image.color().has_alpha();
        let (width, height) = (image.width(), image.height());
        if has_alpha {
            let mut raster = Self {
                width,
                height,
                channels: Channels::Rgba,
                pixels: image.into_rgba8().into_raw(),
            };
            raster.drop_idle_alpha();
            raster
        } else {
            Self {
                width,
                height,
                channels: Channels::Rgb,
                pixels: image.into_rgb8().into_raw(),
            }
        }
    }

    /// Drops an alpha channel that hides nothing, in place.
    fn drop_idle_alpha(&mut self) {
        let (pixels, _) = self.pixels.as_chunks::<4>();
        if self.channels == Channels::Rgb || pixels.iter().any(|[.., alpha]| *alpha != 255) {
            return;
        }
        let length = pixels.len() * 3;
        for (to, from) in (0..length).step_by(3).zip((0..).step_by(4)) {
            self.pixels.copy_within(from..from + 3, to);
        }
        self.pixels.truncate(length);
        self.pixels.shrink_to_fit();
        self.channels = Channels::Rgb;
    }

    /// The region at another size.
    pub(super) fn resized(&self, region: Region, width: u32, height: u32) -> Result<Self> {
        let is_whole = region == Region::whole(self.width, self.height);
        if is_whole && (width, height) == (self.width, self.height) {
            return Ok(self.clone());
        }
        let kind = match self.channels {
            Channels::Rgb => PixelType::U8x3,
            Channels::Rgba => PixelType::U8x4,
        };
        let source =
            ImageRef::new(self.width, self.height, &self.pixels, kind).map_err(encoding)?;
        let mut target = Image::new(width, height, kind);
        let mut options =
            ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
        if !is_whole {
            options = options.crop(region.x, region.y, region.width, region.height);
        }
        Resizer::new()
            .resize(&source, &mut target, &options)
            .map_err(encoding)?;
        Ok(Self {
            width,
            height,
            channels: self.channels,
            pixels: target.into_vec(),
        })
    }

    pub(super) fn oriented(self, orientation: Orientation) -> Result<Self> {
        if orientation == Orientation::NoTransforms {
            return Ok(self);
        }
        let Self {
            width,
            height,
            channels,
            pixels,
        } = self;
        let image = match channels {
            Channels::Rgb => RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
            Channels::Rgba => {
                RgbaImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgba8)
            }
        };
        let mut image = image.ok_or_else(|| encoding("a raster of the wrong length"))?;
        image.apply_orientation(orientation);
        Ok(Self {
            width: image.width(),
            height: image.height(),
            channels,
            pixels: image.into_bytes(),
        })
    }

    /// Four channels, whatever there are.
    pub(super) fn into_rgba(self) -> Self {
        if self.channels == Channels::Rgba {
            return self;
        }
        let (pixels, _) = self.pixels.as_chunks::<3>();
        Self {
            pixels: pixels
                .iter()
                .flat_map(|[r, g, b]| [*r, *g, *b, 255])
                .collect(),
            channels: Channels::Rgba,
            ..self
        }
    }

    /// Three channels: what is transparent shows white behind it.
    pub(super) fn on_white(&self) -> Vec<u8> {
        let (pixels, _) = self.pixels.as_chunks::<4>();
        pixels
            .iter()
            .flat_map(|[r, g, b, alpha]| [r, g, b].map(|channel| over_white(*channel, *alpha)))
            .collect()
    }
}

fn over_white(channel: u8, alpha: u8) -> u8 {
    let (channel, alpha) = (u32::from(channel), u32::from(alpha));
    let mixed = (channel * alpha + 255 * (255 - alpha) + 127) / 255;
    u8::try_from(mixed).unwrap_or(u8::MAX)
}
