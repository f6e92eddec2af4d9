//! One picture that stands for a film.

use std::path::Path;
use std::time::Duration;

use super::arguments::Arguments;
use super::film::{finish, is_written};
use super::shape::{Size, before_scaling};
use super::{Facts, Ffmpeg, FfmpegError, Job, Refusal, VideoStream, process};

/// The picture is sought a tenth of the film in, and no later than this.
const LATEST: Duration = Duration::from_secs(10);

impl Ffmpeg {
    /// Writes a picture of the film to `out`, as PNG: the pictures' own pipeline takes it over, and shall not find the
    /// traces of another JPEG. At most 1920 by 1080, upright.
    ///
    /// On an error nothing is left at `out`.
    pub fn poster(
        &self,
        file: &Path,
        facts: &Facts,
        out: &Path,
        job: &Job<'_>,
    ) -> Result<(), FfmpegError> {
        let video = facts
            .video
            .as_ref()
            .ok_or(FfmpegError::Refused(Refusal::NoStreams))?;
        let start = (facts.duration / 10).min(LATEST);
        let first = self.picture(file, facts, video, start, out, job);
        let done = match first {
            // The film may be shorter than it says, or have no place to start from there.
            Err(FfmpegError::Broken(_) | FfmpegError::Failed { .. }) if !start.is_zero() => {
                self.picture(file, facts, video, Duration::ZERO, out, job)
            }
            done => done,
        };
        finish(done, out)
    }

    fn picture(
        &self,
        file: &Path,
        facts: &Facts,
        video: &VideoStream,
        start: Duration,
        out: &Path,
        job: &Job<'_>,
    ) -> Result<(), FfmpegError> {
        let Size { width, height } = Size::largest(facts.width, facts.height);
        let mut filters: Vec<String> = before_scaling(video)
            .into_iter()
            .map(str::to_owned)
            .collect();
        // Scaled first, since `thumbnail` keeps all the frames among which it chooses.
        filters.push(format!("scale={width}:{height},setsar=1,thumbnail=24"));
        let mut arguments = Arguments::ffmpeg(job.limits);
        arguments
            .input(file, start, job.limits)?
            .add(["-map", &format!("0:{}", video.index), "-an"])
            .add(["-vf", &filters.join(","), "-frames:v", "1"])
            .add(["-c:v", "png", "-pix_fmt", "rgb24"])
            .without_metadata()
            .output("image2pipe", out)?;
        let time = job.limits.base_time;
        process::run(
            &self.program,
            arguments.as_slice(),
            job,
            time,
            |_progress| {},
        )?;
        is_written(out)
    }
}
