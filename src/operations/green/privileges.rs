//! Owners, grants and comments of the objects that dbt built, and the record of those objects.
//!
//! Where the plan has hooks, dbt may have made what no plan can know: views, materialized views, tables and
//! indexes of that kind are recorded and swapped with the rest, and told. Without hooks they are somebody
//! else's, and a release does not take them live.
//!
//! Ownership and grants stay with an object through a swap, so green's objects get them before it:
//! whatever existed in production by the same name keeps its owner, grants and users' comments, unless the
//! release's own hooks say otherwise (`merge`).

use super::stage::grant_changes;
use super::{columns, indexes, native};
use crate::adapters::artifacts::Given;
use crate::adapters::materialize::Statement;
use crate::adapters::materialize::ddl::{self, Target};
use crate::domain::catalog::grants::Grant;
use crate::domain::catalog::{Catalog, Object, ObjectKind};
use crate::domain::plan::{BesideRelation, Engine, LiveObject, Plan, PlannedNode, SchemaSwap};
use crate::domain::records::deployment::Deployment;
use crate::foundation::sql::identifier::Qualified;
use crate::operations::error::DeploymentError;
use crate::operations::green::{made_by_dbt, privilege_merge};
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::identity::{GreenObject, Ids, SecretNames, planned_node};
use crate::operations::saga::previous::before;
use crate::operations::saga::scope;
use std::collections::{BTreeMap, BTreeSet};

/// Which run of dbt green is looked at after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The build: all is there except what tests store.
    Build,
    /// The tests.
    Tests,
}

/// Checks that green holds what was planned and nothing else, gives it its privileges and records it by id.
pub(crate) async fn apply_and_record(
    context: &Context<'_>,
    deployment: &Deployment,
    after: After,
) -> Result<(), DeploymentError> {
    let plan = &deployment.plan;
    let ids = context.recorded_ids(deployment).await?;
    let key = match after {
        After::Build => key::RECORD,
        After::Tests => key::RECORD_TESTED,
    };
    let effect = context.begin(deployment, key, &plan.nodes.len()).await?;
    if effect.result.is_some() {
        return Ok(());
    }
    let about = scope::green(deployment, &ids).closely();
    let catalog = Catalog::look(context.materialize, &about).await?;
    // Before anything is found wrong with it: what dbt made is dropped then.
    made_by_dbt::record(context, deployment, &catalog).await?;
    on_own_clusters_only(plan, &ids, &Context::secret(deployment), &catalog)?;
    let green = green_objects(plan, &ids, &catalog, after)?;
    if after == After::Build {
        columns::refuse_lost(context, deployment, &ids, &catalog).await?;
    }
    if plan.building.engine == Engine::Native {
        native::reads_no_old(plan, &green, &catalog)?;
    }
    tell_beside(context, &green);
    let privileges = PrivilegeChanges {
        plan,
        ids: &ids,
        catalog: &catalog,
        given: &given(context, deployment, &ids, &catalog, after).await?,
        before: &given_before(context, deployment).await?,
    };
    let mut clashes = Vec::new();
    for schema in &plan.schemas {
        let objects = schema.objects.iter();
        let production = objects.map(|object| (object.name.as_str(), object));
        let statements = privileges.statements(schema, &production.collect(), &mut clashes);
        context.execute_all(deployment, &statements).await?;
    }
    if !clashes.is_empty() {
        tell_clashes(context, &clashes);
        context.begin(deployment, key::CLASHES, &()).await?;
        context.finish(deployment, key::CLASHES, &clashes).await?;
    }
    context.finish(deployment, key, &green).await
}

/// A hook may have made an index for a relation that stays, or more, on a green cluster. Swapped in, the
/// cluster would be shared, and each release that follows refused.
fn on_own_clusters_only(
    plan: &Plan,
    ids: &Ids,
    secret: &SecretNames,
    catalog: &Catalog,
) -> Result<(), DeploymentError> {
    let moved = indexes::made(plan, secret, catalog);
    let schemas: BTreeSet<&String> = ids.green_schemas.values().collect();
    let clusters = ids.green_clusters.values();
    let elsewhere: Vec<String> = clusters
        .flat_map(|cluster| catalog.objects_on_cluster(cluster))
        .filter(|object| !schemas.contains(&object.schema_id))
        .filter(|object| !moved.iter().any(|(_, index)| index.id == object.id))
        .map(|object| catalog.name_of(object))
        .collect();
    if elsewhere.is_empty() {
        return Ok(());
    }
    Err(DeploymentError::Failed(format!(
        "cluster-shared: {} runs on a green cluster and lies in a schema that is not swapped",
        elsewhere.join(", ")
    )))
}

fn tell_beside(context: &Context<'_>, green: &[GreenObject]) {
    let beside: Vec<String> = green
        .iter()
        .filter(|object| object.beside)
        .map(|object| format!("{}.{} ({})", object.schema, object.name, object.kind))
        .collect();
    if !beside.is_empty() {
        context.reporter.warning(format!(
            "made beside the plan, recorded and swapped with it: {}",
            beside.join(", ")
        ));
    }
}

/// The objects of green, or what is wrong with them.
fn green_objects(
    plan: &Plan,
    ids: &Ids,
    catalog: &Catalog,
    after: After,
) -> Result<Vec<GreenObject>, DeploymentError> {
    let clusters: BTreeSet<&String> = ids.green_clusters.values().collect();
    let mut green = Vec::new();
    let mut strangers = Vec::new();
    for (schema, id) in &ids.green_schemas {
        for object in catalog.objects_in_schema(id) {
            let planned = is_planned(plan, schema, object, catalog);
            if !planned && !may_be_of_hooks(plan, object) {
                strangers.push(format!("{} ({})", catalog.name_of(object), object.kind));
            }
            if let Some(cluster) = &object.cluster_id
                && !clusters.contains(cluster)
            {
                let name = catalog
                    .clusters
                    .get(cluster)
                    .map_or(cluster.as_str(), |cluster| cluster.name.as_str());
                return Err(DeploymentError::Failed(format!(
                    "{} was built on the cluster {name}, which is not a green one",
                    catalog.name_of(object)
                )));
            }
            green.push(GreenObject {
                id: object.id.clone(),
                schema: schema.clone(),
                name: object.name.clone(),
                kind: object.kind,
                cluster_id: object.cluster_id.clone(),
                on: relation_of(object, catalog).map(|relation| relation.name.clone()),
                beside: !planned || is_one_index_more(plan, schema, object, catalog),
            });
        }
    }
    if !strangers.is_empty() {
        return Err(DeploymentError::Failed(format!(
            "unmanaged-object: green holds objects that no planned node makes: {}{}",
            strangers.join(", "),
            match plan.hooked.is_empty() {
                true => "",
                false =>
                    ". Hooks may make views, materialized views, tables and indexes there, nothing else",
            }
        )));
    }
    let missing: Vec<String> = plan
        .nodes
        .iter()
        .filter(|node| after == After::Tests || !node.stores_failures)
        .filter(|node| {
            !green.iter().any(|object| {
                object.schema == node.schema
                    && object.name == node.identifier
                    && Some(object.kind) == node.kind
            })
        })
        .map(|node| node.unique_id.clone())
        .collect();
    if !missing.is_empty() {
        return Err(DeploymentError::Failed(format!(
            "the build ended well, and green lacks the relations of {}",
            missing.join(", ")
        )));
    }
    let lost: Vec<String> = plan
        .beside
        .iter()
        .filter(|relation| {
            !green.iter().any(|object| {
                object.schema == relation.schema
                    && object.name == relation.identifier
                    && object.kind != ObjectKind::Index
            })
        })
        .map(BesideRelation::name)
        .collect();
    if !lost.is_empty() {
        return Err(DeploymentError::Failed(format!(
            "unmanaged-object: dbt did not make {} again, which it made beside its nodes in an earlier release; production would lose it. Release with --full if a node that is not rebuilt makes it, or accept the loss with --allow unmanaged-object",
            lost.join(", ")
        )));
    }
    green.sort_by(|a, b| (&a.schema, &a.name, &a.id).cmp(&(&b.schema, &b.name, &b.id)));
    Ok(green)
}

/// What hooks may make beside the plan, where there are any. Nothing else could stay in a schema that is
/// swapped: a sink, for example, would forbid each release that follows.
fn may_be_of_hooks(plan: &Plan, object: &Object) -> bool {
    let is_kind = match object.kind {
        ObjectKind::View | ObjectKind::MaterializedView | ObjectKind::Index => true,
        ObjectKind::Table => !object.fed_by_source && !object.is_part,
        ObjectKind::Source
        | ObjectKind::Sink
        | ObjectKind::Connection
        | ObjectKind::Secret
        | ObjectKind::Type
        | ObjectKind::Function => false,
    };
    is_kind && !plan.hooked.is_empty()
}

/// Whether an index is on a relation that has more of them than its node makes. Which one is a hook's
/// cannot be told: dbt does not say how it names indexes.
fn is_one_index_more(plan: &Plan, schema: &str, index: &Object, catalog: &Catalog) -> bool {
    if index.kind != ObjectKind::Index || plan.hooked.is_empty() {
        return false;
    }
    relation_of(index, catalog).is_some_and(|relation| {
        let found = catalog.dependents(&relation.id);
        let found = found.iter().filter(|on| on.kind == ObjectKind::Index);
        maker(plan, schema, &relation.name).is_some_and(|node| found.count() > node.indexes)
    })
}

/// The relation that an index is on; `None` of anything else.
fn relation_of<'c>(index: &Object, catalog: &'c Catalog) -> Option<&'c Object> {
    if index.kind != ObjectKind::Index {
        return None;
    }
    let mut reads = catalog.dependencies.iter();
    let (_, on) = reads.find(|(dependent, _)| *dependent == index.id)?;
    catalog.objects.get(on)
}

/// The planned node that makes a relation, or has it as its version pointer.
fn maker<'a>(plan: &'a Plan, schema: &str, name: &str) -> Option<&'a PlannedNode> {
    let pointed = || {
        let mut beside = plan.beside.iter();
        let pointer = beside.find(|it| it.schema == schema && it.identifier == name)?;
        let model = pointer.node.as_ref()?;
        plan.nodes.iter().find(|node| node.unique_id == *model)
    };
    planned_node(plan, schema, name).or_else(pointed)
}

/// A planned relation, an index on one, or a part of a planned source.
pub(crate) fn is_planned(plan: &Plan, schema: &str, object: &Object, catalog: &Catalog) -> bool {
    match object.kind {
        ObjectKind::Index => catalog
            .dependencies
            .iter()
            .filter(|(dependent, _)| *dependent == object.id)
            .filter_map(|(_, on)| catalog.objects.get(on))
            .any(|relation| maker(plan, schema, &relation.name).is_some()),
        ObjectKind::Source | ObjectKind::Table if object.is_part || object.fed_by_source => {
            plan.nodes.iter().any(|node| {
                node.schema == schema
                    && matches!(node.materialized.as_str(), "source" | "source_table")
            })
        }
        ObjectKind::Table
        | ObjectKind::View
        | ObjectKind::MaterializedView
        | ObjectKind::Source
        | ObjectKind::Sink
        | ObjectKind::Connection
        | ObjectKind::Secret
        | ObjectKind::Type
        | ObjectKind::Function => maker(plan, schema, &object.name).is_some(),
    }
}

/// What hooks gave the objects of green, by id, as it was before these got their privileges: on record already, or
/// looked at and recorded now.
async fn given(
    context: &Context<'_>,
    deployment: &Deployment,
    ids: &Ids,
    catalog: &Catalog,
    after: After,
) -> Result<BTreeMap<String, Given>, DeploymentError> {
    let plan = &deployment.plan;
    let (mut given, key) = match after {
        After::Build => (BTreeMap::new(), key::GIVEN),
        // What was there before has its privileges by now.
        After::Tests => (
            recorded_given(context, deployment).await?,
            key::GIVEN_TESTED,
        ),
    };
    let effect = context.begin(deployment, key, &()).await?;
    if let Some(recorded) = effect.result_as::<BTreeMap<String, Given>>()? {
        given.extend(recorded);
        return Ok(given);
    }
    let mut new = BTreeMap::new();
    for (schema, id) in &ids.green_schemas {
        for object in catalog.objects_in_schema(id) {
            if !given.contains_key(&object.id) {
                let node = planned_node(plan, schema, &object.name);
                let one = privilege_merge::given(plan, schema, node, object, &catalog.role);
                new.insert(object.id.clone(), one);
            }
        }
    }
    context.finish(deployment, key, &new).await?;
    given.extend(new);
    Ok(given)
}

/// What is on record of it.
pub(crate) async fn recorded_given(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<BTreeMap<String, Given>, DeploymentError> {
    let mut given = BTreeMap::new();
    for key in [key::GIVEN, key::GIVEN_TESTED] {
        if let Some(effect) = context.store.effect(&deployment.id, key).await?
            && let Some(recorded) = effect.result_as::<BTreeMap<String, Given>>()?
        {
            given.extend(recorded);
        }
    }
    Ok(given)
}

/// What the objects of green are to have, and what is known of the release before.
pub(crate) struct PrivilegeChanges<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) ids: &'a Ids,
    pub(crate) catalog: &'a Catalog,
    /// What hooks gave green's objects, by id.
    pub(crate) given: &'a BTreeMap<String, Given>,
    /// What the release before had given production's, by id.
    pub(crate) before: &'a BTreeMap<String, Given>,
}

impl PrivilegeChanges<'_> {
    /// The statements that give green's objects what they are to have next to these of production, by name.
    /// What both the release and people changed is added to `clashes`.
    pub(crate) fn statements(
        &self,
        schema: &SchemaSwap,
        production: &BTreeMap<&str, &LiveObject>,
        clashes: &mut Vec<String>,
    ) -> Vec<Statement> {
        let Some(id) = self.ids.green_schemas.get(&schema.name) else {
            return Vec::new();
        };
        let mut statements = Vec::new();
        for object in self.catalog.objects_in_schema(id) {
            let Some(blue) = production.get(object.name.as_str()) else {
                continue;
            };
            // A name may pass from a relation to an index or back; they have nothing in common.
            if (blue.kind == ObjectKind::Index) != (object.kind == ObjectKind::Index) {
                continue;
            }
            self.object(schema, object, blue, (&mut statements, clashes));
        }
        statements
    }

    fn object(
        &self,
        schema: &SchemaSwap,
        object: &Object,
        blue: &LiveObject,
        (statements, clashes): (&mut Vec<Statement>, &mut Vec<String>),
    ) {
        let plan = self.plan;
        let name = Qualified::object(&plan.database, &schema.green, &object.name);
        let called = format!("{}.{}", schema.name, object.name);
        let nothing = Given::default();
        let given = self.given.get(&object.id).unwrap_or(&nothing);
        let before = self.before.get(&blue.id);
        let wanted = privilege_merge::merged(&called, given, before, blue, &self.catalog.role);
        clashes.extend(wanted.clashes);
        let node = planned_node(plan, &schema.name, &object.name);
        let keeps_comment = node.is_none_or(|node| !node.persists_relation_comment);
        if keeps_comment && object.comment != wanted.comment {
            let comment = wanted.comment.as_deref();
            statements.push(ddl::comment_on_object(object.kind, &name, comment));
        }
        if node.is_some_and(|node| !node.persists_column_comments) {
            let present: BTreeMap<_, _> = object.column_comments.iter().cloned().collect();
            for column in object.columns.keys() {
                let wanted = wanted.column_comments.get(column);
                if present.get(column) != wanted {
                    let comment = wanted.map(String::as_str);
                    statements.push(ddl::comment_on_column(&name, column, comment));
                }
            }
        }
        // An index has no grants, and its owner is its relation's.
        if object.kind == ObjectKind::Index {
            return;
        }
        let target = Target::Object(object.kind, name);
        if object.owner != wanted.owner {
            statements.push(ddl::alter_owner(&target, &wanted.owner));
        }
        let present = object.grants.iter();
        // What the owner has by itself is not taken from it.
        let present = present.filter(|grant| grant.grantee.as_ref() != Some(&wanted.owner));
        let present: Vec<Grant> = present.cloned().collect();
        statements.extend(grant_changes(&target, &wanted.grants, &present));
    }
}

/// What the release before had given production's objects, by id; nothing of those of which it is not on record.
pub(crate) async fn given_before(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<BTreeMap<String, Given>, DeploymentError> {
    let before = before(context, deployment).await?;
    let objects = before.map(|before| before.objects).unwrap_or_default();
    let given = objects
        .into_iter()
        .filter_map(|object| Some((object.id, object.given?)));
    Ok(given.collect())
}

/// What the release and people changed both, where an effect's result is a record of it.
#[must_use]
pub fn clashes(key: &str, result: &serde_json::Value) -> Vec<String> {
    let texts = |value: &serde_json::Value| serde_json::from_value(value.clone());
    let recorded = match key {
        key::CLASHES => texts(result),
        key::CARRY => texts(&result["told"]),
        _ => return Vec::new(),
    };
    recorded.unwrap_or_default()
}

/// Says what the release and people changed both.
pub(crate) fn tell_clashes(context: &Context<'_>, clashes: &[String]) {
    if !clashes.is_empty() {
        context.reporter.warning(format!(
            "changed by the release and in production, the release's stays: {}",
            clashes.join("; ")
        ));
    }
}
