//! The state of sinks.

use super::catalog::text;
use super::error::MaterializeError;
use super::question::{Filter, Question, relation};
use super::session::Session;

/// What the server says of a sink: `running`, `stalled`, `starting`, …; `None` when it says nothing. One
/// peek; a release asks when it repoints a sink, twice a second until the sink runs.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn status(session: &Session, sink_id: &str) -> Result<Option<String>, MaterializeError> {
    const LABEL: &str = "sink status";
    let question = Question::select(
        LABEL,
        relation::SINK_STATUSES,
        &["status"],
        Filter::In("id", &[sink_id]),
        None,
    );
    let rows = session.ask(&question).await?;
    rows.first().map(|row| text(row, LABEL, 0)).transpose()
}
