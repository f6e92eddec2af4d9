//! Running a helper that is not trusted: in bounds, watched, and gone when it is over.
//!
//! The helper is started through `/bin/sh`, which sets its own limits with `ulimit` and then becomes the helper. So the
//! limits hold before the first byte of a file is read; setting them from here on a process that already runs
//! (`prlimit`) would leave it a head start, and setting them between fork and exec needs unsafe code. The script uses
//! nothing but what is built into every shell. It also offers the helper to the kernel as the first to go when memory
//! runs out, before the server.
//!
//! Every helper leads a process group of its own, and the whole group is killed at the end, however it ends. One thread
//! does all: it waits for output or for at most [`TICK`], so nothing here spins and no reader can be left hanging.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, Resource, Signal, WaitId, WaitIdOptions, getrlimit, kill_process_group, setpriority_pgrp,
    waitid,
};

use super::error::{FfmpegError, Refusal, Stderr, reason};
use super::limits::Job;

/// How often a stop is looked for, at least.
const TICK: Duration = Duration::from_millis(50);
/// How much of the standard error is kept: its end.
const STDERR_BYTES: usize = 8 * 1024;
/// What is still read of the output of a helper that has ended.
const MAX_REST: usize = 1024 * 1024;
const CHUNK: usize = 16 * 1024;

/// `$1` KiB of address space, `$2` blocks of 512 bytes in a file, `$3` seconds of processor. A limit that cannot be set
/// is the end.
const SCRIPT: &str = "{ echo 1000 >/proc/self/oom_score_adj; } 2>/dev/null; \
    ulimit -c 0 && ulimit -v \"$1\" && ulimit -f \"$2\" && ulimit -t \"$3\" || exit 125; \
    shift 3; exec \"$@\"";

/// Runs `program` to its end in at most `time`, and hands its output over in pieces as it comes. Returns what it wrote
/// to its standard error.
///
/// An exit code other than 0 is an error.
pub(super) fn run(
    program: &Path,
    arguments: &[OsString],
    job: &Job<'_>,
    time: Duration,
    mut on_output: impl FnMut(&[u8]),
) -> Result<Stderr, FfmpegError> {
    let deadline = Instant::now().checked_add(time);
    let mut group = Group::start(command(program, arguments, job, time))?;
    // At the cost of nothing else: a helper that cannot be made nicer still works.
    setpriority_pgrp(Some(group.pid), job.limits.nice.clamp(0, 19)).unwrap_or_default();
    let mut pipes = Pipes::of(&mut group.child);
    let mut pause = Duration::from_millis(2);
    loop {
        if (job.should_stop)() {
            return Err(FfmpegError::Stopped);
        }
        let left = deadline.map_or(TICK, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Err(FfmpegError::TimedOut);
        }
        if pipes.are_closed() {
            // It is about to end, or pretends to be: look again, less and less often.
            wait(&mut [], pause.min(left))?;
            pause = (pause * 2).min(TICK);
        } else {
            pipes.read_some(left.min(TICK), &mut on_output)?;
        }
        if group.has_ended()? {
            break;
        }
    }
    // What it started may still live, and hold the pipes: no more is waited for than what is there already.
    group.kill();
    let mut rest = 0;
    while rest < MAX_REST && !pipes.are_closed() {
        match pipes.read_some(Duration::ZERO, &mut on_output)? {
            0 => break,
            read => rest += read,
        }
    }
    let status = group.reap()?;
    judge(status, Stderr::new(&pipes.tail))
}

/// Whether the end was a good one.
fn judge(status: ExitStatus, stderr: Stderr) -> Result<Stderr, FfmpegError> {
    match status.signal().and_then(Signal::from_named_raw) {
        Some(Signal::XFSZ) => return Err(FfmpegError::Refused(Refusal::OutputSize)),
        Some(Signal::XCPU) => return Err(FfmpegError::TimedOut),
        _ => {}
    }
    if let Some(signal) = status.signal() {
        return Err(FfmpegError::Crashed { signal, stderr });
    }
    if status.success() {
        // Some writers only complain of a full disk.
        return if stderr.says("No space left on device") {
            Err(FfmpegError::OutOfSpace)
        } else {
            Ok(stderr)
        };
    }
    if stderr.says("received signal 24") {
        return Err(FfmpegError::TimedOut); // the processor's time, not the clock's
    }
    Err(reason(stderr).unwrap_or_else(|stderr| FfmpegError::Failed {
        code: status.code(),
        stderr,
    }))
}

fn command(program: &Path, arguments: &[OsString], job: &Job<'_>, time: Duration) -> Command {
    let limits = job.limits;
    let memory = within(Resource::As, limits.memory_bytes);
    let output = within(Resource::Fsize, limits.output_bytes);
    // Only for the case that nobody is left to watch the clock.
    let processor = (time.as_secs() + 1).saturating_mul(u64::from(limits.threads) + 2);
    let processor = within(Resource::Cpu, processor);
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", SCRIPT, "sh"])
        .arg((memory / 1024).to_string())
        .arg(output.div_ceil(512).to_string())
        .arg(processor.to_string())
        .arg(program)
        .args(arguments)
        .current_dir(job.scratch)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        // Errors are told apart by their English words.
        .env("LC_ALL", "C")
        // Each arena of malloc reserves address space, which is what is limited.
        .env("MALLOC_ARENA_MAX", "2")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    command
}

/// A limit may be lowered but not raised above what this process has itself.
fn within(resource: Resource, wanted: u64) -> u64 {
    getrlimit(resource)
        .maximum
        .map_or(wanted, |most| most.min(wanted))
}

/// A helper with all that it starts. Dropping it kills them.
struct Group {
    child: Child,
    pid: Pid,
    is_reaped: bool,
}

impl Group {
    fn start(mut command: Command) -> Result<Self, FfmpegError> {
        let child = command
            .spawn()
            .map_err(FfmpegError::io("starting the helper"))?;
        Ok(Self {
            pid: Pid::from_child(&child),
            child,
            is_reaped: false,
        })
    }

    /// Whether the leader has ended. It stays a zombie, so that its number still belongs to this group.
    fn has_ended(&self) -> Result<bool, FfmpegError> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.pid), options) {
            Ok(found) => Ok(found.is_some()),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(FfmpegError::io("watching the helper")(error.into())),
        }
    }

    /// Ends all of the group at once; nobody can refuse.
    fn kill(&self) {
        // The one error is that nobody is left.
        kill_process_group(self.pid, Signal::KILL).unwrap_or_default();
    }

    fn reap(&mut self) -> Result<ExitStatus, FfmpegError> {
        let status = self.child.wait();
        self.is_reaped = true;
        status.map_err(FfmpegError::io("watching the helper"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_reaped {
            self.kill();
            drop(self.reap());
        }
    }
}

/// Both outputs of a helper.
struct Pipes {
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
    tail: Vec<u8>,
    buffer: Vec<u8>,
}

impl Pipes {
    fn of(child: &mut Child) -> Self {
        Self {
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            tail: Vec::new(),
            buffer: vec![0; CHUNK],
        }
    }

    fn are_closed(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// Waits at most `patience` for output, and reads one piece of each that has some. Returns how much.
    fn read_some(
        &mut self,
        patience: Duration,
        on_output: &mut impl FnMut(&[u8]),
    ) -> Result<usize, FfmpegError> {
        let (has_stdout, has_stderr) = {
            let mut fds = Vec::with_capacity(2);
            let stdout = self.stdout.as_ref().map(AsFd::as_fd);
            let stderr = self.stderr.as_ref().map(AsFd::as_fd);
            for fd in [stdout, stderr].into_iter().flatten() {
                fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
            }
            wait(&mut fds, patience)?;
            let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
            (
                stdout.is_some() && ready.next().unwrap_or(false),
                stderr.is_some() && ready.next().unwrap_or(false),
            )
        };
        let mut read = 0;
        if has_stdout {
            let piece = read_piece(&mut self.stdout, &mut self.buffer)?;
            on_output(piece);
            read += piece.len();
        }
        if has_stderr {
            let piece = read_piece(&mut self.stderr, &mut self.buffer)?;
            self.tail.extend_from_slice(piece);
            let excess = self.tail.len().saturating_sub(STDERR_BYTES);
            self.tail.drain(..excess);
            read += piece.len();
        }
        Ok(read)
    }
}

/// Reads once, which does not block where output was announced; at its end the pipe is closed.
fn read_piece<'a>(
    pipe: &mut Option<impl Read>,
    buffer: &'a mut [u8],
) -> Result<&'a [u8], FfmpegError> {
    let read = match pipe.as_mut().map_or(Ok(0), |pipe| pipe.read(buffer)) {
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(&[]),
        read => read.map_err(FfmpegError::io("listening to the helper"))?,
    };
    if read == 0 {
        *pipe = None;
    }
    Ok(buffer.get(..read).unwrap_or_default())
}

/// Waits until there is something to read, at most `patience`.
fn wait(fds: &mut [PollFd<'_>], patience: Duration) -> Result<(), FfmpegError> {
    let patience = Timespec::try_from(patience).ok();
    match poll(fds, patience.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(FfmpegError::io("listening to the helper")(error.into())),
    }
}
