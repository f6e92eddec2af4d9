//! The sockets, beside Node.js with `socket.io` in the same run, which does the same but keeps nothing and asks nobody who
//! they are: what a connection takes, how much is delivered, how soon, and how much is stored.
//!
//! * `crowd`: the many who are connected, in a process of their own;
//! * `wire`: their connections;
//! * `node`: the server beside ours.

pub(crate) mod crowd;
mod node;
mod wire;

use std::time::Duration;

use crate::Scale;
use crate::daemon::Daemon;
use crate::figures::Figures;
use crate::plain::{self, Write};
use crate::seed::Seeded;
use crowd::{Memory, Outcome, Plan, Work};
use node::Installed;

/// Those who do nothing, and the rooms that they sit in.
const IDLE: usize = 10_000;
const IDLE_ROOMS: usize = 100;

/// Those in the room that is flooded, and the messages that are on their way to all of them.
const FLOODED: usize = 500;
const WINDOW: u64 = 64;

/// Those in the room where the pace is set, and the pace: messages a second.
const PACED: usize = 1_000;
const PACE: f64 = 20.0;

/// Those who have messages stored, their rooms, and what each of them has on its way.
const SENDERS: usize = 512;
const SENDERS_ROOMS: usize = 128;
const EACH: u64 = 2;

const MIB: f64 = 1024.0 * 1024.0;

pub(crate) fn measure(figures: &mut Figures, seeded: &Seeded, scale: &Scale) {
    let node = Installed::prepare();
    let both = |connections, rooms, settle, work| {
        let mut plan = Plan {
            address: ([127, 0, 0, 1], 0).into(),
            server: 0,
            tokens: seeded.tokens().to_vec(),
            connections,
            rooms,
            settle,
            work,
        };
        let ours = start(seeded);
        (plan.address, plan.server) = (ours.address(), ours.pid());
        let outcome = plan.run();
        ours.stop();
        let beside = node.as_ref().map(|node| {
            let server = node.start();
            (plan.address, plan.server) = (server.address, server.pid());
            plan.tokens.clear();
            plan.run()
        });
        (outcome, beside)
    };
    memory(
        figures,
        both(IDLE, IDLE_ROOMS, Duration::from_secs(3), Work::Nothing),
    );
    let flood = Work::Flood {
        window: WINDOW,
        warm_up: scale.warm_up,
        measure: scale.measure,
    };
    deliveries(figures, both(FLOODED, 1, Duration::ZERO, flood));
    let pace = Work::Pace {
        rate: PACE,
        measure: scale.measure,
    };
    delays(figures, both(PACED, 1, Duration::ZERO, pace));
    stored(figures, seeded, scale);
}

fn start(seeded: &Seeded) -> Daemon {
    // No more than a process may usually have, so that it has nothing to warn of.
    let settings = [("SOCIALHUB_SERVER__MAX_CONNECTIONS", "12000")];
    let server = Daemon::start_with(seeded.data_dir(), &settings);
    server.wait_until_ready();
    server
}

/// A row, with Node.js beside where there is one.
fn row(
    figures: &mut Figures,
    name: &str,
    unit: &'static str,
    both: (f64, Option<f64>),
    note: &str,
) {
    match both.1 {
        Some(node) => figures.compare(name, unit, both.0, node, format!("raw: socket.io; {note}")),
        None => figures.note(name, unit, both.0, note),
    }
}

fn memory(figures: &mut Figures, (ours, node): (Outcome, Option<Outcome>)) {
    let total = |outcome: &Outcome| outcome.memory[2].resident / MIB;
    let anonymous = ours.memory[2].anonymous / MIB;
    row(
        figures,
        "memory, 10,000 sockets in rooms (wanted: 250)",
        "MiB",
        (total(&ours), node.as_ref().map(total)),
        &format!("{anonymous:.0} of ours in no file"),
    );
    for (name, place) in [
        ("memory a socket, idle (wanted: 100%)", 1),
        ("memory a socket, in a room (wanted: 100%)", 2),
    ] {
        let each = |outcome: &Outcome, of: fn(&Memory) -> f64| {
            (of(&outcome.memory[place]) - of(&outcome.memory[0])) / IDLE as f64
        };
        let resident = |outcome: &Outcome| each(outcome, |memory| memory.resident);
        let anonymous = |outcome: &Outcome| each(outcome, |memory| memory.anonymous);
        let beside = node
            .as_ref()
            .map(|node| format!(", Node {:.0}", anonymous(node)))
            .unwrap_or_default();
        row(
            figures,
            name,
            "bytes",
            (resident(&ours), node.as_ref().map(resident)),
            &format!("in no file: ours {:.0}{beside}", anonymous(&ours)),
        );
    }
}

fn deliveries(figures: &mut Figures, (ours, node): (Outcome, Option<Outcome>)) {
    let per_second = |outcome: &Outcome| outcome.delivered as f64 / outcome.seconds;
    let per_cpu = |outcome: &Outcome| outcome.delivered as f64 / outcome.server_cpu;
    let share = |outcome: &Outcome| outcome.crowd_cpu / outcome.seconds;
    row(
        figures,
        "deliveries, 500 in a room",
        "1/s",
        (per_second(&ours), node.as_ref().map(per_second)),
        &format!(
            "ours stored durably; the crowd took {:.2} of a core{}",
            share(&ours),
            node.as_ref()
                .map(|node| format!(", with Node {:.2}", share(node)))
                .unwrap_or_default()
        ),
    );
    row(
        figures,
        "deliveries a CPU second (wanted: 300%)",
        "1/s",
        (per_cpu(&ours), node.as_ref().map(per_cpu)),
        "of the server's process, with the kernel's part in it",
    );
}

fn delays(figures: &mut Figures, (ours, node): (Outcome, Option<Outcome>)) {
    let note = format!("{PACE:.0} messages a second, {} deliveries", ours.delivered);
    for (part, of) in [
        ("p50", (|one| one.p50_ms) as fn(&Outcome) -> f64),
        ("p99", |one| one.p99_ms),
    ] {
        let name = format!("send to delivery {part}, 1,000 in a room");
        row(
            figures,
            &name,
            "ms",
            (of(&ours), node.as_ref().map(of)),
            &note,
        );
    }
}

/// All that was acknowledged has to be in the database.
fn stored(figures: &mut Figures, seeded: &Seeded, scale: &Scale) {
    let server = start(seeded);
    let before = plain::messages(seeded);
    let plan = Plan {
        address: server.address(),
        server: server.pid(),
        tokens: seeded.tokens().to_vec(),
        connections: SENDERS,
        rooms: SENDERS_ROOMS,
        settle: Duration::ZERO,
        work: Work::Ask {
            each: EACH,
            warm_up: scale.warm_up,
            measure: scale.measure,
        },
    };
    let (outcome, batch) = server.with_batch_size(|| plan.run());
    server.stop();
    let after = plain::messages(seeded);
    assert_eq!(after.count - before.count, outcome.all_acknowledged);
    assert_eq!(after.ids ^ before.ids, outcome.ids);
    let raw = plain::writes(seeded, scale, Write::Message, batch);
    figures.compare(
        "messages sent and stored (wanted: 10,000)",
        "1/s",
        outcome.acknowledged as f64 / outcome.seconds,
        raw,
        format!(
            "raw: its SQL, {batch:.0} to a commit; cpu {:.1} us; {} acknowledged, all there",
            outcome.server_cpu * 1e6 / outcome.acknowledged as f64,
            outcome.all_acknowledged
        ),
    );
}
