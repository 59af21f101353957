//! Checks by SQL: on green before the swap, on production during the soak.
//!
//! Nothing but numbers leaves the server, and nothing of it is trusted beyond one run: a step that runs
//! again asks again. Durable is the last outcome of each check, in the journal, written before anything
//! follows from it. A failed check of the soak that is on record is not asked again, so that a process
//! that died between the record and the rollback is followed by one that rolls back.

use super::context::{Context, key};
use super::cutover::foreign_swap;
use super::error::DeploymentError;
use super::identity::Live;
use super::replace;
use super::scope;
use crate::failure::{Class, Classify};
use crate::materialize::guarded::Names;
use crate::materialize::identifier::Qualified;
use crate::materialize::{MaterializeError, Session, Statement, checks as sql};
use crate::plan::Strategy;
use crate::settings::Check;
use crate::settings::checks::{Moment, Relation, Rendered, Side, Tolerance, render};
use crate::store::{Deployment, Effect, StoreError};
use jiff::Timestamp;
use places::Places;
use std::time::Duration;
use verdict::Finding;

pub use verdict::{Outcome, Verdict};

/// Where a relation stands on each side.
mod places;
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
pub(super) struct Soaking<'a>(Option<Run<'a>>);

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
        Ok(Self(run))
    }

    /// The reason for a rollback that is on record.
    ///
    /// # Errors
    /// A world that nobody planned.
    pub(super) async fn failed(&self) -> Result<Option<String>, DeploymentError> {
        let Some(run) = &self.0 else { return Ok(None) };
        let Some(reason) = verdict::failure(Moment::Soak, &run.outcomes) else {
            return Ok(None);
        };
        still_swapped(run.context, run.deployment).await?;
        Ok(Some(reason))
    }

    /// Whether each of them has an answer on record.
    pub(super) fn have_run(&self) -> bool {
        let run = self.0.as_ref();
        run.is_none_or(|run| run.outcomes.len() == run.checks.len())
    }

    /// Asks each of them. Gives the reason for a rollback.
    ///
    /// # Errors
    /// A server that is away the `last` time they are asked; a world that nobody planned.
    pub(super) async fn ask(&mut self, is_last: bool) -> Result<Option<String>, DeploymentError> {
        let Some(run) = &mut self.0 else {
            return Ok(None);
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
                Ok(Some(reason))
            }
            Ok(None) => Ok(None),
            Err(error) if error.class() == Class::Transient && !is_last => {
                context.materialize.forget().await;
                context.reporter.warning(format!(
                    "the checks could not be run and will be asked again: {error}"
                ));
                Ok(None)
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
    let effect = context
        .store
        .effect(&deployment.id, key::CHECKS_SOAK)
        .await?;
    let outcomes = match effect {
        Some(effect) => effect.result_as::<Vec<Outcome>>()?,
        None => None,
    };
    let reason = verdict::failure(Moment::Soak, &outcomes.unwrap_or_default());
    // Somebody may have asked for it before this process could.
    Ok(reason.filter(|reason| deployment.reason.as_ref() == Some(reason)))
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
            // Every few seconds the same would be too much.
            if known.is_none_or(|known| known.verdict != outcome.verdict) {
                self.tell(outcome);
            }
        }
        self.outcomes = outcomes;
        match (verdict::failure(self.moment, &self.outcomes), unanswered) {
            (Some(reason), _) => Ok(Some(reason)),
            (None, Some(error)) => Err(error.into()),
            (None, None) => Ok(None),
        }
    }

    fn tell(&self, outcome: &Outcome) {
        let reporter = &self.context.reporter;
        let Outcome { name, says, .. } = outcome;
        match outcome.verdict {
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
        let says = match error {
            MaterializeError::Refused { .. } | MaterializeError::Unexpected { .. } => {
                error.to_string()
            }
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
                    let statement = sql::keys(&self.name(&blue), &self.name(&green), key);
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
        let statements = [blue, green].map(|relation| sql::rows(&self.name(relation)));
        let [blue] = self.numbers(check, &statements[0]).await?;
        let [green] = self.numbers(check, &statements[1]).await?;
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
        let query = match sql::one_query(&sql) {
            Ok(query) => query,
            Err(reason) => return Ok(Finding::failed(reason)),
        };
        let [found] = self.numbers(check, &sql::no_rows(query)).await?;
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
        sql::exists(&session, database, &relation.schema, &relation.name).await
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
        let numbers = sql::numbers(&session, statement, cluster, timeout).await?;
        self.session = Some(session);
        <[u64; COLUMNS]>::try_from(numbers).map_err(|numbers| MaterializeError::Unexpected {
            label: statement.label(),
            what: format!("{} columns", numbers.len()),
        })
    }
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
