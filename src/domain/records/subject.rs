//! Who is behind what the journal records.

use super::text::storable;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most characters of a name that are kept.
const LONGEST: usize = 200;

/// Who or what an event or a run goes back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// A token of the API.
    Token {
        /// Its name in the configuration.
        name: String,
    },
    /// Somebody at a command line, or over the socket of a daemon.
    User {
        /// The name of the Unix user, or its number where it has none.
        name: String,
        /// The machine.
        host: String,
    },
    /// A signal to a daemon.
    Signal {
        /// For example `SIGUSR1`.
        name: String,
        /// The machine.
        host: String,
    },
    /// The schedule.
    Schedule,
    /// A change of the project.
    Commit {
        /// `Name <address>` of the commit's author; absent where the project comes from no repository.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        author: Option<String>,
    },
    /// Cutover by itself: a check, a look at what serves, another attempt.
    Cutover,
}

impl Subject {
    /// The Unix user that this process runs as.
    #[must_use]
    pub fn of_process() -> Self {
        Self::user(nix::unistd::geteuid().as_raw())
    }

    /// A Unix user of this machine.
    #[must_use]
    pub fn user(id: u32) -> Self {
        let known = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(id));
        let name = known.ok().flatten().map(|user| user.name);
        Self::User {
            name: short(&name.unwrap_or_else(|| id.to_string())),
            host: host(),
        }
    }

    /// A signal to this process.
    #[must_use]
    pub fn signal(name: &str) -> Self {
        Self::Signal {
            name: name.to_owned(),
            host: host(),
        }
    }

    /// A commit by this author.
    #[must_use]
    pub fn commit(author: Option<&str>) -> Self {
        Self::Commit {
            author: author.map(short),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { name } => write!(f, "token {name}"),
            Self::User { name, host } => write!(f, "{name}@{host}"),
            Self::Signal { name, host } => write!(f, "{name} on {host}"),
            Self::Schedule => f.write_str("schedule"),
            Self::Commit { author: None } => f.write_str("change of the project"),
            Self::Commit {
                author: Some(author),
            } => write!(f, "commit of {author}"),
            Self::Cutover => f.write_str("cutover"),
        }
    }
}

/// The name of this machine.
pub(crate) fn host() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "an unnamed host".to_owned())
}

fn short(name: &str) -> String {
    storable(name.chars().take(LONGEST).collect())
}
