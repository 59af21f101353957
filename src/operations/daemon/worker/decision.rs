//! Waiting until somebody decides, while looking whether what waits is still what it was.

use super::idle::Due;
use super::{Ended, Leading, Woken, lost};
use crate::domain::lifecycle::state::{Awaited, Event, State};
use crate::domain::lifecycle::verb::Verb;
use crate::domain::progress::{Progress, Reporter};
use crate::domain::records::deployment::Deployment;
use crate::domain::records::kept::Kept;
use crate::domain::records::run::Cause;
use crate::domain::records::subject::Subject;
use crate::domain::records::text::storable;
use crate::foundation::failure::Class;
use crate::foundation::span::between;
use crate::operations::daemon::status::Activity;
use crate::operations::daemon::worker::begin::Trigger;
use crate::operations::daemon::worker::candidate::Next;
use crate::operations::daemon::worker::project_change;
use crate::operations::daemon::worker::requests::{Now, Taken};
use crate::operations::deployment::engine::Recheck;
use crate::operations::deployment::{hold, keeping};
use crate::operations::error::DeploymentError;
use crate::operations::release::{Driving, ReleaseError};
use jiff::Timestamp;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The longest that a wait lasts before the clock is looked at again; it may have been set.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl Leading<'_> {
    /// Waits until something is asked of the deployment, or it turns out to be stale.
    pub(crate) async fn wait_with(&mut self, deployment: Deployment) -> Result<(), Ended> {
        let activity = match deployment.awaits() {
            _ if deployment.state == State::Ready && !deployment.request.conditions.is_empty() => {
                Activity::WaitingForPromotion
            }
            Some(Awaited::Promotion) => Activity::WaitingForPromotion,
            Some(Awaited::Cleanup) => Activity::WaitingForCleanup,
            None if deployment.state == State::Ready => Activity::HeldUp,
            Some(Awaited::Help | Awaited::Look) | None => Activity::WaitingForAPerson,
        };
        let kept = match keeping::kept(self.store, &deployment).await {
            Ok(kept) => kept,
            Err(error) => return self.trouble(&error).await,
        };
        self.worker.change(|status| {
            status.activity = activity;
            status.kept.clone_from(&kept);
        });
        let loaded = self.worker.loaded();
        let settings = &loaded.settings;
        let pace = match activity {
            Activity::WaitingForPromotion | Activity::HeldUp => {
                Some(settings.daemon.recheck_interval.0)
            }
            Activity::WaitingForCleanup => Some(settings.soak_check_interval.0),
            Activity::Idle
            | Activity::Planning
            | Activity::Releasing
            | Activity::WaitingForAPerson
            | Activity::WaitingForADependency => None,
        };
        let next_look = || pace.map(|pace| tokio::time::Instant::now() + pace);
        let mut look_at = next_look();
        while self.worker.memory.asked.is_none() {
            if let Some(kept) = &kept
                && let Some(event) = self.ends_keeping(kept)
            {
                return self.end_keeping(&deployment, event).await;
            }
            let candidate = match self.candidate(&deployment).await? {
                // What is not on record yet, the engine puts there.
                Next::Promote
                    if !self
                        .goes_on(&deployment, |stop| stop != deployment.reason.as_ref())
                        .await? =>
                {
                    self.worker
                        .change(|status| status.activity = Activity::HeldUp);
                    None
                }
                Next::Promote | Next::End => {
                    self.worker.memory.rested = None;
                    return Ok(());
                }
                Next::Wait(pause) => pause,
            };
            if self.worker.memory.asked.is_some() {
                return Ok(());
            }
            if activity == Activity::HeldUp && self.goes_on(&deployment, |_| false).await? {
                // The next turn swaps it in.
                self.worker.memory.rested = None;
                return Ok(());
            }
            let now = tokio::time::Instant::now();
            if look_at.is_some_and(|at| now >= at) {
                match activity {
                    Activity::WaitingForCleanup => self.watch(&deployment).await?,
                    Activity::WaitingForPromotion
                    | Activity::HeldUp
                    | Activity::Idle
                    | Activity::Planning
                    | Activity::Releasing
                    | Activity::WaitingForAPerson
                    | Activity::WaitingForADependency => self.look_again(&deployment).await?,
                }
                look_at = next_look();
                continue;
            }
            let due = self.due(Some(&deployment)).await?;
            if let Due::Release(trigger) = &due
                && kept.is_some()
                && self.is_of_another(&deployment).await
            {
                // It is made when the way is free.
                self.worker.memory.next = Some(Trigger::clone(trigger));
                self.worker.memory.next_at = None;
                return self.end_keeping(&deployment, keeping::makes_way()).await;
            }
            if let Due::Release(trigger) = due {
                // A new commit is found again, and by the look at what waits; a firing is not.
                if trigger.cause != Cause::Change {
                    self.skip(&deployment, *trigger).await?;
                }
                continue;
            }
            let pause = match due {
                Due::In(pause) => pause.min(LONGEST_WAIT),
                Due::Never | Due::Release(_) => LONGEST_WAIT,
            };
            let pause = match &kept {
                Some(kept) => pause.min(between(Timestamp::now(), kept.until)),
                None => pause,
            };
            let pause = candidate.map_or(pause, |candidate| pause.min(candidate));
            let pause = match look_at {
                Some(at) => pause.min(at.saturating_duration_since(now)),
                None => pause,
            };
            if let Woken::Asked(request) = self.wait(pause).await?
                && let Taken::Act = self.take(*request, Now::Driving).await
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether it is driven on: neither a hold nor a freeze stops its swap, or `although` says so of the reason why one does.
    async fn goes_on(
        &mut self,
        deployment: &Deployment,
        although: impl FnOnce(Option<&String>) -> bool,
    ) -> Result<bool, Ended> {
        let loaded = self.worker.loaded();
        match hold::stops(self.store, deployment, &loaded.settings.freeze).await {
            Ok(stop) => {
                let why = stop.map(|stop| storable(stop.sentence()));
                Ok(why.is_none() || although(why.as_ref()))
            }
            Err(error) => self.trouble(&error).await.map(|()| false),
        }
    }

    /// Why what is kept goes now, if it does.
    fn ends_keeping(&self, kept: &Kept) -> Option<Event> {
        if self.worker.memory.accepted().is_some() {
            return Some(keeping::makes_way());
        }
        if kept.is_over(Timestamp::now()) {
            self.lead.acts_for(Subject::Cutover);
            return Some(keeping::over());
        }
        None
    }

    /// Has what is kept dropped, which the next turn does.
    async fn end_keeping(&mut self, deployment: &Deployment, event: Event) -> Result<(), Ended> {
        match self.store.apply(self.lead, &deployment.id, &event).await {
            Ok(_) => {
                self.worker.change(|status| status.problem = None);
                Ok(())
            }
            Err(error) => self.trouble(&error).await,
        }
    }

    /// Whether the project is another one than that of a deployment.
    async fn is_of_another(&self, deployment: &Deployment) -> bool {
        let (wanted, stop) = (self.worker.wanted(), self.worker.stop.child_token());
        project_change::changed(&wanted, deployment, &stop)
            .await
            .is_some()
    }

    /// Records that the schedule fired and nothing could be done about it.
    async fn skip(&mut self, deployment: &Deployment, trigger: Trigger) -> Result<(), Ended> {
        let detail = format!(
            "the deployment {} is {} and waits for a decision",
            deployment.id, deployment.state
        );
        self.record_skipped(trigger.cause, trigger.scheduled_for, &detail)
            .await
    }

    /// Looks whether what waits could still be promoted, and sees to it that what is stale is given
    /// up and planned anew. A request interrupts the look.
    async fn look_again(&mut self, deployment: &Deployment) -> Result<(), Ended> {
        let stop = self.worker.stop.child_token();
        let (reporter, news) = Reporter::channel();
        let (store, lead) = (self.store, self.lead);
        let release = match self.worker.open().await {
            Ok(release) => release,
            Err(error) => {
                self.worker.show_problem(&error);
                return Ok(());
            }
        };
        let wanted = self.worker.wanted();
        let superseded = self.is_superseded(deployment).await;
        let driving = Driving {
            store,
            lead,
            reporter,
            stop: &stop,
            watching: self.worker.memory.watching.clone(),
        };
        let look = async {
            let changed = match superseded {
                Some(why) => Some(why),
                None => project_change::changed(&wanted, deployment, &stop).await,
            };
            let found = release.recheck(&driving, deployment.clone()).await;
            (found, changed)
        };
        let Some(looked) = self.beside(look, news, &stop, &deployment.id).await else {
            return Ok(());
        };
        let stale = match looked {
            (Ok(Recheck::Stale(why)), _) => why,
            (Ok(Recheck::Ready | Recheck::NotReady(_)), Some(why)) => why,
            (Ok(Recheck::Ready), None) => {
                self.worker.change(|status| status.problem = None);
                return Ok(());
            }
            (Ok(Recheck::NotReady(why)), None) => {
                self.worker
                    .show_trouble(Class::Transient, format!("not ready at present: {why}"));
                return Ok(());
            }
            (Err(ReleaseError::Deployment(DeploymentError::Interrupted { .. })), _) => {
                return Ok(());
            }
            (Err(error), _) => {
                if let Some(ended) = lost(&error) {
                    return Err(ended);
                }
                self.worker.show_problem(&error);
                return Ok(());
            }
        };
        tracing::warn!(
            stale,
            "what is ready is stale; it is given up and planned anew"
        );
        self.worker.memory.stale = Some(stale);
        self.worker.memory.asked = Some(Verb::Abort);
        self.lead.acts_for(Subject::Cutover);
        // What follows another environment is found by that again.
        if self.worker.memory.next.is_none() && deployment.request.follows.is_none() {
            self.worker.memory.next = Some(Trigger::by(Cause::Change, None));
            self.worker.memory.next_at = Some(Timestamp::now());
        }
        Ok(())
    }
    /// Looks at what serves since the swap. A request interrupts the look.
    async fn watch(&mut self, deployment: &Deployment) -> Result<(), Ended> {
        let stop = self.worker.stop.child_token();
        let (reporter, news) = Reporter::channel();
        let release = match self.worker.open().await {
            Ok(release) => release,
            Err(error) => {
                self.worker.show_problem(&error);
                return Ok(());
            }
        };
        let driving = Driving {
            store: self.store,
            lead: self.lead,
            reporter,
            stop: &stop,
            watching: self.worker.memory.watching.clone(),
        };
        let look = release.watch(&driving, deployment.clone());
        match self.beside(look, news, &stop, &deployment.id).await {
            None | Some(Err(ReleaseError::Deployment(DeploymentError::Interrupted { .. }))) => {}
            Some(Ok(())) => self.worker.change(|status| status.problem = None),
            Some(Err(error)) => {
                if let Some(ended) = lost(&error) {
                    return Err(ended);
                }
                self.worker.show_problem(&error);
            }
        }
        Ok(())
    }

    /// Waits for a look while its news are told and requests answered. `None` when a request that is
    /// to be acted on interrupted it.
    pub(super) async fn beside<T>(
        &mut self,
        look: impl Future<Output = T>,
        mut news: mpsc::UnboundedReceiver<Progress>,
        stop: &CancellationToken,
        id: &str,
    ) -> Option<T> {
        tokio::pin!(look);
        let mut acts = false;
        let looked = loop {
            tokio::select! {
                biased;
                looked = &mut look => break looked,
                Some(progress) = news.recv() => self.worker.tell(Some(id), progress),
                Some(request) = self.worker.requests.recv() => {
                    if let Taken::Act = self.take(request, Now::Driving).await {
                        acts = true;
                        stop.cancel();
                    }
                }
            }
        };
        while let Ok(progress) = news.try_recv() {
            self.worker.tell(Some(id), progress);
        }
        (!acts).then_some(looked)
    }
}
