//! A build that is killed at any write to the journal, or at any statement, is continued by the next one, and nothing
//! is left once the corner is torn down.

use crate::corner::{build, live, nothing_left, production, states, wrote_nothing_to_production};
use nix::sys::signal::Signal;

const KILL: &str = "CUTOVER_TEST_KILL_AT_WRITE";

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_killed_at_any_write_is_continued() {
    let Some(mut world) = live().await else {
        return;
    };
    let before = production(&world).await;
    world
        .project
        .replace("models/marts/totals.sql", "1 as release", "2 as release");
    let mut killed = 0;
    for number in 1..40 {
        let side = if number % 2 == 0 { "before" } else { "after" };
        world
            .environment
            .insert(KILL.to_owned(), format!("{side}:{number}"));
        let ended = build(&world, "pr-1", &[]).await;
        world.environment.remove(KILL);
        if ended.code.is_some() {
            ended.exits(0);
            break;
        }
        killed += 1;
        // The next build goes on, or whoever tears it down finds everything.
        if number % 3 == 0 {
            let torn = world.cutover(&["ci", "teardown", "--name", "pr-1"]).await;
            assert!(matches!(torn.code, Some(0 | 3)), "{torn}");
            // What has no mark yet is left alone for an hour, so only that may be left.
            continue;
        }
        let report = build(&world, "pr-1", &[]).await.exits(0).result();
        assert_eq!(
            states(&report).keys().collect::<Vec<_>>(),
            ["report", "totals"],
            "{report}"
        );
        world
            .cutover(&["ci", "teardown", "--name", "pr-1"])
            .await
            .exits(0);
        nothing_left(&world).await;
    }
    assert!(killed > 5, "{killed}");
    let _ = build(&world, "pr-1", &[]).await.exits(0);
    world
        .cutover(&["ci", "teardown", "--name", "pr-1"])
        .await
        .exits(0);
    nothing_left(&world).await;
    assert_eq!(production(&world).await, before);
    wrote_nothing_to_production(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_killed_at_a_statement_is_continued() {
    let Some(world) = live().await else { return };
    let before = production(&world).await;
    world
        .project
        .replace("models/marts/totals.sql", "1 as release", "2 as release");
    for (pattern, nth) in [
        // While it looks; before it is marked; marked and not renamed; the cluster; half built; while it tests.
        ("cutover: create view", 1),
        ("cutover: comment on schema", 3),
        ("cutover: rename schema", 1),
        ("cutover: create cluster", 1),
        ("cutover: rename cluster", 1),
        ("cutover: create materialized view", 1),
        ("cutover: create index", 1),
        ("cutover: test", 1),
    ] {
        let running = world
            .held_at(pattern, nth, &["ci", "build", "--name", "pr-1"])
            .await;
        running.signal(Signal::SIGKILL);
        running.ended().await;
        world.let_go().await;
        let report = build(&world, "pr-1", &[]).await.exits(0).result();
        let names: Vec<String> = states(&report).into_keys().collect();
        assert_eq!(names, ["report", "totals"], "{pattern}: {report}");
        let torn = world
            .held_at("cutover: drop", 2, &["ci", "teardown", "--name", "pr-1"])
            .await;
        torn.signal(Signal::SIGKILL);
        torn.ended().await;
        world.let_go().await;
        world
            .cutover(&["ci", "teardown", "--name", "pr-1"])
            .await
            .exits(0);
        nothing_left(&world).await;
    }
    assert_eq!(production(&world).await, before);
    wrote_nothing_to_production(&world).await;
}
