//! PNG: chunks up to the pixels.

use std::io::{BufRead, Seek};

use super::{Format, Header, Result, Source, orientation};

/// EXIF blocks are far smaller; one that is larger is not looked at.
const MAX_EXIF_BYTES: u32 = 1 << 20;

pub(super) fn read<R: BufRead + Seek>(source: &mut Source<'_, R>) -> Result<Header> {
    if source.bytes()? != *b"\x89PNG\r\n\x1A\n"
        || source.u32_be()? != 13
        || source.bytes()? != *b"IHDR"
    {
        return Err(source.broken());
    }
    let (width, height) = (source.u32_be()?, source.u32_be()?);
    let [bits, _color, _compression, _filter, _interlace] = source.bytes()?;
    source.skip(4)?;
    let mut header = Header::still(Format::Png, width, height);
    // Sixteen bits a channel come out as such and are halved afterwards; eight may become more channels.
    header.decoding_bytes_per_pixel = if bits == 16 { 12 } else { 8 };
    loop {
        let length = source.u32_be()?;
        let kind: [u8; 4] = source.bytes()?;
        match &kind {
            b"IDAT" | b"IEND" => return Ok(header),
            b"eXIf" if length <= MAX_EXIF_BYTES => {
                let exif = source.take(length.into())?;
                if let Some(orientation) = orientation(&exif) {
                    header.orientation = orientation;
                }
                source.skip(4)?;
            }
            _ => source.skip(u64::from(length) + 4)?,
        }
    }
}
