//! Tests that store their failures where no release makes them again.

use super::Checks;
use crate::domain::plan::GREEN_SUFFIX;
use crate::domain::plan::refusal::RefusalName;
use crate::planning::planner::candidate::{CandidateNode, ClusterUse};
use crate::planning::planner::full::lies_in_deployment;
use std::collections::BTreeSet;

impl Checks<'_> {
    /// Notes a test that the release would run, or whose relation reads what is swapped, and whose
    /// relation lies outside: dbt would leave it on the green side, and the one of production would go on
    /// reading the old side.
    pub(super) fn stores_outside(&mut self, id: &str) {
        self.stored_outside.insert(id.to_owned());
    }

    /// Whether all that a test stores lies within the deployment.
    pub(super) fn stores_inside(&self, node: &CandidateNode) -> bool {
        lies_in_deployment(self.input, node)
            && node
                .clusters(self.input.target_cluster)
                .iter()
                .flatten()
                .all(|cluster| match cluster {
                    ClusterUse::Named(name) => self.input.clusters.contains(name),
                    // Refused by a name of its own.
                    ClusterUse::NeedsQuotes(_) => true,
                })
    }

    /// One refusal for all of them, with every line that is missing.
    pub(super) fn stored_failures(&mut self) {
        let input = self.input;
        let mut objects = Vec::new();
        let (mut schemas, mut clusters) = (BTreeSet::new(), BTreeSet::new());
        for id in std::mem::take(&mut self.stored_outside) {
            let Some(node) = input.candidate.nodes.get(&id) else {
                continue;
            };
            if node.database == input.catalog.database && !input.schemas.contains(&node.schema) {
                schemas.insert(node.schema.clone());
            }
            let mut place = format!("schema {}", node.schema);
            for cluster in node.clusters(input.target_cluster).into_iter().flatten() {
                if let ClusterUse::Named(name) = cluster {
                    place = format!("{place}, cluster {name}");
                    if !input.clusters.contains(&name) {
                        clusters.insert(name);
                    }
                }
            }
            objects.push(format!("{id} ({place})"));
        }
        let is_missing = schemas.iter().any(|name| {
            input.catalog.schema(name).is_none() && name.strip_suffix(GREEN_SUFFIX).is_none()
        });
        let lines: Vec<String> = schemas
            .iter()
            .map(|name| self.line_to_add("schemas", name))
            .chain(
                clusters
                    .iter()
                    .map(|name| self.line_to_add("clusters", name)),
            )
            .collect();
        let cluster = match clusters.is_empty() {
            true => "",
            false => ", leave out their `cluster`",
        };
        let without = format!(
            "set `store_failures: false` for these tests (or unset DBT_STORE_FAILURES){cluster} and drop what they stored"
        );
        let remedy = match (lines.is_empty(), is_missing) {
            (true, _) => without,
            (false, true) => format!(
                "{} and release once with --bootstrap; or {without}",
                lines.join(" and ")
            ),
            (false, false) => format!("{}; or {without}", lines.join(" and ")),
        };
        for object in objects {
            self.refuse(
                RefusalName::StoredFailuresOutside,
                "a test of what is released stores its failures outside the deployment, where no release makes them again",
                object,
                &remedy,
            );
        }
    }
}

#[cfg(test)]
mod tests;
