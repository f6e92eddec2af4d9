//! Log-ins as fast as the machine hashes, and whether others notice.

use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::Scale;
use crate::daemon::Daemon;
use crate::figures::Figures;
use crate::load::{Plan, Request};
use crate::seed::{PASSWORD, Seeded};

/// Requests a second of those who are logged in already.
const OTHERS: f64 = 200.0;

pub(crate) fn measure(figures: &mut Figures, server: &Daemon, seeded: &Seeded, scale: &Scale) {
    let body = format!(r#"{{"identifier":"person{{value}}","password":"{PASSWORD}"}}"#);
    let people: Vec<String> = (0..2_000).map(|number: u32| number.to_string()).collect();
    let log_ins = Plan {
        address: server.address(),
        server: server.pid(),
        connections: 16,
        warm_up: scale.warm_up,
        measure: scale.measure,
        rate: None,
        request: Request::post("/auth/login", &body, &[], &people),
    };
    let others = Plan {
        connections: 8,
        rate: Some(OTHERS),
        request: Request::get("/api/v1/users/profile", seeded.following()),
        ..log_ins.clone()
    };
    let alone = others.run();
    // In turns, and the best of each: others may use the machine now and then.
    let (mut best, mut raw, mut meanwhile) = (0.0_f64, 0.0_f64, None);
    for _ in 0..3 {
        raw = raw.max(raw_rate(scale.measure));
        let running = others.start();
        let outcome = log_ins.run();
        let noticed = running.finish();
        if outcome.per_second() > best {
            best = outcome.per_second();
            meanwhile = Some((noticed, outcome));
        }
    }
    let (meanwhile, outcome) = meanwhile.unwrap();
    figures.compare(
        "log-in (wanted: 95%)",
        "1/s",
        best,
        raw,
        format!("raw: argon2id on every core; {}", outcome.describe()),
    );
    figures.note(
        "others' p99 during log-ins (wanted: 20)",
        "ms",
        meanwhile.p99_ms,
        format!(
            "{OTHERS} requests/s; p50 {:.2} ms, longest {:.1} ms; alone p99 {:.2} ms",
            meanwhile.p50_ms, meanwhile.longest_ms, alone.p99_ms
        ),
    );
}

/// Hashes a second on as many threads as there are cores, with memory that is kept, as the server keeps it.
fn raw_rate(measure: Duration) -> f64 {
    let threads = std::thread::available_parallelism().unwrap().get();
    let started = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            std::thread::spawn(move || {
                let params = Params::new(19 * 1024, 2, 1, None).unwrap();
                let mut memory = vec![Block::default(); params.block_count()];
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let mut count = 0;
                while started.elapsed() < measure {
                    let mut output = [0; 32];
                    argon2
                        .hash_password_into_with_memory(
                            PASSWORD.as_bytes(),
                            b"sixteen bytes...",
                            &mut output,
                            &mut memory,
                        )
                        .unwrap();
                    count += 1;
                }
                count
            })
        })
        .collect();
    let count: u32 = workers
        .into_iter()
        .map(|worker| worker.join().unwrap())
        .sum();
    f64::from(count) / started.elapsed().as_secs_f64()
}
