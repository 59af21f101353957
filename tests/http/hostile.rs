//! What no client should send: bodies, keys and heads that are too much, too slow or nonsense.

use super::daemon::{OF_CI, READER, RELEASER, World};
use super::{get, post, sent};
use cutover::foundation::tls;
use cutover::operations::daemon::request::Command;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn bodies_that_cannot_be_read_ask_nothing() {
    let world = World::start(|http| http.body_limit = 4096).await;
    let path = "/v1/environments/prod/releases";
    for (body, said) in [
        ("{\n \"full\": tru }", "line 2 column"),
        ("{", "EOF"),
        ("[]", "invalid"),
        ("null", "invalid"),
        (r#"{"fulll": true}"#, "fulll"),
        (r#"{"full": 1}"#, "boolean"),
        (r#"{"full": true, "full": false}"#, "duplicate"),
        (r#"{"allow": ["nonsense"]}"#, "nonsense"),
        (r#"{"allow": ["not-owner"]}"#, "cannot be allowed"),
        (r#"{"full": true, "select": ["a"]}"#, "takes everything"),
        (r#"{"selector": "a", "exclude": ["b"]}"#, "in the place"),
        ("{}{}", "trailing"),
        ("\u{feff}{}", "expected value"),
    ] {
        let answer = post(&world, path, RELEASER, body).await;
        let answer = answer.is(422, "invalid-body").json();
        assert!(
            answer["detail"].to_string().contains(said),
            "{body}: {answer}"
        );
    }
    let answer = post(&world, path, RELEASER, "{\n \"full\": tru }")
        .await
        .json();
    assert_eq!(
        (&answer["line"], &answer["column"]),
        (&json!(2), &json!(13)),
        "{answer}"
    );
    let plain = tls::http_client()
        .build()
        .expect("a client")
        .post(world.url(path))
        .bearer_auth(RELEASER);
    sent(plain.body("{}"))
        .await
        .is(415, "unsupported-media-type");
    post(&world, path, RELEASER, &" ".repeat(4097))
        .await
        .is(413, "body-too-large");
    // Announced, it is refused unread; unannounced, as soon as it is too much.
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {RELEASER}\r\ncontent-type: application/json\r\n"
    );
    let huge = raw(
        &world,
        format!("{head}content-length: 99999999999\r\n\r\n").as_bytes(),
    )
    .await;
    assert!(huge.starts_with("HTTP/1.1 413"), "{huge}");
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(4096));
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{chunk}{chunk}");
    let huge = raw(&world, chunked.as_bytes()).await;
    assert!(huge.starts_with("HTTP/1.1 413"), "{huge}");
    let long = raw(
        &world,
        format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(99_999)).as_bytes(),
    )
    .await;
    assert!(long.starts_with("HTTP/1.1 4"), "{long}");
    for garbage in [&b"\x16\x03\x01\x02\x00"[..], b"NONSENSE\r\n\r\n", &[0; 64]] {
        raw(&world, garbage).await;
    }
    assert_eq!(get(&world, "/healthz", "").await.status, 200);
    assert_eq!(world.asked.lock().expect("a lock").len(), 0);
}

/// As [`raw`], by a client that goes on listening to what it is told; it asks to be hung up on.
async fn asked(world: &World, text: &str) -> String {
    let mut stream = TcpStream::connect(world.address).await.expect("connected");
    stream.write_all(text.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let read = tokio::time::timeout(Duration::from_secs(60), reading).await;
    read.expect("an end").expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

pub async fn raw(world: &World, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.address).await.expect("connected");
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_given_up() {
    let world = World::start(|http| http.request_timeout.0 = Duration::from_millis(300)).await;
    let mut stream = TcpStream::connect(world.address).await.expect("connected");
    let head = format!(
        "POST /v1/environments/prod/releases HTTP/1.1\r\nhost: a\r\nauthorization: bearer {RELEASER}\r\ncontent-length: 5\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn one_key_is_one_release_however_often_it_is_sent() {
    let world = World::start(|_| {}).await;
    let path = "/v1/environments/prod/releases";
    let send = |key: &str, body: &str| {
        let request = tls::http_client()
            .build()
            .expect("a client")
            .post(world.url(path))
            .bearer_auth(RELEASER);
        let request = request.header("idempotency-key", key);
        sent(
            request
                .header("content-type", "application/json; charset=utf-8")
                .body(body.to_owned()),
        )
    };
    let answers =
        futures_util::future::join_all((0..50).map(|_| send("a key", r#"{"full":true}"#))).await;
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (202, &answers[0].text));
    }
    assert_eq!(world.asked.lock().expect("a lock").len(), 1);
    send("a key", r#"{"full":false}"#)
        .await
        .is(422, "key-reused");
    let (_, command, idempotency) = world.asked.lock().expect("a lock")[0].clone();
    let Command::Start(start) = command else {
        panic!("{command:?}")
    };
    assert!(start.full && start.selection.is_none());
    let idempotency = idempotency.expect("a key");
    assert_eq!(
        (idempotency.key.as_str(), idempotency.fingerprint.len()),
        ("releaser\na key", 64)
    );
    // Whoever else counts from one asks for something of their own.
    let owner = tls::http_client()
        .unix_socket(world.socket.clone())
        .build()
        .expect("a client")
        .post(format!("http://daemon{path}"))
        .header("idempotency-key", "a key");
    assert_eq!(sent(owner).await.status, 202);
    assert_eq!(world.asked.lock().expect("a lock").len(), 2);
    for key in ["", &"k".repeat(256), "k\u{e9}y"] {
        let answer = send(key, "").await;
        answer.is(400, "invalid-parameter");
    }
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_to_wait() {
    let world = World::start(|http| http.requests_per_second = 1).await;
    // One a second comes back meanwhile, so that it is not said which one is too many.
    let mut refused = None;
    for _ in 0..40 {
        let answer = get(&world, "/v1/environments", READER).await;
        if answer.status != 200 {
            refused = Some(answer);
        }
    }
    let refused = refused.expect("too many");
    assert_eq!(
        refused.is(429, "too-many-requests").header("retry-after"),
        "1"
    );
    assert_eq!(
        get(&world, "/v1/environments", OF_CI).await.status,
        200,
        "others go on"
    );
    let mut refused = None;
    for _ in 0..40 {
        let answer = get(&world, "/v1/environments", "guess-0123456789abc").await;
        if answer.status != 401 {
            refused = Some(answer);
        }
        assert_eq!(get(&world, "/healthz", "").await.status, 200);
    }
    refused.expect("too many").is(429, "too-many-requests");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_called_large() {
    let world = World::start(|_| {}).await;
    let head = format!(
        "POST /v1/environments/prod/releases HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {RELEASER}\r\ncontent-type: application/json\r\n"
    );
    for rest in [
        "content-length: 20\r\n\r\n{}",
        "transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n",
    ] {
        let answer = raw(&world, format!("{head}{rest}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 422"), "{rest}: {answer}");
        assert!(answer.contains("the body broke off"), "{rest}: {answer}");
    }
    // Two lengths, or a negative one, are not guessed at.
    for rest in [
        "content-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
        "content-length: -1\r\n\r\n",
    ] {
        let answer = raw(&world, format!("{head}{rest}").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{rest}: {answer}");
    }
    let deep = format!(
        "{{\"select\":{}{}}}",
        "[".repeat(30_000),
        "]".repeat(30_000)
    );
    let path = "/v1/environments/prod/releases";
    post(&world, path, RELEASER, &deep)
        .await
        .is(422, "invalid-body");
    assert_eq!(world.asked.lock().expect("a lock").len(), 0);
}

#[tokio::test]
async fn a_body_changes_nothing_of_what_is_only_looked_at() {
    let world = World::start(|http| http.body_limit = 1024).await;
    for (path, status) in [
        ("/healthz", 200),
        ("/v1/openapi.json", 200),
        ("/v1/environments/prod", 200),
        ("/v1/nothing", 404),
    ] {
        for body in [
            format!("content-length: 2000\r\n\r\n{}", "x".repeat(2000)),
            "transfer-encoding: chunked\r\n\r\nzz\r\n".to_owned(),
        ] {
            let answer = raw(
                &world,
                format!(
                    "GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {READER}\r\n{body}"
                )
                .as_bytes(),
            )
            .await;
            let expected = format!("HTTP/1.1 {status}");
            assert!(answer.starts_with(&expected), "{path}: {answer}");
        }
    }
}

#[tokio::test]
async fn old_and_odd_requests_are_answered_or_refused() {
    let world = World::start(|_| {}).await;
    let head = format!("host: a\r\nauthorization: Bearer {READER}\r\nconnection: close\r\n\r\n");
    for (first, expected) in [
        ("GET /healthz HTTP/1.0", "HTTP/1.0 200"),
        ("HEAD /v1/environments/prod HTTP/1.1", "HTTP/1.1 200"),
        (
            "HEAD /v1/environments/prod/promote HTTP/1.1",
            "HTTP/1.1 405",
        ),
        ("OPTIONS /v1/environments HTTP/1.1", "HTTP/1.1 405"),
        ("OPTIONS * HTTP/1.1", "HTTP/1.1 404"),
        ("TRACE /v1/environments HTTP/1.1", "HTTP/1.1 405"),
        ("CONNECT a:1 HTTP/1.1", "HTTP/1.1 404"),
        ("GET //v1/environments HTTP/1.1", "HTTP/1.1 404"),
        ("GET /v1/environments/ HTTP/1.1", "HTTP/1.1 404"),
        ("GET /v1/environments/prod/../ci HTTP/1.1", "HTTP/1.1 404"),
        ("GET /v1/environments/%00 HTTP/1.1", "HTTP/1.1 404"),
        ("GET /v1/environments/%zz HTTP/1.1", "HTTP/1.1 404"),
        ("GET /v1/environments/..%2fprod HTTP/1.1", "HTTP/1.1 404"),
        ("GET /v1/environments/%ff HTTP/1.1", "HTTP/1.1 400"),
        ("GET /v1/deployments/%25 HTTP/1.1", "HTTP/1.1 404"),
        ("GET /v1/deployments/_ HTTP/1.1", "HTTP/1.1 404"),
        (
            "GET /v1/environments/prod/runs?limit=1&limit=2 HTTP/1.1",
            "HTTP/1.1 400",
        ),
    ] {
        let answer = asked(&world, &format!("{first}\r\n{head}")).await;
        assert!(answer.starts_with(expected), "{first}: {answer}");
    }
}
