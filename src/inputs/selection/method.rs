//! What each method finds (`dbt.graph.selector_methods`).

mod config;
mod version;

use std::collections::BTreeSet;

use serde_json::Value;

use super::pattern::{PathPattern, Pattern, fnmatch};
use super::{Context, Criteria, Error, Method};
use crate::foundation::word::UnknownWord;
use crate::inputs::manifest::{Manifest, Resource, ResourceType};
use crate::inputs::selection::state::StateValue;

type Ids<'m> = BTreeSet<&'m str>;

/// The nodes that a criterion names, without relatives and tests.
pub(super) fn search<'m>(criteria: &Criteria, context: &Context<'m, '_>) -> Result<Ids<'m>, Error> {
    let manifest = context.manifest;
    if criteria.method == Method::Config {
        return Ok(config::search(
            &criteria.arguments,
            &criteria.value,
            manifest,
        ));
    }
    let Value::String(value) = &criteria.value else {
        return Err(bad_value(criteria, "text"));
    };
    match criteria.method {
        Method::Fqn => Ok(by(manifest, |it| !is_source(it) && has_name(it, value))),
        Method::Tag => {
            let pattern = Pattern::new(value);
            Ok(by(manifest, |it| {
                tags(it).iter().any(|tag| pattern.matches(tag))
            }))
        }
        Method::Group => {
            let pattern = Pattern::new(value);
            let matches = |group: &str| !group.is_empty() && pattern.matches(group);
            Ok(by(manifest, |it| group(it).is_some_and(matches)))
        }
        Method::Access => Ok(by(manifest, |it| {
            matches!(it, Resource::Node(node) if node.resource_type == ResourceType::Model
                && node.access.as_deref() == Some(value))
        })),
        Method::Source => sources(criteria, value, manifest),
        Method::Path => paths(criteria, value, context),
        Method::File => {
            let pattern = Pattern::new(value);
            Ok(by(manifest, |it| {
                let name = it
                    .original_file_path()
                    .rsplit('/')
                    .next()
                    .unwrap_or_default();
                pattern.matches(name) || pattern.matches(stem(name))
            }))
        }
        Method::Package => {
            let this = manifest.metadata.project_name.as_deref();
            let package = this.filter(|_| value == "this").unwrap_or(value);
            let pattern = Pattern::new(package);
            Ok(by(manifest, |it| pattern.matches(it.package_name())))
        }
        Method::Config => Ok(Ids::new()),
        Method::TestName => {
            let pattern = Pattern::new(value);
            Ok(by(manifest, |it| match it {
                Resource::Node(node) => {
                    node.resource_type == ResourceType::Test
                        && node
                            .test_metadata
                            .as_ref()
                            .is_some_and(|test| pattern.matches(&test.name))
                }
                Resource::UnitTest(test) => pattern.matches(&test.name),
                Resource::Source(_)
                | Resource::Exposure(_)
                | Resource::Metric(_)
                | Resource::SemanticModel(_)
                | Resource::SavedQuery(_)
                | Resource::Function(_) => false,
            }))
        }
        Method::TestType => test_types(criteria, value, manifest),
        Method::ResourceType => {
            let kind: ResourceType = value.parse().map_err(|it| unknown(criteria, &it))?;
            Ok(by(manifest, |it| it.resource_type() == kind))
        }
        Method::State => states(criteria, value, context),
        Method::Exposure => named(criteria, value, manifest, ResourceType::Exposure),
        Method::Metric => named(criteria, value, manifest, ResourceType::Metric),
        Method::SemanticModel => named(criteria, value, manifest, ResourceType::SemanticModel),
        Method::SavedQuery => named(criteria, value, manifest, ResourceType::SavedQuery),
        Method::UnitTest => named(criteria, value, manifest, ResourceType::UnitTest),
        Method::Result => {
            let results = context.run_results.ok_or_else(|| Error::NoRunResults {
                spec: criteria.to_string(),
            })?;
            let ids: BTreeSet<&str> = results
                .results
                .iter()
                .filter(|result| result.status.as_str() == value)
                .map(|result| result.unique_id.as_str())
                .collect();
            Ok(by(manifest, |it| ids.contains(it.unique_id())))
        }
        Method::SourceStatus => source_status(criteria, value, context),
        Method::Version => version::search(criteria, value, manifest),
    }
}

fn bad_value(criteria: &Criteria, expected: &str) -> Error {
    Error::BadValue {
        spec: criteria.to_string(),
        expected: expected.to_owned(),
    }
}

fn unknown(criteria: &Criteria, word: &UnknownWord) -> Error {
    bad_value(criteria, &format!("one of {}", word.known.join(", ")))
}

fn by<'m>(manifest: &'m Manifest, matches: impl Fn(Resource<'m>) -> bool) -> Ids<'m> {
    manifest
        .resources()
        .filter(|(_, resource)| matches(*resource))
        .map(|(id, _)| id)
        .collect()
}

fn is_source(resource: Resource<'_>) -> bool {
    matches!(resource, Resource::Source(_))
}

fn tags(resource: Resource<'_>) -> Vec<String> {
    match resource {
        Resource::Node(it) | Resource::Function(it) => it.tags.clone(),
        Resource::Source(it) => it.tags.clone(),
        Resource::Exposure(it) => it.tags.clone(),
        Resource::Metric(it) => it.tags.clone(),
        Resource::SavedQuery(it) => it.tags.clone(),
        Resource::UnitTest(it) => match it.config.get("tags") {
            Some(Value::String(tag)) => vec![tag.clone()],
            Some(Value::Array(tags)) => tags
                .iter()
                .filter_map(|tag| tag.as_str().map(str::to_owned))
                .collect(),
            Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
                Vec::new()
            }
        },
        Resource::SemanticModel(_) => Vec::new(),
    }
}

fn group(resource: Resource<'_>) -> Option<&str> {
    match resource {
        Resource::Node(it) => it.config.group.as_deref(),
        Resource::Metric(it) => it.config.get("group").and_then(Value::as_str),
        Resource::Source(_)
        | Resource::Exposure(_)
        | Resource::SemanticModel(_)
        | Resource::SavedQuery(_)
        | Resource::UnitTest(_)
        | Resource::Function(_) => None,
    }
}

/// Python's `Path.stem`.
fn stem(name: &str) -> &str {
    match name.rfind('.') {
        Some(at) if at > 0 && at + 1 < name.len() => &name[..at],
        Some(_) | None => name,
    }
}

fn has_name(resource: Resource<'_>, value: &str) -> bool {
    let is_versioned = matches!(resource, Resource::Node(node)
        if node.resource_type == ResourceType::Model && node.version.is_some());
    let fqn = resource.fqn();
    is_selected(fqn, value, is_versioned)
        || is_selected(fqn.get(1..).unwrap_or_default(), value, is_versioned)
}

/// `is_selected_node`: the last segment, or segment after segment from the front, dots inside a segment
/// counting as separators; from the first wildcard on the rest is one pattern.
fn is_selected(fqn: &[String], value: &str, is_versioned: bool) -> bool {
    let parts: Vec<&str> = value.split('.').collect();
    let leaf = match is_versioned {
        true => fqn.len().checked_sub(2).map(|at| &fqn[at]),
        false => fqn.last(),
    };
    if leaf.is_some_and(|leaf| leaf == value) {
        return true;
    }
    // A versioned model may be written `name.v2` or `name_v2`.
    if is_versioned
        && fqn[fqn.len().saturating_sub(2)..].join("_")
            == parts[parts.len().saturating_sub(2)..].join("_")
    {
        return true;
    }
    let flat: Vec<&str> = fqn.iter().flat_map(|segment| segment.split('.')).collect();
    if flat.len() < parts.len() {
        return false;
    }
    for (at, part) in parts.iter().enumerate() {
        if part.contains(['*', '?', '[', ']']) {
            return fnmatch(&flat[at..].join("."), &parts[at..].join("."))
                || (parts.len() == 1 && leaf.is_some_and(|leaf| fnmatch(leaf, value)));
        }
        if flat[at] != *part {
            return false;
        }
    }
    true
}

fn sources<'m>(criteria: &Criteria, value: &str, manifest: &'m Manifest) -> Result<Ids<'m>, Error> {
    let parts: Vec<&str> = value.split('.').collect();
    let (package, source, table) = match parts.as_slice() {
        [source] => ("*", *source, "*"),
        [source, table] => ("*", *source, *table),
        [package, source, table] => (*package, *source, *table),
        _ => {
            return Err(bad_value(
                criteria,
                "source, source.table or package.source.table",
            ));
        }
    };
    let [package, source, table] = [package, source, table].map(Pattern::new);
    Ok(manifest
        .sources
        .iter()
        .filter(|(_, it)| {
            package.matches(&it.package_name)
                && source.matches(&it.source_name)
                && table.matches(&it.name)
        })
        .map(|(id, _)| id.as_str())
        .collect())
}

/// `name` or `package.name` of one kind.
fn named<'m>(
    criteria: &Criteria,
    value: &str,
    manifest: &'m Manifest,
    kind: ResourceType,
) -> Result<Ids<'m>, Error> {
    let parts: Vec<&str> = value.split('.').collect();
    let (package, name) = match parts.as_slice() {
        [name] => ("*", *name),
        [package, name] => (*package, *name),
        _ => return Err(bad_value(criteria, "name or package.name")),
    };
    let [package, name] = [package, name].map(Pattern::new);
    Ok(by(manifest, |it| {
        it.resource_type() == kind && package.matches(it.package_name()) && name.matches(it.name())
    }))
}

fn paths<'m>(
    criteria: &Criteria,
    value: &str,
    context: &Context<'m, '_>,
) -> Result<Ids<'m>, Error> {
    let mut pattern = PathPattern::new(value, context.project_dir)
        .map_err(|what| bad_value(criteria, &format!("a path; {what}")))?;
    let mut found = Ids::new();
    for (id, resource) in context.manifest.resources() {
        let described = match resource {
            Resource::Node(it) | Resource::Function(it) => it.patch_path.as_deref(),
            Resource::Source(it) => it.patch_path.as_deref(),
            Resource::Exposure(_)
            | Resource::Metric(_)
            | Resource::SemanticModel(_)
            | Resource::SavedQuery(_)
            | Resource::UnitTest(_) => None,
        };
        // `package://models/schema.yml`; the folders of this file do not count.
        let described = described.and_then(|path| path.split("://").nth(1));
        if pattern.takes(resource.original_file_path())
            || described.is_some_and(|path| pattern.takes_exactly(path))
        {
            found.insert(id);
        }
    }
    Ok(found)
}

/// dbt looks for the value *in* the words `data`, `singular` and `unit`, so that `dat` is one too.
fn test_types<'m>(
    criteria: &Criteria,
    value: &str,
    manifest: &'m Manifest,
) -> Result<Ids<'m>, Error> {
    let (generic, singular, unit) = match value {
        "generic" | "schema" => (true, false, false),
        _ if "data".contains(value) => (true, true, false),
        _ if "singular".contains(value) => (false, true, false),
        _ if "unit".contains(value) => (false, false, true),
        _ => return Err(bad_value(criteria, "one of generic, singular, unit, data")),
    };
    Ok(by(manifest, |it| match it {
        Resource::Node(node) if node.resource_type == ResourceType::Test => {
            match node.test_metadata {
                Some(_) => generic,
                None => singular,
            }
        }
        Resource::UnitTest(_) => unit,
        Resource::Node(_)
        | Resource::Source(_)
        | Resource::Exposure(_)
        | Resource::Metric(_)
        | Resource::SemanticModel(_)
        | Resource::SavedQuery(_)
        | Resource::Function(_) => false,
    }))
}

fn states<'m>(
    criteria: &Criteria,
    value: &str,
    context: &Context<'m, '_>,
) -> Result<Ids<'m>, Error> {
    let comparison = context.comparison.ok_or_else(|| Error::NoBaseline {
        spec: criteria.to_string(),
    })?;
    let value: StateValue = value.parse().map_err(|it| unknown(criteria, &it))?;
    comparison.check(value)?;
    Ok(by(context.manifest, |it| {
        comparison.matches(it.unique_id(), value)
    }))
}

fn source_status<'m>(
    criteria: &Criteria,
    value: &str,
    context: &Context<'m, '_>,
) -> Result<Ids<'m>, Error> {
    let missing = |which| Error::NoFreshness {
        spec: criteria.to_string(),
        which,
    };
    let before = context
        .freshness_before
        .ok_or_else(|| missing("the state"))?;
    let now = context
        .freshness_now
        .ok_or_else(|| missing("the target folder"))?;
    // The one value that dbt knows; any other finds nothing.
    let fresher = match value {
        "fresher" => now.fresher_than(before),
        _ => BTreeSet::new(),
    };
    Ok(by(context.manifest, |it| fresher.contains(it.unique_id())))
}
