//! Cutover compares states and selects nodes as dbt does, to the last node.
//!
//! `tests/parity/run.py` changes projects in hundreds of ways and writes down what dbt selects from each; here
//! the same questions go to [`cutover::inputs::selection`]. A few of them by default, all with
//! `CUTOVER_TEST_PARITY=full` (`make parity`). `CUTOVER_TEST_PARITY_CORPUS` names a folder of answers written before.
//!
//! Needs a dbt: `CUTOVER_TEST_DBT`, or `.venv/bin/dbt` in this repository. Without one it says so and passes.

#![expect(clippy::print_stderr, reason = "the table is what a reader wants")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cutover::foundation::environment::Environment;
use cutover::inputs::manifest::Manifest;
use cutover::inputs::manifest::run_results::RunResults;
use cutover::inputs::project::{Arguments, Project};
use cutover::inputs::selection::state::Comparison;
use cutover::inputs::selection::{
    self, Context, Freshness, IndirectSelection, Kept, Selection, Selectors,
};
use serde::Deserialize;

/// One `dbt ls`, and what it printed.
#[derive(Debug, Deserialize)]
struct Case {
    project: String,
    mutation: String,
    project_dir: PathBuf,
    state: PathBuf,
    target: Option<String>,
    variables: serde_json::Value,
    environment: BTreeMap<String, String>,
    select: Vec<String>,
    exclude: Vec<String>,
    selector: Option<String>,
    indirect_selection: Option<String>,
    resource_types: Vec<String>,
    exclude_resource_types: Vec<String>,
    #[serde(default)]
    expected: Option<BTreeSet<String>>,
    #[serde(default)]
    error: Option<String>,
}

impl Case {
    fn command(&self) -> String {
        let mut text = "dbt ls".to_owned();
        let mut say = |option: &str, value: &str| {
            write!(text, " --{option} {value:?}").expect("a string");
        };
        self.select.iter().for_each(|value| say("select", value));
        self.exclude.iter().for_each(|value| say("exclude", value));
        self.selector.iter().for_each(|name| say("selector", name));
        let indirect = self.indirect_selection.iter();
        indirect.for_each(|mode| say("indirect-selection", mode));
        let kinds = self.resource_types.iter();
        kinds.for_each(|kind| say("resource-type", kind));
        let kinds = self.exclude_resource_types.iter();
        kinds.for_each(|kind| say("exclude-resource-type", kind));
        text
    }

    fn indirect(&self) -> IndirectSelection {
        let named = self.indirect_selection.as_deref();
        named.map_or_else(IndirectSelection::default, |name| {
            name.parse().expect("a mode of dbt's")
        })
    }

    fn kept(&self) -> Kept {
        let mut kinds = BTreeSet::new();
        for name in &self.resource_types {
            match name.as_str() {
                "all" => kinds.extend(Kept::by_ls_of_all().kinds),
                "default" => kinds.extend(Kept::by_ls().kinds),
                name => {
                    kinds.insert(name.parse().expect("a kind of dbt's"));
                }
            }
        }
        if self.resource_types.is_empty() {
            kinds = Kept::by_ls().kinds;
        }
        kinds.retain(|kind| {
            let excluded = &self.exclude_resource_types;
            !excluded.iter().any(|name| name == kind.as_str())
        });
        Kept::of_kinds(kinds)
    }
}

/// Selections by one mutated project, and how many of them Cutover answered otherwise.
struct Tally {
    project: String,
    mutation: String,
    comparisons: usize,
    differences: usize,
}

fn python() -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/dbt");
    std::env::var_os("CUTOVER_TEST_DBT")
        .map(PathBuf::from)
        .or_else(|| repository.is_file().then_some(repository))
        .map(|dbt| dbt.with_file_name("python"))
}

/// Has dbt answer, in a folder of its own.
fn write_corpus(python: &Path, folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/run.py");
    let is_full = std::env::var_os("CUTOVER_TEST_PARITY").is_some_and(|value| value == "full");
    let status = Command::new(python)
        .arg("-B")
        .arg(script)
        .arg(folder)
        .args(is_full.then_some("--full"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .expect("dbt's python");
    assert!(status.success(), "tests/parity/run.py failed: {status}");
}

fn read_cases(corpus: &Path) -> Vec<Case> {
    let text = std::fs::read(corpus.join("cases.json")).expect("cases");
    serde_json::from_slice(&text).expect("cases")
}

/// What both sides of one case say, where it differs.
fn difference(case: &Case, ours: Result<BTreeSet<String>, String>) -> Option<String> {
    match (&case.expected, ours) {
        (Some(theirs), Ok(ours)) if *theirs == ours => None,
        (None, Err(_)) => None,
        (Some(theirs), Ok(ours)) => Some(format!(
            "  only dbt's: {:?}\n  only ours: {:?}",
            theirs.difference(&ours).collect::<Vec<_>>(),
            ours.difference(theirs).collect::<Vec<_>>(),
        )),
        (Some(theirs), Err(ours)) => Some(format!("  dbt's: {theirs:?}\n  our error: {ours}")),
        (None, Ok(ours)) => Some(format!("  dbt's error: {:?}\n  ours: {ours:?}", case.error)),
    }
}

/// The answers of Cutover to the cases of one mutated project.
fn answer(corpus: &Path, cases: &[&Case]) -> Vec<Result<BTreeSet<String>, String>> {
    match try_answer(corpus, cases) {
        Ok(answers) => answers,
        Err(error) => vec![Err(chain(&*error)); cases.len()],
    }
}

type Answers = Vec<Result<BTreeSet<String>, String>>;

fn try_answer(corpus: &Path, cases: &[&Case]) -> Result<Answers, Box<dyn Error>> {
    let project_dir = corpus.join(&cases[0].project_dir);
    let target = project_dir.parent().expect("a folder");
    let state = corpus.join(&cases[0].state);
    let old = Manifest::read(&state.join("manifest.json"))?;
    let new = Manifest::read(&target.join("manifest.json"))?;
    let results = RunResults::read(&state.join("run_results.json"))?;
    let before = Freshness::read(&state.join("sources.json"))?;
    let now = Freshness::read(&target.join("sources.json"))?;
    let graph = new.graph()?;
    let project = open(cases[0], &project_dir)?.dbt;
    let comparison = Comparison::with(&old, &new, selection::rules(&project.flags, &new.metadata));
    let context = Context {
        comparison: Some(&comparison),
        run_results: Some(&results),
        freshness_before: Some(&before),
        freshness_now: Some(&now),
        project_dir: Some(&project_dir),
        ..Context::new(&new, &graph)
    };
    let renderer = project.renderer();
    let answers = cases.iter().map(|case| {
        let ask = || {
            let selectors = Selectors::read(&project_dir, &renderer, case.indirect())?;
            let selection = Selection {
                select: case.select.clone(),
                exclude: case.exclude.clone(),
                selector: case.selector.clone(),
                indirect: case.indirect(),
            };
            selection::evaluate(&selection.parse(&selectors)?, &context, &case.kept())
        };
        let selected = ask().map_err(|error| chain(&error))?;
        Ok(selected.into_iter().map(str::to_owned).collect())
    });
    Ok(answers.collect())
}

/// The project as it is read for a release, with the target and the variables that the mutation sets.
fn open(case: &Case, project_dir: &Path) -> Result<Project, Box<dyn Error>> {
    let inherited = std::env::vars();
    let environment: Environment = inherited.chain(case.environment.clone()).collect();
    let arguments = Arguments {
        project_dir: Some(project_dir.to_owned()),
        profiles_dir: Some(project_dir.to_owned()),
        target: case.target.clone(),
        vars: Some(case.variables.to_string()),
        ..Arguments::default()
    };
    Ok(Project::open(&arguments, &environment, project_dir)?)
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        write!(text, ": {error}").expect("a string");
        source = error.source();
    }
    text
}

fn table(tallies: &[Tally]) -> String {
    let mut text = String::new();
    let mut project = "";
    for tally in tallies {
        if tally.project != project {
            project = &tally.project;
            let of = tallies.iter().filter(|tally| tally.project == project);
            let (all, wrong) = of.fold((0, 0), |(all, wrong), tally| {
                (all + tally.comparisons, wrong + tally.differences)
            });
            writeln!(
                text,
                "{project:<44} {:>11} {:>11}",
                "comparisons", "differences"
            )
            .expect("a string");
            writeln!(text, "  {:<42} {all:>11} {wrong:>11}", "all").expect("a string");
        }
        let Tally {
            mutation,
            comparisons,
            differences,
            ..
        } = tally;
        writeln!(text, "  {mutation:<42} {comparisons:>11} {differences:>11}").expect("a string");
    }
    text
}

#[test]
fn dbt_and_cutover_select_the_same_nodes() {
    let temporary = tempfile::tempdir().expect("a folder");
    let corpus = match std::env::var_os("CUTOVER_TEST_PARITY_CORPUS") {
        Some(corpus) => PathBuf::from(corpus),
        None => {
            let Some(python) = python() else {
                eprintln!("skipped: no dbt in CUTOVER_TEST_DBT or .venv");
                return;
            };
            write_corpus(&python, temporary.path());
            temporary.path().to_owned()
        }
    };
    let cases = read_cases(&corpus);
    let mut by_mutation: BTreeMap<(&str, &str), Vec<&Case>> = BTreeMap::new();
    for case in &cases {
        let key = (case.project.as_str(), case.mutation.as_str());
        by_mutation.entry(key).or_default().push(case);
    }
    let mut tallies = Vec::new();
    let mut differences = String::new();
    for ((project, mutation), cases) in by_mutation {
        let answers = answer(&corpus, &cases);
        let found: Vec<String> = cases
            .iter()
            .zip(answers)
            .filter_map(|(case, ours)| {
                let difference = difference(case, ours)?;
                let command = case.command();
                Some(format!("{project} / {mutation}: {command}\n{difference}\n"))
            })
            .collect();
        tallies.push(Tally {
            project: project.to_owned(),
            mutation: mutation.to_owned(),
            comparisons: cases.len(),
            differences: found.len(),
        });
        differences.extend(found);
    }
    eprintln!("{}", table(&tallies));
    assert!(cases.len() >= 50, "only {} comparisons", cases.len());
    let wrong: usize = tallies.iter().map(|tally| tally.differences).sum();
    assert!(
        differences.is_empty(),
        "{wrong} of {} differ:\n{differences}",
        cases.len()
    );
}
