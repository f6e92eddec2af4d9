//! Helpers that misbehave: they hang, crash, flood, and leave others behind.

use std::cell::Cell;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::{Ffmpeg, FfmpegError, Job, Refusal, Stderr, process};
use super::{Studio, ffmpeg};

const SOON: Duration = Duration::from_secs(5);

/// Plays the helper with a script of the shell.
fn play(
    studio: &Studio,
    script: &str,
    time: Duration,
    should_stop: &dyn Fn() -> bool,
) -> Result<Stderr, FfmpegError> {
    let arguments = ["-c", script].map(OsString::from);
    let job = Job {
        should_stop,
        ..studio.job()
    };
    process::run(Path::new("/bin/sh"), &arguments, &job, time, |_| {})
}

/// Hangs, with a child that hangs, and both will not be told to end. Says so in a file.
const STUBBORN: &str = "trap '' TERM INT HUP; \
    (trap '' TERM INT HUP; while :; do sleep 1; done) & \
    echo $$ $! >pids.new; mv pids.new pids; while :; do sleep 1; done";

fn pids(studio: &Studio) -> Vec<String> {
    let text = std::fs::read_to_string(studio.path("pids")).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

/// Whether a process is gone; what waits for its parent to take note is.
fn is_gone(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z'))
    })
}

fn assert_all_gone(studio: &Studio) {
    let pids = pids(studio);
    assert_eq!(pids.len(), 2);
    let deadline = Instant::now() + SOON;
    while !pids.iter().all(|pid| is_gone(pid)) {
        assert!(Instant::now() < deadline, "{pids:?} live on");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn a_helper_that_hangs_is_killed_with_its_children() {
    let studio = Studio::new();
    let start = Instant::now();
    let ended = play(&studio, STUBBORN, Duration::from_millis(500), &|| false);
    assert!(matches!(ended, Err(FfmpegError::TimedOut)), "{ended:?}");
    assert!(start.elapsed() < SOON);
    assert_all_gone(&studio);
}

#[test]
fn a_stop_ends_a_run_at_once() {
    let studio = Studio::new();
    let asked = Cell::new(None);
    let should_stop = || {
        let is_up = studio.path("pids").exists();
        if is_up && asked.get().is_none() {
            asked.set(Some(Instant::now()));
        }
        is_up
    };
    let ended = play(&studio, STUBBORN, Duration::from_mins(1), &should_stop);
    assert!(matches!(ended, Err(FfmpegError::Stopped)), "{ended:?}");
    assert!(asked.get().unwrap().elapsed() < Duration::from_secs(1));
    assert_all_gone(&studio);
}

#[test]
fn a_stop_is_asked_for_ten_times_a_second() {
    let studio = Studio::new();
    let asked = Cell::new(0);
    let should_stop = || {
        asked.set(asked.get() + 1);
        false
    };
    // Also where it has closed its outputs.
    for script in ["sleep 1", "exec >&- 2>&-; sleep 1"] {
        asked.set(0);
        play(&studio, script, SOON, &should_stop).unwrap();
        assert!((10..200).contains(&asked.get()), "{}", asked.get());
    }
}

#[test]
fn a_panic_of_the_caller_leaves_no_helper_behind() {
    let studio = Studio::new();
    let should_stop = || {
        assert!(!studio.path("pids").exists(), "on purpose");
        false
    };
    let ended = catch_unwind(AssertUnwindSafe(|| {
        play(&studio, STUBBORN, Duration::from_mins(1), &should_stop)
    }));
    assert!(ended.is_err());
    assert_all_gone(&studio);
}

#[test]
fn what_a_helper_leaves_behind_is_ended_and_not_waited_for() {
    let studio = Studio::new();
    let start = Instant::now();
    let script = "(while :; do sleep 1; done) & echo $$ $! >pids; exit 0";
    play(&studio, script, Duration::from_mins(1), &|| false).unwrap();
    assert!(start.elapsed() < SOON);
    assert_all_gone(&studio);
}

#[test]
fn a_crash_names_its_signal() {
    let studio = Studio::new();
    let script = "echo about to >&2; kill -SEGV $$";
    let crashed = play(&studio, script, SOON, &|| false);
    let Err(FfmpegError::Crashed { signal: 11, stderr }) = crashed else {
        panic!("{crashed:?}");
    };
    assert_eq!(stderr.to_string(), "about to");
}

#[test]
fn a_flood_is_neither_kept_nor_waited_for() {
    let studio = Studio::new();
    let script =
        "head -c 30000000 /dev/zero | tr '\\0' x >&2; head -c 30000000 /dev/zero; echo end >&2";
    let stderr = play(&studio, script, Duration::from_secs(30), &|| false).unwrap();
    let text = stderr.to_string();
    assert!(text.ends_with("xend") && text.len() <= 8 * 1024);
    let endless = "while :; do echo flood; echo flood >&2; done";
    let ended = play(&studio, endless, Duration::from_millis(300), &|| false);
    assert!(matches!(ended, Err(FfmpegError::TimedOut)));
}

#[test]
fn endings_are_told_apart() {
    let studio = Studio::new();
    let play = |script: &str| play(&studio, script, SOON, &|| false);
    assert!(play("exit 0").is_ok());
    assert!(matches!(
        play("exit 3"),
        Err(FfmpegError::Failed { code: Some(3), .. })
    ));
    for script in [
        "echo 'av_write: No space left on device' >&2; exit 1",
        "echo 'av_write: No space left on device' >&2; exit 0",
    ] {
        assert!(matches!(play(script), Err(FfmpegError::OutOfSpace)));
    }
    let memory = play("echo 'x: Cannot allocate memory' >&2; exit 1");
    assert!(matches!(memory, Err(FfmpegError::Refused(Refusal::Memory))));
    let broken = play("echo 'x: Invalid data found when processing input' >&2; exit 1");
    assert!(matches!(broken, Err(FfmpegError::Broken(_))));
    // What a file makes it say cannot write to a terminal or forge a line of the log.
    let stderr = play("printf 'a\\033[2Jb\\nc\\n' >&2").unwrap();
    assert_eq!(stderr.to_string(), "a\u{FFFD}[2Jb | c");
}

#[test]
fn a_helper_has_its_limits_and_nothing_of_ours() {
    let mut studio = Studio::new();
    studio.limits.memory_bytes = 512 * 1024 * 1024;
    studio.limits.output_bytes = 1024 * 1024;
    let script = "ulimit -v >&2; ulimit -f >&2; ulimit -c >&2; env | cut -d= -f1 | sort | tr '\\n' ' ' >&2; pwd >&2; \
        read line || echo empty >&2";
    let stderr = play(&studio, script, SOON, &|| false).unwrap();
    let folder = studio.folder.path().canonicalize().unwrap();
    assert_eq!(
        stderr.to_string(),
        format!(
            "524288 | 2048 | 0 | LC_ALL MALLOC_ARENA_MAX PATH PWD {} | empty",
            folder.display()
        )
    );
    let large = play(&studio, "head -c 2000000 /dev/zero >large", SOON, &|| false);
    assert!(large.is_err());
    let len = studio.path("large").metadata().unwrap().len();
    assert_eq!(len, 1024 * 1024);
}

#[test]
fn a_stop_ends_a_conversion() {
    let studio = Studio::new();
    let clip = studio.clip("clip.mkv", "320x240", "-c:v mpeg4 -an");
    let facts = studio.facts(&clip);
    let out = studio.path("out.mp4");
    let job = Job {
        should_stop: &|| true,
        ..studio.job()
    };
    let ended = ffmpeg().mp4(&clip, &facts, &out, &|_| {}, &job);
    assert!(matches!(ended, Err(FfmpegError::Stopped)));
    assert!(!out.exists());
}

#[test]
fn only_what_is_there_is_found() {
    let studio = Studio::new();
    let missing = studio.path("ffmpeg");
    let found = Ffmpeg::find(Some(&missing));
    assert!(matches!(found, Err(FfmpegError::NotFound(path)) if path == missing));
    assert!(Ffmpeg::find_in(None, None).unwrap().is_none());
    let empty = studio.folder.path().as_os_str();
    assert!(Ffmpeg::find_in(None, Some(empty)).unwrap().is_none());
    // Not without ffprobe beside it, and not what does not work.
    let lonely = std::env::current_exe().unwrap();
    let found = Ffmpeg::find(Some(&lonely));
    assert!(matches!(found, Err(FfmpegError::NotFound(path)) if path.ends_with("ffprobe")));
    std::os::unix::fs::symlink("/bin/false", &missing).unwrap();
    std::os::unix::fs::symlink("/bin/false", studio.path("ffprobe")).unwrap();
    assert!(matches!(
        Ffmpeg::find(Some(&missing)),
        Err(FfmpegError::Unusable { .. })
    ));
    let configured = Ffmpeg::find(Some(ffmpeg().path())).unwrap().unwrap();
    assert_eq!(configured.version(), ffmpeg().version());
}
