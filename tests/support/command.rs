//! The real `cutover`, run as a child process.

use super::PATIENCE;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was run, for messages.
    pub command: String,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Asserts that the output, of whichever stream, says something.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.all().contains(text),
            "it does not say {text:?}\n{self}"
        );
        self
    }

    /// Both streams, without the escapes of JSON.
    pub fn all(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr).replace("\\\"", "\"")
    }

    /// The lines of standard output that are JSON.
    pub fn documents(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn document(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }

    /// The result line of a command with progress.
    #[track_caller]
    pub fn result(&self) -> Value {
        self.documents()
            .into_iter()
            .find(|line| line["event"] == "result")
            .unwrap_or_else(|| panic!("no result\n{self}"))
    }

    /// The error document.
    #[track_caller]
    pub fn error(&self) -> Value {
        self.documents()
            .into_iter()
            .find_map(|line| line.get("error").cloned())
            .unwrap_or_else(|| panic!("no error\n{self}"))
    }

    /// The states that were entered, in order.
    pub fn states(&self) -> Vec<String> {
        self.documents()
            .iter()
            .filter(|line| line["event"] == "state")
            .filter_map(|line| line["state"].as_str().map(str::to_owned))
            .collect()
    }

    /// The deployment that it was about.
    #[track_caller]
    pub fn deployment(&self) -> String {
        let documents = self.documents();
        documents
            .iter()
            .find_map(|line| {
                line["deployment"]
                    .as_str()
                    .or_else(|| line["deployment"]["id"].as_str())
            })
            .unwrap_or_else(|| panic!("no deployment\n{self}"))
            .to_owned()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}` ended with {:?} after {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.command, self.code, self.took, self.stdout, self.stderr
        )
    }
}

/// A command under way. It is killed when it is dropped.
pub struct Running {
    command: String,
    child: Child,
    started: Instant,
    stdout: Stream,
    stderr: Stream,
}

struct Stream {
    text: Arc<Mutex<String>>,
    grown: watch::Receiver<usize>,
    reading: JoinHandle<()>,
}

impl Stream {
    fn of(pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let (sender, grown) = watch::channel(0);
        let shared = Arc::clone(&text);
        let reading = tokio::spawn(async move {
            let mut lines = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut text = shared.lock().expect("no reader panics");
                text.push_str(&line);
                text.push('\n');
                sender.send_replace(text.len());
            }
        });
        Self {
            text,
            grown,
            reading,
        }
    }

    fn text(&self) -> String {
        self.text.lock().expect("no reader panics").clone()
    }
}

impl Running {
    /// Starts a command.
    pub fn spawn(mut command: Command) -> Self {
        let shown = format!("{:?}", command.as_std());
        let shown = shown
            .rsplit_once("/cutover\"")
            .map_or(shown.clone(), |(_, arguments)| {
                format!("cutover{arguments}")
            });
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the command starts");
        Self {
            command: shown,
            stdout: Stream::of(child.stdout.take().expect("a pipe")),
            stderr: Stream::of(child.stderr.take().expect("a pipe")),
            child,
            started: Instant::now(),
        }
    }

    /// Waits for a line of JSON on standard output.
    pub async fn until(&mut self, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut seen = 0;
        loop {
            let text = self.stdout.text();
            for line in text[seen..].split_inclusive('\n') {
                seen += line.len();
                if let Ok(value) = serde_json::from_str::<Value>(line)
                    && wanted(&value)
                {
                    return value;
                }
            }
            match tokio::time::timeout_at(deadline, self.stdout.grown.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => panic!(
                    "it ended without {what}\n{text}\n--- stderr\n{}",
                    self.stderr.text()
                ),
                Err(_) => panic!("waited in vain for {what}\n{text}"),
            }
        }
    }

    /// Waits until a state is entered.
    pub async fn until_state(&mut self, state: &str) {
        self.until(&format!("the state {state}"), |line| {
            line["event"] == "state" && line["state"] == state
        })
        .await;
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal to the process, not to its children.
    pub fn signal(&self, signal: Signal) {
        send(self.id(), signal);
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has printed on standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Outcome {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let is_late = status.is_err();
        if is_late {
            let _ = self.child.kill().await;
        }
        let took = self.started.elapsed();
        // A surviving grandchild may hold the pipes open; what was printed is here already then.
        for stream in [&mut self.stdout, &mut self.stderr] {
            let _ = tokio::time::timeout(Duration::from_secs(5), &mut stream.reading).await;
        }
        let outcome = Outcome {
            command: self.command.clone(),
            code: match status {
                Ok(Ok(status)) => status.code(),
                Ok(Err(_)) | Err(_) => None,
            },
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
            took,
        };
        assert!(!is_late, "it did not end in time\n{outcome}");
        outcome
    }
}

/// Sends a signal to one process that a test started and has not waited for yet.
pub fn send(id: u32, signal: Signal) {
    kill(Pid::from_raw(id.cast_signed()), signal).expect("the signal is sent");
}
