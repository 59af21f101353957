//! GitHub's runner, as far as the workflow here needs one: conditions, environments, composite actions, the files of a
//! step. Scripts are run by bash.

use super::expression::{Names, asks_for_success, holds, interpolate};
use super::platform::Platform;
use super::shell::{Programs, bash, plain};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The action, as the workflow names it.
const ACTION: &str = "acme/cutover/deploy/ci@v0.1.0";

/// Actions of others that are taken for done: what they bring is there.
const OTHERS: [&str; 3] = [
    "actions/checkout@v4",
    "actions/setup-python@v5",
    "actions/upload-artifact@v4",
];

/// The file of the repository.
pub fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A YAML file of the repository, `on` as the text that it is meant to be.
pub fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// How a step ended.
#[derive(Debug, Clone)]
pub struct Step {
    pub name: String,
    /// `success`, `failure` or `skipped`.
    pub outcome: &'static str,
    pub code: Option<i32>,
    pub output: String,
    pub outputs: BTreeMap<String, String>,
}

/// A repository with a workflow, on a runner.
pub struct Runner {
    pub platform: Platform,
    pub programs: Programs,
    pub folder: tempfile::TempDir,
    pub inputs: BTreeMap<String, String>,
    pub token: String,
    /// More variables of the runner.
    pub variables: BTreeMap<String, String>,
    /// What the repository keeps secret.
    pub secrets: BTreeMap<&'static str, String>,
    /// The workspace.
    pub workspace: PathBuf,
    event_name: String,
    event: Value,
    reference: String,
}

/// What expressions see.
struct Scope<'a> {
    runner: &'a Runner,
    inputs: &'a Map<String, Value>,
    steps: &'a [Step],
    has_failed: bool,
    temp: &'a Path,
}

impl Names for Scope<'_> {
    fn value(&self, name: &str) -> Option<Value> {
        let string = |text: &str| Some(Value::String(text.to_owned()));
        let parts: Vec<&str> = name.split('.').collect();
        match parts.as_slice() {
            ["github", "event", path @ ..] => {
                let mut value = &self.runner.event;
                for key in path {
                    // What an event does not have is nothing, as on the platform.
                    value = value.get(key).unwrap_or(&Value::Null);
                }
                Some(value.clone())
            }
            ["github", "event_name"] => string(&self.runner.event_name),
            ["github", "repository"] => string("acme/shop"),
            ["github", "action_repository"] => string("acme/cutover"),
            ["github", "server_url"] => string("https://github.test"),
            ["github", "ref_name"] => string(self.runner.reference.rsplit('/').next()?),
            ["github", "token"] => string(&self.runner.token),
            ["runner", "temp"] => string(&self.temp.display().to_string()),
            ["secrets", secret] => string(self.runner.secrets.get(secret)?),
            ["inputs", input] => self.inputs.get(*input).cloned(),
            ["steps", id, "outcome"] => string(self.step(id)?.outcome),
            ["steps", id, "outputs", key] => {
                let value = self.step(id)?.outputs.get(*key);
                Some(value.map_or(Value::Null, |value| Value::String(value.clone())))
            }
            _ => None,
        }
    }

    fn call(&self, name: &str) -> Option<bool> {
        match name {
            "always" => Some(true),
            "success" => Some(!self.has_failed),
            "failure" => Some(self.has_failed),
            "cancelled" => Some(false),
            _ => None,
        }
    }
}

impl Scope<'_> {
    fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == id)
    }
}

/// Declared inputs with what is given; what is given and not declared is a mistake.
fn inputs(
    declared: &Value,
    given: &Map<String, Value>,
    names: Option<&Scope<'_>>,
) -> Map<String, Value> {
    let declared = declared.as_object().expect("inputs");
    for name in given.keys() {
        assert!(declared.contains_key(name), "no input {name}");
    }
    let value = |(name, input): (&String, &Value)| {
        let default = input.get("default").map(|default| {
            let text = default.as_str().expect("a text");
            Value::String(names.map_or(text.to_owned(), |names| interpolate(text, names)))
        });
        let value = given.get(name).cloned().or(default);
        (
            name.clone(),
            value.unwrap_or_else(|| panic!("no input {name}")),
        )
    };
    declared.iter().map(value).collect()
}

impl Runner {
    pub async fn new(token: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let workspace = folder.path().join("workspace");
        std::fs::create_dir(&workspace).expect("a folder");
        Self {
            platform: Platform::start().await,
            programs: Programs::new(&folder.path().join("programs")),
            inputs: [("version".to_owned(), String::new())].into(),
            token: token.to_owned(),
            variables: BTreeMap::new(),
            secrets: [
                ("materialize-password", "hunter2".to_owned()),
                ("journal-url", "postgres://journal.test/cutover".to_owned()),
                ("server-token", "daemon-token".to_owned()),
            ]
            .into(),
            workspace,
            event_name: String::new(),
            event: Value::Null,
            reference: String::new(),
            folder,
        }
    }

    /// Something happens to the pull request 7, from a branch of the same repository or of a fork.
    pub fn pull_request(&mut self, action: &str, is_of_fork: bool) {
        let repository = if is_of_fork {
            "mallory/shop"
        } else {
            "acme/shop"
        };
        "pull_request".clone_into(&mut self.event_name);
        // A request that was merged is not at its own reference any more.
        match action {
            "closed" => "refs/heads/main",
            _ => "refs/pull/7/merge",
        }
        .clone_into(&mut self.reference);
        self.event = json!({
            "action": action,
            "number": 7,
            "pull_request": {
                "number": 7,
                "title": "\"; touch owned; echo \"$(touch owned)`touch owned`",
                "head": {"sha": "headsha", "ref": "a;touch owned", "repo": {"full_name": repository}},
            },
            "repository": {"default_branch": "main"},
        });
    }

    /// Somebody pushes to a branch.
    pub fn push(&mut self, branch: &str) {
        "push".clone_into(&mut self.event_name);
        self.reference = format!("refs/heads/{branch}");
        self.event = json!({"repository": {"default_branch": "main"}});
    }

    /// Somebody runs the workflow by hand.
    pub fn dispatch(&mut self, command: &str) {
        "workflow_dispatch".clone_into(&mut self.event_name);
        "refs/heads/main".clone_into(&mut self.reference);
        self.event =
            json!({"inputs": {"command": command}, "repository": {"default_branch": "main"}});
        self.inputs.insert("command".to_owned(), command.to_owned());
    }

    /// Runs the jobs of the reusable workflow that the event asks for: the steps of each, by the job's name.
    pub async fn run(&self) -> BTreeMap<String, Vec<Step>> {
        let workflow = yaml("deploy/ci/github/cutover.yml");
        let given = self.inputs.iter();
        let given = given.map(|(name, value)| (name.clone(), Value::String(value.clone())));
        let inputs = inputs(
            &workflow["on"]["workflow_call"]["inputs"],
            &given.collect(),
            None,
        );
        let mut done = BTreeMap::new();
        for (name, job) in workflow["jobs"].as_object().expect("jobs") {
            let temp = self.folder.path().join(format!("temp-{name}"));
            std::fs::create_dir_all(&temp).expect("a folder");
            let scope = Scope {
                runner: self,
                inputs: &inputs,
                steps: &[],
                has_failed: false,
                temp: &temp,
            };
            if !holds(job["if"].as_str().expect("a condition"), &scope) {
                continue;
            }
            let mut environment = self.environment(&temp);
            extend(&mut environment, &job["env"], &scope);
            let steps = job["steps"].as_array().expect("steps");
            let (steps, _) = self.steps(steps, &inputs, environment, &temp).await;
            done.insert(name.clone(), steps);
        }
        done
    }

    /// Runs the action alone.
    pub async fn action(&self, with: &Value) -> Vec<Step> {
        let temp = self.folder.path().join("temp");
        std::fs::create_dir_all(&temp).expect("a folder");
        let environment = self.environment(&temp);
        self.composite(with.as_object().expect("inputs"), environment, &temp)
            .await
            .0
    }

    fn environment(&self, temp: &Path) -> BTreeMap<String, String> {
        let event = temp.join("event.json");
        std::fs::write(&event, self.event.to_string()).expect("a file");
        let mut environment = plain(self.programs.folder(), temp);
        let workspace = self.workspace.display().to_string();
        for (name, value) in [
            ("CI", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_ACTOR", "ada"),
            ("GITHUB_API_URL", &self.platform.address),
            ("GITHUB_SERVER_URL", "https://github.test"),
            ("GITHUB_RUN_ID", "42"),
            ("GITHUB_REPOSITORY", "acme/shop"),
            ("GITHUB_REF", &self.reference),
            // Empty where the job is of no pull request, as on the platform.
            (
                "GITHUB_BASE_REF",
                if self.event_name == "pull_request" {
                    "main"
                } else {
                    ""
                },
            ),
            ("GITHUB_SHA", "mergesha"),
            ("GITHUB_EVENT_NAME", &self.event_name),
            ("GITHUB_EVENT_PATH", &event.display().to_string()),
            ("GITHUB_WORKSPACE", &workspace),
            ("RUNNER_OS", "Linux"),
            ("RUNNER_ARCH", "X64"),
            ("RUNNER_TEMP", &temp.display().to_string()),
        ] {
            environment.insert(name.to_owned(), value.to_owned());
        }
        environment.extend(self.variables.clone());
        environment
    }

    /// Runs steps; whether one failed.
    async fn steps(
        &self,
        steps: &[Value],
        inputs: &Map<String, Value>,
        mut environment: BTreeMap<String, String>,
        temp: &Path,
    ) -> (Vec<Step>, bool) {
        let mut done: Vec<Step> = Vec::new();
        let mut has_failed = false;
        for step in steps {
            let scope = Scope {
                runner: self,
                inputs,
                steps: &done,
                has_failed,
                temp,
            };
            let name = ["id", "name", "uses"]
                .iter()
                .find_map(|key| step[*key].as_str());
            let name = name.expect("a name").to_owned();
            let condition = step
                .get("if")
                .map_or("success()", |text| text.as_str().expect("a condition"));
            let is_wanted =
                holds(condition, &scope) && (asks_for_success(condition) || !has_failed);
            let mut ended = Step {
                name,
                outcome: "skipped",
                code: None,
                output: String::new(),
                outputs: BTreeMap::new(),
            };
            if is_wanted {
                let mut own = environment.clone();
                extend(&mut own, &step["env"], &scope);
                if let Some(uses) = step["uses"].as_str() {
                    let mut with = step.get("with").cloned().unwrap_or(json!({}));
                    for value in with.as_object_mut().expect("inputs").values_mut() {
                        if let Value::String(text) = value {
                            *text = interpolate(text, &scope);
                        }
                    }
                    if uses == ACTION {
                        let with = with.as_object().expect("inputs");
                        let (inner, outputs) = Box::pin(self.composite(with, own, temp)).await;
                        let bad = inner.iter().find(|step| step.outcome == "failure");
                        ended.code = bad.map_or(Some(0), |step| step.code);
                        ended.output = inner.iter().map(|step| step.output.as_str()).collect();
                        ended.outputs = outputs;
                    } else {
                        assert!(OTHERS.contains(&uses), "no action {uses}");
                        ended.code = Some(0);
                    }
                } else {
                    let files = tempfile::tempdir_in(temp).expect("a folder");
                    self.script(step, &scope, own, files.path(), &mut ended)
                        .await;
                    let added = files.path().join("path");
                    let added = std::fs::read_to_string(added).unwrap_or_default();
                    for folder in added.lines() {
                        let path = format!("{folder}:{}", environment["PATH"]);
                        environment.insert("PATH".to_owned(), path);
                    }
                }
                ended.outcome = match ended.code {
                    Some(0) => "success",
                    Some(_) | None => "failure",
                };
                has_failed |= ended.outcome == "failure";
            }
            done.push(ended);
        }
        (done, has_failed)
    }

    async fn script(
        &self,
        step: &Value,
        scope: &Scope<'_>,
        mut environment: BTreeMap<String, String>,
        files: &Path,
        ended: &mut Step,
    ) {
        let script = step["run"].as_str().expect("a script");
        assert!(
            !script.contains("${{"),
            "an expression stands in a script: {script}"
        );
        for (name, file) in [
            ("GITHUB_OUTPUT", "output"),
            ("GITHUB_PATH", "path"),
            ("GITHUB_STEP_SUMMARY", "summary"),
        ] {
            environment.insert(name.to_owned(), files.join(file).display().to_string());
        }
        let folder = step["working-directory"].as_str().unwrap_or(".");
        let folder = self.workspace.join(interpolate(folder, scope));
        let done = bash(script, &folder, &environment).await;
        let read = |file: &str| std::fs::read_to_string(files.join(file)).unwrap_or_default();
        ended.code = done.code;
        ended.output = format!("{}{}", done.output, read("summary"));
        let outputs = read("output");
        let pairs = outputs
            .lines()
            .map(|line| line.split_once('=').expect("an output"));
        ended.outputs = pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
    }

    /// Runs the action: its steps, and its outputs.
    async fn composite(
        &self,
        with: &Map<String, Value>,
        environment: BTreeMap<String, String>,
        temp: &Path,
    ) -> (Vec<Step>, BTreeMap<String, String>) {
        let action = yaml("deploy/ci/action.yml");
        assert_eq!(action["runs"]["using"], "composite");
        let none = Map::new();
        let scope = Scope {
            runner: self,
            inputs: &none,
            steps: &[],
            has_failed: false,
            temp,
        };
        let inputs = inputs(&action["inputs"], with, Some(&scope));
        let steps = action["runs"]["steps"].as_array().expect("steps");
        let (steps, has_failed) = self.steps(steps, &inputs, environment, temp).await;
        let scope = Scope {
            runner: self,
            inputs: &inputs,
            steps: &steps,
            has_failed,
            temp,
        };
        let outputs =
            action["outputs"]
                .as_object()
                .expect("outputs")
                .iter()
                .map(|(name, output)| {
                    let value = interpolate(output["value"].as_str().expect("a value"), &scope);
                    (name.clone(), value)
                });
        let outputs = outputs.collect();
        (steps, outputs)
    }
}

fn extend(environment: &mut BTreeMap<String, String>, more: &Value, scope: &Scope<'_>) {
    for (name, value) in more.as_object().into_iter().flatten() {
        let value = interpolate(value.as_str().expect("a text"), scope);
        environment.insert(name.clone(), value);
    }
}
