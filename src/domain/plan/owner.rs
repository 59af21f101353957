//! Who owns what is planned, as the project says it: `meta.owner`, and the owners of groups.

use serde::{Deserialize, Serialize};

/// A person or a team that owns nodes. At least one of its fields is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Its channel or member in Slack, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<String>,
}

impl Owner {
    /// What is said of it: its name, else its address, else its channel.
    #[must_use]
    pub fn label(&self) -> &str {
        let known = [&self.name, &self.email, &self.slack];
        known.into_iter().flatten().next().map_or("", |one| one)
    }
}

/// An owner with what of the plan it owns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owned {
    /// Who.
    #[serde(flatten)]
    pub owner: Owner,
    /// Unique ids of its planned nodes and tests, sorted.
    pub nodes: Vec<String>,
}
