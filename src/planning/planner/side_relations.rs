//! What dbt makes beside its nodes: version pointers, which the manifest tells, and what hooks make, which
//! shows only when it is there.
//!
//! - A version pointer is a relation of the project like any other.
//! - What a release saw hooks make is expected again as long as a hook of the plan could make it: production
//!   has it, and a release that did not would lose it.
//! - Where no hook is left in the project it goes, and the plan lists it. Where hooks are left and the plan
//!   runs none of them, nobody knows: the checks refuse.

use super::candidate::{Candidate, Input};
use super::lookup::Lookup;
use crate::domain::catalog::{Object, ObjectKind};
use crate::domain::plan::refusal::RefusalName;
use crate::domain::plan::{BesideRelation, Plan};
use crate::inputs::manifest::{Manifest, Node};
use crate::inputs::project::switches::Switches;
use std::collections::BTreeSet;

/// The most nodes that one note lists.
const LISTED: usize = 10;

/// The view that dbt makes under the bare name of a versioned model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionPointer<'a> {
    /// Its name.
    Named(&'a str),
    /// The project has a macro of its own that names it.
    ByMacro,
}

/// The version pointer that dbt makes when it builds the node; `None` where it makes none, as every dbt
/// before 1.12 does whatever is configured.
#[must_use]
pub fn version_pointer<'a>(
    manifest: &'a Manifest,
    node: &'a Node,
    switches: Switches,
) -> Option<VersionPointer<'a>> {
    const MACRO: &str = "generate_latest_version_pointer_alias";
    let name = node.version_pointer(switches.version_pointers)?;
    let version = manifest.metadata.dbt_version.as_deref()?;
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().ok());
    if (numbers.next()??, numbers.next()??) < (1, 12) {
        return None;
    }
    let own = manifest.macros.values().any(|own| {
        let is_it = own.name == MACRO || own.name.ends_with(&format!("__{MACRO}"));
        is_it && own.package_name != "dbt"
    });
    Some(match own {
        true => VersionPointer::ByMacro,
        false => VersionPointer::Named(name),
    })
}

/// What of the project has hooks that a release of these nodes runs: the nodes, and the project's own
/// hooks, which run with every dbt; where nothing is planned, none runs. Unique ids, sorted.
pub(crate) fn hooked(candidate: &Candidate, planned: &BTreeSet<String>) -> Vec<String> {
    let has_hooks = |id: &&String| {
        let node = candidate.nodes.get(*id);
        node.is_some_and(|node| node.has_hooks && !node.stores_failures)
    };
    let nodes = planned.iter().filter(has_hooks);
    let project = candidate.project_hooks.iter();
    let project = project.filter(|_| !planned.is_empty());
    let mut hooked: Vec<String> = nodes.chain(project).cloned().collect();
    hooked.sort();
    hooked
}

/// Whether hooks could have made something, as far as a plan of these nodes goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hooks {
    /// The release runs hooks.
    Run,
    /// It runs none, but the project has some.
    Elsewhere,
    /// The project has none.
    Gone,
}

impl Hooks {
    pub(crate) fn of(candidate: &Candidate, planned: &BTreeSet<String>) -> Self {
        if !hooked(candidate, planned).is_empty() {
            Self::Run
        } else if candidate.nodes.values().any(|node| node.has_hooks)
            || !candidate.project_hooks.is_empty()
        {
            Self::Elsewhere
        } else {
            Self::Gone
        }
    }
}

/// Adds to a plan what dbt will make beside its nodes, as far as that is known, and which nodes have hooks.
pub(super) fn take(
    plan: &mut Plan,
    input: &Input<'_>,
    planned: &BTreeSet<String>,
    lookup: &Lookup<'_>,
) {
    plan.hooked = hooked(input.candidate, planned);
    plan.beside = pointers(input, planned);
    let again = made_again(input, planned, lookup);
    if let Some(note) = listed(
        "made by hooks in the last release and expected again",
        &again.iter().map(BesideRelation::name).collect::<Vec<_>>(),
    ) {
        plan.notes.push(note);
    }
    plan.beside.extend(again);
    plan.beside.sort();
    let names: BTreeSet<String> = plan.beside.iter().map(BesideRelation::name).collect();
    let is_live = |name: &String| {
        plan.schemas.iter().any(|schema| {
            let mut objects = schema.objects.iter();
            objects.any(|object| format!("{}.{}", schema.name, object.name) == **name)
        })
    };
    plan.gains
        .extend(names.iter().filter(|name| !is_live(name)).cloned());
    plan.gains.sort();
    plan.loses.retain(|name| !names.contains(name));
    if let Some(note) = listed(
        "hooks run, whose effects Cutover cannot know before",
        &plan.hooked,
    ) {
        plan.notes.push(note);
    }
}

fn pointers(input: &Input<'_>, planned: &BTreeSet<String>) -> Vec<BesideRelation> {
    let pointers = input.candidate.pointers.iter();
    pointers
        .filter(|(id, _)| planned.contains(*id))
        .filter_map(|(id, name)| {
            let node = input.candidate.nodes.get(id)?;
            Some(BesideRelation {
                schema: node.schema.clone(),
                identifier: name.clone(),
                node: Some(id.clone()),
            })
        })
        .collect()
}

/// The relations of production that hooks of the plan made and must make again.
fn made_again(
    input: &Input<'_>,
    planned: &BTreeSet<String>,
    lookup: &Lookup<'_>,
) -> Vec<BesideRelation> {
    if Hooks::of(input.candidate, planned) != Hooks::Run
        || input.allow.contains(&RefusalName::UnmanagedObject)
    {
        return Vec::new();
    }
    let mut again = Vec::new();
    for name in input.schemas {
        let Some(schema) = lookup.schema(name) else {
            continue;
        };
        for object in lookup.objects_in_schema(&schema.id) {
            if lookup.node_of(schema, object).is_none()
                && object.kind != ObjectKind::Index
                && is_beside(input, name, object)
            {
                again.push(BesideRelation {
                    schema: name.clone(),
                    identifier: object.name.clone(),
                    node: None,
                });
            }
        }
    }
    again
}

/// Whether a release saw dbt make this object of production beside its nodes.
pub(crate) fn is_beside(input: &Input<'_>, schema: &str, object: &Object) -> bool {
    let place = (schema.to_owned(), object.name.clone());
    let promoted = input.baseline.and_then(|baseline| baseline.get(&place));
    promoted.is_some_and(|promoted| promoted.beside)
}

fn listed(what: &str, names: &[String]) -> Option<String> {
    let shown = &names[..names.len().min(LISTED)];
    let more = names.len() - shown.len();
    let rest = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!names.is_empty()).then(|| format!("{what}: {}{rest}", shown.join(", ")))
}

#[cfg(test)]
mod tests;
