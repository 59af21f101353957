//! What each command does: opens the environment, asks the engine, prints the answer.

use super::handlers::{Answer, Ending, Handlers};
use crate::adapters::store::{Lead, Store};
use crate::domain::lifecycle::verb::Verb;
use crate::domain::records::deployment::Deployment;
use crate::inputs::settings::{Log, Override, Settings};
use crate::interfaces::console::arguments::approve::Approve;
use crate::interfaces::console::arguments::ci::{
    CiBuild, CiCommand, CiGc, CiList, CiReport, CiState, CiTeardown,
};
use crate::interfaces::console::arguments::diff::Diff;
use crate::interfaces::console::arguments::init::Init;
use crate::interfaces::console::arguments::{
    BaselineExport, BaselineForget, BaselineImport, BaselineShow, Check, Command, Compile, Deploy,
    Gc, Global, History, Hold, LiftHold, Ls, Notify, Plan, Promote, Rollback, Show, Status, Step,
    Target,
};
use crate::interfaces::console::{CommandError, Output};
use crate::operations::release::{self, Release, ReleaseError, Wanted};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;

/// `approve`
mod approve;
/// `baseline show`, `import`, `export` and `forget`
mod baseline;
/// `check`
mod check;
/// `ci`
pub(super) mod ci;
/// `compile`
mod compile;
/// `plan` and `deploy`
mod deploy;
/// `diff`
pub(super) mod diff;
/// `gc`
mod gc;
/// `hold` and `release`
mod holding;
/// `init`
mod init;
/// The daemon that leads.
mod leader;
/// `ls`
mod ls;
/// `notify`
mod notify;
/// `ci report`
pub(super) mod publish;
/// `status`, `history` and `show`
mod report;
/// `promote`, `rollback`, `abort`, `resume` and `cleanup`
mod step;

/// What the daemon logs when the configuration does not say.
const DAEMON_LEVEL: &str = "cutover=info,warn";

/// The lead of an environment, which whoever acts on it holds.
async fn lead(release: &Release, store: &Store) -> Result<Lead, ReleaseError> {
    Ok(store.lead(&release.environment).await?)
}

/// The deployment under way.
async fn active(release: &Release, store: &Store) -> Result<Option<Deployment>, ReleaseError> {
    Ok(store.active(&release.environment).await?)
}

/// The commands over real files, a real journal and a real server.
#[derive(Debug)]
pub struct Commands {
    wanted: Wanted,
    /// Also for a daemon that is found.
    global: Global,
}

impl Commands {
    /// The commands under these flags.
    ///
    /// # Errors
    /// When there is no working directory any more.
    pub fn new(global: &Global) -> Result<Self, CommandError> {
        let working_directory = std::env::current_dir().map_err(|error| {
            CommandError::new(
                crate::foundation::failure::Class::Usage,
                anyhow::Error::new(error).context("the working directory cannot be read"),
            )
        })?;
        Ok(Self {
            global: global.clone(),
            wanted: Wanted {
                config: global.config.clone(),
                overrides: overrides(global, &working_directory),
                environment: None,
                loaded: None,
                ignores_bundle: false,
                is_here: false,
                working_directory: global
                    .project_dir
                    .as_ref()
                    .map_or(working_directory.clone(), |path| {
                        working_directory.join(path)
                    }),
            },
        })
    }

    /// What the configuration says about the program's own log when this command runs.
    ///
    /// # Errors
    /// Faults of the configuration.
    pub fn log(&self, command: &Command) -> Result<Log, CommandError> {
        // A faulty configuration may be what the report tells, or what somebody seeks help with; they need none.
        if let Command::Ci(CiCommand::Report(_))
        | Command::Explain(_)
        | Command::Help(_)
        | Command::Completions(_)
        | Command::Man(_) = command
        {
            return Ok(Settings::defaults()?.log);
        }
        let loaded = release::configuration(&self.wanted)?;
        let is_set = loaded.changes().any(|(key, _)| key == "log.level");
        let mut log = loaded.settings.log;
        // Nobody sits before a daemon; its log is what it says.
        if matches!(command, Command::Serve) && !is_set {
            DAEMON_LEVEL.clone_into(&mut log.level);
        }
        Ok(log)
    }

    fn wanted(&self, target: &Target, more: Vec<Override>) -> Wanted {
        let mut wanted = self.wanted.clone();
        wanted.environment.clone_from(&target.environment);
        wanted.overrides.extend(more);
        wanted
    }

    fn open(&self, target: &Target, more: Vec<Override>) -> Result<Release, ReleaseError> {
        Release::open(&self.wanted(target, more))
    }

    /// As `open`, for whoever goes on with a deployment.
    async fn reopened(&self, target: &Target) -> Result<Release, ReleaseError> {
        Release::reopen(&self.wanted(target, Vec::new())).await
    }

    /// As `open`, with the project's repository fetched first, where it comes from one.
    async fn fetched(
        &self,
        target: &Target,
        more: Vec<Override>,
        stop: &CancellationToken,
    ) -> Result<Release, ReleaseError> {
        Release::fetch(&self.wanted(target, more), stop).await
    }
}

/// Tells what the project's files should not say; for commands whose output is one document.
fn warn(release: &Release, output: &Output) {
    for warning in release.project.warnings() {
        output.remark(&format!("warning: {warning}"));
    }
}

fn overrides(global: &Global, working_directory: &Path) -> Vec<Override> {
    let path = |path: &PathBuf| json!(working_directory.join(path));
    let text = |text: &String| json!(text);
    let flags = [
        (
            "--project-dir",
            "project.directory",
            global.project_dir.as_ref().map(path),
        ),
        (
            "--profiles-dir",
            "project.profiles_directory",
            global.profiles_dir.as_ref().map(path),
        ),
        (
            "--bundle",
            "source.bundle",
            global
                .bundle
                .as_ref()
                .map(|place| match place.contains("://") {
                    true => json!(place),
                    false => json!(working_directory.join(place)),
                }),
        ),
        (
            "--profile",
            "project.profile",
            global.profile.as_ref().map(text),
        ),
        (
            "--target",
            "project.target",
            global.target.as_ref().map(text),
        ),
        (
            "--vars",
            "project.vars",
            global.vars.as_ref().map(|vars| json!(vars.0)),
        ),
    ];
    flags
        .into_iter()
        .filter_map(|(flag, path, value)| Some(overriding(flag, path, value?)))
        .collect()
}

fn overriding(flag: &str, path: &str, value: Value) -> Override {
    Override {
        flag: flag.to_owned(),
        path: path.to_owned(),
        value,
    }
}

/// Nobody goes on with it when this process ends.
fn waits(no_wait: bool) -> Result<(), CommandError> {
    if !no_wait {
        return Ok(());
    }
    let error = anyhow::anyhow!("--no-wait needs a daemon that goes on");
    Err(
        CommandError::new(crate::foundation::failure::Class::Usage, error)
            .with_hint("name it with --server or in CUTOVER_SERVER"),
    )
}

/// Ends a command well.
fn success() -> Answer {
    Ok(Ending::Success)
}

impl Handlers for Commands {
    async fn init(&self, arguments: &Init, output: &Output, stop: &CancellationToken) -> Answer {
        init::init(self, arguments, output, stop).await
    }

    async fn plan(&self, arguments: &Plan, output: &Output, stop: &CancellationToken) -> Answer {
        deploy::plan(self, arguments, output, stop).await
    }

    async fn deploy(
        &self,
        arguments: &Deploy,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer {
        deploy::deploy(self, arguments, output, stop).await
    }

    async fn compile(
        &self,
        arguments: &Compile,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer {
        compile::compile(self, arguments, output, stop).await
    }

    async fn promote(
        &self,
        arguments: &Promote,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer {
        step::promote(self, arguments, output, stop).await
    }

    async fn hold(&self, arguments: &Hold, output: &Output, _: &CancellationToken) -> Answer {
        holding::hold(self, arguments, output).await
    }

    async fn lift_hold(
        &self,
        arguments: &LiftHold,
        output: &Output,
        _: &CancellationToken,
    ) -> Answer {
        holding::lift(self, arguments, output).await
    }

    async fn approve(
        &self,
        arguments: &Approve,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer {
        approve::run(self, arguments, output, stop).await
    }

    async fn rollback(
        &self,
        arguments: &Rollback,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer {
        step::run(self, arguments.verb(), &arguments.step, output, stop).await
    }

    async fn abort(&self, arguments: &Step, output: &Output, stop: &CancellationToken) -> Answer {
        step::run(self, Verb::Abort, arguments, output, stop).await
    }

    async fn resume(&self, arguments: &Step, output: &Output, stop: &CancellationToken) -> Answer {
        step::run(self, Verb::Resume, arguments, output, stop).await
    }

    async fn cleanup(&self, arguments: &Step, output: &Output, stop: &CancellationToken) -> Answer {
        step::run(self, Verb::Cleanup, arguments, output, stop).await
    }

    async fn status(&self, arguments: &Status, output: &Output, _: &CancellationToken) -> Answer {
        report::status(self, arguments, output).await
    }

    async fn history(&self, arguments: &History, output: &Output, _: &CancellationToken) -> Answer {
        report::history(self, arguments, output).await
    }

    async fn show(&self, arguments: &Show, output: &Output, _: &CancellationToken) -> Answer {
        report::show(self, arguments, output).await
    }

    async fn diff(&self, arguments: &Diff, output: &Output, stop: &CancellationToken) -> Answer {
        diff::diff(self, arguments, output, stop).await
    }

    async fn ls(&self, arguments: &Ls, output: &Output, stop: &CancellationToken) -> Answer {
        ls::ls(self, arguments, output, stop).await
    }

    async fn check(&self, arguments: &Check, output: &Output, stop: &CancellationToken) -> Answer {
        check::check(self, arguments, output, stop).await
    }

    async fn notify(&self, arguments: &Notify, output: &Output, _: &CancellationToken) -> Answer {
        notify::notify(self, arguments, output).await
    }

    async fn gc(&self, arguments: &Gc, output: &Output, stop: &CancellationToken) -> Answer {
        gc::gc(self, arguments, output, stop).await
    }

    async fn ci_build(
        &self,
        arguments: &CiBuild,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer {
        ci::build(self, arguments, output, stop).await
    }

    async fn ci_report(
        &self,
        arguments: &CiReport,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer {
        publish::report(arguments, output, stop).await
    }

    async fn ci_list(&self, arguments: &CiList, output: &Output, _: &CancellationToken) -> Answer {
        ci::list(self, arguments, output).await
    }

    async fn ci_teardown(
        &self,
        arguments: &CiTeardown,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer {
        ci::teardown(self, arguments, output, stop).await
    }

    async fn ci_gc(&self, arguments: &CiGc, output: &Output, stop: &CancellationToken) -> Answer {
        ci::gc(self, arguments, output, stop).await
    }

    async fn ci_state(
        &self,
        arguments: &CiState,
        output: &Output,
        _: &CancellationToken,
    ) -> Answer {
        ci::state(self, arguments, output).await
    }

    async fn serve(&self, output: &Output, stop: &CancellationToken) -> Answer {
        output.remark("serving until SIGTERM");
        crate::interfaces::serve::serve(
            release::sources(&self.wanted),
            self.wanted.clone(),
            stop.clone(),
        )
        .await?;
        success()
    }

    async fn baseline_show(
        &self,
        arguments: &BaselineShow,
        output: &Output,
        _: &CancellationToken,
    ) -> Answer {
        baseline::show(self, arguments, output).await
    }

    async fn baseline_import(
        &self,
        arguments: &BaselineImport,
        output: &Output,
        _: &CancellationToken,
    ) -> Answer {
        baseline::import(self, arguments, output).await
    }

    async fn baseline_export(
        &self,
        arguments: &BaselineExport,
        output: &Output,
        _: &CancellationToken,
    ) -> Answer {
        baseline::export(self, arguments, output).await
    }

    async fn baseline_forget(
        &self,
        arguments: &BaselineForget,
        output: &Output,
        _: &CancellationToken,
    ) -> Answer {
        baseline::forget(self, arguments, output).await
    }

    async fn config_show(&self, output: &Output, _: &CancellationToken) -> Answer {
        let loaded = release::configuration(&self.wanted)?;
        output.document(&loaded);
        success()
    }
}
