//! How every kind of failure is treated: one table, without exceptions elsewhere.
//!
//! Each module has its own error enum; each of its variants names a [`Class`]. What a class means
//! for retries, for the exit code and for the operator stands here and nowhere else.

use crate::foundation::word::stored_words;
use std::process::ExitCode;

stored_words! {
    /// What kind of failure an error is. The class decides retry, unwinding and exit code.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Class {
        /// The command line or a configuration file is wrong; nothing was attempted.
        Usage = "usage",
        /// The request cannot be granted as things are: a plan was refused, another process holds the
        /// lock, the deployment is not ready.
        Refused = "refused",
        /// Somebody else changed the catalog meanwhile; the same attempt may succeed after a re-check.
        Conflict = "conflict",
        /// Something this process depends on does not answer (server, network, store); it may come back.
        Transient = "transient",
        /// The deployment cannot succeed: a model fails, a test fails, the server refuses a statement.
        Permanent = "permanent",
        /// The state of the world is not one that this deployment may touch; a person must look.
        Stuck = "stuck",
        /// The operator asked to stop; the deployment stays where it is and can be resumed.
        Interrupted = "interrupted",
    }
}

impl Class {
    /// The process exit code: 1 deployment failed, 2 usage or configuration, 3 refused, 4 a
    /// dependency is unavailable, 5 a person is needed, 130 interrupted (as shells report SIGINT).
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Class::Permanent => 1,
            Class::Usage => 2,
            Class::Refused | Class::Conflict => 3,
            Class::Transient => 4,
            Class::Stuck => 5,
            Class::Interrupted => 130,
        }
    }

    /// Whether the same attempt is worth repeating after a pause.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        match self {
            Class::Conflict | Class::Transient => true,
            Class::Usage
            | Class::Refused
            | Class::Permanent
            | Class::Stuck
            | Class::Interrupted => false,
        }
    }

    /// What an operator should do about a failure of this class, where the error itself does not
    /// say it better.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Class::Usage => "correct the named file or argument and run the command again",
            Class::Refused => "remove the cause that is named, then run the command again",
            Class::Conflict => {
                "another session kept changing the catalog; run the command again when it is quiet"
            }
            Class::Transient => {
                "nothing was lost; run the command again when the dependency is back"
            }
            Class::Permanent => "production was not changed; correct the cause and deploy again",
            Class::Stuck => {
                "nothing more will be touched; look at the objects that are named, then run `cutover resume`"
            }
            Class::Interrupted => {
                "run the command again; `cutover status` shows whether a deployment is under way"
            }
        }
    }
}

impl From<Class> for ExitCode {
    fn from(class: Class) -> Self {
        ExitCode::from(class.exit_code())
    }
}

/// An error with its causes on one line, each that says something new.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}

/// An error that knows how it is to be treated.
pub trait Classify: std::error::Error {
    /// The class of this error.
    fn class(&self) -> Class;
    /// A remedy more precise than the class's own, where there is one.
    fn hint(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::Class;
    use std::collections::BTreeSet;

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let codes: BTreeSet<u8> = Class::ALL.iter().map(|c| c.exit_code()).collect();
        assert_eq!(codes, BTreeSet::from([1, 2, 3, 4, 5, 130]));
    }
}
