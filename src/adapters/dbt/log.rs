//! dbt's JSON log lines (`--log-format json`) as progress.
//!
//! Only progress and messages come from here; what happened is read from the artifacts. A line that is
//! not one of dbt's JSON objects (a traceback, a package that prints) is kept as text.

use crate::domain::progress::{Progress, Reporter};
use crate::foundation::process::TAIL_LIMIT;
use crate::foundation::process::lines::{Tail, shorten};
use serde::Deserialize;
use std::collections::BTreeSet;

/// The most that is kept of one message, in bytes.
const MESSAGE_LIMIT: usize = 4 << 10;
/// The most messages of a kind that are kept.
const MESSAGES: usize = 50;

#[derive(Debug, Deserialize)]
struct Line {
    info: Info,
    #[serde(default)]
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Info {
    #[serde(default)]
    name: String,
    #[serde(default)]
    level: String,
    #[serde(default)]
    msg: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data {
    node_info: Option<NodeInfo>,
    index: Option<usize>,
    total: Option<usize>,
    /// What tests call `total`.
    num_models: Option<usize>,
    execution_time: Option<f64>,
    status: Option<serde_json::Value>,
    /// The message of `MainEncounteredError` without the words before it.
    exc: Option<String>,
}

#[derive(Debug, Deserialize)]
struct NodeInfo {
    #[serde(default)]
    unique_id: String,
    #[serde(default)]
    node_status: String,
}

/// Turns the lines of one invocation into progress and remembers what went wrong.
#[derive(Debug)]
pub struct LogReader {
    reporter: Reporter,
    finished: BTreeSet<String>,
    warnings: BTreeSet<String>,
    errors: Vec<String>,
    tail: Tail,
}

impl LogReader {
    /// Reports to `reporter`.
    #[must_use]
    pub fn new(reporter: Reporter) -> Self {
        Self {
            reporter,
            finished: BTreeSet::new(),
            warnings: BTreeSet::new(),
            errors: Vec::new(),
            tail: Tail::new(TAIL_LIMIT),
        }
    }

    /// Takes one line of either stream.
    pub fn line(&mut self, line: &str) {
        // A line of another shape is dbt's to print and ours to pass on as it is.
        let Ok(Line { info, data }) = serde_json::from_slice::<Line>(line.as_bytes()) else {
            self.tail.push(line);
            return;
        };
        if !info.msg.trim().is_empty() {
            self.tail.push(info.msg.trim_end());
        }
        self.node(&data);
        match info.level.as_str() {
            "warn" => self.warn(&info.msg),
            // The line of a failed node only repeats that it failed; `RunResultError` says why.
            "error" if data.index.is_none() => {
                let message = data.exc.as_deref().unwrap_or(&info.msg);
                self.error(&info.name, message);
            }
            _ => {}
        }
    }

    fn node(&mut self, data: &Data) {
        let (Some(node), Some(_), Some(total)) =
            (&data.node_info, data.index, data.total.or(data.num_models))
        else {
            return;
        };
        let started = node.node_status == "started";
        if !started && !self.finished.insert(node.unique_id.clone()) {
            return;
        }
        self.reporter.send(Progress::Node {
            unique_id: node.unique_id.clone(),
            // A unit test has its status beside the node (measured: `node_status` is "None").
            status: match data.status.as_ref().and_then(serde_json::Value::as_str) {
                Some(status) if node.node_status == "None" => status.to_lowercase(),
                Some(_) | None => node.node_status.clone(),
            },
            done: self.finished.len(),
            total,
            seconds: data.execution_time.filter(|_| !started),
        });
    }

    fn warn(&mut self, message: &str) {
        let message = shorten(&flatten(message), MESSAGE_LIMIT);
        if self.warnings.len() < MESSAGES && self.warnings.insert(message.clone()) {
            self.reporter.warning(message);
        }
    }

    fn error(&mut self, event: &str, message: &str) {
        let message = shorten(message.trim(), MESSAGE_LIMIT);
        if message.is_empty() || self.errors.len() >= MESSAGES {
            return;
        }
        // "Failure in model c (models/c.sql)" is the heading of the `RunResultError` that follows.
        match self.errors.last_mut() {
            Some(last) if event == "RunResultError" && last.starts_with("Failure in ") => {
                *last = message;
            }
            Some(_) | None => self.errors.push(message),
        }
    }

    /// dbt's own error messages, in their order.
    #[must_use]
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// The last lines as a person would have seen them.
    #[must_use]
    pub fn tail(&self) -> String {
        self.tail.text()
    }

    /// The error messages, or else the last lines: what to tell a person when dbt failed.
    #[must_use]
    pub fn explanation(&self) -> String {
        let text = if self.errors.is_empty() {
            self.tail.text()
        } else {
            self.errors.join("\n")
        };
        let text = text.trim();
        if text.is_empty() {
            "dbt said nothing".to_owned()
        } else {
            text.to_owned()
        }
    }
}

/// Lines and runs of spaces as one line.
fn flatten(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The file of the node that asked the database under `--no-introspect`: dbt opens no connection then, and
/// says that there is none (`dbt.adapters.base.connections`, measured with dbt-core 1.11.16):
///
/// ```text
/// Runtime Error in model star (models/star.sql)
///   connection never acquired for thread (17337, 140036997637824), have [(17337, 140037278505856)]
/// ```
#[must_use]
pub fn introspected(message: &str) -> Option<String> {
    let before = &message[..message.find("connection never acquired for thread")?];
    let line = before.trim_end().lines().next_back()?;
    // `in model NAME (FILE)`: a name has no white space, a file may have anything.
    let (_, named) = line.split_once(" in ")?;
    let (_, file) = named.trim_end().strip_suffix(')')?.split_once(" (")?;
    Some(file.to_owned())
}

/// Whether a message of dbt says that the database was not reached or was lost, as opposed to
/// reached and unwilling. The words are libpq's, which psycopg2 passes on.
#[must_use]
pub fn is_connection_failure(message: &str) -> bool {
    /// The server answered.
    const ANSWERED: [&str; 4] = [
        "authentication failed",
        "no password supplied",
        "no pg_hba.conf entry",
        "certificate verify failed",
    ];
    const LOST: [&str; 12] = [
        "connection refused",
        "could not connect to server",
        "could not translate host name",
        "connection timed out",
        "timeout expired",
        "no route to host",
        "network is unreachable",
        "server closed the connection unexpectedly",
        "ssl connection has been closed unexpectedly",
        "ssl syscall error",
        "connection reset by peer",
        "terminating connection",
    ];
    let message = message.to_lowercase();
    LOST.iter().any(|words| message.contains(words))
        && !ANSWERED.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::{LogReader, is_connection_failure};
    use crate::domain::progress::{Progress, Reporter};

    /// Lines that dbt 1.11.16 wrote.
    const BUILD: &str = include_str!("log/build.jsonl");
    const TEST: &str = include_str!("log/test.jsonl");

    fn read(log: &str) -> (LogReader, Vec<String>) {
        let (reporter, mut receiver) = Reporter::channel();
        let mut reader = LogReader::new(reporter);
        log.lines().for_each(|line| reader.line(line));
        let mut seen = Vec::new();
        while let Ok(progress) = receiver.try_recv() {
            seen.push(match progress {
                Progress::Node {
                    unique_id,
                    status,
                    done,
                    total,
                    seconds,
                } => format!("{unique_id} {status} {done}/{total} {}", seconds.is_some()),
                Progress::Warning { text } => format!("warning: {text}"),
                other @ (Progress::State { .. }
                | Progress::Note { .. }
                | Progress::Retry { .. }
                | Progress::Readiness { .. }
                | Progress::Watched { .. }
                | Progress::Decision { .. }
                | Progress::Readers { .. }
                | Progress::Work { .. }) => format!("{other:?}"),
            });
        }
        (reader, seen)
    }

    #[test]
    fn who_asked_the_database_is_read_from_the_message() {
        let message = "Runtime Error\n  Runtime Error in model star (models/a (b)/star.sql)\n    connection never acquired for thread (1, 2), have [(1, 3)]";
        let found = super::introspected(message);
        assert_eq!(found.as_deref(), Some("models/a (b)/star.sql"));
        assert_eq!(
            super::introspected("Compilation Error in model d (models/d.sql)\n  bad"),
            None
        );
    }

    #[test]
    fn a_build_becomes_progress() {
        let (reader, seen) = read(BUILD);
        assert_eq!(
            seen,
            [
                "warning: The selection criterion 'fqn:zzz' does not match any enabled nodes",
                "model.tricky.b started 0/3 false",
                "model.tricky.b success 1/3 true",
                "model.tricky.c started 1/3 false",
                "model.tricky.c error 2/3 true",
                "model.tricky.d skipped 3/3 false",
            ]
        );
        assert_eq!(reader.errors().len(), 1);
        let text = reader.explanation();
        assert!(
            text.starts_with("Database Error in model c (models/a/b/c.sql)"),
            "{text}"
        );
        assert!(text.contains(r#"column "nope" does not exist"#), "{text}");
        assert!(
            reader
                .tail()
                .ends_with("Done. PASS=1 WARN=0 ERROR=1 SKIP=1 NO-OP=0 TOTAL=3")
        );
    }

    #[test]
    fn tests_and_unit_tests_become_progress() {
        let (reader, seen) = read(TEST);
        let finished: Vec<&str> = seen
            .iter()
            .filter(|line| !line.contains(" started "))
            .map(String::as_str)
            .collect();
        assert_eq!(
            finished,
            [
                "test.tricky.accepted_values_b_id__2.3e56917b8a fail 1/5 true",
                "test.tricky.not_null_b_id.37be81e63b pass 2/5 true",
                "test.tricky.singular pass 3/5 true",
                "test.tricky.unique_b_id.fd91545187 pass 4/5 true",
                "unit_test.tricky.c.u1 error 5/5 true",
            ]
        );
        assert_eq!(
            reader.errors()[0],
            "Got 1 result, configured to fail if != 0"
        );
    }

    #[test]
    fn text_is_kept_as_it_is() {
        let (reader, seen) = read("Traceback (most recent call last):\n{\"not\": \"dbt's\"}\n3\n");
        assert!(seen.is_empty());
        assert!(reader.explanation().starts_with("Traceback"));
        assert_eq!(read("").0.explanation(), "dbt said nothing");
    }

    #[test]
    fn an_unanswered_connection_differs_from_a_refused_one() {
        let refused = "Database Error\n  connection to server at \"127.0.0.1\", port 1 failed: Connection refused\n";
        assert!(is_connection_failure(refused));
        let password = "Database Error\n  connection to server at \"h\" (1.2.3.4), port 6875 failed: FATAL:  password authentication failed for user \"u\"";
        assert!(!is_connection_failure(password));
        assert!(!is_connection_failure("column \"nope\" does not exist"));
    }
}
