//! Cursors: plain ones live in PostgreSQL; a SUBSCRIBE is a query that is run again until its rows differ.

use std::time::{Duration, Instant};

use super::execute::Answer;
use super::subscription::Subscription;
use super::transaction::{Mode, Use};
use super::{Session, Stop};
use crate::costs::prices;
use crate::failure::SqlError;
use crate::lexer::quote;
use crate::statement::{Statement, Subscribe};
use crate::wire::Rows;

/// A declared cursor.
#[derive(Debug, Clone)]
pub(super) enum Cursor {
    /// In the backend's transaction.
    Plain,
    /// A SUBSCRIBE.
    Subscribe(Box<Subscription>),
}

/// How often a subscribed query is run while nothing changes.
const POLL: Duration = Duration::from_millis(40);

fn unknown(name: &str) -> SqlError {
    SqlError::new("34000", format!("cursor {name:?} does not exist"))
}

impl Session {
    pub(super) async fn declare(
        &mut self,
        name: &str,
        subscribe: Option<&Subscribe>,
        query: &str,
    ) -> Result<Answer, Stop> {
        if self.transaction.as_ref().is_none_or(|t| !t.explicit) {
            return Err(SqlError::new(
                "25P01",
                "DECLARE CURSOR can only be used in transaction blocks",
            )
            .into());
        }
        let cursor = match subscribe {
            Some(clauses) => {
                let subscription = self.subscription(name, clauses, query).await?;
                Cursor::Subscribe(Box::new(subscription))
            }
            None => {
                let (catalog, rewritten) = self.resolve(query)?;
                self.admit(&Statement::Query, query, &catalog, &rewritten)
                    .await?;
                self.backend
                    .query(&format!(
                        "DECLARE {} CURSOR FOR {}",
                        quote(name),
                        rewritten.sql
                    ))
                    .await??;
                Cursor::Plain
            }
        };
        self.cursors.insert(name.to_owned(), cursor);
        Ok(Answer::tag("DECLARE CURSOR"))
    }

    /// Names are resolved once: a SUBSCRIBE goes on with what it reads, whatever it is called later.
    async fn subscription(
        &mut self,
        name: &str,
        clauses: &Subscribe,
        query: &str,
    ) -> Result<Subscription, Stop> {
        let (catalog, rewritten) = self.resolve(query)?;
        if let Some(transaction) = &mut self.transaction {
            transaction.admit(Use::Read, query)?;
            transaction.mode = Mode::Read(None);
        }
        self.settle().await?;
        // What is wrong with the query is said now. Where the transaction already reads, it goes on unharmed.
        let plain = format!("SELECT * FROM ({}) q LIMIT 0", rewritten.sql);
        let columns = self.backend.query(&plain).await??.columns;
        let subscription = Subscription::new(clauses, &rewritten, &catalog, &columns)?;
        let cluster = catalog
            .cluster(self.variables.known("cluster"))
            .map_or_else(|_| String::new(), |cluster| cluster.id.to_string());
        let ids: Vec<_> = rewritten.objects.iter().map(ToString::to_string).collect();
        self.engine
            .steering
            .list_subscription(self.backend.pid, name, &cluster, &ids)
            .await;
        Ok(subscription)
    }

    pub(super) async fn close_cursor(&mut self, name: &str) -> Result<Answer, Stop> {
        match self.cursors.remove(name) {
            None => return Err(unknown(name).into()),
            Some(Cursor::Plain) => {
                self.backend
                    .query(&format!("CLOSE {}", quote(name)))
                    .await??;
            }
            Some(Cursor::Subscribe(_)) => {
                self.engine
                    .steering
                    .forget_subscriptions(self.backend.pid, Some(name))
                    .await;
            }
        }
        Ok(Answer::tag("CLOSE CURSOR"))
    }

    /// The end of the transaction is the end of its cursors.
    pub(super) async fn forget_cursors(&mut self) {
        let subscribed = |cursor: &Cursor| matches!(cursor, Cursor::Subscribe(_));
        if self.cursors.values().any(subscribed) {
            self.engine
                .steering
                .forget_subscriptions(self.backend.pid, None)
                .await;
        }
        self.cursors.clear();
    }

    pub(super) async fn fetch(
        &mut self,
        name: &str,
        count: Option<usize>,
        timeout_ms: Option<u64>,
    ) -> Result<Answer, Stop> {
        let Some(cursor) = self.cursors.get(name).cloned() else {
            return Err(unknown(name).into());
        };
        let rows = match cursor {
            Cursor::Plain => {
                let count = count.map_or_else(|| "ALL".to_owned(), |n| n.to_string());
                self.backend
                    .query(&format!("FETCH {count} FROM {}", quote(name)))
                    .await??
            }
            Cursor::Subscribe(mut subscription) => {
                let deadline = timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
                loop {
                    if let Some(tick) = subscription.tick {
                        let until = deadline.map_or(tick, |d| tick.min(d));
                        self.wait(tokio::time::sleep_until(until.into())).await?;
                    }
                    subscription.tick = self.tick();
                    subscription.check(&self.engine.catalog())?;
                    let rows = self.run_subscribed(&mut subscription).await?;
                    subscription.take(rows.rows);
                    if subscription.has_news() || deadline.is_some_and(|d| Instant::now() >= d) {
                        break;
                    }
                    self.wait(tokio::time::sleep(POLL)).await?;
                }
                let rows = subscription.drain(count);
                self.cursors
                    .insert(name.to_owned(), Cursor::Subscribe(subscription));
                rows
            }
        };
        let tag = format!("FETCH {}", rows.rows.len());
        Ok(Answer {
            rows: Some(rows),
            ..Answer::tag(tag)
        })
    }

    /// The next moment at which a SUBSCRIBE says something; none while statements cost nothing. It comes every second
    /// on a slow server too.
    fn tick(&self) -> Option<Instant> {
        let factor = self.engine.steering.costs()?.factor.min(1.0);
        Some(Instant::now() + Duration::from_secs_f64(prices::TICK * factor / 1000.0))
    }

    async fn run_subscribed(&mut self, subscription: &mut Subscription) -> Result<Rows, Stop> {
        self.settle().await?;
        let sql = &subscription.sql;
        let name = match &subscription.prepared {
            Some((name, prepared)) if prepared == sql => name.clone(),
            Some(_) | None => {
                self.next_statement += 1;
                let name = quote(&format!("subscription {}", self.next_statement));
                let prepare = format!("PREPARE {name} AS {sql}");
                self.backend.query(&prepare).await??;
                subscription.prepared = Some((name.clone(), sql.clone()));
                name
            }
        };
        Ok(self.backend.query(&format!("EXECUTE {name}")).await??)
    }
}
