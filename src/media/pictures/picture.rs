//! A decoded picture, and the shapes that it is shown in.
//!
//! Its pixels stay as the file had them, lying on their side and in their own colours if need be: turning and converting
//! twelve megapixels costs more than all the rest, doing so with what they are resized to costs next to nothing.

use std::sync::OnceLock;

use image::metadata::Orientation;

use super::Result;
use super::color::ToSrgb;
use super::encode::Rendered;
use super::headers::is_turned;
use super::raster::{Channels, Raster, Region};

/// The longest side that WebP can hold.
pub const MAX_RENDERED_SIDE: u32 = 16_383;

/// A smaller rendering is made from a larger one that has at least this many times its width, else from the source: two
/// resizings by nearly one are softer than one, while those further apart cannot be told from it.
const REUSE_FROM: f64 = 1.5;

/// A decoded still.
pub struct Picture {
    source: Raster,
    orientation: Orientation,
    to_srgb: Option<ToSrgb>,
    pub(super) small: OnceLock<Raster>,
}

/// What to render.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// The whole picture at this width, or its own if that is less.
    Width(u32),
    /// A square of the crop, or of the middle: as wide as `side`, or as there are pixels if that is less. A crop that is
    /// not square gives the square in its middle.
    Square { side: u32, crop: Option<Crop> },
    /// The largest part with these proportions, at this size or less if there are fewer pixels. `focus` says which part,
    /// from -1 (left, top) to 1 (right, bottom).
    Cover {
        width: u32,
        height: u32,
        focus: (f32, f32),
    },
}

/// A part of a picture, in its own pixels as shown. What lies outside is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

/// A part of the picture as shown, and the size to show it at.
struct Plan {
    region: Region,
    width: u32,
    height: u32,
}

impl Picture {
    pub(super) fn new(source: Raster, orientation: Orientation, to_srgb: Option<ToSrgb>) -> Self {
        Self {
            source,
            orientation,
            to_srgb,
            small: OnceLock::new(),
        }
    }

    /// As shown, that is upright.
    pub fn width(&self) -> u32 {
        self.size().0
    }

    /// As shown, that is upright.
    pub fn height(&self) -> u32 {
        self.size().1
    }

    /// Whether any pixel shows what is behind it.
    pub fn has_alpha(&self) -> bool {
        self.source.channels == Channels::Rgba
    }

    pub fn render(&self, shape: &Shape) -> Result<Rendered> {
        let plan = self.plan(shape);
        self.carry_out(&plan).map(Rendered::new)
    }

    /// The whole picture at several widths, largest first, for little more than the cost of the largest. Widths beyond the
    /// picture's own become its own, and each width comes once.
    pub fn render_widths(&self, widths: &[u32]) -> Result<Vec<Rendered>> {
        let mut widths: Vec<u32> = widths.iter().map(|width| self.width_at(*width)).collect();
        widths.sort_unstable_by(|a, b| b.cmp(a));
        widths.dedup();
        let mut renderings: Vec<Rendered> = Vec::with_capacity(widths.len());
        for width in widths {
            let plan = self.plan(&Shape::Width(width));
            let larger = renderings
                .iter()
                .rfind(|larger| f64::from(larger.width()) >= f64::from(width) * REUSE_FROM);
            let rendering = match larger {
                Some(larger) => {
                    let whole = Region::whole(larger.width(), larger.height());
                    larger.raster.resized(whole, plan.width, plan.height)?
                }
                None => self.carry_out(&plan)?,
            };
            renderings.push(Rendered::new(rendering));
        }
        Ok(renderings)
    }

    /// How wide the whole picture comes out that is asked for in this width: no wider than it is, and no higher than any
    /// format holds.
    pub fn width_at(&self, width: u32) -> u32 {
        self.plan(&Shape::Width(width)).width
    }

    /// The whole picture within a square of `side`.
    pub(super) fn fit(&self, side: u32) -> Result<Raster> {
        let (width, height) = self.size();
        let longest = width.max(height);
        let side = side.clamp(1, longest);
        self.carry_out(&Plan {
            region: Region::whole(width, height),
            width: scaled(width, side, longest),
            height: scaled(height, side, longest),
        })
    }

    fn size(&self) -> (u32, u32) {
        let Raster { width, height, .. } = self.source;
        if is_turned(self.orientation) {
            (height, width)
        } else {
            (width, height)
        }
    }

    fn plan(&self, shape: &Shape) -> Plan {
        let (width, height) = self.size();
        let whole = Region::whole(width, height);
        match *shape {
            Shape::Width(wanted) => {
                let wanted = wanted.clamp(1, width.min(MAX_RENDERED_SIDE));
                let height_then = scaled(height, wanted, width);
                // A strip of comics can be longer than any format holds.
                if height_then > MAX_RENDERED_SIDE {
                    return Plan {
                        region: whole,
                        width: scaled(width, MAX_RENDERED_SIDE, height),
                        height: MAX_RENDERED_SIDE,
                    };
                }
                Plan {
                    region: whole,
                    width: wanted,
                    height: height_then,
                }
            }
            Shape::Square { side, crop } => {
                let within = crop.map_or(whole, |crop| crop.within(width, height));
                Plan::cover(within, side, side, (0.0, 0.0))
            }
            Shape::Cover {
                width,
                height,
                focus,
            } => Plan::cover(whole, width, height, focus),
        }
    }

    fn carry_out(&self, plan: &Plan) -> Result<Raster> {
        let region = self.stored(plan.region);
        let (width, height) = if is_turned(self.orientation) {
            (plan.height, plan.width)
        } else {
            (plan.width, plan.height)
        };
        let mut raster = self.source.resized(region, width, height)?;
        if let Some(to_srgb) = &self.to_srgb {
            to_srgb.apply(&mut raster);
        }
        raster.oriented(self.orientation)
    }

    /// Where a region of the picture as shown lies among the pixels as stored.
    fn stored(&self, shown: Region) -> Region {
        let Region {
            x,
            y,
            width,
            height,
        } = shown;
        let from_right = f64::from(self.source.width) - x - width;
        let from_bottom = f64::from(self.source.height) - y - height;
        // The same, for what changes places.
        let turned_from_right = f64::from(self.source.width) - y - height;
        let turned_from_bottom = f64::from(self.source.height) - x - width;
        let (x, y) = match self.orientation {
            Orientation::NoTransforms => (x, y),
            Orientation::FlipHorizontal => (from_right, y),
            Orientation::Rotate180 => (from_right, from_bottom),
            Orientation::FlipVertical => (x, from_bottom),
            Orientation::Rotate90FlipH => (y, x),
            Orientation::Rotate90 => (y, turned_from_bottom),
            Orientation::Rotate270FlipH => (turned_from_right, turned_from_bottom),
            Orientation::Rotate270 => (turned_from_right, x),
        };
        let (width, height) = if is_turned(self.orientation) {
            (height, width)
        } else {
            (width, height)
        };
        // Sums of fractions may end a hair outside.
        Region {
            x: x.max(0.0),
            y: y.max(0.0),
            width: width.min(f64::from(self.source.width) - x.max(0.0)),
            height: height.min(f64::from(self.source.height) - y.max(0.0)),
        }
    }
}

impl Crop {
    /// Cut off at the edges, and at least one pixel.
    fn within(self, width: u32, height: u32) -> Region {
        let x = self.x.min(width.saturating_sub(1));
        let y = self.y.min(height.saturating_sub(1));
        Region {
            x: x.into(),
            y: y.into(),
            width: self.width.clamp(1, (width - x).max(1)).into(),
            height: self.height.clamp(1, (height - y).max(1)).into(),
        }
    }
}

impl Plan {
    /// The part of `within` that has the proportions of `width` to `height`.
    fn cover(within: Region, width: u32, height: u32, focus: (f32, f32)) -> Self {
        let (width, height) = (
            width.clamp(1, MAX_RENDERED_SIDE),
            height.clamp(1, MAX_RENDERED_SIDE),
        );
        // Source pixels for each rendered one.
        let scale = (within.width / f64::from(width)).min(within.height / f64::from(height));
        let region_width = f64::from(width) * scale;
        let region_height = f64::from(height) * scale;
        let shrunk = |side: u32| whole(f64::from(side) * scale.min(1.0)).min(side);
        Self {
            region: Region {
                x: within.x + (within.width - region_width).max(0.0) * share(focus.0),
                y: within.y + (within.height - region_height).max(0.0) * share(focus.1),
                width: region_width,
                height: region_height,
            },
            width: shrunk(width),
            height: shrunk(height),
        }
    }
}

/// Of what does not fit, how much is cut off before the part that is shown.
fn share(focus: f32) -> f64 {
    if focus.is_finite() {
        f64::midpoint(focus.clamp(-1.0, 1.0).into(), 1.0)
    } else {
        0.5
    }
}

/// `length * numerator / denominator`, to the nearest, at least 1.
pub(super) fn scaled(length: u32, numerator: u32, denominator: u32) -> u32 {
    let denominator = u64::from(denominator.max(1));
    let product = u64::from(length) * u64::from(numerator);
    let rounded = (product + denominator / 2) / denominator;
    u32::try_from(rounded).unwrap_or(u32::MAX).max(1)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and a side is neither negative nor near the limit"
)]
fn whole(length: f64) -> u32 {
    (length.round() as u32).max(1)
}
