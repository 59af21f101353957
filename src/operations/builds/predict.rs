//! Which nodes will have to be compiled, guessed before dbt has parsed the project, so that the same process
//! parses and compiles them, or of a larger project two processes side by side. A guess that is wrong costs time,
//! nothing else: what is missing is compiled afterwards, and a compilation that fails is done again after a parse.

use super::Builds;
use crate::adapters::dbt::invocation::Compilation;
use crate::inputs::manifest::{Manifest, ResourceType};
use crate::inputs::outcome::Outcomes;
use crate::inputs::outcome::reads::{Questions, texts_of};
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::{Path, PathBuf};

/// The most files that are selected one by one. dbt goes through all nodes for each.
const FEW: usize = 50;

/// Models from which on a second process is worth its own parse: they take it about as long as Python takes to
/// start.
const MANY: usize = 150;

/// What is likely to be compiled.
#[derive(Debug, Clone)]
pub struct Predicted {
    /// By one process, which parses as well.
    whole: Compilation,
    /// By two, where that is quicker.
    two: Option<Two>,
}

#[derive(Debug, Clone)]
struct Two {
    /// What the one compiles that also writes the manifest; `None` where it parses only.
    inside: Option<Compilation>,
    beside: Compilation,
}

/// What is compiled by which process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Split<'a> {
    /// By the one that parses for the plan.
    pub(super) inside: Option<&'a Compilation>,
    /// By another.
    pub(super) beside: Option<&'a Compilation>,
}

impl Predicted {
    /// Everything in the process that parses.
    pub(super) fn in_one(&self) -> Split<'_> {
        Split {
            inside: Some(&self.whole),
            beside: None,
        }
    }

    /// In two processes, where there are as many processors.
    pub(super) fn in_two(&self) -> Split<'_> {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        match &self.two {
            Some(two) if processors > 1 => Split {
                inside: two.inside.as_ref(),
                beside: Some(&two.beside),
            },
            Some(_) | None => self.in_one(),
        }
    }
}

impl Builds {
    /// What is likely to be compiled, as the project's files differ from the baseline's manifest; `None` where
    /// nothing is, or nothing can be said.
    #[must_use]
    pub fn predict(&self, baseline: &Manifest, known: &Outcomes) -> Option<Predicted> {
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
        let whole = Compilation {
            selectors: selectors.collect(),
            ..Compilation::default()
        };
        // Writing the manifest takes the one about as long as compiling a few takes the other.
        let two = (seen.len() >= MANY).then(|| Two {
            inside: None,
            beside: whole.clone(),
        });
        Some(Predicted { whole, two })
    }

    /// A file of the project as dbt takes it.
    fn text(&self, path: &str) -> Option<String> {
        crate::inputs::project::file::read_text(&self.invoker.project_dir.join(path)).ok()
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
fn everything(baseline: &Manifest) -> Predicted {
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
    let whole = Compilation {
        selectors: vec!["resource_type:model".to_owned()],
        excluded: files.iter().map(|file| format!("path:{file}")).collect(),
        may_ask: false,
    };
    let compiled = models.iter().filter_map(|id| baseline.nodes.get(*id));
    let compiled = compiled.filter(|node| !files.contains(node.original_file_path.as_str()));
    let half = half_of(compiled.map(|node| node.original_file_path.as_str()));
    let two = half.map(|half| {
        let (mut inside, mut beside) = (whole.clone(), whole.clone());
        inside.selectors = vec![format!("resource_type:model,{half}")];
        beside.excluded.push(half);
        Two {
            inside: Some(inside),
            beside,
        }
    });
    Predicted { whole, two }
}

/// A selector of about half of these files, by a character of their names, counted from the end; `None` where
/// there are few, or no such selector. dbt goes through all nodes for each selector, so that it must be one.
fn half_of<'a>(paths: impl Iterator<Item = &'a str>) -> Option<String> {
    /// So far from the end of a name a character is looked at.
    const PLACES: usize = 4;
    let stems: Vec<Vec<char>> = paths
        .filter_map(|path| Path::new(path).file_stem()?.to_str())
        .map(|stem| stem.chars().rev().collect())
        .collect();
    if stems.len() < MANY {
        return None;
    }
    let (missing, place, letters) = (0..PLACES)
        .map(|place| {
            let mut counts = BTreeMap::<char, usize>::new();
            for letter in stems.iter().filter_map(|stem| stem.get(place)) {
                // Others mean something in a pattern.
                if letter.is_alphanumeric() || *letter == '_' {
                    *counts.entry(*letter).or_default() += 1;
                }
            }
            let mut counts: Vec<(char, usize)> = counts.into_iter().collect();
            counts.sort_by_key(|(_, count)| Reverse(*count));
            let mut missing = stems.len() / 2;
            let mut letters = String::new();
            for (letter, count) in counts {
                if count <= missing {
                    missing -= count;
                    letters.push(letter);
                }
            }
            (missing, place, letters)
        })
        .min()?;
    // Less than a quarter is not worth it.
    (missing < stems.len() / 4).then(|| format!("file:*[{letters}]{}.sql", "?".repeat(place)))
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

#[cfg(test)]
mod tests {
    use super::half_of;

    #[test]
    fn half_of_the_files_is_one_selector() {
        let numbered: Vec<String> = (0..200).map(|n| format!("models/m_{n}.sql")).collect();
        assert_eq!(
            half_of(numbered.iter().map(String::as_str)),
            Some("file:*[01234].sql".to_owned())
        );
        // All end alike; the letter before tells them apart.
        let alike: Vec<String> = (0..200)
            .map(|n| {
                format!(
                    "models/{}/fct_{}s.sql",
                    n % 7,
                    ["order", "customer", "day", "item"][n % 4]
                )
            })
            .collect();
        assert_eq!(
            half_of(alike.iter().map(String::as_str)),
            Some("file:*[r]?.sql".to_owned())
        );
        assert_eq!(half_of(numbered.iter().take(20).map(String::as_str)), None);
        let same = std::iter::repeat_n("models/a.sql", 200);
        assert_eq!(half_of(same), None);
    }
}
