//! A hash of what a manifest means.
//!
//! Counted in: every enabled resource and every macro, as far as this crate reads them. Left out: the
//! metadata (times, ids of runs, versions), `created_at`, absolute paths, compiled SQL, deferral, which macros
//! a node reaches, disabled resources and selectors. Lists that are sets (`tags`, `depends_on`) count in any order.

use serde::{Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Manifest;

/// Changed whenever the same project would hash differently from then on.
const FORM: &str = "cutover manifest 2";

pub(super) fn of(manifest: &Manifest) -> Result<String, serde_json::Error> {
    let mut hash = Sha256::new();
    text(&mut hash, FORM);
    text(
        &mut hash,
        manifest
            .metadata
            .project_name
            .as_deref()
            .unwrap_or_default(),
    );
    written(&mut hash, "nodes", &manifest.nodes)?;
    section(&mut hash, "sources", &manifest.sources)?;
    section(&mut hash, "exposures", &manifest.exposures)?;
    section(&mut hash, "metrics", &manifest.metrics)?;
    section(&mut hash, "semantic_models", &manifest.semantic_models)?;
    section(&mut hash, "saved_queries", &manifest.saved_queries)?;
    section(&mut hash, "unit_tests", &manifest.unit_tests)?;
    written(&mut hash, "functions", &manifest.functions)?;
    written(&mut hash, "macros", &manifest.macros)?;
    Ok(hex::encode(hash.finalize()))
}

/// As [`section`], for the kinds that are many: as they are written, which is always the same, since their
/// maps are sorted and [`as_set`] writes what is a set.
fn written<'m, T: Serialize + 'm>(
    hash: &mut Sha256,
    name: &str,
    resources: impl IntoIterator<Item = (&'m String, &'m T)>,
) -> Result<(), serde_json::Error> {
    text(hash, name);
    let mut bytes = Vec::new();
    for (id, resource) in resources {
        text(hash, id);
        bytes.clear();
        serde_json::to_writer(&mut bytes, resource)?;
        length(hash, bytes.len());
        hash.update(&bytes);
    }
    Ok(())
}

/// Writes a list whose order means nothing.
pub(super) fn as_set<S: Serializer>(items: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    let mut items: Vec<&String> = items.iter().collect();
    items.sort_unstable();
    items.serialize(serializer)
}

fn section<'m, T: Serialize + 'm>(
    hash: &mut Sha256,
    name: &str,
    resources: impl IntoIterator<Item = (&'m String, &'m T)>,
) -> Result<(), serde_json::Error> {
    text(hash, name);
    for (id, resource) in resources {
        text(hash, id);
        // One resource at a time becomes JSON, so a large manifest is never held twice.
        let mut value = serde_json::to_value(resource)?;
        as_sets(&mut value);
        canonical(hash, &value);
    }
    Ok(())
}

fn as_sets(resource: &mut Value) {
    for path in ["/tags", "/config/tags"] {
        if let Some(Value::Array(items)) = resource.pointer_mut(path) {
            items.sort_by(|left, right| left.as_str().cmp(&right.as_str()));
        }
    }
}

/// Each value with its kind and length, keys in order, so that no two values give the same bytes.
fn canonical(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hash.update(b"n"),
        Value::Bool(true) => hash.update(b"t"),
        Value::Bool(false) => hash.update(b"f"),
        Value::Number(number) => {
            hash.update(b"#");
            text(hash, &number.to_string());
        }
        Value::String(string) => {
            hash.update(b"s");
            text(hash, string);
        }
        Value::Array(items) => {
            hash.update(b"[");
            length(hash, items.len());
            for item in items {
                canonical(hash, item);
            }
        }
        Value::Object(entries) => {
            hash.update(b"{");
            length(hash, entries.len());
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            for (key, value) in entries {
                text(hash, key);
                canonical(hash, value);
            }
        }
    }
}

fn text(hash: &mut Sha256, text: &str) {
    length(hash, text.len());
    hash.update(text.as_bytes());
}

fn length(hash: &mut Sha256, length: usize) {
    hash.update((length as u64).to_le_bytes());
}
