//! What follows the swap: comments and sinks.

use super::context::{Context, key};
use super::cutover::foreign_swap;
use super::error::DeploymentError;
use super::identity::{Ids, Live};
use super::scope;
use super::stage;
use crate::materialize::catalog::{About, Catalog};
use crate::materialize::guarded::Names;
use crate::materialize::identifier::Qualified;
use crate::materialize::tag::Side;
use crate::materialize::{MaterializeError, Statement, ddl, sinks};
use crate::plan::{Plan, SinkRepoint};
use crate::store::Deployment;
use std::time::Duration;
use tokio::time::Instant;

/// Which side the comments and sinks belong to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serving {
    /// Green was swapped in.
    Green,
    /// The old side serves again.
    Blue,
}

/// Gives production the users' comments, marks the side that no longer serves, points the sinks to
/// what serves. May run twice.
pub(super) async fn settle(
    context: &Context<'_>,
    deployment: &Deployment,
    serving: Serving,
) -> Result<(), DeploymentError> {
    let plan = &deployment.plan;
    let ids = context.recorded_ids(deployment).await?;
    let key = match serving {
        Serving::Green => key::SETTLE,
        Serving::Blue => key::SETTLE_BACK,
    };
    let effect = context.begin(deployment, key, &plan.sinks).await?;
    if effect.result.is_some() {
        return Ok(());
    }
    let about = scope::sides(deployment, &ids);
    let names = Names::read(context.materialize, &about).await?;
    for statement in comments(context, deployment, &ids, &names, serving)? {
        context.execute(&statement).await?;
    }
    // One that cannot be moved keeps no other from moving.
    let mut waiting = Vec::new();
    for sink in &plan.sinks {
        match repoint(context, plan, &ids, sink, serving).await {
            Ok(()) => {}
            Err(DeploymentError::Stuck(reason)) => waiting.push(reason),
            Err(error) => return Err(error),
        }
    }
    if !waiting.is_empty() {
        return Err(DeploymentError::Stuck(format!(
            "sink-not-repointed: {}; {}. Repair what is named, then run `cutover resume`",
            waiting.join("; "),
            match serving {
                Serving::Green => "production serves and the old side is kept",
                Serving::Blue => "the old side serves again and the new side is kept",
            }
        )));
    }
    context.finish(deployment, key, &true).await
}

fn comments(
    context: &Context<'_>,
    deployment: &Deployment,
    ids: &Ids,
    names: &Names,
    serving: Serving,
) -> Result<Vec<Statement>, DeploymentError> {
    let plan = &deployment.plan;
    let (live, aside_schemas, aside_clusters, side) = match serving {
        Serving::Green => (
            Live::Green,
            &ids.blue_schemas,
            &ids.blue_clusters,
            Side::Old,
        ),
        Serving::Blue => (
            Live::Blue,
            &ids.green_schemas,
            &ids.green_clusters,
            Side::Green,
        ),
    };
    // Comments go to names, so the names must be those of the side that is meant.
    ids.serves(plan, names, &live)
        .map_err(|reason| foreign_swap(&reason))?;
    let aside = stage::tag(context, deployment, side);
    // What goes within moments is not marked first.
    let stays = !deployment.request.drops_the_old_side_at_once() || serving == Serving::Blue;
    let mut statements = Vec::new();
    for schema in &plan.schemas {
        let users = schema.comment.as_deref();
        statements.push(ddl::comment_on_schema(&plan.database, &schema.name, users));
        // What somebody renamed or dropped is cleanup's business.
        if stays && names.schemas.get(&schema.green) == aside_schemas.get(&schema.name) {
            statements.push(ddl::comment_on_schema(
                &plan.database,
                &schema.green,
                Some(&aside.comment(users)),
            ));
        }
    }
    for cluster in plan.clusters.iter().filter(|cluster| !cluster.scratch) {
        let users = cluster.comment.as_deref();
        statements.push(ddl::comment_on_cluster(&cluster.name, users));
        if stays && names.clusters.get(&cluster.green) == aside_clusters.get(&cluster.name) {
            statements.push(ddl::comment_on_cluster(
                &cluster.green,
                Some(&aside.comment(users)),
            ));
        }
    }
    Ok(statements)
}

/// Points one sink to the object that serves now under the name that it has always read, and waits
/// until it runs again. ALTER SINK blocks for as long as the sink is unhealthy, hence the deadline.
async fn repoint(
    context: &Context<'_>,
    plan: &Plan,
    ids: &Ids,
    sink: &SinkRepoint,
    serving: Serving,
) -> Result<(), DeploymentError> {
    let settings = &context.settings.sinks;
    let serving_schemas = match serving {
        Serving::Green => &ids.green_schemas,
        Serving::Blue => &ids.blue_schemas,
    };
    let waiting = |what: &str| DeploymentError::Stuck(format!("the sink {} {what}", sink.name));
    let about = About {
        schema_ids: serving_schemas
            .get(&sink.schema)
            .cloned()
            .into_iter()
            .collect(),
        objects: [sink.id.clone()].into(),
        ..About::default()
    };
    let catalog = Catalog::look(context.materialize, &about).await?;
    let Some(found) = catalog.objects.get(&sink.id) else {
        context.reporter.warning(format!(
            "the sink {} is gone; nothing to repoint",
            sink.name
        ));
        return Ok(());
    };
    let wanted = serving_schemas
        .get(&sink.schema)
        .and_then(|schema| {
            catalog
                .objects_in_schema(schema)
                .into_iter()
                .find(|object| object.name == sink.object)
        })
        .ok_or_else(|| waiting("has nothing of that name to read from any more"))?;
    let reads_it = catalog
        .dependencies
        .contains(&(sink.id.clone(), wanted.id.clone()));
    if reads_it && serving == Serving::Blue {
        // Never moved, or moved back before an interruption. Nothing that goes is read by it, so
        // whether it runs is not this rollback's business.
        let session = context.materialize.session_patiently().await?;
        let status = sinks::status(&session, &sink.id).await?;
        if status.as_deref() != Some("running") {
            context.reporter.warning(format!(
                "the sink {} reads the old side but is {} and not running",
                sink.name,
                status.as_deref().unwrap_or("without a status")
            ));
        }
        return Ok(());
    }
    if !reads_it {
        let home = catalog
            .schemas
            .get(&found.schema_id)
            .ok_or_else(|| waiting("lies in a schema that cannot be found"))?;
        let statement = ddl::alter_sink(
            &Qualified::object(&home.database, &home.name, &found.name),
            &Qualified::object(&plan.database, &sink.schema, &sink.object),
        );
        let session = context.materialize.own_session().await?;
        let restore = context.materialize.options().statement_timeout;
        match session
            .execute_within(&statement, settings.alter_timeout.0, restore)
            .await
        {
            Ok(()) => {}
            // Cancelled by its deadline it may have happened all the same; the next look tells.
            Err(MaterializeError::Deadline { .. }) => {
                return Err(waiting(
                    "did not take its new relation within sinks.alter_timeout",
                ));
            }
            Err(error @ MaterializeError::Refused { .. }) => {
                return Err(waiting(&format!("could not be altered ({error})")));
            }
            Err(other) => return Err(other.into()),
        }
    }
    let until = Instant::now() + settings.healthy_timeout.0;
    loop {
        let session = context.materialize.session_patiently().await?;
        let status = sinks::status(&session, &sink.id).await?;
        if status.as_deref() == Some("running") {
            context
                .reporter
                .note(format!("the sink {} runs", sink.name));
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(waiting(&format!(
                "is {} and not running",
                status.as_deref().unwrap_or("without a status")
            )));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
