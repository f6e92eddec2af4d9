//! Animated WebP: each frame is encoded as a still, of which the container then takes the bitstream. libwebp's own
//! animation encoder would want all frames at once.

use super::super::encode;
use super::changes::{Rect, changed, cut};
use super::{Raster, Result};

/// Frames are many and pass by: less effort than for a still.
const QUALITY: f32 = 75.0;
const METHOD: i32 = 2;

/// Durations have 24 bits.
const MAX_DURATION_MS: u32 = (1 << 24) - 1;

const HAS_ALPHA: u8 = 0x10;
const IS_ANIMATED: u8 = 0x02;
/// The frame replaces what it covers, instead of being blended with it.
const REPLACES: u8 = 0x02;

pub(super) struct Track {
    width: u32,
    height: u32,
    plays: u32,
    /// The `ANMF` chunks.
    frames: Vec<u8>,
    previous: Option<Raster>,
    has_alpha: bool,
}

impl Track {
    pub(super) fn new(width: u32, height: u32, plays: u32) -> Self {
        Self {
            width,
            height,
            plays,
            frames: Vec::new(),
            previous: None,
            has_alpha: false,
        }
    }
}

impl super::Track for Track {
    fn push(&mut self, frame: Raster, duration_ms: u32) -> Result<()> {
        let rect = match &self.previous {
            Some(previous) => on_even_pixels(changed(previous, &frame)),
            None => Rect::whole(&frame),
        };
        let still = encode::webp(&cut(&frame, rect), QUALITY, METHOD)?;
        let mut chunk = Vec::with_capacity(still.len() + 24);
        chunk.extend(u24(rect.x / 2));
        chunk.extend(u24(rect.y / 2));
        chunk.extend(u24(rect.width - 1));
        chunk.extend(u24(rect.height - 1));
        chunk.extend(u24(duration_ms.min(MAX_DURATION_MS)));
        chunk.push(REPLACES);
        for (kind, body) in chunks(&still) {
            match &kind {
                b"ALPH" => self.has_alpha = true,
                b"VP8 " => {}
                _ => continue,
            }
            put(&mut chunk, kind, body)?;
        }
        put(&mut self.frames, *b"ANMF", &chunk)?;
        self.previous = Some(frame);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>> {
        let mut file = Vec::with_capacity(self.frames.len() + 64);
        file.extend(b"WEBP");
        let alpha = if self.has_alpha { HAS_ALPHA } else { 0 };
        let mut extended = vec![IS_ANIMATED | alpha, 0, 0, 0];
        extended.extend(u24(self.width - 1));
        extended.extend(u24(self.height - 1));
        put(&mut file, *b"VP8X", &extended)?;
        // A transparent background, and how often to play.
        let mut animation = vec![0; 4];
        let plays = u16::try_from(self.plays).unwrap_or(u16::MAX);
        animation.extend(plays.to_le_bytes());
        put(&mut file, *b"ANIM", &animation)?;
        file.extend(self.frames);
        let mut riff = Vec::with_capacity(file.len() + 8);
        put(&mut riff, *b"RIFF", &file)?;
        Ok(riff)
    }
}

/// A frame's corner has even coordinates.
fn on_even_pixels(rect: Rect) -> Rect {
    Rect {
        x: rect.x & !1,
        y: rect.y & !1,
        width: rect.width + rect.x % 2,
        height: rect.height + rect.y % 2,
    }
}

fn u24(number: u32) -> [u8; 3] {
    let [a, b, c, _] = number.to_le_bytes();
    [a, b, c]
}

/// Appends a chunk, padded to an even length.
fn put(file: &mut Vec<u8>, kind: [u8; 4], body: &[u8]) -> Result<()> {
    let length = u32::try_from(body.len()).map_err(super::super::encoding)?;
    file.extend(kind);
    file.extend(length.to_le_bytes());
    file.extend(body);
    if length % 2 == 1 {
        file.push(0);
    }
    Ok(())
}

/// The chunks of a still.
fn chunks(still: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = still.get(12..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (kind, after) = rest.split_first_chunk::<4>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let body = after.get(..length)?;
        rest = after.get(length + length % 2..).unwrap_or_default();
        Some((*kind, body))
    })
}
