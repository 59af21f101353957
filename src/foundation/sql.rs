//! SQL as text: quoting, tokens, and whether a text is one query.

/// Statements of sinks, sources and connections, taken apart.
pub mod clauses;
/// Quoting.
pub mod identifier;
pub mod query;
pub mod scan;
/// SQL without comments and white space.
pub mod tokens;
