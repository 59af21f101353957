//! What the documents list must be what the code knows.

use cutover::artifacts::Name;
use cutover::bundle;
use cutover::deployment::state::State;
use cutover::failure::Class;
use cutover::plan::RefusalName;

use cutover::settings::{Environment, Policy, Settings, Sources};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn document(path: &str) -> String {
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
fn the_readme_lists_every_refusal_and_says_which_may_be_allowed() {
    let readme = document("README.md");
    let listed: Vec<(&str, bool)> = rows(&readme, "Refusals")
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
fn the_readme_lists_every_exit_code() {
    let readme = document("README.md");
    let listed: BTreeSet<u8> = rows(&readme, "Exit codes")
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

#[test]
fn the_readmes_configuration_is_one() {
    let readme = document("README.md");
    let (_, block) = readme
        .split_once("```yaml\n# cutover.yaml\n")
        .expect("an example");
    let (yaml, _) = block.split_once("```").expect("its end");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cutover.yaml");
    std::fs::write(&file, yaml).expect("a file");
    let sources = Sources {
        file: Some(file),
        directory: folder.path().to_owned(),
        environment: BTreeMap::new(),
        overrides: Vec::new(),
    };
    let loaded = Settings::load(&sources)
        .and_then(|loaded| loaded.for_environment(Some("production")))
        .expect("a configuration");
    assert_eq!(loaded.settings.promotion, Policy::Manual);
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
    let documents = [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "deploy/README.md",
        "docs/architecture.md",
        "docs/benchmarks.md",
        "docs/bundles.md",
        "docs/ci-platforms.md",
        "docs/glossary.md",
        "docs/operations.md",
        "docs/questions.md",
    ];
    for path in documents {
        let text = document(path);
        let folder = Path::new(path).parent().expect("a folder");
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

/// Whether a function of a module is in its file, or in one of the files below it.
fn is_in_source(path: &str) -> bool {
    let (module, function) = path.rsplit_once("::").expect("a path");
    let place = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src")
        .join(module.replace("::", "/"));
    let below = std::fs::read_dir(&place).into_iter().flatten().flatten();
    let files = below
        .map(|entry| entry.path())
        .filter(|path| path.is_file());
    let defined = [format!("fn {function}("), format!("fn {function}<")];
    files.chain([place.with_extension("rs")]).any(|file| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        defined.iter().any(|defined| text.contains(defined))
    })
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
