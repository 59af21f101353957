//! SQL as text: quoting, tokens, and whether a text is one query.

/// Quoting.
pub mod identifier;
pub mod query;
pub mod scan;
/// SQL without comments and white space.
pub mod tokens;
