//! What stands in for a picture until it has loaded: a blurred hash of it, and its colour.

use super::picture::Picture;
use super::raster::Raster;

/// The most that a thumbhash is made of, along a side.
const SMALL_SIDE: u32 = 100;

/// Alpha from which a pixel has a say in the dominant colour.
const VISIBLE: u8 = 128;

impl Picture {
    /// A placeholder of about 25 bytes (<https://evanw.github.io/thumbhash/>).
    pub fn thumbhash(&self) -> Vec<u8> {
        let small = self.small();
        let (width, height) = (small.width as usize, small.height as usize);
        if small.pixels.len() != width * height * 4 {
            return Vec::new();
        }
        thumbhash::rgba_to_thumb_hash(width, height, &small.pixels)
    }

    /// The colour that most of the picture has; white where there is nothing to see.
    pub fn dominant_color(&self) -> [u8; 3] {
        // Eight steps a channel, and what fell into each: how much, and its sum.
        let mut buckets = vec![(0_u32, [0_u32; 3]); 512];
        let (pixels, _) = self.small().pixels.as_chunks::<4>();
        for [r, g, b, alpha] in pixels {
            if *alpha < VISIBLE {
                continue;
            }
            let step = |channel: u8| usize::from(channel >> 5);
            let bucket = step(*r) << 6 | step(*g) << 3 | step(*b);
            if let Some((count, [red, green, blue])) = buckets.get_mut(bucket) {
                *count += 1;
                *red += u32::from(*r);
                *green += u32::from(*g);
                *blue += u32::from(*b);
            }
        }
        match buckets.iter().max_by_key(|(count, _)| *count) {
            Some((count @ 1.., sums)) => {
                sums.map(|sum| u8::try_from((sum + count / 2) / count).unwrap_or(u8::MAX))
            }
            _ => [255; 3],
        }
    }

    /// The picture in miniature; a single white pixel if it cannot be had.
    fn small(&self) -> &Raster {
        self.small.get_or_init(|| {
            let blank = Raster {
                width: 1,
                height: 1,
                channels: super::raster::Channels::Rgba,
                pixels: vec![255; 4],
            };
            self.fit(SMALL_SIDE).map_or(blank, Raster::into_rgba)
        })
    }
}
