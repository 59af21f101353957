//! What can go wrong when a report is published.

use crate::foundation::failure::{Class, Classify};
use crate::operations::ci::name::NotAName;

/// Why a report is not where people look.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The report cannot be read.
    #[error("the report {path} cannot be read")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What is read is no report.
    #[error("{path} is no report of `cutover ci build`: {problem}")]
    NotAReport {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The name in the report.
    #[error(transparent)]
    Name(#[from] NotAName),
    /// Nobody says which platform it is.
    #[error("no platform is named, and the job is not one of GitHub or GitLab")]
    Platform,
    /// A variable that the platform sets is missing, or is not what it should be.
    #[error("the variable {name} {problem}")]
    Variable {
        /// Its name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file with the event cannot be used.
    #[error("the event in {path} cannot be read: {problem}")]
    Event {
        /// The file.
        path: String,
        /// Why.
        problem: String,
    },
    /// The token would cross a network for everybody to read.
    #[error("the token is not sent to {place}, since nothing encrypts on the way")]
    Exposed {
        /// The address.
        place: String,
    },
    /// The token has characters that no header may have.
    #[error("the token in {0} has characters that cannot be sent")]
    Token(&'static str),
    /// No client could be made.
    #[error("the connection cannot be prepared")]
    Unusable(#[source] reqwest::Error),
    /// The token is not known there.
    #[error("{place} does not accept the token: {said}")]
    Unknown {
        /// The address.
        place: String,
        /// What it said.
        said: String,
    },
    /// The token may not do it.
    #[error("{place} does not allow it ({status}): {said}")]
    Denied {
        /// The address.
        place: String,
        /// The status of the answer.
        status: u16,
        /// What it said.
        said: String,
    },
    /// It is refused for another reason.
    #[error("{place} refuses it ({status}): {said}")]
    Refused {
        /// The address.
        place: String,
        /// The status of the answer.
        status: u16,
        /// What it said.
        said: String,
    },
    /// No good answer until the deadline.
    #[error("{place} gave no good answer within {seconds} s; the last thing met: {last}")]
    Away {
        /// The address.
        place: String,
        /// How long it was tried.
        seconds: u64,
        /// What was met at the end.
        last: String,
    },
    /// It asks to wait for longer than there is time.
    #[error("{place} asks to wait for {wait} s, longer than the {left} s that are left")]
    Limited {
        /// The address.
        place: String,
        /// How long, in seconds.
        wait: u64,
        /// How long there is, in seconds.
        left: u64,
    },
    /// Something else than the platform's API answers.
    #[error("what answers at {place} is not understood: {problem}")]
    Unreadable {
        /// The address.
        place: String,
        /// What is not understood.
        problem: String,
    },
    /// A summary or outputs cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Somebody asked to stop.
    #[error("interrupted; what was published so far stays")]
    Interrupted,
}

impl Classify for PublishError {
    fn class(&self) -> Class {
        match self {
            Self::Read { .. }
            | Self::NotAReport { .. }
            | Self::Name(_)
            | Self::Platform
            | Self::Variable { .. }
            | Self::Event { .. }
            | Self::Exposed { .. }
            | Self::Token(_)
            | Self::Unusable(_)
            | Self::Unknown { .. }
            | Self::Unreadable { .. } => Class::Usage,
            Self::Denied { .. } | Self::Refused { .. } => Class::Refused,
            Self::Away { .. } | Self::Limited { .. } | Self::Write { .. } => Class::Transient,
            Self::Interrupted => Class::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Read { .. } => {
                "the build writes it with --json FILE; where there is none, see the build's own log"
            }
            Self::NotAReport { .. } => "name the file that `cutover ci build --json FILE` wrote",
            Self::Platform => "say --github or --gitlab",
            Self::Variable { .. } => {
                "run it in a job of the platform, which sets the variable, or set it yourself"
            }
            Self::Event { .. } => "see whether GITHUB_EVENT_PATH names the event of this job",
            Self::Exposed { .. } => "use an address with https://",
            Self::Token(_) => "put the token alone into the variable",
            Self::Unknown { .. } => {
                "see whether the token has expired, or is that of another platform"
            }
            Self::Denied { .. } => "give the token the permissions that docs/ci-platforms.md names",
            Self::Refused { .. } => "remove the cause that is named, then publish again",
            Self::Away { .. } | Self::Limited { .. } => {
                "publish again when the platform is well; the report file has everything"
            }
            Self::Unreadable { .. } => {
                "see whether the address is that of the platform's API, and what stands between"
            }
            Self::Write { .. } => "check the folder's permissions and the free space",
            Self::Interrupted => "run the command again",
            Self::Name(_) | Self::Unusable(_) => return None,
        };
        Some(text.to_owned())
    }
}
