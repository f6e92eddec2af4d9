//! What was read of a file, in one shape for all containers.

use super::{Container, ContainerError};

/// Whether there is something to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Moving pictures, with or without sound.
    Video,
    /// Sound alone.
    Audio,
}

/// What a file says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The file's format.
    pub container: Container,
    /// Video or audio.
    pub kind: Kind,
    /// Width as shown, after rotation; 0 for audio.
    pub width: u32,
    /// Height as shown, after rotation; 0 for audio.
    pub height: u32,
    /// Length, where the file tells.
    pub duration_ms: Option<u64>,
    /// Short name of the first video track's codec: `h264`, `vp9`. One that is unknown here goes by the container's name.
    pub video_codec: Option<String>,
    /// Short name of the first audio track's codec: `aac`, `opus`.
    pub audio_codec: Option<String>,
    /// The profile in an H.264 track's set-up: 66, 77, 88 and 100 are what browsers decode.
    pub h264_profile: Option<u8>,
    /// Whether the index comes before the frames, so that playing can start before all is there.
    pub is_faststart: bool,
}

impl Facts {
    /// Facts of a file with sound alone.
    pub(super) fn audio(container: Container, codec: &str, duration_ms: Option<u64>) -> Self {
        Self {
            container,
            kind: Kind::Audio,
            width: 0,
            height: 0,
            duration_ms,
            video_codec: None,
            audio_codec: Some(codec.to_owned()),
            h264_profile: None,
            is_faststart: true,
        }
    }

    /// Facts from the tracks that a container lists.
    pub(super) fn of_tracks(
        container: Container,
        tracks: Vec<Track>,
        duration_ms: Option<u64>,
        is_faststart: bool,
    ) -> Result<Self, ContainerError> {
        let (video, audio): (Vec<_>, Vec<_>) = tracks
            .into_iter()
            .partition(|track| track.kind == Kind::Video);
        // A cover or the pictures of chapters stand in tracks too: they are the video only where nothing else is.
        let position = video.iter().position(|track| !track.is_still());
        let video = video
            .into_iter()
            .nth(position.unwrap_or(0))
            .filter(|track| audio.is_empty() || !track.is_still());
        let audio = audio.into_iter().next();
        let kind = match (&video, &audio) {
            (Some(_), _) => Kind::Video,
            (None, Some(_)) => Kind::Audio,
            (None, None) => return Err(ContainerError::NoStreams),
        };
        let shown = video.as_ref();
        Ok(Self {
            container,
            kind,
            width: shown.map_or(0, |track| track.width),
            height: shown.map_or(0, |track| track.height),
            duration_ms,
            h264_profile: shown.and_then(|track| track.h264_profile),
            video_codec: video.map(|track| track.codec),
            audio_codec: audio.map(|track| track.codec),
            is_faststart,
        })
    }

    /// Whether today's browsers all play the file as it is: nothing needs to be converted for it to be seen and heard.
    pub fn plays_in_browsers(&self) -> bool {
        let video = self.video_codec.as_deref();
        let audio = self.audio_codec.as_deref();
        let in_mp4 = || matches!(audio, None | Some("aac" | "mp3" | "opus"));
        match self.container {
            Container::Mp4 => match video {
                Some("h264") => {
                    in_mp4() && matches!(self.h264_profile, None | Some(66 | 77 | 88 | 100))
                }
                Some("av1") | None => in_mp4(),
                Some(_) => false,
            },
            Container::WebM => {
                matches!(video, None | Some("vp8" | "vp9" | "av1"))
                    && matches!(audio, None | Some("vorbis" | "opus"))
            }
            Container::M4a => video.is_none() && matches!(audio, Some("aac" | "mp3")),
            Container::Ogg => video.is_none() && matches!(audio, Some("opus" | "vorbis")),
            Container::Wav => matches!(audio, Some("pcm" | "pcm_float")),
            Container::Mp3 | Container::Flac => true,
            Container::QuickTime | Container::Matroska | Container::OggVideo | Container::Avi => {
                false
            }
        }
    }
}

/// One track as a container lists it.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) kind: Kind,
    pub(super) codec: String,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) h264_profile: Option<u8>,
}

impl Track {
    fn is_still(&self) -> bool {
        matches!(
            self.codec.as_str(),
            "jpeg" | "png" | "mjpeg" | "mjpa" | "mjpb"
        )
    }
}

/// A short name from a file, made fit to be stored and shown: printable ASCII, at most 32 characters.
pub(super) fn plain_name(raw: &[u8]) -> String {
    raw.iter()
        .take(32)
        .map(|&byte| char::from(byte))
        .filter(char::is_ascii_graphic)
        .collect()
}

/// `count` units of `per_second` to the second, in milliseconds. `None` where that makes no sense.
pub(super) fn millis(count: u64, per_second: u64) -> Option<u64> {
    let ms = u128::from(count) * 1000 / u128::from(std::num::NonZero::new(per_second)?.get());
    u64::try_from(ms).ok()
}
