//! Chat, mail and pagers: what each is told, in the form that its vendor documents, and what becomes of one that does
//! not answer.

use super::support::mail::{Encrypts, MailServer};
use super::support::{Asked, Endpoint, Needs, Replay, Says, World, eventually};
use serde_json::{Value, json};

/// A project whose models belong to somebody.
async fn owned() -> Option<(World, Replay)> {
    let mut world = World::start(Needs::Sandbox).await?;
    world.produce_by_sql().await;
    world.project.without_tests();
    world.project.write(
        "models/owners.yml",
        "groups:\n- {name: finance, owner: {name: Finance, email: finance@example.com, slack: \"#finance\"}}\n\
         models:\n- name: totals\n  config: {group: finance, meta: {owner: ann@example.com}}\n",
    );
    let replay = Replay::named(&mut world, "prod").await;
    Some((world, replay))
}

fn bodies(endpoint: &Endpoint) -> Vec<Value> {
    let body = |asked: &Asked| serde_json::from_str(&asked.body).expect("JSON");
    endpoint.asked().iter().map(body).collect()
}

/// Those of one topic, by what its texts say.
async fn told(endpoint: &Endpoint, what: &str) -> Value {
    eventually(what, async || {
        let mut bodies = bodies(endpoint).into_iter();
        bodies.find(|body| body.to_string().contains(what))
    })
    .await
}

/// "Block Kit" and "Sending messages using incoming webhooks" of Slack's documentation.
fn is_of_slack(message: &Value) {
    let most = |text: &Value, most: usize| {
        let text = text["text"].as_str().expect("a text");
        assert!((1..=most).contains(&text.chars().count()), "{text}");
    };
    most(message, 4000);
    let blocks = message["blocks"].as_array().expect("blocks");
    assert!((1..=50).contains(&blocks.len()), "{message}");
    for block in blocks {
        match block["type"].as_str().expect("a type") {
            "header" => {
                assert_eq!(block["text"]["type"], "plain_text", "{block}");
                most(&block["text"], 150);
            }
            "section" => match block["fields"].as_array() {
                Some(fields) => {
                    assert!((1..=10).contains(&fields.len()), "{block}");
                    for field in fields {
                        assert_eq!(field["type"], "mrkdwn", "{block}");
                        most(field, 2000);
                    }
                }
                None => most(&block["text"], 3000),
            },
            "context" => {
                let elements = block["elements"].as_array().expect("elements");
                assert!((1..=10).contains(&elements.len()), "{block}");
            }
            other => panic!("a block {other}"),
        }
    }
}

/// "Adaptive Cards for Teams", and what a workflow takes.
fn is_of_teams(message: &Value) {
    assert_eq!(message["type"], "message");
    let attachments = message["attachments"].as_array().expect("a card");
    assert_eq!(attachments.len(), 1, "{message}");
    assert_eq!(
        attachments[0]["contentType"],
        "application/vnd.microsoft.card.adaptive"
    );
    let card = &attachments[0]["content"];
    assert_eq!(
        (&card["type"], &card["version"]),
        (&json!("AdaptiveCard"), &json!("1.4"))
    );
    for element in card["body"].as_array().expect("elements") {
        assert_eq!(element["type"], "RichTextBlock", "{element}");
        for run in element["inlines"].as_array().expect("runs") {
            assert_eq!(run["type"], "TextRun", "{run}");
            assert!(run["text"].is_string(), "{run}");
        }
    }
    assert_eq!(card["actions"][0]["type"], "Action.OpenUrl", "{card}");
}

/// "Send an Event to PagerDuty" (Events API v2).
fn is_of_pagerduty(event: &Value) {
    assert_eq!(event["routing_key"], "a key of theirs");
    let key = event["dedup_key"].as_str().expect("a key");
    assert!((1..=255).contains(&key.len()), "{event}");
    match event["event_action"].as_str().expect("an action") {
        "trigger" => {
            let payload = &event["payload"];
            let summary = payload["summary"].as_str().expect("a summary");
            assert!((1..=1024).contains(&summary.chars().count()), "{event}");
            assert!(payload["source"].is_string(), "{event}");
            let severity = payload["severity"].as_str().expect("a severity");
            assert!(
                ["critical", "error", "warning", "info"].contains(&severity),
                "{event}"
            );
            assert!(event["links"][0]["href"].is_string(), "{event}");
        }
        "acknowledge" | "resolve" => assert!(event["payload"].is_null(), "{event}"),
        other => panic!("an action {other}"),
    }
}

#[tokio::test]
async fn each_kind_is_told_in_its_form_and_trouble_that_is_mended_resolves() {
    let Some((mut world, _replay)) = owned().await else {
        return;
    };
    let chat = Endpoint::listen(Says::Later(429, "1".to_owned())).await;
    chat.says_each(vec![
        Says::Later(429, "1".to_owned()),
        Says::Body(200, "ok".to_owned()),
    ]);
    let room = Endpoint::listen(Says::Body(202, String::new())).await;
    room.says_each(vec![
        Says::Body(500, "not now".to_owned()),
        Says::Body(202, String::new()),
    ]);
    let pager = Endpoint::listen(Says::Body(503, "{}".to_owned())).await;
    let bus = Endpoint::listen(Says::Body(204, String::new())).await;
    let mail = MailServer::listen(Encrypts::Never).await;
    // Whoever connects here waits for ever; nobody else is to.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    for (name, value) in [
        ("CHAT", format!("{}/services/T0/B0/hush", chat.url)),
        ("ROOM", format!("{}/workflows/hush", room.url)),
        ("PAGER", "a key of theirs".to_owned()),
    ] {
        world.environment.insert(name.to_owned(), value);
    }
    let settings = format!(
        "http: {{listen: null, advertise: \"https://cutover.example.com/\"}}\n\
         environments:\n  prod:\n    project: {{target: prod}}\n    promotion: manual\n\
         notifications:\n\
         - {{name: dead, kind: generic, url: \"http://{dead}/\", timeout: 10m}}\n\
         - {{name: chat, kind: slack, url: \"env:CHAT\", events: [ready, stuck]}}\n\
         - {{name: room, kind: teams, url: \"env:ROOM\", events: [ready, stuck], title: \"{{{{ environment }}}} → {{{{ topic }}}}\"}}\n\
         - {{name: pager, kind: pagerduty, url: \"{pager}/v2/enqueue\", routing_key: \"env:PAGER\"}}\n\
         - {{name: bus, kind: generic, url: \"{bus}\", events: [stuck]}}\n\
         - {{name: owners, kind: email, server: \"{mail}\", tls: none, from: cutover@example.com, to: [on-call@example.com, owners], events: [ready]}}\n",
        dead = dead.local_addr().expect("an address"),
        pager = pager.url,
        bus = bus.url,
        mail = mail.place,
    );
    let daemon = world.serve("daemon", &settings).await;
    daemon.does("prod", "idle").await;
    let release = "/v1/environments/prod/releases";
    assert_eq!(daemon.post(release, &json!({})).await.0, 202);
    let ready = daemon.does("prod", "waiting_for_promotion").await;
    let id = ready["deployment"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let page = format!("https://cutover.example.com/#/deployments/{id}");

    // Both were told again: one when it said so, one that did not answer well.
    for (endpoint, judge) in [
        (&chat, is_of_slack as fn(&Value)),
        (&room, is_of_teams as fn(&Value)),
    ] {
        let message = told(endpoint, &page).await;
        judge(&message);
        let written = message.to_string();
        for fact in [
            "prod",
            "ready",
            "ann@example.com",
            "Finance",
            "model.shop.totals",
        ] {
            assert!(written.contains(fact), "{fact}: {written}");
        }
        eventually("the second attempt", async || {
            let bodies = bodies(endpoint);
            bodies[1..].contains(&bodies[0]).then_some(())
        })
        .await;
    }
    assert!(bodies(&room)[0].to_string().contains("prod → ready"));
    let mails = eventually("the mail", async || {
        let mails = mail.mails();
        let of_it = mails.into_iter().filter(|mail| mail.text.contains(&id));
        Some(Vec::from_iter(of_it)).filter(|mails| !mails.is_empty())
    })
    .await;
    assert_eq!(
        mails[0].to,
        [
            "ann@example.com",
            "finance@example.com",
            "on-call@example.com"
        ]
    );
    assert_eq!(
        mails[0].header("Subject"),
        "prod: a release is ready to be promoted"
    );
    assert_eq!(mails[0].header("Auto-Submitted"), "auto-generated");
    assert!(mails[0].text.contains(&page), "{mails:?}");

    // Somebody's table keeps it from being unwound, until somebody has looked.
    let table = format!("{}_dbt_deploy.kept", world.name("serving"));
    world
        .sql
        .run(&format!("CREATE TABLE {table} (n int)"))
        .await;
    let abort = "/v1/environments/prod/abort";
    assert_eq!(daemon.post(abort, &json!({})).await.0, 202);
    daemon.does("prod", "waiting_for_a_person").await;
    is_of_slack(&told(&chat, ":rotating_light:").await);
    is_of_teams(&told(&room, "prod → stuck").await);
    let stuck = told(&bus, "a person must look").await;
    assert_eq!(stuck["details"]["kind"], "stuck_at", "{stuck}");
    assert_eq!(stuck["url"], json!(page));
    world.sql.run(&format!("DROP TABLE {table}")).await;
    let resume = "/v1/environments/prod/resume";
    assert_eq!(daemon.post(resume, &json!({})).await.0, 202);
    daemon.does("prod", "idle").await;
    // What mends it waits until the trouble was told, also over a start of the daemon.
    eventually("a call", async || (!pager.asked().is_empty()).then_some(())).await;
    daemon.stopped().await.exits(0);
    let calls = bodies(&pager);
    assert!(
        calls.iter().all(|call| call["event_action"] == "trigger"),
        "{calls:#?}"
    );
    pager.says(Says::Body(202, json!({"status": "success"}).to_string()));
    let daemon = world.serve("again", &settings).await;
    let calls = eventually("what mends it", async || {
        let calls = bodies(&pager);
        let is_mended = calls.iter().any(|call| call["event_action"] == "resolve");
        is_mended.then_some(calls)
    })
    .await;
    for call in &calls {
        is_of_pagerduty(call);
        assert_eq!(call["dedup_key"], calls[0]["dedup_key"]);
        assert!(
            call["dedup_key"]
                .as_str()
                .is_some_and(|key| key.contains(&id))
        );
    }
    assert_eq!(calls[0]["payload"]["severity"], "critical");
    let first = calls
        .iter()
        .position(|call| call["event_action"] == "resolve");
    let last = calls
        .iter()
        .rposition(|call| call["event_action"] == "trigger");
    assert!(first > last, "{calls:#?}");
    let log = daemon.log();
    daemon.stopped().await.exits(0);
    world.nothing_left().await;
    assert!(
        !log.contains("hush") && !log.contains("a key of theirs"),
        "{log}"
    );

    // What can be tried without telling anybody is tried.
    let asked = [chat.asked().len(), mail.mails().len()];
    let file = world.home().join("check.yaml");
    let lively = settings.lines().filter(|line| !line.contains("name: dead"));
    std::fs::write(
        &file,
        Vec::from_iter(lively).join(
            "
",
        ),
    )
    .expect("a file");
    let file = file.display().to_string();
    let checked = world
        .cutover_text(&["check", "prod", "--config", &file])
        .await;
    let checked = checked
        .says("chat (slack): 127.0.0.1 answers")
        .says("owners (email): ");
    assert!(!checked.all().contains("hush"), "{checked}");
    assert_eq!(
        [chat.asked().len(), mail.mails().len()],
        [asked[0] + 1, asked[1]]
    );
    assert_eq!(
        chat.asked().last().map(|one| one.line.clone()).as_deref(),
        Some("HEAD /")
    );
}

#[tokio::test]
async fn a_test_message_says_what_came_of_it() {
    let Some(mut world) = World::start(Needs::Sandbox).await else {
        return;
    };
    let good = Endpoint::listen(Says::Body(200, "ok".to_owned())).await;
    let bad = Endpoint::listen(Says::Body(404, "no_team hush".to_owned())).await;
    let starttls = MailServer::listen(Encrypts::Starttls).await;
    let implicit = MailServer::listen(Encrypts::Always).await;
    let never = MailServer::listen(Encrypts::Never).await;
    let slow = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    for (name, value) in [
        ("GOOD", good.url.clone()),
        ("BAD", format!("{}/hush", bad.url)),
        ("PASSWORD", "a password".to_owned()),
        ("WRONG", "wrong".to_owned()),
    ] {
        world.environment.insert(name.to_owned(), value);
    }
    let both: Vec<String> = [&starttls, &implicit]
        .map(|server| std::fs::read_to_string(server.authority()).expect("a file"))
        .into();
    let trusted = world.home().join("trusted.pem");
    std::fs::write(&trusted, both.concat()).expect("a file");
    let mail = |name: &str, server: &MailServer, more: &str| {
        format!(
            "- {{name: {name}, kind: email, server: \"{}\", from: cutover@example.com, to: ann@example.com, {more}}}\n",
            server.place
        )
    };
    let settings = format!(
        "notifications:\n- {{name: chat, kind: slack, url: \"env:GOOD\", title: \"{{{{ what }}}}\"}}\n\
         - {{name: pager, kind: pagerduty, url: \"{}\", routing_key: \"env:PASSWORD\"}}\n\
         - {{name: bad, kind: slack, url: \"env:BAD\"}}\n\
         - {{name: unset, kind: teams, url: \"env:UNSET\"}}\n\
         - {{name: slow, kind: generic, url: \"http://{}\", timeout: 200ms}}\n\
         - {{name: slow-mail, kind: email, server: \"{1}\", tls: none, from: a@example.com, to: b@example.com, timeout: 200ms}}\n{}{}{}{}",
        good.url,
        slow.local_addr().expect("an address"),
        mail(
            "starttls",
            &starttls,
            "user: cutover, password: \"env:PASSWORD\""
        ),
        mail("implicit", &implicit, "tls: implicit"),
        mail("wrong", &starttls, "user: cutover, password: \"env:WRONG\""),
        mail(
            "stripped",
            &never,
            "user: cutover, password: \"env:PASSWORD\""
        ),
    );
    let file = world.home().join("cutover.yaml");
    std::fs::write(&file, settings).expect("a file");
    let file = file.display().to_string();
    let authority = trusted.display().to_string();
    world
        .environment
        .insert("SSL_CERT_FILE".to_owned(), authority);
    let test = async |name: &str| {
        world
            .cutover(&["notify", "--test", name, "--config", &file])
            .await
    };

    let told = test("chat").await.exits(0).document();
    assert_eq!(
        (&told["target"], &told["kind"]),
        (&json!("chat"), &json!("slack")),
        "{told}"
    );
    is_of_slack(&bodies(&good)[0]);
    assert_eq!(
        bodies(&good)[0]["blocks"][0]["text"]["text"],
        ":information_source: this is a test"
    );
    test("pager").await.exits(0);
    assert_eq!(bodies(&good)[1]["event_action"], "trigger");
    assert_eq!(bodies(&good)[1]["payload"]["severity"], "info");
    for (name, server) in [("starttls", &starttls), ("implicit", &implicit)] {
        test(name).await.exits(0);
        let mails = server.mails();
        assert_eq!(mails.len(), 1, "{name}");
        assert_eq!(mails[0].to, ["ann@example.com"]);
        assert!(mails[0].text.contains("nothing happened"), "{mails:?}");
    }
    let login = starttls.mails()[0].login.clone();
    assert_eq!(login, Some(("cutover".to_owned(), "a password".to_owned())));
    for (name, why) in [
        ("bad", "it answered 404 Not Found: no_team"),
        ("unset", "the environment variable UNSET is not set"),
        ("slow", "within 200ms"),
        ("slow-mail", "slow-mail was not told"),
        ("wrong", "no such user"),
        // Nothing is said to a server that does not encrypt.
        ("stripped", "stripped was not told"),
    ] {
        let outcome = test(name).await.exits(4).says(why);
        assert!(!outcome.all().contains("a password"), "{outcome}");
    }
    assert!(never.mails().is_empty());
    test("nobody")
        .await
        .exits(2)
        .says("there are chat, pager, bad");
}
