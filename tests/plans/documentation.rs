//! What the documents list must be what the code knows.

use cutover::adapters::artifacts::Name;
use cutover::domain::lifecycle::state::State;
use cutover::domain::plan::refusal::RefusalName;
use cutover::foundation::failure::Class;
use cutover::inputs::settings::{Environment, Settings, Sources};
use cutover::operations::bundle;
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub(super) fn document(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).expect("a document")
}

/// The rows of the table under a heading of the second level, without head and rule.
fn rows<'a>(document: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    document
        .lines()
        .skip_while(|line| *line != format!("## {heading}"))
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.split('|').map(str::trim).skip(1).collect())
        .collect()
}

#[test]
fn every_refusal_is_listed_with_whether_it_may_be_allowed() {
    let page = document("docs/reference/refusals.md");
    let listed: Vec<(&str, bool)> = rows(&page, "Of a plan")
        .into_iter()
        .map(|row| match row[0].strip_suffix(" (may be allowed)") {
            Some(name) => (name.trim_matches('`'), true),
            None => (row[0].trim_matches('`'), false),
        })
        .collect();
    let known: Vec<(&str, bool)> = RefusalName::ALL
        .iter()
        .map(|name| (name.as_str(), name.is_allowable()))
        .collect();
    assert_eq!(listed, known);
}

#[test]
fn the_operations_guide_lists_every_refusal_of_a_baseline() {
    let guide = document("docs/operations.md");
    let listed: Vec<&str> = rows(&guide, "Baselines")
        .into_iter()
        .map(|row| row[0].trim_matches('`'))
        .collect();
    let known: Vec<&str> = Name::ALL.iter().map(|name| name.as_str()).collect();
    assert_eq!(listed, known);
}

#[test]
fn the_guide_to_bundles_lists_every_refusal_of_one() {
    let guide = document("docs/bundles.md");
    let listed: Vec<&str> = rows(&guide, "What is refused")
        .into_iter()
        .map(|row| row[0].trim_matches('`'))
        .collect();
    let known: Vec<&str> = bundle::Name::ALL.iter().map(|name| name.as_str()).collect();
    assert_eq!(listed, known);
}

#[test]
fn every_exit_code_is_listed() {
    let page = document("docs/reference/exit-codes.md");
    let listed: BTreeSet<u8> = rows(&page, "Exit codes")
        .into_iter()
        .map(|row| row[0].parse().expect("an exit code"))
        .collect();
    let known: BTreeSet<u8> = Class::ALL
        .iter()
        .map(|class| class.exit_code())
        .chain([0])
        .collect();
    assert_eq!(listed, known);
}

#[test]
fn the_glossary_explains_every_state() {
    let glossary = document("docs/glossary.md");
    let listed: Vec<&str> = rows(&glossary, "States")
        .into_iter()
        .map(|row| row[0].trim_matches('`'))
        .collect();
    let known: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
    assert_eq!(listed, known);
}

/// The paths of all keys; a list and an empty mapping are values.
fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value.as_object().filter(|entries| !entries.is_empty()) {
        Some(entries) => {
            for (key, value) in entries {
                let path = format!("{path}.{key}");
                keys(value, path.trim_start_matches('.'), found);
            }
        }
        None => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn the_example_is_a_configuration_with_every_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cutover.yaml");
    let text = document("config/example.yaml");
    std::fs::write(&file, &text).expect("a file");
    let loaded = Settings::load(&Sources {
        file: Some(file),
        directory: folder.path().to_owned(),
        environment: BTreeMap::new(),
        overrides: Vec::new(),
    });
    let loaded = loaded.expect("a configuration");
    for name in ["production", "staging"] {
        let own = loaded.for_environment(Some(name)).expect("an environment");
        assert_eq!(own.settings.project.target.as_deref(), Some(name));
    }
    let example: Value = serde_yaml::from_str(&text).expect("YAML");
    let defaults = serde_yaml::from_str(&document("config/default.yaml")).expect("YAML");
    let environment = serde_json::json!(Environment::default());
    let (mut known, mut general) = (BTreeSet::new(), BTreeSet::new());
    keys(&defaults, "", &mut known);
    keys(&example, "", &mut general);
    let has = |found: &BTreeSet<String>, key: &String| {
        let below = format!("{key}.");
        found.contains(key) || found.iter().any(|path| path.starts_with(&below))
    };
    let missing: Vec<_> = known.iter().filter(|key| !has(&general, key)).collect();
    assert_eq!(missing, Vec::<&String>::new());
    let (mut known, mut own) = (BTreeSet::new(), BTreeSet::new());
    keys(&environment, "", &mut known);
    keys(&example["environments"]["production"], "", &mut own);
    let missing: Vec<_> = known.iter().filter(|key| !has(&own, key)).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

#[test]
fn every_setting_of_the_images_is_one() {
    let of = |path: &str| -> BTreeMap<String, String> {
        document(path)
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .filter(|(name, _)| name.starts_with("CUTOVER__"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    let environment = of("deploy/Dockerfile");
    assert!(!environment.is_empty());
    assert_eq!(environment, of("deploy/Dockerfile.slim"));
    let sources = Sources {
        environment,
        ..Sources::default()
    };
    Settings::load(&sources).expect("a configuration");
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in documents().into_iter().chain(["CHANGELOG.md".to_owned()]) {
        let text = document(&path);
        let folder = Path::new(&path).parent().expect("a folder");
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            assert!(
                root.join(folder).join(target).exists(),
                "{path} links to {target}"
            );
        }
    }
}

/// The source files of a module and right below it. Its path begins with the room, and so is looked for on every floor.
fn files_of(module: &str) -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let floors = std::fs::read_dir(&source).into_iter().flatten().flatten();
    let places = floors.map(|floor| floor.path().join(module.replace("::", "/")));
    places
        .flat_map(|place| {
            let below = std::fs::read_dir(&place).into_iter().flatten().flatten();
            let below = below.map(|entry| entry.path());
            below
                .chain([place.with_extension("rs")])
                .collect::<Vec<_>>()
        })
        .filter(|path| path.is_file())
        .collect()
}

/// Whether one of these words, the name and one of these signs follow each other in the module's files.
fn is_defined(path: &str, words: &[&str], signs: &str) -> bool {
    let (module, name) = path.rsplit_once("::").expect("a path");
    files_of(module).into_iter().any(|file| {
        let text = std::fs::read_to_string(file).expect("a source file");
        words.iter().any(|word| {
            let begin = format!("{word} {name}");
            text.match_indices(&begin)
                .any(|(at, _)| text[at + begin.len()..].starts_with(|it| signs.contains(it)))
        })
    })
}

/// Whether a function of a module is in its file, or in one of the files below it.
fn is_in_source(path: &str) -> bool {
    is_defined(path, &["fn"], "(<")
}

/// Whether the path is that of a module, of a function, or of a type or constant.
fn is_anything(path: &str) -> bool {
    let words = ["enum", "struct", "trait", "const", "mod"];
    !files_of(path).is_empty() || is_in_source(path) || is_defined(path, &words, " :;<({")
}

/// The pages that people read, by their paths.
pub(super) fn documents() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "deploy/README.md",
    ]
    .map(str::to_owned)
    .to_vec();
    for folder in ["docs", "docs/adr", "docs/help", "docs/reference"] {
        let entries = std::fs::read_dir(root.join(folder)).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let names = names.map(|name| name.to_string_lossy().into_owned());
        found.extend(
            names
                .filter(|name| name.ends_with(".md"))
                .map(|name| format!("{folder}/{name}")),
        );
    }
    found.sort();
    found
}

#[test]
fn every_path_of_the_code_that_a_document_names_is_there() {
    assert!(is_anything("lifecycle::state::State"));
    assert!(is_anything("deployment::cutover"));
    assert!(!is_anything("deployment::cutover::swop"));
    assert!(!is_anything("deployment::cutter"));
    let path = Regex::new(r"`([a-z_]+(?:::\w+)+)`").expect("a pattern");
    let (mut missing, mut seen) = (Vec::new(), 0);
    for name in documents() {
        for (at, line) in document(&name).lines().enumerate() {
            for found in path.captures_iter(line) {
                seen += 1;
                if !is_anything(&found[1]) && !is_a_room(&found[1]) {
                    missing.push(format!("{name}:{}: {}", at + 1, &found[1]));
                }
            }
        }
    }
    assert!(seen > 300, "{seen}");
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}

fn all_sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            all_sources(&path, text);
        } else if path.extension().is_some_and(|it| it == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("a source file"));
        }
    }
}

#[test]
fn what_complains_of_a_new_thing_is_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    for folder in ["src", "tests"] {
        all_sources(&root.join(folder), &mut sources);
    }
    let page = document("docs/architecture.md");
    let rows = rows(&page, "Where do I put …");
    let name = Regex::new(r"`(\w+_\w+)`").expect("a pattern");
    let named = rows.iter().flat_map(|row| name.captures_iter(row[2]));
    let named: BTreeSet<String> = named.map(|found| found[1].to_owned()).collect();
    assert!(rows.len() > 10 && named.len() > 10, "{named:?}");
    let missing: Vec<&String> = named
        .iter()
        .filter(|name| !sources.contains(&format!("fn {name}()")))
        .collect();
    assert_eq!(missing, Vec::<&String>::new());
}

/// A room with its floor, as the table of rooms has it.
fn is_a_room(path: &str) -> bool {
    let place = format!("src/{}.rs", path.replace("::", "/"));
    path.matches("::").count() == 1 && Path::new(env!("CARGO_MANIFEST_DIR")).join(place).is_file()
}

#[test]
fn every_word_of_the_glossary_lives_in_a_file() {
    let glossary = document("docs/glossary.md");
    let rows = rows(&glossary, "Words");
    assert!(rows.len() > 40);
    for row in rows {
        let file = row[2].trim_matches('`');
        let is_there = Path::new(env!("CARGO_MANIFEST_DIR")).join(file).is_file();
        assert!(is_there && file.ends_with(".rs"), "{}: {file:?}", row[0]);
    }
}

#[test]
fn the_page_on_safety_names_functions_that_are_there() {
    let page = document("docs/safety.md");
    assert!(is_in_source("deployment::cutover::swap"));
    assert!(!is_in_source("deployment::cutover::swop"));
    for (heading, least) in [("Interrupted at", 20), ("What could lose something", 20)] {
        let rows = rows(&page, heading);
        assert!(rows.len() >= least, "{heading}");
        for row in rows {
            let kept_by = row[row.len() - 2];
            let functions: Vec<&str> = kept_by.split(", ").map(|it| it.trim_matches('`')).collect();
            for function in functions {
                assert!(is_in_source(function), "{function}, for {:?}", row[0]);
            }
        }
    }
}
