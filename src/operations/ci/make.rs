//! Making what is in a corner: what stands there from an earlier build and would come out the same stays, everything
//! else goes, and what is missing is made.

use super::dropping::drop_objects;
use super::error::CiError;
use super::record::Thing;
use crate::adapters::materialize::Session;
use crate::adapters::materialize::catalog::About;
use crate::domain::catalog::{Catalog, Object, ObjectKind};
use crate::domain::progress::Progress;
use crate::foundation::digest::Digest;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::inputs::manifest::Manifest;
use crate::inputs::manifest::run_results::Status;
use crate::operations::builds::Builds;
use crate::operations::ci::namespace::Work;
use crate::operations::describe::{said, source_line};
use crate::operations::error::DeploymentError;
use crate::operations::green::native::item;
use crate::planning::recipe::document::{Item, Make, Recipe};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// What became of the items of a recipe.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Made {
    /// Made now: unique id → seconds.
    pub built: BTreeMap<String, f64>,
    /// Stood there already.
    pub kept: BTreeSet<String>,
    /// Refused by the server: unique id → what it said, and the line of the file.
    pub failed: BTreeMap<String, (String, Option<u32>)>,
    /// Read one of these: unique id → which.
    pub skipped: BTreeMap<String, String>,
    /// What left the corner, `schema.name`, sorted.
    pub dropped: Vec<String>,
}

/// The digest of what each item is made from, with all that it reads in the corner: unique id → digest.
///
/// # Errors
/// [`CiError::Failed`], never in practice: there is nothing in an item that JSON cannot hold.
pub fn digests(recipe: &Recipe) -> Result<BTreeMap<String, String>, CiError> {
    let mut digests: BTreeMap<String, String> = BTreeMap::new();
    for item in &recipe.items {
        let mut bytes = serde_json::to_vec(item)
            .map_err(|error| CiError::Failed(format!("a recipe cannot be written: {error}")))?;
        for parent in &item.after {
            bytes.push(0);
            bytes.extend(digests.get(parent).map_or(&b""[..], |it| it.as_bytes()));
        }
        digests.insert(item.unique_id.clone(), Digest::of(&bytes).to_string());
    }
    Ok(digests)
}

/// Which items stand already, given how each would be made now.
fn standing(
    recipe: &Recipe,
    digests: &BTreeMap<String, String>,
    things: &BTreeMap<String, Thing>,
    is_there: impl Fn(&Thing) -> bool,
) -> BTreeSet<String> {
    let mut kept = BTreeSet::new();
    for item in &recipe.items {
        let id = &item.unique_id;
        let is_same = things.get(id).is_some_and(|thing| {
            Some(&thing.made_from) == digests.get(id)
                && (&thing.schema, &thing.name) == (&item.schema, &item.name)
                && is_there(thing)
        });
        // What it reads may stand and still be another object than before.
        if is_same && item.after.iter().all(|parent| kept.contains(parent)) {
            kept.insert(id.clone());
        }
    }
    kept
}

/// Brings what is in a corner to what a recipe says. `catalog` is the corner as it is; gives it as it is then.
///
/// # Errors
/// The server's and the journal's; [`CiError::Interrupted`]. An item that the server refuses is none.
pub async fn bring_up(
    work: &mut Work<'_>,
    builds: &Builds,
    manifest: &Manifest,
    recipe: &Recipe,
    catalog: Catalog,
) -> Result<(Made, Catalog), CiError> {
    let digests = digests(recipe)?;
    let reads = reads(work, &catalog).await?;
    let kept = standing(recipe, &digests, &work.record.objects, |thing| {
        let found = catalog.objects.get(&thing.id);
        let schema = found.and_then(|object| catalog.schemas.get(&object.schema_id));
        found.is_some_and(|object| object.name == thing.name && object.kind == thing.kind)
            && schema.is_some_and(|schema| schema.name == thing.schema)
            && reads
                .get(&thing.id)
                .is_some_and(|reads| *reads == thing.reads)
    });
    let session = work.materialize.own_session_within(work.limit).await?;
    let mut made = Made {
        dropped: clear(work, &catalog, &session, recipe, &kept).await?,
        kept,
        ..Made::default()
    };
    let ended = make_all(work, &session, builds, manifest, recipe, &mut made).await;
    // Also of a build that ends here: the next one finds what stands.
    let recorded = record(work, recipe, &digests, &made).await;
    ended?;
    let now = recorded?.unwrap_or(catalog);
    Ok((made, now))
}

/// Drops everything in the corner's schemas that does not stay; gives names of what the recipe does not make again.
async fn clear(
    work: &mut Work<'_>,
    catalog: &Catalog,
    session: &Session,
    recipe: &Recipe,
    kept: &BTreeSet<String>,
) -> Result<Vec<String>, CiError> {
    let stays: BTreeSet<String> = kept
        .iter()
        .filter_map(|id| work.record.objects.get(id))
        .map(|thing| thing.id.clone())
        .collect();
    // An index goes and stays with its relation, what is part of a source with that.
    let going: Vec<&Object> = contents(work, catalog)
        .into_iter()
        .filter(|object| object.kind != ObjectKind::Index && !object.is_part)
        .filter(|object| !stays.contains(&object.id))
        .collect();
    let made_again = |object: &&Object| {
        let schema = catalog.schemas.get(&object.schema_id);
        recipe.items.iter().any(|item| {
            schema.is_some_and(|schema| schema.name == item.schema) && object.name == item.name
        })
    };
    let mut dropped: Vec<String> = going
        .iter()
        .filter(|object| !made_again(object))
        .map(|object| catalog.name_of(object))
        .collect();
    dropped.sort_unstable();
    if going.is_empty() {
        return Ok(dropped);
    }
    work.record.objects.retain(|id, _| kept.contains(id));
    work.write().await?;
    work.interrupted()?;
    drop_objects(session, catalog, &going).await?;
    Ok(dropped)
}

/// What is in the schemas of the corner, which are known by id and stand under the recorded names.
fn contents<'c>(work: &Work<'_>, catalog: &'c Catalog) -> Vec<&'c Object> {
    let held = work.record.schemas.values();
    let ids = held.filter_map(|held| {
        let id = held.id.as_ref()?;
        let schema = catalog.schemas.get(id)?;
        (schema.name == held.name).then_some(id)
    });
    ids.flat_map(|id| catalog.objects_in_schema(id)).collect()
}

async fn make_all(
    work: &Work<'_>,
    session: &Session,
    builds: &Builds,
    manifest: &Manifest,
    recipe: &Recipe,
    made: &mut Made,
) -> Result<(), CiError> {
    let total = recipe.items.len();
    for (at, item) in recipe.items.iter().enumerate() {
        work.interrupted()?;
        let id = item.unique_id.as_str();
        if made.kept.contains(id) {
            continue;
        }
        let began = Instant::now();
        let is_missing = |parent: &&String| {
            made.failed.contains_key(*parent) || made.skipped.contains_key(*parent)
        };
        let status = match item.after.iter().find(is_missing) {
            Some(parent) => {
                made.skipped.insert(id.to_owned(), parent.clone());
                Status::Skipped
            }
            None => match make(work, session, builds, manifest, item).await? {
                None => {
                    made.built
                        .insert(id.to_owned(), began.elapsed().as_secs_f64());
                    Status::Success
                }
                Some(failure) => {
                    made.failed.insert(id.to_owned(), failure);
                    Status::Error
                }
            },
        };
        work.reporter.send(Progress::Node {
            unique_id: id.to_owned(),
            status: status.as_str().to_owned(),
            done: at + 1,
            total,
            seconds: Some(began.elapsed().as_secs_f64()),
        });
    }
    Ok(())
}

/// Makes one item; what the server said, where it refused it.
async fn make(
    work: &Work<'_>,
    session: &Session,
    builds: &Builds,
    manifest: &Manifest,
    item: &Item,
) -> Result<Option<(String, Option<u32>)>, CiError> {
    let database = &work.record.database;
    let answer = item::make(builds, session, database, item, None).await;
    match answer {
        Ok(_) => Ok(None),
        Err(DeploymentError::Materialize(error)) if error.class() == Class::Permanent => {
            let node = manifest.nodes.get(&item.unique_id);
            // Where in the statement it is, the look before has told; this is about what only a build finds.
            let line = node.and_then(|node| source_line::of(&error, "", &node.raw_code));
            Ok(Some((said(&error), line)))
        }
        Err(error) if error.class() == Class::Permanent => Ok(Some((with_causes(&error), None))),
        Err(error) => Err(error.into()),
    }
}

/// Records what was made, by id; gives the corner as it is then, where anything was made.
async fn record(
    work: &mut Work<'_>,
    recipe: &Recipe,
    digests: &BTreeMap<String, String>,
    made: &Made,
) -> Result<Option<Catalog>, CiError> {
    if made.built.is_empty() {
        work.write().await?;
        return Ok(None);
    }
    let catalog = Catalog::look(work.materialize, &work.about()).await?;
    let reads = reads(work, &catalog).await?;
    let objects = contents(work, &catalog);
    for item in &recipe.items {
        let id = &item.unique_id;
        let found = objects.iter().find(|object| {
            let schema = catalog.schemas.get(&object.schema_id);
            object.name == item.name
                && object.kind == item::kind(&item.make)
                && schema.is_some_and(|schema| schema.name == item.schema)
        });
        if let (Some(object), Some(made_from), true) =
            (found, digests.get(id), made.built.contains_key(id))
        {
            let thing = Thing {
                id: object.id.clone(),
                kind: object.kind,
                schema: item.schema.clone(),
                name: item.name.clone(),
                made_from: made_from.clone(),
                reads: reads.get(&object.id).cloned().unwrap_or_default(),
            };
            work.record.objects.insert(id.clone(), thing);
        }
    }
    work.write().await?;
    Ok(Some(catalog))
}

/// What each object of the corner reads outside it: its id → id of what it reads → its name now.
async fn reads(
    work: &Work<'_>,
    catalog: &Catalog,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, CiError> {
    let inside: BTreeSet<&str> = contents(work, catalog)
        .into_iter()
        .map(|object| object.id.as_str())
        .collect();
    let pairs: Vec<(&String, &String)> = catalog
        .dependencies
        .iter()
        .filter(|(reader, on)| inside.contains(&**reader) && !inside.contains(&**on))
        .map(|(reader, on)| (reader, on))
        .collect();
    let mut reads: BTreeMap<String, BTreeMap<String, String>> = inside
        .iter()
        .map(|id| ((*id).to_owned(), BTreeMap::new()))
        .collect();
    if pairs.is_empty() {
        return Ok(reads);
    }
    let about = About::default().and_objects(pairs.iter().map(|(_, on)| *on));
    let outside = Catalog::look(work.materialize, &about).await?;
    for (reader, on) in pairs {
        let name = outside
            .objects
            .get(on)
            .map(|object| outside.name_of(object));
        let name = name.unwrap_or_default();
        reads
            .entry(reader.clone())
            .or_default()
            .insert(on.clone(), name);
    }
    Ok(reads)
}

/// Whether an item is filled by a schedule instead of following what it reads.
#[must_use]
pub fn is_scheduled(item: &Item) -> bool {
    use crate::adapters::materialize::native_ddl::ViewOption;
    match &item.make {
        Make::MaterializedView { options, .. } => options.iter().any(|option| match option {
            ViewOption::Refresh(refresh) => !refresh.on_commit,
            ViewOption::PartitionBy(_)
            | ViewOption::RetainHistory(_)
            | ViewOption::AssertNotNull(_) => false,
        }),
        Make::View { .. } | Make::Seed { .. } | Make::Source { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{digests, standing};
    use crate::domain::catalog::ObjectKind;
    use crate::operations::ci::record::Thing;
    use crate::planning::recipe::document::{Item, Make, Recipe};
    use std::collections::{BTreeMap, BTreeSet};

    fn item(id: &str, after: &[&str], query: &str) -> Item {
        Item {
            unique_id: id.to_owned(),
            schema: "s".to_owned(),
            name: id.to_owned(),
            after: after.iter().map(ToString::to_string).collect(),
            make: Make::View {
                query: query.to_owned(),
            },
            contract: None,
            indexes: Vec::new(),
            comment: None,
            column_comments: Vec::new(),
        }
    }

    /// a ← b ← c, d
    fn recipe(query_of_b: &str) -> Recipe {
        Recipe::of(vec![
            item("a", &[], "select 1"),
            item("b", &["a"], query_of_b),
            item("c", &["b"], "select 3"),
            item("d", &[], "select 4"),
        ])
        .expect("no circle")
    }

    fn things(recipe: &Recipe) -> BTreeMap<String, Thing> {
        let made_from = digests(recipe).expect("digests");
        let items = recipe.items.iter();
        items
            .map(|item| {
                let thing = Thing {
                    id: format!("u{}", item.unique_id),
                    kind: ObjectKind::View,
                    schema: item.schema.clone(),
                    name: item.name.clone(),
                    made_from: made_from[&item.unique_id].clone(),
                    reads: BTreeMap::new(),
                };
                (item.unique_id.clone(), thing)
            })
            .collect()
    }

    fn kept(now: &Recipe, before: &Recipe, gone: &str) -> BTreeSet<String> {
        let digests = digests(now).expect("digests");
        standing(now, &digests, &things(before), |thing| thing.id != gone)
    }

    #[test]
    fn what_is_made_anew_is_what_differs_and_what_reads_it() {
        let (old, new) = (recipe("select 2"), recipe("select 22"));
        let set =
            |ids: &[&str]| -> BTreeSet<String> { ids.iter().map(ToString::to_string).collect() };
        assert_eq!(kept(&old, &old, ""), set(&["a", "b", "c", "d"]));
        assert_eq!(kept(&new, &old, ""), set(&["a", "d"]));
        // What is gone takes its readers with it.
        assert_eq!(kept(&old, &old, "ub"), set(&["a", "d"]));
        assert_eq!(kept(&old, &old, "ud"), set(&["a", "b", "c"]));
    }
}
