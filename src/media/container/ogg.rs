//! Ogg: the first pages name the streams, the last one the length.

use std::io::{Read, Seek};

use super::facts::{Kind, Track, millis};
use super::source::{Source, WINDOW};
use super::{Container, ContainerError, Facts};

/// Streams looked at; each opens with a page of its own before any other.
const MAX_STREAMS: usize = 8;
/// How far back from the end the last page is sought: pages have at most 65,307 bytes.
const TAIL: u64 = 66 * 1024;

struct Page {
    granule: u64,
    serial: u32,
    is_first: bool,
    body: u64,
    next: u64,
}

fn page<R: Read + Seek>(source: &mut Source<R>, at: u64) -> Result<Page, ContainerError> {
    let head = source.array::<27>(at)?;
    let [b'O', b'g', b'g', b'S', 0, flags, ..] = head else {
        return Err(ContainerError::Damaged("no Ogg page"));
    };
    let mut granule = [0; 8];
    granule.copy_from_slice(&head[6..14]);
    let mut serial = [0; 4];
    serial.copy_from_slice(&head[14..18]);
    let segments = head[26];
    let lacing = source.bytes(at + 27, usize::from(segments))?;
    let size: u64 = lacing.iter().map(|part| u64::from(*part)).sum();
    let body = at + 27 + u64::from(segments);
    Ok(Page {
        granule: u64::from_le_bytes(granule),
        serial: u32::from_le_bytes(serial),
        is_first: flags & 2 != 0,
        body,
        next: body + size,
    })
}

/// How the positions of a stream count time.
struct Clock {
    serial: u32,
    rate: u32,
    skipped: u64,
}

pub(super) fn inspect<R: Read + Seek>(
    source: &mut Source<R>,
    container: Container,
) -> Result<Facts, ContainerError> {
    let (mut tracks, mut clock) = (Vec::new(), None);
    let mut at = 0;
    for _ in 0..MAX_STREAMS {
        let page = page(source, at)?;
        if !page.is_first {
            break;
        }
        let head = source.bytes_up_to(page.body, 64)?;
        if let Some((track, counted)) = stream(head, page.serial) {
            tracks.push(track);
            clock = clock.or(counted);
        }
        at = page.next;
    }
    let duration_ms = match clock {
        Some(clock) => last_granule(source, clock.serial)?
            .and_then(|last| millis(last.saturating_sub(clock.skipped), u64::from(clock.rate))),
        None => None,
    };
    Facts::of_tracks(container, tracks, duration_ms, true)
}

/// What a stream's first packet says of it.
fn stream(head: &[u8], serial: u32) -> Option<(Track, Option<Clock>)> {
    let sound = |codec: &str| Track {
        kind: Kind::Audio,
        codec: codec.to_owned(),
        width: 0,
        height: 0,
        h264_profile: None,
    };
    if head.starts_with(b"OpusHead") {
        let skipped = u16::from_le_bytes(*head.get(10..)?.first_chunk()?);
        let clock = Clock {
            serial,
            rate: 48_000,
            skipped: u64::from(skipped),
        };
        return Some((sound("opus"), Some(clock)));
    }
    if head.starts_with(b"\x01vorbis") {
        let rate = u32::from_le_bytes(*head.get(12..)?.first_chunk()?);
        let clock = Clock {
            serial,
            rate,
            skipped: 0,
        };
        return Some((sound("vorbis"), Some(clock)));
    }
    if head.starts_with(b"\x7fFLAC") {
        // 9 bytes of Ogg's own, then the file's mark, the block's head, and the description as in a file.
        let packed = u64::from_be_bytes(*head.get(27..)?.first_chunk()?);
        let clock = Clock {
            serial,
            rate: u32::try_from(packed >> 44).ok()?,
            skipped: 0,
        };
        return Some((sound("flac"), Some(clock)));
    }
    if head.starts_with(b"\x80theora") {
        let three = |at: usize| -> Option<u32> {
            let [a, b, c] = *head.get(at..)?.first_chunk()?;
            Some(u32::from_be_bytes([0, a, b, c]))
        };
        let track = Track {
            kind: Kind::Video,
            codec: "theora".to_owned(),
            width: three(14)?,
            height: three(17)?,
            h264_profile: None,
        };
        return Some((track, None));
    }
    None
}

/// The position that the last page of a stream ends at, where one can be found near the file's end.
fn last_granule<R: Read + Seek>(
    source: &mut Source<R>,
    serial: u32,
) -> Result<Option<u64>, ContainerError> {
    let len = source.len();
    let start = len.saturating_sub(TAIL);
    let mut last = None;
    let mut at = start;
    // Window by window; they overlap so that a mark across two of them is seen.
    while at < len {
        let found = source.bytes_up_to(at, WINDOW)?;
        if found.len() < 27 {
            break;
        }
        let step = found.len() - 26;
        let marks: Vec<u64> = (0_u64..)
            .zip(found.windows(4).take(step))
            .filter(|(_, four)| *four == b"OggS")
            .map(|(offset, _)| at + offset)
            .collect();
        for mark in marks {
            // Sound may spell the mark by chance: such a page has another serial or does not end within the file.
            if let Ok(page) = page(source, mark)
                && page.serial == serial
                && page.next <= len
                && page.granule != u64::MAX
            {
                last = Some(page.granule);
            }
        }
        at += u64::try_from(step).unwrap_or(1);
    }
    Ok(last)
}
