//! The state of sinks.

use super::catalog::text;
use super::error::MaterializeError;
use super::session::Session;

/// What the server says of a sink: `running`, `stalled`, `starting`, …; `None` when it says nothing.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn status(session: &Session, sink_id: &str) -> Result<Option<String>, MaterializeError> {
    let rows = session
        .query(
            "sink status",
            "SELECT status::text FROM mz_internal.mz_sink_statuses WHERE id = $1",
            &[sink_id],
        )
        .await?;
    rows.first()
        .map(|row| text(row, "sink status", 0))
        .transpose()
}
