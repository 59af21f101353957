//! The arguments of `cutover approve`.

use super::Target;
use clap::Args;

/// `cutover approve`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Approve {
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// The deployment that is meant, or how its id begins; another one that is ready is not approved
    #[arg(long, value_name = "ID")]
    pub deployment: Option<String>,
    /// Show what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
}
