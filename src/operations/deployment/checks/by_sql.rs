//! Checks by SQL: what they ask Materialize, and what its answers mean.

use super::places::{self, Places};
use super::verdict::{self, Finding};
use crate::adapters::materialize::{MaterializeError, Session, Statement, checks};
use crate::domain::checks::{Check, Moment, Relation, Rendered, Side, Tolerance, render};
use crate::domain::records::deployment::Deployment;
use crate::foundation::sql::identifier::Qualified;
use crate::foundation::sql::query::one_query;
use crate::operations::saga::context::Context;
use std::time::Duration;

/// Asks Materialize, over a connection that no other step uses.
pub(super) struct BySql<'a> {
    context: &'a Context<'a>,
    deployment: &'a Deployment,
    moment: Moment,
    places: Places,
    cluster: Option<String>,
    session: Option<Session>,
}

/// What one check came to.
pub(super) enum Answered {
    /// It was answered.
    Found(Finding),
    /// The server refuses to answer, for reasons of its own.
    Refused(Finding, MaterializeError),
    /// There was no answer in time, which says nothing about production.
    TooLate(MaterializeError),
}

impl<'a> BySql<'a> {
    pub(super) fn new(
        context: &'a Context<'a>,
        deployment: &'a Deployment,
        moment: Moment,
        places: Places,
    ) -> Self {
        let profile = context.builds.cluster.as_deref();
        Self {
            context,
            deployment,
            moment,
            places,
            cluster: places::cluster(&deployment.plan, moment, profile),
            session: None,
        }
    }

    /// The connection is of no use any more.
    pub(super) fn forget(&mut self) {
        self.session = None;
    }

    /// Asks one check.
    ///
    /// # Errors
    /// A server that is away, for whatever reason.
    pub(super) async fn ask(&mut self, check: &Check) -> Result<Answered, MaterializeError> {
        let answer = self.one(check).await;
        if let Err(MaterializeError::Deadline { .. }) = &answer {
            // Whichever connection it was, its state is unknown.
            self.session = None;
            self.context.materialize.forget().await;
        }
        match answer.or_else(|error| self.finding_of(check, error)) {
            Ok(finding) => Ok(Answered::Found(finding)),
            // Its transaction may still be open.
            Err(error) if error.is_no_answer() => {
                self.session = None;
                let finding = Finding::no_answer(error.to_string());
                Ok(Answered::Refused(finding, error))
            }
            Err(error @ MaterializeError::Deadline { .. }) => Ok(Answered::TooLate(error)),
            Err(error) => Err(error),
        }
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
            Check::Prometheus(_) | Check::Http(_) => Ok(Finding::failed(
                "it is no check by SQL, and was asked as one",
            )),
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

fn gone(relation: &Relation) -> Finding {
    Finding::not_applicable(format!(
        "{relation} was replaced in place: its old side does not exist any more"
    ))
}

fn new(relation: &Relation) -> Finding {
    Finding::not_applicable(format!("{relation} is new: there is no old side of it"))
}
