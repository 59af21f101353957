//! Temporary views: queries that the server's planner looks at, and nobody runs.
//!
//! A temporary view reads another one of its session; nobody else sees it, and it goes with the session. Each is a
//! change of the catalog, of which the server makes one at a time; so several queries share one view. Their columns
//! stand side by side under numbers, and whoever reads one of the queries takes its columns by these numbers under
//! their own names.

use super::catalog::text;
use super::error::MaterializeError;
use super::question::{Filter, Question, relation};
use super::session::{Session, Statement};
use crate::domain::catalog::Column;
use crate::foundation::sql::identifier::Ident;
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Row;

const LABEL: &str = "describe nodes";

/// One of several queries of a view.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The number that nothing else of the session has.
    pub number: usize,
    /// How many columns it has.
    pub columns: usize,
    /// The query.
    pub query: &'a str,
}

/// Makes a temporary view of one query, whose columns have their own names.
#[must_use]
pub fn view(name: &str, query: &str) -> Statement {
    // A comment may end the query.
    Statement::new(
        LABEL,
        format!("CREATE TEMPORARY VIEW {} AS (\n{query}\n)", Ident(name)),
    )
}

/// Makes a temporary view of several queries, each of which may read those before it by their [`member_name`].
#[must_use]
pub fn view_of_several(name: &str, members: &[Member<'_>]) -> Statement {
    let names = members.iter().map(|member| member_name(member.number));
    let names: Vec<String> = names.map(|name| Ident(&name).to_string()).collect();
    Statement::new(
        LABEL,
        format!(
            "CREATE TEMPORARY VIEW {} AS {} SELECT * FROM {}",
            Ident(name),
            with(members),
            names.join(", ")
        ),
    )
}

/// What one of several queries of a view is called within that view.
#[must_use]
pub fn member_name(number: usize) -> String {
    format!("cutover_node_{number}")
}

/// A query that reads some of several queries of a view which is not there yet.
#[must_use]
pub fn query_with_members(members: &[Member<'_>], query: &str) -> String {
    if members.is_empty() {
        return query.to_owned();
    }
    format!(
        "{} SELECT * FROM (\n{query}\n) AS cutover_query",
        with(members)
    )
}

fn with(members: &[Member<'_>]) -> String {
    let queries = members.iter().map(|member| {
        let columns = (0..member.columns).map(|at| Ident(&numbered(member.number, at)).to_string());
        let columns: Vec<String> = columns.collect();
        let name = member_name(member.number);
        format!(
            "{} ({}) AS (\n{}\n)",
            Ident(&name),
            columns.join(", "),
            member.query
        )
    });
    format!("WITH {}", queries.collect::<Vec<_>>().join(", "))
}

/// A query that reads others which share views: each is there under a name of its own. `read` has, for each, that
/// name, the view (or [`member_name`] of a query of the same view), its number there, and the names of its columns.
#[must_use]
pub fn reading(read: &[(String, String, usize, &[String])], query: &str) -> String {
    if read.is_empty() {
        return query.to_owned();
    }
    let parts: Vec<String> = read
        .iter()
        .map(|(name, view, number, columns)| {
            let columns = columns.iter().enumerate();
            let columns: Vec<String> = columns
                .map(|(at, column)| {
                    format!("{} AS {}", Ident(&numbered(*number, at)), Ident(column))
                })
                .collect();
            format!(
                "{} AS (SELECT {} FROM {})",
                Ident(name),
                columns.join(", "),
                Ident(view)
            )
        })
        .collect();
    format!(
        "WITH {} SELECT * FROM (\n{query}\n) AS cutover_query",
        parts.join(", ")
    )
}

/// A query without the rows in which one of these columns is null, so that the planner knows that none of them is.
#[must_use]
pub fn without_nulls(query: &str, columns: &[&str]) -> String {
    if columns.is_empty() {
        return query.to_owned();
    }
    let columns: Vec<String> = columns
        .iter()
        .map(|column| format!("{} IS NOT NULL", Ident(column)))
        .collect();
    format!(
        "SELECT * FROM (\n{query}\n) AS cutover_query WHERE {}",
        columns.join(" AND ")
    )
}

/// The name of a column of one of several queries.
fn numbered(number: usize, at: usize) -> String {
    format!("{number}.{at}")
}

/// The names of the columns of a query that is not run; `None` where the server, or the client library, does not say.
/// The server's planning of the query and nothing else.
///
/// # Errors
/// See [`MaterializeError`]. What is wrong with the query is no error here.
pub async fn names(
    session: &Session,
    query: &str,
) -> Result<Option<Vec<String>>, MaterializeError> {
    match session.describe(LABEL, query).await {
        Ok(columns) => Ok(Some(columns.into_iter().map(|(name, _)| name).collect())),
        Err(MaterializeError::Refused { .. } | MaterializeError::Unexpected { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the catalog says of temporary views with these names, which no other session uses: their columns in order,
/// those of one of several queries by its number, and those of a view of its own by the view's name. Two peeks for
/// each three hundred views.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn columns(
    session: &Session,
    views: &BTreeSet<&str>,
) -> Result<Columns, MaterializeError> {
    let names: Vec<&str> = views.iter().copied().collect();
    let rows = session.ask(&of_names(&names)).await?;
    let mut ids = BTreeMap::new();
    for row in &rows {
        ids.insert(text(row, LABEL, 0)?, text(row, LABEL, 1)?);
    }
    let known: Vec<&str> = ids.keys().map(String::as_str).collect();
    let rows = session.ask(&of_ids(&known)).await?;
    let mut columns = Columns::default();
    let mut placed: BTreeMap<(String, u64), Column> = BTreeMap::new();
    for row in &rows {
        let (column, position) = column(row)?;
        let Some(view) = ids.get(&text(row, LABEL, 0)?) else {
            continue;
        };
        placed.insert((view.clone(), position), column);
    }
    for ((view, _), column) in placed {
        let number = column.name.split_once('.');
        let number = number.and_then(|(number, at)| {
            Some((number.parse::<usize>().ok()?, at.parse::<usize>().ok()?))
        });
        if let Some((number, _)) = number {
            columns
                .shared
                .entry((view.clone(), number))
                .or_default()
                .push(column.clone());
        }
        columns.own.entry(view).or_default().push(column);
    }
    Ok(columns)
}

/// Columns of temporary views.
#[derive(Debug, Default)]
pub struct Columns {
    /// By the view, as they are called there.
    pub own: BTreeMap<String, Vec<Column>>,
    /// By the view and the number of one of its queries, called by their numbers.
    pub shared: BTreeMap<(String, usize), Vec<Column>>,
}

fn column(row: &Row) -> Result<(Column, u64), MaterializeError> {
    let position = text(row, LABEL, 2)?;
    let position = position.parse().map_err(|_| MaterializeError::Unexpected {
        label: LABEL,
        what: format!("a column at {position:?}"),
    })?;
    let column = Column {
        name: text(row, LABEL, 1)?,
        data_type: text(row, LABEL, 3)?,
        nullable: text(row, LABEL, 4)? != "false",
    };
    Ok((column, position))
}

fn of_names(names: &[&str]) -> Vec<Question> {
    Question::select(
        LABEL,
        relation::OBJECTS,
        &["id", "name"],
        Filter::In("name", names),
        // Temporary objects lie in no schema.
        Some("schema_id = '0'"),
    )
}

fn of_ids(ids: &[&str]) -> Vec<Question> {
    Question::select(
        LABEL,
        relation::COLUMNS,
        &["id", "name", "\"position\"", "type", "nullable"],
        Filter::In("id", ids),
        None,
    )
}

/// Every question here, for tests of what they cost.
#[cfg(test)]
pub(super) fn every_question() -> Vec<Question> {
    [of_names(&["a"]), of_ids(&["u1"])].concat()
}

#[cfg(test)]
mod tests {
    use super::{Member, query_with_members, reading, view, view_of_several, without_nulls};

    #[test]
    fn several_queries_share_a_view_by_numbers() {
        let members = [
            Member {
                number: 3,
                columns: 2,
                query: "select 1, 2 -- two",
            },
            Member {
                number: 7,
                columns: 1,
                query: "select 3",
            },
        ];
        assert_eq!(
            view_of_several("v", &members).to_string(),
            "/* cutover: describe nodes */ CREATE TEMPORARY VIEW \"v\" AS WITH \"cutover_node_3\" (\"3.0\", \"3.1\") AS (\nselect 1, 2 -- two\n), \"cutover_node_7\" (\"7.0\") AS (\nselect 3\n) SELECT * FROM \"cutover_node_3\", \"cutover_node_7\""
        );
        assert_eq!(
            view("own", "select 1").to_string(),
            "/* cutover: describe nodes */ CREATE TEMPORARY VIEW \"own\" AS (\nselect 1\n)"
        );
    }

    #[test]
    fn a_reader_takes_them_under_their_names() {
        let columns = ["id".to_owned(), "o\"dd".to_owned()];
        let read = [("in_3".to_owned(), "v".to_owned(), 3, &columns[..])];
        assert_eq!(
            reading(&read, "select id from in_3"),
            "WITH \"in_3\" AS (SELECT \"3.0\" AS \"id\", \"3.1\" AS \"o\"\"dd\" FROM \"v\") SELECT * FROM (\nselect id from in_3\n) AS cutover_query"
        );
        assert_eq!(reading(&[], "select 1"), "select 1");
        let below = Member {
            number: 3,
            columns: 1,
            query: "select 1",
        };
        assert_eq!(
            query_with_members(&[below], "select x"),
            "WITH \"cutover_node_3\" (\"3.0\") AS (\nselect 1\n) SELECT * FROM (\nselect x\n) AS cutover_query"
        );
        assert_eq!(query_with_members(&[], "select x"), "select x");
        assert_eq!(
            without_nulls("select 1 as a", &["a"]),
            "SELECT * FROM (\nselect 1 as a\n) AS cutover_query WHERE \"a\" IS NOT NULL"
        );
        assert_eq!(without_nulls("select 1", &[]), "select 1");
    }
}
