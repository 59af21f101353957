//! Building green without dbt: the items of a recipe, one after the other, since the server carries out one
//! statement that changes the catalog at a time.
//!
//! Durable: one effect for each item, begun before its first statement (while the one before is made) and finished
//! after its last (while the next one is). A build that begins in an untouched green asks nothing. One that goes on
//! looks at green once and finds out by name in green's own schemas, which are known by id, what of an unfinished
//! item is there: a relation that is there was made by the statement whose answer was lost, indexes are made in
//! order, comments are written again, and a table of which nobody knows which rows it has is made anew.
//!
//! An item that the server refuses does not end the build: what does not read it is made all the same, so that all
//! that is wrong is told at once, and so that little is left when the cause is gone.

/// One item of a recipe.
pub mod item;
mod old_side;
/// Tests without dbt.
pub mod testing;

use crate::adapters::materialize::Session;
use crate::domain::catalog::{Catalog, ObjectKind};
use crate::domain::plan::Plan;
use crate::domain::progress::Progress;
use crate::domain::records::deployment::Deployment;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::foundation::sql::identifier::Qualified;
use crate::inputs::manifest::run_results::Status;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::scope;
use crate::planning::recipe::document::{Item, Make};
use crate::planning::recipe::results::{self, Ended};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

pub(crate) use crate::operations::green::native::old_side::reads_no_old;
pub(crate) use testing::test;

/// The most nodes that a message names.
const SHOWN: usize = 20;

/// The key of an item's effect.
fn key_of(unique_id: &str) -> String {
    format!("{}{unique_id}", key::BUILD)
}

/// The result of an item's effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Done {
    /// What the server did, as dbt says it.
    message: String,
    /// Rows of a table.
    rows: Option<usize>,
    /// How long it took.
    seconds: f64,
    /// When it was done.
    at: Timestamp,
}

/// What of an item is in green already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    /// What stands under its name.
    pub kind: ObjectKind,
    /// How many indexes are on it.
    pub indexes: usize,
}

/// Makes whatever of the plan is not there yet.
///
/// # Errors
/// The server's and the journal's; [`DeploymentError::Failed`] names each item that the server refused and each
/// that waits for one.
pub(crate) async fn build(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let plan = &deployment.plan;
    let recipe = context.builds.recipe(plan).await?;
    let begun = begun(context, deployment).await?;
    let present = present(context, deployment, recipe.items.iter(), &begun).await?;
    // A statement may take as long as dbt's.
    let limit = context.settings.dbt.build_timeout.0;
    let session = context.materialize.own_session_within(limit).await?;
    let total = recipe.items.len();
    let mut ended: Vec<Ended> = Vec::with_capacity(total);
    let mut missing: BTreeSet<&str> = BTreeSet::new();
    let journal = Journal {
        context,
        deployment,
    };
    // The server should have something to do all the time: while it makes an item, the one before is recorded as
    // done and the next one as begun.
    let mut unrecorded: Option<(&Item, Done)> = None;
    let mut is_begun = false;
    for (at, item) in recipe.items.iter().enumerate() {
        if let Err(stop) = context.interrupted(deployment) {
            journal.finish(unrecorded.take()).await?;
            return Err(stop);
        }
        let id = item.unique_id.as_str();
        let was_begun = std::mem::take(&mut is_begun);
        if waits_for(item, &missing) {
            missing.insert(id);
            ended.push(entry(plan, item, Status::Skipped, None, 0.0));
            tell(context, id, Status::Skipped, at + 1, total, None);
            continue;
        }
        if let Some(done) = made_before(item, &begun, &present) {
            ended.push(of_done(plan, item, done));
            continue;
        }
        if !was_begun {
            journal.begin(Some(item)).await?;
        }
        let next = recipe.items.get(at + 1);
        let next = next.filter(|next| {
            made_before(next, &begun, &present).is_none() && !waits_for(next, &missing)
        });
        let found = present.get(id).copied();
        let (made, recorded, begun_next) = tokio::join!(
            made(context, deployment, &session, item, &begun, found),
            journal.finish(unrecorded.take()),
            journal.begin(next)
        );
        recorded?;
        begun_next?;
        is_begun = next.is_some();
        match made? {
            Made::Now(done) => {
                let seconds = Some(done.seconds);
                tell(context, id, Status::Success, at + 1, total, seconds);
                ended.push(of_done(plan, item, &done));
                unrecorded = Some((item, done));
            }
            Made::Refused { message, seconds } => {
                missing.insert(id);
                tell(context, id, Status::Error, at + 1, total, Some(seconds));
                ended.push(entry(plan, item, Status::Error, Some(message), seconds));
            }
        }
    }
    journal.finish(unrecorded).await?;
    let dbt = dbt_version(plan);
    let document = results::document(&ended, dbt, &deployment.id, "build", Timestamp::now());
    context.builds.write_results("build", &document)?;
    all_made(&ended)
}

/// Unique ids of the items that an earlier attempt began, with what came of them.
async fn begun(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<BTreeMap<String, Option<Done>>, DeploymentError> {
    let mut begun = BTreeMap::new();
    for effect in context.store.effects(&deployment.id).await? {
        if let Some(id) = effect.key.strip_prefix(key::BUILD) {
            begun.insert(id.to_owned(), effect.result_as()?);
        }
    }
    Ok(begun)
}

/// The effects of items.
struct Journal<'a> {
    context: &'a Context<'a>,
    deployment: &'a Deployment,
}

impl Journal<'_> {
    async fn begin(&self, item: Option<&Item>) -> Result<(), DeploymentError> {
        let Some(item) = item else {
            return Ok(());
        };
        let key = key_of(&item.unique_id);
        let intent = json!([item.schema, item.name]);
        self.context.begin(self.deployment, &key, &intent).await?;
        Ok(())
    }

    async fn finish(&self, done: Option<(&Item, Done)>) -> Result<(), DeploymentError> {
        let Some((item, done)) = done else {
            return Ok(());
        };
        let key = key_of(&item.unique_id);
        self.context.finish(self.deployment, &key, &done).await
    }
}

/// Whether an item reads one that is missing.
fn waits_for(item: &Item, missing: &BTreeSet<&str>) -> bool {
    let mut after = item.after.iter();
    after.any(|parent| missing.contains(parent.as_str()))
}

/// What an earlier attempt finished of an item that is still there.
fn made_before<'b>(
    item: &Item,
    begun: &'b BTreeMap<String, Option<Done>>,
    present: &BTreeMap<String, Present>,
) -> Option<&'b Done> {
    let done = begun.get(&item.unique_id)?.as_ref()?;
    present.contains_key(&item.unique_id).then_some(done)
}

/// What came of an item.
enum Made {
    /// It is there now.
    Now(Done),
    /// The server refused it.
    Refused { message: String, seconds: f64 },
}

/// Makes whatever of one item is not there yet.
async fn made(
    context: &Context<'_>,
    deployment: &Deployment,
    session: &Session,
    item: &Item,
    begun: &BTreeMap<String, Option<Done>>,
    found: Option<Present>,
) -> Result<Made, DeploymentError> {
    let id = item.unique_id.as_str();
    let began = Instant::now();
    let plan = &deployment.plan;
    let mut answer = item::make(context.builds, session, &plan.database, item, found).await;
    // An earlier attempt, the answer to which was lost, may have arrived since the look.
    if let Err(error) = &answer
        && error.class() == Class::Permanent
        && begun.contains_key(id)
        && found.is_none()
    {
        let now = present(context, deployment, std::iter::once(item), begun).await?;
        if let Some(now) = now.get(id) {
            answer = item::make(context.builds, session, &plan.database, item, Some(*now)).await;
        }
    }
    match answer {
        Ok((message, rows)) => Ok(Made::Now(Done {
            message,
            rows,
            seconds: began.elapsed().as_secs_f64(),
            at: Timestamp::now(),
        })),
        Err(error) if error.class() == Class::Permanent => Ok(Made::Refused {
            message: with_causes(&error),
            seconds: began.elapsed().as_secs_f64(),
        }),
        Err(error) => Err(error),
    }
}

/// What is in green of each item; nothing is asked where no item was begun.
async fn present<'r>(
    context: &Context<'_>,
    deployment: &Deployment,
    items: impl Iterator<Item = &'r Item>,
    begun: &BTreeMap<String, Option<Done>>,
) -> Result<BTreeMap<String, Present>, DeploymentError> {
    let items: Vec<&Item> = items.collect();
    let mut found = BTreeMap::new();
    if !items.iter().any(|item| begun.contains_key(&item.unique_id)) {
        return Ok(found);
    }
    let ids = context.recorded_ids(deployment).await?;
    let about = scope::green(deployment, &ids);
    let catalog = Catalog::look(context.materialize, &about).await?;
    for schema in &deployment.plan.schemas {
        let Some(id) = ids.green_schemas.get(&schema.name) else {
            continue;
        };
        for object in catalog.objects_in_schema(id) {
            if object.kind == ObjectKind::Index {
                continue;
            }
            let mut items = items.iter();
            let item = items.find(|item| item.schema == schema.green && item.name == object.name);
            let Some(item) = item else { continue };
            let dependents = catalog.dependents(&object.id);
            let indexes = dependents.iter().filter(|on| on.kind == ObjectKind::Index);
            let present = Present {
                kind: object.kind,
                indexes: indexes.count(),
            };
            found.insert(item.unique_id.clone(), present);
        }
    }
    Ok(found)
}

fn tell(
    context: &Context<'_>,
    id: &str,
    status: Status,
    done: usize,
    total: usize,
    seconds: Option<f64>,
) {
    context.reporter.send(Progress::Node {
        unique_id: id.to_owned(),
        status: status.as_str().to_owned(),
        done,
        total,
        seconds,
    });
}

fn of_done(plan: &Plan, item: &Item, done: &Done) -> Ended {
    Ended {
        at: done.at,
        rows: done.rows,
        ..entry(
            plan,
            item,
            Status::Success,
            Some(done.message.clone()),
            done.seconds,
        )
    }
}

fn entry(plan: &Plan, item: &Item, status: Status, message: Option<String>, seconds: f64) -> Ended {
    let sql = match &item.make {
        Make::View { query } | Make::MaterializedView { query, .. } => Some(query.clone()),
        Make::Source { definition, .. } => Some(definition.clone()),
        Make::Seed { .. } => None,
    };
    Ended {
        unique_id: item.unique_id.clone(),
        status,
        message,
        seconds,
        at: Timestamp::now(),
        failures: None,
        relation: Some(Qualified::object(&plan.database, &item.schema, &item.name).to_string()),
        sql,
        rows: None,
    }
}

/// The dbt that compiled what is run: `1.11.16` of `dbt-core 1.11.16, dbt-materialize 1.9.11`.
fn dbt_version(plan: &Plan) -> &str {
    let dbt = plan.inputs.as_ref().map_or("", |inputs| &inputs.dbt);
    let dbt = dbt.strip_prefix("dbt-core ").unwrap_or(dbt);
    dbt.split(',').next().unwrap_or_default()
}

/// What did not succeed, a line each.
fn bad(ended: &[Ended]) -> Vec<String> {
    ended
        .iter()
        .filter(|ended| !ended.status.is_good())
        .map(|ended| {
            let message = ended.message.as_deref().unwrap_or_default();
            let message = message.replace('\n', " ");
            let colon = if message.is_empty() { "" } else { ": " };
            format!(
                "{} {}{colon}{message}",
                ended.unique_id,
                ended.status.as_str()
            )
        })
        .collect()
}

/// The first of these lines, as a message has them.
fn shown(lines: &[String]) -> String {
    let mut shown: Vec<String> = lines.iter().take(SHOWN).cloned().collect();
    if lines.len() > SHOWN {
        shown.push(format!("and {} more", lines.len() - SHOWN));
    }
    shown.join("\n  ")
}

fn all_made(ended: &[Ended]) -> Result<(), DeploymentError> {
    let bad = bad(ended);
    if bad.is_empty() {
        return Ok(());
    }
    let text = format!(
        "native build: {} of {} nodes did not succeed:\n  {}",
        bad.len(),
        ended.len(),
        shown(&bad)
    );
    Err(DeploymentError::Failed(text))
}
