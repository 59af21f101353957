//! The questions of the data diff: how they are spelled, and how the answers are read.
//!
//! Everything that is compared is compared by one statement, and so at one timestamp that both sides can serve.
//! Inside of a statement the columns are called `c0`, `c1` and so on, and stand in the shape in which they are
//! compared; a user's names occur once, where the relation is read. Each question is a dataflow on the cluster that
//! the session was given. Numbers leave the server, and of a sample texts.

use super::catalog::text;
use super::error::MaterializeError;
use super::question::{Filter, Question, relation};
use super::session::{Session, Statement};
use crate::domain::diff::{Column, How, Kind, Paired};
use crate::foundation::sql::identifier::{Ident, Literal, Qualified};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const LABEL: &str = "data diff";

/// The most columns of which NULLs are counted, and of which more than that is: each is several columns of the
/// one row that answers.
const MOST_COUNTED: usize = 400;
const MOST_MEASURED: usize = 100;

/// The most characters of one value of a sample.
const LONGEST_VALUE: usize = 120;

/// A relation of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// Its columns in order.
    pub columns: Vec<Column>,
}

/// The relations of these schemas and names, where they are there. Four kinds of peeks in two rounds.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn relations(
    session: &Session,
    database: &str,
    wanted: &BTreeSet<(String, String)>,
) -> Result<BTreeMap<(String, String), Found>, MaterializeError> {
    let schemas: BTreeSet<&str> = wanted.iter().map(|(schema, _)| &**schema).collect();
    let names: BTreeSet<&str> = wanted.iter().map(|(_, name)| &**name).collect();
    let (schemas, names): (Vec<&str>, Vec<&str>) =
        (schemas.into_iter().collect(), names.into_iter().collect());
    let by_name = |relation, columns: &[&str], names: &[&str], and| {
        Question::select(LABEL, relation, columns, Filter::In("name", names), and)
    };
    let databases = by_name(relation::DATABASES, &["id"], &[database], None);
    let schemas = by_name(
        relation::SCHEMAS,
        &["id", "database_id", "name"],
        &schemas,
        None,
    );
    let objects = by_name(
        relation::OBJECTS,
        &["id", "schema_id", "name"],
        &names,
        Some("type IN ('table', 'view', 'materialized-view', 'source')"),
    );
    let snapshot = session.snapshot(LABEL).await?;
    let (databases, schemas, objects) = tokio::try_join!(
        snapshot.ask(&databases),
        snapshot.ask(&schemas),
        snapshot.ask(&objects),
    )?;
    let home = match databases.first() {
        Some(row) => text(row, LABEL, 0)?,
        None => String::new(),
    };
    let mut schema_names = BTreeMap::new();
    for row in &schemas {
        // A schema of the system has no database.
        if super::catalog::optional(row, LABEL, 1)?.is_some_and(|id| id == home) {
            schema_names.insert(text(row, LABEL, 0)?, text(row, LABEL, 2)?);
        }
    }
    let mut found = BTreeMap::new();
    for row in &objects {
        let Some(schema) = schema_names.get(&text(row, LABEL, 1)?) else {
            continue;
        };
        let place = (schema.clone(), text(row, LABEL, 2)?);
        if wanted.contains(&place) {
            found.insert(place, text(row, LABEL, 0)?);
        }
    }
    let ids: Vec<&str> = found.values().map(String::as_str).collect();
    let columns = Question::select(
        LABEL,
        relation::COLUMNS,
        &["id", "name", "\"position\"", "type"],
        Filter::In("id", &ids),
        None,
    );
    let rows = snapshot.ask(&columns).await?;
    snapshot.end().await?;
    let mut columns: BTreeMap<String, Vec<(u64, Column)>> = BTreeMap::new();
    for row in &rows {
        let position = text(row, LABEL, 2)?.parse().map_err(|_| no_number())?;
        let column = Column {
            name: text(row, LABEL, 1)?,
            kind: text(row, LABEL, 3)?,
        };
        let of = columns.entry(text(row, LABEL, 0)?).or_default();
        of.push((position, column));
    }
    let mut relations = BTreeMap::new();
    for (place, id) in found {
        let mut columns = columns.remove(&id).unwrap_or_default();
        columns.sort_by_key(|(position, _)| *position);
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        relations.insert(place, Found { id, columns });
    }
    Ok(relations)
}

fn no_number() -> MaterializeError {
    MaterializeError::Unexpected {
        label: LABEL,
        what: "no number where one is expected".to_owned(),
    }
}

/// Both sides of a relation, and which rows of them.
#[derive(Debug, Clone)]
pub struct Both<'a> {
    /// The old side.
    pub blue: Qualified<'a>,
    /// The new side.
    pub green: Qualified<'a>,
    /// A condition that somebody wrote: one expression, as `sql::query::one_query` makes sure of.
    pub condition: Option<&'a str>,
    /// The columns that both have.
    pub columns: &'a [Paired],
    /// Which of these are the key.
    pub key: Vec<usize>,
}

impl Both<'_> {
    /// ` WHERE (…)`; the line break ends a comment at the condition's end.
    fn filter(&self) -> String {
        let condition = self.condition;
        condition.map_or_else(String::new, |condition| format!(" WHERE ({condition}\n)"))
    }

    /// `WITH` both sides as `b` and `g`, with their columns in the shape in which they are compared.
    fn sides(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(number, column)| {
                let cast = match column.how {
                    How::Native => "",
                    How::AsText => "::text",
                };
                format!("{}{cast} AS c{number}", Ident(&column.name))
            })
            .collect();
        let columns = columns.join(", ");
        let filter = self.filter();
        let Self { blue, green, .. } = self;
        format!(
            "WITH b AS (SELECT {columns} FROM {blue}{filter}), g AS (SELECT {columns} FROM {green}{filter})"
        )
    }

    fn each(&self, of: impl Fn(usize) -> String, between: &str) -> String {
        let parts: Vec<String> = (0..self.columns.len()).map(of).collect();
        parts.join(between)
    }

    fn keys(&self, of: impl Fn(usize) -> String, between: &str) -> String {
        let parts: Vec<String> = self.key.iter().map(|at| of(*at)).collect();
        parts.join(between)
    }

    fn has_key(&self) -> String {
        self.keys(|at| format!("c{at} IS NOT NULL"), " AND ")
    }

    fn same_key(&self) -> String {
        self.keys(|at| format!("b.c{at} = g.c{at}"), " AND ")
    }

    fn differs(&self) -> String {
        let parts: Vec<String> = (0..self.columns.len())
            .filter(|at| !self.key.contains(at))
            .map(|at| format!("b.c{at} IS DISTINCT FROM g.c{at}"))
            .collect();
        match parts.is_empty() {
            true => "FALSE".to_owned(),
            false => format!("({})", parts.join(" OR ")),
        }
    }

    /// What is counted of the columns of each side.
    fn statistics(&self, measured: bool) -> Vec<String> {
        let mut parts = Vec::new();
        for (at, column) in self.columns.iter().enumerate() {
            if self.columns.len() <= MOST_COUNTED {
                parts.push(format!("count(*) FILTER (WHERE c{at} IS NULL)"));
            }
            if measured && self.columns.len() <= MOST_MEASURED {
                parts.push(format!("count(DISTINCT c{at})"));
                if column.is_measurable {
                    parts.push(format!("min(c{at})"));
                    parts.push(format!("max(c{at})"));
                }
            }
        }
        parts
    }
}

/// `(SELECT parts AS p0, p1 … FROM from) AS name`
fn aggregated(name: &str, parts: &[String], from: &str) -> String {
    let parts = parts.iter().enumerate();
    let parts: Vec<String> = parts
        .map(|(at, part)| format!("({part})::text AS {name}{at}"))
        .collect();
    format!("(SELECT {} FROM {from}) AS {name}", parts.join(", "))
}

/// Counts the rows of both sides.
#[must_use]
pub fn counts(both: &Both<'_>) -> Statement {
    let filter = both.filter();
    counted("data diff counts", &[&both.blue, &both.green], &filter)
}

/// Counts the rows of relations, in one statement and so at one moment.
#[must_use]
pub fn rows(relations: &[&Qualified<'_>]) -> Statement {
    counted("count rows", relations, "")
}

fn counted(label: &'static str, relations: &[&Qualified<'_>], filter: &str) -> Statement {
    let counts: Vec<String> = relations
        .iter()
        .map(|name| format!("(SELECT count(*) FROM {name}{filter})::text"))
        .collect();
    Statement::new(label, format!("SELECT {}", counts.join(", ")))
}

/// Counts, of each side, the values of the key that several rows have. Asked before anything is joined by it.
#[must_use]
pub fn duplicates(both: &Both<'_>) -> Statement {
    let of = |side: &str| {
        format!(
            "(SELECT count(*) FROM ({}) AS d)::text",
            repeated(both, side)
        )
    };
    let (sides, blue, green) = (both.sides(), of("b"), of("g"));
    Statement::new("data diff key", format!("{sides} SELECT {blue}, {green}"))
}

fn repeated(both: &Both<'_>, side: &str) -> String {
    let keys = both.keys(|at| format!("c{at}"), ", ");
    let has_key = both.has_key();
    format!("SELECT 1 FROM {side} WHERE {has_key} GROUP BY {keys} HAVING count(*) > 1")
}

/// Compares both sides, by the key where there is one and else row by row. `measured` asks for distinct values and
/// the smallest and largest. [`compared`] reads the answer.
#[must_use]
pub fn comparison(both: &Both<'_>, measured: bool) -> Statement {
    let all = both.each(|at| format!("c{at}"), ", ");
    let mut parts: Vec<String> = Vec::new();
    // Whole rows: all of them, or those without a key.
    let whole = |from: &str, other: &str, only: &str| {
        format!(
            "SELECT count(*) FROM (SELECT {all} FROM {from}{only} EXCEPT ALL SELECT {all} FROM {other}{only}) AS x"
        )
    };
    let only = match both.key.is_empty() {
        true => String::new(),
        false => format!(" WHERE NOT ({})", both.has_key()),
    };
    parts.push(format!("({})", whole("b", "g", &only)));
    parts.push(format!("({})", whole("g", "b", &only)));
    if !both.key.is_empty() {
        for side in ["b", "g"] {
            parts.push(format!("(SELECT count(*) FROM {side}{only})"));
            let repeated = repeated(both, side);
            parts.push(format!("(SELECT count(*) FROM ({repeated}) AS d)"));
        }
    }
    let parts: Vec<String> = parts
        .into_iter()
        .enumerate()
        .map(|(at, part)| format!("{part}::text AS w{at}"))
        .collect();
    let mut from = vec![format!("(SELECT {}) AS w", parts.join(", "))];
    for (name, side) in [("s", "b"), ("t", "g")] {
        let mut parts = vec!["count(*)".to_owned()];
        parts.extend(both.statistics(measured));
        from.push(aggregated(name, &parts, side));
    }
    if !both.key.is_empty() {
        let first = both.key.first().copied().unwrap_or_default();
        let (has_key, same) = (both.has_key(), both.same_key());
        let is_both = format!("b.c{first} IS NOT NULL AND g.c{first} IS NOT NULL");
        let counted = |what: String| format!("count(*) FILTER (WHERE {what})");
        let mut parts = vec![
            counted(format!("g.c{first} IS NULL")),
            counted(format!("b.c{first} IS NULL")),
            counted(format!("{is_both} AND {}", both.differs())),
        ];
        for at in (0..both.columns.len()).filter(|at| !both.key.contains(at)) {
            parts.push(counted(format!(
                "{is_both} AND b.c{at} IS DISTINCT FROM g.c{at}"
            )));
        }
        let joined = format!(
            "(SELECT * FROM b WHERE {has_key}) AS b FULL OUTER JOIN (SELECT * FROM g WHERE {has_key}) AS g ON {same}"
        );
        from.push(aggregated("j", &parts, &joined));
    }
    let (sides, from) = (both.sides(), from.join(" CROSS JOIN "));
    Statement::new("data diff rows", format!("{sides} SELECT * FROM {from}"))
}

/// The numbers of one column on one side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// NULLs.
    pub nulls: Option<u64>,
    /// Distinct values, NULL left out.
    pub distinct: Option<u64>,
    /// The smallest and largest value, where they were asked for.
    pub range: Option<[Option<String>; 2]>,
}

/// What a comparison answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Rows of the old and the new side.
    pub rows: [u64; 2],
    /// Rows without a key, on each side; `None` where there is no key.
    pub keyless: Option<[u64; 2]>,
    /// Values of the key that several rows have, on each side.
    pub duplicates: [u64; 2],
    /// Rows that only the old side has.
    pub lost: u64,
    /// Rows that only the new side has.
    pub added: u64,
    /// Rows of the same key that differ.
    pub changed: Option<u64>,
    /// In how many of them each column differs; `None` of the key's.
    pub by_column: Vec<Option<u64>>,
    /// Of each column, the old side's numbers and the new one's.
    pub statistics: Vec<[Statistics; 2]>,
}

/// Reads the answer to [`comparison`].
///
/// # Errors
/// [`MaterializeError::Unexpected`] when it is none.
pub fn compared(
    both: &Both<'_>,
    measured: bool,
    answer: Vec<Option<String>>,
) -> Result<Compared, MaterializeError> {
    let mut answer = answer.into_iter();
    let mut next = || answer.next().ok_or_else(no_number);
    let number = |text: Option<String>| -> Result<u64, MaterializeError> {
        text.and_then(|text| text.parse().ok())
            .ok_or_else(no_number)
    };
    let (mut lost, mut added) = (number(next()?)?, number(next()?)?);
    let (mut keyless, mut duplicates) = (None, [0, 0]);
    if !both.key.is_empty() {
        let [b, bd, g, gd] = [next()?, next()?, next()?, next()?];
        keyless = Some([number(b)?, number(g)?]);
        duplicates = [number(bd)?, number(gd)?];
    }
    let mut rows = [0, 0];
    let mut sides: [Vec<Statistics>; 2] = [Vec::new(), Vec::new()];
    for (rows, side) in rows.iter_mut().zip(&mut sides) {
        *rows = number(next()?)?;
        for column in both.columns {
            let mut one = Statistics::default();
            if both.columns.len() <= MOST_COUNTED {
                one.nulls = Some(number(next()?)?);
            }
            if measured && both.columns.len() <= MOST_MEASURED {
                one.distinct = Some(number(next()?)?);
                if column.is_measurable {
                    one.range = Some([next()?, next()?]);
                }
            }
            side.push(one);
        }
    }
    let (mut changed, mut by_column) = (None, vec![None; both.columns.len()]);
    if !both.key.is_empty() {
        lost += number(next()?)?;
        added += number(next()?)?;
        changed = Some(number(next()?)?);
        for (at, column) in by_column.iter_mut().enumerate() {
            if !both.key.contains(&at) {
                *column = Some(number(next()?)?);
            }
        }
    }
    let [blue, green] = sides;
    let statistics = blue.into_iter().zip(green).map(<[Statistics; 2]>::from);
    Ok(Compared {
        rows,
        keyless,
        duplicates,
        lost,
        added,
        changed,
        by_column,
        statistics: statistics.collect(),
    })
}

/// Some rows of one kind: the columns in `shown` of the old side, then those of the new one; of a lost or an added
/// row only its own side's. `None` where there is no such question: without a key no row is changed.
#[must_use]
pub fn sample(both: &Both<'_>, kind: Kind, shown: &[usize], most: u32) -> Option<Statement> {
    let cut = |side: &str| {
        let columns: Vec<String> = shown
            .iter()
            .map(|at| format!("left({side}.c{at}::text, {LONGEST_VALUE})"))
            .collect();
        columns.join(", ")
    };
    let all = both.each(|at| format!("c{at}"), ", ");
    let (side, other) = match kind {
        Kind::Changed | Kind::Lost => ("b", "g"),
        Kind::Added => ("g", "b"),
    };
    let from = match (kind, both.key.is_empty()) {
        (Kind::Changed, true) => return None,
        (Kind::Changed, false) => {
            let (old, new, same) = (cut("b"), cut("g"), both.same_key());
            let differs = both.differs();
            format!("{old}, {new} FROM b JOIN g ON {same} WHERE {differs}")
        }
        (Kind::Lost | Kind::Added, true) => {
            let columns = cut("x");
            format!(
                "{columns} FROM (SELECT {all} FROM {side} EXCEPT ALL SELECT {all} FROM {other}) AS x"
            )
        }
        (Kind::Lost | Kind::Added, false) => {
            let (columns, same) = (cut(side), both.same_key());
            format!("{columns} FROM {side} WHERE NOT EXISTS (SELECT 1 FROM {other} WHERE {same})")
        }
    };
    let sides = both.sides();
    let sql = format!("{sides} SELECT {from} LIMIT {most}");
    Some(Statement::new("data diff sample", sql))
}

/// The rows of one of the statements above, on this cluster, within this time.
///
/// # Errors
/// See [`MaterializeError`]; the session is of no use after any.
pub async fn ask(
    session: &Session,
    statement: &Statement,
    cluster: &str,
    timeout: Duration,
) -> Result<Vec<Vec<Option<String>>>, MaterializeError> {
    let set = |sql: String| Statement::new("data diff session", sql);
    let milliseconds = Literal(&format!("{}ms", timeout.as_millis().max(1))).to_string();
    let cluster = Ident(cluster);
    for sql in [
        format!("SET cluster = {cluster}"),
        format!("SET statement_timeout = {milliseconds}"),
        // A condition may hold anything that is one expression.
        "BEGIN TRANSACTION READ ONLY".to_owned(),
    ] {
        session.execute(&set(sql)).await?;
    }
    let rows = session.query_within(statement, timeout).await?;
    session.execute(&set("ROLLBACK".to_owned())).await?;
    rows.iter()
        .map(|row| {
            let columns = 0..row.len();
            let texts = columns.map(|at| super::catalog::optional(row, LABEL, at));
            texts.collect()
        })
        .collect()
}

#[cfg(test)]
mod tests;
