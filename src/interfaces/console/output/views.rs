//! What commands print, as text for people.

mod baseline;
mod ci;
mod compiled;
mod diff;
mod gc;
mod guide;
mod holding;
mod init;
pub(crate) mod list;
mod notified;
mod show;
mod tested;

use crate::domain::records::approval::Standing;
use crate::domain::records::kept::Kept;
use crate::domain::records::subject::Subject;
use crate::foundation::escape::{visible, visible_lines};
use crate::foundation::span::{between, moment};
use crate::inputs::settings::Loaded;
use crate::interfaces::console::output::tables::table;
use crate::interfaces::console::output::{Page, View, format};
use crate::interfaces::record::{
    CheckView, DaemonEntry, DryRunView, HistoryView, LeaderEntry, OutcomeView, RunsView,
    StatusView, Verdict,
};
use crate::operations::daemon::status::DriftStatus;
use serde::Serialize;

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
                    moment(deployment.updated_at),
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
            let held = entry.held.iter();
            next.extend(held.map(|held| visible(&held.sentence()).into_owned()));
            let frozen = entry.frozen.iter();
            next.extend(frozen.map(|frozen| visible(&frozen.sentence()).into_owned()));
            next.extend(entry.chain.iter().map(|chain| visible(chain).into_owned()));
            next.extend(entry.kept.iter().flat_map(kept));
            let drift = entry.drift.iter().flat_map(DriftStatus::lines);
            next.extend(drift.map(|line: String| visible(&line).into_owned()));
            let promotion = entry.promotion.iter().flat_map(Standing::lines);
            next.extend(promotion.map(|line| visible_lines(&line)));
            let diff = entry.diff.as_ref();
            next.extend(diff.map(|diff| format!("data diff: {}", visible(diff))));
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
                moment(deployment.created_at),
                deployment.took().map_or("-".to_owned(), format::length),
                who(deployment.by.as_ref()),
                reason.lines().next().unwrap_or_default().to_owned(),
            ]
        });
        let mut text = table(
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
        );
        for held in &self.held {
            let (environment, sentence) = (&held.environment, held.sentence());
            text.push_str(&format!(
                "{}: {}\n",
                visible(environment),
                visible(&sentence)
            ));
        }
        text
    }
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
                moment(run.started_at),
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

/// What is kept of a release that failed, and what to query.
fn kept(kept: &Kept) -> Vec<String> {
    let mut lines = vec![
        format!("kept until {}", moment(kept.until)),
        format!("schemas: {}", kept.schemas.join(", ")),
    ];
    if !kept.clusters.is_empty() {
        lines.push(format!("clusters: {}", kept.clusters.join(", ")));
    }
    let nodes = kept.failed.iter();
    lines.extend(nodes.map(|node| format!("{}: {}", node.status, node.unique_id)));
    lines.extend(kept.queries.iter().map(|sql| format!("sql> {sql};")));
    lines.into_iter().map(|line| visible_lines(&line)).collect()
}

/// Who is behind something, for a table.
fn who(by: Option<&Subject>) -> String {
    by.map_or("-".to_owned(), |by| visible(&by.to_string()).into_owned())
}

/// Several lines, the later ones below the first.
fn indented(text: &str, indent: &str) -> String {
    visible_lines(text).replace('\n', &format!("\n{indent}"))
}
