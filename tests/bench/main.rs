//! `cargo bench`: what this machine gets out of SocialHub, beside what it could get at most.
//!
//! Each figure stands beside a raw limit that is measured in the same run: an empty axum route, plain argon2, plain SQLite
//! with the same statements and batches; the sockets stand beside Node.js. The server is the release binary in a process of
//! its own; load comes from this binary, started a second time ([`load`], [`sockets::crowd`]). The table goes to standard output, the figures as JSON to cargo's directory
//! for temporary files. Nothing here asserts a time.
//!
//!     cargo bench                        everything, some minutes
//!     cargo bench -- --quick             shorter, for trying
//!     cargo bench -- --only login,start  some parts
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "a tool for those who work on the server: it prints, it may fail loudly, and it measures real time"
)]

mod community;
mod daemon;
mod events;
mod feed;
mod figures;
mod load;
mod login;
mod pictures;
mod plain;
mod process;
mod reads;
mod search;
mod seed;
mod sockets;
mod uploads;
mod writes;

use std::time::Duration;

use community::Size;
use figures::Figures;

/// How long and how much.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    /// One measurement.
    pub(crate) measure: Duration,
    /// Before it, without counting.
    pub(crate) warm_up: Duration,
    /// Follows in the seeded database.
    pub(crate) follows: u32,
    /// Events through the log.
    pub(crate) events: u32,
    /// The made community.
    pub(crate) community: Size,
}

const FULL: Scale = Scale {
    measure: Duration::from_secs(5),
    warm_up: Duration::from_secs(1),
    follows: 1_000_000,
    events: 200_000,
    community: Size::WHOLE,
};

const QUICK: Scale = Scale {
    measure: Duration::from_secs(1),
    warm_up: Duration::from_millis(300),
    follows: 100_000,
    events: 20_000,
    community: Size::WHOLE.part(10),
};

/// The parts, by the name that `--only` takes.
const PARTS: [&str; 10] = [
    "start", "reads", "writes", "login", "thread", "sockets", "events", "pictures", "feed",
    "search",
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = args.iter().position(|arg| arg == "--role") {
        match args[role + 1].as_str() {
            "load" => load::generate(),
            "crowd" => sockets::crowd::generate(),
            "empty-route" => reads::serve_empty_route(),
            role => panic!("no role {role}"),
        }
        return;
    }
    let scale = if args.iter().any(|arg| arg == "--quick") {
        QUICK
    } else {
        FULL
    };
    let only = args.iter().position(|arg| arg == "--only");
    let wanted: Vec<&str> = only.map_or(PARTS.to_vec(), |at| args[at + 1].split(',').collect());
    for part in &wanted {
        assert!(
            PARTS.contains(part),
            "no part `{part}`; there are {PARTS:?}"
        );
    }
    let mut figures = Figures::new();
    if wanted.contains(&"start") {
        process::measure_empty(&mut figures);
    }
    if wanted
        .iter()
        .any(|part| !["start", "events", "pictures", "feed", "search"].contains(part))
    {
        let seeded = seed::Seeded::new(&scale);
        let mut server = daemon::Daemon::start(seeded.data_dir());
        server.wait_until_ready();
        if wanted.contains(&"start") {
            // Before anything has happened in it.
            server.stop();
            process::measure_seeded(&mut figures, &seeded);
            server = daemon::Daemon::start(seeded.data_dir());
        }
        if wanted.contains(&"reads") {
            reads::measure(&mut figures, &server, &seeded, &scale);
        }
        if wanted.contains(&"thread") {
            reads::measure_thread(&mut figures, &server, &seeded, &scale);
        }
        if wanted.contains(&"login") {
            login::measure(&mut figures, &server, &seeded, &scale);
        }
        if wanted.contains(&"writes") {
            server = writes::measure(&mut figures, server, &seeded, &scale);
        }
        server.stop();
        if wanted.contains(&"sockets") {
            sockets::measure(&mut figures, &seeded, &scale);
        }
    }
    if wanted.contains(&"events") {
        events::measure(&mut figures, &scale);
    }
    if wanted.contains(&"pictures") {
        pictures::measure(&mut figures, &scale);
    }
    if wanted.contains(&"feed") {
        feed::measure(&mut figures, &scale);
    }
    if wanted.contains(&"search") {
        search::measure(&mut figures, &scale);
    }
    figures.print();
    figures.write();
}
