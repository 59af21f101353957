//! Progress, results and errors as JSON, one document a line.

use crate::domain::lifecycle::state::State;
use crate::domain::progress::{ClusterReadiness, Health, Progress};
use crate::foundation::failure::Class;
use crate::interfaces::console::error::CommandError;
use jiff::Timestamp;
use serde::Serialize;

#[derive(Serialize)]
struct Line<'a, B> {
    event: &'static str,
    at: Timestamp,
    #[serde(flatten)]
    body: &'a B,
}

/// `{"event":NAME,"at":…,…body}`
pub(super) fn event<B: Serialize>(
    event: &'static str,
    at: Timestamp,
    body: &B,
) -> serde_json::Result<String> {
    serde_json::to_string(&Line { event, at, body })
}

/// One piece of progress as a line, without its line break.
///
/// Written out instead of derived: these field names are part of the interface, and a list
/// (`clusters`) needs a name of its own beside `event`.
pub(super) fn progress(progress: &Progress, at: Timestamp) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Entered<'a> {
        deployment: &'a str,
        state: State,
    }
    #[derive(Serialize)]
    struct Text<'a> {
        text: &'a str,
    }
    #[derive(Serialize)]
    struct Node<'a> {
        unique_id: &'a str,
        status: &'a str,
        done: usize,
        total: usize,
        seconds: Option<f64>,
    }
    #[derive(Serialize)]
    struct Readiness<'a> {
        clusters: &'a [ClusterReadiness],
    }
    #[derive(Serialize)]
    struct Retry<'a> {
        reason: Class,
        text: &'a str,
    }
    #[derive(Serialize)]
    struct Watched<'a> {
        health: Health,
        clusters: &'a [ClusterReadiness],
    }
    #[derive(Serialize)]
    struct Decision<'a> {
        asked: &'a Option<String>,
    }
    #[derive(Serialize)]
    struct Readers<'a> {
        waiting: &'a [String],
    }
    #[derive(Serialize)]
    struct Work<'a> {
        what: &'a str,
        item: &'a str,
        done: usize,
        total: usize,
    }
    match progress {
        Progress::State { deployment, state } => {
            let state = *state;
            event("state", at, &Entered { deployment, state })
        }
        Progress::Note { text } => event("note", at, &Text { text }),
        Progress::Warning { text } => event("warning", at, &Text { text }),
        Progress::Retry { reason, text } => {
            let reason = *reason;
            event("retry", at, &Retry { reason, text })
        }
        Progress::Node {
            unique_id,
            status,
            done,
            total,
            seconds,
        } => event(
            "node",
            at,
            &Node {
                unique_id,
                status,
                done: *done,
                total: *total,
                seconds: *seconds,
            },
        ),
        Progress::Readiness { clusters } => event("readiness", at, &Readiness { clusters }),
        Progress::Watched { health, clusters } => {
            let health = *health;
            event("watched", at, &Watched { health, clusters })
        }
        Progress::Decision { asked } => event("decision", at, &Decision { asked }),
        Progress::Readers { waiting } => event("readers", at, &Readers { waiting }),
        Progress::Work {
            what,
            item,
            done,
            total,
        } => event(
            "work",
            at,
            &Work {
                what,
                item,
                done: *done,
                total: *total,
            },
        ),
    }
}

/// `{"error":{…}}`
pub(super) fn error(
    error: &CommandError,
    message: &str,
    causes: &[String],
) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Document<'a> {
        error: Body<'a>,
    }
    #[derive(Serialize)]
    struct Body<'a> {
        class: &'static str,
        message: &'a str,
        hint: &'a str,
        exit_code: u8,
        causes: &'a [String],
    }
    serde_json::to_string(&Document {
        error: Body {
            class: error.class().as_str(),
            message,
            hint: error.hint(),
            exit_code: error.class().exit_code(),
            causes,
        },
    })
}
