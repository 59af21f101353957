//! The table that says what is live. It is written, and never read.

use super::catalog::{About, columns_of};
use super::ddl::{self, Target};
use super::error::MaterializeError;
use super::guarded::Names;
use super::native_ddl;
use super::server::Materialize;
use super::statement::Statement;
use crate::domain::catalog::ObjectKind;
use crate::domain::catalog::grants::Grant;
use crate::foundation::sql::identifier::Ident;
use crate::foundation::sql::identifier::{Literal, Qualified};
use std::time::Duration;

/// The columns, with their types as the table is made.
const COLUMNS: [(&str, &str); 7] = [
    ("environment", "text"),
    ("kind", "text"),
    ("name", "text"),
    ("deployment", "text"),
    ("revision", "text"),
    ("since", "timestamptz"),
    ("released_by", "text"),
];

/// What is live at one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LiveRow {
    /// `schema` or `cluster`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The deployment that made it live.
    pub deployment: String,
    /// The revision of the project, where it is known.
    pub revision: Option<String>,
    /// Since when, RFC 3339.
    pub since: String,
    /// Who released it, where that is known.
    pub by: Option<String>,
}

/// A table of this name, as the catalog has it.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// It is there, and of the form that is written.
    Table,
    /// Nothing; whether its schema is there.
    Nothing {
        /// Whether the schema is there.
        has_schema: bool,
    },
    /// Something else has its name.
    Other,
}

/// Looks for it. Four peeks, and one more where something has the name; a release asks once, where the table is
/// wanted.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn find(
    materialize: &Materialize,
    schema: &str,
    name: &str,
) -> Result<Found, MaterializeError> {
    let about = About {
        schemas: [schema.to_owned()].into(),
        object_names: [name.to_owned()].into(),
        names_only: true,
        ..About::default()
    };
    let names = Names::read(materialize, &about).await?;
    let Some(home) = names.schemas.get(schema) else {
        return Ok(Found::Nothing { has_schema: false });
    };
    let called = format!("{schema}.{name}");
    let mut objects = names.objects.iter();
    let found = objects.find(|(id, (at, _))| at == home && names.name_of(id) == called);
    let Some((id, _)) = found else {
        return Ok(Found::Nothing { has_schema: true });
    };
    let columns = columns_of(materialize, &[id]).await?;
    let columns = columns.get(id).cloned().unwrap_or_default();
    let is_ours = columns.len() == COLUMNS.len()
        && COLUMNS
            .iter()
            .all(|(column, _)| columns.contains_key(*column));
    Ok(match is_ours {
        true => Found::Table,
        false => Found::Other,
    })
}

/// The statements that make it, so that everybody may read it.
#[must_use]
pub fn making(database: &str, schema: &str, name: &str, has_schema: bool) -> Vec<Statement> {
    let table = Qualified::object(database, schema, name);
    let everybody = |privilege: &str| Grant {
        grantee: None,
        privilege: privilege.to_owned(),
    };
    let mut statements = Vec::new();
    if !has_schema {
        statements.push(ddl::create_schema(database, schema));
        let target = Target::Schema(Qualified::schema(database, schema));
        statements.push(ddl::grant(&target, &everybody("USAGE")));
    }
    statements.push(native_ddl::create_table(&table, COLUMNS.into_iter()));
    let target = Target::Object(ObjectKind::Table, table);
    statements.push(ddl::grant(&target, &everybody("SELECT")));
    statements
}

/// The statements that take out what is said of these places and say the rows instead. They cannot share a
/// transaction: between them a reader finds nothing about these places.
#[must_use]
pub fn saying(
    (database, schema, name): (&str, &str, &str),
    environment: &str,
    places: &[(&str, &str)],
    rows: &[LiveRow],
) -> Vec<Statement> {
    let table = Qualified::object(database, schema, name);
    let of = |kind: &str| -> Option<String> {
        let places = places.iter().filter(|(of, _)| *of == kind);
        let names: Vec<String> = places.map(|(_, name)| Literal(name).to_string()).collect();
        let names = Some(names.join(", ")).filter(|names| !names.is_empty())?;
        Some(format!("kind = '{kind}' AND name IN ({names})"))
    };
    let which: Vec<String> = ["schema", "cluster"].into_iter().filter_map(of).collect();
    let mut statements = Vec::new();
    if !which.is_empty() {
        statements.push(Statement::new(
            "take out what is live",
            format!(
                "DELETE FROM {table} WHERE environment = {} AND (({}))",
                Literal(environment),
                which.join(") OR (")
            ),
        ));
    }
    let text = |text: &Option<String>| match text {
        Some(text) => Literal(text).to_string(),
        None => "NULL".to_owned(),
    };
    let rows: Vec<String> = rows
        .iter()
        .map(|row| {
            format!(
                "({}, {}, {}, {}, {}, {}, {})",
                Literal(environment),
                Literal(row.kind),
                Literal(&row.name),
                Literal(&row.deployment),
                text(&row.revision),
                Literal(&row.since),
                text(&row.by)
            )
        })
        .collect();
    if !rows.is_empty() {
        let columns: Vec<String> = COLUMNS
            .iter()
            .map(|(it, _)| Ident(it).to_string())
            .collect();
        statements.push(Statement::new(
            "say what is live",
            format!(
                "INSERT INTO {table} ({}) VALUES {}",
                columns.join(", "),
                rows.join(", ")
            ),
        ));
    }
    statements
}

/// Sends them. What takes rows out reads the table first, and runs on this cluster.
///
/// # Errors
/// See [`MaterializeError`]; a deadline where the cluster does not answer.
pub async fn say(
    materialize: &Materialize,
    cluster: &str,
    statements: &[Statement],
    deadline: Duration,
) -> Result<(), MaterializeError> {
    let session = materialize.own_session_within(deadline).await?;
    session.execute(&native_ddl::set_cluster(cluster)).await?;
    for statement in statements {
        session.execute(statement).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{LiveRow, making, saying};

    #[test]
    fn what_is_said_replaces_what_was_said_of_the_same_places() {
        let row = LiveRow {
            kind: "schema",
            name: "it's".to_owned(),
            deployment: "d".to_owned(),
            revision: None,
            since: "2026-01-01T00:00:00Z".to_owned(),
            by: Some("ada".to_owned()),
        };
        let places = [("schema", "it's"), ("cluster", "c")];
        let table = ("db", "cutover", "live");
        let sent: Vec<String> = saying(table, "prod", &places, &[row])
            .iter()
            .map(|it| it.sql().to_owned())
            .collect();
        assert_eq!(
            sent,
            [
                "DELETE FROM \"db\".\"cutover\".\"live\" WHERE environment = 'prod' AND ((kind = 'schema' AND name IN ('it''s')) OR (kind = 'cluster' AND name IN ('c')))",
                "INSERT INTO \"db\".\"cutover\".\"live\" (\"environment\", \"kind\", \"name\", \"deployment\", \"revision\", \"since\", \"released_by\") VALUES ('prod', 'schema', 'it''s', 'd', NULL, '2026-01-01T00:00:00Z', 'ada')"
            ]
        );
        assert!(saying(table, "prod", &[], &[]).is_empty());
        assert_eq!(making("db", "cutover", "live", true).len(), 2);
        assert_eq!(making("db", "cutover", "live", false).len(), 4);
    }
}
