//! A browser: Chromium by way of ChromeDriver, as much of WebDriver as the tests need.

use cutover::foundation::tls;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(40);

/// Set where a browser must be there: nothing is skipped then.
const REQUIRED: &str = "CUTOVER_TEST_BROWSER";

pub struct Browser {
    driver: Child,
    client: reqwest::Client,
    session: String,
    /// The browser's own folder.
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // ChromeDriver does not end its browser when it is ended.
        let group = nix::unistd::Pid::from_raw(i32::try_from(self.driver.id()).expect("an id"));
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.driver.wait();
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut found = std::env::split_paths(&path).map(|folder| folder.join(name));
    found.find(|file| file.is_file())
}

impl Browser {
    /// A browser with nothing in it; `None`, with a sentence, where there is none.
    pub async fn start() -> Option<Self> {
        let (Some(driver), Some(binary)) = (program("chromedriver"), program("chromium")) else {
            let why = "no chromium and chromedriver on PATH; `make browser` installs them";
            assert!(std::env::var_os(REQUIRED).is_none(), "{why}");
            #[expect(clippy::print_stdout, reason = "what was skipped is said")]
            {
                println!("skipped: {why}");
            }
            return None;
        };
        let profile = tempfile::tempdir().expect("a folder");
        let mut driver = Command::new(driver)
            .args(["--port=0", "--log-level=SEVERE"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver");
        let said = BufReader::new(driver.stdout.take().expect("its output"));
        let port = said.lines().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.strip_suffix('.').unwrap_or(port).parse::<u16>().ok()
        });
        let port = port.expect("the port of chromedriver");
        let client = tls::http_client().no_proxy().timeout(3 * PATIENCE);
        let mut browser = Self {
            driver,
            client: client.build().expect("a client"),
            session: format!("http://127.0.0.1:{port}"),
            _profile: profile,
        };
        let folder = browser._profile.path().display();
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--window-size=1280,900",
        ];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={folder}"));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "unhandledPromptBehavior": "ignore",
            "goog:chromeOptions": {"args": arguments, "binary": binary},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let made = browser.ask(Method::POST, "/session", wanted).await;
        let id = made["sessionId"].as_str().expect("a session").to_owned();
        browser.session = format!("{}/session/{id}", browser.session);
        Some(browser)
    }

    async fn tried(&self, method: Method, path: &str, body: Value) -> Result<Value, String> {
        let request = self
            .client
            .request(method.clone(), format!("{}{path}", self.session));
        let request = match method {
            Method::POST => request.json(&body),
            _ => request,
        };
        let answer = request.send().await.expect("chromedriver answers");
        let is_good = answer.status().is_success();
        let mut body: Value = answer.json().await.expect("JSON");
        match is_good {
            true => Ok(body["value"].take()),
            false => Err(body["value"]["message"].to_string()),
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let answer = self.tried(method, path, body).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub async fn go(&self, url: &str) {
        self.ask(Method::POST, "/url", json!({"url": url})).await;
    }

    /// What a script gives, with `arguments`.
    pub async fn script(&self, script: &str, arguments: Value) -> Value {
        let body = json!({"script": script, "args": arguments});
        self.ask(Method::POST, "/execute/sync", body).await
    }

    /// What a script gives to its last argument.
    pub async fn answer(&self, script: &str) -> Value {
        let body = json!({"script": script, "args": []});
        self.ask(Method::POST, "/execute/async", body).await
    }

    /// The text of all that is seen.
    pub async fn text(&self) -> String {
        let text = self
            .script("return document.body.innerText", json!([]))
            .await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until a condition in the page's own language holds.
    pub async fn until(&self, what: &str) {
        let until = Instant::now() + PATIENCE;
        let script = format!("return Boolean({what})");
        while self.script(&script, json!([])).await != json!(true) {
            let is_late = Instant::now() > until;
            assert!(
                !is_late,
                "never: {what}\n{}\n{:?}",
                self.text().await,
                self.said().await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the page says so.
    pub async fn says(&self, text: &str) {
        let text = serde_json::to_string(text).expect("JSON");
        self.until(&format!("document.body.innerText.includes({text})"))
            .await;
    }

    async fn element(&self, css: &str) -> String {
        let shown = serde_json::to_string(css).expect("JSON");
        self.until(&format!("document.querySelector({shown})"))
            .await;
        let found = json!({"using": "css selector", "value": css});
        let found = self.ask(Method::POST, "/element", found).await;
        let id = found
            .as_object()
            .and_then(|it| it.values().next()?.as_str());
        id.expect("an element").to_owned()
    }

    /// Clicks as a person does: not on what is hidden or covered.
    pub async fn click(&self, css: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let element = self.element(css).await;
            let path = format!("/element/{element}/click");
            let clicked = self.tried(Method::POST, &path, json!({}));
            // What is drawn again at that very moment is looked for again.
            match clicked.await {
                Ok(_) => return,
                Err(error) => assert!(Instant::now() < until, "{css}: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn types(&self, css: &str, text: &str) {
        let element = self.element(css).await;
        let path = format!("/element/{element}/value");
        self.ask(Method::POST, &path, json!({"text": text})).await;
    }

    /// Presses a key wherever the focus is.
    pub async fn presses(&self, key: char) {
        let actions = json!({"actions": [{"type": "key", "id": "keys", "actions": [
            {"type": "keyDown", "value": key}, {"type": "keyUp", "value": key},
        ]}]});
        self.ask(Method::POST, "/actions", actions).await;
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.ask(Method::POST, "/goog/cdp/execute", body).await
    }

    pub async fn is_wide(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    pub async fn is_dark(&self, is_dark: bool) {
        let value = if is_dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Whether scripts of the page run.
    pub async fn has_scripts(&self, has: bool) {
        let parameters = json!({"value": !has});
        self.devtools("Emulation.setScriptExecutionDisabled", parameters)
            .await;
    }

    /// A picture of the whole page, as a file of the test run.
    pub async fn pictures(&self, name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/page-screenshots");
        std::fs::create_dir_all(&folder).expect("a folder");
        let whole = json!({"format": "png", "captureBeyondViewport": true, "fromSurface": true});
        let shot = self.devtools("Page.captureScreenshot", whole).await;
        let bytes = decoded(shot["data"].as_str().expect("a picture"));
        std::fs::write(folder.join(format!("{name}.png")), bytes).expect("written");
    }

    /// What the browser's console has; taken from there.
    pub async fn said(&self) -> Vec<String> {
        let said = self
            .ask(Method::POST, "/se/log", json!({"type": "browser"}))
            .await;
        let said = said.as_array().cloned().unwrap_or_default();
        said.iter().map(|one| one["message"].to_string()).collect()
    }

    /// Whether a dialog of the browser's own is open.
    pub async fn has_alert(&self) -> bool {
        self.tried(Method::GET, "/alert/text", Value::Null)
            .await
            .is_ok()
    }
}

/// Base64, as a browser gives pictures.
fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    bytes
}
