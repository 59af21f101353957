//! The command line: what each command does, signals, exit codes.
//!
//! [`run`] parses nothing and decides nothing about deployments: it gives each command to
//! [`Handlers`] and turns the answer into an exit code. Whatever is printed goes through
//! [`Output`], so that text, JSON, quiet and broken pipes are treated in one place.

pub use handlers::{Answer, Ending, Handlers};

use crate::foundation::failure::Class;
use crate::interfaces::console::arguments::ci::CiCommand;
use crate::interfaces::console::arguments::{BaselineCommand, Command, ConfigCommand};
use crate::interfaces::console::{Arguments, CommandError, Output};
use commands::Commands;
use remote::Remote;
use std::process::ExitCode;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// What each command does.
pub mod commands;
/// Topics, refusals, completions, man pages.
mod guide;
/// What each command does, to be implemented once for real and once for tests.
pub mod handlers;
/// The program's own log.
pub mod logging;
/// The commands over a daemon.
pub mod remote;
/// SIGINT and SIGTERM.
pub mod signals;

#[cfg(test)]
mod tests;

/// Runs one command to its end and says how it ended.
///
/// The first SIGINT or SIGTERM cancels the token that the handler got; the second ends the process.
pub async fn run<H: Handlers>(arguments: &Arguments, handlers: &H, output: &Output) -> ExitCode {
    let stop = CancellationToken::new();
    if let Err(error) = signals::watch(stop.clone(), output.clone()) {
        return output.error(&error);
    }
    conclude(
        dispatch(&arguments.command, handlers, output, &stop).await,
        output,
    )
}

/// [`run`] with this machine's handlers. What is awaited in the program is compiled into the program, so both wait here:
/// nearly all of Cutover would be in the binary twice.
#[inline(never)]
pub fn run_here(
    runtime: &Runtime,
    arguments: &Arguments,
    handlers: &Commands,
    output: &Output,
) -> ExitCode {
    runtime.block_on(run(arguments, handlers, output))
}

/// The same, over a daemon.
#[inline(never)]
pub fn run_remotely(
    runtime: &Runtime,
    arguments: &Arguments,
    handlers: &Remote,
    output: &Output,
) -> ExitCode {
    runtime.block_on(run(arguments, handlers, output))
}

async fn dispatch<H: Handlers>(
    command: &Command,
    handlers: &H,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    match command {
        Command::Init(arguments) => handlers.init(arguments, output, stop).await,
        Command::Plan(arguments) => handlers.plan(arguments, output, stop).await,
        Command::Deploy(arguments) => handlers.deploy(arguments, output, stop).await,
        Command::Compile(arguments) => handlers.compile(arguments, output, stop).await,
        Command::Promote(arguments) => handlers.promote(arguments, output, stop).await,
        Command::Approve(arguments) => handlers.approve(arguments, output, stop).await,
        Command::Rollback(arguments) => handlers.rollback(arguments, output, stop).await,
        Command::Abort(arguments) => handlers.abort(arguments, output, stop).await,
        Command::Resume(arguments) => handlers.resume(arguments, output, stop).await,
        Command::Cleanup(arguments) => handlers.cleanup(arguments, output, stop).await,
        Command::Hold(arguments) => handlers.hold(arguments, output, stop).await,
        Command::Release(arguments) => handlers.lift_hold(arguments, output, stop).await,
        Command::Status(arguments) => handlers.status(arguments, output, stop).await,
        Command::History(arguments) => handlers.history(arguments, output, stop).await,
        Command::Show(arguments) => handlers.show(arguments, output, stop).await,
        Command::Diff(arguments) => handlers.diff(arguments, output, stop).await,
        Command::Ls(arguments) => handlers.ls(arguments, output, stop).await,
        Command::Check(arguments) => handlers.check(arguments, output, stop).await,
        Command::Notify(arguments) => handlers.notify(arguments, output, stop).await,
        Command::Gc(arguments) => handlers.gc(arguments, output, stop).await,
        Command::Ci(CiCommand::Build(arguments)) => {
            handlers.ci_build(arguments, output, stop).await
        }
        Command::Ci(CiCommand::Report(arguments)) => {
            handlers.ci_report(arguments, output, stop).await
        }
        Command::Ci(CiCommand::List(arguments)) => handlers.ci_list(arguments, output, stop).await,
        Command::Ci(CiCommand::Teardown(arguments)) => {
            handlers.ci_teardown(arguments, output, stop).await
        }
        Command::Ci(CiCommand::Gc(arguments)) => handlers.ci_gc(arguments, output, stop).await,
        Command::Ci(CiCommand::State(arguments)) => {
            handlers.ci_state(arguments, output, stop).await
        }
        Command::Serve => handlers.serve(output, stop).await,
        Command::Baseline(BaselineCommand::Show(arguments)) => {
            handlers.baseline_show(arguments, output, stop).await
        }
        Command::Baseline(BaselineCommand::Import(arguments)) => {
            handlers.baseline_import(arguments, output, stop).await
        }
        Command::Baseline(BaselineCommand::Export(arguments)) => {
            handlers.baseline_export(arguments, output, stop).await
        }
        Command::Baseline(BaselineCommand::Forget(arguments)) => {
            handlers.baseline_forget(arguments, output, stop).await
        }
        Command::Config(ConfigCommand::Show) => handlers.config_show(output, stop).await,
        Command::Explain(arguments) => guide::explain(arguments, output),
        Command::Help(arguments) => guide::help(arguments, output),
        Command::Completions(arguments) => guide::completions(arguments, output),
        Command::Man(arguments) => guide::man(arguments, output),
    }
}

fn conclude(answer: Answer, output: &Output) -> ExitCode {
    match answer {
        Err(error) => output.error(&error),
        Ok(ending) => match (ending, output.lost_result()) {
            (Ending::Reported(class), _) => ExitCode::from(class),
            (Ending::Success, None) => ExitCode::SUCCESS,
            (Ending::Success, Some(lost)) => output.error(&CommandError::new(
                Class::Transient,
                anyhow::Error::new(lost).context("the result could not be written"),
            )),
        },
    }
}
