//! Whether a manifest describes what is live, so that it can be taken for the baseline of a project
//! that was deployed without Cutover. Pure.

use super::refusal::Name;
use crate::domain::catalog::{Catalog, Object, ObjectKind};
use crate::domain::plan::GREEN_SUFFIX;
use crate::foundation::failure::{Class, Classify};
use crate::inputs::manifest::run_results::RunResults;
use crate::inputs::manifest::{Manifest, Node, Relation, ResourceType};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The most objects that one reason lists.
const LISTED: usize = 20;

/// What is to be taken over.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The dbt project's name.
    pub project: &'a str,
    /// `vars.deployment.<target>.schemas`.
    pub schemas: &'a BTreeSet<String>,
    /// The manifest that is said to be live.
    pub manifest: &'a Manifest,
    /// The results of the run that built it.
    pub run_results: Option<&'a RunResults>,
    /// What is live.
    pub catalog: &'a Catalog,
}

/// One reason why a manifest is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The stable name.
    pub name: Name,
    /// What is wrong, one sentence.
    pub message: String,
    /// What it is about, sorted.
    pub objects: Vec<String>,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)?;
        if !self.objects.is_empty() {
            let listed = &self.objects[..self.objects.len().min(LISTED)];
            write!(f, " [{}", listed.join(", "))?;
            match self.objects.len() - listed.len() {
                0 => write!(f, "]")?,
                more => write!(f, " and {more} more]")?,
            }
        }
        write!(f, "\n    remedy: {}", self.name.remedy())
    }
}

/// Every reason at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct NotTaken(pub Vec<Reason>);

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the manifest is not taken over; nothing was changed")?;
        for reason in &self.0 {
            write!(f, "\n  {reason}")?;
        }
        Ok(())
    }
}

impl Classify for NotTaken {
    fn class(&self) -> Class {
        Class::Refused
    }
}

/// Compares the manifest with what is live.
///
/// # Errors
/// Every reason why it is not a description of production. When it is of another project or parsed
/// for other schemas, what is missing is not listed besides: everything would be.
pub fn check(input: &Input<'_>) -> Result<(), NotTaken> {
    let mut reasons = Vec::new();
    let relations = relations(input.manifest);
    foreign(input, &mut reasons);
    elsewhere(input, &relations, &mut reasons);
    if reasons.is_empty() {
        live(input, &relations, &mut reasons);
    }
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(NotTaken(reasons))
    }
}

/// What models, seeds and snapshots make, and what tests store.
fn relations(manifest: &Manifest) -> Vec<(&Node, Relation)> {
    manifest
        .nodes
        .values()
        .filter(|node| node.makes_relation(false))
        .filter_map(|node| Some((node, node.relation()?)))
        .collect()
}

fn foreign(input: &Input<'_>, reasons: &mut Vec<Reason>) {
    let found = input.manifest.metadata.project_name.as_deref();
    if found != Some(input.project) {
        reasons.push(Reason {
            name: Name::ManifestForeign,
            message: format!(
                "the manifest is of the project {:?}, this project is {:?}",
                found.unwrap_or_default(),
                input.project
            ),
            objects: Vec::new(),
        });
    }
    if let Some(results) = input.run_results {
        let mut unknown: Vec<String> = results
            .results
            .iter()
            .map(|result| &result.unique_id)
            .filter(|id| input.manifest.get(id).is_none())
            .cloned()
            .collect();
        unknown.sort();
        if !unknown.is_empty() {
            reasons.push(Reason {
                name: Name::RunResultsForeign,
                message: "the run results name nodes that the manifest does not have".to_owned(),
                objects: unknown,
            });
        }
    }
}

/// Another target's manifest, a pull request's, or one parsed with `deploy: true`.
fn elsewhere(input: &Input<'_>, relations: &[(&Node, Relation)], reasons: &mut Vec<Reason>) {
    let used: BTreeSet<&str> = relations.iter().map(|(_, r)| r.schema.as_str()).collect();
    let green: Vec<String> = used
        .iter()
        .filter(|name| {
            !input.schemas.contains(**name)
                && name
                    .strip_suffix(GREEN_SUFFIX)
                    .is_some_and(|name| input.schemas.contains(name))
        })
        .map(|name| (*name).to_owned())
        .collect();
    if !green.is_empty() {
        reasons.push(Reason {
            name: Name::ManifestGreen,
            message:
                "the manifest was parsed with `deploy: true`: its relations lie in green schemas"
                    .to_owned(),
            objects: green,
        });
        return;
    }
    // A schema that holds relations in production, and none in the manifest.
    let uncovered: Vec<String> = input
        .schemas
        .iter()
        .filter(|name| !used.contains(name.as_str()) && holds_relations(input.catalog, name))
        .cloned()
        .collect();
    let covers_none = !input
        .schemas
        .iter()
        .any(|name| used.contains(name.as_str()));
    if covers_none || !uncovered.is_empty() {
        let used: Vec<&str> = used.into_iter().take(LISTED).collect();
        reasons.push(Reason {
            name: Name::ManifestElsewhere,
            message: format!(
                "the manifest has no relation in these schemas of vars.deployment, but in {}",
                if used.is_empty() {
                    "none".to_owned()
                } else {
                    used.join(", ")
                }
            ),
            objects: if covers_none {
                input.schemas.iter().cloned().collect()
            } else {
                uncovered
            },
        });
        return;
    }
    let databases: BTreeSet<String> = relations
        .iter()
        .filter(|(_, relation)| input.schemas.contains(&relation.schema))
        .filter_map(|(_, relation)| relation.database.clone())
        .filter(|database| *database != input.catalog.database)
        .collect();
    if !databases.is_empty() {
        reasons.push(Reason {
            name: Name::ManifestDatabase,
            message: format!(
                "the manifest is for another database than {}",
                input.catalog.database
            ),
            objects: databases.into_iter().collect(),
        });
    }
}

/// Whether a schema holds what dbt makes.
fn holds_relations(catalog: &Catalog, name: &str) -> bool {
    catalog.schema(name).is_some_and(|schema| {
        catalog.objects_in_schema(&schema.id).iter().any(|object| {
            matches!(
                object.kind,
                ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView
            )
        })
    })
}

/// Every relation of the manifest in the deployment's schemas must be there, as what it should be.
fn live(input: &Input<'_>, relations: &[(&Node, Relation)], reasons: &mut Vec<Reason>) {
    let mut live: BTreeMap<(&str, &str), Vec<&Object>> = BTreeMap::new();
    for name in input.schemas {
        let Some(schema) = input.catalog.schema(name) else {
            continue;
        };
        for object in input.catalog.objects_in_schema(&schema.id) {
            live.entry((name, &object.name)).or_default().push(object);
        }
    }
    let (mut missing, mut other) = (Vec::new(), Vec::new());
    for (node, relation) in relations {
        if !input.schemas.contains(&relation.schema) {
            continue;
        }
        let name = format!("{}.{}", relation.schema, relation.identifier);
        let place = (relation.schema.as_str(), relation.identifier.as_str());
        let wanted = kinds(node);
        match live.get(&place) {
            // No build makes what tests store; the next release that touches the schema does.
            None if node.resource_type == ResourceType::Test => {}
            None => missing.push(name),
            Some(found) if wanted.is_empty() || found.iter().any(|o| wanted.contains(&o.kind)) => {}
            Some(found) => {
                let found: Vec<String> = found.iter().map(|o| o.kind.to_string()).collect();
                let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
                other.push(format!(
                    "{name} is a {}, not a {}",
                    found.join(" and "),
                    wanted.join(" or ")
                ));
            }
        }
    }
    for (name, message, mut objects) in [
        (
            Name::RelationMissing,
            "relations of the manifest are not there",
            missing,
        ),
        (
            Name::RelationKind,
            "relations of the manifest are something else there",
            other,
        ),
    ] {
        if !objects.is_empty() {
            objects.sort();
            reasons.push(Reason {
                name,
                message: message.to_owned(),
                objects,
            });
        }
    }
}

/// What a node may be on the server; empty when anything will do.
fn kinds(node: &Node) -> &'static [ObjectKind] {
    if matches!(
        node.resource_type,
        ResourceType::Seed | ResourceType::Snapshot
    ) {
        return &[ObjectKind::Table];
    }
    let materialized = match node.resource_type == ResourceType::Test {
        true => node.stores_failures_as(),
        false => node.config.materialized.as_deref().unwrap_or("view"),
    };
    match materialized {
        "view" => &[ObjectKind::View],
        "materialized_view" | "materializedview" | "table" => &[ObjectKind::MaterializedView],
        "source" => &[ObjectKind::Source],
        "source_table" => &[ObjectKind::Table],
        "sink" => &[ObjectKind::Sink],
        _ => &[],
    }
}

#[cfg(test)]
mod tests;
