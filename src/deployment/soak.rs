//! The soak: production is watched, its checks are asked again and again, the old side is kept.

use super::checks::{Said, Soaking};
use super::context::Context;
use super::error::DeploymentError;
use super::state::Event;
use super::watch::Watch;
use crate::store::{Deployment, RecordedEvent};
use jiff::Timestamp;
use std::time::Duration;

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
    let interval = context.settings.soak_check_interval.0;
    let has_run = checks.have_run();
    let mut watch = None;
    loop {
        let left = match then {
            Then::CleanUp => left(context, deployment).await?,
            Then::Decision | Then::Decided => Duration::ZERO,
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
        if then == Then::CleanUp || !has_run || checks.are_in_doubt() {
            match checks.ask(left.is_zero()).await? {
                Said::Well => {}
                // Neither side is given up on one answer.
                Said::InDoubt => is_in_doubt = true,
                Said::Failed(reason) => return Ok(Some(reason)),
                // It is on record; whoever decides sees it.
                Said::NoAnswer(_) if then == Then::Decision => is_in_doubt = checks.are_in_doubt(),
                Said::NoAnswer(error) => return Err(error.into()),
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

/// How much of the soak is left, counted from the swap.
async fn left(context: &Context<'_>, deployment: &Deployment) -> Result<Duration, DeploymentError> {
    let soak = deployment.request.soak.0;
    if soak.is_zero() {
        return Ok(soak);
    }
    let swapped = swapped_at(&context.store.events(&deployment.id).await?);
    let passed = Duration::try_from(Timestamp::now().duration_since(swapped)).unwrap_or_default();
    Ok(soak.saturating_sub(passed))
}

/// Says how long the soak lasts, and what it is for.
fn announce(context: &Context<'_>, left: Duration) {
    context.reporter.note(format!(
        "soaking for {}; `cutover rollback` brings the old side back",
        humantime::format_duration(Duration::from_secs(left.as_secs()))
    ));
}
