//! Colours of other spaces than sRGB, brought there: what is served names no profile, and so is taken for sRGB.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use moxcms::{ColorProfile, DataColorSpace, Layout, Transform8BitExecutor, TransformOptions};

use super::raster::{Channels, Raster};

/// Profiles are some kilobytes; printers' reach a few megabytes.
const MAX_PROFILE_BYTES: usize = 4 << 20;

/// Pixels that are converted at a time: their copy stays in the nearest cache.
const STRIDE: usize = 1024;

/// The way from the space of one picture to sRGB.
#[derive(Clone)]
pub(super) enum ToSrgb {
    Color {
        executor: Arc<Transform8BitExecutor>,
        channels: Channels,
    },
    /// What each shade of grey becomes.
    Gray(Box<[[u8; 3]]>),
}

impl ToSrgb {
    /// None where there is nothing to convert: the profile is sRGB, or cannot be read, or is not one of the pixels' own
    /// space. That is what browsers do with such a profile, too.
    pub(super) fn from_profile(profile: &[u8], channels: Channels, is_gray: bool) -> Option<Self> {
        if profile.len() > MAX_PROFILE_BYTES {
            return None;
        }
        // A profile is a small program from a stranger.
        let way = catch_unwind(|| Self::build(profile, channels, is_gray)).ok()??;
        (!way.changes_nothing()).then_some(way)
    }

    fn build(profile: &[u8], channels: Channels, is_gray: bool) -> Option<Self> {
        let profile = ColorProfile::new_from_slice(profile).ok()?;
        let srgb = ColorProfile::new_srgb();
        let options = TransformOptions::default();
        match profile.color_space {
            DataColorSpace::Rgb => {
                let layout = match channels {
                    Channels::Rgb => Layout::Rgb,
                    Channels::Rgba => Layout::Rgba,
                };
                let executor = profile
                    .create_transform_8bit(layout, &srgb, layout, options)
                    .ok()?;
                Some(Self::Color { executor, channels })
            }
            DataColorSpace::Gray if is_gray => {
                let executor = profile
                    .create_transform_8bit(Layout::Gray, &srgb, Layout::Rgb, options)
                    .ok()?;
                let shades: Vec<u8> = (0..=u8::MAX).collect();
                let mut colors = vec![0; 3 * shades.len()];
                executor.transform(&shades, &mut colors).ok()?;
                let (colors, _) = colors.as_chunks::<3>();
                Some(Self::Gray(colors.into()))
            }
            _ => None,
        }
    }

    /// Most profiles are sRGB by one name or another; a cube of colours tells better than names.
    fn changes_nothing(&self) -> bool {
        let (channels, before) = match self {
            Self::Gray(_) => (
                Channels::Rgb,
                (0..=u8::MAX).flat_map(|shade| [shade; 3]).collect(),
            ),
            Self::Color { channels, .. } => (*channels, cube(*channels)),
        };
        let pixels = before.len() / channels.count();
        let mut probe = Raster {
            width: u32::try_from(pixels).unwrap_or_default(),
            height: 1,
            channels,
            pixels: before.clone(),
        };
        self.apply(&mut probe);
        before
            .iter()
            .zip(&probe.pixels)
            .all(|(before, after)| before.abs_diff(*after) <= 2)
    }

    /// Converts in place.
    pub(super) fn apply(&self, raster: &mut Raster) {
        match self {
            Self::Color { executor, channels } if *channels == raster.channels => {
                for part in raster.pixels.chunks_mut(STRIDE * channels.count()) {
                    let before = part.to_vec();
                    let done = catch_unwind(AssertUnwindSafe(|| executor.transform(&before, part)));
                    // Colours a little off are better than no picture.
                    if !matches!(done, Ok(Ok(()))) {
                        part.copy_from_slice(&before);
                        return;
                    }
                }
            }
            Self::Color { .. } => {}
            Self::Gray(shades) => {
                for pixel in raster.pixels.chunks_exact_mut(raster.channels.count()) {
                    if let [r, g, b, ..] = pixel
                        && let Some([red, green, blue]) = shades.get(usize::from(*r))
                    {
                        (*r, *g, *b) = (*red, *green, *blue);
                    }
                }
            }
        }
    }
}

/// Colours all through the space, six steps a side.
fn cube(channels: Channels) -> Vec<u8> {
    let steps = || (0..=u8::MAX).step_by(51);
    steps()
        .flat_map(|r| steps().flat_map(move |g| steps().map(move |b| [r, g, b, u8::MAX])))
        .flat_map(|pixel| pixel.into_iter().take(channels.count()))
        .collect()
}
