//! What is read before anything is decided: the project's files, what dbt wrote about it, the settings.

pub mod manifest;
pub mod outcome;
/// What dbt knows about a project: its files, profile, manifest and graph.
pub mod project;
pub mod selection;
/// The configuration tree.
pub mod settings;
