//! One item of a recipe.

use super::Present;
use crate::adapters::materialize::describe;
use crate::adapters::materialize::{MaterializeError, Session, Statement, ddl, native_ddl};
use crate::domain::catalog::ObjectKind;
use crate::foundation::sql::identifier::{Literal, Qualified};
use crate::operations::builds::Builds;
use crate::operations::error::DeploymentError;
use crate::planning::recipe::contract::breaks;
use crate::planning::recipe::document::{Item, Make};
use crate::planning::recipe::seed::{self, Value};
use std::collections::BTreeSet;

/// How many rows go into one statement, as with dbt (`default__get_batch_size`).
const ROWS: usize = 10_000;

/// Makes what is missing of an item; the answer is dbt's message and, of a table, the number of its rows.
///
/// # Errors
/// The server's; [`DeploymentError::Failed`] when a contract is not kept, or a seed is not as planned.
pub async fn make(
    builds: &Builds,
    session: &Session,
    database: &str,
    item: &Item,
    found: Option<Present>,
) -> Result<(String, Option<usize>), DeploymentError> {
    let name = Qualified::object(database, &item.schema, &item.name);
    let kind = kind(&item.make);
    if let Some(found) = found
        && found.kind != kind
    {
        return Err(DeploymentError::Failed(format!(
            "{name} is a {} that somebody else made",
            ddl::keyword(found.kind).to_lowercase()
        )));
    }
    let made = match &item.make {
        Make::View { query } => {
            let columns = columns(session, item, query).await?;
            if found.is_none() {
                session
                    .execute(&native_ddl::create_view(&name, query))
                    .await?;
            }
            ("CREATE VIEW".to_owned(), None, columns, found)
        }
        Make::MaterializedView {
            cluster,
            options,
            query,
        } => {
            let columns = columns(session, item, query).await?;
            if found.is_none() {
                let create = native_ddl::create_materialized_view(&name, cluster, options, query);
                session.execute(&create).await?;
            }
            ("CREATE MATERIALIZED VIEW".to_owned(), None, columns, found)
        }
        Make::Source {
            cluster,
            definition,
        } => {
            if found.is_none() {
                let create = native_ddl::create_source(&name, cluster, definition);
                session.execute(&create).await?;
            }
            ("CREATE SOURCE".to_owned(), None, BTreeSet::new(), found)
        }
        Make::Seed { .. } => {
            let seed = builds.rows(&item.make)?;
            if found.is_some() {
                session
                    .execute(&ddl::drop_object(ObjectKind::Table, &name))
                    .await?;
            }
            fill(session, &name, &seed).await?;
            let columns = seed.columns.into_iter().map(|column| column.name).collect();
            let rows = seed.rows.len();
            (format!("INSERT {rows}"), Some(rows), columns, None)
        }
    };
    let (message, rows, columns, found) = made;
    let have = found.map_or(0, |found| found.indexes);
    // dbt writes the comments of a seed before its indexes, and of others after them; the end is the same.
    for index in item.indexes.iter().skip(have) {
        let create = native_ddl::create_model_index(
            index.name.as_deref(),
            index.default,
            &index.cluster,
            &name,
            &index.columns,
        );
        session.execute(&create).await?;
    }
    if let Some(comment) = &item.comment {
        let comment = ddl::comment_on_object(kind, &name, Some(comment));
        session.execute(&comment).await?;
    }
    for (column, comment) in &item.column_comments {
        if columns.contains(column) {
            let comment = ddl::comment_on_column(&name, column, Some(comment));
            session.execute(&comment).await?;
        }
    }
    Ok((message, rows))
}

/// The kind of object that is made.
#[must_use]
pub fn kind(make: &Make) -> ObjectKind {
    match make {
        Make::View { .. } => ObjectKind::View,
        Make::MaterializedView { .. } => ObjectKind::MaterializedView,
        Make::Source { .. } => ObjectKind::Source,
        Make::Seed { .. } => ObjectKind::Table,
    }
}

/// The names of a query's columns, where anything is to be done with them: compared with a contract, or commented.
///
/// # Errors
/// The server's, what is wrong with the query among them; [`DeploymentError::Failed`] when a contract is not kept.
pub async fn columns(
    session: &Session,
    item: &Item,
    query: &str,
) -> Result<BTreeSet<String>, DeploymentError> {
    if item.contract.is_none() && item.column_comments.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mut queries = vec![native_ddl::columns_of(query)];
    let promised = item.contract.as_deref();
    queries.extend(promised.map(|columns| {
        let columns = columns.iter();
        native_ddl::columns_of_types(columns.map(|column| (&*column.name, &*column.data_type)))
    }));
    let queries: Vec<&str> = queries.iter().map(String::as_str).collect();
    let mut found = describe::columns(session, &queries).await?.into_iter();
    let unexpected = || {
        DeploymentError::Materialize(MaterializeError::Unexpected {
            label: "describe query",
            what: "fewer descriptions than queries".to_owned(),
        })
    };
    let given = found.next().ok_or_else(unexpected)?;
    if let Some(promised) = promised {
        let types = found.next().ok_or_else(unexpected)?;
        if let Some(why) = breaks(promised, &types, &given) {
            return Err(DeploymentError::Failed(why));
        }
    }
    Ok(given.into_iter().map(|(name, _)| name).collect())
}

/// Makes a table with its rows.
async fn fill(
    session: &Session,
    name: &Qualified<'_>,
    seed: &seed::Seed,
) -> Result<(), DeploymentError> {
    let columns = seed.columns.iter();
    let create = native_ddl::create_table(
        name,
        columns.map(|column| (column.name.as_str(), column.data_type.as_str())),
    );
    session.execute(&create).await?;
    for rows in seed.rows.chunks(ROWS) {
        let rows: Vec<String> = rows
            .iter()
            .map(|row| {
                let values: Vec<String> = row.iter().map(literal).collect();
                format!("({})", values.join(","))
            })
            .collect();
        let columns = seed.columns.iter().map(|column| column.name.as_str());
        let insert: Statement = native_ddl::insert(name, columns, &rows.join(","));
        session.execute(&insert).await?;
    }
    Ok(())
}

/// A value as psycopg2 writes it.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Number(digits) => digits.clone(),
        Value::Text(text) => Literal(text).to_string(),
        Value::Date(day) => format!("{}::date", Literal(day)),
        Value::Timestamp(moment) => format!("{}::timestamp", Literal(moment)),
        Value::Boolean(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_dbt_has_them_written() {
        for (value, expected) in [
            (Value::Null, "NULL"),
            (Value::Number("-1.50".to_owned()), "-1.50"),
            (Value::Text("it's \\n".to_owned()), "'it''s \\n'"),
            (Value::Date("2024-01-05".to_owned()), "'2024-01-05'::date"),
            (
                Value::Timestamp("2024-01-05T10:00:00".to_owned()),
                "'2024-01-05T10:00:00'::timestamp",
            ),
            (Value::Boolean(true), "true"),
        ] {
            assert_eq!(literal(&value), expected);
        }
    }
}
