//! One reading of hydration, lag and replicas.
//!
//! By object id, not by cluster totals: `mz_hydration_statuses` also counts the server's own
//! introspection objects (measured). Nothing is judged here; a missing row stays missing.

use super::catalog::{optional, text};
use super::error::MaterializeError;
use super::session::Session;
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Row;

/// What the server says about some objects and clusters at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The server's clock, milliseconds since the epoch.
    pub now_ms: i64,
    /// Those of the objects that exist.
    pub existing: BTreeSet<String>,
    /// Per object, per replica id: hydrated. An object on a cluster without replicas has no entry.
    pub hydrated: BTreeMap<String, BTreeMap<String, bool>>,
    /// Per object: lag behind its sources in milliseconds; `None` while it cannot be read.
    pub lag_ms: BTreeMap<String, Option<i64>>,
    /// Per object: write frontier in milliseconds; `None` when the object is complete.
    pub frontier_ms: BTreeMap<String, Option<i64>>,
    /// Per object: the latest known official lag in milliseconds and when it was sampled
    /// (milliseconds since the epoch).
    pub wallclock_ms: BTreeMap<String, (i64, i64)>,
    /// Replicas per cluster id.
    pub replicas: BTreeMap<String, Vec<ReplicaHealth>>,
}

/// The state of one replica.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaHealth {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it has the size that its cluster was given; others are temporary.
    pub own_size: bool,
    /// Whether all its processes are online; `None` when no process has reported.
    pub online: Option<bool>,
    /// Out-of-memory kills in the last 24 hours.
    pub oom_kills: i64,
}

impl Reading {
    /// Asks about the objects and clusters with these ids, in one query.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn take(
        session: &Session,
        objects: &BTreeSet<String>,
        clusters: &BTreeSet<String>,
    ) -> Result<Self, MaterializeError> {
        let objects = objects.iter().cloned().collect::<Vec<_>>().join(",");
        let clusters = clusters.iter().cloned().collect::<Vec<_>>().join(",");
        let rows = session
            .query(LABEL, READING, &[&objects, &clusters])
            .await?;
        let mut reading = Self::default();
        for row in &rows {
            reading.take_row(row)?;
        }
        Ok(reading)
    }

    fn take_row(&mut self, row: &Row) -> Result<(), MaterializeError> {
        let what = text(row, LABEL, 0)?;
        let subject = text(row, LABEL, 1)?;
        let second = optional(row, LABEL, 2)?;
        let third = optional(row, LABEL, 3)?;
        match what.as_str() {
            "now" => self.now_ms = number(&subject)?,
            "object" => {
                self.existing.insert(subject);
            }
            "hydration" => {
                if let Some(replica) = second {
                    let hydrated = third.as_deref() == Some("true");
                    self.hydrated
                        .entry(subject)
                        .or_default()
                        .insert(replica, hydrated);
                }
            }
            "lag" => {
                let lag = second.as_deref().map(number).transpose()?;
                self.lag_ms.insert(subject, lag);
            }
            "frontier" => {
                let frontier = second.as_deref().map(number).transpose()?;
                self.frontier_ms.insert(subject, frontier);
            }
            "wallclock" => {
                if let (Some(lag), Some(at)) = (second, third) {
                    let sample = (number(&lag)?, number(&at)?);
                    let known = self.wallclock_ms.entry(subject).or_insert(sample);
                    if sample.1 > known.1 {
                        *known = sample;
                    }
                }
            }
            "replica" => self.take_replica(subject, row)?,
            other => {
                return Err(MaterializeError::Unexpected {
                    label: LABEL,
                    what: format!("a row about {other:?}"),
                });
            }
        }
        Ok(())
    }

    fn take_replica(&mut self, cluster: String, row: &Row) -> Result<(), MaterializeError> {
        let replica = ReplicaHealth {
            id: text(row, LABEL, 2)?,
            name: text(row, LABEL, 3)?,
            own_size: optional(row, LABEL, 4)?.as_deref() != Some("false"),
            online: optional(row, LABEL, 5)?.map(|online| online == "true"),
            oom_kills: number(&text(row, LABEL, 6)?)?,
        };
        self.replicas.entry(cluster).or_default().push(replica);
        Ok(())
    }
}

fn number(text: &str) -> Result<i64, MaterializeError> {
    // Numbers may come with a fraction (`1000.000`); a millisecond's fraction does not matter.
    let whole = text.split('.').next().unwrap_or(text);
    whole.parse().map_err(|_| MaterializeError::Unexpected {
        label: LABEL,
        what: format!("{text:?} where a number was expected"),
    })
}

const LABEL: &str = "readiness";

const READING: &str = "
WITH objects AS (SELECT unnest(string_to_array($1, ',')) AS id),
     clusters AS (SELECT unnest(string_to_array($2, ',')) AS id)
SELECT 'now' AS what, (extract(epoch FROM now()) * 1000)::numeric::text AS subject,
       NULL::text AS second, NULL::text AS third, NULL::text AS fourth,
       NULL::text AS fifth, NULL::text AS sixth
UNION ALL
SELECT 'object', m.id::text, NULL, NULL, NULL, NULL, NULL
FROM mz_catalog.mz_objects m JOIN objects o ON o.id = m.id
UNION ALL
SELECT 'hydration', h.object_id::text, h.replica_id::text, h.hydrated::text, NULL, NULL, NULL
FROM mz_internal.mz_hydration_statuses h JOIN objects o ON o.id = h.object_id
UNION ALL
SELECT 'lag', l.object_id::text, (extract(epoch FROM l.global_lag) * 1000)::numeric::text,
       NULL, NULL, NULL, NULL
FROM mz_internal.mz_materialization_lag l JOIN objects o ON o.id = l.object_id
UNION ALL
SELECT 'frontier', f.object_id::text, f.write_frontier::text, NULL, NULL, NULL, NULL
FROM mz_internal.mz_frontiers f JOIN objects o ON o.id = f.object_id
UNION ALL
SELECT 'wallclock', w.object_id::text, (extract(epoch FROM w.lag) * 1000)::numeric::text,
       (extract(epoch FROM w.occurred_at) * 1000)::numeric::text, NULL, NULL, NULL
FROM mz_internal.mz_wallclock_global_lag_recent_history w JOIN objects o ON o.id = w.object_id
WHERE w.lag IS NOT NULL
UNION ALL
SELECT 'replica', r.cluster_id::text, r.id::text, r.name::text,
       (NOT c.managed OR r.size = c.size)::text,
       s.online::text, coalesce(k.kills, 0)::text
FROM mz_catalog.mz_cluster_replicas r
JOIN clusters w ON w.id = r.cluster_id
JOIN mz_catalog.mz_clusters c ON c.id = r.cluster_id
LEFT JOIN (SELECT replica_id, bool_and(status = 'online') AS online
           FROM mz_internal.mz_cluster_replica_statuses GROUP BY replica_id) s
       ON s.replica_id = r.id
LEFT JOIN (SELECT replica_id, count(*) AS kills
           FROM mz_internal.mz_cluster_replica_status_history
           WHERE reason = 'oom-killed' AND occurred_at > now() - INTERVAL '24 hours'
           GROUP BY replica_id) k
       ON k.replica_id = r.id";
