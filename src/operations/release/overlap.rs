//! Environments over one set of schemas: each would replace what the other released and take it for
//! its own, and each one's baseline would be a lie. So what another environment has live is looked
//! for while nothing at all is under way, as well as what it has under way.
//!
//! Two records say what is live. The artifact store's baselines name schemas, and are believed until
//! somebody says that an environment is given up. Of an environment that this store knows nothing about, the
//! journal has the ids of the schemas that its releases made; an id that serves still is its work.

use super::{Release, ReleaseError};
use crate::adapters::artifacts::{Artifacts, Other, Others};
use crate::adapters::store::Store;
use crate::domain::catalog::Catalog;
use crate::domain::lifecycle::state::State;
use crate::domain::plan::Plan;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::inputs::project::Deployment;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::green_schemas;
use std::collections::{BTreeMap, BTreeSet};

/// The most deployments of the past among which releases of other environments are looked for.
const LOOK_BACK: u32 = 1000;

/// The latest releases of one environment that are looked at.
const LATEST: usize = 50;

/// What other environments have live of what this one releases.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overlaps {
    /// One for each environment, with what both have.
    pub refusals: Vec<Refusal>,
    /// Why it is not known of others, one sentence each.
    pub unknown: Vec<String>,
}

impl Overlaps {
    /// What was accepted, where all of it was.
    ///
    /// # Errors
    /// [`RefusalName::EnvironmentsOverlap`].
    pub fn accepted(&self, allow: &BTreeSet<RefusalName>) -> Result<Vec<Refusal>, DeploymentError> {
        if self.refusals.is_empty() || allow.contains(&RefusalName::EnvironmentsOverlap) {
            return Ok(self.refusals.clone());
        }
        Err(Refused(self.refusals.clone()).into())
    }
}

impl Release {
    /// What other environments of the artifact store and of the journal have live in the schemas and
    /// on the clusters that this one lists. `given_up` is one that this one takes over.
    ///
    /// # Errors
    /// A store or a journal that does not answer; no `vars.deployment`.
    pub async fn overlaps(
        &self,
        artifacts: &Artifacts,
        store: &Store,
        catalog: &Catalog,
        given_up: Option<&str>,
    ) -> Result<Overlaps, ReleaseError> {
        let listed = self.project.deployment()?;
        let key = self.artifact_key();
        let mut others = artifacts.others(&key).await?;
        others.live.retain(|other| {
            let metadata = &other.metadata;
            metadata.project != key.project || Some(metadata.environment.as_str()) != given_up
        });
        let mut refusals: Vec<Refusal> = others
            .live
            .iter()
            .filter_map(|other| {
                let shared = shared(&listed, other, catalog);
                (!shared.is_empty()).then(|| self.overlap(other, shared))
            })
            .collect();
        let journal = self.in_journal(store, &others, &listed, catalog).await?;
        refusals.extend(journal);
        let unknown = others.unreadable.iter().map(|why| {
            format!("whether another environment has the same schemas live is not known: {why}")
        });
        Ok(Overlaps {
            refusals,
            unknown: unknown.collect(),
        })
    }

    fn overlap(&self, other: &Other, objects: Vec<String>) -> Refusal {
        let theirs = &other.metadata;
        let (ours, name) = (&self.environment, &theirs.environment);
        let is_same = theirs.project == self.project.dbt.name;
        let (of_project, way_out) = if is_same {
            let take = format!(
                "where {name} was renamed to {ours}, take its baseline over with `cutover baseline import {ours} --from {name}`; where it was given up, `cutover baseline forget {name} {ours}`"
            );
            (String::new(), take)
        } else {
            let project = &theirs.project;
            let forget = format!(
                "where {name} was given up, `cutover baseline forget {name} {ours} --of {project}`"
            );
            (format!(" of the project {project}"), forget)
        };
        Refusal {
            name: RefusalName::EnvironmentsOverlap,
            message: format!(
                "the environment {name}{of_project} is live ({}) with schemas or clusters that {ours} lists too",
                theirs.deployment
            ),
            objects,
            remedy: format!(
                "give each environment schemas and clusters of its own, by a dbt target of its own; {way_out}"
            ),
        }
    }

    /// Releases of environments whose baselines lie in another artifact store.
    async fn in_journal(
        &self,
        store: &Store,
        others: &Others,
        listed: &Deployment,
        catalog: &Catalog,
    ) -> Result<Vec<Refusal>, ReleaseError> {
        let serving: BTreeMap<&str, &str> = listed
            .schemas
            .iter()
            .filter_map(|name| Some((name.as_str(), catalog.schema(name)?.id.as_str())))
            .collect();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let mut found: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
        for past in store.history(None, LOOK_BACK).await? {
            if past.state != State::Done
                || past.environment == self.environment
                || others.knows(&past.environment)
            {
                continue;
            }
            let seen = seen.entry(past.environment.clone()).or_default();
            *seen += 1;
            if *seen > LATEST {
                continue;
            }
            let made = green_schemas(store, &past.id).await?;
            let live: Vec<String> = made
                .iter()
                .filter(|(name, id)| serving.get(name.as_str()) == Some(&id.as_str()))
                .map(|(name, _)| format!("schema {name}"))
                .collect();
            if live.is_empty() {
                continue;
            }
            // Two servers may give the same id; the plan says whose it is, and is large.
            let plan = store.deployment(&past.id).await?.plan;
            let is_here = plan.database == catalog.database
                && plan.server.as_ref().is_none_or(|id| *id == catalog.server);
            if is_here {
                let entry = found.entry(past.environment);
                let (_, schemas) = entry.or_insert_with(|| (past.id, BTreeSet::new()));
                schemas.extend(live);
            }
        }
        let refusals = found.into_iter().map(|(name, (id, schemas))| Refusal {
            name: RefusalName::EnvironmentsOverlap,
            message: format!(
                "the environment {name} is live ({id}, by the journal) with schemas that {} lists too",
                self.environment
            ),
            objects: schemas.into_iter().collect(),
            remedy: format!(
                "give each environment schemas of its own, by a dbt target of its own; where {name} was renamed or given up, accept it once with --allow environments-overlap"
            ),
        });
        Ok(refusals.collect())
    }

    /// What another environment of this journal has under way must not share anything with the plan.
    /// While it is staged or dropped that side has secret names, and the catalog does not show it.
    pub(super) async fn refuse_shared(
        &self,
        store: &Store,
        plan: &Plan,
    ) -> Result<(), ReleaseError> {
        let mut refusals = Vec::new();
        for other in store.under_way().await? {
            if other.environment == self.environment {
                continue;
            }
            let theirs = store.deployment(&other.id).await?.plan;
            let shared = both_change(plan, &theirs);
            if theirs.server == plan.server && !shared.is_empty() {
                refusals.push(Refusal {
                    name: RefusalName::DeploymentActive,
                    message: format!(
                        "the deployment {} of the environment {} is under way ({}) with the same schemas or clusters",
                        other.id, other.environment, other.state
                    ),
                    objects: shared,
                    remedy: "finish or abort it under the name of its environment".to_owned(),
                });
            }
        }
        if refusals.is_empty() {
            return Ok(());
        }
        Err(DeploymentError::from(Refused(refusals)).into())
    }
}

/// The schemas and clusters that both list, sorted; empty where the other's are known to be
/// elsewhere.
fn shared(listed: &Deployment, other: &Other, catalog: &Catalog) -> Vec<String> {
    let theirs = &other.metadata;
    let both = |ours: &[String], theirs: &BTreeSet<&String>, what: &str| -> BTreeSet<String> {
        ours.iter()
            .filter(|name| theirs.contains(name))
            .map(|name| format!("{what} {name}"))
            .collect()
    };
    let recorded = theirs.objects.iter().map(|object| &object.schema);
    let schemas = both(
        &listed.schemas,
        &theirs.schemas.iter().chain(recorded).collect(),
        "schema",
    );
    let schemas = Some(schemas).filter(|_| theirs.database == catalog.database);
    let clusters = both(
        &listed.clusters,
        &other.clusters.iter().collect(),
        "cluster",
    );
    let is_elsewhere = match &other.server {
        Some(server) => *server != catalog.server,
        // Documents of older versions do not say. What they recorded is here, or it is not.
        None => !theirs.objects.is_empty() && !is_here(other, catalog),
    };
    if is_elsewhere {
        return Vec::new();
    }
    schemas.into_iter().flatten().chain(clusters).collect()
}

/// The schemas and clusters that both change, sorted.
fn both_change(plan: &Plan, other: &Plan) -> Vec<String> {
    let [ours, theirs] = [plan, other].map(|plan| {
        let swapped = plan.schemas.iter().map(|schema| schema.name.as_str());
        let replaced = plan.replacements.iter().map(|view| view.schema.as_str());
        swapped.chain(replaced).collect::<BTreeSet<&str>>()
    });
    let schemas = ours
        .intersection(&theirs)
        .filter(|_| plan.database == other.database);
    let [ours, theirs] = [plan, other].map(|plan| {
        let swapped = plan.clusters.iter().map(|cluster| cluster.name.as_str());
        let replaced = plan.replacements.iter().map(|view| view.cluster.as_str());
        swapped.chain(replaced).collect::<BTreeSet<&str>>()
    });
    let clusters = ours.intersection(&theirs);
    schemas
        .map(|schema| format!("schema {schema}"))
        .chain(clusters.map(|cluster| format!("cluster {cluster}")))
        .collect()
}

/// Whether anything that was recorded is in the catalog under its name and id.
fn is_here(other: &Other, catalog: &Catalog) -> bool {
    other.metadata.objects.iter().any(|recorded| {
        let schema = catalog.schema(&recorded.schema);
        let object = catalog.objects.get(&recorded.id);
        object.zip(schema).is_some_and(|(object, schema)| {
            object.schema_id == schema.id && object.name == recorded.name
        })
    })
}

#[cfg(test)]
mod tests;
