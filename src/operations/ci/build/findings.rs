//! What a build has to say, put into its report.

use super::Worked;
use crate::domain::plan::refusal::RefusalName;
use crate::domain::plan::{ColumnChangeKind, Reader, ReaderKind};
use crate::domain::records::corner::CornerState;
use crate::operations::ci::choice::Choice;
use crate::operations::ci::make::Made;
use crate::operations::ci::namespace::Work;
use crate::operations::ci::report::{
    ColumnChange, ColumnReport, CornerReport, NodeReport, NodeState, Report,
};
use crate::operations::describe::Described;
use crate::operations::release::proposal::Proposal;
use crate::planning::planner::columns;
use crate::planning::recipe::document::Recipe;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn nodes_of(proposal: &Proposal, choice: &Choice, recipe: &Recipe) -> Vec<NodeReport> {
    let parsed = &proposal.parsed;
    let items = recipe.items.iter();
    items
        .filter_map(|item| {
            let id = &item.unique_id;
            let (node, written) = (
                parsed.candidate.nodes.get(id)?,
                parsed.manifest.nodes.get(id)?,
            );
            Some(NodeReport {
                unique_id: id.clone(),
                relation: format!("{}.{}", node.schema, node.identifier),
                materialized: node.materialized.clone(),
                file: written.original_file_path.clone(),
                reason: choice.nodes.get(id).cloned().unwrap_or_default(),
                state: NodeState::Missing,
                message: None,
                line: None,
                seconds: 0.0,
                rows: None,
                production_rows: None,
            })
        })
        .collect()
}

/// Data tests that do not run; what becomes of unit tests is told when it is known.
pub(crate) fn not_run(
    proposal: &Proposal,
    choice: &Choice,
    recipe: &Recipe,
) -> BTreeMap<String, String> {
    let runs: BTreeSet<&str> = recipe.tests.iter().map(|test| &*test.unique_id).collect();
    let units = &proposal.parsed.manifest.unit_tests;
    let left = choice
        .tests
        .iter()
        .filter(|id| !runs.contains(id.as_str()) && !units.contains_key(*id));
    left.map(|id| {
        let why = "only dbt can run it: it asks the server while it is compiled, its configuration has an unknown form, or warnings are errors";
        (id.clone(), why.to_owned())
    })
    .collect()
}

/// The columns that a release of what is built would gain, lose or have otherwise; sorted by relation and column.
pub(crate) fn columns(worked: &Worked, described: &Described) -> Vec<ColumnReport> {
    let built: BTreeSet<&str> = described.columns.keys().map(String::as_str).collect();
    let changes = columns::described(columns::Described {
        candidate: &worked.proposal.parsed.candidate,
        manifest: &worked.proposal.parsed.manifest,
        catalog: &worked.proposal.catalog,
        columns: &described.columns,
        built: &built,
    });
    let changes = changes.into_iter();
    changes
        .map(|change| ColumnReport {
            relation: change.relation,
            column: change.column,
            change: match change.change {
                ColumnChangeKind::Added { to } => ColumnChange::Gained { to },
                ColumnChangeKind::Removed { from } => ColumnChange::Lost { from },
                ColumnChangeKind::Retyped { from, to } => ColumnChange::Retyped { from, to },
                ColumnChangeKind::Nullable { to } => ColumnChange::Nullable { to },
            },
            readers: change.readers.into_iter().map(shown).collect(),
        })
        .collect()
}

/// What is lost, as a release would refuse it, one sentence; `None` where nothing is, or it is allowed.
pub(crate) fn lost(columns: &[ColumnReport], allowed: &BTreeSet<RefusalName>) -> Option<String> {
    let lost = columns.iter().filter_map(|column| match column.change {
        ColumnChange::Lost { .. } => Some(format!("{}.{}", column.relation, column.column)),
        ColumnChange::Gained { .. }
        | ColumnChange::Retyped { .. }
        | ColumnChange::Nullable { .. } => None,
    });
    let lost: Vec<String> = lost.collect();
    let name = RefusalName::ColumnLost;
    (!lost.is_empty() && !allowed.contains(&name)).then(|| {
        format!(
            "a release of this is refused ({name}) until it is released with --allow {name}: {}",
            lost.join(", ")
        )
    })
}

/// Objects of the catalog by their names alone.
fn shown(reader: Reader) -> String {
    match reader.kind {
        ReaderKind::View
        | ReaderKind::MaterializedView
        | ReaderKind::Index
        | ReaderKind::Sink
        | ReaderKind::Object => reader.name,
        ReaderKind::Exposure | ReaderKind::Queries => reader.to_string(),
    }
}

pub(crate) fn told_described(report: &mut Report, described: &Described) {
    for node in &mut report.nodes {
        let id = &node.unique_id;
        node.seconds = described.seconds.get(id).copied().unwrap_or_default();
        if let Some(failure) = described.failed.get(id) {
            node.state = NodeState::Failed;
            node.message = Some(failure.message.clone());
            node.line = failure.line;
        } else if let Some(parent) = described.skipped.get(id) {
            node.state = NodeState::Skipped;
            node.message = Some(format!("waits for {parent}"));
        } else {
            node.state = NodeState::Described;
            let source = described.apart.get(id);
            node.message = source.map(|source| format!("not looked at: {source} is not there yet"));
        }
    }
}

pub(crate) fn told_made(report: &mut Report, made: &Made) {
    for node in &mut report.nodes {
        let id = &node.unique_id;
        if let Some((message, line)) = made.failed.get(id) {
            node.state = NodeState::Failed;
            node.message = Some(message.clone());
            node.line = *line;
        } else if let Some(parent) = made.skipped.get(id) {
            node.state = NodeState::Skipped;
            node.message = Some(format!("waits for {parent}"));
        } else if let Some(seconds) = made.built.get(id) {
            node.state = NodeState::Built;
            node.message = None;
            node.seconds += seconds;
        } else if made.kept.contains(id) {
            node.state = NodeState::Kept;
        } else {
            node.state = NodeState::Missing;
        }
    }
}

pub(crate) fn standing_report(work: &Work<'_>, shared: Option<&str>) -> Option<CornerReport> {
    let record = &work.record;
    let is_there = match work.corner.state {
        CornerState::Building | CornerState::Standing => true,
        CornerState::Waiting | CornerState::Leaving | CornerState::Gone => false,
    };
    let now = Timestamp::now();
    let schemas = record.schemas.iter();
    is_there.then(|| CornerReport {
        database: record.database.clone(),
        schemas: schemas
            .map(|(schema, held)| (schema.clone(), held.name.clone()))
            .collect(),
        cluster: match (&record.cluster, shared) {
            (_, Some(shared)) => shared.to_owned(),
            (Some(held), None) => held.name.clone(),
            (None, None) => String::new(),
        },
        size: record.size.clone(),
        cluster_seconds: record.cluster_seconds(now),
        credits: record.credits(now),
        expires_at: work.corner.expires_at,
    })
}
