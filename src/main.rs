//! The `cutover` command: set-up that fails fast, then the runtime, then an exit code.

use anyhow::Context;
use clap::Parser;
use cutover::cli::arguments::{
    Arguments, Check, Deploy, Global, History, Plan, Show, Status, Step,
};
use cutover::cli::{Answer, CommandError, Handlers, Output, logging, run};
use cutover::failure::Class;
use cutover::settings::Log;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// How long tasks that nobody waits for may take to end.
const LEFTOVER_TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let output = Output::stdio(&arguments.global);
    let (handlers, runtime) = match prepare(&arguments.global, &output) {
        Ok(prepared) => prepared,
        Err(error) => return output.error(&error),
    };
    let code = runtime.block_on(run(&arguments, &handlers, &output));
    runtime.shutdown_timeout(LEFTOVER_TIMEOUT);
    code
}

fn prepare(global: &Global, output: &Output) -> Result<(NoHandlers, Runtime), CommandError> {
    let (handlers, log) = handlers(global)?;
    logging::start(&log, global.verbose, output)?;
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")
        .map_err(|error| CommandError::new(Class::Transient, error))?;
    Ok((handlers, runtime))
}

/// The handlers over the settings that are in force, and what those say about the log.
fn handlers(_: &Global) -> Result<(NoHandlers, Log), CommandError> {
    let error = anyhow::anyhow!("this build of cutover can read a command line but not act on it");
    Err(CommandError::new(Class::Permanent, error).with_hint("use a released build"))
}

/// There are none: no value of this type exists, so no command can pretend to have run.
enum NoHandlers {}

type Stop = CancellationToken;

impl Handlers for NoHandlers {
    async fn plan(&self, _: &Plan, _: &Output, _: &Stop) -> Answer {
        match *self {}
    }
    async fn deploy(&self, _: &Deploy, _: &Output, _: &Stop) -> Answer {
        match *self {}
    }
    async fn promote(&self, _: &Step, _: &Output, _: &Stop) -> Answer {
        match *self {}
    }
    async fn rollback(&self, _: &Step, _: &Output, _: &Stop) -> Answer {
        match *self {}
    }
    async fn abort(&self, _: &Step, _: &Output, _: &Stop) -> Answer {
        match *self {}
    }
    async fn resume(&self, _: &Step, _: &Output, _: &Stop) -> Answer {
        match *self {}
    }
    async fn cleanup(&self, _: &Step, _: &Output, _: &Stop) -> Answer {
        match *self {}
    }
    async fn status(&self, _: &Status, _: &Output, _: &Stop) -> Answer {
        match *self {}
    }
    async fn history(&self, _: &History, _: &Output, _: &Stop) -> Answer {
        match *self {}
    }
    async fn show(&self, _: &Show, _: &Output, _: &Stop) -> Answer {
        match *self {}
    }
    async fn check(&self, _: &Check, _: &Output, _: &Stop) -> Answer {
        match *self {}
    }
    async fn config_show(&self, _: &Output, _: &Stop) -> Answer {
        match *self {}
    }
}
