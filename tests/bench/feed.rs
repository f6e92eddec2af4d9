//! What people read at home, in a made community: for who read before and for who comes for the first time, at a tenth of
//! the size and at the whole.

use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use socialhub::app;
use socialhub::config;
use socialhub::store::Store;

use crate::community::{Community, FAMOUS, MANY, READERS, Size};
use crate::daemon::Daemon;
use crate::figures::Figures;
use crate::load::{Outcome, Plan, Request};
use crate::seed;
use crate::{Scale, plain};

/// The same community each time.
const SEED: u64 = 20_261_123;
/// Connections where it is about how much can be done.
const CONNECTIONS: usize = 32;

pub(crate) fn measure(figures: &mut Figures, scale: &Scale) {
    for size in [scale.community.part(10), scale.community] {
        measure_in(figures, scale, size);
    }
}

/// Writes a community into this directory; the tokens of those who follow many, and of the one whom everybody follows.
pub(crate) fn settle(data: &Path, size: Size) -> (Community, Vec<String>, String) {
    let started = Instant::now();
    std::fs::create_dir(data).unwrap();
    let (store, _) = Store::open(data, &config::Store::default(), app::registry()).unwrap();
    store.close();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let community = Community::new(size, SEED, i64::try_from(now.as_millis()).unwrap());
    let mut connection = seed::connect(data);
    community.write(&mut connection);
    let token = |number: u32| {
        let id = community.person(number);
        let name: String = connection
            .query_row("SELECT username FROM users WHERE id = ?1", [id], |row| {
                row.get(0)
            })
            .unwrap();
        seed::token(id, &name)
    };
    let readers = (1..=READERS).map(token).collect();
    let famous = token(FAMOUS);
    eprintln!(
        "{} people, {} posts, {} follows in {:.0} s",
        size.people,
        size.posts,
        size.follows,
        started.elapsed().as_secs_f64()
    );
    (community, readers, famous)
}

fn measure_in(figures: &mut Figures, scale: &Scale, size: Size) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (community, readers, famous) = settle(&data, size);
    let name = |what: &str| format!("feed, {} posts: {what}", size.posts);
    let few = MANY.min(size.people / 4);

    // Nobody's timeline is kept: each look merges those of all whom they follow.
    let cold = Daemon::start_with(&data, &[("SOCIALHUB_FEED__TIMELINES_KIB", "0")]);
    cold.wait_until_ready();
    cold.wait_until_indexed(size.posts + size.comments + size.people);
    let outcome = one_by_one(&cold, scale, "/api/v1/feed", &readers);
    figures.note(
        &name(&format!("cold, follows {few} (wanted: below 5 ms)")),
        "ms",
        outcome.p50_ms,
        outcome.describe(),
    );
    let middle = socialhub::page::Cursor::id(community.post(size.posts / 2)).encode();
    let path = format!("/api/v1/feed?cursor={middle}");
    let outcome = one_by_one(&cold, scale, &path, &readers);
    figures.note(
        &name("cold, half way down"),
        "ms",
        outcome.p50_ms,
        outcome.describe(),
    );
    cold.stop();

    let warm = Daemon::start(&data);
    warm.wait_until_ready();
    let outcome = one_by_one(&warm, scale, "/api/v1/feed", &readers);
    figures.note(&name("warm"), "ms", outcome.p50_ms, outcome.describe());
    let ranked = "/api/v1/feed?order=ranked";
    let outcome = one_by_one(&warm, scale, ranked, &readers);
    figures.note(&name("ranked"), "ms", outcome.p50_ms, outcome.describe());
    let outcome = Plan {
        connections: CONNECTIONS,
        ..plan(&warm, scale, Request::get(ranked, &readers))
    }
    .run();
    figures.note(
        &name("ranked, all at once"),
        "1/s",
        outcome.per_second(),
        outcome.describe(),
    );
    for (what, path) in [
        ("suggestions", "/api/v1/suggestions"),
        ("directory", "/api/v1/directory"),
        ("tray of stories", "/api/v1/stories"),
    ] {
        let outcome = one_by_one(&warm, scale, path, &readers);
        let what = name(&format!("{what}, follows {few}"));
        figures.note(&what, "ms", outcome.p50_ms, outcome.describe());
    }
    let ours = Plan {
        connections: CONNECTIONS,
        ..plan(&warm, scale, Request::get("/api/v1/feed", &readers))
    }
    .run();
    let ids: Vec<i64> = (0..size.posts)
        .rev()
        .map(|number| community.post(number))
        .collect();
    let raw = plain::pages_of_posts(&data, scale, &ids);
    figures.compare(
        &name("warm, all at once"),
        "1/s",
        ours.per_second(),
        raw,
        format!(
            "raw: the SQL of twenty posts on every core; {}",
            ours.describe()
        ),
    );

    // One whom everybody follows, and one whom few follow.
    let text = r#"{"content":"Post number {number}, of the usual length of a post that somebody writes."}"#;
    let of_many = one_by_one_of(&warm, scale, Request::post("/posts", text, &[famous], &[]));
    let of_few = one_by_one_of(&warm, scale, Request::post("/posts", text, &readers, &[]));
    figures.compare(
        &name("post by one whom all follow"),
        "ms",
        of_many.p50_ms,
        of_few.p50_ms,
        format!("raw: by one whom few follow; {}", of_many.describe()),
    );
    let memory = warm.resident_mib();
    figures.note(&name("memory afterwards"), "MiB", memory, "");
    warm.stop();
}

fn plan(server: &Daemon, scale: &Scale, request: Request) -> Plan {
    Plan {
        address: server.address(),
        server: server.pid(),
        connections: 1,
        warm_up: scale.warm_up,
        measure: scale.measure,
        rate: None,
        request,
    }
}

fn one_by_one(server: &Daemon, scale: &Scale, path: &str, tokens: &[String]) -> Outcome {
    one_by_one_of(server, scale, Request::get(path, tokens))
}

fn one_by_one_of(server: &Daemon, scale: &Scale, request: Request) -> Outcome {
    plan(server, scale, request).run()
}
