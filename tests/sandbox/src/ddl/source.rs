//! Load generator sources, their subsources, and tables fed by them. Their data is small and fixed, except for the
//! counter, which counts.

use super::object::{cluster_for, from_word, object, place, skipped};
use super::{Context, Effect, access};
use crate::catalog::{Catalog, Details, Id, Mode, Nullability, ObjectKind, render};
use crate::failure::SqlError;
use crate::rewrite::USER_SCHEMA;
use crate::statement::{CreateSource, Name};

const AUCTION: [(&str, &str); 5] = [
    (
        "accounts",
        "SELECT g::bigint AS id, (g % 3)::bigint AS org_id, (g * 100)::bigint AS balance FROM generate_series(1, 10) g",
    ),
    (
        "auctions",
        "SELECT g::bigint AS id, (g % 5)::bigint AS seller, 'item ' || g AS item, now() + g * interval '1 minute' AS end_time FROM generate_series(1, 20) g",
    ),
    (
        "bids",
        "SELECT g::bigint AS id, (g % 5)::bigint AS buyer, (g % 20 + 1)::bigint AS auction_id, (g % 97)::int4 AS amount, now() AS bid_time FROM generate_series(1, 100) g",
    ),
    (
        "organizations",
        "SELECT g::bigint AS id, 'organization ' || g AS name FROM generate_series(1, 3) g",
    ),
    (
        "users",
        "SELECT g::bigint AS id, (g % 3)::bigint AS org_id, 'user ' || g AS name FROM generate_series(1, 5) g",
    ),
];
const PROGRESS: &str = "SELECT 1::uint8 AS \"offset\"";
const NOTHING: &str = "SELECT 1::uint8 AS \"offset\" WHERE false";

fn generator_tables(generator: &str) -> &'static [(&'static str, &'static str)] {
    match generator {
        "auction" => &AUCTION,
        _ => &[],
    }
}

fn own_query(generator: &str) -> String {
    match generator {
        "counter" => {
            "SELECT g::bigint AS counter FROM generate_series(1, 1 + floor(extract(epoch FROM clock_timestamp()))::bigint % 3600) g".into()
        }
        "key" => "SELECT g::bigint AS key, 0::uint8 AS partition, g::uint8 AS \"offset\" FROM generate_series(1, 10) g".into(),
        _ => NOTHING.into(),
    }
}

struct Part<'a> {
    kind: ObjectKind,
    subtype: Option<&'a str>,
    query: &'a str,
    source: Id,
}

fn add_part(
    catalog: &mut Catalog,
    context: Context<'_>,
    effect: &mut Effect,
    name: &Name,
    part: &Part<'_>,
    text: Option<&str>,
) -> Result<(), SqlError> {
    let Some(place) = place(catalog, context, name, false, false)? else {
        return Ok(());
    };
    let mut made = object(catalog, context, place, part.kind, |id| match text {
        Some(text) => format!("CREATE TABLE {} {}", render::own_name(id), text),
        None => format!(
            "CREATE SUBSOURCE {} OF SOURCE {}",
            render::own_name(id),
            render::reference(part.source)
        ),
    });
    made.depends.insert(part.source);
    made.details = Details {
        subtype: part.subtype.map(str::to_owned),
        source: Some(part.source),
        ..Details::default()
    };
    effect.backend.push(format!(
        "CREATE VIEW {USER_SCHEMA}.{} AS {}",
        made.id, part.query
    ));
    effect.describe.push((made.id, Nullability::default()));
    catalog.insert_object(made);
    Ok(())
}

/// `name` beside the source: with the same schema and database if those were written.
fn beside(source: &Name, name: &str) -> Name {
    let mut path = source.clone();
    path.pop();
    path.push(name.to_owned());
    path
}

pub(super) fn create(
    catalog: &mut Catalog,
    context: Context<'_>,
    create: &CreateSource,
) -> Result<Effect, SqlError> {
    let Some(generator) = &create.generator else {
        return Err(SqlError::new(
            "0A000",
            "the sandbox knows LOAD GENERATOR sources only",
        ));
    };
    let Some(own_place) = place(catalog, context, &create.name, false, create.if_not_exists)?
    else {
        return Ok(skipped(ObjectKind::Source, &create.name));
    };
    let cluster = cluster_for(catalog, context, create.cluster.as_deref())?;
    let rest = from_word(&create.text, "from");
    let mut made = object(catalog, context, own_place, ObjectKind::Source, |id| {
        format!(
            "CREATE SOURCE {} IN CLUSTER {} {rest}",
            render::own_name(id),
            render::cluster(cluster)
        )
    });
    made.cluster = Some(cluster);
    made.details.subtype = Some("load-generator".into());
    let id = made.id;
    let mut effect = Effect::tag("CREATE SOURCE");
    effect.backend.push(format!(
        "CREATE VIEW {USER_SCHEMA}.{id} AS {}",
        own_query(generator)
    ));
    effect.describe.push((id, Nullability::default()));
    let own_name = made.name.clone();
    catalog.insert_object(made);
    let progress = create
        .progress
        .clone()
        .unwrap_or_else(|| beside(&create.name, &format!("{own_name}_progress")));
    let part = Part {
        kind: ObjectKind::Source,
        subtype: Some("progress"),
        query: PROGRESS,
        source: id,
    };
    add_part(catalog, context, &mut effect, &progress, &part, None)?;
    let tables = generator_tables(generator);
    if create.all_tables && tables.is_empty() {
        return Err(SqlError::internal(
            "FOR ALL TABLES is only valid for multi-output sources",
        ));
    }
    let chosen: Vec<(Name, &str)> = if create.all_tables {
        tables
            .iter()
            .map(|(name, query)| (beside(&create.name, name), *query))
            .collect()
    } else {
        let mut chosen = Vec::new();
        for (reference, to) in &create.tables {
            chosen.push((to.clone(), reference_query(generator, reference)?));
        }
        chosen
    };
    for (name, query) in chosen {
        let part = Part {
            kind: ObjectKind::Source,
            subtype: Some("subsource"),
            query,
            source: id,
        };
        add_part(catalog, context, &mut effect, &name, &part, None)?;
    }
    Ok(effect)
}

fn reference_query(generator: &str, reference: &str) -> Result<&'static str, SqlError> {
    let found = generator_tables(generator)
        .iter()
        .find(|(name, _)| *name == reference);
    found
        .map(|(_, query)| *query)
        .ok_or_else(|| SqlError::internal(format!("reference to {reference} not found in source")))
}

pub(super) fn create_table(
    catalog: &mut Catalog,
    context: Context<'_>,
    name: &Name,
    source: &Name,
    reference: &Name,
    if_not_exists: bool,
    text: &str,
) -> Result<Effect, SqlError> {
    let found = catalog
        .object(context.scope, source)
        .cloned()
        .ok_or_else(|| SqlError::unknown_item(&source.join(".")))?;
    if found.kind != ObjectKind::Source {
        return Err(SqlError::internal(format!(
            "{} is not a source",
            source.join(".")
        )));
    }
    access::object(catalog, context.scope.role, &found, Mode::Select)?;
    if place(catalog, context, name, false, if_not_exists)?.is_none() {
        return Ok(skipped(ObjectKind::Table, name));
    }
    let generator = if found
        .create
        .to_ascii_uppercase()
        .contains("LOAD GENERATOR AUCTION")
    {
        "auction"
    } else {
        ""
    };
    let query = match reference.last() {
        Some(reference) if !generator.is_empty() => {
            reference_query(generator, reference)?.to_owned()
        }
        Some(_) | None => format!("SELECT * FROM {USER_SCHEMA}.{}", found.id),
    };
    let mut effect = Effect::tag("CREATE TABLE");
    let part = Part {
        kind: ObjectKind::Table,
        subtype: None,
        query: &query,
        source: found.id,
    };
    add_part(
        catalog,
        context,
        &mut effect,
        name,
        &part,
        Some(&from_word(text, "from")),
    )?;
    Ok(effect)
}
