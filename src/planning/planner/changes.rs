//! What changed since the baseline, as a release sees it: what comes out differently, or where that is not
//! known or not wanted, what is written differently.

use super::candidate::{CandidateNode, Input, Materialization};
use super::closure::{self, Seed};
use super::{full, outside};
use crate::domain::catalog::ObjectKind;
use crate::domain::plan::outside::Place;
use crate::domain::plan::refusal::Refusal;
use crate::inputs::manifest::{Resource, ResourceType};
use crate::inputs::outcome::{Outcome, Outcomes, Verdict};
use crate::inputs::selection::state::{Comparison, StateValue};
use std::collections::{BTreeMap, BTreeSet};

/// What changed since the baseline, as a release sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Where the closure begins.
    pub seed: Seed,
    /// Changed nodes that no release builds (sinks, sources outside, snapshots) → what changed.
    pub unreleased: BTreeMap<String, String>,
    /// Changed sinks, sources and connections outside of the deployment → what changed; what is decided about one
    /// takes it out.
    pub outside: BTreeMap<String, String>,
    /// Sinks, sources and connections outside that the project does not have any more.
    pub gone: Vec<Gone>,
    /// Why what lies outside is not released.
    pub refused: Vec<Refusal>,
    /// Objects of production that are not as they were promoted → what became of them; refused.
    pub drifted: BTreeMap<String, String>,
    /// Changed nodes that a selection left out.
    pub held_back: BTreeMap<String, String>,
    /// Schemas that something left and that a selection left out.
    pub held_back_schemas: BTreeMap<String, String>,
    /// Nodes whose text changed while what comes out of them is the same.
    pub text_only: BTreeSet<String>,
    /// What an operator should know.
    pub notes: Vec<String>,
}

/// A sink, source or connection of the baseline that the candidate does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// dbt's unique id.
    pub node: String,
    /// Where it was made.
    pub place: Place,
    /// What it was made as.
    pub kind: ObjectKind,
}

impl Changes {
    /// What a comparison of texts means to a release of `input`. Only what makes relations counts: tests,
    /// exposures and the like are taken from the candidate anyway.
    #[must_use]
    pub fn of_texts(comparison: &Comparison<'_>, input: &Input<'_>) -> Self {
        let mut changes = Self::default();
        for (id, node) in &input.candidate.nodes {
            if comparison.matches(id, StateValue::Modified) {
                changes.take(id, node, phrase(comparison, id), input);
            }
            if let Some(old) = comparison.old().nodes.get(id)
                && (old.resource_type != ResourceType::Test || old.stores_failures(false))
            {
                changes.leaves(
                    id,
                    &Left::of_node(&CandidateNode::of(old)),
                    Some(node),
                    input,
                );
            }
        }
        for (id, old) in comparison.deleted() {
            if let Resource::Node(old) = old
                && old.resource_type.makes_relations()
            {
                changes.leaves(id, &Left::of_node(&CandidateNode::of(old)), None, input);
            }
        }
        // A test may stay and store nothing any more.
        for (id, old) in &comparison.old().nodes {
            if old.stores_failures(false) && !input.candidate.nodes.contains_key(id) {
                changes.leaves(id, &Left::of_node(&CandidateNode::of(old)), None, input);
            }
        }
        changes
    }

    /// What two sets of outcomes mean to a release of `input`. Where they do not say, the texts are compared,
    /// except for views that can be made again without anything being computed anew: those count as changed.
    #[must_use]
    pub fn of_outcomes(
        old: &Outcomes,
        new: &Outcomes,
        texts: &Comparison<'_>,
        input: &Input<'_>,
    ) -> Self {
        let mut changes = Self::default();
        let mut unknown = BTreeSet::new();
        for (id, node) in &input.candidate.nodes {
            let is_rewritten = texts.matches(id, StateValue::Modified);
            match new.verdict(id, old) {
                Verdict::Differs(differences) => {
                    let words: Vec<String> = differences.iter().map(ToString::to_string).collect();
                    changes.take(id, node, words.join(", "), input);
                }
                Verdict::Same if is_rewritten => {
                    changes.text_only.insert(id.clone());
                }
                Verdict::Same => {}
                Verdict::Unknown => {
                    unknown.insert(id);
                }
            }
            if let Some(before) = old.nodes.get(id) {
                changes.leaves(id, &Left::of(before), Some(node), input);
            }
        }
        changes.take_unknown(&unknown, texts, input);
        for (id, before) in &old.nodes {
            if !input.candidate.nodes.contains_key(id) {
                changes.leaves(id, &Left::of(before), None, input);
            }
        }
        changes
    }

    /// Takes nodes of which it is not known what came out of them in the baseline.
    fn take_unknown(
        &mut self,
        unknown: &BTreeSet<&String>,
        texts: &Comparison<'_>,
        input: &Input<'_>,
    ) {
        let mut is_cheap: BTreeMap<&str, bool> = BTreeMap::new();
        let mut compared = 0;
        for id in unknown {
            let Some(node) = input.candidate.nodes.get(*id) else {
                continue;
            };
            let is_view = node.materialization() == Materialization::Relation(ObjectKind::View);
            let is_cheap = is_view
                && full::lies_in_deployment(input, node)
                && *is_cheap
                    .entry(&node.schema)
                    .or_insert_with(|| swaps_views_alone(&node.schema, input));
            if is_cheap {
                let what = "not known what it was made from".to_owned();
                self.take(id, node, what, input);
                continue;
            }
            compared += 1;
            if texts.matches(id, StateValue::Modified) {
                self.take(id, node, phrase(texts, id), input);
            }
        }
        if compared > 0 {
            self.notes.push(format!(
                "the baseline does not say what came out of {compared} of {} nodes; of these the texts are compared, as dbt's state:modified does",
                input.candidate.nodes.len()
            ));
        }
    }

    /// Takes one changed node of the candidate.
    pub fn take(&mut self, id: &str, node: &CandidateNode, what: String, input: &Input<'_>) {
        // Nothing is released for it; what is released refuses it, where it reads that.
        if node.stores_failures && !full::lies_in_deployment(input, node) {
            self.notes.push(format!(
                "{id} ({what}) stores its failures in {}, outside vars.deployment; no release makes them",
                node.schema
            ));
            return;
        }
        let is_built = match node.materialization() {
            Materialization::Ephemeral => true,
            Materialization::Relation(_) => node.database == input.catalog.database,
            // What cannot be built in the deployment is refused as that, by its own name.
            Materialization::Source | Materialization::Unsupported => {
                full::lies_in_deployment(input, node)
            }
            Materialization::Sink => false,
        };
        let is_outside = outside::kind_of(node).is_some()
            && node.database == input.catalog.database
            && !full::lies_in_deployment(input, node);
        if is_outside {
            self.outside.insert(id.to_owned(), what);
        } else if is_built {
            self.seed.nodes.insert(id.to_owned(), what);
        } else {
            self.unreleased.insert(id.to_owned(), what);
        }
    }

    /// Takes up what earlier releases held back, as far as it is still there.
    pub fn take_held_back(
        &mut self,
        nodes: &BTreeMap<String, String>,
        schemas: &BTreeMap<String, String>,
        input: &Input<'_>,
    ) {
        for (id, what) in nodes {
            if let Some(node) = input.candidate.nodes.get(id)
                && !self.seed.nodes.contains_key(id)
            {
                self.take(id, node, format!("held back, {what}"), input);
            }
        }
        for (schema, who) in schemas {
            if input.schemas.contains(schema) {
                let seeds = &mut self.seed.schemas;
                seeds.entry(schema.clone()).or_insert_with(|| who.clone());
            }
        }
    }

    /// Takes an object that is not as it was promoted: its node, or where it has none its schema.
    pub fn take_drift(&mut self, schema: &str, name: &str, what: String, input: &Input<'_>) {
        let mut nodes = input.candidate.nodes.iter();
        let node = nodes.find(|(_, node)| {
            node.database == input.catalog.database
                && node.schema == schema
                && node.identifier == name
                && node.materialization() != Materialization::Ephemeral
        });
        match node {
            Some((id, node)) if !self.seed.nodes.contains_key(id) => {
                self.take(id, node, what, input);
            }
            Some(_) => {}
            None => {
                let schemas = &mut self.seed.schemas;
                schemas.entry(schema.to_owned()).or_insert(what);
            }
        }
    }

    /// Begins with the selected nodes instead. What changed and is not selected is held back.
    pub fn keep_only(&mut self, selected: &BTreeSet<String>, input: &Input<'_>) {
        let seed = std::mem::take(&mut self.seed);
        self.unreleased.retain(|id, _| selected.contains(id));
        let outside = std::mem::take(&mut self.outside);
        let (chosen, left): (BTreeMap<_, _>, BTreeMap<_, _>) = outside
            .into_iter()
            .partition(|(id, _)| selected.contains(id));
        self.outside = chosen;
        self.held_back.extend(left);
        // Nobody can select what is not there any more.
        self.gone.clear();
        self.held_back_schemas = seed.schemas;
        for (id, what) in seed.nodes {
            if selected.contains(&id) {
                self.seed.nodes.insert(id, what);
            } else {
                self.held_back.insert(id, what);
            }
        }
        for id in selected {
            if let Some(node) = input.candidate.nodes.get(id)
                && !self.seed.nodes.contains_key(id)
                && !self.unreleased.contains_key(id)
                && outside::kind_of(node).is_none_or(|_| full::lies_in_deployment(input, node))
            {
                self.take(id, node, "selected".to_owned(), input);
            }
        }
    }

    /// Notes a sink, source or connection of the baseline outside of the deployment that the candidate does not make
    /// there; whether it was one.
    fn goes_outside(
        &mut self,
        id: &str,
        old: &Left,
        new: Option<&CandidateNode>,
        input: &Input<'_>,
    ) -> bool {
        let Some(kind) = outside::kind_named(&old.made_as) else {
            return false;
        };
        if old.database != input.catalog.database || input.schemas.contains(&old.schema) {
            return false;
        }
        let stays = new.is_some_and(|new| {
            outside::kind_of(new) == Some(kind)
                && (&new.database, &new.schema, &new.identifier)
                    == (&old.database, &old.schema, &old.identifier)
        });
        if !stays {
            let place = Place {
                schema: old.schema.clone(),
                name: old.identifier.clone(),
            };
            self.gone.push(Gone {
                node: id.to_owned(),
                place,
                kind,
            });
        }
        true
    }

    /// A relation of the baseline that the candidate makes nowhere or elsewhere: its schema is
    /// swapped, so that it goes. Where it is made elsewhere the node itself is a change too.
    fn leaves(&mut self, id: &str, old: &Left, new: Option<&CandidateNode>, input: &Input<'_>) {
        let is_relation = |materialization: Materialization| {
            matches!(
                materialization,
                Materialization::Relation(_) | Materialization::Source
            )
        };
        let stays = new.is_some_and(|new| {
            is_relation(new.materialization())
                && (&new.database, &new.schema) == (&old.database, &old.schema)
        });
        if self.goes_outside(id, old, new, input) || !is_relation(old.materialization) || stays {
            return;
        }
        let word = if new.is_some() { "moved" } else { "deleted" };
        if old.database == input.catalog.database && input.schemas.contains(&old.schema) {
            self.seed
                .schemas
                .entry(old.schema.clone())
                .or_insert_with(|| format!("{word} {id}"));
        } else {
            self.notes.push(format!(
                "{id} was {word}; {}.{} lies outside vars.deployment and stays in production",
                old.schema, old.identifier
            ));
        }
    }
}

/// A relation of the baseline.
struct Left {
    database: String,
    schema: String,
    identifier: String,
    materialization: Materialization,
    /// dbt's word for that.
    made_as: String,
}

impl Left {
    fn of(outcome: &Outcome) -> Self {
        let (database, schema, identifier) = outcome.place.clone();
        Self {
            database,
            schema,
            identifier,
            materialization: Materialization::named(&outcome.materialized),
            made_as: outcome.materialized.clone(),
        }
    }

    fn of_node(node: &CandidateNode) -> Self {
        Self {
            database: node.database.clone(),
            schema: node.schema.clone(),
            identifier: node.identifier.clone(),
            materialization: node.materialization(),
            made_as: node.materialized.clone(),
        }
    }
}

/// Whether a swap of this schema swaps views without indexes and nothing else, so that it costs next to
/// nothing.
fn swaps_views_alone(schema: &str, input: &Input<'_>) -> bool {
    let seed = Seed {
        schemas: [(schema.to_owned(), String::new())].into(),
        ..Seed::default()
    };
    let closure = closure::close(
        input.candidate,
        &input.catalog.database,
        input.target_cluster,
        &seed,
    );
    closure.clusters.is_empty()
        && closure.nodes.keys().all(|id| {
            input.candidate.nodes.get(id).is_some_and(|node| {
                matches!(
                    node.materialization(),
                    Materialization::Relation(ObjectKind::View) | Materialization::Ephemeral
                )
            })
        })
}

/// `changed: body, config cluster`, or `new`.
#[must_use]
pub fn phrase(comparison: &Comparison<'_>, id: &str) -> String {
    let words: Vec<String> = comparison
        .changes(id)
        .iter()
        .map(ToString::to_string)
        .collect();
    let bare: Vec<&str> = words
        .iter()
        .map(|word| word.strip_prefix("changed: ").unwrap_or(word))
        .collect();
    if bare == ["new"] {
        return "new".to_owned();
    }
    format!("changed: {}", bare.join(", "))
}
