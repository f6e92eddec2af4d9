//! RIFF: WAV and AVI, lists of chunks with little-endian sizes.

use std::io::{Read, Seek};

use super::facts::{Kind, Track, millis, plain_name};
use super::source::Source;
use super::{Container, ContainerError, Facts};

/// Chunks looked at in one list.
const MAX_CHUNKS: usize = 256;

/// A chunk's place in the file.
#[derive(Clone, Copy)]
struct Chunk {
    id: [u8; 4],
    start: u64,
    size: u64,
}

/// The chunk at `at`; `None` where the list ends there.
fn chunk<R: Read + Seek>(
    source: &mut Source<R>,
    at: u64,
    end: u64,
) -> Result<Option<Chunk>, ContainerError> {
    if at.saturating_add(8) > end {
        return Ok(None);
    }
    let id = source.array(at)?;
    let size = u64::from(little_u32(source, at + 4)?);
    Ok(Some(Chunk {
        id,
        start: at + 8,
        size,
    }))
}

impl Chunk {
    /// Where the next one starts: chunks lie at even places.
    fn next(self) -> u64 {
        self.start + self.size + (self.size & 1)
    }
}

fn little_u32<R: Read + Seek>(source: &mut Source<R>, at: u64) -> Result<u32, ContainerError> {
    source.array(at).map(u32::from_le_bytes)
}

fn little_u16<R: Read + Seek>(source: &mut Source<R>, at: u64) -> Result<u16, ContainerError> {
    source.array(at).map(u16::from_le_bytes)
}

/// The name of an audio format's number.
fn audio_codec(tag: u16) -> String {
    match tag {
        1 => "pcm".to_owned(),
        3 => "pcm_float".to_owned(),
        6 => "alaw".to_owned(),
        7 => "mulaw".to_owned(),
        0x50 => "mp2".to_owned(),
        0x55 => "mp3".to_owned(),
        0xFF | 0x1600 | 0x706D => "aac".to_owned(),
        0x2000 => "ac3".to_owned(),
        other => format!("wav-{other:04x}"),
    }
}

pub(super) fn inspect_wav<R: Read + Seek>(source: &mut Source<R>) -> Result<Facts, ContainerError> {
    check_form(source, *b"WAVE")?;
    let end = source.len();
    let mut format = None;
    let mut at = 12;
    for _ in 0..MAX_CHUNKS {
        let Some(chunk) = chunk(source, at, end)? else {
            break;
        };
        match (&chunk.id, format) {
            (b"fmt ", _) if chunk.size >= 16 => {
                let mut tag = little_u16(source, chunk.start)?;
                if tag == 0xFFFE && chunk.size >= 26 {
                    tag = little_u16(source, chunk.start + 24)?;
                }
                format = Some((tag, little_u32(source, chunk.start + 8)?));
            }
            (b"data", Some((tag, bytes_per_second))) => {
                // What was written to a pipe has 0 or the largest number for a size: it reaches to the end.
                let left = end - chunk.start.min(end);
                let is_known = chunk.size != 0 && chunk.size != u64::from(u32::MAX);
                if is_known && chunk.size > left {
                    return Err(ContainerError::Truncated);
                }
                let size = if is_known { chunk.size } else { left };
                let duration_ms = millis(size, u64::from(bytes_per_second));
                return Ok(Facts::audio(Container::Wav, &audio_codec(tag), duration_ms));
            }
            (b"data", None) => return Err(ContainerError::Damaged("sound before its format")),
            _ => {}
        }
        at = chunk.next();
    }
    Err(ContainerError::Truncated)
}

pub(super) fn inspect_avi<R: Read + Seek>(source: &mut Source<R>) -> Result<Facts, ContainerError> {
    check_form(source, *b"AVI ")?;
    let end = source.len();
    let Some(list) = chunk(source, 12, end)? else {
        return Err(ContainerError::Truncated);
    };
    if list.id != *b"LIST" || source.array(list.start)? != *b"hdrl" {
        return Err(ContainerError::Damaged("no head"));
    }
    let end = list.start + list.size;
    if end > source.len() {
        return Err(ContainerError::Truncated);
    }
    let (mut size, mut duration_ms, mut tracks) = ((0, 0), None, Vec::new());
    let mut at = list.start + 4;
    for _ in 0..MAX_CHUNKS {
        let Some(chunk) = chunk(source, at, end)? else {
            break;
        };
        if &chunk.id == b"avih" && chunk.size >= 40 {
            let micros = u64::from(little_u32(source, chunk.start)?);
            let frames = u64::from(little_u32(source, chunk.start + 16)?);
            duration_ms = millis(micros * frames, 1_000_000).filter(|ms| *ms > 0);
            size = (
                little_u32(source, chunk.start + 32)?,
                little_u32(source, chunk.start + 36)?,
            );
        } else if &chunk.id == b"LIST" && source.array(chunk.start)? == *b"strl" {
            let inner = chunk.next().min(end);
            tracks.extend(avi_track(source, chunk.start + 4, inner, size)?);
        }
        at = chunk.next();
    }
    Facts::of_tracks(Container::Avi, tracks, duration_ms, false)
}

/// The track of one stream list; `None` for subtitles and the like.
fn avi_track<R: Read + Seek>(
    source: &mut Source<R>,
    start: u64,
    end: u64,
    (width, height): (u32, u32),
) -> Result<Option<Track>, ContainerError> {
    let Some(head) = chunk(source, start, end)?.filter(|head| &head.id == b"strh") else {
        return Ok(None);
    };
    let Some(format) = chunk(source, head.next(), end)?.filter(|format| &format.id == b"strf")
    else {
        return Ok(None);
    };
    let track = |kind, codec| Track {
        kind,
        codec,
        width: if kind == Kind::Video { width } else { 0 },
        height: if kind == Kind::Video { height } else { 0 },
        h264_profile: None,
    };
    Ok(match &source.array(head.start)? {
        b"vids" if format.size >= 20 => {
            let fourcc = source.array::<4>(format.start + 16)?;
            Some(track(Kind::Video, video_codec(fourcc)))
        }
        b"auds" if format.size >= 2 => {
            let tag = little_u16(source, format.start)?;
            Some(track(Kind::Audio, audio_codec(tag)))
        }
        _ => None,
    })
}

fn video_codec(fourcc: [u8; 4]) -> String {
    match &fourcc.map(|byte| byte.to_ascii_lowercase()) {
        b"h264" | b"x264" | b"avc1" => "h264".to_owned(),
        b"xvid" | b"divx" | b"dx50" | b"fmp4" | b"mp4v" => "mpeg4".to_owned(),
        b"mjpg" => "mjpeg-video".to_owned(),
        other => plain_name(other),
    }
}

fn check_form<R: Read + Seek>(source: &mut Source<R>, form: [u8; 4]) -> Result<(), ContainerError> {
    if source.array(0)? == *b"RIFF" && source.array(8)? == form {
        Ok(())
    } else {
        Err(ContainerError::Damaged("no RIFF mark"))
    }
}
