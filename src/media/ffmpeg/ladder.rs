//! The sizes in which a film is offered, so that a player can take the one that its connection bears.

use std::path::PathBuf;

use super::shape::{Size, kbits, level};
use super::{Facts, Limits, Rate};

/// Shorter sides of the rungs.
const SIDES: [u32; 5] = [240, 360, 480, 720, 1080];

/// A film as written for HTTP Live Streaming.
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    /// The playlist of playlists, within the folder that was asked for.
    pub master: PathBuf,
    /// From the smallest to the largest.
    pub rungs: Vec<Rung>,
}

impl Ladder {
    /// All files, relative to the folder: what is to be kept, and nothing else.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let rungs = self.rungs.iter().flat_map(|rung| &rung.files);
        std::iter::once("master.m3u8").chain(rungs.map(String::as_str))
    }
}

/// One size.
#[derive(Clone, Debug, PartialEq)]
pub struct Rung {
    /// `720p`: the shorter side.
    pub name: String,
    /// Width of its frames.
    pub width: u32,
    /// Height of its frames.
    pub height: u32,
    /// Bits in the second that has the most of them.
    pub bandwidth: u64,
    /// Bits in a second on average.
    pub average_bandwidth: u64,
    /// As players ask: `avc1.64001f,mp4a.40.2`.
    pub codecs: String,
    /// Its playlist, its set-up and its segments, relative to the folder.
    pub files: Vec<String>,
    /// What they take together.
    pub bytes: u64,
}

/// A size that is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) size: Size,
    pub(super) kbits: u32,
    pub(super) audio_kbits: u32,
    pub(super) level: u32,
}

/// The sizes for a film: none above its own, and its own where it is smaller than all.
pub(super) fn plan(facts: &Facts, rate: Rate) -> Vec<Plan> {
    let whole = Size::largest(facts.width, facts.height);
    let mut sides: Vec<u32> = SIDES
        .into_iter()
        .filter(|side| *side <= whole.shorter())
        .collect();
    if sides.is_empty() {
        sides.push(whole.shorter());
    }
    sides
        .into_iter()
        .map(|side| {
            let size = if side == whole.shorter() {
                whole
            } else {
                whole.of_shorter(side)
            };
            let kbits = kbits(size, rate);
            Plan {
                name: format!("{side}p"),
                size,
                kbits,
                audio_kbits: match side {
                    ..300 => 64,
                    300..600 => 96,
                    _ => 128,
                },
                level: level(size, rate, kbits * 2),
            }
        })
        .collect()
}

/// Puts plans together that are written in one run, as long as that run's address space stays within the limit: all in
/// one for films of usual size, so that they are decoded once.
pub(super) fn runs(plans: Vec<Plan>, source_pixels: u64, limits: &Limits) -> Vec<Vec<Plan>> {
    let threads = u64::from(limits.threads.max(1));
    let source = SOURCE_PIXEL_BYTES + threads * SOURCE_PIXEL_THREAD_BYTES;
    let base = BASE_BYTES + threads * BASE_THREAD_BYTES;
    let base = base.saturating_add(source_pixels.saturating_mul(source));
    let mut runs: Vec<Vec<Plan>> = Vec::new();
    let mut used = 0;
    for plan in plans {
        let pixel = RUNG_PIXEL_BYTES + threads * RUNG_PIXEL_THREAD_BYTES;
        let needed = RUNG_BYTES + threads * RUNG_THREAD_BYTES + plan.size.pixels() * pixel;
        match runs.last_mut() {
            Some(run) if base.saturating_add(used + needed) <= limits.memory_bytes => {
                used += needed;
                run.push(plan);
            }
            _ => {
                used = needed;
                runs.push(vec![plan]);
            }
        }
    }
    runs
}

// Measured with ffmpeg 5.1 on films of 240p to 2160p and one to eight threads, and rounded up.

const MIB: u64 = 1024 * 1024;
/// Address space of ffmpeg before it has read a file: libraries, arenas.
const BASE_BYTES: u64 = 450 * MIB;
/// A thread of the decoder and one of the filters.
const BASE_THREAD_BYTES: u64 = 30 * MIB;
/// For each pixel of a frame that is decoded: frames kept for reference, and on their way.
const SOURCE_PIXEL_BYTES: u64 = 30;
/// Each thread of the decoder has frames of its own.
const SOURCE_PIXEL_THREAD_BYTES: u64 = 10;
/// A coder.
const RUNG_BYTES: u64 = 10 * MIB;
/// Its threads, and those of its scaler and of its sound.
const RUNG_THREAD_BYTES: u64 = 25 * MIB;
/// For each pixel of a frame that is coded: frames looked ahead at.
const RUNG_PIXEL_BYTES: u64 = 30;
/// Each thread of a coder works on a frame of its own.
const RUNG_PIXEL_THREAD_BYTES: u64 = 20;
