//! What a release does with production, step by step: from the first one into an empty database to
//! clearing up after those that ended.

mod back;
mod back_to;
mod baseline;
mod bootstrap;
mod carried;
mod checks;
mod collect;
mod columns;
mod diff;
mod drain;
mod endpoint_requests;
mod endpoints;
mod failures;
mod holds;
mod hydration;
mod kept;
mod late;
mod law;
mod live;
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
mod waiting;
mod what_changes;
