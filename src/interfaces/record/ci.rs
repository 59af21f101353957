//! What `ci` prints.

use crate::operations::ci::collect::Collected;
use crate::operations::ci::listing::Listed;
use serde::{Deserialize, Serialize};

/// `ci list`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CornersView {
    /// Whose production they read.
    pub environment: String,
    /// In the order in which they were asked for.
    pub corners: Vec<Listed>,
}

/// `ci teardown` and `ci gc`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TakenDownView {
    /// Whose production they read.
    pub environment: String,
    /// Whether it is only said what would go.
    pub dry_run: bool,
    /// What went and what did not.
    #[serde(flatten)]
    pub collected: Collected,
}
