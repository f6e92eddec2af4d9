//! What is sent by those who mean harm.

use std::time::Duration;

use super::super::{Facts, FfmpegError, Kind, Rate, Refusal, VideoStream};
use super::{Studio, ffmpeg};

/// Facts as if somebody had believed the file.
fn believed() -> Facts {
    Facts {
        kind: Kind::Video,
        format: "mov,mp4".to_owned(),
        width: 320,
        height: 240,
        duration: Duration::from_secs(1),
        bit_rate: Some(1000),
        video: Some(VideoStream {
            index: 0,
            codec: "h264".to_owned(),
            profile: "High".to_owned(),
            level: Some(30),
            pixel_format: "yuv420p".to_owned(),
            is_turned: false,
            is_square: true,
            is_interlaced: false,
            frame_rate: Rate {
                frames: 25,
                seconds: 1,
            },
            bit_rate: None,
        }),
        audio: None,
    }
}

#[test]
fn files_that_name_others_are_refused_and_those_are_not_read() {
    let studio = Studio::new();
    // A film that would play, if anybody opened it.
    let prey = studio.clip("prey.mp4", "160x120", "-c:v libx264 -c:a aac");
    let prey = prey.display();
    let playlist = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{prey}\n#EXTINF:4,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    );
    let fetching = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nhttp://127.0.0.1:9/x.ts\n";
    let concat = format!("ffconcat version 1.0\nfile {prey}\nfile /etc/passwd\n");
    let dash = format!(
        "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\"><Period>\
         <BaseURL>{prey}</BaseURL></Period></MPD>"
    );
    let svg =
        "<svg xmlns=\"http://www.w3.org/2000/svg\"><image href=\"file:///etc/passwd\"/></svg>";
    for (name, content) in [
        ("playlist.m3u8", playlist.as_str()),
        ("playlist.mp4", &playlist),
        ("fetching.mp4", fetching),
        ("script.ffconcat", &concat),
        ("script.mp4", &concat),
        ("dash.mpd", &dash),
        ("picture.svg", svg),
        ("passwd.mp4", "root:x:0:0:root:/root:/bin/bash\n"),
        ("empty.mp4", ""),
    ] {
        let file = studio.write(name, content);
        let refused = studio.probe(&file);
        let Err(FfmpegError::Broken(stderr)) = &refused else {
            panic!("{name}: {refused:?}");
        };
        assert!(!stderr.to_string().contains("root:"), "{name}: {stderr}");
        // Nor by the one that writes, should anybody believe that it was a film.
        let facts = believed();
        for out in ["out.mp4", "out.png"] {
            let out = studio.path(out);
            let refused = if out.ends_with("out.png") {
                ffmpeg().poster(&file, &facts, &out, &studio.job())
            } else {
                ffmpeg().mp4(&file, &facts, &out, &|_| {}, &studio.job())
            };
            assert!(
                matches!(refused, Err(FfmpegError::Broken(_))),
                "{name}: {refused:?}"
            );
            assert!(!out.exists());
        }
    }
}

#[test]
fn a_name_is_only_a_name() {
    let studio = Studio::new();
    for name in [
        "-y",
        "http:x.mp4",
        "concat:a|b.mp4",
        "100%03d.mp4",
        "pipe:0",
    ] {
        let clip = studio.clip("clip.mp4", "160x120", "-c:v libx264 -c:a aac");
        let file = studio.path(name);
        std::fs::rename(clip, &file).unwrap();
        assert_eq!(studio.facts(&file).width, 160, "{name}");
        let (_, made) = studio.mp4(&file);
        assert_eq!(made.width, 160, "{name}");
    }
}

#[test]
fn noise_and_pieces_of_films_are_broken() {
    let studio = Studio::new();
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(100_000)
    .collect();
    let file = studio.write("noise.mp4", &noise);
    assert!(matches!(studio.probe(&file), Err(FfmpegError::Broken(_))));
    let clip = studio.clip("clip.mp4", "160x120", "-c:v libx264 -c:a aac");
    let bytes = std::fs::read(clip).unwrap();
    let file = studio.write("half.mp4", &bytes[..bytes.len() / 2]);
    assert!(matches!(studio.probe(&file), Err(FfmpegError::Broken(_))));
}

#[test]
fn files_beyond_the_limits_are_refused() {
    let mut studio = Studio::new();
    let clip = studio.clip(
        "clip.mp4",
        "320x240",
        "-map 0 -map 1 -map 1 -c:v libx264 -c:a aac",
    );
    let refusal = |studio: &Studio| match studio.probe(&clip) {
        Err(FfmpegError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    studio.limits.max_duration = Duration::from_millis(500);
    assert_eq!(refusal(&studio), Refusal::Duration);
    studio = Studio {
        limits: Studio::new().limits,
        ..studio
    };
    studio.limits.max_pixels = 320 * 239;
    assert_eq!(refusal(&studio), Refusal::Pixels);
    studio.limits.max_pixels = 320 * 240;
    studio.limits.max_streams = 2;
    assert_eq!(refusal(&studio), Refusal::Streams);
    studio.limits.max_streams = 3;
    assert!(studio.probe(&clip).is_ok());
}

#[test]
fn a_codec_that_nobody_looked_at_is_refused() {
    let studio = Studio::new();
    let clip = studio.make(
        "clip.avi",
        "-f lavfi -i testsrc2=s=160x120:r=10:d=0.5 -c:v cinepak",
    );
    let Err(FfmpegError::Refused(refusal)) = studio.probe(&clip) else {
        panic!("it was accepted");
    };
    assert_eq!(refusal, Refusal::Codec("cinepak".to_owned()));
}

#[test]
fn a_film_that_needs_too_much_is_ended() {
    let mut studio = Studio::new();
    let clip = studio.clip("clip.mkv", "1280x720", "-c:v mpeg4 -an");
    let facts = studio.facts(&clip);
    let out = studio.path("out.mp4");
    let convert = |studio: &Studio| ffmpeg().mp4(&clip, &facts, &out, &|_| {}, &studio.job());
    studio.limits.output_bytes = 4096;
    let refused = convert(&studio);
    assert!(
        matches!(refused, Err(FfmpegError::Refused(Refusal::OutputSize))),
        "{refused:?}"
    );
    assert!(!out.exists());
    studio.limits.output_bytes = u64::MAX;
    studio.limits.memory_bytes = 128 * 1024 * 1024;
    let refused = convert(&studio);
    assert!(refused.is_err(), "{refused:?}");
    studio.limits.memory_bytes = u64::MAX;
    studio.limits.base_time = Duration::from_millis(30);
    studio.limits.time_per_second = Duration::ZERO;
    assert!(matches!(convert(&studio), Err(FfmpegError::TimedOut)));
    assert!(!out.exists());
}
