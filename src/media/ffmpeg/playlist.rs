//! Playlists of HTTP Live Streaming: reading those that ffmpeg wrote, writing the one above them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::{FfmpegError, Ladder, Rate, Rung, Stderr};

/// The longest playlist that is read: some ten hours of segments.
const MAX_BYTES: u64 = 1024 * 1024;

/// One segment as its playlist lists it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) seconds: f64,
}

/// What the playlist of one rung lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Media {
    pub(super) init: String,
    pub(super) segments: Vec<Segment>,
}

/// Reads a rung's playlist. All names in it must be plain ones, of files beside it.
pub(super) fn read(path: &Path) -> Result<Media, FfmpegError> {
    let io = || FfmpegError::io("reading the result");
    if path.metadata().map_err(io())?.len() > MAX_BYTES {
        return Err(unexpected("the playlist is too long"));
    }
    parse(&std::fs::read_to_string(path).map_err(io())?)
}

pub(super) fn parse(text: &str) -> Result<Media, FfmpegError> {
    let mut media = Media::default();
    let mut seconds = None;
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("#EXT-X-MAP:URI=\"") {
            let name = rest.split('"').next().unwrap_or_default();
            media.init = plain(name)?;
        } else if let Some(rest) = line.strip_prefix("#EXTINF:") {
            let number = rest.split(',').next().unwrap_or_default();
            seconds = number.parse().ok();
        } else if !line.starts_with('#') {
            let seconds = seconds
                .take()
                .ok_or_else(|| unexpected("a segment without length"))?;
            let name = plain(line)?;
            media.segments.push(Segment { name, seconds });
        }
    }
    if media.init.is_empty() || media.segments.is_empty() || !text.contains("#EXT-X-ENDLIST") {
        return Err(unexpected("the playlist is not complete"));
    }
    Ok(media)
}

/// A name of a file, and nothing that leads elsewhere.
fn plain(name: &str) -> Result<String, FfmpegError> {
    let is_plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if is_plain && !name.starts_with('.') && !name.is_empty() {
        Ok(name.to_owned())
    } else {
        Err(unexpected("a playlist names what it should not"))
    }
}

/// Whether a segment has all the boxes that it starts, to their ends. ffmpeg writes segments without a word when the
/// disk is full, and lists them as if they were whole.
pub(super) fn is_whole(segment: &Path) -> std::io::Result<bool> {
    let mut file = File::open(segment)?;
    let len = file.metadata()?.len();
    let mut at = 0;
    while at < len {
        let mut head = [0; 8];
        if len - at < 8 {
            return Ok(false);
        }
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut head)?;
        let [a, b, c, d, ..] = head;
        let size = u64::from(u32::from_be_bytes([a, b, c, d]));
        if size < 8 {
            return Ok(false);
        }
        at += size;
    }
    Ok(at == len && len > 0)
}

pub(super) fn unexpected(what: &str) -> FfmpegError {
    FfmpegError::Failed {
        code: None,
        stderr: Stderr::new(what.as_bytes()),
    }
}

/// The playlist of playlists. Ours rather than ffmpeg's, since it tells the bandwidth that was needed, not the one that
/// was allowed.
pub(super) fn master(ladder: &Ladder, rate: Rate) -> String {
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n");
    let thousandths = u64::from(rate.frames) * 1000 / u64::from(rate.seconds.max(1));
    let (frames, rest) = (thousandths / 1000, thousandths % 1000);
    for rung in &ladder.rungs {
        let Rung {
            name,
            width,
            height,
            bandwidth,
            average_bandwidth,
            codecs,
            ..
        } = rung;
        // Writing to a string cannot fail.
        write!(
            text,
            "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},AVERAGE-BANDWIDTH={average_bandwidth},\
             RESOLUTION={width}x{height},FRAME-RATE={frames}.{rest:03},CODECS=\"{codecs}\"\n\
             {name}/index.m3u8\n"
        )
        .unwrap_or_default();
    }
    text
}
