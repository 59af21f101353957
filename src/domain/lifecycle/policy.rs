//! Who decides.

use serde::{Deserialize, Serialize};

/// Whether a step happens by itself or waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// As soon as it may.
    Automatic,
    /// When somebody says so.
    Manual,
}
