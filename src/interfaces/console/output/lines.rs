//! Progress as plain lines, for a file, a pipe or the log of a CI job.
//!
//! A line appears when something changed, and otherwise at most every [`PAUSE`], so that the log of
//! an hour's hydration stays readable.

use super::format;
use super::style::Tone;
use crate::domain::lifecycle::state::State;
use crate::domain::progress::{ClusterReadiness, Progress};
use crate::foundation::escape::visible;
use crate::foundation::failure::Class;
use crate::foundation::span::between;
use jiff::Timestamp;
use std::collections::HashMap;
use std::time::Duration;

/// The pause between two lines that say the same kind of thing.
const PAUSE: Duration = Duration::from_secs(10);

/// Reasons that are listed without `-v`.
const REASONS: usize = 3;

/// One line without its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) tone: Tone,
    pub(super) text: String,
}

/// What the last line about a cluster said, and when.
struct Shown {
    at: Timestamp,
    hydrated: usize,
    total: usize,
    lag_known: bool,
    reasons: usize,
}

/// Turns progress into lines and remembers what was said.
pub(super) struct Lines {
    verbose: bool,
    started: Timestamp,
    deployment: Option<String>,
    counted_at: Option<Timestamp>,
    clusters: HashMap<String, Shown>,
}

impl Lines {
    pub(super) fn new(verbose: bool, started: Timestamp) -> Self {
        Self {
            verbose,
            started,
            deployment: None,
            counted_at: None,
            clusters: HashMap::new(),
        }
    }

    /// Whether `-v` was given.
    pub(super) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// `[00:12] ` before a line of time `now`.
    pub(super) fn stamp(&self, now: Timestamp) -> String {
        format!("[{}] ", format::elapsed(between(self.started, now)))
    }

    /// The lines for one piece of progress that came at `now`.
    pub(super) fn lines(&mut self, progress: &Progress, now: Timestamp) -> Vec<Line> {
        match progress {
            Progress::State { deployment, state } => self.state(deployment, *state),
            Progress::Note { text } if self.verbose => vec![plain(format!("  {}", visible(text)))],
            Progress::Note { .. } => Vec::new(),
            // Others may change the catalog all the time.
            Progress::Retry {
                reason: Class::Conflict,
                ..
            } if !self.verbose => Vec::new(),
            Progress::Warning { text } | Progress::Retry { text, .. } => vec![Line {
                tone: Tone::Warning,
                text: format!("  warning: {}", visible(text)),
            }],
            Progress::Node {
                unique_id,
                status,
                done,
                total,
                seconds,
            } => {
                let tone = node_tone(status);
                let is_news = self.verbose || matches!(tone, Tone::Bad | Tone::Warning);
                let is_due = seconds.is_some() && self.is_count_due(*done, *total, now);
                if !is_news && !is_due {
                    return Vec::new();
                }
                vec![Line {
                    tone,
                    text: node_line(unique_id, status, *done, *total, *seconds),
                }]
            }
            Progress::Readiness { clusters } | Progress::Watched { clusters, .. } => {
                self.readiness(clusters, now)
            }
            // A warning, or a note, says so.
            Progress::Decision { .. } | Progress::Readers { .. } => Vec::new(),
            Progress::Work {
                what,
                item,
                done,
                total,
            } => {
                if !self.is_count_due(*done, *total, now) && !self.verbose {
                    return Vec::new();
                }
                vec![plain(format!(
                    "  {} {done}/{total}, {}",
                    visible(what),
                    visible(item)
                ))]
            }
        }
    }

    fn state(&mut self, deployment: &str, state: State) -> Vec<Line> {
        self.counted_at = None;
        self.clusters.clear();
        let mut lines = Vec::new();
        if self.deployment.as_deref() != Some(deployment) {
            self.deployment = Some(deployment.to_owned());
            lines.push(plain(format!("deployment {}", visible(deployment))));
        }
        lines.push(Line {
            tone: state_tone(state),
            text: format::state(state),
        });
        lines
    }

    /// Whether a counted thing is worth a line: the first, the last, and one every [`PAUSE`].
    fn is_count_due(&mut self, done: usize, total: usize, now: Timestamp) -> bool {
        let is_due = done >= total
            || self
                .counted_at
                .is_none_or(|shown| between(shown, now) >= PAUSE);
        if is_due {
            self.counted_at = Some(now);
        }
        is_due
    }

    fn readiness(&mut self, clusters: &[ClusterReadiness], now: Timestamp) -> Vec<Line> {
        let mut lines = Vec::new();
        for cluster in clusters {
            // The lag and the sentences change with every reading; their presence is the news.
            let is_same = self.clusters.get(&cluster.cluster).is_some_and(|shown| {
                shown.hydrated == cluster.hydrated
                    && shown.total == cluster.total
                    && shown.lag_known == cluster.lag_ms.is_some()
                    && shown.reasons == cluster.waiting_for.len()
                    && (cluster.waiting_for.is_empty() || between(shown.at, now) < PAUSE)
            });
            if is_same {
                continue;
            }
            lines.push(plain(format!(
                "  {}: {}",
                visible(&cluster.cluster),
                self.cluster_line(cluster)
            )));
            self.clusters.insert(
                cluster.cluster.clone(),
                Shown {
                    at: now,
                    hydrated: cluster.hydrated,
                    total: cluster.total,
                    lag_known: cluster.lag_ms.is_some(),
                    reasons: cluster.waiting_for.len(),
                },
            );
        }
        lines
    }

    fn cluster_line(&self, cluster: &ClusterReadiness) -> String {
        let limit = if self.verbose { usize::MAX } else { REASONS };
        let mut line = match cluster.total {
            0 => "nothing to hydrate".to_owned(),
            total => format!("{}/{total} hydrated", cluster.hydrated),
        };
        let state = cluster_state(cluster, limit);
        if !state.is_empty() {
            line.push_str(", ");
            line.push_str(&state);
        }
        line
    }
}

/// Lag, its object, and why the cluster is not ready; at most `limit` reasons.
pub(super) fn cluster_state(cluster: &ClusterReadiness, limit: usize) -> String {
    let mut parts = Vec::new();
    let object = match &cluster.lagging {
        Some(object) => format!(" ({})", visible(object)),
        None => String::new(),
    };
    match cluster.lag_ms {
        Some(lag) => parts.push(format!("lag {}{object}", format::lag(lag))),
        None if cluster.total > 0 => parts.push(format!("lag unknown{object}")),
        None => {}
    }
    let reasons = &cluster.waiting_for;
    if reasons.is_empty() {
        parts.push("ready".to_owned());
    } else {
        let shown: Vec<_> = reasons.iter().take(limit).map(|r| visible(r)).collect();
        let mut missing = format!("not ready: {}", shown.join("; "));
        if reasons.len() > shown.len() {
            missing.push_str(&format!("; and {} more", reasons.len() - shown.len()));
        }
        parts.push(missing);
    }
    parts.join(", ")
}

pub(super) fn node_line(
    unique_id: &str,
    status: &str,
    done: usize,
    total: usize,
    seconds: Option<f64>,
) -> String {
    let took = match seconds.map(Duration::try_from_secs_f64) {
        Some(Ok(seconds)) => format!(" in {}", format::length(seconds)),
        Some(Err(_)) | None => String::new(),
    };
    format!(
        "  node {done}/{total}, {} {}{took}",
        visible(unique_id),
        visible(status)
    )
}

/// dbt's words for an end that somebody should see.
pub(super) fn node_tone(status: &str) -> Tone {
    match status {
        "error" | "fail" | "runtime error" => Tone::Bad,
        "warn" | "skipped" | "partial success" => Tone::Warning,
        _ => Tone::Plain,
    }
}

pub(super) fn state_tone(state: State) -> Tone {
    match state {
        State::Done => Tone::Good,
        State::Failed | State::Kept | State::Stuck => Tone::Bad,
        State::Unwinding | State::Aborted | State::RollingBack | State::RolledBack => Tone::Warning,
        State::Pending
        | State::Planned
        | State::Staging
        | State::Building
        | State::Hydrating
        | State::Verifying
        | State::Ready
        | State::CuttingOver
        | State::Soaking
        | State::CleaningUp => Tone::Head,
    }
}

fn plain(text: String) -> Line {
    Line {
        tone: Tone::Plain,
        text,
    }
}
