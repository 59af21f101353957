//! Deployments with their events and effects.

use super::outbox::add_message;
use super::{Fault, Row, Tables, Write, runs, values};
use crate::adapters::store::Proof;
use crate::adapters::store::error::StoreError;
use crate::adapters::store::outbox::MessageRow;
use crate::adapters::store::reason::OF_DECISIONS;
use crate::adapters::store::row::{Change, Documents, EffectRow, EventRow, Head, Wanted};

/// The columns of [`head`].
fn columns() -> String {
    format!(
        "id, environment, state, active, attempt, created_at, updated_at, finished_at, reason,
        CASE WHEN state IN ('ready', 'soaking') THEN COALESCE(
            (SELECT kind = 'decision_asked' FROM events
             WHERE deployment_id = deployments.id AND kind IN ({OF_DECISIONS})
             ORDER BY seq DESC LIMIT 1), FALSE)
        ELSE FALSE END,
        (SELECT subject FROM events WHERE deployment_id = deployments.id AND seq = 1)"
    )
}

const EFFECT: &str = "deployment_id, key, attempt, intent, started_at, result, finished_at";

/// Adds a deployment with its first event, unless one is active in its environment, and attaches the run that
/// made it.
pub(in crate::adapters::store) struct Insert {
    pub head: Head,
    pub documents: Documents,
    pub first: EventRow,
    pub run: Option<String>,
}

impl Write for Insert {
    type Answer = ();

    async fn change(&self, tables: &Tables<'_>, proof: &Proof) -> Result<(), Fault> {
        let Self {
            head,
            documents,
            first,
            run,
        } = self;
        proof.covers(&head.environment)?;
        let wanted = Wanted::Active(head.environment.clone());
        if let Some(active) = tables.head(&wanted).await? {
            return Err(Fault::Store(StoreError::DeploymentActive {
                environment: head.environment.clone(),
                state: active.state()?,
                id: active.id,
            }));
        }
        tables
            .execute(
                "/* store.insert_deployment */
                INSERT INTO deployments (id, environment, state, active, attempt, created_at,
                    updated_at, finished_at, reason, plan, request)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                values![
                    &head.id,
                    &head.environment,
                    &head.state,
                    head.active,
                    head.attempt,
                    &head.created_at,
                    &head.updated_at,
                    &head.finished_at,
                    &head.reason,
                    &documents.plan,
                    &documents.request,
                ],
            )
            .await?;
        add_event(tables, head, first).await?;
        match run {
            Some(run) => runs::attach(tables, proof, run, &head.id).await,
            None => Ok(()),
        }
    }

    /// The id is new with every call.
    async fn stands(&self, tables: &Tables<'_>, (): &()) -> Result<bool, Fault> {
        let wanted = Wanted::Id(self.head.id.clone());
        Ok(tables.head(&wanted).await?.is_some())
    }
}

/// Reads a deployment and its events, lets `decide` say what becomes of it, and writes that. Nothing is written
/// when `decide` refuses; it may be asked more than once.
pub(in crate::adapters::store) struct Move<D> {
    pub id: String,
    pub decide: D,
}

impl<D> Write for Move<D>
where
    D: Fn(Head, Vec<EventRow>) -> Result<Change, StoreError> + Send + 'static,
{
    type Answer = (Change, Documents);

    async fn change(&self, tables: &Tables<'_>, proof: &Proof) -> Result<Self::Answer, Fault> {
        let head = covered(tables, proof, &self.id).await?;
        let change = (self.decide)(head, tables.events(&self.id).await?)?;
        if let Some(event) = &change.event {
            add_event(tables, &change.head, event).await?;
        }
        let head = &change.head;
        tables
            .execute(
                "/* store.update_deployment */
                UPDATE deployments SET state = $2, active = $3, attempt = $4, updated_at = $5,
                    finished_at = $6, reason = $7
                WHERE id = $1",
                values![
                    &head.id,
                    &head.state,
                    head.active,
                    head.attempt,
                    &head.updated_at,
                    &head.finished_at,
                    &head.reason,
                ],
            )
            .await?;
        let documents = tables.documents(&self.id).await?;
        Ok((change, documents))
    }

    async fn stands(&self, tables: &Tables<'_>, (change, _): &Self::Answer) -> Result<bool, Fault> {
        if let Some(event) = &change.event {
            return has_event(tables, &self.id, event).await;
        }
        let head = tables.existing(&self.id).await?;
        Ok(head.attempt == change.head.attempt)
    }
}

/// Records an intent unless there is one, and counts the attempt; `allow` may refuse.
pub(in crate::adapters::store) struct BeginEffect<A> {
    pub new: EffectRow,
    pub allow: A,
}

impl<A> Write for BeginEffect<A>
where
    A: Fn(&Head) -> Result<(), StoreError> + Send + 'static,
{
    type Answer = EffectRow;

    async fn change(&self, tables: &Tables<'_>, proof: &Proof) -> Result<EffectRow, Fault> {
        let new = &self.new;
        (self.allow)(&covered(tables, proof, &new.deployment_id).await?)?;
        tables
            .one(
                &format!(
                    "/* store.begin_effect */
                    INSERT INTO effects (deployment_id, key, attempt, intent, started_at)
                    VALUES ($1, $2, $3, $4, $5)
                    ON CONFLICT (deployment_id, key) DO UPDATE SET attempt = effects.attempt + 1
                    RETURNING {EFFECT}"
                ),
                values![
                    &new.deployment_id,
                    &new.key,
                    new.attempt,
                    &new.intent,
                    &new.started_at,
                ],
                effect,
            )
            .await
    }

    async fn stands(&self, tables: &Tables<'_>, begun: &EffectRow) -> Result<bool, Fault> {
        let stored = tables.effects(&begun.deployment_id, Some(&begun.key));
        Ok(stored.await?.first().is_some_and(|stored| {
            stored.attempt == begun.attempt && stored.started_at == begun.started_at
        }))
    }
}

/// Records a result. Gives false when there is no intent.
pub(in crate::adapters::store) struct FinishEffect {
    pub id: String,
    pub key: String,
    pub result: String,
    pub at: String,
}

impl Write for FinishEffect {
    type Answer = bool;

    async fn change(&self, tables: &Tables<'_>, proof: &Proof) -> Result<bool, Fault> {
        covered(tables, proof, &self.id).await?;
        let changed = tables
            .execute(
                "/* store.finish_effect */
                UPDATE effects SET result = $3, finished_at = $4
                WHERE deployment_id = $1 AND key = $2",
                values![&self.id, &self.key, &self.result, &self.at],
            )
            .await?;
        Ok(changed == 1)
    }

    /// The same result twice is the same.
    async fn stands(&self, _: &Tables<'_>, _: &bool) -> Result<bool, Fault> {
        Ok(false)
    }
}

impl Tables<'_> {
    /// The head of a deployment.
    pub(super) async fn head(&self, wanted: &Wanted) -> Result<Option<Head>, Fault> {
        let (is_active, columns) = (self.is_active(), columns());
        let (condition, value) = match wanted {
            Wanted::Id(id) => ("/* store.by_id */ id = $1".to_owned(), id),
            Wanted::Active(environment) => (
                format!("/* store.active */ environment = $1 AND {is_active}"),
                environment,
            ),
            Wanted::Latest(environment) => (
                "/* store.latest */ environment = $1".to_owned(),
                environment,
            ),
        };
        self.first(
            &format!(
                "/* store.head */
                SELECT {columns} FROM deployments WHERE {condition} ORDER BY number DESC LIMIT 1"
            ),
            values![value],
            head,
        )
        .await
    }

    pub(in crate::adapters::store) async fn existing(&self, id: &str) -> Result<Head, Fault> {
        let head = self.head(&Wanted::Id(id.to_owned())).await?;
        head.ok_or_else(|| StoreError::NotFound { id: id.to_owned() }.into())
    }

    /// One deployment. To be read at one moment.
    pub(in crate::adapters::store) async fn deployment(
        &self,
        wanted: &Wanted,
    ) -> Result<Option<(Head, Documents)>, Fault> {
        let Some(head) = self.head(wanted).await? else {
            return Ok(None);
        };
        let documents = self.documents(&head.id).await?;
        Ok(Some((head, documents)))
    }

    async fn documents(&self, id: &str) -> Result<Documents, Fault> {
        self.one(
            "/* store.documents */
            SELECT plan, request FROM deployments WHERE id = $1",
            values![id],
            |row| {
                Ok(Documents {
                    plan: row.text()?,
                    request: row.text()?,
                })
            },
        )
        .await
    }

    /// The events of a deployment, in order.
    pub(in crate::adapters::store) async fn events(
        &self,
        id: &str,
    ) -> Result<Vec<EventRow>, Fault> {
        self.query(
            "/* store.events */
            SELECT seq, at, kind, body, state_after, subject FROM events
            WHERE deployment_id = $1 ORDER BY seq",
            values![id],
            |row| {
                Ok(EventRow {
                    seq: row.count()?,
                    at: row.text()?,
                    kind: row.text()?,
                    body: row.text()?,
                    state_after: row.text()?,
                    by: row.optional_text()?,
                })
            },
        )
        .await
    }

    /// The effects of a deployment that exists, or the one with this key, in the order in which they were first
    /// begun.
    pub(in crate::adapters::store) async fn effects(
        &self,
        id: &str,
        key: Option<&str>,
    ) -> Result<Vec<EffectRow>, Fault> {
        self.existing(id).await?;
        self.query(
            &format!(
                "/* store.effects */
                SELECT {EFFECT} FROM effects
                WHERE deployment_id = $1 AND ($2 IS NULL OR key = $2) ORDER BY number"
            ),
            values![id, key],
            effect,
        )
        .await
    }

    /// Up to `limit` ids that begin with `prefix`, newest first.
    pub(in crate::adapters::store) async fn ids(
        &self,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<String>, Fault> {
        self.query(
            "/* store.ids */
            SELECT id FROM deployments WHERE substr(id, 1, length($1)) = $1
            ORDER BY number DESC LIMIT $2",
            values![prefix, limit],
            Row::text,
        )
        .await
    }

    /// Up to `limit` deployments without their documents, newest first.
    pub(in crate::adapters::store) async fn history(
        &self,
        environment: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Head>, Fault> {
        let columns = columns();
        self.query(
            &format!(
                "/* store.history */
                SELECT {columns} FROM deployments WHERE $1 IS NULL OR environment = $1
                ORDER BY number DESC LIMIT $2"
            ),
            values![environment, limit],
            head,
        )
        .await
    }

    /// The active deployments of all environments, newest first.
    pub(in crate::adapters::store) async fn under_way(&self) -> Result<Vec<Head>, Fault> {
        let (is_active, columns) = (self.is_active(), columns());
        self.query(
            &format!(
                "/* store.under_way */
                SELECT {columns} FROM deployments WHERE {is_active} ORDER BY number DESC"
            ),
            values![],
            head,
        )
        .await
    }
}

/// The deployment, when the proof is for its environment: all writes about that are one after the other already,
/// in SQLite by its own lock, in PostgreSQL by the one on its row in `leads`.
async fn covered(tables: &Tables<'_>, proof: &Proof, id: &str) -> Result<Head, Fault> {
    let head = tables.existing(id).await?;
    proof.covers(&head.environment)?;
    Ok(head)
}

/// Adds an event, and what is told about it; `head` is the deployment after it.
async fn add_event(tables: &Tables<'_>, head: &Head, event: &EventRow) -> Result<(), Fault> {
    tables
        .execute(
            "/* store.add_event */
            INSERT INTO events (deployment_id, seq, at, kind, body, state_after, subject)
            VALUES ($1, $2, $3, $4, $5, $6, $7)",
            values![
                &head.id,
                event.seq,
                &event.at,
                &event.kind,
                &event.body,
                &event.state_after,
                &event.by,
            ],
        )
        .await?;
    add_message(tables, &MessageRow::of_event(head, event)).await
}

/// Whether exactly this event is there.
async fn has_event(tables: &Tables<'_>, id: &str, event: &EventRow) -> Result<bool, Fault> {
    let is_same = tables
        .first(
            "/* store.has_event */
            SELECT at = $3 AND body = $4 FROM events WHERE deployment_id = $1 AND seq = $2",
            values![id, event.seq, &event.at, &event.body],
            Row::flag,
        )
        .await?;
    Ok(is_same.unwrap_or(false))
}

fn head(row: &mut Row) -> Result<Head, Fault> {
    Ok(Head {
        id: row.text()?,
        environment: row.text()?,
        state: row.text()?,
        active: row.flag()?,
        attempt: row.count()?,
        created_at: row.text()?,
        updated_at: row.text()?,
        finished_at: row.optional_text()?,
        reason: row.optional_text()?,
        asks: row.flag()?,
        by: row.optional_text()?,
    })
}

fn effect(row: &mut Row) -> Result<EffectRow, Fault> {
    Ok(EffectRow {
        deployment_id: row.text()?,
        key: row.text()?,
        attempt: row.count()?,
        intent: row.text()?,
        started_at: row.text()?,
        result: row.optional_text()?,
        finished_at: row.optional_text()?,
    })
}
