//! Arguments of `cutover baseline`.

use super::Target;
use super::values::parse_name;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `cutover baseline`
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum BaselineCommand {
    /// Show what is live, what was live before, and what is not as it was recorded
    Show(BaselineShow),
    /// Take over a project that was deployed without Cutover
    Import(BaselineImport),
    /// Write what is live as dbt's files, for `dbt --state DIR`
    Export(BaselineExport),
    /// Say that an environment is given up: nothing of it is live any more
    Forget(BaselineForget),
}

/// `cutover baseline show`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct BaselineShow {
    /// Where.
    #[command(flatten)]
    pub target: Target,
}

/// `cutover baseline import`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  git checkout RELEASED && dbt parse --target production
  cutover baseline import production --manifest target/manifest.json
  cutover baseline import live --from production   the environment production is called live now")]
pub struct BaselineImport {
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// The manifest.json that describes what is live
    #[arg(long, value_name = "FILE", required_unless_present = "from")]
    pub manifest: Option<PathBuf>,
    /// The run_results.json of the run that built it
    #[arg(long, value_name = "FILE", requires = "manifest")]
    pub run_results: Option<PathBuf>,
    /// Instead of a manifest: take over what another environment of the project has live, as after
    /// it was renamed; that one has nothing live then
    #[arg(long, value_name = "ENV", value_parser = parse_name, conflicts_with = "manifest")]
    pub from: Option<String>,
    /// Put it in the place of the baseline that there is
    #[arg(long)]
    pub replace: bool,
    /// Show what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `cutover baseline forget`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Nothing is touched in Materialize, and the files of what was live stay in the artifact store.

Examples:
  cutover baseline forget staging production   asked where production is released
  cutover baseline forget prod --of sales      of another project in the same store")]
pub struct BaselineForget {
    /// The environment that is given up; it need not be configured any more
    #[arg(value_name = "NAME", value_parser = parse_name)]
    pub name: String,
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// The dbt project that it belongs to [default: this one]
    #[arg(long, value_name = "PROJECT", value_parser = parse_name)]
    pub of: Option<String>,
    /// Show what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `cutover baseline export`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  cutover baseline export state production
  dbt ls --select state:modified --state state")]
pub struct BaselineExport {
    /// The folder for manifest.json, run_results.json and metadata.json
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// Overwrite files that are there
    #[arg(long)]
    pub force: bool,
}
