//! MP4 and its parent `QuickTime`: a tree of boxes, of which `moov` tells about the rest.
//!
//! `moov` may stand before or after the frames (`mdat`), and files that were recorded as they came are a short `moov`
//! and a row of fragments (`moof`), whose lengths have to be added up.

mod boxes;
mod fragments;
mod track;

use std::io::{Read, Seek};

use boxes::{Atom, Walk};
use fragments::Fragments;
use track::TrackBox;

use super::facts::millis;
use super::source::Source;
use super::{Container, ContainerError, Facts, facts};

/// Tracks that one file may have: phones write five or six.
const MAX_TRACKS: usize = 32;

pub(super) fn inspect<R: Read + Seek>(
    source: &mut Source<R>,
    container: Container,
) -> Result<Facts, ContainerError> {
    let mut walk = Walk::file(source.len());
    let mut movie = None;
    let (mut is_faststart, mut has_frames) = (true, false);
    let mut fragments = Fragments::default();
    loop {
        let found = match walk.next(source) {
            Ok(Some(found)) => found,
            Ok(None) => break,
            // A very long film in fragments: all but its length is known.
            Err(ContainerError::TooIntricate) if movie.is_some() => {
                fragments.give_up();
                break;
            }
            Err(error) => return Err(error),
        };
        has_frames |= &found.name == b"mdat";
        match (&found.name, &movie) {
            (b"moov", None) => movie = Some(read_movie(source, found)?),
            (b"moov", Some(_)) => return Err(ContainerError::Damaged("two indexes")),
            (b"mdat", None) => is_faststart = false,
            (b"moof", Some(movie)) => fragments.add(source, found, &movie.tracks),
            _ => {}
        }
    }
    let movie = movie.ok_or(ContainerError::Damaged("no index"))?;
    if !has_frames {
        return Err(ContainerError::Truncated);
    }
    let duration_ms = movie.duration_ms.or_else(|| fragments.duration_ms());
    let tracks = movie.tracks.into_iter().filter_map(|track| track.shown);
    Facts::of_tracks(container, tracks.collect(), duration_ms, is_faststart)
}

struct Movie {
    /// Absent in files made of fragments.
    duration_ms: Option<u64>,
    tracks: Vec<TrackBox>,
}

fn read_movie<R: Read + Seek>(source: &mut Source<R>, moov: Atom) -> Result<Movie, ContainerError> {
    let mut movie = Movie {
        duration_ms: None,
        tracks: Vec::new(),
    };
    let mut timescale = 0;
    let mut extends = None;
    let mut walk = Walk::inside(moov, 0);
    while let Some(found) = walk.next(source)? {
        match &found.name {
            b"mvhd" => {
                let duration;
                (timescale, duration) = time(source, found)?;
                movie.duration_ms = duration.and_then(|units| millis(units, timescale));
            }
            b"trak" => {
                if movie.tracks.len() == MAX_TRACKS {
                    return Err(ContainerError::TooIntricate);
                }
                movie.tracks.push(track::read(source, found)?);
            }
            b"mvex" => extends = Some(found),
            b"cmov" => return Err(ContainerError::Damaged("a compressed index")),
            _ => {}
        }
    }
    if let Some(mvex) = extends {
        read_extends(source, mvex, timescale, &mut movie)?;
    }
    Ok(movie)
}

/// What is said in advance of the fragments to come.
fn read_extends<R: Read + Seek>(
    source: &mut Source<R>,
    mvex: Atom,
    timescale: u64,
    movie: &mut Movie,
) -> Result<(), ContainerError> {
    let mut walk = Walk::inside(mvex, 0);
    while let Some(found) = walk.next(source)? {
        match &found.name {
            b"mehd" if movie.duration_ms.is_none() => {
                let is_long = source.u8(found.at(0, 1)?)? == 1;
                let units = if is_long {
                    source.u64(found.at(4, 8)?)?
                } else {
                    u64::from(source.u32(found.at(4, 4)?)?)
                };
                movie.duration_ms = millis(units, timescale).filter(|ms| *ms > 0);
            }
            b"trex" => {
                let id = source.u32(found.at(4, 4)?)?;
                let duration = source.u32(found.at(12, 4)?)?;
                for track in movie.tracks.iter_mut().filter(|track| track.id == id) {
                    track.sample_duration = duration;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Units in a second, and the length in them where one is given (`mvhd`, `mdhd`).
fn time<R: Read + Seek>(
    source: &mut Source<R>,
    found: Atom,
) -> Result<(u64, Option<u64>), ContainerError> {
    let (timescale, duration) = if source.u8(found.at(0, 1)?)? == 1 {
        let duration = source.u64(found.at(24, 8)?)?;
        (source.u32(found.at(20, 4)?)?, duration)
    } else {
        let duration = source.u32(found.at(16, 4)?)?;
        let duration = if duration == u32::MAX {
            u64::MAX
        } else {
            u64::from(duration)
        };
        (source.u32(found.at(12, 4)?)?, duration)
    };
    let duration = Some(duration).filter(|units| *units != 0 && *units != u64::MAX);
    Ok((u64::from(timescale), duration))
}
