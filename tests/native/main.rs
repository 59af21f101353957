//! Releases that Cutover builds itself: as dbt would, continued when killed, and refused where it is not certain.

mod builds;
mod bundles;
mod seeds;
#[path = "../support/mod.rs"]
mod support;
