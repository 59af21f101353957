//! An environment that is held back at a release to which somebody went back.

use super::subject::Subject;
use crate::foundation::span::moment;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A release to go back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackTo {
    /// The deployment that made it live.
    pub deployment: String,
    /// The revision of the project that it was made from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// When it went live.
    pub at: Timestamp,
}

impl BackTo {
    /// It in a few words.
    #[must_use]
    pub fn words(&self) -> String {
        let at = moment(self.at);
        match &self.revision {
            Some(revision) => format!("{} of {at} ({revision})", self.deployment),
            None => format!("{} of {at}", self.deployment),
        }
    }
}

/// What keeps releases from beginning by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The environment.
    pub environment: String,
    /// The deployment whose release serves.
    pub deployment: String,
    /// Why, one clause: `rolled back to …`.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Who went back.
    pub by: Subject,
    /// The deployment that went back; of a swap back the one that was swapped out.
    pub cause: String,
    /// The deployment that released on, so that nothing is held any more, unless it is swapped back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted_by: Option<String>,
    /// What held before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<Hold>>,
}

impl Hold {
    /// Whether it holds.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.lifted_by.is_none()
    }

    /// One sentence for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "held: {} since {} by {}; nothing is released by itself until somebody releases on with `cutover deploy`",
            self.reason,
            moment(self.since),
            self.by
        )
    }

    /// What holds when `cause` went back, over what held until then.
    #[must_use]
    pub fn over(self, before: Option<Hold>) -> Self {
        match before {
            // The same once more.
            Some(before) if before.cause == self.cause && before.is_on() => before,
            before => Self {
                // What was live before that cannot be swapped back any more.
                before: before.filter(Hold::is_on).map(|before| {
                    Box::new(Self {
                        before: None,
                        ..before
                    })
                }),
                ..self
            },
        }
    }

    /// What holds once the deployment released on.
    #[must_use]
    pub fn lifted(self, deployment: &str) -> Self {
        let lifted_by = self.lifted_by.or(Some(deployment.to_owned()));
        Self { lifted_by, ..self }
    }

    /// What holds once the deployment was swapped back.
    #[must_use]
    pub fn without(self, deployment: &str) -> Option<Self> {
        if self.lifted_by.as_deref() == Some(deployment) {
            return Some(Self {
                lifted_by: None,
                ..self
            });
        }
        if self.cause == deployment {
            return self.before.map(|before| *before);
        }
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(cause: &str) -> Hold {
        Hold {
            environment: "prod".to_owned(),
            deployment: "a".to_owned(),
            reason: "rolled back to a".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            by: Subject::Cutover,
            cause: cause.to_owned(),
            lifted_by: None,
            before: None,
        }
    }

    #[test]
    fn what_is_swapped_back_leaves_what_held_before() {
        let first = hold("one").over(None);
        let second = hold("two").over(Some(first.clone()));
        assert_eq!(hold("two").over(Some(second.clone())), second);
        assert_eq!(second.clone().without("two"), Some(first.clone()));
        assert_eq!(first.clone().without("one"), None);
        assert_eq!(first.clone().without("other"), Some(first.clone()));
        let lifted = first.clone().lifted("three");
        assert!(!lifted.is_on());
        assert_eq!(lifted.clone().without("three"), Some(first));
        assert_eq!(hold("four").over(Some(lifted)).before, None);
    }
}
