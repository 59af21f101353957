//! Checks: on green before the swap, on production during the soak, by SQL and by what endpoints answer.
//!
//! Nothing but numbers leaves a server, and nothing of it is trusted beyond one run: a step that runs
//! again asks again. Durable is the last outcome of each check, in the journal, written before anything
//! follows from it. A failed check of the soak that is on record is not asked again, so that a process
//! that died between the record and the rollback is followed by one that rolls back.

use super::cutover::foreign_swap;
use super::replace;
use crate::adapters::materialize::MaterializeError;
use crate::adapters::materialize::guarded::Names;
use crate::adapters::store::StoreError;
use crate::domain::checks::{Check, Level, Moment, Naming};
use crate::domain::lifecycle::state::{Asker, Event};
use crate::domain::plan::Strategy;
use crate::domain::records::deployment::{Deployment, Effect};
use crate::foundation::failure::{Class, Classify};
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::identity::Live;
use crate::operations::saga::scope;
use by_sql::{Answered, BySql};
use futures_util::future::join_all;
use jiff::Timestamp;
use places::Places;
use std::collections::VecDeque;
use verdict::Finding;

pub use by_probe::ByProbe;
pub(super) use by_probe::credentials;
pub use verdict::{Outcome, Sample, Verdict};

/// What endpoints are asked.
mod by_probe;
/// What Materialize is asked.
mod by_sql;
/// Whether a person must decide.
pub(super) mod decision;
/// Where a relation stands on each side.
pub(super) mod places;
/// What the numbers mean.
mod verdict;

fn key_of(moment: Moment) -> &'static str {
    match moment {
        Moment::Before => key::CHECKS_BEFORE,
        Moment::Soak => key::CHECKS_SOAK,
    }
}

/// The outcomes on record among these effects, in the order of the checks.
///
/// # Errors
/// When a record cannot be read.
pub fn recorded(effects: &[Effect]) -> Result<Vec<(Moment, Outcome)>, StoreError> {
    let mut all = Vec::new();
    for moment in [Moment::Before, Moment::Soak] {
        let effect = effects.iter().find(|effect| effect.key == key_of(moment));
        let outcomes = match effect {
            Some(effect) => effect.result_as::<Vec<Outcome>>()?,
            None => None,
        };
        all.extend(outcomes.into_iter().flatten().map(|one| (moment, one)));
    }
    Ok(all)
}

/// Runs the checks on green.
///
/// # Errors
/// [`DeploymentError::Failed`] with each check that failed; a server that is away.
pub(super) async fn before(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let Some(mut run) = Run::new(context, deployment, Moment::Before) else {
        return Ok(());
    };
    run.begin().await?;
    context.materialize.session_patiently().await?;
    match run.once().await? {
        Came::Failed(reason) | Came::NoAnswer(reason) => Err(DeploymentError::Failed(reason)),
        Came::Well => Ok(()),
    }
}

/// The checks on production while it soaks.
pub(super) struct Soaking<'a> {
    run: Option<Run<'a>>,
    /// How often in a row the server, or an endpoint, refused the last answer that is needed.
    refused: u32,
}

/// What one run of the checks came to.
enum Came {
    /// Nothing that has consequences.
    Well,
    /// What is required failed often enough, for this reason.
    Failed(String),
    /// An endpoint gave no answer to what is required, with why.
    NoAnswer(String),
}

/// Why what is required has no answer.
enum Unanswered {
    /// Materialize.
    Server(MaterializeError),
    /// An endpoint.
    Endpoint(String),
}

/// What the checks said of production.
pub(super) enum Said {
    /// Nothing against it.
    Well,
    /// Not enough: a check failed, though not often enough in a row, or the server refused the last answer.
    /// They are to be asked again before anything else is done.
    InDoubt,
    /// It is to be rolled back, for this reason.
    Failed(String),
    /// The last answer is refused again and again.
    NoAnswer(DeploymentError),
}

impl<'a> Soaking<'a> {
    /// Begins them, or goes on with those that are on record.
    ///
    /// # Errors
    /// The journal's.
    pub(super) async fn begin(
        context: &'a Context<'a>,
        deployment: &'a Deployment,
    ) -> Result<Self, DeploymentError> {
        let mut run = Run::new(context, deployment, Moment::Soak);
        if let Some(run) = &mut run {
            run.begin().await?;
        }
        Ok(Self { run, refused: 0 })
    }

    /// The reason for a rollback that is on record.
    ///
    /// # Errors
    /// A world that nobody planned.
    pub(super) async fn failed(&self) -> Result<Option<String>, DeploymentError> {
        let Some(run) = &self.run else {
            return Ok(None);
        };
        let Some(reason) = run.failure() else {
            return Ok(None);
        };
        still_swapped(run.context, run.deployment).await?;
        Ok(Some(reason))
    }

    /// Whether each of them has an answer on record.
    pub(super) fn have_run(&self) -> bool {
        let run = self.run.as_ref();
        run.is_none_or(|run| run.outcomes.len() == run.checks.len())
    }

    /// Whether one of them failed the last time, though not often enough in a row. `decided` is whether somebody has
    /// decided what some could only ask.
    pub(super) fn are_in_doubt(&self, decided: bool) -> bool {
        let Some(run) = &self.run else {
            return false;
        };
        let enough = run.enough();
        let mut outcomes = run.outcomes.iter();
        outcomes.any(|outcome| verdict::is_in_doubt(outcome, enough, decided))
    }

    /// Why a person must decide, by what is on record.
    fn question(&self) -> Option<String> {
        let run = self.run.as_ref()?;
        verdict::question(run.moment, &run.outcomes, run.enough())
    }

    /// Asks each of them. `decided` is whether somebody has decided what some could only ask.
    ///
    /// # Errors
    /// A server that is away the `last` time they are asked; a world that nobody planned.
    pub(super) async fn ask(
        &mut self,
        is_last: bool,
        decided: bool,
    ) -> Result<Said, DeploymentError> {
        let Some(run) = &mut self.run else {
            return Ok(Said::Well);
        };
        let (context, deployment) = (run.context, run.deployment);
        if is_last {
            // What follows drops the old side: it must not happen without an answer.
            context.materialize.session_patiently().await?;
        }
        match run.once().await {
            Ok(Came::Failed(reason)) => {
                still_swapped(context, deployment).await?;
                context.reporter.warning(format!("ROLLING BACK: {reason}"));
                Ok(Said::Failed(reason))
            }
            Ok(Came::Well) => {
                self.refused = 0;
                Ok(match self.are_in_doubt(decided) {
                    true => Said::InDoubt,
                    false => Said::Well,
                })
            }
            Ok(Came::NoAnswer(why)) => {
                Ok(self.unanswered(is_last, DeploymentError::Stuck(why), context))
            }
            Err(DeploymentError::Materialize(error)) if error.is_no_answer() => {
                Ok(self.unanswered(is_last, error.into(), context))
            }
            Err(error) if error.class() == Class::Transient && !is_last => {
                context.materialize.forget().await;
                context.reporter.warning(format!(
                    "the checks could not be run and will be asked again: {error}"
                ));
                Ok(Said::Well)
            }
            Err(error) => Err(error),
        }
    }

    /// What it means that something gave no answer: at the end of a soak, with which the old side goes, one is needed.
    fn unanswered(&mut self, is_last: bool, error: DeploymentError, context: &Context<'_>) -> Said {
        self.refused = self.refused.saturating_add(1);
        match is_last {
            false => Said::Well,
            true if self.refused < context.settings.soak_check_failures => Said::InDoubt,
            true => Said::NoAnswer(error),
        }
    }
}

/// What a check said about somebody else's swap is no reason to swap once more.
async fn still_swapped(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    match deployment.plan.strategy {
        Strategy::Replace => Ok(()),
        Strategy::Swap => {
            let ids = context.recorded_ids(deployment).await?;
            context.materialize.session_patiently().await?;
            let about = scope::sides(deployment, &ids);
            let names = Names::read(context.materialize, &about).await?;
            match ids.live(&deployment.plan, &names) {
                Live::Green => Ok(()),
                Live::Blue => Err(foreign_swap(
                    "the old side is live although nobody asked for a rollback",
                )),
                Live::Neither(reason) => Err(foreign_swap(&reason)),
            }
        }
    }
}

/// The reason, when it was a check that caused the deployment's rollback.
pub(super) async fn caused_rollback(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<Option<String>, DeploymentError> {
    let events = context.store.events(&deployment.id).await?;
    Ok(events.iter().rev().find_map(|recorded| {
        if let Event::RollbackRequested {
            reason,
            cause: Some(Asker::Check),
            ..
        } = &recorded.event
        {
            Some(reason.clone())
        } else {
            None
        }
    }))
}

/// The checks of one moment.
struct Run<'a> {
    context: &'a Context<'a>,
    deployment: &'a Deployment,
    moment: Moment,
    checks: Vec<&'a Check>,
    by_sql: BySql<'a>,
    by_probe: ByProbe<'a>,
    /// The last outcomes, as they are on record.
    outcomes: Vec<Outcome>,
}

impl<'a> Run<'a> {
    /// `None` when no check runs then.
    fn new(context: &'a Context<'a>, deployment: &'a Deployment, moment: Moment) -> Option<Self> {
        let checks: Vec<&Check> = deployment
            .request
            .checks
            .iter()
            .filter(|check| check.run().contains(&moment))
            .collect();
        if checks.is_empty() {
            return None;
        }
        let secret = replace::secret_name(deployment);
        let places = Places::new(&deployment.plan, moment, &secret);
        let naming = Naming {
            deployment: deployment.id.clone(),
            environment: deployment.environment.clone(),
        };
        Some(Self {
            context,
            deployment,
            moment,
            checks,
            by_sql: BySql::new(context, deployment, moment, places.clone()),
            by_probe: ByProbe::new(context.base, moment, naming, places),
            outcomes: Vec::new(),
        })
    }

    async fn begin(&mut self) -> Result<(), DeploymentError> {
        let key = key_of(self.moment);
        let begun = self
            .context
            .begin(self.deployment, key, &self.checks)
            .await?;
        self.outcomes = begun.result_as()?.unwrap_or_default();
        Ok(())
    }

    /// Runs every check and records what came of it.
    async fn once(&mut self) -> Result<Came, DeploymentError> {
        let (context, deployment) = (self.context, self.deployment);
        let answered = tokio::select! {
            answered = self.all() => answered,
            () = context.cancel.cancelled() => {
                context.interrupted(deployment)?;
                return Ok(Came::Well);
            }
        };
        if answered.is_err() {
            self.by_sql.forget();
        }
        let (outcomes, unanswered) = answered?;
        context
            .finish(deployment, key_of(self.moment), &outcomes)
            .await?;
        for outcome in &outcomes {
            let known = self.outcomes.iter().find(|one| one.name == outcome.name);
            // Every few seconds the same would be too much, unless it is about to have consequences.
            if outcome.failures > 0 || known.is_none_or(|known| known.verdict != outcome.verdict) {
                self.tell(outcome);
            }
        }
        self.outcomes = outcomes;
        match (self.failure(), unanswered) {
            (Some(reason), _) => Ok(Came::Failed(reason)),
            (None, Some(Unanswered::Server(error))) => Err(error.into()),
            (None, Some(Unanswered::Endpoint(why))) => Ok(Came::NoAnswer(why)),
            (None, None) => Ok(Came::Well),
        }
    }

    /// How often in a row a check must fail to have consequences.
    fn enough(&self) -> u32 {
        match self.moment {
            Moment::Before => 1,
            Moment::Soak => self.context.settings.soak_check_failures,
        }
    }

    /// Why what is on record ends the release or undoes it, where it does.
    fn failure(&self) -> Option<String> {
        verdict::failure(self.moment, &self.outcomes, self.enough())
    }

    fn tell(&self, outcome: &Outcome) {
        let reporter = &self.context.reporter;
        let Outcome { name, says, .. } = outcome;
        let so_far = |what: &str| {
            let (number, enough) = (ordinal(outcome.failures), self.enough());
            format!("{says} (the {number} of {enough} times in a row that {what})")
        };
        match (outcome.verdict, outcome.level) {
            (Verdict::Failed, Level::Required) if outcome.failures < self.enough() => {
                let so_far = so_far("roll back");
                reporter.warning(format!("the check {name:?} FAILED: {so_far}"));
            }
            (Verdict::Failed | Verdict::NoAnswer, Level::Ask)
                if outcome.failures < self.enough() =>
            {
                let so_far = so_far("ask a person");
                reporter.warning(format!("the check {name:?} FAILED: {so_far}"));
            }
            (Verdict::Failed, Level::Advisory) => reporter.warning(format!(
                "the check {name:?} FAILED, which is only told (advisory): {says}"
            )),
            (Verdict::Failed, Level::Ask) => reporter.warning(format!(
                "the check {name:?} FAILED, and a person must decide: {says}"
            )),
            (Verdict::NoAnswer, Level::Ask) => reporter.warning(format!(
                "the check {name:?} got no answer, and a person must decide: {says}"
            )),
            (Verdict::NoAnswer, Level::Required | Level::Advisory) => reporter.warning(format!(
                "the check {name:?} got no answer and will be asked again: {says}"
            )),
            (Verdict::Passed, _) => reporter.note(format!("the check {name:?} passed: {says}")),
            (Verdict::Failed, Level::Required) => {
                reporter.warning(format!("the check {name:?} FAILED: {says}"));
            }
            (Verdict::NotApplicable, _) => {
                reporter.note(format!("the check {name:?} is not applicable: {says}"));
            }
        }
    }

    /// What came of every check, and why one that is required was not answered: one slow check does not hide
    /// that another one fails. Endpoints are asked at the same time, as each may take its while.
    async fn all(&mut self) -> Result<(Vec<Outcome>, Option<Unanswered>), MaterializeError> {
        let (by_sql, by_probe) = (&mut self.by_sql, &self.by_probe);
        let (asked, external): (Vec<&Check>, Vec<&Check>) = self
            .checks
            .iter()
            .partition(|check| check.external().is_none());
        let asking = async {
            let mut answers = VecDeque::new();
            for check in asked {
                answers.push_back(by_sql.ask(check).await?);
            }
            Ok::<_, MaterializeError>(answers)
        };
        let probing = external.iter().filter_map(|check| check.external());
        let probing = join_all(probing.map(|check| by_probe.ask(check)));
        let probing = async { Ok::<_, MaterializeError>(VecDeque::from(probing.await)) };
        let (mut answers, mut probed) = tokio::try_join!(asking, probing)?;
        let mut outcomes = Vec::new();
        let mut unanswered = None;
        for check in &self.checks {
            let before = self.outcomes.iter().find(|one| one.name == check.name());
            let is_required = check.level() == Level::Required;
            let answer = match check.external() {
                Some(_) => probed.pop_front().map(Answered::Found),
                None => answers.pop_front(),
            };
            let finding = match answer {
                Some(Answered::Found(finding)) => {
                    if is_required && finding.verdict == Verdict::NoAnswer {
                        let why = format!("{:?}: {}", check.name(), finding.says);
                        unanswered.get_or_insert(Unanswered::Endpoint(format!(
                            "a check got no answer after the swap: {why}"
                        )));
                    }
                    finding
                }
                Some(Answered::Refused(finding, error)) => {
                    if is_required {
                        unanswered = Some(Unanswered::Server(error));
                    }
                    finding
                }
                Some(Answered::TooLate(error)) if is_required => {
                    unanswered = Some(Unanswered::Server(error));
                    outcomes.extend(before.cloned());
                    continue;
                }
                Some(Answered::TooLate(error)) => Finding::no_answer(error.to_string()),
                None => Finding::no_answer("it was not asked"),
            };
            outcomes.push(Outcome {
                name: check.name().to_owned(),
                level: check.level(),
                verdict: finding.verdict,
                blue: finding.blue,
                green: finding.green,
                says: finding.says,
                at: Timestamp::now(),
                failures: verdict::failures(check.level(), before, finding.verdict),
                runs: before.map_or(0, |before| before.runs).saturating_add(1),
                asked: finding.asked,
                samples: finding.samples,
            });
        }
        Ok((outcomes, unanswered))
    }
}

/// `1st`, `2nd`, `3rd`, `4th`.
fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (1, last) if last != 11 => "st",
        (2, last) if last != 12 => "nd",
        (3, last) if last != 13 => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests;
