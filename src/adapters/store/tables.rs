//! The journal's tables, as statements that both databases understand.
//!
//! Each statement and each rule about its rows is written once, in the modules below; this one sends it to
//! SQLite or to PostgreSQL and reads the answer. Placeholders are `$1`, `$2` and so on for both.

use super::Proof;
use super::error::StoreError;
use rusqlite::types::ValueRef;
use std::vec::IntoIter;
use tokio_postgres::types::{ToSql, Type};

/// Who approved what.
mod approvals;
/// Corners of pull requests.
pub(super) mod corners;
/// Deployments with their events and effects.
pub(super) mod deployments;
/// What production is compared with between releases.
pub(super) mod drift;
/// What holds environments back.
pub(super) mod holds;
/// What others are to be told.
pub(super) mod outbox;
/// Answers that were given.
pub(super) mod requests;
/// What is forgotten.
mod retention;
/// What the daemon set out to do.
pub(super) mod runs;

/// A connection to the tables, or a transaction on one.
pub(super) enum Tables<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a tokio_postgres::Client),
    /// A transaction on a connection to PostgreSQL. SQLite's is a connection.
    InPostgres(&'a tokio_postgres::Transaction<'a>),
}

/// A change in one transaction, made by who has the proof.
///
/// PostgreSQL may lose the answer to a commit, so everything is done again with what is then found: each change
/// says how its outcome is told from none.
pub(super) trait Write: Send + 'static {
    /// What it gives.
    type Answer: Send + 'static;

    /// Makes the change. It is made again where it did not come to be, or where `stands` said so.
    async fn change(&self, tables: &Tables<'_>, proof: &Proof) -> Result<Self::Answer, Fault>;

    /// Whether a change that gave `answer`, and of which the commit was not answered, was made.
    async fn stands(&self, tables: &Tables<'_>, answer: &Self::Answer) -> Result<bool, Fault>;
}

/// A failure inside a piece of work, not yet told apart.
#[derive(Debug)]
pub(super) enum Fault {
    /// What SQLite said.
    Sqlite(rusqlite::Error),
    /// What PostgreSQL or its client said.
    Postgres(tokio_postgres::Error),
    /// No answer in time; whether the work was done is unknown.
    Late,
    /// A stored value that cannot have been stored.
    Strange(String),
    /// Already told apart.
    Store(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sqlite(error)
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Fault::Postgres(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Store(error)
    }
}

/// A value that is bound to a placeholder.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Text(Option<&'a str>),
    Number(i64),
    Flag(bool),
}

/// The values of a statement's placeholders, in their order.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::adapters::store::tables::Value::from($value)),*] };
}
use values;

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Value::Text(Some(text))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Value::Text(Some(text))
    }
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Value::Text(text)
    }
}

impl<'a> From<&'a Option<String>> for Value<'a> {
    fn from(text: &'a Option<String>) -> Self {
        Value::Text(text.as_deref())
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Value::Number(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Value::Number(number.into())
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Value::Flag(flag)
    }
}

impl Tables<'_> {
    /// Sends a statement and gives how many rows it changed.
    async fn execute(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, Fault> {
        Ok(match self {
            Tables::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                bind(&mut statement, values)?;
                statement.raw_execute()? as u64
            }
            Tables::Postgres(client) => client.execute_typed(sql, &typed(values)).await?,
            Tables::InPostgres(client) => client.execute_typed(sql, &typed(values)).await?,
        })
    }

    /// Sends a query and reads every row of the answer.
    async fn query<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&mut Row) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let rows = match self {
            Tables::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                bind(&mut statement, values)?;
                let mut answer = statement.raw_query();
                let mut rows = Vec::new();
                while let Some(row) = answer.next()? {
                    rows.push(Row::of_sqlite(row)?);
                }
                rows
            }
            Tables::Postgres(client) => {
                let rows = client.query_typed(sql, &typed(values)).await?;
                rows.iter()
                    .map(Row::of_postgres)
                    .collect::<Result<_, _>>()?
            }
            Tables::InPostgres(client) => {
                let rows = client.query_typed(sql, &typed(values)).await?;
                rows.iter()
                    .map(Row::of_postgres)
                    .collect::<Result<_, _>>()?
            }
        };
        rows.into_iter().map(|mut row| read(&mut row)).collect()
    }

    /// Sends a query and reads the first row of the answer.
    async fn first<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&mut Row) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        Ok(self.query(sql, values, read).await?.into_iter().next())
    }

    /// Sends a query that answers with one row, and reads it.
    async fn one<T>(
        &self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&mut Row) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let row = self.first(sql, values, read).await?;
        row.ok_or_else(|| Fault::Strange(format!("no row where there must be one: {sql}")))
    }

    /// Which journal it is.
    pub(super) async fn identity(&self) -> Result<String, Fault> {
        self.one(
            "/* store.identity */ SELECT id FROM journal",
            values![],
            Row::text,
        )
        .await
    }

    /// Whether a deployment is active, as the partial index of each database has it.
    fn is_active(&self) -> &'static str {
        match self {
            Tables::Sqlite(_) => "active = 1",
            Tables::Postgres(_) | Tables::InPostgres(_) => "active",
        }
    }
}

/// SQLite numbers `$1` by where it first appears, so each is asked for by its name.
fn bind(statement: &mut rusqlite::Statement<'_>, values: &[Value<'_>]) -> rusqlite::Result<()> {
    for (value, number) in values.iter().zip(1..) {
        let name = format!("${number}");
        let Some(index) = statement.parameter_index(&name)? else {
            return Err(rusqlite::Error::InvalidParameterName(name));
        };
        match value {
            Value::Text(text) => statement.raw_bind_parameter(index, text)?,
            Value::Number(number) => statement.raw_bind_parameter(index, number)?,
            Value::Flag(flag) => statement.raw_bind_parameter(index, flag)?,
        }
    }
    Ok(())
}

fn typed<'a>(values: &'a [Value<'_>]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    let typed = values.iter().map(|value| match value {
        Value::Text(text) => (text as &(dyn ToSql + Sync), Type::TEXT),
        Value::Number(number) => (number as _, Type::INT8),
        Value::Flag(flag) => (flag as _, Type::BOOL),
    });
    typed.collect()
}

/// A row of an answer. Its columns are read one after the other, in the order of the query.
#[derive(Debug)]
pub(super) struct Row(IntoIter<Cell>);

#[derive(Debug)]
enum Cell {
    Null,
    Text(String),
    Number(i64),
    Flag(bool),
}

impl Row {
    fn of_sqlite(row: &rusqlite::Row<'_>) -> Result<Self, Fault> {
        let cell = |column| {
            Ok(match row.get_ref(column)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(number) => Cell::Number(number),
                ValueRef::Text(_) => Cell::Text(row.get(column)?),
                other @ (ValueRef::Real(_) | ValueRef::Blob(_)) => {
                    return Err(strange(&other.data_type()));
                }
            })
        };
        let cells: Result<Vec<_>, Fault> = (0..row.as_ref().column_count()).map(cell).collect();
        Ok(Self(cells?.into_iter()))
    }

    fn of_postgres(row: &tokio_postgres::Row) -> Result<Self, Fault> {
        let cell = |(column, described): (usize, &tokio_postgres::Column)| {
            let cell = match *described.type_() {
                Type::TEXT => row.try_get::<_, Option<_>>(column)?.map(Cell::Text),
                Type::INT8 => row.try_get::<_, Option<_>>(column)?.map(Cell::Number),
                Type::BOOL => row.try_get::<_, Option<_>>(column)?.map(Cell::Flag),
                ref other => return Err(strange(other)),
            };
            Ok(cell.unwrap_or(Cell::Null))
        };
        let cells: Result<Vec<_>, Fault> = row.columns().iter().enumerate().map(cell).collect();
        Ok(Self(cells?.into_iter()))
    }

    fn text(&mut self) -> Result<String, Fault> {
        match self.0.next() {
            Some(Cell::Text(text)) => Ok(text),
            other => Err(strange(&other)),
        }
    }

    fn optional_text(&mut self) -> Result<Option<String>, Fault> {
        match self.0.next() {
            Some(Cell::Text(text)) => Ok(Some(text)),
            Some(Cell::Null) => Ok(None),
            other => Err(strange(&other)),
        }
    }

    fn number(&mut self) -> Result<i64, Fault> {
        match self.0.next() {
            Some(Cell::Number(number)) => Ok(number),
            other => Err(strange(&other)),
        }
    }

    /// A counter; the columns are wider than what is ever counted.
    fn count(&mut self) -> Result<u32, Fault> {
        let stored = self.number()?;
        u32::try_from(stored).map_err(|_| Fault::Strange(format!("the counter {stored}")))
    }

    /// SQLite has numbers for it.
    fn flag(&mut self) -> Result<bool, Fault> {
        match self.0.next() {
            Some(Cell::Flag(flag)) => Ok(flag),
            Some(Cell::Number(number @ 0..=1)) => Ok(number == 1),
            other => Err(strange(&other)),
        }
    }
}

fn strange(found: &impl std::fmt::Debug) -> Fault {
    Fault::Strange(format!("a column with {found:?}"))
}

#[cfg(test)]
mod tests {
    use super::{Fault, Row, Tables, Value};
    use futures_util::FutureExt;
    use rusqlite::Connection;

    fn ask<T>(
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&mut Row) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let connection = Connection::open_in_memory().expect("opens");
        let tables = Tables::Sqlite(&connection);
        let answer = tables.one(sql, values, read).now_or_never();
        answer.expect("SQLite never waits")
    }

    #[test]
    fn placeholders_have_their_number_wherever_they_stand() {
        let both = |row: &mut Row| Ok((row.text()?, row.text()?, row.count()?));
        let answer = ask("SELECT $2, $1 || $2, $3", values!["a", "b", 7_u32], both);
        assert_eq!(answer.expect("read"), ("b".to_owned(), "ab".to_owned(), 7));
        let lacking = ask("SELECT $1", values!["a", "b"], Row::text);
        assert!(matches!(lacking, Err(Fault::Sqlite(_))), "{lacking:?}");
    }

    #[test]
    fn what_cannot_have_been_stored_is_said() {
        for sql in ["SELECT NULL", "SELECT -1", "SELECT 1.5", "SELECT 'x'"] {
            let strange = ask(sql, values![], Row::count);
            assert!(matches!(strange, Err(Fault::Strange(_))), "{strange:?}");
        }
        assert!(ask("SELECT 1 = 1", values![], Row::flag).expect("a flag"));
        assert!(ask("SELECT 2", values![], Row::flag).is_err());
        let none = ask("SELECT NULL", values![], Row::optional_text);
        assert_eq!(none.expect("none"), None);
    }
}
