//! What a verified candidate waits for before it is swapped: approvals, gates, and times.
//!
//! A [`Gate`] belongs to somebody else, a change board or a calendar, and is asked over HTTP. All of it is stored
//! with what was asked for, so that a changed configuration changes nothing for a candidate that waits already.

use crate::foundation::secret::SecretRef;
use crate::foundation::span::Span;
use crate::foundation::word::stored_words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

pub use decision::{Decision, End, Situation, after, decide};

/// Whether it is promoted now.
mod decision;

/// Longest time for one answer, where a gate does not say.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Time between two questions, where a gate does not say.
const USUAL_INTERVAL: Duration = Duration::from_secs(30);

/// How long a gate is asked, where it does not say.
const USUAL_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// What stands before a group among those who may approve.
const GROUP: &str = "group:";

/// How many people must approve, and who may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approvals {
    /// So many different people; 0: none.
    pub count: u32,
    /// Scopes, names of tokens and of Unix users, and groups as `group:NAME`; whoever may promote when empty.
    pub by: Vec<String>,
}

/// Somebody who approves, as far as it matters whether they may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// The name of the token, or of the Unix user.
    pub name: String,
    /// The words of the scopes.
    pub scopes: Vec<String>,
    /// The groups of the token, or of the Unix user.
    pub groups: Vec<String>,
}

impl Approvals {
    /// Whether this one may approve. A word that is a scope means the scope, whatever else is called so.
    #[must_use]
    pub fn admit(&self, who: &Rights) -> bool {
        self.by.is_empty()
            || self.by.iter().any(|word| match word.strip_prefix(GROUP) {
                Some(group) => who.groups.iter().any(|known| known == group),
                None if SCOPES.contains(&word.as_str()) => who.scopes.contains(word),
                None => who.name == *word,
            })
    }

    /// What is wrong with a word of those who may.
    #[must_use]
    pub fn fault(word: &str) -> Option<&'static str> {
        let name = word.strip_prefix(GROUP).unwrap_or(word);
        (name.trim().is_empty() || name.contains(char::is_control))
            .then_some("this names neither a scope, nor a token or user, nor a group")
    }

    /// Who may, for people.
    #[must_use]
    pub fn who(&self) -> String {
        match self.by.is_empty() {
            true => "whoever may promote".to_owned(),
            false => self.by.join(", "),
        }
    }
}

/// The words that mean scopes of tokens.
pub const SCOPES: [&str; 4] = ["read", "release", "promote", "ci"];

/// Somebody else who must say yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// What people call it; unique.
    pub name: String,
    /// The address, or a reference to it where it is a secret itself.
    pub url: String,
    /// Headers, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, SecretRef>,
    /// Longest time for one answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Time between two questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Span>,
    /// How long it is asked before its silence ends the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_for: Option<Span>,
}

impl Gate {
    /// Longest time for one answer.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout.map_or(USUAL_TIMEOUT, |span| span.0)
    }

    /// Time between two questions.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval.map_or(USUAL_INTERVAL, |span| span.0)
    }

    /// How long it is asked before its silence ends the release.
    #[must_use]
    pub fn wait_for(&self) -> Duration {
        self.wait_for.map_or(USUAL_WAIT, |span| span.0)
    }
}

stored_words! {
    /// What a gate says.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum Answer {
        /// It was not asked yet.
        #[default]
        NotAsked = "not_asked",
        /// It answers, and has not decided.
        NotYet = "not_yet",
        /// No connection, no answer in time, or not an answer of a gate.
        Unclear = "unclear",
        /// The candidate may be swapped, as far as this gate goes.
        Yes = "yes",
        /// The release ends.
        No = "no",
    }
}

/// What must be so before a verified candidate is swapped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Who must approve.
    #[serde(default)]
    pub approvals: Approvals,
    /// Who else must say yes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// After so long in `ready` it is promoted by itself, and not before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote_after: Option<Span>,
    /// After so long in `ready` it is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Span>,
}

impl Conditions {
    /// Whether there is nothing to wait for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.approvals.count == 0
            && self.gates.is_empty()
            && self.promote_after.is_none()
            && self.expires.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::{Approvals, Rights};

    fn rights(name: &str, scopes: &[&str], groups: &[&str]) -> Rights {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Rights {
            name: name.to_owned(),
            scopes: owned(scopes),
            groups: owned(groups),
        }
    }

    #[test]
    fn who_may_approve_is_named_by_scope_name_or_group() {
        let alice = rights("alice", &["promote"], &["dba"]);
        // A token that is called like a scope has no more than it has.
        let sly = rights("promote", &["read"], &["group:dba"]);
        for (by, of_alice, of_sly) in [
            (&[][..], true, true),
            (&["promote"], true, false),
            (&["read"], false, true),
            (&["alice"], true, false),
            (&["group:dba"], true, false),
            (&["dba"], false, false),
            (&["bob", "group:dba"], true, false),
        ] {
            let approvals = Approvals {
                count: 1,
                by: by.iter().map(|&word| word.to_owned()).collect(),
            };
            assert_eq!(approvals.admit(&alice), of_alice, "{by:?}");
            assert_eq!(approvals.admit(&sly), of_sly, "{by:?}");
        }
        assert!(Approvals::fault("group:").is_some() && Approvals::fault("a b").is_none());
    }
}
