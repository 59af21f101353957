//! What can go wrong with a corner, and of which class it is.

use super::name::NotAName;
use crate::adapters::materialize::MaterializeError;
use crate::adapters::store::StoreError;
use crate::domain::plan::refusal::Refused;
use crate::foundation::failure::{Class, Classify};
use crate::operations::error::DeploymentError;
use crate::operations::release::ReleaseError;

/// An error of a corner.
#[derive(Debug, thiserror::Error)]
pub enum CiError {
    /// The environment, its project, dbt or the plan.
    #[error(transparent)]
    Release(Box<ReleaseError>),
    /// The name.
    #[error(transparent)]
    Name(#[from] NotAName),
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The server.
    #[error(transparent)]
    Materialize(#[from] MaterializeError),
    /// The journal.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A step that releases have too.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// No corner is meant.
    #[error("no pull request is named, and none is told by the variables of a CI platform")]
    Nameless,
    /// No environment is meant.
    #[error("there are several environments, and none is named: {}", .0.join(", "))]
    Against(Vec<String>),
    /// git could not be asked.
    #[error("git cannot be asked where the request began: {0}")]
    Git(String),
    /// A step found that the build cannot succeed.
    #[error("{0}")]
    Failed(String),
    /// A later build of the same corner wants its place.
    #[error("a later build of {0} has taken its place")]
    Superseded(String),
    /// Somebody asked to stop.
    #[error("interrupted; what stands of the corner {0} is used by the next build, or collected")]
    Interrupted(String),
    /// The environment's project comes from no repository.
    #[error(
        "the project of {0} comes from no git repository, so that no revision of it can be fetched"
    )]
    NoRepository(String),
    /// The revision cannot be had.
    #[error("the revision {reference} cannot be had: {said}")]
    Revision {
        /// What was asked for.
        reference: String,
        /// Why.
        said: String,
    },
    /// The process ended again and again while it looked into a revision.
    #[error(
        "{times} times in a row the process ended while it built {revision}; the revision is set aside"
    )]
    SetAside {
        /// The commit.
        revision: String,
        /// How often.
        times: u32,
    },
    /// There is no such corner.
    #[error("there is no corner {name} of {environment}")]
    NoCorner {
        /// Its name.
        name: String,
        /// The environment.
        environment: String,
    },
    /// What the journal has of a corner cannot be read.
    #[error("the record of the corner {name} cannot be read")]
    Record {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A report cannot be written.
    #[error("cannot write the report {path}")]
    Report {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl From<ReleaseError> for CiError {
    fn from(error: ReleaseError) -> Self {
        Self::Release(Box::new(error))
    }
}

impl Classify for CiError {
    fn class(&self) -> Class {
        match self {
            Self::Release(error) => error.class(),
            Self::Refused(error) => error.class(),
            Self::Materialize(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Deployment(error) => error.class(),
            Self::Name(_) | Self::Nameless | Self::Against(_) | Self::Revision { .. } => {
                Class::Usage
            }
            Self::Git(_) | Self::Report { .. } => Class::Transient,
            Self::Failed(_) => Class::Permanent,
            Self::Superseded(_) | Self::Interrupted(_) => Class::Interrupted,
            Self::NoCorner { .. } | Self::NoRepository(_) | Self::SetAside { .. } => Class::Refused,
            Self::Record { .. } => Class::Stuck,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Release(error) => error.hint(),
            Self::Refused(error) => error.hint(),
            Self::Materialize(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Deployment(error) => error.hint(),
            Self::Nameless => Some("name it with --name, for example --name pr-123".to_owned()),
            Self::Against(_) => {
                Some("name one, or set ci.against in the configuration".to_owned())
            }
            Self::Superseded(_) => Some("see the later build".to_owned()),
            Self::Failed(_) => Some("correct the cause and build again".to_owned()),
            Self::Interrupted(_) => Some("run the command again".to_owned()),
            Self::NoCorner { .. } => Some("`cutover ci list` shows which there are".to_owned()),
            Self::NoRepository(_) => {
                Some("set source.url, or build where the project is, without a daemon".to_owned())
            }
            Self::Revision { .. } => Some(
                "name a commit, a branch or a reference such as refs/pull/7/merge that the repository has"
                    .to_owned(),
            ),
            Self::SetAside { .. } => Some(
                "push another commit, or tear the corner down and build again; the daemon's log says how it ended"
                    .to_owned(),
            ),
            Self::Record { .. } => Some(
                "an earlier or later version of Cutover wrote it; use that one to tear the corner down"
                    .to_owned(),
            ),
            Self::Git(_) => Some(
                "fetch more of the history, name another branch with --base, or build everything that differs with --all"
                    .to_owned(),
            ),
            Self::Report { .. } => {
                Some("check the folder's permissions and the free space".to_owned())
            }
            Self::Name(_) => None,
        }
    }
}
