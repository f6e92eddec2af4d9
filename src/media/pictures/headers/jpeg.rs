//! JPEG: marker segments up to the first scan.

use std::io::{BufRead, Seek};

use super::{Format, Header, Result, Source, orientation};

const START_OF_IMAGE: u8 = 0xD8;
const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;
const APP1: u8 = 0xE1;

pub(super) fn read<R: BufRead + Seek>(source: &mut Source<'_, R>) -> Result<Header> {
    if source.bytes()? != [0xFF, START_OF_IMAGE] {
        return Err(source.broken());
    }
    let mut header = None;
    let mut exif = None;
    loop {
        let marker = next_marker(source)?;
        if !has_length(marker) {
            if marker == END_OF_IMAGE {
                return Err(source.broken());
            }
            continue;
        }
        let length = u64::from(source.u16_be()?)
            .checked_sub(2)
            .ok_or_else(|| source.broken())?;
        if marker == START_OF_SCAN {
            break;
        } else if is_frame(marker) {
            // A second frame header could change the size after it was checked.
            if header.is_some() {
                return Err(source.broken());
            }
            header = Some(frame(source, marker)?);
            source.skip(length.saturating_sub(6))?;
        } else if marker == APP1 && exif.is_none() {
            let segment = source.take(length)?;
            exif = segment.strip_prefix(b"Exif\0\0").map(orientation);
        } else {
            source.skip(length)?;
        }
    }
    let mut header = header.ok_or_else(|| source.broken())?;
    if let Some(Some(orientation)) = exif {
        header.orientation = orientation;
    }
    Ok(header)
}

fn frame<R: BufRead + Seek>(source: &mut Source<'_, R>, marker: u8) -> Result<Header> {
    let _bits = source.byte()?;
    let height = source.u16_be()?;
    let width = source.u16_be()?;
    let components = source.byte()?;
    let mut header = Header::still(Format::Jpeg, width.into(), height.into());
    // Three channels come out. What is not baseline keeps every coefficient, of two bytes each, until the last scan.
    header.decoding_bytes_per_pixel = if marker == 0xC0 || marker == 0xC1 {
        4
    } else {
        4 + 2 * u64::from(components)
    };
    Ok(header)
}

fn next_marker<R: BufRead + Seek>(source: &mut Source<'_, R>) -> Result<u8> {
    loop {
        while source.byte()? != 0xFF {}
        let mut marker = source.byte()?;
        while marker == 0xFF {
            marker = source.byte()?;
        }
        if marker != 0 {
            return Ok(marker);
        }
    }
}

/// Any start of a frame: all of `C0` to `CF` but tables (`C4`, `CC`) and an extension (`C8`).
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF)
}

fn has_length(marker: u8) -> bool {
    !matches!(marker, 0x01 | 0xD0..=END_OF_IMAGE)
}

/// Whether a file reaches the end of its image. The decoder fills what is missing with grey and says nothing, and half a
/// photo is not what somebody meant to show.
pub(in super::super) fn is_whole(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut is_scanned = false;
    // Within a scan, `FF 00` and restarts pass as markers without a length, which is all that they are here.
    while let Some(at) = rest.iter().position(|byte| *byte == 0xFF) {
        let Some((&marker, after)) = rest.get(at + 1..).and_then(<[u8]>::split_first) else {
            return false;
        };
        match marker {
            // One fill byte; the next may start the marker.
            0xFF => rest = rest.get(at + 1..).unwrap_or_default(),
            END_OF_IMAGE => return is_scanned,
            0 => rest = after,
            marker if !has_length(marker) => rest = after,
            marker => {
                is_scanned |= marker == START_OF_SCAN;
                let length = match after {
                    [high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
                    _ => return false,
                };
                match after.get(length..) {
                    Some(behind) => rest = behind,
                    None => return false,
                }
            }
        }
    }
    false
}
