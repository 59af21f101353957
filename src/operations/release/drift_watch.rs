//! Whether production still is what was released, between releases. One look; nothing is changed.

use super::{Release, ReleaseError};
use crate::adapters::artifacts::Metadata;
use crate::adapters::artifacts::drift::{self, Change};
use crate::adapters::materialize::guarded::Names;
use crate::adapters::materialize::live::{self, owned, written};
use crate::adapters::store::{Store, StoreError};
use crate::domain::catalog::grants::Grant;
use crate::domain::catalog::{Catalog, ObjectKind};
use crate::domain::plan::Strategy;
use crate::domain::records::drift::{DriftKind, DriftRecord, Drifted, Standing};
use crate::operations::saga::context::key;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

impl Release {
    /// Looks once at what is live and compares it with the baseline and with what the swap left. What is not on record
    /// of that is recorded by this look. `None` where nothing is live.
    ///
    /// # Errors
    /// The artifact store's, the journal's and the server's.
    pub async fn look_for_drift(
        &self,
        store: &Store,
        before: DriftRecord,
    ) -> Result<Option<DriftRecord>, ReleaseError> {
        let (artifacts, key) = (self.artifacts()?, self.artifact_key());
        let Some(deployment) = artifacts.current(&key).await?.and_then(|it| it.deployment) else {
            return Ok(None);
        };
        let metadata = artifacts.metadata(&key, &deployment).await?;
        let mut record = before;
        if record.deployment != deployment {
            record.standing = left_by(store, &deployment, record.standing).await?;
            record.deployment = deployment;
        }
        let listed = self.project.deployment()?;
        let materialize = self.materialize();
        let schemas = metadata.schemas.iter().cloned().collect();
        let clusters: BTreeSet<String> = listed.clusters.iter().cloned().collect();
        let (names, catalog) = live::look(&materialize, schemas, clusters.clone()).await?;
        let views = metadata.objects.iter();
        let views = views.filter(|object| object.kind == ObjectKind::MaterializedView);
        let views: Vec<&str> = views.map(|object| object.id.as_str()).collect();
        let mut made = live::queries_of(&materialize, &views).await?;
        made = made
            .into_iter()
            .map(|(id, digest)| (format!("object {id}"), digest))
            .collect();
        for (name, definition) in &names.definitions {
            if let Some(id) = names.clusters.get(name) {
                made.insert(format!("cluster {id}"), written(definition));
            }
        }
        let now = Now {
            metadata: &metadata,
            names: &names,
            catalog: &catalog,
            clusters: &clusters,
            made: &made,
            at: Timestamp::now(),
        };
        let found = now.compare(&mut record.standing);
        Ok(Some(record.seen(found)))
    }
}

/// What production is compared with since this deployment is live.
async fn left_by(
    store: &Store,
    deployment: &str,
    mut known: Standing,
) -> Result<Standing, StoreError> {
    let swapped = store.effect(deployment, key::SWAP).await?;
    let left = swapped.and_then(|effect| serde_json::from_value::<Standing>(effect.result?).ok());
    if let Some(left) = left {
        known.take(left);
        return Ok(known);
    }
    let id = deployment.strip_suffix("-back").unwrap_or(deployment);
    let in_place = match store.deployment(id).await {
        Ok(found) => found.plan.strategy == Strategy::Replace,
        Err(StoreError::NotFound { .. } | StoreError::Ambiguous { .. }) => false,
        Err(error) => return Err(error),
    };
    if !in_place {
        return Ok(Standing::default());
    }
    known.made.retain(|what, _| !what.starts_with("object "));
    Ok(known)
}

/// What one look saw.
struct Now<'a> {
    metadata: &'a Metadata,
    names: &'a Names,
    catalog: &'a Catalog,
    /// Production's clusters, names.
    clusters: &'a BTreeSet<String>,
    /// How clusters and materialized views are made, by kind and id.
    made: &'a BTreeMap<String, String>,
    at: Timestamp,
}

impl Now<'_> {
    /// Everything that is not as it was left. What is not known of how it was left is known from now on.
    fn compare(&self, standing: &mut Standing) -> Vec<Drifted> {
        let mut found = Vec::new();
        for drift in drift::found(self.metadata, self.catalog) {
            let what = format!("{} {}.{}", drift.kind, drift.schema, drift.name);
            let change = match drift.change {
                Change::Missing { .. } => DriftKind::Missing,
                Change::Recreated { .. } => DriftKind::Recreated,
                Change::Extra { .. } => DriftKind::Extra,
            };
            found.push(self.one(&what, change, String::new()));
        }
        let mut kept = BTreeSet::new();
        let schemas = self.metadata.schemas.iter();
        let schemas = schemas.map(|name| ("schema", name, self.names.schemas.get(name)));
        let clusters = self.clusters.iter();
        let clusters = clusters.map(|name| ("cluster", name, self.names.clusters.get(name)));
        for (kind, name, id) in schemas.chain(clusters) {
            let place = format!("{kind} {name}");
            let known = standing.places.get(&place);
            if let Some(known) = known {
                kept.insert(format!("{kind} {known}"));
            }
            match (known, id) {
                (Some(known), Some(id)) if known != id => {
                    found.push(self.one(&place, DriftKind::Recreated, String::new()));
                }
                (Some(_), None) => found.push(self.one(&place, DriftKind::Missing, String::new())),
                (None, None) => {}
                (_, Some(id)) => {
                    standing.places.insert(place.clone(), id.clone());
                    let what = format!("{kind} {id}");
                    found.extend(self.of(&place, &what, standing));
                    kept.insert(what);
                }
            }
        }
        for object in &self.metadata.objects {
            let what = format!("object {}", object.id);
            let place = format!("{} {}.{}", object.kind, object.schema, object.name);
            found.extend(self.of(&place, &what, standing));
            kept.insert(what);
        }
        standing.owned.retain(|what, _| kept.contains(what));
        standing.made.retain(|what, _| kept.contains(what));
        found
    }

    /// What became of one thing that is there.
    fn of(&self, place: &str, what: &str, standing: &mut Standing) -> Vec<Drifted> {
        let mut found = Vec::new();
        if let Some(raw) = self.names.raw.get(what) {
            match standing.owned.get(what) {
                Some(known) if known != raw => found.extend(self.owners(place, known, raw)),
                Some(_) => {}
                None => drop(standing.owned.insert(what.to_owned(), raw.clone())),
            }
        }
        if let Some(made) = self.made.get(what) {
            match standing.made.get(what) {
                Some(known) if known != made => {
                    let is_cluster = what.starts_with("cluster ");
                    let (change, detail) = match is_cluster {
                        true => (DriftKind::Options, format!("{made}; was {known}")),
                        false => (DriftKind::Definition, String::new()),
                    };
                    found.push(self.one(place, change, detail));
                }
                Some(_) => {}
                None => drop(standing.made.insert(what.to_owned(), made.clone())),
            }
        }
        found
    }

    /// How owners and grants differ.
    fn owners(&self, place: &str, known: &str, raw: &str) -> Vec<Drifted> {
        let roles = &self.names.roles;
        let (Ok(before), Ok(after)) = (owned(known, roles), owned(raw, roles)) else {
            return vec![self.one(place, DriftKind::Grants, format!("{raw}; was {known}"))];
        };
        let mut found = Vec::new();
        if before.0 != after.0 {
            let detail = format!("{}; was {}", after.0, before.0);
            found.push(self.one(place, DriftKind::Owner, detail));
        }
        // What an owner has goes with the ownership.
        let others = |(owner, grants): &(String, BTreeSet<Grant>)| -> BTreeSet<Grant> {
            let grants = grants.iter().cloned();
            grants
                .filter(|grant| grant.grantee.as_ref() != Some(owner))
                .collect()
        };
        let (before, after) = (others(&before), others(&after));
        let said = |grant: &Grant, how: &str| {
            let grantee = grant.grantee.as_deref().unwrap_or("PUBLIC");
            format!("{} {how} {grantee}", grant.privilege)
        };
        let given = after.difference(&before).map(|it| said(it, "given to"));
        let taken = before.difference(&after).map(|it| said(it, "taken from"));
        let detail: Vec<String> = given.chain(taken).collect();
        if !detail.is_empty() {
            found.push(self.one(place, DriftKind::Grants, detail.join(", ")));
        }
        found
    }

    fn one(&self, what: &str, change: DriftKind, detail: String) -> Drifted {
        Drifted {
            what: what.to_owned(),
            change,
            detail,
            since: self.at,
        }
    }
}

#[cfg(test)]
mod tests;
