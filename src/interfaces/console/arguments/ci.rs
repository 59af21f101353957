//! `cutover ci`

use super::values::{parse_name, parse_span};
use super::{Selecting, Target};
use crate::domain::location::repository::Reference;
use crate::foundation::span::Span;
use crate::operations::ci::name::CornerName;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `cutover ci`
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum CiCommand {
    /// Build what a pull request changes, in schemas and on a cluster of its own, and test it
    Build(CiBuild),
    /// Put the report of a build on its pull request: one comment, a status, the job's summary
    Report(CiReport),
    /// List the corners that stand, are built or wait
    List(CiList),
    /// Drop the corner of a pull request
    Teardown(CiTeardown),
    /// Drop the corners that have expired, and what killed builds left
    Gc(CiGc),
    /// Write what is live as dbt's artifacts, for `dbt build --select state:modified+ --defer --state DIR`
    State(CiState),
}

/// `cutover ci build`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  cutover ci build                      in a CI job of a pull request: its name is found
  cutover ci build --name pr-123 --base main --markdown report.md --junit report.xml
  cutover ci build --check              every model as the server sees it, in seconds; no cluster
  cutover ci build --name mine --select +orders
  cutover ci build prod --server https://cutover.example:8425 --revision refs/pull/123/merge

Everything that is not built is read from production. Nothing of production is changed.")]
pub struct CiBuild {
    /// Environment whose production is compared with and read [default: ci.against, or the only one]
    #[command(flatten)]
    pub target: Target,
    /// Name of the corner [default: as the CI platform tells it, for example pr-123]
    #[arg(long, value_name = "NAME")]
    pub name: Option<CornerName>,
    /// Stop after the server has looked at every node; nothing is built
    #[arg(long)]
    pub check: bool,
    /// Compare with this manifest.json, or the folder with one, instead of what is live
    #[arg(long, value_name = "PATH")]
    pub state: Option<PathBuf>,
    /// Build these nodes instead of everything that changed.
    #[command(flatten)]
    pub selection: Selecting,
    /// Also build what only differs because production moved on
    #[arg(long, conflicts_with_all = ["select", "selector"])]
    pub all: bool,
    /// Commit, branch or reference that a daemon fetches and builds [default: as the CI platform tells it, or the commit
    /// that is checked out]
    #[arg(long, value_name = "REF")]
    pub revision: Option<Reference>,
    /// With a daemon: do not wait for the end
    #[arg(long)]
    pub no_wait: bool,
    /// Branch or commit that the request goes to [default: as the CI platform tells it, or ci.base]
    #[arg(long, value_name = "REF", value_parser = parse_name)]
    pub base: Option<String>,
    /// Write the report as Markdown into this file
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Write the report as JSON into this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as JUnit into this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// `cutover ci report`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  cutover ci build --json report.json
  cutover ci report report.json --github

In a job of GitHub it needs GITHUB_TOKEN in the environment, with the permissions pull-requests: write and
statuses: write; in one of GitLab GITLAB_TOKEN, an access token with the scope api. With a token that may only
read, the summary is written and nothing else; the exit code is 0 then too.")]
pub struct CiReport {
    /// The report that `cutover ci build --json FILE` wrote; - reads standard input. With a daemon it may be left out
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Without FILE: the corner whose last report the daemon has [default: as the CI platform tells it]
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub name: Option<CornerName>,
    /// Without FILE: the environment of that corner [default: the only one]
    #[arg(long, value_name = "ENV", conflicts_with = "file")]
    pub environment: Option<String>,
    /// Publish to GitHub [default: the platform that the job runs on]
    #[arg(long, conflicts_with = "gitlab")]
    pub github: bool,
    /// Publish to GitLab [default: the platform that the job runs on]
    #[arg(long)]
    pub gitlab: bool,
    /// Add the report as Markdown to this file [default: of GitHub, the one in GITHUB_STEP_SUMMARY]
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
    /// Add verdict, corner and report file as NAME=VALUE to this file [default: of GitHub, the one in GITHUB_OUTPUT]
    #[arg(long, value_name = "FILE")]
    pub outputs: Option<PathBuf>,
    /// How long an API that is away, or asks to wait, is tried
    #[arg(long, value_name = "DURATION", value_parser = parse_span, default_value = "2m")]
    pub timeout: Span,
}

/// `cutover ci list`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct CiList {
    /// Where.
    #[command(flatten)]
    pub target: Target,
}

/// `cutover ci teardown`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct CiTeardown {
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// Name of the corner [default: as the CI platform tells it]
    #[arg(long, value_name = "NAME")]
    pub name: Option<CornerName>,
    /// Say what would go; change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `cutover ci gc`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct CiGc {
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// Say what would go; change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `cutover ci state`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  cutover ci state production-state
  dbt build --select state:modified+ --defer --state production-state

It is refused when something that the manifest names is not there any more, or is another: dbt would read it.")]
pub struct CiState {
    /// Folder for manifest.json and run_results.json
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// Overwrite files that are there
    #[arg(long)]
    pub force: bool,
}
