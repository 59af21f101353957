//! The HTTP API over real connections: who may ask, what is answered, and that every answer is as
//! docs/openapi.json says. Then the client, and the real `cutover --server`.

#[path = "support/certificate.rs"]
mod certificate;
#[path = "http/client.rs"]
mod client;
#[path = "http/corners.rs"]
mod corners;
#[path = "http/daemon.rs"]
mod daemon;
#[path = "http/hostile.rs"]
mod hostile;
#[path = "http/listen.rs"]
mod listen;
#[path = "http/openapi.rs"]
mod openapi;
#[path = "http/page.rs"]
mod page;
#[path = "http/streams.rs"]
mod streams;

use cutover::domain::lifecycle::role::Role;
use cutover::domain::plan::refusal::RefusalName;
use cutover::domain::records::subject::Subject;
use cutover::foundation::tls;
use cutover::inputs::settings::http::Scope;
use cutover::interfaces::api::problem::Kind;
use cutover::interfaces::http::ROUTES;
use cutover::operations::daemon::request::Command;
use daemon::{CORNERS, OF_CI, PROMOTER, READER, RELEASER, World};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// An answer.
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    /// Asserts that it is this problem.
    fn is(&self, status: u16, word: &str) -> &Self {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(
            body["type"],
            format!("urn:cutover:problem:{word}"),
            "{body}"
        );
        assert_eq!(body["status"], status);
        assert!(!body["hint"].as_str().expect("a hint").is_empty());
        self
    }
}

/// Asks, and compares the answer with the description where there is one.
async fn ask(world: &World, method: &str, path: &str, token: &str, body: Option<&str>) -> Answer {
    let method = method.parse().expect("a method");
    let mut request = tls::http_client()
        .build()
        .expect("a client")
        .request(method, world.url(path));
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request
            .header("content-type", "application/json")
            .body(body.to_owned());
    }
    sent(request).await
}

async fn sent(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.expect("an answer");
    Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        text: answer.text().await.expect("text"),
    }
}

async fn get(world: &World, path: &str, token: &str) -> Answer {
    ask(world, "GET", path, token, None).await
}

async fn post(world: &World, path: &str, token: &str, body: &str) -> Answer {
    ask(world, "POST", path, token, Some(body)).await
}

#[tokio::test]
async fn every_route_is_described_and_answers_as_described() {
    let world = World::start(|_| {}).await;
    let document = openapi::document();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").keys();
            methods.map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let known = ROUTES
        .iter()
        .map(|route| (route.method.to_owned(), route.path.to_owned()));
    assert_eq!(described, known.collect());
    let types = &document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"];
    let words: Vec<Value> = Kind::ALL
        .iter()
        .map(|kind| json!(format!("urn:cutover:problem:{}", kind.word())))
        .collect();
    assert_eq!(types, &Value::Array(words));
    let release = &document["components"]["schemas"]["Release"];
    let names = RefusalName::ALL.iter().filter(|name| name.is_allowable());
    let names: Vec<Value> = names.map(|name| json!(name.as_str())).collect();
    let allowed = &release["properties"]["allow"]["items"]["enum"];
    assert_eq!(allowed, &Value::Array(names));

    for route in ROUTES
        .iter()
        .filter(|route| !route.path.ends_with("stream"))
    {
        let path = |environment: &str, id: &str| {
            let path = route.path.replace("{environment}", environment);
            let path = path.replace("{run}", if id == world.ids[1] { &world.run } else { id });
            path.replace("{deployment}", id).replace("{name}", "pr-1")
        };
        let owner = match route.method {
            _ if route.path.contains("/ci") => CORNERS,
            "POST" => PROMOTER,
            _ => READER,
        };
        for (environment, id, token) in [
            ("prod", world.ids[1].as_str(), owner),
            ("prod", world.ids[1].as_str(), RELEASER),
            ("nowhere", "ffff", RELEASER),
            ("ci", "0", OF_CI),
            ("prod", "0", ""),
        ] {
            let body = (route.method == "POST").then_some("{}");
            let answer = ask(&world, route.method, &path(environment, id), token, body).await;
            let media_type = answer.header("content-type");
            let body = match media_type.contains("json") {
                true => answer.json(),
                false => Value::String(answer.text.clone()),
            };
            openapi::fits(route.method, route.path, answer.status, media_type, &body);
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
}

#[tokio::test]
async fn a_token_is_needed_and_its_scopes_and_environments_count() {
    let world = World::start(|_| {}).await;
    for path in ["/healthz", "/readyz", "/metrics", "/v1/openapi.json"] {
        assert_eq!(get(&world, path, "").await.status, 200, "{path}");
    }
    for token in [
        "",
        "short",
        "reader-012345678",
        "reader-01234567890",
        "READER-0123456789",
    ] {
        let answer = get(&world, "/v1/environments", token).await;
        let answer = answer.is(401, "unauthorized");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        get(&world, "/nowhere", token).await.is(401, "unauthorized");
    }
    let basic = tls::http_client()
        .build()
        .expect("a client")
        .get(world.url("/v1/environments"));
    sent(basic.basic_auth(READER, Some(READER)))
        .await
        .is(401, "unauthorized");

    get(&world, "/v1/environments", PROMOTER)
        .await
        .is(403, "forbidden");
    post(&world, "/v1/environments/prod/releases", READER, "")
        .await
        .is(403, "forbidden");
    post(&world, "/v1/environments/prod/promote", RELEASER, "")
        .await
        .is(403, "forbidden");
    post(&world, "/v1/environments/prod/abort", PROMOTER, "")
        .await
        .is(403, "forbidden");
    // Which environments there are is not told by the lack of a scope.
    post(&world, "/v1/environments/nowhere/promote", RELEASER, "")
        .await
        .is(403, "forbidden");

    let names = |answer: &Answer| -> Vec<String> {
        let body = answer.json();
        let all = body["environments"].as_array().expect("a list").iter();
        all.map(|one| one["environment"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(
        names(&get(&world, "/v1/environments", READER).await),
        ["ci", "prod", "slow"]
    );
    assert_eq!(names(&get(&world, "/v1/environments", OF_CI).await), ["ci"]);
    for rest in ["", "/plan", "/deployments", "/runs", "/stream"] {
        let there = get(&world, &format!("/v1/environments/prod{rest}"), OF_CI).await;
        let not_there = get(&world, &format!("/v1/environments/none{rest}"), OF_CI).await;
        there.is(404, "unknown-environment");
        assert_eq!(there.text.replace("prod", "none"), not_there.text);
    }
    let there = post(&world, "/v1/environments/prod/promote", OF_CI, "").await;
    let not_there = post(&world, "/v1/environments/none/promote", OF_CI, "").await;
    assert_eq!(
        there
            .is(404, "unknown-environment")
            .text
            .replace("prod", "none"),
        not_there.text
    );
    for (id, status) in [(&world.ids[0], 404), (&world.ids[2], 200)] {
        for rest in ["", "/events"] {
            let answer = get(&world, &format!("/v1/deployments/{id}{rest}"), OF_CI).await;
            assert_eq!(answer.status, status, "{}", answer.text);
        }
    }
    let run = format!("/v1/runs/{}", world.run);
    get(&world, &run, OF_CI).await.is(404, "unknown-run");
    assert_eq!(get(&world, &run, READER).await.json()["outcome"], "refused");
    // What is ambiguous to others is not to whoever sees one of them.
    let prefix = &world.ids[0][..8];
    get(&world, &format!("/v1/deployments/{prefix}"), READER)
        .await
        .is(409, "ambiguous-deployment");
    let mine = get(&world, &format!("/v1/deployments/{prefix}"), OF_CI).await;
    assert_eq!(mine.json()["id"], world.ids[2].as_str(), "{}", mine.text);
    assert_eq!(
        world.asked.lock().expect("a lock").len(),
        0,
        "nothing was asked"
    );
}

#[tokio::test]
async fn what_is_read_is_the_board_and_the_journal() {
    let world = World::start(|_| {}).await;
    let list = get(&world, "/v1/environments/prod/deployments?limit=1", READER)
        .await
        .json();
    assert_eq!(list["deployments"].as_array().map(Vec::len), Some(1));
    assert_eq!(list["deployments"][0]["id"], world.ids[1].as_str());
    for limit in ["0", "10001", "-1", "x", "1&more=1"] {
        let path = format!("/v1/environments/prod/deployments?limit={limit}");
        get(&world, &path, READER)
            .await
            .is(400, "invalid-parameter");
    }
    let failed = get(&world, &format!("/v1/deployments/{}", world.ids[0]), READER)
        .await
        .json();
    assert_eq!(failed["state"], "failed");
    assert_eq!(failed["reason"], "a model fails");
    assert_eq!(failed["events"].as_array().map(Vec::len), Some(4));
    let plan = get(&world, "/v1/environments/prod/plan", READER).await;
    assert_eq!(plan.json()["environment"], "prod");
    get(&world, "/v1/environments/slow/plan", READER)
        .await
        .is(404, "no-plan");
    get(&world, "/v1/deployments/%20", READER)
        .await
        .is(404, "unknown-deployment");
    get(&world, "/v1/deployments/%ff", READER)
        .await
        .is(400, "invalid-parameter");
    get(&world, "/v1/nothing", READER)
        .await
        .is(404, "not-found");
    for (method, path, allow) in [
        ("DELETE", "/v1/environments/prod", "GET"),
        ("GET", "/v1/environments/prod/promote", "POST"),
        ("PUT", "/healthz", "GET"),
    ] {
        let answer = ask(&world, method, path, RELEASER, None).await;
        let answer = answer.is(405, "method-not-allowed");
        assert!(
            answer.header("allow").contains(allow),
            "{:?}",
            answer.headers
        );
    }
    let head = ask(&world, "HEAD", "/v1/environments/prod", READER, None).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    world.daemon.set_store("prod", None);
    let answer = get(&world, "/v1/environments/prod/deployments", READER).await;
    assert!(!answer.is(503, "store").header("retry-after").is_empty());
}

#[tokio::test]
async fn it_is_ready_when_every_environment_is() {
    let world = World::start(|_| {}).await;
    assert_eq!(get(&world, "/readyz", "").await.json()["status"], "ready");
    world
        .daemon
        .status_board
        .change("ci", |status| status.role = Role::Standby);
    assert_eq!(get(&world, "/readyz", "").await.status, 200);
    world
        .daemon
        .status_board
        .change("ci", |status| status.role = Role::Starting);
    world.daemon.set_store("prod", None);
    let answer = get(&world, "/readyz", "").await;
    let said = answer.is(503, "not-ready").json()["detail"].to_string();
    assert!(
        said.contains("journal") && said.contains("starting"),
        "{said}"
    );
    assert!(!said.contains("ci") && !said.contains("prod"), "{said}");
    world.daemon.stop.cancel();
    let said = get(&world, "/readyz", "").await.json()["detail"].to_string();
    assert!(said.contains("stopping"), "{said}");
    assert_eq!(get(&world, "/healthz", "").await.status, 200);
}

#[tokio::test]
async fn who_may_not_promote_starts_what_waits() {
    let world = World::start(|_| {}).await;
    for body in [r#"{"allow": ["column-lost"]}"#, r#"{"bootstrap": true}"#] {
        let answer = post(&world, "/v1/environments/prod/releases", RELEASER, body).await;
        answer.is(403, "forbidden");
        assert!(answer.json()["detail"].to_string().contains("promote"));
    }
    assert!(world.asked.lock().expect("a lock").is_empty());
    for waits in [true, false] {
        let world = World::start(|http| {
            if !waits {
                for token in &mut http.tokens {
                    token.scopes.insert(Scope::Promote);
                }
            }
        })
        .await;
        let answer = post(&world, "/v1/environments/prod/releases", RELEASER, "{}").await;
        assert_eq!(answer.status, 202);
        let asked = world.asked.lock().expect("a lock");
        let Some((_, Command::Start(start), _)) = asked.last() else {
            panic!("{asked:?}");
        };
        assert_eq!(start.waits_for_promotion, waits);
    }
}

/// Who asked is the token's name, or over the socket the user whose process it was.
#[tokio::test]
async fn who_asks_is_handed_on() {
    let world = World::start(|_| {}).await;
    let path = "/v1/environments/prod/releases";
    assert_eq!(post(&world, path, RELEASER, "{}").await.status, 202);
    let abort = "/v1/environments/prod/abort";
    assert_eq!(post(&world, abort, RELEASER, "{}").await.status, 202);
    let wish = cutover::interfaces::api::document::Release::default();
    let begun = world.client().release("prod", &wish, "a key").await;
    begun.expect("accepted");
    let asked = world.asked.lock().expect("a lock");
    let by: Vec<Subject> = asked
        .iter()
        .map(|(_, command, _)| match command {
            Command::Start(start) => start.subject.clone().expect("somebody"),
            Command::Act { subject, .. }
            | Command::Hold { subject, .. }
            | Command::LiftHold { subject } => subject.clone(),
            Command::Approve { approver, .. } => approver.subject.clone(),
            Command::Corner(asked) => asked.subject.clone(),
            Command::DryRun(asked) => panic!("{asked:?}"),
        })
        .collect();
    let token = Subject::Token {
        name: "releaser".to_owned(),
    };
    assert_eq!(by, [token.clone(), token, Subject::of_process()]);
}

#[tokio::test]
async fn what_is_declined_says_why_and_what_to_do() {
    let world = World::start(|http| http.request_timeout.0 = Duration::from_secs(1)).await;
    let answer = post(&world, "/v1/environments/ci/releases", RELEASER, "").await;
    answer.is(503, "not-leading");
    assert_eq!(answer.json()["leader"], "http://other:8425");
    assert!(!answer.header("retry-after").is_empty());
    post(&world, "/v1/environments/prod/promote", PROMOTER, "{}")
        .await
        .is(409, "not-now");
    post(&world, "/v1/environments/prod/cleanup", PROMOTER, "")
        .await
        .is(409, "no-deployment");
    post(&world, "/v1/environments/slow/releases", RELEASER, "")
        .await
        .is(504, "timeout");
    world.daemon.stop.cancel();
    post(&world, "/v1/environments/prod/releases", RELEASER, "")
        .await
        .is(503, "stopping");
}

#[tokio::test]
async fn metrics_count_requests_and_name_no_token() {
    let world = World::start(|_| {}).await;
    get(&world, "/v1/environments/prod", READER).await;
    get(&world, "/v1/made-up", READER).await;
    ask(&world, "BREW", "/v1/environments", READER, None).await;
    let answer = get(&world, "/metrics", "").await;
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    let page = answer.text;
    for line in [
        r#"cutover_http_requests_total{route="/v1/environments/{environment}",method="GET",status="200"} 1"#,
        r#"cutover_http_requests_total{route="unmatched",method="GET",status="404"} 1"#,
        r#"cutover_http_requests_total{route="/v1/environments",method="other",status="405"} 1"#,
    ] {
        assert!(page.contains(line), "{line}\n{page}");
    }
    assert!(page.ends_with("# EOF\n") && !page.contains("made-up") && !page.contains(READER));
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(
            name.starts_with(|first: char| first.is_ascii_lowercase()),
            "{line}"
        );
    }
}
