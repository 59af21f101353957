//! The real daemon, run as a child process and asked over its socket.

use super::{Outcome, Running, World, eventually};
use cutover::adapters::store::Store;
use cutover::domain::records::run::Run;
use cutover::foundation::tls;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest that a daemon that is not stopped takes for one answer.
const ANSWER: Duration = Duration::from_secs(5);

/// A daemon under way. It is killed when it is dropped.
pub struct Daemon {
    running: Option<Running>,
    client: reqwest::Client,
    folder: PathBuf,
}

impl World {
    /// Starts a daemon with this configuration, in a folder of this name, and waits until it answers.
    pub async fn serve(&self, name: &str, configuration: &str) -> Daemon {
        let daemon = self.start_daemon(name, configuration);
        daemon.answers().await;
        daemon
    }

    /// As [`World::serve`], without waiting.
    pub fn start_daemon(&self, name: &str, configuration: &str) -> Daemon {
        let folder = self.home().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("cutover.yaml");
        std::fs::write(&file, configuration).expect("a file");
        let file = file.display().to_string();
        // Not the command line: who asks is told by what they call themselves.
        let client = tls::http_client()
            .user_agent("a script")
            .unix_socket(folder.join(".cutover/daemon.sock"))
            .build()
            .expect("a client");
        Daemon {
            running: Some(self.spawn(&["serve", "--config", &file])),
            client,
            folder,
        }
    }

    /// The runs in the world's own journal, newest first.
    pub async fn runs(&self) -> Vec<Run> {
        let store = self.journal().await;
        store.runs(None, 500).await.expect("runs")
    }

    /// The journal that the world's settings name.
    pub async fn journal(&self) -> Store {
        let url = self.environment.get("CUTOVER__STORE__URL");
        let url = url.map_or("sqlite://.cutover/cutover.db", String::as_str);
        Store::open(url, self.project.path())
            .await
            .expect("a journal")
    }
}

impl Daemon {
    /// The status of an environment, where it answers in time.
    pub async fn status(&self, environment: &str) -> Option<Value> {
        let path = format!("/v1/environments/{environment}");
        let answer = tokio::time::timeout(ANSWER, self.try_get(&path)).await;
        serde_json::from_str(&answer.ok()??).ok()
    }

    /// Waits until it answers.
    pub async fn answers(&self) {
        eventually("the daemon to answer", async || {
            let url = "http://daemon/healthz";
            let answer = self.client.get(url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// Asks for a document.
    pub async fn get(&self, path: &str) -> Value {
        let answer = self.try_get(path).await.expect("an answer");
        serde_json::from_str(&answer).expect("JSON")
    }

    /// Asks for a text, where it answers.
    pub async fn try_get(&self, path: &str) -> Option<String> {
        let url = format!("http://daemon{path}");
        let answer = self.client.get(url).send().await.ok()?;
        answer.text().await.ok()
    }

    /// Posts a body, and gives the status and the answer.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.post_under(None, path, body).await
    }

    /// As [`Daemon::post`], under an idempotency key.
    pub async fn post_under(&self, key: Option<&str>, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("http://daemon{path}");
        let mut request = self.client.post(url).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json().await.expect("JSON"))
    }

    /// Waits until the status of an environment is as wanted.
    pub async fn until(
        &self,
        environment: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let path = format!("/v1/environments/{environment}");
        let last = std::sync::Mutex::new(Value::Null);
        eventually(what, async || {
            let answer = self.try_get(&path).await?;
            let status: Value = serde_json::from_str(&answer).ok()?;
            let is_wanted = wanted(&status);
            *last.lock().expect("no panic") = status.clone();
            is_wanted.then_some(status)
        })
        .await
    }

    /// Waits until it leads and does this.
    pub async fn does(&self, environment: &str, activity: &str) -> Value {
        self.until(environment, activity, |status| {
            status["role"] == "leader" && status["activity"] == activity
        })
        .await
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.running().signal(signal);
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.running().id()
    }

    /// Whether its process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.running.as_mut().is_none_or(Running::has_ended)
    }

    /// Its folder, with the configuration.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.running().stderr()
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Outcome {
        let running = self.running.take().expect("it runs");
        running.ended().await
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("it runs")
    }

    /// Kills it.
    pub async fn killed(self) {
        self.signal(Signal::SIGKILL);
        self.ended().await;
    }

    /// Stops it as systemd would.
    pub async fn stopped(self) -> Outcome {
        self.signal(Signal::SIGTERM);
        self.ended().await
    }
}

impl Drop for Daemon {
    /// A test that failed shows what its daemon said.
    fn drop(&mut self) {
        if let (true, Some(running)) = (std::thread::panicking(), &self.running) {
            let name = self.folder.file_name().unwrap_or_default().display();
            eprintln!("--- log of the daemon {name}\n{}", running.stderr());
        }
    }
}
