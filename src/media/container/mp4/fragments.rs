//! The length of a film in fragments: where the last one of each track ends.

use std::io::{Read, Seek};

use super::boxes::{Atom, Walk};
use super::facts::millis;
use super::track::TrackBox;
use super::{ContainerError, Source};

/// Entries of one run that are added up one by one.
const MAX_SAMPLES: u32 = 10_000;

/// What the fragments read so far come to.
#[derive(Default)]
pub(super) struct Fragments {
    longest_ms: u64,
    /// Time so far of tracks whose fragments do not say where they start.
    sums: Vec<(u32, u64)>,
    has_given_up: bool,
}

impl Fragments {
    /// Adds a `moof`. The length is only a courtesy, so a fragment that cannot be read takes it away and no more.
    pub(super) fn add<R: Read + Seek>(
        &mut self,
        source: &mut Source<R>,
        moof: Atom,
        tracks: &[TrackBox],
    ) {
        if !self.has_given_up && self.try_add(source, moof, tracks).is_err() {
            self.give_up();
        }
    }

    /// The length will not be known.
    pub(super) fn give_up(&mut self) {
        self.has_given_up = true;
    }

    /// Where the last fragment ends.
    pub(super) fn duration_ms(&self) -> Option<u64> {
        Some(self.longest_ms).filter(|ms| *ms > 0 && !self.has_given_up)
    }

    fn try_add<R: Read + Seek>(
        &mut self,
        source: &mut Source<R>,
        moof: Atom,
        tracks: &[TrackBox],
    ) -> Result<(), ContainerError> {
        let mut walk = Walk::inside(moof, 0);
        while let Some(found) = walk.next(source)? {
            if &found.name != b"traf" {
                continue;
            }
            if let Some((id, end)) = self.end_of(source, found, tracks)? {
                let timescale = tracks.iter().find(|track| track.id == id);
                let ms = timescale.and_then(|track| millis(end, track.timescale));
                self.longest_ms = self.longest_ms.max(ms.unwrap_or(0));
            }
        }
        Ok(())
    }

    /// The track of a fragment, and where the fragment ends in the track's units.
    fn end_of<R: Read + Seek>(
        &mut self,
        source: &mut Source<R>,
        traf: Atom,
        tracks: &[TrackBox],
    ) -> Result<Option<(u32, u64)>, ContainerError> {
        let (mut id, mut each, mut start, mut sum) = (0, 0, None, 0_u64);
        let mut walk = Walk::inside(traf, 0);
        while let Some(found) = walk.next(source)? {
            match &found.name {
                b"tfhd" => {
                    let flags = source.u32(found.at(0, 4)?)?;
                    id = source.u32(found.at(4, 4)?)?;
                    let Some(track) = tracks.iter().find(|track| track.id == id) else {
                        return Ok(None);
                    };
                    each = track.sample_duration;
                    if flags & 8 != 0 {
                        let offset = 8 + u64::from(flags & 1) * 8 + u64::from(flags & 2) * 2;
                        each = source.u32(found.at(offset, 4)?)?;
                    }
                }
                b"tfdt" => {
                    start = Some(if source.u8(found.at(0, 1)?)? == 1 {
                        source.u64(found.at(4, 8)?)?
                    } else {
                        u64::from(source.u32(found.at(4, 4)?)?)
                    });
                }
                b"trun" => sum = sum.saturating_add(run(source, found, each)?),
                _ => {}
            }
        }
        let place = self.sums.iter().position(|(known, _)| *known == id);
        let place = place.unwrap_or_else(|| {
            self.sums.push((id, 0));
            self.sums.len() - 1
        });
        let known = &mut self.sums[place].1;
        *known = start.unwrap_or(*known).saturating_add(sum);
        Ok(Some((id, *known)))
    }
}

/// The length of one run of samples, each of which may have its own.
fn run<R: Read + Seek>(
    source: &mut Source<R>,
    trun: Atom,
    each: u32,
) -> Result<u64, ContainerError> {
    let flags = source.u32(trun.at(0, 4)?)?;
    let samples = source.u32(trun.at(4, 4)?)?;
    if flags & 0x100 == 0 {
        return Ok(u64::from(samples) * u64::from(each));
    }
    if samples > MAX_SAMPLES {
        return Err(ContainerError::TooIntricate);
    }
    let entry = u64::from((flags & 0xF00).count_ones()) * 4;
    let mut offset = 8 + u64::from((flags & 5).count_ones()) * 4;
    let mut sum = 0;
    for _ in 0..samples {
        sum += u64::from(source.u32(trun.at(offset, 4)?)?);
        offset += entry;
    }
    Ok(sum)
}
