//! What can go wrong with a helper that works on strangers' files, told apart by what a caller can do about it.

use std::fmt;
use std::path::PathBuf;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum FfmpegError {
    /// The programme that is configured, or the ffprobe beside it, is not there.
    #[error("{} is not there", .0.display())]
    NotFound(PathBuf),
    /// A programme is there and does not tell its version.
    #[error("{} does not work", path.display())]
    Unusable {
        /// What was tried.
        path: PathBuf,
        /// Why it did not work.
        #[source]
        source: Box<Self>,
    },
    /// This build of ffmpeg cannot do what was asked.
    #[error("this ffmpeg lacks {0}")]
    Lacks(&'static str),
    /// The file is beyond what is accepted, or its conversion was.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The file is damaged, or no video or sound of ours at all.
    #[error("the file cannot be read as video or audio")]
    Broken(#[source] Stderr),
    /// It took longer than such a file may take.
    #[error("the time for this file is over")]
    TimedOut,
    /// The caller asked for an end.
    #[error("stopped")]
    Stopped,
    /// A signal ended it that was not ours: a fault of its own, or the system short of memory.
    #[error("the helper was ended by signal {signal}")]
    Crashed {
        /// The signal's number.
        signal: i32,
        /// What it said last.
        #[source]
        stderr: Stderr,
    },
    /// The disk is full.
    #[error("there is no space left on the disk")]
    OutOfSpace,
    /// Anything else that the helper failed at.
    #[error("the helper failed ({code:?})")]
    Failed {
        /// Its exit code.
        code: Option<i32>,
        /// What it said last.
        #[source]
        stderr: Stderr,
    },
    /// The helper could not be started or its result not be read.
    #[error("{doing} failed")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
}

impl FfmpegError {
    pub(super) fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::OutOfSpace,
            _ => Self::Io { doing, source },
        }
    }
}

/// The limit that a file went beyond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Longer than allowed.
    Duration,
    /// More pixels in a frame than allowed.
    Pixels,
    /// More streams in one file than allowed.
    Streams,
    /// Neither video nor sound in it.
    NoStreams,
    /// Coded in a way that is not accepted.
    Codec(String),
    /// Its conversion took more memory than allowed.
    Memory,
    /// Its conversion grew larger than allowed.
    OutputSize,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration => f.write_str("too long"),
            Self::Pixels => f.write_str("too many pixels"),
            Self::Streams => f.write_str("too many streams"),
            Self::NoStreams => f.write_str("neither video nor audio in it"),
            Self::Codec(name) => write!(f, "the codec {name} is not accepted"),
            Self::Memory => f.write_str("it takes too much memory"),
            Self::OutputSize => f.write_str("its conversion is too large"),
        }
    }
}

/// The last of what a helper wrote to its standard error: for the log, never for a person, since it quotes the file
/// and names places on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stderr(String);

impl Stderr {
    /// Takes bytes as they came. Control characters, with which a file could write to somebody's terminal or forge a
    /// line of the log, are replaced.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let lines: Vec<String> = text
            .split(['\n', '\r'])
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(|line| line.replace(|c: char| c.is_control(), "\u{FFFD}"))
            .collect();
        Self(lines.join(" | "))
    }

    pub(super) fn says(&self, what: &str) -> bool {
        self.0.contains(what)
    }

    /// The codec that was not opened because we do not accept it.
    fn codec_refused(&self) -> Option<String> {
        let (before, _) = self.0.split_once(") not on whitelist")?;
        let (_, name) = before.rsplit_once("Codec (")?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        (name.len() <= 32 && name.chars().all(is_plain)).then(|| name.to_owned())
    }
}

impl fmt::Display for Stderr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Stderr {}

/// What `stderr` says of the reason, where that is one of those that callers tell apart.
pub(super) fn reason(stderr: Stderr) -> Result<FfmpegError, Stderr> {
    const BROKEN: [&str; 8] = [
        "Invalid data found",
        "not on whitelist",
        "moov atom not found",
        "does not contain any stream",
        "matches no streams",
        "Error while decoding",
        "Output file is empty",
        "could not find codec parameters",
    ];
    if stderr.says("No space left on device") || stderr.says("Disk quota exceeded") {
        return Ok(FfmpegError::OutOfSpace);
    }
    let refusal = if let Some(name) = stderr.codec_refused() {
        Refusal::Codec(name)
    } else if stderr.says("Cannot allocate memory") || stderr.says("malloc of size") {
        // Too many streams are reported as a lack of memory as well.
        if stderr.says("max_streams") {
            Refusal::Streams
        } else {
            Refusal::Memory
        }
    } else if stderr.says("exceeds specified max pixel count") {
        Refusal::Pixels
    } else if stderr.says("File too large") {
        Refusal::OutputSize
    } else if BROKEN.iter().any(|words| stderr.says(words)) {
        return Ok(FfmpegError::Broken(stderr));
    } else {
        return Err(stderr);
    };
    Ok(FfmpegError::Refused(refusal))
}
