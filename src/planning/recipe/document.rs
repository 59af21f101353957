//! What is made, in order: everything that a build without dbt needs, so that it asks nobody again.
//!
//! A recipe follows from the manifest, the plan and the compiled SQL. It is written into the run's folder, and
//! the plan has its digest.

use super::seed;
use crate::adapters::materialize::native_ddl::ViewOption;
use crate::foundation::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Changed whenever another version would make something else of the same recipe.
pub const FORM: u32 = 1;

/// What is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// [`FORM`].
    pub form: u32,
    /// Each after everything that it reads.
    pub items: Vec<Item>,
    /// Tests that run without dbt, sorted by unique id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<TestItem>,
}

/// A data test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestItem {
    /// dbt's unique id.
    pub unique_id: String,
    /// Its query: the rows that fail. It reads green where green is built.
    pub query: String,
    /// The cluster that it runs on, by its present name.
    pub cluster: String,
    /// What is counted, as SQL.
    pub fail_calc: String,
    /// The condition behind it under which the test warns, as SQL.
    pub warn_if: String,
    /// The condition behind it under which the test fails, as SQL.
    pub error_if: String,
    /// The most rows that are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Whether it can fail, or only warn.
    pub severity: Severity,
    /// The relation in which its failures are stored, made before it runs; it then counts what is in there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Item>,
}

/// What a test can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Fail.
    Error,
    /// Warn.
    Warn,
}

/// One relation with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// dbt's unique id.
    pub unique_id: String,
    /// The schema in which it is made.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Unique ids of other items that must be there before.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub after: BTreeSet<String>,
    /// What it is.
    pub make: Make,
    /// The columns that its contract promises, where that is enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Vec<Promise>>,
    /// Its indexes, in the order in which they are made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<ItemIndex>,
    /// The comment on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Comments on those of its columns that exist: name, as the catalog holds it, and text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub column_comments: Vec<(String, String)>,
}

/// What a relation is made of. SQL reads green where green is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Make {
    /// A view.
    View {
        /// Its query.
        query: String,
    },
    /// A materialized view.
    MaterializedView {
        /// The cluster that computes it, by its present name.
        cluster: String,
        /// Its options, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        options: Vec<ViewOption>,
        /// Its query.
        query: String,
    },
    /// A source, which only a corner of a pull request has made natively.
    Source {
        /// The cluster that runs it, by its present name.
        cluster: String,
        /// What follows its name, as SQL.
        definition: String,
    },
    /// A table with rows.
    Seed {
        /// The package whose file it is; `None` of the project itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        package: Option<String>,
        /// The file, from the package's folder.
        file: PathBuf,
        /// Of the file's bytes.
        digest: Digest,
        /// How it is read.
        format: seed::Format,
        /// Whether names of columns count as they are written; otherwise they are lowered.
        quotes: bool,
    },
}

/// A column that a contract promises.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// Its name, as the catalog holds it.
    pub name: String,
    /// Its type, as SQL.
    pub data_type: String,
}

/// An index of a relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemIndex {
    /// Its name; `None` where the server chooses one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the server chooses what it is on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// Columns and expressions, as SQL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// The cluster that holds it, by its present name.
    pub cluster: String,
}

/// Items that wait for each other, by unique id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("these nodes wait for each other: {}", .0.join(", "))]
pub struct Circle(pub Vec<String>);

impl Recipe {
    /// The items in an order in which each comes after what it reads; of several such, always the same one.
    ///
    /// # Errors
    /// [`Circle`] when there is none.
    pub fn of(items: Vec<Item>) -> Result<Self, Circle> {
        let mut left: BTreeMap<String, Item> = items
            .into_iter()
            .map(|item| (item.unique_id.clone(), item))
            .collect();
        let mut readers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut waits: BTreeMap<String, usize> = BTreeMap::new();
        for item in left.values() {
            for parent in &item.after {
                readers
                    .entry(parent.clone())
                    .or_default()
                    .push(item.unique_id.clone());
            }
            waits.insert(item.unique_id.clone(), item.after.len());
        }
        let is_free = |(id, count): (&String, &usize)| (*count == 0).then(|| id.clone());
        let mut free: BTreeSet<String> = waits.iter().filter_map(is_free).collect();
        let mut ordered = Vec::with_capacity(left.len());
        while let Some(id) = free.pop_first() {
            for reader in readers.remove(&id).unwrap_or_default() {
                if let Some(count) = waits.get_mut(&reader) {
                    *count -= 1;
                    if *count == 0 {
                        free.insert(reader);
                    }
                }
            }
            ordered.extend(left.remove(&id));
        }
        match left.is_empty() {
            true => Ok(Self {
                form: FORM,
                items: ordered,
                tests: Vec::new(),
            }),
            false => Err(Circle(left.into_keys().collect())),
        }
    }

    /// The recipe as JSON, and what it hashes to.
    ///
    /// # Errors
    /// Never in practice: there is nothing in it that JSON cannot hold.
    pub fn written(&self) -> Result<(Vec<u8>, String), serde_json::Error> {
        let bytes = serde_json::to_vec(self)?;
        let digest = Digest::of(&bytes).to_string();
        Ok((bytes, digest))
    }

    /// The recipe in these bytes, when it is the one with this digest.
    #[must_use]
    pub fn read(bytes: &[u8], digest: &str) -> Option<Self> {
        let is_it = Digest::of(bytes).to_string() == digest;
        let recipe = is_it.then(|| serde_json::from_slice::<Self>(bytes).ok());
        recipe.flatten().filter(|recipe| recipe.form == FORM)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
    use super::*;
    use proptest::prelude::*;

    fn item(id: &str, after: &[&str]) -> Item {
        Item {
            unique_id: id.to_owned(),
            schema: "s".to_owned(),
            name: id.to_owned(),
            after: after.iter().map(ToString::to_string).collect(),
            make: Make::View {
                query: "select 1".to_owned(),
            },
            contract: None,
            indexes: Vec::new(),
            comment: None,
            column_comments: Vec::new(),
        }
    }

    #[test]
    fn items_that_wait_for_each_other_are_named() {
        let items = vec![item("a", &[]), item("b", &["c"]), item("c", &["b"])];
        let circle = Circle(vec!["b".to_owned(), "c".to_owned()]);
        assert_eq!(Recipe::of(items), Err(circle));
    }

    #[test]
    fn a_recipe_is_read_only_when_it_is_the_one_that_was_written() {
        let recipe = Recipe::of(vec![item("b", &["a"]), item("a", &[])]).unwrap();
        let (bytes, digest) = recipe.written().unwrap();
        assert_eq!(Recipe::read(&bytes, &digest), Some(recipe));
        assert_eq!(Recipe::read(&bytes, "other"), None);
        assert_eq!(Recipe::read(&bytes[1..], &digest), None);
    }

    proptest! {
        #[test]
        fn everything_comes_after_what_it_reads(edges in prop::collection::btree_set((0_usize..12, 0_usize..12), 0..30)) {
            let name = |at: usize| format!("n{at:02}");
            let items: Vec<Item> = (0..12).rev().map(|at| {
                let parents: Vec<String> = edges.iter()
                    .filter(|(child, parent)| *child == at && parent < child)
                    .map(|(_, parent)| name(*parent)).collect();
                item(&name(at), &parents.iter().map(String::as_str).collect::<Vec<_>>())
            }).collect();
            let recipe = Recipe::of(items).unwrap();
            prop_assert_eq!(recipe.items.len(), 12);
            let mut seen = BTreeSet::new();
            for item in &recipe.items {
                prop_assert!(item.after.is_subset(&seen));
                seen.insert(item.unique_id.clone());
            }
        }
    }
}
