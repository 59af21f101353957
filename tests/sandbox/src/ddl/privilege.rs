//! Roles, memberships, grants and default privileges.

use std::collections::BTreeSet;

use super::naming::{self, What};
use super::{Context, Effect, access};
use crate::catalog::{
    Acl, Catalog, DefaultPrivilege, Grantee, Id, Mode, ObjectKind, ObjectType, Role, modes_of,
};
use crate::failure::SqlError;
use crate::statement::{GrantOn, Name, RoleName, Thing};

/// The kind of privileges an object carries; indexes and sinks have none.
pub(super) fn type_of(kind: ObjectKind) -> Option<ObjectType> {
    match kind {
        ObjectKind::Table
        | ObjectKind::View
        | ObjectKind::MaterializedView
        | ObjectKind::Source => Some(ObjectType::Table),
        ObjectKind::Connection => Some(ObjectType::Connection),
        ObjectKind::Secret => Some(ObjectType::Secret),
        ObjectKind::Index | ObjectKind::Sink => None,
    }
}

/// Privileges of a new thing: the owner's, and what default privileges say.
pub(super) fn initial(
    catalog: &Catalog,
    owner: Id,
    object_type: ObjectType,
    database: Option<Id>,
    schema: Option<Id>,
) -> Acl {
    let mut acl = Acl::owned(owner, object_type);
    for (rule, modes) in &catalog.defaults {
        let applies = rule.object_type == object_type
            && (rule.creator == Grantee::Public || rule.creator == Grantee::Role(owner))
            && (rule.database.is_none() || rule.database == database)
            && (rule.schema.is_none() || rule.schema == schema);
        if applies {
            acl.grant(rule.grantee, owner, modes.iter().copied());
        }
    }
    acl
}

pub(super) fn create_role(
    catalog: &mut Catalog,
    context: Context<'_>,
    name: &str,
) -> Result<Effect, SqlError> {
    if catalog.role(name).is_ok() {
        return Err(SqlError::internal(format!("role '{name}' already exists")));
    }
    access::system(catalog, context.scope.role, Mode::CreateRole)?;
    if name.starts_with("mz_") || name.starts_with("pg_") || name == "public" {
        return Err(SqlError::new(
            "42939",
            format!("role name \"{name}\" is reserved"),
        ));
    }
    add_role(catalog, name);
    Ok(Effect::tag("CREATE ROLE"))
}

/// Adds a role without asking, as a first login does.
pub fn add_role(catalog: &mut Catalog, name: &str) -> Id {
    let (id, oid) = (catalog.next_role(), catalog.next_oid());
    catalog.roles.insert(
        id,
        Role {
            id,
            oid,
            name: name.to_owned(),
            superuser: false,
        },
    );
    id
}

pub(super) fn membership(
    catalog: &mut Catalog,
    context: Context<'_>,
    grant: bool,
    roles: &[String],
    members: &[String],
) -> Result<Effect, SqlError> {
    access::system(catalog, context.scope.role, Mode::CreateRole)?;
    for role in roles {
        let role = catalog.role(role)?.id;
        for member in members {
            let found = catalog.role(member)?.id;
            if grant && catalog.roles_of(role).contains(&found) {
                return Err(SqlError::internal(format!(
                    "role \"{member}\" would be a member of itself"
                )));
            }
            if grant {
                catalog.members.insert((role, found), context.scope.role);
            } else {
                catalog.members.remove(&(role, found));
            }
        }
    }
    Ok(Effect::tag(if grant {
        "GRANT ROLE"
    } else {
        "REVOKE ROLE"
    }))
}

fn grantees(catalog: &Catalog, roles: &[RoleName]) -> Result<Vec<Grantee>, SqlError> {
    roles
        .iter()
        .map(|role| match role {
            RoleName::Public => Ok(Grantee::Public),
            RoleName::Named(name) => catalog.role(name).map(|r| Grantee::Role(r.id)),
        })
        .collect()
}

/// Everything a GRANT names.
fn targets(catalog: &Catalog, context: Context<'_>, on: &GrantOn) -> Result<Vec<What>, SqlError> {
    let objects_in = |schemas: &[Id], object_type: ObjectType| {
        let inside = catalog
            .objects
            .values()
            .filter(|o| schemas.contains(&o.schema) && type_of(o.kind) == Some(object_type));
        inside.map(|o| What::Object(o.id)).collect::<Vec<_>>()
    };
    Ok(match on {
        GrantOn::System => Vec::new(),
        GrantOn::Named(thing, names) => {
            // A relation of any kind may be called a table here.
            let thing = if *thing == Thing::Object(ObjectKind::Table) {
                Thing::Relation
            } else {
                *thing
            };
            names
                .iter()
                .map(|name| naming::locate(catalog, context, thing, name).map(|f| f.what))
                .collect::<Result<_, _>>()?
        }
        GrantOn::AllInSchemas(object_type, names) => {
            let schemas = names
                .iter()
                .map(|n| catalog.schema(context.scope, n).map(|s| s.id))
                .collect::<Result<Vec<_>, _>>()?;
            objects_in(&schemas, *object_type)
        }
        GrantOn::AllInDatabases(object_type, names) => {
            let mut databases = Vec::new();
            for name in names {
                let name = name.join(".");
                let found = catalog
                    .database(&name)
                    .ok_or_else(|| SqlError::internal(format!("unknown database '{name}'")))?;
                databases.push(Some(found.id));
            }
            let schemas: Vec<_> = catalog
                .schemas
                .values()
                .filter(|s| databases.contains(&s.database))
                .map(|s| s.id)
                .collect();
            if *object_type == ObjectType::Schema {
                schemas.into_iter().map(What::Schema).collect()
            } else {
                objects_in(&schemas, *object_type)
            }
        }
        GrantOn::All(object_type) => match object_type {
            ObjectType::Database => catalog
                .databases
                .keys()
                .copied()
                .map(What::Database)
                .collect(),
            ObjectType::Schema => catalog
                .schemas
                .keys()
                .filter(|id| !id.system)
                .copied()
                .map(What::Schema)
                .collect(),
            ObjectType::Cluster => catalog
                .clusters
                .keys()
                .filter(|id| !id.system)
                .copied()
                .map(What::Cluster)
                .collect(),
            ObjectType::Table
            | ObjectType::Type
            | ObjectType::Secret
            | ObjectType::Connection
            | ObjectType::System => {
                let schemas: Vec<_> = catalog
                    .schemas
                    .keys()
                    .filter(|id| !id.system)
                    .copied()
                    .collect();
                objects_in(&schemas, *object_type)
            }
        },
    })
}

/// Kind, owner and name of a target.
fn describe(catalog: &Catalog, what: What) -> Option<(ObjectType, Id, String)> {
    match what {
        What::Database(id) => catalog.databases.get(&id).map(|d| {
            (
                ObjectType::Database,
                d.owner,
                format!("DATABASE {}", d.name),
            )
        }),
        What::Schema(id) => catalog.schemas.get(&id).map(|s| {
            (
                ObjectType::Schema,
                s.owner,
                format!("SCHEMA {}", catalog.schema_path(s)),
            )
        }),
        What::Cluster(id) => catalog
            .clusters
            .get(&id)
            .map(|c| (ObjectType::Cluster, c.owner, format!("CLUSTER {}", c.name))),
        What::Object(id) => {
            let object = catalog.objects.get(&id)?;
            Some((
                type_of(object.kind)?,
                object.owner,
                access::object_label(catalog, object),
            ))
        }
        What::Replica(_) | What::Role(_) => None,
    }
}

fn change_acl(catalog: &mut Catalog, what: What, change: impl FnOnce(&mut Acl)) {
    match what {
        What::Database(id) => catalog
            .databases
            .get_mut(&id)
            .map(|d| &mut d.acl)
            .map(change),
        What::Schema(id) => catalog.schemas.get_mut(&id).map(|s| &mut s.acl).map(change),
        What::Cluster(id) => catalog
            .clusters
            .get_mut(&id)
            .map(|c| &mut c.acl)
            .map(change),
        What::Object(id) => {
            catalog.change_object(id, |o| change(&mut o.acl));
            None
        }
        What::Replica(_) | What::Role(_) => None,
    };
}

pub(super) fn privileges(
    catalog: &mut Catalog,
    context: Context<'_>,
    grant: bool,
    modes: Option<&[Mode]>,
    on: &GrantOn,
    roles: &[RoleName],
) -> Result<Effect, SqlError> {
    let role = context.scope.role;
    let grantees = grantees(catalog, roles)?;
    let tag = if grant { "GRANT" } else { "REVOKE" };
    if *on == GrantOn::System {
        if !catalog.is_superuser(role) {
            return Err(SqlError::denied("must be owner of SYSTEM"));
        }
        let modes = modes.unwrap_or_else(|| modes_of(ObjectType::System));
        for grantee in grantees {
            if grant {
                catalog
                    .system_acl
                    .grant(grantee, role, modes.iter().copied());
            } else {
                catalog.system_acl.revoke(grantee, modes);
            }
        }
        return Ok(Effect::tag(tag));
    }
    let targets = targets(catalog, context, on)?;
    let mut owners = Vec::new();
    for what in &targets {
        let Some((object_type, owner, label)) = describe(catalog, *what) else {
            return Err(SqlError::internal(
                "cannot grant privileges on that kind of object",
            ));
        };
        let allowed = modes_of(object_type);
        if let Some(bad) = modes.into_iter().flatten().find(|m| !allowed.contains(m)) {
            return Err(SqlError::internal(format!(
                "invalid privilege types {} for {label}",
                format!("{bad:?}").to_uppercase()
            )));
        }
        owners.push((label, owner));
    }
    access::owners(catalog, role, &owners)?;
    for what in targets {
        let Some((object_type, owner, _)) = describe(catalog, what) else {
            continue;
        };
        let modes = modes.unwrap_or_else(|| modes_of(object_type));
        for grantee in &grantees {
            change_acl(catalog, what, |acl| {
                if grant {
                    acl.grant(*grantee, owner, modes.iter().copied());
                } else {
                    acl.revoke(*grantee, modes);
                }
            });
        }
    }
    Ok(Effect::tag(tag))
}

/// The rule part of ALTER DEFAULT PRIVILEGES.
#[derive(Debug)]
pub(super) struct Defaults<'a> {
    pub(super) creators: Option<&'a [String]>,
    pub(super) schemas: &'a [Name],
    pub(super) databases: &'a [String],
    pub(super) object_type: ObjectType,
    pub(super) grantees: &'a [RoleName],
}

pub(super) fn defaults(
    catalog: &mut Catalog,
    context: Context<'_>,
    rule: &Defaults<'_>,
    grant: bool,
    modes: Option<&[Mode]>,
) -> Result<Effect, SqlError> {
    let role = context.scope.role;
    let creators = match rule.creators {
        None if catalog.is_superuser(role) => vec![Grantee::Public],
        None => {
            return Err(SqlError::denied(
                "permission denied to ALTER DEFAULT PRIVILEGES FOR ALL ROLES",
            ));
        }
        Some(names) => {
            let mut out = Vec::new();
            for name in names {
                let creator = catalog.role(name)?.id;
                if !catalog.is_owner(role, creator) {
                    return Err(SqlError::denied(format!("must be a member of \"{name}\"")));
                }
                out.push(Grantee::Role(creator));
            }
            out
        }
    };
    let mut places = Vec::new();
    for name in rule.schemas {
        let schema = catalog.schema(context.scope, name)?;
        places.push((schema.database, Some(schema.id)));
    }
    for name in rule.databases {
        let found = catalog
            .database(name)
            .ok_or_else(|| SqlError::internal(format!("unknown database '{name}'")))?;
        places.push((Some(found.id), None));
    }
    if places.is_empty() {
        places.push((None, None));
    }
    let modes: BTreeSet<Mode> = modes
        .unwrap_or_else(|| modes_of(rule.object_type))
        .iter()
        .copied()
        .collect();
    for grantee in grantees(catalog, rule.grantees)? {
        for creator in &creators {
            for (database, schema) in &places {
                let key = DefaultPrivilege {
                    creator: *creator,
                    database: *database,
                    schema: *schema,
                    object_type: rule.object_type,
                    grantee,
                };
                let held = catalog.defaults.entry(key.clone()).or_default();
                if grant {
                    held.extend(modes.iter().copied());
                } else {
                    held.retain(|m| !modes.contains(m));
                    if held.is_empty() {
                        catalog.defaults.remove(&key);
                    }
                }
            }
        }
    }
    Ok(Effect::tag("ALTER DEFAULT PRIVILEGES"))
}
