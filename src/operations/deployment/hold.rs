//! Holding an environment: back at the release to which somebody went back, or as it is because a person says so; and
//! what follows for a deployment.
//!
//! What holds is written once the ids have said that the way back was gone, in a state in which no other release can
//! begin; and lifted in the same place when a release goes on. Both may be done twice.

use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::lifecycle::state::Event;
use crate::domain::records::deployment::Deployment;
use crate::domain::records::hold::{BackTo, Hold};
use crate::domain::records::subject::Subject;
use crate::inputs::settings::Freeze;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::Context;
use crate::planning::permission::{Permission, Stop};
use jiff::Timestamp;

/// Everything that holds an environment at present: a person's hold before that of a way back.
///
/// # Errors
/// The journal's.
pub async fn held(store: &Store, environment: &str) -> Result<Vec<Hold>, StoreError> {
    let now = Timestamp::now();
    let mut holds = store.holds(environment).await?;
    holds.retain(|hold| hold.is_on_at(now));
    Ok(holds)
}

/// What may be done in an environment now. `is_overridden`: somebody gave a reason why a freeze does not stop it.
///
/// # Errors
/// The journal's.
pub async fn permission(
    store: &Store,
    environment: &str,
    freeze: &[Freeze],
    is_overridden: bool,
) -> Result<Permission, StoreError> {
    let holds = store.holds(environment).await?;
    Ok(Permission::at(
        Timestamp::now(),
        &holds,
        freeze,
        is_overridden,
    ))
}

/// Whether somebody gave a reason why a freeze does not stop the deployment.
///
/// # Errors
/// The journal's.
pub async fn is_overridden(store: &Store, deployment: &Deployment) -> Result<bool, StoreError> {
    if deployment.request.override_freeze.is_some() {
        return Ok(true);
    }
    let events = store.events(&deployment.id).await?;
    Ok(events
        .iter()
        .any(|recorded| matches!(recorded.event, Event::FreezeOverridden { .. })))
}

/// What stops the swap of a deployment now.
///
/// # Errors
/// The journal's.
pub async fn stops(
    store: &Store,
    deployment: &Deployment,
    freeze: &[Freeze],
) -> Result<Option<Stop>, StoreError> {
    let is_overridden = is_overridden(store, deployment).await?;
    let permission = permission(store, &deployment.environment, freeze, is_overridden);
    Ok(permission.await?.stops_swap())
}

pub(crate) async fn stops_swap(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<Option<Stop>, DeploymentError> {
    Ok(stops(context.store, deployment, &context.settings.freeze).await?)
}

/// Holds an environment as it is: nothing begins and nothing is swapped until the time is over or it is lifted. Says
/// what holds then. Nobody need lead it.
///
/// # Errors
/// The journal's.
pub async fn hold_as_it_is(
    store: &Store,
    lead: Option<&Lead>,
    wish: NewHold,
    by: Subject,
) -> Result<Hold, StoreError> {
    let hold = Hold {
        environment: wish.environment,
        deployment: None,
        reason: wish.reason,
        since: Timestamp::now(),
        until: wish.until,
        by,
        cause: None,
        lifted_by: None,
        before: None,
    };
    store.hold_as_it_is(lead, hold.clone()).await?;
    Ok(hold)
}

/// A person's hold to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHold {
    /// The environment.
    pub environment: String,
    /// Why.
    pub reason: String,
    /// Until when; `None`: until it is lifted.
    pub until: Option<Timestamp>,
}

/// Lifts a person's hold, or else that of a way back; gives it. `None`: nothing holds. The hold of a way back is the
/// leader's to lift.
///
/// # Errors
/// The journal's; without a lead [`StoreError::Led`] where the hold is that of a way back.
pub async fn lift_now(
    store: &Store,
    lead: Option<&Lead>,
    environment: &str,
    by: &Subject,
) -> Result<Option<Hold>, StoreError> {
    let Some(hold) = held(store, environment).await?.into_iter().next() else {
        return Ok(None);
    };
    match (hold.is_plain(), lead) {
        (true, lead) => store.lift_hold(lead, &hold, by).await?,
        (false, Some(lead)) => store.set_hold(lead, None).await?,
        (false, None) => {
            return Err(StoreError::Led {
                environment: environment.to_owned(),
                holder: store.holder(environment).await?,
            });
        }
    }
    Ok(Some(hold))
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
        deployment: Some(to.deployment.clone()),
        reason: format!("rolled back to {}", to.words()),
        since: Timestamp::now(),
        until: None,
        by: lead.subject(),
        cause: Some(cause.to_owned()),
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
    let is_done = |hold: &Hold| {
        hold.is_on()
            && hold.cause.as_ref() == Some(&deployment.id)
            && hold.deployment.as_ref() == live
    };
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
