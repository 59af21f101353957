//! An environment that is held back: at a release to which somebody went back, or as it is, because a person says so.

use super::subject::Subject;
use crate::foundation::span::moment;
use jiff::{SignedDuration, Timestamp};
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

/// What keeps an environment as it is.
///
/// Where somebody went back to a release, nothing is released by itself until somebody releases on. Where a person holds it,
/// nothing begins and nothing is swapped at all, until it is lifted or its time is over. Both may be at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The environment.
    pub environment: String,
    /// The deployment whose release serves, where somebody went back to it; `None`: a person holds what serves, whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// Why, one clause: `rolled back to …`, or the person's words.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None`: until it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who went back, or holds.
    pub by: Subject,
    /// The deployment that went back; of a swap back the one that was swapped out. `None` of a person's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The deployment that released on, so that nothing is held any more, unless it is swapped back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted_by: Option<String>,
    /// What held before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<Hold>>,
}

impl Hold {
    /// Whether it holds, as long as its time is not over.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.lifted_by.is_none()
    }

    /// Whether it holds at this moment.
    #[must_use]
    pub fn is_on_at(&self, now: Timestamp) -> bool {
        self.is_on() && self.until.is_none_or(|until| now < until)
    }

    /// Whether a person holds the environment as it is.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.deployment.is_none()
    }

    /// Why, until when and by whom, in one clause.
    #[must_use]
    pub fn clause(&self) -> String {
        let until = match self.until {
            Some(until) => format!("until {}", moment(until)),
            None => "until it is lifted".to_owned(),
        };
        match self.is_plain() {
            true => format!("held: {}, {until}, by {}", self.reason, self.by),
            false => format!(
                "held: {} since {} by {}",
                self.reason,
                moment(self.since),
                self.by
            ),
        }
    }

    /// One sentence for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let what = match self.is_plain() {
            true => "nothing is released or swapped; `cutover release` lifts it",
            false => {
                "nothing is released by itself until somebody releases on with `cutover deploy`"
            }
        };
        format!("{}; {what}", self.clause())
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
        if self.cause.as_deref() == Some(deployment) {
            return self.before.map(|before| *before);
        }
        Some(self)
    }
}

/// A freeze that lies over a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// Why, as the configuration says; of several windows each.
    pub reason: String,
    /// When it thaws; `None`: nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Frozen {
    /// Until when, and why: `frozen until … : reason`.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.until {
            Some(until) => format!("frozen until {}: {}", moment(until), self.reason),
            None => format!("frozen until further notice: {}", self.reason),
        }
    }
}

/// The moment that is meant by a moment, or by a time from now on.
///
/// # Errors
/// What is neither, or has passed; one clause.
pub fn until(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let text = text.trim();
    let moment = match (humantime::parse_duration(text), text.parse::<Timestamp>()) {
        (_, Ok(moment)) => moment,
        (Ok(span), Err(_)) => SignedDuration::try_from(span)
            .ok()
            .and_then(|span| now.checked_add(span).ok())
            .ok_or_else(|| format!("{text:?} is too long"))?,
        (Err(_), Err(_)) => {
            return Err(format!(
                "{text:?} is neither a time such as 2h nor a moment such as 2026-12-24T16:00:00Z"
            ));
        }
    };
    match moment > now {
        true => Ok(moment),
        false => Err(format!("{text:?} has passed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(cause: &str) -> Hold {
        Hold {
            environment: "prod".to_owned(),
            deployment: Some("a".to_owned()),
            reason: "rolled back to a".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            until: None,
            by: Subject::Cutover,
            cause: Some(cause.to_owned()),
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

    #[test]
    fn until_is_a_time_or_a_moment_to_come() {
        let now: Timestamp = "2026-12-01T00:00:00Z".parse().expect("a moment");
        let until = |text: &str| until(text, now).map(|at| at.to_string());
        assert_eq!(until("2h"), Ok("2026-12-01T02:00:00Z".to_owned()));
        let moment = Ok("2026-12-24T15:00:00Z".to_owned());
        assert_eq!(until("2026-12-24T16:00:00+01:00"), moment);
        assert_eq!(until("2026-12-24 15:00:00Z"), moment);
        for wrong in [
            "",
            "soon",
            "2h3",
            "0s",
            "2026-11-30T00:00:00Z",
            "2026-12-24T16:00",
            "99999999999y",
        ] {
            assert!(until(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_person_s_hold_says_how_it_is_lifted() {
        let plain = Hold {
            deployment: None,
            cause: None,
            reason: "audit".to_owned(),
            ..hold("one")
        };
        assert!(plain.is_plain() && plain.is_on_at(Timestamp::MAX));
        assert_eq!(
            plain.sentence(),
            "held: audit, until it is lifted, by cutover; nothing is released or swapped; `cutover release` lifts it"
        );
        assert!(hold("one").sentence().contains("cutover deploy"));
    }
}
