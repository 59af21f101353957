//! Runs that the journal has as open although nobody works on them: an earlier leader's, or one whose
//! end could not be recorded when the journal was away. One that was accepted is made after all.

use super::{Ended, Leading};
use crate::adapters::store::StoreError;
use crate::domain::lifecycle::state::State;
use crate::domain::lifecycle::verb::Verb;
use crate::domain::records::deployment::Deployment;
use crate::domain::records::run::{Cause, NewRun, Outcome, Run};
use crate::domain::records::subject::Subject;
use crate::operations::daemon::request::Start;
use crate::operations::daemon::worker::begin::Trigger;
use crate::operations::deployment::requested;

/// How a run ended.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    pub(crate) run: String,
    pub(crate) outcome: Outcome,
    pub(crate) detail: Option<String>,
}

impl Leading<'_> {
    /// Takes up what an earlier leader left open: the run of the deployment under way goes on, one that
    /// was accepted is made, others end.
    pub(crate) async fn recover(&mut self) -> Result<(), Ended> {
        let recovered = async {
            let active = self.store.active(&self.worker.environment).await?;
            if let Some(active) = &active {
                self.take_over_requests(active).await?;
                // What goes on is still done for whoever asked last.
                let events = self.store.events(&active.id).await?;
                let asked = events.into_iter().rev();
                let mut asked = asked.filter_map(|recorded| recorded.by);
                if let Some(subject) = asked.find(|by| *by != Subject::Cutover) {
                    self.lead.acts_for(subject);
                }
            }
            self.end_left_open(
                active.as_ref(),
                crate::operations::daemon::worker::begin::PLANNER_ENDED,
            )
            .await
        };
        match recovered.await {
            Ok(run) => {
                self.worker.memory.run = run;
                Ok(())
            }
            Err(error) => self.trouble(&error).await,
        }
    }

    /// What an earlier leader accepted and did not come to do is done by this one.
    async fn take_over_requests(&mut self, active: &Deployment) -> Result<(), StoreError> {
        if let Some((verb, by)) = requested::left(self.store, active).await? {
            tracing::info!(deployment_id = active.id, %verb, "takes up what was asked");
            self.worker.memory.asked = Some(verb);
            self.worker.memory.asked_by = Some(by);
        }
        Ok(())
    }

    /// Ends the runs of this lead that could not be ended in their time, and takes up what was
    /// accepted. Nothing is under way. False when the journal does not answer.
    pub(crate) async fn finish_open_runs(&mut self) -> Result<bool, Ended> {
        let settled = async {
            if let Some(ending) = self.worker.memory.unrecorded.clone() {
                self.conclude(&ending.run, ending.outcome, ending.detail.as_deref())
                    .await?;
                self.worker.memory.unrecorded = None;
            }
            self.end_left_open(None, "what came of it could not be recorded")
                .await
        };
        match settled.await {
            Ok(_) => {
                self.worker.memory.run = None;
                Ok(true)
            }
            Err(error) => self.trouble(&error).await.map(|()| false),
        }
    }

    /// Finds the run that made the deployment under way; where there is none, because a command made
    /// it, one begins.
    pub(crate) async fn find_run(&mut self, deployment: &Deployment) -> Result<(), Ended> {
        if self.worker.memory.run.is_some() {
            return Ok(());
        }
        let found = async {
            let open = self.store.open_runs(&self.worker.environment).await?;
            let mut open = open.into_iter();
            if let Some(run) = open.find(|run| run.deployment.as_ref() == Some(&deployment.id)) {
                return Ok(run.id);
            }
            let new = NewRun {
                cause: Cause::Recovery,
                scheduled_for: None,
                revision: deployment.request.revision.clone(),
                wishes: None,
            };
            let run = self.store.begin_run(self.lead, new).await?;
            self.store
                .attach_run(self.lead, &run.id, &deployment.id)
                .await?;
            Ok::<_, StoreError>(run.id)
        };
        match found.await {
            Ok(run) => {
                if self.worker.memory.is_next(&run) {
                    self.worker.memory.forget_next();
                }
                self.worker.memory.run = Some(run);
                Ok(())
            }
            Err(error) => self.trouble(&error).await,
        }
    }

    /// Ends open runs, but for the one of the deployment under way, which is given back, and the one
    /// that was accepted, which is next.
    async fn end_left_open(
        &mut self,
        active: Option<&Deployment>,
        why: &str,
    ) -> Result<Option<String>, StoreError> {
        let mut kept = None;
        for run in self.store.open_runs(&self.worker.environment).await? {
            if self.worker.memory.is_next(&run.id) {
                continue;
            }
            let Some(id) = &run.deployment else {
                self.take_up_or_end(run, active, why).await?;
                continue;
            };
            if active.is_some_and(|active| active.id == *id) {
                kept = Some(run.id);
                continue;
            }
            let ended = self.store.deployment(id).await?;
            let outcome = Outcome::of(ended.state);
            self.conclude(&run.id, outcome, ended.reason.as_deref())
                .await?;
        }
        Ok(kept)
    }

    /// A run that has no deployment is made when it was accepted; what begins by itself begins again by
    /// itself.
    async fn take_up_or_end(
        &mut self,
        run: Run,
        active: Option<&Deployment>,
        why: &str,
    ) -> Result<(), StoreError> {
        let Some(wishes) = run.wishes else {
            return self
                .conclude(&run.id, Outcome::Interrupted, Some(why))
                .await;
        };
        let start: Start = match serde_json::from_value(wishes) {
            Ok(start) => start,
            Err(error) => {
                let why = format!("what was wished of it cannot be read by this version: {error}");
                tracing::error!(run = run.id, "{why}");
                return self.conclude(&run.id, Outcome::Failed, Some(&why)).await;
            }
        };
        if let Some(later) = self.worker.memory.accepted() {
            let why = format!("the run {later} was accepted after it");
            return self
                .conclude(&run.id, Outcome::Interrupted, Some(&why))
                .await;
        }
        // It was accepted although something waited: in the place of that, which was stale.
        let replaces = |active: &&Deployment| {
            active.state == State::Ready && active.created_at < run.started_at
        };
        if active.filter(replaces).is_some() {
            self.worker.memory.asked = Some(Verb::Abort);
            if let Some(subject) = &run.by {
                self.lead.acts_for(subject.clone());
            }
            self.worker.memory.stale = Some("a release was accepted in its place".to_owned());
        }
        tracing::info!(run = run.id, cause = %run.cause, "takes up a run that was accepted");
        self.worker.memory.next = Some(Trigger {
            cause: run.cause,
            scheduled_for: run.scheduled_for,
            run: Some(run.id),
            start: Start {
                cause: run.cause,
                subject: run.by,
                ..start
            },
        });
        self.worker.memory.next_at = None;
        Ok(())
    }
}
