//! SQL errors as clients see them, and the translation of PostgreSQL's codes into Materialize's.

use std::fmt;

/// An error answered to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlError {
    /// Five-character SQLSTATE.
    pub code: String,
    /// Primary message.
    pub message: String,
    /// Optional DETAIL.
    pub detail: Option<String>,
    /// Optional HINT.
    pub hint: Option<String>,
}

impl SqlError {
    /// An error with the given SQLSTATE.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    /// Most planning errors of Materialize carry `XX000`.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new("XX000", message)
    }

    /// `42601`.
    pub fn syntax(message: impl Into<String>) -> Self {
        Self::new("42601", message)
    }

    /// `42501`.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new("42501", message)
    }

    /// "unknown catalog item", the answer to any unknown relation.
    pub fn unknown_item(name: &str) -> Self {
        Self::internal(format!("unknown catalog item '{name}'"))
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for SqlError {}

/// The code under which Materialize reports what PostgreSQL calls `code`.
///
/// Evaluation errors (class 22, but for a date that is none) and missing relations, columns, functions and operators are
/// plain `XX000` there.
pub fn materialize_code(code: &str) -> &str {
    let planning = matches!(code, "42P01" | "3F000" | "42703" | "42883");
    if planning || (code.starts_with("22") && code != "22007") {
        "XX000"
    } else {
        code
    }
}

/// A notice sent along with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Primary message.
    pub message: String,
    /// Optional DETAIL.
    pub detail: Option<String>,
}

impl Notice {
    /// A notice without detail.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            detail: None,
        }
    }
}
