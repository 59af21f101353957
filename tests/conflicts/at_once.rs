//! Other releases at the same time: two promotions of one journal, two journals for one production.

use crate::support::eventually;
use crate::{Production, copied, quick};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_promotions_at_once_one_wins() {
    let Some((world, _replay)) = quick().await else {
        return;
    };
    let before = world.snapshot().await;
    let manual = ["deploy", "--promotion=manual", "--cleanup=manual"];
    world.cutover(&manual).await.exits(0);
    let green = world.snapshot().await;
    // Both are at work: the one that leads is held at its first question.
    world.hold("cutover: readiness ", 1).await;
    let both = [world.spawn(&["promote"]), world.spawn(&["promote"])];
    world.struck().await;
    let [first, second] = both.map(|one| tokio::spawn(one.ended()));
    eventually("one to be refused", async || {
        (first.is_finished() || second.is_finished()).then_some(())
    })
    .await;
    world.let_go().await;
    let (first, second) = (first.await.expect("ended"), second.await.expect("ended"));
    let (winner, loser) = if first.code == Some(0) {
        (first, second)
    } else {
        (second, first)
    };
    winner.exits(0);
    loser.exits(3).says("led by another process");
    world.serves(2).await;
    let after = world.snapshot().await;
    for schema in ["staging", "marts", "serving"] {
        let (here, there) = (
            format!("schema shop_{schema}"),
            format!("schema shop_{schema}_dbt_deploy"),
        );
        assert_eq!(after.id(&here), green.id(&there), "swapped once");
        assert_eq!(after.id(&there), before.id(&here), "nothing was dropped");
    }
    world.cutover(&["cleanup"]).await.exits(0);
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_journals_at_most_one_releases() {
    let Some((world, _replay)) = quick().await else {
        return;
    };
    // The same environment, and one of another name with the same schemas.
    for (other, configuration) in [
        ("same", ""),
        (
            "renamed",
            "environments:\n  live: {project: {target: prod}}\n",
        ),
    ] {
        let copy = copied(&world, other);
        std::fs::write(copy.join("cutover.yaml"), configuration).expect("a file");
        let arguments: &[&str] = if other == "renamed" {
            &["deploy", "live", "--cleanup=manual"]
        } else {
            &["deploy", "--cleanup=manual"]
        };
        let release = Production::read(&world).await;
        let before = world.snapshot().await;
        // Both have planned and met before either has staged anything.
        world
            .sql
            .run(
                "INSERT INTO mz_sandbox.faults (pattern, application_name, action, times) \
                 VALUES ('cutover: create schema ', 'cutover', 'hang', NULL)",
            )
            .await;
        let both = [
            world.spawn(&["deploy", "--cleanup=manual"]),
            world.spawn_in(&copy, arguments),
        ]
        .map(|running| tokio::spawn(running.ended()));
        eventually("both to begin", async || {
            if both.iter().any(tokio::task::JoinHandle::is_finished) {
                return Some(());
            }
            let hits = world
                .sql
                .value("SELECT sum(hits)::text FROM mz_sandbox.faults")
                .await;
            (hits == "2").then_some(())
        })
        .await;
        world.let_go().await;
        let mut winners = Vec::new();
        for (number, running) in both.into_iter().enumerate() {
            let outcome = running.await.expect("ended");
            if outcome.code == Some(0) {
                winners.push(number);
                continue;
            }
            let named = [
                "deployment-active",
                "exists and is not ours",
                "already exists",
            ];
            assert!(
                outcome.code == Some(1) && named.iter().any(|name| outcome.all().contains(name)),
                "{outcome}"
            );
        }
        println!("{other}: won by {winners:?}");
        assert!(winners.len() < 2, "both released");
        assert!(Production::read(&world).await.is_whole());
        if winners.is_empty() {
            assert_eq!(Production::read(&world).await, release);
            world.nothing_left().await;
            world.snapshot().await.is(&before);
            continue;
        }
        // The loser dropped nothing of the winner's old side; the winner does that.
        let kept = world.snapshot().await;
        for schema in ["staging", "marts", "serving"] {
            assert_eq!(
                kept.id(&format!("schema shop_{schema}_dbt_deploy")),
                before.id(&format!("schema shop_{schema}"))
            );
        }
        let cleaned = if winners == [0] {
            world.cutover(&["cleanup"]).await
        } else {
            let verb: &[&str] = if other == "renamed" {
                &["cleanup", "live"]
            } else {
                &["cleanup"]
            };
            world.spawn_in(&copy, verb).ended().await
        };
        cleaned.exits(0);
        world.nothing_left().await;
    }
}
