//! What a running deployment tells its observers: the command line's bars and lines, JSON lines,
//! and later a server's event stream. Losing an event never matters; the journal is the record.

use crate::domain::lifecycle::state::State;
use crate::foundation::failure::Class;
use crate::foundation::word::stored_words;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// One piece of news of a deployment, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Progress {
    /// The deployment entered a state.
    State {
        /// The deployment's id.
        deployment: String,
        /// The state entered.
        state: State,
    },
    /// Something worth a line happened inside a step.
    Note {
        /// One sentence without a final full stop.
        text: String,
    },
    /// Something an operator should know although the deployment goes on.
    Warning {
        /// One sentence without a final full stop.
        text: String,
    },
    /// Something is tried again.
    Retry {
        /// What kind of failure the attempt before met.
        reason: Class,
        /// One sentence without a final full stop.
        text: String,
    },
    /// dbt started, finished or failed one node.
    Node {
        /// dbt's unique id.
        unique_id: String,
        /// `started`, or the status that dbt reports (`success`, `error`, `skipped`, `pass`, …).
        status: String,
        /// Nodes finished so far.
        done: usize,
        /// Nodes that this run will touch.
        total: usize,
        /// How long the node took, in seconds; absent when it only started.
        seconds: Option<f64>,
    },
    /// One reading of the readiness of a cluster's planned objects.
    Readiness {
        /// Per cluster, sorted by name.
        clusters: Vec<ClusterReadiness>,
    },
    /// One look at what serves since the swap.
    Watched {
        /// What was found.
        health: Health,
        /// Per cluster, sorted by name; empty when nothing could be read.
        clusters: Vec<ClusterReadiness>,
    },
    /// A check asks a person to decide, or none does any more.
    Decision {
        /// Why, in one sentence; `None` when nobody is asked any more.
        asked: Option<String>,
    },
    /// Who reads the old side and is waited for before it goes; nobody any more, where it is empty.
    Readers {
        /// Each in one clause.
        waiting: Vec<String>,
    },
    /// One item of a counted piece of work (schemas staged, objects dropped).
    Work {
        /// What is being counted, for example `staged` or `dropped`.
        what: String,
        /// The item finished.
        item: String,
        /// Items finished so far.
        done: usize,
        /// Items in all.
        total: usize,
    },
}

impl Progress {
    /// The word that tells kinds of progress apart.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Progress::State { .. } => "state",
            Progress::Note { .. } => "note",
            Progress::Warning { .. } => "warning",
            Progress::Retry { .. } => "retry",
            Progress::Node { .. } => "node",
            Progress::Readiness { .. } => "readiness",
            Progress::Watched { .. } => "watched",
            Progress::Decision { .. } => "decision",
            Progress::Readers { .. } => "readers",
            Progress::Work { .. } => "work",
        }
    }
}

stored_words! {
    /// What a look at production found.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Health {
        /// All of it is hydrated, close behind its sources, on replicas that are up.
        Good = "good",
        /// Something is known not to be.
        Degraded = "degraded",
        /// Something could not be read, and nothing is known to be bad.
        Unknown = "unknown",
    }
}

/// How far the planned objects of one cluster are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterReadiness {
    /// The production name of the cluster.
    pub cluster: String,
    /// Planned objects that are hydrated.
    pub hydrated: usize,
    /// Planned objects on this cluster.
    pub total: usize,
    /// The worst lag of a planned object behind its sources, in milliseconds; `None` while any is unknown.
    pub lag_ms: Option<i64>,
    /// The object with the worst (or unknown) lag.
    pub lagging: Option<String>,
    /// Why the cluster is not ready; empty when it is.
    pub waiting_for: Vec<String>,
    /// Each relation, at most [`MOST_RELATIONS`], the worst where there are more. Not told to others than this process.
    #[serde(skip)]
    pub relations: Vec<RelationReadiness>,
}

/// How many relations of a cluster are told at most.
pub const MOST_RELATIONS: usize = 200;

/// How far one relation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationReadiness {
    /// As production calls it.
    pub name: String,
    /// Whether it is hydrated on every replica that counts.
    pub hydrated: bool,
    /// How far it lags behind its sources, in milliseconds; `None` while that is not known.
    pub lag_ms: Option<i64>,
}

impl ClusterReadiness {
    /// Why it is not ready, each with the cluster.
    pub fn reasons(&self) -> impl Iterator<Item = String> + '_ {
        let reasons = self.waiting_for.iter();
        reasons.map(|reason| format!("{reason} (cluster {})", self.cluster))
    }
}

/// Where a deployment sends its news. Cloneable; a closed receiver is ignored.
#[derive(Debug, Clone, Default)]
pub struct Reporter(Option<mpsc::UnboundedSender<Progress>>);

impl Reporter {
    /// A reporter and the receiving end for whoever shows the progress.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Progress>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(Some(sender)), receiver)
    }

    /// A reporter that nobody listens to.
    #[must_use]
    pub fn silent() -> Self {
        Self(None)
    }

    /// Sends one piece of news.
    pub fn send(&self, progress: Progress) {
        if let Some(sender) = &self.0 {
            // The receiver goes away when the output does; the deployment must not care.
            let _ = sender.send(progress);
        }
    }

    /// Sends a [`Progress::Note`].
    pub fn note(&self, text: impl Into<String>) {
        self.send(Progress::Note { text: text.into() });
    }

    /// Sends a [`Progress::Warning`].
    pub fn warning(&self, text: impl Into<String>) {
        self.send(Progress::Warning { text: text.into() });
    }

    /// Sends a [`Progress::Retry`].
    pub fn retry(&self, reason: Class, text: impl Into<String>) {
        let text = text.into();
        self.send(Progress::Retry { reason, text });
    }
}
