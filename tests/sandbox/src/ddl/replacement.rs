//! Replacement materialized views: one is made for a target, can be read but not built upon, and becomes the target.
//!
//! After APPLY REPLACEMENT the target's name, OID, owner, privileges, comments and dependents belong to the
//! replacement's id, cluster and definition; the target's id is gone. PostgreSQL gets new relations for the dependents,
//! beside the old ones: nothing waits for a reader that is still in its transaction.

use std::collections::{BTreeMap, BTreeSet};

use super::{Context, Effect, access};
use crate::catalog::{Catalog, Column, CommentOn, Id, Object, ObjectKind, render};
use crate::failure::{Notice, SqlError};
use crate::rewrite::USER_SCHEMA;
use crate::statement::Name;

/// The words that a replacement's CREATE statement has more than others: before the kind, and after the name.
pub(super) fn words(target: Option<Id>) -> (&'static str, String) {
    target.map_or(("", String::new()), |id| {
        ("REPLACEMENT ", format!(" FOR {}", render::reference(id)))
    })
}

/// Refuses replacements where something lasting would depend on them.
pub(super) fn refuse_inputs(
    catalog: &Catalog,
    context: Context<'_>,
    inputs: &BTreeSet<Id>,
) -> Result<(), SqlError> {
    let found = inputs
        .iter()
        .filter_map(|id| catalog.objects.get(id))
        .find(|o| o.details.replaces.is_some());
    match found {
        None => Ok(()),
        Some(found) => Err(SqlError::internal(format!(
            "replacement materialized view {} cannot be depended upon",
            catalog.short_path(context.scope, found)
        ))),
    }
}

/// Refuses indexes on replacements.
pub(super) fn refuse_index(catalog: &Catalog, on: &Object) -> Result<(), SqlError> {
    if on.details.replaces.is_none() {
        return Ok(());
    }
    Err(SqlError::internal(format!(
        "index cannot be created on {} because it is a replacement materialized view",
        catalog.object_path(on)
    )))
}

/// The view that a new replacement is for, if it may be.
pub(super) fn target(
    catalog: &Catalog,
    context: Context<'_>,
    name: &Name,
    replacement: &Name,
    inputs: &BTreeSet<Id>,
) -> Result<Id, SqlError> {
    let found = catalog
        .object(context.scope, name)
        .ok_or_else(|| SqlError::unknown_item(&name.join(".")))?;
    refuse_inputs(catalog, context, &BTreeSet::from([found.id]))?;
    let path = catalog.short_path(context.scope, found);
    if found.kind != ObjectKind::MaterializedView {
        return Err(SqlError::internal(format!(
            "cannot replace {} {path} with materialized view {}",
            found.kind.words(),
            replacement.join(".")
        )));
    }
    if let Some(other) = catalog
        .dependents(found.id)
        .find(|o| o.details.replaces == Some(found.id))
    {
        return Err(SqlError::internal(format!(
            "cannot replace {path} because it already has a replacement: {}",
            catalog.short_path(context.scope, other)
        )));
    }
    refuse_cycle(catalog, context, found, inputs)?;
    Ok(found.id)
}

fn refuse_cycle(
    catalog: &Catalog,
    context: Context<'_>,
    target: &Object,
    inputs: &BTreeSet<Id>,
) -> Result<(), SqlError> {
    let mut seen = BTreeSet::new();
    let mut todo: Vec<Id> = inputs.iter().copied().collect();
    while let Some(id) = todo.pop() {
        if id == target.id {
            return Err(SqlError::internal(format!(
                "replacement would cause {} to depend on itself",
                catalog.short_path(context.scope, target)
            )));
        }
        if let Some(object) = catalog.objects.get(&id)
            && seen.insert(id)
        {
            todo.extend(&object.depends);
        }
    }
    Ok(())
}

/// Refuses a replacement whose columns, their nullability or whose keys are not the target's. Of nullability and keys the
/// sandbox knows what is plain to see in the query.
pub fn check_columns(catalog: &Catalog, replacement: Id, target: Id) -> Result<(), SqlError> {
    let columns = |id: &Id| catalog.objects.get(id).map(|o| o.columns.as_slice());
    let (made, wanted) = (
        columns(&replacement).unwrap_or_default(),
        columns(&target).unwrap_or_default(),
    );
    let keyed = |id: &Id| catalog.objects.get(id).is_some_and(|o| o.details.keyed);
    let mut differences: Vec<String> = (0..made.len().max(wanted.len()))
        .filter_map(|at| difference(at + 1, wanted.get(at), made.get(at)))
        .collect();
    if keyed(&replacement) != keyed(&target) {
        differences.push("keys differ".into());
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(SqlError {
        detail: Some(differences.join("\n")),
        ..SqlError::new("0A000", "replacement schema differs from target schema")
    })
}

fn difference(position: usize, target: Option<&Column>, made: Option<&Column>) -> Option<String> {
    match (target, made) {
        (Some(target), None) => Some(format!(
            "missing column \"{}\" at position {position}",
            target.name
        )),
        (None, Some(made)) => Some(format!(
            "extra column \"{}\" at position {position}",
            made.name
        )),
        (Some(target), Some(made)) if target.name != made.name => Some(format!(
            "column at position {position}: name mismatch (target: \"{}\", replacement: \"{}\")",
            target.name, made.name
        )),
        (Some(target), Some(made))
            if (target.type_oid, target.type_mod) != (made.type_oid, made.type_mod) =>
        {
            Some(format!(
                "column \"{}\" at position {position}: type mismatch (target: {}, replacement: {})",
                target.name, target.type_name, made.type_name
            ))
        }
        (Some(target), Some(made)) if target.nullable != made.nullable => {
            let word = |column: &Column| if column.nullable { "" } else { "NOT " };
            Some(format!(
                "column \"{}\" at position {position}: nullability mismatch (target: {}NULL, replacement: {}NULL)",
                target.name,
                word(target),
                word(made)
            ))
        }
        (Some(_), Some(_)) | (None, None) => None,
    }
}

/// A materialized view by name, for APPLY REPLACEMENT.
fn view(catalog: &Catalog, context: Context<'_>, name: &Name) -> Result<Object, SqlError> {
    let found = catalog
        .object(context.scope, name)
        .ok_or_else(|| SqlError::unknown_item(&name.join(".")))?;
    if found.kind != ObjectKind::MaterializedView {
        return Err(SqlError::internal(format!(
            "{} is a {} not a materialized view",
            name.join("."),
            found.kind.words()
        )));
    }
    Ok(found.as_ref().clone())
}

pub(super) fn apply(
    catalog: &mut Catalog,
    context: Context<'_>,
    name: &Name,
    replacement: &Name,
    if_exists: bool,
) -> Result<Effect, SqlError> {
    let mut effect = Effect::tag("ALTER MATERIALIZED VIEW");
    if if_exists && catalog.object(context.scope, name).is_none() {
        effect.notices.push(Notice::new(format!(
            "materialized view \"{}\" does not exist, skipping",
            name.join(".")
        )));
        return Ok(effect);
    }
    let target = view(catalog, context, name)?;
    let made = view(catalog, context, replacement)?;
    if made.details.replaces != Some(target.id) {
        return Err(SqlError::internal(format!(
            "cannot replace materialized view {} with materialized view {}",
            name.join("."),
            replacement.join(".")
        )));
    }
    let owned = [&target, &made].map(|o| (access::object_label(catalog, o), o.owner));
    access::owners(catalog, context.scope.role, &owned)?;
    if target.details.constant {
        let message = format!(
            "materialized view {} is sealed and thus cannot be replaced",
            name.join(".")
        );
        return Err(SqlError {
            detail: Some(
                "The materialized view has already computed its output until the end of time, so replacing its definition would have no effect."
                    .into(),
            ),
            ..SqlError::new("55000", message)
        });
    }
    let mut inputs = made.depends.clone();
    inputs.remove(&target.id);
    refuse_cycle(catalog, context, &target, &inputs)?;
    effect.applied = Some((made.id, target.id));
    merge(catalog, &target, &made, inputs);
    effect.backend = follow(catalog, &target, &made);
    Ok(effect)
}

/// Makes one object of two, and lets every other one speak of it.
fn merge(catalog: &mut Catalog, target: &Object, made: &Object, inputs: BTreeSet<Id>) {
    let comments: Vec<_> = catalog
        .comments
        .iter()
        .filter_map(|(on, text)| {
            let CommentOn::Object(id, column) = on else {
                return None;
            };
            (*id == target.id).then(|| (CommentOn::Object(made.id, *column), text.clone()))
        })
        .collect();
    catalog.remove_object(target.id);
    catalog.remove_object(made.id);
    catalog.comments.extend(comments);
    let (word, clause) = words(Some(target.id));
    let mut merged = Object {
        oid: target.oid,
        schema: target.schema,
        name: target.name.clone(),
        session: target.session,
        owner: target.owner,
        acl: target.acl.clone(),
        depends: inputs,
        create: made.create.replacen(word, "", 1).replacen(&clause, "", 1),
        ..made.clone()
    };
    merged.details.replaces = None;
    catalog.insert_object(merged);
    let (old, new) = (render::reference(target.id), render::reference(made.id));
    let dependents: Vec<Id> = catalog.dependents(target.id).map(|o| o.id).collect();
    for id in dependents {
        catalog.change_object(id, |o| {
            o.depends.remove(&target.id);
            o.depends.insert(made.id);
            o.create = o.create.replace(&old, &new);
            o.definition = o.definition.as_ref().map(|d| d.replace(&old, &new));
            if o.details.on == Some(target.id) {
                o.details.on = Some(made.id);
            }
        });
    }
}

/// New relations for all whose stored query reaches the target's old one.
fn follow(catalog: &mut Catalog, target: &Object, made: &Object) -> Vec<String> {
    let quoted = |relation: &str| format!("\"{USER_SCHEMA}\".\"{relation}\"");
    let mut renamed = BTreeMap::from([(quoted(&target.relation), quoted(&made.relation))]);
    let mut todo = catalog.closure([made.id]);
    todo.remove(&made.id);
    let mut statements = Vec::new();
    // An object's turn comes when none of its inputs is still waiting for its own.
    while let Some(next) = todo
        .iter()
        .filter_map(|id| catalog.objects.get(id))
        .find(|o| o.depends.is_disjoint(&todo))
        .cloned()
    {
        todo.remove(&next.id);
        let Some(body) = &next.body else { continue };
        let followed = renamed
            .iter()
            .fold(body.clone(), |body, (old, new)| body.replace(old, new));
        if followed == *body {
            continue;
        }
        let relation = format!("{}_{}", next.id, catalog.next_oid());
        statements.push(format!("CREATE VIEW {USER_SCHEMA}.{relation}{followed}"));
        renamed.insert(quoted(&next.relation), quoted(&relation));
        catalog.change_object(next.id, |o| {
            o.relation = relation;
            o.body = Some(followed);
        });
    }
    statements
}
