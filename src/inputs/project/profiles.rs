//! `profiles.yml`: the connection that dbt-materialize would open for one target of one profile.
//!
//! Only the chosen target is rendered, so other profiles and targets may need variables that are not set
//! (`dbt.config.profile.Profile.render_profile`). Types are checked as dbt checks them: a text such as
//! `"6875"` is no port. Beyond dbt, the port's range and `sslmode` are checked here rather than on connect.
//!
//! Invariant: the password exists only inside a [`SecretString`], and no error shows a rendered value.

mod credentials;

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde_yaml::{Mapping, Value};

use super::document::{self, Document, Fault, Step, kind};
use super::jinja::{Renderer, Scope, Variables};
use super::locate::PROFILES_FILE;
use crate::foundation::environment::Environment;

pub use credentials::{Credentials, SslMode};

/// The `type` that this tool releases.
pub const ADAPTER: &str = "materialize";

/// Why no connection could be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no `profiles.yml` in the directory that applies.
    #[error(
        "{}: no such file; create it with the profile `{profile}`, or pass --profiles-dir",
        file.display()
    )]
    NoFile {
        /// Where it would be.
        file: PathBuf,
        /// The profile that was wanted.
        profile: String,
    },
    /// Neither the project nor the command line names a profile.
    #[error("dbt_project.yml: no `profile:` is named; add `profile: NAME`, or pass --profile")]
    NoName,
    /// The file cannot be read or is not YAML.
    #[error(transparent)]
    Document(#[from] document::Error),
    /// The profile is not in the file.
    #[error(
        "{}: no profile `{profile}`; it holds {}; correct `profile:` in dbt_project.yml or pass --profile",
        file.display(), listed(known)
    )]
    NoProfile {
        /// The file.
        file: PathBuf,
        /// The profile that was wanted.
        profile: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// The profile has no such target.
    #[error(
        "{place}: no target `{target}`; it holds {}; correct `target:` or pass --target",
        listed(known)
    )]
    NoTarget {
        /// The profile's `outputs`.
        place: document::Place,
        /// The target that was wanted.
        target: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// The target is for another adapter.
    #[error(
        "{place}: the adapter is `{found}`, Cutover releases `materialize` only; choose another target"
    )]
    OtherAdapter {
        /// The target's `type`.
        place: document::Place,
        /// What it says.
        found: String,
    },
    /// One or more values of the profile are wrong.
    #[error("{}", document::lines(.0))]
    Invalid(Vec<Fault>),
}

fn listed(names: &[String]) -> String {
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

/// Which target of which profile is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The directory of `profiles.yml`.
    pub profiles_dir: &'a Path,
    /// The profile's name, from the command line or the project.
    pub profile: Option<&'a str>,
    /// The target from the command line; it wins over the profile's own.
    pub target: Option<&'a str>,
    /// `--vars`, for `var(…)` in the file.
    pub vars: &'a Variables,
}

/// One target of one profile.
#[derive(Clone)]
pub struct Profile {
    /// The file it was read from.
    pub file: PathBuf,
    /// The profile's name.
    pub name: String,
    /// The target's name: what `target.name` is in dbt.
    pub target: String,
    /// How many connections dbt may use; 1 unless given.
    pub threads: u32,
    /// How to connect.
    pub credentials: Credentials,
    /// What a person should know of the file although it is taken, one sentence each.
    pub warnings: Vec<String>,
}

// Any field may have been rendered from a secret, so none of the credentials is shown.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("file", &self.file)
            .field("name", &self.name)
            .field("target", &self.target)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl Profile {
    /// Reads the target that dbt would connect to.
    pub fn read(request: &Request<'_>, environment: &Environment) -> Result<Self, Error> {
        let name = request.profile.ok_or(Error::NoName)?;
        let file = request.profiles_dir.join(PROFILES_FILE);
        if !file.is_file() {
            return Err(Error::NoFile {
                file,
                profile: environment.scrubbed(name),
            });
        }
        let document = Document::read(&file)?;
        Self::choose(&document, name, request, environment)
    }

    fn choose(
        document: &Document,
        name: &str,
        request: &Request<'_>,
        environment: &Environment,
    ) -> Result<Self, Error> {
        let renderer = Renderer::new(environment, request.vars, Scope::Profile);
        let profile = document.root.get(name).ok_or_else(|| Error::NoProfile {
            file: document.file.clone(),
            profile: environment.scrubbed(name),
            known: names(&document.root)
                .into_iter()
                .filter(|known| known != "config")
                .collect(),
        })?;
        // Both names may have been rendered from a secret, and stand in the places of faults.
        let shown = environment.scrubbed(name);
        let mut at = vec![Step::from(shown.as_str())];
        let profile = mapping(document, &at, profile, "`target:` and `outputs:`")?;
        let target = target(document, &renderer, &shown, profile, request.target)?;

        at.push("outputs".into());
        let outputs = profile.get("outputs").unwrap_or(&Value::Null);
        let outputs = mapping(document, &at, outputs, "one entry for each target")?;
        let output = outputs
            .get(target.as_str())
            .ok_or_else(|| Error::NoTarget {
                place: document.place(&at),
                target: environment.scrubbed(&target),
                known: names(outputs),
            })?;
        at.push(Step::Key(environment.scrubbed(&target)));
        let output = mapping(document, &at, output, "the connection's keys")?;
        let mut reader = credentials::Reader::new(document, &renderer, at, output);
        let (credentials, threads) = reader.read()?;
        Ok(Self {
            file: document.file.clone(),
            name: name.to_owned(),
            target,
            threads,
            credentials,
            warnings: document.warnings(),
        })
    }

    /// The target's entry as it stands in the file, Jinja and all; nothing when it is gone meanwhile.
    /// It is read again, since a password may stand in it.
    pub fn written(&self) -> Result<Value, Error> {
        let document = Document::read(&self.file)?;
        let profile = document.root.get(self.name.as_str());
        let outputs = profile.and_then(|profile| profile.get("outputs"));
        let output = outputs.and_then(|outputs| outputs.get(self.target.as_str()));
        Ok(output.cloned().unwrap_or_default())
    }

    /// The value of `target` in dbt's Jinja. As in dbt it holds no password.
    pub fn target_value(&self) -> Value {
        let credentials = &self.credentials;
        let text = |value: &Option<String>| value.clone().map_or(Value::Null, Value::from);
        let options = credentials
            .options
            .iter()
            .map(|(name, value)| (Value::from(name.as_str()), Value::from(value.as_str())));
        let entries: [(&str, Value); 19] = [
            ("name", self.target.as_str().into()),
            ("target_name", self.target.as_str().into()),
            ("profile_name", self.name.as_str().into()),
            ("type", ADAPTER.into()),
            ("threads", self.threads.into()),
            ("host", credentials.host.as_str().into()),
            ("port", credentials.port.into()),
            ("user", credentials.user.as_str().into()),
            ("database", credentials.database.as_str().into()),
            ("dbname", credentials.database.as_str().into()),
            ("schema", credentials.schema.as_str().into()),
            ("cluster", text(&credentials.cluster)),
            (
                "sslmode",
                credentials
                    .sslmode
                    .map_or(Value::Null, |mode| mode.as_str().into()),
            ),
            ("keepalives_idle", credentials.keepalives_idle.into()),
            ("connect_timeout", credentials.connect_timeout.into()),
            ("search_path", text(&credentials.search_path)),
            ("retries", credentials.retries.into()),
            ("application_name", text(&credentials.application_name)),
            ("options", Value::Mapping(options.collect())),
        ];
        Value::Mapping(
            entries
                .into_iter()
                .map(|(key, value)| (Value::from(key), value))
                .collect(),
        )
    }
}

/// `--target`, else the profile's `target:` (Jinja), else `default`, as dbt does.
fn target(
    document: &Document,
    renderer: &Renderer,
    name: &str,
    profile: &Mapping,
    given: Option<&str>,
) -> Result<String, Error> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let Some(written) = profile.get("target") else {
        return Ok("default".to_owned());
    };
    let at = [Step::from(name), "target".into()];
    let rendered = renderer.tree(written).map_err(|error| {
        let fault = Fault::new(document.place(&error.path(&at)), error.to_string());
        Error::Invalid(vec![fault.remedy("correct it, or pass --target")])
    })?;
    rendered.as_str().map(str::to_owned).ok_or_else(|| {
        let what = format!("expected the name of a target, found {}", kind(&rendered));
        let fault = Fault::new(document.place(&at), what);
        Error::Invalid(vec![fault.remedy("name one of the `outputs:`")])
    })
}

fn names(entries: &Mapping) -> Vec<String> {
    entries
        .keys()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn mapping<'a>(
    document: &Document,
    at: &[Step],
    value: &'a Value,
    holding: &str,
) -> Result<&'a Mapping, Error> {
    value.as_mapping().ok_or_else(|| {
        let what = format!("expected a mapping, found {}", kind(value));
        let fault = Fault::new(document.place(at), what);
        Error::Invalid(vec![fault.remedy(&format!("write {holding} under it"))])
    })
}

/// Makes a password of a rendered text; the text itself is moved, not copied.
fn secret(text: String) -> SecretString {
    SecretString::from(text)
}

#[cfg(test)]
mod tests;
