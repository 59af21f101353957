//! Checks by SQL: on green before the swap, on production during the soak, and the rollback that
//! follows a failing one by itself.

use crate::support::{Needs, Outcome, Replay, World, eventually};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Rows of another release than the third are found by none of these.
const THIRD: &str = "  - name: never release three\n    kind: no_rows\n    \
                     sql: SELECT release FROM {{ green(\"shop_marts.totals\") }} WHERE release = 3\n";
const ROWS: &str =
    "  - name: totals keep their rows\n    kind: row_count\n    relation: shop_marts.totals\n";
const KEYS: &str = "  - {name: no customer is lost, kind: keys_kept, relation: shop_marts.totals, key: [customer]}\n";

/// Production by SQL and a dbt that answers at once.
async fn quick() -> Option<(World, Replay)> {
    let mut world = World::prepared(Needs::Sandbox).await?;
    let replay = Replay::of(&mut world).await;
    Some((world, replay))
}

fn checks(world: &World, checks: &str) {
    let text = format!("soak_check_interval: 50ms\nchecks:\n{checks}");
    world.project.write("cutover.yaml", &text);
}

/// A customer whom only the side that serves now knows.
async fn customer(world: &World) {
    world
        .sql
        .run("INSERT INTO shop_staging.orders VALUES (9, 'eve', 1)")
        .await;
}

async fn shown(world: &World, id: &str) -> Value {
    world.cutover(&["show", id]).await.exits(0).document()
}

/// `moment name verdict` of every check on record.
fn verdicts(shown: &Value) -> Vec<String> {
    let checks = shown["checks"].as_array().expect("checks");
    let text = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    checks
        .iter()
        .map(|check| ["moment", "name", "verdict"].map(|key| text(check, key)))
        .map(|words| words.join(" "))
        .collect()
}

/// The numbers of a check: old side, new side.
fn numbers(shown: &Value, name: &str, moment: &str) -> (Option<u64>, Option<u64>) {
    let checks = shown["checks"].as_array().expect("checks");
    let check = checks
        .iter()
        .find(|check| check["name"] == name && check["moment"] == moment)
        .expect("the check");
    (check["blue"].as_u64(), check["green"].as_u64())
}

/// The swap was undone by a check, and says so.
async fn rolled_back(world: &World, outcome: Outcome, why: &str) -> Value {
    let outcome = outcome.exits(1).says("ROLLED BACK").says(why);
    assert_eq!(outcome.error()["class"], "permanent", "{outcome}");
    world.serves(1).await;
    world.nothing_left().await;
    let status = world.cutover(&["status"]).await.exits(0).document();
    let deployment = &status["environments"][0]["deployment"];
    assert_eq!(deployment["state"], "rolled_back");
    let reason = deployment["reason"].as_str().expect("a reason");
    assert!(reason.contains(why), "{reason}");
    let id = deployment["id"].as_str().expect("an id");
    let history = world.cutover(&["history"]).await.exits(0).document();
    assert_eq!(history["deployments"][0]["reason"], reason);
    shown(world, id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_pass_are_recorded_with_their_numbers() {
    let Some((world, _replay)) = quick().await else {
        return;
    };
    let more = "  - {name: only after, kind: row_count, relation: shop_marts.counts, tolerance: 5%, run: [soak]}\n  \
                - name: both sides\n    kind: no_rows\n    run: [before]\n    relation: shop_marts.totals\n    \
                sql: |\n      WITH lost AS (SELECT customer FROM {{ blue }} EXCEPT SELECT customer FROM {{ green }})\n      \
                TABLE lost; -- none\n";
    checks(&world, &[THIRD, ROWS, KEYS, more].concat());
    let would = world.cutover(&["deploy", "--dry-run"]).await.exits(0);
    would
        .says("run 4 checks on the new side")
        .says("run 4 checks on production");
    let done = world
        .cutover(&["deploy"])
        .await
        .exits(0)
        .says("the check \"no customer is lost\" passed");
    world.serves(2).await;
    world.nothing_left().await;
    let shown = shown(&world, &done.deployment()).await;
    assert_eq!(
        verdicts(&shown),
        [
            "before never release three passed",
            "before totals keep their rows passed",
            "before no customer is lost passed",
            "before both sides passed",
            "soak never release three passed",
            "soak totals keep their rows passed",
            "soak no customer is lost passed",
            "soak only after passed",
        ]
    );
    let both = (Some(2), Some(2));
    assert_eq!(numbers(&shown, "totals keep their rows", "before"), both);
    assert_eq!(numbers(&shown, "no customer is lost", "soak"), both);
    let none = (None, Some(0));
    assert_eq!(numbers(&shown, "never release three", "soak"), none);
    // A soak of no time has them run exactly once.
    let runs: Vec<&Value> = shown["checks"].as_array().expect("checks").iter().collect();
    assert!(runs.iter().all(|check| check["runs"] == 1), "{runs:?}");
    let asked = &shown["request"]["checks"];
    assert_eq!(asked[0]["name"], "never release three", "{asked}");
    let text = world.cutover_text(&["show", &done.deployment()]).await;
    text.exits(0)
        .says("VERDICT")
        .says("the new side has 2 rows and the old side 2: 0 apart, 0 allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_that_fails_before_the_swap_ends_the_release() {
    let Some((world, replay)) = quick().await else {
        return;
    };
    replay.makes(3, false);
    customer(&world).await;
    let before = world.snapshot().await;
    let refused = "  - {name: refused, kind: no_rows, sql: 'SELECT nothing FROM {{ green(\"shop_marts.totals\") }}'}\n";
    let missing = "  - {name: missing, kind: row_count, relation: shop_marts.no_totals}\n";
    for (kind, says) in [
        (THIRD, "\"never release three\": the query returned 2 rows"),
        (
            ROWS,
            "the new side has 2 rows and the old side 3: 1 apart, 0 allowed",
        ),
        (
            KEYS,
            "of 3 keys of the old side the new side lacks 1, 0 allowed",
        ),
        (refused, "\"refused\": Materialize refused check no rows"),
        (
            missing,
            "shop_marts.no_totals does not exist on the new side",
        ),
    ] {
        checks(&world, kind);
        let failed = world.cutover(&["deploy"]).await.exits(1).says(says);
        assert_eq!(failed.states().last().map(String::as_str), Some("failed"));
        assert!(!failed.states().contains(&"ready".to_owned()), "{failed}");
        world.snapshot().await.is(&before);
        let shown = shown(&world, &failed.deployment()).await;
        assert!(verdicts(&shown)[0].ends_with(" failed"), "{shown}");
    }
    // All of them are named at once.
    checks(&world, &[THIRD, ROWS, KEYS].concat());
    world
        .cutover(&["deploy"])
        .await
        .exits(1)
        .says("3 checks failed before the swap")
        .says("never release three")
        .says("totals keep their rows")
        .says("no customer is lost");
    world.snapshot().await.is(&before);

    // With tolerance the same is no failure. What gives no answer in time is one.
    let tolerant = [ROWS, "    tolerance: 34%\n    run: [before]\n"].concat();
    checks(&world, &[&tolerant, "    timeout: 200ms\n"].concat());
    world.hold("cutover: check row count", 1).await;
    let slow = world.cutover(&["deploy"]).await.exits(1);
    slow.says("was not answered within 200ms");
    world.let_go().await;
    world.snapshot().await.is(&before);
    checks(&world, &tolerant);
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(3).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_soak_check_rolls_back_by_itself() {
    let Some((world, replay)) = quick().await else {
        return;
    };
    replay.makes(3, false);
    let third = [THIRD, "    run: [soak]\n"].concat();
    checks(&world, &[&third, ROWS].concat());
    let before = world.snapshot().await;
    let why = "a check failed after the swap: \"never release three\": the query returned 2 rows";
    for cleanup in ["automatic", "manual"] {
        let failed = world.cutover(&["deploy", "--cleanup", cleanup]).await;
        assert!(
            failed.states().contains(&"rolling_back".to_owned()),
            "{failed}"
        );
        let failed = failed.says("ROLLING BACK: a check failed");
        let shown = rolled_back(&world, failed, why).await;
        assert!(verdicts(&shown).contains(&"soak never release three failed".to_owned()));
        assert!(verdicts(&shown).contains(&"soak totals keep their rows passed".to_owned()));
        world.snapshot().await.is(&before);
        // Nothing is under way any more.
        world
            .cutover(&["resume"])
            .await
            .exits(0)
            .says("rolled_back");
    }

    // A promotion by a person is no different, and neither is a failure that comes later.
    checks(&world, ROWS);
    world
        .cutover(&["deploy", "--promotion", "manual", "--soak", "1h"])
        .await
        .exits(0);
    let mut promoting = world.spawn(&["promote"]);
    promoting
        .until("a passed check", |line| {
            line["event"] == "note" && line["text"].to_string().contains("passed")
        })
        .await;
    customer(&world).await;
    let why = "the new side has 3 rows and the old side 2: 1 apart, 0 allowed";
    let shown = rolled_back(&world, promoting.ended().await, why).await;
    let soak = shown["checks"].as_array().and_then(|checks| checks.last());
    let soak = soak.expect("a check");
    assert_eq!(soak["moment"], "soak");
    assert!(soak["runs"].as_u64() >= Some(2), "{soak}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_an_operator_asks_for_is_no_failure() {
    let Some((world, _replay)) = quick().await else {
        return;
    };
    checks(&world, ROWS);
    let manual = ["deploy", "--cleanup", "manual"];
    let id = world.cutover(&manual).await.exits(0).deployment();
    let recorded = shown(&world, &id).await;
    assert_eq!(verdicts(&recorded).len(), 2, "{recorded}");
    world.cutover(&["rollback"]).await.exits(0);
    world.serves(1).await;
    world.nothing_left().await;
    // One who asks for the cleanup has decided.
    world.cutover(&manual).await.exits(0);
    customer(&world).await;
    world.cutover(&["cleanup"]).await.exits(0);
    world.serves(3).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_gives_no_answer_during_the_soak_is_no_reason_to_roll_back() {
    let Some((world, _replay)) = quick().await else {
        return;
    };
    let rows = [ROWS, "    timeout: 200ms\n"].concat();
    checks(&world, &rows);
    let mut deploying = world.spawn(&["deploy", "--soak", "1h"]);
    deploying.until_state("soaking").await;
    deploying
        .until("a passed check", |line| {
            line["text"].to_string().contains("passed")
        })
        .await;
    for action in ["hang", "cut_before"] {
        world
            .sql
            .run(&format!(
                "INSERT INTO mz_sandbox.faults (pattern, application_name, action, times) \
                 VALUES ('cutover: check row count', 'cutover', '{action}', NULL)"
            ))
            .await;
        deploying
            .until("a warning", |line| {
                line["event"] == "warning" && line["text"].to_string().contains("asked again")
            })
            .await;
        world.let_go().await;
    }
    deploying.signal(Signal::SIGINT);
    deploying.ended().await.exits(130);
    world.serves(2).await;
    world.cutover(&["cleanup"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_soak_and_resumed_it_still_rolls_back() {
    let Some((mut world, replay)) = quick().await else {
        return;
    };
    replay.makes(2, false);
    for side in ["before", "after"] {
        checks(&world, ROWS);
        let mut deploying = world.spawn(&["deploy", "--soak", "1h"]);
        deploying.until_state("soaking").await;
        deploying
            .until("a passed check", |line| {
                line["text"].to_string().contains("passed")
            })
            .await;
        deploying.signal(Signal::SIGKILL);
        assert_eq!(deploying.ended().await.code, None);
        world.serves(2).await;
        customer(&world).await;
        // What was asked for is in the journal, whatever the configuration says now.
        checks(&world, THIRD);
        let variable = "CUTOVER_TEST_KILL_AT_WRITE";
        let mut died = 0;
        loop {
            let point = format!("{side}:{}", died + 1);
            world.environment.insert(variable.to_owned(), point);
            let resumed = world.cutover(&["resume"]).await;
            world.environment.remove(variable);
            let Some(code) = resumed.code else {
                died += 1;
                continue;
            };
            let status = world.cutover(&["status"]).await.exits(0).document();
            let deployment = &status["environments"][0]["deployment"];
            assert_eq!(deployment["state"], "rolled_back", "{resumed}");
            // Killed right after the last write, there is nothing left to resume.
            assert!(code == 1 || (code == 0 && side == "after"), "{resumed}");
            if code == 1 {
                rolled_back(&world, resumed, "the new side has 3 rows").await;
            }
            break;
        }
        assert!(died > 4, "{died}");
        world.serves(1).await;
        world.nothing_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_other_side_is_not_applicable() {
    let Some(mut world) = World::start(Needs::Sandbox).await else {
        return;
    };
    for schema in ["shop_staging", "shop_marts", "shop_serving"] {
        world.sql.run(&format!("CREATE SCHEMA {schema}")).await;
    }
    world.project.without_tests();
    let lost = "  - {name: blue alone, kind: no_rows, sql: 'SELECT 1 FROM {{ blue(\"shop_marts.totals\") }}'}\n";
    let elsewhere = "  - {name: elsewhere, kind: row_count, relation: '\"shop.out\".\"a\"\"b\"'}\n";
    checks(&world, &[ROWS, KEYS, lost, elsewhere].concat());
    // Production has nothing yet.
    let first = world.cutover(&["deploy"]).await.exits(0);
    let first = shown(&world, &first.deployment()).await;
    assert!(
        verdicts(&first)
            .iter()
            .all(|one| one.ends_with(" not_applicable")),
        "{first}"
    );
    assert!(
        first
            .to_string()
            .contains("is new: there is no old side of it")
    );
    assert!(first.to_string().contains("is not part of this release"));
    // The smallest release leaves the schema of the seed alone.
    let seed = "  - {name: seed, kind: row_count, relation: shop_staging.orders}\n";
    checks(&world, &[ROWS, seed].concat());
    let replay = Replay::of_totals(&mut world).await;
    replay.makes(2, false);
    let slim = world.cutover(&["deploy", "--select", "totals"]).await;
    let slim = shown(&world, &slim.exits(0).deployment()).await;
    assert_eq!(
        verdicts(&slim),
        [
            "before totals keep their rows passed",
            "before seed not_applicable",
            "soak totals keep their rows passed",
            "soak seed not_applicable",
        ]
    );
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_in_place_is_checked_too() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let report = "models/serving/report.sql";
    world.project.replace(report, "1 as release", "t.release");
    world.set("SCOPE", "slim");
    world.cutover(&["deploy"]).await.exits(0);
    let before = world.snapshot().await;
    let totals = "models/marts/totals.sql";
    world
        .project
        .replace(totals, "1 as release", "3 as release");
    let replace = ["deploy", "--strategy", "replace"];
    checks(&world, &[ROWS, THIRD].concat());
    let failed = world.cutover(&replace).await.exits(1);
    failed
        .says("a check failed before the swap: \"never release three\": the query returned 2 rows");
    world.snapshot().await.is(&before);

    let third = [THIRD, "    run: [soak]\n"].concat();
    checks(&world, &[ROWS, &third].concat());
    let failed = world.cutover(&replace).await;
    let shown = rolled_back(&world, failed, "\"never release three\"").await;
    assert_eq!(
        verdicts(&shown),
        [
            "before totals keep their rows passed",
            "soak totals keep their rows not_applicable",
            "soak never release three failed",
        ]
    );
    assert!(
        shown
            .to_string()
            .contains("was replaced in place: its old side does not exist any more")
    );
    world.snapshot().await.describes_the_same(&before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_check_is_a_fault_of_the_configuration() {
    let Some(world) = World::start(Needs::AnyServer).await else {
        return;
    };
    let faulty = "  - {name: a, kind: no_rows, sql: 'DROP SCHEMA {{ green(\"a.b\") }}'}\n  \
                  - {name: a, kind: row_count, relation: totals, tolerance: many}\n";
    checks(&world, faulty);
    let refused = world.cutover(&["deploy"]).await.exits(2);
    refused
        .says("checks[0].sql")
        .says("checks[1].name")
        .says("checks[1].relation")
        .says("checks[1].tolerance");
}

/// A person whom nobody wants to see.
const NO_EVE: &str = "  - name: no eve\n    kind: no_rows\n    run: [soak]\n    \
                      sql: SELECT 1 FROM {{ green(\"shop_staging.orders\") }} WHERE customer = 'eve'\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_passes_rolls_nothing_back() {
    let Some((world, _replay)) = quick().await else {
        return;
    };
    let text = format!("soak_check_interval: 2s\nchecks:\n{NO_EVE}");
    world.project.write("cutover.yaml", &text);
    customer(&world).await;
    let mut deploying = world.spawn(&["deploy", "--soak", "1h"]);
    let says = async |running: &mut crate::support::Running, what: &str| {
        running
            .until(what, |line| line["text"].to_string().contains(what))
            .await
    };
    says(&mut deploying, "passed").await;
    customer(&world).await;
    says(&mut deploying, "the 1st of 3 times in a row").await;
    let gone = "DELETE FROM shop_staging.orders WHERE customer = 'eve'";
    world.sql.run(gone).await;
    let status = world.cutover(&["status"]).await.exits(0).document();
    let deployment = &status["environments"][0]["deployment"];
    let id = deployment["id"].as_str().expect("an id").to_owned();
    eventually("the check to pass again", async || {
        let check = shown(&world, &id).await["checks"][0].clone();
        let passed = check["verdict"] == "passed" && check["runs"].as_u64() > Some(2);
        passed.then_some(())
    })
    .await;
    deploying.signal(Signal::SIGINT);
    let ended = deploying.ended().await.exits(130);
    assert!(!ended.states().contains(&"rolling_back".to_owned()));
    let shown = shown(&world, &ended.deployment()).await;
    assert_eq!(shown["checks"][0]["failures"], 0, "{shown}");
    world.serves(2).await;
    world.cutover(&["cleanup"]).await.exits(0);
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_for_its_own_reasons_has_said_nothing_about_the_data() {
    let Some((world, _replay)) = quick().await else {
        return;
    };
    // Out of memory, and whatever the server has no code for.
    for code in ["53200", "XX000"] {
        checks(&world, &[ROWS, "    run: [soak]\n"].concat());
        world
            .sql
            .run(&format!(
                "INSERT INTO mz_sandbox.faults (pattern, application_name, action, argument, times) \
                 VALUES ('cutover: check row count', 'cutover', 'error', '{code}', NULL)"
            ))
            .await;
        // The end of the soak needs an answer; neither side is given up without one.
        let stuck = world.cutover(&["deploy"]).await.exits(5);
        let stuck = stuck.says("got no answer").says(code);
        assert!(!stuck.states().contains(&"rolling_back".to_owned()));
        let shown = shown(&world, &stuck.deployment()).await;
        assert_eq!(verdicts(&shown), ["soak totals keep their rows no_answer"]);
        world.let_go().await;
        world.cutover(&["resume"]).await.exits(0);
        world.nothing_left().await;
    }
}
