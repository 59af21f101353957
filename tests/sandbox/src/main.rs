//! The `mz-sandbox` binary: starts a sandbox, says where it listens, and waits for a signal.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use mz_sandbox::{Costs, Options, Sandbox};
use tokio::signal::unix::{SignalKind, signal};

/// A stand-in for Materialize.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// TCP port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Writes the connection URL to this file once the sandbox is up.
    #[arg(long)]
    url_file: Option<PathBuf>,
    /// What the start-up parameter `mz_version` announces.
    #[arg(long)]
    announce_version: Option<String>,
    /// A role that must give a password, as ROLE=PASSWORD.
    #[arg(long = "password", value_name = "ROLE=PASSWORD", value_parser = role_and_password)]
    passwords: Vec<(String, String)>,
    /// Answers as slowly as a real server, times this factor (1 is an optimised server).
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    costs: Option<f64>,
    /// With --costs: objects hydrate at once all the same.
    #[arg(long, requires = "costs")]
    quick_hydration: bool,
}

fn factor(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|factor: &f64| factor.is_finite() && *factor > 0.0)
        .ok_or_else(|| "expected a number above 0".to_owned())
}

fn role_and_password(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(r, p)| (r.to_owned(), p.to_owned()))
        .ok_or_else(|| "expected ROLE=PASSWORD".to_owned())
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, cause = ?error.source(), "the sandbox did not run");
            let _ = writeln!(std::io::stderr(), "mz-sandbox: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn start(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut options = Options {
        port: arguments.port,
        passwords: arguments.passwords.into_iter().collect::<BTreeMap<_, _>>(),
        costs: arguments.costs.map(|factor| Costs {
            factor,
            readiness: !arguments.quick_hydration,
        }),
        ..Options::default()
    };
    if let Some(version) = arguments.announce_version {
        options.announce_version = version;
    }
    let sandbox = Sandbox::start(options).await?;
    if let Some(path) = arguments.url_file {
        std::fs::write(path, sandbox.url())?;
    }
    writeln!(std::io::stdout(), "mz-sandbox ready {}", sandbox.url())?;
    std::io::stdout().flush()?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    sandbox.stop().await;
    Ok(())
}
