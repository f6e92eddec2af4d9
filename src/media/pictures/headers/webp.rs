//! WebP: the chunks of the RIFF container.

use std::io::{BufRead, Seek};

use super::{Excess, Format, Header, PictureError, Result, Source, broken, orientation, vp8l};

/// EXIF blocks are far smaller; one that is larger is not looked at.
const MAX_EXIF_BYTES: u64 = 1 << 20;
const IS_ANIMATED: u8 = 0x02;

pub(super) fn read<R: BufRead + Seek>(
    source: &mut Source<'_, R>,
    file_bytes: u64,
) -> Result<Header> {
    if source.bytes()? != *b"RIFF" {
        return Err(source.broken());
    }
    let end = u64::from(source.u32_le()?) + 8;
    if end > file_bytes || source.bytes()? != *b"WEBP" {
        return Err(source.broken());
    }
    let kind: [u8; 4] = source.bytes()?;
    let length = u64::from(source.u32_le()?);
    let behind = 20 + length + length % 2;
    // Some writers forget the padding of the last chunk.
    if 20 + length > end {
        return Err(source.broken());
    }
    let still = |width, height| Header {
        // Two sets of planes, and the pixels made of them.
        decoding_bytes_per_pixel: 12,
        size_bytes: end,
        ..Header::still(Format::WebP, width, height)
    };
    match &kind {
        b"VP8 " => {
            let [_, _, _, 0x9D, 0x01, 0x2A] = source.bytes()? else {
                return Err(source.broken());
            };
            let (width, height) = (source.u16_le()? & 0x3FFF, source.u16_le()? & 0x3FFF);
            Ok(still(width.into(), height.into()))
        }
        b"VP8L" => {
            if source.byte()? != 0x2F {
                return Err(source.broken());
            }
            let bits = source.u32_le()?;
            let (width, height) = ((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1);
            Ok(still(width, height))
        }
        b"VP8X" => {
            let [flags, _, _, _] = source.bytes()?;
            let (width, height) = (source.u24_le()? + 1, source.u24_le()? + 1);
            source.skip(length.saturating_sub(10) + length % 2)?;
            let mut header = still(width, height);
            if flags & IS_ANIMATED != 0 {
                // A frame, its planes, the canvas, and what is made of it.
                header.decoding_bytes_per_pixel = 16;
                header.frames = 0;
            }
            chunks(source, &mut header, behind, end)?;
            if header.frames == 0 {
                return Err(source.broken());
            }
            Ok(header)
        }
        _ => Err(source.broken()),
    }
}

fn chunks<R: BufRead + Seek>(
    source: &mut Source<'_, R>,
    header: &mut Header,
    mut at: u64,
    end: u64,
) -> Result<()> {
    let is_animated = header.frames == 0;
    while at + 8 <= end {
        let kind: [u8; 4] = source.bytes()?;
        let length = u64::from(source.u32_le()?);
        if at + 8 + length > end {
            return Err(source.broken());
        }
        let padded = length + length % 2;
        let read = match &kind {
            // The decoder looks into frames even where it is not to show them.
            b"ANMF" if !is_animated => return Err(source.broken()),
            b"ANMF" => {
                let _position: [u8; 6] = source.bytes()?;
                let (width, height) = (source.u24_le()? + 1, source.u24_le()? + 1);
                header.count_frame(width, height);
                12
            }
            b"ANIM" if is_animated => {
                let _background: [u8; 4] = source.bytes()?;
                header.plays = source.u16_le()?.into();
                6
            }
            b"EXIF" if length <= MAX_EXIF_BYTES => {
                if let Some(orientation) = orientation(&source.take(length)?) {
                    header.orientation = orientation;
                }
                length
            }
            _ => 0,
        };
        // A chunk too short for its kind has been read beyond its end.
        source.skip(padded.checked_sub(read).ok_or_else(|| source.broken())?)?;
        at += 8 + padded;
    }
    Ok(())
}

/// Looks at what the decoder looks at too late: it makes room for as many pixels as a bitstream names, whatever the size of
/// the frame that it stands for, and for as many codes as a lossless one names. What those take at most.
pub(super) fn check_bitstreams(file: &[u8], size: (u32, u32), most_code_bytes: u64) -> Result<u64> {
    let mut rest = file.get(12..).unwrap_or_default();
    let mut most = 0;
    while let Some((kind, body)) = next_chunk(&mut rest) {
        if kind != *b"ANMF" {
            most = most.max(check_bitstream(kind, body, size, most_code_bytes)?);
            continue;
        }
        let three = |at: usize| match body.get(at..at + 3) {
            Some([a, b, c]) => Ok(u32::from_le_bytes([*a, *b, *c, 0]) + 1),
            _ => Err(broken(Format::WebP)),
        };
        let size = (three(6)?, three(9)?);
        // The decoder takes no heed of padding here, and would look elsewhere than this does.
        if body.len() % 2 == 1 {
            return Err(broken(Format::WebP));
        }
        let mut rest = body.get(16..).unwrap_or_default();
        while let Some((kind, body)) = next_chunk(&mut rest) {
            most = most.max(check_bitstream(kind, body, size, most_code_bytes)?);
        }
    }
    Ok(most)
}

fn check_bitstream(kind: [u8; 4], body: &[u8], size: (u32, u32), most_bytes: u64) -> Result<u64> {
    let code_bytes = match (&kind, body) {
        (b"VP8 ", [_, _, _, 0x9D, 0x01, 0x2A, sides @ ..]) => match sides {
            [a, b, c, d, ..] => {
                let side = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
                ((side(*a, *b), side(*c, *d)) == size).then_some(0)
            }
            _ => None,
        },
        (b"VP8 ", _) => None,
        (b"VP8L", stream) => vp8l::code_bytes(stream, true, size, most_bytes),
        (b"ALPH", [flags, stream @ ..]) if flags & 3 == 1 => {
            vp8l::code_bytes(stream, false, size, most_bytes)
        }
        _ => Some(0),
    };
    let code_bytes = code_bytes.ok_or_else(|| broken(Format::WebP))?;
    if code_bytes > most_bytes {
        return Err(PictureError::TooLarge(Excess::Bytes));
    }
    Ok(code_bytes)
}

/// The next chunk; one that is cut short is as long as there is something of it.
fn next_chunk<'a>(rest: &mut &'a [u8]) -> Option<([u8; 4], &'a [u8])> {
    let (kind, after) = rest.split_first_chunk::<4>()?;
    let (length, after) = after.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let body = after.get(..length).unwrap_or(after);
    *rest = after.get(length + length % 2..).unwrap_or_default();
    Some((*kind, body))
}
