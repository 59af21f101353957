//! `vars.deployment.<target>`: the schemas and clusters that a release may replace.
//!
//! The form is dbt-materialize's: final names, in lists that default to empty. Beyond the adapter's
//! macros, wrong types, blank and repeated names are errors, and so is a target that lists nothing.

use std::collections::BTreeSet;

use serde_yaml::{Mapping, Value};

use super::super::document::{Document, Fault, Place, Step, dotted, kind};
use super::super::jinja::{Renderer, Scope};
use super::{DbtProject, Error};

/// What a release of one target may replace, in the order written, without repeats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployment {
    /// Clusters by their final names.
    pub clusters: Vec<String>,
    /// Schemas by their final names.
    pub schemas: Vec<String>,
}

/// Reads the entry of one target; every fault in it is reported at once.
pub(super) fn read(project: &DbtProject, target: &str) -> Result<Deployment, Error> {
    let Some((deployment, at)) = project.variable("deployment") else {
        let place = project.vars.document.place(&["vars".into()]);
        return Err(missing(
            place,
            "there is no variable `deployment`",
            target,
            &["vars".into(), "deployment".into()],
        ));
    };
    let scope = Scope::Project {
        target: Some(project.target.clone()),
    };
    let mut reader = Reader {
        document: &project.vars.document,
        renderer: Renderer::new(&project.environment, &project.variables(), scope),
        faults: Vec::new(),
    };
    let Some(targets) = deployment.as_mapping() else {
        reader.fault(
            &at,
            format!("expected a mapping of targets, found {}", kind(deployment)),
            EXAMPLE,
        );
        return Err(Error::Invalid(reader.faults));
    };
    let Some(entry) = targets.get(target) else {
        let known: Vec<&str> = targets.keys().filter_map(Value::as_str).collect();
        let what = match known.is_empty() {
            true => format!("the target `{target}` is missing, there is none"),
            false => format!(
                "the target `{target}` is missing, there is only {}",
                known.join(", ")
            ),
        };
        return Err(missing(reader.place(&at), &what, target, &at));
    };
    let at = [at, vec![target.into()]].concat();
    let Some(entry) = entry.as_mapping() else {
        reader.fault(
            &at,
            format!("expected `clusters:` and `schemas:`, found {}", kind(entry)),
            EXAMPLE,
        );
        return Err(Error::Invalid(reader.faults));
    };
    let deployment = Deployment {
        clusters: reader.names(&at, entry, "clusters", "cluster"),
        schemas: reader.names(&at, entry, "schemas", "schema"),
    };
    if reader.faults.is_empty() && deployment == Deployment::default() {
        reader.fault(
            &at,
            "lists no cluster and no schema, so there is nothing to release".to_owned(),
            EXAMPLE,
        );
    }
    match reader.faults.is_empty() {
        true => Ok(deployment),
        false => Err(Error::Invalid(reader.faults)),
    }
}

const EXAMPLE: &str = "write for example `{clusters: [compute], schemas: [marts]}`";

/// The error for a target without an entry, with the lines to add in their place.
fn missing(place: Place, what: &str, target: &str, at: &[Step]) -> Error {
    let mut keys: Vec<String> = at
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) if key == "--vars" => None,
            Step::Key(key) => Some(key.clone()),
            Step::Item(_) => None,
        })
        .collect();
    keys.push(target.to_owned());
    let mut lines = String::new();
    for (depth, key) in keys.iter().enumerate() {
        lines.push_str(&format!("{}{key}:\n", "  ".repeat(depth + 1)));
    }
    let inner = "  ".repeat(keys.len() + 1);
    lines.push_str(&format!(
        "{inner}clusters: []  # final names of the clusters to release\n"
    ));
    lines.push_str(&format!(
        "{inner}schemas: []   # final names of the schemas to release"
    ));
    Error::NoDeployment {
        place,
        what: what.to_owned(),
        lines,
    }
}

struct Reader<'a> {
    document: &'a Document,
    renderer: Renderer,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn names(&mut self, at: &[Step], entry: &Mapping, key: &str, singular: &str) -> Vec<String> {
        let here = [at, &[key.into()]].concat();
        if entry.contains_key(singular) {
            let wrong = [at, &[singular.into()]].concat();
            self.fault(
                &wrong,
                "is not read".to_owned(),
                &format!("name it `{key}:` and give a list"),
            );
        }
        let items = match entry.get(key).map(|written| self.renderer.tree(written)) {
            None | Some(Ok(Value::Null)) => return Vec::new(),
            Some(Ok(Value::Sequence(items))) => items,
            Some(Ok(other)) => {
                let what = format!("expected a list of names, found {}", kind(&other));
                self.fault(&here, what, &format!("write `{key}: [name]`"));
                return Vec::new();
            }
            Some(Err(error)) => {
                let path = error.path(&here);
                self.fault(
                    &path,
                    error.to_string(),
                    "correct the value or set what it reads",
                );
                return Vec::new();
            }
        };
        let mut seen = BTreeSet::new();
        let mut names = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let path = [here.as_slice(), &[Step::Item(index)]].concat();
            let Value::String(name) = item else {
                let what = format!("expected a name, found {}", kind(&item));
                self.fault(&path, what, "write the name as text, in quotes");
                continue;
            };
            if name.trim().is_empty() {
                self.fault(
                    &path,
                    "the name is empty".to_owned(),
                    "write a name or remove the item",
                );
            } else if name.trim() != name {
                let what = format!("the name `{name}` begins or ends with a blank");
                self.fault(&path, what, "remove the blank");
            } else if !seen.insert(name.clone()) {
                self.fault(
                    &path,
                    format!("the name `{name}` is repeated"),
                    "remove one of the two",
                );
            } else {
                names.push(name);
            }
        }
        names
    }

    fn place(&self, at: &[Step]) -> Place {
        match at.first() {
            Some(Step::Key(key)) if key == "--vars" => Place {
                file: "--vars".into(),
                line: None,
                key: dotted(&at[1..]),
            },
            Some(Step::Key(_) | Step::Item(_)) | None => self.document.place(at),
        }
    }

    fn fault(&mut self, at: &[Step], what: String, remedy: &str) {
        let place = self.place(at);
        self.faults.push(Fault::new(place, what).remedy(remedy));
    }
}
