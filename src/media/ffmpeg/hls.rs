//! A film in segments and in several sizes, for HTTP Live Streaming.
//!
//! Segments are fragmented MP4, not MPEG-TS: Safari plays both by itself, but in all other browsers hls.js hands
//! fragmented MP4 to the browser as it is, where it would have to take TS apart and build MP4 of it on the viewer's
//! processor; TS is also some per cent larger. Sound is in every rung, so that each plays alone.
//!
//! All rungs have a key frame every [`SEGMENT_SECONDS`] by the clock of the film and nowhere else, so that a player can
//! change from one to another at every segment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::arguments::Arguments;
use super::ladder::{self, Plan};
use super::progress::Progress;
use super::shape::{before_scaling, capped};
use super::{
    Facts, Ffmpeg, FfmpegError, Job, Ladder, Rate, Refusal, Rung, VideoStream, playlist, process,
};

/// The length of a segment: short enough to change the rung soon, long enough that the requests do not weigh.
const SEGMENT_SECONDS: u32 = 4;
/// Slower films show each frame more than once: else a segment would wait for its key frame.
const MIN_RATE: u32 = 10;

impl Ffmpeg {
    /// Writes `master.m3u8` and a folder for each rung into `out_dir`, which must be there and should be empty.
    ///
    /// On an error, what was written stays: the folder is the caller's.
    pub fn hls(
        &self,
        file: &Path,
        facts: &Facts,
        out_dir: &Path,
        progress: &dyn Fn(f32),
        job: &Job<'_>,
    ) -> Result<Ladder, FfmpegError> {
        let video = facts
            .video
            .as_ref()
            .ok_or(FfmpegError::Refused(Refusal::NoStreams))?;
        if !self.has_h264 {
            return Err(FfmpegError::Lacks("libx264"));
        }
        let out_dir =
            std::path::absolute(out_dir).map_err(FfmpegError::io("finding the folder"))?;
        // The helper works in the folder itself: so all names are relative and plain.
        let job = Job {
            scratch: &out_dir,
            ..*job
        };
        let rate = steady(video.frame_rate);
        let plans = ladder::plan(facts, rate);
        let pixels = u64::from(facts.width) * u64::from(facts.height);
        let runs = ladder::runs(plans.clone(), pixels, job.limits);
        let whole: u64 = plans.iter().map(|plan| plan.size.pixels()).sum();
        let mut done = 0;
        for run in runs {
            let from = part(done, whole);
            done += run.iter().map(|plan| plan.size.pixels()).sum::<u64>();
            let told = Progress::of(facts.duration, progress).within(from, part(done, whole));
            self.write_rungs(file, facts, video, &run, rate, told, &job)?;
        }
        let rungs = plans
            .iter()
            .map(|plan| measure(plan, facts, &out_dir))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| {
                if is_full(&out_dir) {
                    FfmpegError::OutOfSpace
                } else {
                    error
                }
            })?;
        let ladder = Ladder {
            master: PathBuf::from("master.m3u8"),
            rungs,
        };
        std::fs::write(
            out_dir.join(&ladder.master),
            playlist::master(&ladder, rate),
        )
        .map_err(FfmpegError::io("writing the playlist"))?;
        Ok(ladder)
    }

    #[expect(clippy::too_many_arguments, reason = "private, and called once")]
    fn write_rungs(
        &self,
        file: &Path,
        facts: &Facts,
        video: &VideoStream,
        plans: &[Plan],
        rate: Rate,
        mut told: Progress<'_>,
        job: &Job<'_>,
    ) -> Result<(), FfmpegError> {
        let mut arguments = Arguments::ffmpeg(job.limits);
        arguments
            .input(file, Duration::ZERO, job.limits)?
            .add(["-filter_complex", &graph(video, plans, rate)]);
        for (number, plan) in plans.iter().enumerate() {
            std::fs::create_dir_all(job.scratch.join(&plan.name))
                .map_err(FfmpegError::io("making a folder"))?;
            arguments.add(["-map", &format!("[v{number}]")]);
            if let Some(audio) = &facts.audio {
                arguments.add(["-map", &format!("0:{}", audio.index)]);
                self.encode_audio(&mut arguments, plan.audio_kbits)?;
            }
            add_rung(&mut arguments, plan, rate, job);
        }
        let time = job.limits.time_for(facts.duration);
        process::run(&self.program, arguments.as_slice(), job, time, |piece| {
            told.read(piece);
        })?;
        Ok(())
    }
}

/// Whether there is no room for more: then that is why something is missing, and ffmpeg has not said so.
fn is_full(folder: &Path) -> bool {
    rustix::fs::statvfs(folder)
        .is_ok_and(|space| space.f_bavail.saturating_mul(space.f_frsize) < 64 * 1024)
}

/// One decoder, and a branch for each rung. The rate is the same and steady for all, before they part: so their key
/// frames fall together.
fn graph(video: &VideoStream, plans: &[Plan], rate: Rate) -> String {
    use std::fmt::Write as _;
    let mut graph = format!("[0:{}]", video.index);
    for filter in before_scaling(video) {
        graph.push_str(filter);
        graph.push(',');
    }
    // Writing to a string cannot fail.
    write!(
        graph,
        "fps={}/{},split={}",
        rate.frames,
        rate.seconds,
        plans.len()
    )
    .unwrap_or_default();
    for number in 0..plans.len() {
        write!(graph, "[s{number}]").unwrap_or_default();
    }
    for (number, plan) in plans.iter().enumerate() {
        write!(graph, ";[s{number}]{}[v{number}]", plan.size.filters()).unwrap_or_default();
    }
    graph
}

fn add_rung(arguments: &mut Arguments, plan: &Plan, rate: Rate, job: &Job<'_>) {
    let name = &plan.name;
    // Only an upper bound: key frames come by the clock.
    let gop = rate.frames.div_ceil(rate.seconds.max(1)) * SEGMENT_SECONDS * 2;
    arguments
        .add(["-c:v", "libx264", "-preset", "veryfast", "-crf", "23"])
        .add(["-profile:v", "high", "-level:v", &plan.level.to_string()])
        .add(["-maxrate:v", &format!("{}k", plan.kbits)])
        .add(["-bufsize:v", &format!("{}k", plan.kbits * 2)])
        .add(["-g", &gop.to_string(), "-sc_threshold", "0"])
        .add([
            "-force_key_frames",
            &format!("expr:gte(t,n_forced*{SEGMENT_SECONDS})"),
        ])
        .add(["-threads:v", &job.limits.threads.max(1).to_string()])
        .without_metadata()
        .add(["-hls_time", &SEGMENT_SECONDS.to_string()])
        .add(["-hls_playlist_type", "vod", "-hls_list_size", "0"])
        .add(["-hls_segment_type", "fmp4"])
        .add(["-hls_flags", "independent_segments"])
        .add(["-hls_fmp4_init_filename", "init.mp4"])
        .add(["-hls_segment_filename", &format!("{name}/%05d.m4s")])
        .add(["-f", "hls", &format!("{name}/index.m3u8")]);
}

/// A rate that is neither too high nor so low that segments have no frames.
fn steady(rate: Rate) -> Rate {
    let rate = capped(rate);
    if rate.is_at_most(MIN_RATE) {
        Rate {
            frames: MIN_RATE,
            seconds: 1,
        }
    } else {
        rate
    }
}

fn part(done: u64, whole: u64) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "a share to be shown")]
    let part = done as f32 / whole.max(1) as f32;
    part
}

/// Reads what was written: that all is there, and how many bits it takes.
fn measure(plan: &Plan, facts: &Facts, out_dir: &Path) -> Result<Rung, FfmpegError> {
    let folder = out_dir.join(&plan.name);
    let media = playlist::read(&folder.join("index.m3u8"))?;
    let len = |name: &str| {
        let found = folder.join(name).metadata();
        Ok(found.map_err(FfmpegError::io("reading the result"))?.len())
    };
    let mut files = vec!["index.m3u8".to_owned(), media.init.clone()];
    let mut bytes = len("index.m3u8")? + len(&media.init)?;
    let (mut peak, mut bits, mut seconds) = (0.0_f64, 0.0, 0.0);
    for segment in &media.segments {
        let path = folder.join(&segment.name);
        if !playlist::is_whole(&path).map_err(FfmpegError::io("reading the result"))? {
            return Err(playlist::unexpected("a segment is not complete"));
        }
        let size = len(&segment.name)?;
        bytes += size;
        #[expect(clippy::cast_precision_loss, reason = "segments are small")]
        let segment_bits = size as f64 * 8.0;
        bits += segment_bits;
        seconds += segment.seconds;
        // A last segment of a few frames is all key frame: it says nothing of the rate, unless it is the only one.
        if segment.seconds >= f64::from(SEGMENT_SECONDS) / 2.0 || media.segments.len() == 1 {
            peak = peak.max(segment_bits / segment.seconds.max(0.1));
        }
        files.push(segment.name.clone());
    }
    let average = bits / seconds.max(0.1);
    let init =
        std::fs::read(folder.join(&media.init)).map_err(FfmpegError::io("reading the result"))?;
    let mut codecs = video_codec(&init).unwrap_or_else(|| format!("avc1.6400{:02x}", plan.level));
    if facts.has_audio() {
        codecs.push_str(",mp4a.40.2");
    }
    Ok(Rung {
        name: plan.name.clone(),
        width: plan.size.width,
        height: plan.size.height,
        bandwidth: whole_bits(peak.max(average)),
        average_bandwidth: whole_bits(average),
        codecs,
        files: files
            .into_iter()
            .map(|file| format!("{}/{file}", plan.name))
            .collect(),
        bytes,
    })
}

fn whole_bits(bits: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "casts of floats stay within the type"
    )]
    let whole = bits.ceil() as u64;
    whole.max(1)
}

/// Profile, constraints and level as the coder wrote them into the set-up.
fn video_codec(init: &[u8]) -> Option<String> {
    let at = init.windows(4).position(|name| name == b"avcC")?;
    let [_, profile, constraints, level] = *init.get(at + 4..)?.first_chunk()?;
    Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"))
}
