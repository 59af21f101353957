//! `dbt_project.yml`: what a release needs to know of it, with Jinja rendered as dbt renders it.
//!
//! dbt leaves `vars:` alone while it reads the file. A variable that is text is rendered where `var()` is
//! called; text *inside* a variable's mapping is not rendered at all (seen in dbt-core 1.11.16), so
//! `clusters: ["{{ env_var('C') }}"]` means those very characters to dbt's own deploy macros. Cutover
//! renders the values below `vars.deployment`, which is the only reading of them that is of use.
//!
//! Only what a release needs is rendered: a key that Cutover has no use for may say what it likes.

pub mod circumstances;
pub mod deployment;
/// `vars.deployment`, written into the file.
pub mod edit;
pub mod packages;
mod vars;

use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};

use super::document::{self, Document, Fault, Step, kind};
use super::jinja::{Renderer, Scope, Variables};
use super::locate::PROJECT_FILE;
use super::profiles::Profile;
use crate::foundation::environment::Environment;

pub use circumstances::with_packages;
pub use deployment::Deployment;
pub use packages::Packages;
pub use vars::VARS_FILE;
use vars::Vars;

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

/// `dbt_project.yml` as written, before there is a profile to render it with, and the variables beside it.
#[derive(Clone, Debug)]
pub struct Source {
    dir: PathBuf,
    document: Document,
    vars: Vars,
}

/// What a release needs of `dbt_project.yml`. Paths are joined with the project directory.
#[derive(Clone, Debug)]
pub struct DbtProject {
    /// The project directory.
    pub path: PathBuf,
    /// The project's name, which is also its package name.
    pub name: String,
    /// Where dbt writes `manifest.json` and `run_results.json`.
    pub target_path: PathBuf,
    /// Where `dbt deps` puts packages.
    pub packages_install_path: PathBuf,
    /// `flags:`
    pub flags: Mapping,
    /// The packages that are listed and installed.
    pub packages: Packages,
    /// What a person should know of the files although they are taken, one sentence each.
    pub warnings: Vec<String>,
    vars: Vars,
    cli_vars: Variables,
    target: Value,
    environment: Environment,
    document: Document,
}

impl Source {
    /// Reads the file of a project directory.
    pub fn read(dir: &Path) -> Result<Self, Error> {
        let document = Document::read(&dir.join(PROJECT_FILE))?;
        let vars = Vars::read(dir, &document)?;
        Ok(Self {
            dir: dir.to_owned(),
            document,
            vars,
        })
    }

    /// The profile that the file names. Its Jinja is rendered in the profile's scope, as in dbt.
    pub fn profile_name(
        &self,
        environment: &Environment,
        vars: &Variables,
    ) -> Result<Option<String>, Error> {
        let renderer = Renderer::new(environment, vars, Scope::Profile);
        let mut reader = Reader::new(&self.document, renderer);
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
        let renderer = Renderer::new(environment, &self.vars.under(&cli_vars), scope);
        let mut reader = Reader::new(&self.document, renderer);
        let name = reader.name();
        // dbt is told another one; this is only where it left earlier results.
        let written_target = match target_path {
            Some(given) => given.to_owned(),
            None => PathBuf::from(reader.spare_text("target-path", "target")),
        };
        let install = reader
            .text("packages-install-path")
            .unwrap_or_else(|| "dbt_packages".to_owned());
        let packages_install_path = self.dir.join(install);
        // Package files may read secrets, as profiles may.
        let scope = Scope::Profile;
        let secrets = Renderer::new(environment, &self.vars.under(&cli_vars), scope);
        let packages = Packages::find(&self.dir, &packages_install_path, &secrets)?;
        let warnings = [
            self.document.warnings(),
            self.vars.warnings.clone(),
            packages.warnings.clone(),
            std::mem::take(&mut reader.warnings),
        ];
        let project = DbtProject {
            target_path: self.dir.join(written_target),
            flags: reader.mapping("flags"),
            name,
            packages,
            warnings: warnings.concat(),
            vars: self.vars,
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

    /// The file that holds the project's variables: `vars.yml` where they stand there.
    pub fn vars_file(&self) -> &Path {
        &self.vars.document.file
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
        Renderer::new(&self.environment, &self.vars.under(&self.cli_vars), scope)
    }

    /// A variable as a model of this project sees it, unrendered, and where it was found.
    ///
    /// The command line wins, then `vars.<project name>`, then `vars`
    /// (`dbt.context.providers.ModelConfiguredVar`).
    fn variable(&self, name: &str) -> Option<(&Value, Vec<Step>)> {
        if let Some(value) = self.cli_vars.get(name) {
            return Some((value, vec!["--vars".into(), name.into()]));
        }
        let vars = &self.vars.entries;
        let scoped = vars
            .get(self.name.as_str())
            .and_then(|scoped| scoped.get(name));
        if let Some(value) = scoped {
            return Some((
                value,
                vec!["vars".into(), self.name.as_str().into(), name.into()],
            ));
        }
        let value = vars.get(name)?;
        Some((value, vec!["vars".into(), name.into()]))
    }

    /// Every variable that `var()` may name when the project runs.
    fn variables(&self) -> Variables {
        let vars = &self.vars.entries;
        let scoped = vars.get(self.name.as_str()).and_then(Value::as_mapping);
        let written = vars.iter().chain(scoped.into_iter().flatten());
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
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(document: &'a Document, renderer: Renderer) -> Self {
        Self {
            document,
            renderer,
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

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

    /// A text that a release does without; one that cannot be rendered is told and not taken.
    fn spare_text(&mut self, key: &str, default: &str) -> String {
        let faults = self.faults.len();
        let text = self.text(key).unwrap_or_else(|| default.to_owned());
        let told = self.faults.drain(faults..).map(|fault| {
            let (place, what) = (fault.place, fault.what);
            format!("{place}: {what}; `{default}` is taken")
        });
        self.warnings.extend(told);
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

    /// A mapping as written: dbt does not render `flags`.
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
