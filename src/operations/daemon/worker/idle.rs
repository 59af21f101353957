//! Waiting for the schedule, the source or a request, while nothing is under way.

use super::{Ended, Leading, Woken, Worker};
use crate::adapters::store::StoreError;
use crate::domain::records::deployment::Deployment;
use crate::domain::records::run::{Cause, NewRun, Outcome};
use crate::foundation::failure::Class;
use crate::inputs::settings::times::{Schedule, believable};
use crate::operations::daemon::request::Start;
use crate::operations::daemon::status::{Activity, DeploymentStatus};
use crate::operations::daemon::worker::begin::{Trigger, begins_by_itself};
use crate::operations::daemon::worker::requests::Now;
use crate::operations::deployment::hold;
use crate::planning::permission::{Permission, Stop};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// The longest that a wait lasts before the clock is looked at again; it may have been set.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How many runs are looked through for the one that answered the last firing.
const LOOK_BACK: u32 = 50;

/// A firing that is handled later than this was missed.
const ON_TIME: SignedDuration = SignedDuration::from_secs(60);

/// What comes next by itself.
#[derive(Debug)]
pub(super) enum Due {
    /// A release, now.
    Release(Box<Trigger>),
    /// Something, after this time.
    In(Duration),
    /// Nothing.
    Never,
}

impl Leading<'_> {
    /// One turn of waiting; ends when something was released or asked for.
    pub(super) async fn idle(&mut self) -> Result<(), Ended> {
        self.worker.memory.asked = None;
        if !self.finish_open_runs().await? {
            return Ok(());
        }
        self.show_idle().await?;
        self.show_drift().await?;
        loop {
            let pause = match self.due(None).await? {
                Due::Release(trigger) => return self.launch(*trigger).await,
                Due::In(pause) => pause.min(LONGEST_WAIT),
                Due::Never => LONGEST_WAIT,
            };
            let pause = match self.drift_due() {
                Some(left) if left.is_zero() => {
                    self.look_for_drift().await?;
                    continue;
                }
                Some(left) => pause.min(left),
                None => pause,
            };
            match self.wait(pause).await? {
                Woken::Elapsed | Woken::Configured => {}
                Woken::Asked(request) => {
                    self.take(*request, Now::Driving).await;
                }
            }
        }
    }

    async fn show_idle(&mut self) -> Result<(), Ended> {
        self.permission().await?;
        let latest = match self.store.latest(&self.worker.environment).await {
            Ok(latest) => latest,
            Err(error) => return self.trouble(&error).await,
        };
        let memory = &self.worker.memory;
        let is_put_off = memory.accepted().is_some() && memory.next_at.is_some();
        self.worker.change(|status| {
            status.activity = match is_put_off {
                true => Activity::WaitingForADependency,
                false => Activity::Idle,
            };
            status.readiness.clear();
            status.kept = None;
            status.promotion = None;
            status.deployment = latest.as_ref().map(DeploymentStatus::of);
        });
        Ok(())
    }

    /// What may be done now; it is shown. `None` where the journal does not answer.
    pub(super) async fn permission(&mut self) -> Result<Option<Permission>, Ended> {
        let loaded = self.worker.loaded();
        let environment = &self.worker.environment;
        let found = hold::permission(self.store, environment, &loaded.settings.freeze, false);
        match found.await {
            Ok(found) => {
                self.worker.show_permission(&found);
                Ok(Some(found))
            }
            Err(error) => self.trouble(&error).await.map(|()| None),
        }
    }

    /// What stops a firing: what stops everything now, or a freeze that lay over its moment.
    fn stops_firing(&self, stop: Option<&Stop>, firing: Timestamp) -> Option<Stop> {
        let loaded = self.worker.loaded();
        let then = || Permission::at(firing, &[], &loaded.settings.freeze, false).stops_swap();
        stop.cloned().or_else(then)
    }

    /// Records once for each hold and each freeze that the schedule is stopped by it.
    async fn skip_firing(&mut self, firing: Timestamp, stop: &Stop) -> Result<(), Ended> {
        let why = stop.sentence();
        let environment = &self.worker.environment;
        let runs = match self.store.runs(Some(environment), LOOK_BACK).await {
            Ok(runs) => runs,
            Err(error) => return self.trouble(&error).await,
        };
        let last = runs.iter().find(|run| run.scheduled_for.is_some());
        if last.is_some_and(|run| run.detail.as_deref() == Some(why.as_str())) {
            return Ok(());
        }
        self.record_skipped(Cause::Schedule, Some(firing), &why)
            .await
    }

    /// What is due now, or when the next thing is. While a deployment is under way, a run that was
    /// accepted waits until it has ended.
    pub(super) async fn due(&mut self, under_way: Option<&Deployment>) -> Result<Due, Ended> {
        let now = Timestamp::now();
        let Some(permission) = self.permission().await? else {
            return Ok(Due::In(Duration::ZERO));
        };
        let stop = permission.stops_beginning(true);
        let mut soonest: Option<Timestamp> = stop.as_ref().and_then(Stop::until);
        let memory = &self.worker.memory;
        let is_by_itself = |trigger: &Trigger| begins_by_itself(trigger.cause);
        let is_stopped = stop.is_some() && memory.next.as_ref().is_some_and(is_by_itself);
        let is_free = under_way.is_none() || memory.accepted().is_none();
        if memory.next.is_some() && is_free && !is_stopped {
            let at = self.worker.memory.next_at.unwrap_or(now);
            if at <= now {
                self.worker.memory.next_at = None;
                if let Some(trigger) = self.worker.memory.next.take() {
                    return Ok(Due::Release(Box::new(trigger)));
                }
            }
            soonest = soonest.into_iter().chain([at]).min();
        }
        if let Some(schedule) = self.schedule() {
            let handled = self.handled(now).await?;
            if let Some(firing) = schedule.latest_due(handled, now) {
                self.worker.memory.handled = Some(firing);
                // What it begins may take long; the next one is known now.
                self.show_next(
                    schedule
                        .pending(Some(firing), now)
                        .map(|at| schedule.due(at)),
                );
                let late = now.duration_since(schedule.due(firing));
                if let Some(stop) = self.stops_firing(stop.as_ref(), firing) {
                    self.skip_firing(firing, &stop).await?;
                } else if late <= ON_TIME || schedule.missed(Some(handled), now).is_some() {
                    let trigger = Trigger::by(Cause::Schedule, Some(firing));
                    return Ok(Due::Release(Box::new(trigger)));
                } else {
                    let why =
                        "nobody was there when the schedule fired, and schedule.missed is skip";
                    self.record_skipped(Cause::Schedule, Some(firing), why)
                        .await?;
                }
            }
            let handled = self.worker.memory.handled;
            let next = schedule.pending(handled, now).map(|at| schedule.due(at));
            self.show_next(next);
            soonest = soonest.into_iter().chain(next).min();
        } else {
            self.show_next(None);
        }
        if let Some(poll) = self.poll() {
            match self.polled(poll, now).await? {
                Due::Release(trigger) => return Ok(Due::Release(trigger)),
                Due::In(pause) => {
                    let at = now.saturating_add(pause).unwrap_or(now);
                    soonest = soonest.into_iter().chain([at]).min();
                }
                Due::Never => {}
            }
        }
        if under_way.is_none() && self.worker.memory.next.is_none() {
            match self.chained(now, stop.as_ref()).await? {
                Due::Release(trigger) => return Ok(Due::Release(trigger)),
                Due::In(pause) => {
                    let at = now.saturating_add(pause).unwrap_or(now);
                    soonest = soonest.into_iter().chain([at]).min();
                }
                Due::Never => {}
            }
        }
        Ok(match soonest {
            Some(at) => {
                let left = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                // A clock has no finer ticks than the journal's.
                Due::In(left.max(Duration::from_millis(1)))
            }
            None => Due::Never,
        })
    }

    fn show_next(&self, next: Option<Timestamp>) {
        self.worker.change(|status| status.next_run = next);
        let environment = &self.worker.environment;
        self.worker.metrics.next_run(environment, next);
    }

    /// The environment's schedule, read once from each configuration, which was checked.
    fn schedule(&mut self) -> Option<Arc<Schedule>> {
        let loaded = self.worker.loaded();
        // What comes after another environment is released when that has released it.
        if loaded.settings.after.is_some() {
            return None;
        }
        if let Some((of, schedule)) = &self.worker.memory.schedule
            && Arc::ptr_eq(of, &loaded)
        {
            return schedule.clone();
        }
        let parsed = Schedule::parse(&loaded.settings.schedule, &self.worker.environment);
        let schedule = match parsed {
            Ok(schedule) => schedule.map(Arc::new),
            Err(error) => {
                let text = format!("there is no schedule: {error}; {}", error.remedy());
                self.worker.show_trouble(Class::Usage, text);
                None
            }
        };
        self.worker.memory.schedule = Some((loaded, schedule.clone()));
        schedule
    }

    /// The firing that was handled last; before the first one, the moment at which this process
    /// began to wait.
    async fn handled(&mut self, now: Timestamp) -> Result<Timestamp, Ended> {
        // A clock that was put back meanwhile makes what is remembered a firing of the future.
        if let Some(handled) = self.worker.memory.handled
            && believable([handled], now).is_some()
        {
            return Ok(handled);
        }
        let environment = &self.worker.environment;
        let recorded = async {
            let Some(last) = self.store.last_scheduled(environment).await? else {
                return Ok(now);
            };
            let runs = self.store.runs(Some(environment), LOOK_BACK).await?;
            let scheduled = runs.iter().filter_map(|run| run.scheduled_for);
            let believed = believable(scheduled.chain([last]), now).unwrap_or(now);
            if believed < last {
                tracing::warn!(
                    recorded = %last,
                    "a firing of the future is recorded: a clock was ahead. The schedule goes on from {believed}"
                );
            }
            let last = believed;
            let run = runs.iter().find(|run| run.scheduled_for == Some(last));
            // Whoever planned it ended in the middle: the firing was not answered.
            let is_open = run.is_some_and(|run| {
                run.outcome == Some(Outcome::Interrupted) && run.deployment.is_none()
            });
            let before = last.checked_sub(SignedDuration::from_secs(1));
            Ok::<_, StoreError>(if is_open {
                before.unwrap_or(last)
            } else {
                last
            })
        };
        let handled = match recorded.await {
            Ok(handled) => handled,
            Err(error) => {
                self.trouble(&error).await?;
                return Ok(now);
            }
        };
        self.worker.memory.handled = Some(handled);
        Ok(handled)
    }

    /// Records a release that was due and is not made.
    pub(super) async fn record_skipped(
        &mut self,
        cause: Cause,
        scheduled_for: Option<Timestamp>,
        why: &str,
    ) -> Result<(), Ended> {
        let new = NewRun {
            cause,
            scheduled_for,
            revision: None,
            wishes: None,
        };
        let before = self.lead.subject();
        self.lead.acts_for(Trigger::by(cause, None).subject());
        let recorded = async {
            let run = self.store.begin_run(self.lead, new).await?;
            self.conclude(&run.id, Outcome::Skipped, Some(why)).await
        };
        let recorded = recorded.await;
        // What is under way is still done for whoever asked.
        self.lead.acts_for(before);
        match recorded {
            Ok(()) => Ok(()),
            Err(error) => self.trouble(&error).await,
        }
    }
}

impl Worker {
    /// Shows what holds or freezes the environment.
    pub(super) fn show_permission(&self, found: &Permission) {
        let (held, frozen) = (found.held().cloned(), found.frozen().cloned());
        self.metrics.held(&self.environment, held.is_some());
        self.metrics.frozen(&self.environment, frozen.is_some());
        self.change(|status| {
            status.held = held;
            status.frozen = frozen;
        });
    }
}

impl Trigger {
    /// A release that begins by itself.
    pub(super) fn by(cause: Cause, scheduled_for: Option<Timestamp>) -> Self {
        Self {
            cause,
            scheduled_for,
            run: None,
            start: Start {
                cause,
                ..Start::default()
            },
        }
    }
}
