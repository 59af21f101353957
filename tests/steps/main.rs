//! What a release does with production, step by step: from the first one into an empty database to
//! clearing up after those that ended.

mod back;
mod baseline;
mod bootstrap;
mod carried;
mod checks;
mod collect;
mod failures;
mod hydration;
mod late;
mod law;
mod made;
mod new_sinks;
mod questions;
mod readers;
mod replacement;
mod sinks;
mod sinks_of_many;
#[path = "../support/mod.rs"]
mod support;
mod takedown;
