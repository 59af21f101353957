//! Which nodes will have to be compiled, guessed before dbt has parsed the project, so that the same process
//! parses and compiles them. A guess that is wrong costs time, nothing else: what is missing is compiled
//! afterwards, and a compilation that fails is done again after a parse.

use super::Builds;
use crate::build::invocation::Compilation;
use crate::project::Manifest;
use crate::project::manifest::ResourceType;
use crate::project::outcome::Outcomes;
use crate::project::outcome::reads::{Questions, texts_of};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The most files that are selected one by one. dbt goes through all nodes for each.
const FEW: usize = 50;

impl Builds {
    /// What is likely to be compiled, as the project's files differ from the baseline's manifest; `None` where
    /// nothing is, or nothing can be said.
    #[must_use]
    pub fn predict(&self, baseline: &Manifest, known: &Outcomes) -> Option<Compilation> {
        if self.bundle.is_some() {
            return None;
        }
        let inputs = known.inputs.as_ref()?;
        // The version of dbt is not known yet, and seldom another.
        let now = self.under_dbt(inputs.dbt.clone());
        let root = baseline.metadata.project_name.as_deref();
        let is_common = !inputs.changed_since(&now).is_empty() || self.macros_differ(baseline);
        if is_common {
            return Some(everything(baseline));
        }
        let models = baseline.nodes.values().filter(|node| {
            node.resource_type == ResourceType::Model && Some(node.package_name.as_str()) == root
        });
        let mut seen = BTreeSet::new();
        let mut changed = Vec::new();
        for node in models {
            let path = node.original_file_path.as_str();
            let Some(text) = self.text(path).filter(|_| seen.insert(path)) else {
                continue;
            };
            let checksum = node.checksum.as_ref();
            if checksum.is_some_and(|checksum| checksum.checksum != checksum_of(&text)) {
                changed.push((path.to_owned(), text));
            }
        }
        for path in self.new_models(&seen) {
            if let Some(text) = self.text(&path) {
                changed.push((path, text));
            }
        }
        let questions = Questions::of(baseline);
        changed.retain(|(path, text)| is_plain(path) && !questions.may_be_in(text));
        if changed.is_empty() || changed.len() > FEW {
            return (!changed.is_empty()).then(|| everything(baseline));
        }
        let selectors = changed.iter().map(|(path, _)| format!("path:{path}"));
        Some(Compilation {
            selectors: selectors.collect(),
            ..Compilation::default()
        })
    }

    /// A file of the project as dbt takes it.
    fn text(&self, path: &str) -> Option<String> {
        crate::project::file::read_text(&self.invoker.project_dir.join(path)).ok()
    }

    /// Whether a macro of the project is not what it was, or there is a file of macros more or less.
    fn macros_differ(&self, baseline: &Manifest) -> bool {
        let root = baseline.metadata.project_name.as_deref();
        let mut files = BTreeSet::new();
        for one in baseline.macros.values() {
            if Some(one.package_name.as_str()) != root {
                continue;
            }
            files.insert(one.original_file_path.as_str());
            let text = self.text(&one.original_file_path);
            if text.is_none_or(|text| !text.contains(one.macro_sql.trim())) {
                return true;
            }
        }
        let folders: BTreeSet<&Path> = files.iter().filter_map(|f| Path::new(f).parent()).collect();
        folders
            .into_iter()
            .flat_map(|folder| sql_files(&self.invoker.project_dir, folder))
            .any(|file| {
                !files.contains(file.as_str())
                    && self
                        .text(&file)
                        .is_some_and(|text| text.contains("{% macro"))
            })
    }

    /// Files beside the models that are known, which are none of them.
    fn new_models(&self, known: &BTreeSet<&str>) -> Vec<String> {
        let folders: BTreeSet<&Path> = known.iter().filter_map(|f| Path::new(f).parent()).collect();
        folders
            .into_iter()
            .flat_map(|folder| sql_files(&self.invoker.project_dir, folder))
            .filter(|file| !known.contains(file.as_str()))
            .collect()
    }
}

/// The SQL files of one folder, relative to the project.
fn sql_files(project: &Path, folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(project.join(folder))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .map(|entry| folder.join(entry.file_name()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .filter_map(|path: PathBuf| path.into_os_string().into_string().ok())
        .collect()
}

/// Every model but those that look as if they ask the server.
fn everything(baseline: &Manifest) -> Compilation {
    let models: BTreeSet<&str> = baseline
        .nodes
        .iter()
        .filter(|(_, node)| node.resource_type == ResourceType::Model)
        .map(|(id, _)| id.as_str())
        .collect();
    let files: BTreeSet<&str> = Questions::of(baseline)
        .nodes(&models)
        .into_iter()
        .flat_map(|id| texts_of(baseline, id).into_iter().take(1))
        .map(|node| node.original_file_path.as_str())
        .collect();
    Compilation {
        selectors: vec!["resource_type:model".to_owned()],
        excluded: files
            .into_iter()
            .map(|file| format!("path:{file}"))
            .collect(),
        may_ask: false,
    }
}

/// dbt's checksum of a model's file: of its text without white space around it
/// (`dbt.artifacts.resources.base.FileHash`, `dbt.parser.read_files`).
fn checksum_of(text: &str) -> String {
    hex::encode(Sha256::digest(text.trim().as_bytes()))
}

/// Whether dbt's `path:` takes the path for itself and for no pattern.
fn is_plain(path: &str) -> bool {
    path.chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
}
