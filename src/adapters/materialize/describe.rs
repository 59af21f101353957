//! Columns of queries that are not run.
//!
//! A question costs the server's planning of the query and nothing else. The client library must know each type;
//! of one that it does not know, it asks in a way that not every server answers. So where a description is
//! refused, it is asked for as dbt-materialize does it: by a temporary view. That is a change of the catalog,
//! which makes others' open DDL transactions begin anew, so it comes second.

use super::error::MaterializeError;
use super::session::{Session, Statement};
use tokio_postgres::SimpleQueryRow;

/// Name and type of each column, in order. Types are only to be compared with each other.
pub type Columns = Vec<(String, String)>;

const LABEL: &str = "describe query";

/// The temporary view; its session has no other.
const VIEW: &str = "cutover_described";

/// The columns of these queries, all described in the same way.
///
/// # Errors
/// The server's, what is wrong with a query among them.
pub async fn columns(
    session: &Session,
    queries: &[&str],
) -> Result<Vec<Columns>, MaterializeError> {
    let mut found = Vec::with_capacity(queries.len());
    for query in queries {
        match session.describe(LABEL, query).await {
            Ok(columns) => found.push(columns),
            Err(MaterializeError::Refused { .. } | MaterializeError::Unexpected { .. }) => {
                return by_views(session, queries).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

async fn by_views(session: &Session, queries: &[&str]) -> Result<Vec<Columns>, MaterializeError> {
    let mut found = Vec::with_capacity(queries.len());
    for query in queries {
        let create = Statement::new(LABEL, format!("CREATE TEMPORARY VIEW {VIEW} AS {query}"));
        session.execute(&create).await?;
        let columns = of_view(session).await;
        session
            .execute(&Statement::new(LABEL, format!("DROP VIEW {VIEW}")))
            .await?;
        found.push(columns?);
    }
    Ok(found)
}

async fn of_view(session: &Session) -> Result<Columns, MaterializeError> {
    let statement = Statement::new(LABEL, format!("SHOW COLUMNS FROM {VIEW}"));
    let rows = session.simple(&statement).await?;
    let field = |row: &SimpleQueryRow, name: &str| {
        let text = row.try_get(name).ok().flatten().map(str::to_owned);
        text.ok_or_else(|| MaterializeError::Unexpected {
            label: LABEL,
            what: format!("no {name} of a column"),
        })
    };
    rows.iter()
        .map(|row| Ok((field(row, "name")?, field(row, "type")?)))
        .collect()
}
