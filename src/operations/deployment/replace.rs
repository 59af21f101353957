//! Replacing a materialized view in place.
//!
//! The replacement computes beside the view under a name that only this deployment knows. One
//! statement applies it: from then on the view's name, owner, grants, comments and dependents belong to
//! the new definition. That statement is its own fence. It names a replacement that exists once and is
//! used up by it, so sent twice it does nothing the second time, and of two processes one succeeds. No
//! swap is at stake that would undo itself, so the control schema keeps its generation and only says
//! that a deployment is under way.
//!
//! What the catalog shows decides: the replacement by its recorded id, the view by name and id, and
//! where an apply leaves the view's id as it was, the view's query.

use super::cutover::{Ready, Swapped};
use crate::adapters::materialize::catalog::About;
use crate::adapters::materialize::{MaterializeError, Statement, replacement};
use crate::domain::catalog::{Catalog, Object, ObjectKind};
use crate::domain::plan::refusal::RefusalName;
use crate::domain::plan::{Plan, Replacement};
use crate::domain::progress::Progress;
use crate::domain::records::deployment::Deployment;
use crate::foundation::failure::{Class, Classify};
use crate::foundation::sql::identifier::Qualified;
use crate::operations::deployment::{hold, rollback};
use crate::operations::error::DeploymentError;
use crate::operations::green::hydrate;
use crate::operations::saga::context::{Context, key};
use crate::planning::readiness::{ExpectedCluster, ExpectedObject};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often a replacement that somebody dropped is made again for a rollback, without being asked.
const MOST_ATTEMPTS: usize = 8;

/// A replacement as it was when it had been made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Made {
    /// Its id.
    id: String,
    /// The id of the view that it is for.
    target: String,
    /// Its query as the server shows it, where it does.
    query: Option<String>,
}

/// How a replacement stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    /// It waits beside the view.
    Pending,
    /// It is the view, which has this id now.
    Applied(String),
    /// It is gone, and the view is what it was.
    Gone,
    /// Neither: the text names what was found.
    Foreign(String),
}

/// The name of the new definition's replacement until it is applied.
pub(super) fn secret_name(deployment: &Deployment) -> String {
    Context::secret(deployment).hidden("replacement", 0)
}

fn planned(deployment: &Deployment) -> Result<&Replacement, DeploymentError> {
    let [view] = deployment.plan.replacements.as_slice() else {
        return Err(DeploymentError::Failed(format!(
            "the plan replaces {} views, and only one can be replaced in one moment",
            deployment.plan.replacements.len()
        )));
    };
    Ok(view)
}

fn called(view: &Replacement) -> String {
    format!("{}.{}", view.schema, view.name)
}

/// The object of this name in the view's schema.
fn in_schema<'c>(catalog: &'c Catalog, view: &Replacement, name: &str) -> Option<&'c Object> {
    let schema = catalog.schema(&view.schema)?;
    catalog
        .objects_in_schema(&schema.id)
        .into_iter()
        .find(|object| object.kind == ObjectKind::MaterializedView && object.name == name)
}

/// `shown` is the query of the view that serves, where the server shows it.
fn standing(view: &Replacement, made: &Made, catalog: &Catalog, shown: Option<&str>) -> Standing {
    let Some(live) = in_schema(catalog, view, &view.name) else {
        return Standing::Foreign(format!(
            "{} is gone: somebody renamed or dropped it",
            called(view)
        ));
    };
    let pending = catalog.replacements.as_ref();
    if pending.and_then(|pending| pending.target_of(&made.id)) == Some(live.id.as_str()) {
        return Standing::Pending;
    }
    let has_new_query = made.query.is_some() && made.query.as_deref() == shown;
    if live.id == made.id || (live.id == made.target && has_new_query) {
        return Standing::Applied(live.id.clone());
    }
    if live.id == made.target {
        return Standing::Gone;
    }
    Standing::Foreign(format!(
        "{} has the id {}, but this deployment recorded {} and {}: somebody dropped or replaced it",
        called(view),
        live.id,
        made.target,
        made.id
    ))
}

async fn look(
    context: &Context<'_>,
    view: &Replacement,
    made: &Made,
) -> Result<Standing, DeploymentError> {
    let nothing = BTreeMap::new();
    Ok(look_around(context, view, made, &nothing).await?.0)
}

/// What of the catalog a look at the view is about, and at what has this name beside it.
fn about(view: &Replacement, name: &str) -> About {
    About {
        object_names: [view.name.clone(), name.to_owned()].into(),
        replacements: true,
        ..About::default()
    }
}

/// As [`look`], with everything else that was seen, of it the relations that stay.
async fn look_around(
    context: &Context<'_>,
    view: &Replacement,
    made: &Made,
    keeps: &BTreeMap<String, String>,
) -> Result<(Standing, Catalog), DeploymentError> {
    let about = about(view, &view.name).and_objects(keeps.keys());
    let catalog = Catalog::look(context.materialize, &about).await?;
    let shown = shown(context, &catalog, view, &view.name).await?;
    let standing = standing(view, made, &catalog, shown.as_deref());
    Ok((standing, catalog))
}

/// The law of [`crate::planning::planner::invariant`]: whatever the project makes beside the view is where it was.
fn lawful(plan: &Plan, catalog: &Catalog) -> Result<(), String> {
    let kept = plan.keeps.iter();
    let lost: Vec<&str> = kept
        .filter(|(id, name)| {
            let found = catalog.objects.get(*id);
            found.is_none_or(|object| catalog.name_of(object) != **name)
        })
        .map(|(_, name)| name.as_str())
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}: {} was renamed, dropped, or made again, since the plan",
        RefusalName::RelationLost,
        lost.join(", ")
    ))
}

/// The query of a view, where there is one and the server shows it.
async fn shown(
    context: &Context<'_>,
    catalog: &Catalog,
    view: &Replacement,
    name: &str,
) -> Result<Option<String>, DeploymentError> {
    if in_schema(catalog, view, name).is_none() {
        return Ok(None);
    }
    let name = Qualified::object(&catalog.database, &view.schema, name);
    let session = context.materialize.session_patiently().await?;
    match replacement::query(&session, &name).await {
        Ok(query) => Ok(query.ok()),
        // It went between two looks; the next one tells.
        Err(MaterializeError::Refused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Makes the replacement and records it.
pub(super) async fn make(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let view = planned(deployment)?;
    let catalog = Catalog::look(context.materialize, &about(view, &view.name)).await?;
    let live = in_schema(&catalog, view, &view.name);
    let is_as_planned = live.is_some_and(|live| {
        live.id == view.id && live.cluster_id.as_ref() == Some(&view.cluster_id)
    });
    if !is_as_planned && recorded(context, deployment, key::REPLACE).await?.is_none() {
        return Err(DeploymentError::Failed(format!(
            "production changed since the plan: {} is not the one that was planned",
            called(view)
        )));
    }
    let name = secret_name(deployment);
    make_one(context, deployment, key::REPLACE, &name, &view.query).await?;
    context.reporter.send(Progress::Work {
        what: "created".to_owned(),
        item: format!("a replacement of {}", called(view)),
        done: 1,
        total: 1,
    });
    Ok(())
}

async fn recorded(
    context: &Context<'_>,
    deployment: &Deployment,
    key: &str,
) -> Result<Option<Made>, DeploymentError> {
    Ok(match context.store.effect(&deployment.id, key).await? {
        Some(effect) => effect.result_as()?,
        None => None,
    })
}

/// Makes a replacement under a secret name, unless it is there, and records it.
async fn make_one(
    context: &Context<'_>,
    deployment: &Deployment,
    key: &str,
    name: &str,
    query: &str,
) -> Result<Made, DeploymentError> {
    let view = planned(deployment)?;
    let effect = context.begin(deployment, key, &(name, query)).await?;
    if let Some(made) = effect.result_as::<Made>()? {
        return Ok(made);
    }
    let failed = |what: String| Err(DeploymentError::Failed(what));
    let about = about(view, name);
    let mut catalog = Catalog::look(context.materialize, &about).await?;
    if in_schema(&catalog, view, name).is_none() {
        let database = catalog.database.as_str();
        let statement = replacement::create_replacement(
            &Qualified::object(database, &view.schema, name),
            &Qualified::object(database, &view.schema, &view.name),
            &view.cluster,
            query,
        );
        let is_there = async || {
            let now = Catalog::look(context.materialize, &about).await?;
            Ok(in_schema(&now, view, name).is_some())
        };
        context.make(&statement, is_there).await?;
        catalog = Catalog::look(context.materialize, &about).await?;
    }
    let Some(found) = in_schema(&catalog, view, name) else {
        return failed(format!(
            "the replacement of {} was made a moment ago and is gone: somebody dropped it",
            called(view)
        ));
    };
    let pending = catalog.replacements.as_ref();
    let Some(target) = pending.and_then(|pending| pending.target_of(&found.id)) else {
        return failed(format!(
            "{} is no replacement of {}",
            catalog.name_of(found),
            called(view)
        ));
    };
    // Without it nobody could tell later whether it was applied.
    let Some(query) = shown(context, &catalog, view, name).await? else {
        return failed(format!(
            "the server does not show the query of {} in a form that is known",
            catalog.name_of(found)
        ));
    };
    let made = Made {
        id: found.id.clone(),
        target: target.to_owned(),
        query: Some(query),
    };
    context.finish(deployment, key, &made).await?;
    Ok(made)
}

async fn made(context: &Context<'_>, deployment: &Deployment) -> Result<Made, DeploymentError> {
    recorded(context, deployment, key::REPLACE)
        .await?
        .ok_or_else(|| {
            DeploymentError::Stuck("the journal has no record of the replacement".to_owned())
        })
}

/// Waits until the replacement is ready.
pub(super) async fn wait(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let made = made(context, deployment).await?;
    wait_for(context, deployment, &made).await
}

async fn wait_for(
    context: &Context<'_>,
    deployment: &Deployment,
    made: &Made,
) -> Result<(), DeploymentError> {
    let view = planned(deployment)?;
    let object = ExpectedObject {
        id: made.id.clone(),
        name: format!("the replacement of {}", called(view)),
        counterpart: Some(made.target.clone()),
        is_scheduled: false,
    };
    let cluster = ExpectedCluster {
        name: view.cluster.clone(),
        is_on_refresh: false,
        objects: vec![object],
    };
    let clusters = BTreeMap::from([(view.cluster_id.clone(), cluster)]);
    let samples = context.settings.readiness.samples;
    hydrate::wait_for(context, deployment, clusters, samples).await
}

/// The view that serves since the replacement was applied, on its cluster.
pub(super) async fn released(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<BTreeMap<String, ExpectedCluster>, DeploymentError> {
    let view = planned(deployment)?;
    let object = ExpectedObject {
        id: applied_id(context, deployment).await?,
        name: called(view),
        counterpart: None,
        is_scheduled: false,
    };
    let cluster = ExpectedCluster {
        name: view.cluster.clone(),
        is_on_refresh: false,
        objects: vec![object],
    };
    Ok(BTreeMap::from([(view.cluster_id.clone(), cluster)]))
}

/// Makes sure that the replacement could be applied now. The server has no rehearsal for it.
pub(super) async fn verify(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let view = planned(deployment)?;
    let made = made(context, deployment).await?;
    let (standing, catalog) = look_around(context, view, &made, &deployment.plan.keeps).await?;
    match standing {
        Standing::Pending => lawful(&deployment.plan, &catalog).map_err(DeploymentError::Failed),
        other @ (Standing::Applied(_) | Standing::Gone | Standing::Foreign(_)) => {
            Err(DeploymentError::Failed(why_not(view, &other)))
        }
    }
}

fn why_not(view: &Replacement, standing: &Standing) -> String {
    match standing {
        Standing::Pending => format!("{} still waits for its replacement", called(view)),
        Standing::Applied(_) => format!(
            "the replacement of {} was applied by somebody else",
            called(view)
        ),
        Standing::Gone => format!(
            "the replacement of {} is gone: somebody dropped it",
            called(view)
        ),
        Standing::Foreign(reason) => reason.clone(),
    }
}

fn application(plan: &Plan, view: &Replacement, name: &str) -> Statement {
    replacement::apply_replacement(
        &Qualified::object(&plan.database, &view.schema, &view.name),
        &Qualified::object(&plan.database, &view.schema, name),
    )
}

/// Sends the apply, unless another process leads meanwhile. `Some` is what kept it from happening, as far
/// as the answer says; the catalog is asked in any case.
async fn send(
    context: &Context<'_>,
    statement: &Statement,
) -> Result<Option<String>, DeploymentError> {
    context.store.still_leads(context.lead).await?;
    match context.execute(statement).await {
        Ok(()) => Ok(None),
        // It waits for the view to come as far as the replacement. A view that does not is no reason to
        // hold an operator here.
        Err(DeploymentError::Materialize(error @ MaterializeError::Deadline { .. })) => {
            context.materialize.forget().await;
            Ok(Some(error.to_string()))
        }
        Err(DeploymentError::Materialize(error)) => match error.class() {
            Class::Transient | Class::Conflict => Err(error.into()),
            Class::Usage
            | Class::Refused
            | Class::Permanent
            | Class::Stuck
            | Class::Interrupted => Ok(Some(error.to_string())),
        },
        Err(error) => Err(error),
    }
}

/// Applies the replacement, or finds that it was.
///
/// # Errors
/// Transient ones leave the question open: calling again answers it by what the catalog shows.
pub(super) async fn apply(
    context: &Context<'_>,
    deployment: &Deployment,
    ready: Option<Ready>,
) -> Result<Swapped, DeploymentError> {
    let view = planned(deployment)?;
    let made = made(context, deployment).await?;
    let statement = application(&deployment.plan, view, &secret_name(deployment));
    context
        .begin(deployment, key::APPLY, &statement.sql().to_owned())
        .await?;
    let mut tried = None;
    loop {
        let (standing, catalog) = look_around(context, view, &made, &deployment.plan.keeps).await?;
        match standing {
            Standing::Applied(id) => {
                context.finish(deployment, key::APPLY, &id).await?;
                return Ok(Swapped::Yes);
            }
            Standing::Pending if tried.is_none() => {
                if let Some(stale) = Ready::is_stale(ready) {
                    return Ok(Swapped::NotYet(stale));
                }
                if let Err(lost) = lawful(&deployment.plan, &catalog) {
                    return Ok(Swapped::No(lost));
                }
                // The last moment at which a hold or a freeze stops it.
                if let Some(stop) = hold::stops_swap(context, deployment).await? {
                    return Ok(Swapped::NotYet(stop.sentence()));
                }
            }
            other @ (Standing::Pending | Standing::Gone | Standing::Foreign(_)) => {
                let answer = tried.flatten().unwrap_or_else(|| why_not(view, &other));
                return Ok(Swapped::No(answer));
            }
        }
        tried = Some(send(context, &statement).await?);
    }
}

/// The id under which the view serves since the replacement was applied.
pub(super) async fn applied_id(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<String, DeploymentError> {
    let effect = context.store.effect(&deployment.id, key::APPLY).await?;
    let id = match effect {
        Some(effect) => effect.result_as::<String>()?,
        None => None,
    };
    id.ok_or_else(|| {
        DeploymentError::Stuck("the journal has no record of the applied replacement".to_owned())
    })
}

/// Gives the view its old definition again, by a replacement, and tells its id.
pub(super) async fn put_back(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<String, DeploymentError> {
    let view = planned(deployment)?;
    let stuck =
        |what: String| DeploymentError::Stuck(format!("{what}. Run `cutover resume` to try again"));
    let effect = context
        .begin(deployment, key::APPLY_BACK, &view.previous)
        .await?;
    if let Some(id) = effect.result_as::<String>()? {
        return Ok(id);
    }
    for attempt in 0..MOST_ATTEMPTS {
        let name = Context::secret(deployment).hidden("back", attempt);
        let key = format!("{} {attempt}", key::REPLACE_BACK);
        let made = make_one(context, deployment, &key, &name, &view.previous).await?;
        let statement = application(&deployment.plan, view, &name);
        let mut tried = None;
        loop {
            match look(context, view, &made).await? {
                Standing::Applied(id) => {
                    context.finish(deployment, key::APPLY_BACK, &id).await?;
                    return Ok(id);
                }
                Standing::Gone => break,
                Standing::Pending if tried.is_none() => {
                    if !rollback::is_forced(context, deployment).await? {
                        wait_for(context, deployment, &made).await?;
                    }
                    tried = Some(send(context, &statement).await?);
                }
                other @ (Standing::Pending | Standing::Foreign(_)) => {
                    let answer = tried.flatten().unwrap_or_else(|| why_not(view, &other));
                    return Err(stuck(format!(
                        "the old definition could not be applied: {answer}"
                    )));
                }
            }
        }
    }
    Err(stuck(format!(
        "the replacements that would bring the old definition of {} back were dropped {MOST_ATTEMPTS} times",
        called(view)
    )))
}

/// Drops the replacement. Where it was applied after all, by a statement whose answer was given up, the
/// old definition comes back instead; then its id is told.
pub(super) async fn give_up(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<Option<String>, DeploymentError> {
    let view = planned(deployment)?;
    let made = recorded(context, deployment, key::REPLACE).await?;
    let effect = context
        .begin(deployment, key::DROP_GREEN, &secret_name(deployment))
        .await?;
    if effect.result.is_none() {
        drop_unless_gone(context, deployment).await?;
    }
    let back = match made {
        Some(made) => match look(context, view, &made).await? {
            Standing::Applied(_) => Some(put_back(context, deployment).await?),
            // Of the old definition's replacement nothing is left to do but what was begun.
            Standing::Foreign(_) if is_going_back(context, deployment).await? => {
                Some(put_back(context, deployment).await?)
            }
            Standing::Pending | Standing::Gone | Standing::Foreign(_) => None,
        },
        None => None,
    };
    context.finish(deployment, key::DROP_GREEN, &true).await?;
    Ok(back)
}

async fn is_going_back(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<bool, DeploymentError> {
    let begun = context
        .store
        .effect(&deployment.id, key::APPLY_BACK)
        .await?;
    Ok(begun.is_some())
}

async fn drop_unless_gone(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let name = secret_name(deployment);
    let about = About {
        object_names: [name.clone()].into(),
        ..About::default()
    };
    let find = |catalog: &Catalog| -> Option<(String, String)> {
        let found = catalog
            .objects
            .values()
            .find(|object| object.name == name)?;
        let schema = catalog.schemas.get(&found.schema_id)?;
        Some((schema.database.clone(), schema.name.clone()))
    };
    let Some((database, schema)) = find(&Catalog::look(context.materialize, &about).await?) else {
        return Ok(());
    };
    let statement = replacement::drop_replacement(&Qualified::object(&database, &schema, &name));
    match context.execute(&statement).await {
        // Somebody else was quicker, or it was applied.
        Err(DeploymentError::Materialize(MaterializeError::Refused { .. }))
            if find(&Catalog::look(context.materialize, &about).await?).is_none() =>
        {
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
