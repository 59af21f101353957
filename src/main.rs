//! The `cutover` command: set-up that fails fast, then the runtime, then an exit code.

use anyhow::Context;
use clap::Parser;
use cutover::cli::arguments::{Arguments, Global};
use cutover::cli::commands::Commands;
use cutover::cli::{CommandError, Output, logging, run};
use cutover::failure::Class;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How long tasks that nobody waits for may take to end.
const LEFTOVER_TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::stdio(&arguments.global);
    let (commands, runtime) = match prepare(&arguments.global, &output) {
        Ok(prepared) => prepared,
        Err(error) => return output.error(&error),
    };
    let code = runtime.block_on(run(&arguments, &commands, &output));
    runtime.shutdown_timeout(LEFTOVER_TIMEOUT);
    code
}

fn prepare(global: &Global, output: &Output) -> Result<(Commands, Runtime), CommandError> {
    let commands = Commands::new(global)?;
    logging::start(&commands.log()?, global.verbose, output)?;
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")
        .map_err(|error| CommandError::new(Class::Transient, error))?;
    Ok((commands, runtime))
}
