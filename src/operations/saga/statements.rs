//! How much was sent to the server for a deployment, by state, in its journal.
//!
//! The counts are worth little when they are lost and much when they are compared: a state that sends a
//! dataflow more than in the release before has a question that became dear.

use super::context::key;
use crate::adapters::materialize::cost::Counts;
use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::records::deployment::{Deployment, Effect};
use crate::operations::error::DeploymentError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Under which word planning is counted, which no state is.
const PLANNING: &str = "planning";

/// Statements by class: of planning, and of each state in which any was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statements(pub BTreeMap<String, Counts>);

impl Statements {
    /// What is on record among these effects.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn recorded(effects: &[Effect]) -> Result<Option<Self>, StoreError> {
        let mut effects = effects.iter();
        match effects.find(|effect| effect.key == key::STATEMENTS) {
            Some(effect) => effect.result_as(),
            None => Ok(None),
        }
    }
}

/// Adds what was sent while planning.
///
/// # Errors
/// The journal's.
pub async fn planning(
    store: &Store,
    lead: &Lead,
    deployment: &Deployment,
    counts: Counts,
) -> Result<(), StoreError> {
    add(store, lead, deployment, PLANNING, counts).await
}

/// Adds what a step of the deployment's state sent.
pub(crate) async fn step(
    store: &Store,
    lead: &Lead,
    deployment: &Deployment,
    counts: Counts,
) -> Result<(), DeploymentError> {
    Ok(add(store, lead, deployment, deployment.state.as_str(), counts).await?)
}

async fn add(
    store: &Store,
    lead: &Lead,
    deployment: &Deployment,
    part: &str,
    counts: Counts,
) -> Result<(), StoreError> {
    if counts.is_empty() {
        return Ok(());
    }
    tracing::debug!(part, %counts, "statements sent");
    let id = &deployment.id;
    let effect = store.begin_effect(lead, id, key::STATEMENTS, &()).await?;
    let mut statements: Statements = effect.result_as()?.unwrap_or_default();
    let counted = statements.0.entry(part.to_owned()).or_default();
    *counted = *counted + counts;
    store
        .finish_effect(lead, id, key::STATEMENTS, &statements)
        .await
}
