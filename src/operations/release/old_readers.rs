//! Who will be cut off when the old side of a release goes.

use super::{Release, ReleaseError};
use crate::adapters::materialize::{Materialize, MaterializeError, readers};
use crate::domain::plan::{Plan, Strategy};
use crate::foundation::failure::with_causes;
use std::collections::{BTreeMap, BTreeSet};

/// The most that a plan names.
const NAMED: usize = 10;

impl Release {
    /// Notes in the plan which subscriptions read what will go.
    ///
    /// # Errors
    /// The server's, where it does not answer.
    pub(super) async fn tell_readers(
        &self,
        materialize: &Materialize,
        plan: &mut Plan,
    ) -> Result<(), ReleaseError> {
        if plan.strategy == Strategy::Replace || plan.schemas.is_empty() {
            return Ok(());
        }
        let clusters = plan.clusters.iter().filter(|cluster| !cluster.scratch);
        let clusters: BTreeSet<String> = clusters.filter_map(|it| it.id.clone()).collect();
        let mut names = BTreeMap::new();
        for schema in &plan.schemas {
            for object in &schema.objects {
                let name = format!("{}.{}", schema.name, object.name);
                names.insert(object.id.clone(), name);
            }
        }
        let objects: BTreeSet<String> = names.keys().cloned().collect();
        if clusters.is_empty() && objects.is_empty() {
            return Ok(());
        }
        let found = match readers::of(materialize, &clusters, &objects).await {
            Ok(found) => found,
            Err(error @ MaterializeError::Refused { .. }) => {
                plan.notes.push(format!(
                    "it is not known who subscribes to what will go: {}",
                    with_causes(&error)
                ));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let said = found.iter().take(NAMED).map(|one| one.sentence(&names));
        let said: Vec<String> = said.collect();
        let more = match found.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        match found.len() {
            0 => {}
            1 => plan.notes.push(format!(
                "1 subscription will break when the old side goes: {}",
                said.join("; ")
            )),
            count => plan.notes.push(format!(
                "{count} subscriptions will break when the old side goes: {}{more}",
                said.join("; ")
            )),
        }
        Ok(())
    }
}
