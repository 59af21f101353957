//! Planning a release and recording it.

use super::{Ended, Leading, lost};
use crate::adapters::store::{Lead, Store};
use crate::domain::plan::Plan;
use crate::domain::progress::Reporter;
use crate::domain::records::hold::BackTo;
use crate::domain::records::run::{Cause, NewRun, Outcome, Run};
use crate::domain::records::subject::Subject;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::inputs::settings::Loaded;
use crate::operations::daemon::attempts::{Attempts, Verdict};
use crate::operations::daemon::request::Start;
use crate::operations::daemon::status::Activity;
use crate::operations::daemon::worker::open_runs::Ending;
use crate::operations::daemon::worker::requests::{Now, Taken};
use crate::operations::deployment::hold;
use crate::operations::release::{self, Folder, Release, ReleaseError, Wanted, Wishes};
use jiff::Timestamp;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How many runs are looked through for the one that says what became of a revision.
const LOOK_BACK: u32 = 200;
/// So often the process may end while it plans one revision; it may have been ended for another reason.
const DEADLY: usize = 3;
/// What is recorded of a run whose process ended while it planned.
pub(crate) const PLANNER_ENDED: &str = "the process that planned it ended";

/// What set a release off.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    /// Who or what.
    pub(crate) cause: Cause,
    /// The firing of the schedule.
    pub(crate) scheduled_for: Option<Timestamp>,
    /// The run that was begun for it when it was accepted. It stays open until it is decided.
    pub(crate) run: Option<String>,
    /// What is wished.
    pub(crate) start: Start,
}

impl Trigger {
    /// Who is behind it.
    pub(crate) fn subject(&self) -> Subject {
        let by_itself = || match self.cause {
            Cause::Schedule => Subject::Schedule,
            Cause::Change => Subject::commit(None),
            // Whoever asked is known, unless the version that accepted it did not say.
            Cause::Signal | Cause::Api | Cause::Retry | Cause::Chain | Cause::Recovery => {
                Subject::Cutover
            }
        };
        self.start.subject.clone().unwrap_or_else(by_itself)
    }
}

/// What planning led to.
enum Prepared {
    /// There is something to release.
    Planned(Box<Planned>),
    /// There is nothing to do, or nothing is to be done.
    Ended(Outcome, Option<String>),
}

struct Planned {
    release: Release,
    plan: Plan,
    folder: Folder,
    wishes: Wishes,
}

/// What planning works with.
struct Preparation<'a> {
    store: &'a Store,
    lead: &'a Lead,
    loaded: &'a Loaded,
    wanted: &'a Wanted,
    environment: &'a str,
    trigger: &'a Trigger,
    run: &'a str,
    reporter: Reporter,
    stop: &'a CancellationToken,
}

impl Leading<'_> {
    /// Plans a release and records its deployment; the next turn drives it.
    pub(crate) async fn launch(&mut self, trigger: Trigger) -> Result<(), Ended> {
        self.lead.acts_for(trigger.subject());
        self.worker
            .change(|status| status.activity = Activity::Planning);
        if let Some(scheduled_for) = trigger.scheduled_for {
            let late = Timestamp::now().duration_since(scheduled_for);
            let late = Duration::try_from(late).unwrap_or_default();
            self.worker
                .metrics
                .fired_late(&self.worker.environment, late);
        }
        let run = match &trigger.run {
            Some(run) => run.clone(),
            None => {
                let new = NewRun {
                    cause: trigger.cause,
                    scheduled_for: trigger.scheduled_for,
                    revision: None,
                    wishes: None,
                };
                match self.store.begin_run(self.lead, new).await {
                    Ok(run) => run.id,
                    Err(error) => {
                        self.worker.memory.next = Some(trigger);
                        return self.trouble(&error).await;
                    }
                }
            }
        };
        tracing::info!(run, cause = %trigger.cause, "plans a release");
        let stop = self.worker.stop.child_token();
        self.worker.memory.planning = Some(run.clone());
        let prepared = self.prepared(&trigger, &run, &stop).await;
        self.worker.memory.planning = None;
        match prepared {
            Ok(Prepared::Planned(planned)) if self.worker.memory.asked.take().is_some() => {
                // Its end was recorded when it was given up.
                if let Err(error) = planned.folder.remove() {
                    self.worker.show_problem(&error);
                }
                Ok(())
            }
            Ok(Prepared::Planned(planned)) => self.begin(trigger, &run, *planned).await,
            Ok(Prepared::Ended(outcome, detail)) => {
                self.worker.change(|status| status.problem = None);
                self.over(&trigger, &run, outcome, detail).await
            }
            Err(error) => {
                if let Some(ended) = lost(&error) {
                    return Err(ended);
                }
                let asked = self.worker.memory.asked.take();
                let outcome = match error.class() {
                    Class::Interrupted if asked.is_some() => Outcome::Aborted,
                    Class::Interrupted | Class::Transient | Class::Conflict => Outcome::Interrupted,
                    Class::Refused => Outcome::Refused,
                    Class::Usage | Class::Permanent | Class::Stuck => Outcome::Failed,
                };
                if asked.is_none() && !stop.is_cancelled() {
                    self.worker.show_problem(&error);
                }
                self.over(&trigger, &run, outcome, Some(with_causes(&error)))
                    .await
            }
        }
    }

    /// Plans while requests are answered.
    async fn prepared(
        &mut self,
        trigger: &Trigger,
        run: &str,
        stop: &CancellationToken,
    ) -> Result<Prepared, ReleaseError> {
        let (reporter, mut news) = Reporter::channel();
        let loaded = self.worker.loaded();
        let (wanted, environment) = (self.worker.wanted(), self.worker.environment.clone());
        let preparation = Preparation {
            store: self.store,
            lead: self.lead,
            loaded: &loaded,
            wanted: &wanted,
            environment: &environment,
            trigger,
            run,
            reporter,
            stop,
        };
        let preparing = preparation.plan();
        tokio::pin!(preparing);
        let lead = self.lead;
        loop {
            tokio::select! {
                biased;
                prepared = &mut preparing => return prepared,
                Some(progress) = news.recv() => self.worker.tell(None, progress),
                () = lead.lost(), if !stop.is_cancelled() => stop.cancel(),
                Some(request) = self.worker.requests.recv() => {
                    if let Taken::Act = self.take(request, Now::Planning).await {
                        stop.cancel();
                    }
                }
            }
        }
    }

    async fn begin(&mut self, trigger: Trigger, run: &str, planned: Planned) -> Result<(), Ended> {
        let Planned {
            release,
            plan,
            folder,
            wishes,
        } = planned;
        let recorded = release
            .record(self.store, self.lead, plan, folder, &wishes, Some(run))
            .await;
        match recorded {
            Ok(deployment) => {
                self.worker.memory.taken = Some(deployment.id);
                self.worker.memory.run = Some(run.to_owned());
                Ok(())
            }
            Err(error) => {
                // It is not known whether it was recorded; the next turn reads that.
                if trigger.run.is_some() {
                    self.worker.memory.next = Some(trigger);
                }
                self.trouble(&error).await
            }
        }
    }

    /// Records a run that led to no deployment, and whether it is tried again.
    async fn over(
        &mut self,
        trigger: &Trigger,
        run: &str,
        outcome: Outcome,
        detail: Option<String>,
    ) -> Result<(), Ended> {
        let is_put_off = outcome == Outcome::Interrupted;
        // What was accepted goes on as the same run, here or with the next leader.
        let is_over = !is_put_off || trigger.run.is_none();
        if is_over && let Err(error) = self.conclude(run, outcome, detail.as_deref()).await {
            self.worker.memory.unrecorded = Some(Ending {
                run: run.to_owned(),
                outcome,
                detail,
            });
            return self.trouble(&error).await;
        }
        if is_put_off {
            if !self.worker.stop.is_cancelled() {
                self.put_off(trigger.clone());
            }
            return Ok(());
        }
        self.worker.memory.pauses = None;
        self.retry_later(run).await
    }

    /// Something is away, which says nothing about the project: it is tried again after a pause.
    fn put_off(&mut self, trigger: Trigger) {
        let pause = self.next_pause();
        self.worker.memory.next = Some(trigger);
        self.worker.memory.next_at = Timestamp::now().checked_add(pause).ok();
    }

    /// After a failure of what began by itself: when it is tried again, if at all.
    pub(crate) async fn retry_later(&mut self, run: &str) -> Result<(), Ended> {
        let environment = &self.worker.environment;
        let judged = async {
            let run = self.store.run(run).await?;
            let is_failure = matches!(run.outcome, Some(Outcome::Failed | Outcome::Refused));
            // What failed of a chain is found by that again.
            let is_tried = begins_by_itself(run.cause) && run.cause != Cause::Chain;
            let (Some(revision), true, true) = (&run.revision, is_failure, is_tried) else {
                return Ok(None);
            };
            let (failures, last) = self
                .store
                .failures_in_a_row(environment, Some(revision))
                .await?;
            let attempts = Attempts::of(&self.worker.loaded().settings.schedule);
            Ok(last.map(|last| attempts.verdict(failures, last, Timestamp::now())))
        };
        match judged.await {
            Ok(None) => Ok(()),
            Ok(Some(Verdict::GivenUp)) => {
                self.worker.show_trouble(
                    Class::Permanent,
                    "this revision failed too often and is not tried again until the project changes or somebody asks".to_owned(),
                );
                Ok(())
            }
            Ok(Some(verdict @ (Verdict::Try | Verdict::WaitUntil(_)))) => {
                let at = if let Verdict::WaitUntil(at) = verdict {
                    at
                } else {
                    Timestamp::now()
                };
                tracing::info!(%at, "will be tried again");
                if self.worker.memory.next.is_none() {
                    self.worker.memory.next = Some(Trigger::by(Cause::Retry, None));
                    self.worker.memory.next_at = Some(at);
                }
                Ok(())
            }
            Err(error) => {
                let error: crate::adapters::store::StoreError = error;
                self.trouble(&error).await
            }
        }
    }
}

impl Preparation<'_> {
    async fn plan(self) -> Result<Prepared, ReleaseError> {
        let start = &self.trigger.start;
        let permission = hold::permission(
            self.store,
            self.environment,
            &self.loaded.settings.freeze,
            start.override_freeze.is_some(),
        );
        let by_itself = begins_by_itself(self.trigger.cause);
        if let Some(stop) = permission.await?.stops_beginning(by_itself) {
            return Ok(Prepared::Ended(Outcome::Skipped, Some(stop.sentence())));
        }
        if let Some(link) = &start.follows {
            let release = Release::following(self.wanted, link, self.stop).await?;
            return self.planned(release, None).await;
        }
        if let Some(named) = &self.trigger.start.to {
            return self.plan_back(named).await;
        }
        let fetched = release::Fetched::of(self.wanted, self.stop).await?;
        let revision = fetched.revision().await?;
        if self.trigger.cause == Cause::Change {
            self.lead.acts_for(Subject::commit(fetched.author()));
        }
        // Before anything of it is looked into, so that a revision that ends this process is known by it.
        self.store
            .revise_run(self.lead, self.run, revision.as_str())
            .await?;
        if begins_by_itself(self.trigger.cause)
            && let Some(why) = self.is_set_aside(&revision).await?
        {
            tracing::error!(revision = revision.as_str(), "{why}");
            return Ok(Prepared::Ended(Outcome::Skipped, Some(why)));
        }
        let mut release = fetched.open().await?;
        release.revision.get_or_insert_with(|| revision.to_string());
        if let Some(fetched) = release.fetched() {
            self.reporter.note(fetched);
        }
        if begins_by_itself(self.trigger.cause)
            && let Some((outcome, why)) = self.needless(&release, &revision).await?
        {
            return Ok(Prepared::Ended(outcome, Some(why)));
        }
        self.planned(release, None).await
    }

    /// Plans from what was kept of an earlier release. What the project says now does not matter, as long as it says
    /// which project it is.
    async fn plan_back(self, named: &str) -> Result<Prepared, ReleaseError> {
        let present = match Release::reopen(self.wanted).await {
            Ok(present) => present,
            Err(_) => Release::fetch(self.wanted, self.stop).await?,
        };
        let artifacts = present.artifacts()?;
        let to = present.earlier(self.store, &artifacts, named).await?;
        let release = present.going_back(&to, self.stop).await?;
        if let Some(revision) = &release.revision {
            self.store.revise_run(self.lead, self.run, revision).await?;
        }
        self.planned(release, Some(to)).await
    }

    async fn planned(
        self,
        release: Release,
        back_to: Option<BackTo>,
    ) -> Result<Prepared, ReleaseError> {
        let start = &self.trigger.start;
        let wishes = Wishes {
            full: start.full,
            bootstrap: start.bootstrap,
            allow: release.allowed(&start.allow),
            selection: start.selection.clone(),
            waits_for_promotion: start.waits_for_promotion,
            keep: start.keep,
            back_to,
            override_freeze: start.override_freeze.clone(),
            follows: start.follows.clone(),
            describe: release.settings.describe,
        };
        let (plan, folder) = release
            .planned(self.store, &wishes, &self.reporter, self.stop)
            .await?;
        if plan.is_empty() {
            folder.remove()?;
            match &wishes.back_to {
                Some(to) => hold::hold_here(self.store, self.lead, to, self.run).await?,
                None if begins_by_itself(self.trigger.cause) => {}
                None => hold::lift(self.store, self.lead).await?,
            }
            return Ok(Prepared::Ended(Outcome::NothingToDo, None));
        }
        Ok(Prepared::Planned(Box::new(Planned {
            release,
            plan,
            folder,
            wishes,
        })))
    }

    /// Why a revision is not looked into: again and again the process ended while it planned it, and took
    /// the work for all environments with it.
    async fn is_set_aside(
        &self,
        revision: &release::Revision,
    ) -> Result<Option<String>, ReleaseError> {
        let runs = self.store.runs(Some(self.environment), LOOK_BACK).await?;
        let deaths = runs
            .iter()
            .filter(|run| {
                run.outcome
                    .is_some_and(|outcome| outcome != Outcome::Skipped)
            })
            .take_while(|run| {
                run.revision.as_deref() == Some(revision.as_str())
                    && run.outcome == Some(Outcome::Interrupted)
                    && run.detail.as_deref() == Some(PLANNER_ENDED)
            })
            .count();
        Ok((deaths >= DEADLY).then(|| {
            format!(
                "{deaths} times in a row the process ended while it planned this revision; it is set aside until the project changes or somebody asks"
            )
        }))
    }

    /// Why a release that begins by itself is not made of this revision.
    async fn needless(
        &self,
        release: &Release,
        revision: &release::Revision,
    ) -> Result<Option<(Outcome, String)>, ReleaseError> {
        let runs = self.store.runs(Some(self.environment), LOOK_BACK).await?;
        let last = runs
            .iter()
            .find(|run| run.outcome.is_some_and(says_something));
        let is_the_same = |run: &Run| run.revision.as_deref() == Some(revision.as_str());
        match last.filter(|run| is_the_same(run)).map(|run| run.outcome) {
            Some(Some(Outcome::RolledBack)) => {
                return Ok(Some((
                    Outcome::Skipped,
                    "this revision was rolled back; it is not released again until the project changes or somebody asks".to_owned(),
                )));
            }
            Some(Some(Outcome::Released | Outcome::NothingToDo)) if revision.is_certain() => {
                // It says nothing about production, nor about what is given from outside.
                match release.to_be_looked_at(&self.reporter, self.stop).await? {
                    None => {
                        return Ok(Some((
                            Outcome::NothingToDo,
                            "the revision has not changed, nor anything else".to_owned(),
                        )));
                    }
                    Some(why) => self
                        .reporter
                        .note(format!("the revision has not changed, but {why}")),
                }
            }
            Some(_) | None => {}
        }
        let (failures, last) = self
            .store
            .failures_in_a_row(self.environment, Some(revision.as_str()))
            .await?;
        let attempts = Attempts::of(&self.loaded.settings.schedule);
        let Some(last) = last else {
            return Ok(None);
        };
        Ok(match attempts.verdict(failures, last, Timestamp::now()) {
            Verdict::Try => None,
            Verdict::WaitUntil(at) => Some((
                Outcome::Skipped,
                format!(
                    "this revision failed {failures} times in a row; it is tried again at {at}"
                ),
            )),
            Verdict::GivenUp => Some((
                Outcome::Skipped,
                format!(
                    "this revision failed {failures} times in a row; it is not tried again until the project changes or somebody asks"
                ),
            )),
        })
    }
}

/// Whether nobody asked for the release.
pub(crate) fn begins_by_itself(cause: Cause) -> bool {
    match cause {
        Cause::Schedule | Cause::Change | Cause::Retry | Cause::Chain => true,
        // What was found under way was begun by somebody at a command line.
        Cause::Signal | Cause::Api | Cause::Recovery => false,
    }
}

/// Whether the outcome says something about the revision.
pub(crate) fn says_something(outcome: Outcome) -> bool {
    match outcome {
        Outcome::NothingToDo
        | Outcome::Released
        | Outcome::RolledBack
        | Outcome::Failed
        | Outcome::Refused => true,
        Outcome::Aborted | Outcome::Skipped | Outcome::Interrupted | Outcome::Stuck => false,
    }
}
