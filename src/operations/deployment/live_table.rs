//! Saying in Materialize what is live: one table, for everybody who has psql.
//!
//! Bookkeeping, as comments are: nothing is decided by it, it is never read, and a release does not fail because of
//! it. It is written once the swap has committed and the baseline has moved, once more with the cleanup where it could
//! not be, and again when the old side is back.

use super::after_swap::Serving;
use super::hold::revision_of;
use super::soak::swapped_at;
use crate::adapters::materialize::MaterializeError;
use crate::adapters::materialize::live_table::{self, Found, LiveRow};
use crate::domain::lifecycle::state::State;
use crate::domain::plan::Plan;
use crate::domain::records::deployment::Deployment;
use crate::foundation::failure::with_causes;
use crate::inputs::settings::LiveTable;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::{Context, key};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long one statement may take: nobody waits for a cluster that does not answer.
const LONGEST: Duration = Duration::from_secs(30);

/// How many earlier deployments are looked through for what they made live.
const LOOK_BACK: u32 = 100;

/// What came of it. Stored in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    /// The table says it.
    Written,
    /// It could not be written, for this reason.
    NotWritten(String),
}

/// A schema or cluster of production.
type Place = (&'static str, String);

/// Says what serves now. May run twice. `again`: also where it could not be said before.
///
/// # Errors
/// The journal's; a server that went away.
pub(super) async fn say(
    context: &Context<'_>,
    deployment: &Deployment,
    serving: Serving,
    again: bool,
) -> Result<(), DeploymentError> {
    let LiveTable::Named { schema, name } = &context.settings.live_table else {
        return Ok(());
    };
    let key = match serving {
        Serving::Green => key::LIVE,
        Serving::Blue => key::LIVE_BACK,
    };
    if serving == Serving::Blue {
        let said = context.store.effect(&deployment.id, key::LIVE).await?;
        if said.is_none() {
            return Ok(());
        }
    }
    let effect = context.begin(deployment, key, &(schema, name)).await?;
    match effect.result_as()? {
        Some(Said::Written) => return Ok(()),
        Some(Said::NotWritten(_)) if !again => return Ok(()),
        Some(Said::NotWritten(_)) | None => {}
    }
    let said = match write(context, deployment, serving, (schema, name)).await {
        Ok(()) => Said::Written,
        Err(Unsaid::Why(why)) => {
            context
                .reporter
                .warning(format!("{schema}.{name} does not say what is live: {why}"));
            Said::NotWritten(why)
        }
        Err(Unsaid::Error(error)) => return Err(error),
    };
    context.finish(deployment, key, &said).await
}

/// Why nothing was said.
enum Unsaid {
    /// It cannot be, for this reason.
    Why(String),
    /// The step goes no further.
    Error(DeploymentError),
}

impl<E: Into<DeploymentError>> From<E> for Unsaid {
    fn from(error: E) -> Self {
        let error = error.into();
        if let DeploymentError::Materialize(
            said @ (MaterializeError::Refused { .. } | MaterializeError::Deadline { .. }),
        ) = &error
        {
            return Self::Why(with_causes(said));
        }
        Self::Error(error)
    }
}

async fn write(
    context: &Context<'_>,
    deployment: &Deployment,
    serving: Serving,
    (schema, name): (&str, &str),
) -> Result<(), Unsaid> {
    let plan = &deployment.plan;
    if is_released(plan, schema) {
        let why = format!(
            "the schema {schema} is one of those that are swapped; name another in live_table"
        );
        return Err(Unsaid::Why(why));
    }
    let touched = touched(plan);
    let found = live_table::find(context.materialize, schema, name).await?;
    let is_new = match found {
        Found::Table => false,
        Found::Nothing { has_schema } => {
            for statement in live_table::making(&plan.database, schema, name, has_schema) {
                context.interrupted(deployment)?;
                context.execute(&statement).await?;
            }
            true
        }
        Found::Other => {
            let why = "something else has that name; rename it, or name another in live_table";
            return Err(Unsaid::Why(why.to_owned()));
        }
    };
    let mut rows = BTreeMap::new();
    if is_new || serving == Serving::Blue {
        let wanted = (!is_new).then_some(&touched);
        rows = earlier(context, deployment, wanted).await?;
    }
    if serving == Serving::Green {
        for place in &touched {
            rows.insert(place.clone(), row(context, deployment, place).await?);
        }
    }
    let known = rows.keys().chain(&touched);
    let places: BTreeSet<(&str, &str)> = known.map(|(kind, name)| (*kind, name.as_str())).collect();
    let places: Vec<(&str, &str)> = places.into_iter().collect();
    let cluster = places.iter().find(|(kind, _)| *kind == "cluster");
    let Some((_, cluster)) = cluster else {
        let why = "no cluster is known on which it could be written";
        return Err(Unsaid::Why(why.to_owned()));
    };
    let rows: Vec<LiveRow> = rows.values().cloned().collect();
    let table = (plan.database.as_str(), schema, name);
    let statements = live_table::saying(table, &deployment.environment, &places, &rows);
    live_table::say(context.materialize, cluster, &statements, LONGEST).await?;
    Ok(())
}

/// Whether a schema is swapped, or the green one of one that is.
fn is_released(plan: &Plan, schema: &str) -> bool {
    let mut schemas = plan.schemas.iter();
    schemas.any(|it| it.name == schema || it.green == schema)
}

/// The schemas and clusters that a release makes live.
fn touched(plan: &Plan) -> BTreeSet<Place> {
    let schemas = plan.schemas.iter().map(|it| ("schema", it.name.clone()));
    let clusters = plan.clusters.iter().filter(|it| !it.scratch);
    let clusters = clusters.map(|it| ("cluster", it.name.clone()));
    let replaced = plan.replacements.iter();
    let replaced = replaced.flat_map(|it| {
        [
            ("schema", it.schema.clone()),
            ("cluster", it.cluster.clone()),
        ]
    });
    schemas.chain(clusters).chain(replaced).collect()
}

async fn row(
    context: &Context<'_>,
    deployment: &Deployment,
    (kind, name): &Place,
) -> Result<LiveRow, DeploymentError> {
    let events = context.store.events(&deployment.id).await?;
    Ok(LiveRow {
        kind,
        name: name.clone(),
        deployment: deployment.id.clone(),
        revision: revision_of(context.store, &deployment.id).await?,
        since: swapped_at(&events).to_string(),
        by: deployment.by.as_ref().map(ToString::to_string),
    })
}

/// What earlier deployments made live, at these places or at all of them.
async fn earlier(
    context: &Context<'_>,
    deployment: &Deployment,
    wanted: Option<&BTreeSet<Place>>,
) -> Result<BTreeMap<Place, LiveRow>, DeploymentError> {
    let store = context.store;
    let environment = Some(deployment.environment.as_str());
    let mut rows: BTreeMap<Place, LiveRow> = BTreeMap::new();
    for summary in store.history(environment, LOOK_BACK).await? {
        if summary.state != State::Done || summary.id == deployment.id {
            continue;
        }
        if wanted.is_some_and(|wanted| wanted.iter().all(|place| rows.contains_key(place))) {
            break;
        }
        let before = store.deployment(&summary.id).await?;
        for place in touched(&before.plan) {
            let is_wanted = wanted.is_none_or(|wanted| wanted.contains(&place));
            if is_wanted && !rows.contains_key(&place) {
                let row = row(context, &before, &place).await?;
                rows.insert(place, row);
            }
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::{is_released, touched};
    use crate::planning::planner::render::sample;

    #[test]
    fn what_is_said_is_of_what_the_release_makes_live() {
        let plan = sample::shop();
        let touched = touched(&plan);
        let swapped = plan.clusters.iter().filter(|it| !it.scratch).count();
        assert_eq!(touched.len(), plan.schemas.len() + swapped);
        assert!(is_released(&plan, &plan.schemas[0].name));
        assert!(is_released(&plan, &plan.schemas[0].green));
        assert!(!is_released(&plan, "cutover"));
    }
}
