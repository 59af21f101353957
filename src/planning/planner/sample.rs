//! A small shop in production, for tests of plans.

use super::candidate::{
    Candidate, CandidateIndex, CandidateNode, CandidateTest, ClusterUse, Input, Promoted,
    Selectable,
};
use super::full;
use crate::domain::catalog::{Catalog, Cluster, ClusterDefinition, Object, ObjectKind, Schema};
use crate::domain::plan::outside::Outside;
use crate::domain::plan::refusal::{RefusalName, Refused};
use crate::domain::plan::{Mode, Plan};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const OWNER: &str = "deployer";

pub(crate) struct World {
    pub(crate) catalog: Catalog,
    pub(crate) candidate: Candidate,
    pub(crate) schemas: BTreeSet<String>,
    pub(crate) clusters: BTreeSet<String>,
    pub(crate) target_cluster: Option<&'static str>,
    pub(crate) definitions: BTreeMap<String, Result<ClusterDefinition, String>>,
    pub(crate) baseline: Option<BTreeMap<(String, String), Promoted>>,
    pub(crate) bootstrap: Option<&'static str>,
    pub(crate) allow: BTreeSet<RefusalName>,
}

impl World {
    /// Seed and view in `raw`, a materialized view with one index in `marts` on `compute`; the
    /// schema `outside` and the cluster `other` are not deployed.
    pub(crate) fn new() -> Self {
        let mut world = Self {
            catalog: Catalog {
                version: "v26.24.0".to_owned(),
                role: OWNER.to_owned(),
                database: "materialize".to_owned(),
                may_create_schemas: true,
                may_create_clusters: true,
                owned_roles: BTreeSet::from([OWNER.to_owned()]),
                ..Catalog::default()
            },
            candidate: Candidate {
                project: "shop".to_owned(),
                hash: "hash".to_owned(),
                ..Candidate::default()
            },
            schemas: ["raw", "marts"].map(str::to_owned).into(),
            clusters: ["compute"].map(str::to_owned).into(),
            target_cluster: Some("compute"),
            definitions: BTreeMap::new(),
            baseline: None,
            bootstrap: None,
            allow: BTreeSet::new(),
        };
        for (id, name) in [("s1", "raw"), ("s2", "marts"), ("s3", "outside")] {
            world.schema(id, name);
        }
        for (id, name) in [("c1", "compute"), ("c2", "other")] {
            world.cluster(id, name);
        }
        world.object("u1", "orders", ObjectKind::Table, "s1", None);
        world.object("u2", "stg", ObjectKind::View, "s1", None);
        world.object(
            "u3",
            "totals",
            ObjectKind::MaterializedView,
            "s2",
            Some("c1"),
        );
        world.object("u4", "totals_idx", ObjectKind::Index, "s2", Some("c1"));
        for (dependent, on) in [("u2", "u1"), ("u3", "u2"), ("u4", "u3")] {
            world.depends(dependent, on);
        }
        world.node("seed.shop.orders", "raw", "orders", "seed", &[]);
        world.node(
            "model.shop.stg",
            "raw",
            "stg",
            "view",
            &["seed.shop.orders"],
        );
        world.node(
            "model.shop.totals",
            "marts",
            "totals",
            "materialized_view",
            &["model.shop.stg"],
        );
        world.change("model.shop.totals", |node| {
            node.cluster = Some(ClusterUse::Named("compute".to_owned()));
            node.indexes = vec![CandidateIndex::default()];
        });
        world.test("test.shop.totals_not_null", &["model.shop.totals"]);
        world
    }

    pub(crate) fn schema(&mut self, id: &str, name: &str) -> &mut Schema {
        self.catalog.schemas.entry(id.to_owned()).or_insert(Schema {
            id: id.to_owned(),
            name: name.to_owned(),
            database: "materialize".to_owned(),
            owner: OWNER.to_owned(),
            grants: Vec::new(),
            default_privileges: Vec::new(),
            comment: None,
        })
    }

    pub(crate) fn cluster(&mut self, id: &str, name: &str) -> &mut Cluster {
        self.definitions.insert(
            name.to_owned(),
            Ok(ClusterDefinition::Managed {
                options: "SIZE = '25cc'".to_owned(),
            }),
        );
        self.catalog
            .clusters
            .entry(id.to_owned())
            .or_insert(Cluster {
                id: id.to_owned(),
                name: name.to_owned(),
                owner: OWNER.to_owned(),
                managed: true,
                replicas: Vec::new(),
                grants: Vec::new(),
                comment: None,
            })
    }

    pub(crate) fn object(
        &mut self,
        id: &str,
        name: &str,
        kind: ObjectKind,
        schema: &str,
        cluster: Option<&str>,
    ) -> &mut Object {
        self.catalog.objects.entry(id.to_owned()).or_insert(Object {
            id: id.to_owned(),
            name: name.to_owned(),
            kind,
            schema_id: schema.to_owned(),
            owner: OWNER.to_owned(),
            cluster_id: cluster.map(str::to_owned),
            fed_by_source: false,
            is_part: false,
            grants: Vec::new(),
            comment: None,
            columns: BTreeMap::new(),
            column_order: Vec::new(),
            not_null: BTreeSet::new(),
            column_comments: Vec::new(),
        })
    }

    pub(crate) fn depends(&mut self, dependent: &str, on: &str) {
        self.catalog
            .dependencies
            .insert((dependent.to_owned(), on.to_owned()));
    }

    pub(crate) fn node(
        &mut self,
        id: &str,
        schema: &str,
        name: &str,
        materialized: &str,
        parents: &[&str],
    ) {
        self.candidate.nodes.insert(
            id.to_owned(),
            CandidateNode {
                database: "materialize".to_owned(),
                schema: schema.to_owned(),
                identifier: name.to_owned(),
                materialized: materialized.to_owned(),
                stores_failures: false,
                has_hooks: false,
                cluster: None,
                indexes: Vec::new(),
                parents: parents.iter().map(|id| (*id).to_owned()).collect(),
                persists_relation_comment: false,
                persists_column_comments: false,
                contract: None,
                refresh: None,
                diff: crate::domain::diff::Traits::default(),
            },
        );
        self.candidate.deploy_relations.insert(
            id.to_owned(),
            (
                "materialize".to_owned(),
                format!("{schema}_dbt_deploy"),
                name.to_owned(),
            ),
        );
        self.selectable(id, name);
    }

    pub(crate) fn selectable(&mut self, id: &str, name: &str) {
        self.candidate.selectable.push(Selectable {
            unique_id: id.to_owned(),
            fqn: vec!["shop".to_owned(), name.to_owned()],
            resource_type: "model",
            package: "shop".to_owned(),
            file: format!("models/{name}.sql"),
            versioned: false,
        });
    }

    pub(crate) fn change(&mut self, id: &str, change: impl FnOnce(&mut CandidateNode)) {
        change(
            self.candidate
                .nodes
                .get_mut(id)
                .expect("a node of the world"),
        );
    }

    pub(crate) fn test(&mut self, id: &str, parents: &[&str]) {
        self.candidate.tests.insert(
            id.to_owned(),
            CandidateTest {
                cluster: None,
                parents: parents.iter().map(|id| (*id).to_owned()).collect(),
            },
        );
        self.selectable(id, id);
    }

    /// What a plan is made from.
    pub(crate) fn input(&self) -> Input<'_> {
        Input {
            mode: Mode::Full,
            environment: "prod",
            target: "prod",
            deployment_file: "dbt_project.yml",
            schemas: &self.schemas,
            clusters: &self.clusters,
            target_cluster: self.target_cluster,
            candidate: &self.candidate,
            catalog: &self.catalog,
            definitions: &self.definitions,
            baseline: self.baseline.as_ref(),
            bootstrap: self.bootstrap,
            moved: &[],
            outside: Outside::none(),
            allow: &self.allow,
        }
    }

    /// The plan of a release of everything.
    pub(crate) fn plan(&self) -> Result<Plan, Refused> {
        full::plan(&self.input())
    }
}
