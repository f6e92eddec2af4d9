//! Finding ffmpeg, and finding out what it can do.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process;
use super::{Ffmpeg, FfmpegError, Job, Limits};

/// Telling a version takes some milliseconds; a machine under load gets more.
const PATIENCE: Duration = Duration::from_secs(10);
/// More than any build's list of encoders.
const MAX_OUTPUT: usize = 256 * 1024;

impl Ffmpeg {
    /// The configured ffmpeg, with ffprobe beside it; without one, the first on the `PATH`. `None` where nothing is
    /// configured and there is none.
    ///
    /// Blocks while it is asked for its version and its encoders.
    pub fn find(configured: Option<&Path>) -> Result<Option<Self>, FfmpegError> {
        Self::find_in(configured, std::env::var_os("PATH").as_deref())
    }

    /// The same with the folders to search.
    pub(super) fn find_in(
        configured: Option<&Path>,
        folders: Option<&OsStr>,
    ) -> Result<Option<Self>, FfmpegError> {
        let ffmpeg = match configured {
            Some(path) if is_program(path) => absolute(path)?,
            Some(path) => return Err(FfmpegError::NotFound(path.to_owned())),
            None => match on_path(folders, "ffmpeg") {
                Some(path) => path,
                None => return Ok(None),
            },
        };
        let ffprobe = beside(&ffmpeg, "ffprobe")
            .or_else(|| {
                configured
                    .is_none()
                    .then(|| on_path(folders, "ffprobe"))
                    .flatten()
            })
            .ok_or_else(|| FfmpegError::NotFound(ffmpeg.with_file_name("ffprobe")))?;
        let version = version(&ffmpeg)?;
        drop(self::version(&ffprobe)?);
        let encoders = ask(&ffmpeg, "-encoders")?;
        let has = |name: &str| {
            encoders
                .lines()
                .any(|line| line.split_whitespace().nth(1) == Some(name))
        };
        Ok(Some(Self {
            has_h264: has("libx264"),
            has_aac: has("aac"),
            program: ffmpeg,
            prober: ffprobe,
            version,
        }))
    }
}

fn absolute(path: &Path) -> Result<PathBuf, FfmpegError> {
    std::path::absolute(path).map_err(FfmpegError::io("finding the helper"))
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// A relative folder on the path would mean whatever directory is the current one.
fn on_path(folders: Option<&OsStr>, name: &str) -> Option<PathBuf> {
    std::env::split_paths(folders?)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| is_program(path))
}

/// Beside the name, or beside what the name links to.
fn beside(ffmpeg: &Path, name: &str) -> Option<PathBuf> {
    let linked = ffmpeg.canonicalize().unwrap_or_default();
    [ffmpeg.with_file_name(name), linked.with_file_name(name)]
        .into_iter()
        .find(|path| is_program(path))
}

/// `ffmpeg version 7.1 Copyright ...`: the third word.
fn version(program: &Path) -> Result<String, FfmpegError> {
    let text = ask(program, "-version")?;
    let word = text
        .split_whitespace()
        .skip_while(|word| *word != "version")
        .nth(1);
    Ok(word
        .unwrap_or("unknown")
        .chars()
        .filter(char::is_ascii_graphic)
        .take(64)
        .collect())
}

fn ask(program: &Path, question: &str) -> Result<String, FfmpegError> {
    let limits = Limits::default();
    let job = Job {
        limits: &limits,
        scratch: Path::new("/"),
        should_stop: &|| false,
    };
    let mut text = Vec::new();
    let arguments = [OsString::from("-hide_banner"), OsString::from(question)];
    process::run(program, &arguments, &job, PATIENCE, |piece| {
        if text.len() < MAX_OUTPUT {
            text.extend_from_slice(piece);
        }
    })
    .map_err(|source| FfmpegError::Unusable {
        path: program.to_owned(),
        source: Box::new(source),
    })?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
