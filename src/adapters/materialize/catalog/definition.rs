//! How things of the catalog were made, so that more like them can be.

use crate::adapters::materialize::ddl;
use crate::adapters::materialize::error::MaterializeError;
use crate::adapters::materialize::session::{Session, Statement};
use crate::domain::catalog::{Catalog, Cluster, ClusterDefinition, Object, ReplicaDefinition};
use crate::foundation::sql::identifier::{Ident, Qualified};

impl Catalog {
    /// How to make a cluster like this one, or why that is not possible.
    ///
    /// # Errors
    /// The server's; a definition that cannot be cloned is the inner error, one sentence.
    pub async fn cluster_definition(
        &self,
        session: &Session,
        cluster: &Cluster,
    ) -> Result<Result<ClusterDefinition, String>, MaterializeError> {
        if !cluster.managed {
            return Ok(unmanaged(&cluster.replicas));
        }
        managed(session, &cluster.name).await
    }

    /// What follows the relation's name in an index's definition; the inner error is an answer of a
    /// form that is not known.
    ///
    /// # Errors
    /// The server's.
    pub async fn index_key(
        &self,
        session: &Session,
        index: &Object,
    ) -> Result<Result<String, String>, MaterializeError> {
        let Some(schema) = self.schemas.get(&index.schema_id) else {
            return Ok(Err("its schema cannot be found".to_owned()));
        };
        let name = Qualified::object(&schema.database, &schema.name, &index.name);
        let statement = Statement::new("show create index", format!("SHOW CREATE INDEX {name}"));
        let rows = session.simple(&statement).await?;
        let create = rows.first().and_then(|row| row.get(1)).unwrap_or_default();
        Ok(crate::foundation::sql::scan::index_key(create))
    }
}

/// How a managed cluster is made; the inner error is an answer of a form that is not known.
///
/// # Errors
/// The server's.
pub(super) async fn managed(
    session: &Session,
    name: &str,
) -> Result<Result<ClusterDefinition, String>, MaterializeError> {
    let rows = session
        .simple(&Statement::new(
            "show create cluster",
            format!("SHOW CREATE CLUSTER {}", Ident(name)),
        ))
        .await?;
    let create = rows.first().and_then(|row| row.get(1)).unwrap_or_default();
    Ok(ddl::managed_options(name, create)
        .map(|options| ClusterDefinition::Managed { options })
        .map_err(|answer| {
            format!("SHOW CREATE CLUSTER answered in a form that is not known: {answer}")
        }))
}

/// How a cluster is made that has these replicas: name, size, availability zone; sorted.
pub(super) fn unmanaged(
    replicas: &[(String, Option<String>, Option<String>)],
) -> Result<ClusterDefinition, String> {
    replicas
        .iter()
        .map(|(name, size, availability_zone)| {
            Ok(ReplicaDefinition {
                name: name.clone(),
                size: size
                    .clone()
                    .ok_or_else(|| format!("replica {name} has no size"))?,
                availability_zone: availability_zone.clone(),
            })
        })
        .collect::<Result<Vec<_>, String>>()
        .map(|replicas| ClusterDefinition::Unmanaged { replicas })
}
