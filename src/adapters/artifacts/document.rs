//! The documents of the artifact store: metadata and pointer. Version 1 of both.
//!
//! Unknown fields are errors, and so is another version: what decides about production is not
//! guessed at.

use super::error::ArtifactError;
use super::refusal::Name;
use super::{Key, drift};
use crate::domain::catalog::grants::Grant;
use crate::domain::catalog::{Catalog, ObjectKind};
use crate::domain::plan::Engine;
use crate::foundation::word::stored_words;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The version of both documents that is written and read.
pub const VERSION: u32 = 1;

/// `metadata.json`: what a bundle is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The format of this document; [`VERSION`].
    pub version: u32,
    /// The deployment's id, `<id>-back` after a view that it replaced in place got its old definition
    /// back, or `import-<uuid>`.
    pub deployment: String,
    /// Where it comes from.
    pub kind: Kind,
    /// The environment.
    pub environment: String,
    /// The dbt project's name.
    pub project: String,
    /// The dbt target.
    pub target: String,
    /// The Materialize database.
    pub database: String,
    /// The server's id of itself; `None` in documents of versions that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The version of Cutover that wrote this.
    pub cutover_version: String,
    /// [`crate::inputs::manifest::Manifest::content_hash`] of `manifest.json`.
    pub manifest_hash: String,
    /// Who built what the deployment made live: whether the next one has to ask dbt where green lies is guessed
    /// from it. `None` of an import, and in documents of versions that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_by: Option<Engine>,
    /// When this was written.
    pub created_at: Timestamp,
    /// The production schemas of the deployment, sorted; some may hold no object.
    pub schemas: Vec<String>,
    /// The objects in these schemas as they were when the deployment went live, sorted.
    pub objects: Vec<RecordedObject>,
    /// Nodes of the manifest that are not live as it has them, because a selection left them out →
    /// what changed.
    #[serde(default)]
    pub held_back: BTreeMap<String, String>,
    /// Schemas of which production still holds a relation that the manifest has not → who left.
    #[serde(default)]
    pub held_back_schemas: BTreeMap<String, String>,
}

/// Where a bundle comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A deployment of Cutover promoted it.
    Promoted,
    /// `cutover baseline import` took it over.
    Imported,
}

/// An object of production. Field names are part of the format; the order is by schema, then name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedObject {
    /// The production schema's name.
    pub schema: String,
    /// The object's name.
    pub name: String,
    /// The object's id.
    pub id: String,
    /// What it is.
    pub kind: ObjectKind,
    /// Whether dbt made it beside its nodes, as a release saw: a hook's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beside: bool,
    /// What the release itself gave it; `None` where that is not on record: in documents of versions before,
    /// and of what was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Given>,
}

/// What hooks of the project gave an object while it was built, beside what every new object has. What was
/// carried over from the object before it is not among it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Given {
    /// An owner other than who built it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Grants, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// Default privileges that were taken away again, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<Grant>,
    /// The comment on it, where dbt does not write that by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Comments on its columns, where dbt does not write those by itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub column_comments: BTreeMap<String, String>,
}

/// `baseline/<generation>.json`: which deployment is live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pointer {
    /// The format of this document; [`VERSION`].
    pub version: u32,
    /// Its number, from 1; also its name.
    pub generation: u64,
    /// What is live; `None` after the first deployment was rolled back, or when it was forgotten.
    pub deployment: Option<String>,
    /// What the pointer before this one named.
    pub previous: Option<String>,
    /// Why it moved.
    pub reason: Reason,
    /// When it moved.
    pub at: Timestamp,
}

stored_words! {
    /// Why a pointer moved.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Reason {
        /// A swap committed.
        Promoted = "promoted",
        /// A swap back committed.
        RolledBack = "rolled_back",
        /// A project that was deployed without Cutover was taken over, or another environment's baseline.
        Imported = "imported",
        /// Somebody said that the environment is given up, or another one took its baseline over.
        Forgotten = "forgotten",
    }
}

impl Metadata {
    /// Metadata written now, by this version, with the objects that the catalog shows in `schemas`.
    #[must_use]
    pub fn now(
        key: &Key,
        kind: Kind,
        deployment: &str,
        target: &str,
        manifest_hash: &str,
        schemas: &BTreeSet<String>,
        catalog: &Catalog,
    ) -> Self {
        Self {
            version: VERSION,
            deployment: deployment.to_owned(),
            kind,
            environment: key.environment.clone(),
            project: key.project.clone(),
            target: target.to_owned(),
            database: catalog.database.clone(),
            server: Some(catalog.server.clone()),
            cutover_version: env!("CARGO_PKG_VERSION").to_owned(),
            manifest_hash: manifest_hash.to_owned(),
            built_by: None,
            created_at: Timestamp::now(),
            schemas: schemas.iter().cloned().collect(),
            objects: drift::recorded(schemas.iter().map(String::as_str), catalog),
            held_back: BTreeMap::new(),
            held_back_schemas: BTreeMap::new(),
        }
    }

    /// Whether both are about the same release. When it was written, by which version, and what was
    /// live at that moment may differ: of several attempts the first one stays.
    pub(super) fn is_about(&self, other: &Self) -> bool {
        self.deployment == other.deployment
            && self.kind == other.kind
            && self.environment == other.environment
            && self.project == other.project
            && self.target == other.target
            && self.database == other.database
            && self.manifest_hash == other.manifest_hash
    }

    pub(super) fn belongs_to(&self, key: &Key, id: &str, place: &str) -> Result<(), ArtifactError> {
        if (&self.project, &self.environment) == (&key.project, &key.environment)
            && self.deployment == id
        {
            return Ok(());
        }
        Err(ArtifactError::refused(
            Name::BaselineForeign,
            format!(
                "{place} is of the deployment {:?} of the environment {:?} of the project {:?}, not of {id:?} of {:?} of {:?}",
                self.deployment, self.environment, self.project, key.environment, key.project
            ),
            None,
        ))
    }
}

#[derive(Deserialize)]
struct Header {
    version: u32,
}

/// Reads a document; the version is looked at before the rest.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8], place: &str) -> Result<T, ArtifactError> {
    let damaged = |error: serde_json::Error| {
        ArtifactError::refused(
            Name::BaselineDamaged,
            format!("{place} cannot be read"),
            Some(error.into()),
        )
    };
    let header: Header = serde_json::from_slice(bytes).map_err(damaged)?;
    if header.version != VERSION {
        return Err(ArtifactError::Newer {
            place: place.to_owned(),
            found: header.version,
            known: VERSION,
        });
    }
    serde_json::from_slice(bytes).map_err(damaged)
}

/// A document for people and machines.
pub(super) fn write(document: &impl Serialize) -> Vec<u8> {
    // Strings, numbers and lists of them: nothing that JSON cannot hold.
    let mut bytes = serde_json::to_vec_pretty(document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
