//! ffmpeg and ffprobe as helpers that are not trusted: they read what strangers send, and they are large and old.
//!
//! What is asked of them is in one file each: [`probe`] what a file is, [`poster`] a picture of it, [`film`] a copy that
//! every browser plays, [`hls`] one for every connection, [`audio`] its sound. [`process`] keeps them in bounds,
//! [`arguments`] says which formats and protocols they may open: no playlist, no script, no network, so that a file that
//! names others never makes them read those.
//!
//! All calls block for as long as the work takes; they belong on a thread of their own. This module knows no store and
//! no job: paths in, paths out. Outputs carry nothing of what a phone notes down: no place, no time, no device.
#![warn(missing_docs)]

mod arguments;
mod audio;
mod error;
mod facts;
mod film;
mod find;
mod hls;
mod ladder;
mod limits;
mod playlist;
mod poster;
mod probe;
mod process;
mod progress;
mod shape;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use error::{FfmpegError, Refusal, Stderr};
pub use facts::{AudioStream, Facts, Kind, Rate, VideoStream};
pub use ladder::{Ladder, Rung};
pub use limits::{Job, Limits};

/// The two programmes, found and tried.
#[derive(Clone, Debug)]
pub struct Ffmpeg {
    program: PathBuf,
    prober: PathBuf,
    version: String,
    has_h264: bool,
    has_aac: bool,
}

impl Ffmpeg {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.program
    }

    /// The version as it tells itself, for the health report.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether it can write films: with libx264 and AAC.
    pub fn can_convert_video(&self) -> bool {
        self.has_h264 && self.has_aac
    }

    /// Whether it can write sound: with AAC.
    pub fn can_convert_audio(&self) -> bool {
        self.has_aac
    }
}
