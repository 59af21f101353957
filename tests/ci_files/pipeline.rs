//! GitLab's runner, as far as the component here needs one: inputs, `extends`, rules, variables. Scripts are run by bash.

use super::actions::text;
use super::expression::{Names, holds};
use super::platform::{Platform, WRITER};
use super::shell::{Ended, Programs, bash, plain};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A project with the component, on a runner.
pub struct Pipeline {
    pub platform: Platform,
    pub programs: Programs,
    pub folder: tempfile::TempDir,
    pub inputs: BTreeMap<String, String>,
    pub variables: BTreeMap<String, String>,
}

/// A job that a pipeline has.
#[derive(Debug)]
pub struct Job {
    pub is_manual: bool,
    pub definition: Map<String, Value>,
}

impl Names for BTreeMap<String, String> {
    fn value(&self, name: &str) -> Option<Value> {
        let name = name.strip_prefix('$')?;
        assert!(
            name.starts_with("CI_"),
            "{name} is no variable of the platform"
        );
        Some(
            self.get(name)
                .map_or(Value::Null, |value| Value::String(value.clone())),
        )
    }

    fn call(&self, _: &str) -> Option<bool> {
        None
    }
}

/// The component's two documents: its inputs, and its jobs with these inputs filled in.
pub fn component(given: &BTreeMap<String, String>) -> (Value, Value) {
    let text = text("deploy/ci/gitlab/templates/cutover.yml");
    let (spec, jobs) = text.split_once("\n---\n").expect("two documents");
    let spec: Value = serde_yaml::from_str(spec).expect("YAML");
    let declared = spec["spec"]["inputs"].as_object().expect("inputs");
    for name in given.keys() {
        assert!(declared.contains_key(name), "no input {name}");
    }
    let mut jobs = jobs.to_owned();
    for (name, input) in declared {
        let default = input
            .get("default")
            .map(|it| it.as_str().expect("a text").to_owned());
        let value = given.get(name).cloned().or(default);
        let value = value.unwrap_or_else(|| panic!("no input {name}"));
        let place = format!("$[[ inputs.{name} ]]");
        assert!(jobs.contains(&place), "the input {name} is not used");
        jobs = jobs.replace(&place, &value);
    }
    assert!(!jobs.contains("$[["), "an input is not declared");
    let jobs = serde_yaml::from_str(&jobs).expect("YAML");
    (spec, jobs)
}

/// A job with what it extends.
fn extended(jobs: &Value, name: &str) -> Map<String, Value> {
    let own = jobs[name]
        .as_object()
        .unwrap_or_else(|| panic!("no job {name}"));
    let mut whole = match own
        .get("extends")
        .map(|parent| parent.as_str().expect("a name"))
    {
        Some(parent) => extended(jobs, parent),
        None => Map::new(),
    };
    for (key, value) in own {
        match (whole.get_mut(key), value) {
            (Some(Value::Object(there)), Value::Object(more)) => there.extend(more.clone()),
            _ => {
                whole.insert(key.clone(), value.clone());
            }
        }
    }
    whole
}

impl Pipeline {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            platform: Platform::start().await,
            programs: Programs::new(&folder.path().join("programs")),
            inputs: [("image".to_owned(), "acme/dbt-cutover".to_owned())].into(),
            variables: BTreeMap::new(),
            folder,
        }
    }

    /// A pipeline of the merge request 7, of this project or of a fork.
    pub fn merge_request(&mut self, is_of_fork: bool) {
        let source = if is_of_fork { "6" } else { "5" };
        self.set(&[
            ("CI_PIPELINE_SOURCE", "merge_request_event"),
            ("CI_MERGE_REQUEST_IID", "7"),
            ("CI_MERGE_REQUEST_PROJECT_ID", "5"),
            ("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", source),
            ("CI_MERGE_REQUEST_TITLE", "\"; touch owned; $(touch owned)"),
        ]);
    }

    /// A pipeline of a push.
    pub fn push(&mut self, branch: &str) {
        self.set(&[("CI_PIPELINE_SOURCE", "push"), ("CI_COMMIT_BRANCH", branch)]);
    }

    fn set(&mut self, more: &[(&str, &str)]) {
        let api = format!("{}/api/v4", self.platform.address);
        let folder = self.folder.path().display().to_string();
        let always = [
            ("CI", "true"),
            ("GITLAB_CI", "true"),
            ("CI_API_V4_URL", api.as_str()),
            ("CI_PROJECT_ID", "5"),
            ("CI_PROJECT_DIR", &folder),
            ("CI_DEFAULT_BRANCH", "main"),
            ("CI_PIPELINE_ID", "99"),
            ("CI_COMMIT_SHA", "headsha"),
            ("CI_JOB_URL", "https://gitlab.test/job/1"),
            ("CI_JOB_TOKEN", "job-token"),
            ("GITLAB_TOKEN", WRITER),
        ];
        let all = always.iter().chain(more);
        self.variables = all
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
    }

    /// The jobs that the pipeline has, by their rules.
    pub fn jobs(&self) -> BTreeMap<String, Job> {
        let (_, jobs) = component(&self.inputs);
        let names = jobs.as_object().expect("jobs").keys();
        let mut wanted = BTreeMap::new();
        for name in names.filter(|name| !name.starts_with('.')) {
            let definition = extended(&jobs, name);
            let rules = definition["rules"].as_array().expect("rules");
            let rule = rules
                .iter()
                .find(|rule| holds(rule["if"].as_str().expect("a condition"), &self.variables));
            if let Some(rule) = rule {
                let is_manual = rule["when"] == "manual";
                wanted.insert(
                    name.clone(),
                    Job {
                        is_manual,
                        definition,
                    },
                );
            }
        }
        wanted
    }

    /// Runs a job that the pipeline has.
    pub async fn run(&self, name: &str) -> Ended {
        let mut jobs = self.jobs();
        let job = jobs.remove(name).unwrap_or_else(|| panic!("no job {name}"));
        let mut environment = plain(self.programs.folder(), self.folder.path());
        environment.extend(self.variables.clone());
        for (name, value) in job.definition["variables"].as_object().expect("variables") {
            environment.insert(name.clone(), value.as_str().expect("a text").to_owned());
        }
        let script = job.definition["script"].as_array().expect("a script");
        let lines: Vec<&str> = script
            .iter()
            .map(|line| line.as_str().expect("a line"))
            .collect();
        bash(&lines.join("\n"), self.folder.path(), &environment).await
    }
}
