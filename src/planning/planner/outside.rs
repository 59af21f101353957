//! Sinks of the project, sources, their tables and connections that lie outside of what is swapped: what a release
//! makes, repoints, makes anew and drops of them, and what it refuses.
//!
//! Pure. The rules:
//! 1. What is new and not in production is made: a sink after the swap, anything else before the build.
//! 2. A sink of which only the relation that it reads is another is repointed.
//! 3. A sink that changed otherwise is made anew where `sink-recreated` is allowed, and refused by that name where not.
//! 4. A changed source, table of one or connection is refused: its readers would have to go with it.
//! 5. What is in production under the name of something new is not touched, whoever made it.
//! 6. What the project does not have any more is dropped where that is allowed, and stays where not.

use super::candidate::{CandidateNode, ClusterUse, Input, Materialization};
use super::changes::{Changes, Gone};
use super::lookup::Lookup;
use crate::domain::catalog::grants::Grant;
use crate::domain::catalog::{Object, ObjectKind};
use crate::domain::plan::outside::{
    Outside, OutsideLeft, OutsideMake, Place, SinkBefore, SinkChange, SinkColumn, SinkDefinition,
    SinkFate,
};
use crate::domain::plan::refusal::{RefusalName, Refusals};
use crate::domain::plan::{ColumnChange, ColumnChangeKind, SinkRepoint};
use crate::foundation::sql::clauses::{self, SinkClauses};
use crate::foundation::sql::identifier::Ident;
use crate::foundation::sql::tokens;
use std::collections::{BTreeMap, BTreeSet};

mod sources;
#[cfg(test)]
mod tests;

/// What dbt's word for a materialization becomes outside; `None` of what is no sink, source, table of one or
/// connection.
#[must_use]
pub fn kind_named(materialized: &str) -> Option<ObjectKind> {
    match materialized {
        "sink" => Some(ObjectKind::Sink),
        "source" => Some(ObjectKind::Source),
        "source_table" => Some(ObjectKind::Table),
        "connection" => Some(ObjectKind::Connection),
        _ => None,
    }
}

/// What a node becomes outside.
#[must_use]
pub fn kind_of(node: &CandidateNode) -> Option<ObjectKind> {
    match node.stores_failures {
        true => None,
        false => kind_named(&node.materialized),
    }
}

/// What a node is made from without dbt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its SQL, as it reads production.
    pub sql: String,
    /// The comment that dbt writes on it.
    pub comment: Option<String>,
}

/// What is known of what lies outside besides the catalog.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// By unique id; why it cannot be made without dbt, one clause.
    pub written: BTreeMap<String, Result<Written, String>>,
    /// What sinks were made from in the baseline, by unique id.
    pub before: BTreeMap<String, String>,
    /// Changed nodes of which nothing but the SQL is another.
    pub is_body_alone: BTreeSet<String>,
    /// What the server shows of sinks, by id.
    pub shown: BTreeMap<String, String>,
    /// What releases that were rolled back made and left, by id.
    pub left: BTreeMap<String, OutsideMake>,
}

impl Changes {
    /// What lies outside and production does not have, in a release of everything.
    pub fn take_missing(&mut self, input: &Input<'_>) {
        let lookup = Lookup::of(input.candidate, input.catalog);
        for (id, node) in &input.candidate.nodes {
            let is_outside = kind_of(node).is_some()
                && node.database == input.catalog.database
                && !input.schemas.contains(&node.schema);
            if is_outside && live(&lookup, node).is_none() {
                let outside = self.outside.entry(id.clone());
                outside.or_insert_with(|| "not in production".to_owned());
            }
        }
    }
}

fn live<'a>(lookup: &Lookup<'a>, node: &CandidateNode) -> Option<&'a Object> {
    let named = lookup.named(&node.schema, &node.identifier);
    named
        .iter()
        .copied()
        .find(|it| it.kind != ObjectKind::Index)
}

/// The ids of the sinks in production that changed nodes make: what the server shows of them is wanted.
#[must_use]
pub fn changed_sinks<'a>(input: &Input<'a>, changes: &Changes) -> Vec<&'a Object> {
    let lookup = Lookup::of(input.candidate, input.catalog);
    let nodes = changes.outside.keys();
    let nodes = nodes.filter_map(|id| input.candidate.nodes.get(id));
    let found = nodes.filter_map(|node| live(&lookup, node));
    found.filter(|it| it.kind == ObjectKind::Sink).collect()
}

/// Decides about everything that changed outside, and takes it out of the changes.
#[must_use]
pub fn decide(input: &Input<'_>, changes: &mut Changes, given: &Given) -> Outside {
    let asked = std::mem::take(&mut changes.outside);
    let mut deciding = Deciding {
        input,
        given,
        lookup: Lookup::of(input.candidate, input.catalog),
        asked: &asked,
        refusals: Refusals::default(),
        notes: Vec::new(),
        outside: Outside::default(),
    };
    for (id, what) in &asked {
        if let Some(node) = input.candidate.nodes.get(id) {
            deciding.node(id, node, what);
        }
    }
    deciding.in_order();
    for gone in &changes.gone {
        deciding.gone(gone);
    }
    // Each after what may read it.
    let order = [ObjectKind::Sink, ObjectKind::Table, ObjectKind::Source];
    let going = |left: &OutsideLeft| {
        order
            .iter()
            .position(|kind| *kind == left.kind)
            .unwrap_or(3)
    };
    deciding
        .outside
        .drops
        .sort_by_key(|left| (going(left), left.place.clone()));
    deciding
        .outside
        .stays
        .sort_by_key(|left| left.place.clone());
    changes.refused.extend(deciding.refusals.into_vec());
    changes.notes.extend(deciding.notes);
    deciding.outside
}

/// Columns that relations lose or have retyped while these sinks read them, sorted.
#[must_use]
pub fn sink_columns(columns: &[ColumnChange], sinks: &[SinkRepoint]) -> Vec<SinkColumn> {
    let mut found = BTreeSet::new();
    for sink in sinks {
        let relation = format!("{}.{}", sink.schema, sink.object);
        for change in columns.iter().filter(|it| it.relation == relation) {
            let (from, to) = match &change.change {
                ColumnChangeKind::Added { .. } | ColumnChangeKind::Nullable { .. } => continue,
                ColumnChangeKind::Removed { from } => (from, None),
                ColumnChangeKind::Retyped { from, to } => (from, Some(to.clone())),
            };
            found.insert(SinkColumn {
                sink: sink.name.clone(),
                relation: relation.clone(),
                column: change.column.clone(),
                from: from.clone(),
                to,
            });
        }
    }
    found.into_iter().collect()
}

struct Deciding<'a> {
    input: &'a Input<'a>,
    given: &'a Given,
    lookup: Lookup<'a>,
    asked: &'a BTreeMap<String, String>,
    refusals: Refusals,
    notes: Vec<String>,
    outside: Outside,
}

const BY_HAND: &str = "run what is said by hand, or build it in production with dbt, then accept it with --allow change-not-released";

impl Deciding<'_> {
    fn node(&mut self, id: &str, node: &CandidateNode, what: &str) {
        let (Some(kind), live) = (kind_of(node), live(&self.lookup, node)) else {
            return;
        };
        let place = Place {
            schema: node.schema.clone(),
            name: node.identifier.clone(),
        };
        match (kind, live) {
            (ObjectKind::Sink, None) => match self.sink(id, node) {
                Ok(becomes) => self.outside.sinks.push(SinkChange {
                    node: id.to_owned(),
                    place,
                    change: SinkFate::Created,
                    becomes,
                    was: None,
                }),
                Err(why) => self.not_made(id, what, &why),
            },
            (_, None) => match self.make(id, node, kind) {
                Ok(make) => self.outside.makes.push(make),
                Err(why) => self.not_made(id, what, &why),
            },
            (_, Some(live)) if live.kind != kind => {
                let why = format!("{place} is a {} in production", live.kind);
                self.not_made(id, what, &why);
            }
            (ObjectKind::Sink, Some(_)) if is_new(what) => {
                let why = format!("{place} is in production already, and no release made it");
                self.not_made(id, what, &why);
            }
            (ObjectKind::Sink, Some(live)) => self.changed_sink(id, node, live, what),
            (_, Some(live)) => self.changed_source(id, node, (kind, live), what),
        }
    }

    fn not_made(&mut self, id: &str, what: &str, why: &str) {
        self.refusals.add(
            RefusalName::ChangeNotReleased,
            "a new sink, source or connection cannot be made by the release",
            format!("{id} ({what}) {why}"),
            "remove the cause, or make it in production by hand and accept it with --allow change-not-released",
        );
    }

    fn refuse(&mut self, name: RefusalName, message: &str, object: String, remedy: &str) {
        self.refusals.add(name, message, object, remedy);
    }

    fn written(&self, id: &str) -> Result<&Written, String> {
        match self.given.written.get(id) {
            Some(Ok(written)) => Ok(written),
            Some(Err(why)) => Err(why.clone()),
            None => Err("has no compiled SQL".to_owned()),
        }
    }

    /// How a sink is made, or why not.
    fn sink(&self, id: &str, node: &CandidateNode) -> Result<SinkDefinition, String> {
        let written = self.written(id)?;
        let clauses = clauses::sink_body(&written.sql)?;
        let reads = self.place(&clauses.from)?;
        self.can_be_read(&reads)?;
        self.may_create_in(&node.schema)?;
        Ok(SinkDefinition {
            reads,
            cluster: self.cluster(node)?,
            definition: clauses.rest,
            comment: written.comment.clone(),
        })
    }

    fn place(&self, parts: &[String]) -> Result<Place, String> {
        let database = &self.input.catalog.database;
        match parts {
            [of, schema, name] if of == database => Ok(Place {
                schema: schema.clone(),
                name: name.clone(),
            }),
            [schema, name] => Ok(Place {
                schema: schema.clone(),
                name: name.clone(),
            }),
            _ => Err(format!(
                "reads {}, which is not a relation of a schema of {database}",
                parts.join(".")
            )),
        }
    }

    /// Whether production has this relation once the release is over, and a sink can read it.
    fn can_be_read(&self, place: &Place) -> Result<(), String> {
        let input = self.input;
        let no = |what: &str| Err(format!("reads {place}, which {what}"));
        let Place { schema, name } = place;
        let kind = if input.schemas.contains(schema) {
            let mut nodes = input.candidate.nodes.values();
            let node = nodes.find(|node| {
                node.database == input.catalog.database
                    && node.schema == *schema
                    && node.identifier == *name
            });
            node.and_then(|node| match node.materialization() {
                Materialization::Relation(kind) => Some(kind),
                Materialization::Ephemeral
                | Materialization::Source
                | Materialization::Sink
                | Materialization::Unsupported => None,
            })
        } else {
            let mut asked = self.asked.keys();
            let is_made = asked.any(|id| {
                let node = input.candidate.nodes.get(id);
                node.is_some_and(|node| {
                    (&node.schema, &node.identifier) == (schema, name)
                        && matches!(kind_of(node), Some(ObjectKind::Source | ObjectKind::Table))
                })
            });
            let named = self.lookup.named(schema, name);
            let named = named.iter().find(|it| it.kind != ObjectKind::Index);
            named
                .map(|it| it.kind)
                .or_else(|| is_made.then_some(ObjectKind::Source))
        };
        match kind {
            Some(ObjectKind::MaterializedView | ObjectKind::Table | ObjectKind::Source) => Ok(()),
            Some(_) => no("is none that a sink can read: a materialized view, a table or a source"),
            None => no("production will not have"),
        }
    }

    /// The cluster on which it runs, where a release may put it.
    fn cluster(&self, node: &CandidateNode) -> Result<String, String> {
        let input = self.input;
        let own = node.cluster.clone();
        let target = || Some(ClusterUse::Named(input.target_cluster?.to_owned()));
        let name = match own.or_else(target) {
            Some(ClusterUse::Named(name)) => name,
            Some(ClusterUse::NeedsQuotes(name)) => {
                return Err(format!(
                    "names the cluster {name:?}, which would need quotes"
                ));
            }
            None => return Err("names no cluster, and neither does the profile".to_owned()),
        };
        if input.clusters.contains(&name) {
            return Err(format!(
                "runs on the cluster {name}, which vars.deployment lists and releases swap; give it another"
            ));
        }
        let Some(cluster) = input.catalog.cluster(&name) else {
            return Err(format!("runs on the cluster {name}, which does not exist"));
        };
        if !self.may_create(&cluster.owner, &cluster.grants) {
            return Err(format!(
                "needs CREATE on the cluster {name}, which the role lacks"
            ));
        }
        Ok(name)
    }

    fn may_create_in(&self, schema: &str) -> Result<(), String> {
        let Some(schema) = self.lookup.schema(schema) else {
            return Err(format!(
                "lies in the schema {schema}, which is not there; by hand: CREATE SCHEMA {}",
                Ident(schema)
            ));
        };
        match self.may_create(&schema.owner, &schema.grants) {
            true => Ok(()),
            false => Err(format!(
                "needs CREATE on the schema {}, which the role lacks",
                schema.name
            )),
        }
    }

    fn may_create(&self, owner: &str, grants: &[Grant]) -> bool {
        let catalog = self.input.catalog;
        let has = |grant: &Grant| {
            let grantee = grant.grantee.as_deref();
            grant.privilege == "CREATE" && grantee.is_none_or(|role| catalog.owns(role))
        };
        catalog.owns(owner) || grants.iter().any(has)
    }

    fn changed_sink(&mut self, id: &str, node: &CandidateNode, live: &Object, what: &str) {
        let allow = &self.input.allow;
        let is_by_hand = allow.contains(&RefusalName::ChangeNotReleased)
            && !allow.contains(&RefusalName::SinkRecreated);
        if is_by_hand {
            let object = format!("{id} ({what}) is in production as somebody made it");
            let message = "a changed sink that somebody dealt with by hand is left as it is";
            return self.refuse(RefusalName::ChangeNotReleased, message, object, BY_HAND);
        }
        let becomes = match self.sink(id, node) {
            Ok(becomes) => becomes,
            Err(why) => return self.not_made(id, what, &why),
        };
        let before = match self.before(live) {
            Ok(before) => before,
            Err(why) => return self.not_made(id, what, &why),
        };
        let place = Place {
            schema: node.schema.clone(),
            name: node.identifier.clone(),
        };
        if !self.input.catalog.owns(&live.owner) {
            self.refuse(
                RefusalName::NotOwner,
                "the role does not own a sink that is to change",
                format!("{place} (owner {})", live.owner),
                "run as the owner, or grant the owner's role to the deploying one",
            );
        }
        let mut change = SinkChange {
            node: id.to_owned(),
            place,
            change: SinkFate::Repointed,
            becomes,
            was: Some(before),
        };
        if self.is_from_alone(id) {
            let reads = change.was.as_ref().map(|was| &was.definition.reads);
            if reads == Some(&change.becomes.reads) {
                let text = format!("{} reads {} already", change.place, change.becomes.reads);
                self.notes.push(text);
            } else {
                self.outside.sinks.push(change);
            }
            return;
        }
        self.refuse(
            RefusalName::SinkRecreated,
            "a sink changed in more than what it reads: it is dropped and made anew after the swap, and a new snapshot goes out",
            format!("{id} ({what})"),
            "accept the snapshot with --allow sink-recreated; or make it anew by hand and accept it with --allow change-not-released",
        );
        change.change = SinkFate::Recreated;
        self.outside.sinks.push(change);
    }

    /// A sink of production, as the server shows it.
    fn before(&self, live: &Object) -> Result<SinkBefore, String> {
        let shown = self.given.shown.get(&live.id);
        let shown = shown.ok_or_else(|| "is not shown by the server".to_owned())?;
        let SinkClauses {
            cluster,
            from,
            rest,
        } = clauses::created_sink(shown).map_err(|why| {
            format!("has a definition in production of a form that is not known: it {why}")
        })?;
        let by_id = || {
            let id = live.cluster_id.as_ref()?;
            Some(self.input.catalog.clusters.get(id)?.name.clone())
        };
        Ok(SinkBefore {
            id: live.id.clone(),
            owner: live.owner.clone(),
            definition: SinkDefinition {
                reads: self.place(&from)?,
                cluster: cluster
                    .or_else(by_id)
                    .ok_or_else(|| "runs on a cluster that is not known".to_owned())?,
                definition: rest,
                comment: live.comment.clone(),
            },
        })
    }

    /// Whether nothing of a sink changed but the relation that it reads.
    fn is_from_alone(&self, id: &str) -> bool {
        let written = self.written(id).ok();
        let (Some(before), Some(written)) = (self.given.before.get(id), written) else {
            return false;
        };
        let (Ok(before), Ok(now)) = (clauses::sink_body(before), clauses::sink_body(&written.sql))
        else {
            return false;
        };
        self.given.is_body_alone.contains(id)
            && tokens::digest(&before.rest) == tokens::digest(&now.rest)
    }

    fn gone(&mut self, gone: &Gone) {
        let Place { schema, name } = &gone.place;
        // By hand, or by a sink of another name in the same place.
        let is_made_again = self.input.candidate.nodes.values().any(|node| {
            (&node.schema, &node.identifier) == (schema, name)
                && node.database == self.input.catalog.database
                && kind_of(node) == Some(gone.kind)
        });
        let named = self.lookup.named(schema, name);
        let Some(live) = named.iter().find(|it| it.kind == gone.kind) else {
            return;
        };
        if is_made_again {
            return;
        }
        let left = OutsideLeft {
            node: gone.node.clone(),
            place: gone.place.clone(),
            kind: gone.kind,
            id: live.id.clone(),
        };
        let name = match gone.kind == ObjectKind::Sink {
            true => RefusalName::SinkDropped,
            false => RefusalName::SourceDropped,
        };
        if !self.input.allow.contains(&name) {
            self.outside.stays.push(left);
            return;
        }
        if !self.input.catalog.owns(&live.owner) {
            self.refuse(
                RefusalName::NotOwner,
                "the role does not own what is to be dropped",
                format!("{} (owner {})", gone.place, live.owner),
                "run as the owner, or grant the owner's role to the deploying one",
            );
        }
        self.refuse(
            name,
            "what the project does not have any more is dropped after the swap, with the old side",
            format!("{} ({})", gone.place, gone.node),
            "leave it in production by not allowing this",
        );
        self.outside.drops.push(left);
    }
}

/// Whether the baseline does not have it, be it that an earlier release held it back.
fn is_new(what: &str) -> bool {
    what.strip_prefix("held back, ").unwrap_or(what) == "new"
}
