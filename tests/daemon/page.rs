//! The page of a real daemon, in a real browser: a release from its beginning to its way back.

use super::browser::Browser;
use super::world;
use serde_json::json;

const TOKEN: &str = "on-duty-0123456789abcdef";
const ENTER: char = '\u{e007}';

#[tokio::test]
async fn a_release_is_begun_promoted_and_taken_back_on_the_page() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let Some((world, _replay)) = world().await else {
        return;
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let folder = world.home().join("daemon");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("token"), TOKEN).expect("a token");
    let settings = format!(
        "http:\n  listen: {address}\n  tokens:\n    - {{name: duty, secret: \"file:token\", scopes: [read, release, promote]}}\n\
         environments:\n  prod:\n    project: {{target: prod}}\n    promotion: manual\n    soak: 1h\n"
    );
    let daemon = world.serve("daemon", &settings).await;
    daemon.does("prod", "idle").await;
    let dry = "/v1/environments/prod/promote?dry_run=true";
    assert_eq!(daemon.post(dry, &json!({})).await.0, 409);

    browser.go(&format!("http://{address}/")).await;
    browser.types("#token", &format!("{TOKEN}{ENTER}")).await;
    browser.says("leads, and waits for the schedule").await;
    let press = async |verb: &str, would: &str| {
        browser
            .click(&format!("[data-key='act/prod/{verb}']:not(:disabled)"))
            .await;
        browser.says(would).await;
        browser.click("#confirm:not(:disabled)").await;
        browser.says("Taken up").await;
        browser.click("#close").await;
    };
    press("release", "it would plan and release").await;
    daemon.does("prod", "waiting_for_promotion").await;
    world.serves(1).await;
    // Saying what would be done does nothing.
    let (status, would) = daemon.post(dry, &json!({})).await;
    assert_eq!(status, 200, "{would}");
    assert!(would["would"].to_string().contains("swap green"), "{would}");
    let abort = "/v1/environments/prod/abort?dry_run=true";
    assert_eq!(daemon.post(abort, &json!({})).await.0, 200);
    let release = "/v1/environments/prod/releases?dry_run=true";
    assert_eq!(daemon.post(release, &json!({})).await.0, 409);
    let before = daemon.get("/v1/environments/prod").await;
    assert_eq!(before["deployment"]["state"], "ready", "{before}");
    // Nor is it remembered.
    let id = before["deployment"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let events = daemon.get(&format!("/v1/deployments/{id}/events")).await;
    assert!(!events.to_string().contains("\"asked\""), "{events}");

    // The news came by itself.
    press("promote", "swap green with production").await;
    daemon
        .until("prod", "the soak", |status| {
            status["deployment"]["state"] == "soaking"
        })
        .await;
    world.serves(2).await;
    press("rollback", "see that the old side is ready").await;
    daemon
        .until("prod", "the way back", |status| {
            status["deployment"]["state"] == "rolled_back"
        })
        .await;
    world.serves(1).await;
    // Who asked is seen there.
    browser
        .script(
            "location.hash = arguments[0]",
            json!([format!("#/deployments/{id}")]),
        )
        .await;
    browser.says("The journal").await;
    browser.click("[data-key='events/summary']").await;
    browser.says("the token duty").await;
    browser.pictures("rolled-back").await;
    daemon.stopped().await.exits(0);
}
