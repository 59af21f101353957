//! What others are to be told: one message for each event of a deployment, each finished run and each drift of
//! production that is another than before, written in the same transaction, so that neither is without the other.
//!
//! Each target has its own progress through the messages. What it was told is recorded afterwards: a
//! process that is killed in between tells it again, and the message's id says that it is the same.

use super::error::StoreError;
use super::lead::Lead;
use super::row::{EventRow, Head, Of};
use super::runs::RunRow;
use super::tables::outbox::Tell;
use super::{Store, now, stamp};
use crate::domain::records::drift::DriftNews;
use crate::domain::records::hold::Hold;
use crate::domain::records::run::Outcome;
use crate::domain::records::subject::Subject;
use crate::domain::records::text::storable;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// Its place among all messages of the journal; gaps mean nothing.
    pub number: i64,
    /// A version 7 UUID, lower case with hyphens; the same however often it is told.
    pub id: String,
    /// The word of the event (`swap_committed`), `run_` and the outcome (`run_released`), `drift_found` or `drift_gone`.
    pub kind: String,
    /// The environment.
    pub environment: String,
    /// The deployment, where it is about one.
    pub deployment_id: Option<String>,
    /// What is told. Of an event: `kind`, `environment`, `deployment`, `state` (after it), `reason`,
    /// `seq`, `at`, `by` (who is behind it), and of a rollback that was asked for `cause`. Of a run: `kind`, `environment`, `run`, `cause`, `outcome`, `deployment`,
    /// `detail`, `revision`, `scheduled_for`, `started_at`, `at`, `by`. Of drift: `kind`, `environment`, `reason`, `since`,
    /// `found`, `at`. Of a person's hold
    /// (`held`, `hold_lifted`): `kind`, `environment`, `reason`, `until`, `at`, `by`.
    pub body: Value,
    /// When it was written.
    pub created_at: Timestamp,
}

/// A message that a target is to be told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Due {
    /// The message.
    pub message: Message,
    /// The target.
    pub target: String,
    /// How often it was tried in vain.
    pub attempts: u32,
}

/// A row of `outbox`, without the number that it gets when it is written.
#[derive(Debug, Clone)]
pub(super) struct MessageRow {
    pub id: String,
    pub kind: String,
    pub environment: String,
    pub deployment_id: Option<String>,
    pub body: String,
    pub created_at: String,
}

/// A row of `outbox` with what is known of its delivery to a target.
#[derive(Debug)]
pub(super) struct DueRow {
    pub number: i64,
    pub row: MessageRow,
    pub target: String,
    pub attempts: u32,
}

/// Which messages are wanted. The times are compared as they are stored.
#[derive(Debug)]
pub(super) struct WantedMessages {
    pub environment: String,
    pub target: String,
    pub not_before: String,
    pub now: String,
    pub limit: u32,
}

/// How telling a target ended.
#[derive(Debug, Clone)]
pub(super) enum Told {
    Delivered {
        at: String,
    },
    Failed {
        error: String,
        next_at: Option<String>,
    },
}

impl MessageRow {
    /// What is told about an event; `head` is the deployment after it.
    pub(super) fn of_event(head: &Head, event: &EventRow) -> Self {
        let mut body = json!({
            "kind": event.kind,
            "environment": head.environment,
            "deployment": head.id,
            "state": event.state_after,
            "reason": head.reason,
            "seq": event.seq,
            "at": event.at,
        });
        if let Some(by) = said(event.by.as_deref()) {
            body["by"] = by;
        }
        // The body is what this process wrote a moment ago.
        let own: Value = serde_json::from_slice(event.body.as_bytes()).unwrap_or_default();
        if let Some(cause) = own.get("cause") {
            body["cause"] = cause.clone();
        }
        // What it says itself is no reason of the state.
        if event.kind == "freeze_overridden"
            && let Some(reason) = own.get("reason")
        {
            body["reason"] = reason.clone();
        }
        Self {
            id: Uuid::now_v7().to_string(),
            kind: event.kind.clone(),
            environment: head.environment.clone(),
            deployment_id: Some(head.id.clone()),
            body: body.to_string(),
            created_at: event.at.clone(),
        }
    }

    /// What is told about drift of production.
    pub(super) fn of_drift(environment: &str, news: &DriftNews, at: &str) -> Self {
        let body = json!({
            "kind": news.kind,
            "environment": environment,
            "reason": news.reason,
            "since": news.since,
            "found": news.found,
            "at": at,
        });
        Self {
            id: Uuid::now_v7().to_string(),
            kind: news.kind.to_owned(),
            environment: environment.to_owned(),
            deployment_id: None,
            body: body.to_string(),
            created_at: at.to_owned(),
        }
    }

    /// What is told about a person's hold: that it began, or that `lifted` lifted it.
    pub(super) fn of_hold(hold: &Hold, lifted: Option<&Subject>, at: &str) -> Self {
        let kind = match lifted {
            None => "held",
            Some(_) => "hold_lifted",
        };
        let body = json!({
            "kind": kind,
            "environment": hold.environment,
            "reason": hold.reason,
            "until": hold.until,
            "at": at,
            "by": lifted.unwrap_or(&hold.by),
        });
        Self {
            id: Uuid::now_v7().to_string(),
            kind: kind.to_owned(),
            environment: hold.environment.clone(),
            deployment_id: None,
            body: body.to_string(),
            created_at: at.to_owned(),
        }
    }

    /// What is told about a run that has ended.
    pub(super) fn of_run(run: &RunRow, outcome: Outcome, at: &str) -> Self {
        let kind = format!("run_{outcome}");
        let mut body = json!({
            "kind": kind,
            "environment": run.environment,
            "run": run.id,
            "cause": run.cause,
            "outcome": outcome,
            "deployment": run.deployment,
            "detail": run.detail,
            "revision": run.revision,
            "scheduled_for": run.scheduled_for,
            "started_at": run.started_at,
            "at": at,
        });
        if let Some(by) = said(run.by.as_deref()) {
            body["by"] = by;
        }
        Self {
            id: Uuid::now_v7().to_string(),
            kind,
            environment: run.environment.clone(),
            deployment_id: run.deployment.clone(),
            body: body.to_string(),
            created_at: at.to_owned(),
        }
    }
}

/// A subject as it is stored, which is JSON.
fn said(by: Option<&str>) -> Option<Value> {
    by.and_then(|text| serde_json::from_slice(text.as_bytes()).ok())
}

impl DueRow {
    fn due(self) -> Result<Due, StoreError> {
        let row = self.row;
        let of = Of {
            record: "message",
            id: &row.id,
        };
        Ok(Due {
            message: Message {
                number: self.number,
                body: of.document("the body", &row.body)?,
                created_at: of.time("created_at", &row.created_at)?,
                id: row.id,
                kind: row.kind,
                environment: row.environment,
                deployment_id: row.deployment_id,
            },
            target: self.target,
            attempts: self.attempts,
        })
    }
}

impl Store {
    /// What each of the targets is to be told now about an environment: up to `limit` messages a
    /// target, in order, that were written at or after `not_before`, were neither delivered nor given
    /// up, and whose next time has come. A message that waits for its next time does not hold up
    /// those after it. A message that a target does not want is [delivered](Self::delivered) without
    /// being sent.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub async fn due(
        &self,
        environment: &str,
        targets: &[&str],
        not_before: Timestamp,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Due>, StoreError> {
        let mut found = Vec::new();
        for target in targets {
            let wanted = WantedMessages {
                environment: environment.to_owned(),
                target: (*target).to_owned(),
                not_before: stamp(not_before),
                now: stamp(now),
                limit,
            };
            let rows = self.read(async move |tables| tables.due(&wanted).await);
            for row in rows.await? {
                found.push(row.due()?);
            }
        }
        Ok(found)
    }

    /// Records that a target was told a message. One that was trimmed meanwhile is no error.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn delivered(
        &self,
        lead: &Lead,
        number: i64,
        target: &str,
    ) -> Result<(), StoreError> {
        let told = Told::Delivered { at: stamp(now()) };
        self.told(lead, number, target, told).await
    }

    /// Records that a target could not be told a message, and when it is tried again; `None` gives
    /// it up. One that was delivered stays so.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn failed(
        &self,
        lead: &Lead,
        number: i64,
        target: &str,
        error: &str,
        next_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let told = Told::Failed {
            error: storable(error.to_owned()),
            next_at: next_at.map(stamp),
        };
        self.told(lead, number, target, told).await
    }

    async fn told(
        &self,
        lead: &Lead,
        number: i64,
        target: &str,
        told: Told,
    ) -> Result<(), StoreError> {
        let proof = self.proof(lead)?;
        let tell = Tell {
            message: number,
            target: target.to_owned(),
            told,
        };
        self.write(proof, tell).await?;
        Ok(())
    }
}
