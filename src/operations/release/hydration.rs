//! The size in which green clusters are hydrated, where it is not production's.

use super::{Release, ReleaseError};
use crate::adapters::materialize::cluster_options::with_size;
use crate::adapters::materialize::{Materialize, replica_sizes};
use crate::domain::catalog::ClusterDefinition;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::domain::plan::{Credits, HydrationSize, Plan};
use crate::operations::error::DeploymentError;
use std::collections::BTreeSet;

impl Release {
    /// Plans that green clusters have the configured size until they are hydrated.
    ///
    /// # Errors
    /// The server's; a size that it does not have.
    pub(super) async fn size_for_hydration(
        &self,
        materialize: &Materialize,
        plan: &mut Plan,
    ) -> Result<(), ReleaseError> {
        let Some(size) = &self.settings.hydration.size else {
            return Ok(());
        };
        let mut unmanaged = Vec::new();
        // Index and size of those that get another one.
        let mut sized = Vec::new();
        for (index, cluster) in plan.clusters.iter().enumerate() {
            // What runs tests alone is not hydrated.
            if cluster.scratch || !cluster.definition.has_replicas() {
                continue;
            }
            let options = match &cluster.definition {
                ClusterDefinition::Managed { options } => options,
                ClusterDefinition::Unmanaged { .. } => {
                    unmanaged.push(cluster.name.clone());
                    continue;
                }
            };
            match with_size(options, size) {
                Some((options, before)) if before != *size => sized.push((index, options, before)),
                Some(_) => {}
                None => unmanaged.push(cluster.name.clone()),
            }
        }
        if !unmanaged.is_empty() {
            plan.notes.push(format!(
                "hydration.size is for managed clusters; hydrated in the sizes that they have: {}",
                unmanaged.join(", ")
            ));
        }
        if sized.is_empty() {
            return Ok(());
        }
        let sizes: BTreeSet<&str> = sized
            .iter()
            .map(|(_, _, before)| before.as_str())
            .chain([size.as_str()])
            .collect();
        let session = materialize.session_patiently().await?;
        let credits = replica_sizes::credits(&session, &sizes).await?;
        let Some(hydrating) = credits.get(size) else {
            return Err(DeploymentError::from(Refused(vec![unknown(size)])).into());
        };
        for (index, options, before) in sized {
            let production = credits.get(&before).and_then(Option::as_ref);
            let credits = hydrating.as_ref().zip(production);
            plan.clusters[index].hydration = Some(HydrationSize {
                size: size.clone(),
                definition: ClusterDefinition::Managed { options },
                credits: credits.map(|(hydrating, production)| Credits {
                    hydrating: hydrating.clone(),
                    production: production.clone(),
                }),
            });
        }
        Ok(())
    }
}

fn unknown(size: &str) -> Refusal {
    Refusal {
        name: RefusalName::HydrationSizeUnknown,
        message: "the server has no replicas of the size of hydration.size".to_owned(),
        objects: vec![size.to_owned()],
        remedy: "set hydration.size to one of `SELECT size FROM mz_catalog.mz_cluster_replica_sizes`, or to null"
            .to_owned(),
    }
}
