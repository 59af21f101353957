//! Under what a project is compiled, as its files say.

use super::super::document::Document;
use super::super::locate::PROJECT_FILE;
use super::super::profiles::Profile;
use super::{DbtProject, VARS_FILE};
use crate::foundation::environment::SECRET_PREFIX;
use crate::foundation::failure::with_causes;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

/// Under what a project is compiled, as its files, the command line and the environment say.
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// Variables: the project's own, those of its packages, and those given from outside.
    pub variables: Value,
    /// The environment that dbt gets. Secrets that only profiles may read (`DBT_ENV_SECRET…`) are no part.
    pub environment: BTreeMap<String, String>,
    /// `target` as Jinja sees it, and the role.
    pub target: Map<String, Value>,
    /// What else of `dbt_project.yml` reaches compiled SQL: quoting, dispatch, flags.
    pub project: Value,
    /// `dbt-core 1.11.16, dbt-materialize 1.9.11`.
    pub dbt: String,
}

/// Keys of `dbt_project.yml` that reach compiled SQL in another way than through the configuration of nodes,
/// which stands rendered in the manifest.
const REACHING: [&str; 4] = ["name", "quoting", "dispatch", "flags"];

/// The same of a package's `dbt_project.yml`.
const REACHING_OF_PACKAGES: [&str; 3] = ["name", "vars", "quoting"];

impl DbtProject {
    /// Under what dbt compiles the project, given these variables and this environment. What packages bring
    /// is read when they are installed: see [`with_packages`].
    #[must_use]
    pub fn circumstances(
        &self,
        profile: &Profile,
        vars: &Map<String, Value>,
        environment: &BTreeMap<OsString, OsString>,
    ) -> Circumstances {
        let environment = environment
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.to_string_lossy())))
            .filter(|(name, _)| !name.starts_with(SECRET_PREFIX))
            .map(|(name, value)| (name.to_owned(), value.into_owned()))
            .collect();
        let mut target = json!(profile.target_value())
            .as_object()
            .cloned()
            .unwrap_or_default();
        target.insert("role".to_owned(), json!(profile.credentials.role));
        let root = &self.document.root;
        let reaching: BTreeMap<&str, Option<&serde_yaml::Value>> =
            REACHING.iter().map(|key| (*key, root.get(*key))).collect();
        Circumstances {
            variables: json!({"project": self.vars.entries, "given": vars}),
            environment,
            target,
            project: json!(reaching),
            dbt: String::new(),
        }
    }
}

/// The circumstances with the variables and quoting of the packages that are installed in a folder.
#[must_use]
pub fn with_packages(mut circumstances: Circumstances, folder: &Path) -> Circumstances {
    circumstances.variables["packages"] = json!(packages(folder));
    circumstances
}

/// Variables and quoting of the installed packages, by folder. One that cannot be read is a text of what is
/// wrong, which is another when it is mended.
fn packages(folder: &Path) -> BTreeMap<String, Value> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| {
            let read = |name: &str| Document::read(&entry.path().join(name));
            let value = match read(PROJECT_FILE) {
                Ok(document) => {
                    let mut keys: BTreeMap<&str, Option<&serde_yaml::Value>> = REACHING_OF_PACKAGES
                        .iter()
                        .map(|key| (*key, document.root.get(*key)))
                        .collect();
                    // Of dbt 1.12, for packages as for the project.
                    let vars = read(VARS_FILE).ok();
                    let vars = vars.as_ref().and_then(|vars| vars.root.get("vars"));
                    if vars.is_some() {
                        keys.insert(VARS_FILE, vars);
                    }
                    json!(keys)
                }
                Err(error) => Value::String(with_causes(&error)),
            };
            (entry.file_name().to_string_lossy().into_owned(), value)
        })
        .collect()
}
