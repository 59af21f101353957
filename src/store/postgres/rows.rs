//! The rows of a deployment in PostgreSQL: statements that more than one piece of work needs.

use super::fault::Fault;
use super::link::Value;
use crate::store::Proof;
use crate::store::error::StoreError;
use crate::store::outbox::MessageRow;
use crate::store::row::{Documents, EffectRow, EventRow, Head, Wanted};
use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row};

pub(super) const HEAD: &str =
    "id, environment, state, active, attempt, created_at, updated_at, finished_at, reason,
    (SELECT subject FROM events WHERE deployment_id = deployments.id AND seq = 1)";
pub(super) const EFFECT: &str =
    "deployment_id, key, attempt, intent, started_at, result, finished_at";

pub(super) fn text(value: &String) -> Value<'_> {
    (value, Type::TEXT)
}

pub(super) async fn head_of(
    client: &impl GenericClient,
    wanted: &Wanted,
) -> Result<Option<Head>, Fault> {
    let (condition, value) = match wanted {
        Wanted::Id(id) => ("/* store.by_id */ id = $1", id),
        Wanted::Active(environment) => (
            "/* store.active */ environment = $1 AND active",
            environment,
        ),
        Wanted::Latest(environment) => ("/* store.latest */ environment = $1", environment),
    };
    let rows = client
        .query_typed(
            &format!(
                "/* store.head */
                SELECT {HEAD} FROM deployments WHERE {condition} ORDER BY number DESC LIMIT 1"
            ),
            &[text(value)],
        )
        .await?;
    rows.first().map(head_row).transpose()
}

pub(super) async fn existing(client: &impl GenericClient, id: &str) -> Result<Head, Fault> {
    head_of(client, &Wanted::Id(id.to_owned()))
        .await?
        .ok_or_else(|| StoreError::NotFound { id: id.to_owned() }.into())
}

/// The deployment, when the proof is for its environment: all writes about that are one after the
/// other already, by the lock on its row in `leads`.
pub(super) async fn covered(
    client: &impl GenericClient,
    proof: &Proof,
    id: &str,
) -> Result<Head, Fault> {
    let head = existing(client, id).await?;
    proof.covers(&head.environment)?;
    Ok(head)
}

pub(super) async fn update(client: &impl GenericClient, head: &Head) -> Result<(), Fault> {
    client
        .execute_typed(
            "/* store.update_deployment */
            UPDATE deployments SET state = $2, active = $3, attempt = $4, updated_at = $5,
                finished_at = $6, reason = $7
            WHERE id = $1",
            &[
                text(&head.id),
                text(&head.state),
                (&head.active, Type::BOOL),
                (&i64::from(head.attempt), Type::INT8),
                text(&head.updated_at),
                (&head.finished_at, Type::TEXT),
                (&head.reason, Type::TEXT),
            ],
        )
        .await?;
    Ok(())
}

pub(super) async fn documents_of(
    client: &impl GenericClient,
    id: &str,
) -> Result<Documents, Fault> {
    let row = client
        .query_typed_one(
            "/* store.documents */
            SELECT plan, request FROM deployments WHERE id = $1",
            &[(&id, Type::TEXT)],
        )
        .await?;
    Ok(Documents {
        plan: row.try_get(0)?,
        request: row.try_get(1)?,
    })
}

pub(super) async fn events_of(
    client: &impl GenericClient,
    id: &str,
) -> Result<Vec<EventRow>, Fault> {
    let rows = client
        .query_typed(
            "/* store.events */
            SELECT seq, at, kind, body, state_after, subject FROM events
            WHERE deployment_id = $1 ORDER BY seq",
            &[(&id, Type::TEXT)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(EventRow {
                seq: number(row, 0)?,
                at: row.try_get(1)?,
                kind: row.try_get(2)?,
                body: row.try_get(3)?,
                state_after: row.try_get(4)?,
                by: row.try_get(5)?,
            })
        })
        .collect()
}

/// Adds an event, and what is told about it; `head` is the deployment after it.
pub(super) async fn add_event(
    client: &impl GenericClient,
    head: &Head,
    event: &EventRow,
) -> Result<(), Fault> {
    client
        .execute_typed(
            "/* store.add_event */
            INSERT INTO events (deployment_id, seq, at, kind, body, state_after, subject)
            VALUES ($1, $2, $3, $4, $5, $6, $7)",
            &[
                text(&head.id),
                (&i64::from(event.seq), Type::INT8),
                text(&event.at),
                text(&event.kind),
                text(&event.body),
                text(&event.state_after),
                (&event.by, Type::TEXT),
            ],
        )
        .await?;
    super::outbox::add_message(client, &MessageRow::of_event(head, event)).await
}

/// Whether exactly this event is there.
pub(super) async fn has_event(
    client: &impl GenericClient,
    id: &str,
    event: &EventRow,
) -> Result<bool, Fault> {
    let rows = client
        .query_typed(
            "/* store.has_event */
            SELECT at = $3 AND body = $4 FROM events WHERE deployment_id = $1 AND seq = $2",
            &[
                (&id, Type::TEXT),
                (&i64::from(event.seq), Type::INT8),
                text(&event.at),
                text(&event.body),
            ],
        )
        .await?;
    Ok(match rows.first() {
        Some(row) => row.try_get(0)?,
        None => false,
    })
}

pub(super) async fn effects_of(
    client: &impl GenericClient,
    id: &str,
    key: Option<&str>,
) -> Result<Vec<EffectRow>, Fault> {
    let rows = client
        .query_typed(
            &format!(
                "/* store.effects */
                SELECT {EFFECT} FROM effects
                WHERE deployment_id = $1 AND ($2 IS NULL OR key = $2) ORDER BY number"
            ),
            &[(&id, Type::TEXT), (&key, Type::TEXT)],
        )
        .await?;
    rows.iter().map(effect_row).collect()
}

pub(super) fn head_row(row: &Row) -> Result<Head, Fault> {
    Ok(Head {
        id: row.try_get(0)?,
        environment: row.try_get(1)?,
        state: row.try_get(2)?,
        active: row.try_get(3)?,
        attempt: number(row, 4)?,
        created_at: row.try_get(5)?,
        updated_at: row.try_get(6)?,
        finished_at: row.try_get(7)?,
        reason: row.try_get(8)?,
        by: row.try_get(9)?,
    })
}

pub(super) fn effect_row(row: &Row) -> Result<EffectRow, Fault> {
    Ok(EffectRow {
        deployment_id: row.try_get(0)?,
        key: row.try_get(1)?,
        attempt: number(row, 2)?,
        intent: row.try_get(3)?,
        started_at: row.try_get(4)?,
        result: row.try_get(5)?,
        finished_at: row.try_get(6)?,
    })
}

/// A counter; the columns are wider than what is ever counted.
pub(super) fn number(row: &Row, column: usize) -> Result<u32, Fault> {
    let stored: i64 = row.try_get(column)?;
    u32::try_from(stored).map_err(|_| Fault::Strange(format!("the counter {stored}")))
}
