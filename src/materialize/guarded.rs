//! Renames and swaps that commit only if the catalog is as expected.
//!
//! Inside a DDL transaction nothing can be read (error 25000), and between BEGIN and the first DDL
//! statement changes by others go unnoticed. So: the first statement opens the window in which the
//! server notices every change (40001 at COMMIT), then a *second* connection reads the catalog and
//! the caller's check decides, then the rest is sent and committed. Whoever changes anything
//! between the check and COMMIT makes COMMIT fail. Measured rules: shared server facts on DDL
//! transactions, kept as recorded conformance scripts in `tests/sandbox/conformance`.

use super::catalog::{optional, text};
use super::error::MaterializeError;
use super::session::{Materialize, Statement};
use std::collections::BTreeMap;

/// The names of all schemas of the database, and of all clusters, with their ids; and who depends
/// on what, so that a check can see what appeared a moment ago.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Names {
    /// Schema id by name.
    pub schemas: BTreeMap<String, String>,
    /// Cluster id by name.
    pub clusters: BTreeMap<String, String>,
    /// Objects by id: `(schema id, cluster id)`.
    pub objects: BTreeMap<String, (String, Option<String>)>,
    /// `schema.name` of objects by id, for people.
    pub called: BTreeMap<String, String>,
    /// `(dependent, depended upon)`.
    pub dependencies: Vec<(String, String)>,
}

impl Names {
    /// Reads them in one query.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn read(materialize: &Materialize) -> Result<Self, MaterializeError> {
        let session = materialize.session().await?;
        let rows = session.query(LABEL, NAMES, &[]).await?;
        let mut names = Self::default();
        for row in &rows {
            let (first, second) = (text(row, LABEL, 1)?, text(row, LABEL, 2)?);
            match text(row, LABEL, 0)?.as_str() {
                "schema" => {
                    names.schemas.insert(first, second);
                }
                "cluster" => {
                    names.clusters.insert(first, second);
                }
                "object" => {
                    let cluster = optional(row, LABEL, 3)?;
                    names.called.insert(first.clone(), text(row, LABEL, 4)?);
                    names.objects.insert(first, (second, cluster));
                }
                "dependency" => names.dependencies.push((first, second)),
                other => {
                    return Err(MaterializeError::Unexpected {
                        label: LABEL,
                        what: format!("a row about {other:?}"),
                    });
                }
            }
        }
        Ok(names)
    }

    /// What people call the object with this id.
    #[must_use]
    pub fn name_of<'a>(&'a self, id: &'a str) -> &'a str {
        self.called.get(id).map_or(id, String::as_str)
    }
}

/// How a guarded transaction ended.
#[derive(Debug)]
pub enum Guarded<E> {
    /// COMMIT was answered.
    Committed,
    /// The check said no; nothing was changed.
    Declined(E),
    /// It may or may not have committed: only ids can tell.
    Unknown(MaterializeError),
}

/// Sends `first`, lets `check` look at the catalog, sends `rest` and commits.
///
/// With `rehearse`, ROLLBACK is sent instead of COMMIT, so that the server's refusals are seen and
/// nothing changes.
///
/// # Errors
/// Whatever the server answered *before* COMMIT was sent, and 40001 at COMMIT: nothing was changed.
pub async fn transaction<E>(
    materialize: &Materialize,
    first: &Statement,
    rest: &[Statement],
    rehearse: bool,
    check: impl FnOnce(&Names) -> Result<(), E>,
) -> Result<Guarded<E>, MaterializeError> {
    // Its own connection: whatever goes wrong, dropping it makes the server roll back.
    let session = materialize.own_session().await?;
    session
        .execute(&Statement::new("begin swap", "BEGIN"))
        .await?;
    session.execute(first).await?;
    let names = Names::read(materialize).await?;
    if let Err(refusal) = check(&names) {
        session
            .execute(&Statement::new("roll back swap", "ROLLBACK"))
            .await?;
        return Ok(Guarded::Declined(refusal));
    }
    for statement in rest {
        session.execute(statement).await?;
    }
    if rehearse {
        session
            .execute(&Statement::new("roll back swap", "ROLLBACK"))
            .await?;
        return Ok(Guarded::Committed);
    }
    match session
        .execute(&Statement::new("commit swap", "COMMIT"))
        .await
    {
        Ok(()) => Ok(Guarded::Committed),
        Err(error) if error.leaves_outcome_unknown() => Ok(Guarded::Unknown(error)),
        Err(error) => Err(error),
    }
}

const LABEL: &str = "names and ids";

const NAMES: &str = "
SELECT 'schema' AS kind, s.name::text AS first, s.id::text AS second, NULL::text AS third,
       NULL::text AS fourth
FROM mz_catalog.mz_schemas s
JOIN mz_catalog.mz_databases d ON d.id = s.database_id
WHERE d.name = current_database()
UNION ALL
SELECT 'cluster', c.name::text, c.id::text, NULL, NULL FROM mz_catalog.mz_clusters c
UNION ALL
SELECT 'object', o.id::text, o.schema_id::text, o.cluster_id::text,
       coalesce(s.name || '.', '') || o.name
FROM mz_catalog.mz_objects o LEFT JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id
WHERE o.id LIKE 'u%' AND o.schema_id IS NOT NULL
UNION ALL
SELECT 'dependency', x.object_id::text, x.referenced_object_id::text, NULL, NULL
FROM mz_internal.mz_object_dependencies x
WHERE x.object_id LIKE 'u%' AND x.referenced_object_id LIKE 'u%'";
