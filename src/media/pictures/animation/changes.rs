//! What differs between one frame and the next: only that is stored again.

use super::{Channels, Raster};

/// A rectangle of whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Rect {
    pub(super) fn whole(frame: &Raster) -> Self {
        Self {
            x: 0,
            y: 0,
            width: frame.width,
            height: frame.height,
        }
    }

    /// A frame has at least one pixel, even if nothing changes.
    const LEAST: Self = Self {
        x: 0,
        y: 0,
        width: 1,
        height: 1,
    };
}

/// The smallest rectangle around all pixels that differ. Both frames are of one size, in four channels.
pub(super) fn changed(before: &Raster, after: &Raster) -> Rect {
    let row_bytes = after.width as usize * 4;
    let rows = || {
        before
            .pixels
            .chunks_exact(row_bytes.max(1))
            .zip(after.pixels.chunks_exact(row_bytes.max(1)))
    };
    let mut lines = (u32::MAX, 0);
    let mut columns = (u32::MAX, 0);
    for (y, (row_before, row_after)) in (0..).zip(rows()) {
        if row_before == row_after {
            continue;
        }
        lines = (lines.0.min(y), y);
        let (row_before, _) = row_before.as_chunks::<4>();
        let (row_after, _) = row_after.as_chunks::<4>();
        for (x, (pixel_before, pixel_after)) in (0..).zip(row_before.iter().zip(row_after)) {
            if pixel_before != pixel_after {
                columns = (columns.0.min(x), columns.1.max(x));
            }
        }
    }
    if lines.0 > lines.1 || columns.0 > columns.1 {
        return Rect::LEAST;
    }
    Rect {
        x: columns.0,
        y: lines.0,
        width: columns.1 - columns.0 + 1,
        height: lines.1 - lines.0 + 1,
    }
}

/// The pixels within a rectangle that lies inside the frame.
pub(super) fn cut(frame: &Raster, rect: Rect) -> Raster {
    let row_bytes = frame.width as usize * 4;
    let left = rect.x as usize * 4;
    let right = left + rect.width as usize * 4;
    let pixels = frame
        .pixels
        .chunks_exact(row_bytes.max(1))
        .skip(rect.y as usize)
        .take(rect.height as usize)
        .filter_map(|row| row.get(left..right))
        .flatten()
        .copied()
        .collect();
    Raster {
        width: rect.width,
        height: rect.height,
        channels: Channels::Rgba,
        pixels,
    }
}
