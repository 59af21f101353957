//! Where the API listens: what is refused at once, the socket, TLS, and what a reload changes.

use super::certificate::{HERE, certificate};
use super::daemon::{READER, World, settings};
use super::get;
use super::hostile::raw;
use cutover::foundation::failure::{Class, Classify};
use cutover::interfaces::client::{Address, Client, Options};
use cutover::interfaces::http::{self, HttpError};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[tokio::test]
async fn what_cannot_be_listened_on_is_said_at_once() {
    let world = World::start(|_| {}).await;
    let base = world.base.path();
    let bind = async |change: fn(&mut cutover::inputs::settings::http::Http)| {
        let mut settings = settings(&world.base);
        settings.socket = None;
        change(&mut settings);
        http::bind(&settings, base).await.map(drop)
    };
    let mut occupied = settings(&world.base);
    occupied.listen = Some(world.address);
    let error = http::bind(&occupied, base).await.expect_err("occupied");
    assert!(matches!(error, HttpError::Listen { .. }), "{error}");
    assert_eq!(error.class(), Class::Refused);
    let error = http::bind(&world.settings, base).await.expect_err("in use");
    assert!(matches!(error, HttpError::SocketInUse { .. }), "{error}");
    std::fs::write(base.join("file"), "x").expect("written");
    for (result, said) in [
        (
            bind(|http| http.socket = Some("file".into())).await,
            "is not a socket",
        ),
        (
            bind(|http| http.socket = Some("x".repeat(200).into())).await,
            "more than",
        ),
        (
            bind(|http| http.socket = Some("file/below.sock".into())).await,
            "cannot make",
        ),
        (
            bind(|http| http.tls.certificate = Some("none.pem".into())).await,
            "",
        ),
        (
            bind(|http| {
                http.tls.certificate = Some("none.pem".into());
                http.tls.key = Some("none.key".into());
            })
            .await,
            "http.tls.certificate",
        ),
        (
            bind(|http| {
                http.tls.certificate = Some("file".into());
                http.tls.key = Some("file".into());
            })
            .await,
            "no certificate",
        ),
    ] {
        match result {
            Ok(()) => assert_eq!(said, "", "half of tls is the configuration's fault"),
            Err(error) => assert!(error.to_string().contains(said), "{error}"),
        }
    }
    assert_eq!(std::fs::read(base.join("file")).expect("still there"), b"x");
}

#[tokio::test]
async fn the_socket_is_for_its_owner_and_a_stale_one_is_replaced() {
    let world = World::start(|_| {}).await;
    let mode = std::fs::metadata(&world.socket)
        .expect("a socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        world.client().environments().await.expect("no token").len(),
        3
    );
    world.stop.cancel();
    world.serving.await.expect("served");
    let base = world.base.path();
    drop(std::os::unix::net::UnixListener::bind(base.join("d.sock")).expect("a stale socket"));
    let listeners = http::bind(&world.settings, base).await.expect("replaced");
    assert!(std::os::unix::net::UnixStream::connect(base.join("d.sock")).is_ok());
    drop(listeners);
}

#[tokio::test]
async fn tokens_travel_over_tls() {
    let files = tempfile::tempdir().expect("a folder");
    certificate(files.path(), "one", HERE);
    certificate(files.path(), "two", HERE);
    let (one, two) = (files.path().join("one.pem"), files.path().join("two.pem"));
    let mut world = World::start(|http| {
        http.tls.certificate = Some(one.clone());
        http.tls.key = Some(one.with_extension("key"));
    })
    .await;
    let address: Address = format!("https://{}", world.address)
        .parse()
        .expect("an address");
    let client = |ca: Option<&Path>| {
        let options = Options {
            token: Some(READER.to_owned().into()),
            ca_file: ca.map(Path::to_owned),
        };
        Client::connect(&address, &options).expect("a client")
    };
    assert_eq!(
        client(Some(&one))
            .environments()
            .await
            .expect("an answer")
            .len(),
        3
    );
    let error = client(None)
        .environments()
        .await
        .expect_err("nobody vouches");
    assert_eq!(error.class(), Class::Transient);
    raw(&world, b"GET /healthz HTTP/1.1\r\n\r\n").await;
    world.settings.tls.certificate = Some(two.clone());
    world.settings.tls.key = Some(one.with_extension("key"));
    world
        .handle
        .reload(&world.settings, world.base.path())
        .expect_err("another's key");
    assert!(client(Some(&one)).environments().await.is_ok());
    world.settings.tls.key = Some(two.with_extension("key"));
    world
        .handle
        .reload(&world.settings, world.base.path())
        .expect("reloaded");
    assert!(client(Some(&two)).environments().await.is_ok());
    assert!(client(Some(&one)).environments().await.is_err());
}

#[tokio::test]
async fn a_reload_changes_tokens_and_keeps_what_was_when_it_fails() {
    let world = World::start(|_| {}).await;
    let new = "reader-of-tomorrow-1";
    let write =
        |text: &str| std::fs::write(world.base.path().join("reader"), text).expect("written");
    write("too short");
    let error = world
        .handle
        .reload(&world.settings, world.base.path())
        .expect_err("weak");
    assert!(matches!(error, HttpError::Token { .. }) && !error.to_string().contains("too short"));
    assert_eq!(get(&world, "/v1/environments", READER).await.status, 200);
    write(new);
    world
        .handle
        .reload(&world.settings, world.base.path())
        .expect("reloaded");
    get(&world, "/v1/environments", READER)
        .await
        .is(401, "unauthorized");
    assert_eq!(get(&world, "/v1/environments", new).await.status, 200);
}
