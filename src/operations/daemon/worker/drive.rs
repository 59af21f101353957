//! Driving the deployment under way, while requests are answered.

use super::{Ended, Leading, lost};
use crate::adapters::store::StoreError;
use crate::domain::lifecycle::state::{Asker, Event, State};
use crate::domain::lifecycle::verb::Verb;
use crate::domain::progress::Reporter;
use crate::domain::records::deployment::Deployment;
use crate::domain::records::run::Outcome;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::operations::daemon::status::{Activity, DeploymentStatus};
use crate::operations::daemon::worker::requests::{Now, Taken};
use crate::operations::deployment::{Until, requested};
use crate::operations::error::DeploymentError;
use crate::operations::release::{Driving, Release, ReleaseError};
use std::pin::pin;
use tracing::Instrument;

impl Leading<'_> {
    /// Moves the deployment under way on, or waits with it for a decision.
    pub(crate) async fn attend(&mut self, deployment: Deployment) -> Result<(), Ended> {
        let status = DeploymentStatus::of(&deployment);
        self.worker.change(|shown| {
            shown.deployment = Some(status);
            shown.kept = None;
            shown.promotion = None;
        });
        // One that is stuck, or waits, may not be driven by this process at all.
        self.worker
            .metrics
            .state_found(&self.worker.environment, deployment.state);
        self.worker
            .metrics
            .decision(&self.worker.environment, deployment.asks);
        self.permission().await?;
        self.find_run(&deployment).await?;
        let memory = &self.worker.memory;
        let is_at_rest = matches!(deployment.state, State::Stuck | State::Kept)
            || memory
                .rested
                .as_ref()
                .is_some_and(|(id, state)| *id == deployment.id && *state == deployment.state);
        if memory.asked.is_none() && is_at_rest {
            return self.wait_with(deployment).await;
        }
        self.worker
            .change(|status| status.activity = Activity::Releasing);
        let span = tracing::info_span!("deployment", deployment_id = %deployment.id);
        let id = deployment.id.clone();
        let opened = self.open_for(&deployment).instrument(span).await?;
        let asked = self.worker.memory.asked;
        let driven = match opened {
            Ok(Some(release)) => self.drive(release, deployment).await,
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        let driven = match driven {
            Ok(driven) => Ok(driven),
            Err(error) => match lost(&error) {
                Some(ended) => return Err(ended),
                None => Err(error),
            },
        };
        match driven {
            Ok(Some(driven)) => {
                // Something else may have been asked when it was about to come to rest.
                let is_done = self.worker.memory.asked == asked;
                if !is_done && driven.state.is_terminal() {
                    let asked = self.worker.memory.asked;
                    tracing::warn!(deployment_id = %id, ?asked, state = %driven.state, "what was asked came too late");
                }
                if is_done || driven.state.is_terminal() {
                    self.worker.memory.asked = None;
                }
                self.worker.memory.pauses = None;
                self.worker.change(|status| status.problem = None);
                self.came_to_rest(&driven, None).await
            }
            // A request interrupted it; the next turn does what was asked.
            Ok(None) => Ok(()),
            Err(error) => self.after(&id, error).await,
        }
    }

    /// Drives. `None` when a request, or the stop, interrupted it.
    async fn drive(
        &mut self,
        release: Release,
        deployment: Deployment,
    ) -> Result<Option<Deployment>, ReleaseError> {
        let at = requested::stuck_at(self.store, &deployment).await?;
        let asked = self.worker.memory.asked;
        let by = self.worker.memory.asked_by.unwrap_or(Asker::Api);
        let (event, until) = match asked {
            Some(verb) => match verb.event(at, by) {
                Ok(event) => (event, verb.until()),
                Err(error) => {
                    // It moved on between the answer and the boundary.
                    tracing::warn!(deployment_id = %deployment.id, %error, "what was asked came too late");
                    let too_late = Event::AskedTooLate {
                        verb,
                        reason: error.to_string(),
                    };
                    self.store
                        .apply(self.lead, &deployment.id, &too_late)
                        .await?;
                    self.worker.memory.asked = None;
                    return Ok(None);
                }
            },
            None => (None, Until::default()),
        };
        let deployment = if self.worker.memory.taken.as_ref() == Some(&deployment.id) {
            deployment
        } else {
            let taken = self.store.take_up(self.lead, &deployment.id).await?;
            tracing::info!(deployment_id = %taken.id, state = %taken.state, "takes the deployment up");
            self.worker.memory.taken = Some(taken.id.clone());
            taken
        };
        let id = deployment.id.clone();
        let stop = self.worker.stop.child_token();
        let (reporter, mut news) = Reporter::channel();
        let driving = Driving {
            store: self.store,
            lead: self.lead,
            reporter,
            stop: &stop,
            watching: self.worker.memory.watching.clone(),
        };
        let drive = release.drive(&driving, deployment, until, event);
        tokio::pin!(drive);
        let lead = self.lead;
        let driven = loop {
            tokio::select! {
                biased;
                driven = &mut drive => break driven,
                Some(progress) = news.recv() => self.worker.tell(Some(&id), progress),
                () = lead.lost(), if !stop.is_cancelled() => stop.cancel(),
                Some(request) = self.worker.requests.recv() => {
                    let before = self.worker.memory.asked;
                    // What was asked already is under way.
                    if let Taken::Act = self.take(request, Now::Driving).await
                        && self.worker.memory.asked != before
                        && !is_carried_out_anyway(self.worker.memory.asked)
                    {
                        stop.cancel();
                    }
                }
            }
        };
        while let Ok(progress) = news.try_recv() {
            self.worker.tell(Some(&id), progress);
        }
        match driven {
            Ok(driven) => Ok(Some(driven)),
            Err(ReleaseError::Deployment(DeploymentError::Interrupted { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The environment as the deployment was planned in it; `None` when what was asked while the server
    /// was waited for is to be done first.
    async fn open_for(
        &mut self,
        deployment: &Deployment,
    ) -> Result<Result<Option<Release>, ReleaseError>, Ended> {
        let release = match self.worker.open().await {
            Ok(release) => release,
            Err(error) => return Ok(Err(error)),
        };
        if let Err(error) = release.is_planned_here(&deployment.id, &deployment.plan) {
            return Ok(Err(error.into()));
        }
        if self.worker.memory.taken.as_ref() == Some(&deployment.id) {
            return Ok(Ok(Some(release)));
        }
        let materialize = release.materialize();
        let asking = release.is_planned_on(&materialize, &deployment.id, &deployment.plan);
        let asked = self.meanwhile(pin!(asking)).await?;
        Ok(match asked {
            Some(Ok(())) => Ok(Some(release)),
            Some(Err(error)) => Err(error.into()),
            None => Ok(None),
        })
    }

    /// What follows a drive that failed.
    async fn after(&mut self, id: &str, error: ReleaseError) -> Result<(), Ended> {
        let now = match self.store.deployment(id).await {
            Ok(now) => now,
            Err(error) => return self.trouble(&error).await,
        };
        if now.state.is_terminal() || now.state == State::Stuck {
            self.worker.memory.asked = None;
            self.worker.show_problem(&error);
            return self.came_to_rest(&now, Some(with_causes(&error))).await;
        }
        if now.state == State::Kept {
            // What was asked meanwhile is still to be done; it was tried once more already.
            if self.worker.memory.asked == Some(Verb::Resume) {
                self.worker.memory.asked = None;
            }
            self.worker.show_problem(&error);
            return self.came_to_rest(&now, None).await;
        }
        match error.class() {
            // Whatever was asked is tried again: others changed the catalog, or something is away.
            Class::Conflict
            | Class::Transient
            | Class::Interrupted
            | Class::Usage
            | Class::Refused
            | Class::Permanent
            | Class::Stuck => self.trouble(&error).await,
        }
    }

    /// Records that a deployment ended, or remembers that it waits.
    async fn came_to_rest(
        &mut self,
        deployment: &Deployment,
        detail: Option<String>,
    ) -> Result<(), Ended> {
        let status = DeploymentStatus::of(deployment);
        self.worker.change(|shown| shown.deployment = Some(status));
        if !deployment.state.is_terminal() {
            self.worker.memory.rested = Some((deployment.id.clone(), deployment.state));
            return Ok(());
        }
        if deployment.state == State::RolledBack
            && let Err(error) = self.count_rollback(&deployment.id).await
        {
            tracing::warn!(%error, "who asked for the rollback cannot be read");
        }
        if deployment.state == State::Aborted && deployment.reason.is_some() {
            self.worker.metrics.expired(&self.worker.environment);
        }
        let stale = self.worker.memory.stale.take();
        self.worker.memory.rested = None;
        self.worker.memory.taken = None;
        self.worker.memory.watching.end();
        if let Some(run) = self.worker.memory.run.take() {
            let detail = detail
                .or(deployment.reason.clone())
                .or(stale.map(|why| format!("it was stale: {why}")));
            let outcome = Outcome::of(deployment.state);
            if let Err(error) = self.conclude(&run, outcome, detail.as_deref()).await {
                self.worker.memory.run = Some(run);
                return self.trouble(&error).await;
            }
            return self.retry_later(&run).await;
        }
        Ok(())
    }

    async fn count_rollback(&self, id: &str) -> Result<(), StoreError> {
        let events = self.store.events(id).await?;
        let cause = events.iter().rev().find_map(|recorded| {
            if let Event::RollbackRequested { cause, .. } = &recorded.event {
                *cause
            } else {
                None
            }
        });
        self.worker
            .metrics
            .rolled_back(&self.worker.environment, cause);
        Ok(())
    }

    /// Records how a run ended.
    pub(crate) async fn conclude(
        &mut self,
        run: &str,
        outcome: Outcome,
        detail: Option<&str>,
    ) -> Result<(), StoreError> {
        match self.store.finish_run(self.lead, run, outcome, detail).await {
            Ok(_) => {}
            // Its answer was lost before.
            Err(StoreError::RunFinished { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        tracing::info!(run, %outcome, detail, "the run ended");
        self.worker
            .metrics
            .run_ended(&self.worker.environment, outcome);
        Ok(())
    }
}

/// Whether the drive that is under way does it by itself.
fn is_carried_out_anyway(asked: Option<Verb>) -> bool {
    matches!(asked, Some(Verb::Resume))
}
