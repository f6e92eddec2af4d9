//! MP3: a row of frames, perhaps after a tag, with no head that covers all.

use std::io::{Read, Seek};

use super::facts::millis;
use super::source::Source;
use super::{Container, ContainerError, Facts};

/// Kilobits per second by the frame's index, for layer III: MPEG 1, and MPEG 2 and 2.5.
const KBITS: [[u32; 16]; 2] = [
    [
        0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0,
    ],
    [
        0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0,
    ],
];
const RATES: [u32; 3] = [44_100, 48_000, 32_000];
/// Padding between a tag and the first frame that is put up with.
const MAX_PADDING: u64 = 4096;

#[derive(Clone, Copy)]
struct Frame {
    version: u8,
    rate: u32,
    kbits: u32,
    bytes: u32,
    samples: u32,
    is_mono: bool,
}

impl Frame {
    /// Reads a frame's head. Free-format frames count as none: nothing in them tells where the next one is.
    fn parse([a, b, c, d]: [u8; 4]) -> Option<Self> {
        let version = (b >> 3) & 3; // 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
        let is_layer_3 = (b >> 1) & 3 == 1;
        // An emphasis of 2 is reserved.
        if a != 0xFF || b < 0xE0 || version == 1 || !is_layer_3 || d & 3 == 2 {
            return None;
        }
        let kbits = KBITS[usize::from(version != 3)][usize::from(c >> 4)];
        let base = *RATES.get(usize::from((c >> 2) & 3))?;
        let (rate, samples) = match version {
            3 => (base, 1152),
            2 => (base / 2, 576),
            _ => (base / 4, 576),
        };
        if kbits == 0 {
            return None;
        }
        Some(Self {
            version,
            rate,
            kbits,
            bytes: samples / 8 * kbits * 1000 / rate + u32::from((c >> 1) & 1),
            samples,
            is_mono: d >> 6 == 3,
        })
    }

    fn is_followed_by(self, next: Self) -> bool {
        (self.version, self.rate) == (next.version, next.rate)
    }

    /// Where a table of the whole file would stand in this frame.
    fn side_info_bytes(self) -> u64 {
        match (self.version, self.is_mono) {
            (3, false) => 32,
            (3, true) | (_, false) => 17,
            (_, true) => 9,
        }
    }
}

/// Length of the ID3 tag that the bytes begin with.
fn tag_bytes(head: &[u8]) -> Option<u64> {
    let [b'I', b'D', b'3', major, minor, flags, size @ ..] = head else {
        return None;
    };
    let size = size.first_chunk::<4>()?;
    let is_plausible = (2..=4).contains(major) && *minor != 0xFF && flags % 16 == 0;
    if !is_plausible || size.iter().any(|byte| *byte >= 0x80) {
        return None;
    }
    let body = size
        .iter()
        .fold(0, |sum, byte| (sum << 7) | u64::from(*byte));
    let footer = if flags & 0x10 == 0 { 0 } else { 10 };
    Some(10 + body + footer)
}

/// Whether a file's head is that of an MP3: a tag, or three frames that agree, each where the last one ends. A file of
/// fewer frames must end with them.
pub(super) fn is_mp3(head: &[u8]) -> bool {
    if let Some(tag) = tag_bytes(head) {
        // FLAC and others carry such tags too: where the head shows what comes after, it has to fit.
        return usize::try_from(tag)
            .ok()
            .and_then(|tag| head.get(tag..)?.first_chunk::<4>())
            .is_none_or(|after| after[0] == 0 || Frame::parse(*after).is_some());
    }
    let mut rest = head;
    let mut last: Option<Frame> = None;
    for seen in 0..3 {
        let Some(four) = rest.first_chunk::<4>() else {
            return seen == 2 && rest.is_empty();
        };
        let frame = match (Frame::parse(*four), last) {
            (Some(frame), None) => frame,
            (Some(frame), Some(last)) if last.is_followed_by(frame) => frame,
            _ => return false,
        };
        last = Some(frame);
        rest = usize::try_from(frame.bytes)
            .ok()
            .and_then(|bytes| rest.get(bytes..))
            .unwrap_or_default();
    }
    true
}

pub(super) fn inspect<R: Read + Seek>(source: &mut Source<R>) -> Result<Facts, ContainerError> {
    let mut start = tag_bytes(source.bytes_up_to(0, 10)?).unwrap_or(0);
    if start >= source.len() {
        return Err(ContainerError::Truncated);
    }
    let padding_end = start + MAX_PADDING;
    while start < padding_end && source.u8(start)? == 0 {
        start += 1;
    }
    let first = Frame::parse(source.array(start)?)
        .ok_or(ContainerError::Damaged("no frame where one should be"))?;
    let frames = counted_frames(source, start, first)?;
    let duration_ms = match frames {
        Some(frames) => millis(
            u64::from(frames) * u64::from(first.samples),
            u64::from(first.rate),
        ),
        // Without a count, all frames are taken to be as large as the first.
        None => millis(source.len() - start, u64::from(first.kbits) * 125),
    };
    Ok(Facts::audio(Container::Mp3, "mp3", duration_ms))
}

/// The number of frames, where the first one is a table of the file (Xing's or Fraunhofer's).
fn counted_frames<R: Read + Seek>(
    source: &mut Source<R>,
    start: u64,
    first: Frame,
) -> Result<Option<u32>, ContainerError> {
    let xing = start + 4 + first.side_info_bytes();
    if matches!(source.bytes_up_to(xing, 4)?, b"Xing" | b"Info") && source.u8(xing + 7)? & 1 == 1 {
        return source.u32(xing + 8).map(Some);
    }
    let vbri = start + 36;
    if source.bytes_up_to(vbri, 4)? == b"VBRI" {
        return source.u32(vbri + 14).map(Some);
    }
    Ok(None)
}
