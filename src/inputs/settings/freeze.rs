//! Windows in which an environment stays as it is, and the environment that it comes after.

use super::Settings;
use super::times::windows::Windows;
use super::validate::Faults;
use crate::foundation::span::Span;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Windows in which nothing is released and nothing swapped: again and again by `cron` and `length`, from one moment to
/// another by `from` and `to`, or on whole days by `dates`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// Why, for whoever is stopped by it.
    pub reason: String,
    /// When each window begins: five fields, or six with seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// How long each lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<Span>,
    /// A day, or a day with a time (`2026-12-24T16:00`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The last day, or the moment at which it ends; `None`: it has no end yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Whole days.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dates: Vec<String>,
    /// The IANA time zone in which all of that is meant; UTC without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

impl Freeze {
    /// The faults of a list of windows.
    pub(super) fn check(list: &[Self], path: &str, faults: &mut Faults) {
        for (index, freeze) in list.iter().enumerate() {
            let path = format!("{path}[{index}]");
            faults.unless(
                !freeze.reason.trim().is_empty() && !freeze.reason.contains(char::is_control),
                &format!("{path}.reason"),
                "the reason is empty or has control characters",
                "write why nothing is to be released, for whoever is stopped by it",
            );
            if let Some(length) = freeze.length {
                faults.span(&format!("{path}.length"), length, false);
            }
            if let Err(fault) = Windows::parse(std::slice::from_ref(freeze)) {
                let path = match fault.key {
                    "" => path,
                    key => format!("{path}.{key}"),
                };
                faults.unless(false, &path, fault.problem, &fault.remedy);
            }
        }
    }
}

impl Settings {
    /// The faults of what comes after what. Not of a configuration into which an environment was merged: there the
    /// general keys are that environment's.
    pub(super) fn check_chains(&self, faults: &mut Faults) {
        faults.unless(
            self.after.is_none(),
            "after",
            "which environment comes after which is said of each",
            "write it below environments.NAME",
        );
        for (name, environment) in &self.environments {
            let path = format!("environments.{name}");
            let Some(after) = &environment.after else {
                faults.unless(
                    environment.soaked.is_none(),
                    &format!("{path}.soaked"),
                    "it says how long what stands in `after` has been released, and there is no `after`",
                    "add `after`, or take it out",
                );
                continue;
            };
            let path = format!("{path}.after");
            if !self.environments.contains_key(after) {
                let known: Vec<&str> = self.environments.keys().map(String::as_str).collect();
                faults.unless(
                    false,
                    &path,
                    format!("there is no environment {after:?}"),
                    &format!("write one of {}", known.join(", ")),
                );
                continue;
            }
            faults.unless(
                !self.is_before_itself(name),
                &path,
                format!("{name} would come after itself: {}", self.way_back(name)),
                "take one `after` out",
            );
            let own = &environment.schedule;
            faults.unless(
                own.cron.is_none() && own.poll.is_none(),
                &path,
                "it has a schedule of its own too, and would release what the other has not",
                "take out `after`, or schedule.cron and schedule.poll of this environment",
            );
        }
    }

    /// The environments before this one, the nearest first; it ends where one comes again.
    fn before(&self, name: &str) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        let mut at = name;
        while let Some(after) = self.environments.get(at).and_then(|e| e.after.as_deref()) {
            found.push(after);
            if !seen.insert(after) {
                break;
            }
            at = after;
        }
        found
    }

    fn is_before_itself(&self, name: &str) -> bool {
        self.before(name).contains(&name)
    }

    fn way_back(&self, name: &str) -> String {
        let mut way = vec![name];
        for before in self.before(name) {
            way.push(before);
            if before == name {
                break;
            }
        }
        way.join(" after ")
    }
}
