//! What the daemon shows: one entry per environment, and news. Read by the HTTP API, the metrics and
//! the logs; never a basis for decisions. It lives in memory, so that asking costs nothing.

use crate::domain::lifecycle::role::Role;
use crate::domain::lifecycle::state::State;
use crate::domain::progress::{ClusterReadiness, Progress};
use crate::domain::records::approval::Standing;
use crate::domain::records::drift::{DriftRecord, Drifted};
use crate::domain::records::hold::{Frozen, Hold};
use crate::domain::records::kept::Kept;
use crate::domain::records::subject::Subject;
use crate::foundation::span::moment;
use crate::operations::daemon::chain::Chain;
use crate::operations::daemon::corners::status::Shown;
use crate::operations::daemon::lines::{Line, Lines};
use crate::operations::takedown::leftovers::Leftover;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::broadcast;

/// How many news a slow reader may be behind before it misses some.
const NEWS: usize = 1024;

/// What an environment's worker does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Nothing; it waits for the schedule or a request.
    #[default]
    Idle,
    /// It fetches the source or plans a release.
    Planning,
    /// It drives a deployment.
    Releasing,
    /// What is ready waits for somebody to promote it.
    WaitingForPromotion,
    /// What is ready waits for the end of a hold or of a freeze.
    HeldUp,
    /// What is live waits for somebody to have the old side dropped.
    WaitingForCleanup,
    /// A person must look.
    WaitingForAPerson,
    /// Something it depends on does not answer; it tries again.
    WaitingForADependency,
}

/// The deployment under way, or the latest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentStatus {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub state: State,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When it entered its state.
    pub since: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why it is where it is, when something went otherwise than planned.
    pub reason: Option<String>,
    /// Who set it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Subject>,
}

/// One environment as the daemon sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub environment: String,
    /// Whether this process may act on it.
    pub role: Role,
    /// Where the leader answers, when that is another process and known.
    pub leader: Option<String>,
    /// What is being done.
    pub activity: Activity,
    /// The deployment under way, or the latest.
    pub deployment: Option<DeploymentStatus>,
    /// The readiness of the deployment's clusters, while it is waited for.
    pub readiness: Vec<ClusterReadiness>,
    /// Who reads the old side and is waited for before it goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readers: Vec<String>,
    /// When the schedule fires next; `None` without one.
    pub next_run: Option<Timestamp>,
    /// The revision of the project that was looked at last.
    pub revision: Option<String>,
    /// What keeps the worker from its work, with the remedy; `None` when nothing does.
    pub problem: Option<String>,
    /// What holds it: a person, or else that somebody went back to an earlier release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Hold>,
    /// The freeze that lies over the present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Frozen>,
    /// The environment that it comes after, and what follows from that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<Chain>,
    /// What is kept of a release that failed, for a look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// What is live and is not as it was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
    /// What must be so before what is ready is swapped, and how that stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Standing>,
    /// Schemas and clusters in Materialize that ended deployments left.
    #[serde(default)]
    pub leftovers: Vec<Leftover>,
}

/// What the daemon knows of production between releases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftStatus {
    /// What is not as it was released; empty where everything is.
    pub found: Vec<Drifted>,
    /// Since when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it was looked at last; `None` where that was before this process began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Timestamp>,
    /// Why the last look came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

impl DriftStatus {
    /// What the journal has of it.
    #[must_use]
    pub fn recorded(record: DriftRecord) -> Self {
        Self {
            since: record.since(),
            found: record.found,
            looked_at: None,
            unknown: None,
        }
    }

    /// For people, a line for each thing.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let found = self.found.iter();
        let found =
            found.map(|one| format!("drift: {}, since {}", one.sentence(), moment(one.since)));
        let unknown = self.unknown.iter();
        let unknown = unknown.map(|why| format!("drift is not known: {why}"));
        found.chain(unknown).collect()
    }
}

/// One piece of news of an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct News {
    /// The environment.
    pub environment: String,
    /// The deployment, where it is about one.
    pub deployment: Option<String>,
    /// When.
    pub at: Timestamp,
    /// What.
    pub progress: Progress,
    /// The corner, where it is about one. Such news are a stream of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corner: Option<OfCorner>,
}

/// The build that news are about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfCorner {
    /// The corner's name.
    pub name: String,
    /// The build.
    pub build: String,
}

/// The board.
#[derive(Debug)]
pub struct StatusBoard {
    /// Corners of pull requests.
    pub corners: Shown,
    entries: RwLock<BTreeMap<String, Arc<Status>>>,
    lines: Mutex<BTreeMap<String, Lines>>,
    news: broadcast::Sender<Arc<News>>,
}

impl Default for StatusBoard {
    fn default() -> Self {
        Self {
            corners: Shown::default(),
            entries: RwLock::default(),
            lines: Mutex::default(),
            news: broadcast::Sender::new(NEWS),
        }
    }
}

impl StatusBoard {
    /// Every environment, sorted by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Status>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.values().cloned().collect()
    }

    /// One environment.
    #[must_use]
    pub fn one(&self, environment: &str) -> Option<Arc<Status>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(environment).cloned()
    }

    /// News from now on. A reader that is too slow is told how many it missed.
    #[must_use]
    pub fn news(&self) -> broadcast::Receiver<Arc<News>> {
        self.news.subscribe()
    }

    pub(crate) fn add(&self, environment: &str) {
        let status = Status {
            environment: environment.to_owned(),
            ..Status::default()
        };
        self.write().insert(environment.to_owned(), status.into());
    }

    pub(crate) fn remove(&self, environment: &str) {
        self.write().remove(environment);
        self.lines_mut().remove(environment);
        self.corners.forget(environment);
    }

    /// Changes what is shown of an environment, where there is one.
    pub fn change(&self, environment: &str, change: impl FnOnce(&mut Status)) {
        if let Some(status) = self.write().get_mut(environment) {
            change(Arc::make_mut(status));
        }
    }

    /// What is known of the relations of a deployment over time, and whether some were left out.
    #[must_use]
    pub fn lines(&self, environment: &str, deployment: &str) -> (Vec<Line>, bool) {
        let lines = self.lines_mut();
        lines
            .get(environment)
            .map(|lines| lines.of(deployment))
            .unwrap_or_default()
    }

    fn lines_mut(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Lines>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever listens. Relations are remembered here, and not told.
    pub fn tell(&self, mut news: News) {
        if let Progress::Readiness { clusters } | Progress::Watched { clusters, .. } =
            &mut news.progress
        {
            if let (Some(deployment), None) = (&news.deployment, &news.corner) {
                let mut lines = self.lines_mut();
                let lines = lines.entry(news.environment.clone()).or_default();
                lines.take(deployment, clusters, news.at);
            }
            for cluster in clusters {
                cluster.relations = Vec::new();
            }
        }
        // Nobody need listen.
        let _ = self.news.send(Arc::new(news));
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Arc<Status>>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}
