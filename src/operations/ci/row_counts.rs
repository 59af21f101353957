//! Rows of what is built, beside those of production.

use super::choice::Relations;
use super::error::CiError;
use crate::adapters::materialize::{Materialize, MaterializeError, diff as questions, native_ddl};
use crate::domain::catalog::{Catalog, ObjectKind};
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::foundation::sql::identifier::Qualified;
use crate::planning::planner::candidate::Candidate;
use crate::planning::recipe::document::{Make, Recipe};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio_postgres::SimpleQueryRow;

/// Rows of a relation and of its counterpart in production, where there is one; or why they were not counted.
pub type Rows = Result<(u64, Option<u64>), String>;

/// Counts rows of materialized views and seeds, by unique id, on the corner's cluster: each beside its counterpart, in
/// one statement and so at one moment. A dataflow each, on that cluster.
///
/// # Errors
/// When the server does not answer at all. That it refuses a count, or takes too long for it, is no error.
pub async fn rows(
    materialize: &Materialize,
    limit: Duration,
    cluster: &str,
    (candidate, catalog): (&Candidate, &Catalog),
    recipe: &Recipe,
    made: &BTreeSet<String>,
) -> Result<BTreeMap<String, Rows>, CiError> {
    let relations = Relations::of(catalog);
    let mut counted = BTreeMap::new();
    let mut session = None;
    for item in &recipe.items {
        let is_stored = match item.make {
            Make::MaterializedView { .. } | Make::Seed { .. } => true,
            Make::View { .. } | Make::Source { .. } => false,
        };
        if !is_stored || !made.contains(&item.unique_id) {
            continue;
        }
        let live = candidate.nodes.get(&item.unique_id);
        let live = live.filter(|node| {
            let found = relations.get(&node.schema, &node.identifier);
            found.is_some_and(|object| match object.kind {
                ObjectKind::MaterializedView | ObjectKind::Table => true,
                ObjectKind::View
                | ObjectKind::Index
                | ObjectKind::Source
                | ObjectKind::Sink
                | ObjectKind::Connection
                | ObjectKind::Secret
                | ObjectKind::Type
                | ObjectKind::Function => false,
            })
        });
        let here = Qualified::object(&catalog.database, &item.schema, &item.name);
        let there =
            live.map(|node| Qualified::object(&catalog.database, &node.schema, &node.identifier));
        let sides: Vec<&Qualified<'_>> = [Some(&here), there.as_ref()]
            .into_iter()
            .flatten()
            .collect();
        let statement = questions::rows(&sides);
        let asked = match session.take() {
            Some(session) => session,
            None => {
                let session = materialize.own_session_within(limit).await?;
                session.execute(&native_ddl::set_cluster(cluster)).await?;
                session
            }
        };
        let found = match asked.simple(&statement).await {
            Ok(rows) => {
                session = Some(asked);
                numbers(&rows, live.is_some())
            }
            Err(error) if error.class() == Class::Permanent => {
                session = Some(asked);
                Err(with_causes(&error))
            }
            // After a deadline the state of the session is unknown; the next count has another.
            Err(error @ MaterializeError::Deadline { .. }) => Err(with_causes(&error)),
            Err(error) => return Err(error.into()),
        };
        counted.insert(item.unique_id.clone(), found);
    }
    Ok(counted)
}

/// The numbers of the one row that a count has.
fn numbers(rows: &[SimpleQueryRow], is_live: bool) -> Rows {
    let number = |at: usize| -> Result<u64, String> {
        let text = rows.first().and_then(|row| row.try_get(at).ok().flatten());
        let number = text.and_then(|text| text.parse().ok());
        number.ok_or_else(|| format!("the server answered {text:?}"))
    };
    let there = is_live.then(|| number(1)).transpose()?;
    Ok((number(0)?, there))
}

/// What stands under the names of production, by kind and name: ids that a build must leave as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing(BTreeMap<String, String>);

impl Standing {
    /// The schemas and clusters of these names, and all that is in the schemas.
    #[must_use]
    pub fn of(catalog: &Catalog, names: &BTreeSet<String>) -> Self {
        let mut found = BTreeMap::new();
        for name in names {
            if let Some(schema) = catalog.schema(name) {
                found.insert(format!("schema {name}"), schema.id.clone());
                for object in catalog.objects_in_schema(&schema.id) {
                    found.insert(format!("{name}.{}", object.name), object.id.clone());
                }
            }
            if let Some(cluster) = catalog.cluster(name) {
                found.insert(format!("cluster {name}"), cluster.id.clone());
            }
        }
        Self(found)
    }

    /// Whether one of these ids is production's, of a schema, a cluster or an object in one of them.
    #[must_use]
    pub fn has(&self, kind: &str, id: &str) -> bool {
        self.0
            .iter()
            .any(|(name, known)| known == id && kind == kind_of(name))
    }

    /// What is not as it was, sorted: what is gone, or is another one now.
    #[must_use]
    pub fn changed_since(&self, before: &Self) -> Vec<String> {
        let was = before.0.iter();
        was.filter_map(|(name, id)| match self.0.get(name) {
            Some(now) if now == id => None,
            Some(now) => Some(format!("{name} was {id} and is {now}")),
            None => Some(format!("{name} is gone")),
        })
        .collect()
    }
}

fn kind_of(name: &str) -> &'static str {
    if name.starts_with("schema ") {
        "schema"
    } else if name.starts_with("cluster ") {
        "cluster"
    } else {
        "object"
    }
}
