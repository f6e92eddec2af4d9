//! GIF: all blocks, without their pixels.

use std::io::{BufRead, Seek};

use super::{Format, Header, Result, Source};

const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2C;
const TRAILER: u8 = 0x3B;
const APPLICATION: u8 = 0xFF;

pub(super) fn read<R: BufRead + Seek>(source: &mut Source<'_, R>) -> Result<Header> {
    let signature: [u8; 6] = source.bytes()?;
    if !matches!(&signature, b"GIF87a" | b"GIF89a") {
        return Err(source.broken());
    }
    let (width, height) = (source.u16_le()?, source.u16_le()?);
    let [flags, _background, _aspect] = source.bytes()?;
    skip_palette(source, flags)?;
    let mut header = Header::still(Format::Gif, width.into(), height.into());
    // The frame, the canvas that it is laid on, and the picture that results.
    header.decoding_bytes_per_pixel = 12;
    header.frames = 0;
    loop {
        match source.byte()? {
            EXTENSION if source.byte()? == APPLICATION => {
                if let Some(plays) = application(source)? {
                    header.plays = plays;
                }
            }
            EXTENSION => skip_blocks(source)?,
            IMAGE => {
                let _position: [u8; 4] = source.bytes()?;
                let (width, height) = (source.u16_le()?, source.u16_le()?);
                let flags = source.byte()?;
                skip_palette(source, flags)?;
                source.skip(1)?;
                skip_blocks(source)?;
                header.count_frame(width.into(), height.into());
            }
            TRAILER if header.frames > 0 => return Ok(header),
            _ => return Err(source.broken()),
        }
    }
}

/// How often to play, if an application block says so. Its count is of repetitions: one less.
fn application<R: BufRead + Seek>(source: &mut Source<'_, R>) -> Result<Option<u32>> {
    let length = source.byte()?;
    let name = source.take(length.into())?;
    let mut plays = None;
    loop {
        let length = source.byte()?;
        if length == 0 {
            return Ok(plays);
        }
        let block = source.take(length.into())?;
        if let ([1, low, high], b"NETSCAPE2.0" | b"ANIMEXTS1.0") = (&*block, &*name) {
            plays = Some(match u16::from_le_bytes([*low, *high]) {
                0 => 0,
                repetitions => u32::from(repetitions) + 1,
            });
        }
    }
}

fn skip_palette<R: BufRead + Seek>(source: &mut Source<'_, R>, flags: u8) -> Result<()> {
    if flags & 0x80 == 0 {
        return Ok(());
    }
    source.skip(3 << ((flags & 7) + 1))
}

fn skip_blocks<R: BufRead + Seek>(source: &mut Source<'_, R>) -> Result<()> {
    loop {
        match source.byte()? {
            0 => return Ok(()),
            length => source.skip(length.into())?,
        }
    }
}
