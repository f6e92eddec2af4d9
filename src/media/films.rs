//! Videos and recordings as they arrive: what they are, whether browsers play them, a poster.
//!
//! Without ffmpeg on the machine, what browsers play is kept and served as it is, and nothing else is taken. With it,
//! all that it reads is taken, and made into what browsers play afterwards (see `convert`).

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::container::{self, Container, ContainerError};
use super::ffmpeg::{self, Ffmpeg, FfmpegError, Job, Refusal};
use super::intake::{FIRST, picture_error, put};
use super::pictures::{self, Format, Picture};
use super::pool::Budget;
use super::variants::share_for;
use super::{Facts, Kind};
use crate::blobs::{Blobs, Staged};
use crate::config;
use crate::error::{Code, Error, Result};

/// The name of a poster among what was made of a video; its sizes are made of it.
pub(super) const POSTER: &str = "poster.png";

/// What films are worked on with. Cheap to clone.
#[derive(Clone)]
pub(super) struct Films {
    found: Arc<Found>,
    pub(super) limits: ffmpeg::Limits,
    pub(super) stopping: CancellationToken,
}

/// The program, once it was asked for its version and its coders. That takes a third of a second, for which no start
/// waits.
struct Found {
    configured: String,
    ffmpeg: OnceLock<Option<Ffmpeg>>,
}

/// Whether the configuration names a program that is there.
pub(super) fn check(configured: &str) -> Result<()> {
    let is_path = !matches!(configured, "auto" | "off" | "");
    if is_path && !Path::new(configured).is_file() {
        return Err(Error::internal(format!(
            "media.ffmpeg names {configured}, which is not there"
        )));
    }
    Ok(())
}

/// The program that the configuration means, if any, and if it works.
fn find(configured: &str) -> Option<Ffmpeg> {
    let found = match configured {
        "off" => return None,
        "auto" | "" => Ffmpeg::find(None),
        path => Ffmpeg::find(Some(Path::new(path))),
    };
    match found {
        Ok(Some(ffmpeg)) if ffmpeg.can_convert_video() => {
            info!("Videos are converted by ffmpeg {}", ffmpeg.version());
            Some(ffmpeg)
        }
        Ok(Some(_)) => {
            warn!("The ffmpeg that is here has no libx264 or no AAC, and is not used");
            None
        }
        Ok(None) => None,
        Err(error) => {
            warn!(error = %error, "The ffmpeg that is here does not work, and is not used");
            None
        }
    }
}

impl Films {
    pub(super) fn new(options: &config::Media, stopping: CancellationToken) -> Self {
        Self {
            found: Arc::new(Found {
                configured: options.ffmpeg.clone(),
                ffmpeg: OnceLock::new(),
            }),
            limits: ffmpeg::Limits {
                max_duration: Duration::from_secs(options.max_video_seconds.into()),
                base_time: Duration::from_secs(options.video_patience_s.into()),
                time_per_second: Duration::from_secs(options.video_patience_s.into()) / 3,
                memory_bytes: u64::from(options.video_memory_mib) * 1024 * 1024,
                ..ffmpeg::Limits::default()
            },
            stopping,
        }
    }

    /// The program, if there is one. Blocks while it is looked for.
    pub(super) fn ffmpeg(&self) -> Option<&Ffmpeg> {
        let Found { configured, ffmpeg } = &*self.found;
        ffmpeg.get_or_init(|| find(configured)).as_ref()
    }

    /// What becomes of videos, for the health report.
    pub(super) fn report(&self) -> String {
        match self.found.ffmpeg.get() {
            None => "looking for ffmpeg".to_owned(),
            Some(Some(ffmpeg)) => format!("converted by ffmpeg {}", ffmpeg.version()),
            Some(None) => {
                "served as they are; those that browsers do not play are refused".to_owned()
            }
        }
    }

    /// Looks at a film, keeps it, and makes its poster; whether it is to be converted. Blocks, and keeps a core busy.
    pub(super) fn work_on(
        &self,
        blobs: &Blobs,
        staged: Staged,
        container: Container,
        limits: &pictures::Limits,
        budget: &Budget,
    ) -> Result<(Facts, bool)> {
        let file = File::open(staged.path()).map_err(Error::internal)?;
        let read = container::inspect(file, container).map_err(container_error)?;
        let plays = read.plays_in_browsers();
        let longest = u64::try_from(self.limits.max_duration.as_millis()).unwrap_or(u64::MAX);
        if read.duration_ms.is_some_and(|ms| ms > longest) {
            return Err(Error::new(Code::TooLong));
        }
        let mut facts = Facts {
            kind: match read.kind {
                container::Kind::Video => Kind::Video,
                container::Kind::Audio => Kind::Audio,
            },
            format: container.extension().to_owned(),
            width: (read.width > 0).then_some(read.width),
            height: (read.height > 0).then_some(read.height),
            duration_ms: read.duration_ms,
            is_animated: false,
            plays,
            thumbhash: None,
            color: None,
        };
        let Some(ffmpeg) = self.ffmpeg() else {
            if plays {
                blobs.keep(staged)?;
                return Ok((facts, false));
            }
            return Err(Error::new(Code::UnsupportedFile).with_message(
                "This server takes videos that browsers play as they are: MP4 with H.264, or WebM.",
            ));
        };
        // Where the helper fails, the file is not kept as it is: what a camera wrote into it would be shown.
        self.look_closer(ffmpeg, blobs, &staged, limits, budget, &mut facts)?;
        blobs.keep(staged)?;
        Ok((facts, true))
    }

    fn look_closer(
        &self,
        ffmpeg: &Ffmpeg,
        blobs: &Blobs,
        staged: &Staged,
        limits: &pictures::Limits,
        budget: &Budget,
        facts: &mut Facts,
    ) -> Result<()> {
        let scratch = blobs.scratch()?;
        let should_stop = || self.stopping.is_cancelled();
        let job = Job {
            limits: &self.limits,
            scratch: scratch.path(),
            should_stop: &should_stop,
        };
        let probed = ffmpeg.probe(staged.path(), &job).map_err(refused)?;
        facts.duration_ms = u64::try_from(probed.duration.as_millis()).ok();
        if probed.kind == ffmpeg::Kind::Audio {
            facts.kind = Kind::Audio;
            (facts.width, facts.height) = (None, None);
            return Ok(());
        }
        (facts.width, facts.height) = (Some(probed.width), Some(probed.height));
        let poster = scratch.path().join(POSTER);
        ffmpeg
            .poster(staged.path(), &probed, &poster, &job)
            .map_err(refused)?;
        let _share = share_for(budget, &poster, Format::Png, limits)?;
        let file = BufReader::new(File::open(&poster).map_err(Error::internal)?);
        let picture = Picture::decode(file, Format::Png, limits).map_err(picture_error)?;
        let [red, green, blue] = picture.dominant_color();
        facts.thumbhash = Some(STANDARD.encode(picture.thumbhash()));
        facts.color = Some(format!("#{red:02x}{green:02x}{blue:02x}"));
        put(blobs, staged.hash, &picture, &[FIRST])?;
        blobs.adopt(staged.hash, POSTER, &poster)
    }
}

fn container_error(error: ContainerError) -> Error {
    let code = match &error {
        ContainerError::NoStreams => Code::UnsupportedFile,
        ContainerError::Io(_) => Code::Internal,
        ContainerError::Truncated | ContainerError::Damaged(_) | ContainerError::TooIntricate => {
            Code::BrokenFile
        }
    };
    Error::new(code).with_source(error)
}

/// What a person is told of a film that is refused as it comes. Faults of the helper's are noted: an operator may want to
/// know of them.
fn refused(error: FfmpegError) -> Error {
    let error = ffmpeg_error(error);
    let error = if error.code() == Code::Internal {
        Error::new(Code::ConversionFailed).with_source(error)
    } else {
        error
    };
    if matches!(
        error.code(),
        Code::ConversionTimedOut | Code::ConversionCrashed | Code::ConversionFailed
    ) {
        warn!(error = %error, causes = error.causes(), "A video was refused that ffmpeg failed at");
    }
    error
}

/// What a person is told of a film that cannot be used; `internal` is what may go better another time.
pub(super) fn ffmpeg_error(error: FfmpegError) -> Error {
    let code = match &error {
        FfmpegError::Refused(Refusal::Duration) => Code::TooLong,
        FfmpegError::Refused(Refusal::Pixels) => Code::TooManyPixels,
        FfmpegError::Refused(Refusal::Streams | Refusal::NoStreams | Refusal::Codec(_)) => {
            Code::UnsupportedFile
        }
        FfmpegError::Refused(Refusal::Memory | Refusal::OutputSize) => Code::ConversionFailed,
        FfmpegError::Broken(_) => Code::BrokenFile,
        FfmpegError::TimedOut => Code::ConversionTimedOut,
        // Nobody kills it for what it does but the system, when others take its memory.
        FfmpegError::Crashed { signal, .. } if *signal != Signal::KILL.as_raw() => {
            Code::ConversionCrashed
        }
        FfmpegError::OutOfSpace => Code::StorageFull,
        FfmpegError::Stopped => Code::NotReady,
        _ => Code::Internal,
    };
    Error::new(code).with_source(error)
}
