//! Whether the project is another one than before.

use super::idle::Due;
use super::{Ended, Leading};
use crate::domain::records::deployment::Deployment;
use crate::domain::records::run::Cause;
use crate::foundation::failure::with_causes;
use crate::operations::daemon::worker::begin::{Trigger, says_something};
use crate::operations::release::{self, Revision, Wanted};
use jiff::Timestamp;
use std::pin::pin;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How many runs are looked through for the revision that was handled last.
const LOOK_BACK: u32 = 50;

impl Leading<'_> {
    /// How often the source is looked at between firings; `None` without a source, or when it is not.
    pub(crate) fn poll(&self) -> Option<Duration> {
        let loaded = self.worker.loaded();
        let poll = loaded.settings.schedule.poll?;
        if loaded.settings.after.is_some() {
            return None;
        }
        let source = &loaded.settings.source;
        (source.url.is_some() || source.bundle.is_some()).then_some(poll.0)
    }

    /// Looks at the source when it is time to; a release when it has what no run has handled.
    /// Requests are answered meanwhile, and done before the look is finished.
    pub(crate) async fn polled(&mut self, poll: Duration, now: Timestamp) -> Result<Due, Ended> {
        if let Some(at) = self.worker.memory.looked {
            let passed = Duration::try_from(now.duration_since(at)).unwrap_or_default();
            if passed < poll {
                return Ok(Due::In(poll - passed));
            }
        }
        let stop = self.worker.stop.child_token();
        let wanted = self.worker.wanted();
        let mut looking = pin!(release::resolve(&wanted, &stop));
        let found = match self.meanwhile(looking.as_mut()).await {
            Ok(Some(found)) => found,
            given_up @ (Ok(None) | Err(_)) => {
                // git is told to end, and waited for: it is a process of ours.
                stop.cancel();
                let _ = looking.await;
                return given_up.map(|_| Due::In(Duration::ZERO));
            }
        };
        self.worker.memory.looked = Some(now);
        Ok(match found {
            Ok(revision) => self.judged(&revision, poll).await,
            Err(error) => {
                self.worker.show_problem(&error);
                Due::In(poll)
            }
        })
    }

    /// A release when no run has handled the revision.
    async fn judged(&self, revision: &Revision, poll: Duration) -> Due {
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
                // What is held or frozen is not released by itself, whatever the project says.
                let is_stopped = self.worker.is_stopped();
                if handled == Some(word.as_str()) || is_stopped {
                    Due::In(poll)
                } else {
                    Due::Release(Box::new(Trigger::by(Cause::Change, None)))
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
pub(crate) async fn changed(
    wanted: &Wanted,
    deployment: &Deployment,
    stop: &CancellationToken,
) -> Option<String> {
    // What goes back, or follows another environment, is not what the project is at, and is to be so.
    if deployment.request.back_to.is_some() || deployment.request.follows.is_some() {
        return None;
    }
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
