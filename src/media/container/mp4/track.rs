//! One track of a movie: what it is, how large, how it is coded.

use std::io::{Read, Seek};

use super::boxes::{Atom, Walk, find};
use super::facts::{Kind, Track, plain_name};
use super::{ContainerError, Source, time};

/// A track, also one that is neither seen nor heard.
pub(super) struct TrackBox {
    pub(super) id: u32,
    pub(super) timescale: u64,
    /// The length of a sample in fragments, unless they say otherwise.
    pub(super) sample_duration: u32,
    /// `None` for time codes, subtitles and measurements.
    pub(super) shown: Option<Track>,
}

/// How a track is laid out on the screen.
#[derive(Clone, Copy, Default)]
struct Layout {
    width: u32,
    height: u32,
    is_on_its_side: bool,
}

pub(super) fn read<R: Read + Seek>(
    source: &mut Source<R>,
    trak: Atom,
) -> Result<TrackBox, ContainerError> {
    let mut track = TrackBox {
        id: 0,
        timescale: 0,
        sample_duration: 0,
        shown: None,
    };
    let mut layout = Layout::default();
    let mut media = None;
    let mut walk = Walk::inside(trak, 0);
    while let Some(found) = walk.next(source)? {
        match &found.name {
            b"tkhd" => (track.id, layout) = head(source, found)?,
            b"mdia" => media = Some(found),
            _ => {}
        }
    }
    let media = media.ok_or(ContainerError::Damaged("a track without media"))?;
    let mut kind = None;
    let mut walk = Walk::inside(media, 0);
    while let Some(found) = walk.next(source)? {
        match &found.name {
            b"mdhd" => track.timescale = time(source, found)?.0,
            b"hdlr" => {
                kind = match &source.array(found.at(8, 4)?)? {
                    b"vide" => Some(Kind::Video),
                    b"soun" => Some(Kind::Audio),
                    _ => None,
                };
            }
            b"minf" => {
                if let Some(kind) = kind {
                    track.shown = description(source, found, kind, layout)?;
                }
            }
            _ => {}
        }
    }
    Ok(track)
}

/// The id, and the layout: size in 16.16, and the matrix that turns the picture.
fn head<R: Read + Seek>(
    source: &mut Source<R>,
    tkhd: Atom,
) -> Result<(u32, Layout), ContainerError> {
    let shift = if source.u8(tkhd.at(0, 1)?)? == 1 {
        12
    } else {
        0
    };
    let id_at = if shift == 0 { 12 } else { 20 };
    let id = source.u32(tkhd.at(id_at, 4)?)?;
    let matrix = tkhd.at(40 + shift, 44)?;
    let [a, b] = [source.u32(matrix)?, source.u32(matrix + 4)?];
    let [c, d] = [source.u32(matrix + 12)?, source.u32(matrix + 16)?];
    let layout = Layout {
        width: source.u32(matrix + 36)? >> 16,
        height: source.u32(matrix + 40)? >> 16,
        // A quarter turn, either way: nothing of x stays x.
        is_on_its_side: (a, d) == (0, 0) && b != 0 && c != 0,
    };
    Ok((id, layout))
}

/// The track's first sample description.
fn description<R: Read + Seek>(
    source: &mut Source<R>,
    minf: Atom,
    kind: Kind,
    layout: Layout,
) -> Result<Option<Track>, ContainerError> {
    let Some(stbl) = find(source, minf, *b"stbl")? else {
        return Err(ContainerError::Damaged("a track without samples"));
    };
    let Some(stsd) = find(source, stbl, *b"stsd")? else {
        return Err(ContainerError::Damaged("a track without description"));
    };
    // Version, flags and the number of entries come first.
    let Some(entry) = Walk::inside(stsd, 8).next(source)? else {
        return Ok(None);
    };
    match kind {
        Kind::Video => video(source, entry, layout).map(Some),
        Kind::Audio => audio(source, entry).map(Some),
    }
}

fn video<R: Read + Seek>(
    source: &mut Source<R>,
    entry: Atom,
    layout: Layout,
) -> Result<Track, ContainerError> {
    let codec = match &entry.name {
        b"avc1" | b"avc2" | b"avc3" | b"avc4" => "h264".to_owned(),
        b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => "hevc".to_owned(),
        b"av01" => "av1".to_owned(),
        b"vp08" => "vp8".to_owned(),
        b"vp09" => "vp9".to_owned(),
        b"mp4v" => "mpeg4".to_owned(),
        b"s263" | b"h263" => "h263".to_owned(),
        b"jpeg" | b"png " | b"mjpa" | b"mjpb" => plain_name(&entry.name),
        b"apch" | b"apcn" | b"apcs" | b"apco" | b"ap4h" => "prores".to_owned(),
        other => plain_name(other),
    };
    let (mut width, mut height) = (layout.width, layout.height);
    if width == 0 || height == 0 {
        width = u32::from(source.u16(entry.at(24, 2)?)?);
        height = u32::from(source.u16(entry.at(26, 2)?)?);
    }
    if layout.is_on_its_side {
        (width, height) = (height, width);
    }
    let mut h264_profile = None;
    if codec == "h264" && entry.size() > 78 {
        let mut walk = Walk::inside(entry, 78);
        while let Some(found) = walk.next(source)? {
            if &found.name == b"avcC" {
                h264_profile = Some(source.u8(found.at(1, 1)?)?);
            }
        }
    }
    Ok(Track {
        kind: Kind::Video,
        codec,
        width,
        height,
        h264_profile,
    })
}

fn audio<R: Read + Seek>(source: &mut Source<R>, entry: Atom) -> Result<Track, ContainerError> {
    let codec = match &entry.name {
        b"mp4a" => mpeg_audio(source, entry)?.to_owned(),
        b"Opus" => "opus".to_owned(),
        b"fLaC" => "flac".to_owned(),
        b"ac-3" => "ac3".to_owned(),
        b"ec-3" => "eac3".to_owned(),
        b".mp3" => "mp3".to_owned(),
        b"samr" => "amr_nb".to_owned(),
        b"sawb" => "amr_wb".to_owned(),
        b"sowt" | b"twos" | b"lpcm" | b"in24" | b"raw " | b"ipcm" => "pcm".to_owned(),
        other => plain_name(other),
    };
    Ok(Track {
        kind: Kind::Audio,
        codec,
        width: 0,
        height: 0,
        h264_profile: None,
    })
}

/// `mp4a` is AAC unless its descriptor says MP3 or another.
fn mpeg_audio<R: Read + Seek>(
    source: &mut Source<R>,
    entry: Atom,
) -> Result<&'static str, ContainerError> {
    // QuickTime's versions 1 and 2 of the entry are longer, and wrap the descriptor once more: there it is AAC.
    if entry.size() <= 28 || source.u16(entry.at(8, 2)?)? != 0 {
        return Ok("aac");
    }
    let mut walk = Walk::inside(entry, 28);
    while let Some(found) = walk.next(source)? {
        if &found.name == b"esds" {
            return Ok(match object_type(source, found)? {
                Some(0x69 | 0x6B) => "mp3",
                Some(0xDD) => "vorbis",
                Some(0xAD) => "opus",
                Some(0xA5) => "ac3",
                _ => "aac",
            });
        }
    }
    Ok("aac")
}

/// The kind of coding that an `esds` names: in the description of the decoder, inside that of the stream.
fn object_type<R: Read + Seek>(
    source: &mut Source<R>,
    esds: Atom,
) -> Result<Option<u8>, ContainerError> {
    let len = usize::try_from(esds.size().min(64)).unwrap_or(64);
    let bytes = source.bytes(esds.start, len)?;
    Ok(parse_object_type(bytes))
}

fn parse_object_type(bytes: &[u8]) -> Option<u8> {
    let stream = after_head(bytes.get(4..)?, 3)?;
    let flags = *stream.get(2)?;
    let mut rest = stream.get(3..)?;
    if flags & 0x80 != 0 {
        rest = rest.get(2..)?;
    }
    if flags & 0x40 != 0 {
        let len = usize::from(*rest.first()?);
        rest = rest.get(1 + len..)?;
    }
    if flags & 0x20 != 0 {
        rest = rest.get(2..)?;
    }
    after_head(rest, 4)?.first().copied()
}

/// What follows a descriptor's tag and its size, which takes one to four bytes.
fn after_head(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(&[tag])?;
    let long = rest.iter().take(3).take_while(|byte| **byte >= 0x80);
    rest.get(long.count() + 1..)
}
