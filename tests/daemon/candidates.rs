//! A candidate that waits for approvals, gates and times.

use super::support::{Daemon, Endpoint, Says, World};
use super::{configuration, world};
use serde_json::{Value, json};

/// Who the test has tokens for.
const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];

/// A daemon that listens to tokens of several people.
struct Several {
    daemon: Daemon,
    base: String,
}

fn token(person: &str) -> String {
    format!("{person}-0123456789abcdef")
}

/// Starts a daemon whose environment has these settings more.
async fn serve(world: &World, more: &str) -> Several {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let folder = world.home().join("daemon");
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut tokens = String::new();
    for person in PEOPLE {
        std::fs::write(folder.join(person), token(person)).expect("a token");
        tokens.push_str(&format!(
            "    - {{name: {person}, secret: \"file:{person}\", scopes: [read, release, promote], groups: [{person}s]}}\n"
        ));
    }
    let settings = format!(
        "http:\n  listen: {address}\n  tokens:\n{tokens}environments:\n  prod:\n    project: {{target: prod}}\n{more}"
    );
    Several {
        daemon: world.serve("daemon", &settings).await,
        base: format!("http://{address}"),
    }
}

impl Several {
    /// What one of them asks.
    async fn ask(&self, person: &str, verb: &str, body: &Value) -> (u16, Value) {
        let client = cutover::foundation::tls::http_client()
            .user_agent("a script")
            .build()
            .expect("a client");
        let url = format!("{}/v1/environments/prod/{verb}", self.base);
        let request = client.post(url).bearer_auth(token(person)).json(body);
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.expect("JSON"))
    }

    /// Waits until the candidate waits for this.
    async fn waits_for(&self, what: &str) -> Value {
        let waits = |status: &Value| {
            let waits_for = &status["promotion"]["waits_for"];
            status["deployment"]["state"] == "ready" && waits_for.to_string().contains(what)
        };
        self.daemon.until("prod", what, waits).await
    }

    async fn ends(&self, state: &str) -> Value {
        let ended =
            |status: &Value| status["activity"] == "idle" && status["deployment"]["state"] == state;
        self.daemon.until("prod", state, ended).await
    }

    /// What happened to the deployment, in words.
    async fn events(&self, id: &Value) -> Vec<Value> {
        let id = id.as_str().expect("an id");
        let events = self
            .daemon
            .get(&format!("/v1/deployments/{id}/events"))
            .await;
        events["events"].as_array().expect("events").clone()
    }
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let kind =
        |event: &'_ Value| -> Option<usize> { event["event"]["kind"].as_str().map(str::len) };
    assert!(events.iter().all(|event| kind(event).is_some()));
    events
        .iter()
        .map(|event| event["event"]["kind"].as_str().expect("a word"))
        .collect()
}

fn says(decision: &str) -> Says {
    Says::Body(
        200,
        format!(r#"{{"decision": "{decision}", "reason": "see CHG-7"}}"#),
    )
}

#[tokio::test]
async fn two_others_approve_and_it_goes_on_after_a_kill() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let more =
        "    approvals: {count: 2, by: [alice, 'group:bobs', 'group:carols']}\n    soak: 1h\n";
    let several = serve(&world, more).await;
    several.daemon.does("prod", "idle").await;
    let early = several.ask("bob", "approve", &json!({})).await;
    assert_eq!(early.0, 409, "{early:?}");
    let (status, begun) = several.ask("alice", "releases", &json!({})).await;
    assert_eq!(status, 202, "{begun}");
    let ready = several.waits_for("0 of 2 approvals").await;
    assert_eq!(ready["activity"], "waiting_for_promotion", "{ready:#}");
    let id = ready["deployment"]["id"].clone();
    let reason = ready["deployment"]["reason"].to_string();
    assert!(
        reason.contains("0 of 2 approvals (by alice, group:bobs, group:carols)"),
        "{reason}"
    );
    // Whoever asked does not count, however they come in; nobody swaps without the others.
    let asker = several.ask("alice", "approve", &json!({})).await;
    assert_eq!(asker.0, 409, "{asker:?}");
    assert!(
        asker.1.to_string().contains("asked for by token alice"),
        "{asker:?}"
    );
    for verb in ["promote", "promote?dry_run=true"] {
        let (status, refused) = several.ask("carol", verb, &json!({})).await;
        assert_eq!(status, 409, "{refused}");
        assert!(
            refused
                .to_string()
                .contains("it waits for 0 of 2 approvals"),
            "{refused}"
        );
    }
    let (status, would) = several.ask("bob", "approve?dry_run=true", &json!({})).await;
    assert_eq!(status, 200, "{would}");
    assert!(
        would["would"].to_string().contains("1 of 2 approvals"),
        "{would}"
    );
    let other = json!({"deployment": "0198c3f2-0000-7000-8000-000000000000"});
    assert_eq!(several.ask("bob", "approve", &other).await.0, 409);
    let (status, approved) = several
        .ask("bob", "approve", &json!({"deployment": id}))
        .await;
    assert_eq!((status, &approved["deployment"]), (202, &id), "{approved}");
    let again = several.ask("bob", "approve", &json!({})).await;
    assert!(
        again.0 == 409 && again.1.to_string().contains("already"),
        "{again:?}"
    );
    let one = several.waits_for("1 of 2 approvals").await;
    assert_eq!(
        one["promotion"]["approvals"][0]["by"]["name"], "bob",
        "{one:#}"
    );
    world.serves(1).await;

    // Who approved is in the journal, so that another process goes on with it.
    several.daemon.killed().await;
    let several = serve(&world, more).await;
    let still = several.waits_for("1 of 2 approvals").await;
    assert_eq!(still["deployment"]["id"], id, "{still:#}");
    let metrics = several.daemon.try_get("/metrics").await.expect("metrics");
    assert!(
        metrics.contains("cutover_approvals_missing{environment=\"prod\"} 1"),
        "{metrics}"
    );
    // Unix users are not among those who may.
    let no = several
        .daemon
        .post("/v1/environments/prod/approve", &json!({}))
        .await;
    assert!(
        no.0 == 409 && no.1.to_string().contains("not among those who may"),
        "{no:?}"
    );
    let (status, approved) = several.ask("carol", "approve", &json!({})).await;
    assert_eq!(status, 202, "{approved}");
    several
        .daemon
        .until("prod", "the soak", |status| {
            status["deployment"]["state"] == "soaking"
        })
        .await;
    world.serves(2).await;
    let events = several.events(&id).await;
    let approvals: Vec<&Value> = events
        .iter()
        .filter(|event| event["event"]["kind"] == "approved")
        .collect();
    let by: Vec<&Value> = approvals.iter().map(|event| &event["by"]["name"]).collect();
    assert_eq!(by, ["bob", "carol"], "{events:#?}");
    let shown = several
        .daemon
        .get(&format!("/v1/deployments/{}", id.as_str().expect("an id")))
        .await;
    assert_eq!(
        shown["promotion"]["approvals"].as_array().map(Vec::len),
        Some(2),
        "{shown:#}"
    );
    several.daemon.stopped().await.exits(0);
}

#[tokio::test]
async fn a_gate_is_asked_until_it_says_yes() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let gate = Endpoint::listen(Says::Body(503, "down".to_owned())).await;
    let more = format!(
        "    gates:\n      - {{name: board, url: \"{}/ask\", interval: 50ms, timeout: 5s, headers: {{X-Key: \"file:{}\"}}}}\n",
        gate.url,
        world.home().join("daemon/alice").display()
    );
    let several = serve(&world, &more).await;
    several.daemon.does("prod", "idle").await;
    let (status, begun) = several.ask("alice", "releases", &json!({})).await;
    assert_eq!(status, 202, "{begun}");
    let ready = several.waits_for("the gate board").await;
    let id = ready["deployment"]["id"].clone();
    let stands = async |answer: &str| {
        several
            .daemon
            .until("prod", answer, |status| {
                status["promotion"]["gates"][0]["answer"] == answer
            })
            .await
    };
    let unclear = stands("unclear").await;
    let gate_shown = &unclear["promotion"]["gates"][0];
    assert_eq!(gate_shown["says"], "it answers 503", "{unclear:#}");
    // It goes on by itself, so that nobody is waited for; and nobody gets past it.
    assert_eq!(unclear["activity"], "releasing", "{unclear:#}");
    let (status, refused) = several.ask("bob", "promote", &json!({})).await;
    assert_eq!(status, 409, "{refused}");
    assert!(
        refused.to_string().contains("it waits for the gate board"),
        "{refused}"
    );
    gate.says(says("wait"));
    let not_yet = stands("not_yet").await;
    assert_eq!(
        not_yet["promotion"]["gates"][0]["says"], "see CHG-7",
        "{not_yet:#}"
    );
    world.serves(1).await;

    // The time counts from when it was first asked, whoever asks.
    let since = not_yet["promotion"]["gates"][0]["since"].clone();
    several.daemon.killed().await;
    let several = serve(&world, &more).await;
    let still = several.waits_for("the gate board").await;
    assert_eq!(still["promotion"]["gates"][0]["since"], since, "{still:#}");
    gate.says(says("yes"));
    several.ends("done").await;
    world.serves(2).await;
    world.nothing_left().await;
    let asked = gate.asked();
    let last = asked.last().expect("a question");
    assert_eq!(last.line, "POST /ask");
    assert_eq!(last.headers["x-key"], token("alice").as_str());
    let body: Value = serde_json::from_str(&last.body).expect("JSON");
    assert_eq!(body["deployment"], id, "{body}");
    assert_eq!(
        (&body["environment"], &body["gate"]),
        (&json!("prod"), &json!("board"))
    );
    let plan = body["plan"].as_str().expect("where the plan is");
    assert!(
        plan.starts_with("http://127.0.0.1:") && plan.ends_with(id.as_str().expect("an id")),
        "{body}"
    );
    // Once it said yes it is not asked again.
    let events = several.events(&id).await;
    assert!(kinds(&events).contains(&"promotion_waits"), "{events:#?}");
    several.daemon.stopped().await.exits(0);
}

#[tokio::test]
async fn a_gate_that_says_no_ends_the_release() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let gate = Endpoint::listen(says("no")).await;
    let more = format!(
        "    gates:\n      - {{name: board, url: \"{}\"}}\n",
        gate.url
    );
    let several = serve(&world, &more).await;
    several.daemon.does("prod", "idle").await;
    several.ask("alice", "releases", &json!({})).await;
    let failed = several.ends("failed").await;
    let reason = failed["deployment"]["reason"].to_string();
    assert!(
        reason.contains("the gate board says no: see CHG-7"),
        "{failed:#}"
    );
    world.serves(1).await;
    world.nothing_left().await;
    let events = several.events(&failed["deployment"]["id"]).await;
    let kinds = kinds(&events);
    assert!(
        kinds.ends_with(&["gate_closed", "unwound_after_failure"]),
        "{kinds:?}"
    );
    assert_eq!(gate.asked().len(), 1);
    several.daemon.stopped().await.exits(0);
}

#[tokio::test]
async fn what_is_approved_while_it_is_held_goes_on_when_that_is_lifted() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let more = "    approvals: {count: 2, by: [promote]}\n    soak: 1h\n";
    let several = serve(&world, more).await;
    several.daemon.does("prod", "idle").await;
    let (status, begun) = several.ask("alice", "releases", &json!({})).await;
    assert_eq!(status, 202, "{begun}");
    several.waits_for("0 of 2 approvals").await;
    assert_eq!(several.ask("bob", "approve", &json!({})).await.0, 202);
    let one = several.waits_for("1 of 2 approvals").await;
    let id = one["deployment"]["id"].clone();
    let held = json!({"reason": "an audit"});
    assert_eq!(several.ask("alice", "hold", &held).await.0, 202);
    assert_eq!(several.ask("carol", "approve", &json!({})).await.0, 202);
    let is_held_up = |status: &Value| {
        let reason = status["deployment"]["reason"].to_string();
        status["activity"] == "held_up" && reason.contains("held: an audit")
    };
    several.daemon.until("prod", "the hold", is_held_up).await;
    // Another process waits for the same, and it is on record once.
    several.daemon.killed().await;
    let several = serve(&world, more).await;
    let still = several.daemon.until("prod", "the hold", is_held_up).await;
    assert_eq!(still["deployment"]["state"], "ready", "{still:#}");
    world.serves(1).await;
    let events = several.events(&id).await;
    let held_up = kinds(&events).into_iter().filter(|kind| *kind == "held_up");
    assert_eq!(held_up.count(), 1, "{events:#?}");
    assert_eq!(several.ask("bob", "release-hold", &json!({})).await.0, 202);
    let soaks = |status: &Value| status["deployment"]["state"] == "soaking";
    several.daemon.until("prod", "the swap", soaks).await;
    world.serves(2).await;
    several.daemon.stopped().await.exits(0);
}

#[tokio::test]
async fn what_nobody_promotes_expires_also_while_nobody_is_there() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let hook = Endpoint::listen(Says::Body(200, String::new())).await;
    let webhooks = format!("webhooks:\n  - {{name: ops, url: \"{}\"}}\n", hook.url);
    let settings = |expires: &str| {
        format!(
            "{webhooks}{}",
            configuration(&format!("    promotion: manual\n    expires: {expires}\n"))
        )
    };
    let daemon = world.serve("daemon", &settings("10s")).await;
    daemon.does("prod", "idle").await;
    let (status, begun) = daemon
        .post("/v1/environments/prod/releases", &json!({}))
        .await;
    assert_eq!(status, 202, "{begun}");
    let ready = daemon.does("prod", "waiting_for_promotion").await;
    let expires = &ready["promotion"]["expires_at"];
    assert!(expires.is_string(), "{ready:#}");
    // Another process has the same deadline, whatever the configuration says by then.
    daemon.killed().await;
    let daemon = world.serve("daemon", &settings("300d")).await;
    let ended = daemon
        .until("prod", "the end", |status| {
            status["deployment"]["state"] == "aborted" && status["activity"] == "idle"
        })
        .await;
    let reason = ended["deployment"]["reason"].to_string();
    assert!(
        reason.contains("nobody promoted it within 10s"),
        "{ended:#}"
    );
    world.serves(1).await;
    world.nothing_left().await;
    let metrics = daemon.try_get("/metrics").await.expect("metrics");
    assert!(
        metrics.contains("cutover_expired_total{environment=\"prod\"} 1"),
        "{metrics}"
    );
    super::support::eventually("the webhook", async || {
        let told = hook.asked();
        told.iter()
            .any(|told| told.body.contains("\"expired\""))
            .then_some(())
    })
    .await;
    daemon.stopped().await.exits(0);
}

#[tokio::test]
async fn the_time_promotes_by_itself() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let more = "    promotion: manual\n    promote_after: 3s\n";
    let daemon = world.serve("daemon", &configuration(more)).await;
    daemon.does("prod", "idle").await;
    daemon
        .post("/v1/environments/prod/releases", &json!({}))
        .await;
    let ended = daemon
        .until("prod", "the end", |status| {
            status["deployment"]["state"] == "done"
        })
        .await;
    world.serves(2).await;
    let id = ended["deployment"]["id"].as_str().expect("an id");
    let shown = daemon.get(&format!("/v1/deployments/{id}")).await;
    let time = |value: &Value| -> jiff::Timestamp {
        let text = value.as_str().expect("a time");
        text.parse().expect("a time")
    };
    let mut events = shown["events"].as_array().expect("events").iter();
    let started = events.find(|event| event["event"]["kind"] == "promotion_started");
    let started = time(&started.expect("it was promoted")["at"]);
    let due = time(&shown["promotion"]["promote_at"]);
    assert!(started >= due, "{started} {due}");
    daemon.stopped().await.exits(0);
}
