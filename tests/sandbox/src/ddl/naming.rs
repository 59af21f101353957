//! RENAME, SWAP and OWNER: changes of what a thing is called and whose it is. Ids stay.

use super::{Context, Effect, access};
use crate::catalog::{Catalog, Id, ObjectKind};
use crate::failure::SqlError;
use crate::statement::{Name, Thing};

/// An id together with its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Database(Id),
    Schema(Id),
    Cluster(Id),
    Replica(Id),
    Role(Id),
    Object(Id),
}

/// A thing found by name.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) what: What,
    pub(super) owner: Id,
    /// As ownership errors name it.
    pub(super) label: String,
}

/// Refuses names kept for the system.
pub(super) fn check_schema_name(name: &str) -> Result<(), SqlError> {
    if name.starts_with("mz_") || name.starts_with("pg_") || name == "information_schema" {
        return Err(SqlError::internal(format!(
            "unacceptable schema name '{name}'"
        )));
    }
    Ok(())
}

/// Finds a thing by kind and name; the error says what is wrong with it.
pub(super) fn locate(
    catalog: &Catalog,
    context: Context<'_>,
    thing: Thing,
    name: &Name,
) -> Result<Found, SqlError> {
    let single = || match name.as_slice() {
        [name] => Ok(name.as_str()),
        _ => Err(SqlError::syntax(format!(
            "Expected a plain name, found {}",
            name.join(".")
        ))),
    };
    match thing {
        Thing::Database => {
            let name = single()?;
            let found = catalog
                .database(name)
                .ok_or_else(|| SqlError::internal(format!("unknown database '{name}'")))?;
            Ok(Found {
                what: What::Database(found.id),
                owner: found.owner,
                label: format!("DATABASE {name}"),
            })
        }
        Thing::Schema => {
            let found = catalog.schema(context.scope, name)?;
            Ok(Found {
                what: What::Schema(found.id),
                owner: found.owner,
                label: format!("SCHEMA {}", catalog.schema_path(found)),
            })
        }
        Thing::Cluster => {
            let found = catalog.cluster(single()?)?;
            Ok(Found {
                what: What::Cluster(found.id),
                owner: found.owner,
                label: format!("CLUSTER {}", found.name),
            })
        }
        Thing::Replica => {
            let [cluster, replica] = name.as_slice() else {
                return Err(SqlError::syntax("Expected cluster.replica"));
            };
            let cluster = catalog.cluster(cluster)?;
            let found = catalog
                .replicas
                .values()
                .find(|r| r.cluster == cluster.id && r.name == *replica);
            let found = found.ok_or_else(|| {
                SqlError::internal(format!("unknown cluster replica '{replica}'"))
            })?;
            Ok(Found {
                what: What::Replica(found.id),
                owner: found.owner,
                label: format!("CLUSTER REPLICA {}", name.join(".")),
            })
        }
        Thing::Role => {
            let found = catalog.role(single()?)?;
            Ok(Found {
                what: What::Role(found.id),
                owner: crate::catalog::MZ_SYSTEM,
                label: format!("ROLE {}", found.name),
            })
        }
        Thing::Object(kind) => {
            let found = catalog
                .object(context.scope, name)
                .ok_or_else(|| SqlError::unknown_item(&name.join(".")))?;
            if found.kind != kind {
                return Err(wrong_kind(&name.join("."), found.kind, kind));
            }
            Ok(Found {
                what: What::Object(found.id),
                owner: found.owner,
                label: access::object_label(catalog, found),
            })
        }
        Thing::Relation => {
            let found = catalog
                .object(context.scope, name)
                .ok_or_else(|| SqlError::unknown_item(&name.join(".")))?;
            Ok(Found {
                what: What::Object(found.id),
                owner: found.owner,
                label: access::object_label(catalog, found),
            })
        }
        Thing::Column | Thing::Type => Err(SqlError::unknown_item(&name.join("."))),
    }
}

fn wrong_kind(name: &str, is: ObjectKind, wanted: ObjectKind) -> SqlError {
    if wanted == ObjectKind::MaterializedView && is == ObjectKind::View {
        return SqlError::internal(format!("{name} is a view not a materialized view"));
    }
    SqlError::internal(format!("{name} is not a {}", wanted.words()))
}

pub(super) fn rename(
    catalog: &mut Catalog,
    context: Context<'_>,
    thing: Thing,
    name: &Name,
    to: &str,
    if_exists: bool,
) -> Result<Effect, SqlError> {
    let tag = format!("ALTER {}", thing.tag());
    if let (Thing::Schema, [schema]) = (thing, name.as_slice())
        && catalog.system_schema(schema).is_some()
    {
        return Err(SqlError::internal(format!(
            "renaming the {schema} schema is not supported"
        )));
    }
    let found = match locate(catalog, context, thing, name) {
        Ok(found) => found,
        Err(error) if if_exists && error.code == "XX000" => {
            return Ok(Effect::skipped(tag, format!("{}, skipping", error.message)));
        }
        Err(error) => return Err(error),
    };
    access::owners(catalog, context.scope.role, &[(found.label, found.owner)])?;
    match found.what {
        What::Database(id) => {
            if catalog.database(to).is_some() {
                return Err(SqlError::internal(format!(
                    "database '{to}' already exists"
                )));
            }
            if let Some(d) = catalog.databases.get_mut(&id) {
                d.name = to.to_owned();
            }
        }
        What::Schema(id) => {
            check_schema_name(to)?;
            let database = catalog.schemas.get(&id).and_then(|s| s.database);
            if database.is_some_and(|d| catalog.schema_in(d, to).is_some()) {
                return Err(SqlError::internal(format!("schema '{to}' already exists")));
            }
            check_references(catalog, &[name[name.len() - 1].as_str()])?;
            if let Some(s) = catalog.schemas.get_mut(&id) {
                s.name = to.to_owned();
            }
        }
        What::Cluster(id) => {
            if catalog.cluster(to).is_ok() {
                return Err(SqlError::internal("uniqueness violation"));
            }
            if let Some(c) = catalog.clusters.get_mut(&id) {
                c.name = to.to_owned();
            }
        }
        What::Replica(id) => {
            if let Some(r) = catalog.replicas.get_mut(&id) {
                r.name = to.to_owned();
            }
        }
        What::Role(_) => return Err(SqlError::internal("renaming roles is not supported")),
        What::Object(id) => rename_object(catalog, id, to)?,
    }
    Ok(Effect::tag(tag))
}

fn rename_object(catalog: &mut Catalog, id: Id, to: &str) -> Result<(), SqlError> {
    let Some(object) = catalog.objects.get(&id).cloned() else {
        return Ok(());
    };
    let key = (object.schema, object.session, to.to_owned());
    if catalog.names.contains_key(&key) {
        return Err(SqlError::internal(format!(
            "catalog item '{to}' already exists"
        )));
    }
    catalog
        .names
        .remove(&(object.schema, object.session, object.name.clone()));
    catalog.names.insert(key, id);
    catalog.change_object(id, |o| o.name = to.to_owned());
    Ok(())
}

/// Stored SQL that names a schema inside a column reference would change its meaning.
fn check_references(catalog: &Catalog, schemas: &[&str]) -> Result<(), SqlError> {
    for object in catalog.objects.values() {
        if let Some(schema) = schemas.iter().find(|s| object.qualifiers.contains(**s)) {
            let path = catalog.object_path(object);
            return Err(SqlError::internal(format!(
                "renaming conflict: in {path}, ambiguous reference to schema named {schema}"
            )));
        }
    }
    Ok(())
}

pub(super) fn swap(
    catalog: &mut Catalog,
    context: Context<'_>,
    thing: Thing,
    name: &Name,
    with: &str,
) -> Result<Effect, SqlError> {
    let tag = format!("ALTER {}", thing.tag());
    let other = match (thing, name.as_slice()) {
        (Thing::Schema, [database, _]) => vec![database.clone(), with.to_owned()],
        _ => vec![with.to_owned()],
    };
    let a = locate(catalog, context, thing, name)?;
    let b = locate(catalog, context, thing, &other)?;
    let owners = if a.what == b.what {
        vec![(a.label, a.owner)]
    } else {
        vec![(a.label, a.owner), (b.label, b.owner)]
    };
    access::owners(catalog, context.scope.role, &owners)?;
    match (a.what, b.what) {
        (What::Schema(a), What::Schema(b)) => {
            if a != b {
                check_references(catalog, &[name[name.len() - 1].as_str(), with])?;
            }
            let names = [a, b].map(|id| {
                catalog
                    .schemas
                    .get(&id)
                    .map(|s| s.name.clone())
                    .unwrap_or_default()
            });
            for (id, name) in [a, b].into_iter().zip(names.into_iter().rev()) {
                if let Some(s) = catalog.schemas.get_mut(&id) {
                    s.name = name;
                }
            }
        }
        (What::Cluster(a), What::Cluster(b)) => {
            let names = [a, b].map(|id| {
                catalog
                    .clusters
                    .get(&id)
                    .map(|c| c.name.clone())
                    .unwrap_or_default()
            });
            for (id, name) in [a, b].into_iter().zip(names.into_iter().rev()) {
                if let Some(c) = catalog.clusters.get_mut(&id) {
                    c.name = name;
                }
            }
        }
        _ => {
            return Err(SqlError::syntax(
                "Expected SCHEMA or CLUSTER before SWAP WITH",
            ));
        }
    }
    Ok(Effect::tag(tag))
}

pub(super) fn owner(
    catalog: &mut Catalog,
    context: Context<'_>,
    thing: Thing,
    name: &Name,
    to: &str,
    if_exists: bool,
) -> Result<Effect, SqlError> {
    let tag = format!("ALTER {}", thing.tag());
    // `ALTER TABLE` may name any relation here, as in PostgreSQL.
    let found = match locate(catalog, context, thing, name) {
        Ok(found) => found,
        Err(error) if if_exists && error.code == "XX000" => {
            return Ok(Effect::skipped(tag, format!("{}, skipping", error.message)));
        }
        Err(error) => return Err(error),
    };
    let new = catalog.role(to)?.id;
    // An index belongs to whom its relation belongs to; a server says so in a notice.
    if thing == Thing::Object(ObjectKind::Index) {
        return Ok(Effect {
            notices: vec![crate::failure::Notice::new(
                "cannot change owner of an index; change the owner of its relation instead",
            )],
            ..Effect::tag(tag)
        });
    }
    let role = context.scope.role;
    access::owners(catalog, role, &[(found.label, found.owner)])?;
    if !catalog.is_owner(role, new) {
        return Err(SqlError::denied(format!("must be a member of \"{to}\"")));
    }
    let old = found.owner;
    match found.what {
        What::Database(id) => {
            if let Some(d) = catalog.databases.get_mut(&id) {
                d.owner = new;
                d.acl.change_owner(old, new);
            }
        }
        What::Schema(id) => {
            if let Some(s) = catalog.schemas.get_mut(&id) {
                s.owner = new;
                s.acl.change_owner(old, new);
            }
        }
        What::Cluster(id) => {
            if let Some(c) = catalog.clusters.get_mut(&id) {
                c.owner = new;
                c.acl.change_owner(old, new);
            }
            for replica in catalog.replicas.values_mut().filter(|r| r.cluster == id) {
                replica.owner = new;
            }
        }
        What::Replica(id) => {
            if let Some(r) = catalog.replicas.get_mut(&id) {
                r.owner = new;
            }
        }
        What::Role(_) => return Err(SqlError::syntax("Expected RENAME or SET")),
        What::Object(id) => {
            let indexes: Vec<_> = catalog
                .dependents(id)
                .filter(|o| o.kind == ObjectKind::Index)
                .map(|o| o.id)
                .collect();
            for id in indexes.into_iter().chain([id]) {
                catalog.change_object(id, |o| {
                    o.owner = new;
                    o.acl.change_owner(old, new);
                });
            }
        }
    }
    Ok(Effect::tag(tag))
}
