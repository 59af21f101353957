//! When releases begin by themselves.

use super::validate::Faults;
use crate::foundation::span::Span;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest pause after a failure.
pub const LONGEST_BACKOFF: Duration = Duration::from_secs(6 * 60 * 60);

/// When releases begin. Every key may be left open; an environment's replace the general ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// Five fields, or six with seconds.
    pub cron: Option<String>,
    /// The IANA time zone in which the fields are meant.
    pub time_zone: Option<String>,
    /// A firing happens up to this much later.
    pub jitter: Option<Span>,
    /// What is done about firings that nobody was there for.
    pub missed: Option<Missed>,
    /// Failures of one revision in a row after which it is not tried again.
    pub max_failures: Option<u32>,
    /// The pause after the first failure; it doubles with each.
    pub failure_backoff: Option<Span>,
    /// How often a git source is looked at between firings.
    pub poll: Option<Span>,
}

/// What is done about firings that nobody was there for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// One release in place of all of them.
    #[default]
    RunOnce,
    /// Nothing until the next firing.
    Skip,
}

impl Schedule {
    /// The keys, with those of `general` where they are left open.
    #[must_use]
    pub fn or(&self, general: &Self) -> Self {
        let own = self.clone();
        Self {
            cron: own.cron.or_else(|| general.cron.clone()),
            time_zone: own.time_zone.or_else(|| general.time_zone.clone()),
            jitter: own.jitter.or(general.jitter),
            missed: own.missed.or(general.missed),
            max_failures: own.max_failures.or(general.max_failures),
            failure_backoff: own.failure_backoff.or(general.failure_backoff),
            poll: own.poll.or(general.poll),
        }
    }

    /// The faults of a whole schedule.
    pub(super) fn check(&self, path: &str, faults: &mut Faults) {
        if let Err(error) = crate::inputs::settings::times::Schedule::parse(self, "") {
            let path = format!("{path}.{}", error.key());
            faults.fault(path, error.to_string(), error.remedy());
        }
        if let Some(jitter) = self.jitter {
            faults.span(&format!("{path}.jitter"), jitter, true);
        }
        if let Some(poll) = self.poll {
            faults.span(&format!("{path}.poll"), poll, false);
        }
        if let Some(pause) = self.failure_backoff {
            faults.unless(
                !pause.0.is_zero() && pause.0 <= LONGEST_BACKOFF,
                &format!("{path}.failure_backoff"),
                "the pause is zero or longer than six hours",
                "write a time such as 5m",
            );
        }
        faults.unless(
            self.max_failures != Some(0),
            &format!("{path}.max_failures"),
            "the number must be at least 1",
            "write 1 or more",
        );
    }
}
