//! The soak: production is watched, its checks are asked again and again, the old side is kept.
//!
//! How long it lasts is measured by the server's clock, from when it was first waited for, which is in the
//! journal: a machine whose own clock is ahead ends no soak that another one began.

use super::checks::{Said, Soaking};
use super::watch::Watch;
use crate::adapters::materialize::reading::clock_ms;
use crate::domain::lifecycle::state::Event;
use crate::domain::records::deployment::{Deployment, RecordedEvent};
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::{Context, key};
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// What a soak is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The old side is dropped when the soak is over: it is waited for.
    CleanUp,
    /// Somebody decides: production is looked at once, and by the daemon from time to time.
    Decision,
    /// Somebody has decided that the old side goes.
    Decided,
}

/// Watches production and asks the checks: at once, and where the soak is waited for again and again
/// until it ends. Gives the reason for a rollback. A soak that is not waited for has the checks asked
/// until they were asked once, and again as long as they leave it in doubt.
///
/// # Errors
/// A server that is away when the last answer is needed; a world that nobody planned; the journal's.
pub(super) async fn soak(
    context: &Context<'_>,
    deployment: &Deployment,
    then: Then,
) -> Result<Option<String>, DeploymentError> {
    let mut checks = Soaking::begin(context, deployment).await?;
    if let Some(reason) = checks.failed().await? {
        return Ok(Some(reason));
    }
    let soak = deployment.request.soak.0;
    let mut clock = match then {
        Then::CleanUp if !soak.is_zero() => {
            Some(Clock::begin(context, deployment, key::SOAK).await?)
        }
        Then::CleanUp | Then::Decision | Then::Decided => None,
    };
    let interval = context.settings.soak_check_interval.0;
    let has_run = checks.have_run();
    let is_decided = then == Then::Decided;
    if has_run && !is_decided {
        checks.ask_a_person(context, deployment).await?;
    }
    let mut watch = None;
    loop {
        let left = match &mut clock {
            Some(clock) => soak.saturating_sub(clock.passed(context).await),
            None => Duration::ZERO,
        };
        let is_watched = match then {
            Then::CleanUp => !left.is_zero(),
            Then::Decision => true,
            Then::Decided => false,
        };
        if is_watched {
            let watch = match &mut watch {
                Some(watch) => watch,
                none @ None => {
                    if !left.is_zero() {
                        announce(context, left);
                    }
                    none.insert(Watch::begin(context, deployment).await?)
                }
            };
            watch.look().await?;
        }
        let mut is_in_doubt = false;
        if then == Then::CleanUp || !has_run || checks.are_in_doubt(is_decided) {
            match checks.ask(left.is_zero(), is_decided).await? {
                Said::Well => {}
                // Neither side is given up on one answer.
                Said::InDoubt => is_in_doubt = true,
                Said::Failed(reason) => return Ok(Some(reason)),
                // It is on record; whoever decides sees it.
                Said::NoAnswer(_) if then == Then::Decision => {
                    is_in_doubt = checks.are_in_doubt(is_decided);
                }
                Said::NoAnswer(error) => return Err(error),
            }
            if !is_decided {
                checks.ask_a_person(context, deployment).await?;
            }
        }
        if left.is_zero() && !is_in_doubt {
            return Ok(None);
        }
        let pause = match left.is_zero() {
            true => interval,
            false => interval.min(left),
        };
        tokio::select! {
            () = context.cancel.cancelled() => context.interrupted(deployment)?,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// When the swap had committed, as the journal has it.
pub(super) fn swapped_at(events: &[RecordedEvent]) -> Timestamp {
    let swapped = events
        .iter()
        .rev()
        .find(|recorded| recorded.event == Event::SwapCommitted);
    swapped.map_or_else(Timestamp::now, |recorded| recorded.at)
}

/// How long a wait lasts already.
pub(super) struct Clock {
    /// When it began, in milliseconds since the epoch by the server's clock.
    began_ms: i64,
    /// The server's clock when it was read last, and when that was.
    read: (i64, Instant),
}

impl Clock {
    /// Goes on with the wait of this effect, or begins it.
    pub(super) async fn begin(
        context: &Context<'_>,
        deployment: &Deployment,
        key: &str,
    ) -> Result<Self, DeploymentError> {
        let session = context.materialize.session_patiently().await?;
        let now_ms = clock_ms(&session).await?;
        let read = (now_ms, Instant::now());
        let effect = context.begin(deployment, key, &()).await?;
        let began_ms = match effect.result_as()? {
            Some(began_ms) => began_ms,
            None => {
                context.finish(deployment, key, &now_ms).await?;
                now_ms
            }
        };
        if began_ms > now_ms {
            tracing::warn!(
                began_ms,
                now_ms,
                "the server's clock is behind the beginning of a wait: it was put back, and the wait lasts longer"
            );
        }
        Ok(Self { began_ms, read })
    }

    /// How much has passed. A server that does not answer is not waited for: this machine measures meanwhile.
    pub(super) async fn passed(&mut self, context: &Context<'_>) -> Duration {
        let asked = async {
            let session = context.materialize.session().await?;
            clock_ms(&session).await
        };
        match asked.await {
            Ok(now_ms) => self.read = (now_ms, Instant::now()),
            Err(error) => tracing::debug!(%error, "the server's clock is not known"),
        }
        let (read_ms, at) = self.read;
        let until_read = u64::try_from(read_ms.saturating_sub(self.began_ms)).unwrap_or(0);
        Duration::from_millis(until_read).saturating_add(at.elapsed())
    }
}

/// Says how long the soak lasts, and what it is for.
fn announce(context: &Context<'_>, left: Duration) {
    context.reporter.note(format!(
        "soaking for {}; `cutover rollback` brings the old side back",
        humantime::format_duration(Duration::from_secs(left.as_secs()))
    ));
}
