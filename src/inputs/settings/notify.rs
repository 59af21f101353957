//! Who is told what.

use super::validate::Faults;
use crate::foundation::environment::Environment;
use crate::foundation::secret::{SecretError, SecretRef};
use crate::foundation::span::Span;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::path::Path;
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

fn usual_timeout() -> Span {
    Span(Duration::from_secs(10))
}

impl Webhook {
    /// The address.
    ///
    /// # Errors
    /// A reference that leads nowhere.
    pub fn address(&self, base: &Path) -> Result<SecretString, SecretError> {
        // What is no reference is the address itself.
        match self.url.parse::<SecretRef>() {
            Ok(reference) => reference.resolve(
                &format!("webhooks.{}.url", self.name),
                base,
                &Environment::of_process(),
            ),
            Err(_) => Ok(self.url.clone().into()),
        }
    }

    /// What signs the bodies, where they are signed.
    ///
    /// # Errors
    /// A reference that leads nowhere.
    pub fn key(&self, base: &Path) -> Result<Option<SecretString>, SecretError> {
        let key = format!("webhooks.{}.secret", self.name);
        self.secret
            .as_ref()
            .map(|secret| secret.resolve(&key, base, &Environment::of_process()))
            .transpose()
    }

    /// The faults of a list of webhooks, and of names that are to be told.
    pub(super) fn check(hooks: &[Self], faults: &mut Faults) {
        for (index, hook) in hooks.iter().enumerate() {
            let path = format!("webhooks[{index}]");
            let is_name = !hook.name.is_empty()
                && hook.name.len() <= 64
                && !hook
                    .name
                    .contains(|c: char| c.is_control() || c.is_whitespace());
            faults.unless(
                is_name && !hooks[..index].iter().any(|other| other.name == hook.name),
                &format!("{path}.name"),
                "the name is empty, long, has white space, or is there twice",
                "choose a short word",
            );
            let is_url = hook.url.starts_with("https://") || hook.url.starts_with("http://");
            faults.unless(
                is_url || hook.url.parse::<SecretRef>().is_ok(),
                &format!("{path}.url"),
                "this is neither an http or https address nor a reference to one",
                "write https://…, env:NAME or file:PATH",
            );
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
    /// What a webhook is told that does not say.
    fn usual() -> Vec<Self> {
        vec![
            Self::Ready,
            Self::Promoted,
            Self::Failed,
            Self::Kept,
            Self::Refused,
            Self::Degraded,
            Self::Recovered,
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
