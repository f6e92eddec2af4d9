//! Matroska and `WebM`: EBML elements, each an id, a size and what is inside.
//!
//! Browsers that record write neither sizes nor a length: a cluster of unknown size is walked through as if its
//! elements stood beside it, and the last time stamp seen is taken for the length.

use std::io::{Read, Seek};

use super::facts::{Kind, Track, plain_name};
use super::source::Source;
use super::{Container, ContainerError, Facts};

const EBML: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_A966;
const TRACKS: u32 = 0x1654_AE6B;
const CLUSTER: u32 = 0x1F43_B675;
/// Tracks that one file may have.
const MAX_TRACKS: usize = 32;

/// An element: its id, and the stretch that its content takes.
#[derive(Clone, Copy, Debug)]
struct Element {
    id: u32,
    start: u64,
    end: u64,
    has_size: bool,
}

/// Reads the element at `at`, inside of what ends at `end`.
///
/// Each ends after it starts and within what holds it, so that a walk from one to the next always ends.
fn element<R: Read + Seek>(
    source: &mut Source<R>,
    at: u64,
    end: u64,
) -> Result<Option<Element>, ContainerError> {
    if at >= end {
        return Ok(None);
    }
    let head = source.bytes_up_to(at, 12)?;
    let id_len = head.first().map_or(0, |first| first.leading_zeros() + 1);
    if !(1..=4).contains(&id_len) {
        return Err(ContainerError::Damaged("an element without id"));
    }
    let id_len = id_len as usize;
    let (id, rest) = head
        .split_at_checked(id_len)
        .ok_or(ContainerError::Truncated)?;
    let id = id
        .iter()
        .fold(0_u32, |id, byte| (id << 8) | u32::from(*byte));
    let first = *rest.first().ok_or(ContainerError::Truncated)?;
    let size_len = first.leading_zeros() as usize + 1;
    if size_len > 8 {
        return Err(ContainerError::Damaged("an element without size"));
    }
    let size = rest.get(1..size_len).ok_or(ContainerError::Truncated)?;
    let mask = (1_u64 << (7 * size_len)) - 1;
    let size = size.iter().fold(u64::from(first), |size, byte| {
        (size << 8) | u64::from(*byte)
    }) & mask;
    let start = at + (id_len + size_len) as u64;
    let has_size = size != mask;
    let element_end = if has_size {
        start
            .checked_add(size)
            .filter(|own| *own <= end)
            .ok_or(ContainerError::Truncated)?
    } else {
        end
    };
    if start > end {
        return Err(ContainerError::Truncated);
    }
    Ok(Some(Element {
        id,
        start,
        end: element_end,
        has_size,
    }))
}

impl Element {
    /// Calls `visit` for each element inside.
    fn each<R: Read + Seek>(
        self,
        source: &mut Source<R>,
        mut visit: impl FnMut(&mut Source<R>, Self) -> Result<(), ContainerError>,
    ) -> Result<(), ContainerError> {
        let mut at = self.start;
        while let Some(child) = element(source, at, self.end)? {
            if !child.has_size {
                return Err(ContainerError::Damaged("an element of unknown size"));
            }
            visit(source, child)?;
            at = child.end;
        }
        Ok(())
    }

    fn unsigned<R: Read + Seek>(self, source: &mut Source<R>) -> Result<u64, ContainerError> {
        let len = usize::try_from(self.end - self.start).unwrap_or(usize::MAX);
        if len > 8 {
            return Err(ContainerError::Damaged("a number of more than 64 bits"));
        }
        let bytes = source.bytes(self.start, len)?;
        Ok(bytes
            .iter()
            .fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }

    /// A number that is a count of pixels.
    fn pixels<R: Read + Seek>(self, source: &mut Source<R>) -> Result<u32, ContainerError> {
        let wide = self.unsigned(source)?;
        u32::try_from(wide).map_err(|_too_wide| ContainerError::Damaged("a picture too large"))
    }

    fn float<R: Read + Seek>(self, source: &mut Source<R>) -> Result<f64, ContainerError> {
        match self.end - self.start {
            4 => Ok(f64::from(f32::from_bits(source.u32(self.start)?))),
            8 => Ok(f64::from_bits(source.u64(self.start)?)),
            _ => Err(ContainerError::Damaged("a number of odd size")),
        }
    }
}

pub(super) fn inspect<R: Read + Seek>(
    source: &mut Source<R>,
    container: Container,
) -> Result<Facts, ContainerError> {
    let len = source.len();
    let head = element(source, 0, len)?.filter(|head| head.id == EBML && head.has_size);
    let head = head.ok_or(ContainerError::Damaged("no EBML head"))?;
    let mut at = head.end;
    let segment = loop {
        match element(source, at, len)? {
            Some(found) if found.id == SEGMENT => break found,
            Some(found) if found.has_size => at = found.end,
            _ => return Err(ContainerError::Damaged("no segment")),
        }
    };
    let mut film = Film::new();
    match film.read(source, segment) {
        // Too long to walk through: all but its length is known. And a recording may end in the middle of a frame.
        Err(ContainerError::TooIntricate) if film.tracks.is_some() => film.last_ticks = None,
        Err(ContainerError::Truncated) if film.tracks.is_some() && !segment.has_size => {}
        done => done?,
    }
    let duration_ms = film.duration_ms();
    let tracks = film
        .tracks
        .ok_or(ContainerError::Damaged("no list of tracks"))?;
    Facts::of_tracks(container, tracks, duration_ms, film.is_faststart)
}

/// What is known of the film so far.
struct Film {
    /// Nanoseconds in a tick.
    tick_ns: u64,
    ticks: Option<f64>,
    tracks: Option<Vec<Track>>,
    is_faststart: bool,
    cluster_ticks: u64,
    last_ticks: Option<u64>,
}

impl Film {
    fn new() -> Self {
        Self {
            tick_ns: 1_000_000,
            ticks: None,
            tracks: None,
            is_faststart: true,
            cluster_ticks: 0,
            last_ticks: None,
        }
    }

    fn read<R: Read + Seek>(
        &mut self,
        source: &mut Source<R>,
        segment: Element,
    ) -> Result<(), ContainerError> {
        let mut at = segment.start;
        while let Some(found) = element(source, at, segment.end)? {
            if !found.has_size && found.id != CLUSTER {
                return Err(ContainerError::Damaged("an element of unknown size"));
            }
            at = found.end;
            match found.id {
                INFO => self.read_info(source, found)?,
                TRACKS if self.tracks.is_none() => self.tracks = Some(tracks(source, found)?),
                CLUSTER => {
                    self.is_faststart &= self.tracks.is_some();
                    if !found.has_size || (self.ticks.is_none() && self.tracks.is_some()) {
                        // Look inside.
                        at = found.start;
                    }
                }
                0xE7 => {
                    self.cluster_ticks = found.unsigned(source)?;
                    self.note(0);
                }
                0xA3 => self.read_block(source, found)?,
                0xA0 => {
                    let block = element(source, found.start, found.end)?;
                    if let Some(block) = block.filter(|block| block.id == 0xA1) {
                        self.read_block(source, block)?;
                    }
                }
                _ => {}
            }
            if self.ticks.is_some() && self.tracks.is_some() {
                break;
            }
        }
        Ok(())
    }

    fn read_info<R: Read + Seek>(
        &mut self,
        source: &mut Source<R>,
        info: Element,
    ) -> Result<(), ContainerError> {
        info.each(source, |source, found| {
            match found.id {
                0x2A_D7B1 => self.tick_ns = found.unsigned(source)?,
                0x4489 => self.ticks = Some(found.float(source)?).filter(|ticks| *ticks > 0.0),
                _ => {}
            }
            Ok(())
        })
    }

    /// A block names its track, and then its time from the start of the cluster.
    fn read_block<R: Read + Seek>(
        &mut self,
        source: &mut Source<R>,
        block: Element,
    ) -> Result<(), ContainerError> {
        let track_len = u64::from(source.u8(block.start)?.leading_zeros()) + 1;
        if block.start + track_len + 2 <= block.end {
            let later = source.u16(block.start + track_len)?;
            self.note(u64::try_from(later.cast_signed()).unwrap_or(0));
        }
        Ok(())
    }

    fn note(&mut self, later: u64) {
        let ticks = self.cluster_ticks.saturating_add(later);
        self.last_ticks = self.last_ticks.max(Some(ticks));
    }

    fn duration_ms(&self) -> Option<u64> {
        if let Some(ticks) = self.ticks {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a length needs no more than 53 bits"
            )]
            let ms = ticks * self.tick_ns as f64 / 1e6;
            let is_sane = ms.is_finite() && (0.0..1e15).contains(&ms);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "within range, as just seen"
            )]
            return is_sane.then_some(ms as u64);
        }
        let ns = u128::from(self.last_ticks?) * u128::from(self.tick_ns);
        u64::try_from(ns / 1_000_000).ok().filter(|ms| *ms > 0)
    }
}

fn tracks<R: Read + Seek>(
    source: &mut Source<R>,
    list: Element,
) -> Result<Vec<Track>, ContainerError> {
    let (mut tracks, mut seen) = (Vec::new(), 0);
    list.each(source, |source, found| {
        if found.id == 0xAE {
            seen += 1;
            if seen > MAX_TRACKS {
                return Err(ContainerError::TooIntricate);
            }
            tracks.extend(track(source, found)?);
        }
        Ok(())
    })?;
    Ok(tracks)
}

/// One track; `None` for subtitles and the like.
fn track<R: Read + Seek>(
    source: &mut Source<R>,
    entry: Element,
) -> Result<Option<Track>, ContainerError> {
    let (mut kind, mut codec) = (None, String::new());
    let (mut coded, mut shown, mut unit) = ((0, 0), (0, 0), 0);
    entry.each(source, |source, found| {
        match found.id {
            0x83 => {
                kind = match found.unsigned(source)? {
                    1 => Some(Kind::Video),
                    2 => Some(Kind::Audio),
                    _ => None,
                };
            }
            0x86 => {
                let len = usize::try_from((found.end - found.start).min(32)).unwrap_or(32);
                codec = codec_name(source.bytes(found.start, len)?);
            }
            0xE0 => found.each(source, |source, found| {
                match found.id {
                    0xB0 => coded.0 = found.pixels(source)?,
                    0xBA => coded.1 = found.pixels(source)?,
                    0x54B0 => shown.0 = found.pixels(source)?,
                    0x54BA => shown.1 = found.pixels(source)?,
                    0x54B2 => unit = found.unsigned(source)?,
                    _ => {}
                }
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    // The size to show may be in pixels, or in inches or a mere ratio, which tell no size.
    let has_shown = unit == 0 && shown.0 > 0 && shown.1 > 0;
    let (width, height) = if has_shown { shown } else { coded };
    Ok(kind.map(|kind| Track {
        kind,
        codec,
        width,
        height,
        h264_profile: None,
    }))
}

fn codec_name(id: &[u8]) -> String {
    let name = plain_name(id);
    let known = [
        ("V_VP8", "vp8"),
        ("V_VP9", "vp9"),
        ("V_AV1", "av1"),
        ("V_MPEG4/ISO/AVC", "h264"),
        ("V_MPEGH/ISO/HEVC", "hevc"),
        ("V_MPEG4/ISO", "mpeg4"),
        ("V_THEORA", "theora"),
        ("V_MJPEG", "mjpeg-video"),
        ("A_OPUS", "opus"),
        ("A_VORBIS", "vorbis"),
        ("A_AAC", "aac"),
        ("A_MPEG/L3", "mp3"),
        ("A_FLAC", "flac"),
        ("A_AC3", "ac3"),
        ("A_EAC3", "eac3"),
        ("A_PCM", "pcm"),
    ];
    known
        .iter()
        .find(|(start, _)| name.starts_with(start))
        .map_or(name.clone(), |(_, short)| (*short).to_owned())
}
