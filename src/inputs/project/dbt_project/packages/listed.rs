//! `packages.yml` and `dependencies.yml`, and dbt's hash of what they list (`dbt.task.deps._create_sha1_hash`).

use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};
use sha1::{Digest, Sha1};

use super::super::super::document::{Document, Fault, kind};
use super::super::super::jinja::{Renderer, python_json};
use super::super::Error;
use super::lock::{Locked, hub_name};
use super::{DEPENDENCIES_FILE, PACKAGES_FILE};

/// What a project lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    /// The file, where one lists packages.
    pub(super) file: Option<PathBuf>,
    /// How many entries there are.
    pub(super) count: usize,
    /// dbt's hash of them; nothing where a value cannot be rendered.
    pub(super) hash: Option<String>,
    /// Those of the hub whose version is given exactly.
    pub(super) pinned: Vec<Locked>,
    /// Of the files.
    pub(super) warnings: Vec<String>,
}

impl Listed {
    pub(super) fn read(dir: &Path, renderer: &Renderer) -> Result<Self, Error> {
        let read = |name: &str| {
            let file = dir.join(name);
            let document = file.is_file().then(|| Document::read(&file)).transpose()?;
            let list = document.as_ref().map(entries).transpose()?.flatten();
            Ok::<_, Error>((file, document, list))
        };
        let (packages, dependencies) = (read(PACKAGES_FILE)?, read(DEPENDENCIES_FILE)?);
        let documents = [&packages.1, &dependencies.1];
        let warnings = documents.into_iter().flatten().flat_map(Document::warnings);
        let warnings = warnings.collect();
        let (file, written, is_rendered) = match (packages, dependencies) {
            ((_, _, Some(_)), (file, _, Some(_))) => return Err(Error::TwoPackageLists { file }),
            ((file, _, Some(list)), _) => (file, list, true),
            // dbt leaves this file as it is written.
            (_, (file, _, Some(list))) => (file, list, false),
            ((_, _, None), (_, _, None)) => {
                return Ok(Self {
                    warnings,
                    ..Self::default()
                });
            }
        };
        let rendered: Option<Vec<Value>> = match is_rendered {
            true => written
                .iter()
                .map(|entry| renderer.tree(entry).ok())
                .collect(),
            false => Some(written.clone()),
        };
        Ok(Self {
            file: Some(file),
            count: written.len(),
            hash: rendered
                .as_ref()
                .and_then(|rendered| hash(rendered, &written)),
            pinned: rendered.iter().flatten().filter_map(pinned).collect(),
            warnings,
        })
    }
}

fn entries(document: &Document) -> Result<Option<Vec<Value>>, Error> {
    match document.root.get("packages") {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(Vec::new())),
        Some(Value::Sequence(packages)) => Ok(Some(packages.clone())),
        Some(other) => {
            let what = format!("expected a list of packages, found {}", kind(other));
            let fault = Fault::new(document.place(&["packages".into()]), what);
            Err(Error::Invalid(vec![
                fault.remedy("write one `- package: …` entry for each"),
            ]))
        }
    }
}

/// A text, or a number as it is written.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null
        | Value::Bool(_)
        | Value::Sequence(_)
        | Value::Mapping(_)
        | Value::Tagged(_) => None,
    }
}

/// A package of the hub with one exact version.
fn pinned(entry: &Value) -> Option<Locked> {
    let version = entry.get("version")?;
    let versions = version
        .as_sequence()
        .map_or(std::slice::from_ref(version), Vec::as_slice);
    let [version] = versions else { return None };
    let version = text(version)?;
    let is_exact = version
        .trim_start_matches('=')
        .starts_with(|c: char| c.is_ascii_digit());
    Some(Locked {
        name: hub_name(entry.get("package")?.as_str()?)?,
        version: (is_exact && !version.contains([',', '<', '>'])).then_some(version),
        revision: None,
    })
}

/// SHA-1 of the entries as JSON, sorted and one a line; nothing for what dbt would refuse.
fn hash(rendered: &[Value], written: &[Value]) -> Option<String> {
    let lines = rendered.iter().zip(written);
    let lines = lines.map(|(rendered, written)| {
        python_json(&Value::Mapping(specification(
            rendered.as_mapping()?,
            written,
        )?))
    });
    let mut lines = lines.collect::<Option<Vec<String>>>()?;
    lines.sort();
    Some(hex::encode(Sha1::digest(lines.join("\n"))))
}

/// An entry with the keys that dbt's class for it has, as that writes itself
/// (`dbt.contracts.project.PackageSpec`).
fn specification(entry: &Mapping, written: &Value) -> Option<Mapping> {
    let nothing = (Value::Null, false);
    let keys: &[(&str, (Value, bool))] = if entry.contains_key("local") {
        &[("local", nothing.clone())]
    } else if entry.contains_key("tarball") {
        &[("tarball", nothing.clone())]
    } else if entry.contains_key("package") {
        &[
            ("package", nothing.clone()),
            ("version", nothing.clone()),
            ("install_prerelease", (Value::Bool(false), true)),
        ]
    } else {
        let place = ["git", "private"]
            .into_iter()
            .find(|key| entry.contains_key(*key))?;
        let provider = ("provider", (Value::Null, place == "private"));
        &[
            (place, nothing.clone()),
            provider,
            ("revision", (Value::Null, true)),
            ("subdirectory", (Value::Null, true)),
            ("warn-unpinned", (Value::Null, true)),
        ]
    };
    let mut specified = Mapping::new();
    for (key, (default, is_always)) in keys {
        match entry.get(*key) {
            Some(value) => specified.insert((*key).into(), value.clone()),
            None if *is_always => specified.insert((*key).into(), default.clone()),
            None => None,
        };
    }
    if let Some(name) = entry.get("name").filter(|name| !name.is_null()) {
        specified.insert("name".into(), name.clone());
    }
    specified.insert("unrendered".into(), written.clone());
    // A key that its class does not have is refused.
    let is_known = |key: &Value| specified.contains_key(key);
    entry.keys().all(is_known).then_some(specified)
}
