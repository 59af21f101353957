//! Who approved a candidate, and what it waits for.

use super::subject::Subject;
use crate::domain::promotion::Answer;
use crate::foundation::span::moment;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An approval of one deployment by one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub by: Subject,
    /// When.
    pub at: Timestamp,
    /// What the recipe of the plan hashes to that was approved, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
}

/// What a gate said last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateStanding {
    /// Its name.
    pub name: String,
    /// What it said.
    pub answer: Answer,
    /// Why, one sentence without a final full stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// Since when it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it was asked last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// Until when it must have said yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// How a verified candidate stands with what must be so before its swap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// How many different people must approve.
    pub needed: u32,
    /// Who has, in order.
    pub approvals: Vec<Approval>,
    /// What each gate said last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateStanding>,
    /// When it is promoted by itself, where a time decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote_at: Option<Timestamp>,
    /// When it is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What it waits for, a few words each; nothing when it is not ready, or goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
}

impl Standing {
    /// How many approvals are missing.
    #[must_use]
    pub fn missing(&self) -> u32 {
        let given = u32::try_from(self.approvals.len()).unwrap_or(u32::MAX);
        self.needed.saturating_sub(given)
    }

    /// It for people, a line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.needed > 0 {
            lines.push(format!(
                "{} of {} approvals",
                self.approvals.len(),
                self.needed
            ));
        }
        let approvals = self.approvals.iter();
        lines.extend(approvals.map(|one| format!("approved by {}, {}", one.by, moment(one.at))));
        for gate in &self.gates {
            let says = match gate.answer {
                Answer::NotAsked => "was not asked yet",
                Answer::NotYet => "has not decided",
                Answer::Unclear => "gives no answer",
                Answer::Yes => "says yes",
                Answer::No => "says no",
            };
            let why = gate.says.as_ref();
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            lines.push(format!("the gate {} {says}{why}", gate.name));
        }
        lines.extend(
            self.promote_at
                .map(|at| format!("promoted by itself at {}", moment(at))),
        );
        lines.extend(
            self.expires_at
                .map(|at| format!("expires at {}", moment(at))),
        );
        lines
    }
}

/// Who somebody is, whichever way they come in: by a token or as a Unix user, from whatever machine. `None` for what is
/// no person.
#[must_use]
pub fn person(subject: &Subject) -> Option<&str> {
    match subject {
        Subject::Token { name } | Subject::User { name, .. } => Some(name),
        Subject::Signal { .. } | Subject::Schedule | Subject::Commit { .. } | Subject::Cutover => {
            None
        }
    }
}

/// Whether this person is the one who asked for a release. The author of a commit is known by a name and an address:
/// either, or what stands before the `@`, may be what they are called here.
#[must_use]
pub fn is_asker(asker: &Subject, person: &str) -> bool {
    let is = |name: &str| !name.is_empty() && name.eq_ignore_ascii_case(person);
    match asker {
        Subject::Token { name } | Subject::User { name, .. } => is(name),
        Subject::Commit {
            author: Some(author),
        } => {
            let (name, address) = author.split_once('<').unwrap_or((author, ""));
            let address = address.trim();
            let address = address.strip_suffix('>').unwrap_or(address);
            let local = address.split('@').next().unwrap_or_default();
            is(name.trim()) || is(address) || is(local)
        }
        Subject::Signal { .. }
        | Subject::Schedule
        | Subject::Commit { author: None }
        | Subject::Cutover => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_asker, person};
    use crate::domain::records::subject::Subject;

    #[test]
    fn a_person_is_the_same_whichever_way_they_come_in() {
        let token = Subject::Token {
            name: "alice".to_owned(),
        };
        let user = |host: &str| Subject::User {
            name: "alice".to_owned(),
            host: host.to_owned(),
        };
        assert_eq!(person(&token), person(&user("a")));
        assert_eq!(person(&user("a")), person(&user("b")));
        assert_eq!(person(&Subject::signal("SIGUSR1")), None);
        assert!(is_asker(&user("b"), "alice") && !is_asker(&token, "bob"));
        let commit = Subject::commit(Some("Alice Roe <alice@shop.example>"));
        for name in ["Alice Roe", "alice@shop.example", "alice"] {
            assert!(is_asker(&commit, name), "{name}");
        }
        assert!(!is_asker(&commit, "roe") && !is_asker(&Subject::commit(None), ""));
        assert!(!is_asker(&Subject::commit(Some("Alice")), ""));
    }
}
