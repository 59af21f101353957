//! What follows the swap: comments and sinks.

use super::cutover::foreign_swap;
use super::sink_health::{self, is_not_running};
use crate::adapters::materialize::catalog::About;
use crate::adapters::materialize::guarded::Names;
use crate::adapters::materialize::{MaterializeError, Statement, ddl};
use crate::domain::catalog::Catalog;
use crate::domain::catalog::tag::Side;
use crate::domain::plan::SinkRepoint;
use crate::domain::records::deployment::Deployment;
use crate::foundation::sql::identifier::Qualified;
use crate::operations::error::DeploymentError;
use crate::operations::green::production_changes::{self, Carried};
use crate::operations::green::stage;
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::identity::{Ids, Live};
use crate::operations::saga::scope;
use futures_util::future::join_all;
use tokio::time::Instant;

/// Which side the comments and sinks belong to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serving {
    /// Green was swapped in.
    Green,
    /// The old side serves again.
    Blue,
}

/// Gives production the users' comments, marks the side that no longer serves, points the sinks to
/// what serves. May run twice.
pub(crate) async fn finish(
    context: &Context<'_>,
    deployment: &Deployment,
    serving: Serving,
) -> Result<(), DeploymentError> {
    let plan = &deployment.plan;
    let ids = context.recorded_ids(deployment).await?;
    let key = match serving {
        Serving::Green => key::AFTER_SWAP,
        Serving::Blue => key::AFTER_SWAP_BACK,
    };
    let effect = context.begin(deployment, key, &plan.sinks).await?;
    if effect.result.is_some() {
        return Ok(());
    }
    let about = scope::sides(deployment, &ids);
    let names = Names::read(context.materialize, &about).await?;
    let carried = production_changes::recorded(context, deployment).await?;
    let statements = comments(context, deployment, &ids, &names, carried.as_ref(), serving)?;
    context.execute_all(deployment, &statements).await?;
    let waiting = repoint(context, deployment, &ids, serving).await?;
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
    carried: Option<&Carried>,
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
    let stays = !deployment.request.drops_the_old_side_at_once()
        || context.settings.drain.asks()
        || serving == Serving::Blue;
    let mut statements = Vec::new();
    for schema in &plan.schemas {
        let seen = carried.and_then(|carried| carried.schema_comment(&schema.name));
        let users = seen.unwrap_or(schema.comment.as_deref());
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
        let seen = carried.and_then(|carried| carried.cluster_comment(&cluster.name));
        let users = seen.unwrap_or(cluster.comment.as_deref());
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

/// How many sinks are altered at once.
const AT_ONCE: usize = 8;

/// What is to be done with a sink.
enum Move<'a> {
    /// Nothing: it is gone, or reads what it should and that goes on.
    None,
    /// It reads what it should, and is to run.
    Moved,
    /// It is to read something else.
    Alter(Alter<'a>),
}

/// A sink that is to read another relation.
struct Alter<'a> {
    sink: &'a SinkRepoint,
    statement: Statement,
}

/// Points the sinks to the objects that serve now under the names that they have always read, and waits until
/// they run again; what each lacks that does not, for people. One that cannot be moved keeps no other from moving,
/// and all of them together have the time that one has.
///
/// # Errors
/// [`DeploymentError::Interrupted`] at any time: whatever was moved by then is found when this runs again.
async fn repoint(
    context: &Context<'_>,
    deployment: &Deployment,
    ids: &Ids,
    serving: Serving,
) -> Result<Vec<String>, DeploymentError> {
    let plan = &deployment.plan;
    if plan.sinks.is_empty() {
        return Ok(Vec::new());
    }
    let serving_schemas = match serving {
        Serving::Green => &ids.green_schemas,
        Serving::Blue => &ids.blue_schemas,
    };
    let schemas = plan.sinks.iter();
    let schemas = schemas.filter_map(|sink| serving_schemas.get(&sink.schema));
    let about = About {
        schema_ids: schemas.cloned().collect(),
        objects: plan.sinks.iter().map(|sink| sink.id.clone()).collect(),
        ..About::default()
    };
    let catalog = Catalog::look(context.materialize, &about).await?;
    let ids = plan.sinks.iter().map(|sink| &sink.id);
    let now = sink_health::statuses(context, ids).await?;
    let mut waiting = Vec::new();
    let (mut moved, mut alters) = (Vec::new(), Vec::new());
    for sink in &plan.sinks {
        let status = now.get(&sink.id).map(String::as_str);
        let schema = serving_schemas.get(&sink.schema);
        let database = &plan.database;
        match move_of(
            context,
            &catalog,
            (database, schema),
            (sink, status),
            serving,
        ) {
            Ok(Move::None) => {}
            Ok(Move::Moved) => moved.push(sink),
            Ok(Move::Alter(alter)) => alters.push(alter),
            Err(reason) => waiting.push(reason),
        }
    }
    let until = Instant::now() + context.settings.sinks.alter_timeout.0;
    for some in alters.chunks(AT_ONCE) {
        context.interrupted(deployment)?;
        let altered = join_all(some.iter().map(|it| alter(context, it, until)));
        let altered = tokio::select! {
            altered = altered => altered,
            // Whether the server did it all the same is found by the next look.
            () = context.cancel.cancelled() => {
                context.interrupted(deployment)?;
                return Ok(waiting);
            }
        };
        for (alter, answer) in some.iter().zip(altered) {
            match answer? {
                None => moved.push(alter.sink),
                Some(reason) => waiting.push(reason),
            }
        }
    }
    let moved = moved.into_iter();
    let moved = moved.map(|sink| (sink.id.clone(), sink.name.clone()));
    waiting.extend(sink_health::run_again(context, deployment, moved.collect()).await?);
    Ok(waiting)
}

/// The sink, and what there is to say of it.
fn said(sink: &SinkRepoint, what: &str) -> String {
    sink_health::said(&sink.name, what)
}

/// What is to be done with a sink, or what it lacks.
fn move_of<'a>(
    context: &Context<'_>,
    catalog: &Catalog,
    (database, schema): (&str, Option<&String>),
    (sink, status): (&'a SinkRepoint, Option<&str>),
    serving: Serving,
) -> Result<Move<'a>, String> {
    let Some(found) = catalog.objects.get(&sink.id) else {
        context
            .reporter
            .warning(said(sink, "is gone; nothing to repoint"));
        return Ok(Move::None);
    };
    let objects = schema.map(|schema| catalog.objects_in_schema(schema));
    let mut objects = objects.unwrap_or_default().into_iter();
    let wanted = objects
        .find(|object| object.name == sink.object)
        .ok_or_else(|| said(sink, "has nothing of that name to read from any more"))?;
    let reads = (sink.id.clone(), wanted.id.clone());
    if catalog.dependencies.contains(&reads) {
        // Never moved, or moved back before an interruption. Nothing that goes is read by it, so
        // whether it runs is not this rollback's business.
        if serving == Serving::Blue {
            if status != Some("running") {
                let what = format!("reads the old side but {}", is_not_running(status));
                context.reporter.warning(said(sink, &what));
            }
            return Ok(Move::None);
        }
        return Ok(Move::Moved);
    }
    let home = catalog
        .schemas
        .get(&found.schema_id)
        .ok_or_else(|| said(sink, "lies in a schema that cannot be found"))?;
    let statement = ddl::alter_sink(
        &Qualified::object(&home.database, &home.name, &found.name),
        &Qualified::object(database, &sink.schema, &sink.object),
    );
    Ok(Move::Alter(Alter { sink, statement }))
}

/// Alters one sink; what it lacks, where the server did not do it. ALTER SINK blocks for as long as the sink
/// is unhealthy, hence the deadline.
async fn alter(
    context: &Context<'_>,
    Alter { sink, statement }: &Alter<'_>,
    until: Instant,
) -> Result<Option<String>, DeploymentError> {
    altered(context, &sink.name, statement, until).await
}

/// Sends one ALTER SINK; what the sink lacks, where the server did not do it.
pub(super) async fn altered(
    context: &Context<'_>,
    name: &str,
    statement: &Statement,
    until: Instant,
) -> Result<Option<String>, DeploymentError> {
    let said = |what: &str| Ok(Some(sink_health::said(name, what)));
    let late = || said("did not take its new relation within sinks.alter_timeout");
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return late();
    }
    let session = context.materialize.own_session().await?;
    let restore = context.materialize.options().statement_timeout;
    match session.execute_within(statement, left, restore).await {
        Ok(()) => Ok(None),
        // Cancelled by its deadline it may have happened all the same; the next look tells.
        Err(MaterializeError::Deadline { .. }) => late(),
        Err(error @ MaterializeError::Refused { .. }) => {
            said(&format!("could not be altered ({error})"))
        }
        Err(other) => Err(other.into()),
    }
}
