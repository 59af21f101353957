//! What `gc` prints.

use crate::operations::collect::{Collected, Left};
use serde::Serialize;

/// `gc`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GcView {
    /// Where.
    pub environment: String,
    /// Whether it is only said what would go.
    pub dry_run: bool,
    /// Records, artifacts and working files that went.
    #[serde(flatten)]
    pub collected: Collected,
    /// What ended deployments left in Materialize.
    #[serde(flatten)]
    pub left: Left,
}
