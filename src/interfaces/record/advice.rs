//! What happens next to a deployment and what an operator may do. One table over all states.

use crate::domain::lifecycle::policy::Policy;
use crate::domain::lifecycle::state::State;
use crate::domain::records::approval::Standing;
use serde::Serialize;

/// What happens next, and the commands that make sense now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Advice {
    /// One sentence without a final full stop.
    pub next: &'static str,
    /// Commands that would be taken now, ready to be given to a shell; none while a process works on
    /// the deployment.
    pub commands: Vec<String>,
}

/// What the advice depends on besides the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    /// Who decides on the promotion.
    pub promotion: Policy,
    /// Who decides on the cleanup.
    pub cleanup: Policy,
    /// Whether a process works on the deployment at present.
    pub is_running: bool,
}

impl Advice {
    /// The advice for a deployment of `environment` that is in `state`.
    #[must_use]
    pub fn new(state: State, environment: &str, circumstances: Circumstances) -> Self {
        let Circumstances {
            promotion,
            cleanup,
            is_running,
        } = circumstances;
        let waits_for_a_person = state.awaits(promotion, cleanup).is_some();
        let is_interrupted = !is_running && !waits_for_a_person && !state.is_terminal();
        let (next, verbs) = under_way(state, promotion, cleanup);
        let mut commands: Vec<&str> = Vec::new();
        if is_interrupted {
            commands.push("resume");
        }
        // Whoever works on it holds the lock, so any command would be refused.
        if !is_running || state.is_terminal() {
            commands.extend(verbs);
        }
        Self {
            next: if is_interrupted {
                "it was interrupted and no process works on it"
            } else {
                next
            },
            commands: commands
                .into_iter()
                .map(|verb| format!("cutover {verb} {}", shell_word(environment)))
                .collect(),
        }
    }
}

impl Advice {
    /// With the command that approves what is ready, where that is missing; it needs no lock.
    #[must_use]
    pub fn and_approve(mut self, environment: &str, promotion: Option<&Standing>) -> Self {
        if promotion.is_some_and(|standing| standing.missing() > 0) {
            let approve = format!("cutover approve {}", shell_word(environment));
            self.commands.insert(0, approve);
        }
        self
    }
}

fn under_way(
    state: State,
    promotion: Policy,
    cleanup: Policy,
) -> (&'static str, &'static [&'static str]) {
    match state {
        State::Pending => ("it is about to be planned", &["abort"]),
        State::Planned => ("the candidate is about to be staged", &["abort"]),
        State::Staging => (
            "the candidate's schemas and clusters are being created",
            &["abort"],
        ),
        State::Building => ("dbt is building the candidate", &["abort"]),
        State::Hydrating => (
            "the candidate is hydrating; when it is fresh it is tested",
            &["abort"],
        ),
        State::Verifying => ("the candidate is being tested", &["abort"]),
        State::Kept => (
            "it failed; production was not changed, and the candidate is kept for a look",
            &["resume", "abort"],
        ),
        State::Ready => match promotion {
            Policy::Automatic => ("the swap comes next", &["abort"]),
            Policy::Manual => (
                "it is ready and waits to be promoted",
                &["promote", "abort"],
            ),
        },
        State::CuttingOver => ("the swap is being made", &[]),
        State::Soaking => match cleanup {
            Policy::Automatic => (
                "it is live; the old side is kept until the soak ends",
                &["rollback", "cleanup"],
            ),
            Policy::Manual => (
                "it is live; the old side is kept until it is cleaned up",
                &["rollback", "cleanup"],
            ),
        },
        State::CleaningUp => ("it is live; the old side is being dropped", &[]),
        State::Done => ("it is live; nothing is left to do", &[]),
        State::Unwinding => (
            "the candidate is being dropped; production was not changed",
            &[],
        ),
        State::Aborted | State::Failed => (
            "nothing is left of it; production was not changed",
            &["deploy"],
        ),
        State::RollingBack => ("the old side is being put back", &[]),
        State::RolledBack => ("production is as it was before it", &["deploy"]),
        State::Stuck => (
            "a person must look; nothing is touched until it is resumed",
            &["resume"],
        ),
    }
}

/// A word as a POSIX shell takes it back.
#[must_use]
pub fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
