//! What is live against what was recorded when it went live. Pure.

use super::document::{Metadata, RecordedObject};
use crate::domain::catalog::{Catalog, ObjectKind};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One object that is not as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Drift {
    /// The production schema.
    pub schema: String,
    /// The object.
    pub name: String,
    /// What it is; of a missing one, what it was.
    pub kind: ObjectKind,
    /// What became of it.
    #[serde(flatten)]
    pub change: Change,
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "drift", rename_all = "snake_case")]
pub enum Change {
    /// It was recorded and is not there.
    Missing {
        /// Its recorded id.
        recorded: String,
    },
    /// Something of its name is there with another id.
    Recreated {
        /// Its recorded id.
        recorded: String,
        /// The id that is there.
        found: String,
    },
    /// It is there and was not recorded.
    Extra {
        /// Its id.
        found: String,
    },
}

impl Drift {
    /// Whether it is something that was not recorded.
    #[must_use]
    pub fn is_extra(&self) -> bool {
        match self.change {
            Change::Extra { .. } => true,
            Change::Missing { .. } | Change::Recreated { .. } => false,
        }
    }
}

impl Change {
    /// The word for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Change::Missing { .. } => "missing",
            Change::Recreated { .. } => "recreated",
            Change::Extra { .. } => "extra",
        }
    }
}

/// The objects that the catalog shows in these schemas of its database, sorted.
#[must_use]
pub fn recorded<'a>(
    schemas: impl IntoIterator<Item = &'a str>,
    catalog: &Catalog,
) -> Vec<RecordedObject> {
    let mut objects = Vec::new();
    for name in schemas {
        let Some(schema) = catalog.schema(name) else {
            continue;
        };
        for object in catalog.objects_in_schema(&schema.id) {
            objects.push(RecordedObject {
                schema: name.to_owned(),
                name: object.name.clone(),
                id: object.id.clone(),
                kind: object.kind,
                beside: false,
                given: None,
            });
        }
    }
    objects.sort();
    objects.dedup();
    objects
}

/// Every object of the recorded schemas that is missing, recreated or extra, sorted by schema and
/// name; empty when production is what was recorded. A renamed object is missing under its old name
/// and extra under its new one.
#[must_use]
pub fn found(metadata: &Metadata, catalog: &Catalog) -> Vec<Drift> {
    let schemas: BTreeSet<&str> = metadata
        .schemas
        .iter()
        .chain(metadata.objects.iter().map(|object| &object.schema))
        .map(String::as_str)
        .collect();
    let live = recorded(schemas, catalog);
    let places = |objects: &[RecordedObject]| -> BTreeSet<(String, String, String)> {
        let place = |o: &RecordedObject| (o.schema.clone(), o.name.clone(), o.id.clone());
        objects.iter().map(place).collect()
    };
    let (known_places, live_places) = (places(&metadata.objects), places(&live));
    let is_in = |places: &BTreeSet<(String, String, String)>, object: &RecordedObject| {
        places.contains(&(
            object.schema.clone(),
            object.name.clone(),
            object.id.clone(),
        ))
    };
    // What is new, by name; a type and a relation may share one.
    let mut fresh: BTreeMap<(&str, &str), Vec<&RecordedObject>> = BTreeMap::new();
    for object in &live {
        if !is_in(&known_places, object) {
            let place = (object.schema.as_str(), object.name.as_str());
            fresh.entry(place).or_default().push(object);
        }
    }
    let drift = |object: &RecordedObject, change| Drift {
        schema: object.schema.clone(),
        name: object.name.clone(),
        kind: object.kind,
        change,
    };
    let mut drifts = Vec::new();
    for known in &metadata.objects {
        if is_in(&live_places, known) {
            continue;
        }
        let recorded = known.id.clone();
        let place = (known.schema.as_str(), known.name.as_str());
        drifts.push(match fresh.get_mut(&place).and_then(Vec::pop) {
            Some(object) => {
                let found = object.id.clone();
                drift(object, Change::Recreated { recorded, found })
            }
            None => drift(known, Change::Missing { recorded }),
        });
    }
    for object in fresh.into_values().flatten() {
        let found = object.id.clone();
        drifts.push(drift(object, Change::Extra { found }));
    }
    drifts.sort();
    drifts
}
