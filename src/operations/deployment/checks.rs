//! Checks by SQL: on green before the swap, on production during the soak.
//!
//! Nothing but numbers leaves the server, and nothing of it is trusted beyond one run: a step that runs
//! again asks again. Durable is the last outcome of each check, in the journal, written before anything
//! follows from it. A failed check of the soak that is on record is not asked again, so that a process
//! that died between the record and the rollback is followed by one that rolls back.

use super::cutover::foreign_swap;
use super::replace;
use crate::adapters::materialize::guarded::Names;
use crate::adapters::materialize::{MaterializeError, Session, Statement, checks};
use crate::adapters::store::StoreError;
use crate::domain::checks::{Check, Moment, Relation, Rendered, Side, Tolerance, render};
use crate::domain::lifecycle::state::{Asker, Event};
use crate::domain::plan::Strategy;
use crate::domain::records::deployment::{Deployment, Effect};
use crate::foundation::failure::{Class, Classify};
use crate::foundation::sql::identifier::Qualified;
use crate::foundation::sql::query::one_query;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::identity::Live;
use crate::operations::saga::scope;
use jiff::Timestamp;
use places::Places;
use std::time::Duration;
use verdict::Finding;

pub use verdict::{Outcome, Verdict};

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
        Some(reason) => Err(DeploymentError::Failed(reason)),
        None => Ok(()),
    }
}

/// The checks on production while it soaks.
pub(super) struct Soaking<'a> {
    run: Option<Run<'a>>,
    /// How often in a row the server refused the last answer that is needed.
    refused: u32,
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
    /// The server refuses the last answer again and again.
    NoAnswer(MaterializeError),
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

    /// Whether one of them failed the last time, though not often enough in a row.
    pub(super) fn are_in_doubt(&self) -> bool {
        let outcomes = self.run.iter().flat_map(|run| &run.outcomes);
        outcomes.into_iter().any(|outcome| outcome.failures > 0)
    }

    /// Asks each of them.
    ///
    /// # Errors
    /// A server that is away the `last` time they are asked; a world that nobody planned.
    pub(super) async fn ask(&mut self, is_last: bool) -> Result<Said, DeploymentError> {
        let Some(run) = &mut self.run else {
            return Ok(Said::Well);
        };
        let (context, deployment) = (run.context, run.deployment);
        if is_last {
            // What follows drops the old side: it must not happen without an answer.
            context.materialize.session_patiently().await?;
        }
        match run.once().await {
            Ok(Some(reason)) => {
                still_swapped(context, deployment).await?;
                context.reporter.warning(format!("ROLLING BACK: {reason}"));
                Ok(Said::Failed(reason))
            }
            Ok(None) => {
                self.refused = 0;
                Ok(match self.are_in_doubt() {
                    true => Said::InDoubt,
                    false => Said::Well,
                })
            }
            Err(DeploymentError::Materialize(error)) if error.is_no_answer() => {
                self.refused = self.refused.saturating_add(1);
                Ok(match is_last {
                    false => Said::Well,
                    true if self.refused < context.settings.soak_check_failures => Said::InDoubt,
                    true => Said::NoAnswer(error),
                })
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
    places: Places,
    cluster: Option<String>,
    /// The last outcomes, as they are on record.
    outcomes: Vec<Outcome>,
    session: Option<Session>,
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
        let secret = replace::secret_name(deployment);
        let profile = context.builds.cluster.as_deref();
        (!checks.is_empty()).then(|| Self {
            context,
            deployment,
            moment,
            checks,
            places: Places::new(&deployment.plan, moment, &secret),
            cluster: places::cluster(&deployment.plan, moment, profile),
            outcomes: Vec::new(),
            session: None,
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

    /// Runs every check and records what came of it; why they failed, where they did.
    async fn once(&mut self) -> Result<Option<String>, DeploymentError> {
        let (context, deployment) = (self.context, self.deployment);
        let answered = tokio::select! {
            answered = self.all() => answered,
            () = context.cancel.cancelled() => {
                context.interrupted(deployment)?;
                return Ok(None);
            }
        };
        if answered.is_err() {
            self.session = None;
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
            (Some(reason), _) => Ok(Some(reason)),
            (None, Some(error)) => Err(error.into()),
            (None, None) => Ok(None),
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
        match outcome.verdict {
            Verdict::Failed if outcome.failures < self.enough() => reporter.warning(format!(
                "the check {name:?} FAILED: {says} (the {} of {} times in a row that roll back)",
                ordinal(outcome.failures),
                self.enough()
            )),
            Verdict::NoAnswer => reporter.warning(format!(
                "the check {name:?} got no answer and will be asked again: {says}"
            )),
            Verdict::Passed => reporter.note(format!("the check {name:?} passed: {says}")),
            Verdict::Failed => reporter.warning(format!("the check {name:?} FAILED: {says}")),
            Verdict::NotApplicable => {
                reporter.note(format!("the check {name:?} is not applicable: {says}"));
            }
        }
    }

    /// What came of every check, and the error of one that was not answered in time: one slow check
    /// does not hide that another one fails.
    async fn all(&mut self) -> Result<(Vec<Outcome>, Option<MaterializeError>), MaterializeError> {
        let mut outcomes = Vec::new();
        let mut unanswered = None;
        for check in self.checks.clone() {
            let before = self.outcomes.iter().find(|one| one.name == check.name());
            let before = before.cloned();
            let answer = self.one(check).await;
            if let Err(MaterializeError::Deadline { .. }) = &answer {
                // Whichever connection it was, its state is unknown.
                self.session = None;
                self.context.materialize.forget().await;
            }
            let finding = match answer.or_else(|error| self.finding_of(check, error)) {
                Ok(finding) => finding,
                // Its transaction may still be open.
                Err(error) if error.is_no_answer() => {
                    self.session = None;
                    let finding = Finding::no_answer(error.to_string());
                    unanswered = Some(error);
                    finding
                }
                Err(error @ MaterializeError::Deadline { .. }) => {
                    unanswered = Some(error);
                    outcomes.extend(before);
                    continue;
                }
                Err(error) => return Err(error),
            };
            outcomes.push(Outcome {
                name: check.name().to_owned(),
                verdict: finding.verdict,
                blue: finding.blue,
                green: finding.green,
                says: finding.says,
                at: Timestamp::now(),
                failures: verdict::failures(before.as_ref(), finding.verdict),
                runs: before.map_or(0, |before| before.runs).saturating_add(1),
            });
        }
        Ok((outcomes, unanswered))
    }

    /// What a query that was not answered means for its check.
    fn finding_of(
        &mut self,
        check: &Check,
        error: MaterializeError,
    ) -> Result<Finding, MaterializeError> {
        // What the server cannot answer at present says nothing about production.
        if self.moment == Moment::Soak && error.is_no_answer() {
            return Err(error);
        }
        let says = match error {
            MaterializeError::Refused { .. }
            | MaterializeError::Several { .. }
            | MaterializeError::Unexpected { .. } => error.to_string(),
            // Green that gives no answer in time is not known to be good; production that gives none is
            // not known to be bad.
            MaterializeError::Deadline { .. } if self.moment == Moment::Before => {
                let timeout = humantime::format_duration(self.timeout(check));
                format!("the query was not answered within {timeout}")
            }
            MaterializeError::Deadline { .. }
            | MaterializeError::Unreachable { .. }
            | MaterializeError::Authentication { .. }
            | MaterializeError::Lost { .. }
            | MaterializeError::Conflict { .. }
            | MaterializeError::TooOld { .. }
            | MaterializeError::Tls(_) => return Err(error),
        };
        // Its transaction may still be open.
        self.session = None;
        Ok(Finding::failed(says))
    }

    fn timeout(&self, check: &Check) -> Duration {
        let usual = self.context.materialize.options().statement_timeout;
        check.timeout().map_or(usual, |timeout| timeout.0)
    }

    async fn one(&mut self, check: &Check) -> Result<Finding, MaterializeError> {
        match check {
            Check::RowCount {
                relation,
                tolerance,
                ..
            } => match self.both(relation).await? {
                Ok(sides) => self.rows(check, &sides, *tolerance).await,
                Err(finding) => Ok(finding),
            },
            Check::KeysKept {
                relation,
                key,
                tolerance,
                ..
            } => match self.both(relation).await? {
                Ok([blue, green]) => {
                    let statement = checks::keys(&self.name(&blue), &self.name(&green), key);
                    let [keys, lost] = self.numbers(check, &statement).await?;
                    Ok(verdict::of_keys(keys, lost, *tolerance))
                }
                Err(finding) => Ok(finding),
            },
            Check::NoRows { sql, relation, .. } => {
                self.no_rows(check, sql, relation.as_ref()).await
            }
        }
    }

    async fn rows(
        &mut self,
        check: &Check,
        [blue, green]: &[Relation; 2],
        tolerance: Tolerance,
    ) -> Result<Finding, MaterializeError> {
        let statement = checks::rows(&self.name(blue), &self.name(green));
        let [blue, green] = self.numbers(check, &statement).await?;
        Ok(verdict::of_rows(blue, green, tolerance))
    }

    async fn no_rows(
        &mut self,
        check: &Check,
        query: &str,
        own: Option<&Relation>,
    ) -> Result<Finding, MaterializeError> {
        let places = self.places.clone();
        let database = self.deployment.plan.database.clone();
        let rendered = render(query, own, move |side, relation| {
            // A side that is gone is found below; its name is then never sent.
            let place = places
                .on(side, relation)
                .unwrap_or_else(|| relation.clone());
            Qualified::object(&database, &place.schema, &place.name).to_string()
        });
        let Rendered { sql, reads } = match rendered {
            Ok(rendered) => rendered,
            Err(reason) => return Ok(Finding::failed(reason)),
        };
        for (_, relation) in reads.iter().filter(|(side, _)| *side == Side::Blue) {
            match self.places.on(Side::Blue, relation) {
                None => return Ok(gone(relation)),
                Some(place) if !self.exists(&place).await? => return Ok(new(relation)),
                Some(_) => {}
            }
        }
        let query = match one_query(&sql) {
            Ok(query) => query,
            Err(reason) => return Ok(Finding::failed(reason)),
        };
        let [found] = self.numbers(check, &checks::no_rows(query)).await?;
        Ok(verdict::of_found(found))
    }

    /// Blue and green of a relation, or what it means that one of them is missing.
    async fn both(
        &self,
        relation: &Relation,
    ) -> Result<Result<[Relation; 2], Finding>, MaterializeError> {
        if !self.places.is_touched(relation) {
            return Ok(Err(Finding::not_applicable(format!(
                "{relation} is not part of this release"
            ))));
        }
        let Some(green) = self.places.on(Side::Green, relation) else {
            return Ok(Err(Finding::failed(format!("{relation} is gone"))));
        };
        if !self.exists(&green).await? {
            return Ok(Err(Finding::failed(format!(
                "{relation} does not exist on the new side"
            ))));
        }
        let Some(blue) = self.places.on(Side::Blue, relation) else {
            return Ok(Err(gone(relation)));
        };
        if !self.exists(&blue).await? {
            return Ok(Err(new(relation)));
        }
        Ok(Ok([blue, green]))
    }

    async fn exists(&self, relation: &Relation) -> Result<bool, MaterializeError> {
        let session = self.context.materialize.session().await?;
        let database = &self.deployment.plan.database;
        checks::exists(&session, database, &relation.schema, &relation.name).await
    }

    fn name<'r>(&'r self, relation: &'r Relation) -> Qualified<'r> {
        let database = &self.deployment.plan.database;
        Qualified::object(database, &relation.schema, &relation.name)
    }

    /// The numbers that a statement answers, over a connection that no other step uses.
    async fn numbers<const COLUMNS: usize>(
        &mut self,
        check: &Check,
        statement: &Statement,
    ) -> Result<[u64; COLUMNS], MaterializeError> {
        let materialize = self.context.materialize;
        let timeout = self.timeout(check);
        let session = match self.session.take().filter(|session| !session.is_closed()) {
            Some(session) => session,
            None => materialize.own_session().await?,
        };
        let cluster = self.cluster.as_deref();
        let numbers = checks::numbers(&session, statement, cluster, timeout).await?;
        self.session = Some(session);
        <[u64; COLUMNS]>::try_from(numbers).map_err(|numbers| MaterializeError::Unexpected {
            label: statement.label(),
            what: format!("{} columns", numbers.len()),
        })
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

fn gone(relation: &Relation) -> Finding {
    Finding::not_applicable(format!(
        "{relation} was replaced in place: its old side does not exist any more"
    ))
}

fn new(relation: &Relation) -> Finding {
    Finding::not_applicable(format!("{relation} is new: there is no old side of it"))
}

#[cfg(test)]
mod tests;
