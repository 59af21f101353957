//! What is written otherwise than in the baseline: compiled SQL, and configuration that reaches a statement.

use serde::{Deserialize, Serialize};

/// What is written otherwise, bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Texts {
    /// The nodes, sorted by unique id.
    pub nodes: Vec<TextChange>,
    /// Changed nodes of which nothing is shown because there are too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
    /// Unique ids of changed nodes whose SQL as it is live is not known, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextChange {
    /// dbt's unique id.
    pub unique_id: String,
    /// The node's file, from the project's folder.
    pub file: String,
    /// The difference of the compiled SQL, unified: lines without their ends, each beginning with a space, `-`, `+` or
    /// `@@`. Empty where the SQL is the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<String>,
    /// Lines of the difference that are left out at its end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: usize,
    /// Configuration that reaches the statement, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<ConfigChange>,
}

/// Configuration of a node that is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigChange {
    /// What it is: `cluster`, `indexes`, the name of an option.
    pub name: String,
    /// What it was, as text; `None` where there was nothing.
    pub from: Option<String>,
    /// What it is, as text; `None` where there is nothing.
    pub to: Option<String>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}
