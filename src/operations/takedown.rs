//! Dropping one side by recorded ids.
//!
//! Never by CASCADE. What is to go is first given names that only this deployment knows, in one
//! guarded transaction whose check compares ids, so that a foreign swap cannot put production under
//! them. Then object by object, dependents first, then the empty schemas, then the clusters: a
//! plain DROP refuses whatever something still depends on. Everything is found by id, so it may
//! stop anywhere and run again.
//!
//! Stored SQL that names a schema in a column reference (`s.t.c`) keeps the schema from being renamed, and
//! its objects can be renamed all the same. Where the server refuses to hide a side, its objects get the
//! secret names instead, are dropped first, and the empty schemas are hidden then.

/// Corners of pull requests make way for a release.
pub mod corners;
/// Single statements that drop.
mod dropping;
/// Secret names for what goes.
mod hide;
/// What ended deployments left in Materialize.
pub mod leftovers;
/// Objects that go before their schema can be hidden.
mod objects_first;
/// In which order objects are dropped.
pub mod order;
/// What lies outside of what is swapped, and goes with a side.
mod outside;

use crate::adapters::materialize::catalog::About;
use crate::adapters::materialize::guarded::Names;
use crate::adapters::materialize::{MaterializeError, Statement, ddl};
use crate::domain::catalog::{Catalog, Object, ObjectKind};
use crate::domain::lifecycle::state::State;
use crate::domain::plan::Plan;
use crate::domain::progress::Progress;
use crate::domain::records::deployment::Deployment;
use crate::foundation::sql::identifier::Qualified;
use crate::operations::error::DeploymentError;
use crate::operations::green::made_by_dbt::{self, Made};
use crate::operations::green::privileges::is_planned;
use crate::operations::green::{indexes, stage};
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::identity::{GreenObject, Ids, SecretNames};
use crate::operations::saga::{scope, staged};
use dropping::{drop_objects, drop_unless_gone};
use hide::{Hidden, hide};
use order::dependents_first;
use std::collections::{BTreeMap, BTreeSet};

/// Which side goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goes {
    /// The old side, after a promotion.
    Old,
    /// The new side, after a failure, an abort or a rollback.
    Green,
}

/// Drops a side and, last of all, the control schema.
///
/// # Errors
/// [`DeploymentError::Stuck`] names what stands in the way; nothing more is dropped then, and the
/// call may be repeated when the cause is gone.
pub(crate) async fn drop_side(
    context: &Context<'_>,
    deployment: &Deployment,
    goes: Goes,
) -> Result<(), DeploymentError> {
    let plan = &deployment.plan;
    let ids = match context.ids(deployment).await? {
        Some(ids) => ids,
        None => stage::unrecorded(context, deployment).await?,
    };
    let recorded = context.green_objects(deployment).await?;
    let made = match goes {
        Goes::Old => None,
        Goes::Green => made_by_dbt::known(context, deployment).await?,
    };
    let secret = Context::secret(deployment);
    let side = Side::new(plan, &ids, recorded.as_deref(), made, goes, secret);
    let effect_key = match goes {
        Goes::Old => key::DROP_OLD,
        Goes::Green => key::DROP_GREEN,
    };
    let effect = context
        .begin(deployment, effect_key, &(&side.schemas, &side.clusters))
        .await?;
    let mut control = None;
    if effect.result.is_none() {
        if goes == Goes::Old {
            outside::drop_sinks(context, deployment).await?;
        }
        control = take_down(context, deployment, &side, goes).await?;
        context.finish(deployment, effect_key, &true).await?;
    }
    outside::follow(context, deployment, goes).await?;
    drop_control(context, deployment, &ids, control).await
}

/// Drops what an ended deployment left of the side that was to go: of the recorded ids those that are
/// still there and in these sets, and last the control schema. Nothing is journalled: the record of a
/// deployment that has ended does not change.
///
/// # Errors
/// As [`drop_side`].
pub(crate) async fn drop_left(
    context: &Context<'_>,
    deployment: &Deployment,
    schemas: &BTreeSet<String>,
    clusters: &BTreeSet<String>,
) -> Result<(), DeploymentError> {
    let plan = &deployment.plan;
    if !plan.indexes.is_empty() {
        return Err(DeploymentError::Stuck(
            "indexes of relations that stay may be among it. Look at it and drop it by hand"
                .to_owned(),
        ));
    }
    let ids = match context.ids(deployment).await? {
        Some(ids) => ids,
        None => stage::unrecorded(context, deployment).await?,
    };
    let recorded = context.green_objects(deployment).await?;
    let goes = match deployment.state == State::Done {
        true => Goes::Old,
        false => Goes::Green,
    };
    // The record of a deployment that has ended does not change, so nobody looks now.
    let made = match made_by_dbt::recorded(context, deployment).await? {
        Some(Made::Ended { objects }) => Some(objects.into_keys().collect()),
        Some(Made::Running) | None => None,
    };
    let secret = Context::secret(deployment);
    let mut side = Side::new(plan, &ids, recorded.as_deref(), made, goes, secret);
    side.schemas.retain(|(id, _)| schemas.contains(id));
    side.clusters.retain(|(id, _)| clusters.contains(id));
    let mut control = None;
    if !side.schemas.is_empty() || !side.clusters.is_empty() {
        control = take_down(context, deployment, &side, goes).await?;
    }
    drop_control(context, deployment, &ids, control).await
}

/// What goes, by id.
struct Side<'a> {
    plan: &'a Plan,
    secret: SecretNames,
    /// `(id, production name)`.
    schemas: Vec<(String, String)>,
    /// `(id, production name)`.
    clusters: Vec<(String, String)>,
    /// The objects that may go; `None` for a green side on which dbt never ran to an end.
    objects: Option<BTreeSet<String>>,
    /// Production schemas and clusters that this deployment created, ids.
    created: &'a BTreeSet<String>,
    /// Every recorded green schema, ids: also those that do not go, because somebody swapped them.
    green: BTreeSet<&'a str>,
    /// The control schema, which goes last; its id.
    control: &'a str,
    goes: Goes,
}

/// A rename of an index of a relation that stays.
struct IndexRename {
    id: String,
    /// `schema.name` before.
    called: String,
    /// The name afterwards.
    to: String,
    statement: Statement,
}

impl<'a> Side<'a> {
    fn new(
        plan: &'a Plan,
        ids: &'a Ids,
        green: Option<&[GreenObject]>,
        made: Option<BTreeSet<String>>,
        goes: Goes,
        secret: SecretNames,
    ) -> Self {
        let pairs = |by_name: &BTreeMap<String, String>| -> Vec<(String, String)> {
            by_name
                .iter()
                .map(|(name, id)| (id.clone(), name.clone()))
                .collect()
        };
        let green_schemas = ids.green_schemas.values().map(String::as_str).collect();
        let mut side = match goes {
            Goes::Old => Self {
                plan,
                schemas: pairs(&ids.blue_schemas),
                clusters: pairs(&ids.blue_clusters),
                objects: Some(
                    plan.schemas
                        .iter()
                        .flat_map(|schema| schema.objects.iter().map(|object| object.id.clone()))
                        .collect(),
                ),
                created: &ids.created,
                green: green_schemas,
                control: &ids.control,
                goes,
                secret,
            },
            Goes::Green => Self {
                plan,
                schemas: pairs(&ids.green_schemas),
                clusters: pairs(&ids.green_clusters),
                objects: match (green, made) {
                    (None, None) => None,
                    (green, made) => {
                        let recorded = green.unwrap_or_default().iter();
                        let recorded = recorded.map(|object| object.id.clone());
                        Some(recorded.chain(made.unwrap_or_default()).collect())
                    }
                },
                created: &ids.created,
                green: green_schemas,
                control: &ids.control,
                goes,
                secret,
            },
        };
        match goes {
            // A scratch cluster was never swapped; it goes whichever side goes.
            Goes::Old => {
                for cluster in plan.clusters.iter().filter(|cluster| cluster.scratch) {
                    if let Some(id) = ids.green_clusters.get(&cluster.name) {
                        side.clusters.push((id.clone(), cluster.name.clone()));
                    }
                }
            }
            // What was created for the first release goes with the release that failed.
            Goes::Green => {
                for (blue, list) in [
                    (&ids.blue_schemas, &mut side.schemas),
                    (&ids.blue_clusters, &mut side.clusters),
                ] {
                    list.extend(
                        pairs(blue)
                            .into_iter()
                            .filter(|(id, _)| ids.created.contains(id)),
                    );
                }
            }
        }
        side
    }

    /// What of the catalog it is about: all that is in and on what goes, indexes beside it, and the control schema.
    fn about(&self, deployment: &Deployment) -> About {
        let schemas = self.schemas.iter().map(|(id, _)| id.as_str());
        let control = Some(self.control).filter(|id| !id.is_empty());
        About {
            schema_ids: schemas.chain(control).map(str::to_owned).collect(),
            cluster_ids: self.clusters.iter().map(|(id, _)| id.clone()).collect(),
            ..scope::moved_indexes(deployment)
        }
    }

    fn word(&self) -> &'static str {
        match self.goes {
            Goes::Old => "old",
            Goes::Green => "dropped",
        }
    }

    /// The names under which this deployment may have left the thing with this id.
    fn left_at(&self, deployment: &Deployment, is_cluster: bool, id: &str) -> Vec<String> {
        let (things, of) = if is_cluster {
            (&self.clusters, staged::What::Cluster)
        } else {
            (&self.schemas, staged::What::Schema)
        };
        let Some((_, production)) = things.iter().find(|(known, _)| known == id) else {
            return Vec::new();
        };
        let first = self.goes == Goes::Green && self.created.contains(id);
        staged::items(self.plan, &Context::secret(deployment))
            .into_iter()
            .filter(|item| item.what == of && item.of == *production && item.bootstrapped == first)
            .flat_map(|item| [item.becomes, item.secret])
            .collect()
    }

    fn is_production(&self, is_cluster: bool, name: &str) -> bool {
        if is_cluster {
            let mut swapped = self.plan.clusters.iter().filter(|cluster| !cluster.scratch);
            return swapped.any(|cluster| cluster.name == name);
        }
        self.plan.schemas.iter().any(|schema| schema.name == name)
    }

    /// The name that a thing gets before it goes.
    fn hidden(&self, deployment: &Deployment, what: &str, index: usize) -> String {
        Context::secret(deployment).hidden(&format!("{}_{what}", self.word()), index)
    }

    /// The objects to drop, or what stands in the way.
    fn objects<'c>(&self, catalog: &'c Catalog) -> Result<Vec<&'c Object>, String> {
        let mut going = Vec::new();
        let mut strangers = Vec::new();
        for (schema, name) in &self.schemas {
            for object in catalog.objects_in_schema(schema) {
                if self.may_go(name, object, catalog) {
                    going.push(object);
                } else {
                    strangers.push(catalog.name_of(object));
                }
            }
        }
        if !strangers.is_empty() {
            return Err(format!(
                "unmanaged-object: {} appeared in a schema that is to be dropped. Move or drop it",
                strangers.join(", ")
            ));
        }
        going.extend(self.moved(catalog));
        let present: BTreeSet<&str> = going.iter().map(|object| object.id.as_str()).collect();
        let elsewhere = self.elsewhere(catalog);
        let more = elsewhere.filter(|object| !present.contains(object.id.as_str()));
        let more: Vec<&Object> = more.collect();
        going.extend(more);
        self.nothing_depends(catalog, &going)?;
        Ok(going)
    }

    /// What dbt made on green clusters in schemas that stay, a hook's index for example. Never what is in
    /// a green schema: that goes with its schema or not at all, since the schema may serve by now.
    fn elsewhere<'c>(&self, catalog: &'c Catalog) -> impl Iterator<Item = &'c Object> {
        let clusters = self.clusters.iter().filter(|_| self.goes == Goes::Green);
        let objects = clusters.flat_map(|(cluster, _)| catalog.objects_on_cluster(cluster));
        objects.filter(|object| {
            let recorded = self.objects.as_ref();
            recorded.is_some_and(|recorded| recorded.contains(&object.id))
                && !self.green.contains(object.schema_id.as_str())
        })
    }

    /// Indexes of relations that stay: the old ones, or those made for this deployment.
    fn moved<'c>(&self, catalog: &'c Catalog) -> Vec<&'c Object> {
        match self.goes {
            Goes::Old => {
                let ids = self.plan.indexes.iter().map(|index| &index.id);
                ids.filter_map(|id| catalog.objects.get(id)).collect()
            }
            Goes::Green => indexes::made(self.plan, &self.secret, catalog)
                .into_iter()
                .map(|(_, object)| object)
                .collect(),
        }
    }

    /// The renames by which the new indexes of relations that stay take the names of the old ones.
    fn index_renames(&self, catalog: &Catalog) -> Vec<IndexRename> {
        let mut renames = Vec::new();
        if self.goes == Goes::Green {
            return renames;
        }
        let mut rename = |schema: &str, object: &Object, to: &str| {
            if object.name != to {
                let name = Qualified::object(&self.plan.database, schema, &object.name);
                let statement = ddl::rename_object(ObjectKind::Index, &name, to);
                renames.push(IndexRename {
                    id: object.id.clone(),
                    called: format!("{schema}.{}", object.name),
                    to: to.to_owned(),
                    statement,
                });
            }
        };
        for (number, index) in self.plan.indexes.iter().enumerate() {
            if let Some(old) = catalog.objects.get(&index.id) {
                rename(&index.schema, old, &self.secret.hidden("old_index", number));
            }
        }
        for (index, new) in indexes::made(self.plan, &self.secret, catalog) {
            rename(&index.schema, new, &index.name);
        }
        renames
    }

    fn may_go(&self, schema: &str, object: &Object, catalog: &Catalog) -> bool {
        if let Some(recorded) = &self.objects {
            return recorded.contains(&object.id);
        }
        if self.is_hidden(object, catalog) {
            return true;
        }
        // Nothing says what dbt made: what it makes from the planned nodes may go, nothing else may.
        match object.kind {
            ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::Index
            | ObjectKind::Table
            | ObjectKind::Source => {
                object.is_part || is_planned(self.plan, schema, object, catalog)
            }
            ObjectKind::Sink
            | ObjectKind::Connection
            | ObjectKind::Secret
            | ObjectKind::Type
            | ObjectKind::Function => false,
        }
    }

    /// Whether an object, or the relation that an index is on, has the secret name that it gets before it
    /// is dropped: it was judged then, by the name that it had.
    fn is_hidden(&self, object: &Object, catalog: &Catalog) -> bool {
        let has_name = |object: &Object| object.name == self.secret.hidden_object(&object.id);
        let is_on_one = || {
            let mut read = catalog.dependencies.iter();
            read.any(|(dependent, on)| {
                *dependent == object.id && catalog.objects.get(on).is_some_and(has_name)
            })
        };
        has_name(object) || object.kind == ObjectKind::Index && is_on_one()
    }

    fn nothing_depends(&self, catalog: &Catalog, going: &[&Object]) -> Result<(), String> {
        let ids: BTreeSet<&str> = going.iter().map(|object| object.id.as_str()).collect();
        let mut outside: BTreeSet<String> = BTreeSet::new();
        for object in going {
            for dependent in catalog.dependents(&object.id) {
                if !ids.contains(dependent.id.as_str()) {
                    outside.insert(format!(
                        "{} reads {}",
                        catalog.name_of(dependent),
                        catalog.name_of(object)
                    ));
                }
            }
        }
        for (cluster, _) in &self.clusters {
            for object in catalog.objects_on_cluster(cluster) {
                if !ids.contains(object.id.as_str()) {
                    let name = catalog
                        .clusters
                        .get(cluster)
                        .map_or("?", |cluster| cluster.name.as_str());
                    outside.insert(format!("{} runs on {name}", catalog.name_of(object)));
                }
            }
        }
        if outside.is_empty() {
            return Ok(());
        }
        Err(format!(
            "outside-dependent: {} and would be lost with what is to be dropped. Move or drop it",
            outside.into_iter().collect::<Vec<_>>().join(", ")
        ))
    }
}

/// Takes a side down. Gives the name of the control schema, where there is one.
async fn take_down(
    context: &Context<'_>,
    deployment: &Deployment,
    side: &Side<'_>,
    goes: Goes,
) -> Result<Option<String>, DeploymentError> {
    let about = side.about(deployment);
    let look = async || Names::with_catalog(context.materialize, &about).await;
    let (names, mut catalog) = look().await?;
    let stuck = |what: String| {
        DeploymentError::Stuck(format!(
            "{what}, then run `cutover {}`",
            match goes {
                Goes::Old => "cleanup",
                Goes::Green => "resume",
            }
        ))
    };
    side.objects(&catalog).map_err(stuck)?;
    let hidden = match hide(context, deployment, side, (&names, &catalog), &about).await {
        Err(DeploymentError::Materialize(MaterializeError::Refused { .. })) => {
            objects_first::drop_them(context, side, &catalog, &about)
                .await?
                .map_err(stuck)?;
            let (names, rest) = look().await?;
            side.objects(&rest).map_err(stuck)?;
            let hidden = hide(context, deployment, side, (&names, &rest), &about).await?;
            catalog = rest;
            hidden
        }
        other => other?,
    };
    // Under the secret names: these are what is dropped.
    match hidden {
        Hidden::Seen(renamed) => renamed.apply(&mut catalog),
        Hidden::LookAgain => catalog = Catalog::look(context.materialize, &about).await?,
    }
    let going = side.objects(&catalog).map_err(stuck)?;
    let order = dependents_first(&catalog, &going);
    let objects: usize = order.iter().map(Vec::len).sum();
    let total = objects + side.schemas.len() + side.clusters.len();
    let mut done = 0;
    let mut dropped = |item: String| {
        done += 1;
        context.reporter.send(Progress::Work {
            what: "dropped".to_owned(),
            item,
            done,
            total,
        });
    };
    let named = |object: &Object| object.name.clone();
    for objects in order {
        context.interrupted(deployment)?;
        drop_objects(context, &about, &catalog, &objects, named).await?;
        for object in objects {
            dropped(object.name.clone());
        }
    }
    for (id, name) in &side.schemas {
        context.interrupted(deployment)?;
        if let Some(schema) = catalog.schemas.get(id) {
            let statement = ddl::drop_schema(&schema.database, &schema.name);
            drop_unless_gone(context, &about, &statement, |now| {
                !now.schemas.contains_key(id)
            })
            .await?;
        }
        dropped(format!("schema {name}"));
    }
    for (id, name) in &side.clusters {
        context.interrupted(deployment)?;
        if let Some(cluster) = catalog.clusters.get(id) {
            let statement = ddl::drop_cluster(&cluster.name);
            drop_unless_gone(context, &about, &statement, |now| {
                !now.clusters.contains_key(id)
            })
            .await?;
        }
        dropped(format!("cluster {name}"));
    }
    let control = catalog.schemas.get(side.control);
    Ok(control.map(|control| control.name.clone()))
}

/// The control schema goes last: as long as it stands, the deployment is under way. `seen` is the name that it had a
/// moment ago, where somebody looked.
pub(crate) async fn drop_control(
    context: &Context<'_>,
    deployment: &Deployment,
    ids: &Ids,
    seen: Option<String>,
) -> Result<(), DeploymentError> {
    let secret = Context::secret(deployment);
    let database = &deployment.plan.database;
    if let Some(name) = seen.filter(|seen| secret.controls().any(|name| name == *seen)) {
        match context.execute(&ddl::drop_schema(database, &name)).await {
            // Somebody was quicker, or it holds something: the ids tell.
            Err(DeploymentError::Materialize(MaterializeError::Refused { .. })) => {}
            other => return other,
        }
    }
    let about = scope::control(deployment, ids);
    let names = Names::read(context.materialize, &about).await?;
    if let Some(generation) = ids.generation(&secret, &names) {
        let name = secret.control(generation);
        context.execute(&ddl::drop_schema(database, &name)).await?;
    }
    Ok(())
}
