//! The checks that refuse a plan. Each adds refusals; none stops the others, so that an operator
//! sees everything at once.

use super::candidate::{CandidateNode, ClusterUse, Input, Materialization};
use super::full::{lies_in_deployment, planned_tests};
use super::{GREEN_SUFFIX, ObjectKind, Refusal, RefusalName};
use crate::materialize::catalog::{Object, Schema};
use crate::materialize::identifier::MAX_IDENTIFIER_BYTES;
use crate::materialize::tag::Side;
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Checks<'a> {
    input: &'a Input<'a>,
    planned: &'a BTreeSet<String>,
    test_cluster: Option<&'a str>,
    refusals: BTreeMap<(RefusalName, String), (BTreeSet<String>, String)>,
}

impl<'a> Checks<'a> {
    pub(super) fn new(
        input: &'a Input<'a>,
        planned: &'a BTreeSet<String>,
        test_cluster: Option<&'a str>,
    ) -> Self {
        Self {
            input,
            planned,
            test_cluster,
            refusals: BTreeMap::new(),
        }
    }

    pub(super) fn run(&mut self) {
        self.names();
        self.presence();
        self.green_is_free();
        self.ownership();
        self.objects_in_schemas();
        self.objects_on_clusters();
        self.dependents();
        self.nodes();
        self.tests();
        self.selectable();
    }

    /// One refusal per name and message, its objects sorted.
    pub(super) fn into_refusals(self) -> Vec<Refusal> {
        self.refusals
            .into_iter()
            .map(|((name, message), (objects, remedy))| Refusal {
                name,
                message,
                objects: objects.into_iter().collect(),
                remedy,
            })
            .collect()
    }

    fn refuse(&mut self, name: RefusalName, message: &str, object: String, remedy: &str) {
        self.refusals
            .entry((name, message.to_owned()))
            .or_insert_with(|| (BTreeSet::new(), remedy.to_owned()))
            .0
            .insert(object);
    }

    /// `add "- NAME" under vars.deployment.TARGET.LIST in FILE`.
    fn line_to_add(&self, list: &str, name: &str) -> String {
        format!(
            "add `- {name}` under vars.deployment.{}.{list} in {}",
            self.input.target, self.input.deployment_file
        )
    }

    fn names(&mut self) {
        let input = self.input;
        let things = [("schema", input.schemas), ("cluster", input.clusters)];
        for (what, names) in things {
            for name in names {
                if name.len() + GREEN_SUFFIX.len() > MAX_IDENTIFIER_BYTES {
                    self.refuse(
                        RefusalName::NameTooLong,
                        &format!(
                            "with the suffix {GREEN_SUFFIX} the {what} name is longer than {MAX_IDENTIFIER_BYTES} bytes"
                        ),
                        name.clone(),
                        &format!(
                            "give the {what} a name of at most {} bytes",
                            MAX_IDENTIFIER_BYTES - GREEN_SUFFIX.len()
                        ),
                    );
                }
            }
        }
        for name in input.schemas {
            self.supported_by_dbt("schema", name);
        }
        for id in self.planned {
            if let Some(node) = input.candidate.nodes.get(id) {
                self.supported_by_dbt("relation", &node.identifier);
            }
        }
        for name in input.clusters {
            if !is_plain_identifier(name) {
                self.refuse_cluster_name(name);
            }
        }
    }

    /// dbt-materialize puts schema and relation names between quotes without doubling them.
    fn supported_by_dbt(&mut self, what: &str, name: &str) {
        if name.contains(['"', '\'', '\\']) || name.chars().any(char::is_control) {
            self.refuse(
                RefusalName::NameUnsupported,
                &format!("dbt-materialize cannot put this {what} name into SQL"),
                name.to_owned(),
                "use a name without quotes, backslashes and control characters",
            );
        }
    }

    fn refuse_cluster_name(&mut self, name: &str) {
        self.refuse(
            RefusalName::ClusterNameNeedsQuotes,
            "dbt-materialize writes cluster names without quotes and this one needs them",
            name.to_owned(),
            "give the cluster a name of lower-case letters, digits and underscores",
        );
    }

    fn presence(&mut self) {
        let input = self.input;
        if self.planned.is_empty() {
            self.refuse(
                RefusalName::NothingToDeploy,
                "no model or seed of the project lies in a schema of the deployment",
                format!("vars.deployment.{}", input.target),
                "list the schemas in which dbt builds the project's models",
            );
        }
        let bootstrap = input.bootstrap.is_some();
        for name in input.schemas {
            if input.catalog.schema(name).is_none() && !bootstrap {
                self.refuse(
                    RefusalName::SchemaMissing,
                    &format!(
                        "a production schema does not exist in the database {}",
                        input.catalog.database
                    ),
                    name.clone(),
                    "create it, correct vars.deployment, or run again with --bootstrap",
                );
            }
        }
        for name in input.clusters {
            match (input.catalog.cluster(name), input.definitions.get(name)) {
                (None, _) if !bootstrap => self.refuse(
                    RefusalName::ClusterMissing,
                    "a production cluster does not exist",
                    name.clone(),
                    "create it, correct vars.deployment, or run again with --bootstrap",
                ),
                (Some(_), Some(Err(reason))) => self.refuse(
                    RefusalName::ClusterNotCloneable,
                    &format!("a cluster cannot be cloned: {reason}"),
                    name.clone(),
                    "make it a managed cluster, or give every replica a SIZE",
                ),
                (Some(_) | None, _) => {}
            }
        }
    }

    fn green_is_free(&mut self) {
        let input = self.input;
        let owner = |tag: Option<crate::materialize::tag::Tag>| {
            tag.map_or_else(
                || "carries no mark of a deployment".to_owned(),
                |tag| {
                    format!(
                        "belongs to the deployment {} of the environment {}",
                        tag.deployment, tag.environment
                    )
                },
            )
        };
        let remedy =
            "finish or abort the deployment that it belongs to, or drop it if nobody needs it";
        for name in input.schemas {
            let green = format!("{name}{GREEN_SUFFIX}");
            if let Some(schema) = input.catalog.schema(&green) {
                self.refuse(
                    RefusalName::GreenExists,
                    &format!(
                        "a schema with a green name exists and {}",
                        owner(schema.comment_parts().1)
                    ),
                    green,
                    remedy,
                );
            }
        }
        let mut clusters: BTreeSet<&str> = input.clusters.iter().map(String::as_str).collect();
        clusters.extend(self.test_cluster);
        for name in clusters {
            let green = format!("{name}{GREEN_SUFFIX}");
            if let Some(cluster) = input.catalog.cluster(&green) {
                self.refuse(
                    RefusalName::GreenExists,
                    &format!(
                        "a cluster with a green name exists and {}",
                        owner(cluster.comment_parts().1)
                    ),
                    green,
                    remedy,
                );
            }
        }
        for schema in input.catalog.schemas.values() {
            let (_, Some(tag)) = schema.comment_parts() else {
                continue;
            };
            if tag.side == Side::Control && tag.environment == input.environment {
                self.refuse(
                    RefusalName::DeploymentActive,
                    "another deployment of this environment is under way in the database",
                    format!("{} (control schema {})", tag.deployment, schema.name),
                    "wait for it, or finish it with `cutover resume` or `cutover abort` where its journal is",
                );
            }
        }
    }

    fn ownership(&mut self) {
        let input = self.input;
        let catalog = input.catalog;
        let message = format!(
            "the role {} does not own what would be swapped and dropped",
            catalog.role
        );
        let remedy = format!(
            "run as the owner, or GRANT the owner's role TO {}",
            crate::materialize::identifier::Ident(&catalog.role)
        );
        let mut foreign = Vec::new();
        for name in input.schemas {
            let Some(schema) = catalog.schema(name) else {
                continue;
            };
            if !catalog.owns(&schema.owner) {
                foreign.push(format!("schema {name} (owner {})", schema.owner));
            }
            for object in catalog.objects_in_schema(&schema.id) {
                if !catalog.owns(&object.owner) {
                    foreign.push(format!(
                        "{} (owner {})",
                        catalog.name_of(object),
                        object.owner
                    ));
                }
            }
        }
        for name in input.clusters {
            if let Some(cluster) = catalog.cluster(name)
                && !catalog.owns(&cluster.owner)
            {
                foreign.push(format!("cluster {name} (owner {})", cluster.owner));
            }
        }
        for object in foreign {
            self.refuse(RefusalName::NotOwner, &message, object, &remedy);
        }
        let lacking = [
            (
                !catalog.may_create_schemas && !input.schemas.is_empty(),
                format!("CREATE on the database {}", catalog.database),
            ),
            (
                !catalog.may_create_clusters && !input.clusters.is_empty(),
                "CREATECLUSTER on the system".to_owned(),
            ),
        ];
        for (_, privilege) in lacking.into_iter().filter(|(lacks, _)| *lacks) {
            self.refuse(
                RefusalName::PrivilegeMissing,
                &format!(
                    "the role {} lacks a privilege that staging needs",
                    catalog.role
                ),
                privilege.clone(),
                "ask an administrator to grant it",
            );
        }
    }

    fn objects_in_schemas(&mut self) {
        let input = self.input;
        for name in input.schemas {
            if let Some(schema) = input.catalog.schema(name) {
                for object in input.catalog.objects_in_schema(&schema.id) {
                    self.object_in_schema(schema, object);
                }
            }
        }
    }

    /// The project's node that makes this relation, where one does.
    fn node_of(&self, schema: &Schema, object: &Object) -> Option<(&'a String, &'a CandidateNode)> {
        self.input.candidate.nodes.iter().find(|(_, node)| {
            node.database == schema.database
                && node.schema == schema.name
                && node.identifier == object.name
                && node.materialization() != Materialization::Ephemeral
        })
    }

    fn object_in_schema(&mut self, schema: &Schema, object: &Object) {
        let shown = self.input.catalog.name_of(object);
        let node = self.node_of(schema, object).map(|(_, node)| node);
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
                    && !self.was_promoted(schema, object)
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
                    && !self.was_promoted(schema, object)
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

    /// Whether the last promotion made this relation: then the project has dropped it since.
    fn was_promoted(&self, schema: &Schema, object: &Object) -> bool {
        self.input.baseline.is_some_and(|baseline| {
            baseline.contains_key(&(schema.name.clone(), object.name.clone()))
        })
    }

    /// dbt does not say how it names indexes, so they are counted for each relation.
    fn index(&mut self, schema: &Schema, index: &Object) {
        let catalog = self.input.catalog;
        let Some(relation) = catalog
            .dependencies
            .iter()
            .filter(|(dependent, _)| *dependent == index.id)
            .find_map(|(_, on)| catalog.objects.get(on))
        else {
            return self.unmanaged(catalog.name_of(index));
        };
        let live = catalog
            .dependents(&relation.id)
            .into_iter()
            .filter(|object| object.kind == ObjectKind::Index)
            .count();
        let configured = self
            .node_of(schema, relation)
            .map_or(0, |(_, node)| node.indexes.len());
        let promoted = self
            .input
            .baseline
            .and_then(|baseline| baseline.get(&(schema.name.clone(), relation.name.clone())))
            .copied()
            .unwrap_or(0);
        if live > configured.max(promoted) {
            self.unmanaged(catalog.name_of(index));
        }
    }

    fn objects_on_clusters(&mut self) {
        let input = self.input;
        let catalog = input.catalog;
        for name in input.clusters {
            let Some(cluster) = catalog.cluster(name) else {
                continue;
            };
            for object in catalog.objects_on_cluster(&cluster.id) {
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
                        if swapped {
                            continue;
                        }
                        if self.node_of(schema, object).is_some() {
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

    fn dependents(&mut self) {
        let input = self.input;
        let catalog = input.catalog;
        for name in input.schemas {
            let Some(schema) = catalog.schema(name) else {
                continue;
            };
            for object in catalog.objects_in_schema(&schema.id) {
                for dependent in catalog.dependents(&object.id) {
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
        let shown = format!(
            "{} reads {}",
            catalog.name_of(dependent),
            catalog.name_of(object)
        );
        let has_successor = self
            .node_of(schema, object)
            .is_some_and(|(id, _)| self.planned.contains(id));
        if dependent.kind == ObjectKind::Sink && has_successor {
            return;
        }
        if dependent.kind == ObjectKind::Sink {
            self.refuse(
                RefusalName::OutsideDependent,
                "a sink reads from an object that production would lose",
                shown,
                "point the sink to another relation or drop it",
            );
        } else if self.node_of(home, dependent).is_some() {
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

    fn selectable(&mut self) {
        let tests = planned_tests(self.input, self.planned);
        let nodes = self.planned.iter().map(String::as_str).collect();
        for wanted in [nodes, tests.into_iter().collect()] {
            if let Err(error) = self.input.candidate.selectors(&wanted) {
                self.refuse(
                    RefusalName::NameUnsupported,
                    "dbt's selection grammar cannot select exactly the planned nodes",
                    error.to_string(),
                    "rename the file, folder or test",
                );
            }
        }
    }

    fn nodes(&mut self) {
        let input = self.input;
        for (id, node) in &input.candidate.nodes {
            if lies_in_deployment(input, node) {
                match node.materialization() {
                    Materialization::Unsupported => self.refuse(
                        RefusalName::MaterializationUnsupported,
                        &format!(
                            "a release cannot build and swap the materialization {:?}",
                            node.materialized
                        ),
                        id.clone(),
                        "use view, materialized_view, table or seed in schemas that vars.deployment lists",
                    ),
                    Materialization::Sink => self.refuse(
                        RefusalName::SinkInSwappedSchema,
                        "a sink of the project lies in a schema that would be swapped",
                        id.clone(),
                        "give the sink a schema of its own that vars.deployment does not list",
                    ),
                    Materialization::Relation(_)
                    | Materialization::Ephemeral
                    | Materialization::Source => {}
                }
            }
        }
        for id in self.planned {
            if let Some(node) = input.candidate.nodes.get(id) {
                self.planned_node(id, node);
            }
        }
        for id in input.candidate.downstream(self.planned) {
            let Some(node) = input.candidate.nodes.get(&id) else {
                continue;
            };
            if matches!(node.materialization(), Materialization::Relation(_)) {
                let remedy = self.line_to_add("schemas", &node.schema);
                self.refuse(
                    RefusalName::NodeOutsideDeployment,
                    "a model outside the deployment is downstream of it and would have to be rebuilt too",
                    format!("{id} (schema {})", node.schema),
                    &remedy,
                );
            }
        }
    }

    fn planned_node(&mut self, id: &str, node: &CandidateNode) {
        let input = self.input;
        for needed in node.clusters(input.target_cluster) {
            self.cluster_of_node(id, needed);
        }
        match input.candidate.deploy_relations.get(id) {
            Some((database, schema, identifier))
                if *database == node.database
                    && *schema == format!("{}{GREEN_SUFFIX}", node.schema)
                    && *identifier == node.identifier => {}
            elsewhere => {
                let place = elsewhere.map_or_else(
                    || "nowhere".to_owned(),
                    |(_, schema, identifier)| format!("{schema}.{identifier}"),
                );
                self.refuse(
                    RefusalName::DeploySuffixMissing,
                    "with `deploy: true` dbt would not build this node in the green schema",
                    format!("{id} → {place}"),
                    &format!(
                        "let the project's generate_schema_name macro append {GREEN_SUFFIX} when var('deploy') is true"
                    ),
                );
            }
        }
        for parent in &node.parents {
            self.parent_of_node(id, parent);
        }
    }

    fn cluster_of_node(&mut self, id: &str, needed: Option<ClusterUse>) {
        match needed {
            Some(ClusterUse::Named(name)) if self.input.clusters.contains(&name) => {}
            Some(ClusterUse::Named(name)) => {
                let remedy = self.line_to_add("clusters", &name);
                self.refuse(
                    RefusalName::NodeOutsideDeployment,
                    "a node of the deployment runs on a cluster that the deployment does not list",
                    format!("{id} (cluster {name})"),
                    &remedy,
                );
            }
            Some(ClusterUse::NeedsQuotes(name)) => self.refuse_cluster_name(&name),
            None => self.refuse(
                RefusalName::ClusterMissing,
                "a node of the deployment names no cluster and neither does the profile",
                id.to_owned(),
                "set `cluster` in the model's config or in profiles.yml",
            ),
        }
    }

    /// A parent outside is read from production, so it must be there, and nothing with the green
    /// suffix may shadow it: dbt prefers an existing relation of the target.
    fn parent_of_node(&mut self, id: &str, parent: &str) {
        let input = self.input;
        let Some(node) = input.candidate.nodes.get(parent) else {
            return;
        };
        if self.planned.contains(parent)
            || node.materialization() == Materialization::Ephemeral
            || node.database != input.catalog.database
            || lies_in_deployment(input, node)
        {
            return;
        }
        let has = |schema: &str| {
            input.catalog.schema(schema).is_some_and(|schema| {
                input
                    .catalog
                    .objects_in_schema(&schema.id)
                    .iter()
                    .any(|object| object.name == node.identifier)
            })
        };
        if !has(&node.schema) {
            let remedy = format!(
                "build it in production first, or {}",
                self.line_to_add("schemas", &node.schema)
            );
            self.refuse(
                RefusalName::NodeOutsideDeployment,
                "a node of the deployment reads a model outside that production does not have",
                format!("{id} reads {}.{}", node.schema, node.identifier),
                &remedy,
            );
        }
        let shadow = format!("{}{GREEN_SUFFIX}", node.schema);
        if has(&shadow) {
            self.refuse(
                RefusalName::GreenExists,
                "a relation with a green name would hide the production relation that a planned node reads",
                format!("{shadow}.{}", node.identifier),
                "drop it if nobody needs it",
            );
        }
    }

    fn tests(&mut self) {
        let input = self.input;
        let tests = planned_tests(input, self.planned);
        for id in &tests {
            let cluster = input
                .candidate
                .tests
                .get(*id)
                .and_then(|test| test.cluster.as_ref());
            match cluster {
                None => {}
                Some(ClusterUse::Named(name)) if input.clusters.contains(name) => {}
                Some(ClusterUse::Named(name) | ClusterUse::NeedsQuotes(name)) => {
                    let remedy = self.line_to_add("clusters", name);
                    self.refuse(
                        RefusalName::NodeOutsideDeployment,
                        "a test names a cluster that the deployment does not list",
                        format!("{id} (cluster {name})"),
                        &remedy,
                    );
                }
            }
        }
        let listed = self
            .test_cluster
            .is_some_and(|name| input.clusters.contains(name));
        if tests.is_empty() || listed {
            return;
        }
        // A scratch clone of the profile's cluster will run them.
        match self
            .test_cluster
            .map(|name| (name, input.definitions.get(name)))
        {
            Some((_, Some(Ok(_)))) => {}
            Some((name, Some(Err(reason)))) => self.refuse(
                RefusalName::ClusterNotCloneable,
                &format!("the cluster for the tests cannot be cloned: {reason}"),
                name.to_owned(),
                "name another cluster in profiles.yml or list one in vars.deployment",
            ),
            Some((name, None)) => self.refuse(
                RefusalName::ClusterMissing,
                "the profile's cluster, which would run the tests, does not exist",
                name.to_owned(),
                "name another cluster in profiles.yml or list one in vars.deployment",
            ),
            None => self.refuse(
                RefusalName::ClusterMissing,
                "the tests find no cluster: the deployment lists none and the profile names none",
                format!("{} tests", tests.len()),
                "set `cluster` in profiles.yml or list a cluster in vars.deployment",
            ),
        }
    }
}

/// A name that SQL takes without quotes and as it is.
fn is_plain_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '$')
}
