//! The daemon: what it does by itself, what it is asked, and what it says of that.

mod accepted;
#[path = "../page/browser.rs"]
#[expect(dead_code, reason = "the tests of the page use all of it")]
mod browser;
mod candidates;
mod chains;
mod commands;
mod drift;
mod freeze;
mod held;
mod metrics;
mod notifications;
mod page;
mod releases;
#[path = "../support/mod.rs"]
mod support;

use support::{Needs, Replay, World};

/// A configuration with one environment.
fn configuration(more: &str) -> String {
    format!("http: {{listen: null}}\nenvironments:\n  prod:\n    project: {{target: prod}}\n{more}")
}

/// A world in production whose dbt answers at once.
async fn world() -> Option<(World, Replay)> {
    let mut world = World::start(Needs::Sandbox).await?;
    world.produce_by_sql().await;
    world.project.without_tests();
    let replay = Replay::named(&mut world, "prod").await;
    Some((world, replay))
}
