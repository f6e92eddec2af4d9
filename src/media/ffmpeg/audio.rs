//! Sound as one file that every browser plays: AAC in M4A, its index first.

use std::path::Path;
use std::time::Duration;

use super::arguments::Arguments;
use super::film::{finish, is_written};
use super::progress::Progress;
use super::{AudioStream, Facts, Ffmpeg, FfmpegError, Job, Refusal, process};

impl Ffmpeg {
    /// Writes `out` with the sound of a file, of a film too.
    ///
    /// On an error nothing is left at `out`.
    pub fn audio(
        &self,
        file: &Path,
        facts: &Facts,
        out: &Path,
        progress: &dyn Fn(f32),
        job: &Job<'_>,
    ) -> Result<(), FfmpegError> {
        if facts.audio.is_none() {
            return Err(FfmpegError::Refused(Refusal::NoStreams));
        }
        let mut arguments = Arguments::ffmpeg(job.limits);
        arguments.input(file, Duration::ZERO, job.limits)?;
        self.add_audio(&mut arguments, facts, 128)?;
        arguments
            .add(["-vn"])
            .without_metadata()
            .add(["-movflags", "+faststart"])
            .output("ipod", out)?;
        let mut told = Progress::of(facts.duration, progress);
        let time = job.limits.time_for(facts.duration);
        let run = process::run(&self.program, arguments.as_slice(), job, time, |piece| {
            told.read(piece);
        });
        finish(run.and_then(|_stderr| is_written(out)), out)
    }

    /// The sound of a file, copied where it already is AAC that all browsers decode, and else coded.
    pub(super) fn add_audio(
        &self,
        arguments: &mut Arguments,
        facts: &Facts,
        kbits: u32,
    ) -> Result<(), FfmpegError> {
        let Some(audio) = &facts.audio else {
            return Ok(());
        };
        arguments.add(["-map", &format!("0:{}", audio.index)]);
        if can_copy(facts, audio) {
            arguments.add(["-c:a", "copy"]);
            return Ok(());
        }
        self.encode_audio(arguments, kbits)
    }

    /// AAC in stereo.
    pub(super) fn encode_audio(
        &self,
        arguments: &mut Arguments,
        kbits: u32,
    ) -> Result<(), FfmpegError> {
        if !self.has_aac {
            return Err(FfmpegError::Lacks("aac"));
        }
        arguments
            .add(["-c:a", "aac", "-ac", "2", "-ar", "48000"])
            .add(["-b:a", &format!("{kbits}k")]);
        Ok(())
    }
}

/// Whether the sound can be taken over as it is. Out of other containers than MP4 it lacks its set-up.
fn can_copy(facts: &Facts, audio: &AudioStream) -> bool {
    facts.format.starts_with("mov,")
        && audio.codec == "aac"
        && audio.profile == "LC"
        && (1..=2).contains(&audio.channels)
        && (8_000..=48_000).contains(&audio.sample_rate)
}
