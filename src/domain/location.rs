//! Where things are: repositories, journals, artifact stores.

pub mod journal;
pub mod postgres;
/// Addresses, references, commits and folders.
pub mod repository;
/// Where it is, as it may be written.
pub mod url;
