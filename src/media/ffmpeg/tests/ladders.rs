//! Ladders as players find them.

use std::path::Path;

use super::super::{Ladder, playlist};
use super::{Studio, ffmpeg};

fn ladder(studio: &Studio, file: &Path, folder: &str) -> Ladder {
    let out = studio.path(folder);
    std::fs::create_dir(&out).unwrap();
    ffmpeg()
        .hls(file, &studio.facts(file), &out, &|_| {}, &studio.job())
        .unwrap()
}

fn sizes(ladder: &Ladder) -> Vec<(&str, u32, u32)> {
    let rungs = ladder.rungs.iter();
    rungs
        .map(|rung| (rung.name.as_str(), rung.width, rung.height))
        .collect()
}

#[test]
fn a_ladder_has_the_rungs_below_the_film_and_all_that_it_names() {
    let studio = Studio::new();
    let source = studio.make(
        "a.mp4",
        "-f lavfi -i testsrc2=s=640x360:r=10:d=9 -f lavfi -i sine=d=9 -pix_fmt yuv420p \
         -c:v libx264 -preset ultrafast -c:a aac",
    );
    let ladder = ladder(&studio, &source, "hls");
    assert_eq!(sizes(&ladder), [("240p", 426, 240), ("360p", 640, 360)]);
    let out = studio.path("hls");
    let master = std::fs::read_to_string(out.join(&ladder.master)).unwrap();
    assert!(master.starts_with("#EXTM3U\n"));
    let mut starts = Vec::new();
    for rung in &ladder.rungs {
        let folder = out.join(&rung.name);
        assert!(master.contains(&format!("\n{}/index.m3u8\n", rung.name)));
        assert!(master.contains(&format!("RESOLUTION={}x{}", rung.width, rung.height)));
        assert!(master.contains(&format!("BANDWIDTH={},", rung.bandwidth)));
        assert!(rung.codecs.starts_with("avc1.6400") && rung.codecs.ends_with(",mp4a.40.2"));
        assert!(rung.bandwidth >= rung.average_bandwidth && rung.average_bandwidth > 1000);
        let media = playlist::read(&folder.join("index.m3u8")).unwrap();
        assert_eq!(media.segments.len(), 3, "9 seconds in fours");
        for segment in &media.segments {
            assert!(playlist::is_whole(&folder.join(&segment.name)).unwrap());
            assert!(segment.seconds < 4.2);
        }
        starts.push(media.segments.iter().map(|s| s.seconds).collect::<Vec<_>>());
        // Each plays by itself: the set-up and any one segment.
        let init = std::fs::read(folder.join(&media.init)).unwrap();
        let second = std::fs::read(folder.join(&media.segments[1].name)).unwrap();
        let joined = studio.write("joined.mp4", [init, second].concat());
        let facts = studio.facts(&joined);
        assert_eq!((facts.width, facts.height), (rung.width, rung.height));
        assert_eq!(facts.video.unwrap().codec, "h264");
        assert_eq!(facts.audio.unwrap().codec, "aac");
    }
    assert_eq!(starts[0], starts[1], "segments fall together");
    // What is listed is what is there.
    let mut listed: Vec<_> = ladder.files().map(|file| out.join(file)).collect();
    let mut there = vec![out.join("master.m3u8")];
    for rung in &ladder.rungs {
        let folder = std::fs::read_dir(out.join(&rung.name)).unwrap();
        there.extend(folder.map(|entry| entry.unwrap().path()));
    }
    listed.sort();
    there.sort();
    assert_eq!(listed, there);
}

#[test]
fn a_small_film_has_one_rung_of_its_own_size() {
    let studio = Studio::new();
    let source = studio.clip("a.mp4", "160x90", "-c:v libx264 -an");
    let ladder = ladder(&studio, &source, "hls");
    assert_eq!(sizes(&ladder), [("90p", 160, 90)]);
    assert!(!ladder.rungs[0].codecs.contains("mp4a"));
}

#[test]
fn the_shorter_side_of_a_standing_film_counts() {
    let studio = Studio::new();
    let source = studio.clip(
        "a.mp4",
        "368x480",
        "-c:v libx264 -preset ultrafast -c:a aac",
    );
    let ladder = ladder(&studio, &source, "hls");
    assert_eq!(sizes(&ladder), [("240p", 240, 314), ("360p", 360, 470)]);
}

#[test]
fn a_ladder_in_several_runs_is_the_same() {
    let mut studio = Studio::new();
    let source = studio.clip(
        "a.mp4",
        "640x480",
        "-c:v libx264 -preset ultrafast -c:a aac",
    );
    let whole = ladder(&studio, &source, "whole");
    studio.limits.memory_bytes = 600 * 1024 * 1024;
    let told = std::cell::RefCell::new(Vec::new());
    let out = studio.path("parts");
    std::fs::create_dir(&out).unwrap();
    let tell = |done| told.borrow_mut().push(done);
    let parts = ffmpeg()
        .hls(&source, &studio.facts(&source), &out, &tell, &studio.job())
        .unwrap();
    assert_eq!(sizes(&whole), sizes(&parts));
    assert!(told.into_inner().is_sorted());
}

#[test]
fn a_segment_that_was_cut_short_is_noticed() {
    let studio = Studio::new();
    let whole = [&b"\0\0\0\x0Cmoof1234"[..], b"\0\0\0\x10mdat12345678"].concat();
    let is_whole = |bytes: &[u8]| playlist::is_whole(&studio.write("x.m4s", bytes)).unwrap();
    assert!(is_whole(&whole));
    for len in (0..whole.len()).filter(|len| *len != 12) {
        assert!(!is_whole(&whole[..len]), "cut to {len}");
    }
    assert!(!is_whole(&[0; 64]));
}
