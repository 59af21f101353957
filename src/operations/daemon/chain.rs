//! What is released here because another environment has released it.
//!
//! The rules:
//! 1. What counts is the newest release of the other environment that is `done`. While a newer one is under way there
//!    nothing is decided; once that is done its time begins anew.
//! 2. When it has been done for as long as `soaked` says, it is released here, once: the journal has a run with the
//!    cause `chain` and the deployment that it follows.
//! 3. What failed or was refused is tried again as `schedule.max_failures` and `schedule.failure_backoff` say. What was
//!    skipped or interrupted says nothing.
//! 4. Going back is no release to follow: where the other environment went back, nothing is released here until it
//!    releases on.

use crate::domain::lifecycle::state::State;
use crate::domain::records::deployment::{Deployment, Summary};
use crate::domain::records::run::{Link, Outcome, Run};
use crate::foundation::span::moment;
use crate::operations::daemon::attempts::{Attempts, Verdict};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The newest release of the other environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum First {
    /// It has released nothing.
    None,
    /// A newer release is under way there.
    UnderWay(String),
    /// It went back to an earlier release.
    WentBack(String),
    /// Nobody recorded which revision it was made from.
    Unknown(String),
    /// Released, and done since then.
    Done(Link, Timestamp),
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing, for this reason.
    Nothing(String),
    /// It is released then, for this reason not now.
    At(Timestamp, Link, String),
    /// It is released now.
    Now(Link),
}

/// A chain, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The environment whose releases are released here.
    pub after: String,
    /// What comes next, in one clause.
    pub next: String,
    /// When, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Chain {
    /// It in one line.
    #[must_use]
    pub fn line(&self, environment: &str) -> String {
        format!("{} → {environment}: {}", self.after, self.next)
    }
}

/// Which of these, newest first, is the one that counts; the id of it.
pub(crate) fn newest(history: &[Summary]) -> Result<&Summary, First> {
    for summary in history {
        match summary.state {
            State::Done => return Ok(summary),
            State::Aborted | State::Failed | State::RolledBack => {}
            // What is not swapped in may still come to nothing.
            State::Pending
            | State::Planned
            | State::Staging
            | State::Building
            | State::Hydrating
            | State::Verifying
            | State::Kept
            | State::Ready
            | State::Unwinding => {}
            State::CuttingOver
            | State::Soaking
            | State::CleaningUp
            | State::RollingBack
            | State::Stuck => return Err(First::UnderWay(summary.id.clone())),
        }
    }
    Err(First::None)
}

impl First {
    /// The one that counts, whole.
    pub(crate) fn of(deployment: &Deployment) -> Self {
        let id = deployment.id.clone();
        if deployment.request.back_to.is_some() {
            return First::WentBack(id);
        }
        let Some(revision) = deployment.request.revision.clone() else {
            return First::Unknown(id);
        };
        let link = Link {
            environment: deployment.environment.clone(),
            deployment: id,
            revision,
        };
        let since = deployment.finished_at.unwrap_or(deployment.updated_at);
        First::Done(link, since)
    }
}

/// What comes next here; `runs` are those that follow the other environment, newest first.
pub(crate) fn next(
    first: &First,
    soaked: Duration,
    runs: &[Run],
    attempts: &Attempts,
    now: Timestamp,
) -> Next {
    let nothing = |why: String| Next::Nothing(why);
    let (link, since) = match first {
        First::None => return nothing("nothing is done there yet".to_owned()),
        First::UnderWay(id) => {
            return nothing(format!("the release {id} is under way there"));
        }
        First::WentBack(id) => {
            return nothing(format!("{id} went back there, which is not followed"));
        }
        First::Unknown(id) => {
            return nothing(format!(
                "nobody recorded which revision {id} was made from: let a daemon, or a repository, release there"
            ));
        }
        First::Done(link, since) => (link, *since),
    };
    let of_it = || runs.iter().filter(|run| run.follows.as_ref() == Some(link));
    if let Some(run) = of_it().find(|run| run.outcome.is_none()) {
        return nothing(format!("the run {} releases {}", run.id, link.words()));
    }
    let said = of_it().filter_map(|run| match run.outcome {
        Some(Outcome::Skipped | Outcome::Interrupted) | None => None,
        Some(outcome) => Some((outcome, run.finished_at)),
    });
    let said: Vec<(Outcome, Option<Timestamp>)> = said.collect();
    if let Some((outcome, at)) = said.first() {
        if !is_tried_again(*outcome) {
            return nothing(format!("{} was followed: {outcome}", link.words()));
        }
        let failures = said
            .iter()
            .take_while(|(it, _)| is_tried_again(*it))
            .count();
        let failures = u32::try_from(failures).unwrap_or(u32::MAX);
        return match attempts.verdict(failures, at.unwrap_or(now), now) {
            Verdict::Try => Next::Now(link.clone()),
            Verdict::WaitUntil(at) => {
                let why = format!(
                    "{} failed {failures} times, and is tried again at {}",
                    link.words(),
                    moment(at)
                );
                Next::At(at, link.clone(), why)
            }
            Verdict::GivenUp => nothing(format!(
                "{} failed {failures} times in a row and is not tried again",
                link.words()
            )),
        };
    }
    let soaked = SignedDuration::try_from(soaked).unwrap_or(SignedDuration::MAX);
    match since.checked_add(soaked) {
        Ok(at) if at > now => {
            let why = format!("{} is released here at {}", link.words(), moment(at));
            Next::At(at, link.clone(), why)
        }
        Ok(_) | Err(_) => Next::Now(link.clone()),
    }
}

fn is_tried_again(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Failed | Outcome::Refused)
}

#[cfg(test)]
mod tests {
    use super::{First, Next, next};
    use crate::domain::records::run::{Cause, Link, Outcome, Run};
    use crate::foundation::span::Span;
    use crate::inputs::settings::Schedule;
    use crate::operations::daemon::attempts::Attempts;
    use jiff::Timestamp;
    use std::time::Duration;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a moment")
    }

    fn link(deployment: &str) -> Link {
        Link {
            environment: "staging".to_owned(),
            deployment: deployment.to_owned(),
            revision: "abc".to_owned(),
        }
    }

    fn run(deployment: &str, outcome: Option<Outcome>, second: i64) -> Run {
        Run {
            id: "run".to_owned(),
            environment: "prod".to_owned(),
            cause: Cause::Chain,
            scheduled_for: None,
            revision: Some("abc".to_owned()),
            started_at: at(second),
            finished_at: outcome.map(|_| at(second)),
            outcome,
            deployment: None,
            detail: None,
            wishes: None,
            by: None,
            follows: Some(link(deployment)),
        }
    }

    /// What follows a release that is done since second 1000 and soaks for 100 seconds.
    fn then(runs: &[Run], now: i64) -> Next {
        let attempts = Attempts::of(&Schedule {
            max_failures: Some(2),
            failure_backoff: Some(Span(Duration::from_secs(10))),
            ..Schedule::default()
        });
        let first = First::Done(link("b"), at(1000));
        next(&first, Duration::from_secs(100), runs, &attempts, at(now))
    }

    #[test]
    fn it_is_released_once_when_its_time_is_over() {
        assert!(matches!(then(&[], 1099), Next::At(when, _, _) if when == at(1100)));
        assert_eq!(then(&[], 1100), Next::Now(link("b")));
        // What came of the one before says nothing.
        let before = run("a", Some(Outcome::Failed), 900);
        assert_eq!(
            then(std::slice::from_ref(&before), 1100),
            Next::Now(link("b"))
        );
        for outcome in [
            None,
            Some(Outcome::Released),
            Some(Outcome::NothingToDo),
            Some(Outcome::RolledBack),
            Some(Outcome::Aborted),
            Some(Outcome::Stuck),
        ] {
            let runs = [run("b", outcome, 1100), before.clone()];
            assert!(matches!(then(&runs, 5000), Next::Nothing(_)), "{outcome:?}");
        }
        for outcome in [Outcome::Skipped, Outcome::Interrupted] {
            let runs = [run("b", Some(outcome), 1100)];
            assert_eq!(then(&runs, 1101), Next::Now(link("b")), "{outcome}");
        }
    }

    #[test]
    fn what_failed_is_tried_again_as_often_as_the_settings_say() {
        let once = [run("b", Some(Outcome::Failed), 1100)];
        assert!(matches!(then(&once, 1105), Next::At(when, _, _) if when == at(1110)));
        assert_eq!(then(&once, 1110), Next::Now(link("b")));
        let twice = [
            run("b", Some(Outcome::Skipped), 1120),
            run("b", Some(Outcome::Refused), 1110),
            run("b", Some(Outcome::Failed), 1100),
        ];
        assert!(matches!(then(&twice, 9000), Next::Nothing(_)));
    }
}
