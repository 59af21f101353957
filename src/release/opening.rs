//! From what is wanted to a project with its profile.

use super::connection::{self, Place};
use super::{Release, ReleaseError, Wanted, configuration, project_folder};
use crate::build::environment::Passes;
use crate::plan::Plan;
use crate::project::dbt_project;
use crate::project::locate::PROFILES_FILE;
use crate::project::{Arguments, Environment, Project};
use crate::settings::Settings;
use crate::source::{Checkout, Source};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Which variables dbt may see, and the files of the project that Cutover renders itself.
fn passes(settings: &Settings) -> Passes {
    Passes {
        patterns: settings.dbt.environment.clone(),
        secrets: settings.secret_variables(),
        is_shared: settings.environments.len() > 1,
    }
}

impl Release {
    /// Says which variables the project reads that are set here and that dbt is not given: it takes the
    /// defaults.
    pub(super) fn withheld_note(&self, plan: &Plan) -> Option<String> {
        let read = &plan.inputs.as_ref()?.environment_read;
        let found: Vec<&str> = read
            .intersection(&self.withheld)
            .map(String::as_str)
            .collect();
        (!found.is_empty()).then(|| {
            format!(
                "the project reads {}, which is set here and which dbt is not given: it takes the default. Name it in dbt.environment if it should",
                found.join(", ")
            )
        })
    }
}

/// An environment whose project is not opened yet.
pub(super) struct Opening {
    wanted: Wanted,
    settings: Settings,
    /// The folder of the configuration file, or the working directory.
    base: PathBuf,
    variables: Environment,
    /// The repository, where the project comes from one.
    pub(super) source: Option<Source>,
}

impl Opening {
    pub(super) fn of(wanted: &Wanted) -> Result<Self, ReleaseError> {
        let loaded = configuration(wanted)?;
        let base = loaded
            .file
            .as_deref()
            .and_then(Path::parent)
            .unwrap_or(&wanted.working_directory)
            .to_owned();
        let mut settings = loaded.settings;
        if settings.environments.is_empty() && settings.project.target.is_none() {
            settings.project.target.clone_from(&wanted.environment);
        }
        let variables = Environment::of_process();
        let mut opening = Self {
            wanted: wanted.clone(),
            settings,
            base,
            variables,
            source: None,
        };
        if opening.settings.source.url.is_some() {
            let base = opening.absolute()?;
            opening.source = Source::new(
                &opening.settings.source,
                &base,
                opening.name(),
                &opening.variables,
            )?;
        }
        Ok(opening)
    }

    /// The base as guests must be given it, who work elsewhere.
    fn absolute(&self) -> Result<PathBuf, ReleaseError> {
        let base = match self.base.as_os_str().is_empty() {
            true => Path::new("."),
            false => self.base.as_path(),
        };
        base.canonicalize().map_err(|source| ReleaseError::Folder {
            path: base.to_owned(),
            source,
        })
    }

    /// The journal's URL and where a relative one begins, where no project decides that.
    pub(super) fn journal(&self) -> Result<Option<(String, PathBuf)>, ReleaseError> {
        let mut named = self.settings.environments.values();
        // Without a name the journal of all of them is meant.
        let is_base = self.source.is_some()
            || self.wanted.environment.is_none()
                && named.any(|environment| environment.source.url.is_some());
        match is_base {
            true => Ok(Some((self.settings.store.url.clone(), self.absolute()?))),
            false => Ok(None),
        }
    }

    /// The environment's name as far as it is known before the project is read.
    fn name(&self) -> &str {
        let target = self.settings.project.target.as_deref();
        let named = self.wanted.environment.as_deref();
        named.or(target).unwrap_or("default")
    }

    /// The folder in which relative paths of journal, artifacts and runs begin. Nothing of the
    /// project is read.
    pub(super) fn home(&self) -> Result<PathBuf, ReleaseError> {
        if self.source.is_some() {
            return self.absolute();
        }
        let arguments = Arguments {
            project_dir: self
                .settings
                .project
                .directory
                .as_ref()
                .map(|path| self.base.join(path)),
            ..Arguments::default()
        };
        let working_directory = &self.wanted.working_directory;
        Ok(
            match arguments.with_environment(&self.variables).project_dir {
                Some(folder) => working_directory.join(folder),
                None => project_folder(working_directory),
            },
        )
    }

    /// Opens the project, at the commit that was checked out where it comes from a repository.
    pub(super) fn open(self, checkout: Option<Checkout>) -> Result<Release, ReleaseError> {
        let settings = &self.settings;
        let absolute = |path: &Option<PathBuf>| path.as_ref().map(|path| self.base.join(path));
        let mut arguments = Arguments {
            project_dir: absolute(&settings.project.directory),
            profiles_dir: absolute(&settings.project.profiles_directory),
            profile: settings.project.profile.clone(),
            target: settings.project.target.clone(),
            target_path: None,
            vars: Some(serde_json::json!(settings.project.vars).to_string()),
        };
        if let Some(checkout) = &checkout {
            arguments.project_dir = Some(checkout.folder.clone());
            // What the administrator puts beside the configuration wins over the repository's.
            let places = [self.absolute()?, checkout.folder.clone()];
            let found = places
                .into_iter()
                .find(|place| place.join(PROFILES_FILE).is_file());
            arguments.profiles_dir = arguments.profiles_dir.or(found);
        }
        let mut secrets = crate::build::environment::Variables::new();
        if settings.connection.host.is_some() {
            let base = self.absolute()?;
            let given = arguments.with_environment(&self.variables);
            let profile = self.profile(&given)?;
            let written = connection::write(
                &settings.connection,
                &Place {
                    base: &base,
                    environment: self.name(),
                    profile: &profile,
                    target: given.target.as_deref().unwrap_or(self.name()),
                },
                &self.variables,
            )?;
            arguments.profiles_dir = Some(written.directory);
            arguments.profile = Some(profile);
            arguments.target = given.target.or(Some(self.name().to_owned()));
            secrets = written.variables;
        }
        let working_directory = &self.wanted.working_directory;
        // Where everything is and what dbt's options say may come from any variable; what is rendered is
        // rendered as dbt would.
        let arguments = arguments.with_environment(&self.variables);
        let passes = passes(settings);
        let text = |text: &OsString| text.to_str().map(str::to_owned);
        let seen = self.seen(&passes).with(
            secrets
                .iter()
                .filter_map(|(name, value)| Some((text(name)?, text(value)?))),
        );
        let project = Project::open(&arguments, &seen, working_directory)?;
        let base = match &checkout {
            Some(_) => self.absolute()?,
            None => project.locations.project_dir.clone(),
        };
        let target = &project.profile.target;
        Ok(Release {
            environment: self.wanted.environment.clone().unwrap_or(target.clone()),
            settings: self.settings,
            project,
            revision: checkout.map(|checkout| checkout.revision.to_string()),
            source: self.source,
            base,
            secrets,
            passes,
            withheld: seen.withheld().clone(),
            wanted: self.wanted,
        })
    }

    /// The variables that dbt may see.
    fn seen(&self, passes: &Passes) -> Environment {
        self.variables.seen_by(|name| passes.lets(OsStr::new(name)))
    }

    /// The name of the profile: as the settings say, or as the project does.
    fn profile(&self, given: &Arguments) -> Result<String, ReleaseError> {
        if let Some(name) = &given.profile {
            return Ok(name.clone());
        }
        let working_directory = &self.wanted.working_directory;
        let folder = match &given.project_dir {
            Some(folder) => working_directory.join(folder),
            None => project_folder(working_directory),
        };
        let vars = given.variables().map_err(crate::project::Error::from)?;
        let named = dbt_project::Source::read(&folder)
            .and_then(|source| source.profile_name(&self.seen(&passes(&self.settings)), &vars))
            .map_err(crate::project::Error::from)?;
        Ok(named.unwrap_or_else(|| "cutover".to_owned()))
    }
}
