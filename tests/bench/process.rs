//! The process itself: how soon it answers, and what it takes while nothing happens.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::figures::Figures;
use crate::seed::Seeded;

/// How often it is started; the middle one counts.
const STARTS: usize = 5;

/// Long enough that what was needed to start has been given back.
const IDLE: Duration = Duration::from_secs(10);

pub(crate) fn measure_empty(figures: &mut Figures) {
    let dirs: Vec<_> = (0..STARTS).map(|_| tempfile::tempdir().unwrap()).collect();
    measure(
        figures,
        "empty directory",
        &dirs.iter().map(TempDir::path).collect::<Vec<_>>(),
    );
}

pub(crate) fn measure_seeded(figures: &mut Figures, seeded: &Seeded) {
    measure(figures, "seeded database", &[seeded.data_dir(); STARTS]);
}

fn measure(figures: &mut Figures, what: &str, dirs: &[&Path]) {
    let (mut first, mut ready) = (Vec::new(), Vec::new());
    for (number, dir) in dirs.iter().enumerate() {
        let (daemon, [live, all]) = Daemon::start_timed(dir, ["/livez", "/readyz"]);
        first.push(live.as_secs_f64() * 1000.0);
        ready.push(all.as_secs_f64() * 1000.0);
        if number + 1 == dirs.len() {
            let at_start = daemon.resident_mib();
            std::thread::sleep(IDLE);
            figures.note(
                &format!("memory when idle, {what}"),
                "MiB",
                daemon.resident_mib(),
                format!("{at_start:.1} just after the start"),
            );
        }
        daemon.stop();
    }
    figures.note(
        &format!("first 200 after start, {what}"),
        "ms",
        middle(first),
        format!("all parts ready after {:.0} ms", middle(ready)),
    );
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
