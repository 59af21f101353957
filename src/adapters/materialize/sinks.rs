//! The state of sinks, how they are shown and made.

use super::catalog::text;
use super::error::MaterializeError;
use super::question::{Filter, Question, relation};
use super::session::Session;
use super::statement::Statement;
use crate::foundation::sql::identifier::{Ident, Qualified};
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

/// How a sink is made, as the server shows it: `CREATE SINK …` with present names. A question to the session; a
/// release asks it of each sink of the project that changed, while planning.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn definition(
    session: &Session,
    name: &Qualified<'_>,
) -> Result<String, MaterializeError> {
    const LABEL: &str = "show create sink";
    let statement = Statement::new(LABEL, format!("SHOW CREATE SINK {name}"));
    let rows = session.simple(&statement).await?;
    let shown = rows.first().and_then(|row| row.get(1));
    let shown = shown.ok_or_else(|| MaterializeError::Unexpected {
        label: LABEL,
        what: "no row".to_owned(),
    })?;
    Ok(shown.to_owned())
}

/// Makes a sink. What follows its relation is SQL of the project's author, or as the server showed it.
#[must_use]
pub fn create_sink(
    name: &Qualified<'_>,
    cluster: &str,
    from: &Qualified<'_>,
    rest: &str,
) -> Statement {
    Statement::new(
        "create sink",
        format!(
            "CREATE SINK {name} IN CLUSTER {}\nFROM {from}\n{rest}",
            Ident(cluster)
        ),
    )
}
