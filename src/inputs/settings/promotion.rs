//! `approvals`, `gates`, `promote_after` and `expires`.

use super::validate::Faults;
use super::{SecretRef, Settings};
use crate::domain::promotion::{Approvals, Conditions, Gate};
use crate::foundation::span::Span;
use serde::{Deserialize, Serialize};

/// What an environment changes of the approvals.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApprovalsChange {
    /// How many people must approve.
    pub count: Option<u32>,
    /// Who may.
    pub by: Option<Vec<String>>,
}

impl Settings {
    /// What must be so before a candidate is swapped. One that waits for somebody to promote it, because whoever asked
    /// for it may not promote, is promoted by no clock.
    #[must_use]
    pub fn conditions(&self, waits_for_promotion: bool) -> Conditions {
        Conditions {
            approvals: self.approvals.clone(),
            gates: self.gates.clone(),
            promote_after: self.promote_after.filter(|_| !waits_for_promotion),
            expires: self.expires,
        }
    }

    pub(super) fn before_the_swap(&self, faults: &mut Faults) {
        of_one(
            "",
            (&self.approvals.by, self.promote_after, self.expires),
            faults,
        );
        gates("gates", &self.gates, &[], faults);
        for (name, environment) in &self.environments {
            let path = format!("environments.{name}.");
            let by = environment.approvals.by.as_deref().unwrap_or_default();
            let (after, expires) = (environment.promote_after, environment.expires);
            of_one(&path, (by, after, expires), faults);
            // What is the same as a general one stands there once.
            let own: Vec<Gate> = environment.gates.clone();
            gates(&format!("{path}gates"), &own, &self.gates, faults);
        }
    }
}

fn of_one(
    path: &str,
    (by, promote_after, expires): (&[String], Option<Span>, Option<Span>),
    faults: &mut Faults,
) {
    for (index, word) in by.iter().enumerate() {
        if let Some(message) = Approvals::fault(word) {
            faults.unless(
                false,
                &format!("{path}approvals.by[{index}]"),
                message,
                "write a scope such as promote, the name of a token or of a Unix user, or group:NAME",
            );
        }
    }
    for (key, span) in [("promote_after", promote_after), ("expires", expires)] {
        if let Some(span) = span {
            faults.span(&format!("{path}{key}"), span, false);
        }
    }
    if let (Some(after), Some(expires)) = (promote_after, expires) {
        faults.unless(
            after < expires,
            &format!("{path}promote_after"),
            "it would expire before it is promoted",
            "make it shorter than expires",
        );
    }
}

fn gates(path: &str, gates: &[Gate], general: &[Gate], faults: &mut Faults) {
    for (index, gate) in gates.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let is_word = !gate.name.trim().is_empty()
            && gate.name.len() <= 64
            && !gate.name.contains(char::is_control);
        let twice = gates[..index].iter().any(|other| other.name == gate.name)
            || general
                .iter()
                .any(|other| other.name == gate.name && other != gate);
        faults.unless(
            is_word && !twice,
            &format!("{path}.name"),
            "the name is empty, long, has control characters, or is there twice",
            "choose a short name that no other gate has",
        );
        let is_url = reqwest::Url::parse(&gate.url)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        faults.unless(
            is_url || gate.url.parse::<SecretRef>().is_ok(),
            &format!("{path}.url"),
            "this is neither an http or https address nor a reference to one",
            "write https://…, env:NAME or file:PATH",
        );
        for name in gate.headers.keys() {
            faults.unless(
                reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_ok(),
                &format!("{path}.headers"),
                format!("{name:?} is not the name of a header"),
                "write a name such as Authorization",
            );
        }
        for (key, span) in [
            ("timeout", gate.timeout),
            ("interval", gate.interval),
            ("wait_for", gate.wait_for),
        ] {
            if let Some(span) = span {
                faults.span(&format!("{path}.{key}"), span, false);
            }
        }
    }
}
