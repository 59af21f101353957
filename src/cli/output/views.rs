//! What commands print, as data. Field names are part of the interface.
//!
//! Handlers fill these from the journal and the catalog; nothing here asks for anything.

use super::clock::between;
use super::tables::table;
use super::{Advice, Page, View, format};
use crate::daemon::board::{Activity, Role};
use crate::deployment::leftovers::Leftover;
use crate::deployment::state::State;
use crate::failure::Class;
use crate::plan::render::escape::{visible, visible_lines};
use crate::settings::Loaded;
use crate::store::{Deployment, Run, Subject, Summary};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub use baseline::{BaselineLive, BaselineView, ExportView, ForgetView, ImportView, PointerView};
pub use ci::{CornersView, TakenDownView};
pub use compiled::CompiledView;
pub use gc::GcView;
pub use list::{ListView, ListedView};
pub use record::{CheckedView, EffectView, EventView, ShowView};
pub use tested::{TestVerdict, TestedView};

mod baseline;
mod ci;
mod compiled;
mod gc;
mod list;
mod record;
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

impl View for OutcomeView {
    fn text(&self, _page: Page) -> String {
        let Some(deployment) = &self.deployment else {
            return format!(
                "{}: nothing to do, nothing was touched\n",
                visible(&self.environment)
            );
        };
        let after = match deployment.took() {
            Some(took) => format!(" after {}", format::length(took)),
            None => String::new(),
        };
        let mut text = format!(
            "{}: {}{after} (deployment {})\n",
            visible(&self.environment),
            format::state(deployment.state),
            visible(&deployment.id),
        );
        if let Some(reason) = &deployment.reason {
            text.push_str(&format!("  reason: {}\n", indented(reason, "    ")));
        }
        if let Some(advice) = &self.advice {
            text.push_str(&format!("  {}\n", advice.next));
            for command in &advice.commands {
                text.push_str(&format!("  $ {}\n", visible(command)));
            }
        }
        text
    }
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

impl View for DryRunView {
    fn text(&self, _page: Page) -> String {
        let mut text = format!(
            "{} of {} would (nothing was changed):\n",
            visible(&self.command),
            visible(&self.environment)
        );
        for action in &self.would {
            text.push_str(&format!("  - {}\n", indented(action, "    ")));
        }
        if self.would.is_empty() {
            text.push_str("  do nothing\n");
        }
        text
    }
}

/// The most reasons to wait that a status shows as text.
const REASONS: usize = 3;

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
    fn line(&self) -> String {
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
    fn lines(&self) -> Vec<String> {
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
        lines.extend(
            self.next_run
                .map(|at| format!("next run {}", format::moment(at))),
        );
        lines
    }
}

impl View for StatusView {
    fn text(&self, _page: Page) -> String {
        if self.environments.is_empty() {
            return "no deployment is on record\n".to_owned();
        }
        let rows = self.environments.iter().map(|entry| {
            let (id, state, since, by, reason) = match &entry.deployment {
                Some(deployment) => (
                    format::short_id(&deployment.id).to_owned(),
                    format::state(deployment.state),
                    format::moment(deployment.updated_at),
                    who(deployment.by.as_ref()),
                    deployment.reason.clone(),
                ),
                None => {
                    let none = || "-".to_owned();
                    (none(), "none yet".to_owned(), none(), none(), None)
                }
            };
            let mut next: Vec<String> = Vec::new();
            if let Some(advice) = &entry.advice {
                next.push(advice.next.to_owned());
                next.extend(reason);
                next.extend(advice.commands.iter().map(|c| format!("$ {c}")));
            }
            let waits = entry.waiting_for.iter().take(REASONS);
            next.extend(waits.map(|reason| format!("waits: {}", visible(reason))));
            if entry.waiting_for.len() > REASONS {
                let more = entry.waiting_for.len() - REASONS;
                next.push(format!("waits: {more} more"));
            }
            next.extend(entry.daemon.iter().flat_map(DaemonEntry::lines));
            next.extend(entry.leader.iter().map(LeaderEntry::line));
            [
                visible(&entry.environment).into_owned(),
                id,
                state,
                since,
                by,
                next.join("\n"),
            ]
        });
        table(
            ["ENVIRONMENT", "DEPLOYMENT", "STATE", "SINCE", "BY", "NEXT"],
            rows,
        )
    }
}

/// `history`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryView {
    /// The latest first.
    pub deployments: Vec<DeploymentView>,
}

impl View for HistoryView {
    fn text(&self, _page: Page) -> String {
        if self.deployments.is_empty() {
            return "no deployment is on record\n".to_owned();
        }
        let rows = self.deployments.iter().map(|deployment| {
            let reason = deployment.reason.as_deref().unwrap_or_default();
            [
                format::short_id(&deployment.id).to_owned(),
                visible(&deployment.environment).into_owned(),
                format::state(deployment.state),
                format::moment(deployment.created_at),
                deployment.took().map_or("-".to_owned(), format::length),
                who(deployment.by.as_ref()),
                reason.lines().next().unwrap_or_default().to_owned(),
            ]
        });
        table(
            [
                "DEPLOYMENT",
                "ENVIRONMENT",
                "STATE",
                "STARTED",
                "TOOK",
                "BY",
                "REASON",
            ],
            rows,
        )
    }
}

/// `history --runs`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunsView {
    /// The latest first.
    pub runs: Vec<Run>,
}

impl View for RunsView {
    fn text(&self, _page: Page) -> String {
        if self.runs.is_empty() {
            return "no run is on record\n".to_owned();
        }
        let rows = self.runs.iter().map(|run| {
            let took = run.finished_at.map(|end| between(run.started_at, end));
            let outcome = run.outcome.map_or("under way", |outcome| outcome.as_str());
            let detail = run.detail.as_deref().unwrap_or_default();
            [
                format::short_id(&run.id).to_owned(),
                visible(&run.environment).into_owned(),
                run.cause.to_string(),
                who(run.by.as_ref()),
                format::moment(run.started_at),
                took.map_or("-".to_owned(), format::length),
                outcome.replace('_', " "),
                run.deployment
                    .as_deref()
                    .map_or("-", format::short_id)
                    .to_owned(),
                detail.lines().next().unwrap_or_default().to_owned(),
            ]
        });
        table(
            [
                "RUN",
                "ENVIRONMENT",
                "CAUSE",
                "BY",
                "STARTED",
                "TOOK",
                "OUTCOME",
                "DEPLOYMENT",
                "DETAIL",
            ],
            rows,
        )
    }
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
    fn word(self) -> &'static str {
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

impl View for CheckView {
    fn text(&self, _page: Page) -> String {
        let subjects = self
            .findings
            .iter()
            .map(|f| visible(&f.subject).chars().count());
        let width = subjects.max().unwrap_or_default();
        let indent = " ".repeat(8 + width + 2);
        let mut text = String::new();
        for finding in &self.findings {
            text.push_str(&format!(
                "{:<8}{:width$}  {}\n",
                finding.verdict.word(),
                visible(&finding.subject),
                indented(&finding.detail, &indent)
            ));
            if let Some(remedy) = &finding.remedy {
                let remedy = indented(remedy, &format!("{indent}  "));
                text.push_str(&format!("{indent}remedy: {remedy}\n"));
            }
        }
        let faults = self.findings.iter();
        let faults = faults.filter(|f| matches!(f.verdict, Verdict::Fault(_)));
        text.push_str(&match faults.count() {
            0 => "all that a deployment needs is there\n".to_owned(),
            1 => "1 fault\n".to_owned(),
            number => format!("{number} faults\n"),
        });
        text
    }
}

/// `config show`: as JSON the tree, as text the YAML with the origin of each value.
impl View for Loaded {
    fn text(&self, _page: Page) -> String {
        self.show()
    }
}

impl Serialize for Loaded {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.settings.without_secrets().serialize(serializer)
    }
}

/// Who is behind something, for a table.
fn who(by: Option<&Subject>) -> String {
    by.map_or("-".to_owned(), |by| visible(&by.to_string()).into_owned())
}

/// Several lines, the later ones below the first.
fn indented(text: &str, indent: &str) -> String {
    visible_lines(text).replace('\n', &format!("\n{indent}"))
}
