//! Whether a person must decide about a deployment, because a check of the level `ask` failed.
//!
//! What the checks found is on record before anything is asked. That somebody is asked is an event, and so is that
//! the reason has gone; a promotion that began, a cleanup and a rollback are what somebody decided.

use super::{Moment, Soaking, recorded, verdict};
use crate::domain::lifecycle::state::Event;
use crate::domain::progress::Progress;
use crate::domain::records::deployment::{Deployment, RecordedEvent};
use crate::operations::deployment::drain;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::{Context, key};

/// Why green is not promoted before a person has decided; `None` when no check asks, or somebody has promoted it.
///
/// # Errors
/// The journal's.
pub(in crate::operations::deployment) async fn about_promotion(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<Option<String>, DeploymentError> {
    let effect = context
        .store
        .effect(&deployment.id, key::CHECKS_BEFORE)
        .await?;
    let outcomes = recorded(effect.as_slice())?.into_iter();
    let before = outcomes.filter(|(moment, _)| *moment == Moment::Before);
    let before: Vec<_> = before.map(|(_, outcome)| outcome).collect();
    let Some(question) = verdict::question(Moment::Before, &before, 1) else {
        return Ok(None);
    };
    let events = context.store.events(&deployment.id).await?;
    let is_decided = |recorded: &RecordedEvent| matches!(recorded.event, Event::PromotionStarted);
    Ok((!events.iter().any(is_decided)).then_some(question))
}

/// Says that a person must decide.
pub(in crate::operations::deployment) fn told(context: &Context<'_>, why: &str, how: &str) {
    let reporter = &context.reporter;
    reporter.warning(format!("{why}; {how}"));
    reporter.send(Progress::Decision {
        asked: Some(why.to_owned()),
    });
}

impl Soaking<'_> {
    /// Records that a person must decide, or need not any more. Gives whether one must.
    ///
    /// # Errors
    /// The journal's.
    pub(in crate::operations::deployment) async fn ask_a_person(
        &self,
        context: &Context<'_>,
        deployment: &Deployment,
    ) -> Result<bool, DeploymentError> {
        let question = self.question();
        // Other steps of this drive may have asked already.
        let is_asked = context.store.deployment(&deployment.id).await?.asks;
        let record = async |event: Event| {
            let id = &deployment.id;
            context.store.apply(context.lead, id, &event).await
        };
        match question {
            Some(reason) => {
                if !is_asked {
                    let event = Event::DecisionAsked {
                        reason: reason.clone(),
                    };
                    record(event).await?;
                    let how = "`cutover rollback` brings the old side back, `cutover cleanup` keeps the new one; until then both stand";
                    told(context, &reason, how);
                }
                Ok(true)
            }
            None => {
                if is_asked && !drain::is_kept(context, deployment).await? {
                    record(Event::DecisionWithdrawn).await?;
                    let reporter = &context.reporter;
                    reporter.note("no check asks a person to decide any more");
                    reporter.send(Progress::Decision { asked: None });
                }
                Ok(false)
            }
        }
    }
}
