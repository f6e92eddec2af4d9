//! Whatever comes as a film or a recording is known or refused, for a bounded price, and what is known of it is sound.
#![no_main]

use std::cell::Cell;
use std::io::{Read, Result, Seek, SeekFrom};
use std::rc::Rc;

use libfuzzer_sys::{Corpus, fuzz_target};
use socialhub::media::container::{self, Container, ContainerError, Facts, Kind, SNIFF_BYTES};
use socialhub::media::pictures;
use socialhub_fuzz::{attempt, peak, prepare};

const ALL: [Container; 11] = [
    Container::Mp4,
    Container::QuickTime,
    Container::M4a,
    Container::WebM,
    Container::Matroska,
    Container::Ogg,
    Container::OggVideo,
    Container::Mp3,
    Container::Wav,
    Container::Flac,
    Container::Avi,
];

/// What one file may cost, as [`container::inspect`] has it.
const MOST_READ: u64 = 32 << 20;

/// Facts are small, whatever the file.
const MOST_HELD: usize = 64 * 1024;

fuzz_target!(init: prepare(), |file: &[u8]| -> Corpus { attempt(|| all_of(file)) });

fn all_of(file: &[u8]) -> Corpus {
    let known = container::sniff(&file[..file.len().min(SNIFF_BYTES)]);
    // What a file is does not change with what is asked first.
    assert!(known.is_none() || pictures::sniff(file).is_none());
    let length = file.len() as u64;
    match known {
        Some(known) => {
            look(file, length, known);
            // The same as the head of a file that is vast, and nothing but zeros.
            look(file, 1 << 40, known);
        }
        None => {
            for container in ALL {
                look(file, length, container);
            }
        }
    }
    Corpus::Keep
}

fn look(file: &[u8], length: u64, container: Container) {
    let read = Rc::new(Cell::new(0));
    let reader = Counting {
        file,
        length,
        at: 0,
        read: Rc::clone(&read),
    };
    let (facts, held) = peak(|| container::inspect(reader, container));
    assert!(
        read.get() <= MOST_READ,
        "{container:?}: {} bytes read",
        read.get()
    );
    assert!(held <= MOST_HELD, "{container:?}: {held} bytes held");
    match facts {
        Ok(facts) => check(&facts, container),
        Err(ContainerError::Io(error)) => panic!("{container:?}: {error}"),
        Err(_refused) => {}
    }
}

fn check(facts: &Facts, container: Container) {
    assert_eq!(facts.container, container);
    match facts.kind {
        Kind::Video => assert!(facts.video_codec.is_some()),
        Kind::Audio => {
            assert!(facts.video_codec.is_none() && facts.audio_codec.is_some());
            assert_eq!((facts.width, facts.height), (0, 0));
        }
    }
    for name in [&facts.video_codec, &facts.audio_codec]
        .into_iter()
        .flatten()
    {
        assert!(
            name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_graphic()),
            "{name:?}"
        );
    }
    assert!(facts.h264_profile.is_none() || facts.video_codec.as_deref() == Some("h264"));
    facts.plays_in_browsers();
}

/// Counts what is read; behind the file's own bytes come zeros.
struct Counting<'a> {
    file: &'a [u8],
    length: u64,
    at: u64,
    read: Rc<Cell<u64>>,
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let buffer = &mut buffer[..count];
        buffer.fill(0);
        let own = usize::try_from(self.at)
            .ok()
            .and_then(|at| self.file.get(at..));
        for (place, byte) in buffer.iter_mut().zip(own.unwrap_or_default()) {
            *place = *byte;
        }
        self.at += count as u64;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

impl Seek for Counting<'_> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => self.length.saturating_add_signed(by),
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
        };
        Ok(self.at)
    }
}
