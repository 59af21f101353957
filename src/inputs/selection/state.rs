//! What changed between two manifests, judged as dbt's `state:` method judges it.
//!
//! The rules are those of dbt-core 1.11 (`dbt.graph.selector_methods.StateSelectorMethod` and the
//! `same_*` methods of `dbt.contracts.graph.nodes`), quirks included: a new source, exposure, metric,
//! semantic model or saved query is `new` and not `modified`; a test's SQL is no part of what makes it
//! modified; tags never are. What dbt never selects but a release must know, the deleted nodes, is
//! [`Comparison::deleted`].
//!
//! One deviation is wanted: dbt compares the project in memory with a state read from JSON, so that dates
//! and tuples in configurations always differ. Here both sides come from JSON, and they do not.

mod contents;
mod contract;
mod macros;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;

use super::manifest::{Manifest, Resource};
use crate::foundation::word::words;

pub(crate) use value::{is_equal, is_equal_caseless};

/// Why dbt would refuse to compare.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A versioned model breaks its contract. dbt only warns where the model has no versions.
    #[error(
        "{}: `{id}` breaks the contract of its version: {}; add a version to the model instead, or undo the change",
        file.display(), breaks.join("; ")
    )]
    ContractBroken {
        /// The manifest with the change.
        file: PathBuf,
        /// The model.
        id: String,
        /// What broke.
        breaks: Vec<String>,
    },
    /// A node uses a macro or generic test that does not exist.
    #[error(
        "{}: `{id}` uses a macro or test that does not exist; correct its name, or install the package with `dbt deps`",
        file.display()
    )]
    MissingMacro {
        /// The manifest.
        file: PathBuf,
        /// The node.
        id: String,
    },
}

words! {
    /// A value of the `state:` method.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[expect(missing_docs, reason = "the names and meanings are dbt's own")]
    pub enum StateValue: "value of state:" {
        New = "new",
        Old = "old",
        Modified = "modified",
        Unmodified = "unmodified",
        Body = "modified.body",
        Configs = "modified.configs",
        PersistedDescriptions = "modified.persisted_descriptions",
        Relation = "modified.relation",
        Macros = "modified.macros",
        Contract = "modified.contract",
    }
}

/// One reason why a node is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It was not there.
    New,
    /// Its SQL, or a seed's rows.
    Body,
    /// These keys of its configuration.
    Configs {
        /// The keys, sorted.
        keys: Vec<String>,
    },
    /// A description that the adapter writes as a comment.
    PersistedDescriptions,
    /// The database, schema or name that it asks for.
    Relation,
    /// Its place in the project, by which configurations find it.
    Fqn,
    /// Macros that it reaches and that were changed, added or removed.
    Macros {
        /// Their names with package, sorted.
        names: Vec<String>,
    },
    /// The promise about its columns.
    Contract,
    /// Another property, by dbt's name.
    Property(&'static str),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("new"),
            Self::Body => f.write_str("changed: body"),
            Self::Configs { keys } => write!(f, "changed: config {}", keys.join(", ")),
            Self::PersistedDescriptions => f.write_str("changed: persisted descriptions"),
            Self::Relation => f.write_str("changed: relation"),
            Self::Fqn => f.write_str("changed: place in the project"),
            Self::Macros { names } => write!(f, "changed: macro {}", names.join(", ")),
            Self::Contract => f.write_str("changed: contract"),
            Self::Property(name) => write!(f, "changed: {name}"),
        }
    }
}

/// What a comparison needs to know beside the manifests.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The project flag `state_modified_compare_more_unrendered_values`: sources are compared by the
    /// database and schema as written instead of as rendered.
    pub compare_unrendered_sources: bool,
    /// The present: a model past its `deprecation_date` may go without breaking its contract.
    pub now: Timestamp,
}

/// What dbt finds of one node, for each `state:` value that is about it alone.
#[derive(Debug, Clone, Default, PartialEq)]
struct Verdict {
    is_new: bool,
    is_modified: bool,
    body: bool,
    configs: bool,
    persisted_descriptions: bool,
    relation: bool,
    macros: bool,
    contract: bool,
    changes: Vec<Change>,
}

/// Two manifests, compared.
#[derive(Debug, Clone)]
pub struct Comparison<'m> {
    old: &'m Manifest,
    new: &'m Manifest,
    verdicts: BTreeMap<&'m str, Verdict>,
    broken: Option<Error>,
    missing_macro: Option<Error>,
}

impl<'m> Comparison<'m> {
    /// Compares at this moment, in a project without flags.
    #[must_use]
    pub fn of(old: &'m Manifest, new: &'m Manifest) -> Self {
        let rules = Rules {
            compare_unrendered_sources: false,
            now: Timestamp::now(),
        };
        Self::with(old, new, rules)
    }

    /// Compares under other rules.
    #[must_use]
    pub fn with(old: &'m Manifest, new: &'m Manifest, rules: Rules) -> Self {
        let macros = macros::Reach::of(old, new);
        let mut broken = contract::removed(old, new, rules.now);
        let mut missing_macro = None;
        let mut verdicts = BTreeMap::new();
        for (id, resource) in new.resources() {
            let mut verdict = contents::verdict(old.get(id), resource, rules);
            if let Some(breaks) = contract::breaks(old, new, id) {
                broken.get_or_insert(breaks);
            }
            let depends_on = resource.depends_on().map(|it| it.macros.as_slice());
            match macros.of_node(depends_on.unwrap_or_default()) {
                macros::Found::Nothing => {}
                macros::Found::Missing => {
                    missing_macro.get_or_insert(Error::MissingMacro {
                        file: new.file.clone(),
                        id: id.to_owned(),
                    });
                }
                macros::Found::Changed(names) => {
                    verdict.macros = true;
                    verdict.is_modified = true;
                    verdict.changes.push(Change::Macros { names });
                }
            }
            verdicts.insert(id, verdict);
        }
        Self {
            old,
            new,
            verdicts,
            broken,
            missing_macro,
        }
    }

    /// Whether dbt could answer for a value at all.
    ///
    /// # Errors
    /// A broken contract of a versioned model; a macro that does not exist.
    pub fn check(&self, value: StateValue) -> Result<(), Error> {
        let (contracts, macros) = match value {
            StateValue::Modified | StateValue::Unmodified => (true, true),
            StateValue::Contract => (true, false),
            StateValue::Macros => (false, true),
            StateValue::New
            | StateValue::Old
            | StateValue::Body
            | StateValue::Configs
            | StateValue::PersistedDescriptions
            | StateValue::Relation => (false, false),
        };
        let broken = self.broken.as_ref().filter(|_| contracts);
        match broken.or(self.missing_macro.as_ref().filter(|_| macros)) {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Whether `state:<value>` selects a node; never one that the new manifest does not have.
    #[must_use]
    pub fn matches(&self, id: &str, value: StateValue) -> bool {
        let Some(verdict) = self.verdicts.get(id) else {
            return false;
        };
        match value {
            StateValue::New => verdict.is_new,
            StateValue::Old => !verdict.is_new,
            StateValue::Modified => verdict.is_modified,
            StateValue::Unmodified => !verdict.is_modified,
            StateValue::Body => verdict.body,
            StateValue::Configs => verdict.configs,
            StateValue::PersistedDescriptions => verdict.persisted_descriptions,
            StateValue::Relation => verdict.relation,
            StateValue::Macros => verdict.macros,
            StateValue::Contract => verdict.contract,
        }
    }

    /// Why a node is new or modified; empty for one that is neither.
    #[must_use]
    pub fn changes(&self, id: &str) -> &[Change] {
        self.verdicts
            .get(id)
            .map_or(&[], |verdict| verdict.changes.as_slice())
    }

    /// Every node of the new manifest that is new or modified, with the reasons.
    pub fn changed(&self) -> impl Iterator<Item = (&'m str, &[Change])> {
        self.verdicts
            .iter()
            .filter(|(_, verdict)| !verdict.changes.is_empty())
            .map(|(id, verdict)| (*id, verdict.changes.as_slice()))
    }

    /// What the old manifest has and the new one has not, renamed and disabled nodes among it.
    pub fn deleted(&self) -> impl Iterator<Item = (&'m str, Resource<'m>)> {
        let new = self.new;
        self.old
            .resources()
            .filter(move |(id, _)| new.get(id).is_none())
    }

    /// The manifest that is compared with.
    #[must_use]
    pub fn old(&self) -> &'m Manifest {
        self.old
    }
}
