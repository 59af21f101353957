//! What everything that was compiled is a function of, as a plan records it.

use crate::foundation::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The common inputs of one compilation, by kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// Every macro: the project's, its packages', dbt's. All of them, since one may be handed over as a value.
    pub macros: Digest,
    /// Variables.
    pub variables: Digest,
    /// The names of the environment variables that the code reads; `*` when a name is computed.
    pub environment_read: BTreeSet<String>,
    /// Their values.
    pub environment: Digest,
    /// Whether the code looks at how the connection is made.
    #[serde(default)]
    pub reads_connection: bool,
    /// The target.
    pub target: Digest,
    /// The rest of `dbt_project.yml` that counts.
    pub project: Digest,
    /// The whole manifest, where a macro looks at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<Digest>,
    /// The versions of dbt and the adapter.
    pub dbt: String,
}
