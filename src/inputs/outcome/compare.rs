//! Whether what comes out of a node is what came out of it before.

use super::options::{HOOKS, RENDERED_HOOKS};
use super::{MadeFrom, Outcome, Outcomes};
use std::fmt;

/// What two outcomes of one node say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The same relation, made from the same.
    Same,
    /// Another one, for these reasons; never empty.
    Differs(Vec<Difference>),
    /// What is known is the same, and what it is made from is not known of both.
    Unknown,
}

/// One way in which an outcome is another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// There was none.
    New,
    /// It is made elsewhere.
    Moved {
        /// `schema.name` of before, with the database where that is another.
        from: String,
    },
    /// Something else is made.
    Materialization {
        /// dbt's word for what it was.
        from: String,
        /// dbt's word for what it is.
        to: String,
    },
    /// Another cluster computes it.
    Cluster {
        /// The one before.
        from: String,
        /// The one now.
        to: String,
    },
    /// It has other indexes, or these are elsewhere.
    Indexes,
    /// Other configuration that reaches the statement is another.
    Option(String),
    /// A seed's rows.
    Rows,
    /// It reads a source that is elsewhere now, so that its SQL differs.
    ReadsMovedSource(String),
    /// It reads a node that is elsewhere now, so that its SQL differs.
    ReadsMovedNode(String),
    /// The SQL.
    Sql,
    /// The SQL, which is another each time that it is compiled.
    SqlOfAMoment,
    /// It asks the server while it is compiled, so that nobody can say beforehand.
    KnownWhenBuilt,
}

impl Difference {
    /// Whether it is the SQL that differs, whatever the cause.
    #[must_use]
    pub fn is_of_sql(&self) -> bool {
        match self {
            Self::Sql
            | Self::SqlOfAMoment
            | Self::ReadsMovedSource(_)
            | Self::ReadsMovedNode(_)
            | Self::KnownWhenBuilt => true,
            Self::New
            | Self::Moved { .. }
            | Self::Materialization { .. }
            | Self::Cluster { .. }
            | Self::Indexes
            | Self::Option(_)
            | Self::Rows => false,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("new"),
            Self::Moved { from } => write!(f, "moved from {from}"),
            Self::Materialization { from, to } => write!(f, "{from} → {to}"),
            Self::Cluster { from, to } => write!(f, "cluster {from} → {to}"),
            Self::Indexes => f.write_str("indexes differ"),
            Self::Option(name) => write!(f, "{name} differs"),
            Self::Rows => f.write_str("rows differ"),
            Self::ReadsMovedSource(name) => write!(f, "reads source {name}, which moved"),
            Self::ReadsMovedNode(id) => write!(f, "reads {id}, which moved"),
            Self::Sql => f.write_str("compiled SQL differs"),
            Self::SqlOfAMoment => f.write_str(
                "compiled SQL differs, as it does each time: it holds when or as what it was compiled (run_started_at, invocation_id, modules.datetime)",
            ),
            Self::KnownWhenBuilt => {
                f.write_str("known only when built: it asks the server while it is compiled")
            }
        }
    }
}

impl Outcomes {
    /// How the outcome of a node differs from the one that it had in `old`. An ephemeral model makes nothing,
    /// so that nothing of it can differ but whether it makes something.
    #[must_use]
    pub fn verdict(&self, id: &str, old: &Self) -> Verdict {
        let Some(new) = self.nodes.get(id) else {
            return Verdict::Same;
        };
        let Some(before) = old.nodes.get(id) else {
            return Verdict::Differs(vec![Difference::New]);
        };
        let is_ephemeral = |outcome: &Outcome| outcome.materialized == "ephemeral";
        match (is_ephemeral(before), is_ephemeral(new)) {
            (true, true) | (false, true) => return Verdict::Same,
            (true, false) => return Verdict::Differs(vec![Difference::New]),
            (false, false) => {}
        }
        let has_same_inputs =
            self.inputs.is_some() && self.inputs == old.inputs && new.own == before.own;
        let mut differences = around(new, before, has_same_inputs);
        let is_unknown = match made(new, before) {
            Made::Same => false,
            Made::Unknown if has_same_inputs => false,
            Made::Differs(Difference::Sql) => {
                differences.extend(self.moved_parents(new, old));
                if !differences.iter().any(is_about_parents) {
                    differences.push(match new.is_of_a_moment && before.is_of_a_moment {
                        true => Difference::SqlOfAMoment,
                        false => Difference::Sql,
                    });
                }
                false
            }
            Made::Differs(difference) => {
                differences.push(difference);
                false
            }
            Made::Unknown => {
                differences.extend(self.moved_parents(new, old));
                if new.parents != before.parents {
                    differences.push(Difference::Sql);
                }
                true
            }
        };
        match (differences.is_empty(), is_unknown) {
            (false, _) => Verdict::Differs(differences),
            (true, false) => Verdict::Same,
            (true, true) => Verdict::Unknown,
        }
    }

    /// What a node reads that is elsewhere now.
    fn moved_parents(&self, new: &Outcome, old: &Self) -> Vec<Difference> {
        let moved = |id: &String| {
            if let (Some(now), Some(before)) = (self.sources.get(id), old.sources.get(id)) {
                return (now.relation != before.relation)
                    .then(|| Difference::ReadsMovedSource(now.name.clone()));
            }
            let (now, before) = (self.nodes.get(id)?, old.nodes.get(id)?);
            (now.place != before.place).then(|| Difference::ReadsMovedNode(id.clone()))
        };
        new.parents.iter().filter_map(moved).collect()
    }
}

fn is_about_parents(difference: &Difference) -> bool {
    matches!(
        difference,
        Difference::ReadsMovedSource(_) | Difference::ReadsMovedNode(_)
    )
}

/// What differs beside what it is made from.
fn around(new: &Outcome, before: &Outcome, has_same_inputs: bool) -> Vec<Difference> {
    let mut differences = Vec::new();
    if new.place != before.place {
        let (database, schema, name) = &before.place;
        let from = if *database == new.place.0 {
            format!("{schema}.{name}")
        } else {
            format!("{database}.{schema}.{name}")
        };
        differences.push(Difference::Moved { from });
    }
    if new.materialized != before.materialized {
        differences.push(Difference::Materialization {
            from: before.materialized.clone(),
            to: new.materialized.clone(),
        });
    } else if new.cluster != before.cluster {
        let word = |cluster: &Option<String>| cluster.clone().unwrap_or_else(|| "none".to_owned());
        differences.push(Difference::Cluster {
            from: word(&before.cluster),
            to: word(&new.cluster),
        });
    }
    if new.indexes != before.indexes {
        differences.push(Difference::Indexes);
    }
    let names = new.options.keys().chain(before.options.keys());
    let mut names: Vec<&String> = names
        .filter(|name| ![HOOKS, RENDERED_HOOKS].contains(&name.as_str()))
        .filter(|name| new.options.get(*name) != before.options.get(*name))
        .collect();
    names.sort_unstable();
    names.dedup();
    differences.extend(
        names
            .into_iter()
            .map(|name| Difference::Option(name.clone())),
    );
    if hooks_differ(new, before, has_same_inputs) {
        differences.push(Difference::Option("hooks".to_owned()));
    }
    differences
}

/// Hooks are compared as they are sent. Where that is not known of both, the same text is the same hook only
/// under the same inputs.
fn hooks_differ(new: &Outcome, before: &Outcome, has_same_inputs: bool) -> bool {
    let of = |outcome: &Outcome, name| outcome.options.get(name).cloned();
    match (of(new, RENDERED_HOOKS), of(before, RENDERED_HOOKS)) {
        (Some(new), Some(before)) => new != before,
        _ if new.options.get(HOOKS) != before.options.get(HOOKS) => true,
        _ => new.options.contains_key(HOOKS) && !has_same_inputs,
    }
}

enum Made {
    Same,
    Differs(Difference),
    Unknown,
}

fn made(new: &Outcome, before: &Outcome) -> Made {
    match (&new.made_from, &before.made_from) {
        (MadeFrom::KnownWhenBuilt, _) => Made::Differs(Difference::KnownWhenBuilt),
        (MadeFrom::Sql(new), MadeFrom::Sql(before)) if new == before => Made::Same,
        (MadeFrom::Sql(_), MadeFrom::Sql(_)) => Made::Differs(Difference::Sql),
        (
            MadeFrom::Rows { file, checksum },
            MadeFrom::Rows {
                file: file_before,
                checksum: checksum_before,
            },
        ) => {
            let known = file
                .zip(*file_before)
                .map(|(new, before)| new == before)
                .or_else(|| {
                    let both = checksum.as_ref().zip(checksum_before.as_ref());
                    both.map(|(new, before)| new == before)
                });
            match known {
                Some(true) => Made::Same,
                Some(false) => Made::Differs(Difference::Rows),
                None => Made::Unknown,
            }
        }
        // What was a model is a seed now, or was known only when it was built.
        (MadeFrom::Rows { .. }, _) | (_, MadeFrom::Rows { .. }) => Made::Differs(Difference::Rows),
        (MadeFrom::Sql(_), MadeFrom::KnownWhenBuilt) => Made::Differs(Difference::Sql),
        (MadeFrom::Unknown, _) | (_, MadeFrom::Unknown) => Made::Unknown,
    }
}
