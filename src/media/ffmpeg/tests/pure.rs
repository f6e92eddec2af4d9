//! What needs no helper: sizes, rungs, playlists, progress.

use std::cell::RefCell;
use std::time::Duration;

use super::super::ladder;
use super::super::playlist;
use super::super::progress::Progress;
use super::super::shape::{Size, level};
use super::super::{Facts, Kind, Limits, Rate};

const RATE: Rate = Rate {
    frames: 30,
    seconds: 1,
};

fn largest(width: u32, height: u32) -> (u32, u32) {
    let size = Size::largest(width, height);
    (size.width, size.height)
}

#[test]
fn sizes_fit_the_box_and_are_even_and_no_larger() {
    assert_eq!(largest(1920, 1080), (1920, 1080));
    assert_eq!(largest(3840, 2160), (1920, 1080));
    assert_eq!(largest(2160, 3840), (1080, 1920));
    assert_eq!(largest(321, 241), (320, 240));
    assert_eq!(largest(4000, 3000), (1440, 1080));
    assert_eq!(largest(2560, 1080), (1920, 810));
    assert_eq!(largest(100_000, 1), (1920, 16));
    assert_eq!(largest(0, 0), (16, 16));
    assert_eq!(largest(u32::MAX, u32::MAX), (1080, 1080));
}

#[test]
fn levels_are_those_that_decoders_expect() {
    let at = |width, height, frames| {
        let rate = Rate { frames, seconds: 1 };
        level(Size { width, height }, rate, 100)
    };
    assert_eq!(at(426, 240, 30), 21);
    assert_eq!(at(1280, 720, 30), 31);
    assert_eq!(at(1920, 1080, 30), 40);
    assert_eq!(at(1920, 1080, 60), 42);
}

fn film(width: u32, height: u32) -> Facts {
    Facts {
        kind: Kind::Video,
        format: String::new(),
        width,
        height,
        duration: Duration::from_secs(1),
        bit_rate: None,
        video: None,
        audio: None,
    }
}

fn rungs(width: u32, height: u32) -> Vec<String> {
    let plans = ladder::plan(&film(width, height), RATE);
    assert!(plans.is_sorted_by_key(|plan| plan.kbits));
    plans
        .into_iter()
        .map(|plan| format!("{} {}x{}", plan.name, plan.size.width, plan.size.height))
        .collect()
}

#[test]
fn no_rung_is_above_the_film() {
    assert_eq!(
        rungs(3840, 2160),
        [
            "240p 426x240",
            "360p 640x360",
            "480p 854x480",
            "720p 1280x720",
            "1080p 1920x1080"
        ]
    );
    assert_eq!(
        rungs(720, 1280),
        [
            "240p 240x426",
            "360p 360x640",
            "480p 480x854",
            "720p 720x1280"
        ]
    );
    assert_eq!(rungs(426, 239), ["238p 426x238"]);
    assert_eq!(rungs(17, 5000), ["16p 16x1920"]);
}

#[test]
fn rungs_share_a_run_while_memory_lasts() {
    let runs = |memory_bytes, threads| {
        let limits = Limits {
            memory_bytes,
            threads,
            ..Limits::default()
        };
        let plans = ladder::plan(&film(1920, 1080), RATE);
        let runs = ladder::runs(plans.clone(), 1920 * 1080, &limits);
        assert_eq!(runs.concat(), plans);
        runs.len()
    };
    assert_eq!(runs(2 << 30, 2), 1);
    assert_eq!(runs(0, 2), 5);
    assert_eq!(runs(1 << 30, 2), 2);
    assert!(runs(1 << 30, 16) > 2);
}

#[test]
fn a_playlist_names_only_files_beside_it() {
    let text = |init: &str, name: &str| {
        format!("#EXTM3U\n#EXT-X-MAP:URI=\"{init}\"\n#EXTINF:4.000000,\n{name}\n#EXT-X-ENDLIST\n")
    };
    let media = playlist::parse(&text("init.mp4", "00000.m4s")).unwrap();
    assert_eq!(media.init, "init.mp4");
    assert_eq!(media.segments[0].name, "00000.m4s");
    for name in ["../x", "/etc/passwd", "http://x/y", "a b", ".hidden", "é"] {
        assert!(playlist::parse(&text("init.mp4", name)).is_err());
        assert!(playlist::parse(&text(name, "00000.m4s")).is_err());
    }
    assert!(playlist::parse("").is_err());
    assert!(playlist::parse("#EXTM3U\nx.m4s\n").is_err());
}

#[test]
fn progress_only_grows() {
    let told = RefCell::new(Vec::new());
    let tell = |done| told.borrow_mut().push(done);
    let mut progress = Progress::of(Duration::from_secs(4), &tell).within(0.5, 1.0);
    progress.read(b"out_time_us=N/A\nout_time_us=-5\nframe=1\nout_time_us=10");
    progress.read(b"00000\nout_time_us=500000\n");
    progress.read("x".repeat(100_000).as_bytes());
    progress.read(b"\nout_time_us=99000000\nout_time_us=3\n\xFF\xFE\n");
    assert_eq!(progress.reached(), Duration::from_secs(99));
    assert_eq!(told.into_inner(), [0.625, 1.0]);
}
