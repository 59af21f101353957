//! A `profiles.yml` from the configuration, which our own reader and dbt both use.
//!
//! It is written below `.cutover/profiles`, of a pull request beside its work tree, mode 0600, and replaced whole when it changes, since a
//! dbt may be reading it. A password in a variable stays there: the file holds `env_var`. A password
//! in a file is copied.

use crate::adapters::dbt::profiles::as_yaml;
use crate::foundation::environment::Environment;
use crate::foundation::failure::{Class, Classify};
use crate::foundation::process::environment::Variables;
use crate::foundation::tls::SYSTEM_ROOTS;
use crate::inputs::project::locate::PROFILES_FILE;
use crate::inputs::settings::connection::is_template;
use crate::inputs::settings::{Connection, SecretError, SecretRef};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The port of Materialize.
const PORT: u16 = 6875;

/// Why the connection of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// There is a host, and nobody to be there.
    #[error("connection.user is not set")]
    NoUser,
    /// The password cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// dbt would render the password.
    #[error(
        "connection.password: the password in {place} holds {{{{, {{% or {{#, which dbt would take for a template"
    )]
    Template {
        /// The file.
        place: SecretRef,
    },
    /// The file cannot be written.
    #[error("{} cannot be written", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Classify for ConnectionError {
    fn class(&self) -> Class {
        match self {
            Self::NoUser | Self::Template { .. } => Class::Usage,
            Self::Secret(error) => error.class(),
            Self::File { .. } => Class::Transient,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoUser => "set it beside connection.host".to_owned(),
            Self::Template { .. } => "give it by env:NAME".to_owned(),
            Self::Secret(error) => return error.hint(),
            Self::File { .. } => "check the folder's permissions and the free space".to_owned(),
        })
    }
}

/// Where the profile belongs, and what it is called.
pub(super) struct Place<'a> {
    /// Where relative paths begin, absolute.
    pub(super) base: &'a Path,
    /// The folder for the file. Its parent is Cutover's, too.
    pub(super) directory: PathBuf,
    pub(super) profile: &'a str,
    pub(super) target: &'a str,
}

/// The profile as it was written.
pub(super) struct Written {
    /// The folder of `profiles.yml`.
    pub(super) directory: PathBuf,
    /// What dbt needs to read it.
    pub(super) variables: Variables,
}

/// Writes the profile of a connection that has a host.
pub(super) fn write(
    connection: &Connection,
    place: &Place<'_>,
    environment: &Environment,
) -> Result<Written, ConnectionError> {
    let user = connection.user.as_ref().ok_or(ConnectionError::NoUser)?;
    let mut variables = Variables::new();
    let password = match &connection.password {
        None => String::new(),
        Some(reference) => {
            let secret = reference.resolve("connection.password", place.base, environment)?;
            let secret = secret.expose_secret();
            match reference {
                SecretRef::Variable(name) => {
                    variables.insert(name.into(), secret.into());
                    format!("{{{{ env_var('{name}') }}}}")
                }
                SecretRef::File(_) if is_template(secret) => {
                    return Err(ConnectionError::Template {
                        place: reference.clone(),
                    });
                }
                SecretRef::File(_) => secret.to_owned(),
            }
        }
    };
    let root = connection
        .sslrootcert
        .as_ref()
        .map(|path| match path.to_str() {
            Some(SYSTEM_ROOTS) => SYSTEM_ROOTS.to_owned(),
            Some(_) | None => place.base.join(path).display().to_string(),
        });
    let text = |given: &Option<String>, default: &str| given.clone().unwrap_or(default.to_owned());
    let mut output = Map::from_iter([
        ("type".to_owned(), json!("materialize")),
        ("host".to_owned(), json!(connection.host)),
        ("port".to_owned(), json!(connection.port.unwrap_or(PORT))),
        ("user".to_owned(), json!(user)),
        ("password".to_owned(), json!(password)),
        (
            "database".to_owned(),
            json!(text(&connection.database, "materialize")),
        ),
        (
            "schema".to_owned(),
            json!(text(&connection.schema, "public")),
        ),
        ("threads".to_owned(), json!(connection.threads.unwrap_or(1))),
    ]);
    for (key, value) in [
        ("cluster", &connection.cluster),
        ("sslmode", &connection.sslmode),
        ("sslrootcert", &root),
        ("role", &connection.role),
    ] {
        if let Some(value) = value {
            output.insert(key.to_owned(), json!(value));
        }
    }
    let output = Value::Object(output);
    let document = json!({ place.profile: { "outputs": { place.target: output } } });
    replace(&place.directory, &as_yaml(&document.to_string()))?;
    Ok(Written {
        directory: place.directory.clone(),
        variables,
    })
}

fn replace(directory: &Path, text: &str) -> Result<(), ConnectionError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ConnectionError::File { path, source }
    };
    let path = directory.join(PROFILES_FILE);
    let is_private = |path: &Path| {
        let about = fs::metadata(path);
        about.is_ok_and(|about| about.permissions().mode() & 0o077 == 0)
    };
    if is_private(&path) && fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed(directory))?;
    if let Some(home) = directory.parent().and_then(Path::parent) {
        let ignore = home.join(".gitignore");
        if !ignore.exists() {
            fs::write(&ignore, "*\n").map_err(failed(&ignore))?;
        }
    }
    let new = directory.join(format!("new-{}", uuid::Uuid::now_v7()));
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&new, &path))
        .map_err(failed(&path))
}
