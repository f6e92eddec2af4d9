//! Videos and recordings as they arrive: what they are, whether browsers play them, a poster.
//!
//! Without ffmpeg on the machine, what browsers play is kept and served as it is, and nothing else is taken. With it,
//! all that it reads is taken, and made into what browsers play afterwards (see `convert`).

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::container::{self, Container, ContainerError};
use super::ffmpeg::{self, Ffmpeg, FfmpegError, Job, Refusal};
use super::intake::{FIRST, picture_error, put};
use super::pictures::{self, Format, Picture};
use super::{Facts, Kind};
use crate::blobs::{Blobs, Pin, Staged};
use crate::config;
use crate::error::{Code, Error, Result};

/// The name of a poster among what was made of a video; its sizes are made of it.
pub(super) const POSTER: &str = "poster.png";

/// What films are worked on with. Cheap to clone.
#[derive(Clone)]
pub(super) struct Films {
    pub(super) ffmpeg: Option<Arc<Ffmpeg>>,
    pub(super) limits: ffmpeg::Limits,
    pub(super) stopping: CancellationToken,
}

/// The program that the configuration means, if any.
pub(super) fn find(configured: &str) -> Result<Option<Ffmpeg>> {
    let found = match configured {
        "off" => return Ok(None),
        "auto" | "" => match Ffmpeg::find(None) {
            // One that does not work is as good as none, where nobody asked for it.
            Err(error) => {
                warn!(error = %error, "The ffmpeg of this machine is not used");
                return Ok(None);
            }
            found => found,
        },
        path => Ffmpeg::find(Some(Path::new(path))),
    };
    let found = found.map_err(Error::internal)?;
    if let Some(ffmpeg) = &found {
        info!("Videos are converted by {}", ffmpeg.version());
    }
    Ok(found)
}

impl Films {
    pub(super) fn new(
        ffmpeg: Option<Ffmpeg>,
        options: &config::Media,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            ffmpeg: ffmpeg.filter(Ffmpeg::can_convert_video).map(Arc::new),
            limits: ffmpeg::Limits {
                max_duration: Duration::from_secs(options.max_video_seconds.into()),
                memory_bytes: u64::from(options.video_memory_mib) * 1024 * 1024,
                ..ffmpeg::Limits::default()
            },
            stopping,
        }
    }

    /// Looks at a film, keeps it, and makes its poster; whether it is to be converted. Blocks, and keeps a core busy.
    pub(super) fn work_on(
        &self,
        blobs: &Blobs,
        staged: Staged,
        container: Container,
        limits: &pictures::Limits,
    ) -> Result<(Facts, bool, Pin)> {
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
        let Some(ffmpeg) = &self.ffmpeg else {
            if plays {
                return Ok((facts, false, blobs.keep(staged)?));
            }
            return Err(Error::new(Code::UnsupportedFile).with_message(
                "This server takes videos that browsers play as they are: MP4 with H.264, or WebM.",
            ));
        };
        match self.look_closer(ffmpeg, blobs, &staged, limits, &mut facts) {
            Ok(()) => Ok((facts, true, blobs.keep(staged)?)),
            // It may be a fault of the helper's.
            Err(error) if plays && error.code() == Code::Internal => {
                warn!(error = %error, causes = error.causes(), "A video is kept as it is");
                Ok((facts, false, blobs.keep(staged)?))
            }
            Err(error) if error.code() == Code::Internal => {
                Err(Error::new(Code::BrokenFile).with_source(error))
            }
            Err(error) => Err(error),
        }
    }

    fn look_closer(
        &self,
        ffmpeg: &Ffmpeg,
        blobs: &Blobs,
        staged: &Staged,
        limits: &pictures::Limits,
        facts: &mut Facts,
    ) -> Result<()> {
        let scratch = blobs.scratch()?;
        let should_stop = || self.stopping.is_cancelled();
        let job = Job {
            limits: &self.limits,
            scratch: scratch.path(),
            should_stop: &should_stop,
        };
        let probed = ffmpeg.probe(staged.path(), &job).map_err(ffmpeg_error)?;
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
            .map_err(ffmpeg_error)?;
        let file = BufReader::new(File::open(&poster).map_err(Error::internal)?);
        let picture = Picture::decode(file, Format::Png, limits).map_err(picture_error)?;
        let [red, green, blue] = picture.dominant_color();
        facts.thumbhash = Some(STANDARD.encode(picture.thumbhash()));
        facts.color = Some(format!("#{red:02x}{green:02x}{blue:02x}"));
        let first = picture.render_widths(&[FIRST]).map_err(picture_error)?;
        put(blobs, staged.hash, &first, &[FIRST])?;
        blobs.adopt_variant(staged.hash, POSTER, &poster)
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

/// What a person is told of a film that cannot be used; what may be the helper's own fault is `internal`.
pub(super) fn ffmpeg_error(error: FfmpegError) -> Error {
    let code = match &error {
        FfmpegError::Refused(Refusal::Duration) => Code::TooLong,
        FfmpegError::Refused(Refusal::Pixels) => Code::TooManyPixels,
        FfmpegError::Refused(Refusal::Streams | Refusal::NoStreams | Refusal::Codec(_)) => {
            Code::UnsupportedFile
        }
        FfmpegError::Broken(_) => Code::BrokenFile,
        FfmpegError::OutOfSpace => Code::StorageFull,
        FfmpegError::Stopped => Code::NotReady,
        _ => Code::Internal,
    };
    Error::new(code).with_source(error)
}
