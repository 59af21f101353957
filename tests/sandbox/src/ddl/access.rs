//! Checks of ownership and privileges, with Materialize's words.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Cluster, Database, Id, Mode, Object, ObjectKind, Schema};
use crate::failure::SqlError;

/// Refuses unless the role counts as owner of all; names what is missing.
pub fn owners(catalog: &Catalog, role: Id, things: &[(String, Id)]) -> Result<(), SqlError> {
    let missing: Vec<_> = things
        .iter()
        .filter(|(_, owner)| !catalog.is_owner(role, *owner))
        .map(|(label, _)| label.as_str())
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(SqlError::denied(format!(
            "must be owner of {}",
            missing.join(", ")
        )))
    }
}

/// `TABLE materialize.g.t`, as ownership errors name an object.
pub fn object_label(catalog: &Catalog, object: &Object) -> String {
    format!(
        "{} {}",
        object.kind.words().to_uppercase(),
        catalog.object_path(object)
    )
}

fn denied(kind: &str, path: &str) -> SqlError {
    SqlError::denied(format!("permission denied for {kind} \"{path}\""))
}

/// A system privilege.
pub fn system(catalog: &Catalog, role: Id, mode: Mode) -> Result<(), SqlError> {
    if catalog.may(role, &catalog.system_acl, mode) {
        Ok(())
    } else {
        Err(SqlError::denied("permission denied for SYSTEM"))
    }
}

/// A privilege on a database.
pub fn database(
    catalog: &Catalog,
    role: Id,
    database: &Database,
    mode: Mode,
) -> Result<(), SqlError> {
    if catalog.may(role, &database.acl, mode) {
        Ok(())
    } else {
        Err(denied("DATABASE", &database.name))
    }
}

/// A privilege on a schema.
pub fn schema(catalog: &Catalog, role: Id, schema: &Schema, mode: Mode) -> Result<(), SqlError> {
    if catalog.may(role, &schema.acl, mode) {
        Ok(())
    } else {
        Err(denied("SCHEMA", &catalog.schema_path(schema)))
    }
}

/// A privilege on a cluster.
pub fn cluster(catalog: &Catalog, role: Id, cluster: &Cluster, mode: Mode) -> Result<(), SqlError> {
    if catalog.may(role, &cluster.acl, mode) {
        Ok(())
    } else {
        Err(denied("CLUSTER", &cluster.name))
    }
}

/// A privilege on an object and USAGE on where it lies.
pub fn object(catalog: &Catalog, role: Id, object: &Object, mode: Mode) -> Result<(), SqlError> {
    if object.session.is_some() {
        return Ok(());
    }
    if let Some(found) = catalog.schemas.get(&object.schema) {
        if let Some(found) = found.database.and_then(|id| catalog.databases.get(&id)) {
            database(catalog, role, found, Mode::Usage)?;
        }
        schema(catalog, role, found, Mode::Usage)?;
    }
    if catalog.may(role, &object.acl, mode) {
        return Ok(());
    }
    let kind = match object.kind {
        ObjectKind::MaterializedView => "MATERIALIZED VIEW".to_owned(),
        ObjectKind::Table
        | ObjectKind::View
        | ObjectKind::Index
        | ObjectKind::Source
        | ObjectKind::Sink
        | ObjectKind::Connection
        | ObjectKind::Secret => object.kind.words().to_uppercase(),
    };
    Err(denied(&kind, &catalog.object_path(object)))
}

/// SELECT on each of the objects.
pub fn reads(catalog: &Catalog, role: Id, objects: &BTreeSet<Id>) -> Result<(), SqlError> {
    objects
        .iter()
        .filter_map(|id| catalog.objects.get(id))
        .try_for_each(|o| object(catalog, role, o, Mode::Select))
}
