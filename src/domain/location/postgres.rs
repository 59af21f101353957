//! A PostgreSQL server that keeps a journal, read from its URL.

use crate::foundation::tls::{SYSTEM_ROOTS, SslMode, Tls};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

/// The schema where the URL names none.
const SCHEMA: &str = "cutover";

/// PostgreSQL cuts longer names without a word.
const LONGEST_NAME: usize = 63;

/// How long one attempt to reach the server may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the server is, who we are there, and the schema of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Shows the password as `_` where it is printed.
    pub(crate) config: Config,
    pub(crate) tls: Tls,
    pub(crate) schema: String,
}

impl Address {
    /// Reads what follows `postgres://`. The parameters are libpq's, and `schema`.
    pub(crate) fn parse(rest: &str) -> Result<Self, String> {
        // A password may hold a `?`; a host does not hold an `@`.
        let host = rest.rfind('@').map_or(0, |at| at + 1);
        let (place, parameters) = match rest[host..].split_once('?') {
            Some((place, parameters)) => (&rest[..host + place.len()], parameters),
            None => (rest, ""),
        };
        let (mut mode, mut is_mode_given) = (SslMode::Prefer, false);
        let (mut root_cert, mut cert, mut key) = (None, None, None);
        let mut schema = SCHEMA.to_owned();
        let mut others = Vec::new();
        for pair in parameters.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "sslmode" => (mode, is_mode_given) = (ssl_mode(value)?, true),
                "sslrootcert" => root_cert = Some(PathBuf::from(decoded(value)?)),
                "sslcert" => cert = Some(PathBuf::from(decoded(value)?)),
                "sslkey" => key = Some(PathBuf::from(decoded(value)?)),
                "schema" => schema = decoded(value)?,
                _ => others.push(pair),
            }
        }
        if !is_mode_given && root_cert.as_deref() == Some(Path::new(SYSTEM_ROOTS)) {
            mode = SslMode::VerifyFull;
        }
        let is_system = root_cert.as_deref() == Some(Path::new(SYSTEM_ROOTS));
        if is_system && mode != SslMode::VerifyFull {
            return Err(format!(
                "its sslmode is too weak for sslrootcert={SYSTEM_ROOTS}, as it is for libpq; write sslmode=verify-full, or leave it out"
            ));
        }
        if schema.is_empty() || schema.len() > LONGEST_NAME || schema.contains('\0') {
            return Err(format!("schema is not a name of 1 to {LONGEST_NAME} bytes"));
        }
        if ["public", "information_schema"].contains(&schema.as_str()) || schema.starts_with("pg_")
        {
            return Err("the schema must be one of the journal's own".to_owned());
        }
        let mut config: Config = format!("postgres://{place}?{}", others.join("&"))
            .parse()
            .map_err(|error: tokio_postgres::Error| {
                std::error::Error::source(&error)
                    .map_or_else(|| error.to_string(), ToString::to_string)
            })?;
        if config.get_hosts().is_empty() {
            return Err("there is no host".to_owned());
        }
        // Never shown: it would be the end of a password.
        if config
            .get_hosts()
            .iter()
            .any(|host| matches!(host, Host::Tcp(name) if name.is_empty() || name.contains('@')))
        {
            return Err("the host is none; an @ in a password is written %40".to_owned());
        }
        if config.get_dbname().is_none_or(str::is_empty) {
            return Err("the database is missing".to_owned());
        }
        config
            .ssl_mode(mode.into())
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("cutover");
        }
        Ok(Self {
            config,
            tls: Tls {
                mode,
                root_cert,
                cert,
                key,
            },
            schema,
        })
    }

    /// The server, for people.
    pub(crate) fn server(&self) -> String {
        let ports = self.config.get_ports();
        let shown: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(number, host)| {
                let port = ports.get(number).or(ports.first()).copied().unwrap_or(5432);
                match host {
                    Host::Tcp(name) => format!("{name}:{port}"),
                    Host::Unix(path) => format!("{}:{port}", path.display()),
                }
            })
            .collect();
        shown.join(",")
    }

    /// What somebody between us and the server could do, see [`Tls::weakness`].
    pub(crate) fn weakness(&self) -> Option<String> {
        let mut hosts = self.config.get_hosts().iter();
        hosts.find_map(|host| match host {
            Host::Tcp(name) => self.tls.weakness(name),
            Host::Unix(_) => None,
        })
    }

    /// The journal, for people; the same for every process with this URL.
    pub(crate) fn place(&self) -> String {
        format!(
            "postgres://{}/{} (schema {})",
            self.server(),
            self.config.get_dbname().unwrap_or_default(),
            self.schema
        )
    }
}

fn ssl_mode(word: &str) -> Result<SslMode, String> {
    Ok(match word {
        "disable" => SslMode::Disable,
        "allow" | "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => {
            return Err(format!(
                "sslmode {word:?} is none of disable, prefer, require, verify-ca, verify-full"
            ));
        }
    })
}

/// The text without `%XX`.
fn decoded(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} has a % that is not followed by two hexadecimal digits");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next(), rest.next()].map(Option::unwrap_or_default);
        bytes.extend(hex::decode(digits).map_err(|_| wrong())?);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::Address;
    use crate::foundation::tls::SslMode;

    fn parsed(rest: &str) -> Address {
        Address::parse(rest).expect("a good URL")
    }

    #[test]
    fn a_url_says_where_and_how() {
        assert!(Address::parse("me@a/j?sslmode=require&sslrootcert=system").is_err());
        assert!(parsed("me@a/j?sslrootcert=system").weakness().is_none());
        assert!(parsed("me@a/j").weakness().is_some());
        assert!(parsed("me@localhost/j").weakness().is_none());

        let plain = parsed("me:s%2Fx@db.example/journals");
        assert_eq!(
            plain.place(),
            "postgres://db.example:5432/journals (schema cutover)"
        );
        assert_eq!(plain.config.get_password(), Some(b"s/x".as_slice()));
        assert_eq!(plain.tls.mode, SslMode::Prefer);
        assert!(!format!("{plain:?}").contains("s/x"));

        let full = parsed(
            "me@a:1,b:2/j?sslmode=verify-full&sslrootcert=/etc/c%20a.pem&schema=%C3%B6&target_session_attrs=read-write",
        );
        assert_eq!(full.place(), "postgres://a:1,b:2/j (schema ö)");
        assert_eq!(full.tls.mode, SslMode::VerifyFull);
        assert_eq!(
            full.tls.root_cert.as_deref(),
            Some(std::path::Path::new("/etc/c a.pem"))
        );
        assert_eq!(parsed("me@%2Frun%2Fpg:6000/j").server(), "/run/pg:6000");
        let mode = |rest| parsed(rest).tls.mode;
        assert_eq!(mode("me@a/j?sslrootcert=system"), SslMode::VerifyFull);
        assert!(Address::parse("me@a/j?sslmode=verify-ca&sslrootcert=system").is_err());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_and_no_password_is_shown() {
        for rest in [
            "",
            "host",
            "me:pw@host",
            "me:pw@host/",
            "me:pw@:5432/db",
            "me:s3@cr3t@host/db",
            "me:pw@host:x/db",
            "me:pw@host/db?sslmode=maybe",
            "me:pw@host/db?schema=",
            "me:pw@host/db?schema=public",
            "me:pw@host/db?schema=%zz",
            "me:pw@host/db?nonsense=1",
        ] {
            let problem = Address::parse(rest).expect_err(rest);
            assert!(
                !problem.contains("cr3t") && !problem.contains("pw"),
                "{problem}"
            );
        }
    }
}
