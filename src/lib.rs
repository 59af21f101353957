//! Cutover releases dbt projects on Materialize without downtime.
//!
//! A release is built beside production ("green"), waited for, tested, swapped with
//! production ("blue") in one transaction, watched and cleaned up. Data flows one way:
//! trigger → project (files) + catalog (live) → plan (pure) → deployment (journalled steps) →
//! Materialize.

/// One room for each thing outside: Materialize, the journal, the artifact store, git, dbt.
pub mod adapters;
/// The words that every room speaks: states and events, plans, the catalog, records, checks, places.
pub mod domain;
/// What knows nothing of releases: classes of errors, pauses, SQL as text, TLS, guest processes.
pub mod foundation;
/// What is read before anything is decided: the project's files, what dbt wrote, the settings.
pub mod inputs;
/// How people and programs reach it: the command line, the HTTP API, its client.
pub mod interfaces;
/// What is done: builds, deployments, releases, pull requests, the daemon.
pub mod operations;
/// What is to be done, worked out without touching anything.
pub mod planning;
