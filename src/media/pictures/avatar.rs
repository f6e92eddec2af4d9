//! The avatar of those who have given none: a rosette on a ground of two tones, both from a seed, so that one person
//! always has the same and two hardly ever do. Written as SVG, or drawn as PNG by the same numbers.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "small numbers between coordinates and pixels; `as` saturates"
)]

use std::f64::consts::TAU;
use std::fmt::Write;

use super::Result;
use super::encode::png;
use super::raster::{Channels, Raster};

/// The drawing's own side, whatever it is rendered at.
const SIDE: f64 = 100.0;
const CENTER: f64 = SIDE / 2.0;

/// The hues of the ground, in degrees: all but the yellows, which turn to mud in the dark.
const FRESH: (f64, f64) = (138.0, 418.0);

/// The largest PNG.
const MAX_PNG_SIDE: u32 = 1024;

/// The avatar as SVG: a picture with `label` as its name, without scripts, styles or references to elsewhere.
pub fn default_avatar_svg(seed: &[u8], label: &str) -> String {
    let Drawing {
        id,
        ground,
        towards,
        shapes,
    } = Drawing::from_seed(seed);
    let label = escape(label);
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" role="img" aria-label="{label}"><title>{label}</title><defs><linearGradient id="g{id:016x}" gradientUnits="userSpaceOnUse" x1="{}" y1="{}" x2="{}" y2="{}"><stop stop-color="{}"/><stop offset="1" stop-color="{}"/></linearGradient></defs><rect width="100" height="100" fill="url(#g{id:016x})"/>"#,
        SIDE - towards.0,
        SIDE - towards.1,
        towards.0,
        towards.1,
        hex(ground.0),
        hex(ground.1),
    );
    for shape in shapes {
        // Writing to a string cannot fail.
        let _infallible = write!(
            svg,
            r#"<ellipse cx="{}" cy="{}" rx="{}" ry="{}" transform="rotate({} {0} {1})" fill="{}" fill-opacity="{}"/>"#,
            shape.x,
            shape.y,
            shape.radius_along,
            shape.radius_across,
            shape.degrees,
            hex(shape.color),
            shape.opacity,
        );
    }
    svg.push_str("</svg>");
    svg
}

/// The same drawing as PNG, `side` pixels wide and high (1 to 1024).
pub fn default_avatar_png(seed: &[u8], side: u32) -> Result<Vec<u8>> {
    let side = side.clamp(1, MAX_PNG_SIDE);
    let drawing = Drawing::from_seed(seed);
    let unit = SIDE / f64::from(side);
    let at = |pixel: u32| (f64::from(pixel) + 0.5) * unit;
    let mut pixels = Vec::with_capacity(side as usize * side as usize * 3);
    for y in 0..side {
        for x in 0..side {
            pixels.extend(drawing.color_at(at(x), at(y), unit));
        }
    }
    png(&Raster {
        width: side,
        height: side,
        channels: Channels::Rgb,
        pixels,
    })
}

type Rgb = [u8; 3];

struct Drawing {
    id: u64,
    /// The two tones, and the corner where the second is reached; the first is in the corner across.
    ground: (Rgb, Rgb),
    towards: (f64, f64),
    /// From back to front.
    shapes: Vec<Ellipse>,
}

struct Ellipse {
    x: f64,
    y: f64,
    /// Along the axis that `degrees` turns away from the horizontal, clockwise.
    radius_along: f64,
    radius_across: f64,
    degrees: f64,
    /// Of `degrees`.
    sin_cos: (f64, f64),
    color: Rgb,
    opacity: f64,
}

impl Drawing {
    fn from_seed(seed: &[u8]) -> Self {
        let mut dice = Dice::new(seed);
        let id = dice.state;
        let hue = dice.between(FRESH.0, FRESH.1);
        // Neighbours on the colour wheel go together; either side will do, if it is a fresh colour.
        let mut aside = dice.pick(&[-1.0, 1.0]) * dice.between(28.0, 55.0);
        if !(FRESH.0..=FRESH.1).contains(&(hue + aside)) {
            aside = -aside;
        }
        let ground = (
            oklch(dice.between(0.66, 0.73), 0.125, hue),
            oklch(dice.between(0.44, 0.50), 0.135, hue + aside),
        );
        let towards = dice.pick(&[(SIDE, SIDE), (0.0, SIDE)]);
        let pale = oklch(0.97, 0.02, hue);
        let tint = oklch(0.90, 0.085, hue - 1.2 * aside);
        let deep = oklch(0.36, 0.09, hue + aside);
        let petals = dice.pick(&[4_u32, 5, 6, 7, 8]);
        let start = dice.pick(&[0.0, 0.5]);
        let mut drawing = Self {
            id,
            ground,
            towards,
            shapes: Vec::new(),
        };
        // A wide ring behind, one in its gaps, and a heart. Fewer petals are broader.
        let breadth = 4.6 / f64::from(petals) + 0.28;
        let reach = dice.between(36.0, 41.0);
        drawing.ring(&Ring {
            petals,
            start,
            inner: 4.0,
            outer: reach,
            breadth: breadth * dice.between(0.80, 1.05),
            color: pale,
            opacity: 0.34,
        });
        match dice.pick(&[0, 1, 2]) {
            // Petals in the gaps.
            0 => drawing.ring(&Ring {
                petals,
                start: start + 0.5,
                inner: 3.0,
                outer: reach * dice.between(0.62, 0.78),
                breadth: breadth * dice.between(0.65, 0.85),
                color: tint,
                opacity: 0.72,
            }),
            // Round dots in the gaps, near the rim.
            1 => {
                let size = reach * 0.30 * (5.0 / f64::from(petals)).min(1.0);
                drawing.ring(&Ring {
                    petals,
                    start: start + 0.5,
                    inner: reach - size,
                    outer: reach + 2.0,
                    breadth: 1.0,
                    color: tint,
                    opacity: 0.85,
                });
                drawing.ring(&Ring {
                    petals,
                    start,
                    inner: 3.0,
                    outer: reach * 0.60,
                    breadth: breadth * 0.60,
                    color: pale,
                    opacity: 0.60,
                });
            }
            // Petals within petals.
            _ => drawing.ring(&Ring {
                petals,
                start,
                inner: 7.0,
                outer: reach * dice.between(0.78, 0.86),
                breadth: breadth * 0.50,
                color: tint,
                opacity: 0.80,
            }),
        }
        let heart = dice.between(9.0, 12.5);
        drawing.disc(heart, pale, 0.95);
        drawing.disc(heart * dice.between(0.42, 0.6), deep, 0.9);
        drawing
    }

    /// Petals around the centre, all alike.
    fn ring(&mut self, ring: &Ring) {
        let along = (ring.outer - ring.inner) / 2.0;
        let distance = ring.inner + along;
        for petal in 0..ring.petals {
            let turn = (f64::from(petal) + ring.start) / f64::from(ring.petals);
            // The first points up.
            let (sin, cos) = (turn * TAU - TAU / 4.0).sin_cos();
            let degrees = rounded(turn * 360.0 - 90.0);
            self.shapes.push(Ellipse {
                x: rounded(CENTER + distance * cos),
                y: rounded(CENTER + distance * sin),
                radius_along: rounded(along),
                radius_across: rounded(along * ring.breadth.min(1.0)),
                degrees,
                sin_cos: degrees.to_radians().sin_cos(),
                color: ring.color,
                opacity: ring.opacity,
            });
        }
    }

    fn disc(&mut self, radius: f64, color: Rgb, opacity: f64) {
        self.shapes.push(Ellipse {
            x: CENTER,
            y: CENTER,
            radius_along: rounded(radius),
            radius_across: rounded(radius),
            degrees: 0.0,
            sin_cos: (0.0, 1.0),
            color,
            opacity,
        });
    }

    /// The colour of the pixel around a point; `unit` is a pixel's side.
    fn color_at(&self, x: f64, y: f64, unit: f64) -> Rgb {
        // How far along the diagonal, which for the other diagonal is mirrored.
        let across = if self.towards.0 > 0.0 { x } else { SIDE - x };
        let mut color = mix(
            self.ground.0.map(f64::from),
            self.ground.1,
            f64::midpoint(across, y) / SIDE,
        );
        for shape in &self.shapes {
            let coverage = (0.5 - shape.distance(x, y) / unit).clamp(0.0, 1.0);
            if coverage > 0.0 {
                color = mix(color, shape.color, coverage * shape.opacity);
            }
        }
        color.map(|channel| channel.round() as u8)
    }
}

struct Ring {
    petals: u32,
    /// Of the first petal, in petals.
    start: f64,
    /// Where petals begin and end, from the centre.
    inner: f64,
    outer: f64,
    /// Of a petal, as a share of its length.
    breadth: f64,
    color: Rgb,
    opacity: f64,
}

impl Ellipse {
    /// From the rim to a point, negative inside. To the first order, which is exact near the rim, where it matters.
    fn distance(&self, x: f64, y: f64) -> f64 {
        let (sin, cos) = self.sin_cos;
        let (x, y) = (x - self.x, y - self.y);
        // Far away, which is the most common case, any bound will do.
        let beyond = x.abs().max(y.abs()) - self.radius_along.max(self.radius_across);
        if beyond > 4.0 {
            return beyond;
        }
        let (along, across) = (x * cos + y * sin, y * cos - x * sin);
        let (along, across) = (along / self.radius_along, across / self.radius_across);
        let norm = length(along, across);
        let slope = length(along / self.radius_along, across / self.radius_across);
        if slope <= f64::EPSILON {
            return -self.radius_across.min(self.radius_along);
        }
        norm * (norm - 1.0) / slope
    }
}

/// A stream of choices that follows from a seed: `SplitMix64` over FNV-1a, both of which will never change.
struct Dice {
    state: u64,
}

impl Dice {
    fn new(seed: &[u8]) -> Self {
        let state = seed.iter().fold(0xCBF2_9CE4_8422_2325_u64, |state, byte| {
            (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        Self { state }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        let share = (self.next() >> 32) as f64 / f64::from(u32::MAX);
        low + (high - low) * share
    }

    fn pick<T: Copy, const N: usize>(&mut self, choices: &[T; N]) -> T {
        const { assert!(N > 0) };
        let index = self.next() % N as u64;
        choices[index as usize]
    }
}

/// `hypot` without its care for numbers that would overflow, which costs ten times as much.
fn length(x: f64, y: f64) -> f64 {
    (x * x + y * y).sqrt()
}

/// Hundredths: as many digits as the SVG has, so that both drawings are of the same numbers.
fn rounded(coordinate: f64) -> f64 {
    (coordinate * 100.0).round() / 100.0
}

fn mix(below: [f64; 3], above: Rgb, share: f64) -> [f64; 3] {
    let [r, g, b] = below;
    let [red, green, blue] = above.map(f64::from);
    [
        r + (red - r) * share,
        g + (green - g) * share,
        b + (blue - b) * share,
    ]
}

/// A colour by lightness, chroma and hue as they are seen (<https://bottosson.github.io/posts/oklab/>), so that all hues
/// come out equally strong. Chroma gives way where sRGB has no such colour.
fn oklch(lightness: f64, chroma: f64, hue_degrees: f64) -> Rgb {
    let (sin, cos) = hue_degrees.to_radians().sin_cos();
    let mut chroma = chroma;
    loop {
        let linear = linear_srgb(lightness, chroma * cos, chroma * sin);
        if chroma <= 0.0 || linear.iter().all(|channel| (0.0..=1.0).contains(channel)) {
            return linear.map(|channel| {
                let channel = channel.clamp(0.0, 1.0);
                let encoded = if channel <= 0.003_130_8 {
                    12.92 * channel
                } else {
                    1.055 * channel.powf(1.0 / 2.4) - 0.055
                };
                (encoded * 255.0).round() as u8
            });
        }
        chroma -= 0.005;
    }
}

fn linear_srgb(lightness: f64, a: f64, b: f64) -> [f64; 3] {
    let long = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let medium = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let short = (lightness - 0.089_484_177_5 * a - 1.291_485_548 * b).powi(3);
    [
        4.076_741_662_1 * long - 3.307_711_591_3 * medium + 0.230_969_929_2 * short,
        -1.268_438_004_6 * long + 2.609_757_401_1 * medium - 0.341_319_396_5 * short,
        -0.004_196_086_3 * long - 0.703_418_614_7 * medium + 1.707_614_701 * short,
    ]
}

fn hex([r, g, b]: Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Text for an element or an attribute; what XML cannot hold is left out.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{FFFE}' | '\u{FFFF}' => {}
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}
