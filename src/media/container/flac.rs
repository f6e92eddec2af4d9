//! FLAC: the first block tells all.

use std::io::{Read, Seek};

use super::facts::millis;
use super::source::Source;
use super::{Container, ContainerError, Facts};

pub(super) fn inspect<R: Read + Seek>(source: &mut Source<R>) -> Result<Facts, ContainerError> {
    if source.array(0)? != *b"fLaC" {
        return Err(ContainerError::Damaged("no FLAC mark"));
    }
    let [kind, size @ ..] = source.array::<4>(4)?;
    if kind & 0x7F != 0 || size != [0, 0, 34] {
        return Err(ContainerError::Damaged("no stream description"));
    }
    // 20 bits of rate, 3 of channels, 5 of depth, 36 of samples, which may be 0 for unknown.
    let packed = source.u64(18)?;
    let rate = packed >> 44;
    if rate == 0 {
        return Err(ContainerError::Damaged("no sample rate"));
    }
    let samples = packed & 0xF_FFFF_FFFF;
    let duration_ms = millis(samples, rate).filter(|ms| *ms > 0);
    Ok(Facts::audio(Container::Flac, "flac", duration_ms))
}
