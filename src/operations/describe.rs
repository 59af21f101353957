//! Planned nodes as the server's planner sees them, before anything is built: columns, types, what may be null, and
//! what is wrong with their SQL.
//!
//! Each node is made as a temporary view, which reads its parents' temporary views. Nobody else sees these, and they
//! go with the session, however it ends; nothing is computed and no cluster is needed. A change of the catalog costs
//! the server ten times the planning of a query, and it makes one at a time; so nodes that do not read each other
//! share a view. The names of their columns, which that takes, come from a description of the query. Where a shared
//! view is refused, each of its nodes gets a view of its own, and what the server says then is said of that node.

use crate::adapters::materialize::temporary::{self, Member};
use crate::adapters::materialize::{Materialize, MaterializeError, Session, native_ddl};
use crate::domain::catalog::Column;
use crate::domain::progress::{Progress, Reporter};
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::inputs::manifest::Manifest;
use crate::inputs::manifest::run_results::Status;
use crate::operations::builds::Builds;
use crate::operations::error::DeploymentError;
use crate::planning::recipe::contract;
use crate::planning::recipe::document::{Item, Make, Promise, Recipe};
use crate::planning::recipe::rewrite::StandIns;
use futures_util::future::{join_all, try_join_all};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Which line of which file an error is about.
pub mod source_line;

/// So few nodes get a view each: a shared one would spare next to nothing.
const ALONE: usize = 3;
/// The most nodes in one view.
const SHARE: usize = 24;
/// The most columns in one view.
const WIDTH: usize = 400;

/// What nodes are described with.
#[derive(Debug)]
pub struct Looking<'a> {
    /// The server.
    pub materialize: &'a Materialize,
    /// The project's files.
    pub builds: &'a Builds,
    /// Its manifest.
    pub manifest: &'a Manifest,
    /// The database.
    pub database: &'a str,
    /// What the release makes outside of its schemas before the build, by unique id: what reads it waits for it.
    pub to_be_made: &'a BTreeSet<String>,
    /// The longest time for one statement.
    pub limit: Duration,
    /// Who is told.
    pub reporter: &'a Reporter,
    /// When to stop.
    pub stop: &'a CancellationToken,
}

/// What the server said of the nodes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Described {
    /// Columns in order of the nodes that it took, by unique id.
    pub columns: BTreeMap<String, Vec<Column>>,
    /// The nodes that it refused, or that break their contract.
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

/// What the server said, without what was sent to it.
#[must_use]
pub fn said(error: &MaterializeError) -> String {
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

impl Looking<'_> {
    /// Describes every node of a recipe; `None` when somebody asked to stop.
    ///
    /// # Errors
    /// The server's, when it does not answer. A node that it refuses is none.
    pub async fn describe(&self, recipe: &Recipe) -> Result<Option<Described>, DeploymentError> {
        if recipe.items.is_empty() {
            return Ok(Some(Described::default()));
        }
        let session = self.materialize.own_session_within(self.limit).await?;
        let mut look = Look {
            with: self,
            session: &session,
            nonce: Uuid::now_v7().simple().to_string(),
            views: 0,
            total: recipe.items.len(),
            items: recipe
                .items
                .iter()
                .map(|item| (item.unique_id.as_str(), item))
                .collect(),
            stands: BTreeMap::new(),
            promises: BTreeMap::new(),
            numbers: 0,
            described: Described::default(),
        };
        for level in levels(recipe) {
            if self.stop.is_cancelled() {
                return Ok(None);
            }
            look.level(&level).await?;
        }
        look.end(recipe).await.map(Some)
    }
}

/// Items that do not read each other, level by level: each reads only what is in levels before its own.
fn levels(recipe: &Recipe) -> Vec<Vec<&Item>> {
    let mut level_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut levels: Vec<Vec<&Item>> = Vec::new();
    for item in &recipe.items {
        let parents = item.after.iter();
        let parents = parents.filter_map(|parent| level_of.get(parent.as_str()));
        let level = parents.max().map_or(0, |level| level + 1);
        level_of.insert(&item.unique_id, level);
        match levels.get_mut(level) {
            Some(items) => items.push(item),
            None => levels.push(vec![item]),
        }
    }
    levels
}

/// What stands for a node.
#[derive(Debug, Clone)]
enum Stand {
    /// A view of its own.
    Own(String),
    /// A part of a view that it shares.
    Shared {
        view: String,
        number: usize,
        columns: Vec<String>,
    },
}

/// Something that the server is to look at.
struct Asked<'r> {
    item: &'r Item,
    /// Whether it is not the node, but the types that its contract promises.
    is_promise: bool,
    number: usize,
    query: String,
    /// The names of its columns, where they are known.
    names: Option<Vec<String>>,
}

/// One look under way.
struct Look<'l> {
    with: &'l Looking<'l>,
    session: &'l Session,
    /// What no other session's views have in their names.
    nonce: String,
    /// How many views were made.
    views: usize,
    total: usize,
    items: BTreeMap<&'l str, &'l Item>,
    /// By unique id.
    stands: BTreeMap<&'l str, Stand>,
    /// What stands for the types of contracts.
    promises: BTreeMap<&'l str, Stand>,
    /// How many numbers were given.
    numbers: usize,
    described: Described,
}

impl<'l> Look<'l> {
    async fn level(&mut self, items: &[&'l Item]) -> Result<(), DeploymentError> {
        let began = Instant::now();
        let mut asked = Vec::new();
        for item in items {
            self.ask(item, &mut asked)?;
        }
        if asked.len() > ALONE {
            let unnamed = asked.iter_mut().filter(|one| one.names.is_none());
            let unnamed: Vec<&mut Asked<'_>> = unnamed.collect();
            let names = unnamed.iter();
            let names = names.map(|one| temporary::names(self.session, &one.query));
            let names = try_join_all(names).await?;
            for (one, names) in unnamed.into_iter().zip(names) {
                one.names = names;
            }
        }
        let (shared, mut own) = share(asked);
        own.extend(self.make_shared(shared).await?);
        self.make_own(own).await?;
        let count = items.len().max(1);
        let seconds = began.elapsed().as_secs_f64() / count as f64;
        for item in items {
            self.told(item, seconds);
        }
        Ok(())
    }

    /// What a node reads that is made before the build and is not there yet.
    fn reads_to_be_made(&self, id: &str) -> Option<String> {
        let node = self.with.manifest.nodes.get(id)?;
        let mut parents = node.depends_on.nodes.iter();
        let made = parents.find(|parent| self.with.to_be_made.contains(*parent));
        made.cloned()
    }

    /// Adds what is to be looked at of an item, unless it reads what is not there.
    fn ask(&mut self, item: &'l Item, asked: &mut Vec<Asked<'l>>) -> Result<(), DeploymentError> {
        let id = item.unique_id.as_str();
        let apart = item.after.iter();
        let mut apart = apart.filter_map(|parent| self.described.apart.get(parent));
        let source = match &item.make {
            Make::Source { .. } => Some(id.to_owned()),
            Make::View { .. } | Make::MaterializedView { .. } | Make::Seed { .. } => {
                apart.next().cloned().or_else(|| self.reads_to_be_made(id))
            }
        };
        if let Some(source) = source {
            self.described.apart.insert(id.to_owned(), source);
            return Ok(());
        }
        if let Some(parent) = self.missing(item) {
            self.described.skipped.insert(id.to_owned(), parent);
            return Ok(());
        }
        let (query, names) = match &item.make {
            Make::View { query } => (self.reading(item, query), None),
            Make::MaterializedView { options, query, .. } => {
                let asserted: Vec<&str> = options.iter().filter_map(|it| it.asserted()).collect();
                let query = temporary::without_nulls(query, &asserted);
                (self.reading(item, &query), None)
            }
            // It was told apart above.
            Make::Source { .. } => return Ok(()),
            Make::Seed { .. } => match self.with.builds.rows(&item.make) {
                Ok(seed) => {
                    let columns = seed.columns.iter();
                    let query = native_ddl::columns_of_types(
                        columns.map(|column| (&*column.name, &*column.data_type)),
                    );
                    let names = seed.columns.into_iter().map(|column| column.name);
                    (query, Some(names.collect()))
                }
                Err(error) if error.class() == Class::Permanent => {
                    self.fails(item, with_causes(&error), None);
                    return Ok(());
                }
                Err(error) => return Err(error),
            },
        };
        let number = self.number();
        asked.push(Asked {
            item,
            is_promise: false,
            number,
            query,
            names,
        });
        if let Some(promised) = &item.contract {
            let columns = promised.iter();
            let query = native_ddl::columns_of_types(
                columns.map(|column| (&*column.name, &*column.data_type)),
            );
            let names = promised.iter().map(|column| column.name.clone());
            let number = self.number();
            asked.push(Asked {
                item,
                is_promise: true,
                number,
                query,
                names: Some(names.collect()),
            });
        }
        Ok(())
    }

    /// The first of what an item reads that the server did not take.
    fn missing(&self, item: &Item) -> Option<String> {
        let is_missing = |parent: &&String| {
            self.described.failed.contains_key(*parent)
                || self.described.skipped.contains_key(*parent)
        };
        item.after.iter().find(is_missing).cloned()
    }

    /// A query of an item, as it reads what stands for its parents.
    fn reading(&self, item: &Item, query: &str) -> String {
        let parents = item.after.iter();
        let parents: Vec<(&Item, &Stand)> = parents
            .filter_map(|id| Some((*self.items.get(id.as_str())?, self.stands.get(id.as_str())?)))
            .collect();
        let names: Vec<String> = parents
            .iter()
            .map(|(_, stand)| match stand {
                Stand::Own(view) => view.clone(),
                Stand::Shared { number, .. } => format!("cutover_read_{number}"),
            })
            .collect();
        let relations = parents.iter().zip(&names);
        let relations =
            relations.map(|((parent, _), name)| ((&*parent.schema, &*parent.name), name.as_str()));
        let (query, _) = StandIns::new(self.with.database, relations).put_in(query);
        let shared = parents.iter().zip(&names);
        let shared: Vec<(String, &str, usize, &[String])> = shared
            .filter_map(|((_, stand), name)| match stand {
                Stand::Own(_) => None,
                Stand::Shared {
                    view,
                    number,
                    columns,
                } => Some((name.clone(), view.as_str(), *number, columns.as_slice())),
            })
            .collect();
        temporary::reading(&shared, &query)
    }

    fn number(&mut self) -> usize {
        self.numbers += 1;
        self.numbers
    }

    fn view(&mut self) -> String {
        self.views += 1;
        format!("cutover_{}_{}", self.nonce, self.views)
    }

    fn fails(&mut self, item: &Item, message: String, line: Option<u32>) {
        let failure = Failure { message, line };
        let failed = &mut self.described.failed;
        failed.entry(item.unique_id.clone()).or_insert(failure);
    }

    /// Makes views of several nodes each; gives the nodes of those that the server refused.
    async fn make_shared(
        &mut self,
        shared: Vec<Vec<Asked<'l>>>,
    ) -> Result<Vec<Asked<'l>>, DeploymentError> {
        let named: Vec<(String, Vec<Asked<'l>>)> = shared
            .into_iter()
            .map(|asked| (self.view(), asked))
            .collect();
        let statements: Vec<_> = named
            .iter()
            .map(|(view, asked)| {
                let members = asked.iter().map(|one| Member {
                    number: one.number,
                    columns: one.names.as_ref().map_or(0, Vec::len),
                    query: &one.query,
                });
                temporary::view_of_several(view, &members.collect::<Vec<_>>())
            })
            .collect();
        let session = self.session;
        let answers = statements
            .iter()
            .map(|statement| session.execute_despite_others(statement));
        let answers = join_all(answers).await;
        let mut left = Vec::new();
        for ((view, asked), answer) in named.into_iter().zip(answers) {
            match answer {
                Ok(()) => {
                    for one in asked {
                        let stand = Stand::Shared {
                            view: view.clone(),
                            number: one.number,
                            columns: one.names.unwrap_or_default(),
                        };
                        self.stands_for(one.item, one.is_promise, stand);
                    }
                }
                Err(error) if error.class() == Class::Permanent => left.extend(asked),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(left)
    }

    /// Makes a view of each.
    async fn make_own(&mut self, own: Vec<Asked<'l>>) -> Result<(), DeploymentError> {
        let named: Vec<(String, Asked<'l>)> =
            own.into_iter().map(|asked| (self.view(), asked)).collect();
        let statements: Vec<_> = named
            .iter()
            .map(|(view, asked)| temporary::view(view, &asked.query))
            .collect();
        let session = self.session;
        let answers = statements
            .iter()
            .map(|statement| session.execute_despite_others(statement));
        let answers = join_all(answers).await;
        for (((view, asked), answer), statement) in named.into_iter().zip(answers).zip(&statements)
        {
            match answer {
                Ok(()) => self.stands_for(asked.item, asked.is_promise, Stand::Own(view)),
                Err(error) if error.class() == Class::Permanent => {
                    let node = self.with.manifest.nodes.get(&asked.item.unique_id);
                    let node = node.filter(|_| !asked.is_promise);
                    let line = node.and_then(|node| {
                        source_line::of(&error, &statement.to_string(), &node.raw_code)
                    });
                    self.fails(asked.item, said(&error), line);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn stands_for(&mut self, item: &'l Item, is_promise: bool, stand: Stand) {
        let stands = match is_promise {
            true => &mut self.promises,
            false => &mut self.stands,
        };
        stands.insert(&item.unique_id, stand);
    }

    fn told(&mut self, item: &Item, seconds: f64) {
        let id = &item.unique_id;
        let described = &mut self.described;
        if described.apart.contains_key(id) {
            return;
        }
        described.seconds.insert(id.clone(), seconds);
        let status = match (
            described.failed.contains_key(id),
            described.skipped.contains_key(id),
        ) {
            (true, _) => Status::Error,
            (false, true) => Status::Skipped,
            (false, false) => Status::Success,
        };
        self.with.reporter.send(Progress::Node {
            unique_id: id.clone(),
            status: status.as_str().to_owned(),
            done: described.seconds.len() + described.apart.len(),
            total: self.total,
            seconds: Some(seconds),
        });
    }

    /// Asks for the columns of what was made, and compares them with what contracts promise.
    async fn end(mut self, recipe: &Recipe) -> Result<Described, DeploymentError> {
        let stands = self.stands.values().chain(self.promises.values());
        let views: BTreeSet<&str> = stands
            .map(|stand| match stand {
                Stand::Own(view) | Stand::Shared { view, .. } => view.as_str(),
            })
            .collect();
        let found = temporary::columns(self.session, &views).await?;
        for item in &recipe.items {
            if let Some(parent) = self.missing(item) {
                let id = item.unique_id.clone();
                self.described.skipped.entry(id).or_insert(parent);
                continue;
            }
            let id = item.unique_id.as_str();
            let Some(stand) = self.stands.get(id) else {
                continue;
            };
            let columns = of(&found, stand)?;
            if let (Some(promised), Some(types)) = (&item.contract, self.promises.get(id))
                && let Some(why) = breaks(promised, &of(&found, types)?, &columns)
            {
                self.fails(item, why, None);
            }
            if !self.described.failed.contains_key(id) {
                self.described.columns.insert(id.to_owned(), columns);
            }
        }
        Ok(self.described)
    }
}

/// How described columns break a contract.
fn breaks(promised: &[Promise], types: &[Column], given: &[Column]) -> Option<String> {
    let pairs = |columns: &[Column]| {
        let columns = columns.iter();
        columns
            .map(|column| (column.name.clone(), column.data_type.clone()))
            .collect()
    };
    contract::breaks(promised, &pairs(types), &pairs(given))
}

/// The columns of what stands for a node, under their names.
fn of(found: &temporary::Columns, stand: &Stand) -> Result<Vec<Column>, DeploymentError> {
    let columns = match stand {
        Stand::Own(view) => found.own.get(view).cloned(),
        Stand::Shared {
            view,
            number,
            columns,
        } => {
            let shared = found.shared.get(&(view.clone(), *number));
            let shared = shared.filter(|shared| shared.len() == columns.len());
            shared.map(|shared| {
                let named = shared.iter().zip(columns);
                named
                    .map(|(column, name)| Column {
                        name: name.clone(),
                        ..column.clone()
                    })
                    .collect()
            })
        }
    };
    // A view without columns has no row.
    match (columns, stand) {
        (Some(columns), _) => Ok(columns),
        (None, Stand::Own(_)) => Ok(Vec::new()),
        (None, Stand::Shared { .. }) => Err(MaterializeError::Unexpected {
            label: "describe nodes",
            what: "other columns than were described".to_owned(),
        }
        .into()),
    }
}

/// What shares views, in parts, and what has one of its own.
fn share(asked: Vec<Asked<'_>>) -> (Vec<Vec<Asked<'_>>>, Vec<Asked<'_>>) {
    if asked.len() <= ALONE {
        return (Vec::new(), asked);
    }
    let (mut parts, mut own) = (Vec::new(), Vec::new());
    let (mut part, mut width) = (Vec::new(), 0);
    for one in asked {
        let columns = match &one.names {
            // Two columns of one name are for the server to refuse.
            Some(names)
                if !names.is_empty()
                    && names.len() <= WIDTH
                    && names.iter().collect::<BTreeSet<_>>().len() == names.len() =>
            {
                names.len()
            }
            Some(_) | None => {
                own.push(one);
                continue;
            }
        };
        if part.len() == SHARE || width + columns > WIDTH {
            parts.push(std::mem::take(&mut part));
            width = 0;
        }
        width += columns;
        part.push(one);
    }
    if part.len() > 1 {
        parts.push(part);
    } else {
        own.extend(part);
    }
    (parts, own)
}

#[cfg(test)]
mod tests;
