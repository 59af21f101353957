//! What can go wrong with a deployment, and of which class it is.

use crate::adapters::artifacts::ArtifactError;
use crate::adapters::dbt::BuildError;
use crate::adapters::materialize::MaterializeError;
use crate::adapters::store::StoreError;
use crate::domain::lifecycle::state::State;
use crate::domain::lifecycle::verb::NotNow;
use crate::domain::plan::refusal::Refused;
use crate::foundation::failure::{Class, Classify};
use crate::inputs::project;
use crate::operations::bundle::BundleError;

/// An error of a deployment.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// The server.
    #[error(transparent)]
    Materialize(#[from] MaterializeError),
    /// The journal.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// dbt.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The artifact store.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// The bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The project's files.
    #[error(transparent)]
    Project(#[from] project::Error),
    /// dbt's manifest cannot be used.
    #[error("{0}")]
    Manifest(String),
    /// The plan.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A step found that the deployment cannot succeed.
    #[error("{0}")]
    Failed(String),
    /// The deployment failed before the cutover and was unwound.
    #[error("the deployment {id} failed: {reason}")]
    Unwound {
        /// The deployment.
        id: String,
        /// Why it failed.
        reason: String,
    },
    /// A failure before the cutover of which green says why.
    #[error(transparent)]
    WorthALook(Box<DeploymentError>),
    /// The deployment failed before the cutover, and green is kept.
    #[error("the deployment {id} failed, and its green side is kept until {until}: {reason}")]
    Kept {
        /// The deployment.
        id: String,
        /// Why it failed.
        reason: String,
        /// Until when, for people.
        until: String,
    },
    /// A check failed during the soak, and the old side serves again.
    #[error("the deployment {id} was swapped in and ROLLED BACK because {reason}")]
    RolledBackByCheck {
        /// The deployment.
        id: String,
        /// Which checks failed, with their numbers.
        reason: String,
    },
    /// The swap was not made; green is still ready.
    #[error("the swap was not made: {0}")]
    Declined(String),
    /// Others changed the catalog during every attempt to rehearse the swap.
    #[error("the swap could not be rehearsed: {0}")]
    NotRehearsed(String),
    /// Nobody may go on before a person has looked.
    #[error("{0}")]
    Stuck(String),
    /// The command does not fit the state.
    #[error("{0}")]
    NotNow(String),
    /// There is nothing to act on.
    #[error("the environment {0} has no deployment under way")]
    NoDeployment(String),
    /// The operator asked to stop.
    #[error("interrupted; the deployment {id} is {state} and can be resumed")]
    Interrupted {
        /// The deployment.
        id: String,
        /// Its state.
        state: State,
    },
    /// There is no room left for what dbt writes.
    #[error("the disk of {path} is full, so that dbt could not do its work")]
    Full {
        /// The run's folder.
        path: String,
        /// What dbt, or the reading of its files, met.
        #[source]
        source: Box<DeploymentError>,
    },
    /// A file of the run could not be read or written.
    #[error("cannot use {path}")]
    Run {
        /// The file or folder.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Classify for DeploymentError {
    fn class(&self) -> Class {
        match self {
            Self::Materialize(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::Build(error) => error.class(),
            Self::Artifacts(error) => error.class(),
            Self::Bundle(error) => error.class(),
            Self::Project(_) | Self::Manifest(_) => Class::Usage,
            Self::Refused(error) => error.class(),
            Self::WorthALook(error) => error.class(),
            Self::Failed(_)
            | Self::Unwound { .. }
            | Self::Kept { .. }
            | Self::RolledBackByCheck { .. } => Class::Permanent,
            Self::Declined(_) | Self::NotRehearsed(_) => Class::Conflict,
            Self::Stuck(_) => Class::Stuck,
            Self::NotNow(_) | Self::NoDeployment(_) => Class::Refused,
            Self::Interrupted { .. } => Class::Interrupted,
            Self::Run { .. } | Self::Full { .. } => Class::Transient,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Materialize(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Build(error) => error.hint(),
            Self::Artifacts(error) => error.hint(),
            Self::Bundle(error) => error.hint(),
            Self::WorthALook(error) => error.hint(),
            Self::Kept { .. } => Some(
                "production was not changed. `cutover status` says what to query; `cutover resume` tries again what failed once the cause is gone, `cutover abort` drops it, and the next release does so first".to_owned(),
            ),
            Self::Refused(_) => Some("every refusal names its remedy".to_owned()),
            Self::Declined(_) => Some(
                "green is untouched: run `cutover promote` to try again or `cutover abort` to give up"
                    .to_owned(),
            ),
            Self::NotRehearsed(_) => Some(
                "green is untouched: run `cutover resume` (or `cutover promote`, if that is what met it) when the catalog is quieter, raise `cutover.attempts`, or run `cutover abort`"
                    .to_owned(),
            ),
            Self::RolledBackByCheck { id, .. } => Some(format!(
                "the old side serves production again and the new side is gone; `cutover show {id}` has every check with its numbers; correct the cause and deploy again"
            )),
            Self::NoDeployment(_) => Some("`cutover history` shows what was".to_owned()),
            Self::NotNow(_) => Some("`cutover status` shows what can be done now".to_owned()),
            Self::Full { path, .. } => Some(format!(
                "free space on the disk of {path}, then run `cutover resume`, or the same command again where no deployment is under way"
            )),
            Self::Run { .. } => {
                Some("check the folder's permissions and the free space".to_owned())
            }
            Self::Interrupted { state, .. } => Some(
                if state.is_before_cutover() {
                    "run `cutover resume` to continue or `cutover abort` to give up"
                } else if *state == State::Soaking {
                    "run `cutover resume` to continue or `cutover rollback` to bring the old side back"
                } else {
                    "run `cutover resume` to continue"
                }
                .to_owned(),
            ),
            Self::Project(_)
            | Self::Manifest(_)
            | Self::Failed(_)
            | Self::Unwound { .. }
            | Self::Stuck(_) => None,
        }
    }
}

impl From<NotNow> for DeploymentError {
    fn from(NotNow(why): NotNow) -> Self {
        Self::NotNow(why)
    }
}
