//! `package-lock.yml`: what `dbt deps` decided to install.

use serde_yaml::Value;

use super::super::super::document::Document;
use super::Installed;
use super::listed::text;

/// One locked package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Locked {
    /// The project's name, which is its folder's; empty where the file is too old to say it.
    pub(super) name: String,
    /// The version of a package from the hub.
    pub(super) version: Option<String>,
    /// The commit of one from git.
    pub(super) revision: Option<String>,
}

impl Locked {
    /// The packages of a lock file, without those that it does not name.
    pub(super) fn all(lock: &Document) -> Vec<Self> {
        let packages = lock.root.get("packages").and_then(Value::as_sequence);
        let packages = packages.into_iter().flatten();
        packages.filter_map(Self::read).collect()
    }

    fn read(entry: &Value) -> Option<Self> {
        let of = |key: &str| entry.get(key).and_then(text);
        let hub = of("package");
        let name = of("name").or_else(|| hub_name(hub.as_deref()?));
        Some(Self {
            name: name?,
            version: hub.and_then(|_| of("version")),
            revision: of("revision").filter(|revision| is_commit(revision)),
        })
    }

    /// What is installed in its place, where that is something else.
    pub(super) fn difference(&self, found: &Installed) -> Option<String> {
        if found.is_link {
            return None;
        }
        let is_other = |wanted: &Option<String>, found: &Option<String>| {
            let pair = wanted.as_deref().zip(found.as_deref());
            pair.filter(|(wanted, found)| plain(wanted) != plain(found))
                .map(|(wanted, found)| format!("is installed as {found}, wanted is {wanted}"))
        };
        is_other(&self.version, &found.version).or_else(|| is_other(&self.revision, &found.commit))
    }
}

/// `dbt-labs/dbt_utils` is installed as `dbt_utils`.
pub(super) fn hub_name(package: &str) -> Option<String> {
    package.rsplit_once('/').map(|(_, name)| name.to_owned())
}

fn plain(version: &str) -> &str {
    version.trim_start_matches(['=', 'v'])
}

/// Whether a text is a commit's whole name.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit())
}
