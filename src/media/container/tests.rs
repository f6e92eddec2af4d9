//! Real files of half a second, what can be wrong with such files, and what is no such file at all.

use std::cell::Cell;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::rc::Rc;

use proptest::prelude::*;

use super::source::{MAX_READS, WINDOW};
use super::{Container, ContainerError, Facts, Kind, inspect, sniff};

macro_rules! fixtures {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../tests/fixtures/media/", $name)))),+]
    };
}

/// Made with ffmpeg: 32x18 at 10 frames a second, a sine for sound.
const FIXTURES: &[(&str, &[u8])] = fixtures![
    "faststart.mp4",
    "turned.mp4",
    "fragments.mp4",
    "recorded.mov",
    "voice.m4a",
    "film.webm",
    "recorded.webm",
    "film.mkv",
    "voice.ogg",
    "vorbis.ogg",
    "film.ogv",
    "voice.mp3",
    "bare.mp3",
    "voice.wav",
    "voice.flac",
    "film.avi",
];

fn fixture(name: &str) -> Vec<u8> {
    let found = FIXTURES.iter().find(|(known, _)| *known == name);
    found.expect("a fixture of that name").1.to_vec()
}

/// Sniffs and inspects as a caller would.
fn read(bytes: &[u8]) -> Option<Result<Facts, ContainerError>> {
    let container = sniff(bytes)?;
    Some(inspect(Cursor::new(bytes), container))
}

fn facts(name: &str) -> Facts {
    read(&fixture(name))
        .expect("a known container")
        .expect("a sound file")
}

/// `container kind WxH video+audio`, the length in tenths of a second, and what else holds.
fn summary(name: &str) -> String {
    let facts = facts(name);
    let codec = |codec: &Option<String>| codec.clone().unwrap_or_else(|| "-".to_owned());
    format!(
        "{:?} {}x{} {}+{} {:?}{}{}",
        facts.container,
        facts.width,
        facts.height,
        codec(&facts.video_codec),
        codec(&facts.audio_codec),
        facts.duration_ms.map(|ms| (ms + 50) / 100),
        if facts.is_faststart { " faststart" } else { "" },
        if facts.plays_in_browsers() {
            " plays"
        } else {
            ""
        },
    )
}

#[test]
fn files_say_what_they_are() {
    for (name, expected) in [
        (
            "faststart.mp4",
            "Mp4 32x18 h264+aac Some(5) faststart plays",
        ),
        ("turned.mp4", "Mp4 18x32 h264+aac Some(5) plays"),
        (
            "fragments.mp4",
            "Mp4 32x18 h264+aac Some(6) faststart plays",
        ),
        ("recorded.mov", "QuickTime 32x18 h264+aac Some(5)"),
        ("voice.m4a", "M4a 0x0 -+aac Some(5) plays"),
        ("film.webm", "WebM 32x18 vp9+opus Some(5) faststart plays"),
        (
            "recorded.webm",
            "WebM 32x18 vp8+opus Some(5) faststart plays",
        ),
        ("film.mkv", "Matroska 32x18 h264+aac Some(6) faststart"),
        ("voice.ogg", "Ogg 0x0 -+opus Some(5) faststart plays"),
        ("vorbis.ogg", "Ogg 0x0 -+vorbis Some(5) faststart plays"),
        ("film.ogv", "OggVideo 32x18 theora+- None faststart"),
        ("voice.mp3", "Mp3 0x0 -+mp3 Some(6) faststart plays"),
        ("bare.mp3", "Mp3 0x0 -+mp3 Some(6) faststart plays"),
        ("voice.wav", "Wav 0x0 -+pcm Some(5) faststart plays"),
        ("voice.flac", "Flac 0x0 -+flac Some(5) faststart plays"),
        ("film.avi", "Avi 32x18 mpeg4+mp3 Some(6)"),
    ] {
        assert_eq!(summary(name), expected, "{name}");
    }
    assert_eq!(facts("voice.m4a").kind, Kind::Audio);
    assert_eq!(facts("film.avi").kind, Kind::Video);
}

#[test]
fn a_codec_that_browsers_lack_does_not_play() {
    let mut facts = facts("faststart.mp4");
    assert!(facts.plays_in_browsers());
    facts.h264_profile = Some(110);
    assert!(!facts.plays_in_browsers(), "ten bits");
    facts.h264_profile = None;
    facts.video_codec = Some("hevc".to_owned());
    assert!(!facts.plays_in_browsers());
    facts.video_codec = Some("av1".to_owned());
    assert!(facts.plays_in_browsers());
    facts.audio_codec = Some("ac3".to_owned());
    assert!(!facts.plays_in_browsers());
}

#[test]
fn brands_tell_containers_apart() {
    let ftyp = |major: &[u8; 4], other: &[u8; 4]| {
        let head = [&b"\0\0\0\x14ftyp"[..], major, &[0; 4], other].concat();
        sniff(&head)
    };
    for brand in [
        b"isom", b"mp42", b"avc1", b"M4V ", b"iso5", b"dash", b"3gp4",
    ] {
        assert_eq!(ftyp(brand, b"zzzz"), Some(Container::Mp4));
        assert_eq!(ftyp(b"zzzz", brand), Some(Container::Mp4));
    }
    assert_eq!(ftyp(b"qt  ", b"isom"), Some(Container::QuickTime));
    assert_eq!(ftyp(b"M4A ", b"isom"), Some(Container::M4a));
    // Pictures, though they name a brand of films as well.
    assert_eq!(ftyp(b"heic", b"isom"), None);
    assert_eq!(ftyp(b"avif", b"iso8"), None);
    assert_eq!(ftyp(b"zzzz", b"yyyy"), None);
}

#[test]
fn what_is_no_film_is_none_of_ours() {
    for head in [
        &b""[..],
        b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"\xFF\xD8\xFF\xE0\0\x10JFIF",
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"%PDF-1.7",
        // One frame's head is no MP3.
        b"\xFF\xFB\x90\x00 and then text that goes on for a while",
        // A UTF-16 mark looks like the start of one.
        b"\xFF\xFEh\0e\0l\0l\0o\0",
    ] {
        assert_eq!(sniff(head), None, "{head:?}");
    }
    assert_eq!(sniff(&[0xFF; 8192]), None);
    assert_eq!(sniff(&[0; 8192]), None);
}

#[test]
fn a_file_cut_short_is_refused() {
    for name in ["faststart.mp4", "recorded.mov", "film.webm", "voice.wav"] {
        let bytes = fixture(name);
        for len in 16..bytes.len() - 1 {
            if let Some(Ok(facts)) = read(&bytes[..len]) {
                // A WebM's facts stand before its frames.
                assert_eq!(facts.container, Container::WebM, "{name} cut to {len}");
            }
        }
    }
}

fn atom(name: &[u8], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len() + 8).unwrap().to_be_bytes();
    [&size[..], name, content].concat()
}

fn as_mp4(bytes: &[u8]) -> Result<Facts, ContainerError> {
    inspect(Cursor::new(bytes), Container::Mp4)
}

#[test]
fn boxes_that_lie_about_their_size_are_errors() {
    let ftyp = atom(b"ftyp", b"isom\0\0\0\0");
    for bad in [
        &b"\0\0\0\0moov"[..],                              // no size
        b"\0\0\0\x07moov",                                 // smaller than its head
        b"\0\0\0\x01moov\0\0\0\0\0\0\0\x0F",               // the same in the long form
        b"\0\0\0\x01moov\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", // past the end of all numbers
        b"\0\0\0\x01moov",
        b"\xFF\xFF\xFF\xFFmoov\0\0\0\0",
        b"\0\0\0\x09moov",
        b"\0\0\0",
    ] {
        assert!(as_mp4(&[&ftyp, bad].concat()).is_err(), "{bad:?}");
        // The same within a box that is right.
        assert!(as_mp4(&[&ftyp[..], &atom(b"moov", &atom(b"trak", bad))].concat()).is_err());
    }
    assert!(matches!(
        as_mp4(&ftyp),
        Err(ContainerError::Damaged("no index"))
    ));
    let empty = [ftyp, atom(b"moov", b""), atom(b"mdat", b"")].concat();
    assert!(matches!(as_mp4(&empty), Err(ContainerError::NoStreams)));
}

#[test]
fn depth_and_number_are_bounded() {
    let mut nested = Vec::new();
    for _ in 0..2_000 {
        nested = atom(b"trak", &nested);
    }
    assert!(as_mp4(&atom(b"moov", &nested)).is_err());
    let many = atom(b"free", b"").repeat(200_000);
    assert!(matches!(as_mp4(&many), Err(ContainerError::TooIntricate)));
    let tracks = atom(b"trak", &atom(b"mdia", b"")).repeat(1_000);
    assert!(matches!(
        as_mp4(&atom(b"moov", &tracks)),
        Err(ContainerError::TooIntricate)
    ));
}

#[test]
fn elements_that_lie_about_their_size_are_errors() {
    let head = b"\x1A\x45\xDF\xA3\x87\x42\x82\x84webm";
    for bad in [
        &b"\x18\x53\x80\x67\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFE"[..],
        b"\x18\x53\x80\x67\x90",
        b"\x18\x53\x80\x67\xFF\x16\x54\xAE\x6B\xFF",
        b"\x18\x53\x80\x67\xFF\0\0\0\0",
        b"\x18\x53\x80\x67\xFF\x16\x54\xAE\x6B\x80",
        b"\x18\x53\x80\x67\xFF\x16\x54\xAE\x6B\x00",
        b"\x18\x53",
    ] {
        let bytes = [&head[..], bad].concat();
        assert_eq!(sniff(&bytes), Some(Container::WebM));
        assert!(inspect(Cursor::new(bytes), Container::WebM).is_err());
    }
}

/// Counts what is read, and pretends to be of any size: behind the bytes come zeros.
struct Vast {
    bytes: Vec<u8>,
    len: u64,
    at: u64,
    read: Rc<Cell<u64>>,
}

impl Read for Vast {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        for (at, place) in (self.at..).zip(buffer.iter_mut()) {
            let known = usize::try_from(at).ok().and_then(|at| self.bytes.get(at));
            *place = known.copied().unwrap_or(0);
        }
        self.at += buffer.len() as u64;
        self.read.set(self.read.get() + buffer.len() as u64);
        Ok(buffer.len())
    }
}

impl Seek for Vast {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(_) => self.len,
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
        };
        Ok(self.at)
    }
}

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

/// Reads `bytes` as each container, as they are and as the head of a file of exabytes, and counts.
fn survives(bytes: &[u8]) {
    assert!(sniff(bytes).is_none_or(|_| bytes.len() > 4));
    for container in ALL {
        for len in [bytes.len() as u64, 1 << 62, u64::MAX] {
            let read = Rc::new(Cell::new(0));
            let vast = Vast {
                bytes: bytes.to_vec(),
                len,
                at: 0,
                read: Rc::clone(&read),
            };
            drop(inspect(vast, container));
            assert!(read.get() <= u64::from(MAX_READS) * WINDOW as u64);
        }
    }
}

#[test]
fn every_cut_and_every_flipped_byte_is_survived() {
    for (_, bytes) in FIXTURES {
        for at in (0..bytes.len().min(1500)).step_by(7) {
            drop(read(&bytes[..at]));
            for value in [0, 1, 0x7F, 0x80, 0xFF] {
                let mut changed = bytes.to_vec();
                changed[at] = value;
                drop(read(&changed));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        survives(&bytes);
    }

    #[test]
    fn damaged_files_are_survived(
        which in 0..FIXTURES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = FIXTURES[which].1.to_vec();
        for (place, value) in changes {
            let at = place.index(bytes.len().min(2048));
            bytes[at] = value;
        }
        survives(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        survives(&bytes);
    }

    #[test]
    fn random_bytes_are_no_mp3(bytes in prop::collection::vec(any::<u8>(), 4096)) {
        prop_assert_eq!(sniff(&bytes), None);
    }
}
