//! Tests without dbt: queries on green, several at once, each on the cluster that it is for.

use super::{Journal, Made};
use crate::adapters::materialize::{Materialize, MaterializeError, Session, native_ddl};
use crate::domain::progress::{Progress, Reporter};
use crate::domain::records::deployment::Deployment;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::foundation::sql::identifier::Qualified;
use crate::inputs::manifest::run_results::Status;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::Context;
use crate::planning::recipe::document::TestItem;
use crate::planning::recipe::results::{self, Ended};
use crate::planning::recipe::verdict::Counted;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The most tests that run at once.
const AT_ONCE: usize = 8;

/// Runs the tests of the recipe.
///
/// # Errors
/// The server's; [`DeploymentError::Failed`] names the tests that did not pass.
pub(crate) async fn test(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let recipe = context.builds.recipe(&deployment.plan).await?;
    if recipe.tests.is_empty() {
        return Ok(());
    }
    let refused = store(context, deployment, &recipe.tests).await?;
    let running = Running {
        materialize: context.materialize,
        limit: context.settings.dbt.build_timeout.0,
        database: &deployment.plan.database,
        reporter: &context.reporter,
        interrupted: &|| context.interrupted(deployment),
    };
    let ended = running.all(&recipe.tests, refused).await?;
    let dbt = super::dbt_version(&deployment.plan);
    let document = results::document(&ended, dbt, &deployment.id, "test", Timestamp::now());
    context.builds.write_results("native-test", &document)?;
    let bad = super::bad(&ended);
    if bad.is_empty() {
        return Ok(());
    }
    Err(DeploymentError::Failed(format!(
        "native test: {} of {} tests did not pass:\n  {}",
        bad.len(),
        ended.len(),
        super::shown(&bad)
    )))
}

/// Makes the relations in which tests store their failures, each an effect of its own, as with what is built. Gives
/// what the server said of those that it refused, by unique id.
async fn store(
    context: &Context<'_>,
    deployment: &Deployment,
    tests: &[TestItem],
) -> Result<BTreeMap<String, String>, DeploymentError> {
    let items = || tests.iter().filter_map(|test| test.stored.as_ref());
    let mut refused = BTreeMap::new();
    if items().next().is_none() {
        return Ok(refused);
    }
    let begun = super::begun(context, deployment).await?;
    let present = super::present(context, deployment, items(), &begun).await?;
    let limit = context.settings.dbt.build_timeout.0;
    let session = context.materialize.own_session_within(limit).await?;
    let journal = Journal {
        context,
        deployment,
    };
    for item in items() {
        context.interrupted(deployment)?;
        if super::made_before(item, &begun, &present).is_some() {
            continue;
        }
        let found = present.get(&item.unique_id).copied();
        journal.begin(Some(item)).await?;
        match super::made(context, deployment, &session, item, &begun, found).await? {
            Made::Now(done) => journal.finish(Some((item, done))).await?,
            Made::Refused { message, .. } => {
                refused.insert(item.unique_id.clone(), message);
            }
        }
    }
    Ok(refused)
}

/// What tests are run with.
pub struct Running<'a> {
    /// The server.
    pub materialize: &'a Materialize,
    /// The longest time for one test.
    pub limit: Duration,
    /// The database of relations with stored failures.
    pub database: &'a str,
    /// Whom each end is told.
    pub reporter: &'a Reporter,
    /// Whether to stop, asked before each test.
    pub interrupted: &'a (dyn Fn() -> Result<(), DeploymentError> + Sync),
}

struct Queue<'a> {
    tests: &'a [TestItem],
    /// Why the relation for a test's failures is not there, by unique id.
    refused: BTreeMap<String, String>,
    next: AtomicUsize,
    ended: Mutex<Vec<Ended>>,
}

impl Running<'_> {
    /// Runs tests, several at once, each on the cluster that it is for; gives what became of them, sorted by unique
    /// id. `refused` says why the relation for a test's failures is not there.
    ///
    /// # Errors
    /// The server's, when it does not answer. A test that fails, or that the server refuses, is none.
    pub async fn all(
        &self,
        tests: &[TestItem],
        refused: BTreeMap<String, String>,
    ) -> Result<Vec<Ended>, DeploymentError> {
        let queue = Queue {
            tests,
            refused,
            next: AtomicUsize::new(0),
            ended: Mutex::new(Vec::new()),
        };
        let workers = AT_ONCE.min(tests.len());
        let workers = (0..workers).map(|_| self.work(&queue));
        futures_util::future::try_join_all(workers).await?;
        let mut ended = queue
            .ended
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        ended.sort_by(|a, b| a.unique_id.cmp(&b.unique_id));
        Ok(ended)
    }

    /// Runs one test after the other, over one connection.
    async fn work(&self, queue: &Queue<'_>) -> Result<(), DeploymentError> {
        let session = self.materialize.own_session_within(self.limit).await?;
        let mut on = None;
        loop {
            (self.interrupted)()?;
            let Some(test) = queue.tests.get(queue.next.fetch_add(1, Ordering::Relaxed)) else {
                return Ok(());
            };
            let began = Instant::now();
            let found = match queue.refused.get(&test.unique_id) {
                Some(why) => Ok((Status::Error, Some(why.clone()), None)),
                None => run(&session, test, &mut on).await,
            };
            let (status, message, failures) = match found {
                Ok(found) => found,
                // What the server says of a test is its result, as with dbt.
                Err(error) if error.class() == Class::Permanent => {
                    (Status::Error, Some(with_causes(&error)), None)
                }
                Err(error) => return Err(error.into()),
            };
            let seconds = began.elapsed().as_secs_f64();
            let ended = Ended {
                unique_id: test.unique_id.clone(),
                status,
                message,
                seconds,
                at: Timestamp::now(),
                failures,
                relation: test.stored.as_ref().map(|item| {
                    Qualified::object(self.database, &item.schema, &item.name).to_string()
                }),
                sql: Some(test.query.clone()),
                rows: None,
            };
            let mut all = queue
                .ended
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            all.push(ended);
            self.reporter.send(Progress::Node {
                unique_id: test.unique_id.clone(),
                status: status.as_str().to_owned(),
                done: all.len(),
                total: queue.tests.len(),
                seconds: Some(seconds),
            });
        }
    }
}

type Found = (Status, Option<String>, Option<u64>);

async fn run<'t>(
    session: &Session,
    test: &'t TestItem,
    on: &mut Option<&'t str>,
) -> Result<Found, MaterializeError> {
    if *on != Some(test.cluster.as_str()) {
        session
            .execute(&native_ddl::set_cluster(&test.cluster))
            .await?;
        *on = Some(&test.cluster);
    }
    let query = native_ddl::count_failures(
        &test.query,
        test.limit,
        &test.fail_calc,
        &test.warn_if,
        &test.error_if,
    );
    let rows = session.simple(&query).await?;
    let [row] = rows.as_slice() else {
        let message = format!("the test gave {} rows instead of one", rows.len());
        return Ok((Status::Error, Some(message), None));
    };
    let field = |at| row.try_get(at).ok().flatten();
    Ok(match Counted::read([field(0), field(1), field(2)]) {
        Ok(counted) => {
            let (status, message, failures) = counted.verdict(test);
            (status, message, Some(failures))
        }
        Err(why) => (Status::Error, Some(why), None),
    })
}
