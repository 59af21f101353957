//! Commands and flags. What is wrong here ends with exit code 2 before anything is opened.

use crate::domain::lifecycle::policy::Policy;
use crate::domain::lifecycle::verb::Verb;
use crate::domain::plan::refusal::RefusalName;
use crate::foundation::span::Span;
use crate::inputs::manifest::ResourceType;
use crate::inputs::selection::{IndirectSelection, Selection};
use crate::inputs::settings::Strategy;
use crate::interfaces::client::Address;
use ci::CiCommand;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use holding::parse_reason;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use values::{parse_allow, parse_kind, parse_name, parse_span, parse_vars};

/// `approve`
pub mod approve;
/// `baseline`
mod baseline;
/// `ci`
pub mod ci;
/// `diff`
pub mod diff;
/// `help`, `explain`, `completions`, `man`
pub mod guide;
/// `hold` and `release`
mod holding;
/// `init`
pub mod init;
/// `notify`
mod notify;
/// From words to values.
mod values;

pub use holding::{Hold, LiftHold, Promote};
pub use notify::Notify;

pub use baseline::{BaselineCommand, BaselineExport, BaselineForget, BaselineImport, BaselineShow};

const AFTER_HELP: &str = "\
Examples:
  cutover init                        work out what is released, once, at the beginning
  cutover plan                        what a release would do; nothing is touched
  cutover deploy                      build aside, wait, test, swap, clean up
  cutover deploy --promotion manual   stop when the candidate is ready ...
  cutover promote                     ... and swap when you say so
  cutover rollback                    put the old side back while it is kept
  cutover status                      what is live and what happens next

In the folder of a dbt project nothing need be configured: dbt_project.yml and profiles.yml are
found as dbt finds them. Without ENV the environment is called like the dbt target.

Exit codes:
  0    done (also: nothing to do)
  1    the deployment failed; production was not changed, or the result says what is live
  2    the command line or a configuration file is wrong; nothing was attempted
  3    refused as things are: the plan, a lock, a state that does not allow it
  4    something needed does not answer (Materialize, network, store); try again or resume
  5    stuck: a person must look before anything more is touched
  130  interrupted; `cutover resume` goes on";

/// Releases dbt projects on Materialize without downtime.
///
/// A release is built beside production, waited for until it is hydrated and fresh, tested, and
/// swapped with production in one transaction. The old side is kept for a rollback and then dropped.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "cutover",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = AFTER_HELP,
    max_term_width = 100
)]
pub struct Arguments {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

impl Arguments {
    /// Reads what a process was given; ends the process where that is wrong, or asks for help.
    #[must_use]
    pub fn of_process(given: impl Iterator<Item = OsString>) -> Self {
        Self::try_of(given).unwrap_or_else(|error| error.exit())
    }

    /// The same of any words, of which the first is the program's name.
    ///
    /// # Errors
    /// What is wrong with them, or the help or version that they ask for.
    pub fn try_of(given: impl Iterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(guide::rewritten(given, &Self::command()))
    }
}

/// Flags that every command takes.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct Global {
    /// Configuration file [default: cutover.yaml in the project's folder, when there is one]
    #[arg(long, global = true, env = "CUTOVER_CONFIG", value_name = "FILE", help_heading = GLOBAL)]
    pub config: Option<PathBuf>,
    /// What is printed: text, or JSON (one document; for progress one document a line)
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM", help_heading = GLOBAL)]
    pub output: OutputFormat,
    /// No colours (also: NO_COLOR in the environment)
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub no_color: bool,
    /// Show more: notes, each node. Twice: the program's debug log; three times: its trace
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = GLOBAL)]
    pub verbose: u8,
    /// Show only the result and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = GLOBAL)]
    pub quiet: bool,
    /// Ask this daemon instead of acting here: http(s)://HOST:PORT or unix:PATH
    #[arg(long, global = true, env = "CUTOVER_SERVER", value_name = "URL", help_heading = GLOBAL)]
    pub server: Option<Address>,
    /// File with the token for --server (also: the token itself in CUTOVER_TOKEN)
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub token_file: Option<PathBuf>,
    /// Certificates that are trusted for --server beside the system's, PEM
    #[arg(long, global = true, env = "CUTOVER_CA_FILE", value_name = "FILE", help_heading = GLOBAL)]
    pub ca_file: Option<PathBuf>,
    /// Folder of dbt_project.yml
    #[arg(long, global = true, env = "DBT_PROJECT_DIR", value_name = "DIR", help_heading = DBT)]
    pub project_dir: Option<PathBuf>,
    /// Folder of profiles.yml
    #[arg(long, global = true, env = "DBT_PROFILES_DIR", value_name = "DIR", help_heading = DBT)]
    pub profiles_dir: Option<PathBuf>,
    /// Bundle that `cutover compile` made, released in the place of a project, without dbt: a folder,
    /// or s3://, gs://, az://
    #[arg(long, global = true, value_name = "PLACE", help_heading = GLOBAL)]
    pub bundle: Option<String>,
    /// Profile, when not the one that dbt_project.yml names
    #[arg(long, global = true, env = "DBT_PROFILE", value_name = "NAME", help_heading = DBT)]
    pub profile: Option<String>,
    /// Target, when not the profile's default one
    #[arg(short, long, global = true, env = "DBT_TARGET", value_name = "NAME", help_heading = DBT)]
    pub target: Option<String>,
    /// Extra dbt variables, a YAML mapping such as '{country: fr}'
    #[arg(long, global = true, value_name = "YAML", value_parser = parse_vars, help_heading = DBT)]
    pub vars: Option<Vars>,
}

const DBT: &str = "dbt";
const GLOBAL: &str = "Global options";

/// dbt variables by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vars(pub BTreeMap<String, serde_json::Value>);

/// The shape of what is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// The shape of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For a terminal.
    Text,
    /// The whole document.
    Json,
    /// For a pull request.
    Markdown,
}

/// The commands.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum Command {
    /// Propose what the project's `vars.deployment` lists, and a cutover.yaml; asks before it writes
    Init(init::Init),
    /// Show what a release would do; nothing is touched
    Plan(Plan),
    /// Release: build aside, wait, test, swap, clean up
    Deploy(Deploy),
    /// Compile the project into a bundle, which is released with --bundle where there is no dbt
    Compile(Compile),
    /// Swap the candidate that is ready with production
    Promote(Promote),
    /// Approve the candidate that is ready, where a release needs approvals
    Approve(approve::Approve),
    /// Put the old side back, while it is kept
    Rollback(Rollback),
    /// Stop a deployment before its swap and drop the candidate
    Abort(Step),
    /// Go on with a deployment that was interrupted, or that a person has looked at
    Resume(Step),
    /// Drop the old side now instead of at the end of the soak
    Cleanup(Step),
    /// Hold an environment as it is: nothing is released or swapped until it is lifted, or until its time is over
    Hold(Hold),
    /// Lift what holds an environment
    Release(LiftHold),
    /// Show what is under way, and what happens next
    Status(Status),
    /// List deployments, the latest first
    History(History),
    /// Show the record of one deployment
    Show(Show),
    /// Compare the data of both sides of the deployment under way
    Diff(diff::Diff),
    /// List the nodes that a selection means, as dbt would; with --state also why each changed
    Ls(Ls),
    /// Test everything that a deployment needs, and say what to do about each fault
    Check(Check),
    /// Send one test message to somebody who is told
    Notify(Notify),
    /// Clear up after deployments that ended: old records, artifacts and files, and what they left in
    /// Materialize
    Gc(Gc),
    /// Build what a pull request changes, in a corner of its own
    #[command(subcommand)]
    Ci(CiCommand),
    /// Run the daemon: releases on schedule, promotions by signal, an HTTP API
    ///
    /// SIGUSR1 promotes what is ready, SIGUSR2 releases now, SIGHUP reads the configuration again,
    /// SIGTERM stops at the next journalled boundary.
    Serve,
    /// Look at what is recorded as live, take over what is, or hand it to dbt
    #[command(subcommand)]
    Baseline(BaselineCommand),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Explain a refusal by its name: what it means, an example, what to do
    Explain(guide::Explain),
    /// Help on a command, or on a topic: releases, promotion, recovery, ci, configuration
    Help(guide::Help),
    /// Print what a shell needs to complete commands and flags
    Completions(guide::Completions),
    /// Write man pages into a folder
    #[command(hide = true)]
    Man(guide::Man),
}

/// The environment that a command is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Target {
    /// Environment [default: named like the dbt target]
    #[arg(value_name = "ENV", value_parser = parse_name)]
    pub environment: Option<String>,
}

/// What a plan covers and what it accepts; the same for `plan` and for `deploy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Scope {
    /// Release all of vars.deployment instead of what changed
    #[arg(long, conflicts_with_all = ["select", "exclude", "selector"])]
    pub full: bool,
    /// Which of the changes are released.
    #[command(flatten)]
    pub selection: Selecting,
    /// Go back to an earlier release, whatever the project says now: a deployment, or the revision it was made
    /// from. Afterwards nothing is released by itself until somebody releases on
    #[arg(long, value_name = "RELEASE", value_parser = parse_name, conflicts_with_all = ["select", "exclude", "selector", "test_only"])]
    pub to: Option<String>,
    /// Swap a green side in, replace one changed materialized view in place, or whichever is safe
    #[arg(long, value_enum, value_name = "HOW")]
    pub strategy: Option<Strategy>,
    /// Create production schemas and clusters that do not exist yet
    #[arg(long)]
    pub bootstrap: bool,
    /// Accept a refusal by its name; the record says so. May be given more than once
    #[arg(long, value_name = "NAME", value_parser = parse_allow)]
    pub allow: Vec<RefusalName>,
    /// Whether the plan shows the text of what changed [default: on]
    #[arg(long, value_enum, value_name = "WHETHER")]
    pub diff_text: Option<Switch>,
    /// Release nothing: run the project's tests, or those that are selected, against production
    #[arg(long, conflicts_with_all = ["full", "strategy", "bootstrap", "allow"])]
    pub test_only: bool,
}

/// Something that is on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

impl Switch {
    /// Whether it is on.
    #[must_use]
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

/// A selection in dbt's grammar.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Selecting {
    /// Begin with these nodes instead of everything that changed, in dbt's grammar; what changed
    /// besides is held back for a later release
    #[arg(short, long, value_name = "SPEC", num_args = 1.., conflicts_with = "selector")]
    pub select: Vec<String>,
    /// Leave these out of it
    #[arg(long, value_name = "SPEC", num_args = 1.., conflicts_with = "selector")]
    pub exclude: Vec<String>,
    /// Begin with a selector of selectors.yml
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub selector: Option<String>,
}

impl Selecting {
    /// The selection of tests: all of them where nothing is selected.
    #[must_use]
    pub fn of_tests(&self) -> Selection {
        Selection {
            select: self.select.clone(),
            exclude: self.exclude.clone(),
            selector: self.selector.clone(),
            indirect: IndirectSelection::default(),
        }
    }

    /// The selection, when there is one.
    #[must_use]
    pub fn selection(&self) -> Option<Selection> {
        let (select, exclude) = (self.select.clone(), self.exclude.clone());
        Selection::of_changes(select, exclude, self.selector.clone())
    }
}

/// `cutover plan`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  cutover plan --full -v
  cutover plan production --format markdown > plan.md")]
pub struct Plan {
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// What.
    #[command(flatten)]
    pub scope: Scope,
    /// Have the server's planner describe every planned node: columns that change, who reads them, errors in SQL
    #[arg(long, conflicts_with = "test_only")]
    pub describe: bool,
    /// Form of the plan [default: as --output]
    #[arg(long, value_enum, value_name = "FORM")]
    pub format: Option<PlanFormat>,
}

/// `cutover deploy`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  cutover deploy production --soak 30m
  cutover deploy --promotion manual --cleanup manual
  cutover deploy --dry-run
  cutover deploy --test-only --select state:modified   changed tests, on what is live

Interrupted (Ctrl-C, a lost connection, a killed process), a deployment goes on with
`cutover resume` or is given up with `cutover abort`.")]
pub struct Deploy {
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// What.
    #[command(flatten)]
    pub scope: Scope,
    /// Swap when ready, or wait for `cutover promote`
    #[arg(long, value_enum, value_name = "WHO", conflicts_with = "test_only")]
    pub promotion: Option<Policy>,
    /// Drop the old side after the soak, or wait for `cutover cleanup`
    #[arg(long, value_enum, value_name = "WHO", conflicts_with = "test_only")]
    pub cleanup: Option<Policy>,
    /// How long the old side is kept after the swap: 0s, 15m, 2h
    #[arg(long, value_name = "DURATION", value_parser = parse_span, conflicts_with = "test_only")]
    pub soak: Option<Span>,
    /// When it fails before the swap, keep the candidate so long for a look [default of the flag: 2h]
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "2h", value_parser = parse_span, conflicts_with = "test_only")]
    pub keep: Option<Span>,
    /// Release although the environment is, or may be by then, frozen; the reason is recorded and told
    #[arg(long, value_name = "REASON", value_parser = parse_reason, conflicts_with = "test_only")]
    pub override_freeze: Option<String>,
    /// Show what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// With --server: do not wait for the end
    #[arg(long, conflicts_with = "test_only")]
    pub no_wait: bool,
}

/// `cutover compile`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  cutover compile bundle production
  cutover plan --bundle bundle production     elsewhere, without dbt, git and the project
  cutover deploy --bundle bundle production

The same project gives the same bundle. Unit tests are not run from it: run them before it is made.")]
pub struct Compile {
    /// The folder of the bundle: one that does not exist, an empty one, or a bundle, which is replaced
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
    /// Where.
    #[command(flatten)]
    pub target: Target,
}

/// `cutover abort`, `resume` and `cleanup`, and what they have in common with `promote` and `rollback`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Step {
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// Show what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// With --server: do not wait for the end
    #[arg(long)]
    pub no_wait: bool,
}

/// `cutover rollback`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Rollback {
    /// As of the other commands that act on a deployment.
    #[command(flatten)]
    pub step: Step,
    /// Swap the old side in even where it is not ready to serve: without replicas, not hydrated, behind
    #[arg(long)]
    pub force: bool,
}

impl Rollback {
    /// What is asked.
    #[must_use]
    pub fn verb(&self) -> Verb {
        match self.force {
            true => Verb::ForceRollback,
            false => Verb::Rollback,
        }
    }
}

/// `cutover status`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Status {
    /// Environment [default: every one that has a record]
    #[arg(value_name = "ENV", value_parser = parse_name)]
    pub environment: Option<String>,
}

/// `cutover history`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct History {
    /// Environment [default: every one that has a record]
    #[arg(value_name = "ENV", value_parser = parse_name)]
    pub environment: Option<String>,
    /// List runs instead: each time the daemon set out to release, also when nothing came of it
    #[arg(long)]
    pub runs: bool,
    /// The most deployments, or runs, to list
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// `cutover gc`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Gc {
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// Say what would go; change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `cutover show`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  cutover show 0198c3f2
  cutover show 0198c3f2 --format json | jq .events")]
pub struct Show {
    /// Id of the deployment; its first characters suffice
    #[arg(value_name = "DEPLOYMENT", value_parser = parse_name)]
    pub deployment: String,
    /// Form of the record [default: as --output]
    #[arg(long, value_enum, value_name = "FORM")]
    pub format: Option<OutputFormat>,
}

/// `cutover ls`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  cutover ls --select tag:nightly,config.materialized:view
  cutover ls --select state:modified+ --state ../production/target --format json
  cutover ls --select +orders --exclude resource_type:test --manifest target/manifest.json

--select, --exclude and --resource-type take every word up to the next flag, so ENV stands before them.")]
pub struct Ls {
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// What to select, in dbt's grammar [default: everything, or the default of selectors.yml]
    #[arg(short, long, value_name = "SPEC", num_args = 1.., conflicts_with = "selector")]
    pub select: Vec<String>,
    /// What to leave out of it
    #[arg(long, value_name = "SPEC", num_args = 1.., conflicts_with = "selector")]
    pub exclude: Vec<String>,
    /// A selector of selectors.yml
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub selector: Option<String>,
    /// Which tests come with the nodes that are selected
    #[arg(long, value_enum, value_name = "MODE", default_value_t)]
    pub indirect_selection: IndirectSelection,
    /// Kinds to list, dbt's words, or `all` [default: all but analyses]
    #[arg(long, value_name = "KIND", num_args = 1.., value_parser = parse_kind)]
    pub resource_type: Vec<Kind>,
    /// What to compare with: a manifest.json, or a folder with one and with run_results.json
    #[arg(long, value_name = "PATH")]
    pub state: Option<PathBuf>,
    /// Take this manifest.json instead of letting dbt parse the project
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// What is printed of each node, one a line
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    pub format: ListFormat,
}

/// What `cutover ls` prints of each node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// Its unique id.
    #[default]
    Id,
    /// Its name: `orders`, `orders.v2`, `source.table`.
    Name,
    /// A JSON document.
    Json,
}

/// A kind of node to list, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every kind that dbt lists.
    All,
    /// Every kind that dbt lists where none is asked for.
    Default,
    /// One.
    One(ResourceType),
}

/// `cutover check`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Check {
    /// Where.
    #[command(flatten)]
    pub target: Target,
}

/// `cutover config`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Show every setting in force: defaults, file, environment and flags together
    Show,
}
