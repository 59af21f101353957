//! What is live, looked at between releases: few questions, each a peek, all of one moment but the definitions of
//! clusters.

use super::catalog::{About, text};
use super::error::MaterializeError;
use super::guarded::Names;
use super::privileges::of_list;
use super::question::{Filter, Question, relation};
use super::server::Materialize;
use crate::domain::catalog::grants::Grant;
use crate::domain::catalog::{Catalog, ClusterDefinition};
use crate::foundation::digest::Digest;
use std::collections::{BTreeMap, BTreeSet};

const LABEL: &str = "queries of materialized views";

fn queries(ids: &[&str]) -> Vec<Question> {
    let columns = ["id", "definition"];
    let relation = relation::MATERIALIZED_VIEWS;
    Question::select(LABEL, relation, &columns, Filter::In("id", ids), None)
}

/// Digests of the queries of materialized views, by their ids. One peek for each three hundred; each look between
/// releases asks once.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn queries_of(
    materialize: &Materialize,
    ids: &[&str],
) -> Result<BTreeMap<String, String>, MaterializeError> {
    let session = materialize.session().await?;
    let rows = session.ask(&queries(ids)).await?;
    let mut found = BTreeMap::new();
    for row in &rows {
        let digest = Digest::of(text(row, LABEL, 1)?.as_bytes());
        found.insert(text(row, LABEL, 0)?, digest.to_string());
    }
    Ok(found)
}

/// Looks at these schemas of the database with what is in them, and at these clusters and how they are made. About
/// ten peeks, and `SHOW CREATE CLUSTER` for each cluster; asked once each `drift_interval`.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn look(
    materialize: &Materialize,
    schemas: BTreeSet<String>,
    clusters: BTreeSet<String>,
) -> Result<(Names, Catalog), MaterializeError> {
    let about = About {
        schemas,
        defined: clusters.clone(),
        clusters,
        without_readers: true,
        ..About::default()
    };
    Names::with_catalog(materialize, &about).await
}

/// How a cluster is made, as it is kept and shown.
#[must_use]
pub fn written(definition: &ClusterDefinition) -> String {
    match definition {
        ClusterDefinition::Managed { options } => options.clone(),
        ClusterDefinition::Unmanaged { replicas } => {
            let replicas = replicas.iter();
            let replicas: Vec<String> = replicas
                .map(|it| serde_json::to_string(it).unwrap_or_default())
                .collect();
            replicas.join(", ")
        }
    }
}

/// The owner and the grants of owners and privileges as [`Names::raw`] has them, by the names of roles.
///
/// # Errors
/// What is not of the known form, one sentence.
pub fn owned(
    raw: &str,
    roles: &BTreeMap<String, String>,
) -> Result<(String, BTreeSet<Grant>), String> {
    let (owner, list) = raw.split_once(' ').unwrap_or((raw, ""));
    let name = |id: &str| roles.get(id).cloned().unwrap_or_else(|| id.to_owned());
    let list = Some(list).filter(|list| !list.is_empty());
    let grants = of_list(list)?.into_iter().map(|held| Grant {
        grantee: held.grantee.as_deref().map(name),
        privilege: held.privilege.to_owned(),
    });
    Ok((name(owner), grants.collect()))
}

/// Every question of a look, for tests of what they cost.
#[cfg(test)]
pub(super) fn every_question() -> Vec<Question> {
    queries(&["u1", "u2"])
}
