//! Whether a process may act.

use serde::{Deserialize, Serialize};

/// Whether this process may act on an environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The journal has not been opened yet, or does not answer.
    #[default]
    Starting,
    /// It leads.
    Leader,
    /// Another process leads.
    Standby,
}
