//! Sinks.

use std::collections::BTreeSet;

use super::object::{cluster_for, from_word, object, place, skipped};
use super::{Context, Effect, access, replacement};
use crate::catalog::{Catalog, Details, Id, Mode, ObjectKind, render};
use crate::failure::SqlError;
use crate::statement::{Name, SinkClauses};

pub(super) fn create(
    catalog: &mut Catalog,
    context: Context<'_>,
    name: &Name,
    cluster: Option<&str>,
    clauses: &SinkClauses,
    if_not_exists: bool,
    text: &str,
) -> Result<Effect, SqlError> {
    let Some(place) = place(catalog, context, name, false, if_not_exists)? else {
        return Ok(skipped(ObjectKind::Sink, name));
    };
    let cluster = cluster_for(catalog, context, cluster)?;
    let from = input(catalog, context, &clauses.from)?;
    let connection = match &clauses.connection {
        Some(name) => {
            let found = catalog
                .object(context.scope, name)
                .ok_or_else(|| SqlError::unknown_item(&name.join(".")))?;
            if found.kind != ObjectKind::Connection {
                return Err(SqlError::internal(format!(
                    "{} is not a connection",
                    name.join(".")
                )));
            }
            Some(found.id)
        }
        None => None,
    };
    let rest = from_word(text, "into");
    let mut made = object(catalog, context, place, ObjectKind::Sink, |id| {
        format!(
            "CREATE SINK {} IN CLUSTER {} FROM {} {rest}",
            render::own_name(id),
            render::cluster(cluster),
            render::reference(from)
        )
    });
    made.cluster = Some(cluster);
    made.depends = [Some(from), connection].into_iter().flatten().collect();
    made.details = Details {
        subtype: Some("kafka".into()),
        on: Some(from),
        connection,
        envelope: clauses.envelope.clone(),
        format: clauses.format.clone(),
        ..Details::default()
    };
    catalog.insert_object(made);
    Ok(Effect::tag("CREATE SINK"))
}

fn input(catalog: &Catalog, context: Context<'_>, name: &Name) -> Result<Id, SqlError> {
    let found = catalog
        .object(context.scope, name)
        .ok_or_else(|| SqlError::unknown_item(&name.join(".")))?;
    replacement::refuse_inputs(catalog, context, &BTreeSet::from([found.id]))?;
    match found.kind {
        ObjectKind::Table | ObjectKind::MaterializedView | ObjectKind::Source => {}
        ObjectKind::View
        | ObjectKind::Index
        | ObjectKind::Sink
        | ObjectKind::Connection
        | ObjectKind::Secret => {
            let path = catalog.object_path(found);
            return Err(SqlError::internal(format!(
                "{path} is a {}, which cannot be exported as a sink",
                found.kind.words()
            )));
        }
    }
    access::object(catalog, context.scope.role, found, Mode::Select)?;
    Ok(found.id)
}

pub(super) fn alter(
    catalog: &mut Catalog,
    context: Context<'_>,
    name: &Name,
    from: &Name,
) -> Result<Effect, SqlError> {
    let sink = catalog
        .object(context.scope, name)
        .cloned()
        .ok_or_else(|| SqlError::unknown_item(&name.join(".")))?;
    if sink.kind != ObjectKind::Sink {
        return Err(SqlError::internal(format!(
            "{} is not a sink",
            name.join(".")
        )));
    }
    access::owners(
        catalog,
        context.scope.role,
        &[(access::object_label(catalog, &sink), sink.owner)],
    )?;
    let from = input(catalog, context, from)?;
    let old = sink.details.on;
    catalog.change_object(sink.id, |s| {
        if let Some(old) = old {
            s.depends.remove(&old);
            s.create = s
                .create
                .replace(&render::reference(old), &render::reference(from));
        }
        s.depends.insert(from);
        s.details.on = Some(from);
    });
    Ok(Effect {
        repointed: Some(sink.id),
        ..Effect::tag("ALTER SINK")
    })
}
