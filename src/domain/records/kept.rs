//! What is kept of a release that failed, for whoever looks.

use crate::domain::plan::Plan;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The most failed nodes that are named.
const NAMED: usize = 20;

/// The longest SQL that is shown, in bytes.
const LONGEST: usize = 4_000;

/// A node or test that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedNode {
    /// dbt's unique id.
    pub unique_id: String,
    /// How it ended: `error`, `fail`, `skipped`.
    pub status: String,
    /// Its SQL as it was sent, where that is known and not too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
}

/// A green side that is kept after a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Until when. Then it is dropped by the daemon, or by the next command.
    pub until: Timestamp,
    /// Its schemas.
    pub schemas: Vec<String>,
    /// Its clusters, with the replicas that they are configured to have.
    pub clusters: Vec<String>,
    /// What did not succeed.
    pub failed: Vec<FailedNode>,
    /// Queries to begin with.
    pub queries: Vec<String>,
}

impl FailedNode {
    /// Those that are named, with SQL that is not too long.
    #[must_use]
    pub fn bounded(mut failed: Vec<Self>) -> Vec<Self> {
        // What was skipped only waited for something else.
        failed.sort_by_key(|node| node.status == "skipped");
        failed.truncate(NAMED);
        for node in &mut failed {
            node.sql = node.sql.take().filter(|sql| sql.len() <= LONGEST);
        }
        failed
    }
}

impl Kept {
    /// What is kept of this plan.
    #[must_use]
    pub fn of(plan: &Plan, failed: Vec<FailedNode>, until: Timestamp) -> Self {
        let schemas: Vec<String> = plan.schemas.iter().map(|it| it.green.clone()).collect();
        let clusters: Vec<String> = plan.clusters.iter().map(|it| it.green.clone()).collect();
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let texts: Vec<String> = schemas
            .iter()
            .map(|name| format!("'{}'", name.replace('\'', "''")))
            .collect();
        let cluster = plan.test_cluster.as_ref().or(clusters.first());
        let mut queries = Vec::new();
        queries.extend(cluster.map(|cluster| format!("SET cluster = {}", quoted(cluster))));
        queries.push(format!(
            "SELECT s.name, o.name, o.type FROM mz_objects o JOIN mz_schemas s ON s.id = o.schema_id WHERE s.name IN ({})",
            texts.join(", ")
        ));
        queries.extend(
            failed
                .iter()
                .filter(|node| node.status != "skipped")
                .filter_map(|node| node.sql.as_deref().map(str::trim).map(str::to_owned)),
        );
        Self {
            until,
            schemas,
            clusters,
            failed,
            queries,
        }
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until <= now
    }
}
