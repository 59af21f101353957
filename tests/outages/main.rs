//! Servers go away: that of production, that of the journal, and the daemon that leads.

mod journal;
mod leadership;
mod server;
#[path = "../support/mod.rs"]
mod support;

use support::{Outcome, World};

/// Asserts that no state was entered twice, as the journal has it.
async fn entered_once(world: &World, outcome: &Outcome) {
    let shown = world
        .cutover(&["show", &outcome.deployment()])
        .await
        .exits(0)
        .document();
    let events = shown["events"].as_array().expect("events");
    let states: Vec<String> = events
        .iter()
        .map(|event| event["state_after"].to_string())
        .collect();
    assert!(states.len() > 5, "{shown}");
    for (at, state) in states.iter().enumerate() {
        assert!(!states[..at].contains(state), "{state} twice in {states:?}");
    }
}
