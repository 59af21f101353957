//! What a deployment's data differs by.

use super::DeploymentView;
use crate::adapters::store::StoreError;
use crate::domain::checks::Relation;
use crate::domain::diff::Record;
use crate::domain::records::deployment::{Deployment, Effect};
use crate::operations::deployment::diff::Recorded;
use serde::{Deserialize, Serialize};

/// `diff`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiffView {
    /// The deployment.
    pub deployment: DeploymentView,
    /// What is on record.
    pub diff: Recorded,
}

impl DiffView {
    /// What these effects of a deployment say.
    ///
    /// # Errors
    /// Records that cannot be read.
    pub fn new(deployment: &Deployment, effects: &[Effect]) -> Result<Self, StoreError> {
        Ok(Self {
            deployment: DeploymentView::from(deployment),
            diff: Recorded::of(effects)?,
        })
    }

    /// Only these relations; all of them without any.
    #[must_use]
    pub fn only(&self, relations: &[Relation]) -> Self {
        let mut view = self.clone();
        if relations.is_empty() {
            return view;
        }
        let limit = |record: &mut Record| {
            let entries = &mut record.entries;
            entries.retain(|entry| relations.contains(&entry.relation));
        };
        view.diff.before.iter_mut().for_each(limit);
        view.diff.soak.iter_mut().for_each(limit);
        view
    }
}
