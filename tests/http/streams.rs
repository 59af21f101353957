//! News as server-sent events.

use super::daemon::{READER, RELEASER, World};
use cutover::domain::progress::Progress;
use cutover::interfaces::api::problem::Kind;
use cutover::interfaces::client::{Address, Client, Item, Options};
use cutover::operations::daemon::status::News;
use std::time::{Duration, Instant};

#[tokio::test]
async fn news_are_streamed_until_the_daemon_stops() {
    let world = World::start(|_| {}).await;
    let client = world.client();
    let mut all = client.news(None).await.expect("a stream");
    let mut of_ci = client.news(Some("ci")).await.expect("a stream");
    let news = |environment: &str, text: &str| News {
        environment: environment.to_owned(),
        deployment: None,
        at: jiff::Timestamp::now(),
        progress: Progress::Note {
            text: text.to_owned(),
        },
        corner: None,
    };
    world.daemon.status_board.tell(news("prod", "one"));
    world.daemon.status_board.tell(news("ci", "two\nlines"));
    let text = |item: Option<Item>| {
        let Some(Item::News(news)) = item else {
            panic!("{item:?}");
        };
        let Progress::Note { text } = news.progress else {
            panic!("{news:?}");
        };
        text
    };
    assert_eq!(text(all.next().await.expect("news")), "one");
    assert_eq!(text(all.next().await.expect("news")), "two\nlines");
    assert_eq!(text(of_ci.next().await.expect("news")), "two\nlines");
    for number in 0..5000 {
        world
            .daemon
            .status_board
            .tell(news("prod", &format!("{number} {}", "x".repeat(1000))));
    }
    let mut missed = 0;
    while missed == 0 {
        if let Some(Item::Missed(number)) = all.next().await.expect("news") {
            missed = number;
        }
    }
    world.stop.cancel();
    while all.next().await.expect("the end").is_some() {}
    while of_ci.next().await.expect("the end").is_some() {}
    tokio::time::timeout(Duration::from_secs(5), world.serving)
        .await
        .expect("in time")
        .expect("served");
    assert!(!world.socket.exists(), "the socket is gone");
}

#[tokio::test]
async fn there_are_only_so_many_streams() {
    let world = World::start(|_| {}).await;
    let client = world.client();
    let mut open = Vec::new();
    let refused = loop {
        match client.news(None).await {
            Ok(stream) => open.push(stream),
            Err(error) => break error,
        }
        assert!(open.len() < 100);
    };
    assert_eq!(refused.kind(), Some(Kind::TooManyStreams), "{refused}");
    assert!(client.environments().await.is_ok());
    open.clear();
    let until = Instant::now() + Duration::from_secs(10);
    while client.news(None).await.is_err() {
        assert!(Instant::now() < until, "places are given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_token_that_is_taken_away_is_told_nothing_more() {
    let world = World::start(|_| {}).await;
    let address: Address = format!("http://{}", world.address)
        .parse()
        .expect("an address");
    let open = async |token: &str| {
        let options = Options {
            token: Some(token.to_owned().into()),
            ..Options::default()
        };
        let client = Client::connect(&address, &options).expect("a client");
        client.news(None).await.expect("a stream")
    };
    let (mut revoked, mut kept) = (open(READER).await, open(RELEASER).await);
    let mut owner = world.client().news(None).await.expect("a stream");
    std::fs::write(world.base.path().join("reader"), "reader-of-tomorrow-1").expect("written");
    world
        .handle
        .reload(&world.settings, world.base.path())
        .expect("reloaded");
    world.daemon.status_board.tell(News {
        environment: "prod".to_owned(),
        deployment: None,
        at: jiff::Timestamp::now(),
        progress: Progress::Note {
            text: "secret plans".to_owned(),
        },
        corner: None,
    });
    assert!(matches!(kept.next().await, Ok(Some(Item::News(_)))));
    assert!(matches!(owner.next().await, Ok(Some(Item::News(_)))));
    assert!(matches!(revoked.next().await, Ok(None)));
}
