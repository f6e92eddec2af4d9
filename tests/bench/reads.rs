//! What only reads: a token, a list, a thread.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use socialhub::page::Cursor;

use crate::daemon::Daemon;
use crate::figures::Figures;
use crate::load::{Outcome, Plan, Request};
use crate::seed::{self, COMMENTS, DEEP_POST, FLAT_POST, Seeded};
use crate::{Scale, plain};

/// Connections of those who read.
const READERS: usize = 32;

/// Ours and the raw limit are measured in turns, so that a slow moment of the machine does not fall on one of them; the
/// best of each counts.
const TURNS: usize = 3;

pub(crate) fn measure(figures: &mut Figures, server: &Daemon, seeded: &Seeded, scale: &Scale) {
    let plan = |(address, server): (SocketAddr, u32), path: &str, tokens: &[String]| Plan {
        address,
        server,
        connections: READERS,
        warm_up: scale.warm_up,
        measure: scale.measure,
        rate: None,
        request: Request::get(path, tokens),
    };
    let all = seeded.following();
    let empty = EmptyRoute::start();
    let (ours, theirs) = (
        (server.address(), server.pid()),
        (empty.address, empty.child.id()),
    );
    compare(
        figures,
        "token verify (wanted: 50,000 or 70%)",
        "an empty axum route",
        || plan(ours, "/auth/verify-user", all).run(),
        || plan(theirs, "/", all).run().per_second(),
    );
    let theirs = plan(theirs, "/", all).run();
    figures.note(
        "empty axum route",
        "1/s",
        theirs.per_second(),
        theirs.describe(),
    );
    for (name, tokens, limit) in [
        ("following list of one (wanted: 15,000)", &all[..1], 20),
        ("following list of any of 1,000", all, 20),
        ("following list of any, page of 100", all, 100),
    ] {
        let path = format!("/api/v1/users/following?limit={limit}");
        let people = i64::try_from(tokens.len()).unwrap();
        compare(
            figures,
            name,
            "its SQL on every core",
            || plan(ours, &path, tokens).run(),
            || plain::following_lists(seeded, scale, people, limit),
        );
    }
}

fn compare(
    figures: &mut Figures,
    name: &str,
    limit: &str,
    ours: impl Fn() -> Outcome,
    raw: impl Fn() -> f64,
) {
    let (mut best, mut best_raw) = (ours(), raw());
    for _ in 1..TURNS {
        let outcome = ours();
        if outcome.per_second() > best.per_second() {
            best = outcome;
        }
        best_raw = best_raw.max(raw());
    }
    let note = format!("raw: {limit}; {}", best.describe());
    figures.compare(name, "1/s", best.per_second(), best_raw, note);
}

/// What a page of a thread of 10,000 comments costs, wherever it is.
pub(crate) fn measure_thread(
    figures: &mut Figures,
    server: &Daemon,
    seeded: &Seeded,
    scale: &Scale,
) {
    let at = |number: i64| Cursor::id(seed::flat_comment(number)).encode();
    let flat = format!("/api/v1/posts/{FLAT_POST}/comments?sort=oldest&limit=20");
    let deep = format!("/api/v1/posts/{DEEP_POST}/comments");
    for (name, path) in [
        ("thread of 10,000: first page", flat.clone()),
        (
            "thread of 10,000: page in the middle",
            format!("{flat}&cursor={}", at(COMMENTS / 2)),
        ),
        (
            "thread of 10,000: last page",
            format!("{flat}&cursor={}", at(COMMENTS - 21)),
        ),
        ("thread 10,000 deep: nested", deep),
    ] {
        let outcome = Plan {
            address: server.address(),
            server: server.pid(),
            connections: 1,
            warm_up: scale.warm_up / 2,
            measure: scale.measure / 2,
            rate: None,
            request: Request::get(&path, seeded.following()),
        }
        .run();
        figures.note(name, "ms", outcome.p50_ms, outcome.describe());
    }
}

/// The least that axum can do, in a process of its own.
struct EmptyRoute {
    child: Child,
    address: SocketAddr,
}

impl EmptyRoute {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--role", "empty-route"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().parse().unwrap();
        Self { child, address }
    }
}

impl Drop for EmptyRoute {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

pub(crate) fn serve_empty_route() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/", axum::routing::get(|| async {}));
        axum::serve(listener, router).await.unwrap();
    });
}
