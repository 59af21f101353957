//! Every node as a view in a place of its own, so that the server's planner finds what is wrong with all of them at
//! once, in seconds, before anything is computed. No cluster is needed.
//!
//! The schemas are marked as the corner's with a short life, so that whoever collects finds them after a kill. What is
//! made here is dropped again before it ends, however it ends.

use super::dropping::drop_schemas;
use super::error::CiError;
use super::place::Place;
use crate::adapters::materialize::catalog::About;
use crate::adapters::materialize::{Materialize, MaterializeError, Session, ddl, native_ddl};
use crate::domain::catalog::Catalog;
use crate::domain::catalog::corner::CornerMark;
use crate::domain::progress::{Progress, Reporter};
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::foundation::sql::identifier::Qualified;
use crate::inputs::manifest::Manifest;
use crate::inputs::manifest::run_results::Status;
use crate::operations::builds::Builds;
use crate::operations::ci::namespace::send;
use crate::operations::ci::source_line;
use crate::operations::green::native::item;
use crate::planning::recipe::document::{Item, Make, Recipe};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What a look works with.
pub struct Looking<'a> {
    /// The server.
    pub materialize: &'a Materialize,
    /// The project's files.
    pub builds: &'a Builds,
    /// Its manifest.
    pub manifest: &'a Manifest,
    /// The database.
    pub database: &'a str,
    /// The mark of what is made, whatever it is called.
    pub mark: &'a CornerMark,
    /// The longest time for one statement.
    pub limit: Duration,
    /// Who is told.
    pub reporter: &'a Reporter,
    /// Asked between two statements.
    pub interrupted: &'a (dyn Fn() -> Result<(), CiError> + Sync),
}

/// What the server said of the nodes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Described {
    /// Columns of the nodes that it took: unique id → name → type.
    pub columns: BTreeMap<String, BTreeMap<String, String>>,
    /// The names of these columns in order, by unique id.
    pub order: BTreeMap<String, Vec<String>>,
    /// The nodes that it refused.
    pub failed: BTreeMap<String, Failure>,
    /// Nodes that read one of these: unique id → which.
    pub skipped: BTreeMap<String, String>,
    /// Sources that are to be made, which no view can stand for, and what reads them: unique id → the source.
    pub apart: BTreeMap<String, String>,
    /// How long each took, in seconds.
    pub seconds: BTreeMap<String, f64>,
}

/// Why the server refused a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it said.
    pub message: String,
    /// The line of the node's file, from 1, as far as that is known.
    pub line: Option<u32>,
}

impl Looking<'_> {
    /// Looks at every node of a recipe that is made for this place.
    ///
    /// # Errors
    /// The server's, when it does not answer; [`CiError::Interrupted`]. A node that it refuses is none.
    pub async fn describe(&self, recipe: &Recipe, place: &Place) -> Result<Described, CiError> {
        let schemas: BTreeSet<&str> = recipe.items.iter().map(|item| &*item.schema).collect();
        let schemas: Vec<&str> = place
            .schemas
            .values()
            .map(String::as_str)
            .filter(|schema| schemas.contains(schema))
            .collect();
        let (described, catalog) = match self.look(recipe, &schemas).await {
            Ok(looked) => looked,
            Err(error) => {
                // What went wrong first is what matters; what stays is collected.
                let _ = self.clear(&schemas, None).await;
                return Err(error);
            }
        };
        self.clear(&schemas, Some(catalog)).await?;
        Ok(described)
    }

    async fn look(
        &self,
        recipe: &Recipe,
        schemas: &[&str],
    ) -> Result<(Described, Catalog), CiError> {
        let session = self.materialize.own_session_within(self.limit).await?;
        for schema in schemas {
            (self.interrupted)()?;
            let comment = self.mark.naming(schema).comment();
            send(&session, &ddl::create_schema(self.database, schema)).await?;
            let mark = ddl::comment_on_schema(self.database, schema, Some(&comment));
            send(&session, &mark).await?;
        }
        let mut described = Described::default();
        let total = recipe.items.len();
        for (at, item) in recipe.items.iter().enumerate() {
            (self.interrupted)()?;
            let id = item.unique_id.as_str();
            let began = Instant::now();
            let is_source = matches!(item.make, Make::Source { .. });
            let source = match is_source {
                true => Some(id.to_owned()),
                false => {
                    let apart = item.after.iter();
                    let mut apart = apart.filter_map(|parent| described.apart.get(parent));
                    apart.next().cloned()
                }
            };
            if let Some(source) = source {
                described.apart.insert(id.to_owned(), source);
                continue;
            }
            let missing = |parent: &&String| {
                described.failed.contains_key(*parent) || described.skipped.contains_key(*parent)
            };
            let status = match item.after.iter().find(missing) {
                Some(parent) => {
                    described.skipped.insert(id.to_owned(), parent.clone());
                    Status::Skipped
                }
                None => match self.one(&session, item).await? {
                    None => Status::Success,
                    Some(failure) => {
                        described.failed.insert(id.to_owned(), failure);
                        Status::Error
                    }
                },
            };
            let seconds = began.elapsed().as_secs_f64();
            described.seconds.insert(id.to_owned(), seconds);
            self.reporter.send(Progress::Node {
                unique_id: id.to_owned(),
                status: status.as_str().to_owned(),
                done: at + 1,
                total,
                seconds: Some(seconds),
            });
        }
        let catalog = self.columns(recipe, schemas, &mut described).await?;
        Ok((described, catalog))
    }

    /// Makes one view; what is wrong with it, where something is.
    async fn one(&self, session: &Session, item: &Item) -> Result<Option<Failure>, CiError> {
        let name = Qualified::object(self.database, &item.schema, &item.name);
        let query = match &item.make {
            Make::View { query } | Make::MaterializedView { query, .. } => query.clone(),
            // Nothing of it can be looked at without ingesting.
            Make::Source { .. } => return Ok(None),
            Make::Seed { .. } => match self.builds.rows(&item.make) {
                Ok(seed) => {
                    let columns = seed.columns.iter();
                    native_ddl::columns_of_types(
                        columns.map(|column| (&*column.name, &*column.data_type)),
                    )
                }
                Err(error) if error.class() == Class::Permanent => {
                    return Ok(Some(Failure {
                        message: with_causes(&error),
                        line: None,
                    }));
                }
                Err(error) => return Err(error.into()),
            },
        };
        let statement = native_ddl::create_view(&name, &query);
        match send(session, &statement).await {
            Ok(()) => {}
            Err(CiError::Materialize(error)) if error.class() == Class::Permanent => {
                let failure = self.failure(item, &error, &statement.to_string());
                return Ok(Some(failure));
            }
            Err(error) => return Err(error),
        }
        if item.contract.is_none() {
            return Ok(None);
        }
        match item::columns(session, item, &query).await {
            Ok(_) => Ok(None),
            Err(error) if error.class() == Class::Permanent => Ok(Some(Failure {
                message: with_causes(&error),
                line: None,
            })),
            Err(error) => Err(error.into()),
        }
    }

    fn failure(&self, item: &Item, error: &MaterializeError, sent: &str) -> Failure {
        let node = self.manifest.nodes.get(&item.unique_id);
        Failure {
            message: said(error),
            line: node.and_then(|node| source_line::of(error, sent, &node.raw_code)),
        }
    }

    /// The columns of what was made, in one look, which it gives.
    async fn columns(
        &self,
        recipe: &Recipe,
        schemas: &[&str],
        described: &mut Described,
    ) -> Result<Catalog, CiError> {
        let catalog = Catalog::look(self.materialize, &about(schemas)).await?;
        for item in &recipe.items {
            let schema = catalog.schema(&item.schema);
            let objects = schema.map(|schema| catalog.objects_in_schema(&schema.id));
            let found = objects
                .into_iter()
                .flatten()
                .find(|object| object.name == item.name);
            if let Some(object) = found
                && !described.failed.contains_key(&item.unique_id)
            {
                let (id, columns) = (item.unique_id.clone(), object.columns.clone());
                described
                    .order
                    .insert(id.clone(), object.column_order.clone());
                described.columns.insert(id, columns);
            }
        }
        Ok(catalog)
    }

    /// Drops what was made: the schemas with the mark, and what is in them. They are as in `catalog`, if nobody put
    /// something there since, which then keeps them from going.
    async fn clear(&self, schemas: &[&str], catalog: Option<Catalog>) -> Result<(), CiError> {
        let catalog = match catalog {
            Some(catalog) => catalog,
            None => Catalog::look(self.materialize, &about(schemas)).await?,
        };
        let session = self.materialize.own_session_within(self.limit).await?;
        let made: Vec<_> = schemas
            .iter()
            .filter_map(|name| catalog.schema(name))
            .collect();
        drop_schemas(&session, &catalog, &made).await
    }
}

fn about(schemas: &[&str]) -> About {
    About {
        schemas: schemas.iter().map(|name| (*name).to_owned()).collect(),
        ..About::default()
    }
    .closely()
}

/// What the server said, without what was sent to it.
pub(super) fn said(error: &MaterializeError) -> String {
    match error {
        MaterializeError::Refused {
            message, detail, ..
        } => format!("{message}{detail}"),
        MaterializeError::Unreachable { .. }
        | MaterializeError::Authentication { .. }
        | MaterializeError::Lost { .. }
        | MaterializeError::Conflict { .. }
        | MaterializeError::Deadline { .. }
        | MaterializeError::Several { .. }
        | MaterializeError::Unexpected { .. }
        | MaterializeError::TooOld { .. }
        | MaterializeError::Tls(_) => with_causes(error),
    }
}
