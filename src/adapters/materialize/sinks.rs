//! The state of sinks.

use super::catalog::text;
use super::error::MaterializeError;
use super::question::{Filter, Question, relation};
use super::session::Session;
use std::collections::BTreeMap;

/// What the server says of sinks, by id: `running`, `stalled`, `starting`, …; nothing of one of which it says
/// nothing. A peek; a release asks when it repoints sinks, twice a second until they run.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn statuses(
    session: &Session,
    sink_ids: &[&str],
) -> Result<BTreeMap<String, String>, MaterializeError> {
    const LABEL: &str = "sink status";
    let question = Question::select(
        LABEL,
        relation::SINK_STATUSES,
        &["id", "status"],
        Filter::In("id", sink_ids),
        None,
    );
    let rows = session.ask(&question).await?;
    let mut statuses = BTreeMap::new();
    for row in &rows {
        statuses.insert(text(row, LABEL, 0)?, text(row, LABEL, 1)?);
    }
    Ok(statuses)
}
