//! A dbt project as its files describe it: where it lies, what it wants released, how to reach
//! Materialize, and the manifest and run results that dbt wrote about it.
//!
//! Everything here reads files and an injected `Environment`; nothing touches the network or the
//! process environment, so the same input gives the same answer. Behaviour follows dbt-core 1.11 and
//! dbt-materialize 1.9; where Cutover accepts more or less than dbt, the item says so.
//!
//! Invariant: an error names the file, the place in it and the remedy, and never a secret's value.

pub mod dbt_project;
pub mod document;
/// Reading one file that a commit may have put there.
pub mod file;
pub mod jinja;
pub mod locate;
pub mod profiles;
pub mod switches;

use crate::foundation::environment::Environment;
pub use dbt_project::{DbtProject, Deployment};
pub use locate::{Arguments, Locations};
pub use profiles::{Credentials, Profile};
pub use switches::Switches;

use std::path::Path;

/// Why a project could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The project or the profiles were not found where dbt looks, or `--vars` is no mapping.
    #[error(transparent)]
    Locate(#[from] locate::Error),
    /// `dbt_project.yml` or a packages file is wrong.
    #[error(transparent)]
    Project(#[from] dbt_project::Error),
    /// `profiles.yml` is wrong.
    #[error(transparent)]
    Profile(#[from] profiles::Error),
}

/// A project read together with the profile it runs under.
#[derive(Debug)]
pub struct Project {
    /// Where both were found.
    pub locations: Locations,
    /// `dbt_project.yml`, rendered.
    pub dbt: DbtProject,
    /// The target of `profiles.yml` that applies.
    pub profile: Profile,
}

impl Project {
    /// Opens the project that dbt itself would take when started in `working_directory`.
    ///
    /// The order is dbt's: the profile first (its name may be Jinja), then `dbt_project.yml` with
    /// `target` in scope.
    pub fn open(
        arguments: &Arguments,
        environment: &Environment,
        working_directory: &Path,
    ) -> Result<Self, Error> {
        let arguments = arguments.with_environment(environment);
        let locations = Locations::find(&arguments, environment, working_directory)?;
        let vars = arguments.variables()?;
        let source = dbt_project::Source::read(&locations.project_dir)?;
        let named = match &arguments.profile {
            Some(name) => Some(name.clone()),
            None => source.profile_name(environment, &vars)?,
        };
        let request = profiles::Request {
            profiles_dir: &locations.profiles_dir,
            profile: named.as_deref(),
            target: arguments.target.as_deref(),
            vars: &vars,
        };
        let profile = Profile::read(&request, environment)?;
        let dbt = source.render(
            environment,
            vars,
            &profile,
            arguments.target_path.as_deref(),
        )?;
        Ok(Self {
            locations,
            dbt,
            profile,
        })
    }

    /// Under what dbt compiles the project, when it is given these variables and this environment. Which dbt
    /// that is, and what its packages bring, is not known here: see [`DbtProject::circumstances`].
    #[must_use]
    pub fn circumstances(
        &self,
        vars: &serde_json::Map<String, serde_json::Value>,
        environment: &std::collections::BTreeMap<std::ffi::OsString, std::ffi::OsString>,
    ) -> dbt_project::circumstances::Circumstances {
        self.dbt.circumstances(&self.profile, vars, environment)
    }

    /// What a person should know of the project's files although they are taken, one sentence each.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        let all = self.dbt.warnings.iter().chain(&self.profile.warnings);
        all.map(String::as_str)
    }

    /// The schemas and clusters that the project wants released for the profile's target.
    pub fn deployment(&self) -> Result<Deployment, Error> {
        Ok(self.dbt.deployment(&self.profile.target)?)
    }
}

#[cfg(test)]
mod tests;
