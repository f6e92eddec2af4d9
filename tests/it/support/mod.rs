//! What the tests share: the server in this process ([`Server`]) or in its own ([`Daemon`]), and people who use it.
#![expect(
    clippy::unwrap_used,
    reason = "a fixture that fails should fail loudly"
)]

pub(crate) mod bucket;
mod client;
mod daemon;
pub(crate) mod database;
pub(crate) mod dice;
pub(crate) mod events;
pub(crate) mod gate;
pub(crate) mod pictures;
pub(crate) mod provider;
mod raw;
pub(crate) mod script;
mod server;
pub(crate) mod smtp;
pub(crate) mod socket;
mod tokens;
pub(crate) mod told;
pub(crate) mod xml;

pub(crate) use client::{Client, PASSWORD, Person, Reply, http_client, ids, keys};
pub(crate) use daemon::{Daemon, command};
pub(crate) use raw::raw;
pub(crate) use server::Server;
pub(crate) use tokens::{claims_of, sign, unsigned};

use std::future::Future;
use std::time::{Duration, Instant};

/// By how many hubs the sockets are served: one, or as many as `SOCIALHUB_TESTS_HUBS` says.
pub(crate) fn hubs() -> u32 {
    std::env::var("SOCIALHUB_TESTS_HUBS").map_or(1, |text| text.parse().unwrap())
}

/// How long a test waits for what should happen soon.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again until the answer is `Some`; fails loudly when it never is.
pub(crate) async fn eventually<T, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
