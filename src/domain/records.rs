//! What the journal keeps, as data.

/// Who approved a candidate, and what it waits for.
pub mod approval;
pub mod corner;
pub mod deployment;
pub mod drift;
pub mod hold;
pub mod kept;
pub mod run;
pub mod subject;
/// Texts that every journal can keep.
pub mod text;
