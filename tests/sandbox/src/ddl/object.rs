//! Views, tables, indexes, connections and secrets; and what all new objects have in common.

use std::collections::BTreeSet;

use super::privilege::{initial, type_of};
use super::{Context, Effect, access, replacement};
use crate::catalog::{
    Acl, Catalog, Details, Id, Mode, Nullability, Object, ObjectKind, TEMPORARY_SCHEMA, render,
};
use crate::failure::SqlError;
use crate::lexer::quote;
use crate::rewrite::{self, USER_SCHEMA};
use crate::statement::{CreateView, Name};

/// Where a new object goes; `None` when it is there already and that is fine.
pub(super) struct Place {
    pub(super) schema: Id,
    pub(super) session: Option<i32>,
    pub(super) name: String,
}

/// Finds the place for a new object and checks that it may be taken.
pub(super) fn place(
    catalog: &Catalog,
    context: Context<'_>,
    name: &Name,
    temporary: bool,
    if_not_exists: bool,
) -> Result<Option<Place>, SqlError> {
    let place = if temporary {
        let item = name.last().cloned().unwrap_or_default();
        Place {
            schema: TEMPORARY_SCHEMA,
            session: Some(context.scope.session),
            name: item,
        }
    } else {
        let (schema, item) = catalog.target(context.scope, name)?;
        Place {
            schema,
            session: None,
            name: item.to_owned(),
        }
    };
    let key = (place.schema, place.session, place.name.clone());
    if let Some(existing) = catalog
        .names
        .get(&key)
        .and_then(|id| catalog.objects.get(id))
    {
        if if_not_exists {
            return Ok(None);
        }
        let path = catalog.object_path(existing);
        return Err(SqlError::internal(format!(
            "{} \"{path}\" already exists",
            existing.kind.words()
        )));
    }
    if let Some(schema) = catalog.schemas.get(&place.schema) {
        access::schema(catalog, context.scope.role, schema, Mode::Create)?;
    }
    Ok(Some(place))
}

/// An object at its place, with the privileges of a new one.
pub(super) fn object(
    catalog: &mut Catalog,
    context: Context<'_>,
    place: Place,
    kind: ObjectKind,
    create: impl FnOnce(Id) -> String,
) -> Object {
    let (id, oid, owner) = (
        catalog.next_object(),
        catalog.next_oid(),
        context.scope.role,
    );
    let database = catalog.schemas.get(&place.schema).and_then(|s| s.database);
    let mut acl = type_of(kind).map_or_else(Acl::default, |t| {
        initial(catalog, owner, t, database, Some(place.schema))
    });
    // To GRANT they are tables, but there is nothing to be done with them but to read.
    if matches!(
        kind,
        ObjectKind::View | ObjectKind::MaterializedView | ObjectKind::Source
    ) {
        acl.keep(&[Mode::Select]);
    }
    Object {
        id,
        oid,
        schema: place.schema,
        name: place.name,
        kind,
        owner,
        acl,
        cluster: None,
        columns: Vec::new(),
        depends: BTreeSet::new(),
        create: create(id),
        definition: None,
        qualifiers: BTreeSet::new(),
        session: place.session,
        relation: id.to_string(),
        body: None,
        details: Details::default(),
    }
}

pub(super) fn skipped(kind: ObjectKind, name: &Name) -> Effect {
    let kind_words = kind.words();
    Effect::skipped(
        format!("CREATE {}", kind_words.to_uppercase()),
        format!(
            "{kind_words} \"{}\" already exists, skipping",
            name.join(".")
        ),
    )
}

/// The cluster a new object goes to: the one named, or the session's.
pub(super) fn cluster_for(
    catalog: &Catalog,
    context: Context<'_>,
    named: Option<&str>,
) -> Result<Id, SqlError> {
    let cluster = catalog.cluster(named.unwrap_or(context.cluster))?;
    if cluster.id.system && !catalog.is_superuser(context.scope.role) {
        return Err(SqlError::internal(format!(
            "system cluster '{}' cannot be modified",
            cluster.name
        )));
    }
    access::cluster(catalog, context.scope.role, cluster, Mode::Create)?;
    Ok(cluster.id)
}

pub(super) fn create_view(
    catalog: &mut Catalog,
    context: Context<'_>,
    view: &CreateView,
) -> Result<Effect, SqlError> {
    let kind = if view.materialized {
        ObjectKind::MaterializedView
    } else {
        ObjectKind::View
    };
    let rewritten = rewrite::statement(context.resolver(catalog), &view.query)?;
    replacement::refuse_inputs(catalog, context, &rewritten.objects)?;
    let temporary = rewritten
        .objects
        .iter()
        .filter_map(|id| catalog.objects.get(id))
        .find(|o| o.session.is_some());
    if let (Some(input), false) = (temporary, view.temporary) {
        return Err(SqlError::internal(format!(
            "non-temporary items cannot depend on temporary item '{}'",
            input.name
        )));
    }
    let target = match &view.replaces {
        Some(target) => Some(replacement::target(
            catalog,
            context,
            target,
            &view.name,
            &rewritten.objects,
        )?),
        None => None,
    };
    if view.or_replace
        && let Some(existing) = catalog.object(context.scope, &view.name).cloned()
        && existing.kind == kind
    {
        access::owners(
            catalog,
            context.scope.role,
            &[(access::object_label(catalog, &existing), existing.owner)],
        )?;
        if let Some(user) = catalog
            .dependents(existing.id)
            .find(|o| o.kind != ObjectKind::Index)
        {
            let what = format!(
                "{} \"{}\"",
                kind.words(),
                catalog.short_path(context.scope, &existing)
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
        for id in catalog.closure([existing.id]) {
            catalog.remove_object(id);
        }
    }
    let Some(place) = place(
        catalog,
        context,
        &view.name,
        view.temporary,
        view.if_not_exists,
    )?
    else {
        return Ok(skipped(kind, &view.name));
    };
    let cluster = if view.materialized {
        Some(cluster_for(catalog, context, view.cluster.as_deref())?)
    } else {
        None
    };
    access::reads(catalog, context.scope.role, &rewritten.objects)?;
    if let Some(target) = target.and_then(|id| catalog.objects.get(&id)) {
        let owned = (access::object_label(catalog, target), target.owner);
        access::owners(catalog, context.scope.role, &[owned])?;
    }
    let columns = if view.columns.is_empty() {
        String::new()
    } else {
        format!(
            " ({})",
            view.columns
                .iter()
                .map(|c| quote(c))
                .collect::<Vec<_>>()
                .join(", ")
        )
    };
    let stored = rewritten.stored.clone();
    let mut made = object(catalog, context, place, kind, |id| {
        let own = render::own_name(id);
        let with = view
            .with
            .as_ref()
            .map(|w| format!(" WITH ({w})"))
            .unwrap_or_default();
        let (word, target) = replacement::words(target);
        match cluster {
            Some(cluster) => format!(
                "CREATE {word}MATERIALIZED VIEW {own}{columns}{target} IN CLUSTER {}{with} AS {stored}",
                render::cluster(cluster)
            ),
            None if view.temporary => format!("CREATE TEMPORARY VIEW {own}{columns} AS {stored}"),
            None => format!("CREATE VIEW {own}{columns} AS {stored}"),
        }
    });
    made.cluster = cluster;
    made.definition = Some(rewritten.stored);
    made.details.constant = !rewritten.system
        && !view.query.contains("mz_now")
        && rewritten
            .objects
            .iter()
            .filter_map(|id| catalog.objects.get(id))
            .all(|o| o.details.constant);
    made.details.replaces = target;
    made.details.keyed = rewritten.nullability.keyed;
    made.depends = rewritten.objects;
    made.depends.extend(target);
    made.qualifiers = rewritten.qualifiers;
    let mut effect = Effect::tag(if view.materialized {
        "CREATE MATERIALIZED VIEW"
    } else {
        "CREATE VIEW"
    });
    let body = format!("{columns} AS {}", rewritten.sql);
    effect
        .backend
        .push(format!("CREATE VIEW {USER_SCHEMA}.{}{body}", made.relation));
    made.body = Some(body);
    effect.must_match = target.map(|target| (made.id, target));
    let nullability = Nullability {
        asserted: view.not_null.clone(),
        ..rewritten.nullability
    };
    effect.describe.push((made.id, nullability));
    catalog.insert_object(made);
    Ok(effect)
}

pub(super) fn create_table(
    catalog: &mut Catalog,
    context: Context<'_>,
    name: &Name,
    columns: &str,
    temporary: bool,
    if_not_exists: bool,
) -> Result<Effect, SqlError> {
    let Some(place) = place(catalog, context, name, temporary, if_not_exists)? else {
        return Ok(skipped(ObjectKind::Table, name));
    };
    let made = object(catalog, context, place, ObjectKind::Table, |id| {
        format!("CREATE TABLE {} ({})", render::own_name(id), columns.trim())
    });
    let mut effect = Effect::tag("CREATE TABLE");
    effect.backend.push(format!(
        "CREATE TABLE {USER_SCHEMA}.{} ({})",
        made.id,
        rewrite::translate_types(columns)?
    ));
    effect.describe.push((made.id, Nullability::default()));
    catalog.insert_object(made);
    Ok(effect)
}

/// A free name for an index, as `v_primary_idx`, `v_primary_idx1`, …
fn index_name(catalog: &Catalog, on: &Object, columns: &[String]) -> String {
    let base = if columns.is_empty() {
        format!("{}_primary_idx", on.name)
    } else {
        let plain = |c: &String| {
            c.chars()
                .map(|c| {
                    if c.is_alphanumeric() || c == '_' {
                        c
                    } else {
                        '_'
                    }
                })
                .collect::<String>()
        };
        let named: Vec<_> = columns
            .iter()
            .map(|c| plain(&c.trim_matches('"').to_owned()))
            .collect();
        format!("{}_{}_idx", on.name, named.join("_"))
    };
    let taken = |name: &str| {
        catalog
            .names
            .contains_key(&(on.schema, on.session, name.to_owned()))
    };
    if !taken(&base) {
        return base;
    }
    (1..)
        .map(|n| format!("{base}{n}"))
        .find(|n| !taken(n))
        .unwrap_or(base)
}

pub(super) fn create_index(
    catalog: &mut Catalog,
    context: Context<'_>,
    name: Option<&str>,
    cluster: Option<&str>,
    on: &Name,
    columns: Option<&[String]>,
    if_not_exists: bool,
) -> Result<Effect, SqlError> {
    let found = catalog
        .object(context.scope, on)
        .cloned()
        .ok_or_else(|| SqlError::unknown_item(&on.join(".")))?;
    if !found.kind.is_relation() {
        let path = catalog.object_path(&found);
        return Err(SqlError::internal(format!(
            "index cannot be created on {path} because it is a {}",
            found.kind.words()
        )));
    }
    replacement::refuse_index(catalog, &found)?;
    let name = name.map_or_else(
        || index_name(catalog, &found, columns.unwrap_or_default()),
        str::to_owned,
    );
    let key = (found.schema, found.session, name.clone());
    if let Some(existing) = catalog
        .names
        .get(&key)
        .and_then(|id| catalog.objects.get(id))
    {
        if if_not_exists {
            return Ok(skipped(ObjectKind::Index, &vec![name]));
        }
        let path = catalog.object_path(existing);
        return Err(SqlError::internal(format!(
            "{} \"{path}\" already exists",
            existing.kind.words()
        )));
    }
    access::owners(
        catalog,
        context.scope.role,
        &[(access::object_label(catalog, &found), found.owner)],
    )?;
    if let Some(schema) = catalog.schemas.get(&found.schema) {
        access::schema(catalog, context.scope.role, schema, Mode::Create)?;
    }
    let cluster = cluster_for(catalog, context, cluster)?;
    let (shown, checked) = match columns {
        Some(columns) => {
            let shown = columns
                .iter()
                .map(|c| {
                    if c.starts_with('"') {
                        c.clone()
                    } else {
                        quote_if_plain(c)
                    }
                })
                .collect::<Vec<_>>();
            (shown, Some(columns.join(", ")))
        }
        None => (found.columns.iter().map(|c| quote(&c.name)).collect(), None),
    };
    let place = Place {
        schema: found.schema,
        session: found.session,
        name: name.clone(),
    };
    let (on_id, on_relation, on_name) = (found.id, found.relation.clone(), found.name.clone());
    let mut made = object(catalog, context, place, ObjectKind::Index, |_| {
        format!(
            "CREATE INDEX {} IN CLUSTER {} ON {} ({})",
            quote(&name),
            render::cluster(cluster),
            render::reference(on_id),
            shown.join(", ")
        )
    });
    made.cluster = Some(cluster);
    made.depends.insert(on_id);
    made.details.on = Some(on_id);
    made.owner = found.owner;
    let mut effect = Effect::tag("CREATE INDEX");
    if let Some(columns) = checked {
        // PostgreSQL checks the expressions; there is nothing to store.
        effect.backend.push(format!(
            "SELECT {columns} FROM {USER_SCHEMA}.{on_relation} AS {} LIMIT 0",
            quote(&on_name)
        ));
    }
    catalog.insert_object(made);
    Ok(effect)
}

fn quote_if_plain(expression: &str) -> String {
    let plain = expression.chars().all(|c| c.is_alphanumeric() || c == '_');
    if plain {
        quote(&expression.to_ascii_lowercase())
    } else {
        expression.to_owned()
    }
}

pub(super) fn create_plain(
    catalog: &mut Catalog,
    context: Context<'_>,
    kind: ObjectKind,
    name: &Name,
    subtype: Option<&str>,
    if_not_exists: bool,
    text: &str,
) -> Result<Effect, SqlError> {
    let Some(place) = place(catalog, context, name, false, if_not_exists)? else {
        return Ok(skipped(kind, name));
    };
    let stored = if kind == ObjectKind::Secret {
        None
    } else {
        Some(text)
    };
    let mut made = object(catalog, context, place, kind, |id| match stored {
        Some(text) => format!(
            "CREATE CONNECTION {} {}",
            render::own_name(id),
            from_word(text, "to")
        ),
        None => format!("CREATE SECRET {} AS '<redacted>'", render::own_name(id)),
    });
    made.details.subtype = subtype.map(str::to_owned);
    catalog.insert_object(made);
    Ok(Effect::tag(format!(
        "CREATE {}",
        kind.words().to_uppercase()
    )))
}

/// The text from the first occurrence of a bare word on.
pub(super) fn from_word(text: &str, word: &str) -> String {
    let start = crate::lexer::tokens(text)
        .unwrap_or_default()
        .into_iter()
        .find(|t| t.kind == crate::lexer::Kind::Word(word.to_owned()))
        .map_or(text.len(), |t| t.start);
    text[start..].to_owned()
}
