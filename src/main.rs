//! The `cutover` command: set-up that fails fast, then the runtime, then an exit code.

use anyhow::Context;
use cutover::foundation::failure::Class;
use cutover::inputs::settings::{Log, Settings};
use cutover::interfaces::cli::commands::Commands;
use cutover::interfaces::cli::remote::Remote;
use cutover::interfaces::cli::{logging, run_here, run_remotely};
use cutover::interfaces::client::Address;
use cutover::interfaces::console::arguments::{Arguments, Global};
use cutover::interfaces::console::{CommandError, Output};
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// The stack of each thread: a deployment is driven many calls deep, on these threads by the daemon.
/// What is not used of it costs nothing.
const STACK: usize = 16 << 20;

/// How long tasks that nobody waits for may take to end.
const LEFTOVER_TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments = Arguments::of_process(std::env::args_os());
    let output = Output::stdio(&arguments.global);
    let conducted = match &arguments.global.server {
        Some(server) => remotely(server, &arguments, &output),
        None => here(&arguments, &output),
    };
    conducted.unwrap_or_else(|error| output.error(&error))
}

fn here(arguments: &Arguments, output: &Output) -> Result<ExitCode, CommandError> {
    let commands = Commands::new(&arguments.global)?;
    let runtime = prepare(
        &commands.log(&arguments.command)?,
        &arguments.global,
        output,
    )?;
    let code = run_here(&runtime, arguments, &commands, output);
    runtime.shutdown_timeout(LEFTOVER_TIMEOUT);
    Ok(code)
}

/// The configuration is the daemon's; none is read here.
fn remotely(
    server: &Address,
    arguments: &Arguments,
    output: &Output,
) -> Result<ExitCode, CommandError> {
    let log = Settings::defaults()?.log;
    let runtime = prepare(&log, &arguments.global, output)?;
    let remote = Remote::new(server, &arguments.global)?;
    let code = run_remotely(&runtime, arguments, &remote, output);
    runtime.shutdown_timeout(LEFTOVER_TIMEOUT);
    Ok(code)
}

fn prepare(log: &Log, global: &Global, output: &Output) -> Result<Runtime, CommandError> {
    logging::start(log, global.verbose, output)?;
    Builder::new_multi_thread()
        .thread_stack_size(STACK)
        .enable_all()
        .build()
        .context("the runtime cannot be started")
        .map_err(|error| CommandError::new(Class::Transient, error))
}
