//! What writes, durably: a follow, a like, a post of text.

use crate::Scale;
use crate::daemon::Daemon;
use crate::figures::Figures;
use crate::load::{Plan, Request};
use crate::plain::{self, Write};
use crate::seed::{self, PEOPLE, POSTS, Seeded};

/// Connections of those who write: each waits for its commit, so many make large batches.
const WRITERS: usize = 256;

/// Gives back a server in the place of the one that it stops to measure plain SQLite on the same database.
pub(crate) fn measure(
    figures: &mut Figures,
    server: Daemon,
    seeded: &Seeded,
    scale: &Scale,
) -> Daemon {
    let half = |first: i64, make: fn(i64) -> i64| -> Vec<String> {
        (first..first + PEOPLE / 2)
            .map(|number| make(number).to_string())
            .collect()
    };
    let targets = half(0, seed::person);
    let posts: Vec<String> = (0..POSTS)
        .map(|number| seed::post(number).to_string())
        .collect();
    let writers = seeded.newcomers();
    let text = r#"{"content":"Post number {number}, of the usual length of a post that somebody writes."}"#;
    let rows = [
        (
            "follow, durable (wanted: 8,000 or 50%)",
            Write::Follow,
            Request::post("/users/follow/{value}", "{}", writers, &targets),
        ),
        (
            "like, durable (wanted: 8,000 or 50%)",
            Write::Like,
            Request::post("/posts/like/{value}", "{}", writers, &posts),
        ),
        (
            "text post, durable (wanted: 8,000 or 50%)",
            Write::Post,
            Request::post("/posts", text, writers, &[]),
        ),
    ];
    let ours = rows.map(|(name, write, request)| {
        let plan = Plan {
            address: server.address(),
            server: server.pid(),
            connections: WRITERS,
            warm_up: scale.warm_up,
            measure: scale.measure,
            rate: None,
            request,
        };
        let (outcome, batch) = server.with_batch_size(|| plan.run());
        (name, write, outcome, batch)
    });
    server.stop();
    for (name, write, outcome, batch) in ours {
        let raw = plain::writes(seeded, scale, write, batch);
        figures.compare(
            name,
            "1/s",
            outcome.per_second(),
            raw,
            format!(
                "raw: its SQL, {batch:.0} to a commit; {}",
                outcome.describe()
            ),
        );
    }
    Daemon::start(seeded.data_dir())
}
