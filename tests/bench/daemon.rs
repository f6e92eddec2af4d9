//! The release binary in a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Signs the tokens that the load comes with.
pub(crate) const JWT_SECRET: &str = "a secret that only this benchmark has";

/// How long anything may take that is not measured.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running server.
pub(crate) struct Daemon {
    child: Child,
    address: SocketAddr,
}

impl Daemon {
    /// Starts it and waits until it listens.
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &[])
    }

    /// The same with further settings, by their names in the environment.
    pub(crate) fn start_with(data_dir: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = command(data_dir, "127.0.0.1:0".parse().unwrap());
        let mut child = command.envs(settings.iter().copied()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let address = output
            .lines()
            .find_map(|line| {
                line.unwrap()
                    .trim()
                    .strip_prefix("listening")
                    .map(str::to_owned)
            })
            .expect("the server says where it listens");
        let address = address
            .trim()
            .trim_start_matches("http://")
            .parse()
            .unwrap();
        Self { child, address }
    }

    /// Starts it and measures the time until it answers 200 to each of these paths.
    pub(crate) fn start_timed<const N: usize>(
        data_dir: &Path,
        paths: [&str; N],
    ) -> (Self, [Duration; N]) {
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let started = Instant::now();
        let child = command(data_dir, address).spawn().unwrap();
        let daemon = Self { child, address };
        let times = paths.map(|path| {
            while !daemon
                .get(path)
                .is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
            {
                assert!(started.elapsed() < PATIENCE, "no answer to {path}");
                std::thread::sleep(Duration::from_millis(1));
            }
            started.elapsed()
        });
        (daemon, times)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until all parts are ready, the consumers among them.
    pub(crate) fn wait_until_ready(&self) {
        let started = Instant::now();
        while !self
            .get("/readyz")
            .is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
        {
            assert!(started.elapsed() < PATIENCE, "never ready");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until nearly all of so many things can be searched for; what it takes is taken from nobody else then.
    pub(crate) fn wait_until_indexed(&self, things: u32) {
        let started = Instant::now();
        while self.metric("socialhub_search_documents") < f64::from(things) * 0.99
            || self.metric("socialhub_search_rebuilding") > 0.0
        {
            assert!(started.elapsed() < 10 * PATIENCE, "never indexed");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The sum of all samples of a metric.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics").unwrap();
        metrics
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter(|rest| rest.starts_with([' ', '{']))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Runs a load, and tells how many commands went into a commit meanwhile.
    pub(crate) fn with_batch_size<T>(&self, run: impl FnOnce() -> T) -> (T, f64) {
        let read = || {
            (
                self.metric("socialhub_store_batch_size_sum"),
                self.metric("socialhub_store_batch_size_count"),
            )
        };
        let before = read();
        let outcome = run();
        let after = read();
        (
            outcome,
            (after.0 - before.0) / (after.1 - before.1).max(1.0),
        )
    }

    /// The whole answer, if there is one.
    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Memory of its own, in MiB.
    pub(crate) fn resident_mib(&self) -> f64 {
        self.memory_mib("VmRSS:")
    }

    /// The most that it ever had, in MiB.
    pub(crate) fn peak_mib(&self) -> f64 {
        self.memory_mib("VmHWM:")
    }

    /// What of its memory is in no file, in MiB.
    pub(crate) fn anonymous_mib(&self) -> f64 {
        self.memory_mib("RssAnon:")
    }

    fn memory_mib(&self, field: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1024.0
    }

    /// Stops it as SIGTERM does.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Gone already where it was stopped.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn command(data_dir: &Path, listen: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_socialhub"));
    command
        .arg("serve")
        .env_clear()
        .env("SOCIALHUB_DATA_DIR", data_dir)
        .env("SOCIALHUB_LISTEN", listen.to_string())
        .env("SOCIALHUB_AUTH__JWT_SECRET", JWT_SECRET)
        .env("SOCIALHUB_LIMITS__ENABLED", "false")
        .env("SOCIALHUB_LOG__LEVEL", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}
