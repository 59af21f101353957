//! `hold`, `release`, and what overrides a freeze.

use super::{Step, Target};
use clap::Args;

/// `cutover hold`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  cutover hold production --reason \"incident 4711\"
  cutover hold production --until 2h --reason \"the warehouse is migrated\"
  cutover hold production --until 2026-12-24T16:00:00Z --reason audit

Nothing is stopped that leads back or to an end: rollback, abort, resume and cleanup.")]
pub struct Hold {
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// Why; whoever is stopped by it is told
    #[arg(long, value_name = "REASON", value_parser = parse_reason)]
    pub reason: String,
    /// When it ends by itself: a duration such as 2h, or a moment such as 2026-12-24T16:00:00Z
    #[arg(long, value_name = "TIME|DURATION")]
    pub until: Option<String>,
    /// Show what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `cutover release`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct LiftHold {
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// Show what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `cutover promote`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Promote {
    /// As of the other commands that act on a deployment.
    #[command(flatten)]
    pub step: Step,
    /// Swap although the environment is frozen; the reason is recorded and told. A hold stops it all the same
    #[arg(long, value_name = "REASON", value_parser = parse_reason)]
    pub override_freeze: Option<String>,
}

/// A reason that says something.
pub(super) fn parse_reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("the reason is empty".to_owned()),
        text => Ok(text.to_owned()),
    }
}
