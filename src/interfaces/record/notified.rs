//! What `notify` prints.

use serde::Serialize;

/// `notify`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotifiedView {
    /// Who was told.
    pub target: String,
    /// How.
    pub kind: &'static str,
    /// The message's title.
    pub title: String,
}
