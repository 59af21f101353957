//! The connection to Materialize when it does not come from the project's `profiles.yml`.

use super::SecretRef;
use super::validate::Faults;
use crate::inputs::project::profiles::SslMode;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The connection. It counts when `host` is set. Every key may be left open; an environment's
/// replace the general ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connection {
    /// The server; without it the project's `profiles.yml` says everything.
    pub host: Option<String>,
    /// The port; 6875 when it is not given.
    pub port: Option<u16>,
    /// The user; needed.
    pub user: Option<String>,
    /// The password.
    pub password: Option<SecretRef>,
    /// The database; `materialize` when it is not given.
    pub database: Option<String>,
    /// The schema of models that name none; `public` when it is not given.
    pub schema: Option<String>,
    /// The cluster of models that name none.
    pub cluster: Option<String>,
    /// As libpq's `sslmode`.
    pub sslmode: Option<String>,
    /// The certificates of authorities that are trusted.
    pub sslrootcert: Option<PathBuf>,
    /// The role that is taken after connecting.
    pub role: Option<String>,
    /// How many connections dbt may use.
    pub threads: Option<u16>,
}

impl Connection {
    /// The faults of each key by itself.
    pub(super) fn check(&self, path: &str, faults: &mut Faults) {
        let root = self
            .sslrootcert
            .as_ref()
            .map(|file| file.to_string_lossy().into_owned());
        for (key, text) in [
            ("host", &self.host),
            ("user", &self.user),
            ("database", &self.database),
            ("schema", &self.schema),
            ("cluster", &self.cluster),
            ("sslrootcert", &root),
            ("role", &self.role),
        ] {
            let Some(text) = text else { continue };
            faults.unless(
                !text.trim().is_empty() && !text.contains(char::is_control),
                &format!("{path}.{key}"),
                "the text is empty or has control characters",
                "write a word, or leave the key out",
            );
            faults.unless(
                !is_template(text),
                &format!("{path}.{key}"),
                "this is a template, which only profiles.yml may hold",
                &format!(
                    "write the value itself, or set it by CUTOVER__CONNECTION__{}",
                    key.to_uppercase()
                ),
            );
        }
        if let Some(Err(unknown)) = self.sslmode.as_ref().map(|mode| mode.parse::<SslMode>()) {
            faults.unless(
                false,
                &format!("{path}.sslmode"),
                format!("{:?} is no sslmode", unknown.word),
                &format!("use one of {}", unknown.known.join(", ")),
            );
        }
        for (key, number) in [("port", self.port), ("threads", self.threads)] {
            faults.unless(
                number != Some(0),
                &format!("{path}.{key}"),
                "the number must be at least 1",
                "write 1 or more",
            );
        }
    }
}

/// Whether dbt would render the text.
pub(crate) fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}
