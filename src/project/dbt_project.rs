//! `dbt_project.yml`: what a release needs to know of it, with Jinja rendered as dbt renders it.
//!
//! dbt leaves `vars:` alone while it reads the file. A variable that is text is rendered where `var()` is
//! called; text *inside* a variable's mapping is not rendered at all (seen in dbt-core 1.11.16), so
//! `clusters: ["{{ env_var('C') }}"]` means those very characters to dbt's own deploy macros. Cutover
//! renders the values below `vars.deployment`, which is the only reading of them that is of use.

mod circumstances;
pub mod deployment;
pub mod packages;

use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};

use super::document::{self, Document, Fault, Step, kind};
use super::environment::Environment;
use super::jinja::{Renderer, Scope, Variables};
use super::locate::PROJECT_FILE;
use super::profiles::Profile;

pub use circumstances::with_packages;
pub use deployment::Deployment;
pub use packages::Packages;

/// Why a project's files could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or is not YAML.
    #[error(transparent)]
    Document(#[from] document::Error),
    /// One or more values are wrong.
    #[error("{}", document::lines(.0))]
    Invalid(Vec<Fault>),
    /// There is no `vars.deployment` for the target.
    #[error("{place}: {what}; add to {}:\n{lines}", place.file.display())]
    NoDeployment {
        /// The nearest place that exists.
        place: document::Place,
        /// What is missing.
        what: String,
        /// The YAML lines to add.
        lines: String,
    },
    /// Both package files list packages.
    #[error(
        "{}: `packages` stands both here and in packages.yml; keep one of the two, dbt refuses both",
        file.display()
    )]
    TwoPackageLists {
        /// `dependencies.yml`.
        file: PathBuf,
    },
}

/// `dbt_project.yml` as written, before there is a profile to render it with.
#[derive(Clone, Debug)]
pub struct Source {
    dir: PathBuf,
    document: Document,
}

/// What a release needs of `dbt_project.yml`. Paths are joined with the project directory.
#[derive(Clone, Debug)]
pub struct DbtProject {
    /// The project directory.
    pub path: PathBuf,
    /// The project's name, which is also its package name.
    pub name: String,
    /// The profile that the file names.
    pub profile: Option<String>,
    /// Where dbt writes `manifest.json` and `run_results.json`.
    pub target_path: PathBuf,
    /// Where `dbt deps` puts packages.
    pub packages_install_path: PathBuf,
    /// `require-dbt-version`, as the list of its parts, for example `[">=1.9.0", "<2.0.0"]`.
    pub require_dbt_version: Vec<String>,
    /// `vars:` as written.
    pub vars: Mapping,
    /// `flags:`
    pub flags: Mapping,
    /// `model-paths:` and so on, relative as written.
    pub source_paths: SourcePaths,
    /// The packages that are listed and installed.
    pub packages: Packages,
    cli_vars: Variables,
    target: Value,
    environment: Environment,
    document: Document,
}

/// Where dbt looks for each kind of file, relative to the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePaths {
    /// `model-paths`
    pub models: Vec<String>,
    /// `seed-paths`
    pub seeds: Vec<String>,
    /// `snapshot-paths`
    pub snapshots: Vec<String>,
    /// `test-paths`
    pub tests: Vec<String>,
    /// `macro-paths`
    pub macros: Vec<String>,
    /// `analysis-paths`
    pub analyses: Vec<String>,
    /// `function-paths`
    pub functions: Vec<String>,
}

impl Source {
    /// Reads the file of a project directory.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let document = Document::read(&dir.join(PROJECT_FILE))?;
        Ok(Self {
            dir: dir.to_owned(),
            document,
        })
    }

    /// The profile that the file names. Its Jinja is rendered in the profile's scope, as in dbt.
    pub fn profile_name(
        &self,
        environment: &Environment,
        vars: &Variables,
    ) -> Result<Option<String>, Error> {
        let renderer = Renderer::new(environment, vars, Scope::Profile);
        let mut reader = Reader {
            document: &self.document,
            renderer,
            faults: Vec::new(),
        };
        let name = reader.text("profile");
        reader.finish(name)
    }

    /// Renders what is needed, under the target of a profile.
    pub fn render(
        self,
        environment: &Environment,
        cli_vars: Variables,
        profile: &Profile,
        target_path: Option<&Path>,
    ) -> Result<DbtProject, Error> {
        let target = profile.target_value();
        let scope = Scope::Project {
            target: Some(target.clone()),
        };
        let renderer = Renderer::new(environment, &cli_vars, scope);
        let mut reader = Reader {
            document: &self.document,
            renderer,
            faults: Vec::new(),
        };
        let name = reader.name();
        let written_target = reader
            .text("target-path")
            .unwrap_or_else(|| "target".to_owned());
        let install = reader
            .text("packages-install-path")
            .unwrap_or_else(|| "dbt_packages".to_owned());
        let packages_install_path = self.dir.join(install);
        let source_paths = SourcePaths {
            models: reader.paths("model-paths", Some("source-paths"), "models"),
            seeds: reader.paths("seed-paths", Some("data-paths"), "seeds"),
            snapshots: reader.paths("snapshot-paths", None, "snapshots"),
            tests: reader.paths("test-paths", None, "tests"),
            macros: reader.paths("macro-paths", None, "macros"),
            analyses: reader.paths("analysis-paths", None, "analyses"),
            functions: reader.paths("function-paths", None, "functions"),
        };
        let project = DbtProject {
            target_path: self
                .dir
                .join(target_path.unwrap_or(Path::new(&written_target))),
            profile: reader.text("profile"),
            require_dbt_version: reader.versions(),
            vars: reader.mapping("vars"),
            flags: reader.mapping("flags"),
            name,
            source_paths,
            packages: Packages::find(&self.dir, &packages_install_path)?,
            packages_install_path,
            cli_vars,
            target,
            environment: environment.clone(),
            path: self.dir,
            document: self.document.clone(),
        };
        reader.finish(project)
    }
}

impl DbtProject {
    /// The file that it was read from.
    pub fn file(&self) -> &Path {
        &self.document.file
    }

    /// Where dbt writes its manifest.
    pub fn manifest_path(&self) -> PathBuf {
        self.target_path.join("manifest.json")
    }

    /// Renders other files of the project, as dbt renders `selectors.yml`.
    pub fn renderer(&self) -> Renderer {
        let scope = Scope::Project {
            target: Some(self.target.clone()),
        };
        Renderer::new(&self.environment, &self.cli_vars, scope)
    }

    /// A variable as a model of this project sees it, unrendered, and where it was found.
    ///
    /// The command line wins, then `vars.<project name>`, then `vars`
    /// (`dbt.context.providers.ModelConfiguredVar`).
    fn variable(&self, name: &str) -> Option<(&Value, Vec<Step>)> {
        if let Some(value) = self.cli_vars.get(name) {
            return Some((value, vec!["--vars".into(), name.into()]));
        }
        let scoped = self
            .vars
            .get(self.name.as_str())
            .and_then(|scoped| scoped.get(name));
        if let Some(value) = scoped {
            return Some((
                value,
                vec!["vars".into(), self.name.as_str().into(), name.into()],
            ));
        }
        let value = self.vars.get(name)?;
        Some((value, vec!["vars".into(), name.into()]))
    }

    /// Every variable that `var()` may name when the project runs.
    fn variables(&self) -> Variables {
        let scoped = self
            .vars
            .get(self.name.as_str())
            .and_then(Value::as_mapping);
        let written = self.vars.iter().chain(scoped.into_iter().flatten());
        let mut vars: Variables = written
            .filter_map(|(name, value)| Some((name.as_str()?.to_owned(), value.clone())))
            .collect();
        vars.extend(self.cli_vars.clone());
        vars
    }

    /// What `vars.deployment.<target>` wants released.
    pub fn deployment(&self, target: &str) -> Result<Deployment, Error> {
        deployment::read(self, target)
    }
}

/// Reads keys of the file and gathers what is wrong with them.
struct Reader<'a> {
    document: &'a Document,
    renderer: Renderer,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn finish<T>(self, value: T) -> Result<T, Error> {
        match self.faults.is_empty() {
            true => Ok(value),
            false => Err(Error::Invalid(self.faults)),
        }
    }

    fn value(&mut self, key: &str) -> Option<Value> {
        match self.renderer.tree(self.document.root.get(key)?) {
            Ok(Value::Null) => None,
            Ok(value) => Some(value),
            Err(error) => {
                let place = self.document.place(&error.path(&[key.into()]));
                let fault = Fault::new(place, error.to_string());
                self.faults
                    .push(fault.remedy("correct the value or set what it reads"));
                None
            }
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        let value = self.value(key)?;
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            self.fault(
                key,
                format!("expected text, found {}", kind(&value)),
                "put the value in quotes",
            );
        }
        text
    }

    /// dbt's rule for names: letters, digits and underscores, no digit first.
    fn name(&mut self) -> String {
        let absent = !self.document.root.contains_key("name");
        let name = self.text("name").unwrap_or_default();
        let word = |c: char| c.is_alphanumeric() || c == '_';
        if absent {
            self.fault("name", "is missing".to_owned(), "add `name: my_project`");
        } else if !name.is_empty() && !name.chars().all(word) || name.starts_with(char::is_numeric)
        {
            let what = format!("`{name}` is no project name");
            self.fault(
                "name",
                what,
                "use letters, digits and underscores, no digit first",
            );
        }
        name
    }

    fn paths(&mut self, key: &str, old: Option<&str>, default: &str) -> Vec<String> {
        let key = match old {
            Some(old) if !self.document.root.contains_key(key) => old,
            Some(_) | None => key,
        };
        self.texts(key).unwrap_or_else(|| vec![default.to_owned()])
    }

    fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let Value::Sequence(items) = self.value(key)? else {
            self.fault(key, "expected a list of text".to_owned(), "write `[a, b]`");
            return None;
        };
        let texts: Option<Vec<String>> = items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect();
        if texts.is_none() {
            self.fault(
                key,
                "holds something that is not text".to_owned(),
                "put every item in quotes",
            );
        }
        texts
    }

    fn versions(&mut self) -> Vec<String> {
        match self.value("require-dbt-version") {
            None => Vec::new(),
            Some(Value::String(text)) => {
                text.split(',').map(|part| part.trim().to_owned()).collect()
            }
            Some(_) => self.texts("require-dbt-version").unwrap_or_default(),
        }
    }

    /// A mapping as written: neither `vars` nor `flags` is rendered here.
    fn mapping(&mut self, key: &str) -> Mapping {
        match self.document.root.get(key) {
            None | Some(Value::Null) => Mapping::new(),
            Some(Value::Mapping(entries)) => entries.clone(),
            Some(other) => {
                let what = format!("expected a mapping, found {}", kind(other));
                self.fault(key, what, "write `name: value` lines under it");
                Mapping::new()
            }
        }
    }

    fn fault(&mut self, key: &str, what: String, remedy: &str) {
        let place = self.document.place(&[key.into()]);
        self.faults.push(Fault::new(place, what).remedy(remedy));
    }
}

#[cfg(test)]
mod tests;
