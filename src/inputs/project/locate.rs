//! Where dbt finds the project and the profiles, and the options that decide it.
//!
//! Order for each option, as in dbt: the command line, then its `DBT_ENGINE_…`/`DBT_…` variable, then the
//! default. The default profiles directory is the *working* directory when `profiles.yml` lies there, not
//! the project directory, and else `~/.dbt`.

use std::path::{Path, PathBuf};

use serde_yaml::Value;

use super::document::kind;
use super::jinja::Variables;
use crate::foundation::environment::Environment;

/// The file that makes a directory a dbt project.
pub const PROJECT_FILE: &str = "dbt_project.yml";
/// The file that holds connections.
pub const PROFILES_FILE: &str = "profiles.yml";

/// Why a project could not be located.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory that was named does not exist.
    #[error("{}: no such directory, given by {option}; correct the option or create the directory", path.display())]
    NoDirectory {
        /// What was named.
        path: PathBuf,
        /// The option and its variable.
        option: &'static str,
    },
    /// No `dbt_project.yml` in the place that applies.
    #[error(
        "{}: no dbt_project.yml there or in a directory above; start in the dbt project or pass --project-dir",
        path.display()
    )]
    NoProject {
        /// Where the search began.
        path: PathBuf,
    },
    /// There is no home directory to look for `~/.dbt` in.
    #[error("no profiles.yml in {}, and HOME is not set; pass --profiles-dir", path.display())]
    NoHome {
        /// The working directory.
        path: PathBuf,
    },
    /// `--vars` is not YAML.
    #[error("--vars: not valid YAML; write a mapping, for example --vars '{{name: value}}'")]
    VarsBroken {
        /// What the parser said.
        source: serde_yaml::Error,
    },
    /// `--vars` is YAML but no mapping.
    #[error(
        "--vars: expected a mapping, found {found}; write for example --vars '{{name: value}}'"
    )]
    VarsNotMapping {
        /// What it is instead.
        found: &'static str,
    },
}

/// dbt's options that say which project, profile and target apply; `None` where not given.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// `--project-dir`
    pub project_dir: Option<PathBuf>,
    /// `--profiles-dir`
    pub profiles_dir: Option<PathBuf>,
    /// `--profile`
    pub profile: Option<String>,
    /// `--target`
    pub target: Option<String>,
    /// `--target-path`
    pub target_path: Option<PathBuf>,
    /// `--vars`, a YAML mapping as text
    pub vars: Option<String>,
}

impl Arguments {
    /// Fills what the command line left open from dbt's variables.
    pub fn with_environment(&self, environment: &Environment) -> Self {
        let text = |given: &Option<String>, name: &str| {
            given
                .clone()
                .or_else(|| environment.option(name).map(str::to_owned))
        };
        let path = |given: &Option<PathBuf>, name: &str| {
            given
                .clone()
                .or_else(|| environment.option(name).map(PathBuf::from))
        };
        Self {
            project_dir: path(&self.project_dir, "DBT_PROJECT_DIR"),
            profiles_dir: path(&self.profiles_dir, "DBT_PROFILES_DIR"),
            profile: text(&self.profile, "DBT_PROFILE"),
            target: text(&self.target, "DBT_TARGET"),
            target_path: path(&self.target_path, "DBT_TARGET_PATH"),
            vars: self.vars.clone(),
        }
    }

    /// The variables of `--vars`; none without it.
    pub fn variables(&self) -> Result<Variables, Error> {
        let Some(text) = &self.vars else {
            return Ok(Variables::new());
        };
        let value: Value =
            serde_yaml::from_str(text).map_err(|source| Error::VarsBroken { source })?;
        let Value::Mapping(entries) = value else {
            return Err(Error::VarsNotMapping {
                found: kind(&value),
            });
        };
        entries
            .into_iter()
            .map(|(name, value)| match name {
                Value::String(name) => Ok((name, value)),
                other @ (Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::Sequence(_)
                | Value::Mapping(_)
                | Value::Tagged(_)) => Err(Error::VarsNotMapping {
                    found: kind(&other),
                }),
            })
            .collect()
    }
}

/// Where the project and its profiles lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locations {
    /// The directory that holds `dbt_project.yml`.
    pub project_dir: PathBuf,
    /// The directory in which `profiles.yml` is looked for; the file may be missing.
    pub profiles_dir: PathBuf,
}

impl Locations {
    /// Finds both; `arguments` must already include the environment's options.
    pub fn find(
        arguments: &Arguments,
        environment: &Environment,
        working_directory: &Path,
    ) -> Result<Self, Error> {
        Ok(Self {
            project_dir: project_dir(arguments, working_directory)?,
            profiles_dir: profiles_dir(arguments, environment, working_directory)?,
        })
    }
}

fn project_dir(arguments: &Arguments, working_directory: &Path) -> Result<PathBuf, Error> {
    if let Some(given) = &arguments.project_dir {
        let path = working_directory.join(given);
        if !path.is_dir() {
            return Err(Error::NoDirectory {
                path,
                option: "--project-dir (DBT_PROJECT_DIR)",
            });
        }
        return match path.join(PROJECT_FILE).is_file() {
            true => Ok(path),
            false => Err(Error::NoProject { path }),
        };
    }
    working_directory
        .ancestors()
        .find(|directory| directory.join(PROJECT_FILE).is_file())
        .map(Path::to_owned)
        .ok_or_else(|| Error::NoProject {
            path: working_directory.to_owned(),
        })
}

fn profiles_dir(
    arguments: &Arguments,
    environment: &Environment,
    working_directory: &Path,
) -> Result<PathBuf, Error> {
    if let Some(given) = &arguments.profiles_dir {
        let path = working_directory.join(given);
        return match path.is_dir() {
            true => Ok(path),
            false => Err(Error::NoDirectory {
                path,
                option: "--profiles-dir (DBT_PROFILES_DIR)",
            }),
        };
    }
    if working_directory.join(PROFILES_FILE).is_file() {
        return Ok(working_directory.to_owned());
    }
    environment
        .option("HOME")
        .map(|home| Path::new(home).join(".dbt"))
        .ok_or_else(|| Error::NoHome {
            path: working_directory.to_owned(),
        })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
    use super::*;

    fn find(
        arguments: Arguments,
        environment: &[(&str, &str)],
        at: &Path,
    ) -> Result<Locations, Error> {
        let environment = environment.iter().copied().collect();
        Locations::find(&arguments.with_environment(&environment), &environment, at)
    }

    #[test]
    fn follows_dbt_order() {
        let root = tempfile::tempdir().unwrap();
        let (project, inner) = (root.path().join("p"), root.path().join("p/models/deep"));
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::write(project.join(PROJECT_FILE), "name: p").unwrap();
        let found = find(Arguments::default(), &[("HOME", "/home/x")], &inner).unwrap();
        assert_eq!(found.project_dir, project);
        assert_eq!(found.profiles_dir, Path::new("/home/x/.dbt"));

        // A profiles.yml in the project directory does not count when dbt is started elsewhere.
        std::fs::write(project.join(PROFILES_FILE), "").unwrap();
        let found = find(Arguments::default(), &[("HOME", "/home/x")], &inner).unwrap();
        assert_eq!(found.profiles_dir, Path::new("/home/x/.dbt"));
        assert_eq!(
            find(Arguments::default(), &[], &project)
                .unwrap()
                .profiles_dir,
            project
        );

        let dir = project.to_str().unwrap();
        let found = find(
            Arguments::default(),
            &[("DBT_PROJECT_DIR", dir), ("DBT_PROFILES_DIR", dir)],
            root.path(),
        );
        assert_eq!(
            found.unwrap(),
            Locations {
                project_dir: project.clone(),
                profiles_dir: project.clone()
            }
        );
        let given = Arguments {
            project_dir: Some("p".into()),
            ..Arguments::default()
        };
        let found = find(
            given,
            &[("DBT_PROJECT_DIR", "/nowhere"), ("HOME", "/h")],
            root.path(),
        )
        .unwrap();
        assert_eq!(found.project_dir, project);
    }

    #[test]
    fn errors_name_the_option() {
        let root = tempfile::tempdir().unwrap();
        let error = find(Arguments::default(), &[("HOME", "/h")], root.path())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no dbt_project.yml") && error.contains("--project-dir"),
            "{error}"
        );
        let error = find(
            Arguments::default(),
            &[("DBT_PROJECT_DIR", "/no/where")],
            root.path(),
        )
        .unwrap_err();
        assert!(error.to_string().contains("DBT_PROJECT_DIR"), "{error}");
        let vars = |text: &str| {
            Arguments {
                vars: Some(text.to_owned()),
                ..Arguments::default()
            }
            .variables()
        };
        assert!(
            vars("[a]")
                .unwrap_err()
                .to_string()
                .contains("found a list")
        );
        assert!(vars("{a").is_err());
        assert_eq!(vars("{a: 1}").unwrap()["a"], Value::from(1));
    }

    #[test]
    fn the_engine_spelling_wins_and_empty_is_absent() {
        let environment: Environment = [
            ("DBT_TARGET", "old"),
            ("DBT_ENGINE_TARGET", "new"),
            ("DBT_PROFILE", ""),
        ]
        .into_iter()
        .collect();
        let arguments = Arguments::default().with_environment(&environment);
        assert_eq!(arguments.target.as_deref(), Some("new"));
        assert_eq!(arguments.profile, None);
    }
}
