//! The sizes that replicas of clusters can have.

use super::catalog::{optional, text};
use super::error::MaterializeError;
use super::question::{Filter, Question, relation};
use super::session::Session;
use std::collections::{BTreeMap, BTreeSet};

/// What an hour of a replica costs in credits, by size; `None` where the server does not tell. Sizes that it does
/// not have are not among them.
///
/// # Errors
/// The server's.
pub async fn credits(
    session: &Session,
    sizes: &BTreeSet<&str>,
) -> Result<BTreeMap<String, Option<String>>, MaterializeError> {
    const LABEL: &str = "replica sizes";
    let sizes: Vec<&str> = sizes.iter().copied().collect();
    let rows = session.ask(&questions(&sizes)).await?;
    let mut credits = BTreeMap::new();
    for row in &rows {
        credits.insert(text(row, LABEL, 0)?, optional(row, LABEL, 1)?);
    }
    Ok(credits)
}

pub(super) fn questions(sizes: &[&str]) -> Vec<Question> {
    Question::select(
        "replica sizes",
        relation::REPLICA_SIZES,
        &["size", "credits_per_hour"],
        Filter::In("size", sizes),
        None,
    )
}
