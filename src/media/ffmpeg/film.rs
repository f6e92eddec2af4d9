//! A film as one file that every browser plays: H.264 and AAC in MP4, its index first.
//!
//! What already is so is only copied into a fresh file, without what the old one noted. Phones film lying and note
//! that the picture is to be turned; such a film is coded anew, so that no player needs to know.

use std::path::Path;

use super::arguments::Arguments;
use super::progress::Progress;
use super::shape::{Size, before_scaling, capped, kbits, level};
use super::{Facts, Ffmpeg, FfmpegError, Job, Refusal, VideoStream, process};

/// A film that is copied may have this many bits for each one that ours would.
const GENEROSITY: u64 = 2;

impl Ffmpeg {
    /// Writes `out`. Tells `progress` how much is done, from 0 to 1.
    ///
    /// On an error nothing is left at `out`.
    pub fn mp4(
        &self,
        file: &Path,
        facts: &Facts,
        out: &Path,
        progress: &dyn Fn(f32),
        job: &Job<'_>,
    ) -> Result<(), FfmpegError> {
        let video = facts
            .video
            .as_ref()
            .ok_or(FfmpegError::Refused(Refusal::NoStreams))?;
        let can_copy = can_copy(facts, video);
        let first = self.write(file, facts, video, can_copy, out, progress, job);
        let done = match first {
            // A stream may be other than it says: then it is coded anew, and if that fails too, it was broken.
            Err(FfmpegError::Broken(_) | FfmpegError::Failed { .. }) if can_copy => {
                self.write(file, facts, video, false, out, progress, job)
            }
            done => done,
        };
        finish(done, out)
    }

    #[expect(clippy::too_many_arguments, reason = "private, and called twice")]
    fn write(
        &self,
        file: &Path,
        facts: &Facts,
        video: &VideoStream,
        is_copy: bool,
        out: &Path,
        progress: &dyn Fn(f32),
        job: &Job<'_>,
    ) -> Result<(), FfmpegError> {
        if !is_copy && !self.has_h264 {
            return Err(FfmpegError::Lacks("libx264"));
        }
        let mut arguments = Arguments::ffmpeg(job.limits);
        arguments
            .input(file, std::time::Duration::ZERO, job.limits)?
            .add(["-map", &format!("0:{}", video.index)]);
        if is_copy {
            // Cameras hide places and times in the stream itself, in the units of type 6 that decoders do not need.
            arguments.add(["-c:v", "copy", "-bsf:v", "filter_units=remove_types=6"]);
        } else {
            encode(&mut arguments, facts, video, job);
        }
        if facts.audio.is_some() {
            self.add_audio(&mut arguments, facts, 128)?;
        }
        arguments
            .without_metadata()
            .add(["-movflags", "+faststart", "-write_tmcd", "0"])
            .output("mp4", out)?;
        let mut told = Progress::of(facts.duration, progress);
        let time = job.limits.time_for(facts.duration);
        process::run(&self.program, arguments.as_slice(), job, time, |piece| {
            told.read(piece);
        })?;
        is_written(out)
    }
}

fn encode(arguments: &mut Arguments, facts: &Facts, video: &VideoStream, job: &Job<'_>) {
    let size = Size::largest(facts.width, facts.height);
    let rate = capped(video.frame_rate);
    let kbits = kbits(size, rate);
    let mut filters: Vec<String> = before_scaling(video)
        .into_iter()
        .map(str::to_owned)
        .collect();
    if rate != video.frame_rate {
        filters.push(format!("fps={}/{}", rate.frames, rate.seconds));
    }
    filters.push(size.filters());
    arguments
        .add(["-vf", &filters.join(",")])
        .add(["-c:v", "libx264", "-preset", "veryfast", "-crf", "23"])
        .add(["-profile:v", "high"])
        .add(["-level:v", &level(size, rate, kbits * 2).to_string()])
        .add(["-maxrate:v", &format!("{kbits}k")])
        .add(["-bufsize:v", &format!("{}k", kbits * 2)])
        .add(["-threads:v", &job.limits.threads.max(1).to_string()]);
}

/// Whether the pictures already are what would be written.
fn can_copy(facts: &Facts, video: &VideoStream) -> bool {
    let (long, short) = (facts.width.max(facts.height), facts.width.min(facts.height));
    let size = Size::largest(facts.width, facts.height);
    let most = u64::from(kbits(size, capped(video.frame_rate))) * 1000 * GENEROSITY;
    let bit_rate = video.bit_rate.or(facts.bit_rate);
    // Other containers have no times for H.264 that MP4 can take over.
    let has_times = facts.format.starts_with("mov,") || facts.format.starts_with("matroska");
    has_times
        && video.codec == "h264"
        && video.pixel_format == "yuv420p"
        && matches!(
            video.profile.as_str(),
            "Constrained Baseline" | "Baseline" | "Main" | "High"
        )
        && video.level.is_some_and(|level| level <= 42)
        && !video.is_turned
        && video.is_square
        && !video.is_interlaced
        && video.frame_rate.is_at_most(60)
        && long <= 1920
        && short <= 1080
        && bit_rate.is_some_and(|bits| bits <= most)
}

/// A helper that ends well has written something; if not, what it read was empty.
pub(super) fn is_written(out: &Path) -> Result<(), FfmpegError> {
    match out.metadata() {
        Ok(found) if found.len() > 0 => Ok(()),
        Ok(_) => Err(FfmpegError::Broken(super::Stderr::default())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(FfmpegError::Broken(super::Stderr::default()))
        }
        Err(error) => Err(FfmpegError::io("reading the result")(error)),
    }
}

/// Leaves nothing half done behind.
pub(super) fn finish(done: Result<(), FfmpegError>, out: &Path) -> Result<(), FfmpegError> {
    if done.is_err() {
        // It may never have been there.
        std::fs::remove_file(out).unwrap_or_default();
    }
    done
}
