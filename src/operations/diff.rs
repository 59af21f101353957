//! The data diff: asks the server about both sides of relations, one relation after the other.
//!
//! 1. All of one relation that is compared is compared in one statement: at one timestamp.
//! 2. Rows are counted first. Where there are more than is asked for, nothing else is asked.
//! 3. A key is looked at before anything is joined by it: what several rows have is none.
//! 4. Each statement runs on the cluster of its subject, which is never production's own unless somebody named it,
//!    under what is left of the relation's time and of all relations' time.
//! 5. What has no answer has an outcome that says so. Only a lost connection is an error, after which it is asked again.
//!
//! Nothing of it is durable here: whoever asks keeps what each relation came to.

use crate::adapters::materialize::diff::{self as questions, Both, Found};
use crate::adapters::materialize::{Materialize, MaterializeError, Session, Statement};
use crate::domain::checks::Relation;
use crate::domain::diff::{Chosen, Entry, Outcome, Record, Sides, judge};
use crate::foundation::sql::identifier::Qualified;
use answer::Answer;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// What is known of one relation so far.
mod answer;
/// Rows that differ.
mod samples;

/// A place: schema and name.
pub type Place = (String, String);

/// One relation to be compared.
#[derive(Debug, Clone)]
pub struct Subject {
    /// dbt's unique id.
    pub node: String,
    /// The relation, as production calls it.
    pub relation: Relation,
    /// Where the old side is; `None` where it does not exist any more.
    pub blue: Option<Place>,
    /// Where the new side is.
    pub green: Place,
    /// The cluster that compares; else why there is none.
    pub cluster: Result<String, String>,
    /// What is asked.
    pub asked: Chosen,
    /// What cannot be read of that.
    pub faults: Vec<String>,
}

/// Where is asked.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a> {
    /// The server.
    pub materialize: &'a Materialize,
    /// The database of both sides.
    pub database: &'a str,
}

/// Relations being compared.
pub struct Comparing<'a> {
    server: Server<'a>,
    found: BTreeMap<Place, Found>,
    /// What is left, in order.
    left: std::vec::IntoIter<(&'a Subject, Sides<Option<String>>)>,
    began: Instant,
    total: Duration,
    session: Option<Session>,
    record: Record,
}

impl<'a> Comparing<'a> {
    /// Looks at both sides of these relations. What is `known` of the same objects, asked in the same way, is not
    /// asked again.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn begin(
        server: Server<'a>,
        subjects: &'a [Subject],
        total: Duration,
        known: &Record,
    ) -> Result<Self, MaterializeError> {
        let found = look(server, subjects).await?;
        let mut record = Record::default();
        let mut left = Vec::new();
        for subject in subjects {
            let ids = ids(subject, &found);
            let is_it = |entry: &&Entry| {
                entry.node == subject.node
                    && entry.ids == ids
                    && entry.asked == subject.asked
                    && !entry.outcome.is_passing()
            };
            match known.entries.iter().find(is_it) {
                Some(entry) => record.put(entry.clone()),
                None => left.push((subject, ids)),
            }
        }
        record.complete = left.is_empty();
        Ok(Self {
            server,
            found,
            left: left.into_iter(),
            began: Instant::now(),
            total,
            session: None,
            record,
        })
    }

    /// Compares the next relation; `None` when each has its turn behind it.
    ///
    /// # Errors
    /// A server that is away; the relation is then still to be compared.
    pub async fn next(&mut self) -> Result<Option<Entry>, MaterializeError> {
        let Some((subject, ids)) = self.left.next() else {
            return Ok(None);
        };
        let mut asking = Asking {
            server: self.server,
            subject,
            found: &self.found,
            began: Instant::now(),
            total: self.total.saturating_sub(self.began.elapsed()),
            session: self.session.take(),
        };
        let answer = asking.answer().await?;
        self.session = asking.session;
        let entry = entry(subject, ids, answer, asking.began.elapsed());
        self.record.put(entry.clone());
        self.record.complete = self.left.len() == 0;
        Ok(Some(entry))
    }

    /// The relation whose turn is next.
    #[must_use]
    pub fn upcoming(&self) -> Option<&'a Subject> {
        self.left.as_slice().first().map(|(subject, _)| *subject)
    }

    /// What is known so far.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }
}

async fn look(
    server: Server<'_>,
    subjects: &[Subject],
) -> Result<BTreeMap<Place, Found>, MaterializeError> {
    let places = subjects.iter().flat_map(|subject| {
        let blue = subject.blue.iter().cloned();
        blue.chain([subject.green.clone()])
    });
    let wanted: BTreeSet<Place> = places.collect();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let session = server.materialize.session().await?;
    questions::relations(&session, server.database, &wanted).await
}

fn ids(subject: &Subject, found: &BTreeMap<Place, Found>) -> Sides<Option<String>> {
    let id = |place: &Place| found.get(place).map(|relation| relation.id.clone());
    Sides {
        blue: subject.blue.as_ref().and_then(id),
        green: id(&subject.green),
    }
}

fn entry(subject: &Subject, ids: Sides<Option<String>>, answer: Answer, took: Duration) -> Entry {
    let Answer {
        outcome,
        why,
        rows,
        compared,
        alone,
        samples,
        samples_cut,
    } = answer;
    let thresholds = &subject.asked.thresholds;
    let (verdict, against) = judge(thresholds, outcome, rows.as_ref(), compared.as_ref());
    Entry {
        node: subject.node.clone(),
        relation: subject.relation.clone(),
        ids,
        asked: subject.asked.clone(),
        outcome,
        why,
        rows,
        compared,
        alone,
        samples,
        samples_cut,
        verdict,
        against,
        cluster: subject.cluster.as_ref().ok().cloned(),
        at: Timestamp::now(),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}

/// One relation being asked about.
struct Asking<'a> {
    server: Server<'a>,
    subject: &'a Subject,
    found: &'a BTreeMap<Place, Found>,
    began: Instant,
    /// What is left of all relations' time.
    total: Duration,
    session: Option<Session>,
}

/// Why a relation gets no further.
enum Stop {
    /// The server has no answer: what that means.
    Without(Outcome, String),
    /// Whoever asked is to ask again.
    Away(MaterializeError),
}

impl Asking<'_> {
    async fn answer(&mut self) -> Result<Answer, MaterializeError> {
        let mut answer = Answer::new();
        match self.into(&mut answer).await {
            Ok(()) => Ok(answer),
            Err(Stop::Without(outcome, why)) => {
                answer.outcome = outcome;
                answer.why = Some(why);
                // What was compared before stands; samples come last and are no part of it.
                if let Some(compared) = &answer.compared {
                    answer.outcome = answer::outcome_of(compared);
                }
                Ok(answer)
            }
            Err(Stop::Away(error)) => Err(error),
        }
    }

    async fn into(&mut self, answer: &mut Answer) -> Result<(), Stop> {
        let subject = self.subject;
        let without = |outcome, why: &str| Err(Stop::Without(outcome, why.to_owned()));
        if !subject.faults.is_empty() {
            return without(Outcome::Unreadable, &subject.faults.join("; "));
        }
        let Some(green) = self.found.get(&subject.green) else {
            return without(Outcome::Missing, "the new side does not have it");
        };
        let blue = subject.blue.as_ref();
        let Some(blue_place) = blue else {
            return without(Outcome::New, "its old side does not exist any more");
        };
        let Some(blue) = self.found.get(blue_place) else {
            return without(Outcome::New, "production does not have it");
        };
        let pairing = crate::domain::diff::pair(&blue.columns, &green.columns);
        answer.alone(&pairing);
        if pairing.both.is_empty() {
            return without(Outcome::NoColumns, "the sides have no column in common");
        }
        if let Err(why) = &subject.cluster {
            return without(Outcome::NoCluster, why);
        }
        if let Some(condition) = &subject.asked.condition
            && let Err(why) = answer::is_condition(condition)
        {
            return Err(Stop::Without(Outcome::Unreadable, why));
        }
        let name = |(schema, name): &'_ Place| -> [String; 2] { [schema.clone(), name.clone()] };
        let (old, new) = (name(blue_place), name(&subject.green));
        let database = self.server.database;
        let mut both = Both {
            blue: Qualified::object(database, &old[0], &old[1]),
            green: Qualified::object(database, &new[0], &new[1]),
            condition: subject.asked.condition.as_deref(),
            columns: &pairing.both,
            key: Vec::new(),
        };
        let counted = self.row(&questions::counts(&both)).await?;
        let rows = answer::sides(&counted)?;
        let most = rows.blue.max(rows.green);
        answer.rows = Some(rows);
        if most > subject.asked.max_rows {
            let limit = subject.asked.max_rows;
            let why = format!("more than {limit} rows (max_rows); narrow it down with `where`");
            return Err(Stop::Without(Outcome::CountsOnly, why));
        }
        let measured = most <= subject.asked.statistics_max_rows;
        let mut tried = answer::Tried::default();
        for candidate in &subject.asked.keys {
            let Some(columns) = answer::places(candidate, &pairing) else {
                tried.lacks(candidate);
                continue;
            };
            both.key = columns;
            let repeated = self.row(&questions::duplicates(&both)).await?;
            let repeated = answer::sides(&repeated)?;
            if repeated.blue == 0 && repeated.green == 0 {
                break;
            }
            tried.repeats(candidate);
            both.key.clear();
        }
        let mut compared = self.rows(&both, measured).await?;
        if compared.duplicates != [0, 0] {
            // It was one a moment ago.
            let names = both.key.iter().filter_map(|at| pairing.both.get(*at));
            let names: Vec<String> = names.map(|column| column.name.clone()).collect();
            tried.repeats(&names);
            both.key.clear();
            compared = self.rows(&both, measured).await?;
        }
        answer.take(&subject.asked, &both, compared, tried);
        if subject.asked.samples > 0 && answer.outcome == Outcome::Different {
            self.samples(&both, answer).await?;
        }
        Ok(())
    }

    async fn rows(&mut self, both: &Both<'_>, measured: bool) -> Result<questions::Compared, Stop> {
        let row = self.row(&questions::comparison(both, measured)).await?;
        questions::compared(both, measured, row)
            .map_err(|error| Stop::Without(Outcome::Refused, error.to_string()))
    }

    /// The only row of an answer.
    async fn row(&mut self, statement: &Statement) -> Result<Vec<Option<String>>, Stop> {
        let rows = self.ask(statement).await?;
        let number = rows.len();
        <[Vec<Option<String>>; 1]>::try_from(rows)
            .map(|[row]| row)
            .map_err(|_| {
                let why = format!("the server answered {number} rows where one is expected");
                Stop::Without(Outcome::Refused, why)
            })
    }

    async fn ask(&mut self, statement: &Statement) -> Result<Vec<Vec<Option<String>>>, Stop> {
        let used = self.began.elapsed();
        let own = self.subject.asked.timeout.0.saturating_sub(used);
        let all = self.total.saturating_sub(used);
        let over = |is_total: bool| match is_total {
            true => Stop::Without(
                Outcome::NotReached,
                "the time for all relations was over (diff.total_timeout)".to_owned(),
            ),
            false => {
                let timeout = humantime::format_duration(self.subject.asked.timeout.0);
                let label = statement.label();
                let why = format!("no answer within {timeout}, while asking for {label}");
                Stop::Without(Outcome::TimedOut, why)
            }
        };
        let limit = own.min(all);
        if limit.is_zero() {
            return Err(over(all.is_zero()));
        }
        let Ok(cluster) = self.subject.cluster.clone() else {
            return Err(Stop::Without(Outcome::NoCluster, String::new()));
        };
        let session = match self.session.take().filter(|session| !session.is_closed()) {
            Some(session) => session,
            None => {
                let own = self.server.materialize.own_session().await;
                own.map_err(Stop::Away)?
            }
        };
        match questions::ask(&session, statement, &cluster, limit).await {
            Ok(rows) => {
                self.session = Some(session);
                Ok(rows)
            }
            // The session is of no use any more; the next question has another.
            Err(MaterializeError::Deadline { .. }) => Err(over(all < own)),
            Err(
                error @ (MaterializeError::Refused { .. }
                | MaterializeError::Several { .. }
                | MaterializeError::Unexpected { .. }),
            ) => {
                let hides = self.subject.asked.masked.hides_any();
                let why = answer::refusal(&error, hides);
                Err(Stop::Without(Outcome::Refused, why))
            }
            Err(
                error @ (MaterializeError::Unreachable { .. }
                | MaterializeError::Authentication { .. }
                | MaterializeError::Lost { .. }
                | MaterializeError::Conflict { .. }
                | MaterializeError::TooOld { .. }
                | MaterializeError::Tls(_)),
            ) => Err(Stop::Away(error)),
        }
    }
}
