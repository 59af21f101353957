//! What the compiled SQL of every node is a function of, besides the node's own text and configuration.
//!
//! Where all of it is what it was, a node whose own inputs are what they were has the compiled SQL that it
//! had. Held apart by kind, so that a person can be told which of them is another.

use super::reads::Reads;
use crate::domain::plan::inputs::Inputs;
use crate::foundation::digest::{Digest, Digesting};
use crate::inputs::manifest::Manifest;
use crate::inputs::project::dbt_project::circumstances::Circumstances;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Stands for every variable in [`Inputs::environment_read`].
const ANY: &str = "*";

/// Keys of `target` that say how to connect, not to what.
const OF_CONNECTION: [&str; 8] = [
    "host",
    "port",
    "sslmode",
    "threads",
    "retries",
    "connect_timeout",
    "keepalives_idle",
    "application_name",
];

impl Inputs {
    /// The inputs of a project. `content` is the manifest's content hash.
    #[must_use]
    pub fn of(
        manifest: &Manifest,
        reads: &Reads,
        content: &str,
        circumstances: &Circumstances,
    ) -> Self {
        let mut macros = Digesting::default();
        for (id, one) in &manifest.macros {
            macros.part(id.as_bytes()).part(one.macro_sql.as_bytes());
        }
        let mut environment_read = reads.variables.clone();
        if reads.any_variable {
            environment_read.insert(ANY.to_owned());
        }
        let graph = reads
            .macros_read_graph
            .then(|| Digest::of(content.as_bytes()));
        Self {
            macros: macros.finish(),
            graph,
            ..Self::around(environment_read, reads.connection, circumstances)
        }
    }

    /// What can be said without asking dbt: everything but macros and the graph, which are empty.
    fn around(
        environment_read: BTreeSet<String>,
        reads_connection: bool,
        circumstances: &Circumstances,
    ) -> Self {
        Self {
            macros: Digest::of(&[]),
            variables: of_value(&circumstances.variables),
            environment: environment(&environment_read, &circumstances.environment),
            environment_read,
            reads_connection,
            target: target(reads_connection, circumstances),
            project: of_value(&circumstances.project),
            graph: None,
            dbt: circumstances.dbt.clone(),
        }
    }

    /// Which kinds of input differ, in words; empty when none does. Everything that a person has not written
    /// into a model counts.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<&'static str> {
        let mut differing = self.circumstances_differing(other);
        if self.macros != other.macros {
            differing.push("macros");
        }
        if self.graph != other.graph {
            differing.push("the project, which a macro looks at");
        }
        differing
    }

    fn circumstances_differing(&self, other: &Self) -> Vec<&'static str> {
        let environment = (&self.environment_read, self.environment)
            != (&other.environment_read, other.environment);
        [
            (self.variables != other.variables, "variables"),
            (environment, "the environment"),
            (self.target != other.target, "the profile's target"),
            (self.project != other.project, "dbt_project.yml"),
            (self.dbt != other.dbt, "the version of dbt or its adapter"),
        ]
        .into_iter()
        .filter_map(|(differs, what)| differs.then_some(what))
        .collect()
    }

    /// Whether the variables of the environment that the code reads have other values. `false` where their names
    /// are computed: then it is not known which they are.
    #[must_use]
    pub fn read_another_environment(&self, now: &BTreeMap<String, String>) -> bool {
        !self.environment_read.contains(ANY)
            && environment(&self.environment_read, now) != self.environment
    }

    /// Which of the circumstances are others now, before dbt is asked: what the code reads is taken to be
    /// what it was.
    #[must_use]
    pub fn changed_since(&self, now: &Circumstances) -> Vec<&'static str> {
        let now = Self::around(self.environment_read.clone(), self.reads_connection, now);
        self.circumstances_differing(&now)
    }
}

#[cfg(test)]
impl Inputs {
    /// Inputs of a project that reads an environment variable, with every field.
    pub(crate) fn sample() -> Self {
        Self {
            graph: Some(Digest::of(b"graph")),
            ..Self::around(
                ["REGION".to_owned()].into(),
                true,
                &Circumstances::default(),
            )
        }
    }
}

fn environment(read: &BTreeSet<String>, given: &BTreeMap<String, String>) -> Digest {
    let is_read = |name: &str| read.contains(ANY) || read.contains(name);
    let mut digest = Digesting::default();
    for (name, value) in given.iter().filter(|(name, _)| is_read(name)) {
        digest.part(name.as_bytes()).part(value.as_bytes());
    }
    digest.finish()
}

fn target(reads_connection: bool, circumstances: &Circumstances) -> Digest {
    let counted = counted_target(&circumstances.target, reads_connection);
    of_value(&Value::Object(counted))
}

/// `target` without what says how to connect, unless the code looks at that.
#[must_use]
pub fn counted_target(
    target: &serde_json::Map<String, Value>,
    reads_connection: bool,
) -> serde_json::Map<String, Value> {
    let mut target = target.clone();
    if !reads_connection {
        target.retain(|key, _| !OF_CONNECTION.contains(&key.as_str()));
    }
    target
}

/// `serde_json` keeps the keys of a mapping in order, so that their order in a file does not count.
pub(super) fn of_value(value: &Value) -> Digest {
    Digest::of(value.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn circumstances() -> Circumstances {
        let target = json!({"name": "prod", "schema": "main", "host": "a", "threads": 4});
        Circumstances {
            variables: json!({"a": 1, "b": {"c": 2, "d": 3}}),
            environment: [("READ", "1"), ("OTHER", "1")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            target: target.as_object().cloned().unwrap_or_default(),
            project: json!({"quoting": {}}),
            dbt: "dbt-core 1.11.16".to_owned(),
        }
    }

    fn inputs() -> Inputs {
        Inputs::around(["READ".to_owned()].into(), false, &circumstances())
    }

    #[test]
    fn only_what_may_reach_sql_counts() {
        let mut now = circumstances();
        now.variables = json!({"b": {"d": 3, "c": 2}, "a": 1});
        now.environment.insert("OTHER".to_owned(), "2".to_owned());
        now.target.insert("host".to_owned(), "b".into());
        assert_eq!(inputs().changed_since(&now), Vec::<&str>::new());
        let looking = Inputs::around(["*".to_owned()].into(), true, &circumstances());
        assert_eq!(
            looking.changed_since(&now),
            ["the environment", "the profile's target"]
        );
    }

    #[test]
    fn what_differs_is_named() {
        let mut now = circumstances();
        now.variables = json!({"a": 2});
        now.environment.insert("READ".to_owned(), "2".to_owned());
        now.target.insert("schema".to_owned(), "other".into());
        now.project = json!({"quoting": {"schema": false}});
        now.dbt = "dbt-core 1.12.0".to_owned();
        assert_eq!(
            inputs().changed_since(&now),
            [
                "variables",
                "the environment",
                "the profile's target",
                "dbt_project.yml",
                "the version of dbt or its adapter"
            ]
        );
    }
}
