//! Sources, tables of them and connections.

use super::{BY_HAND, Deciding};
use crate::domain::catalog::{Object, ObjectKind};
use crate::domain::plan::outside::{OutsideMake, Place};
use crate::domain::plan::refusal::RefusalName;
use crate::foundation::sql::clauses;
use crate::foundation::sql::identifier::{Ident, Qualified};
use crate::planning::planner::candidate::CandidateNode;
use std::collections::BTreeMap;

/// How something is written that is made before the build.
enum Form {
    Source,
    Connection,
    Table,
}

impl Form {
    fn of(kind: ObjectKind) -> Self {
        if kind == ObjectKind::Source {
            Self::Source
        } else if kind == ObjectKind::Connection {
            Self::Connection
        } else {
            Self::Table
        }
    }
}

impl Deciding<'_> {
    /// How a connection, source or table is made, or why not.
    pub(super) fn make(
        &self,
        id: &str,
        node: &CandidateNode,
        kind: ObjectKind,
    ) -> Result<OutsideMake, String> {
        let written = self.written(id)?;
        self.may_create_in(&node.schema)?;
        if !node.indexes.is_empty() {
            return Err("has indexes, which a release makes on its own relations only".to_owned());
        }
        let name = Qualified::object(&node.database, &node.schema, &node.identifier);
        let (definition, cluster) = match Form::of(kind) {
            Form::Source => {
                let progress = format!("{}_progress", node.identifier);
                let progress = Qualified::object(&node.database, &node.schema, &progress);
                let body = clauses::body(&written.sql, "from")?;
                let body = clauses::with_progress(body, &progress.to_string());
                (body, Some(self.cluster(node)?))
            }
            Form::Connection => {
                let body = clauses::body(&written.sql, "to")?;
                if clauses::has_word(body, "secret") {
                    return Err(format!(
                        "uses a secret, which a release does not touch; by hand: CREATE CONNECTION {name} …"
                    ));
                }
                (body.to_owned(), None)
            }
            Form::Table => {
                let begins = match written.sql.trim_start().starts_with('(') {
                    true => "(",
                    false => "from",
                };
                let body = clauses::body(&written.sql, begins)?;
                if !clauses::has_word(body, "source") {
                    return Err("is no table of a source".to_owned());
                }
                (body.to_owned(), None)
            }
        };
        Ok(OutsideMake {
            node: id.to_owned(),
            place: Place {
                schema: node.schema.clone(),
                name: node.identifier.clone(),
            },
            kind,
            cluster,
            definition,
            comment: written.comment.clone(),
        })
    }

    pub(super) fn changed_source(
        &mut self,
        id: &str,
        node: &CandidateNode,
        (kind, live): (ObjectKind, &Object),
        what: &str,
    ) {
        let made = self.make(id, node, kind);
        if let (Some(left), Ok(made)) = (self.given.left.get(&live.id), &made)
            && left.definition == made.definition
            && left.cluster == made.cluster
        {
            self.notes.push(format!(
                "{} is there already: a release that was rolled back made it",
                made.place
            ));
            return;
        }
        let by_hand = match &made {
            Ok(made) => by_hand(&self.input.catalog.database, made),
            Err(why) => why.clone(),
        };
        self.refuse(
            RefusalName::ChangeNotReleased,
            "a changed source, table of a source or connection is made anew by no release: what reads it would go with it",
            format!("{id} ({what}): {by_hand}"),
            BY_HAND,
        );
    }

    /// Each after what it reads.
    pub(super) fn in_order(&mut self) {
        let mut left: BTreeMap<String, OutsideMake> = std::mem::take(&mut self.outside.makes)
            .into_iter()
            .map(|make| (make.node.clone(), make))
            .collect();
        while !left.is_empty() {
            let is_free = |id: &&String| {
                let node = self.input.candidate.nodes.get(*id);
                let parents = node.map_or(&[][..], |node| &node.parents);
                !parents.iter().any(|parent| left.contains_key(parent))
            };
            // dbt has refused circles before.
            let free = left.keys().find(is_free).or_else(|| left.keys().next());
            let next = free.cloned().and_then(|id| left.remove(&id));
            self.outside.makes.extend(next);
        }
    }
}

/// What a person runs to make something anew.
fn by_hand(database: &str, make: &OutsideMake) -> String {
    let name = Qualified::object(database, &make.place.schema, &make.place.name);
    let word = match Form::of(make.kind) {
        Form::Source => "SOURCE",
        Form::Connection => "CONNECTION",
        Form::Table => "TABLE",
    };
    let cluster = make.cluster.as_deref();
    let cluster = cluster.map_or_else(String::new, |name| format!(" IN CLUSTER {}", Ident(name)));
    let definition = make.definition.replace('\n', " ");
    format!("DROP {word} {name}; CREATE {word} {name}{cluster} {definition};")
}
