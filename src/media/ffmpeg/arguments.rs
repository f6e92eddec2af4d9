//! The arguments that every call has, and above all what the helpers may open.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use super::{FfmpegError, Limits};

/// Formats that are read. Playlists (HLS, DASH, concat), picture sequences, devices and generators are not among them:
/// such a file names others, and to read it would be to read those.
const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,ogg,mp3,wav,flac,avi";

/// Decoders that are used, out of some five hundred, many of which nobody has looked at for years. Subtitles are here
/// only because ffprobe gives up on a file with a stream that it cannot open.
const DECODERS: &str = "h264,hevc,vp8,libvpx,vp9,libvpx-vp9,av1,libdav1d,libaom-av1,mpeg4,mpeg1video,mpeg2video,\
    h263,msmpeg4v1,msmpeg4v2,msmpeg4,mjpeg,png,theora,prores,\
    aac,aac_latm,mp3,mp3float,mp2,mp2float,opus,libopus,vorbis,libvorbis,flac,alac,ac3,eac3,amrnb,amrwb,\
    libopencore_amrnb,libopencore_amrwb,pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,\
    pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be,pcm_alaw,pcm_mulaw,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,\
    mov_text,subrip,srt,ass,ssa,webvtt,text,pgssub,dvdsub,dvbsub";

/// Codecs of video that the decoders stand for, as ffprobe names them.
pub(super) const VIDEO_CODECS: &[&str] = &[
    "h264",
    "hevc",
    "vp8",
    "vp9",
    "av1",
    "mpeg4",
    "mpeg1video",
    "mpeg2video",
    "h263",
    "msmpeg4v1",
    "msmpeg4v2",
    "msmpeg4v3",
    "mjpeg",
    "theora",
    "prores",
];

/// Codecs of sound that the decoders stand for, besides the many kinds of PCM.
const AUDIO_CODECS: &[&str] = &[
    "aac", "aac_latm", "mp3", "mp2", "opus", "vorbis", "flac", "alac", "ac3", "eac3", "amr_nb",
    "amr_wb",
];

/// Whether there is a decoder for such sound.
pub(super) fn is_audio_codec(name: &str) -> bool {
    AUDIO_CODECS.contains(&name)
        || name.contains("pcm_") && DECODERS.split(',').any(|known| known == name)
}

/// A command line under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Arguments(Vec<OsString>);

impl Arguments {
    /// Of ffmpeg: quiet, asking nothing, writing over what is there.
    pub(super) fn ffmpeg(limits: &Limits) -> Self {
        let threads = limits.threads.max(1).to_string();
        let mut all = Self::default();
        all.add(["-hide_banner", "-nostdin", "-nostats", "-y"])
            .add(["-v", "warning", "-progress", "pipe:1"])
            .add(["-filter_threads", &threads])
            .add(["-filter_complex_threads", &threads]);
        all
    }

    /// Adds arguments as they are.
    pub(super) fn add<const N: usize>(&mut self, more: [&str; N]) -> &mut Self {
        self.0.extend(more.map(OsString::from));
        self
    }

    /// What holds for the input, and must stand before it.
    pub(super) fn input_bounds(&mut self, limits: &Limits) -> &mut Self {
        // A frame is coded in whole blocks, so a little more than is shown.
        let pixels = limits.max_pixels.saturating_add(limits.max_pixels / 16);
        let pixels = pixels
            .saturating_add(65_536)
            .min(i32::MAX.unsigned_abs().into());
        self.add(["-protocol_whitelist", "file,pipe"])
            .add(["-format_whitelist", FORMATS])
            .add(["-codec_whitelist", DECODERS])
            .add(["-max_pixels", &pixels.to_string()])
            .add(["-max_streams", &limits.max_streams.max(1).to_string()])
            .add(["-threads", &limits.threads.max(1).to_string()])
    }

    /// The input. It ends where the longest film would, whatever the file says of its length.
    pub(super) fn input(
        &mut self,
        file: &Path,
        start: Duration,
        limits: &Limits,
    ) -> Result<&mut Self, FfmpegError> {
        self.input_bounds(limits);
        if !start.is_zero() {
            self.add(["-ss", &seconds(start)]);
        }
        self.add(["-t", &seconds(limits.max_duration)]);
        self.0.push(OsString::from("-i"));
        self.0.push(as_url(file)?);
        Ok(self)
    }

    /// Leaves behind what a phone or a programme noted in the file: places, dates, names, chapters, subtitles,
    /// measurements.
    pub(super) fn without_metadata(&mut self) -> &mut Self {
        self.add(["-map_metadata", "-1", "-map_chapters", "-1", "-sn", "-dn"])
            .add(["-fflags", "+bitexact"])
            .add(["-flags:v", "+bitexact", "-flags:a", "+bitexact"])
    }

    /// The output, in a format that is named rather than guessed.
    pub(super) fn output(&mut self, format: &str, file: &Path) -> Result<&mut Self, FfmpegError> {
        self.add(["-f", format]);
        self.0.push(as_url(file)?);
        Ok(self)
    }

    pub(super) fn as_slice(&self) -> &[OsString] {
        &self.0
    }
}

/// Seconds with the fraction that the helpers read.
pub(super) fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

/// `file:` and the whole path: a name like `http:x` or `-y` is then only a name.
pub(super) fn as_url(file: &Path) -> Result<OsString, FfmpegError> {
    let whole = std::path::absolute(file).map_err(FfmpegError::io("finding the file"))?;
    let mut url = OsString::from("file:");
    url.push::<&OsStr>(whole.as_os_str());
    Ok(url)
}
