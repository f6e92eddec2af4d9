//! What a file is, as ffprobe tells, and whether it is accepted.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::arguments::{Arguments, VIDEO_CODECS, as_url, is_audio_codec};
use super::error::Stderr;
use super::progress::Progress;
use super::{
    AudioStream, Facts, Ffmpeg, FfmpegError, Job, Kind, Rate, Refusal, VideoStream, process,
};

/// No honest answer to what is asked is longer.
const MAX_ANSWER: usize = 256 * 1024;
/// What is asked: no tags, which may be of any size.
const QUESTION: &str = "stream=index,codec_name,codec_type,profile,level,pix_fmt,width,height,sample_aspect_ratio,\
    field_order,r_frame_rate,avg_frame_rate,duration,bit_rate,channels,sample_rate\
    :stream_disposition=attached_pic:stream_tags=rotate:stream_side_data=rotation\
    :format=format_name,duration,bit_rate";

impl Ffmpeg {
    /// Reads what a file is, and refuses one that is beyond the limits or of a kind that is not converted.
    pub fn probe(&self, file: &Path, job: &Job<'_>) -> Result<Facts, FfmpegError> {
        let mut arguments = Arguments::default();
        arguments
            .add([
                "-hide_banner",
                "-v",
                "error",
                "-print_format",
                "json=compact=1",
            ])
            .add(["-show_entries", QUESTION])
            .input_bounds(job.limits);
        let mut arguments = arguments.as_slice().to_vec();
        arguments.extend([OsString::from("-i"), as_url(file)?]);
        let mut answer = Vec::new();
        let time = job.limits.base_time;
        let stderr = process::run(&self.prober, &arguments, job, time, |piece| {
            if answer.len() <= MAX_ANSWER {
                answer.extend_from_slice(piece);
            }
        })
        .map_err(|error| match error {
            FfmpegError::Failed { stderr, .. } => FfmpegError::Broken(stderr),
            other => other,
        })?;
        if answer.len() > MAX_ANSWER {
            return Err(FfmpegError::Refused(Refusal::Streams));
        }
        let Ok(answer) = serde_json::from_slice(&answer) else {
            return Err(FfmpegError::Broken(stderr));
        };
        let (mut facts, duration) = judge(answer, job, stderr)?;
        facts.duration = match duration {
            Some(duration) => duration,
            None => self.measure(file, job)?,
        };
        if facts.duration > job.limits.max_duration {
            return Err(FfmpegError::Refused(Refusal::Duration));
        }
        Ok(facts)
    }

    /// The length of a file that does not tell, such as browsers record: by reading it through without decoding.
    fn measure(&self, file: &Path, job: &Job<'_>) -> Result<Duration, FfmpegError> {
        // One second more, to see that it goes on.
        let mut limits = job.limits.clone();
        limits.max_duration = limits.max_duration.saturating_add(Duration::from_secs(1));
        let mut arguments = Arguments::ffmpeg(&limits);
        arguments.input(file, Duration::ZERO, &limits)?.add([
            "-map", "0:v?", "-map", "0:a?", "-c", "copy", "-f", "null", "-",
        ]);
        let mut progress = Progress::silent();
        let time = limits.base_time;
        process::run(&self.program, arguments.as_slice(), job, time, |piece| {
            progress.read(piece);
        })?;
        Ok(progress.reached())
    }
}

/// What ffprobe answers.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Format,
}

#[derive(Default, Deserialize)]
struct Format {
    #[serde(default, rename = "format_name")]
    names: String,
    duration: Option<String>,
    bit_rate: Option<String>,
}

#[derive(Deserialize)]
struct Stream {
    index: u32,
    #[serde(default)]
    codec_type: String,
    #[serde(default)]
    codec_name: String,
    #[serde(default)]
    profile: String,
    level: Option<i64>,
    #[serde(default)]
    pix_fmt: String,
    #[serde(default)]
    width: u32,
    #[serde(default)]
    height: u32,
    sample_aspect_ratio: Option<String>,
    #[serde(default)]
    field_order: String,
    #[serde(default)]
    r_frame_rate: String,
    #[serde(default)]
    avg_frame_rate: String,
    duration: Option<String>,
    bit_rate: Option<String>,
    #[serde(default)]
    channels: u32,
    sample_rate: Option<String>,
    #[serde(default)]
    disposition: Disposition,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    side_data_list: Vec<SideData>,
}

#[derive(Default, Deserialize)]
struct Disposition {
    #[serde(default)]
    attached_pic: u8,
}

#[derive(Default, Deserialize)]
struct Tags {
    rotate: Option<String>,
}

#[derive(Deserialize)]
struct SideData {
    rotation: Option<f64>,
}

/// Picks the streams and applies the limits. The length is given apart, as the file may not tell it.
fn judge(
    answer: Answer,
    job: &Job<'_>,
    stderr: Stderr,
) -> Result<(Facts, Option<Duration>), FfmpegError> {
    let limits = job.limits;
    let refused = |refusal| Err(FfmpegError::Refused(refusal));
    let streams = answer.streams;
    if streams.len() > usize::try_from(limits.max_streams).unwrap_or(usize::MAX) {
        return refused(Refusal::Streams);
    }
    let is_video =
        |stream: &&Stream| stream.codec_type == "video" && stream.disposition.attached_pic == 0;
    let is_audio = |stream: &&Stream| stream.codec_type == "audio";
    let video = streams
        .iter()
        .filter(is_video)
        .find(|stream| VIDEO_CODECS.contains(&stream.codec_name.as_str()));
    let audio = streams
        .iter()
        .filter(is_audio)
        .find(|stream| is_audio_codec(&stream.codec_name));
    if video.is_none()
        && let Some(unknown) = streams.iter().find(is_video)
    {
        return refused(Refusal::Codec(plain(&unknown.codec_name)));
    }
    if video.is_none() && audio.is_none() {
        return match streams.iter().find(is_audio) {
            Some(unknown) => refused(Refusal::Codec(plain(&unknown.codec_name))),
            None => refused(Refusal::NoStreams),
        };
    }
    let (mut width, mut height) = (0, 0);
    if let Some(stream) = video {
        if u64::from(stream.width) * u64::from(stream.height) > limits.max_pixels {
            return refused(Refusal::Pixels);
        }
        if stream.width == 0 || stream.height == 0 {
            return Err(FfmpegError::Broken(stderr));
        }
        (width, height) = shown(stream);
    }
    let own = [video, audio].into_iter().flatten();
    let duration = answer
        .format
        .duration
        .iter()
        .chain(own.filter_map(|stream| stream.duration.as_ref()))
        .filter_map(|text| text.parse().ok())
        .filter_map(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .find(|duration| !duration.is_zero());
    let facts = Facts {
        kind: if video.is_some() {
            Kind::Video
        } else {
            Kind::Audio
        },
        format: answer.format.names,
        width,
        height,
        duration: Duration::ZERO,
        bit_rate: number(answer.format.bit_rate.as_ref()),
        video: video.map(video_stream),
        audio: audio.map(|stream| AudioStream {
            index: stream.index,
            codec: stream.codec_name.clone(),
            profile: stream.profile.clone(),
            channels: stream.channels,
            sample_rate: number(stream.sample_rate.as_ref()).unwrap_or(0),
        }),
    };
    Ok((facts, duration))
}

fn video_stream(stream: &Stream) -> VideoStream {
    let aspect = stream.sample_aspect_ratio.as_deref();
    VideoStream {
        index: stream.index,
        codec: stream.codec_name.clone(),
        profile: stream.profile.clone(),
        level: stream.level.and_then(|level| u32::try_from(level).ok()),
        pixel_format: stream.pix_fmt.clone(),
        is_turned: rotation(stream) != 0,
        is_square: matches!(aspect, None | Some("1:1" | "0:1")),
        is_interlaced: matches!(stream.field_order.as_str(), "tt" | "bb" | "tb" | "bt"),
        frame_rate: frame_rate(stream),
        bit_rate: number(stream.bit_rate.as_ref()),
    }
}

fn number<T: std::str::FromStr>(text: Option<&String>) -> Option<T> {
    text?.parse().ok()
}

/// A codec's name, fit to be shown.
fn plain(name: &str) -> String {
    let plain = name.chars().filter(char::is_ascii_graphic);
    let plain: String = plain.take(32).collect();
    if plain.is_empty() {
        "unknown".to_owned()
    } else {
        plain
    }
}

/// How far the picture is to be turned, in quarters of a circle.
fn rotation(stream: &Stream) -> u8 {
    let matrix = stream.side_data_list.iter().find_map(|data| data.rotation);
    let tag = || stream.tags.rotate.as_ref()?.parse().ok();
    let degrees: f64 = matrix.or_else(tag).unwrap_or(0.0);
    let quarter = (degrees / 90.0).rem_euclid(4.0);
    [1_u8, 2, 3]
        .into_iter()
        .find(|turn| (quarter - f64::from(*turn)).abs() < 0.5)
        .unwrap_or(0)
}

/// The size on the screen: pixels made square by widening, then turned.
fn shown(stream: &Stream) -> (u32, u32) {
    let (mut width, mut height) = (stream.width, stream.height);
    let aspect = stream.sample_aspect_ratio.as_deref();
    if let Some((across, down)) = aspect.and_then(|text| fraction(text, ':')) {
        let wide = u64::from(width) * u64::from(across) / u64::from(down);
        // A strip is no picture: such a ratio is a mistake or a trap.
        if let Ok(wide) = u32::try_from(wide)
            && (1..=width.saturating_mul(8)).contains(&wide)
        {
            width = wide;
        }
    }
    if rotation(stream) % 2 == 1 {
        (width, height) = (height, width);
    }
    (width, height)
}

/// Two positive numbers.
fn fraction(text: &str, between: char) -> Option<(u32, u32)> {
    let (over, under) = text.split_once(between)?;
    let (over, under) = (over.parse().ok()?, under.parse().ok()?);
    (over > 0 && under > 0).then_some((over, under))
}

/// Frames in a second. What changes from frame to frame is described by a base rate of thousands: then the average
/// tells whether 30 or 60 is right.
fn frame_rate(stream: &Stream) -> Rate {
    let read = |text: &str| fraction(text, '/').map(|(frames, seconds)| Rate { frames, seconds });
    let slow = Rate {
        frames: 30,
        seconds: 1,
    };
    match (read(&stream.r_frame_rate), read(&stream.avg_frame_rate)) {
        (Some(base), _) if base.is_at_most(60) => base,
        (_, Some(average)) if !average.is_at_most(240) => slow,
        (_, Some(average)) if !average.is_at_most(60) => average,
        (_, Some(average)) if !average.is_at_most(31) => Rate {
            frames: 60,
            seconds: 1,
        },
        _ => slow,
    }
}
