//! Names from outside that would run something, in every place where the page shows one.

use super::browser::Browser;
use super::daemon::{self, RELEASER, STAGE, World};
use super::scene::{self, HOSTILE};
use super::{corner, login, no_fault_in};
use cutover::domain::lifecycle::state::{Event, State};
use cutover::domain::progress::Progress;
use serde_json::{Value, json};
use std::time::Duration;

/// Names from outside are text in every view.
#[tokio::test]
async fn no_name_runs_anything() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let world = World::of(&["prod", "ci", STAGE, HOSTILE], scene::everything).await;
    let store = world.daemon.store(HOSTILE).expect("a journal");
    let name = |at: usize| format!("{HOSTILE}{at}");
    let mut hostile = serde_json::to_value(scene::plan(HOSTILE, 24, &name)).expect("JSON");
    poison(&mut hostile);
    let plan = serde_json::from_value(hostile).expect("a plan");
    let stuck = Event::StuckAt {
        state: State::Building,
        reason: HOSTILE.to_owned(),
    };
    let events = [Event::StagingStarted, Event::Staged, stuck];
    let id = scene::record(&store, plan, &events).await;
    let lead = store.lead(HOSTILE).await.expect("the lead");
    let intent = json!({HOSTILE: HOSTILE});
    let effect = store.begin_effect(&lead, &id, HOSTILE, &intent);
    effect.await.expect("begun");
    daemon::show(&world.daemon, HOSTILE, &id, State::Stuck);
    world.daemon.status_board.change(HOSTILE, |status| {
        status.leader = Some(HOSTILE.to_owned());
        status.revision = Some(HOSTILE.to_owned());
        status.problem = Some(HOSTILE.to_owned());
        status.readiness = scene::readiness(1);
        for cluster in &mut status.readiness {
            cluster.cluster = format!("{HOSTILE}{}", cluster.cluster);
            cluster.waiting_for = vec![HOSTILE.to_owned()];
        }
        let deployment = status.deployment.as_mut().expect("one");
        deployment.reason = Some(HOSTILE.to_owned());
        deployment.by = Some(cutover::domain::records::subject::Subject::Token {
            name: HOSTILE.to_owned(),
        });
    });
    let mut clusters = scene::readiness(1);
    clusters[0].relations[0].name = HOSTILE.to_owned();
    daemon_tells(&world, &id, Progress::Readiness { clusters });
    scene::logs(&world, &id, HOSTILE);
    corner(&world, "prod", "pr-1").await;
    login(&browser, &world.url(""), RELEASER).await;
    let path = |text: &str| {
        let bytes = text.bytes().map(|byte| format!("%{byte:02x}"));
        bytes.collect::<String>()
    };
    for address in [
        "#/".to_owned(),
        format!("#/deployments/{id}"),
        format!("#/history/{}", path(HOSTILE)),
        format!("#/pulls/{}", path(HOSTILE)),
        format!("#/pulls/prod/{}", path(HOSTILE)),
        "#/stuck".to_owned(),
        format!("#/deployments/{}", path(HOSTILE)),
    ] {
        browser
            .script("location.hash = arguments[0]", json!([address]))
            .await;
        browser
            .until("!document.querySelector('main').textContent.includes('takes its time')")
            .await;
        for text in [HOSTILE, "note: "] {
            let progress = Progress::Warning {
                text: text.to_owned(),
            };
            daemon_tells(&world, &id, progress);
        }
        tokio::time::sleep(Duration::from_millis(900)).await;
        let found = "document.querySelector(\"[data-key='logs/read']\")?.click(); \
            for (const one of document.querySelectorAll('details')) one.open = true; \
            return [typeof window.pwned, document.querySelectorAll('img, iframe, main script, [onerror]').length, \
            document.body.textContent.includes('onerror=alert(1)'), document.body.textContent.includes('\\u202e')]";
        let found = browser.script(found, json!([])).await;
        assert_eq!(found[0], json!("undefined"), "{address}");
        assert_eq!(found[1], json!(0), "{address}");
        assert_eq!(found[3], json!(false), "{address}");
        assert!(!browser.has_alert().await, "{address}");
        if address.starts_with("#/deployments") && !address.contains('%') || address == "#/" {
            assert_eq!(found[2], json!(true), "{address}");
        }
        browser
            .pictures(&format!(
                "hostile-{}",
                address
                    .trim_start_matches("#/")
                    .split('/')
                    .next()
                    .unwrap_or_default()
            ))
            .await;
    }
    // The server's own list, too.
    browser.go(&world.url("/")).await;
    assert!(!browser.has_alert().await);
    no_fault_in(&browser.said().await);
}

fn daemon_tells(world: &World, id: &str, progress: Progress) {
    world
        .daemon
        .status_board
        .tell(cutover::operations::daemon::status::News {
            environment: HOSTILE.to_owned(),
            deployment: Some(id.to_owned()),
            at: jiff::Timestamp::now(),
            progress,
            corner: None,
        });
}

/// Whatever of a plan is free text says something nasty.
fn poison(plan: &mut Value) {
    for key in ["notes", "gains", "loses", "tests"] {
        plan[key] = json!([HOSTILE]);
    }
    plan["held_back"] = json!({HOSTILE: HOSTILE});
    plan["columns"] =
        json!([{"relation": HOSTILE, "column": HOSTILE, "change": "added", "to": HOSTILE}]);
    for node in plan["nodes"].as_array_mut().expect("nodes") {
        node["schema"] = json!(HOSTILE);
        node["cluster"] = json!(HOSTILE);
        node["reason"] = json!(HOSTILE);
    }
}
