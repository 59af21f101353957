//! Which message is about what, how bad that is, and what is said of it.

use crate::domain::notice::Level;
use crate::inputs::settings::Topic;

/// What a message of this kind is about; `None` for what nobody is told.
pub(super) fn topic_of(kind: &str, has_deployment: bool) -> Option<Topic> {
    match kind {
        "staging_started" => Some(Topic::Started),
        "verified" => Some(Topic::Ready),
        "swap_committed" => Some(Topic::Promoted),
        "cleaned_up" => Some(Topic::Done),
        "unwound_after_failure" => Some(Topic::Failed),
        "step_kept" => Some(Topic::Kept),
        "unwound_after_abort" => Some(Topic::Aborted),
        "promotion_waits" => Some(Topic::Waiting),
        "approved" => Some(Topic::Approved),
        "expired" => Some(Topic::Expired),
        "degraded" => Some(Topic::Degraded),
        "recovered" => Some(Topic::Recovered),
        "decision_asked" => Some(Topic::Decision),
        "rollback_requested" | "rollback_put_off" => Some(Topic::RollingBack),
        "rolled_back" => Some(Topic::RolledBack),
        "stuck_at" => Some(Topic::Stuck),
        "held" => Some(Topic::Held),
        "hold_lifted" => Some(Topic::HoldLifted),
        "held_up" => Some(Topic::HeldUp),
        "freeze_overridden" => Some(Topic::FreezeOverridden),
        "drift_found" | "drift_gone" => Some(Topic::Drift),
        "run_refused" => Some(Topic::Refused),
        // Of a run with a deployment the deployment's own events tell.
        "run_failed" if !has_deployment => Some(Topic::Failed),
        "run_aborted" if !has_deployment => Some(Topic::Aborted),
        "run_nothing_to_do" => Some(Topic::NothingToDo),
        "run_skipped" => Some(Topic::Skipped),
        _ => None,
    }
}

/// How bad it is.
pub(super) fn level(topic: Topic) -> Level {
    match topic {
        Topic::Stuck | Topic::RollingBack => Level::Critical,
        Topic::Failed | Topic::Kept | Topic::Degraded => Level::Error,
        Topic::Refused
        | Topic::Drift
        | Topic::Waiting
        | Topic::Expired
        | Topic::HeldUp
        | Topic::FreezeOverridden
        | Topic::Decision
        | Topic::RolledBack
        | Topic::Aborted => Level::Warning,
        Topic::Started
        | Topic::Ready
        | Topic::Approved
        | Topic::Promoted
        | Topic::Done
        | Topic::Recovered
        | Topic::NothingToDo
        | Topic::Held
        | Topic::HoldLifted
        | Topic::Skipped => Level::Info,
    }
}

/// What happened, with a sign before it where it is trouble. `kind` is the message's.
pub(super) fn what(topic: Topic, kind: &str) -> &'static str {
    match topic {
        Topic::Started => "a release is being built",
        Topic::Ready => "a release is ready to be promoted",
        Topic::Waiting => ":raised_hand: a release waits before its swap",
        Topic::Approved => "a release was approved",
        Topic::Expired => ":x: a release expired; production was not changed",
        Topic::Promoted => "a release is live",
        Topic::Done => "a release is done",
        Topic::Failed => ":x: a release failed; production was not changed",
        Topic::Kept => {
            ":x: a release failed, and its green side is kept for a look; production was not changed"
        }
        Topic::Refused => ":x: a release was refused",
        Topic::Degraded => ":warning: what was released is degraded",
        Topic::Recovered => "what was released is well again",
        Topic::Decision => ":raised_hand: a person must decide about a release",
        Topic::RollingBack => ":rotating_light: production is being rolled back",
        Topic::RolledBack => ":rotating_light: production was rolled back",
        Topic::Aborted => "a release was given up",
        Topic::Stuck => ":rotating_light: a release is stuck, a person must look",
        Topic::Drift if kind == "drift_gone" => "the drift of production is gone",
        Topic::Drift => ":warning: production is not what was released",
        Topic::NothingToDo => "there was nothing to release",
        Topic::Skipped => "a release was due and not made",
        Topic::Held => ":raised_hand: a person holds it: nothing is released or swapped",
        Topic::HoldLifted => "the hold was lifted",
        Topic::HeldUp => ":raised_hand: a release is ready and is not swapped in",
        Topic::FreezeOverridden => ":warning: a release goes on although it is frozen",
    }
}

/// The same without the sign.
pub(super) fn in_words(what: &str) -> &str {
    let sign = what
        .strip_prefix(':')
        .and_then(|rest| rest.split_once(": "));
    sign.map_or(what, |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::{Topic, in_words, what};

    #[test]
    fn words_have_no_sign() {
        let words = |topic, kind| in_words(what(topic, kind));
        assert_eq!(
            words(Topic::Refused, "run_refused"),
            "a release was refused"
        );
        assert_eq!(
            words(Topic::Promoted, "swap_committed"),
            "a release is live"
        );
        assert_ne!(
            words(Topic::Drift, "drift_found"),
            words(Topic::Drift, "drift_gone")
        );
    }
}
