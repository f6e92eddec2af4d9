//! What is read of files, and the films, sounds and pictures that are made of them.

use std::cell::RefCell;
use std::time::Duration;

use super::super::{FfmpegError, Kind, Rate, Refusal};
use super::{Studio, ffmpeg, place_of};

#[test]
fn a_version_is_told_and_the_coders_are_there() {
    assert!(
        ffmpeg()
            .version()
            .starts_with(|c: char| c.is_ascii_graphic())
    );
    assert_ne!(ffmpeg().version(), "unknown");
    assert!(ffmpeg().can_convert_video());
    assert!(ffmpeg().can_convert_audio());
}

#[test]
fn facts_are_those_of_the_file() {
    let studio = Studio::new();
    let facts = studio.facts(&studio.clip("a.mp4", "320x240", "-c:v libx264 -c:a aac"));
    assert_eq!(facts.kind, Kind::Video);
    assert_eq!((facts.width, facts.height), (320, 240));
    assert!(facts.duration.abs_diff(Duration::from_secs(1)) < Duration::from_millis(100));
    assert!(facts.has_audio() && facts.bit_rate.is_some());
    let video = facts.video.unwrap();
    assert_eq!(video.codec, "h264");
    let rate = Rate {
        frames: 25,
        seconds: 1,
    };
    assert_eq!(video.frame_rate, rate);
    assert!(!video.is_turned && video.is_square && !video.is_interlaced);
    assert_eq!(facts.audio.unwrap().codec, "aac");
}

#[test]
fn a_recording_that_does_not_tell_its_length_is_measured() {
    let studio = Studio::new();
    let whole = studio.clip("a.webm", "160x120", "-c:v libvpx -c:a libopus -live 1");
    let facts = studio.facts(&whole);
    assert!(facts.duration.abs_diff(Duration::from_secs(1)) < Duration::from_millis(200));
}

#[test]
fn a_film_becomes_one_that_plays_everywhere() {
    let studio = Studio::new();
    let source = studio.clip("a.mkv", "320x240", "-c:v mpeg4 -c:a libvorbis -ac 1");
    let told = RefCell::new(Vec::new());
    let out = studio.path("out.mp4");
    ffmpeg()
        .mp4(
            &source,
            &studio.facts(&source),
            &out,
            &|done| told.borrow_mut().push(done),
            &studio.job(),
        )
        .unwrap();
    let facts = studio.facts(&out);
    let (video, audio) = (facts.video.unwrap(), facts.audio.unwrap());
    assert_eq!(
        (video.codec.as_str(), audio.codec.as_str()),
        ("h264", "aac")
    );
    assert_eq!(video.pixel_format, "yuv420p");
    assert_eq!((facts.width, facts.height), (320, 240));
    assert_eq!(audio.channels, 2);
    let bytes = std::fs::read(&out).unwrap();
    assert!(place_of(b"moov", &bytes) < place_of(b"mdat", &bytes));
    let told = told.into_inner();
    assert!(told.is_sorted() && told.last().is_some_and(|last| (0.8..=1.0).contains(last)));
}

#[test]
fn a_film_that_plays_already_is_copied() {
    let studio = Studio::new();
    let source = studio.clip("a.mp4", "320x240", "-c:v libx264 -crf 35 -c:a aac -ac 1");
    let (out, facts) = studio.mp4(&source);
    let audio = facts.audio.unwrap();
    assert_eq!(audio.channels, 1, "coded anew it would be stereo");
    let bytes = std::fs::read(out).unwrap();
    assert!(place_of(b"moov", &bytes) < place_of(b"mdat", &bytes));
    // What the coder noted of itself in the stream is gone.
    assert!(!bytes.windows(4).any(|four| four == b"x264"));
}

#[test]
fn a_turned_film_stands_upright_without_a_note() {
    let studio = Studio::new();
    let fixture = include_bytes!("../../../../tests/fixtures/media/turned.mp4");
    let source = studio.write("turned.mp4", fixture);
    let facts = studio.facts(&source);
    assert_eq!((facts.width, facts.height), (18, 32));
    assert!(facts.video.as_ref().unwrap().is_turned);
    let (_, made) = studio.mp4(&source);
    assert_eq!((made.width, made.height), (18, 32));
    assert!(!made.video.unwrap().is_turned);
}

#[test]
fn odd_sizes_become_even() {
    let studio = Studio::new();
    let source = studio.make(
        "odd.mkv",
        "-f lavfi -i testsrc2=s=321x241:r=10:d=0.5 -c:v mjpeg -pix_fmt yuvj444p",
    );
    let (_, facts) = studio.mp4(&source);
    assert_eq!((facts.width, facts.height), (320, 240));
    assert!(!facts.has_audio());
}

#[test]
fn pixels_become_square_and_woven_frames_whole() {
    let studio = Studio::new();
    let source = studio.clip(
        "wide.mp4",
        "320x240",
        "-vf setsar=2/1,setfield=tff -flags +ildct+ilme -c:v libx264 -x264-params tff=1 -an",
    );
    let facts = studio.facts(&source);
    assert_eq!((facts.width, facts.height), (640, 240));
    assert!(facts.video.unwrap().is_interlaced);
    let (_, made) = studio.mp4(&source);
    assert_eq!((made.width, made.height), (640, 240));
    let video = made.video.unwrap();
    assert!(video.is_square && !video.is_interlaced);
}

#[test]
fn fast_films_are_slowed_to_sixty_frames() {
    let studio = Studio::new();
    let source = studio.make(
        "fast.mp4",
        "-f lavfi -i testsrc2=s=160x120:r=120:d=0.5 -pix_fmt yuv420p -c:v libx264",
    );
    let (_, facts) = studio.mp4(&source);
    assert!(facts.video.unwrap().frame_rate.is_at_most(60));
}

#[test]
fn places_and_chapters_and_names_are_left_behind() {
    let studio = Studio::new();
    studio.write(
        "notes.txt",
        ";FFMETADATA1\ntitle=Mysecrettitle\nlocation=+48.2084+016.3731/\n\
         location-eng=+48.2084+016.3731/\ncom.apple.quicktime.location.ISO6709=+48.2084+016.3731/\n\
         make=Mysecretphone\ncreation_time=2024-05-06T07:08:09Z\n\
         [CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=Mysecretchapter\n",
    );
    for (name, codec) in [("copied.mp4", "libx264"), ("coded.mov", "mpeg4")] {
        studio.clip("plain.mp4", "160x120", &format!("-c:v {codec} -c:a aac"));
        let source = studio.make(
            name,
            "-i plain.mp4 -i notes.txt -map_metadata 1 -map_chapters 1 -c copy \
             -movflags use_metadata_tags -metadata:s:v handler_name=Mysecrethandler",
        );
        let has = |bytes: &[u8], word: &str| {
            bytes
                .windows(word.len())
                .any(|piece| piece == word.as_bytes())
        };
        let before = std::fs::read(&source).unwrap();
        assert!(has(&before, "+48.2084") && has(&before, "Mysecrettitle"));
        let (out, _) = studio.mp4(&source);
        let sound = studio.path("sound.m4a");
        ffmpeg()
            .audio(
                &source,
                &studio.facts(&source),
                &sound,
                &|_| {},
                &studio.job(),
            )
            .unwrap();
        for out in [out, sound] {
            let after = std::fs::read(&out).unwrap();
            for word in ["+48.2084", "Mysecret", "location", "2024", "Lavf", "x264"] {
                // The coder's own note of its settings is no secret.
                if word == "x264" && name == "coded.mov" {
                    continue;
                }
                assert!(!has(&after, word), "{word} in {}", out.display());
            }
        }
    }
}

#[test]
fn a_poster_is_an_upright_picture() {
    let studio = Studio::new();
    let fixture = include_bytes!("../../../../tests/fixtures/media/turned.mp4");
    let turned = studio.write("turned.mp4", fixture);
    let out = studio.path("poster.png");
    let mut facts = studio.facts(&turned);
    ffmpeg()
        .poster(&turned, &facts, &out, &studio.job())
        .unwrap();
    let bytes = std::fs::read(&out).unwrap();
    let side = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(&bytes[..8], b"\x89PNG\r\n\x1a\n");
    assert_eq!((side(16), side(20)), (18, 32));
    // A film that is shorter than it says still has one.
    facts.duration = Duration::from_secs(50);
    std::fs::remove_file(&out).unwrap();
    ffmpeg()
        .poster(&turned, &facts, &out, &studio.job())
        .unwrap();
    assert!(out.exists());
}

#[test]
fn sound_becomes_m4a() {
    let studio = Studio::new();
    for (name, codec) in [
        ("a.ogg", "libopus"),
        ("a.wav", "pcm_s16le"),
        ("a.mp3", "libmp3lame"),
        ("a.flac", "flac"),
        ("a.m4a", "aac"),
    ] {
        let source = studio.make(name, &format!("-f lavfi -i sine=d=1 -c:a {codec}"));
        let facts = studio.facts(&source);
        assert_eq!((facts.kind, facts.width), (Kind::Audio, 0));
        let out = studio.path("out.m4a");
        ffmpeg()
            .audio(&source, &facts, &out, &|_| {}, &studio.job())
            .unwrap();
        let made = studio.facts(&out);
        assert_eq!(made.audio.unwrap().codec, "aac", "{name}");
        let bytes = std::fs::read(&out).unwrap();
        assert!(place_of(b"moov", &bytes) < place_of(b"mdat", &bytes));
        // No picture can be made of it.
        let refused = ffmpeg().poster(&source, &facts, &studio.path("p.png"), &studio.job());
        assert!(matches!(
            refused,
            Err(FfmpegError::Refused(Refusal::NoStreams))
        ));
    }
}
