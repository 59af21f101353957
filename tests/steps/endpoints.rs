//! Checks that ask a Prometheus or another endpoint, and checks that are only told or that ask a person.

use crate::support::{Endpoint, Needs, Outcome, Replay, Says, World};
use serde_json::Value;

/// Production by SQL and a dbt that answers at once.
pub(super) async fn quick() -> Option<(World, Replay)> {
    let mut world = World::prepared(Needs::Sandbox).await?;
    let replay = Replay::of(&mut world).await;
    Some((world, replay))
}

pub(super) fn checks(world: &World, checks: &str) {
    let text = format!("soak_check_interval: 50ms\nchecks:\n{checks}");
    world.project.write("cutover.yaml", &text);
}

/// A check of errors at a Prometheus, with further keys.
pub(super) fn errors(endpoint: &Endpoint, more: &str) -> String {
    format!(
        "  - {{name: few errors, kind: prometheus, url: \"{}\", query: errors, condition: \"< 0.01\"{more}}}\n",
        endpoint.url
    )
}

pub(super) async fn shown(world: &World, outcome: &Outcome) -> Value {
    let id = outcome.deployment();
    world.cutover(&["show", &id]).await.exits(0).document()
}

pub(super) fn check<'a>(shown: &'a Value, name: &str, moment: &str) -> &'a Value {
    let mut checks = shown["checks"].as_array().expect("checks").iter();
    let is_it = |check: &&Value| check["name"] == name && check["moment"] == moment;
    checks.find(is_it).expect("the check")
}

/// How the deployment of the environment stands.
async fn stands(world: &World) -> Value {
    let status = world.cutover(&["status"]).await.exits(0).document();
    status["environments"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_fails_before_the_swap_ends_the_release() {
    let Some((world, replay)) = quick().await else {
        return;
    };
    let endpoint = Endpoint::prometheus("0.5").await;
    let before = world.snapshot().await;
    let query =
        "rate(errors{schema='{{ green(\"shop_marts\") }}', deployment='{{ deployment }}'}[5m])";
    let text = format!(
        "  - name: few errors\n    kind: prometheus\n    url: {}/mimir/{{{{ environment }}}}\n    query: >-\n      {query}\n    \
         condition: '< 0.01'\n",
        endpoint.url
    );
    checks(&world, &text);
    let failed = world.cutover(&["deploy"]).await.exits(1);
    let failed =
        failed.says("a check failed before the swap: \"few errors\": the value 0.5 is not < 0.01");
    assert!(!failed.states().contains(&"ready".to_owned()), "{failed}");
    world.snapshot().await.is(&before);
    let record = shown(&world, &failed).await;
    let found = check(&record, "few errors", "before");
    assert_eq!(found["verdict"], "failed");
    assert_eq!(found["samples"][0]["value"], 0.5, "{found}");
    assert_eq!(found["samples"][0]["status"], 200);
    assert_eq!(found["samples"][0]["holds"], false);

    endpoint.says(Says::vector("0.003"));
    replay.makes(2, false);
    let done = world.cutover(&["deploy"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
    let record = shown(&world, &done).await;
    let asked = check(&record, "few errors", "soak")["asked"].clone();
    let (id, environment) = (done.deployment(), record["environment"].as_str());
    let environment = environment.expect("a name");
    assert_eq!(
        asked,
        format!(
            "rate(errors{{schema='shop_marts', deployment='{id}'}}[5m]) < 0.01 at {}/mimir/{environment}",
            endpoint.url
        )
    );
    let lines: Vec<String> = endpoint.asked().into_iter().map(|one| one.line).collect();
    let path = format!("GET /mimir/{environment}/api/v1/query?query=rate");
    assert!(
        lines.iter().all(|line| line.starts_with(&path)),
        "{lines:?}"
    );
    assert!(lines[1].contains("shop_marts_dbt_deploy"), "{lines:?}");
    assert!(!lines[2].contains("shop_marts_dbt_deploy"), "{lines:?}");
    world
        .cutover_text(&["show", &id])
        .await
        .exits(0)
        .says("the value 0.003 is < 0.01")
        .says("LEVEL");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_advisory_is_told_and_stops_nothing() {
    let Some((world, _replay)) = quick().await else {
        return;
    };
    let endpoint = Endpoint::prometheus("0.5").await;
    let sql = "  - {name: two rows, kind: no_rows, level: advisory, sql: 'SELECT 1 FROM {{ green(\"shop_marts.totals\") }}'}\n";
    checks(
        &world,
        &[errors(&endpoint, ", level: advisory").as_str(), sql].concat(),
    );
    let done = world.cutover(&["deploy"]).await.exits(0);
    let done = done
        .says("the check \"few errors\" FAILED, which is only told (advisory): the value 0.5 is not < 0.01")
        .says("the check \"two rows\" FAILED, which is only told (advisory): the query returned 2 rows");
    world.serves(2).await;
    world.nothing_left().await;
    let record = shown(&world, &done).await;
    for moment in ["before", "soak"] {
        for name in ["few errors", "two rows"] {
            let found = check(&record, name, moment);
            assert_eq!(found["verdict"], "failed", "{found}");
            assert_eq!(found["level"], "advisory", "{found}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_waits_for_a_person_before_the_swap() {
    let Some((world, replay)) = quick().await else {
        return;
    };
    let endpoint = Endpoint::prometheus("0.5").await;
    let why = "a person must decide: a check failed before the swap: \"few errors\": the value 0.5 is not < 0.01";
    checks(&world, &errors(&endpoint, ", level: ask, run: [before]"));
    for (verb, state, live) in [("abort", "aborted", 1), ("promote", "done", 2)] {
        replay.makes(2, false);
        let waits = world.cutover(&["deploy"]).await.exits(0);
        let waits = waits.says("a person must decide").says("cutover promote");
        assert_eq!(waits.states().last().map(String::as_str), Some("ready"));
        world.serves(1).await;
        let status = stands(&world).await;
        assert_eq!(status["deployment"]["state"], "ready", "{status}");
        assert_eq!(status["deployment"]["reason"], why, "{status}");
        let commands = status["advice"]["commands"].to_string();
        assert!(commands.contains("cutover promote"), "{commands}");
        // Nobody else decides: neither another release, nor one who goes on.
        world.cutover(&["deploy"]).await.exits(3).says("ready");
        let resumed = world.cutover(&["resume"]).await.exits(0);
        assert!(!resumed.states().contains(&"soaking".to_owned()));
        world.serves(1).await;
        world.cutover(&[verb]).await.exits(0);
        let record = shown(&world, &waits).await;
        let events = record["events"].as_array().expect("events").iter();
        let asked: Vec<&Value> = events
            .filter(|event| event["event"]["kind"] == "decision_asked")
            .collect();
        assert_eq!(asked.len(), 1, "{record}");
        assert_eq!(asked[0]["event"]["reason"], why);
        assert_eq!(asked[0]["by"]["kind"], "cutover");
        assert_eq!(record["state"], state);
        world.serves(live).await;
        world.nothing_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_required_query_that_fails_in_the_soak_rolls_back() {
    let Some((world, _replay)) = quick().await else {
        return;
    };
    let endpoint = Endpoint::prometheus("0.5").await;
    let before = world.snapshot().await;
    checks(&world, &errors(&endpoint, ", run: [soak]"));
    let failed = world.cutover(&["deploy"]).await.exits(1);
    let failed = failed
        .says("(the 1st of 3 times in a row that roll back)")
        .says("ROLLED BACK");
    assert!(failed.states().contains(&"rolling_back".to_owned()));
    world.snapshot().await.is(&before);
    world.nothing_left().await;
    assert_eq!(endpoint.asked().len(), 3);
    let record = shown(&world, &failed).await;
    assert_eq!(check(&record, "few errors", "soak")["failures"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_in_the_soak_keeps_both_sides_until_a_person_decides() {
    let Some((world, replay)) = quick().await else {
        return;
    };
    let endpoint = Endpoint::prometheus("0.5").await;
    let why = "a person must decide: a check failed after the swap: \"few errors\": the value 0.5 is not < 0.01";
    checks(&world, &errors(&endpoint, ", level: ask, run: [soak]"));
    let waiting = async || {
        endpoint.says(Says::vector("0.5"));
        replay.makes(2, false);
        let waits = world.cutover(&["deploy"]).await.exits(0);
        let waits = waits
            .says("(the 1st of 3 times in a row that ask a person)")
            .says("a person must decide")
            .says("cutover rollback");
        assert_eq!(waits.states().last().map(String::as_str), Some("soaking"));
        world.serves(2).await;
        let status = stands(&world).await;
        assert_eq!(status["deployment"]["state"], "soaking", "{status}");
        assert_eq!(status["deployment"]["reason"], why, "{status}");
        let commands = status["advice"]["commands"].to_string();
        assert!(commands.contains("cutover rollback"), "{commands}");
        assert!(commands.contains("cutover cleanup"), "{commands}");
        // It asks as long as it fails, and nobody else drops the old side.
        let again = world.cutover(&["resume"]).await.exits(0);
        assert_eq!(again.states().last().map(String::as_str), Some("soaking"));
        world.cutover(&["deploy"]).await.exits(3);
        waits
    };
    let undone = waiting().await;
    world.cutover(&["rollback"]).await.exits(0);
    world.serves(1).await;
    world.nothing_left().await;
    assert_eq!(shown(&world, &undone).await["state"], "rolled_back");

    // When the reason has gone, what was automatic goes on.
    let well = waiting().await;
    endpoint.says(Says::vector("0"));
    world.cutover(&["resume"]).await.exits(0);
    world.nothing_left().await;
    let record = shown(&world, &well).await;
    assert_eq!(record["state"], "done");
    let kinds: Vec<&str> = record["events"]
        .as_array()
        .expect("events")
        .iter()
        .filter_map(|event| event["event"]["kind"].as_str())
        .filter(|kind| kind.starts_with("decision"))
        .collect();
    assert_eq!(kinds, ["decision_asked", "decision_withdrawn"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_cleans_up_has_decided() {
    let Some((world, _replay)) = quick().await else {
        return;
    };
    let endpoint = Endpoint::listen(Says::Body(502, "away".to_owned())).await;
    // Of what asks, no answer is a question, too.
    checks(&world, &errors(&endpoint, ", level: ask, run: [soak]"));
    let waits = world.cutover(&["deploy"]).await.exits(0);
    let waits = waits.says("it answers 502 Bad Gateway (unreachable)");
    world.serves(2).await;
    world.cutover(&["cleanup"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
    let record = shown(&world, &waits).await;
    assert_eq!(record["state"], "done");
    assert_eq!(check(&record, "few errors", "soak")["verdict"], "no_answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_no_answer_has_a_name_and_a_policy() {
    let Some((world, _replay)) = quick().await else {
        return;
    };
    let two = r#"[{"metric":{"i":"a"},"value":[1,"0"]},{"metric":{"i":"b"},"value":[1,"0"]}]"#;
    let refused =
        r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\""}"#;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let gone = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);
    let elsewhere = Endpoint::prometheus("0").await;
    let all = [
        ("nan", Says::success("scalar", r#"[1,"NaN"]"#)),
        ("empty", Says::success("vector", "[]")),
        ("several", Says::success("vector", two)),
        ("wrong_type", Says::success("matrix", "[]")),
        ("wrong_type", Says::Body(400, refused.to_owned())),
        ("wrong_type", Says::Body(200, "<html>".to_owned())),
        (
            "wrong_type",
            Says::Elsewhere(format!("{}/x", elsewhere.url)),
        ),
        ("wrong_type", Says::Endless),
        ("unreachable", Says::Body(503, "later".to_owned())),
        ("timeout", Says::Nothing),
        ("unreachable", Says::Nothing),
    ];
    let mut text = String::new();
    let mut listening = Vec::new();
    for (number, (name, says)) in all.iter().enumerate() {
        let endpoint = Endpoint::listen(says.clone()).await;
        let url = match number {
            10 => gone.clone(),
            _ => endpoint.url.clone(),
        };
        let common = format!(
            "kind: prometheus, url: \"{url}\", query: up, condition: \"> -1\", timeout: 2s, run: [before]"
        );
        text.push_str(&format!(
            "  - {{name: fails {number}, level: advisory, {common}}}\n  - {{name: passes {number}, on_{name}: pass, {common}}}\n"
        ));
        listening.push(endpoint);
    }
    checks(&world, &text);
    let done = world.cutover(&["deploy"]).await.exits(0);
    let record = shown(&world, &done).await;
    for (number, (name, _)) in all.iter().enumerate() {
        let fails = check(&record, &format!("fails {number}"), "before");
        assert_eq!(fails["verdict"], "failed", "{fails}");
        assert_eq!(fails["samples"][0]["unknown"], *name, "{fails}");
        assert_eq!(fails["samples"][0]["holds"], Value::Null, "{fails}");
        let passes = check(&record, &format!("passes {number}"), "before");
        assert_eq!(passes["verdict"], "passed", "{passes}");
        let says = passes["says"].as_str().expect("a sentence");
        assert!(
            says.ends_with(&format!("(on_{name}: counts as passed)")),
            "{says}"
        );
    }
    assert!(elsewhere.asked().is_empty(), "a redirect was followed");
    let long = check(&record, "fails 7", "before")["says"].to_string();
    assert!(long.contains("longer than 1 MiB"), "{long}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_asked_again_before_the_swap_but_not_for_ever() {
    let Some((world, replay)) = quick().await else {
        return;
    };
    let away = || Says::Body(502, String::new());
    let endpoint = Endpoint::listen(away()).await;
    let more = ", run: [before], on_unreachable: wait, wait_for: 1s, times: {samples: 3, enough: 2, interval: 20ms}";
    checks(&world, &errors(&endpoint, more));
    let failed = world.cutover(&["deploy"]).await.exits(1);
    failed.says("it answers 502 Bad Gateway (unreachable, waited for for 1s)");
    world.nothing_left().await;

    let before = endpoint.asked().len();
    endpoint.says_each(vec![
        away(),
        away(),
        Says::vector("0.5"),
        Says::vector("0"),
        Says::vector("0.001"),
    ]);
    let done = world.cutover(&["deploy"]).await.exits(0);
    assert_eq!(endpoint.asked().len() - before, 5);
    let record = shown(&world, &done).await;
    let found = check(&record, "few errors", "before");
    let values: Vec<Option<f64>> = found["samples"]
        .as_array()
        .expect("samples")
        .iter()
        .map(|sample| sample["value"].as_f64())
        .collect();
    assert_eq!(values, [Some(0.5), Some(0.0), Some(0.001)], "{found}");
    let says = "it held in 2 of 3 samples, 2 of 3 are needed: the value 0.001 is < 0.01";
    assert_eq!(found["says"], says);
    // In a row: the first that does not hold ends it.
    let more = ", run: [before], times: {samples: 3, interval: 20ms}";
    checks(&world, &errors(&endpoint, more));
    endpoint.says_each(vec![Says::vector("0"), Says::vector("0.5")]);
    replay.makes(3, false);
    let failed = world.cutover(&["deploy"]).await.exits(1);
    failed.says("it held in 1 of 2 samples, 3 of 3 are needed: the value 0.5 is not < 0.01");
    assert_eq!(endpoint.asked().len() - before, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_away_in_the_soak_is_no_reason_to_roll_back_unless_it_is_said_so() {
    let Some((world, replay)) = quick().await else {
        return;
    };
    let endpoint = Endpoint::listen(Says::Body(503, String::new())).await;
    checks(&world, &errors(&endpoint, ", run: [soak]"));
    let stuck = world.cutover(&["deploy"]).await.exits(5);
    let stuck = stuck
        .says("got no answer and will be asked again: it answers 503 Service Unavailable (unreachable)")
        .says("a check got no answer after the swap");
    assert!(!stuck.states().contains(&"rolling_back".to_owned()));
    world.serves(2).await;
    endpoint.says(Says::vector("0"));
    world.cutover(&["resume"]).await.exits(0);
    world.nothing_left().await;
    let record = shown(&world, &stuck).await;
    assert_eq!(check(&record, "few errors", "soak")["verdict"], "passed");

    endpoint.says(Says::Body(503, String::new()));
    checks(
        &world,
        &errors(&endpoint, ", run: [soak], on_unreachable: fail"),
    );
    replay.makes(3, false);
    let failed = world.cutover(&["deploy"]).await.exits(1);
    failed
        .says("ROLLED BACK")
        .says("(on_unreachable: counts as a failure)");
    world.serves(2).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_asks_it_still_asks_and_once() {
    let Some((mut world, replay)) = quick().await else {
        return;
    };
    world.set("SOAK_CHECK_FAILURES", "1");
    let always = "  - {name: asks, kind: no_rows, level: ask, run: [MOMENT], sql: SELECT 1}\n";
    // Each write of the states about which it is; of the others a few.
    for (moment, closely, rests, ends) in [
        ("before", ["verifying", "ready"], "ready", "abort"),
        ("soak", ["soaking"; 2], "soaking", "rollback"),
    ] {
        checks(&world, &always.replace("MOMENT", moment));
        let mut writes = 1;
        let mut died = 0;
        loop {
            let side = ["before", "after"][writes as usize % 2];
            replay.makes(2, false);
            let killed = world.killed_at_write(side, writes, &["deploy"]).await;
            let dead = stands(&world).await;
            let dead_in = dead["deployment"]["state"].as_str().unwrap_or_default();
            if let Err(outcome) = &killed {
                assert_eq!(outcome.code, Some(0), "{outcome}");
            } else {
                died += 1;
                // Where nothing was recorded there is nothing to go on with.
                world.cutover(&["resume"]).await;
            }
            let status = stands(&world).await;
            let deployment = &status["deployment"];
            if deployment.is_null()
                || deployment["state"] == "aborted"
                || deployment["state"] == "rolled_back"
            {
                // Nothing of it was recorded yet.
                assert!(killed.is_ok(), "{status}");
            } else {
                assert_eq!(deployment["state"], rests, "{status}");
                let reason = deployment["reason"].as_str().expect("a reason");
                assert!(reason.starts_with("a person must decide"), "{status}");
                let id = deployment["id"].as_str().expect("an id");
                let record = world.cutover(&["show", id]).await.exits(0).document();
                let events = record["events"].as_array().expect("events").iter();
                let asked = events.filter(|event| event["event"]["kind"] == "decision_asked");
                assert_eq!(asked.count(), 1, "{record}");
                world.cutover(&[ends]).await.exits(0);
                world.serves(1).await;
                world.nothing_left().await;
            }
            if killed.is_err() {
                break;
            }
            writes += if closely.contains(&dead_in) { 1 } else { 5 };
        }
        assert!(died > 4, "{died}");
    }
}
