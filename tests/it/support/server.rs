//! The server in this process: the same `App` that `serve` starts, with a port and a directory of its own.

use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use socialhub::app::App;
use socialhub::clock::{Clock, Timestamp};
use socialhub::config::Config;
use socialhub::telemetry;
use tempfile::TempDir;

use super::{Client, Person, database};

/// A running server.
pub(crate) struct Server {
    pub(crate) app: App,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
    anonymous: Client,
    dir: TempDir,
}

/// What tests want otherwise than `serve`: a free port, quick password hashes, no limits.
pub(crate) fn quick_config(dir: &Path) -> Config {
    let mut config = Config {
        data_dir: dir.join("data"),
        ..Config::default()
    };
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.auth.argon2_memory_kib = 64;
    config.auth.argon2_passes = 1;
    config.limits.enabled = false;
    config.realtime.hubs = super::hubs();
    // Whoever comes and goes within a moment is told of as well.
    config.realtime.presence_ms = 0;
    config
}

impl Server {
    /// A new server with quick settings.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_config| {}).await
    }

    /// A new server with quick settings, changed further.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = quick_config(dir.path());
        change(&mut config);
        Self::open(dir, config, Clock::system()).await
    }

    /// A new server whose clock stands still until the test [advances](Self::advance) it.
    pub(crate) async fn start_with_clock(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = quick_config(dir.path());
        change(&mut config);
        Self::open(
            dir,
            config,
            Clock::manual(Timestamp::from_millis(1_800_000_000_000)),
        )
        .await
    }

    async fn open(dir: TempDir, config: Config, clock: Clock) -> Self {
        let metrics = telemetry::start_metrics().unwrap();
        let app = App::start(config.clone(), clock.clone(), metrics)
            .await
            .unwrap();
        let anonymous = Client::new(&format!("http://{}", app.address()));
        Self {
            app,
            config,
            clock,
            anonymous,
            dir,
        }
    }

    /// Stops it and starts it again over the same data.
    pub(crate) async fn restart(self) -> Self {
        self.restart_with(|_config| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn restart_with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        self.app.stop().await;
        change(&mut self.config);
        Self::open(self.dir, self.config, self.clock).await
    }

    /// Makes the first admin through the one-time link.
    pub(crate) async fn set_up(&self, username: &str) -> Person {
        self.anonymous.set_up(&self.setup_secret(), username).await
    }

    /// Stops it, takes a directory of its data away, and starts it again.
    pub(crate) async fn restart_without(self, name: &str) -> Self {
        let lost = self.app.data_dir().join(name);
        self.app.stop().await;
        std::fs::remove_dir_all(lost).unwrap();
        Self::open(self.dir, self.config, self.clock).await
    }

    /// Waits until what is committed has come through the event log to all who derive from it.
    pub(crate) async fn settle(&self) {
        assert!(
            self.app.consumers().settle(super::PATIENCE).await,
            "the consumers did not keep up"
        );
    }

    /// Waits until what is committed can be found.
    pub(crate) async fn indexed(&self) {
        assert!(
            self.app.search().settle(super::PATIENCE).await,
            "the search index did not keep up"
        );
    }

    /// Stops it, lets the test change the database by hand, and starts it again.
    pub(crate) async fn edit(self, change: impl FnOnce(&rusqlite::Connection)) -> Self {
        self.app.stop().await;
        change(&database::connect_to_write(&self.config.data_dir));
        Self::open(self.dir, self.config, self.clock).await
    }

    /// Keeps the writer from committing until the hold is dropped.
    pub(crate) fn hold_writes(&self) -> database::Hold {
        database::Hold::new(&self.config.data_dir)
    }

    /// The secret of the one-time link.
    pub(crate) fn setup_secret(&self) -> String {
        let (_, secret) = self.app.setup_link().unwrap().split_once("token=").unwrap();
        secret.to_owned()
    }

    pub(crate) async fn stop(self) {
        self.app.stop().await;
    }

    /// Moves the time, for a server with a clock by hand.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// The `.eml` files written so far: recipient and whole text.
    pub(crate) fn outbox(&self) -> Vec<(String, String)> {
        let Ok(entries) = std::fs::read_dir(self.app.data_dir().join("outbox")) else {
            return Vec::new();
        };
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "eml"))
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .map(|text| {
                let to = text
                    .lines()
                    .find_map(|line| line.strip_prefix("To: "))
                    .unwrap_or_default()
                    .to_owned();
                (to, text)
            })
            .collect()
    }

    /// The code in the one message to this address; waits for it, and takes the message away.
    pub(crate) async fn code_for(&self, email: &str) -> String {
        let dir = self.app.data_dir().join("outbox");
        super::eventually("a code by mail", || async {
            for entry in std::fs::read_dir(&dir).ok()? {
                let path = entry.ok()?.path();
                if path.extension().is_none_or(|end| end != "eml") {
                    continue;
                }
                let text = std::fs::read_to_string(&path).ok()?;
                if text.contains(&format!("To: {email}\r\n")) {
                    std::fs::remove_file(&path).ok()?;
                    let (_, body) = text.split_once("\r\n\r\n")?;
                    return body
                        .split(|c: char| !c.is_ascii_digit())
                        .find(|digits| digits.len() == 6)
                        .map(str::to_owned);
                }
            }
            None
        })
        .await
    }
}

impl Deref for Server {
    type Target = Client;
    /// Nobody in particular.
    fn deref(&self) -> &Client {
        &self.anonymous
    }
}
