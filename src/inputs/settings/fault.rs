//! What can be wrong with a configuration. All faults of all layers are reported at once.

use super::checks::CheckFault;
use crate::foundation::failure::{Class, Classify};
use std::fmt;
use std::path::PathBuf;

/// One fault of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, environment variable or flag that holds it; empty for a default.
    pub place: String,
    /// The key, with dots.
    pub path: String,
    /// What is wrong, one sentence without a final full stop.
    pub message: String,
    /// What to write instead.
    pub remedy: String,
}

impl Fault {
    /// A fault of one check in the list that stands at `path`.
    pub(super) fn of_check(path: &str, found: CheckFault) -> Self {
        Self {
            place: String::new(),
            path: format!("{path}{}", found.place),
            message: found.message,
            remedy: found.remedy,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{} ({})", self.message, self.remedy)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file that was asked for is not there or cannot be read.
    #[error("the configuration file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that looks like the configuration lies under a name that is not read.
    #[error("{} is not read; the configuration file is called {}", found.display(), expected)]
    Misnamed {
        /// The file found.
        found: PathBuf,
        /// The name that is read.
        expected: &'static str,
    },
    /// A file is no YAML document.
    #[error("{place}: {message}")]
    Syntax {
        /// `FILE:LINE:COLUMN`, or the file where the place is not known.
        place: String,
        /// What the parser said.
        message: String,
    },
    /// Keys or values are wrong.
    #[error("the configuration has {}{}", Count(.0.len()), Lines(.0))]
    Faults(Vec<Fault>),
    /// The named environment is not configured.
    #[error(
        "there is no environment {name:?} in the configuration{}",
        Known(known)
    )]
    UnknownEnvironment {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
}

struct Count(usize);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("a fault"),
            count => write!(f, "{count} faults"),
        }
    }
}

struct Lines<'a>(&'a [Fault]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

struct Known<'a>(&'a [String]);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("; it names none");
        }
        write!(f, "; it names {}", self.0.join(", "))
    }
}

impl Classify for SettingsError {
    fn class(&self) -> Class {
        match self {
            SettingsError::Unreadable { .. }
            | SettingsError::Misnamed { .. }
            | SettingsError::Syntax { .. }
            | SettingsError::Faults(_)
            | SettingsError::UnknownEnvironment { .. } => Class::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            SettingsError::Unreadable { .. } => {
                "give the path of a file that exists and may be read to --config".to_owned()
            }
            SettingsError::Misnamed { expected, .. } => {
                format!("rename it to {expected}, or give it to --config")
            }
            SettingsError::Syntax { .. } => "correct the YAML at that place".to_owned(),
            SettingsError::Faults(_) => {
                "correct them; `cutover config show` prints every key with its value".to_owned()
            }
            SettingsError::UnknownEnvironment { name, .. } => {
                format!("add it under `environments:`, or leave {name:?} out of the command")
            }
        })
    }
}
