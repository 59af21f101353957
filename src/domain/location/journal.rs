//! Where a journal is: the store's URL.

use crate::domain::location::postgres::Address;
use std::path::{Path, PathBuf};

/// What is wrong with a store URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("store.url {url:?}: {problem}")]
pub struct UrlFault {
    /// The URL, without a password.
    pub url: String,
    /// Why.
    pub problem: String,
}

/// A store URL that this version can open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// An SQLite database in a file; the path as written, perhaps relative.
    Sqlite(PathBuf),
    /// A schema in a PostgreSQL database.
    Postgres(Box<Address>),
}

impl Location {
    /// Reads a URL: `sqlite://PATH`, the path taken literally (no parameters, no escapes), or
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE` with libpq's parameters and `schema`.
    ///
    /// # Errors
    /// [`UrlFault`] when the scheme is unknown or a part is missing.
    pub fn parse(url: &str) -> Result<Self, UrlFault> {
        let refused = |problem: String| UrlFault {
            url: masked(url),
            problem,
        };
        let refuse = |problem: &str| Err(refused(problem.to_owned()));
        let Some((scheme, rest)) = url.split_once("://") else {
            return refuse("there is no scheme");
        };
        if ["postgres", "postgresql"].contains(&scheme) {
            let address = Address::parse(rest).map_err(refused)?;
            return Ok(Location::Postgres(Box::new(address)));
        }
        if scheme != "sqlite" {
            return refuse("the scheme is not one that this version can open");
        }
        if rest.is_empty() || rest.ends_with('/') || rest.contains('\0') {
            return refuse("the path does not name a file");
        }
        Ok(Location::Sqlite(PathBuf::from(rest)))
    }

    /// What somebody between us and the journal could do; `None` where nobody could.
    #[must_use]
    pub fn weakness(&self) -> Option<String> {
        match self {
            Location::Sqlite(_) => None,
            Location::Postgres(address) => address.weakness(),
        }
    }

    /// The same location with a relative path begun in `base`.
    #[must_use]
    pub fn below(self, base: &Path) -> Self {
        match self {
            Location::Sqlite(path) => Location::Sqlite(base.join(path)),
            Location::Postgres(address) => Location::Postgres(address),
        }
    }
}

/// The URL with a password, where it has one, replaced by `***`.
#[must_use]
pub fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    if scheme == "sqlite" {
        return url.to_owned();
    }
    // A password may hold an unescaped `/` or `@`, so everything up to the last `@` counts.
    let (shown, tail) = match rest.rsplit_once('@') {
        Some((user, host)) => (
            match user.split_once(':') {
                Some((name, _)) => format!("{name}:***@"),
                None => format!("{user}@"),
            },
            host,
        ),
        None => (String::new(), rest),
    };
    let tail = match tail.split_once('?') {
        Some((place, parameters)) => {
            let parameters: Vec<String> = parameters
                .split('&')
                .map(|pair| match pair.split_once('=') {
                    Some((key, _)) if key.to_ascii_lowercase().contains("password") => {
                        format!("{key}=***")
                    }
                    Some(_) | None => pair.to_owned(),
                })
                .collect();
            format!("{place}?{}", parameters.join("&"))
        }
        None => tail.to_owned(),
    };
    format!("{scheme}://{shown}{tail}")
}

#[cfg(test)]
mod tests {
    use super::{Location, masked};
    use std::path::{Path, PathBuf};

    #[test]
    fn paths_are_literal_and_relative_ones_begin_in_the_base() {
        let parsed = |url: &str| {
            Location::parse(url)
                .map(|l| l.below(Path::new("/p")))
                .expect("a good URL")
        };
        assert_eq!(
            parsed("sqlite://.cutover/cutover.db"),
            Location::Sqlite(PathBuf::from("/p/.cutover/cutover.db"))
        );
        assert_eq!(
            parsed("sqlite:///var/a b?c.db"),
            Location::Sqlite(PathBuf::from("/var/a b?c.db"))
        );
    }

    #[test]
    fn other_urls_are_refused_without_their_password() {
        for url in ["", "cutover.db", "sqlite://", "sqlite://a/", "mysql://h/d"] {
            assert!(Location::parse(url).is_err(), "{url}");
        }
        let refusal = Location::parse("postgres://me:s3cr3t@host").expect_err("no database");
        assert!(!refusal.to_string().contains("s3cr3t"), "{refusal}");
    }

    #[test]
    fn passwords_are_masked_wherever_they_stand() {
        assert_eq!(
            masked("postgres://me:a@b/c@host/db"),
            "postgres://me:***@host/db"
        );
        assert_eq!(masked("postgres://me@host/db"), "postgres://me@host/db");
        assert_eq!(
            masked("postgres://host/db?user=me&password=x&sslmode=require"),
            "postgres://host/db?user=me&password=***&sslmode=require"
        );
        assert_eq!(masked("sqlite://a@b:c"), "sqlite://a@b:c");
    }
}
