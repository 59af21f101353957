//! What the server's planner says of a plan: columns that change and who reads them, and SQL that it does not take.

use super::planning::Found;
use super::{Release, ReleaseError, Wishes};
use crate::adapters::materialize::{Materialize, recent};
use crate::domain::plan::refusal::{Refusal, RefusalName, Refusals, Refused};
use crate::domain::plan::{
    ColumnChange, ColumnChangeKind, Description, Plan, Reader, ReaderKind, Strategy,
};
use crate::domain::progress::Reporter;
use crate::operations::builds::{Builds, Compiled, Describable, Known};
use crate::operations::describe::{Described, Looking, said};
use crate::operations::error::DeploymentError;
use crate::planning::planner::{columns, outside};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The longest time for the question whose queries read what changes.
const RECENT: Duration = Duration::from_secs(10);

impl Release {
    /// Has the planned nodes described, where that is wished, and puts into the plan what that says.
    ///
    /// # Errors
    /// [`RefusalName::SqlError`] and [`RefusalName::ColumnLost`]; the server's, where it does not answer.
    pub(super) async fn describe(
        &self,
        (builds, materialize): (&Builds, &Materialize),
        found: Found<'_>,
        (compiled, known): (&Compiled, Option<Known<'_>>),
        wishes: &Wishes,
        plan: &mut Plan,
    ) -> Result<(), ReleaseError> {
        // What is replaced in place has the columns that it had: the server sees to that.
        let builds_nothing = plan.strategy == Strategy::Replace || plan.built().next().is_none();
        if !wishes.describe || builds_nothing {
            return Ok(());
        }
        let Describable { recipe, left_out } = match &plan.building.recipe {
            Some(_) => Describable {
                recipe: builds.recipe(plan).await?,
                left_out: BTreeMap::new(),
            },
            None => builds.describable(found.parsed, compiled, known, plan),
        };
        let silent = Reporter::silent();
        let makes = plan.outside.makes.iter();
        let to_be_made: BTreeSet<String> = makes.map(|make| make.node.clone()).collect();
        let looking = Looking {
            materialize,
            builds,
            manifest: &found.parsed.manifest,
            database: &plan.database,
            to_be_made: &to_be_made,
            limit: self.settings.materialize.statement_timeout.0,
            reporter: &silent,
            stop: &builds.invoker.cancel,
        };
        let described = looking.describe(&recipe).await?;
        let described = described.ok_or(ReleaseError::Interrupted)?;
        let built: BTreeSet<&str> = built_ids(plan);
        let mut changes = columns::described(columns::Described {
            candidate: &found.parsed.candidate,
            manifest: &found.parsed.manifest,
            catalog: found.catalog,
            columns: &described.columns,
            built: &built,
        });
        let queries_unknown = ask_for_queries(materialize, &mut changes).await;
        let ids: BTreeSet<&str> = described.columns.keys().map(String::as_str).collect();
        columns::take(plan, &ids, changes);
        plan.outside.columns = outside::sink_columns(&plan.columns, &plan.sinks);
        let mut left_out = left_out;
        for (id, source) in &described.apart {
            let why = match id == source {
                true => "is a source that is to be made".to_owned(),
                false => format!("reads {source}, which is to be made"),
            };
            left_out.insert(id.clone(), why);
        }
        let mut refusals = sql_errors(&described, found);
        // Hooks may make what a node reads, and have not run yet.
        if !plan.hooked.is_empty() {
            for (id, failure) in &described.failed {
                let why = format!("is not taken before hooks have run: {}", failure.message);
                left_out.insert(id.clone(), why);
            }
            for (id, parent) in &described.skipped {
                let why = format!("reads {parent}, which is not described");
                left_out.insert(id.clone(), why);
            }
            refusals.clear();
        }
        plan.description = Some(Description {
            described: described.columns.len(),
            left_out,
            queries_unknown,
        });
        refusals.extend(columns::lost(plan));
        let refusals = refusals.into_iter();
        let (fatal, accepted): (Vec<Refusal>, Vec<Refusal>) = refusals.partition(|refusal| {
            !(refusal.name.is_allowable() && wishes.allow.contains(&refusal.name))
        });
        plan.accepted.extend(accepted);
        match fatal.is_empty() {
            true => Ok(()),
            false => Err(DeploymentError::from(Refused(fatal)).into()),
        }
    }
}

fn built_ids(plan: &Plan) -> BTreeSet<&str> {
    plan.built().map(|node| node.unique_id.as_str()).collect()
}

/// What the server does not take, and where that is written.
fn sql_errors(described: &Described, found: Found<'_>) -> Vec<Refusal> {
    let mut refusals = Refusals::default();
    for (id, failure) in &described.failed {
        let node = found.parsed.manifest.nodes.get(id);
        let file = node.map_or("", |node| node.original_file_path.as_str());
        let line = failure.line.map(|line| format!(":{line}"));
        refusals.add(
            RefusalName::SqlError,
            "the server does not take the SQL of a node",
            format!(
                "{id} in {file}{}: {}",
                line.unwrap_or_default(),
                failure.message
            ),
            "correct what is named; with `describe: false` only the build would find it",
        );
    }
    refusals.into_vec()
}

/// Adds to what is lost or retyped whose queries read it, as far as the server tells; else why that is not known.
async fn ask_for_queries(
    materialize: &Materialize,
    changes: &mut [ColumnChange],
) -> Option<String> {
    let is_taken = |change: &&mut ColumnChange| match change.change {
        ColumnChangeKind::Removed { .. } | ColumnChangeKind::Retyped { .. } => true,
        ColumnChangeKind::Added { .. } | ColumnChangeKind::Nullable { .. } => false,
    };
    let name = |change: &ColumnChange| {
        let relation = change.relation.split_once('.');
        relation.map_or_else(String::new, |(_, name)| name.to_owned())
    };
    let taken: Vec<&mut ColumnChange> = changes.iter_mut().filter(is_taken).collect();
    let names: BTreeSet<String> = taken.iter().map(|change| name(change)).collect();
    if names.is_empty() {
        return None;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // It is told and nothing else, so that nothing about it is an error.
    let queries = async {
        let session = materialize.own_session_within(RECENT).await?;
        recent::naming(&session, &names, RECENT).await
    };
    let queries = match queries.await {
        Ok(queries) => queries,
        Err(error) => return Some(said(&error)),
    };
    for change in taken {
        let askers = recent::askers(&queries, &name(change), &change.column);
        let readers = askers.into_iter().map(|(asker, times)| {
            let through = match asker.application.is_empty() {
                true => String::new(),
                false => format!(" through {}", asker.application),
            };
            let often = match times {
                1 => "once".to_owned(),
                times => format!("{times} times"),
            };
            Reader {
                kind: ReaderKind::Queries,
                name: format!("of {}{through}, {often}", asker.user),
            }
        });
        change.readers.extend(readers);
    }
    None
}
