//! What a request builds. Rules, in this order:
//!
//! 1. What comes out differently is built, and everything downstream of it; or what a selection means and nothing else.
//! 2. What a chosen node reads and production does not have is built as well.
//! 3. Sinks are never built. Sources are read from production; where it does not have them, the build is refused, or
//!    they are built when `ci.sources` says so.
//! 4. Tests run that read something that is built, and those that are new or changed themselves.

use crate::domain::catalog::{Catalog, Object, ObjectKind};
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::inputs::settings::NewSources;
use crate::operations::release::proposal::Proposal;
use crate::planning::planner::candidate::{Candidate, CandidateNode, Materialization};
use std::collections::{BTreeMap, BTreeSet};

/// Relations of the session's database by schema and name.
#[derive(Debug, Default)]
pub struct Relations<'c>(BTreeMap<(&'c str, &'c str), &'c Object>);

impl<'c> Relations<'c> {
    /// Those of a catalog.
    #[must_use]
    pub fn of(catalog: &'c Catalog) -> Self {
        let objects = catalog.objects.values();
        let named = objects.filter(|object| object.kind != ObjectKind::Index);
        let placed = named.filter_map(|object| {
            let schema = catalog.schemas.get(&object.schema_id)?;
            let is_here = schema.database == catalog.database;
            is_here.then_some(((schema.name.as_str(), object.name.as_str()), object))
        });
        Self(placed.collect())
    }

    /// The relation of this name.
    #[must_use]
    pub fn get(&self, schema: &str, name: &str) -> Option<&'c Object> {
        self.0.get(&(schema, name)).copied()
    }
}

/// What is built and tested.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Nodes that are built: unique id → why.
    pub nodes: BTreeMap<String, String>,
    /// Changed nodes that are not built: unique id → why.
    pub left_out: BTreeMap<String, String>,
    /// Tests that run on it, unit tests among them; unique ids.
    pub tests: BTreeSet<String>,
    /// What a person should know.
    pub notes: Vec<String>,
}

/// Chooses.
///
/// # Errors
/// [`RefusalName::CornerSource`] where a source would have to be built, [`RefusalName::MaterializationUnsupported`] of
/// what cannot be built at all, [`RefusalName::NodeOutsideDeployment`] of what lies in another database; all at once.
pub fn choose(proposal: &Proposal, sources: NewSources) -> Result<Choice, Refused> {
    let candidate = &proposal.parsed.candidate;
    let relations = Relations::of(&proposal.catalog);
    let mut choice = Choice::default();
    let mut refusals = Refusals::default();
    for (id, reason) in wanted(proposal, candidate) {
        let Some(node) = candidate.nodes.get(&id) else {
            continue;
        };
        match node.materialization() {
            Materialization::Ephemeral => {}
            Materialization::Relation(_) => {
                choice.nodes.insert(id, reason);
            }
            Materialization::Sink => {
                let why = format!("{reason}; sinks are not built for a pull request");
                choice.left_out.insert(id, why);
            }
            Materialization::Source if relations.get(&node.schema, &node.identifier).is_some() => {
                let why = format!("{reason}; production's is read, sources are not built");
                choice.left_out.insert(id, why);
            }
            Materialization::Source if is_built(node, sources) => {
                choice.nodes.insert(id, reason);
            }
            Materialization::Source => refusals.source(&id),
            Materialization::Unsupported => refusals.unsupported(&id, &node.materialized),
        }
    }
    add_missing(candidate, &relations, sources, &mut choice, &mut refusals);
    for id in choice.nodes.keys() {
        let database = candidate.nodes.get(id).map(|node| &node.database);
        if database.is_some_and(|database| *database != proposal.catalog.database) {
            refusals.elsewhere(id);
        }
    }
    refusals.end()?;
    choice.tests = tests(proposal, candidate, &choice);
    Ok(choice)
}

/// What begins it, with everything that follows: unique id → why.
fn wanted(proposal: &Proposal, candidate: &Candidate) -> BTreeMap<String, String> {
    let mut wanted = BTreeMap::new();
    if let Some(selected) = &proposal.selected {
        for id in selected {
            let changed = proposal.changed.get(id);
            let reason = changed.map_or_else(|| "selected".to_owned(), Clone::clone);
            wanted.insert(id.clone(), reason);
        }
        return wanted;
    }
    let changed: BTreeSet<String> = proposal.changed.keys().cloned().collect();
    for id in candidate.downstream(&changed) {
        if candidate
            .nodes
            .get(&id)
            .is_some_and(|node| node.stores_failures)
        {
            continue;
        }
        let parents = candidate.nodes.get(&id).map(|node| &node.parents);
        let direct = parents.and_then(|parents| parents.iter().find(|id| changed.contains(*id)));
        let reason = match direct {
            Some(parent) => format!("reads {parent}"),
            None => "downstream of what changed".to_owned(),
        };
        wanted.insert(id, reason);
    }
    wanted.extend(proposal.changed.clone());
    wanted.retain(|id, _| !proposal.excluded.contains(id));
    wanted
}

/// Adds what chosen nodes read and production does not have, until nothing is missing.
fn add_missing(
    candidate: &Candidate,
    relations: &Relations<'_>,
    sources: NewSources,
    choice: &mut Choice,
    refusals: &mut Refusals,
) {
    let mut queue: Vec<String> = choice.nodes.keys().cloned().collect();
    while let Some(id) = queue.pop() {
        let Some(node) = candidate.nodes.get(&id) else {
            continue;
        };
        for parent in candidate.reads(&node.parents) {
            let Some(read) = candidate.nodes.get(parent) else {
                continue;
            };
            let is_there = relations.get(&read.schema, &read.identifier).is_some();
            if choice.nodes.contains_key(parent) || is_there {
                continue;
            }
            match read.materialization() {
                Materialization::Source if !is_built(read, sources) => refusals.source(parent),
                Materialization::Relation(_) | Materialization::Source => {
                    let reason = "production does not have it".to_owned();
                    choice.nodes.insert(parent.to_owned(), reason);
                    queue.push(parent.to_owned());
                }
                Materialization::Unsupported => refusals.unsupported(parent, &read.materialized),
                // Nothing reads a sink, and what an ephemeral one reads is read here.
                Materialization::Sink | Materialization::Ephemeral => {}
            }
        }
    }
}

/// Whether a source that production does not have is built. A table of a source (`source_table`) is none: it would have
/// to be made on one that others read.
fn is_built(node: &CandidateNode, sources: NewSources) -> bool {
    match sources {
        NewSources::Build => node.materialized == "source",
        NewSources::Refuse => false,
    }
}

fn tests(proposal: &Proposal, candidate: &Candidate, choice: &Choice) -> BTreeSet<String> {
    let reads_built = |parents: &[String]| {
        let mut reads = candidate.reads(parents).into_iter();
        reads.any(|id| choice.nodes.contains_key(id))
    };
    let is_wanted = |id: &String| match &proposal.selected {
        Some(selected) => selected.contains(id),
        None => !proposal.excluded.contains(id),
    };
    let tests = candidate.tests.iter();
    tests
        .filter(|(id, test)| {
            let is_changed =
                proposal.selected.is_none() && proposal.changed_tests.contains_key(*id);
            is_wanted(id) && (is_changed || reads_built(&test.parents))
        })
        .map(|(id, _)| id.clone())
        .collect()
}

/// What is refused, gathered.
#[derive(Debug, Default)]
struct Refusals {
    sources: BTreeSet<String>,
    unsupported: BTreeSet<String>,
    elsewhere: BTreeSet<String>,
}

impl Refusals {
    fn source(&mut self, id: &str) {
        self.sources.insert(id.to_owned());
    }

    fn unsupported(&mut self, id: &str, materialized: &str) {
        self.unsupported.insert(format!("{id} is a {materialized}"));
    }

    fn elsewhere(&mut self, id: &str) {
        self.elsewhere.insert(id.to_owned());
    }

    fn end(self) -> Result<(), Refused> {
        let all = [
            (
                RefusalName::CornerSource,
                "a source that production does not have would have to be built; it would ingest everything for a pull request",
                self.sources,
                "release the source first, leave out what reads it with --exclude, or have it built with ci.sources: build",
            ),
            (
                RefusalName::MaterializationUnsupported,
                "no corner can have this materialization",
                self.unsupported,
                "leave it out with --exclude",
            ),
            (
                RefusalName::NodeOutsideDeployment,
                "it lies in another database than the profile's",
                self.elsewhere,
                "leave it out with --exclude",
            ),
        ];
        let refused: Vec<Refusal> = all
            .into_iter()
            .filter(|(_, _, objects, _)| !objects.is_empty())
            .map(|(name, message, objects, remedy)| Refusal {
                name,
                message: message.to_owned(),
                objects: objects.into_iter().collect(),
                remedy: remedy.to_owned(),
            })
            .collect();
        match refused.is_empty() {
            true => Ok(()),
            false => Err(Refused(refused)),
        }
    }
}

/// The kind of object that a chosen node becomes.
#[must_use]
pub fn kind(node: &CandidateNode) -> Option<ObjectKind> {
    match node.materialization() {
        Materialization::Relation(kind) => Some(kind),
        Materialization::Source => Some(ObjectKind::Source),
        Materialization::Ephemeral | Materialization::Sink | Materialization::Unsupported => None,
    }
}
