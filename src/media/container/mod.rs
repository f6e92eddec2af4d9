//! What a video or sound file is, from its own bytes: container, size, length, codecs, and whether a browser plays it as
//! it stands. Pure Rust, no outside program: this answers on machines that have no ffmpeg, and before any is started.
//!
//! The bytes come from strangers and every number in them may be a lie. All reading goes through [`source`], which
//! bounds how much is read, and nothing is ever allocated by a size that a file claims. Frames are not decoded: that a
//! file is well labelled does not mean that it plays.
#![warn(missing_docs)]

mod facts;
mod flac;
mod matroska;
mod mp3;
mod mp4;
mod ogg;
mod riff;
mod sniff;
mod source;
#[cfg(test)]
mod tests;

use std::io::{Read, Seek};

pub use facts::{Facts, Kind};
pub use sniff::{SNIFF_BYTES, sniff};
use source::Source;

/// The kinds of file that are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// MPEG-4, fragmented or not, also from 3GP phones.
    Mp4,
    /// Apple's, from which MP4 was made.
    QuickTime,
    /// MPEG-4 with sound alone.
    M4a,
    /// Matroska as browsers play it.
    WebM,
    /// Any other Matroska.
    Matroska,
    /// Ogg with sound alone: Opus, Vorbis, FLAC.
    Ogg,
    /// Ogg with moving pictures: Theora.
    OggVideo,
    /// MPEG layer III.
    Mp3,
    /// RIFF with samples as they are.
    Wav,
    /// Free Lossless Audio Codec.
    Flac,
    /// RIFF with moving pictures.
    Avi,
}

impl Container {
    /// The media type to serve such a file with.
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Mp4 => "video/mp4",
            Self::QuickTime => "video/quicktime",
            Self::M4a => "audio/mp4",
            Self::WebM => "video/webm",
            Self::Matroska => "video/x-matroska",
            Self::Ogg => "audio/ogg",
            Self::OggVideo => "video/ogg",
            Self::Mp3 => "audio/mpeg",
            Self::Wav => "audio/wav",
            Self::Flac => "audio/flac",
            Self::Avi => "video/x-msvideo",
        }
    }

    /// The usual ending of such a file's name, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::QuickTime => "mov",
            Self::M4a => "m4a",
            Self::WebM => "webm",
            Self::Matroska => "mkv",
            Self::Ogg => "ogg",
            Self::OggVideo => "ogv",
            Self::Mp3 => "mp3",
            Self::Wav => "wav",
            Self::Flac => "flac",
            Self::Avi => "avi",
        }
    }
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// It ends before what it announces.
    #[error("the file ends too early")]
    Truncated,
    /// It contradicts its own format.
    #[error("the file is damaged: {0}")]
    Damaged(&'static str),
    /// Reading on would take more work than a file deserves.
    #[error("the file is too intricate")]
    TooIntricate,
    /// Neither picture nor sound in it.
    #[error("the file holds neither video nor audio")]
    NoStreams,
    /// The file could not be read from where it lies.
    #[error("the file could not be read")]
    Io(#[source] std::io::Error),
}

/// Reads what a file says of itself, given the container that [`sniff()`] saw in it.
///
/// Reads a bounded amount whatever the file says: at most 32 MiB in steps of 1 KiB, and much less of honest files.
pub fn inspect(reader: impl Read + Seek, container: Container) -> Result<Facts, ContainerError> {
    let mut source = Source::new(reader)?;
    match container {
        Container::Mp4 | Container::QuickTime | Container::M4a => {
            mp4::inspect(&mut source, container)
        }
        Container::WebM | Container::Matroska => matroska::inspect(&mut source, container),
        Container::Ogg | Container::OggVideo => ogg::inspect(&mut source, container),
        Container::Mp3 => mp3::inspect(&mut source),
        Container::Wav => riff::inspect_wav(&mut source),
        Container::Flac => flac::inspect(&mut source),
        Container::Avi => riff::inspect_avi(&mut source),
    }
}
