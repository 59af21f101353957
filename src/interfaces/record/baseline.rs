//! What `baseline show`, `import`, `export` and `forget` print.

use crate::adapters::artifacts::document::{Metadata, Pointer, Reason};
use crate::adapters::artifacts::drift::Drift;
use jiff::Timestamp;
use serde::Serialize;
use std::path::PathBuf;

/// A pointer of the baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PointerView {
    /// Its number.
    pub generation: u64,
    /// What it made live; `None` when nothing of ours.
    pub deployment: Option<String>,
    /// What was live before.
    pub previous: Option<String>,
    /// Why it moved.
    pub reason: Reason,
    /// When it moved.
    pub at: Timestamp,
}

impl From<Pointer> for PointerView {
    fn from(pointer: Pointer) -> Self {
        Self {
            generation: pointer.generation,
            deployment: pointer.deployment,
            previous: pointer.previous,
            reason: pointer.reason,
            at: pointer.at,
        }
    }
}

/// `baseline show`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BaselineView {
    /// The dbt project.
    pub project: String,
    /// The environment.
    pub environment: String,
    /// Where it is kept.
    pub store: String,
    /// What is live; `None` when nothing of ours.
    pub live: Option<BaselineLive>,
    /// The last pointers, the latest first.
    pub history: Vec<PointerView>,
}

/// What is live.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BaselineLive {
    /// What was recorded.
    pub metadata: Metadata,
    /// The nodes of its manifest.
    pub nodes: usize,
    /// The run results that are kept with it; `None` without such a file.
    pub results: Option<usize>,
    /// What is not as recorded; `None` when the server could not be asked.
    pub drift: Option<Vec<Drift>>,
    /// Why the server could not be asked.
    pub drift_unknown: Option<String>,
}

/// `baseline import`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportView {
    /// The pointer that names it.
    pub pointer: PointerView,
    /// The nodes of its manifest.
    pub nodes: usize,
    /// What was recorded.
    pub metadata: Metadata,
}

/// `baseline export`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportView {
    /// The deployment that is live.
    pub deployment: String,
    /// The files that were written.
    pub files: Vec<PathBuf>,
}

/// `baseline forget`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForgetView {
    /// The dbt project.
    pub project: String,
    /// The environment that is given up.
    pub environment: String,
    /// Where what was live stays kept.
    pub store: String,
    /// The pointer that says so.
    pub pointer: PointerView,
}
