//! DROP and DROP OWNED. Dependents are found by id; without CASCADE nothing that is still used goes away.

use std::collections::BTreeSet;

use super::naming::{self, What};
use super::{Context, Effect, access};
use crate::catalog::{Catalog, CommentOn, Grantee, Id, MZ_SYSTEM, Object, ObjectKind};
use crate::failure::{Notice, SqlError};
use crate::statement::{Name, Thing};

pub(super) fn drop(
    catalog: &mut Catalog,
    context: Context<'_>,
    thing: Thing,
    names: &[Name],
    if_exists: bool,
    cascade: bool,
    restrict: bool,
) -> Result<Effect, SqlError> {
    let mut effect = Effect::tag(format!("DROP {}", thing.tag()));
    for name in names {
        if let (Thing::Schema, Some(schema)) = (thing, name.last())
            && catalog.system_schema(schema).is_some()
        {
            return Err(SqlError::internal(format!(
                "cannot drop schema {schema} because it is required by the database system"
            )));
        }
        let found = match naming::locate(catalog, context, thing, name) {
            Ok(found) => found,
            Err(error) if if_exists && error.message.starts_with("unknown") => {
                let kind = thing.tag().to_lowercase();
                effect.notices.push(Notice::new(format!(
                    "{kind} \"{}\" does not exist, skipping",
                    name.join(".")
                )));
                continue;
            }
            Err(error) => return Err(error),
        };
        if matches!(found.what, What::Role(_)) {
            access::system(
                catalog,
                context.scope.role,
                crate::catalog::Mode::CreateRole,
            )?;
        } else {
            access::owners(
                catalog,
                context.scope.role,
                &[(found.label.clone(), found.owner)],
            )?;
        }
        let notice = drop_one(catalog, context, found.what, name, cascade, restrict)?;
        effect.notices.extend(notice);
    }
    Ok(effect)
}

fn drop_one(
    catalog: &mut Catalog,
    context: Context<'_>,
    what: What,
    name: &Name,
    cascade: bool,
    restrict: bool,
) -> Result<Option<Notice>, SqlError> {
    match what {
        What::Database(id) => {
            let schemas: Vec<_> = catalog
                .schemas
                .values()
                .filter(|s| s.database == Some(id))
                .map(|s| s.id)
                .collect();
            if restrict && !schemas.is_empty() {
                let message = format!(
                    "database '{}' cannot be dropped with RESTRICT while it contains schemas",
                    name.join(".")
                );
                return Err(SqlError::internal(message));
            }
            let roots: Vec<_> = catalog
                .objects
                .values()
                .filter(|o| schemas.contains(&o.schema))
                .map(|o| o.id)
                .collect();
            let notice = remove(catalog, context, roots, &BTreeSet::new());
            for schema in schemas {
                remove_schema(catalog, schema);
            }
            catalog.databases.remove(&id);
            catalog.comments.remove(&CommentOn::Database(id));
            catalog.defaults.retain(|rule, _| rule.database != Some(id));
            Ok(notice)
        }
        What::Schema(id) => {
            let roots: Vec<_> = catalog
                .objects
                .values()
                .filter(|o| o.schema == id)
                .map(|o| o.id)
                .collect();
            if !cascade && !roots.is_empty() {
                let path = catalog
                    .schemas
                    .get(&id)
                    .map(|s| catalog.schema_path(s))
                    .unwrap_or_default();
                let message = format!(
                    "schema '{path}' cannot be dropped without CASCADE while it contains objects"
                );
                return Err(SqlError::internal(message));
            }
            let notice = remove(catalog, context, roots, &BTreeSet::new());
            remove_schema(catalog, id);
            Ok(notice)
        }
        What::Cluster(id) => {
            let roots: Vec<_> = catalog
                .objects
                .values()
                .filter(|o| o.cluster == Some(id))
                .map(|o| o.id)
                .collect();
            if !cascade && !roots.is_empty() {
                return Err(SqlError::internal(format!(
                    "cannot drop cluster \"{}\" because other objects depend on it",
                    name.join(".")
                )));
            }
            let notice = remove(catalog, context, roots, &BTreeSet::new());
            catalog.clusters.remove(&id);
            catalog.replicas.retain(|_, r| r.cluster != id);
            catalog.comments.remove(&CommentOn::Cluster(id));
            Ok(notice)
        }
        What::Replica(id) => {
            let cluster = catalog
                .replicas
                .get(&id)
                .and_then(|r| catalog.clusters.get(&r.cluster));
            if let Some(cluster) = cluster.filter(|c| c.managed.is_some()) {
                return Err(SqlError::internal(format!(
                    "cannot modify managed cluster {}",
                    cluster.name
                )));
            }
            catalog.replicas.remove(&id);
            catalog.comments.remove(&CommentOn::Replica(id));
            Ok(None)
        }
        What::Role(id) => drop_role(catalog, context, id, name).map(|()| None),
        What::Object(id) => drop_object(catalog, context, id, cascade),
    }
}

fn remove_schema(catalog: &mut Catalog, id: Id) {
    catalog.schemas.remove(&id);
    catalog.comments.remove(&CommentOn::Schema(id));
    catalog.defaults.retain(|rule, _| rule.schema != Some(id));
}

/// What goes with an object without being asked: its indexes, a source's own collections.
fn is_part_of(object: &Object, of: Id) -> bool {
    object.details.on == Some(of) && object.kind == ObjectKind::Index
        || object.details.source == Some(of) && object.kind == ObjectKind::Source
}

fn drop_object(
    catalog: &mut Catalog,
    context: Context<'_>,
    id: Id,
    cascade: bool,
) -> Result<Option<Notice>, SqlError> {
    let mut own: BTreeSet<Id> = BTreeSet::from([id]);
    let parts: Vec<_> = catalog
        .dependents(id)
        .filter(|o| is_part_of(o, id))
        .map(|o| o.id)
        .collect();
    own.extend(parts);
    if !cascade {
        let user = own
            .iter()
            .flat_map(|id| catalog.dependents(*id))
            .find(|o| !own.contains(&o.id) && !own.iter().any(|id| is_part_of(o, *id)));
        if let (Some(user), Some(object)) = (user, catalog.objects.get(&id)) {
            let what = format!(
                "{} \"{}\"",
                object.kind.words(),
                catalog.short_path(context.scope, object)
            );
            let by = format!(
                "{} \"{}\"",
                user.kind.words(),
                catalog.short_path(context.scope, user)
            );
            return Err(SqlError::internal(format!(
                "cannot drop {what}: still depended upon by {by}"
            )));
        }
    }
    Ok(remove(catalog, context, own.clone(), &own))
}

/// Removes objects and all their dependents; the notice lists what was not in `expected`.
fn remove(
    catalog: &mut Catalog,
    context: Context<'_>,
    roots: impl IntoIterator<Item = Id>,
    expected: &BTreeSet<Id>,
) -> Option<Notice> {
    let roots: BTreeSet<Id> = roots.into_iter().collect();
    let named = if expected.is_empty() {
        BTreeSet::new()
    } else {
        expected.clone()
    };
    let all = catalog.closure(roots.iter().copied());
    let lines: Vec<_> = all
        .iter()
        .filter(|id| !named.contains(id))
        .filter_map(|id| catalog.objects.get(id))
        .map(|o| {
            format!(
                "drop cascades to {} {}",
                o.kind.words(),
                catalog.short_path(context.scope, o)
            )
        })
        .collect();
    for id in all {
        catalog.remove_object(id);
    }
    match lines.as_slice() {
        [] => None,
        [one] => Some(Notice::new(one.clone())),
        many => Some(Notice {
            message: format!("drop cascades to {} other objects", many.len()),
            detail: Some(many.join("\n")),
        }),
    }
}

fn drop_role(
    catalog: &mut Catalog,
    context: Context<'_>,
    id: Id,
    name: &Name,
) -> Result<(), SqlError> {
    if id.system || id == context.scope.role {
        return Err(SqlError::new(
            "55006",
            format!("role {:?} cannot be dropped", name.join(".")),
        ));
    }
    let grantee = Grantee::Role(id);
    let used = catalog
        .databases
        .values()
        .any(|d| d.owner == id || d.acl.names(grantee))
        || catalog
            .schemas
            .values()
            .any(|s| s.owner == id || s.acl.names(grantee))
        || catalog
            .clusters
            .values()
            .any(|c| c.owner == id || c.acl.names(grantee))
        || catalog
            .objects
            .values()
            .any(|o| o.owner == id || o.acl.names(grantee))
        || catalog
            .defaults
            .keys()
            .any(|rule| rule.creator == grantee || rule.grantee == grantee)
        || catalog.system_acl.names(grantee);
    if used {
        return Err(SqlError::new(
            "2BP01",
            format!(
                "role \"{}\" cannot be dropped because some objects depend on it",
                name.join(".")
            ),
        ));
    }
    catalog.roles.remove(&id);
    catalog
        .members
        .retain(|(role, member), _| *role != id && *member != id);
    catalog.comments.remove(&CommentOn::Role(id));
    Ok(())
}

pub(super) fn drop_owned(
    catalog: &mut Catalog,
    context: Context<'_>,
    roles: &[String],
    _cascade: bool,
) -> Result<Effect, SqlError> {
    let mut effect = Effect::tag("DROP OWNED");
    for name in roles {
        let id = catalog.role(name)?.id;
        if !catalog.is_owner(context.scope.role, id) {
            return Err(SqlError::denied(format!("must be a member of \"{name}\"")));
        }
        let roots: Vec<_> = catalog
            .objects
            .values()
            .filter(|o| o.owner == id)
            .map(|o| o.id)
            .collect();
        effect
            .notices
            .extend(remove(catalog, context, roots, &BTreeSet::new()));
        let schemas: Vec<_> = catalog
            .schemas
            .values()
            .filter(|s| s.owner == id)
            .map(|s| s.id)
            .collect();
        let inside: Vec<_> = catalog
            .objects
            .values()
            .filter(|o| schemas.contains(&o.schema))
            .map(|o| o.id)
            .collect();
        effect
            .notices
            .extend(remove(catalog, context, inside, &BTreeSet::new()));
        for schema in schemas {
            remove_schema(catalog, schema);
        }
        let clusters: Vec<_> = catalog
            .clusters
            .values()
            .filter(|c| c.owner == id && id != MZ_SYSTEM)
            .map(|c| c.id)
            .collect();
        let on: Vec<_> = catalog
            .objects
            .values()
            .filter(|o| o.cluster.is_some_and(|c| clusters.contains(&c)))
            .map(|o| o.id)
            .collect();
        effect
            .notices
            .extend(remove(catalog, context, on, &BTreeSet::new()));
        for cluster in clusters {
            catalog.clusters.remove(&cluster);
            catalog.replicas.retain(|_, r| r.cluster != cluster);
        }
        forget_grants(catalog, id);
    }
    Ok(effect)
}

fn forget_grants(catalog: &mut Catalog, id: Id) {
    let grantee = Grantee::Role(id);
    for acl in catalog.databases.values_mut().map(|d| &mut d.acl) {
        acl.forget(grantee);
    }
    for acl in catalog.schemas.values_mut().map(|s| &mut s.acl) {
        acl.forget(grantee);
    }
    for acl in catalog.clusters.values_mut().map(|c| &mut c.acl) {
        acl.forget(grantee);
    }
    let named: Vec<_> = catalog
        .objects
        .values()
        .filter(|o| o.acl.names(grantee))
        .map(|o| o.id)
        .collect();
    for object in named {
        catalog.change_object(object, |o| {
            o.acl.forget(grantee);
        });
    }
    catalog.system_acl.forget(grantee);
    catalog
        .defaults
        .retain(|rule, _| rule.creator != grantee && rule.grantee != grantee);
}
