//! The loop that drives a deployment from state to state.
//!
//! A step that meets a lost connection runs again over a new one; steps find out by ids and by the
//! journal what has happened already. Before the cutover a failure unwinds; after it, what cannot
//! go on is stuck and says so.

use super::cutover::{self, Direction, Ready};
use super::soak::{self, Then};
use super::watch::Watch;
use super::{baseline, checks, diff, drain, hold, live_table, project_sinks, replace};
use crate::adapters::dbt::BuildError;
use crate::adapters::materialize::MaterializeError;
use crate::domain::lifecycle::policy::Policy;
use crate::domain::lifecycle::state::{Asker, Event, State};
use crate::domain::plan::Strategy;
use crate::domain::progress::Progress;
use crate::domain::records::deployment::{Deployment, RecordedEvent};
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::foundation::retry::Pauses;
use crate::operations::deployment::after_swap::{self, Serving};
use crate::operations::deployment::engine::waiting::Admitted;
use crate::operations::deployment::keeping::{self, worth_a_look};
use crate::operations::deployment::rollback::{self, Back};
use crate::operations::error::DeploymentError;
use crate::operations::green::{hydrate, outside, production_changes, resize, stage};
use crate::operations::saga::context::Context;
use crate::operations::saga::statements;
use crate::operations::takedown::{self, Goes};
use std::time::Duration;
use tokio::time::Instant;
use tracing::Instrument;

/// What a check that asks a person holds up.
mod asking;
/// Building green and testing it.
mod build;
/// What a deployment that ended tells whoever drove it.
mod ends;
/// What a hold or a freeze does.
mod holding;
/// Looking whether what is ready still could be promoted.
mod recheck;
/// Waiting for approvals, gates and times.
mod waiting;

pub use recheck::Recheck;

/// How far to drive, beyond what the deployment's own policies say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Until {
    /// Promote even when the promotion is manual.
    pub promote: bool,
    /// Clean up even when the cleanup is manual, and without waiting for the soak to end.
    pub clean_up: bool,
    /// Wait for approvals, gates and times; else whoever drives waits.
    pub waits: bool,
}

/// A deployment and what its steps work with.
pub struct Engine<'a> {
    context: Context<'a>,
    deployment: Deployment,
    /// Why the deployment is being unwound, where this process knows.
    failure: Option<String>,
    /// The state that the observers know of.
    announced: Option<State>,
    /// When this drive found green ready, unless a connection was lost since.
    ready: Option<Ready>,
    /// Whether a promotion that began goes on when green is found ready again.
    is_put_off: bool,
    /// Whether approvals, gates and times let it be promoted.
    is_admitted: bool,
}

impl<'a> Engine<'a> {
    /// An engine for a deployment that the journal holds.
    #[must_use]
    pub fn new(context: Context<'a>, deployment: Deployment) -> Self {
        Self {
            context,
            deployment,
            failure: None,
            announced: None,
            ready: None,
            is_put_off: false,
            is_admitted: false,
        }
    }

    /// The deployment as the journal has it.
    #[must_use]
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Journals an event and tells the observers.
    ///
    /// # Errors
    /// The journal's, and events that do not fit the state.
    pub async fn apply(&mut self, event: Event) -> Result<(), DeploymentError> {
        self.deployment = self
            .context
            .store
            .apply(self.context.lead, &self.deployment.id, &event)
            .await?;
        tracing::info!(state = %self.deployment.state, ?event, "journalled");
        self.announce();
        Ok(())
    }

    fn announce(&mut self) {
        let state = self.deployment.state;
        if self.announced.replace(state) == Some(state) {
            return;
        }
        self.context.reporter.send(Progress::State {
            deployment: self.deployment.id.clone(),
            state: self.deployment.state,
        });
    }

    /// Drives until the deployment ends, waits for somebody, or cannot go on.
    ///
    /// # Errors
    /// [`DeploymentError::Unwound`] after a failure that was unwound; otherwise what stopped it.
    pub async fn drive(&mut self, until: Until) -> Result<State, DeploymentError> {
        self.context.builds.reap().await?;
        self.announce();
        loop {
            self.context.interrupted(&self.deployment)?;
            let state = self.deployment.state;
            if state == State::Ready {
                match self.admitted(until).await? {
                    Admitted::AsEver => {}
                    Admitted::Promote => self.is_admitted = true,
                    Admitted::Rest => return Ok(state),
                    Admitted::End(event) => {
                        self.apply(event).await?;
                        continue;
                    }
                }
            }
            let event = match state {
                State::Pending => Event::PlanStored,
                State::Planned => {
                    self.tell_override().await?;
                    Event::StagingStarted
                }
                State::Ready if !self.promotes(until) || self.is_held_up(until).await? => {
                    return Ok(state);
                }
                State::Soaking => {
                    let event = self.step(state, until).await?;
                    if event == Event::Soaked && self.keeps_the_old_side(until).await? {
                        return Ok(state);
                    }
                    event
                }
                State::Aborted if self.deployment.reason.is_some() => return self.expired(),
                State::Done | State::Aborted => return Ok(state),
                State::RolledBack => return self.rolled_back().await,
                State::Failed => {
                    return Err(DeploymentError::Unwound {
                        id: self.deployment.id.clone(),
                        reason: self.reason(),
                    });
                }
                State::Kept => return self.kept().await,
                State::Stuck => return Err(DeploymentError::Stuck(self.reason())),
                State::Staging
                | State::Building
                | State::Hydrating
                | State::Verifying
                | State::Ready
                | State::CuttingOver
                | State::CleaningUp
                | State::Unwinding
                | State::RollingBack => self.step(state, until).await?,
            };
            self.apply(event.clone()).await?;
            self.remember(&event);
            if let Event::SwapDeclined { reason } = event {
                return Err(DeploymentError::Declined(reason));
            }
        }
    }

    fn remember(&mut self, event: &Event) {
        if *event == Event::PromotionStarted {
            self.ready = Some(Ready::seen());
        }
        if let Event::SwapPutOff { reason } = event {
            let text = format!("{reason}; green is looked at again");
            self.context.reporter.note(text);
            self.is_put_off = true;
        }
    }

    fn promotes(&self, until: Until) -> bool {
        self.is_put_off
            || self.is_admitted
            || until.promote
            || self.deployment.request.promotion == Policy::Automatic
    }

    fn cleans_up(&self, until: Until) -> bool {
        until.clean_up || self.deployment.request.cleanup == Policy::Automatic
    }

    /// The event for a failure before the cutover: green is dropped, or kept for a look.
    async fn failed(
        &self,
        state: State,
        error: &DeploymentError,
    ) -> Result<Event, DeploymentError> {
        let reason = with_causes(error);
        let is_worth_it = matches!(error, DeploymentError::WorthALook(_));
        let until = keeping::until(&self.deployment, state, jiff::Timestamp::now());
        let Some(until) = until.filter(|_| is_worth_it) else {
            return Ok(Event::StepFailed { reason });
        };
        keeping::record(&self.context, &self.deployment).await?;
        Ok(Event::StepKept { reason, until })
    }

    /// Watches, asks the checks of the soak, and waits where that is to be done.
    async fn soak(&self, until: Until) -> Result<Event, DeploymentError> {
        let (context, deployment) = (&self.context, &self.deployment);
        let then = match (until.clean_up, self.cleans_up(until)) {
            (true, _) => Then::Decided,
            (false, true) => Then::CleanUp,
            (false, false) => Then::Decision,
        };
        let reason = soak::soak(context, deployment, then).await?;
        if reason.is_none() && then == Then::CleanUp && deployment.plan.strategy == Strategy::Swap {
            drain::drain(context, deployment).await?;
        }
        Ok(match reason {
            Some(reason) => Event::RollbackRequested {
                reason,
                cause: Some(Asker::Check),
                forced: false,
                held: false,
            },
            None => Event::Soaked,
        })
    }

    /// Looks once at what serves while somebody is to decide about the old side.
    ///
    /// # Errors
    /// The journal's; [`DeploymentError::Interrupted`].
    pub async fn watch(&self) -> Result<(), DeploymentError> {
        let mut watch = Watch::begin(&self.context, &self.deployment).await?;
        watch.look().await
    }

    fn reason(&self) -> String {
        self.failure
            .clone()
            .or_else(|| self.deployment.reason.clone())
            .unwrap_or_else(|| "no reason was recorded".to_owned())
    }

    /// Runs one state's step, again over lost connections, and turns its end into an event.
    async fn step(&mut self, state: State, until: Until) -> Result<Event, DeploymentError> {
        let limit = self.context.settings.materialize.reconnect_timeout.0;
        let pauses =
            || Pauses::for_at_most(Duration::from_millis(200), Duration::from_secs(5), limit);
        let mut waiting = pauses();
        loop {
            let began = Instant::now();
            // On the heap: what the steps keep between them would make a deep stack.
            let span = tracing::info_span!("step", step = %state);
            let sent = self.context.materialize.counts();
            self.stop_watching(state);
            let attempted = Box::pin(self.attempt(state, until)).instrument(span).await;
            let sent = self.context.materialize.counts().since(sent);
            let (store, lead) = (self.context.store, self.context.lead);
            statements::step(store, lead, &self.deployment, sent).await?;
            let error = match attempted {
                Ok(event) => return Ok(event),
                Err(error) => error,
            };
            // Its own attempts are used up; as with the swap, a person decides when to try again.
            if matches!(
                error,
                DeploymentError::NotRehearsed(_) | DeploymentError::Declined(_)
            ) {
                return Err(error);
            }
            match error.class() {
                Class::Interrupted | Class::Usage => return Err(error),
                Class::Transient | Class::Conflict => {
                    self.context.materialize.forget().await;
                    // Meanwhile the server may have begun anew.
                    self.ready = None;
                    // Nothing is under way between two attempts, so that this is a boundary.
                    self.context.interrupted(&self.deployment)?;
                    // The limit is for waiting: a step that had worked for longer waits anew.
                    if is_lost(&error) && began.elapsed() >= limit {
                        let back = self.context.materialize.session_patiently().await;
                        self.context.interrupted(&self.deployment)?;
                        back?;
                        waiting = pauses();
                    }
                    let Some(pause) = waiting.next_pause() else {
                        return Err(error);
                    };
                    let text = format!("{error}; trying again");
                    self.context.reporter.retry(error.class(), text);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.context.cancel.cancelled() => {}
                    }
                    self.context.interrupted(&self.deployment)?;
                }
                Class::Permanent | Class::Refused if state.is_before_cutover() => {
                    self.failure = Some(with_causes(&error));
                    return self.failed(state, &error).await;
                }
                Class::Permanent | Class::Refused | Class::Stuck => {
                    let reason = with_causes(&error);
                    self.failure = Some(reason.clone());
                    return Ok(Event::StuckAt { state, reason });
                }
            }
        }
    }

    /// How ready green is matters until the old side goes, or green does.
    fn stop_watching(&self, state: State) {
        match state {
            State::Hydrating
            | State::Verifying
            | State::Ready
            | State::CuttingOver
            | State::Soaking => {}
            State::Pending
            | State::Planned
            | State::Staging
            | State::Building
            | State::Kept
            | State::CleaningUp
            | State::Done
            | State::Unwinding
            | State::Aborted
            | State::Failed
            | State::RollingBack
            | State::RolledBack
            | State::Stuck => self.context.watching.end(),
        }
    }

    async fn attempt(&self, state: State, until: Until) -> Result<Event, DeploymentError> {
        let (context, deployment) = (&self.context, &self.deployment);
        if deployment.plan.strategy == Strategy::Replace {
            return self.attempt_in_place(state, until).await;
        }
        match state {
            State::Staging => {
                stage::stage(context, deployment).await?;
                Ok(Event::Staged)
            }
            State::Building => {
                outside::make(context, deployment).await?;
                self.build().await?;
                Ok(Event::Built)
            }
            State::Hydrating => {
                worth_a_look(resize::hydrate(context, deployment).await)?;
                Ok(Event::Hydrated)
            }
            State::Verifying => {
                worth_a_look(self.test().await)?;
                worth_a_look(checks::before(context, deployment).await)?;
                worth_a_look(diff::before(context, deployment).await)?;
                baseline::keep(context, deployment).await?;
                cutover::rehearse(context, deployment).await?;
                Ok(Event::Verified)
            }
            State::Ready => {
                // Tests, or days, have passed since it was found ready, and people go on working.
                production_changes::over(context, deployment).await?;
                hydrate::wait(context, deployment).await?;
                if until.promote || self.is_put_off || self.is_admitted {
                    cutover::rehearse(context, deployment).await?;
                }
                Ok(Event::PromotionStarted)
            }
            State::CuttingOver => {
                let swapped =
                    cutover::swap(context, deployment, Direction::Forward, self.ready).await?;
                Ok(swapped.event())
            }
            State::Soaking => {
                after_swap::finish(context, deployment, Serving::Green).await?;
                project_sinks::follow(context, deployment, Serving::Green).await?;
                baseline::publish(context, deployment).await?;
                hold::after_swap(context, deployment).await?;
                live_table::say(context, deployment, Serving::Green, false).await?;
                self.soak(until).await
            }
            State::CleaningUp => {
                live_table::say(context, deployment, Serving::Green, true).await?;
                takedown::drop_side(context, deployment, Goes::Old).await?;
                Ok(Event::CleanedUp)
            }
            State::Unwinding => {
                takedown::drop_side(context, deployment, Goes::Green).await?;
                self.unwound().await
            }
            State::RollingBack => {
                if let Back::PutOff(reason) = rollback::swap(context, deployment).await? {
                    return Ok(Event::RollbackPutOff { reason });
                }
                after_swap::finish(context, deployment, Serving::Blue).await?;
                project_sinks::follow(context, deployment, Serving::Blue).await?;
                baseline::publish_back(context, deployment).await?;
                hold::after_swap_back(context, deployment).await?;
                live_table::say(context, deployment, Serving::Blue, true).await?;
                takedown::drop_side(context, deployment, Goes::Green).await?;
                Ok(Event::RolledBack)
            }
            State::Pending
            | State::Planned
            | State::Kept
            | State::Done
            | State::Aborted
            | State::Failed
            | State::RolledBack
            | State::Stuck => Err(no_step(state)),
        }
    }

    /// The steps of a release that replaces a view in place.
    async fn attempt_in_place(&self, state: State, until: Until) -> Result<Event, DeploymentError> {
        let (context, deployment) = (&self.context, &self.deployment);
        match state {
            State::Staging => {
                stage::stage(context, deployment).await?;
                Ok(Event::Staged)
            }
            State::Building => {
                replace::make(context, deployment).await?;
                Ok(Event::Built)
            }
            State::Hydrating => {
                replace::wait(context, deployment).await?;
                Ok(Event::Hydrated)
            }
            State::Verifying => {
                let name = replace::secret_name(deployment);
                context
                    .builds
                    .test_in_place(&deployment.plan, &name)
                    .await?;
                checks::before(context, deployment).await?;
                diff::before(context, deployment).await?;
                baseline::unmoved(context, deployment).await?;
                replace::verify(context, deployment).await?;
                Ok(Event::Verified)
            }
            State::Ready => {
                replace::wait(context, deployment).await?;
                replace::verify(context, deployment).await?;
                Ok(Event::PromotionStarted)
            }
            State::CuttingOver => {
                let applied = replace::apply(context, deployment, self.ready).await?;
                Ok(applied.event())
            }
            State::Soaking => {
                let id = replace::applied_id(context, deployment).await?;
                baseline::keep_in_place(context, deployment, &id).await?;
                baseline::publish(context, deployment).await?;
                hold::after_swap(context, deployment).await?;
                live_table::say(context, deployment, Serving::Green, false).await?;
                self.soak(until).await
            }
            State::CleaningUp => {
                live_table::say(context, deployment, Serving::Green, true).await?;
                self.drop_control().await?;
                Ok(Event::CleanedUp)
            }
            State::Unwinding => {
                if let Some(id) = replace::give_up(context, deployment).await? {
                    baseline::publish_back_in_place(context, deployment, &id).await?;
                }
                self.drop_control().await?;
                self.unwound().await
            }
            State::RollingBack => {
                let id = replace::put_back(context, deployment).await?;
                baseline::publish_back_in_place(context, deployment, &id).await?;
                hold::after_swap_back(context, deployment).await?;
                live_table::say(context, deployment, Serving::Blue, true).await?;
                self.drop_control().await?;
                Ok(Event::RolledBack)
            }
            State::Pending
            | State::Planned
            | State::Kept
            | State::Done
            | State::Aborted
            | State::Failed
            | State::RolledBack
            | State::Stuck => Err(no_step(state)),
        }
    }

    async fn drop_control(&self) -> Result<(), DeploymentError> {
        let (context, deployment) = (&self.context, &self.deployment);
        let ids = match context.ids(deployment).await? {
            Some(ids) => ids,
            None => stage::unrecorded(context, deployment).await?,
        };
        takedown::drop_control(context, deployment, &ids, None).await
    }

    /// Which event ends the unwinding: the one that the journal says began it.
    async fn unwound(&self) -> Result<Event, DeploymentError> {
        let events = self.context.store.events(&self.deployment.id).await?;
        let aborted = events
            .iter()
            .rev()
            .find_map(|recorded| recorded.event.unwinds_on_request())
            .unwrap_or(false);
        Ok(if aborted {
            Event::UnwoundAfterAbort
        } else {
            Event::UnwoundAfterFailure
        })
    }

    /// Goes on from where the deployment got stuck, after a person has looked.
    ///
    /// # Errors
    /// The journal's.
    pub async fn unstick(&mut self) -> Result<(), DeploymentError> {
        if self.deployment.state != State::Stuck {
            return Ok(());
        }
        let events = self.context.store.events(&self.deployment.id).await?;
        let at = stuck_at(&events).ok_or_else(|| {
            DeploymentError::Stuck("the journal does not say where it got stuck".to_owned())
        })?;
        self.apply(Event::Unstuck { state: at }).await
    }
}

fn no_step(state: State) -> DeploymentError {
    DeploymentError::NotNow(format!("a deployment that is {state} has no step to run"))
}

/// Whether the server went away while the step was at work.
fn is_lost(error: &DeploymentError) -> bool {
    if let DeploymentError::WorthALook(error) = error {
        return is_lost(error);
    }
    matches!(
        error,
        DeploymentError::Materialize(MaterializeError::Lost { .. })
            | DeploymentError::Build(BuildError::Connection { .. })
    )
}

/// Where a deployment with these events got stuck the last time.
#[must_use]
pub fn stuck_at(events: &[RecordedEvent]) -> Option<State> {
    events
        .iter()
        .rev()
        .find_map(|recorded| recorded.event.stuck_at())
}
