//! Corners of pull requests: who may ask what of them, what is handed on, and the command line that asks.

use super::daemon::{CORNERS, OF_CI, PROMOTER, READER, RELEASER, World};
use super::{ask, get, openapi, post, sent};
use cutover::domain::location::repository::Reference;
use cutover::domain::records::corner::{Corner, CornerState, corner_lead};
use cutover::domain::records::subject::Subject;
use cutover::foundation::tls;
use cutover::interfaces::client::Item;
use cutover::interfaces::http::ROUTES;
use cutover::operations::ci::record::Record;
use cutover::operations::ci::report::{Kind, Report, Verdict};
use cutover::operations::daemon::request::{Command, CornerWish};
use serde_json::{Value, json};
use std::process::{Command as Program, Output};

const OF_PR: &str = "/v1/environments/prod/ci/pr-1";

#[tokio::test]
async fn the_scope_ci_builds_corners_and_does_nothing_else() {
    let world = World::start(|_| {}).await;
    for route in ROUTES {
        let path = route.path.replace("{environment}", "prod");
        let path = path.replace("{deployment}", &world.ids[1]);
        let path = path
            .replace("{run}", &world.run)
            .replace("{name}", "nothing");
        if path.ends_with("/stream") && path.contains("/ci/") {
            continue;
        }
        let body = (route.method == "POST").then_some("{}");
        let is_open = ["/healthz", "/readyz", "/metrics", "/v1/openapi.json"];
        let expected = match (route.method, path.contains("/ci")) {
            _ if is_open.contains(&path.as_str()) => 200,
            (_, false) => 403,
            // No revision is named.
            ("POST", true) => 422,
            ("DELETE", true) => 202,
            (_, true) if path.ends_with("/ci") => 200,
            // Nobody has asked for it before the row of DELETE.
            (_, true) => 404,
        };
        let answer = ask(&world, route.method, &path, CORNERS, body).await;
        assert_eq!(
            answer.status, expected,
            "{} {path}: {}",
            route.method, answer.text
        );
    }
    // Nor do the other scopes build.
    let builds = format!("{OF_PR}/builds");
    let body = r#"{"revision": "main"}"#;
    for token in [READER, RELEASER, PROMOTER] {
        post(&world, &builds, token, body)
            .await
            .is(403, "forbidden");
        let dropped = ask(&world, "DELETE", OF_PR, token, None).await;
        dropped.is(403, "forbidden");
    }
    let list = "/v1/environments/prod/ci";
    assert_eq!(get(&world, list, READER).await.status, 200);
    get(&world, list, PROMOTER).await.is(403, "forbidden");
    // An environment that is not the token's is not there.
    let of_ci = "/v1/environments/ci/ci";
    get(&world, of_ci, CORNERS)
        .await
        .is(404, "unknown-environment");
    post(&world, &format!("{of_ci}/pr-1/builds"), CORNERS, body)
        .await
        .is(404, "unknown-environment");
    post(&world, &builds, OF_CI, body)
        .await
        .is(403, "forbidden");
}

#[tokio::test]
async fn what_is_asked_of_a_corner_is_handed_on() {
    let world = World::start(|_| {}).await;
    let builds = format!("{OF_PR}/builds");
    for (body, said) in [
        ("", "`revision` is missing"),
        (r#"{"revision": "-x"}"#, "begins with -"),
        (r#"{"revision": "a..b"}"#, "is not a reference"),
        (
            r#"{"revision": "main", "base": "a b"}"#,
            "is not a reference",
        ),
        (
            r#"{"revision": "main", "all": true, "select": ["a"]}"#,
            "takes everything",
        ),
        (
            r#"{"revision": "main", "selector": "a", "exclude": ["b"]}"#,
            "in the place",
        ),
        (r#"{"revision": "main", "promote": true}"#, "promote"),
    ] {
        let answer = post(&world, &builds, CORNERS, body).await;
        let answer = answer.is(422, "invalid-body").json();
        assert!(answer["detail"].to_string().contains(said), "{answer}");
    }
    for name in ["-x", "a.b", "%20", "a%2Fb", &"a".repeat(201)] {
        let path = format!("/v1/environments/prod/ci/{name}");
        for method in ["GET", "DELETE"] {
            let answer = ask(&world, method, &path, CORNERS, None).await;
            answer.is(400, "invalid-parameter");
        }
    }
    assert!(world.asked.lock().expect("a lock").is_empty());

    let body =
        r#"{"revision": "refs/pull/1/merge", "base": "main", "select": ["a+"], "check": true}"#;
    let key = |body: &str| {
        let request = tls::http_client()
            .build()
            .expect("a client")
            .post(world.url(&builds));
        let request = request
            .bearer_auth(CORNERS)
            .header("idempotency-key", "one")
            .header("content-type", "application/json");
        sent(request.body(body.to_owned()))
    };
    let answer = key(body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(answer.header("location"), OF_PR);
    assert_eq!(key(body).await.text, answer.text, "asked twice");
    key(r#"{"revision": "main"}"#).await.is(422, "key-reused");
    let route = "/v1/environments/{environment}/ci/{name}/builds";
    openapi::fits("POST", route, 202, "application/json", &answer.json());
    let shown = get(&world, OF_PR, CORNERS).await;
    assert_eq!(shown.json()["build"]["id"], answer.json()["corner"]["id"]);
    let route = "/v1/environments/{environment}/ci/{name}";
    openapi::fits("GET", route, 200, "application/json", &shown.json());
    let dropped = ask(&world, "DELETE", OF_PR, CORNERS, None).await;
    assert_eq!(dropped.status, 202);
    assert_eq!(dropped.header("location"), OF_PR);
    openapi::fits("DELETE", route, 202, "application/json", &dropped.json());

    let asked = world.asked.lock().expect("a lock").clone();
    let [
        (_, Command::Corner(build), _),
        (_, Command::Corner(teardown), _),
    ] = asked.as_slice()
    else {
        panic!("{asked:?}");
    };
    let token = Subject::Token {
        name: "corners".to_owned(),
    };
    assert_eq!((&build.subject, &teardown.subject), (&token, &token));
    assert_eq!(build.name.as_str(), "pr-1");
    assert_eq!(teardown.wish, CornerWish::TearDown);
    let CornerWish::Build(wish) = &build.wish else {
        panic!("{build:?}");
    };
    let full = Reference::Full("refs/pull/1/merge".to_owned());
    assert_eq!((&wish.revision, wish.all, wish.check), (&full, false, true));
    assert_eq!(wish.base, Some(Reference::Name("main".to_owned())));
    let selection = wish.selection.as_ref().expect("a selection");
    assert_eq!(selection.select, ["a+"]);
}

fn report(name: &str, verdict: Verdict) -> Report {
    let mut report = Report::begun(Kind::Build, name, jiff::Timestamp::now());
    report.environment = "prod".to_owned();
    report.verdict = verdict;
    report
}

#[tokio::test]
async fn corners_are_those_of_the_journal_and_those_in_line() {
    let world = World::start(|_| {}).await;
    let store = world.daemon.store("prod").expect("a journal");
    let at = jiff::Timestamp::now();
    let lead = |name: &'static str| {
        let store = store.clone();
        async move { store.lead(&corner_lead("prod", name)).await.expect("led") }
    };
    for (name, state) in [
        ("pr-1", CornerState::Standing),
        ("pr-2", CornerState::Gone),
        ("pr-3", CornerState::Waiting),
    ] {
        let record = Record {
            owner: "token corners".to_owned(),
            report: Some(Box::new(report(name, Verdict::Failed))),
            reported: Some("0001".to_owned()),
            ..Record::default()
        };
        let corner = Corner {
            id: format!("id of {name}"),
            environment: "prod".to_owned(),
            name: name.to_owned(),
            state,
            created_at: at,
            updated_at: at,
            expires_at: at,
            ended_at: (state == CornerState::Gone).then_some(at),
            wanted: None,
            document: json!(record),
        };
        let lead = lead(name).await;
        store.write_corner(&lead, &corner).await.expect("recorded");
    }
    // pr-3 waits by the journal, pr-4 in line.
    let waits = lead("pr-3").await;
    let builds = "/v1/environments/prod/ci/pr-4/builds";
    let taken = post(&world, builds, CORNERS, r#"{"revision": "main"}"#).await;
    assert_eq!(taken.status, 202);
    let list = get(&world, "/v1/environments/prod/ci", CORNERS)
        .await
        .json();
    let route = "/v1/environments/{environment}/ci";
    openapi::fits("GET", route, 200, "application/json", &list);
    let listed = list["corners"].as_array().expect("corners").iter();
    let listed: Vec<(&str, &str, Option<u64>)> = listed
        .map(|it| {
            let text = |key: &str| it[key].as_str().unwrap_or_default();
            (text("name"), text("state"), it["position"].as_u64())
        })
        .collect();
    let expected = [
        ("pr-1", "standing", None),
        ("pr-3", "waiting", Some(1)),
        ("pr-4", "waiting", Some(2)),
    ];
    assert_eq!(listed, expected, "{list}");
    drop(waits);
    let route = "/v1/environments/{environment}/ci/{name}";
    for (name, corner, verdict) in [("pr-1", "standing", "failed"), ("pr-2", "", "failed")] {
        let path = format!("/v1/environments/prod/ci/{name}");
        let shown = get(&world, &path, READER).await.json();
        openapi::fits("GET", route, 200, "application/json", &shown);
        let state = shown["corner"]["state"].as_str().unwrap_or_default();
        assert_eq!(state, corner, "{shown}");
        assert_eq!(shown["report"]["verdict"], verdict, "{shown}");
        assert_eq!(shown["reported"], "0001", "{shown}");
    }
    get(&world, "/v1/environments/prod/ci/pr-9", READER)
        .await
        .is(404, "unknown-corner");
}

#[tokio::test]
async fn news_of_a_corner_are_a_stream_of_their_own() {
    let world = World::start(|_| {}).await;
    let client = world.client();
    let mut own = client.corner_news("prod", "pr-1").await.expect("a stream");
    let mut all = client.news(Some("prod")).await.expect("a stream");
    for name in ["pr-2", "pr-1"] {
        let path = format!("/v1/environments/prod/ci/{name}/builds");
        let taken = post(&world, &path, CORNERS, r#"{"revision": "main"}"#).await;
        assert_eq!(taken.status, 202);
    }
    let item = own.next().await.expect("news");
    let Some(Item::News(news)) = item else {
        panic!("{item:?}");
    };
    assert_eq!(news.corner.expect("a corner").name, "pr-1");
    world.stop.cancel();
    assert_eq!(all.next().await.expect("the end"), None);
}

async fn cutover(world: &World, token: &str, arguments: &[&str]) -> Output {
    let mut program = Program::new(env!("CARGO_BIN_EXE_cutover"));
    program
        .args(arguments)
        .args(["--server", &format!("http://{}", world.address)])
        .current_dir(world.base.path())
        .env("CUTOVER_TOKEN", token);
    for name in ["GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI"] {
        program.env_remove(name);
    }
    let ended = tokio::task::spawn_blocking(move || program.output()).await;
    ended.expect("joined").expect("started")
}

#[tokio::test]
async fn the_command_line_has_corners_built_by_a_daemon() {
    let world = World::start(|_| {}).await;
    let build = ["-v", "ci", "build", "prod", "--revision", "main", "--name"];
    for (name, code, said) in [
        ("pr-1", 0, "Nothing that is built"),
        ("fails", 1, "did not succeed"),
        ("refused", 3, "nobody vouches for it"),
    ] {
        let json = ["--json", "report.json", "--markdown", "report.md"];
        let arguments = [&build[..], &[name], &json].concat();
        let ended = cutover(&world, CORNERS, &arguments).await;
        let text = [&ended.stdout[..], &ended.stderr[..]].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert_eq!(ended.status.code(), Some(code), "{name}: {text}");
        assert!(text.contains(said), "{name}: {text}");
        assert!(text.contains(&format!("builds {name}")), "{name}: {text}");
        let written = std::fs::read(world.base.path().join("report.json")).expect("a report");
        let written: Value = serde_json::from_slice(&written).expect("JSON");
        assert_eq!(written["name"], name, "{written}");
    }
    for (token, arguments, code, said) in [
        (CORNERS, &["ci", "list", "prod"][..], 0, "no corner of prod"),
        (CORNERS, &["ci", "list"], 2, "no environment is named"),
        (READER, &["ci", "list"], 2, "several environments"),
        (
            CORNERS,
            &["ci", "teardown", "prod", "--name", "pr-1"],
            0,
            "dropped the corner pr-1",
        ),
        (
            CORNERS,
            &["ci", "teardown", "prod", "--name", "pr-1", "--dry-run"],
            2,
            "--dry-run",
        ),
        (
            RELEASER,
            &["ci", "teardown", "prod", "--name", "pr-1"],
            2,
            "lacks the scope ci",
        ),
        (
            CORNERS,
            &["ci", "build", "prod", "--name", "x", "--state", "d"],
            2,
            "--state",
        ),
        (CORNERS, &["ci", "gc", "prod"], 2, "--server"),
        (CORNERS, &["ci", "state", "d", "prod"], 2, "--server"),
        (CORNERS, &["deploy", "prod"], 2, "lacks the scope"),
        (
            CORNERS,
            &["ci", "report", "--environment", "prod", "--name", "nobody"],
            3,
            "there is no corner",
        ),
        (
            CORNERS,
            &[&build[..], &["quick", "--no-wait"]].concat(),
            0,
            "accepted (corner quick, id-",
        ),
    ] {
        let ended = cutover(&world, token, arguments).await;
        let text = [&ended.stdout[..], &ended.stderr[..]].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}
