//! From what is wanted to a project with its profile.

use super::connection::{self, Place};
use super::{Release, ReleaseError, Wanted, configuration, project_folder};
use crate::adapters::source::{Checkout, Source};
use crate::domain::location::url::segment;
use crate::domain::plan::Plan;
use crate::foundation::environment::Environment;
use crate::foundation::process::environment::Passes;
use crate::inputs::project::locate::PROFILES_FILE;
use crate::inputs::project::{Arguments, Project, dbt_project};
use crate::inputs::settings::{self, Settings};
use crate::operations::bundle::{Bundle, Origin};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

    /// Says which bundle is released, and what compiled it.
    pub(super) fn bundle_note(&self) -> Option<String> {
        let bundle = self.bundle.as_ref()?;
        let about = bundle.about();
        let commit = match &about.revision {
            Some(commit) => format!(" of the commit {commit}"),
            None => String::new(),
        };
        Some(format!(
            "released from the bundle {}{commit}, compiled by dbt-core {} and dbt-materialize {}",
            bundle.digest(),
            about.dbt.core,
            about.dbt.adapter
        ))
    }
}

/// What stands for the project.
pub(super) enum Present {
    /// The folder that is configured or found.
    Folder,
    /// The commit of a repository.
    Commit(Checkout),
    /// A bundle.
    Bundle(Arc<Bundle>),
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
    /// Where a `profiles.yml` is written that the configuration says; `None`: at the environment's own place. What a
    /// request calls its profile must not be in the way of a release.
    pub(super) profiles: Option<PathBuf>,
    /// The place of the bundle, where the project is one. There is no repository then.
    pub(super) origin: Option<Origin>,
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
        if wanted.ignores_bundle {
            settings.source.bundle = None;
        }
        if wanted.is_here {
            settings.source = settings::Source::default();
        }
        let variables = Environment::of_process();
        let mut opening = Self {
            wanted: wanted.clone(),
            settings,
            base,
            variables,
            source: None,
            profiles: None,
            origin: None,
        };
        if opening.settings.source.bundle.is_some() {
            let base = opening.absolute()?;
            opening.origin = Origin::new(&opening.settings, &base, opening.name())?;
        } else if opening.settings.source.url.is_some() {
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
        let is_base = self.is_from_elsewhere()
            || self.wanted.environment.is_none()
                && named.any(|environment| {
                    let source = &environment.source;
                    source.url.is_some() || source.bundle.is_some()
                });
        match is_base {
            true => Ok(Some((self.settings.store.url.clone(), self.absolute()?))),
            false => Ok(None),
        }
    }

    /// Whether the project comes from a repository or is a bundle.
    fn is_from_elsewhere(&self) -> bool {
        self.source.is_some() || self.origin.is_some()
    }

    /// What stands for the project without asking anybody else.
    pub(super) fn present(&self) -> Result<Present, ReleaseError> {
        if let Some(origin) = &self.origin {
            return Ok(Present::Bundle(Arc::new(origin.present()?)));
        }
        Ok(match &self.source {
            Some(source) => Present::Commit(source.present()?),
            None => Present::Folder,
        })
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
        if self.is_from_elsewhere() {
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

    /// Opens what stands for the project.
    pub(super) fn open(mut self, present: Present) -> Result<Release, ReleaseError> {
        let bundle = match &present {
            Present::Bundle(bundle) => Some(Arc::clone(bundle)),
            Present::Folder | Present::Commit(_) => None,
        };
        if let Some(bundle) = &bundle
            && self.settings.project.vars.is_empty()
        {
            // Other ones are refused before anything is planned.
            let variables = bundle.about().variables.clone();
            self.settings.project.vars = variables.into_iter().collect();
        }
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
        let fetched = match &present {
            Present::Folder => None,
            // What the administrator puts beside the configuration wins over the repository's.
            Present::Commit(checkout) => {
                let places = vec![self.absolute()?, checkout.folder.clone()];
                Some((checkout.folder.clone(), places))
            }
            Present::Bundle(bundle) => Some((bundle.project(), vec![self.absolute()?])),
        };
        let is_folder = fetched.is_none();
        if let Some((folder, places)) = fetched {
            arguments.project_dir = Some(folder);
            let found = places
                .into_iter()
                .find(|place| place.join(PROFILES_FILE).is_file());
            arguments.profiles_dir = arguments.profiles_dir.or(found);
        }
        let mut secrets = crate::foundation::process::environment::Variables::new();
        if settings.connection.host.is_some() {
            let base = self.absolute()?;
            let given = arguments.with_environment(&self.variables);
            let profile = self.profile(&given)?;
            let own = base.join(".cutover/profiles").join(segment(self.name()));
            let written = connection::write(
                &settings.connection,
                &Place {
                    base: &base,
                    directory: self.profiles.clone().unwrap_or(own),
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
        let mut project = Project::open(&arguments, &seen, working_directory)?;
        if let Some(bundle) = &bundle {
            project.dbt.packages_install_path = bundle.packages();
        }
        settings.live_table.apart(
            &project
                .deployment()
                .map_or_else(|_| Vec::new(), |it| it.schemas),
        )?;
        let base = match is_folder {
            false => self.absolute()?,
            true => project.locations.project_dir.clone(),
        };
        let target = &project.profile.target;
        Ok(Release {
            environment: self.wanted.environment.clone().unwrap_or(target.clone()),
            settings: self.settings,
            project,
            revision: match present {
                Present::Folder => None,
                Present::Commit(checkout) => Some(checkout.revision.to_string()),
                Present::Bundle(bundle) => Some(bundle.revision()),
            },
            source: self.source,
            bundle,
            origin: self.origin,
            base,
            secrets,
            passes,
            withheld: seen.withheld().clone(),
            wanted: self.wanted,
        })
    }

    /// Forgets where the project comes from and what it is to be compiled under: it is there, compiled.
    pub(super) fn forget_project(&mut self) {
        self.source = None;
        self.origin = None;
        self.settings.project.vars.clear();
    }

    /// Opens what was kept of an earlier release, in the place of the project of an environment whose relative paths
    /// begin in `base`.
    pub(super) fn open_kept(
        mut self,
        present: Present,
        base: &Path,
        profiles: PathBuf,
    ) -> Result<Release, ReleaseError> {
        self.settings.project.profiles_directory = Some(profiles);
        let mut release = self.open(present)?;
        base.clone_into(&mut release.base);
        Ok(release)
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
        let vars = given
            .variables()
            .map_err(crate::inputs::project::Error::from)?;
        let named = dbt_project::Source::read(&folder)
            .and_then(|source| source.profile_name(&self.seen(&passes(&self.settings)), &vars))
            .map_err(crate::inputs::project::Error::from)?;
        Ok(named.unwrap_or_else(|| "cutover".to_owned()))
    }
}
