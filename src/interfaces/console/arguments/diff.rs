//! Arguments of `cutover diff`.

use super::{PlanFormat, Target};
use crate::domain::checks::Relation;
use clap::Args;

/// `cutover diff`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  cutover diff                                   all relations of the deployment under way
  cutover diff production --relation marts.totals --samples 5
  cutover diff --recorded --format markdown      what is on record; nothing is asked of Materialize
  cutover diff production --server URL           what a daemon has on record

Before the swap green is compared with production, during the soak what serves with the old side. It
runs on the cluster that does not serve. What is on record of the same objects is not asked again.")]
pub struct Diff {
    /// Where.
    #[command(flatten)]
    pub target: Target,
    /// Only this relation, as production calls it (marts.totals); may be given several times
    #[arg(long = "relation", value_name = "SCHEMA.NAME", value_parser = parse_relation)]
    pub relations: Vec<Relation>,
    /// Compare again what is on record
    #[arg(long, conflicts_with = "recorded")]
    pub again: bool,
    /// Show so many rows of each kind that differ, masked columns left out [default: diff.samples]
    #[arg(long, value_name = "N", conflicts_with = "recorded")]
    pub samples: Option<u32>,
    /// Show what is on record and compare nothing
    #[arg(long)]
    pub recorded: bool,
    /// Form of the result [default: as --output]
    #[arg(long, value_enum, value_name = "FORM")]
    pub format: Option<PlanFormat>,
}

fn parse_relation(text: &str) -> Result<Relation, String> {
    text.parse()
}
