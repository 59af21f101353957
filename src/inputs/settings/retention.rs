//! What is kept of what has ended.

use super::validate::Faults;
use crate::foundation::span::Span;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Deployments that are kept where nothing says another number.
const DEPLOYMENTS: u32 = 50;

/// How long every deployment is kept where nothing says another time.
const AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The pause between two rounds where nothing says another one.
const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// What is kept of what has ended. Every key may be left open; an environment's replace the general
/// ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// How many deployments, and bundles of artifacts, are kept: the newest.
    pub deployments: Option<u32>,
    /// What ended later than so long ago is kept as well.
    pub age: Option<Span>,
    /// How often the daemon looks.
    pub interval: Option<Span>,
    /// What is done about schemas and clusters that an ended deployment left in Materialize.
    pub garbage: Option<Garbage>,
}

/// What is done about schemas and clusters that an ended deployment left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Garbage {
    /// They are told.
    #[default]
    Report,
    /// Those that the journal has the ids of are dropped.
    Collect,
}

impl Retention {
    /// How many deployments are kept.
    #[must_use]
    pub fn kept(&self) -> u32 {
        self.deployments.unwrap_or(DEPLOYMENTS)
    }

    /// How long everything is kept.
    #[must_use]
    pub fn kept_for(&self) -> Duration {
        self.age.map_or(AGE, |age| age.0)
    }

    /// The pause between two rounds.
    #[must_use]
    pub fn pause(&self) -> Duration {
        self.interval.map_or(INTERVAL, |interval| interval.0)
    }

    pub(super) fn check(&self, path: &str, faults: &mut Faults) {
        faults.unless(
            self.deployments != Some(0),
            &format!("{path}.deployments"),
            "the number must be at least 1",
            "write 1 or more",
        );
        if let Some(age) = self.age {
            faults.span(&format!("{path}.age"), age, true);
        }
        if let Some(interval) = self.interval {
            faults.span(&format!("{path}.interval"), interval, false);
        }
    }
}
