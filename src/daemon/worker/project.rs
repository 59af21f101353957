//! Whether the project is another one than before.

use super::Leading;
use super::idle::Due;
use super::launch::{Trigger, says_something};
use crate::failure::with_causes;
use crate::release::{self, Wanted};
use crate::store::{Cause, Deployment};
use jiff::Timestamp;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How many runs are looked through for the revision that was handled last.
const LOOK_BACK: u32 = 50;

impl Leading<'_> {
    /// How often the source is looked at between firings; `None` without a source, or when it is not.
    pub(super) fn poll(&self) -> Option<Duration> {
        let loaded = self.worker.loaded();
        let poll = loaded.settings.schedule.poll?;
        loaded.settings.source.url.as_ref().map(|_| poll.0)
    }

    /// Looks at the source when it is time to; a release when it has what no run has handled.
    pub(super) async fn polled(&mut self, poll: Duration, now: Timestamp) -> Due {
        if let Some(at) = self.worker.memory.looked {
            let passed = Duration::try_from(now.duration_since(at)).unwrap_or_default();
            if passed < poll {
                return Due::In(poll - passed);
            }
        }
        self.worker.memory.looked = Some(now);
        let stop = self.worker.stop.child_token();
        let found = release::resolve(&self.worker.wanted(), &stop).await;
        let revision = match found {
            Ok(revision) => revision,
            Err(error) => {
                self.worker.show_problem(&error);
                return Due::In(poll);
            }
        };
        let word = revision.as_str().to_owned();
        self.worker
            .change(|status| status.revision = Some(word.clone()));
        let environment = &self.worker.environment;
        match self.store.runs(Some(environment), LOOK_BACK).await {
            Ok(runs) => {
                let handled = runs
                    .iter()
                    .find(|run| run.outcome.is_some_and(says_something))
                    .and_then(|run| run.revision.as_deref());
                if handled == Some(word.as_str()) {
                    Due::In(poll)
                } else {
                    Due::Release(Trigger::by(Cause::Change, None))
                }
            }
            Err(error) => {
                self.worker.show_problem(&error);
                Due::In(poll)
            }
        }
    }
}

/// How the project differs from the one that a deployment was planned from, when it does.
pub(super) async fn changed(
    wanted: &Wanted,
    deployment: &Deployment,
    stop: &CancellationToken,
) -> Option<String> {
    let planned = deployment.request.revision.as_deref()?;
    match release::resolve(wanted, stop).await {
        Ok(revision) if revision.as_str() == planned => None,
        Ok(revision) => Some(format!(
            "the project changed since it was planned: it was {planned}, it is {revision}"
        )),
        Err(error) => {
            tracing::warn!(
                error = with_causes(&error),
                "the project cannot be looked at"
            );
            None
        }
    }
}
