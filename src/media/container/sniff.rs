//! Which container a file is, from how it begins. Names and media types that come with an upload are not asked.

use super::{Container, mp3};

/// How much of a file's head to pass to [`sniff()`]: enough for three frames of MP3.
pub const SNIFF_BYTES: usize = 8 * 1024;

/// The container of a file that begins with `head`; `None` where it is none of ours. The head should be
/// [`SNIFF_BYTES`] long, or the whole file.
pub fn sniff(head: &[u8]) -> Option<Container> {
    match head {
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => file_type(head),
        [0x1A, 0x45, 0xDF, 0xA3, ..] => doc_type(head),
        [b'O', b'g', b'g', b'S', 0, ..] => ogg(head),
        [b'f', b'L', b'a', b'C', ..] => Some(Container::Flac),
        [b'R', b'I', b'F', b'F', _, _, _, _, form @ ..] if form.starts_with(b"WAVE") => {
            Some(Container::Wav)
        }
        [b'R', b'I', b'F', b'F', _, _, _, _, form @ ..] if form.starts_with(b"AVI ") => {
            Some(Container::Avi)
        }
        _ if is_old_quicktime(head) => Some(Container::QuickTime),
        _ if mp3::is_mp3(head) => Some(Container::Mp3),
        _ => None,
    }
}

/// Reads the brands of an `ftyp` box: the major one decides, and where it is unknown the first known of the others.
fn file_type(head: &[u8]) -> Option<Container> {
    let size = head.first_chunk().map(|size| u32::from_be_bytes(*size))?;
    let size = usize::try_from(size).ok().filter(|size| *size >= 16)?;
    let ftyp = head.get(8..size.min(head.len()))?;
    let brands = ftyp.chunks_exact(4).enumerate();
    brands
        .filter(|(place, _)| *place != 1) // the minor version
        .find_map(|(_, brand)| container_of_brand(brand))?
}

/// `Some(None)` for a brand that says that it is no video: a picture.
#[expect(
    clippy::option_option,
    reason = "known as a picture differs from unknown"
)]
fn container_of_brand(brand: &[u8]) -> Option<Option<Container>> {
    match brand {
        b"qt  " => Some(Some(Container::QuickTime)),
        b"M4A " | b"M4B " | b"M4P " => Some(Some(Container::M4a)),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"mif1" | b"msf1" | b"avif" | b"avis"
        | b"crx " => Some(None),
        b"mp41"
        | b"mp42"
        | b"mp71"
        | b"avc1"
        | b"av01"
        | b"dash"
        | b"mmp4"
        | b"MSNV"
        | b"NDSC"
        | b"F4V "
        | b"f4v "
        | b"XAVC"
        | [b'i', b's', b'o', b'm' | b'2'..=b'9']
        | [b'M', b'4', b'V', _]
        | [b'm', b's', b'd', b'h' | b's']
        | [b'c', b'm', b'f', b'c' | b'2' | b's' | b'f']
        | [b'3', b'g', b'p' | b'2' | b'e', _] => Some(Some(Container::Mp4)),
        _ => None,
    }
}

/// Files from before `ftyp` was invented.
fn is_old_quicktime(head: &[u8]) -> bool {
    let at = |range: std::ops::Range<usize>| head.get(range).unwrap_or_default();
    (at(4..8) == b"moov" && matches!(at(12..16), b"mvhd" | b"cmov"))
        || (head.starts_with(b"\0\0\0\x08wide") && at(12..16) == b"mdat")
}

/// Looks for the document type in the EBML head.
fn doc_type(head: &[u8]) -> Option<Container> {
    // The element is 42 82, its size (one byte is enough for both names), and the name, perhaps padded.
    let head = head.get(..head.len().min(128))?;
    let rest = head
        .windows(2)
        .position(|id| id == [0x42, 0x82])
        .and_then(|at| head.get(at + 2..))?;
    let (size, name) = rest.split_first()?;
    let size = usize::from(size.checked_sub(0x80)?);
    match name.get(..size)?.split(|byte| *byte == 0).next()? {
        b"webm" => Some(Container::WebM),
        b"matroska" => Some(Container::Matroska),
        _ => None,
    }
}

/// The first pages of an Ogg file hold one head for each stream.
fn ogg(head: &[u8]) -> Option<Container> {
    let mut sound = None;
    let mut rest = head;
    for _ in 0..8 {
        let Some(page) = rest.starts_with(b"OggS").then_some(rest) else {
            break;
        };
        let is_first = page.get(5).is_some_and(|flags| flags & 2 != 0);
        let segments = usize::from(*page.get(26).unwrap_or(&0));
        let (Some(lacing), true) = (page.get(27..27 + segments), is_first) else {
            break;
        };
        let size: usize = lacing.iter().map(|part| usize::from(*part)).sum();
        let body = page.get(27 + segments..).unwrap_or_default();
        if body.starts_with(b"\x80theora") {
            return Some(Container::OggVideo);
        }
        if body.starts_with(b"OpusHead")
            || body.starts_with(b"\x01vorbis")
            || body.starts_with(b"\x7fFLAC")
        {
            sound = Some(Container::Ogg);
        }
        rest = body.get(size..).unwrap_or_default();
    }
    sound
}
