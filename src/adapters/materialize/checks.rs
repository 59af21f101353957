//! The queries of checks. Each runs in a read-only transaction, and every query that a user wrote
//! stands in parentheses: what is no query is refused there by the grammar.

use super::catalog::{optional, text};
use super::error::MaterializeError;
use super::question::{Filter, Question, relation};
use super::session::{Session, Statement};
use crate::foundation::sql::identifier::{Ident, Qualified};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_postgres::Row;

const LABEL: &str = "check";

/// Counts the rows of blue and of green at one moment: of two statements each has a timestamp of its own.
#[must_use]
pub fn rows(blue: &Qualified<'_>, green: &Qualified<'_>) -> Statement {
    Statement::new(
        "check row count",
        format!("SELECT (SELECT count(*) FROM {blue})::text, (SELECT count(*) FROM {green})::text"),
    )
}

/// Counts the keys of blue, and those of them that green lacks. Rows that are alike in NULL are alike.
#[must_use]
pub fn keys(blue: &Qualified<'_>, green: &Qualified<'_>, key: &[String]) -> Statement {
    let columns: Vec<String> = key.iter().map(|name| Ident(name).to_string()).collect();
    let columns = columns.join(", ");
    Statement::new(
        "check keys kept",
        format!(
            "SELECT (SELECT count(*) FROM (SELECT DISTINCT {columns} FROM {blue}) AS kept)::text, \
             (SELECT count(*) FROM (SELECT {columns} FROM {blue} EXCEPT SELECT {columns} FROM {green}) AS lost)::text"
        ),
    )
}

/// Counts the rows that a query of `sql::query::one_query` returns; none of them leaves the server.
#[must_use]
pub fn no_rows(query: &str) -> Statement {
    // The line break ends a comment at the query's end.
    Statement::new(
        "check no rows",
        format!("SELECT count(*)::text FROM ({query}\n) AS found"),
    )
}

/// The numbers in the only row of one of the statements above, on this cluster.
///
/// # Errors
/// See [`MaterializeError`]; the session is of no use after any.
pub async fn numbers(
    session: &Session,
    statement: &Statement,
    cluster: Option<&str>,
    timeout: Duration,
) -> Result<Vec<u64>, MaterializeError> {
    let set = |sql: String| Statement::new("check session", sql);
    if let Some(cluster) = cluster {
        let cluster = Ident(cluster);
        session
            .execute(&set(format!("SET cluster = {cluster}")))
            .await?;
    }
    let milliseconds = timeout.as_millis();
    session
        .execute(&set(format!("SET statement_timeout = '{milliseconds}ms'")))
        .await?;
    session
        .execute(&Statement::new(
            "check begin",
            "BEGIN TRANSACTION READ ONLY",
        ))
        .await?;
    // The extended protocol takes one statement and no more.
    let rows = session.query_within(statement, timeout).await?;
    session
        .execute(&Statement::new("check end", "ROLLBACK"))
        .await?;
    let unexpected = |what: &str| MaterializeError::Unexpected {
        label: LABEL,
        what: what.to_owned(),
    };
    let [row] = rows.as_slice() else {
        return Err(unexpected("not one row"));
    };
    (0..row.len())
        .map(|column| {
            let number = text(row, LABEL, column)?;
            number.parse().map_err(|_| unexpected("no count"))
        })
        .collect()
}

/// Whether there is a relation of this name to read from. A few peeks; a check asks once for each side.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn exists(
    session: &Session,
    database: &str,
    schema: &str,
    name: &str,
) -> Result<bool, MaterializeError> {
    let by_name = |relation, columns: &[&str], name| {
        Question::select(
            "check relation",
            relation,
            columns,
            Filter::In("name", &[name]),
            None,
        )
    };
    let databases = by_name(relation::DATABASES, &["id"], database);
    let schemas = by_name(relation::SCHEMAS, &["id", "database_id"], schema);
    let objects = Question::select(
        "check relation",
        relation::OBJECTS,
        &["schema_id"],
        Filter::In("name", &[name]),
        Some("type IN ('table', 'view', 'materialized-view', 'source')"),
    );
    let snapshot = session.snapshot("check relation").await?;
    let (databases, schemas, objects) = tokio::try_join!(
        snapshot.ask(&databases),
        snapshot.ask(&schemas),
        snapshot.ask(&objects),
    )?;
    snapshot.end().await?;
    let databases = texts(&databases, LABEL, 0)?;
    let mut homes = BTreeSet::new();
    for row in &schemas {
        // A schema of the system has no database.
        if optional(row, LABEL, 1)?.is_some_and(|id| databases.contains(&id)) {
            homes.insert(text(row, LABEL, 0)?);
        }
    }
    let found = texts(&objects, LABEL, 0)?;
    Ok(!found.is_disjoint(&homes))
}

fn texts(
    rows: &[Row],
    label: &'static str,
    column: usize,
) -> Result<BTreeSet<String>, MaterializeError> {
    rows.iter().map(|row| text(row, label, column)).collect()
}

#[cfg(test)]
mod tests {
    use super::{keys, no_rows, rows};
    use crate::foundation::sql::identifier::Qualified;
    use crate::foundation::sql::query::one_query;
    use proptest::prelude::*;

    #[test]
    fn one_query_is_taken_and_its_semicolon_left_out() {
        for (sql, taken) in [
            ("SELECT 1", "SELECT 1"),
            ("select 1; -- end\n /* ; /* nested */ */ ", "select 1"),
            (
                "-- a; comment\nWITH a AS (SELECT ';)') TABLE a",
                "-- a; comment\nWITH a AS (SELECT ';)') TABLE a",
            ),
            ("VALUES (E'it\\'s; (')", "VALUES (E'it\\'s; (')"),
            (
                "select/**/\"a;\"\"(\" from t",
                "select/**/\"a;\"\"(\" from t",
            ),
            ("SHOW schemas", "SHOW schemas"),
            ("table t -- end", "table t -- end"),
        ] {
            assert_eq!(one_query(sql), Ok(taken));
        }
    }

    #[test]
    fn what_is_no_query_is_refused() {
        for sql in [
            "",
            " -- nothing",
            ";",
            "DROP SCHEMA s",
            "SELECT 1; DROP SCHEMA s",
            "SELECT 1;;",
            "INSERT INTO t VALUES (1)",
            "selects 1",
            "SELECT 1) AS a; DROP SCHEMA s; SELECT (1",
            "SELECT 1) AS a, (SELECT 2",
            "SELECT (1",
            "SELECT 'open",
            "SELECT \"open",
            "SELECT /* open /* */",
            "SELECT $$;$$",
            "\"select\" 1",
        ] {
            assert!(one_query(sql).is_err(), "{sql}");
        }
    }

    #[test]
    fn a_query_stands_in_parentheses() {
        assert_eq!(
            no_rows("SELECT 1 -- one").sql(),
            "SELECT count(*)::text FROM (SELECT 1 -- one\n) AS found"
        );
        let sides = ["blue", "green"].map(|schema| Qualified::object("d", schema, "t"));
        assert_eq!(
            rows(&sides[0], &sides[1]).sql(),
            "SELECT (SELECT count(*) FROM \"d\".\"blue\".\"t\")::text, (SELECT count(*) FROM \"d\".\"green\".\"t\")::text"
        );
        let statement = keys(&sides[0], &sides[1], &["a".to_owned(), "b\"c".to_owned()]);
        assert!(statement.sql().contains(
            "SELECT \"a\", \"b\"\"c\" FROM \"d\".\"blue\".\"t\" EXCEPT SELECT \"a\", \"b\"\"c\" FROM \"d\".\"green\".\"t\""
        ));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(sql in r#"(select )?[a;'"()\-/*\n\\eE $ü]{0,24}"#) {
            if let Ok(taken) = one_query(&sql) {
                prop_assert!(sql.starts_with(taken));
                prop_assert_eq!(one_query(taken), Ok(taken));
            }
        }

        #[test]
        fn quoted_text_is_no_more_than_text(text in ".*") {
            let literal = crate::foundation::sql::identifier::Literal(&text);
            let sql = format!("SELECT {literal}");
            prop_assert_eq!(one_query(&sql), Ok(sql.as_str()));
            let name = crate::foundation::sql::identifier::Ident(&text);
            let sql = format!("SELECT {name} FROM t; ");
            prop_assert_eq!(one_query(&sql), Ok(sql.strip_suffix("; ").unwrap_or(&sql)));
        }
    }
}
