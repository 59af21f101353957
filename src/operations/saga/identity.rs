//! Recorded ids and the question which side is live.
//!
//! Names move in a swap, ids stay. Everything here is pure: ids from the journal against names
//! from the server.

use crate::adapters::materialize::guarded::Names;
use crate::domain::catalog::ObjectKind;
use crate::domain::plan::refusal::RefusalName;
use crate::domain::plan::{Plan, PlannedNode};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Names that only one deployment knows, so that whatever carries one is its own.
#[derive(Debug, Clone)]
pub struct SecretNames(String);

impl SecretNames {
    /// The names of the deployment with this id.
    #[must_use]
    pub fn of(deployment_id: &str) -> Self {
        Self(format!("cutover_{}", deployment_id.replace('-', "")))
    }

    /// The control schema in its n-th generation. The n-th swap renames generation n-1 to n.
    #[must_use]
    pub fn control(&self, generation: u32) -> String {
        format!("{}_gen_{generation}", self.0)
    }

    /// Every name that the control schema may have.
    pub fn controls(&self) -> impl Iterator<Item = String> + '_ {
        (0..=MOST_GENERATIONS).map(|generation| self.control(generation))
    }

    /// A schema or cluster while it is being made or taken down: `what` is `green_schema`,
    /// `old_cluster` and so on.
    #[must_use]
    pub fn hidden(&self, what: &str, index: usize) -> String {
        format!("{}_{what}_{index}", self.0)
    }

    /// An object, by its id, that is dropped before its schema can be hidden.
    #[must_use]
    pub fn hidden_object(&self, id: &str) -> String {
        format!("{}_object_{id}", self.0)
    }
}

/// Ids of both sides, by production name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ids {
    /// The control schema.
    pub control: String,
    /// Schemas of the old side.
    pub blue_schemas: BTreeMap<String, String>,
    /// Schemas of the new side.
    pub green_schemas: BTreeMap<String, String>,
    /// Clusters of the old side.
    pub blue_clusters: BTreeMap<String, String>,
    /// Clusters of the new side, scratch clusters among them.
    pub green_clusters: BTreeMap<String, String>,
    /// Production schemas and clusters that this deployment created (`--bootstrap`), ids.
    pub created: BTreeSet<String>,
}

/// An object of green as it was when the build had finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GreenObject {
    /// Its id.
    pub id: String,
    /// The production name of its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ObjectKind,
    /// The id of the cluster that computes it, where one does.
    pub cluster_id: Option<String>,
    /// Of an index: the name of its relation, which is in the same schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// Whether dbt made it beside the plan: no planned node makes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beside: bool,
}

/// What dbt made beside the plan, `schema.name (kind)`, where an effect's result is a record of green.
#[must_use]
pub fn made_beside(key: &str, result: &serde_json::Value) -> Vec<String> {
    let is_record = [
        super::context::key::RECORD,
        super::context::key::RECORD_TESTED,
    ]
    .contains(&key);
    let objects: Option<Vec<GreenObject>> = is_record
        .then(|| serde_json::from_value(result.clone()).ok())
        .flatten();
    objects
        .unwrap_or_default()
        .iter()
        .filter(|object| object.beside)
        .map(|object| format!("{}.{} ({})", object.schema, object.name, object.kind))
        .collect()
}

/// Which side serves under the production names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Live {
    /// The old side: not swapped, or swapped back.
    Blue,
    /// The new side.
    Green,
    /// Neither as a whole: somebody else changed something. The text names it.
    Neither(String),
}

impl Ids {
    /// Which side is live by these names.
    #[must_use]
    pub fn live(&self, plan: &Plan, names: &Names) -> Live {
        let mut blue = Vec::new();
        let mut green = Vec::new();
        let schemas = plan.schemas.iter().map(|schema| {
            (
                "schema",
                &schema.name,
                &schema.green,
                &names.schemas,
                &self.blue_schemas,
                &self.green_schemas,
            )
        });
        let clusters = plan
            .clusters
            .iter()
            .filter(|cluster| !cluster.scratch)
            .map(|cluster| {
                (
                    "cluster",
                    &cluster.name,
                    &cluster.green,
                    &names.clusters,
                    &self.blue_clusters,
                    &self.green_clusters,
                )
            });
        for (what, name, aside, by_name, blue_ids, green_ids) in schemas.chain(clusters) {
            let here = by_name.get(name);
            let there = by_name.get(aside);
            let (blue_id, green_id) = (blue_ids.get(name), green_ids.get(name));
            if here.is_some() && here == blue_id && there == green_id {
                blue.push(format!("{what} {name}"));
            } else if here.is_some() && here == green_id && there == blue_id {
                green.push(format!("{what} {name}"));
            } else {
                return Live::Neither(foreign(
                    what,
                    [name, aside],
                    [here, there],
                    [blue_id, green_id],
                ));
            }
        }
        match (blue.is_empty(), green.is_empty()) {
            (false, true) => Live::Blue,
            (true, false) => Live::Green,
            (false, false) => Live::Neither(format!(
                "only a part was swapped: {} is new while {} is old",
                green.join(", "),
                blue.join(", ")
            )),
            // Only the fence says whether a release that swaps nothing has gone live.
            (true, true) => self.live_by_fence(names),
        }
    }

    /// Which side is live where nothing is swapped: each transaction moves the fence on by one.
    fn live_by_fence(&self, names: &Names) -> Live {
        let mut schemas = names.schemas.iter();
        let fence = schemas.find(|(_, id)| **id == self.control);
        let generation = fence.and_then(|(name, _)| {
            let (_, number) = name.rsplit_once("_gen_")?;
            number.parse::<u32>().ok()
        });
        match generation {
            Some(generation) if generation % 2 == 1 => Live::Green,
            Some(_) => Live::Blue,
            None => Live::Neither(
                "nothing is swapped, and the control schema is gone or renamed".to_owned(),
            ),
        }
    }

    /// Whether every production name is the new side's (or the old one's), whatever became of the
    /// other side.
    ///
    /// # Errors
    /// The first name that is not, one sentence.
    pub fn serves(&self, plan: &Plan, names: &Names, live: &Live) -> Result<(), String> {
        let (schemas, clusters) = match live {
            Live::Blue => (&self.blue_schemas, &self.blue_clusters),
            Live::Green => (&self.green_schemas, &self.green_clusters),
            Live::Neither(reason) => return Err(reason.clone()),
        };
        let schemas = plan
            .schemas
            .iter()
            .map(|schema| ("schema", &schema.name, &names.schemas, schemas));
        let clusters = plan
            .clusters
            .iter()
            .filter(|cluster| !cluster.scratch)
            .map(|cluster| ("cluster", &cluster.name, &names.clusters, clusters));
        for (what, name, found, recorded) in schemas.chain(clusters) {
            if found.get(name).is_none() || found.get(name) != recorded.get(name) {
                return Err(format!(
                    "{what} {name} is not the one that serves since the swap: somebody else swapped, renamed, dropped or created it"
                ));
            }
        }
        Ok(())
    }

    /// The generation of the control schema, or `None` when it is gone.
    #[must_use]
    pub fn generation(&self, secret: &SecretNames, names: &Names) -> Option<u32> {
        (0..=MOST_GENERATIONS).find(|generation| {
            names.schemas.get(&secret.control(*generation)) == Some(&self.control)
        })
    }
}

/// A deployment swaps forwards once and back at most once.
const MOST_GENERATIONS: u32 = 2;

fn foreign(
    what: &str,
    names: [&String; 2],
    found: [Option<&String>; 2],
    recorded: [Option<&String>; 2],
) -> String {
    let word = |id: Option<&String>| id.map_or("missing".to_owned(), |id| format!("id {id}"));
    format!(
        "{what} {} is {} and {} is {}, but this deployment recorded {} and {}: somebody else swapped, renamed, dropped or created one of them",
        names[0],
        word(found[0]),
        names[1],
        word(found[1]),
        word(recorded[0]),
        word(recorded[1]),
    )
}

/// Whether the world is still as planned and recorded: blue's objects are the plan's, green's are
/// the recorded ones, as are the indexes made beside them (`moved`), and nothing outside has begun to
/// depend on blue.
///
/// # Errors
/// What changed, one sentence.
pub fn unchanged(
    plan: &Plan,
    ids: &Ids,
    green: &[GreenObject],
    moved: &[GreenObject],
    names: &Names,
) -> Result<(), String> {
    let planned: BTreeMap<&str, String> = plan
        .schemas
        .iter()
        .flat_map(|schema| {
            schema.objects.iter().map(|object| {
                let name = format!("{}.{}", schema.name, object.name);
                (object.id.as_str(), name)
            })
        })
        .collect();
    let recorded: BTreeMap<&str, String> = green
        .iter()
        .map(|object| {
            let name = format!("{}.{}", object.schema, object.name);
            (object.id.as_str(), name)
        })
        .collect();
    difference("production", &planned, &ids.blue_schemas, names)?;
    difference("green", &recorded, &ids.green_schemas, names)?;
    lawful(plan, ids, green, names)?;
    let sinks = plan.sinks.iter().map(|sink| &sink.id);
    let sinks = sinks.chain(plan.outside.settled_sinks());
    let sinks: BTreeSet<&str> = sinks.map(String::as_str).collect();
    for (side, objects) in [("production", &planned), ("green", &recorded)] {
        let outside = names.dependencies.iter().find(|(dependent, on)| {
            objects.contains_key(on.as_str())
                && !objects.contains_key(dependent.as_str())
                && !sinks.contains(dependent.as_str())
        });
        if let Some((dependent, on)) = outside {
            return Err(format!(
                "outside-dependent: {} now reads {} of {side}",
                names.name_of(dependent),
                names.name_of(on)
            ));
        }
    }
    let gone = moved.iter().find(|index| {
        names.objects.get(&index.id).map(|(_, cluster)| cluster) != Some(&index.cluster_id)
    });
    if let Some(index) = gone {
        return Err(format!(
            "somebody dropped the index that was made for {}.{} on a green cluster",
            index.schema, index.name
        ));
    }
    let clusters: BTreeSet<&String> = plan
        .clusters
        .iter()
        .filter(|cluster| !cluster.scratch)
        .filter_map(|cluster| ids.blue_clusters.get(&cluster.name))
        .collect();
    let stranger = names.objects.iter().find(|(id, (_, cluster))| {
        cluster.as_ref().is_some_and(|id| clusters.contains(id))
            && !planned.contains_key(id.as_str())
            && !plan.indexes.iter().any(|index| index.id == **id)
    });
    match stranger {
        Some((id, _)) => Err(format!(
            "cluster-shared: {}, which the plan does not know, now runs on a cluster that would be swapped",
            names.name_of(id)
        )),
        None => Ok(()),
    }
}

/// The law of [`crate::planning::planner::invariant`], against what both sides hold: each planned node is in green, as it was
/// recorded there, and each relation of the project that stays is where it was.
fn lawful(plan: &Plan, ids: &Ids, green: &[GreenObject], names: &Names) -> Result<(), String> {
    let recorded: BTreeMap<(&str, &str, ObjectKind), &GreenObject> = green
        .iter()
        .map(|object| {
            (
                (object.schema.as_str(), object.name.as_str(), object.kind),
                object,
            )
        })
        .collect();
    let built = plan.nodes.iter().filter_map(|node| {
        let kind = node.kind?;
        let object = recorded.get(&(node.schema.as_str(), node.identifier.as_str(), kind));
        let why = match object {
            Some(object) => is_as_recorded(plan, ids, node, object, names).err()?,
            None => "was not recorded in green".to_owned(),
        };
        Some(format!("{}.{} {why}", node.schema, node.identifier))
    });
    let stays = plan
        .keeps
        .iter()
        .filter(|(id, name)| names.called.get(*id) != Some(*name))
        .map(|(id, name)| match names.called.get(id) {
            Some(now) => format!("{name} is called {now} since the plan"),
            None => format!("{name} was dropped, or made again, since the plan"),
        });
    let lost: Vec<String> = built.chain(stays).collect();
    if lost.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}: {}",
        RefusalName::RelationLost,
        lost.join(", ")
    ))
}

/// Whether the relation of a planned node stands in green under its name and on its cluster.
fn is_as_recorded(
    plan: &Plan,
    ids: &Ids,
    node: &PlannedNode,
    object: &GreenObject,
    names: &Names,
) -> Result<(), String> {
    let schema = plan
        .schemas
        .iter()
        .find(|schema| schema.name == node.schema);
    let wanted = schema.map(|schema| format!("{}.{}", schema.green, node.identifier));
    let called = names.called.get(&object.id);
    if called != wanted.as_ref() {
        return Err(format!(
            "is called {} in green",
            called.map_or("nothing", String::as_str)
        ));
    }
    let cluster = names
        .objects
        .get(&object.id)
        .and_then(|(_, id)| id.as_ref());
    let wanted = node
        .cluster
        .as_ref()
        .and_then(|name| ids.green_clusters.get(name));
    if object.kind == ObjectKind::MaterializedView && cluster != wanted {
        return Err(format!(
            "runs in green on the cluster {}, not on that for {}",
            cluster.map_or("of nobody", String::as_str),
            node.cluster.as_deref().unwrap_or("nothing")
        ));
    }
    Ok(())
}

/// Whether these schemas hold what is expected and nothing else.
fn difference(
    side: &str,
    expected: &BTreeMap<&str, String>,
    schemas: &BTreeMap<String, String>,
    names: &Names,
) -> Result<(), String> {
    let schemas: BTreeSet<&String> = schemas.values().collect();
    let found: BTreeSet<&str> = names
        .objects
        .iter()
        .filter(|(_, (schema, _))| schemas.contains(schema))
        .map(|(id, _)| id.as_str())
        .collect();
    let appeared: Vec<&str> = found
        .iter()
        .filter(|id| !expected.contains_key(*id))
        .map(|id| names.name_of(id))
        .collect();
    if !appeared.is_empty() {
        return Err(format!(
            "unmanaged-object: {} appeared in {side} since it was recorded",
            appeared.join(", ")
        ));
    }
    let vanished: Vec<&str> = expected
        .iter()
        .filter(|(id, _)| !found.contains(*id))
        .map(|(_, name)| name.as_str())
        .collect();
    if !vanished.is_empty() {
        return Err(format!(
            "somebody dropped {} of {side} since it was recorded",
            vanished.join(", ")
        ));
    }
    Ok(())
}

/// The planned node that makes a relation, where one does.
#[must_use]
pub fn planned_node<'a>(plan: &'a Plan, schema: &str, name: &str) -> Option<&'a PlannedNode> {
    plan.nodes
        .iter()
        .find(|node| node.schema == schema && node.identifier == name)
}

#[cfg(test)]
mod tests;
