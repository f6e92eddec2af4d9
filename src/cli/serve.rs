//! `socialhub serve`.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

use crate::app::App;
use crate::clock::Clock;
use crate::config::Loaded;
use crate::gateway::serve::raise_descriptors;
use crate::telemetry;

/// How long the runtime waits for its threads at the end.
const RUNTIME_PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn run(Loaded { config, warnings }: Loaded) -> Result<()> {
    telemetry::start_logging(&config.log)?;
    for warning in warnings {
        warn!("{warning}");
    }
    raise_descriptors();
    let metrics = telemetry::start_metrics()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("worker")
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(async {
        // Before the start, so that a signal during it is not lost.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let app = App::start(config, Clock::system(), metrics).await?;
        greet(&app);
        tokio::select! {
            _ = terminate.recv() => info!("Stopping, as SIGTERM asks"),
            _ = interrupt.recv() => info!("Stopping, as SIGINT asks"),
        }
        app.stop().await;
        Ok(())
    });
    // Everything is closed: blocking work that is still under way has nobody left to tell.
    runtime.shutdown_timeout(RUNTIME_PATIENCE);
    outcome
}

/// What the person who started it needs to know, on standard output; the link's secret stays out of the log.
#[expect(clippy::print_stdout, reason = "the command line speaks to its person")]
fn greet(app: &App) {
    info!(address = %app.address(), "Listening on {}", app.address());
    println!("SocialHub {}", env!("CARGO_PKG_VERSION"));
    println!("  data       {}", app.data_dir().display());
    if let Some(link) = app.setup_link() {
        println!("  first admin (this link works once):");
        println!("             {link}");
    }
    // Last, because who starts it from a script waits for this line.
    println!("  listening  http://{}", app.address());
}
