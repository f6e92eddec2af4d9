//! Sizes and rates of what is written: even, within a box, and what H.264 calls them.

use super::{Rate, VideoStream};

/// The most frames in a second that are kept.
pub(super) const MAX_RATE: u32 = 60;
/// The smallest side; coders do not work on less.
const MIN_SIDE: u32 = 16;

/// A size in pixels, both sides even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Size {
    /// The shown size itself where it fits into a box of 1920 by 1080, lying or standing, and else the largest of its
    /// shape that does.
    pub(super) fn largest(width: u32, height: u32) -> Self {
        Self::within(width, height, 1080)
    }

    /// The largest of a shape that fits into a box of 16 to 9 with this shorter side; never larger than it is.
    pub(super) fn within(width: u32, height: u32, shorter: u32) -> Self {
        let long_side = u64::from(shorter) * 16 / 9;
        let (long, short) = (width.max(height).max(1), width.min(height).max(1));
        let (long, short) = (u64::from(long), u64::from(short));
        let mut fit = (long, short);
        if fit.1 > u64::from(shorter) {
            fit = (div_round(long * u64::from(shorter), short), shorter.into());
        }
        if fit.0 > long_side {
            fit = (long_side, div_round(short * long_side, long));
        }
        let (long, short) = (even(fit.0), even(fit.1));
        if width >= height {
            Self {
                width: long,
                height: short,
            }
        } else {
            Self {
                width: short,
                height: long,
            }
        }
    }

    /// The same shape with another shorter side, the longer one to the nearest even number.
    pub(super) fn of_shorter(self, shorter: u32) -> Self {
        let scale = |side: u32| {
            let wanted = u64::from(side) * u64::from(shorter);
            even(div_round(wanted, u64::from(self.shorter()) * 2) * 2)
        };
        Self {
            width: scale(self.width),
            height: scale(self.height),
        }
    }

    pub(super) fn shorter(self) -> u32 {
        self.width.min(self.height)
    }

    pub(super) fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// The filters that bring a picture to this size, with square pixels in the one format that all browsers decode.
    pub(super) fn filters(self) -> String {
        let Self { width, height } = self;
        format!("scale={width}:{height}:out_range=tv,setsar=1,format=yuv420p")
    }
}

fn div_round(over: u64, under: u64) -> u64 {
    (over + under / 2) / under.max(1)
}

fn even(side: u64) -> u32 {
    let side = u32::try_from(side).unwrap_or(u32::MAX) & !1;
    side.max(MIN_SIDE)
}

/// H.264's level for a size and rate: what a decoder has to be able to do. The rows are level, blocks in a second,
/// blocks in a frame, and kilobits in a second in profile High.
pub(super) fn level(size: Size, rate: Rate, kbits: u32) -> u32 {
    const LEVELS: [(u32, u64, u64, u32); 8] = [
        (13, 11_880, 396, 960),
        (21, 19_800, 792, 5_000),
        (30, 40_500, 1_620, 12_500),
        (31, 108_000, 3_600, 17_500),
        (32, 216_000, 5_120, 25_000),
        (40, 245_760, 8_192, 25_000),
        (42, 522_240, 8_704, 62_500),
        (52, 2_073_600, 36_864, 300_000),
    ];
    let frame = u64::from(size.width.div_ceil(16)) * u64::from(size.height.div_ceil(16));
    let second = frame * u64::from(rate.frames) / u64::from(rate.seconds.max(1));
    LEVELS
        .into_iter()
        .find(|(_, in_second, in_frame, most)| {
            second <= *in_second && frame <= *in_frame && kbits <= *most
        })
        .map_or(52, |(level, ..)| level)
}

/// The most kilobits in a second that a film of this size is given: 5,000 at 1080p and 30 frames, and by its pixels to
/// the power of three quarters, since large pictures have less in each pixel.
pub(super) fn kbits(size: Size, rate: Rate) -> u32 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few millions of pixels, a few thousands of kilobits"
    )]
    let kbits = ((size.pixels() as f64 / (1920.0 * 1080.0)).powf(0.75) * 5000.0) as u32;
    let kbits = kbits.clamp(100, 8000);
    if rate.is_at_most(31) {
        kbits
    } else {
        kbits * 3 / 2
    }
}

/// What is done to the frames before they are scaled.
pub(super) fn before_scaling(video: &VideoStream) -> Vec<&'static str> {
    let mut filters = Vec::new();
    if video.is_interlaced {
        filters.push("yadif");
    }
    filters
}

/// The rate at which a film is written.
pub(super) fn capped(rate: Rate) -> Rate {
    if rate.is_at_most(MAX_RATE) {
        rate
    } else {
        Rate {
            frames: MAX_RATE,
            seconds: 1,
        }
    }
}
