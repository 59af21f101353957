//! Steering by SQL: faults in the statements of clients, outages, and a log of statements.
//!
//! The tables of schema `mz_sandbox` (see `tests/sandbox/README.md`) are plain tables that any role may change. The
//! front reads faults and settings again after each statement that mentions `mz_sandbox`; the other tables are read by
//! the catalog's own views. Statements that mention `mz_sandbox` are exempt from faults, so steering always works.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use regex::Regex;
use tokio::sync::watch;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::costs::{Costs, Priced};
use crate::engine::row_of;
use crate::lexer::literal;

/// What a fault does to a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Answer this SQLSTATE instead of executing.
    Error(String),
    /// Wait first.
    Delay(Duration),
    /// Wait until the fault's row is gone.
    Hang,
    /// Drop the connection without executing.
    CutBefore,
    /// Execute, then drop the connection without an answer.
    CutAfter,
    /// Execute, then wait until the fault's row is gone before answering.
    HangAfter,
    /// Drop all connections and refuse new ones for a while.
    Outage(Duration),
}

#[derive(Debug, Clone)]
struct Fault {
    pattern: Regex,
    application_name: Option<String>,
    nth: u64,
    times: Option<u64>,
    action: Action,
}

#[derive(Debug, Default)]
struct State {
    faults: BTreeMap<i64, Fault>,
    hits: BTreeMap<i64, u64>,
    logging: bool,
    costs: Option<Costs>,
    outage_until: Option<Instant>,
}

/// Rows kept in `mz_sandbox.statements`.
const LOG_LIMIT: u64 = 20_000;

/// The steering of one sandbox.
pub struct Steering {
    client: Client,
    state: Mutex<State>,
    /// Changes whenever faults have been read again.
    changed: watch::Sender<u64>,
    /// Changes at each outage: sessions end.
    outages: watch::Sender<u64>,
    /// How many statements have been held so far.
    held: watch::Sender<u64>,
    logged: std::sync::atomic::AtomicU64,
}

impl Steering {
    /// Steering over a connection of its own.
    pub fn new(client: Client) -> Self {
        let (changed, _) = watch::channel(0);
        let (outages, _) = watch::channel(0);
        let (held, _) = watch::channel(0);
        Self {
            client,
            state: Mutex::default(),
            changed,
            outages,
            held,
            logged: std::sync::atomic::AtomicU64::new(0),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of outages.
    pub fn outages(&self) -> watch::Receiver<u64> {
        self.outages.subscribe()
    }

    /// Tells how many statements have been held so far, whenever one more is.
    pub fn held(&self) -> watch::Receiver<u64> {
        self.held.subscribe()
    }

    /// Whether new connections are refused right now.
    pub fn is_out(&self) -> bool {
        self.state()
            .outage_until
            .is_some_and(|until| Instant::now() < until)
    }

    /// Begins an outage.
    pub fn begin_outage(&self, duration: Duration) {
        self.state().outage_until = Some(Instant::now() + duration);
        self.outages.send_modify(|n| *n += 1);
    }

    /// Reads faults and settings again. A pattern that is no regular expression is ignored with a warning.
    pub async fn reload(&self) {
        let query = "SELECT 'fault', id, pattern, application_name, nth, times, action, argument FROM mz_sandbox.faults; \
                     SELECT 'setting', name, value FROM mz_sandbox.settings";
        let messages = match self.client.simple_query(query).await {
            Ok(messages) => messages,
            Err(error) => {
                tracing::warn!(%error, "the steering tables could not be read");
                return;
            }
        };
        let mut faults = BTreeMap::new();
        let mut logging = false;
        let mut costs = None;
        for message in messages {
            let SimpleQueryMessage::Row(row) = message else {
                continue;
            };
            if row.get(0) == Some("setting") {
                let value = row.get(2).unwrap_or_default();
                match row.get(1) {
                    Some("log_statements") => logging = value == "on",
                    Some("costs") => costs = costs_of(value),
                    Some(name) => tracing::warn!(name, "a setting that is not known"),
                    None => {}
                }
                continue;
            }
            let number = |at: usize| row.get(at).and_then(|v| v.parse::<u64>().ok());
            let argument = row.get(7).unwrap_or_default();
            let duration = || Duration::from_millis(argument.trim().parse().unwrap_or(1000));
            let action = match row.get(6).unwrap_or_default() {
                "error" => Action::Error(if argument.is_empty() {
                    "XX000".into()
                } else {
                    argument.to_owned()
                }),
                "delay" => Action::Delay(duration()),
                "hang" => Action::Hang,
                "cut_before" => Action::CutBefore,
                "cut_after" => Action::CutAfter,
                "hang_after" => Action::HangAfter,
                _ => Action::Outage(duration()),
            };
            let pattern = match Regex::new(row.get(2).unwrap_or_default()) {
                Ok(pattern) => pattern,
                Err(error) => {
                    tracing::warn!(%error, "a fault's pattern is not a regular expression");
                    continue;
                }
            };
            let id = row.get(1).and_then(|v| v.parse().ok()).unwrap_or(0);
            let application_name = row.get(3).map(str::to_owned);
            faults.insert(
                id,
                Fault {
                    pattern,
                    application_name,
                    nth: number(4).unwrap_or(1),
                    times: number(5),
                    action,
                },
            );
        }
        {
            let mut state = self.state();
            state.hits.retain(|id, _| faults.contains_key(id));
            state.faults = faults;
            state.logging = logging;
            state.costs = costs;
        }
        self.changed.send_modify(|n| *n += 1);
    }

    /// Counts a statement against the faults; the first one due is returned with its id.
    pub async fn strike(&self, application_name: &str, sql: &str) -> Option<(i64, Action)> {
        let mut struck = Vec::new();
        let due = {
            let mut state = self.state();
            if state.faults.is_empty() || exempt(sql) {
                return None;
            }
            let State { faults, hits, .. } = &mut *state;
            let mut due = None;
            for (id, fault) in faults {
                if fault
                    .application_name
                    .as_ref()
                    .is_some_and(|name| name != application_name)
                    || !fault.pattern.is_match(sql)
                {
                    continue;
                }
                let hit = hits.entry(*id).or_default();
                *hit += 1;
                struck.push((*id, *hit));
                let last = fault.times.map(|times| fault.nth + times);
                if due.is_none() && *hit >= fault.nth && last.is_none_or(|last| *hit < last) {
                    due = Some((*id, fault.action.clone()));
                }
            }
            due
        };
        if !struck.is_empty() {
            let updates: Vec<_> = struck
                .iter()
                .map(|(id, hit)| {
                    format!("UPDATE mz_sandbox.faults SET hits = {hit} WHERE id = {id}")
                })
                .collect();
            if let Err(error) = self.client.batch_execute(&updates.join(";")).await {
                tracing::warn!(%error, "hits of faults were not recorded");
            }
        }
        due
    }

    /// Waits until a fault's row is gone; meanwhile the row says that a statement is held.
    pub async fn gone(&self, id: i64) {
        let held = format!("UPDATE mz_sandbox.faults SET held = held + 1 WHERE id = {id}");
        if let Err(error) = self.client.batch_execute(&held).await {
            tracing::warn!(%error, "a held statement was not recorded");
        }
        self.held.send_modify(|n| *n += 1);
        let mut changed = self.changed.subscribe();
        while self.state().faults.contains_key(&id) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether statements are logged.
    pub fn is_logging(&self) -> bool {
        self.state().logging
    }

    /// What statements cost right now.
    pub fn costs(&self) -> Option<Costs> {
        self.state().costs
    }

    /// Logs a statement if logging is on, with its price as it is charged now (at factor 1 where none is).
    pub async fn log(
        &self,
        application_name: &str,
        role: &str,
        sql: &str,
        priced: Option<&Priced>,
    ) {
        if !self.state().logging || exempt(sql) {
            return;
        }
        let factor = self.costs().map_or(1.0, |costs| costs.factor);
        let class = match priced {
            Some(priced) => format!(
                "{}, {}, {}, {}",
                literal(priced.class.word()),
                literal(&priced.kind),
                literal(priced.reads),
                priced.ms * factor
            ),
            None => "NULL, NULL, NULL, NULL".to_owned(),
        };
        let mut insert = format!(
            "INSERT INTO mz_sandbox.statements (application_name, role, sql, class, kind, reads, cost_ms) VALUES ({}, {}, {}, {class})",
            literal(application_name),
            literal(role),
            literal(sql)
        );
        if self
            .logged
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
            % 1000
            == 999
        {
            insert.push_str(&format!("; DELETE FROM mz_sandbox.statements WHERE id <= (SELECT max(id) - {LOG_LIMIT} FROM mz_sandbox.statements)"));
        }
        if let Err(error) = self.client.batch_execute(&insert).await {
            tracing::warn!(%error, "a statement was not logged");
        }
    }

    /// Lists a session in `mz_sessions`, or no longer.
    pub async fn list_session(&self, session: i32, role: Option<&str>) {
        let change = match role {
            Some(role) => format!(
                "INSERT INTO mz_base.sessions (pid, role_id) VALUES ({session}, {}) ON CONFLICT (pid) DO NOTHING",
                literal(role)
            ),
            None => format!(
                "DELETE FROM mz_base.sessions WHERE pid = {session}; DELETE FROM mz_base.subscriptions WHERE pid = {session}"
            ),
        };
        if let Err(error) = self.client.batch_execute(&change).await {
            tracing::warn!(%error, "a session was not listed");
        }
    }

    /// Lists a SUBSCRIBE in `mz_subscriptions`.
    pub async fn list_subscription(
        &self,
        session: i32,
        cursor: &str,
        cluster: &str,
        objects: &[String],
    ) {
        let objects: Vec<_> = objects.iter().map(|id| literal(id)).collect();
        let insert = format!(
            "INSERT INTO mz_base.subscriptions (pid, cursor, cluster_id, objects) VALUES ({session}, {}, {}, ARRAY[{}]::text[])",
            literal(cursor),
            literal(cluster),
            objects.join(", ")
        );
        if let Err(error) = self.client.batch_execute(&insert).await {
            tracing::warn!(%error, "a subscription was not listed");
        }
    }

    /// Takes one SUBSCRIBE of a session off the list, or all of them.
    pub async fn forget_subscriptions(&self, session: i32, cursor: Option<&str>) {
        let mut delete = format!("DELETE FROM mz_base.subscriptions WHERE pid = {session}");
        if let Some(cursor) = cursor {
            delete.push_str(&format!(" AND cursor = {}", literal(cursor)));
        }
        if let Err(error) = self.client.batch_execute(&delete).await {
            tracing::warn!(%error, "a subscription was not taken off the list");
        }
    }

    /// How far an object has come; none if there is no such object.
    pub async fn frontier(&self, id: &str) -> Option<u64> {
        let query = format!(
            "SELECT write_frontier::text FROM mz_internal.mz_frontiers WHERE object_id = {}",
            literal(id)
        );
        let messages = self.client.simple_query(&query).await.ok()?;
        messages.iter().find_map(row_of)?.get(0)?.parse().ok()
    }

    /// The status of a sink.
    pub async fn sink_status(&self, id: &str) -> Option<String> {
        let query = format!(
            "SELECT status FROM mz_internal.mz_sink_statuses WHERE id = {}",
            literal(id)
        );
        let messages = self.client.simple_query(&query).await.ok()?;
        messages.iter().find_map(row_of)?.get(0).map(str::to_owned)
    }
}

/// The setting `costs`: `off`, or a factor.
fn costs_of(value: &str) -> Option<Costs> {
    if value == "off" {
        return None;
    }
    let factor = value.parse().ok();
    let factor = factor.filter(|factor: &f64| factor.is_finite() && *factor > 0.0);
    if factor.is_none() {
        tracing::warn!(value, "the setting `costs` is neither `off` nor a factor");
    }
    factor.map(|factor| Costs {
        factor,
        readiness: false,
    })
}

/// Whether a statement steers, and is therefore never struck or logged.
pub fn exempt(sql: &str) -> bool {
    sql.contains("mz_sandbox")
}
