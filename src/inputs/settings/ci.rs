//! Corners of pull requests.

use super::Environment;
use super::validate::Faults;
use crate::foundation::span::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What stands for production's schema in a template.
pub const SCHEMA: &str = "{schema}";
/// What stands for the corner's name in a template.
pub const NAME: &str = "{name}";

/// Corners of pull requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ci {
    /// The environment whose production is read; `None`: the only one.
    pub against: Option<String>,
    /// What the schemas of a corner are called: a template with [`SCHEMA`] and [`NAME`].
    pub schema: String,
    /// The cluster of a corner.
    pub cluster: CornerCluster,
    /// How long a corner stands after its last build.
    pub ttl: Span,
    /// The most corners of an environment that stand at once.
    pub max_environments: u32,
    /// How long a build waits in line.
    pub wait: Span,
    /// The branch that pull requests go to, where the platform does not say.
    pub base: Option<String>,
    /// Whether rows are counted.
    pub count_rows: bool,
    /// Whether they are compared as well, within the limits of the section `diff`.
    pub diff: bool,
    /// What becomes of sources of the project that production does not have.
    pub sources: NewSources,
    /// Whether the daemon builds revisions that nobody who may push to the repository put there.
    pub forks: bool,
}

/// What becomes of sources of the project that production does not have, where a request needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NewSources {
    /// The build is refused.
    Refuse,
    /// They are made in the corner, and ingest everything for it.
    Build,
}

/// The cluster of a corner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CornerCluster {
    /// What it is called: a template with [`NAME`].
    pub name: String,
    /// Its size.
    pub size: String,
    /// More options, as SQL.
    pub options: Option<String>,
    /// A cluster that all corners share, in the place of one of their own.
    pub shared: Option<String>,
}

impl Ci {
    /// The name of a schema of a corner.
    #[must_use]
    pub fn schema_of(&self, schema: &str, name: &str) -> String {
        // Neither may be taken for the template of the other.
        let parts = self.schema.split(SCHEMA);
        let parts: Vec<String> = parts.map(|part| part.replace(NAME, name)).collect();
        parts.join(schema)
    }

    /// The name of the cluster of a corner: its own, or the shared one.
    #[must_use]
    pub fn cluster_of(&self, name: &str) -> String {
        match &self.cluster.shared {
            Some(shared) => shared.clone(),
            None => self.cluster.name.replace(NAME, name),
        }
    }

    pub(super) fn check(&self, environments: &BTreeMap<String, Environment>, faults: &mut Faults) {
        for (path, template, wanted) in [
            ("ci.schema", &self.schema, &[SCHEMA, NAME][..]),
            ("ci.cluster.name", &self.cluster.name, &[NAME][..]),
        ] {
            let is_in = |part: &&str| template.contains(*part);
            faults.unless(
                wanted.iter().all(is_in) && !template.contains(char::is_control),
                path,
                format!("{template:?} is no template with {}", wanted.join(" and ")),
                "write where each of them stands in the name",
            );
        }
        let texts = [
            ("ci.cluster.size", Some(&self.cluster.size)),
            ("ci.cluster.options", self.cluster.options.as_ref()),
            ("ci.cluster.shared", self.cluster.shared.as_ref()),
            ("ci.base", self.base.as_ref()),
        ];
        for (path, text) in texts {
            faults.unless(
                text.is_none_or(|text| !text.trim().is_empty() && !text.contains(char::is_control)),
                path,
                "the text is empty or has control characters",
                "write a word, or null where that is possible",
            );
        }
        faults.unless(
            self.base.as_ref().is_none_or(|base| !base.starts_with('-')),
            "ci.base",
            "no branch begins with a dash",
            "write a branch such as main",
        );
        if let Some(against) = self.against.as_ref().filter(|_| !environments.is_empty()) {
            faults.unless(
                environments.contains_key(against),
                "ci.against",
                format!("there is no environment {against:?}"),
                "write the name of one of the environments",
            );
        }
        faults.unless(
            self.max_environments >= 1,
            "ci.max_environments",
            "the number must be at least 1",
            "write 1 or more",
        );
        faults.span("ci.ttl", self.ttl, false);
        faults.span("ci.wait", self.wait, true);
    }
}

#[cfg(test)]
mod tests {
    use crate::inputs::settings::{Settings, Sources};
    use std::collections::BTreeMap;

    fn load(yaml: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("cutover.yaml");
        std::fs::write(&file, yaml).expect("a file");
        let loaded = Settings::load(&Sources {
            file: Some(file),
            directory: folder.path().to_owned(),
            environment: BTreeMap::new(),
            overrides: Vec::new(),
        });
        loaded
            .map(|loaded| loaded.settings)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_made_from_templates_and_never_from_each_other() {
        let ci =
            load("ci: {schema: 'x_{name}_{schema}', cluster: {name: 'k_{name}'}}").map(|s| s.ci);
        let ci = ci.expect("settings");
        assert_eq!(ci.schema_of("marts", "pr-1"), "x_pr-1_marts");
        assert_eq!(ci.schema_of("{name}", "pr-1"), "x_pr-1_{name}");
        assert_eq!(ci.schema_of("marts", "{schema}"), "x_{schema}_marts");
        assert_eq!(ci.cluster_of("pr-1"), "k_pr-1");
    }

    #[test]
    fn every_fault_is_told() {
        let yaml = "ci: {against: x, schema: '{name}', cluster: {name: k, size: '', shared: ' '}, ttl: 0s, max_environments: 0, base: -x}\nenvironments: {prod: {}}";
        let told = load(yaml).expect_err("faults");
        for path in [
            "ci.against",
            "ci.schema",
            "ci.cluster.name",
            "ci.cluster.size",
            "ci.cluster.shared",
            "ci.ttl",
            "ci.max_environments",
            "ci.base",
        ] {
            assert!(told.contains(path), "{path}: {told}");
        }
    }
}
