//! `init`

use super::values::parse_name;
use clap::Args;
use std::path::PathBuf;

/// `cutover init`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  cutover init                shows what it would write, and asks
  cutover init --print        shows it and writes nothing
  cutover init --yes          writes without asking

It looks at the project (by dbt, or at the manifest that dbt left), at the profile and, if it answers, at the server.
Without a terminal and without --yes nothing is written.")]
pub struct Init {
    /// Folder of the dbt project [default: as --project-dir]
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Environment; without configured environments it is the dbt target of that name
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub environment: Option<String>,
    /// Write without asking
    #[arg(long, conflicts_with = "print")]
    pub yes: bool,
    /// Show what would be written, and write nothing
    #[arg(long)]
    pub print: bool,
}
