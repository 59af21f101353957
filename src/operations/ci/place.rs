//! Where what is built stands, as a plan from which a recipe is made.
//!
//! The plan is none of a release: its green schemas are the corner's, all its clusters are the corner's one, and nobody
//! swaps it. It is only what [`Builds::recipe_in_corner`] reads.
//!
//! [`Builds::recipe_in_corner`]: crate::operations::builds::Builds::recipe_in_corner

use super::choice::{self, Choice};
use super::name::CornerName;
use super::record::Record;
use crate::domain::catalog::{ClusterDefinition, ObjectKind};
use crate::domain::plan::outside::Outside;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::domain::plan::{
    BaselineUsed, Building, ClusterSwap, Mode, Plan, PlannedNode, SchemaSwap, Strategy,
};
use crate::foundation::sql::identifier::MAX_IDENTIFIER_BYTES;
use crate::inputs::settings::Ci;
use crate::planning::planner::candidate::{Candidate, ClusterUse};
use std::collections::{BTreeMap, BTreeSet};

/// Where a corner stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Production's schema → the schema in which its nodes are made.
    pub schemas: BTreeMap<String, String>,
    /// The one cluster.
    pub cluster: String,
}

impl Place {
    /// The corner of this name.
    ///
    /// # Errors
    /// [`RefusalName::NameTooLong`] names every schema or cluster whose name the server would not take. Nothing is cut.
    pub fn of(ci: &Ci, name: &CornerName, schemas: &BTreeSet<&str>) -> Result<Self, Refused> {
        let pairs = schemas.iter().map(|schema| {
            let corner = ci.schema_of(schema, name.as_str());
            ((*schema).to_owned(), corner)
        });
        let place = Self {
            schemas: pairs.collect(),
            cluster: ci.cluster_of(name.as_str()),
        };
        let names = place.schemas.values().chain([&place.cluster]);
        let long: Vec<String> = names
            .filter(|name| name.len() > MAX_IDENTIFIER_BYTES)
            .cloned()
            .collect();
        if long.is_empty() {
            return Ok(place);
        }
        Err(Refused(vec![Refusal {
            name: RefusalName::NameTooLong,
            message: format!("a corner's names would be longer than {MAX_IDENTIFIER_BYTES} bytes"),
            objects: long,
            remedy: "choose a shorter --name, or shorter templates ci.schema and ci.cluster.name"
                .to_owned(),
        }]))
    }

    /// The names of so many schemas in which an earlier version's build looked at the nodes.
    pub fn scratch_schemas(build: &str, many: usize) -> impl Iterator<Item = String> {
        (0..many).map(move |at| Record::secret(build, &format!("look_{at}")))
    }
}

/// What of a candidate is made where.
#[must_use]
pub fn plan(
    candidate: &Candidate,
    choice: &Choice,
    place: &Place,
    (environment, target, database): (&str, &str, &str),
    target_cluster: Option<&str>,
) -> Plan {
    let named = |cluster: &ClusterUse| match cluster {
        ClusterUse::Named(name) | ClusterUse::NeedsQuotes(name) => name.clone(),
    };
    let otherwise = target_cluster.unwrap_or_default().to_owned();
    // Whatever anything names is the corner's one.
    let mut clusters: BTreeSet<String> = [otherwise.clone(), String::new()].into();
    let mut nodes = Vec::new();
    for (id, reason) in &choice.nodes {
        let Some(node) = candidate.nodes.get(id) else {
            continue;
        };
        let own = node.cluster.as_ref().map(named);
        clusters.extend(own.clone());
        let indexes = node.indexes.iter();
        clusters.extend(indexes.filter_map(|index| index.cluster.as_ref().map(named)));
        nodes.push(PlannedNode {
            unique_id: id.clone(),
            schema: node.schema.clone(),
            identifier: node.identifier.clone(),
            materialized: node.materialized.clone(),
            kind: choice::kind(node),
            cluster: (node.is_computed() || choice::kind(node) == Some(ObjectKind::Source))
                .then(|| own.unwrap_or_else(|| otherwise.clone())),
            indexes: node.indexes.len(),
            persists_relation_comment: node.persists_relation_comment,
            persists_column_comments: node.persists_column_comments,
            stores_failures: false,
            refresh: node.refresh,
            diff: node.diff.clone(),
            depends_on: Vec::new(),
            reason: reason.clone(),
        });
    }
    for id in &choice.tests {
        let test = candidate.tests.get(id);
        clusters.extend(test.and_then(|test| test.cluster.as_ref().map(named)));
    }
    Plan {
        version: 1,
        mode: Mode::Slim,
        strategy: Strategy::Swap,
        environment: environment.to_owned(),
        target: target.to_owned(),
        project: candidate.project.clone(),
        database: database.to_owned(),
        server: None,
        manifest_hash: candidate.hash.clone(),
        building: Building::default(),
        green_manifest_hash: String::new(),
        inputs: None,
        outcomes: None,
        outside: Outside::default(),
        settings: None,
        baseline: BaselineUsed::default(),
        schemas: place
            .schemas
            .iter()
            .map(|(schema, corner)| SchemaSwap {
                name: schema.clone(),
                green: corner.clone(),
                id: None,
                owner: None,
                grants: Vec::new(),
                default_privileges: Vec::new(),
                comment: None,
                objects: Vec::new(),
            })
            .collect(),
        clusters: clusters
            .into_iter()
            .map(|cluster| ClusterSwap {
                name: cluster,
                green: place.cluster.clone(),
                id: None,
                owner: None,
                grants: Vec::new(),
                comment: None,
                definition: ClusterDefinition::Unmanaged {
                    replicas: Vec::new(),
                },
                hydration: None,
                scratch: false,
            })
            .collect(),
        nodes,
        beside: Vec::new(),
        hooked: Vec::new(),
        default_privileges: Vec::new(),
        build_selectors: Vec::new(),
        tests: choice.tests.iter().cloned().collect(),
        test_selectors: Vec::new(),
        test_cluster: Some(otherwise),
        test_cluster_given: None,
        indexes: Vec::new(),
        replacements: Vec::new(),
        sinks: Vec::new(),
        gains: Vec::new(),
        loses: Vec::new(),
        text_only: Vec::new(),
        columns: Vec::new(),
        description: None,
        texts: None,
        estimated_hydration_ms: None,
        held_back: BTreeMap::new(),
        held_back_schemas: BTreeMap::new(),
        keeps: BTreeMap::new(),
        changed_tests: BTreeMap::new(),
        owners: Vec::new(),
        accepted: Vec::new(),
        notes: Vec::new(),
    }
}
