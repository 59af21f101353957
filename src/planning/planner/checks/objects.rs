//! What production holds, and who depends on it.

use super::Checks;
use crate::domain::catalog::{Object, ObjectKind, Schema};
use crate::domain::plan::refusal::RefusalName;
use crate::planning::planner::candidate::{CandidateNode, Materialization};
use crate::planning::planner::indexes::{self, Wanted};
use crate::planning::planner::side_relations::{Hooks, is_beside};

impl<'a> Checks<'a> {
    pub(super) fn objects_in_schemas(&mut self) {
        let input = self.input;
        for name in input.schemas {
            if let Some(schema) = input.catalog.schema(name) {
                for object in self.lookup.objects_in_schema(&schema.id) {
                    self.object_in_schema(schema, object);
                }
            }
        }
    }

    fn object_in_schema(&mut self, schema: &Schema, object: &Object) {
        let shown = self.input.catalog.name_of(object);
        let node = self.lookup.node_of(schema, object).map(|(_, node)| node);
        let made_as = node.map(CandidateNode::materialization);
        match object.kind {
            ObjectKind::Sink => self.refuse(
                RefusalName::SinkInSwappedSchema,
                "a sink lives in a schema that would be swapped",
                shown,
                "move the sink to a schema of its own that vars.deployment does not list",
            ),
            ObjectKind::Source => self.source(shown, made_as),
            ObjectKind::Table if object.fed_by_source => self.source(shown, made_as),
            ObjectKind::Table => {
                if made_as != Some(Materialization::Relation(ObjectKind::Table))
                    && !self.is_accounted_for(schema, object)
                {
                    self.refuse(
                        RefusalName::TableInSwappedSchema,
                        "a table that no seed of the project makes lives in a schema that would be swapped; cleanup would drop its data",
                        shown,
                        "move the table to a schema that vars.deployment does not list",
                    );
                }
            }
            ObjectKind::View | ObjectKind::MaterializedView => {
                if !matches!(made_as, Some(Materialization::Relation(_)))
                    && !self.is_accounted_for(schema, object)
                {
                    self.unmanaged(shown);
                }
            }
            ObjectKind::Index => self.index(schema, object),
            ObjectKind::Connection
            | ObjectKind::Secret
            | ObjectKind::Type
            | ObjectKind::Function => self.refuse(
                RefusalName::UnswappableObject,
                "an object that no build recreates lives in a schema that would be swapped",
                shown,
                "move it to a schema that vars.deployment does not list",
            ),
        }
    }

    fn source(&mut self, shown: String, made_as: Option<Materialization>) {
        if made_as == Some(Materialization::Source) {
            self.refuse(
                RefusalName::SourceRebuilt,
                "a source of the project lies in a schema that would be swapped and would ingest everything again",
                shown,
                "move it to a schema that vars.deployment does not list, or accept it with --allow source-rebuilt",
            );
        } else if !self.input.allow.contains(&RefusalName::SourceRebuilt) {
            self.refuse(
                RefusalName::SourceInSwappedSchema,
                "a source that the project does not build lives in a schema that would be swapped; cleanup would drop its data",
                shown,
                "move the source to a schema that vars.deployment does not list",
            );
        }
    }

    fn unmanaged(&mut self, shown: String) {
        self.refuse(
            RefusalName::UnmanagedObject,
            "production would lose an object that the project does not know",
            shown,
            "add it to the project, drop it, or accept the loss with --allow unmanaged-object",
        );
    }

    /// Whether the last promotion made this object: then the project has dropped it since, or a hook made
    /// it and the plan runs hooks again.
    fn is_accounted_for(&self, schema: &Schema, object: &Object) -> bool {
        let place = (schema.name.clone(), object.name.clone());
        let promoted = self.input.baseline.and_then(|known| known.get(&place));
        promoted.is_some_and(|promoted| !promoted.beside || self.hooks != Hooks::Elsewhere)
    }

    /// The test that stores its failures in this relation.
    fn test_of(&self, schema: &Schema, object: &Object) -> Option<(&'a String, &'a CandidateNode)> {
        let made = self.lookup.node_of(schema, object);
        made.filter(|(_, node)| node.stores_failures)
    }

    /// dbt does not say how it names indexes, so they are told by key and cluster: those of the project
    /// and those that the last promotion had.
    fn index(&mut self, schema: &Schema, index: &Object) {
        let catalog = self.input.catalog;
        let Some(relation) = self.lookup.parent(&index.id) else {
            return self.unmanaged(catalog.name_of(index));
        };
        let live = indexes::of_relation(self.lookup, relation);
        let node = self.lookup.node_of(schema, relation);
        let configured = node.map(|(_, node)| indexes::wanted(node, self.input.target_cluster));
        let place = (schema.name.clone(), relation.name.clone());
        let promoted = self.input.baseline.and_then(|known| known.get(&place));
        let is_among = |wanted: &[Wanted]| {
            let alone = indexes::compare(catalog, wanted, &live).live;
            !alone.iter().any(|at| live[*at].id == index.id)
        };
        let from_hooks =
            is_beside(self.input, &schema.name, index) && self.is_accounted_for(schema, index);
        if !configured.is_some_and(|configured| is_among(&configured))
            && !promoted.is_some_and(|promoted| is_among(&promoted.indexes))
            && !from_hooks
        {
            self.unmanaged(catalog.name_of(index));
        }
    }

    pub(super) fn objects_on_clusters(&mut self) {
        let input = self.input;
        let catalog = input.catalog;
        for name in input.clusters {
            let Some(cluster) = catalog.cluster(name) else {
                continue;
            };
            for object in self.lookup.objects_on_cluster(&cluster.id) {
                let Some(schema) = catalog.schemas.get(&object.schema_id) else {
                    continue;
                };
                let swapped =
                    schema.database == catalog.database && input.schemas.contains(&schema.name);
                let shown = format!("{} on {name}", catalog.name_of(object));
                match object.kind {
                    ObjectKind::Sink => self.refuse(
                        RefusalName::SinkOnSwappedCluster,
                        "a sink runs on a cluster that would be swapped",
                        shown,
                        "move the sink to a cluster of its own that vars.deployment does not list",
                    ),
                    ObjectKind::Source if swapped => {}
                    ObjectKind::Source => self.refuse(
                        RefusalName::SourceOnSwappedCluster,
                        "a source runs on a cluster that would be swapped; cleanup would drop its data",
                        shown,
                        "move the source to a cluster that vars.deployment does not list",
                    ),
                    ObjectKind::Table
                    | ObjectKind::View
                    | ObjectKind::MaterializedView
                    | ObjectKind::Index
                    | ObjectKind::Connection
                    | ObjectKind::Secret
                    | ObjectKind::Type
                    | ObjectKind::Function => {
                        let moves = self.moved.contains(object.id.as_str());
                        if swapped || moves {
                            continue;
                        }
                        if let Some((id, _)) = self.test_of(schema, object) {
                            self.stores_outside(id);
                        } else if self.lookup.node_of(schema, object).is_some() {
                            let remedy = self.line_to_add("schemas", &schema.name);
                            self.refuse(
                                RefusalName::NodeOutsideDeployment,
                                "a model outside the deployment runs on a cluster that would be swapped",
                                shown,
                                &remedy,
                            );
                        } else {
                            self.refuse(
                                RefusalName::ClusterShared,
                                "a cluster that would be swapped also computes objects of other schemas",
                                shown,
                                "move those objects to another cluster",
                            );
                        }
                    }
                }
            }
        }
    }

    pub(super) fn dependents(&mut self) {
        let input = self.input;
        let catalog = input.catalog;
        for name in input.schemas {
            let Some(schema) = catalog.schema(name) else {
                continue;
            };
            for object in self.lookup.objects_in_schema(&schema.id) {
                for dependent in self.lookup.dependents(&object.id) {
                    self.dependent(schema, object, dependent);
                }
            }
        }
    }

    fn dependent(&mut self, schema: &Schema, object: &Object, dependent: &Object) {
        let input = self.input;
        let catalog = input.catalog;
        let Some(home) = catalog.schemas.get(&dependent.schema_id) else {
            return;
        };
        if home.database == catalog.database && input.schemas.contains(&home.name) {
            return;
        }
        // What a pull request built makes way before the swap.
        if home.is_of_corner() {
            return;
        }
        let shown = format!(
            "{} reads {}",
            catalog.name_of(dependent),
            catalog.name_of(object)
        );
        let has_successor = self
            .lookup
            .node_of(schema, object)
            .is_some_and(|(id, _)| self.planned.contains(id))
            || (is_beside(input, &schema.name, object) && self.hooks == Hooks::Run);
        let is_settled = || input.outside.settled_sinks().any(|id| *id == dependent.id);
        if dependent.kind == ObjectKind::Sink && (has_successor || is_settled()) {
            return;
        }
        if dependent.kind == ObjectKind::Sink {
            self.refuse(
                RefusalName::OutsideDependent,
                "a sink reads from an object that production would lose",
                shown,
                "point the sink to another relation or drop it",
            );
        } else if let Some((id, _)) = self.test_of(home, dependent) {
            self.stores_outside(id);
        } else if self.lookup.node_of(home, dependent).is_some() {
            let remedy = self.line_to_add("schemas", &home.name);
            self.refuse(
                RefusalName::NodeOutsideDeployment,
                "a model outside the deployment reads an object inside and would go on reading the old side",
                shown,
                &remedy,
            );
        } else {
            self.refuse(
                RefusalName::OutsideDependent,
                "an object outside the deployment reads an object inside; it would go on reading the old side",
                shown,
                "drop it, or bring it into the project and the deployment",
            );
        }
    }
}
