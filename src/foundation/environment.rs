//! The environment variables that Jinja's `env_var` and dbt's options read, as an injected value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Variables whose name starts so are secrets to dbt: only `profiles.yml` and package files may read
/// them (`dbt_common.constants.SECRET_ENV_PREFIX`).
pub const SECRET_PREFIX: &str = "DBT_ENV_SECRET";

/// What stands for a secret, as in dbt's own messages (`dbt_common.events.base_types`).
pub const MASK: &str = "*****";

/// A snapshot of environment variables. Cheap to clone; `Debug` prints names only.
#[derive(Clone, Default)]
pub struct Environment {
    variables: Arc<BTreeMap<String, String>>,
    /// Names of those that are set and not to be seen.
    withheld: Arc<BTreeSet<String>>,
}

impl Environment {
    /// Takes the variables of this process. Those that are not UTF-8 are left out, as dbt cannot name them.
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of a variable, empty or not.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// These variables without those that may not be seen.
    #[must_use]
    pub fn seen_by(&self, lets: impl Fn(&str) -> bool) -> Self {
        let all = self.variables.iter();
        let (seen, withheld): (Vec<_>, Vec<_>) = all.partition(|(name, _)| lets(name));
        Self {
            variables: Arc::new(copied(seen)),
            withheld: Arc::new(withheld.into_iter().map(|(name, _)| name.clone()).collect()),
        }
    }

    /// The text without the values of variables that are secrets to dbt, which masks them the same way.
    #[must_use]
    pub fn scrubbed(&self, text: &str) -> String {
        scrub(self.secrets(), text)
    }

    /// The values of variables that are secrets to dbt.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let secret = self.variables.iter();
        let secret = secret.filter(|(name, _)| name.starts_with(SECRET_PREFIX));
        secret.map(|(_, value)| value.as_str())
    }

    /// These variables and others, which win.
    #[must_use]
    pub fn with(&self, others: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut variables = self.variables.as_ref().clone();
        variables.extend(others);
        Self {
            variables: Arc::new(variables),
            withheld: self.withheld.clone(),
        }
    }

    /// Names of variables that are set and not to be seen.
    #[must_use]
    pub fn withheld(&self) -> &BTreeSet<String> {
        &self.withheld
    }

    /// The value of an option's variable. An empty one counts as absent, as it does for dbt's
    /// command line; `DBT_X` may also be spelt `DBT_ENGINE_X`, which then wins.
    pub fn option(&self, name: &str) -> Option<&str> {
        let engine = name
            .strip_prefix("DBT_")
            .map(|rest| format!("DBT_ENGINE_{rest}"));
        engine
            .as_deref()
            .and_then(|engine| self.get(engine))
            .filter(|value| !value.is_empty())
            .or_else(|| self.get(name).filter(|value| !value.is_empty()))
    }
}

/// The text without these secrets.
pub fn scrub<'a>(secrets: impl IntoIterator<Item = &'a str>, text: &str) -> String {
    let mut text = text.to_owned();
    for secret in secrets.into_iter().map(str::trim) {
        if !secret.is_empty() {
            text = text.replace(secret, MASK);
        }
    }
    text
}

fn copied(variables: Vec<(&String, &String)>) -> BTreeMap<String, String> {
    let copies = variables.into_iter();
    copies
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Self {
            variables: Arc::new(variables.collect()),
            withheld: Arc::default(),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}
