//! What people changed in production since the plan, carried over to green before the swap.
//!
//! Green was made like production was then. Who gives a cluster more memory while a release waits, or a role
//! access to a view, must not find that undone by the swap. So before each swap production's clusters, schemas
//! and objects are compared with what they were when they were last looked at, first with the plan; what differs
//! is done to green, and green is waited for again. The transaction that swaps looks once more, and is put off
//! where something changed in between.

use super::hydrate;
use super::stage::grant_changes;
use crate::adapters::materialize::ddl::{self, Target};
use crate::adapters::materialize::guarded::Names;
use crate::adapters::materialize::{Statement, cluster_options};
use crate::domain::catalog::grants::Grant;
use crate::domain::catalog::{Catalog, ClusterDefinition};
use crate::domain::plan::{ClusterSwap, LiveObject, Plan, SchemaSwap};
use crate::domain::records::deployment::Deployment;
use crate::foundation::sql::identifier::{Ident, Qualified};
use crate::operations::error::DeploymentError;
use crate::operations::green::privileges::{self, PrivilegeChanges};
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::identity::Ids;
use crate::operations::saga::scope;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What production was when it was last looked at. Stored in the journal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Carried {
    /// Owners and privileges as the catalog has them, by kind and id.
    raw: BTreeMap<String, String>,
    /// How the clusters are made, by name.
    definitions: BTreeMap<String, ClusterDefinition>,
    /// By name.
    schemas: BTreeMap<String, Held>,
    /// By name.
    clusters: BTreeMap<String, Held>,
    /// By id.
    objects: BTreeMap<String, LiveObject>,
    /// What was carried over and what was not, a sentence each, for whoever reads the record.
    told: Vec<String>,
}

/// Who owns a schema or cluster, who else may use it, and what its users wrote on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Held {
    owner: String,
    grants: Vec<Grant>,
    comment: Option<String>,
}

impl Held {
    fn of(owner: &str, grants: &[Grant], comment: Option<&str>) -> Self {
        Self {
            owner: owner.to_owned(),
            grants: grants.to_vec(),
            comment: comment.map(str::to_owned),
        }
    }
}

impl Carried {
    /// Production as it was planned. What was created for the first release is not among it.
    fn planned(plan: &Plan) -> Self {
        let schemas = plan.schemas.iter();
        let clusters = swapped(plan);
        Self {
            raw: BTreeMap::new(),
            definitions: clusters
                .clone()
                .filter(|cluster| cluster.id.is_some())
                .map(|cluster| (cluster.name.clone(), cluster.definition.clone()))
                .collect(),
            schemas: schemas
                .clone()
                .filter_map(|it| {
                    let held = Held::of(it.owner.as_ref()?, &it.grants, it.comment.as_deref());
                    Some((it.name.clone(), held))
                })
                .collect(),
            clusters: clusters
                .filter_map(|it| {
                    let held = Held::of(it.owner.as_ref()?, &it.grants, it.comment.as_deref());
                    Some((it.name.clone(), held))
                })
                .collect(),
            objects: schemas
                .flat_map(|schema| &schema.objects)
                .map(|object| (object.id.clone(), object.clone()))
                .collect(),
            told: Vec::new(),
        }
    }

    /// Whether production is as it was then and the clusters of green are made like its own, as far as one look
    /// at names tells.
    ///
    /// # Errors
    /// What differs, one sentence.
    pub(crate) fn is_as_seen(&self, plan: &Plan, names: &Names) -> Result<(), String> {
        let altered: Vec<&str> = self
            .definitions
            .iter()
            .filter(|(name, definition)| names.definitions.get(*name) != Some(definition))
            .map(|(name, _)| name.as_str())
            .collect();
        if !altered.is_empty() {
            return Err(format!(
                "somebody altered the cluster {} of production",
                altered.join(", ")
            ));
        }
        let unlike: Vec<&str> = unlike_production(plan, names).collect();
        if !unlike.is_empty() {
            return Err(format!(
                "the cluster {} is not made like its counterpart in production",
                unlike.join(", ")
            ));
        }
        if self
            .raw
            .iter()
            .any(|(what, raw)| names.raw.get(what) != Some(raw))
        {
            return Err("somebody changed an owner or a grant in production".to_owned());
        }
        Ok(())
    }

    /// What users wrote on the schemas of production, by name.
    pub(crate) fn schema_comment(&self, name: &str) -> Option<Option<&str>> {
        Some(self.schemas.get(name)?.comment.as_deref())
    }

    /// What users wrote on the clusters of production, by name.
    pub(crate) fn cluster_comment(&self, name: &str) -> Option<Option<&str>> {
        Some(self.clusters.get(name)?.comment.as_deref())
    }
}

fn swapped(plan: &Plan) -> impl Iterator<Item = &ClusterSwap> + Clone {
    plan.clusters.iter().filter(|cluster| !cluster.scratch)
}

/// Green clusters that are not made like their counterparts in production, by name.
fn unlike_production<'a>(plan: &'a Plan, names: &'a Names) -> impl Iterator<Item = &'a str> {
    let definitions = &names.definitions;
    swapped(plan)
        .filter(|it| definitions.get(&it.green) != definitions.get(&it.name))
        .map(|it| it.green.as_str())
}

/// What is on record; `None` before the first look.
pub(crate) async fn recorded(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<Option<Carried>, DeploymentError> {
    let effect = context.store.effect(&deployment.id, key::CARRY).await?;
    Ok(match effect {
        Some(effect) => effect.result_as()?,
        None => None,
    })
}

/// Does to green what was done to production since it was last looked at, and records production as it is.
///
/// # Errors
/// [`DeploymentError::Declined`] where a cluster was altered in a way that cannot be carried over; the server's
/// and the journal's.
pub(crate) async fn over(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let plan = &deployment.plan;
    let ids = context.recorded_ids(deployment).await?;
    let before = recorded(context, deployment).await?;
    let about = scope::carried(deployment, &ids);
    let (names, catalog) = Names::with_catalog(context.materialize, &about.closely()).await?;
    let seen = before.clone().unwrap_or_else(|| Carried::planned(plan));
    let mut now = present(plan, &ids, &names, &catalog);
    let is_alike = unlike_production(plan, &names).next().is_none();
    if is_alike && before.as_ref().is_some_and(|before| now.is_like(before)) {
        return Ok(());
    }
    // What was told once stays on record.
    now.told.clone_from(&seen.told);
    let mut work = Work::default();
    clusters(plan, &seen, &now, (&names, &catalog), &ids, &mut work)?;
    schemas(plan, &seen, &now, &catalog, &ids, &mut work);
    let changed = changed_objects(&seen, &now);
    if !changed.is_empty() {
        let changes = PrivilegeChanges {
            plan,
            ids: &ids,
            catalog: &catalog,
            given: &privileges::recorded_given(context, deployment).await?,
            before: &privileges::given_before(context, deployment).await?,
        };
        let mut clashes = Vec::new();
        for schema in &plan.schemas {
            let production = objects_of(schema, &now, &changed);
            let statements = changes.statements(schema, &production, &mut clashes);
            if !statements.is_empty() {
                work.carried
                    .insert(format!("owners, grants or comments in {}", schema.name));
            }
            work.statements.extend(statements);
        }
        privileges::tell_clashes(context, &clashes);
        now.told.extend(clashes);
    }
    context.begin(deployment, key::CARRY, &()).await?;
    context.execute_all(deployment, &work.statements).await?;
    if !work.alterations.is_empty() {
        hydrate::alter(context, deployment, &work.alterations).await?;
    }
    if !work.carried.is_empty() {
        let carried: Vec<String> = work.carried.into_iter().collect();
        let told = format!(
            "changed in production since the plan and carried over: {}",
            carried.join("; ")
        );
        context.reporter.note(told.clone());
        now.told.push(told);
    }
    context.finish(deployment, key::CARRY, &now).await
}

impl Carried {
    /// Whether there is nothing to be carried over between two looks.
    fn is_like(&self, other: &Self) -> bool {
        let told = other.told.clone();
        Self {
            told,
            ..self.clone()
        } == *other
    }
}

/// What is to be done to green.
#[derive(Default)]
struct Work {
    statements: Vec<Statement>,
    /// Of clusters, whose objects hydrate anew.
    alterations: Vec<Statement>,
    /// What that carries over, for people.
    carried: BTreeSet<String>,
}

/// Production as these looks saw it.
fn present(plan: &Plan, ids: &Ids, names: &Names, catalog: &Catalog) -> Carried {
    let mut now = Carried::default();
    let mut raw = |kind: &str, id: &str| {
        let what = format!("{kind} {id}");
        if let Some(text) = names.raw.get(&what) {
            now.raw.insert(what, text.clone());
        }
    };
    for id in ids.blue_schemas.values() {
        raw("schema", id);
    }
    for id in ids.blue_clusters.values() {
        raw("cluster", id);
    }
    for object in plan.schemas.iter().flat_map(|schema| &schema.objects) {
        raw("object", &object.id);
    }
    for cluster in swapped(plan) {
        if let Some(definition) = names.definitions.get(&cluster.name) {
            now.definitions
                .insert(cluster.name.clone(), definition.clone());
        }
        let id = ids.blue_clusters.get(&cluster.name);
        if let Some(found) = id.and_then(|id| catalog.clusters.get(id)) {
            let held = Held::of(&found.owner, &found.grants, found.comment_parts().0);
            now.clusters.insert(cluster.name.clone(), held);
        }
    }
    for schema in &plan.schemas {
        let id = ids.blue_schemas.get(&schema.name);
        if let Some(found) = id.and_then(|id| catalog.schemas.get(id)) {
            let held = Held::of(&found.owner, &found.grants, found.comment_parts().0);
            now.schemas.insert(schema.name.clone(), held);
        }
        for object in &schema.objects {
            if let Some(found) = catalog.objects.get(&object.id) {
                now.objects.insert(object.id.clone(), LiveObject::of(found));
            }
        }
    }
    now
}

/// Objects of production that are not as they were, by id. What is gone or new is for the rehearsal to find.
fn changed_objects(seen: &Carried, now: &Carried) -> BTreeSet<String> {
    now.objects
        .iter()
        .filter(|(id, object)| {
            seen.objects
                .get(*id)
                .is_some_and(|before| before != *object)
        })
        .map(|(id, _)| id.clone())
        .collect()
}

fn objects_of<'n>(
    schema: &SchemaSwap,
    now: &'n Carried,
    changed: &BTreeSet<String>,
) -> BTreeMap<&'n str, &'n LiveObject> {
    let objects = schema.objects.iter();
    objects
        .filter(|object| changed.contains(&object.id))
        .filter_map(|object| now.objects.get(&object.id))
        .map(|object| (object.name.as_str(), object))
        .collect()
}

fn clusters(
    plan: &Plan,
    seen: &Carried,
    now: &Carried,
    (names, catalog): (&Names, &Catalog),
    ids: &Ids,
    work: &mut Work,
) -> Result<(), DeploymentError> {
    for cluster in swapped(plan) {
        let name = &cluster.name;
        let green = names.definitions.get(&cluster.green);
        if let (Some(present), Some(wanted)) = (green, now.definitions.get(name))
            && present != wanted
        {
            let is_altered = seen.definitions.get(name) != Some(wanted);
            let altered = match is_altered {
                true => name,
                false => &cluster.green,
            };
            let statements = cluster_options::alteration(&cluster.green, present, wanted);
            let statements = statements.map_err(|why| {
                DeploymentError::Declined(format!(
                    "cluster-altered: the cluster {altered} was altered since the plan, and {why}. Run `cutover abort` and release again, or alter {altered} back"
                ))
            })?;
            work.alterations.extend(statements);
            work.carried
                .insert(format!("the options of the cluster {name}"));
        }
        let green = ids.green_clusters.get(name);
        let green = green.and_then(|id| catalog.clusters.get(id));
        if let (Some(before), Some(after), Some(green)) =
            (seen.clusters.get(name), now.clusters.get(name), green)
        {
            let target = Target::Cluster(Ident(&cluster.green));
            let statements = held(&target, before, after, (&green.owner, &green.grants));
            if !statements.is_empty() {
                work.carried
                    .insert(format!("owner or grants of the cluster {name}"));
            }
            work.statements.extend(statements);
        }
    }
    Ok(())
}

fn schemas(
    plan: &Plan,
    seen: &Carried,
    now: &Carried,
    catalog: &Catalog,
    ids: &Ids,
    work: &mut Work,
) {
    for schema in &plan.schemas {
        let name = &schema.name;
        let green = ids.green_schemas.get(name);
        let green = green.and_then(|id| catalog.schemas.get(id));
        if let (Some(before), Some(after), Some(green)) =
            (seen.schemas.get(name), now.schemas.get(name), green)
        {
            let target = Target::Schema(Qualified::schema(&plan.database, &schema.green));
            let statements = held(&target, before, after, (&green.owner, &green.grants));
            if !statements.is_empty() {
                work.carried
                    .insert(format!("owner or grants of the schema {name}"));
            }
            work.statements.extend(statements);
        }
    }
}

/// The statements that do to green what was done to its counterpart; nothing else of green changes.
fn held(
    target: &Target<'_>,
    before: &Held,
    after: &Held,
    (owner, grants): (&String, &[Grant]),
) -> Vec<Statement> {
    let mut statements = Vec::new();
    if before.owner != after.owner && *owner != after.owner {
        statements.push(ddl::alter_owner(target, &after.owner));
    }
    if before.grants != after.grants {
        let present = grants.iter();
        let present = present.filter(|grant| grant.grantee.as_ref() != Some(&after.owner));
        let present: Vec<Grant> = present.cloned().collect();
        statements.extend(grant_changes(target, &after.grants, &present));
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::{Carried, Held, changed_objects, held};
    use crate::adapters::materialize::ddl::Target;
    use crate::adapters::materialize::guarded::Names;
    use crate::domain::catalog::ClusterDefinition;
    use crate::domain::catalog::grants::Grant;
    use crate::foundation::sql::identifier::Ident;
    use crate::planning::planner::render::sample;
    use std::collections::BTreeMap;

    fn usage(grantee: &str) -> Grant {
        Grant {
            grantee: Some(grantee.to_owned()),
            privilege: "USAGE".to_owned(),
        }
    }

    fn of(owner: &str, grantees: &[&str]) -> Held {
        Held {
            owner: owner.to_owned(),
            grants: grantees.iter().map(|grantee| usage(grantee)).collect(),
            comment: None,
        }
    }

    #[test]
    fn only_what_changed_in_production_is_done_to_green() {
        let target = Target::Cluster(Ident("c"));
        let sent = |before: &Held, after: &Held, grants: &[Grant]| -> Vec<String> {
            let owner = "a".to_owned();
            let statements = held(&target, before, after, (&owner, grants));
            statements.iter().map(|it| it.sql().to_owned()).collect()
        };
        let unchanged = of("a", &["r"]);
        // Green was given something by hand.
        assert!(sent(&unchanged, &unchanged, &[usage("x")]).is_empty());
        assert_eq!(
            sent(&unchanged, &of("b", &["r", "s"]), &[usage("r")]),
            [
                "ALTER CLUSTER \"c\" OWNER TO \"b\"",
                "GRANT USAGE ON CLUSTER \"c\" TO \"s\""
            ]
        );
        assert_eq!(
            sent(&unchanged, &of("a", &[]), &[usage("r")]),
            ["REVOKE USAGE ON CLUSTER \"c\" FROM \"r\""]
        );
    }

    #[test]
    fn a_look_compares_with_the_last_one() {
        let plan = sample::shop();
        let mut seen = Carried::planned(&plan);
        let mut now = seen.clone();
        assert!(changed_objects(&seen, &now).is_empty());
        let (id, object) = now.objects.iter_mut().next().expect("an object");
        let id = id.clone();
        object.owner.push('x');
        assert_eq!(changed_objects(&seen, &now), [id].into());
        let options = |size: &str| ClusterDefinition::Managed {
            options: format!("SIZE = '{size}'"),
        };
        seen.definitions = BTreeMap::from([("c".to_owned(), options("25cc"))]);
        seen.raw = BTreeMap::from([("schema u1".to_owned(), "u1 {}".to_owned())]);
        let mut names = Names {
            definitions: seen.definitions.clone(),
            raw: seen.raw.clone(),
            ..Names::default()
        };
        names
            .raw
            .insert("schema u9".to_owned(), "another".to_owned());
        assert_eq!(seen.is_as_seen(&plan, &names), Ok(()));
        names
            .raw
            .insert("schema u1".to_owned(), "u1 {=U/u1}".to_owned());
        assert!(seen.is_as_seen(&plan, &names).is_err());
        names.raw.clone_from(&seen.raw);
        names.definitions.insert("c".to_owned(), options("50cc"));
        let why = seen.is_as_seen(&plan, &names).expect_err("it was altered");
        assert!(why.contains("the cluster c"), "{why}");
    }
}
