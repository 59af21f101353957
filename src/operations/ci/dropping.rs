//! Dropping what is a corner's, by the names that it has in a catalog that was read just now. Never by CASCADE.

use super::error::CiError;
use crate::adapters::materialize::{Session, ddl};
use crate::domain::catalog::{Catalog, Object, Schema};
use crate::operations::ci::namespace::send;
use crate::operations::takedown::order::dependents_first;

/// Drops objects, in lists of which none depends on another. Indexes go with what they are on.
///
/// # Errors
/// The server's, when something else depends on what goes.
pub(super) async fn drop_objects(
    session: &Session,
    catalog: &Catalog,
    objects: &[&Object],
) -> Result<(), CiError> {
    for list in dependents_first(catalog, objects) {
        let Some(first) = list.first() else { continue };
        let names: Vec<String> = list
            .iter()
            .filter_map(|object| catalog.qualified(object, &object.name))
            .map(|name| name.to_string())
            .collect();
        if !names.is_empty() {
            send(session, &ddl::drop_objects(first.kind, &names)).await?;
        }
    }
    Ok(())
}

/// Drops schemas with everything in them: all objects first, since those of one schema read those of another.
///
/// # Errors
/// As [`drop_objects`].
pub(super) async fn drop_schemas(
    session: &Session,
    catalog: &Catalog,
    schemas: &[&Schema],
) -> Result<(), CiError> {
    let objects = schemas.iter();
    let objects = objects.flat_map(|schema| catalog.objects_in_schema(&schema.id));
    let objects: Vec<&Object> = objects.collect();
    drop_objects(session, catalog, &objects).await?;
    for schema in schemas {
        send(session, &ddl::drop_schema(&schema.database, &schema.name)).await?;
    }
    Ok(())
}
