//! Cutover releases dbt projects on Materialize without downtime.

/// What dbt knows about a project: its files, profile, manifest and graph.
pub mod project;
