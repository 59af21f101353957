//! Creating the green schemas and clusters.
//!
//! Everything is created under a name that only this deployment knows, marked, given the privileges of its
//! counterpart, and then given its green name together with all the others in one guarded
//! transaction. So at every instant it is certain what is ours: what carries a secret name, or a
//! recorded id.

use crate::adapters::materialize::catalog::{About, marks};
use crate::adapters::materialize::ddl::{self, Target};
use crate::adapters::materialize::guarded::{Guarded, Names};
use crate::adapters::materialize::{MaterializeError, Statement};
use crate::domain::catalog::Catalog;
use crate::domain::catalog::grants::Grant;
use crate::domain::catalog::tag::{Side, Tag};
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::domain::plan::{ClusterSwap, Plan, SchemaSwap};
use crate::domain::progress::Progress;
use crate::domain::records::deployment::Deployment;
use crate::foundation::sql::identifier::{Ident, Qualified};
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::identity::{Ids, SecretNames};
use crate::operations::saga::scope;
use crate::operations::saga::staged::{Item, What, items};
use std::collections::{BTreeMap, BTreeSet};

/// Stages green; on return everything stands under its green name with recorded ids.
pub(crate) async fn stage(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let plan = &deployment.plan;
    let secret = Context::secret(deployment);
    let items = items(plan, &secret);
    let (ids, catalog, marks) = match context
        .begin(deployment, key::CREATE, &items)
        .await?
        .result_as::<Ids>()?
    {
        Some(ids) => (ids, None, marks(context.materialize).await?),
        None => {
            let (ids, catalog, marks) = create(context, deployment, &secret, &items).await?;
            context.finish(deployment, key::CREATE, &ids).await?;
            (ids, Some(catalog), marks)
        }
    };
    is_alone(deployment, marks)?;
    let named = context.begin(deployment, key::NAME, &items).await?;
    if named.result.is_none() {
        let catalog = match catalog {
            Some(catalog) => catalog,
            None => {
                let about = scope::staging(deployment, &ids);
                Catalog::look(context.materialize, &about).await?
            }
        };
        give_names(context, deployment, &items, &ids, &catalog).await?;
        context.finish(deployment, key::NAME, &true).await?;
    }
    Ok(())
}

async fn create(
    context: &Context<'_>,
    deployment: &Deployment,
    secret: &SecretNames,
    items: &[Item],
) -> Result<(Ids, Catalog, Vec<Tag>), DeploymentError> {
    let plan = &deployment.plan;
    let database = plan.database.as_str();
    let about = scope::staging(deployment, &Ids::default());
    let before = Names::read(context.materialize, &about).await?;
    production_is_as_planned(plan, &before)?;
    let control = secret.control(0);
    // Between the look and a statement an earlier attempt may arrive whose answer was lost.
    let is_there = async |item: What, name: &str| {
        let now = Names::read(context.materialize, &about).await?;
        Ok(match item {
            What::Schema => now.schemas.contains_key(name),
            What::Cluster => now.clusters.contains_key(name),
        })
    };
    if !before.schemas.contains_key(&control) {
        let statement = ddl::create_schema(database, &control);
        context
            .make(&statement, async || is_there(What::Schema, &control).await)
            .await?;
    }
    let tag = tag(context, deployment, Side::Control);
    context
        .execute(&ddl::comment_on_schema(
            database,
            &control,
            Some(&tag.comment(None)),
        ))
        .await?;
    for (done, item) in items.iter().enumerate() {
        context.interrupted(deployment)?;
        let exists = match item.what {
            What::Schema => before.schemas.contains_key(&item.secret),
            What::Cluster => before.clusters.contains_key(&item.secret),
        };
        if !exists {
            let statement = creation(plan, item)?;
            context
                .make(&statement, async || is_there(item.what, &item.secret).await)
                .await?;
        }
        context.reporter.send(Progress::Work {
            what: "created".to_owned(),
            item: item.becomes.clone(),
            done: done + 1,
            total: items.len(),
        });
    }
    // Of the same moment as the marks, and after the control schema got its own: see [`is_alone`].
    let about = About {
        marks: true,
        ..about
    };
    let (mut after, catalog) = Names::with_catalog(context.materialize, &about).await?;
    let marks = std::mem::take(&mut after.marks);
    Ok((collect_ids(plan, items, &control, &after)?, catalog, marks))
}

fn creation(plan: &Plan, item: &Item) -> Result<Statement, DeploymentError> {
    Ok(match item.what {
        What::Schema => ddl::create_schema(&plan.database, &item.secret),
        What::Cluster => {
            let cluster = planned_cluster(plan, &item.of)?;
            let definition = match item.bootstrapped {
                true => &cluster.definition,
                false => cluster.green_definition(),
            };
            ddl::create_cluster(&item.secret, definition)
        }
    })
}

fn planned_cluster<'a>(plan: &'a Plan, name: &str) -> Result<&'a ClusterSwap, DeploymentError> {
    plan.clusters
        .iter()
        .find(|cluster| cluster.name == name)
        .ok_or_else(|| DeploymentError::Failed(format!("the plan has no cluster {name}")))
}

fn planned_schema<'a>(plan: &'a Plan, name: &str) -> Result<&'a SchemaSwap, DeploymentError> {
    plan.schemas
        .iter()
        .find(|schema| schema.name == name)
        .ok_or_else(|| DeploymentError::Failed(format!("the plan has no schema {name}")))
}

fn collect_ids(
    plan: &Plan,
    items: &[Item],
    control: &str,
    names: &Names,
) -> Result<Ids, DeploymentError> {
    let gone = |name: &str| {
        DeploymentError::Failed(format!(
            "{name} was created a moment ago and is gone: somebody dropped it"
        ))
    };
    let mut ids = Ids {
        control: names
            .schemas
            .get(control)
            .cloned()
            .ok_or_else(|| gone(control))?,
        ..Ids::default()
    };
    for schema in &plan.schemas {
        if let Some(id) = &schema.id {
            ids.blue_schemas.insert(schema.name.clone(), id.clone());
        }
    }
    for cluster in plan.clusters.iter().filter(|cluster| !cluster.scratch) {
        if let Some(id) = &cluster.id {
            ids.blue_clusters.insert(cluster.name.clone(), id.clone());
        }
    }
    for item in items {
        let by_name = match item.what {
            What::Schema => &names.schemas,
            What::Cluster => &names.clusters,
        };
        let id = by_name
            .get(&item.secret)
            .cloned()
            .ok_or_else(|| gone(&item.secret))?;
        let side = match (item.what, item.bootstrapped) {
            (What::Schema, false) => &mut ids.green_schemas,
            (What::Cluster, false) => &mut ids.green_clusters,
            (What::Schema, true) => &mut ids.blue_schemas,
            (What::Cluster, true) => &mut ids.blue_clusters,
        };
        side.insert(item.of.clone(), id.clone());
        if item.bootstrapped {
            ids.created.insert(id);
        }
    }
    Ok(ids)
}

/// The mark of a deployment of this journal.
pub(crate) fn tag(context: &Context<'_>, deployment: &Deployment, side: Side) -> Tag {
    Tag {
        deployment: deployment.id.clone(),
        environment: deployment.environment.clone(),
        project: Some(deployment.plan.project.clone()),
        journal: Some(context.store.id().to_owned()),
        side,
    }
}

fn production_is_as_planned(plan: &Plan, names: &Names) -> Result<(), DeploymentError> {
    let schemas = plan
        .schemas
        .iter()
        .map(|s| ("schema", &s.name, &s.green, &s.id, &names.schemas));
    let clusters = plan
        .clusters
        .iter()
        .map(|c| ("cluster", &c.name, &c.green, &c.id, &names.clusters));
    for (what, name, green, id, by_name) in schemas.chain(clusters) {
        if by_name.get(name) != id.as_ref() {
            return Err(DeploymentError::Failed(format!(
                "production changed since the plan: {what} {name} is not the one that was planned"
            )));
        }
        if by_name.contains_key(green) {
            return Err(DeploymentError::Failed(format!(
                "production changed since the plan: {what} {green} exists and is not ours"
            )));
        }
    }
    Ok(())
}

/// Create-then-look: of two deployments of one environment that start at once (from different
/// journals), at least one sees the other's control schema and gives up.
fn is_alone(deployment: &Deployment, marks: Vec<Tag>) -> Result<(), DeploymentError> {
    let others: BTreeSet<String> = marks
        .into_iter()
        .filter(|tag| {
            tag.side == Side::Control
                && tag.is_of(&deployment.plan.project, &deployment.environment)
                && tag.deployment != deployment.id
        })
        .map(|tag| tag.deployment)
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Refused(vec![Refusal {
        name: RefusalName::DeploymentActive,
        message: "another deployment of this environment is under way in the database".to_owned(),
        objects: others.into_iter().collect(),
        remedy: "wait for it, or finish it with `cutover resume` or `cutover abort` where its journal is".to_owned(),
    }])
    .into())
}

/// Dresses everything and gives all of it its name in one transaction.
async fn give_names(
    context: &Context<'_>,
    deployment: &Deployment,
    items: &[Item],
    ids: &Ids,
    catalog: &Catalog,
) -> Result<(), DeploymentError> {
    let plan = &deployment.plan;
    let about = scope::staging(deployment, ids);
    if items.iter().all(|item| has_name(catalog, item, ids)) {
        return Ok(());
    }
    for item in items {
        give_privileges(context, deployment, catalog, item, ids).await?;
    }
    let statements: Vec<Statement> = items
        .iter()
        .map(|item| match item.what {
            What::Schema => ddl::rename_schema(&plan.database, &item.secret, &item.becomes),
            What::Cluster => ddl::rename_cluster(&item.secret, &item.becomes),
        })
        .collect();
    let check = |names: &Names| -> Result<(), String> {
        for item in items {
            let by_name = match item.what {
                What::Schema => &names.schemas,
                What::Cluster => &names.clusters,
            };
            // The first statement already claimed its name in this transaction; others do not see it.
            if by_name.contains_key(&item.becomes) {
                return Err(format!("{} exists and is not ours", item.becomes));
            }
        }
        Ok(())
    };
    match context.guarded(&statements, false, &about, check).await? {
        Guarded::Committed => Ok(()),
        Guarded::Declined(reason) => Err(DeploymentError::Failed(reason)),
        Guarded::Unknown(error) => Err(unknown(context, error).await),
    }
}

async fn unknown(context: &Context<'_>, error: MaterializeError) -> DeploymentError {
    // The step runs again over a new connection and finds out by the ids.
    context.materialize.forget().await;
    error.into()
}

fn id_of<'a>(item: &Item, ids: &'a Ids) -> Option<&'a String> {
    match (item.what, item.bootstrapped) {
        (What::Schema, false) => ids.green_schemas.get(&item.of),
        (What::Cluster, false) => ids.green_clusters.get(&item.of),
        (What::Schema, true) => ids.blue_schemas.get(&item.of),
        (What::Cluster, true) => ids.blue_clusters.get(&item.of),
    }
}

fn has_name(catalog: &Catalog, item: &Item, ids: &Ids) -> bool {
    let name = id_of(item, ids).and_then(|id| match item.what {
        What::Schema => catalog.schemas.get(id).map(|schema| &schema.name),
        What::Cluster => catalog.clusters.get(id).map(|cluster| &cluster.name),
    });
    name == Some(&item.becomes)
}

/// Marks one thing and gives it the grants, default privileges and owner of its counterpart.
async fn give_privileges(
    context: &Context<'_>,
    deployment: &Deployment,
    catalog: &Catalog,
    item: &Item,
    ids: &Ids,
) -> Result<(), DeploymentError> {
    let plan = &deployment.plan;
    let database = plan.database.as_str();
    let mark = tag(context, deployment, Side::Green);
    let id = id_of(item, ids);
    let mut statements = Vec::new();
    let (target, owner, wanted, present) = match item.what {
        What::Schema => {
            let planned = planned_schema(plan, &item.of)?;
            let comment = mark.comment(planned.comment.as_deref());
            statements.push(ddl::comment_on_schema(
                database,
                &item.secret,
                Some(&comment),
            ));
            for privilege in &planned.default_privileges {
                statements.push(ddl::default_privilege(database, &item.secret, privilege));
            }
            let present = id
                .and_then(|id| catalog.schemas.get(id))
                .map(|schema| schema.grants.clone());
            (
                Target::Schema(Qualified::schema(database, &item.secret)),
                &planned.owner,
                &planned.grants,
                present,
            )
        }
        What::Cluster => {
            let planned = planned_cluster(plan, &item.of)?;
            let comment = mark.comment(planned.comment.as_deref());
            statements.push(ddl::comment_on_cluster(&item.secret, Some(&comment)));
            let present = id
                .and_then(|id| catalog.clusters.get(id))
                .map(|cluster| cluster.grants.clone());
            (
                Target::Cluster(Ident(&item.secret)),
                &planned.owner,
                &planned.grants,
                present,
            )
        }
    };
    if !item.bootstrapped {
        // The owner first: a change of owner moves what the old owner held to the new one.
        if let Some(owner) = owner.as_ref().filter(|owner| **owner != catalog.role) {
            statements.push(ddl::alter_owner(&target, owner));
        }
        statements.extend(grant_changes(&target, wanted, &present.unwrap_or_default()));
    }
    context.execute_all(deployment, &statements).await
}

/// The statements that turn `present` grants into `wanted` ones.
pub(crate) fn grant_changes(
    target: &Target<'_>,
    wanted: &[Grant],
    present: &[Grant],
) -> Vec<Statement> {
    let missing = wanted.iter().filter(|grant| !present.contains(grant));
    let extra = present.iter().filter(|grant| !wanted.contains(grant));
    missing
        .map(|grant| ddl::grant(target, grant))
        .chain(extra.map(|grant| ddl::revoke(target, grant)))
        .collect()
}

/// What staging may have left when it did not get to recording ids: everything that carries one of
/// its secret names.
pub(crate) async fn unrecorded(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<Ids, DeploymentError> {
    let secret = Context::secret(deployment);
    let about = scope::staging(deployment, &Ids::default());
    let names = Names::read(context.materialize, &about).await?;
    let mut ids = Ids {
        control: names
            .schemas
            .get(&secret.control(0))
            .cloned()
            .unwrap_or_default(),
        ..Ids::default()
    };
    for item in items(&deployment.plan, &secret) {
        let (by_name, green, blue): (_, &mut BTreeMap<_, _>, &mut BTreeMap<_, _>) = match item.what
        {
            What::Schema => (
                &names.schemas,
                &mut ids.green_schemas,
                &mut ids.blue_schemas,
            ),
            What::Cluster => (
                &names.clusters,
                &mut ids.green_clusters,
                &mut ids.blue_clusters,
            ),
        };
        if let Some(id) = by_name.get(&item.secret) {
            if item.bootstrapped {
                blue.insert(item.of, id.clone());
                ids.created.insert(id.clone());
            } else {
                green.insert(item.of, id.clone());
            }
        }
    }
    Ok(ids)
}
