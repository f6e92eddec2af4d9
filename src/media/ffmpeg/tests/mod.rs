//! What ffmpeg makes of clips of a second, and how it is held in bounds. The clips are made on the spot.

mod convert;
mod hostile;
mod ladders;
mod processes;
mod pure;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use super::{Facts, Ffmpeg, FfmpegError, Job, Limits};

/// The ffmpeg of this machine. Without one these tests fail: that a film plays cannot be known otherwise.
fn ffmpeg() -> &'static Ffmpeg {
    static FOUND: LazyLock<Ffmpeg> = LazyLock::new(|| {
        let found = Ffmpeg::find(None).expect("ffmpeg should work");
        found.expect("these tests need ffmpeg on the PATH: `apt-get install ffmpeg`")
    });
    &FOUND
}

/// A folder with clips in it, and the limits of a job.
struct Studio {
    folder: tempfile::TempDir,
    limits: Limits,
}

impl Studio {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            limits: Limits {
                max_duration: Duration::from_mins(1),
                ..Limits::default()
            },
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn job(&self) -> Job<'_> {
        Job {
            limits: &self.limits,
            scratch: self.folder.path(),
            should_stop: &|| false,
        }
    }

    /// Runs ffmpeg without any bounds: `arguments` are split at spaces.
    fn make(&self, name: &str, arguments: &str) -> PathBuf {
        let out = self.path(name);
        let done = Command::new(ffmpeg().path())
            .args(["-v", "error", "-nostdin", "-y"])
            .args(arguments.split_whitespace())
            .arg(&out)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        out
    }

    /// A clip of one second with a test picture of this size, and a sine.
    fn clip(&self, name: &str, size: &str, more: &str) -> PathBuf {
        self.make(
            name,
            &format!(
                "-f lavfi -i testsrc2=s={size}:r=25:d=1 -f lavfi -i sine=d=1 -pix_fmt yuv420p {more}"
            ),
        )
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn probe(&self, file: &Path) -> Result<Facts, FfmpegError> {
        ffmpeg().probe(file, &self.job())
    }

    fn facts(&self, file: &Path) -> Facts {
        self.probe(file).unwrap()
    }

    /// Converts to MP4 and returns the result's path and facts.
    fn mp4(&self, file: &Path) -> (PathBuf, Facts) {
        let out = self.path("out.mp4");
        ffmpeg()
            .mp4(file, &self.facts(file), &out, &|_| {}, &self.job())
            .unwrap();
        let facts = self.facts(&out);
        (out, facts)
    }
}

/// Where a box of MP4 has its name, at the earliest.
fn place_of(name: &[u8], bytes: &[u8]) -> usize {
    let found = bytes.windows(4).position(|four| four == name);
    found.expect("a box of that name")
}
