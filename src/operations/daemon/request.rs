//! What is asked of the daemon, by signals, over HTTP or by its own schedule, and what it answers.

use crate::domain::lifecycle::state::{Asker, State};
use crate::domain::lifecycle::verb::Verb;
use crate::domain::location::repository::Reference;
use crate::domain::plan::refusal::RefusalName;
use crate::domain::records::run::{Cause, Link};
use crate::domain::records::subject::Subject;
use crate::foundation::failure::{Class, Classify};
use crate::foundation::span::Span;
use crate::inputs::selection::Selection;
use crate::operations::ci::name::CornerName;
use crate::operations::deployment::promotion::Approver;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// What is asked of one environment.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Release now.
    Start(Start),
    /// Act on the deployment under way.
    Act {
        /// What is to be done.
        verb: Verb,
        /// The deployment that is meant; another one under way is left alone. `None`: whichever is.
        deployment: Option<String>,
        /// Who asks, for the record of a rollback.
        by: Asker,
        /// Who that is, for the record of what is done.
        subject: Subject,
        /// Of a promotion: why a freeze does not stop it.
        override_freeze: Option<String>,
    },
    /// Hold the environment as it is.
    Hold {
        /// Why.
        reason: String,
        /// Until when; `None`: until it is lifted.
        until: Option<Timestamp>,
        /// Who asks.
        subject: Subject,
    },
    /// Lift what holds the environment.
    LiftHold {
        /// Who asks.
        subject: Subject,
    },
    /// Approve the deployment under way, which must be ready.
    Approve {
        /// The deployment that is meant; another one under way is left alone. `None`: whichever is.
        deployment: Option<String>,
        /// Who approves.
        approver: Approver,
    },
    /// Build or drop the corner of a pull request. Releases do not wait for it.
    Corner(CornerRequest),
    /// Say what this would do, or why it is declined, and do nothing.
    DryRun(Box<Command>),
}

/// What is asked of the corner of a pull request.
#[derive(Debug, Clone, PartialEq)]
pub struct CornerRequest {
    /// What the corner is called.
    pub name: CornerName,
    /// What is wished.
    pub wish: CornerWish,
    /// Who asks.
    pub subject: Subject,
}

/// What is wished of a corner.
#[derive(Debug, Clone, PartialEq)]
pub enum CornerWish {
    /// That a revision is built in it, in the place of the build under way.
    Build(Box<BuildWish>),
    /// That it goes.
    TearDown,
}

/// What is wished of a build.
#[derive(Debug, Clone, PartialEq)]
pub struct BuildWish {
    /// The revision: a commit, a branch, or another reference such as `refs/pull/7/merge`.
    pub revision: Reference,
    /// What the request goes to, in the place of `ci.base` and of what production follows.
    pub base: Option<Reference>,
    /// What is built, in the place of everything that changed.
    pub selection: Option<Selection>,
    /// Whether what only differs because production moved on is built, too.
    pub all: bool,
    /// Whether it stops after every node was described.
    pub check: bool,
}

/// What is wished of a release. Recorded with the run that is begun for it, so that it can be made by
/// another process than the one that accepted it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Who or what asks. The run has it as its cause.
    #[serde(skip)]
    pub cause: Cause,
    /// Who that is. The run has it, too.
    #[serde(skip)]
    pub subject: Option<Subject>,
    /// All of `vars.deployment`, whatever changed.
    pub full: bool,
    /// Whether missing schemas and clusters are created.
    pub bootstrap: bool,
    /// Refusals accepted by name, beside the configured ones.
    pub allow: Vec<RefusalName>,
    /// What the release begins with, instead of everything that changed.
    pub selection: Option<Selection>,
    /// Whether somebody is to promote it, whatever the settings say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_promotion: bool,
    /// How long green is kept when a step fails before the swap, whatever the settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Span>,
    /// The earlier release to which it goes back, as it was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why a freeze does not stop it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_freeze: Option<String>,
    /// The release of another environment that it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<Link>,
}

impl Start {
    /// What is done with it, in a sentence: `what` is done, and how much is taken.
    #[must_use]
    pub fn would(&self, what: &str) -> String {
        let takes = match &self.selection {
            _ if self.full => "everything of vars.deployment",
            Some(_) => "what is selected",
            None => "what changed since the baseline",
        };
        let end = match self.waits_for_promotion {
            true => "; it is staged, built and checked, and then waits to be promoted",
            false => "; it is promoted as the settings of the environment say",
        };
        format!("{what} {takes}{end}")
    }
}

/// A request to a worker.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub command: Command,
    /// What makes asking twice the same as asking once.
    pub idempotency: Option<Idempotency>,
    /// Where the answer goes. Whoever asked may have gone.
    pub answer: oneshot::Sender<Result<Accepted, Declined>>,
}

/// What makes asking twice the same as asking once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The key that the client chose.
    pub key: String,
    /// A hash of all that was asked; the same key with another one is declined.
    pub fingerprint: String,
}

/// The request was taken up; how it ends is seen in the status and in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The environment.
    pub environment: String,
    /// The run that was begun, where one was.
    pub run: Option<String>,
    /// The deployment that is acted on, where there is one already.
    pub deployment: Option<String>,
    /// What will happen, one sentence without a final full stop.
    pub would: String,
    /// The corner, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corner: Option<AcceptedCorner>,
}

/// What was taken up for a corner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedCorner {
    /// Its name.
    pub name: String,
    /// The id of the build or of the teardown.
    pub id: String,
}

/// Why a request was declined. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// There is no such environment.
    #[error("there is no environment {name:?}; there are: {}", known.join(", "))]
    UnknownEnvironment {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// Another process leads the environment, or this one does not yet.
    #[error("this process does not lead the environment")]
    NotLeading {
        /// Where the leader answers, where that is known.
        leader: Option<String>,
    },
    /// A release is under way.
    #[error("{what} is under way ({state})")]
    Busy {
        /// For example `the deployment 0198…` or `a run`.
        what: String,
        /// How far it is.
        state: String,
    },
    /// Nothing is under way.
    #[error("the environment {0} has no deployment under way")]
    NoDeployment(String),
    /// Another deployment than the named one is under way, or none.
    #[error("the deployment {asked} is not the one under way{}", under_way.as_ref().map_or(String::new(), |id| format!("; that is {id}")))]
    AnotherDeployment {
        /// The one that was meant.
        asked: String,
        /// The one that is under way.
        under_way: Option<String>,
    },
    /// The state does not admit it.
    #[error("{reason}")]
    NotNow {
        /// Why.
        reason: String,
        /// The state of the deployment.
        state: State,
    },
    /// The environment is held or frozen.
    #[error("{reason}")]
    Stopped {
        /// By what, until when and by whom.
        reason: String,
        /// How to go on all the same.
        remedy: String,
    },
    /// Nothing holds the environment.
    #[error("nothing holds {0}")]
    NotHeld(String),
    /// The project comes from no repository, so that there are no revisions of it.
    #[error(
        "the project of {0} comes from no git repository, so that no revision of it can be fetched"
    )]
    NoRepository(String),
    /// There is no dry run of it.
    #[error("there is no dry run of this")]
    NoDryRun,
    /// The same idempotency key was used for something else.
    #[error("the idempotency key was used for another request before")]
    KeyReused,
    /// Too many requests wait.
    #[error("too many requests wait for this environment")]
    Overloaded,
    /// The daemon stops.
    #[error("the daemon is stopping")]
    Stopping,
    /// The journal does not answer.
    #[error("the journal does not answer: {0}")]
    Store(String),
}

impl Classify for Declined {
    fn class(&self) -> Class {
        match self {
            Self::UnknownEnvironment { .. } => Class::Usage,
            Self::NotLeading { .. } | Self::Overloaded | Self::Stopping | Self::Store(_) => {
                Class::Transient
            }
            Self::Busy { .. }
            | Self::NoDeployment(_)
            | Self::AnotherDeployment { .. }
            | Self::NotNow { .. }
            | Self::Stopped { .. }
            | Self::NotHeld(_)
            | Self::NoRepository(_)
            | Self::NoDryRun
            | Self::KeyReused => Class::Refused,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownEnvironment { .. } => "name one of the environments".to_owned(),
            Self::NotLeading {
                leader: Some(leader),
            } => format!("ask the leader at {leader}"),
            Self::NotLeading { leader: None } => {
                "ask again in a few seconds, when one of the daemons leads".to_owned()
            }
            Self::Busy { .. } => "wait until it has ended, or abort it".to_owned(),
            Self::NoDeployment(_) => "`cutover history` shows what was".to_owned(),
            Self::AnotherDeployment { .. } | Self::NotNow { .. } => {
                "`cutover status` shows what can be done now".to_owned()
            }
            Self::Stopped { remedy, .. } => remedy.clone(),
            Self::NotHeld(_) => "`cutover status` shows what can be done now".to_owned(),
            Self::NoRepository(_) => {
                "set source.url, or build where the project is, without a daemon".to_owned()
            }
            Self::NoDryRun => "ask without dry_run".to_owned(),
            Self::KeyReused => "choose another key for another request".to_owned(),
            Self::Overloaded => "ask again later".to_owned(),
            Self::Stopping => "ask again when it has been started anew".to_owned(),
            Self::Store(_) => "look at the journal's server, then ask again".to_owned(),
        })
    }
}
