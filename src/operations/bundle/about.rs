//! What a bundle was compiled from and for, and how that differs from what is here.

use crate::inputs::outcome::counted_target;
use crate::inputs::project::dbt_project::circumstances::Circumstances;
use crate::inputs::project::{Deployment, Switches};
use crate::planning::planner::clusters::ClusterNames;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Keys of `target` that say who connects, and by which name of the profile.
const OF_USER: [&str; 3] = ["user", "role", "profile_name"];

/// Keys of `target` that repeat another one.
const REPEATED: [&str; 2] = ["target_name", "dbname"];

/// The dbt that compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dbt {
    /// The version of dbt-core.
    pub core: String,
    /// The version of dbt-materialize.
    pub adapter: String,
}

/// What a bundle was compiled from and for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The dbt project's name.
    pub project: String,
    /// The commit that was checked out, where that is known.
    pub revision: Option<String>,
    /// The dbt that compiled it.
    pub dbt: Dbt,
    /// `target`, as far as it may have reached what was compiled.
    pub target: Map<String, Value>,
    /// Whether the code looks at how the connection is made.
    pub reads_connection: bool,
    /// Whether the code looks at who connects.
    pub reads_user: bool,
    /// Schemas of `vars.deployment` for the target, sorted.
    pub schemas: BTreeSet<String>,
    /// Clusters of `vars.deployment` for the target, sorted.
    pub clusters: BTreeSet<String>,
    /// Variables that were given from outside.
    pub variables: Map<String, Value>,
    /// What becomes of the names of clusters.
    pub cluster_names: ClusterNames,
    /// What dbt was switched to make.
    pub switches: Switches,
    /// The form of the outcomes.
    pub outcomes: u32,
}

/// Something that is not here as it was where a bundle was compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The kind of it, as a deployment that is resumed names it.
    pub what: &'static str,
    /// With both values, where they are no secrets.
    pub detail: String,
}

impl About {
    /// What of a target counts.
    #[must_use]
    pub fn counted(
        target: &Map<String, Value>,
        reads_connection: bool,
        reads_user: bool,
    ) -> Map<String, Value> {
        let mut counted = counted_target(target, reads_connection);
        counted.retain(|key, _| {
            !REPEATED.contains(&key.as_str()) && (reads_user || !OF_USER.contains(&key.as_str()))
        });
        counted
    }

    /// How target and variables differ here.
    #[must_use]
    pub fn differing(&self, here: &Circumstances, given: &Map<String, Value>) -> Vec<Difference> {
        let target = Self::counted(&here.target, self.reads_connection, self.reads_user);
        let mut found: Vec<Difference> = pairs(&self.target, &target)
            .map(|(key, there, here)| Difference {
                what: "the profile's target",
                detail: format!(
                    "target.{key} is {} in the bundle and {} here",
                    shown(there),
                    shown(here)
                ),
            })
            .collect();
        // Values of variables may be secrets.
        found.extend(pairs(&self.variables, given).map(|(key, _, _)| Difference {
            what: "variables",
            detail: format!("the variable {key} is another here"),
        }));
        found
    }

    /// How what is to be released differs here.
    #[must_use]
    pub fn differing_deployment(&self, here: &Deployment) -> Vec<Difference> {
        let mut found = Vec::new();
        for (kind, there, here) in [
            ("schema", &self.schemas, &here.schemas),
            ("cluster", &self.clusters, &here.clusters),
        ] {
            let here: BTreeSet<String> = here.iter().cloned().collect();
            let mut tell = |names: BTreeSet<&String>, which: &str| {
                found.extend(names.into_iter().map(|name| Difference {
                    what: "vars.deployment",
                    detail: format!("vars.deployment has the {kind} {name} {which}"),
                }));
            };
            tell(
                there.difference(&here).collect(),
                "in the bundle and not here",
            );
            tell(
                here.difference(there).collect(),
                "here and not in the bundle",
            );
        }
        found
    }
}

static NULL: Value = Value::Null;

/// The entries that differ, with both values.
fn pairs<'a>(
    left: &'a Map<String, Value>,
    right: &'a Map<String, Value>,
) -> impl Iterator<Item = (&'a str, &'a Value, &'a Value)> {
    let keys: BTreeSet<&str> = left
        .keys()
        .chain(right.keys())
        .map(String::as_str)
        .collect();
    keys.into_iter()
        .map(move |key| {
            let of = |map: &'a Map<String, Value>| map.get(key).unwrap_or(&NULL);
            (key, of(left), of(right))
        })
        .filter(|(_, left, right)| left != right)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        Value::String(text) => format!("{text:?}"),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
