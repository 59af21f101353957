//! What the project's nodes and tests need.

use super::Checks;
use crate::domain::plan::GREEN_SUFFIX;
use crate::domain::plan::refusal::RefusalName;
use crate::planning::planner::candidate::{CandidateNode, ClusterUse, Materialization};
use crate::planning::planner::full::{Selectors, lies_in_deployment};
use std::collections::BTreeSet;

impl<'a> Checks<'a> {
    pub(super) fn selectable(&mut self, selectors: &Selectors) {
        for found in [&selectors.build, &selectors.test] {
            if let Err(error) = found {
                self.refuse(
                    RefusalName::NameUnsupported,
                    "dbt's selection grammar cannot select exactly the planned nodes",
                    error.to_string(),
                    "rename the file, folder or test",
                );
            }
        }
    }

    pub(super) fn nodes(&mut self) {
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
            if node.stores_failures {
                self.stores_outside(&id);
            } else if matches!(node.materialization(), Materialization::Relation(_)) {
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
        if node.stores_failures && !self.stores_inside(node) {
            self.stores_outside(id);
        } else {
            for needed in node.clusters(input.target_cluster) {
                self.cluster_of_node(id, needed);
            }
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
            Some(ClusterUse::NeedsQuotes(name)) if name.is_empty() => self.refuse(
                RefusalName::ClusterMissing,
                "the project's generate_cluster_name macro gives no name to the cluster of a node",
                id.to_owned(),
                "let the macro return the name of a cluster for every name that the project gives",
            ),
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
        let has = |schema: &str| !self.lookup.named(schema, &node.identifier).is_empty();
        let shadow = format!("{}{GREEN_SUFFIX}", node.schema);
        let (is_there, is_hidden) = (has(&node.schema), has(&shadow));
        if !is_there && !input.outside.makes_relation(&node.schema, &node.identifier) {
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
        if is_hidden {
            self.refuse(
                RefusalName::GreenExists,
                "a relation with a green name would hide the production relation that a planned node reads",
                format!("{shadow}.{}", node.identifier),
                "drop it if nobody needs it",
            );
        }
    }

    /// What the project's own macros make of the names of deployed clusters under `deploy: true`.
    pub(super) fn green_clusters(&mut self) {
        let input = self.input;
        let mut deployed: BTreeSet<&str> = input.clusters.iter().map(String::as_str).collect();
        deployed.extend(self.test_cluster);
        for (given, name) in input.candidate.cluster_names.without_suffix(&deployed) {
            self.refuse(
                RefusalName::DeploySuffixMissing,
                "with `deploy: true` dbt would not use the green cluster that this name means",
                format!("{given} → {:?}, not {:?}", name.green, format!("{}{GREEN_SUFFIX}", name.production)),
                &format!(
                    "let the project's generate_cluster_name macro return the production cluster's name with and without `deploy: true`, without spaces or lines around it ({{%- … -%}}), and let generate_deploy_cluster_name append {GREEN_SUFFIX} to what it gets"
                ),
            );
        }
    }

    pub(super) fn tests(&mut self, tests: &[&str]) {
        let input = self.input;
        for id in tests {
            // Its cluster counts as that of its relation.
            if let Some(node) = input.candidate.nodes.get(*id) {
                if !self.stores_inside(node) {
                    self.stores_outside(id);
                }
                continue;
            }
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
