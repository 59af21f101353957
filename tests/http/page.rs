//! The page as it is served: what a browser is told, who is logged in and for how long, and that no
//! other page can ask anything in its name.

use super::certificate::{HERE, certificate};
use super::daemon::{OF_CI, PROMOTER, READER, RELEASER, STAGE, World, show};
use super::{Answer, get, post, sent};
use cutover::domain::lifecycle::state::State;
use cutover::foundation::tls;
use cutover::operations::daemon::request::Command;
use reqwest::{Client, Method};
use std::collections::BTreeSet;

/// A browser without its looks: it keeps cookies, and says where a request comes from.
pub struct Browser {
    client: Client,
    base: String,
    pub cookie: String,
}

impl Browser {
    pub fn new(base: String) -> Self {
        let client = tls::http_client();
        Self {
            client: client.build().expect("a client"),
            base,
            cookie: String::new(),
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        match self.cookie.as_str() {
            "" => request,
            cookie => request.header("cookie", cookie),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        sent(self.request(Method::GET, path)).await
    }

    /// Sends a form, as the page's own ones are sent.
    async fn form(&mut self, path: &str, body: &str) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("origin", &self.base);
        let form = "application/x-www-form-urlencoded";
        let answer = sent(request.header("content-type", form).body(body.to_owned())).await;
        if let Some(cookie) = answer.header("set-cookie").split(';').next() {
            self.cookie = cookie.to_owned();
        }
        answer
    }

    pub async fn login(&mut self, token: &str) -> Answer {
        self.form("/login", &format!("token={token}")).await
    }

    /// As the page's script asks.
    fn script(&self, path: &str, body: &str) -> reqwest::RequestBuilder {
        let request = self
            .request(Method::POST, path)
            .header("origin", &self.base);
        let request = request.header("x-cutover-page", "1");
        request
            .header("content-type", "application/json")
            .body(body.to_owned())
    }
}

fn browser(world: &World) -> Browser {
    Browser::new(world.url(""))
}

#[tokio::test]
async fn who_enters_a_token_is_logged_in_and_may_what_the_token_may() {
    let world = World::start(|_| {}).await;
    let mut browser = browser(&world);
    let page = browser.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("action=\"/login\"") && !page.text.contains("app.js"));
    assert!(!page.text.contains("prod"), "nothing is told before");
    browser.get("/session").await.is(401, "unauthorized");
    for wrong in ["nonsense-0123456789", "", "%ff", "a&token=b"] {
        let answer = browser.login(wrong).await;
        assert_eq!(
            (answer.status, answer.header("set-cookie")),
            (401, ""),
            "{wrong}"
        );
        assert!(answer.text.contains("not known"));
    }
    let answer = browser.login(READER).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/"));
    let cookie = answer.header("set-cookie").to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(
        !cookie.contains("Secure") && !cookie.contains(READER),
        "{cookie}"
    );
    let page = browser.get("/").await;
    assert!(
        page.text.contains("app.js") && page.text.contains("<h2>prod</h2>"),
        "{}",
        page.text
    );
    assert_eq!(
        browser.get("/v1/environments").await.json()["environments"][1]["environment"],
        "prod"
    );
    let me = browser.get("/session").await.json();
    assert_eq!(
        me,
        serde_json::json!({"name": "reader", "scopes": ["read"]})
    );
    sent(browser.script("/v1/environments/prod/releases", "{}"))
        .await
        .is(403, "forbidden");

    let mut of_ci = Browser::new(world.url(""));
    of_ci.login(OF_CI).await;
    let page = of_ci.get("/").await;
    assert!(page.text.contains("<h2>ci</h2>") && !page.text.contains("prod"));
    of_ci
        .get("/v1/environments/prod")
        .await
        .is(404, "unknown-environment");
    let mut promoter = Browser::new(world.url(""));
    promoter.login(PROMOTER).await;
    assert!(promoter.get("/").await.text.contains("lacks the scope"));

    let answer = browser.form("/logout", "").await;
    assert_eq!(answer.status, 303);
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    browser.cookie = cookie.split(';').next().expect("a cookie").to_owned();
    browser
        .get("/v1/environments")
        .await
        .is(401, "unauthorized");
    assert_eq!(
        of_ci.get("/v1/environments").await.status,
        200,
        "others stay"
    );
}

#[tokio::test]
async fn a_browser_is_told_to_load_nothing_from_elsewhere() {
    let world = World::start(|_| {}).await;
    let mut browser = browser(&world);
    let refused = browser.get("/").await;
    let login = browser.login(READER).await;
    let page = browser.get("/").await;
    let files: BTreeSet<&str> = page
        .text
        .split('"')
        .filter(|text| text.starts_with("/page/"))
        .collect();
    assert_eq!(files.len(), 3, "{files:?}");
    let script = files
        .iter()
        .find(|file| file.ends_with("app.js"))
        .expect("a script");
    let script = browser.get(script).await;
    for answer in [&refused, &login, &page, &script] {
        let policy = answer.header("content-security-policy");
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
    }
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(
        !page.text.contains("<style")
            && !page.text.contains(" style=")
            && !page.text.contains(" on")
    );
    for file in files {
        let answer = get(&world, file, "").await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.header("cache-control").contains("immutable"));
        let other = file.replace("/page/", "/page/0");
        get(&world, &other, "").await.is(404, "not-found");
    }
    for path in ["/page/x/app.js", "/page/x/..%2f..%2fetc%2fpasswd", "/page/"] {
        assert_ne!(get(&world, path, READER).await.status, 200, "{path}");
    }
    let allowed = super::ask(&world, "PUT", "/login", READER, None).await;
    allowed.is(405, "method-not-allowed");
}

/// Cookies go along wherever the browser is told to ask; that alone asks for nothing.
#[tokio::test]
async fn no_other_page_asks_in_its_name() {
    let world = World::of(&["prod", "ci", STAGE], |_| {}).await;
    let mut browser = browser(&world);
    browser.login(RELEASER).await;
    let path = "/v1/environments/stage/releases";
    let own = browser.base.clone();
    let bare = || {
        let request = browser.request(Method::POST, path);
        request
            .header("content-type", "application/json")
            .body("{}")
    };
    let marked = || bare().header("x-cutover-page", "1");
    for request in [
        bare(),
        bare().header("origin", &own),
        bare().header("sec-fetch-site", "same-origin"),
        marked().header("origin", "https://elsewhere.example"),
        marked().header("origin", "null"),
        marked()
            .header("sec-fetch-site", "same-site")
            .header("origin", &own),
        marked().header("sec-fetch-site", "cross-site"),
        browser.request(Method::DELETE, "/v1/environments/stage/ci/pr-1"),
    ] {
        let answer = sent(request).await;
        assert!(
            answer.is(403, "forbidden").text.contains("page itself")
                || answer.text.contains("scope ci")
        );
    }
    assert!(world.asked.lock().expect("a lock").is_empty());
    assert_eq!(sent(marked().header("origin", &own)).await.status, 202);
    assert_eq!(
        sent(marked().header("sec-fetch-site", "same-origin"))
            .await
            .status,
        202
    );
    // A token in the header is nobody's cookie.
    assert_eq!(post(&world, path, RELEASER, "{}").await.status, 202);
    let both = bare().header("authorization", "Bearer nonsense-0123456789");
    sent(both).await.is(401, "unauthorized");
    // Nor does another page log anybody in or out.
    for (path, body) in [
        ("/login", format!("token={READER}")),
        ("/logout", String::new()),
    ] {
        for origin in [None, Some("https://elsewhere.example"), Some("null")] {
            let request = browser.request(Method::POST, path).body(body.clone());
            let request = match origin {
                Some(origin) => request.header("origin", origin),
                None => request,
            };
            sent(request).await.is(403, "forbidden");
        }
    }
    assert_eq!(browser.get("/v1/environments").await.status, 200);
}

#[tokio::test]
async fn a_session_goes_with_its_token_and_with_the_page() {
    let world = World::start(|_| {}).await;
    let mut browsers = [browser(&world), browser(&world)];
    browsers[0].login(READER).await;
    browsers[1].login(RELEASER).await;
    let mut stream = browsers[0]
        .request(Method::GET, "/v1/stream")
        .send()
        .await
        .expect("a stream");
    assert_eq!(stream.status(), 200);
    let mut settings = world.settings.clone();
    settings.tokens.retain(|token| token.name != "reader");
    world
        .handle
        .reload(&settings, world.base.path())
        .expect("read again");
    browsers[0]
        .get("/v1/environments")
        .await
        .is(401, "unauthorized");
    assert!(
        browsers[0]
            .get("/")
            .await
            .text
            .contains("action=\"/login\"")
    );
    assert_eq!(browsers[1].get("/v1/environments").await.status, 200);
    // The stream tells nothing more.
    show(&world.daemon, "prod", "id-1", State::Ready);
    let at = jiff::Timestamp::now();
    let progress = cutover::domain::progress::Progress::Note {
        text: "secret".to_owned(),
    };
    super::daemon::tell(&world.daemon, "id-1", at, progress);
    while let Some(piece) = stream.chunk().await.expect("a piece") {
        assert!(!String::from_utf8_lossy(&piece).contains("secret"));
    }
    // The same token again is not the same session.
    world
        .handle
        .reload(&world.settings, world.base.path())
        .expect("read again");
    browsers[0]
        .get("/v1/environments")
        .await
        .is(401, "unauthorized");
    assert_eq!(browsers[0].login(READER).await.status, 303);

    settings.tokens = world.settings.tokens.clone();
    settings.page = false;
    world
        .handle
        .reload(&settings, world.base.path())
        .expect("read again");
    for browser in &browsers {
        browser
            .get("/v1/environments")
            .await
            .is(401, "unauthorized");
        browser.get("/").await.is(401, "unauthorized");
    }
    for path in ["/", "/session", "/page/x/app.js"] {
        get(&world, path, READER).await.is(404, "not-found");
    }
    post(&world, "/login", READER, "")
        .await
        .is(404, "not-found");
    assert_eq!(get(&world, "/v1/environments", READER).await.status, 200);
}

#[tokio::test]
async fn over_tls_the_cookie_never_leaves_it() {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path(), "here", HERE);
    let file = |end: &str| folder.path().join(format!("here.{end}"));
    let world = World::start(|http| {
        http.tls.certificate = Some(file("pem"));
        http.tls.key = Some(file("key"));
    })
    .await;
    let chain = std::fs::read(file("pem")).expect("a certificate");
    let chain = reqwest::Certificate::from_pem(&chain).expect("a certificate");
    let mut browser = Browser::new(format!("https://{}", world.address));
    let client = tls::http_client();
    let client = client.tls_certs_only([chain]).build();
    browser.client = client.expect("a client");
    let answer = browser.login(READER).await;
    let cookie = answer.header("set-cookie");
    assert!(
        cookie.starts_with("__Host-cutover_session=") && cookie.ends_with("; Secure"),
        "{cookie}"
    );
    assert_eq!(browser.get("/v1/environments").await.status, 200);
    browser.cookie = browser.cookie.replace("__Host-", "");
    browser
        .get("/v1/environments")
        .await
        .is(401, "unauthorized");
}

#[tokio::test]
async fn who_asks_too_often_is_told_so_by_token() {
    let world = World::start(|http| http.requests_per_second = 2).await;
    let mut browser = browser(&world);
    browser.login(READER).await;
    let mut refused = 0;
    for _ in 0..12 {
        refused += usize::from(browser.get("/v1/environments").await.status == 429);
    }
    assert!(refused >= 6, "{refused}");
    // The allowance is the token's, however it is asked.
    get(&world, "/v1/environments", READER)
        .await
        .is(429, "too-many-requests");
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_nothing_is() {
    let world = World::of(&["prod", "ci", STAGE], |_| {}).await;
    show(&world.daemon, STAGE, "id-1", State::Ready);
    let ask = async |verb: &str, query: &str| {
        let token = match verb {
            "abort" | "releases" => RELEASER,
            _ => PROMOTER,
        };
        let path = format!("/v1/environments/stage/{verb}{query}");
        post(&world, &path, token, "{}").await
    };
    for (verb, said) in [
        ("promote", "swap green"),
        ("abort", "drop green"),
        ("releases", "plan and release"),
    ] {
        let answer = ask(verb, "?dry_run=true").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let would = answer.json()["would"].to_string();
        assert!(would.contains(said), "{would}");
        super::openapi::fits(
            "POST",
            &format!("/v1/environments/{{environment}}/{verb}"),
            200,
            "application/json",
            &answer.json(),
        );
    }
    ask("rollback", "?dry_run=true").await.is(409, "not-now");
    ask("promote", "?dry_run=perhaps")
        .await
        .is(400, "invalid-parameter");
    ask("promote", "?dryrun=true")
        .await
        .is(400, "invalid-parameter");
    let state = world.daemon.status_board.one(STAGE).expect("a status");
    assert_eq!(state.deployment.as_ref().expect("one").state, State::Ready);
    let asked = world.asked.lock().expect("a lock").clone();
    assert!(
        asked
            .iter()
            .all(|(_, command, key)| matches!(command, Command::DryRun(_)) && key.is_none())
    );
    assert_eq!(ask("promote", "?dry_run=false").await.status, 202);
}
