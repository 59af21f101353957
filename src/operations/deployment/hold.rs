//! Holding an environment back at the release to which somebody went back.
//!
//! What holds is written once the ids have said that the way back was gone, in a state in which no other release can
//! begin; and lifted in the same place when a release goes on. Both may be done twice.

use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::lifecycle::state::Event;
use crate::domain::records::deployment::Deployment;
use crate::domain::records::hold::{BackTo, Hold};
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::Context;
use jiff::Timestamp;

/// What holds an environment at present.
///
/// # Errors
/// The journal's.
pub async fn held(store: &Store, environment: &str) -> Result<Option<Hold>, StoreError> {
    Ok(store.hold(environment).await?.filter(Hold::is_on))
}

/// Holds the environment at what serves already, since somebody asked to go back to that. `cause` says what for.
///
/// # Errors
/// The journal's.
pub async fn hold_here(
    store: &Store,
    lead: &Lead,
    to: &BackTo,
    cause: &str,
) -> Result<(), StoreError> {
    let before = store.hold(lead.environment()).await?;
    let hold = Hold {
        environment: lead.environment().to_owned(),
        deployment: to.deployment.clone(),
        reason: format!("rolled back to {}", to.words()),
        since: Timestamp::now(),
        by: lead.subject(),
        cause: cause.to_owned(),
        lifted_by: None,
        before: None,
    };
    store.set_hold(lead, Some(&hold.over(before))).await
}

/// Lets releases begin by themselves again, since somebody released on and production was as the project says.
///
/// # Errors
/// The journal's.
pub async fn lift(store: &Store, lead: &Lead) -> Result<(), StoreError> {
    if store.hold(lead.environment()).await?.is_some() {
        store.set_hold(lead, None).await?;
    }
    Ok(())
}

/// What follows for the hold from a swap that committed.
pub(crate) async fn after_swap(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let (store, lead) = (context.store, context.lead);
    if let Some(to) = &deployment.request.back_to {
        return Ok(hold_here(store, lead, to, &deployment.id).await?);
    }
    if let Some(hold) = store
        .hold(&deployment.environment)
        .await?
        .filter(Hold::is_on)
    {
        let lifted = hold.lifted(&deployment.id);
        store.set_hold(lead, Some(&lifted)).await?;
    }
    Ok(())
}

/// What follows for the hold from a swap back that committed.
pub(crate) async fn after_swap_back(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let (store, lead) = (context.store, context.lead);
    let found = store.hold(&deployment.environment).await?;
    let events = store.events(&deployment.id).await?;
    let is_held = events
        .iter()
        .any(|recorded| matches!(recorded.event, Event::RollbackRequested { held: true, .. }));
    let live = deployment.plan.baseline.deployment.as_ref();
    let live = live.filter(|_| is_held);
    let is_done =
        |hold: &Hold| hold.is_on() && hold.cause == deployment.id && Some(&hold.deployment) == live;
    if found.as_ref().is_some_and(is_done) {
        return Ok(());
    }
    let before = found.clone().and_then(|hold| hold.without(&deployment.id));
    if before != found {
        store.set_hold(lead, before.as_ref()).await?;
    }
    let Some(live) = live else {
        return Ok(());
    };
    let known = context.artifacts.metadata(&context.artifact_key, live);
    let to = BackTo {
        deployment: live.clone(),
        revision: revision_of(store, live).await?,
        at: known.await?.created_at,
    };
    Ok(hold_here(store, lead, &to, &deployment.id).await?)
}

/// The revision that a deployment was made from; of one that went back itself, that of the release it went back to.
/// `None` where the journal does not know.
///
/// # Errors
/// The journal's.
pub async fn revision_of(store: &Store, id: &str) -> Result<Option<String>, StoreError> {
    match store.deployment(id).await {
        Ok(found) => Ok(match found.request.back_to {
            Some(to) => to.revision,
            None => found.request.revision,
        }),
        Err(StoreError::NotFound { .. } | StoreError::Ambiguous { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
