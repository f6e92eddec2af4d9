//! Animated GIF.

use ::gif::{DisposalMethod, Encoder, Frame, Repeat};

use super::super::encoding;
use super::changes::{Rect, changed, cut};
use super::{Raster, Result};

/// How coarsely the palette's colours are sought: 1 (best) to 30 (fastest).
const SPEED: i32 = 10;

/// Alpha from which a pixel is opaque.
const OPAQUE: u8 = 128;

pub(super) struct Track {
    encoder: Encoder<Vec<u8>>,
    /// The frame to be written next: how it is to be taken away is known once its successor is.
    waiting: Option<(Raster, u32)>,
    /// What can be seen before that frame; nothing, at the start and after clearing.
    shown: Option<Raster>,
    /// Durations so far: GIF counts hundredths, and what rounding loses is caught up with.
    elapsed_ms: u64,
    elapsed_centiseconds: u64,
}

impl Track {
    pub(super) fn new(width: u32, height: u32, plays: u32) -> Result<Self> {
        let side = |side: u32| u16::try_from(side).map_err(encoding);
        let mut encoder =
            Encoder::new(Vec::new(), side(width)?, side(height)?, &[]).map_err(encoding)?;
        // A file that says nothing of it is played once.
        if plays != 1 {
            let repeat = match u16::try_from(plays.saturating_sub(1)).unwrap_or(u16::MAX) {
                0 => Repeat::Infinite,
                repetitions => Repeat::Finite(repetitions),
            };
            encoder.set_repeat(repeat).map_err(encoding)?;
        }
        Ok(Self {
            encoder,
            waiting: None,
            shown: None,
            elapsed_ms: 0,
            elapsed_centiseconds: 0,
        })
    }

    /// Writes the waiting frame. `next` can only be laid over it if nothing that it covers has to vanish.
    fn write(&mut self, next: Option<&Raster>) -> Result<()> {
        let Some((frame, duration_ms)) = self.waiting.take() else {
            return Ok(());
        };
        let is_cleared = next.is_some_and(|next| uncovers(&frame, next));
        let rect = match &self.shown {
            Some(shown) if !is_cleared => changed(shown, &frame),
            _ => Rect::whole(&frame),
        };
        let mut part = cut(&frame, rect);
        if let Some(shown) = &self.shown {
            leave_out(&mut part, &cut(shown, rect));
        }
        let side = |side: u32| u16::try_from(side).map_err(encoding);
        let mut written = Frame::from_rgba_speed(
            side(rect.width)?,
            side(rect.height)?,
            &mut part.pixels,
            SPEED,
        );
        (written.left, written.top) = (side(rect.x)?, side(rect.y)?);
        written.delay = self.delay(duration_ms);
        written.dispose = if is_cleared {
            DisposalMethod::Background
        } else {
            DisposalMethod::Keep
        };
        self.encoder.write_frame(&written).map_err(encoding)?;
        self.shown = (!is_cleared).then_some(frame);
        Ok(())
    }

    /// The next duration in hundredths of a second.
    fn delay(&mut self, duration_ms: u32) -> u16 {
        self.elapsed_ms += u64::from(duration_ms);
        let due = (self.elapsed_ms + 5) / 10;
        let mut delay = due.saturating_sub(self.elapsed_centiseconds);
        // One hundredth is what browsers take for "no pace given", and slow down to a tenth of a second.
        if duration_ms > 10 {
            delay = delay.max(2);
        }
        self.elapsed_centiseconds += delay;
        u16::try_from(delay).unwrap_or(u16::MAX)
    }
}

impl super::Track for Track {
    fn push(&mut self, mut frame: Raster, duration_ms: u32) -> Result<()> {
        let (pixels, _) = frame.pixels.as_chunks_mut::<4>();
        for pixel in pixels {
            *pixel = match *pixel {
                [.., alpha] if alpha < OPAQUE => [0; 4],
                [r, g, b, _] => [r, g, b, 255],
            };
        }
        self.write(Some(&frame))?;
        self.waiting = Some((frame, duration_ms));
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<u8>> {
        self.write(None)?;
        self.encoder.into_inner().map_err(encoding)
    }
}

/// Whether a pixel that can be seen is transparent afterwards.
fn uncovers(before: &Raster, after: &Raster) -> bool {
    let (before, _) = before.pixels.as_chunks::<4>();
    let (after, _) = after.pixels.as_chunks::<4>();
    before
        .iter()
        .zip(after)
        .any(|([.., before], [.., after])| *before != 0 && *after == 0)
}

/// Makes transparent what is shown already: it packs well.
fn leave_out(part: &mut Raster, shown: &Raster) {
    let (part, _) = part.pixels.as_chunks_mut::<4>();
    let (shown, _) = shown.pixels.as_chunks::<4>();
    for (pixel, shown) in part.iter_mut().zip(shown) {
        if pixel == shown {
            *pixel = [0; 4];
        }
    }
}
