//! Baselines that do not say what came out, or say it otherwise; nodes that do not compile; and what a
//! deployment was planned under.

use crate::support::{Needs, World};
use crate::{Said, plan, project};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

async fn live() -> Option<World> {
    let mut world = World::start(Needs::Sandbox).await?;
    world.set("SCOPE", "slim");
    project::write(&world).await;
    world.cutover(&["deploy", "--bootstrap"]).await.exits(0);
    Some(world)
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find(&path, name) {
                return Some(found);
            }
        } else if path.file_name().is_some_and(|found| found == name) {
            return Some(path);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_baseline_that_does_not_say_what_came_out_is_compared_as_far_as_it_can_be() {
    let Some(world) = live().await else { return };
    let artifacts = world.project.path().join(".cutover/artifacts");
    let file = find(&artifacts, "outcomes.json").expect("the outcomes of the baseline");
    let written = std::fs::read_to_string(&file).expect("a file");
    let other = written.replacen("\"form\":1", "\"form\":99", 1);
    assert_ne!(other, written);
    std::fs::write(&file, other).expect("a file");
    let (_, document) = plan(&world).await;
    let notes = document["notes"].to_string();
    assert!(
        notes.contains("by another version of Cutover (form 99, this one compares form 1)"),
        "{document:#}"
    );
    assert!(
        notes.contains("the texts are compared, as dbt's state:modified does"),
        "{document:#}"
    );

    // As an earlier version left it. What is written is compared, and a place that moved is seen.
    std::fs::remove_file(&file).expect("a file");
    world
        .project
        .replace("models/marts/totals.sql", "sum(amount)", "max(amount)");
    world.project.replace(
        "macros/names.sql",
        "{%- else -%}",
        "{%- elif node.name == 'columns' -%}{{ target.schema }}{%- else -%}",
    );
    let (said, document) = plan(&world).await;
    let Said::Begins(nodes) = said else {
        panic!("{document:#}")
    };
    let nodes: BTreeSet<(&str, &str)> = nodes.iter().map(|(id, why)| (&**id, &**why)).collect();
    assert!(
        nodes.contains(&("model totals", "changed: body")),
        "{nodes:?}"
    );
    let moved = format!("moved from {}.columns", world.name("extra"));
    assert!(nodes.contains(&("model columns", &*moved)), "{nodes:?}");
    assert!(
        document["notes"]
            .to_string()
            .contains("the texts are compared"),
        "{document:#}"
    );

    // A broken file is no reason to guess.
    std::fs::write(&file, "{\"form\":1").expect("a file");
    world
        .cutover(&["plan"])
        .await
        .exits(3)
        .says("baseline-damaged")
        .says("outcomes.json");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_does_not_compile_is_named_with_its_file() {
    let Some(world) = live().await else { return };
    world.project.replace(
        "models/marts/totals.sql",
        "select sum",
        "{{ exceptions.raise_compiler_error('not so') if execute }}select sum",
    );
    world
        .cutover(&["plan"])
        .await
        .exits(1)
        .says("Compilation Error in model totals (models/marts/totals.sql)")
        .says("not so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_goes_on_under_what_it_was_planned_under_or_not_at_all() {
    let Some(world) = live().await else { return };
    world
        .project
        .replace("models/marts/totals.sql", "sum(amount)", "max(amount)");
    world
        .cutover(&["deploy", "--promotion", "manual"])
        .await
        .exits(0);
    world
        .cutover(&["resume", "--vars", "{cutoff: 1}"])
        .await
        .exits(3)
        .says("inputs-changed")
        .says("variables");
    // Without dbt having a part, it does not matter.
    world
        .cutover(&["promote", "--vars", "{cutoff: 1}"])
        .await
        .exits(0);
    let (said, document) = plan(&world).await;
    assert_eq!(said, Said::Begins(BTreeSet::new()), "{document:#}");

    // Killed while it builds, and taken up under another variable: nothing of both is ever live.
    world
        .project
        .replace("models/marts/totals.sql", "max(amount)", "min(amount)");
    let mut running = world.spawn(&["deploy"]);
    running.until_state("building").await;
    running.signal(Signal::SIGKILL);
    running.ended().await;
    world
        .cutover(&["deploy", "--vars", "{cutoff: 1}"])
        .await
        .says("not as planned any more: variables");
    world.nothing_left().await;
}
