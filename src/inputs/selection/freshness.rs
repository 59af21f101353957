//! dbt's `sources.json` (schema v3): when each source was last loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use crate::inputs::manifest::artifact;

const KIND: artifact::Kind = artifact::Kind {
    name: "sources",
    version: 3,
    dbt: "1.8 to 1.11",
};

/// What `dbt source freshness` left behind.
#[derive(Clone, Debug, Deserialize)]
pub struct Freshness {
    results: Vec<Checked>,
}

#[derive(Clone, Debug, Deserialize)]
struct Checked {
    unique_id: String,
    /// Absent where the check itself failed.
    #[serde(default)]
    max_loaded_at: Option<jiff::Timestamp>,
}

impl Freshness {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is no `sources.json`.
    pub fn read(file: &Path) -> Result<Self, artifact::Error> {
        artifact::read(file, KIND)
    }

    /// Reads results at hand; `origin` stands for the file in messages.
    ///
    /// # Errors
    /// When it is no `sources.json`.
    pub fn from_slice(bytes: &[u8], origin: &Path) -> Result<Self, artifact::Error> {
        artifact::parse(bytes, origin, KIND)
    }

    fn loaded(&self) -> BTreeMap<&str, jiff::Timestamp> {
        self.results
            .iter()
            .filter_map(|checked| Some((checked.unique_id.as_str(), checked.max_loaded_at?)))
            .collect()
    }

    /// Sources that were loaded since, or were not known.
    pub(super) fn fresher_than(&self, before: &Self) -> BTreeSet<&str> {
        let before = before.loaded();
        self.loaded()
            .into_iter()
            .filter(|(id, loaded)| before.get(id).is_none_or(|before| loaded > before))
            .map(|(id, _)| id)
            .collect()
    }
}
