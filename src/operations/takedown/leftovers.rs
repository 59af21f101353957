//! Schemas and clusters that carry the mark of a deployment which has ended, or which the journal
//! does not know. They are found in the catalog; what is dropped of them is dropped by the ids that
//! the journal recorded, with the code that drops a side.

use crate::adapters::store::{Store, StoreError};
use crate::domain::catalog::Catalog;
use crate::domain::catalog::tag::Tag;
use crate::domain::lifecycle::state::State;
use crate::domain::records::deployment::Deployment;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::Context;
use crate::operations::takedown;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use uuid::Uuid;

/// What has a name of a deployment and no mark yet, younger than this, may be in the making.
const IN_THE_MAKING: SignedDuration = SignedDuration::from_hours(1);

/// What kind of thing was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A schema.
    Schema,
    /// A cluster.
    Cluster,
}

/// One thing that was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// What it is.
    pub what: What,
    /// Its present name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// The deployment whose mark or name it has.
    pub deployment: String,
    /// How that one ended; `None` when the journal does not know it.
    pub ended: Option<State>,
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Schema => "schema",
            What::Cluster => "cluster",
        };
        write!(
            f,
            "{what} {} of the deployment {}",
            self.name, self.deployment
        )?;
        match self.ended {
            Some(state) => write!(f, " ({state})"),
            None => f.write_str(
                ", which this journal does not know: it may be under way in another one",
            ),
        }
    }
}

/// Something in the catalog that says whose it is.
struct Marked<'c> {
    what: What,
    name: &'c str,
    id: &'c str,
    deployment: String,
    /// `None` where only the name says it.
    tag: Option<Tag>,
}

/// What ended deployments of the environment left, and what those left that carry its name and that
/// the journal does not know. What another journal's deployments have is theirs, under way or not. Nothing while a deployment is under way. `production` are names that
/// serve: what stands under them is no leftover, whatever mark it carries.
///
/// # Errors
/// The journal's.
pub async fn find(
    store: &Store,
    catalog: &Catalog,
    (project, environment): (&str, &str),
    production: &BTreeSet<String>,
) -> Result<Vec<Leftover>, StoreError> {
    let mut known: BTreeMap<String, Option<Deployment>> = BTreeMap::new();
    let mut found = Vec::new();
    for marked in marked(catalog) {
        let is_foreign = |tag: &Tag| {
            let is_other = |journal: &String| journal != store.id();
            !tag.is_of(project, environment) || tag.journal.as_ref().is_some_and(is_other)
        };
        if marked.tag.as_ref().is_some_and(is_foreign) || production.contains(marked.name) {
            continue;
        }
        if !known.contains_key(&marked.deployment) {
            let recorded = recorded(store, &marked.deployment).await?;
            known.insert(marked.deployment.clone(), recorded);
        }
        let ended = match known.get(&marked.deployment).and_then(Option::as_ref) {
            Some(deployment) if is_left(deployment, environment, marked.name) => {
                Some(deployment.state)
            }
            Some(_) => continue,
            None if marked.tag.is_none() && is_young(&marked.deployment) => continue,
            None => None,
        };
        found.push(Leftover {
            what: marked.what,
            name: marked.name.to_owned(),
            id: marked.id.to_owned(),
            deployment: marked.deployment,
            ended,
        });
    }
    // One that began meanwhile is none of these, but may be about to use what they stand on.
    if store.active(environment).await?.is_some() {
        return Ok(Vec::new());
    }
    found.sort_by(|a, b| (a.what, &a.name).cmp(&(b.what, &b.name)));
    Ok(found)
}

/// Whether what this deployment marked is a leftover under this name.
fn is_left(deployment: &Deployment, environment: &str, name: &str) -> bool {
    let plan = &deployment.plan;
    let serves = plan.schemas.iter().any(|schema| schema.name == name)
        || plan.clusters.iter().any(|cluster| cluster.name == name);
    deployment.environment == environment && deployment.state.is_terminal() && !serves
}

async fn recorded(store: &Store, id: &str) -> Result<Option<Deployment>, StoreError> {
    // The beginning of an id is no id.
    if Uuid::parse_str(id).is_err() {
        return Ok(None);
    }
    match store.deployment(id).await {
        Ok(found) if found.id == id => Ok(Some(found)),
        Ok(_) | Err(StoreError::NotFound { .. } | StoreError::Ambiguous { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn marked(catalog: &Catalog) -> Vec<Marked<'_>> {
    let schemas = catalog.schemas.values();
    let schemas = schemas
        .filter(|schema| schema.database == catalog.database)
        .map(|schema| (What::Schema, &schema.name, &schema.id, &schema.comment));
    let clusters = catalog
        .clusters
        .values()
        .map(|cluster| (What::Cluster, &cluster.name, &cluster.id, &cluster.comment));
    let mut found = Vec::new();
    for (what, name, id, comment) in schemas.chain(clusters) {
        let tag = comment.as_deref().and_then(|text| Tag::parse(text).1);
        let (deployment, tag) = match (tag, named_after(name)) {
            (Some(tag), _) => (tag.deployment.clone(), Some(tag)),
            (None, Some(deployment)) => (deployment, None),
            (None, None) => continue,
        };
        found.push(Marked {
            what,
            name,
            id,
            deployment,
            tag,
        });
    }
    found
}

/// The deployment that a secret name was made for.
fn named_after(name: &str) -> Option<String> {
    let rest = name.strip_prefix("cutover_")?;
    let (id, after) = rest.split_at_checked(32)?;
    let is_ours = after.starts_with('_') && id.bytes().all(|b| b.is_ascii_hexdigit());
    let id = is_ours.then(|| Uuid::parse_str(id).ok())??;
    Some(id.hyphenated().to_string())
}

fn is_young(deployment: &str) -> bool {
    let made = Uuid::parse_str(deployment)
        .ok()
        .and_then(|id| id.get_timestamp())
        .and_then(|time| i64::try_from(time.to_unix().0).ok())
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    made.is_some_and(|made| Timestamp::now().duration_since(made) < IN_THE_MAKING)
}

/// Drops what an ended deployment left, as far as the journal has the ids of it.
///
/// # Errors
/// What stands in the way; nothing more is dropped then.
pub async fn take_down(
    context: &Context<'_>,
    deployment: &Deployment,
    leftovers: &[Leftover],
) -> Result<(), DeploymentError> {
    let ids = |what: What| -> BTreeSet<String> {
        let all = leftovers.iter();
        all.filter(|left| left.what == what && left.deployment == deployment.id)
            .map(|left| left.id.clone())
            .collect()
    };
    takedown::drop_left(context, deployment, &ids(What::Schema), &ids(What::Cluster)).await
}

#[cfg(test)]
mod tests {
    use super::{is_young, named_after};
    use crate::operations::saga::identity::SecretNames;

    #[test]
    fn a_secret_name_says_whose_it_is() {
        let id = uuid::Uuid::now_v7().to_string();
        let secret = SecretNames::of(&id);
        for name in [secret.control(1), secret.hidden("old_cluster", 3)] {
            assert_eq!(named_after(&name), Some(id.clone()));
        }
        for name in [
            "cutover_",
            "cutover",
            "marts",
            "cutover_é",
            &secret.control(0)[..40],
        ] {
            assert_eq!(named_after(name), None, "{name}");
        }
        assert!(is_young(&id));
        assert!(!is_young("0190a1b2-0000-7000-8000-000000000000"));
        assert!(!is_young("x"));
    }
}
