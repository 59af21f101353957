//! The corners of an environment, as the journal has them.

use super::error::CiError;
use super::record::Record;
use super::report::Verdict;
use crate::adapters::store::Store;
use crate::domain::records::corner::{Corner, CornerState, corner_lead};
use crate::operations::ci::queue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A corner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// How far it is.
    pub state: CornerState,
    /// Whether a process works on it now.
    pub is_worked_on: bool,
    /// Where in line it waits, from 1.
    pub position: Option<usize>,
    /// Who asked for the last build.
    pub owner: String,
    /// The commit of the last build.
    pub revision: Option<String>,
    /// How the last build ended.
    pub verdict: Option<Verdict>,
    /// When it was asked for first.
    pub created_at: Timestamp,
    /// From when on anybody may collect it.
    pub expires_at: Timestamp,
    /// How many relations stand there.
    pub objects: usize,
    /// Its schemas.
    pub schemas: Vec<String>,
    /// Its own cluster.
    pub cluster: Option<String>,
    /// How long that has been there, in seconds.
    pub cluster_seconds: Option<f64>,
    /// What that has cost, in credits.
    pub credits: Option<f64>,
}

impl Listed {
    /// A corner with its record, at this moment.
    #[must_use]
    pub fn of(corner: Corner, record: &Record, is_worked_on: bool, now: Timestamp) -> Self {
        let schemas = record.schemas.values();
        Self {
            name: corner.name,
            id: corner.id,
            state: corner.state,
            is_worked_on,
            position: None,
            owner: record.owner.clone(),
            revision: record.revision.clone(),
            verdict: record.report.as_ref().map(|report| report.verdict),
            created_at: corner.created_at,
            expires_at: corner.expires_at,
            objects: record.objects.len(),
            schemas: schemas.map(|held| held.name.clone()).collect(),
            cluster: record.cluster.as_ref().map(|held| held.name.clone()),
            cluster_seconds: record.cluster_seconds(now),
            credits: record.credits(now),
        }
    }
}

/// Every corner of an environment that is not gone, in the order in which they were asked for.
///
/// # Errors
/// The journal's; [`CiError::Record`].
pub async fn listed(
    store: &Store,
    environment: &str,
    now: Timestamp,
) -> Result<Vec<Listed>, CiError> {
    let (mut corners, mut waiting) = (Vec::new(), 0);
    for corner in store.corners(environment).await? {
        let record = queue::read(&corner)?;
        let key = corner_lead(&corner.environment, &corner.name);
        let is_led = store.is_led(&key).await?;
        let waits = corner.state == CornerState::Waiting && is_led;
        waiting += usize::from(waits);
        corners.push(Listed {
            position: waits.then_some(waiting),
            ..Listed::of(corner, &record, is_led, now)
        });
    }
    Ok(corners)
}
