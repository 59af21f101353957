//! Unit tests of what is built: each one query of constants, asked as soon as the columns are known. Nothing is made
//! for them, and they read nothing of production's.

use super::{Build, Worked};
use crate::adapters::materialize::unit_test::{CLUSTER, SHOWN};
use crate::adapters::materialize::{Materialize, MaterializeError, Session, native_ddl};
use crate::domain::progress::Progress;
use crate::foundation::failure::{Class, Classify};
use crate::inputs::manifest::run_results::Status;
use crate::inputs::manifest::{Manifest, UnitTest};
use crate::operations::ci::choice::Relations;
use crate::operations::ci::error::CiError;
use crate::operations::ci::report::{Report, TestReport};
use crate::operations::describe::{Described, said};
use crate::planning::recipe::unit_test::{Around, Columns, Unit, Without};
use std::collections::BTreeMap;
use std::time::Instant;
use tokio_postgres::SimpleQueryRow;
use tokio_util::sync::CancellationToken;

impl Build<'_> {
    /// Runs the unit tests that are chosen, and puts what became of them into the report.
    ///
    /// # Errors
    /// The server's, when it does not answer; [`CiError::Interrupted`]. A test that fails, or that the server refuses,
    /// is none.
    pub(super) async fn unit_tests(
        &self,
        materialize: &Materialize,
        worked: &Worked,
        described: &Described,
        report: &mut Report,
        stop: &CancellationToken,
    ) -> Result<(), CiError> {
        let manifest = &worked.proposal.parsed.manifest;
        let chosen = worked.choice.tests.iter();
        let chosen: Vec<&UnitTest> = chosen
            .filter_map(|id| manifest.unit_tests.get(id))
            .collect();
        let relations = Relations::of(&worked.proposal.catalog);
        let columns = |id: &str| columns_of(id, worked, described, &relations);
        let around = Around {
            manifest,
            database: &worked.proposal.catalog.database,
            sql: &worked.compiled.sql,
            asking: &worked.compiled.asking,
            columns: &columns,
        };
        let mut ready = Vec::new();
        for test in chosen {
            let model = test.depends_on.nodes.first();
            let is_wrong = |id: &&String| {
                described.failed.contains_key(*id) || described.skipped.contains_key(*id)
            };
            if let Some(model) = model.filter(is_wrong) {
                let why = format!("waits for {model}");
                report.tests.push(of(test, Status::Skipped, Some(why)));
                continue;
            }
            match around.query(test) {
                Ok(unit) => ready.push((test, unit)),
                Err(Without::NotRun(why)) => {
                    report.not_run.insert(test.unique_id.clone(), why);
                }
                Err(Without::Wrong(why)) => {
                    report.tests.push(of(test, Status::Error, Some(why)));
                }
            }
        }
        if !ready.is_empty() {
            let ended = self.ask(materialize, &ready, stop).await?;
            report.tests.extend(ended);
        }
        report.tests.sort_by(|a, b| a.unique_id.cmp(&b.unique_id));
        Ok(())
    }

    /// Asks one after the other: constants are answered at once.
    async fn ask(
        &self,
        materialize: &Materialize,
        ready: &[(&UnitTest, Unit)],
        stop: &CancellationToken,
    ) -> Result<Vec<TestReport>, CiError> {
        let limit = self.release.settings.materialize.statement_timeout.0;
        let session = materialize.own_session_within(limit).await?;
        session.execute(&native_ddl::set_cluster(CLUSTER)).await?;
        let mut ended = Vec::with_capacity(ready.len());
        for (at, (test, unit)) in ready.iter().enumerate() {
            if stop.is_cancelled() {
                return Err(CiError::Interrupted(self.request.name.to_string()));
            }
            let began = Instant::now();
            let (status, message, failures) = one(&session, unit).await?;
            let seconds = began.elapsed().as_secs_f64();
            self.reporter.send(Progress::Node {
                unique_id: test.unique_id.clone(),
                status: status.as_str().to_owned(),
                done: at + 1,
                total: ready.len(),
                seconds: Some(seconds),
            });
            ended.push(TestReport {
                failures,
                seconds,
                ..of(test, status, message)
            });
        }
        Ok(ended)
    }
}

type Found = (Status, Option<String>, Option<u64>);

async fn one(session: &Session, unit: &Unit) -> Result<Found, MaterializeError> {
    match session.simple(&unit.statement).await {
        Ok(rows) => Ok(verdict(&unit.columns, rows.iter().map(fields).collect())),
        // What the server says of a test is its result.
        Err(error) if error.class() == Class::Permanent => {
            Ok((Status::Error, Some(said(&error)), None))
        }
        Err(error) => Err(error),
    }
}

fn fields(row: &SimpleQueryRow) -> Vec<Option<String>> {
    let fields = (0..row.len()).map(|at| row.try_get(at).ok().flatten());
    fields.map(|field| field.map(str::to_owned)).collect()
}

/// What rows that differ mean: each begins with its side. No more than [`SHOWN`] are told.
fn verdict(columns: &[String], mut rows: Vec<Vec<Option<String>>>) -> Found {
    if rows.is_empty() {
        return (Status::Pass, None, None);
    }
    let is_all = rows.len() <= SHOWN;
    rows.truncate(SHOWN);
    // What belongs together stands together: equal beginnings, what is missing before what is too much.
    rows.sort_by(|a, b| (a.get(1..), b.first()).cmp(&(b.get(1..), a.first())));
    let count = rows.len();
    let mut message = match (is_all, count) {
        (true, 1) => "1 row differs".to_owned(),
        (true, _) => format!("{count} rows differ"),
        (false, _) => format!("more than {count} rows differ"),
    };
    message.push_str(" (- is missing, + is not expected):\n  ");
    message.push_str(&columns.join(" | "));
    for row in rows {
        let mut fields = row.into_iter().map(|field| match field {
            // One row, one line.
            Some(text) => text.replace('\r', "\\r").replace('\n', "\\n"),
            None => "NULL".to_owned(),
        });
        let side = fields.next().unwrap_or_default();
        let fields: Vec<String> = fields.collect();
        message.push_str(&format!("\n{side} {}", fields.join(" | ")));
    }
    let failures = is_all.then(|| u64::try_from(count).unwrap_or(u64::MAX));
    (Status::Fail, Some(message), failures)
}

fn of(test: &UnitTest, status: Status, message: Option<String>) -> TestReport {
    TestReport {
        unique_id: test.unique_id.clone(),
        file: test.original_file_path.clone(),
        model: test.depends_on.nodes.first().cloned(),
        status: status.as_str().to_owned(),
        message,
        failures: None,
        seconds: 0.0,
    }
}

/// The columns of a relation: as it was described where it is built, as it is live otherwise.
fn columns_of(
    id: &str,
    worked: &Worked,
    described: &Described,
    relations: &Relations<'_>,
) -> Option<Columns> {
    if worked.choice.nodes.contains_key(id) {
        let columns = described.columns.get(id)?.iter();
        let columns: Columns = columns
            .map(|column| (column.name.clone(), column.data_type.clone()))
            .collect();
        return (!columns.is_empty()).then_some(columns);
    }
    let (schema, name) = place(&worked.proposal.parsed.manifest, id)?;
    let object = relations.get(schema, name)?;
    in_order(&object.columns, &object.column_order)
}

fn place<'m>(manifest: &'m Manifest, id: &str) -> Option<(&'m str, &'m str)> {
    if let Some(source) = manifest.sources.get(id) {
        return Some((&source.schema, &source.identifier));
    }
    let node = manifest.nodes.get(id)?;
    Some((node.schema.as_deref()?, node.identifier()))
}

/// `None` where nothing is known of them.
fn in_order(types: &BTreeMap<String, String>, order: &[String]) -> Option<Columns> {
    let columns = order.iter().map(|name| {
        let data_type = types.get(name)?;
        Some((name.clone(), data_type.clone()))
    });
    let columns: Columns = columns.collect::<Option<_>>()?;
    (!columns.is_empty()).then_some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[Option<&str>]) -> Vec<Option<String>> {
        fields
            .iter()
            .map(|field| field.map(str::to_owned))
            .collect()
    }

    #[test]
    fn rows_that_differ_are_told_side_by_side() {
        let columns = ["customer".to_owned(), "total".to_owned()];
        assert_eq!(verdict(&columns, Vec::new()), (Status::Pass, None, None));
        let rows = vec![
            row(&[Some("-"), Some("ada"), Some("4")]),
            row(&[Some("-"), Some("a\nb"), None]),
            row(&[Some("+"), Some("ada"), Some("3")]),
        ];
        let (status, message, failures) = verdict(&columns, rows);
        assert_eq!((status, failures), (Status::Fail, Some(3)));
        assert_eq!(
            message.as_deref(),
            Some(
                "3 rows differ (- is missing, + is not expected):\n  customer | total\n- a\\nb | NULL\n+ ada | 3\n- ada | 4"
            )
        );
        let many = vec![row(&[Some("+"), Some("x"), Some("1")]); SHOWN + 1];
        let (_, message, failures) = verdict(&columns, many);
        let message = message.unwrap_or_default();
        assert!(message.starts_with("more than 20 rows differ"), "{message}");
        assert_eq!((message.lines().count(), failures), (SHOWN + 2, None));
    }
}
