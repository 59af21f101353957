//! The checks that refuse a plan. Each adds refusals; none stops the others, so that an operator
//! sees everything at once.

/// What the project's nodes and tests need.
mod nodes;
/// What production holds, and who depends on it.
mod objects;
/// Tests that store their failures outside.
mod stored_failures;

use super::candidate::{ClusterUse, Input};
use super::columns;
use super::full::Selectors;
use super::lookup::Lookup;
use crate::domain::catalog::tag::Side;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refusals};
use crate::domain::plan::{ColumnChange, GREEN_SUFFIX, Mode};
use crate::foundation::sql::identifier::MAX_IDENTIFIER_BYTES;
use crate::planning::planner::side_relations::Hooks;
use std::collections::BTreeSet;

pub(super) struct Checks<'a> {
    input: &'a Input<'a>,
    planned: &'a BTreeSet<String>,
    test_cluster: Option<&'a str>,
    lookup: &'a Lookup<'a>,
    moved: BTreeSet<&'a str>,
    /// What of the project could make again what hooks made.
    hooks: Hooks,
    /// Unique ids of tests that store their failures outside the deployment.
    stored_outside: BTreeSet<String>,
    refusals: Refusals,
}

impl<'a> Checks<'a> {
    pub(super) fn new(
        input: &'a Input<'a>,
        planned: &'a BTreeSet<String>,
        test_cluster: Option<&'a str>,
        lookup: &'a Lookup<'a>,
    ) -> Self {
        Self {
            input,
            planned,
            test_cluster,
            lookup,
            moved: input.moved.iter().map(|index| index.id.as_str()).collect(),
            hooks: Hooks::of(input.candidate, planned),
            stored_outside: BTreeSet::new(),
            refusals: Refusals::default(),
        }
    }

    pub(super) fn run(&mut self, tests: &[&str], columns: &[ColumnChange], selectors: &Selectors) {
        self.names();
        self.presence();
        self.green_is_free();
        self.ownership();
        self.objects_in_schemas();
        self.objects_on_clusters();
        self.dependents();
        self.nodes();
        self.tests(tests);
        self.replicas(tests);
        self.green_clusters();
        self.stored_failures();
        columns::lost_by_contract(columns, &mut self.refusals);
        self.selectable(selectors);
    }

    /// One refusal per name and message, its objects sorted.
    pub(super) fn into_refusals(self) -> Vec<Refusal> {
        self.refusals.into_vec()
    }

    fn refuse(&mut self, name: RefusalName, message: &str, object: String, remedy: &str) {
        self.refusals.add(name, message, object, remedy);
    }

    /// `add "- NAME" under vars.deployment.TARGET.LIST in FILE`.
    fn line_to_add(&self, list: &str, name: &str) -> String {
        self.input.line_to_add(list, name)
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
        if self.planned.is_empty() && input.mode == Mode::Full {
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

    /// Clusters that would compute something or run tests, and never will.
    fn replicas(&mut self, tests: &[&str]) {
        let input = self.input;
        let planned = self.planned.iter();
        let nodes = planned.filter_map(|id| input.candidate.nodes.get(id));
        let mut used: BTreeSet<String> = nodes
            .flat_map(|node| node.clusters(input.target_cluster))
            .flatten()
            .map(|cluster| match cluster {
                ClusterUse::Named(name) | ClusterUse::NeedsQuotes(name) => name,
            })
            .collect();
        used.extend(input.moved.iter().map(|index| index.cluster.clone()));
        let tested = self.test_cluster.filter(|_| !tests.is_empty());
        used.extend(tested.map(str::to_owned));
        for name in used {
            let definition = input.definitions.get(&name);
            if definition.is_some_and(|it| it.as_ref().is_ok_and(|it| !it.has_replicas())) {
                self.refuse(
                    RefusalName::ClusterWithoutReplicas,
                    "a production cluster has no replicas, so nothing on a green one like it would ever be ready",
                    name,
                    "give it a REPLICATION FACTOR of at least 1, or a replica, for the time of the release",
                );
            }
        }
    }

    fn green_is_free(&mut self) {
        let input = self.input;
        let owner = |tag: Option<crate::domain::catalog::tag::Tag>| {
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
            if tag.side == Side::Control && tag.is_of(&input.candidate.project, input.environment) {
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
            crate::foundation::sql::identifier::Ident(&catalog.role)
        );
        let mut foreign = Vec::new();
        for name in input.schemas {
            let Some(schema) = catalog.schema(name) else {
                continue;
            };
            if !catalog.owns(&schema.owner) {
                foreign.push(format!("schema {name} (owner {})", schema.owner));
            }
            for object in self.lookup.objects_in_schema(&schema.id) {
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
}

/// A name that SQL takes without quotes and as it is.
fn is_plain_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '$')
}
