//! Who is told what.

use super::notifications::{self, Kind, Target};
use super::validate::Faults;
use crate::foundation::secret::SecretRef;
use crate::foundation::span::Span;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A webhook: what is worth telling is posted to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its name, for `notify`, for metrics and in the journal.
    pub name: String,
    /// The address: a URL, or a reference (`env:NAME`, `file:PATH`) where the URL itself is a secret.
    pub url: String,
    /// The shape of the body.
    #[serde(default)]
    pub format: Format,
    /// What it is told.
    #[serde(default = "Topic::usual")]
    pub events: Vec<Topic>,
    /// What signs the bodies; not signed without.
    #[serde(default)]
    pub secret: Option<SecretRef>,
    /// Deadline of one delivery.
    #[serde(default = "usual_timeout")]
    pub timeout: Span,
}

pub(super) fn usual_timeout() -> Span {
    Span(Duration::from_secs(10))
}

impl Webhook {
    /// The same as a target.
    #[must_use]
    pub fn target(&self) -> Target {
        Target {
            name: self.name.clone(),
            events: Some(self.events.clone()),
            timeout: self.timeout,
            title: None,
            text: None,
            kind: Kind::Generic {
                url: self.url.clone(),
                format: self.format,
                secret: self.secret.clone(),
            },
        }
    }

    /// The faults of a list of webhooks, and of names that are to be told.
    pub(super) fn check(hooks: &[Self], faults: &mut Faults) {
        let mut names = Vec::new();
        for (index, hook) in hooks.iter().enumerate() {
            let path = format!("webhooks[{index}]");
            notifications::name(&hook.name, &names, &path, faults);
            names.push(hook.name.as_str());
            notifications::address(&hook.url, &path, faults);
            faults.span(&format!("{path}.timeout"), hook.timeout, false);
        }
    }
}

/// The shape of a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JSON with every field.
    #[default]
    Generic,
    /// `{"text": …}`, as Slack and what imitates it take it.
    Slack,
}

/// What can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// A release began to be built.
    Started,
    /// Green is ready to be promoted.
    Ready,
    /// What is ready waits for approvals, gates, a time or somebody to promote it.
    Waiting,
    /// Somebody approved what is ready.
    Approved,
    /// What nobody promoted in time is given up.
    Expired,
    /// The swap committed.
    Promoted,
    /// The release ended well and nothing is left of the old side.
    Done,
    /// A release failed; production was not changed.
    Failed,
    /// A release failed, and its green side is kept for a look; production was not changed.
    Kept,
    /// A release was refused.
    Refused,
    /// What serves since the swap is not hydrated, lags, or lost a replica.
    Degraded,
    /// It is as it should be again.
    Recovered,
    /// A check asks a person to decide.
    Decision,
    /// Somebody, or a check, asked for the old side back.
    RollingBack,
    /// The old side serves again.
    RolledBack,
    /// Somebody gave a release up.
    Aborted,
    /// A person must look.
    Stuck,
    /// Production is not what was released any more, or is again.
    Drift,
    /// There was nothing to release.
    NothingToDo,
    /// A release was due and not made.
    Skipped,
    /// A person holds the environment as it is.
    Held,
    /// That hold was lifted.
    HoldLifted,
    /// A release is ready and is not swapped in: the environment is held or frozen.
    HeldUp,
    /// Somebody releases although the environment is frozen.
    FreezeOverridden,
}

impl Topic {
    /// What somebody is called for.
    pub const TROUBLE: &[Self] = &[
        Self::Failed,
        Self::Kept,
        Self::Refused,
        Self::Degraded,
        Self::Decision,
        Self::RollingBack,
        Self::Stuck,
    ];

    /// The word.
    #[must_use]
    pub fn word(&self) -> String {
        let word = serde_json::to_value(self).ok();
        let word = word.as_ref().and_then(serde_json::Value::as_str);
        word.unwrap_or_default().to_owned()
    }

    /// What somebody is told who does not say.
    pub(super) fn usual() -> Vec<Self> {
        vec![
            Self::Ready,
            Self::Waiting,
            Self::Expired,
            Self::Promoted,
            Self::Failed,
            Self::Kept,
            Self::Refused,
            Self::Degraded,
            Self::Recovered,
            Self::Drift,
            Self::Decision,
            Self::RollingBack,
            Self::RolledBack,
            Self::Stuck,
            Self::Held,
            Self::HoldLifted,
            Self::HeldUp,
            Self::FreezeOverridden,
        ]
    }
}
