//! Green that is kept after a failure, so that somebody can look.
//!
//! Kept is what failed while green was built, hydrated, tested or checked: a look at green says why, and the cause
//! may be gone soon. What failed because production is not as it was planned for is not kept: nothing of it
//! could be used. Nor is a release in place, which has no green side.
//!
//! Durable: the event that says until when, and the effect with what failed. Nothing is sent to the server: green
//! stands already, and whoever drops it does so as after any other failure.

use crate::adapters::store::{Store, StoreError};
use crate::domain::lifecycle::state::{Event, State};
use crate::domain::plan::Strategy;
use crate::domain::records::deployment::{Deployment, RecordedEvent};
use crate::domain::records::kept::{FailedNode, Kept};
use crate::foundation::failure::with_causes;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::{Context, key};
use jiff::{SignedDuration, Timestamp};

/// Marks an error as one after which green is worth a look.
pub(crate) fn worth_a_look<T>(result: Result<T, DeploymentError>) -> Result<T, DeploymentError> {
    result.map_err(|error| DeploymentError::WorthALook(Box::new(error)))
}

/// Until when green is kept after a failure in this state; `None` where it is dropped.
#[must_use]
pub(crate) fn until(deployment: &Deployment, state: State, now: Timestamp) -> Option<Timestamp> {
    let is_kept = match state {
        State::Building | State::Hydrating | State::Verifying => {
            deployment.plan.strategy == Strategy::Swap
        }
        State::Pending
        | State::Planned
        | State::Staging
        | State::Kept
        | State::Ready
        | State::CuttingOver
        | State::Soaking
        | State::CleaningUp
        | State::Done
        | State::Unwinding
        | State::Aborted
        | State::Failed
        | State::RollingBack
        | State::RolledBack
        | State::Stuck => false,
    };
    let span = deployment.request.keep.filter(|_| is_kept)?;
    let span = SignedDuration::try_from(span.0).ok()?;
    now.checked_add(span).ok()
}

/// Records what failed, before the deployment is kept because of it.
pub(crate) async fn record(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let failed = context.builds.failed(deployment.state);
    let failed = failed.unwrap_or_else(|error| {
        // What failed is in the reason; that it cannot be listed is no reason to drop it.
        let text = format!("what failed cannot be listed: {}", with_causes(&error));
        context.reporter.warning(text);
        Vec::new()
    });
    let failed = FailedNode::bounded(failed);
    context
        .begin(deployment, key::FAILED, &deployment.state)
        .await?;
    context.finish(deployment, key::FAILED, &failed).await
}

/// Whether a kept deployment is tried once more.
#[must_use]
pub(crate) fn is_retried(events: &[RecordedEvent]) -> bool {
    events
        .iter()
        .any(|recorded| recorded.event == Event::Retried)
}

/// What is kept of a deployment; `None` when it is in another state.
///
/// # Errors
/// The journal's.
pub async fn kept(store: &Store, deployment: &Deployment) -> Result<Option<Kept>, StoreError> {
    if deployment.state != State::Kept {
        return Ok(None);
    }
    let events = store.events(&deployment.id).await?;
    let until = events.iter().rev().find_map(|recorded| {
        if let Event::StepKept { until, .. } = &recorded.event {
            Some(*until)
        } else {
            None
        }
    });
    let failed = match store.effect(&deployment.id, key::FAILED).await? {
        Some(effect) => effect.result_as()?,
        None => None,
    };
    // The event is what led to this state.
    let until = until.ok_or_else(|| StoreError::Corrupt {
        place: store.place(),
        found: format!("{} is kept, and no event says until when", deployment.id),
    })?;
    Ok(Some(Kept::of(
        &deployment.plan,
        failed.unwrap_or_default(),
        until,
    )))
}

/// Whether a deployment is kept and its time is over.
///
/// # Errors
/// The journal's.
pub async fn is_over(store: &Store, deployment: &Deployment) -> Result<bool, StoreError> {
    let kept = kept(store, deployment).await?;
    Ok(kept.is_some_and(|kept| kept.is_over(Timestamp::now())))
}

/// The event that ends keeping because the time is over.
#[must_use]
pub fn over() -> Event {
    Event::KeepingEnded {
        why: "the time for which it was to be kept is over".to_owned(),
    }
}

/// The event that ends keeping because another release is to be made.
#[must_use]
pub fn makes_way() -> Event {
    Event::KeepingEnded {
        why: "another release is made".to_owned(),
    }
}
