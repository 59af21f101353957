//! What commands print, as data. Field names are part of the interface.
//!
//! Handlers fill these from the journal and the catalog; nothing here asks for anything.

use crate::domain::lifecycle::role::Role;
use crate::domain::lifecycle::state::State;
use crate::domain::records::approval::Standing;
use crate::domain::records::deployment::{Deployment, Summary};
use crate::domain::records::hold::{Frozen, Hold};
use crate::domain::records::kept::Kept;
use crate::domain::records::run::Run;
use crate::domain::records::subject::Subject;
use crate::foundation::failure::Class;
use crate::foundation::span::{between, moment};
use crate::operations::daemon::status::{Activity, DriftStatus};
use crate::operations::takedown::leftovers::Leftover;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub use crate::interfaces::record::show::{CheckedView, EffectView, EventView, ShowView};
pub use advice::{Advice, Circumstances};
pub use baseline::{BaselineLive, BaselineView, ExportView, ForgetView, ImportView, PointerView};
pub use ci::{CornersView, TakenDownView};
pub use compiled::CompiledView;
pub use diff::DiffView;
pub use gc::GcView;
pub use guide::{ExplainedView, GuideView};
pub use holding::HoldView;
pub use init::{InitView, LeftOutView, WrittenFile};
pub use notified::NotifiedView;
pub use tested::{TestVerdict, TestedView};

mod advice;
mod baseline;
mod ci;
mod compiled;
mod diff;
mod gc;
mod guide;
mod holding;
mod init;
/// What `notify` prints.
mod notified;
mod show;
mod tested;

/// One deployment without its plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeploymentView {
    /// Its id.
    pub id: String,
    /// Where.
    pub environment: String,
    /// How far it is.
    pub state: State,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it entered its state.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why it is as it is: what failed, who asked.
    pub reason: Option<String>,
    /// Who set it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Subject>,
}

impl DeploymentView {
    /// How long it took, where it ended.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        Some(between(self.created_at, self.finished_at?))
    }
}

impl From<&Deployment> for DeploymentView {
    fn from(deployment: &Deployment) -> Self {
        Self {
            id: deployment.id.clone(),
            environment: deployment.environment.clone(),
            state: deployment.state,
            created_at: deployment.created_at,
            updated_at: deployment.updated_at,
            finished_at: deployment.finished_at,
            reason: deployment.reason.clone(),
            by: deployment.by.clone(),
        }
    }
}

impl From<Summary> for DeploymentView {
    fn from(summary: Summary) -> Self {
        Self {
            id: summary.id,
            environment: summary.environment,
            state: summary.state,
            created_at: summary.created_at,
            updated_at: summary.updated_at,
            finished_at: summary.finished_at,
            reason: summary.reason,
            by: summary.by,
        }
    }
}

/// `deploy`, `promote`, `rollback`, `abort`, `resume` and `cleanup`: how it ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutcomeView {
    /// Where.
    pub environment: String,
    /// The deployment; `None` when there was nothing to do.
    pub deployment: Option<DeploymentView>,
    /// What comes next; `None` when there was nothing to do.
    pub advice: Option<Advice>,
}

/// `--dry-run`: what a command would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DryRunView {
    /// The command, for example `rollback`.
    pub command: String,
    /// Where.
    pub environment: String,
    /// What would be done, in order, one sentence each.
    pub would: Vec<String>,
}

/// `status`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusView {
    /// One for each environment, sorted by name.
    pub environments: Vec<StatusEntry>,
}

/// The status of one environment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusEntry {
    /// Its name.
    pub environment: String,
    /// The deployment under way, or else the latest; `None` when there never was one.
    pub deployment: Option<DeploymentView>,
    /// What comes next; `None` when there never was a deployment.
    pub advice: Option<Advice>,
    /// What it waits for to be ready: the object, the figure, the limit and since when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<String>,
    /// What holds it: a person, or else that somebody went back to an earlier release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Hold>,
    /// The freeze that lies over the present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Frozen>,
    /// The environment that it comes after and what follows from that, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain: Option<String>,
    /// What is kept of a release that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// What is live and is not as it was released, where somebody has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
    /// What must be so before what is ready is swapped, and how that stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Standing>,
    /// How the last data diff of the deployment went, in one line; where the journal was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// What the daemon says of it, where one was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub daemon: Option<DaemonEntry>,
    /// Which daemon leads it, where the journal was asked and one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<LeaderEntry>,
}

/// The daemon that leads an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeaderEntry {
    /// Where it answers: words between spaces.
    pub address: String,
    /// Whether it answered.
    pub answers: bool,
    /// Its process id.
    pub pid: u32,
    /// When it began to lead.
    pub since: Timestamp,
}

impl LeaderEntry {
    pub(crate) fn line(&self) -> String {
        let silent = if self.answers {
            ""
        } else {
            ", which does not answer here"
        };
        format!("led by the daemon at {}{silent}", self.address)
    }
}

/// What a daemon says of an environment besides its deployment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DaemonEntry {
    /// Whether it may act on the environment.
    pub role: Role,
    /// Where the leader answers, when that is another process and known.
    pub leader: Option<String>,
    /// What is being done.
    pub activity: Activity,
    /// When the schedule fires next.
    pub next_run: Option<Timestamp>,
    /// The revision of the project that was looked at last.
    pub revision: Option<String>,
    /// What keeps it from its work.
    pub problem: Option<String>,
    /// What ended deployments left in Materialize.
    pub leftovers: Vec<Leftover>,
}

impl DaemonEntry {
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match (self.role, &self.leader) {
            (Role::Leader, _) => {}
            (Role::Starting, _) => lines.push("the daemon is starting".to_owned()),
            (Role::Standby, Some(leader)) => lines.push(format!("led by {leader}")),
            (Role::Standby, None) => lines.push("led by another process".to_owned()),
        }
        if self.activity == Activity::Planning {
            lines.push("a release is being planned".to_owned());
        }
        lines.extend(self.problem.clone());
        lines.extend(
            self.leftovers
                .iter()
                .map(|left| format!("left over: {left}")),
        );
        lines.extend(self.next_run.map(|at| format!("next run {}", moment(at))));
        lines
    }
}

/// `history`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryView {
    /// The latest first.
    pub deployments: Vec<DeploymentView>,
    /// What holds the environments listed: persons, and that somebody went back to an earlier release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Hold>,
}

/// `history --runs`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunsView {
    /// The latest first.
    pub runs: Vec<Run>,
}

/// `check`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckView {
    /// What was tested, in order.
    pub findings: Vec<Finding>,
}

/// One thing that was tested.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What, for example `profiles.yml`.
    pub subject: String,
    /// What came out.
    pub verdict: Verdict,
    /// What was found, one sentence.
    pub detail: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// What came out of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// A deployment will work, but somebody should know.
    Warning,
    /// A deployment would fail, with a failure of this class.
    Fault(Class),
    /// Not tested, because something before it is at fault.
    Skipped,
}

impl Serialize for Verdict {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl Verdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Fault(_) => "fault",
            Verdict::Skipped => "skipped",
        }
    }
}

impl CheckView {
    /// The class of the first fault, which the command ends with.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        self.findings
            .iter()
            .find_map(|finding| match finding.verdict {
                Verdict::Fault(class) => Some(class),
                Verdict::Ok | Verdict::Warning | Verdict::Skipped => None,
            })
    }
}
