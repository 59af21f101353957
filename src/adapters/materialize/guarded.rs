//! Renames and swaps that commit only if the catalog is as expected.
//!
//! Inside a DDL transaction nothing can be read (error 25000), and between BEGIN and the first DDL
//! statement changes by others go unnoticed. So: the first statement opens the window in which the
//! server notices every change (40001 at COMMIT), then a *second* connection reads the catalog and
//! the caller's check decides, then the rest is sent and committed. Whoever changes anything
//! between the check and COMMIT makes COMMIT fail. Measured rules: shared server facts on DDL
//! transactions, kept as recorded conformance scripts in `tests/sandbox/conformance`.

use super::catalog::About;
use super::catalog::look::Seen;
use super::error::MaterializeError;
use super::server::Materialize;
use super::session::Session;
use super::statement::Statement;
use crate::domain::catalog::tag::Tag;
use crate::domain::catalog::{Catalog, ClusterDefinition};
use std::collections::BTreeMap;

/// Names and ids of schemas of the database, of clusters and of the objects in and on them; and who
/// depends on these, so that a check can see what appeared a moment ago. What a look was not about is
/// not among it.
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
    /// Owners and privileges as the catalog has them, by kind and id: `schema u5`.
    pub raw: BTreeMap<String, String>,
    /// How the clusters are made whose definition is wanted, by name. One whose definition cannot be read is
    /// not among them.
    pub definitions: BTreeMap<String, ClusterDefinition>,
    /// Names of roles by id, where the catalog is looked at with the names.
    pub roles: BTreeMap<String, String>,
    /// The marks on schemas of the database, where these are wanted.
    pub marks: Vec<Tag>,
}

impl Names {
    /// Reads those that `about` names, at one moment. About ten peeks; each guarded transaction asks once,
    /// and whoever wants to know which side is live.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn read(materialize: &Materialize, about: &About) -> Result<Self, MaterializeError> {
        let session = materialize.session().await?;
        let seen = Seen::some(&session, "names and ids", about, false).await?;
        Self::of(&session, &seen, about).await
    }

    /// As [`Self::read`], with more of the same moment: what [`Catalog::look`] gives.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn with_catalog(
        materialize: &Materialize,
        about: &About,
    ) -> Result<(Self, Catalog), MaterializeError> {
        let session = materialize.session_patiently().await?;
        let seen = Seen::some(&session, "look", about, true).await?;
        let names = Self::of(&session, &seen, about).await?;
        Ok((names, Catalog::of(session.version(), seen)?))
    }

    async fn of(session: &Session, seen: &Seen, about: &About) -> Result<Self, MaterializeError> {
        let mut names = Self::default();
        for (id, schema) in &seen.schemas {
            if seen.is_here(schema) {
                names.schemas.insert(schema.name.clone(), id.clone());
            }
        }
        for (id, cluster) in &seen.clusters {
            names.clusters.insert(cluster.name.clone(), id.clone());
        }
        for (id, object) in &seen.objects {
            let called = match seen.schemas.get(&object.schema_id) {
                Some(schema) => format!("{}.{}", schema.name, object.name),
                None => object.name.clone(),
            };
            let place = (object.schema_id.clone(), object.cluster_id.clone());
            names.called.insert(id.clone(), called);
            names.objects.insert(id.clone(), place);
        }
        names.roles.clone_from(&seen.roles);
        names.raw = seen.raw();
        names.definitions = seen.definitions(session, &about.defined).await?;
        names.dependencies = seen.dependencies.iter().cloned().collect();
        names.marks.clone_from(&seen.marks);
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

/// Sends `first`, lets `check` look at what `about` names of the catalog, sends `rest` and commits.
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
    about: &About,
    check: impl FnOnce(&Names) -> Result<(), E>,
) -> Result<Guarded<E>, MaterializeError> {
    // Its own connection: whatever goes wrong, dropping it makes the server roll back.
    let session = materialize.own_session().await?;
    session
        .execute(&Statement::new("begin swap", "BEGIN"))
        .await?;
    session.execute(first).await?;
    let names = Names::read(materialize, about).await?;
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
