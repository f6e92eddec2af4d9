//! WebP: the chunks of the RIFF container.

use std::io::{BufRead, Seek};

use super::{Format, Header, Result, Source, orientation};

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
            b"ANMF" if is_animated => {
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
