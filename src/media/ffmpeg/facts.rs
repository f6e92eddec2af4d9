//! What a file is, in the shape in which all the other calls take it.

use std::time::Duration;

/// Whether there is something to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Moving pictures, with or without sound.
    Video,
    /// Sound alone, perhaps with a cover.
    Audio,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Video or audio.
    pub kind: Kind,
    /// Names of the format, as ffprobe lists them: `mov,mp4,m4a,3gp,3g2,mj2`.
    pub format: String,
    /// Width as shown: turned, and with square pixels; 0 for audio.
    pub width: u32,
    /// Height as shown; 0 for audio.
    pub height: u32,
    /// Length. Measured where the file does not tell.
    pub duration: Duration,
    /// Bits in a second, of all together.
    pub bit_rate: Option<u64>,
    /// The first moving picture that can be read.
    pub video: Option<VideoStream>,
    /// The first sound that can be read.
    pub audio: Option<AudioStream>,
}

impl Facts {
    /// Whether there is something to hear.
    pub fn has_audio(&self) -> bool {
        self.audio.is_some()
    }
}

/// A stream of pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoStream {
    /// Its number in the file.
    pub index: u32,
    /// `h264`, `vp9`.
    pub codec: String,
    /// The codec's own name for what a decoder must be able to do: `High`.
    pub profile: String,
    /// The same as a number: 41 for H.264's 4.1.
    pub level: Option<u32>,
    /// `yuv420p`.
    pub pixel_format: String,
    /// Whether a player has to turn it.
    pub is_turned: bool,
    /// Whether its pixels are square.
    pub is_square: bool,
    /// Whether its frames are woven of two fields.
    pub is_interlaced: bool,
    /// Frames in a second.
    pub frame_rate: Rate,
    /// Bits in a second, where the file tells.
    pub bit_rate: Option<u64>,
}

/// A stream of sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioStream {
    /// Its number in the file.
    pub index: u32,
    /// `aac`, `opus`.
    pub codec: String,
    /// `LC`.
    pub profile: String,
    /// 1 for mono, 2 for stereo.
    pub channels: u32,
    /// Samples in a second.
    pub sample_rate: u32,
}

/// Frames in a second, as a fraction: 30000/1001 has no other exact form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Frames...
    pub frames: u32,
    /// ... in so many seconds.
    pub seconds: u32,
}

impl Rate {
    /// Whether it is at most `most` frames in a second.
    pub fn is_at_most(self, most: u32) -> bool {
        u64::from(self.frames) <= u64::from(most) * u64::from(self.seconds)
    }
}
