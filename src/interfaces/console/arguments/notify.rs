//! `notify`

use super::Target;
use super::values::parse_name;
use clap::Args;

/// `cutover notify`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  cutover notify --test oncall
  cutover notify production --test pager")]
pub struct Notify {
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// Name of the webhook or notification that gets one message, which says that it is a test
    #[arg(long, value_name = "NAME", required = true, value_parser = parse_name)]
    pub test: String,
}
