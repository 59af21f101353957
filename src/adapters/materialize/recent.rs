//! Queries that the server remembers: who has lately read what.
//!
//! The log is of a day, and sampled. Only superusers and members of `mz_monitor` may read it with its texts.

use super::catalog::text;
use super::error::MaterializeError;
use super::session::{Session, Statement};
use crate::foundation::sql::identifier::Literal;
use crate::foundation::sql::tokens::Tokens;
use std::collections::BTreeMap;
use std::time::Duration;

const LABEL: &str = "recent queries";

/// The most texts that are looked at.
const TEXTS: usize = 500;

/// Somebody whose queries the server remembers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asker {
    /// The role.
    pub user: String,
    /// What the client calls itself; empty where it does not.
    pub application: String,
}

/// A query with who asked it and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Who.
    pub asker: Asker,
    /// Its text.
    sql: String,
    /// How often it is remembered.
    times: u64,
}

/// The queries whose text has one of these names of relations somewhere. One dataflow; asked only where a release
/// takes something away.
///
/// # Errors
/// See [`MaterializeError`]; a refusal where the role may not read the log.
pub async fn naming(
    session: &Session,
    relations: &[&str],
    deadline: Duration,
) -> Result<Vec<Query>, MaterializeError> {
    let names: Vec<String> = relations
        .iter()
        .map(|name| format!("position({} IN sql) > 0", Literal(name)))
        .collect();
    let sql = format!(
        "SELECT authenticated_user::text, application_name::text, sql::text, count(*)::text FROM mz_internal.mz_recent_activity_log WHERE statement_type = 'select' AND ({}) GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT {TEXTS}",
        names.join(" OR ")
    );
    let rows = session
        .query_within(&Statement::new(LABEL, sql), deadline)
        .await?;
    rows.iter()
        .map(|row| {
            let times = text(row, LABEL, 3)?;
            Ok(Query {
                asker: Asker {
                    user: text(row, LABEL, 0)?,
                    application: text(row, LABEL, 1)?,
                },
                sql: text(row, LABEL, 2)?,
                times: times.parse().map_err(|_| MaterializeError::Unexpected {
                    label: LABEL,
                    what: format!("{times:?} queries"),
                })?,
            })
        })
        .collect()
}

/// How often each has asked for a column of a relation, as far as the texts say: by its name, or for all columns.
#[must_use]
pub fn askers(queries: &[Query], relation: &str, column: &str) -> BTreeMap<Asker, u64> {
    let mut askers = BTreeMap::new();
    for query in queries {
        // Cutover's own do not count: they look at both sides.
        if query.asker.application.starts_with("cutover") {
            continue;
        }
        let (mut names_relation, mut names_column) = (false, false);
        for token in Tokens::of(&query.sql) {
            names_relation |= is_name(token, relation);
            names_column |= token == "*" || is_name(token, column);
        }
        if names_relation && names_column {
            *askers.entry(query.asker.clone()).or_default() += query.times;
        }
    }
    askers
}

/// Whether a token is this name, as the catalog holds it.
fn is_name(token: &str, name: &str) -> bool {
    match token.strip_prefix('"') {
        Some(quoted) => quoted
            .strip_suffix('"')
            .is_some_and(|inner| inner.replace("\"\"", "\"") == name),
        None => token.to_lowercase() == name,
    }
}

#[cfg(test)]
mod tests {
    use super::{Asker, Query, askers};

    fn query(user: &str, application: &str, sql: &str, times: u64) -> Query {
        Query {
            asker: Asker {
                user: user.to_owned(),
                application: application.to_owned(),
            },
            sql: sql.to_owned(),
            times,
        }
    }

    #[test]
    fn a_column_is_asked_for_by_its_name_or_with_all() {
        let queries = [
            query("bi", "metabase", "SELECT total FROM marts.totals", 3),
            query("bi", "metabase", "select * from \"marts\".\"totals\"", 2),
            query("bi", "", "SELECT customer FROM marts.totals", 9),
            query("bi", "", "SELECT total FROM marts.counts -- totals", 9),
            query("ops", "cutover", "SELECT total FROM marts.totals", 9),
        ];
        let found: Vec<(String, u64)> = askers(&queries, "totals", "total")
            .into_iter()
            .map(|(asker, times)| (asker.application, times))
            .collect();
        assert_eq!(found, [("metabase".to_owned(), 5)]);
    }
}
