//! The server in a process of its own, for what only a process can show: signals, locks, kills, logs.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::{Client, PATIENCE, Person};

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    base: String,
    setup_link: Option<String>,
    dir: TempDir,
    env: Vec<(String, String)>,
}

/// The daemon's program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_socialhub");

/// A command of the daemon's program with nothing of the tests' environment in it, and quick settings.
pub(crate) fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .env_clear()
        .env("SOCIALHUB_DATA_DIR", data_dir)
        .env("SOCIALHUB_LISTEN", "127.0.0.1:0")
        .env("SOCIALHUB_AUTH__ARGON2_MEMORY_KIB", "64")
        .env("SOCIALHUB_AUTH__ARGON2_PASSES", "1")
        .env("SOCIALHUB_LIMITS__ENABLED", "false")
        .env("SOCIALHUB_REALTIME__HUBS", super::hubs().to_string())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

impl Daemon {
    /// A daemon with a directory of its own.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with more in its environment.
    pub(crate) async fn start_with(env: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), env).await
    }

    /// The same over the `data` in this directory.
    pub(crate) async fn start_in(dir: TempDir, env: &[(&str, &str)]) -> Self {
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self::open(dir, env).await
    }

    async fn open(dir: TempDir, env: Vec<(String, String)>) -> Self {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(dir.path().join("log"))
            .unwrap();
        let mut child = command(&dir.path().join("data"))
            .arg("serve")
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut base, mut setup_link) = (None, None);
        let greeting = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                let line = line.trim();
                if line.contains("/setup?token=") {
                    setup_link = Some(line.to_owned());
                } else if let Some(address) = line.strip_prefix("listening") {
                    base = Some(address.trim().to_owned());
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, greeting).await.ok();
        let base = base.unwrap_or_else(|| {
            panic!(
                "the daemon did not start:\n{}",
                read(&dir.path().join("log"))
            )
        });
        Self {
            child,
            base,
            setup_link,
            dir,
            env,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.base)
    }

    /// What `/readyz` says as soon as all parts are ready.
    pub(crate) async fn ready(&self) -> Value {
        let client = self.client();
        super::eventually("the daemon is ready", || async {
            let reply = client.get("/readyz").await;
            (reply.status == 200).then(|| reply.json())
        })
        .await
    }

    pub(crate) fn setup_link(&self) -> Option<&str> {
        self.setup_link.as_deref()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        read(&self.dir.path().join("log"))
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.ask_to_stop();
        self.ended().await
    }

    /// Sends SIGTERM.
    pub(crate) fn ask_to_stop(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// How it ended; waits for that.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .unwrap()
            .unwrap()
    }

    /// Makes the first admin, by the link that it printed.
    pub(crate) async fn set_up(&self, username: &str) -> Person {
        let (_, token) = self.setup_link().unwrap().split_once("token=").unwrap();
        self.client().set_up(token, username).await
    }

    /// Kills it as a power cut would, and starts it again over the same data.
    pub(crate) async fn kill_and_restart(mut self) -> Self {
        self.kill_now().await;
        self.restart().await
    }

    /// Kills it as a power cut would, and waits until it is gone.
    pub(crate) async fn kill_now(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Starts it again over the same data, once it is gone.
    pub(crate) async fn restart(self) -> Self {
        Self::open(self.dir, self.env).await
    }

    /// Kills it as a power cut would; the data stay.
    pub(crate) async fn kill(mut self) -> TempDir {
        self.child.kill().await.unwrap();
        self.dir
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
