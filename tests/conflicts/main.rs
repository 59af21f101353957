//! Somebody else is at work: other releases, and people who change the catalog behind the release's
//! back, at every step, all the time, or in another configuration.

#![allow(clippy::print_stdout, reason = "the tables of outcomes")]

mod acts;
mod at_once;
mod every_step;
mod lost_answers;
mod storms;
mod strangers;
#[path = "../support/mod.rs"]
mod support;
mod two_configurations;

use std::path::PathBuf;
use support::{Needs, Replay, World};

/// A world in production by SQL, with a dbt that answers at once.
async fn quick() -> Option<(World, Replay)> {
    let mut world = World::prepared(Needs::Sandbox).await?;
    let replay = Replay::of(&mut world).await;
    Some((world, replay))
}

/// The state of the deployment; empty when there is none.
async fn state(world: &World) -> String {
    let status = world.cutover(&["status"]).await.exits(0).document();
    let entry = &status["environments"][0]["deployment"]["state"];
    entry.as_str().unwrap_or_default().to_owned()
}

/// What production answers: the release of each of two schemas, or that it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Production(Vec<Option<String>>);

impl Production {
    async fn read(world: &World) -> Self {
        let mut releases = Vec::new();
        for relation in ["shop_marts.totals", "shop_serving.report"] {
            let rows = world
                .sql
                .attempt(&format!("SELECT max(release) FROM {relation}"))
                .await;
            releases.push(rows.ok().and_then(|rows| rows[0][0].clone()));
        }
        Self(releases)
    }

    fn is_whole(&self) -> bool {
        self.0[0].is_some() && self.0[0] == self.0[1]
    }
}

/// A copy of the project without its journal.
fn copied(world: &World, name: &str) -> PathBuf {
    let copy = world.home().join(name);
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        std::fs::create_dir_all(copy.join(&folder)).expect("a folder");
        for entry in std::fs::read_dir(world.project.path().join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = folder.join(entry.file_name());
            if entry.file_name() == ".cutover" {
                continue;
            }
            if entry.path().is_dir() {
                folders.push(name);
            } else {
                std::fs::copy(entry.path(), copy.join(name)).expect("a copy");
            }
        }
    }
    copy
}
