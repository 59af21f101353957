//! `dbt deps`, `parse`, `build` and `test` for one run.
//!
//! Each invocation has a folder `<run>/<name>` with `target/`, `logs/` and `output.log`; artifacts of an
//! earlier attempt are removed before it starts, so that none is taken for its result. Flags say
//! what matters even where dbt's default agrees, because a project's `flags:` may not.

use crate::adapters::dbt::error::BuildError;
use crate::adapters::dbt::folder::{create, remove, remove_folder};
use crate::adapters::dbt::inline;
use crate::adapters::dbt::log::{LogReader, introspected, is_connection_failure};
use crate::adapters::dbt::profiles::PrivateProfile;
use crate::adapters::dbt::program::Dbt;
use crate::domain::progress::Reporter;
use crate::foundation::process::environment::Variables;
use crate::foundation::process::{Guest, ProcessError};
use crate::inputs::manifest::Node;
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The invocations of a run; each has a folder of its name in the run's folder.
const NAMES: [&str; 10] = [
    "deps",
    "parse",
    "parse-green",
    "clusters",
    "clusters-green",
    "compile",
    "compile-beside",
    "hooks",
    "build",
    "test",
];

/// The record of a running dbt, for [`orphan::reap`](crate::foundation::process::orphan::reap).
fn record(run_dir: &Path, name: &str) -> PathBuf {
    run_dir.join(format!("guest-{name}.json"))
}

/// Where a run's folder may have records of dbt processes that run, or ran when Cutover was killed.
pub fn records(run_dir: &Path) -> impl Iterator<Item = PathBuf> {
    NAMES.into_iter().map(|name| record(run_dir, name))
}

/// The most that arguments and environment may take, in bytes. Linux allows a quarter of the stack's
/// limit (2 MiB of the usual 8); Python starts with what is left.
const COMMAND_LINE_LIMIT: usize = 1_500_000;
/// The most that Linux takes as one argument.
const ARGUMENT_LIMIT: usize = (128 << 10) - 1;

/// How an invocation ended that dbt carried through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// 0, or 1 when nodes failed.
    pub exit_code: i32,
    /// The folder of the artifacts.
    pub target_dir: PathBuf,
    /// `manifest.json`; absent after `deps`.
    pub manifest: Option<PathBuf>,
    /// `run_results.json`; absent after `deps`, `parse` and a run that had nothing to do.
    pub run_results: Option<PathBuf>,
    /// dbt's error messages, in their order.
    pub errors: Vec<String>,
    /// The last of dbt's messages.
    pub tail: String,
}

/// What is compiled, and how.
#[derive(Debug, Clone, Default)]
pub struct Compilation {
    /// What is selected.
    pub selectors: Vec<String>,
    /// What of it is left out.
    pub excluded: Vec<String>,
    /// Whether nodes may ask the server while they are compiled.
    pub may_ask: bool,
}

/// Everything that the invocations of one run share.
#[derive(Debug, Clone)]
pub struct Invoker {
    /// The executable.
    pub dbt: Dbt,
    /// The folder with `dbt_project.yml`.
    pub project_dir: PathBuf,
    /// The folder with `profiles.yml`.
    pub profiles_dir: PathBuf,
    /// The profile's name, where it is not the project's.
    pub profile: Option<String>,
    /// The target's name, where it is not the profile's default.
    pub target: Option<String>,
    /// The user's variables.
    pub vars: Map<String, Value>,
    /// The run's folder.
    pub run_dir: PathBuf,
    /// What dbt sees of the environment, see [`environment::allowed`](crate::foundation::process::environment::allowed).
    pub environment: Variables,
    /// Threads, where they are not the profile's.
    pub threads: Option<u16>,
    /// Deadline of `deps` and `parse`.
    pub command_timeout: Duration,
    /// Deadline of `build` and `test`.
    pub build_timeout: Duration,
    /// Time between SIGTERM and SIGKILL.
    pub stop_timeout: Duration,
    /// Stops whatever runs.
    pub cancel: CancellationToken,
    /// Ends whatever runs in a hurry.
    pub hurry: CancellationToken,
    /// Where progress goes.
    pub reporter: Reporter,
}

/// One command line in the making.
struct Order {
    command: &'static str,
    /// The folder in the run's folder.
    name: &'static str,
    arguments: Vec<OsString>,
    extra: Variables,
    deadline: Duration,
    selected: usize,
}

impl Order {
    fn push(&mut self, arguments: impl IntoIterator<Item = impl Into<OsString>>) {
        self.arguments.extend(arguments.into_iter().map(Into::into));
    }
}

impl Invoker {
    /// Installs the project's packages into the project's folder, as dbt does.
    ///
    /// # Errors
    /// When dbt does not succeed.
    pub async fn deps(&self) -> Result<Invocation, BuildError> {
        let mut order = self.order("deps", "deps", false, None)?;
        order.deadline = self.command_timeout;
        self.run(order).await
    }

    /// Writes the manifest: of production's names, or with `deploy: true` of green's.
    ///
    /// # Errors
    /// When dbt does not succeed or writes no manifest.
    pub async fn parse(&self, deploy: bool) -> Result<Invocation, BuildError> {
        let name = if deploy { "parse-green" } else { "parse" };
        let mut order = self.order("parse", name, deploy, None)?;
        order.deadline = self.command_timeout;
        self.run(order).await
    }

    /// Asks dbt what becomes of names of clusters, with `deploy: true` or without. The answer is in the only
    /// result's SQL: see [`inline::ask_for_clusters`].
    ///
    /// # Errors
    /// When dbt, or a macro that it calls, does not succeed.
    pub async fn cluster_names<'a>(
        &self,
        given: impl IntoIterator<Item = &'a str>,
        deploy: bool,
    ) -> Result<Invocation, BuildError> {
        let (name, parse) = if deploy {
            ("clusters-green", "parse-green")
        } else {
            ("clusters", "parse")
        };
        let mut order = self.order("compile", name, deploy, None)?;
        order.deadline = self.command_timeout;
        self.reuse_parse(&mut order, parse);
        order.push(["--no-populate-cache", "--inline"]);
        order.push([inline::ask_for_clusters(given)]);
        self.is_short_enough(&order)?;
        self.run(order).await
    }

    /// Compiles the selected nodes to SQL that reads production. Nothing is made on the server. dbt stops at
    /// the first node that does not compile.
    ///
    /// # Errors
    /// When dbt does not succeed; [`BuildError::Introspected`] names a node that asks the server although it
    /// may not.
    pub async fn compile(&self, compilation: &Compilation) -> Result<Invocation, BuildError> {
        let mut order = self.order("compile", "compile", false, None)?;
        self.reuse_parse(&mut order, "parse");
        self.selected_for_compiling(&mut order, compilation)?;
        self.run(order).await
    }

    /// Asks dbt what the hooks of some nodes render to, without a question to the server. The answer is in the
    /// only result's SQL: see [`inline::ask_for_hooks`].
    ///
    /// # Errors
    /// When dbt, or a macro that a hook calls, does not succeed.
    pub async fn render_hooks(&self, nodes: &[&Node]) -> Result<Invocation, BuildError> {
        let mut order = self.order("compile", "hooks", false, None)?;
        order.deadline = self.command_timeout;
        self.reuse_parse(&mut order, "parse");
        order.push(["--no-populate-cache", "--no-introspect", "--inline"]);
        order.push([inline::ask_for_hooks(nodes)]);
        self.is_short_enough(&order)?;
        self.run(order).await
    }

    /// As [`Invoker::parse`] without `deploy: true`, and compiles the selected nodes in the same process.
    ///
    /// # Errors
    /// As [`Invoker::compile`].
    pub async fn parse_and_compile(
        &self,
        compilation: &Compilation,
    ) -> Result<Invocation, BuildError> {
        let mut order = self.order("compile", "parse", false, None)?;
        self.selected_for_compiling(&mut order, compilation)?;
        self.run(order).await
    }

    /// Compiles the selected nodes in a process that parses the project for itself, beside the one of
    /// [`Invoker::parse_and_compile`] or [`Invoker::parse`]. It writes no artifacts, which takes longer than
    /// compiling a few nodes: each node's SQL is in the folder [`Invocation::target_dir`]`/compiled` alone.
    ///
    /// # Errors
    /// As [`Invoker::compile`].
    pub async fn compile_beside(
        &self,
        compilation: &Compilation,
    ) -> Result<Invocation, BuildError> {
        let mut order = self.order("compile", "compile-beside", false, None)?;
        // What an earlier attempt wrote is not an answer of this one.
        let compiled = self.run_dir.join(order.name).join("target/compiled");
        remove_folder(&compiled)?;
        self.selected_for_compiling(&mut order, compilation)?;
        order.push(["--no-write-json"]);
        self.run(order).await
    }

    fn selected_for_compiling(
        &self,
        order: &mut Order,
        compilation: &Compilation,
    ) -> Result<(), BuildError> {
        // What is there already does not matter to SQL, and costs a question for each schema.
        order.push(["--no-populate-cache"]);
        if !compilation.may_ask {
            order.push(["--no-introspect"]);
        }
        if !compilation.excluded.is_empty() {
            order.push(["--exclude"]);
            order.push(&compilation.excluded);
        }
        self.select(order, &compilation.selectors)
    }

    /// Runs the selected tests on production, except that whatever `defer_state` names differently is
    /// read as that says.
    ///
    /// # Errors
    /// When dbt does not carry it through. Failed tests are not an error: see the exit code.
    pub async fn test_in_place(
        &self,
        selectors: &[String],
        defer_state: &Path,
    ) -> Result<Invocation, BuildError> {
        let mut order = self.order("test", "test", false, None)?;
        self.reuse_parse(&mut order, "parse");
        order.push(["--defer", "--favor-state", "--defer-state"]);
        order.push([defer_state]);
        order.push(["--no-fail-fast"]);
        self.select(&mut order, selectors)?;
        self.run(order).await
    }

    /// Runs the selected tests on production as the project has it. Failures are stored nowhere, as far
    /// as no test's own configuration says so.
    ///
    /// # Errors
    /// When dbt does not carry it through. Failed tests are not an error: see the exit code.
    pub async fn test_production(&self, selectors: &[String]) -> Result<Invocation, BuildError> {
        let mut order = self.order("test", "test", false, None)?;
        self.reuse_parse(&mut order, "parse");
        // There is no flag against it. dbt takes the first of the two names, and either before the
        // project's own flags.
        for name in ["DBT_ENGINE_STORE_FAILURES", "DBT_STORE_FAILURES"] {
            order.extra.insert(name.into(), "false".into());
        }
        order.push(["--no-fail-fast"]);
        self.select(&mut order, selectors)?;
        self.run(order).await
    }

    /// Builds the selected nodes in green, without any test; whatever is not selected is read from
    /// production as `defer_state` (the folder of the plain manifest) describes it.
    ///
    /// # Errors
    /// When dbt does not carry it through. Failed nodes are not an error: see the exit code.
    pub async fn build_nodes(
        &self,
        selectors: &[String],
        defer_state: &Path,
    ) -> Result<Invocation, BuildError> {
        self.run(self.build_order(selectors, defer_state)?).await
    }

    /// Makes sure that the command lines which build these nodes and run these tests are short enough,
    /// before anything is made.
    ///
    /// # Errors
    /// [`BuildError::TooLong`].
    pub fn fits(&self, nodes: &[String], tests: &[String]) -> Result<(), BuildError> {
        let defer_state = self.run_dir.join("parse").join("target");
        if !nodes.is_empty() {
            self.build_order(nodes, &defer_state)?;
        }
        if !tests.is_empty() {
            self.test_order(tests, &defer_state, None)?;
        }
        Ok(())
    }

    fn build_order(&self, selectors: &[String], defer_state: &Path) -> Result<Order, BuildError> {
        let mut order = self.order("build", "build", true, None)?;
        order.push(["--defer", "--favor-state", "--defer-state"]);
        order.push([defer_state]);
        self.reuse_parse(&mut order, "parse-green");
        order.push(["--no-fail-fast", "--exclude-resource-types"]);
        order.push(["test", "unit_test", "saved_query", "exposure"]);
        self.select(&mut order, selectors)?;
        Ok(order)
    }

    /// Runs the selected tests against green where it exists and production elsewhere, on the cluster of
    /// `profile`. No `--favor-state`: see [`crate::adapters::dbt`].
    ///
    /// # Errors
    /// When dbt does not carry it through. Failed tests are not an error: see the exit code.
    pub async fn test_nodes(
        &self,
        selectors: &[String],
        defer_state: &Path,
        profile: Option<&PrivateProfile>,
    ) -> Result<Invocation, BuildError> {
        let order = self.test_order(selectors, defer_state, profile)?;
        self.run(order).await
    }

    fn test_order(
        &self,
        selectors: &[String],
        defer_state: &Path,
        profile: Option<&PrivateProfile>,
    ) -> Result<Order, BuildError> {
        let mut order = self.order("test", "test", true, profile)?;
        if profile.is_none() {
            self.reuse_parse(&mut order, "parse-green");
        }
        order.push(["--defer", "--no-favor-state", "--defer-state"]);
        order.push([defer_state]);
        order.push(["--no-fail-fast"]);
        self.select(&mut order, selectors)?;
        Ok(order)
    }

    fn order(
        &self,
        command: &'static str,
        name: &'static str,
        deploy: bool,
        profile: Option<&PrivateProfile>,
    ) -> Result<Order, BuildError> {
        let folder = self.run_dir.join(name);
        let mut order = Order {
            command,
            name,
            arguments: vec![command.into()],
            extra: profile.map_or_else(Variables::new, |profile| profile.variables().clone()),
            deadline: self.build_timeout,
            selected: 0,
        };
        order.push([
            OsString::from("--project-dir"),
            self.project_dir.clone().into(),
        ]);
        let profiles_dir = profile.map_or(self.profiles_dir.as_path(), PrivateProfile::directory);
        order.push([OsString::from("--profiles-dir"), profiles_dir.into()]);
        for (flag, value) in [("--profile", &self.profile), ("--target", &self.target)] {
            if let Some(value) = value {
                order.push([flag, value]);
            }
        }
        order.push([OsString::from("--log-path"), folder.join("logs").into()]);
        order.push(["--log-format", "json", "--log-level", "info", "--no-quiet"]);
        order.push([
            "--no-use-colors",
            "--no-send-anonymous-usage-stats",
            "--write-json",
        ]);
        let mut vars = self.vars.clone();
        if deploy {
            vars.insert("deploy".to_owned(), Value::Bool(true));
        }
        if !vars.is_empty() {
            order.push(["--vars".to_owned(), Value::Object(vars).to_string()]);
        }
        if command != "deps" {
            order.push([
                OsString::from("--target-path"),
                folder.join("target").into(),
            ]);
            if let Some(threads) = self.threads {
                order.push(["--threads".to_owned(), threads.to_string()]);
            }
        }
        Ok(order)
    }

    /// What a parse left saves dbt a full parse of the same project under the same variables and
    /// profile; dbt itself decides whether it may be used.
    fn reuse_parse(&self, order: &mut Order, parse: &str) {
        let saved = self
            .run_dir
            .join(parse)
            .join("target/partial_parse.msgpack");
        if saved.is_file() {
            order.push([
                OsString::from("--partial-parse-file-path"),
                saved.into_os_string(),
            ]);
        }
    }

    fn select(&self, order: &mut Order, selectors: &[String]) -> Result<(), BuildError> {
        if selectors.is_empty() {
            return Err(BuildError::NothingSelected {
                command: order.command,
            });
        }
        // Tests come only when they are named.
        order.push(["--indirect-selection", "empty", "--select"]);
        order.push(selectors);
        order.selected = selectors.len();
        self.is_short_enough(order)
    }

    fn is_short_enough(&self, order: &Order) -> Result<(), BuildError> {
        let size = |text: &OsString| text.len() + 1 + size_of::<usize>();
        let variables = self.environment.iter().chain(&order.extra);
        let bytes = order.arguments.iter().map(size).sum::<usize>()
            + variables
                .map(|(name, value)| size(name) + size(value))
                .sum::<usize>();
        let longest = order.arguments.iter().map(|text| text.len()).max();
        if bytes > COMMAND_LINE_LIMIT || longest > Some(ARGUMENT_LIMIT) {
            return Err(too_long(order, bytes));
        }
        Ok(())
    }

    async fn run(&self, order: Order) -> Result<Invocation, BuildError> {
        let program = self.dbt.executable()?.to_owned();
        let folder = self.run_dir.join(order.name);
        let target_dir = folder.join("target");
        create(&target_dir)?;
        let artifact = |name| target_dir.join(name);
        for name in ["manifest.json", "run_results.json"] {
            remove(&artifact(name))?;
        }
        let mut environment = self.environment.clone();
        environment.extend([
            // dbt writes UTF-8 and at once, whatever the locale.
            ("PYTHONUTF8".into(), "1".into()),
            ("PYTHONUNBUFFERED".into(), "1".into()),
            ("DO_NOT_TRACK".into(), "1".into()),
        ]);
        environment.extend(order.extra.clone());
        let guest = Guest {
            program,
            arguments: order.arguments.clone(),
            directory: self.project_dir.clone(),
            environment,
            deadline: order.deadline,
            stop_timeout: self.stop_timeout,
            hurry: Some(self.hurry.clone()),
            log: Some(folder.join("output.log")),
            record: Some(record(&self.run_dir, order.name)),
        };
        let mut log = LogReader::new(self.reporter.clone());
        let finished = guest
            .run(&self.cancel, &mut |_, line| log.line(line))
            .await
            .map_err(|error| explain(error, &log, &order))?;
        let present = |name| Some(artifact(name)).filter(|path| path.is_file());
        let invocation = Invocation {
            exit_code: finished.code,
            manifest: present("manifest.json"),
            run_results: present("run_results.json"),
            errors: log.errors().to_vec(),
            tail: log.tail(),
            target_dir: target_dir.clone(),
        };
        self.judge(&order, invocation, &log)
    }

    fn judge(
        &self,
        order: &Order,
        invocation: Invocation,
        log: &LogReader,
    ) -> Result<Invocation, BuildError> {
        let command = order.command;
        let runs_nodes = order.selected > 0;
        let carried_through = match invocation.exit_code {
            0 => true,
            // Nodes failed; without results dbt never came to the nodes.
            1 => runs_nodes && invocation.run_results.is_some(),
            _ => false,
        };
        if !carried_through {
            let message = log.explanation();
            return Err(if let Some(file) = introspected(&message) {
                BuildError::Introspected { command, file }
            } else if is_connection_failure(&message) {
                BuildError::Connection { command, message }
            } else {
                BuildError::Failed {
                    command,
                    code: invocation.exit_code,
                    message,
                }
            });
        }
        if command == "parse" && invocation.manifest.is_none() {
            return Err(BuildError::Artifact {
                command,
                path: invocation.target_dir.join("manifest.json"),
            });
        }
        Ok(invocation)
    }
}

/// Puts dbt's words in place of its raw JSON lines, and names a command line that was too long after all.
fn explain(error: ProcessError, log: &LogReader, order: &Order) -> BuildError {
    match error {
        ProcessError::Start { source, .. }
            if source.kind() == io::ErrorKind::ArgumentListTooLong =>
        {
            too_long(
                order,
                order.arguments.iter().map(|text| text.len() + 1).sum(),
            )
        }
        ProcessError::Deadline {
            program, deadline, ..
        } => BuildError::Process(ProcessError::Deadline {
            program,
            deadline,
            tail: log.tail(),
        }),
        ProcessError::Signalled {
            program, signal, ..
        } => BuildError::Process(ProcessError::Signalled {
            program,
            signal,
            tail: log.tail(),
        }),
        error @ (ProcessError::Start { .. }
        | ProcessError::Cancelled { .. }
        | ProcessError::Wait { .. }
        | ProcessError::Record(_)) => BuildError::Process(error),
    }
}

fn too_long(order: &Order, bytes: usize) -> BuildError {
    BuildError::TooLong {
        nodes: order.selected,
        bytes,
        limit: COMMAND_LINE_LIMIT,
    }
}

#[cfg(test)]
mod tests;
