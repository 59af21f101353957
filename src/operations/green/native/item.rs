//! One item of a recipe.

use super::Present;
use crate::adapters::materialize::describe::{self, Columns};
use crate::adapters::materialize::{MaterializeError, Session, Statement, ddl, native_ddl};
use crate::domain::catalog::ObjectKind;
use crate::foundation::sql::identifier::{Literal, Qualified};
use crate::operations::builds::Builds;
use crate::operations::error::DeploymentError;
use crate::planning::recipe::document::{Item, Make, Promise};
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

/// How a query's columns differ from those that are promised, whose types are `types`; their order does not count.
fn breaks(promised: &[Promise], types: &Columns, given: &Columns) -> Option<String> {
    let mut differences = Vec::new();
    for (name, data_type) in given {
        match types.iter().find(|(promised, _)| promised == name) {
            None => differences.push(format!("{name} is not in the contract")),
            Some((_, promised)) if promised != data_type => {
                differences.push(format!("{name} is {data_type}, promised is {promised}"));
            }
            Some(_) => {}
        }
    }
    for promise in promised {
        if !given.iter().any(|(name, _)| *name == promise.name) {
            differences.push(format!("{} is missing", promise.name));
        }
    }
    if differences.is_empty() && given.len() != types.len() {
        differences.push(format!(
            "{} columns, promised are {}",
            given.len(),
            types.len()
        ));
    }
    (!differences.is_empty()).then(|| {
        format!(
            "the columns are not those of the contract: {}",
            differences.join(", ")
        )
    })
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

    #[test]
    fn a_contract_is_kept_in_any_order_and_by_nothing_else() {
        let columns = |pairs: &[(&str, &str)]| -> Columns {
            let pairs = pairs.iter();
            pairs
                .map(|(name, of)| ((*name).to_owned(), (*of).to_owned()))
                .collect()
        };
        let promise = |name: &str, data_type: &str| Promise {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
        };
        let promised = [promise("a", "int"), promise("b", "text")];
        let types = columns(&[("a", "int4"), ("b", "text")]);
        let breaks = |given: &[(&str, &str)]| breaks(&promised, &types, &columns(given));
        assert_eq!(breaks(&[("b", "text"), ("a", "int4")]), None);
        let said = breaks(&[("a", "int8"), ("c", "text")]).unwrap_or_default();
        for part in [
            "a is int8, promised is int4",
            "c is not in the contract",
            "b is missing",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert!(breaks(&[("a", "int4"), ("a", "int4"), ("b", "text")]).is_some());
    }
}
