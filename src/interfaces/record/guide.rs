//! What `help` and `explain` print.

use serde::Serialize;

/// A text about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuideView {
    /// The topic, or the name of the refusal; `None` of a list of them.
    pub name: Option<String>,
    /// The text, in lines for a terminal.
    pub text: String,
    /// What else there is to ask for.
    pub names: Vec<String>,
}

/// A refusal, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExplainedView {
    /// Its name.
    pub name: String,
    /// Whether `--allow` takes it.
    pub may_be_allowed: bool,
    /// What it means, an example and what to do, in lines for a terminal.
    pub text: String,
}
