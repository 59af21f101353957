//! Production and the project, by what planning asks them for. Built once for a plan, so that ten
//! thousand objects are not gone through for each of ten thousand nodes.

use super::candidate::{Candidate, CandidateNode, Materialization};
use crate::domain::catalog::{Catalog, Object, ObjectKind, Schema};
use std::collections::HashMap;

/// What is where, who reads whom, and which node makes what.
#[derive(Debug)]
pub(super) struct Lookup<'a> {
    catalog: &'a Catalog,
    /// By name, of the released database.
    schemas: HashMap<&'a str, &'a Schema>,
    /// By the schema's id, sorted by name.
    in_schema: HashMap<&'a str, Vec<&'a Object>>,
    on_cluster: HashMap<&'a str, Vec<&'a Object>>,
    /// By who is read.
    dependents: HashMap<&'a str, Vec<&'a Object>>,
    /// By who reads.
    parents: HashMap<&'a str, Vec<&'a Object>>,
    /// By database, schema and name.
    nodes: HashMap<(&'a str, &'a str, &'a str), (&'a String, &'a CandidateNode)>,
}

impl<'a> Lookup<'a> {
    pub(super) fn of(candidate: &'a Candidate, catalog: &'a Catalog) -> Self {
        let mut lookup = Self {
            catalog,
            schemas: HashMap::new(),
            in_schema: HashMap::new(),
            on_cluster: HashMap::new(),
            dependents: HashMap::new(),
            parents: HashMap::new(),
            nodes: HashMap::with_capacity(candidate.nodes.len()),
        };
        for schema in catalog.schemas.values() {
            if schema.database == catalog.database {
                lookup.schemas.entry(&schema.name).or_insert(schema);
            }
        }
        for object in catalog.objects.values() {
            let schema = lookup.in_schema.entry(&object.schema_id).or_default();
            schema.push(object);
            if let Some(cluster) = &object.cluster_id {
                lookup.on_cluster.entry(cluster).or_default().push(object);
            }
        }
        for objects in lookup.in_schema.values_mut() {
            objects.sort_by(|a, b| a.name.cmp(&b.name));
        }
        for objects in lookup.on_cluster.values_mut() {
            objects.sort_by_cached_key(|object| catalog.name_of(object));
        }
        for (dependent, on) in &catalog.dependencies {
            if let Some(object) = catalog.objects.get(dependent) {
                lookup.dependents.entry(on).or_default().push(object);
            }
            if let Some(object) = catalog.objects.get(on) {
                lookup.parents.entry(dependent).or_default().push(object);
            }
        }
        for objects in lookup.dependents.values_mut() {
            objects.sort_by_cached_key(|object| catalog.name_of(object));
        }
        for (id, node) in &candidate.nodes {
            if node.materialization() != Materialization::Ephemeral {
                let relation = (&*node.database, &*node.schema, &*node.identifier);
                lookup.nodes.entry(relation).or_insert((id, node));
            }
        }
        // A version pointer is its model's: made, dropped and rebuilt with it.
        for (id, name) in &candidate.pointers {
            if let Some((id, node)) = candidate.nodes.get_key_value(id) {
                let relation = (&*node.database, &*node.schema, &**name);
                lookup.nodes.entry(relation).or_insert((id, node));
            }
        }
        lookup
    }

    /// The schema of this name in the released database.
    pub(super) fn schema(&self, name: &str) -> Option<&'a Schema> {
        self.schemas.get(name).copied()
    }

    /// The objects of a schema, by its id, sorted by name.
    pub(super) fn objects_in_schema(&self, schema_id: &str) -> &[&'a Object] {
        self.in_schema.get(schema_id).map_or(&[], Vec::as_slice)
    }

    /// Everything of this name in the schema of this name.
    pub(super) fn named(&self, schema: &str, name: &str) -> &[&'a Object] {
        let objects = self
            .schema(schema)
            .map_or(&[] as &[_], |schema| self.objects_in_schema(&schema.id));
        let first = objects.partition_point(|object| *object.name < *name);
        let length = objects[first..].partition_point(|object| object.name == name);
        &objects[first..first + length]
    }

    /// The objects that a cluster computes, by its id, sorted by qualified name.
    pub(super) fn objects_on_cluster(&self, cluster_id: &str) -> &[&'a Object] {
        self.on_cluster.get(cluster_id).map_or(&[], Vec::as_slice)
    }

    /// The objects that read this one directly, by its id, sorted by qualified name.
    pub(super) fn dependents(&self, object_id: &str) -> &[&'a Object] {
        self.dependents.get(object_id).map_or(&[], Vec::as_slice)
    }

    /// The first of the objects that this one reads.
    pub(super) fn parent(&self, object_id: &str) -> Option<&'a Object> {
        self.parents.get(object_id)?.first().copied()
    }

    /// The project's node that makes this relation, or has it as its version pointer, where one does.
    pub(super) fn node_of(
        &self,
        schema: &Schema,
        object: &Object,
    ) -> Option<(&'a String, &'a CandidateNode)> {
        let relation = (&*schema.database, &*schema.name, &*object.name);
        self.nodes.get(&relation).copied()
    }

    /// The relation of a node in production, where there is one.
    pub(super) fn relation_of(&self, node: &CandidateNode) -> Option<&'a Object> {
        if node.database != self.catalog.database {
            return None;
        }
        let named = self.named(&node.schema, &node.identifier);
        named
            .iter()
            .find(|object| object.kind != ObjectKind::Index)
            .copied()
    }
}
