//! The command line.

mod health;
mod serve;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, ConfigError, Loaded, Sources};

/// A whole social network in one daemon.
#[derive(Parser)]
#[command(name = "socialhub", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(Common),
    /// Ask a running server whether it is ready; exit 0 if so
    Health(Common),
}

/// What says which server is meant.
#[derive(Args)]
struct Common {
    #[arg(
        long,
        value_name = "FILE",
        help = "The configuration file [env: SOCIALHUB_CONFIG] [default: /etc/socialhub/socialhub.toml if it is there]"
    )]
    config: Option<PathBuf>,
    #[arg(
        long,
        value_name = "DIR",
        help = "The directory of all data [env: SOCIALHUB_DATA_DIR] [default: ./data]"
    )]
    data_dir: Option<PathBuf>,
    #[arg(
        long,
        value_name = "ADDR",
        help = "The address to listen on [env: SOCIALHUB_LISTEN] [default: 127.0.0.1:8080]"
    )]
    listen: Option<String>,
}

impl Common {
    fn load(self) -> Result<Loaded, ConfigError> {
        config::load(&Sources {
            file: self.config,
            // A variable that is not text is none of ours.
            env: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            data_dir: self.data_dir,
            listen: self.listen,
        })
    }
}

/// Does what the command line says.
#[expect(clippy::print_stderr, reason = "the command line speaks to its person")]
pub fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(common) => common.load().map_err(Into::into).and_then(serve::run),
        Command::Health(common) => common
            .load()
            .map_err(Into::into)
            .and_then(|loaded| health::run(&loaded.config)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("socialhub: {error:#}");
            ExitCode::FAILURE
        }
    }
}
