//! dbt's switches that decide which relations a run makes and of which its manifest says nothing:
//! `dbt parse` knows neither, `dbt test` and `dbt build` read them while they run.

use std::ffi::{OsStr, OsString};

use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

/// The flag of dbt 1.12 in `flags:` of `dbt_project.yml`; no variable or option sets it.
const VERSION_POINTERS: &str = "latest_version_pointer_enabled_by_default";
/// `dbt test --store-failures` by its variables.
const STORE_FAILURES: [&str; 2] = ["DBT_STORE_FAILURES", "DBT_ENGINE_STORE_FAILURES"];

/// What dbt makes where a node's configuration does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switches {
    /// Whether tests store their failures.
    pub store_failures: bool,
    /// Whether the latest version of a model gets a view under the model's bare name.
    pub version_pointers: bool,
}

impl Switches {
    /// As dbt finds them in `flags:` and in the environment that it is given.
    pub fn of<'a>(
        flags: &Mapping,
        environment: impl IntoIterator<Item = (&'a OsString, &'a OsString)>,
    ) -> Self {
        Self {
            store_failures: environment.into_iter().any(|(name, value)| {
                STORE_FAILURES.iter().any(|known| name == known) && is_on(value)
            }),
            version_pointers: flags
                .get(VERSION_POINTERS)
                .and_then(Value::as_bool)
                .unwrap_or_default(),
        }
    }
}

/// What click takes for true.
fn is_on(value: &OsStr) -> bool {
    let Some(value) = value.to_str() else {
        return false;
    };
    ["1", "true", "t", "yes", "y", "on"].contains(&value.trim().to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::Switches;
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    #[test]
    fn switches_are_those_that_dbt_would_find() {
        let flags = |text: &str| serde_yaml::from_str(text).expect("YAML");
        let found = |flag: &str, variables: &[(&str, &str)]| {
            let variables: BTreeMap<OsString, OsString> = variables
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect();
            let found = Switches::of(&flags(flag), &variables);
            (found.store_failures, found.version_pointers)
        };
        assert_eq!(found("{}", &[]), (false, false));
        assert_eq!(
            found("{latest_version_pointer_enabled_by_default: true}", &[]),
            (false, true)
        );
        for on in ["1", "True", " yes "] {
            assert_eq!(found("{}", &[("DBT_STORE_FAILURES", on)]), (true, false));
        }
        assert!(found("{}", &[("DBT_ENGINE_STORE_FAILURES", "t")]).0);
        assert!(!found("{}", &[("DBT_STORE_FAILURES", "0")]).0);
        assert!(!found("{}", &[("STORE_FAILURES", "1")]).0);
    }
}
