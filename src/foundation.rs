//! What every room stands on and what knows nothing of releases: errors and their classes, pauses, SQL as text,
//! TLS, guest processes.

pub mod digest;
/// Files that are written whole or not at all.
pub mod draft;
pub mod environment;
/// Names and sentences made harmless for a terminal or for Markdown.
pub mod escape;
/// The one table from error class to retry behaviour, exit code and wording.
pub mod failure;
/// Running one guest.
pub mod process;
/// Pauses between attempts.
pub mod retry;
/// References to secrets.
pub mod secret;
pub mod span;
/// SQL as text: quoting, tokens, and whether a text is one query.
pub mod sql;
/// TLS as libpq's sslmode has it.
pub mod tls;
/// Enums of which every value is a word.
pub mod word;
