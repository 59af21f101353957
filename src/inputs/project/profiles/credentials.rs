//! The keys of a dbt-materialize connection, their types and defaults
//! (`dbt.adapters.materialize.connections.MaterializeCredentials`).

use crate::foundation::tls::SYSTEM_ROOTS;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;
use serde_yaml::{Mapping, Value};

use super::super::document::{Document, Fault, Step, kind};
use super::super::jinja::Renderer;
use super::{ADAPTER, Error, secret};
use crate::foundation::word::{UnknownWord, words};

/// How to connect to Materialize, with the adapter's defaults filled in.
#[derive(Clone)]
pub struct Credentials {
    /// The server's name or address.
    pub host: String,
    /// 1 to 65535.
    pub port: u16,
    /// The role that logs in.
    pub user: String,
    /// `password`, or `pass`.
    pub password: SecretString,
    /// `database`, or `dbname`.
    pub database: String,
    /// The schema that models without a schema of their own go to.
    pub schema: String,
    /// The cluster of models and tests that name none; the role's default when absent.
    pub cluster: Option<String>,
    /// How TLS is used; libpq's default when absent: `prefer`, or `verify-full` with the system's
    /// authorities.
    pub sslmode: Option<SslMode>,
    /// The client's certificate.
    pub sslcert: Option<PathBuf>,
    /// The key of `sslcert`.
    pub sslkey: Option<PathBuf>,
    /// The authorities that are trusted; the system's where it is `system`.
    pub sslrootcert: Option<PathBuf>,
    /// Seconds until a TCP keepalive; 0 leaves it to the system.
    pub keepalives_idle: u64,
    /// Seconds to wait for a connection; 10 unless given.
    pub connect_timeout: u64,
    /// The session's `search_path`.
    pub search_path: Option<String>,
    /// How often a failed connection is tried again; 1 unless given.
    pub retries: u32,
    /// What to call the session; where absent dbt says `dbt-materialize v…`.
    pub application_name: Option<String>,
    /// The role taken on by `SET ROLE` after connecting.
    pub role: Option<String>,
    /// Session parameters on top of the adapter's own.
    pub options: BTreeMap<String, String>,
}

impl Credentials {
    /// Whether the system's authorities are named, and not a file.
    pub(crate) fn trusts_system(&self) -> bool {
        let root = self.sslrootcert.as_deref();
        root == Some(std::path::Path::new(SYSTEM_ROOTS))
    }
}

// Any field may have been rendered from a secret, so none is shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

words! {
    /// libpq's ways of using TLS.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum SslMode: "way of using TLS" {
        /// Never.
        Disable = "disable",
        /// Only if the server insists.
        Allow = "allow",
        /// If the server offers it.
        Prefer = "prefer",
        /// Always, with any certificate.
        Require = "require",
        /// Always, with a certificate of a trusted authority.
        VerifyCa = "verify-ca",
        /// As `VerifyCa`, and the certificate must be the host's.
        VerifyFull = "verify-full",
    }
}

/// Keys that a release has no use for, but templates may: one that cannot be rendered is absent.
const DBT_ONLY: [&str; 5] = [
    "keepalives_idle",
    "connect_timeout",
    "retries",
    "application_name",
    "threads",
];

/// Reads the keys of one target and gathers everything that is wrong with them.
pub(super) struct Reader<'a> {
    document: &'a Document,
    renderer: &'a Renderer,
    at: Vec<Step>,
    output: &'a Mapping,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        document: &'a Document,
        renderer: &'a Renderer,
        at: Vec<Step>,
        output: &'a Mapping,
    ) -> Self {
        Self {
            document,
            renderer,
            at,
            output,
            faults: Vec::new(),
        }
    }

    /// The credentials and the number of threads, or every fault.
    pub(super) fn read(&mut self) -> Result<(Credentials, u32), Error> {
        self.adapter()?;
        let credentials = Credentials {
            host: self.required("host", None),
            port: self.port(),
            user: self.required("user", None),
            password: secret(self.required("password", Some("pass"))),
            database: self.required("database", Some("dbname")),
            schema: self.required("schema", None),
            cluster: self
                .optional("cluster")
                .filter(|cluster| !cluster.is_empty()),
            sslmode: self.sslmode(),
            sslcert: self.optional("sslcert").map(PathBuf::from),
            sslkey: self.optional("sslkey").map(PathBuf::from),
            sslrootcert: self.optional("sslrootcert").map(PathBuf::from),
            keepalives_idle: self.whole("keepalives_idle", 0..=u64::from(u32::MAX), Some(0)),
            connect_timeout: self.whole("connect_timeout", 0..=u64::from(u32::MAX), Some(10)),
            search_path: self.optional("search_path").filter(|path| !path.is_empty()),
            retries: self.small("retries", 1),
            application_name: self
                .optional("application_name")
                .filter(|name| !name.is_empty()),
            role: self.optional("role").filter(|role| !role.is_empty()),
            options: self.options(),
        };
        let threads = self.small("threads", 1).max(1);
        match self.faults.is_empty() {
            true => Ok((credentials, threads)),
            false => {
                self.faults.sort_by_key(|fault| fault.place.line);
                Err(Error::Invalid(std::mem::take(&mut self.faults)))
            }
        }
    }

    fn adapter(&mut self) -> Result<(), Error> {
        let found = match self.value("type") {
            Some(Value::String(found)) => found,
            Some(other) => {
                let what = format!("expected the adapter's name, found {}", kind(&other));
                self.fault("type", what, "write `type: materialize`");
                return Err(Error::Invalid(std::mem::take(&mut self.faults)));
            }
            None => {
                self.fault("type", "is missing".to_owned(), "add `type: materialize`");
                return Err(Error::Invalid(std::mem::take(&mut self.faults)));
            }
        };
        match found == ADAPTER {
            true => Ok(()),
            false => Err(Error::OtherAdapter {
                place: self.document.place(&self.path("type")),
                found,
            }),
        }
    }

    fn port(&mut self) -> u16 {
        let port = self.whole("port", 1..=u64::from(u16::MAX), None);
        u16::try_from(port).unwrap_or_default()
    }

    fn sslmode(&mut self) -> Option<SslMode> {
        let text = self.optional("sslmode")?;
        let mode = text.parse();
        if let Err(UnknownWord { known, .. }) = &mode {
            let written = self.written("sslmode");
            let known = known.join(", ");
            self.fault(
                "sslmode",
                format!("{written} is no sslmode"),
                &format!("use one of {known}"),
            );
        }
        if mode.as_ref().is_ok_and(|mode| *mode != SslMode::VerifyFull)
            && self.output.get("sslrootcert").and_then(Value::as_str) == Some(SYSTEM_ROOTS)
        {
            let what = format!(
                "`{text}` is too weak for `sslrootcert: {SYSTEM_ROOTS}`, as it is for libpq"
            );
            self.fault(
                "sslmode",
                what,
                "write `sslmode: verify-full`, or leave it out",
            );
        }
        mode.ok()
    }

    fn options(&mut self) -> BTreeMap<String, String> {
        let entries = match self.value("options") {
            None | Some(Value::Null) => return BTreeMap::new(),
            Some(Value::Mapping(entries)) => entries,
            Some(other) => {
                let what = format!(
                    "expected a mapping of session parameters, found {}",
                    kind(&other)
                );
                self.fault("options", what, "write `name: \"value\"` lines under it");
                return BTreeMap::new();
            }
        };
        let mut options = BTreeMap::new();
        for (name, value) in entries {
            match (name, value) {
                (Value::String(name), Value::String(value)) => {
                    options.insert(name, value);
                }
                (name, value) => {
                    let name = name.as_str().unwrap_or("?").to_owned();
                    let what = format!("option `{name}` must be text, found {}", kind(&value));
                    self.fault("options", what, "put the value in quotes");
                }
            }
        }
        options
    }

    fn required(&mut self, key: &str, alias: Option<&str>) -> String {
        let key = match alias {
            Some(alias) if self.output.contains_key(alias) => {
                if self.output.contains_key(key) {
                    let what = format!("is given and so is `{alias}`, which means the same");
                    self.fault(key, what, "remove one of the two");
                }
                alias
            }
            Some(_) | None => key,
        };
        match self.value(key) {
            Some(Value::String(text)) => text,
            Some(other) => {
                let what = format!("expected text, found {}", kind(&other));
                self.fault(key, what, "put the value in quotes");
                String::new()
            }
            None => {
                if !self.output.contains_key(key) {
                    self.fault(
                        key,
                        "is missing".to_owned(),
                        &format!("add `{key}: …` to this target"),
                    );
                }
                String::new()
            }
        }
    }

    fn optional(&mut self, key: &str) -> Option<String> {
        let value = self.value(key).filter(|value| !value.is_null())?;
        if let Value::String(text) = value {
            return Some(text);
        }
        let what = format!("expected text, found {}", kind(&value));
        self.fault(key, what, "put the value in quotes, or remove the key");
        None
    }

    fn small(&mut self, key: &str, default: u64) -> u32 {
        let number = self.whole(key, 0..=u64::from(u32::MAX), Some(default));
        u32::try_from(number).unwrap_or_default()
    }

    fn whole(
        &mut self,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
        default: Option<u64>,
    ) -> u64 {
        let value = self.value(key);
        let number = match (&value, default) {
            (Some(value), _) => whole(value),
            (None, Some(default)) => return default,
            (None, None) => {
                if !self.output.contains_key(key) {
                    self.fault(
                        key,
                        "is missing".to_owned(),
                        &format!("add `{key}: …` to this target"),
                    );
                }
                return 0;
            }
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let found = value.as_ref().map_or("nothing", kind);
                let (low, high) = (range.start(), range.end());
                let what = format!(
                    "expected a whole number from {low} to {high}, {} is {found}",
                    self.written(key)
                );
                let remedy = match found {
                    "text" => format!(
                        "write a bare number, or `\"{{{{ env_var('…') | int }}}}\"` for `{key}`"
                    ),
                    _ => "write a number in that range".to_owned(),
                };
                self.fault(key, what, &remedy);
                0
            }
        }
    }

    /// A key's rendered value; a fault and nothing when it cannot be rendered.
    fn value(&mut self, key: &str) -> Option<Value> {
        let written = self.output.get(key)?;
        match self.renderer.tree(written) {
            Ok(value) => Some(value),
            // Only dbt has a use for these, and it says itself what is wrong with them.
            Err(_) if DBT_ONLY.contains(&key) => None,
            // dbt takes a password that is not valid Jinja as it stands (not so under the name `pass`).
            Err(_) if key == "password" && written.is_string() => Some(written.clone()),
            Err(error) => {
                let place = self.document.place(&error.path(&self.path(key)));
                // Under `pass` the template itself may be the secret.
                let what = match key {
                    "pass" => "cannot be rendered".to_owned(),
                    _ => error.to_string(),
                };
                let fault =
                    Fault::new(place, what).remedy("correct the value or set what it reads");
                self.faults.push(fault);
                None
            }
        }
    }

    /// A value as it stands in the file: never what it renders to, which may be secret.
    fn written(&self, key: &str) -> String {
        match self.output.get(key) {
            Some(Value::String(text)) => format!("`{text}`"),
            Some(Value::Number(number)) => format!("`{number}`"),
            Some(_) | None => "the value".to_owned(),
        }
    }

    fn path(&self, key: &str) -> Vec<Step> {
        let mut path = self.at.clone();
        path.push(key.into());
        path
    }

    fn fault(&mut self, key: &str, what: String, remedy: &str) {
        let place = self.document.place(&self.path(key));
        self.faults.push(Fault::new(place, what).remedy(remedy));
    }
}

/// A whole number as dbt's validation takes it: `6875.0` too, text and booleans not.
fn whole(value: &Value) -> Option<u64> {
    let number = value.as_u64();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked by the filter"
    )]
    number.or_else(|| {
        value
            .as_f64()
            .filter(|float| float.fract() == 0.0 && (0.0..1e15).contains(float))
            .map(|float| float as u64)
    })
}
