//! One look: a session in which views are made level by level.

use super::stand::{Asked, Gathered, Stand, of, share};
use super::{Described, Failure, Looking, levels, said, source_line};
use crate::adapters::materialize::temporary;
use crate::adapters::materialize::{Session, native_ddl};
use crate::domain::catalog::Column;
use crate::domain::progress::Progress;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::inputs::manifest::run_results::Status;
use crate::operations::error::DeploymentError;
use crate::planning::recipe::contract;
use crate::planning::recipe::document::{Item, Make, Promise, Recipe};
use crate::planning::recipe::rewrite::StandIns;
use futures_util::future::{join_all, try_join_all};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use uuid::Uuid;

/// One look under way.
pub(super) struct Look<'l> {
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
    /// The view that is being put together.
    gathered: Gathered<'l>,
    /// How many numbers were given.
    numbers: usize,
    described: Described,
}

impl<'l> Look<'l> {
    pub fn begin(with: &'l Looking<'l>, session: &'l Session, recipe: &'l Recipe) -> Self {
        let items = recipe.items.iter();
        Self {
            with,
            session,
            nonce: Uuid::now_v7().simple().to_string(),
            views: 0,
            total: recipe.items.len(),
            items: items.map(|item| (item.unique_id.as_str(), item)).collect(),
            stands: BTreeMap::new(),
            promises: BTreeMap::new(),
            gathered: Gathered::default(),
            numbers: 0,
            described: Described::default(),
        }
    }

    /// Describes every node; `None` when somebody asked to stop.
    pub async fn all(mut self, recipe: &'l Recipe) -> Result<Option<Described>, DeploymentError> {
        for level in levels(recipe) {
            if self.with.stop.is_cancelled() {
                return Ok(None);
            }
            self.level(&level).await?;
        }
        self.make_gathered().await?;
        self.end(recipe).await.map(Some)
    }

    /// Looks at items that do not read each other: they join the view that is being put together where it has room.
    async fn level(&mut self, items: &[&'l Item]) -> Result<(), DeploymentError> {
        let began = Instant::now();
        let mut asked = self.ask_all(items)?;
        self.name(&mut asked).await?;
        if !self.gathered.is_empty()
            && (!asked.iter().all(Asked::can_share) || !self.gathered.has_room_for(&asked))
        {
            self.make_gathered().await?;
            asked = self.ask_again(asked)?;
        }
        let (named, mut own): (Vec<_>, Vec<_>) = asked.into_iter().partition(Asked::can_share);
        if self.gathered.has_room_for(&named) {
            self.gather(named);
        } else {
            let (parts, alone) = share(named);
            own.extend(alone);
            own.extend(self.make_shared(parts).await?);
        }
        self.make_own(own).await?;
        self.tell(items, began);
        Ok(())
    }

    fn ask_all(&mut self, items: &[&'l Item]) -> Result<Vec<Asked<'l>>, DeploymentError> {
        let mut asked = Vec::new();
        for item in items {
            self.ask(item, &mut asked)?;
        }
        Ok(asked)
    }

    /// The same as they read what stands for their parents now, with the names that are known.
    fn ask_again(&mut self, before: Vec<Asked<'l>>) -> Result<Vec<Asked<'l>>, DeploymentError> {
        let mut items: Vec<&'l Item> = before.iter().map(|one| one.item).collect();
        items.dedup_by_key(|item| &item.unique_id);
        let mut asked = self.ask_all(&items)?;
        let mut names: BTreeMap<(&str, bool), Option<Vec<String>>> = before
            .into_iter()
            .map(|one| ((&*one.item.unique_id, one.is_promise), one.names))
            .collect();
        for one in &mut asked {
            let known = names.remove(&(&*one.item.unique_id, one.is_promise));
            one.names = known.flatten().or(one.names.take());
        }
        Ok(asked)
    }

    /// Asks for the names of the columns that are not known.
    async fn name(&self, asked: &mut [Asked<'l>]) -> Result<(), DeploymentError> {
        let unnamed = asked.iter_mut().filter(|one| one.names.is_none());
        let unnamed: Vec<&mut Asked<'_>> = unnamed.collect();
        let queries = unnamed.iter().map(|one| self.gathered.readable(one));
        let queries: Vec<String> = queries.collect();
        let names = queries.iter();
        let names = names.map(|query| temporary::names(self.session, query));
        let names = try_join_all(names).await?;
        for (one, names) in unnamed.into_iter().zip(names) {
            one.names = names;
        }
        Ok(())
    }

    fn gather(&mut self, asked: Vec<Asked<'l>>) {
        for one in &asked {
            let stand = Stand::Shared {
                view: None,
                number: one.number,
                columns: one.names.clone().unwrap_or_default(),
            };
            self.stands_for(one.item, one.is_promise, stand);
        }
        if !asked.is_empty() {
            self.gathered.levels.push(asked);
        }
    }

    /// Makes the view that was put together.
    async fn make_gathered(&mut self) -> Result<(), DeploymentError> {
        let began = Instant::now();
        let mut levels = std::mem::take(&mut self.gathered).levels;
        let all: Vec<&'l Item> = levels.iter().flatten().map(|one| one.item).collect();
        let part: Vec<Asked<'l>> = levels.iter_mut().flat_map(std::mem::take).collect();
        let refused = match part.len() {
            0 => return Ok(()),
            1 => part,
            _ => self.make_shared(vec![part]).await?,
        };
        // Each by itself, and so those that read it after it.
        for one in &refused {
            self.stands.remove(&*one.item.unique_id);
            self.promises.remove(&*one.item.unique_id);
        }
        let mut refused: Vec<&'l Item> = refused.iter().map(|one| one.item).collect();
        refused.dedup_by_key(|item| &item.unique_id);
        while !refused.is_empty() {
            let waits = |item: &&Item| {
                let mut parents = item.after.iter();
                parents.any(|parent| refused.iter().any(|other| other.unique_id == *parent))
            };
            let (later, now): (Vec<&Item>, Vec<&Item>) = refused.iter().copied().partition(waits);
            let own = self.ask_all(&now)?;
            self.make_own(own).await?;
            refused = later;
        }
        self.tell(&all, began);
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
        let reads = self.reads(item);
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
            reads,
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
                reads: BTreeSet::new(),
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

    /// The numbers of what an item reads in the view that is being put together.
    fn reads(&self, item: &Item) -> BTreeSet<usize> {
        let parents = item.after.iter();
        let numbers = parents.filter_map(|id| match self.stands.get(id.as_str())? {
            Stand::Shared {
                view: None, number, ..
            } => Some(*number),
            Stand::Shared { .. } | Stand::Own(_) => None,
        });
        self.gathered.closed(&numbers.collect())
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
        let shared: Vec<(String, String, usize, &[String])> = shared
            .filter_map(|((_, stand), name)| match stand {
                Stand::Own(_) => None,
                Stand::Shared {
                    view,
                    number,
                    columns,
                } => {
                    let view = view.clone();
                    let view = view.unwrap_or_else(|| temporary::member_name(*number));
                    Some((name.clone(), view, *number, columns.as_slice()))
                }
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
                let members = asked.iter().map(Asked::member);
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
                            view: Some(view.clone()),
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

    /// Tells of those of these items that are done, and were not told of.
    fn tell(&mut self, items: &[&'l Item], began: Instant) {
        let open = self.gathered.all().map(|one| &*one.item.unique_id);
        let open: BTreeSet<&str> = open.collect();
        let items = items.iter().filter(|item| {
            let id = &item.unique_id;
            !open.contains(id.as_str()) && !self.described.seconds.contains_key(id)
        });
        let items: Vec<&Item> = items.copied().collect();
        let seconds = began.elapsed().as_secs_f64() / items.len().max(1) as f64;
        for item in items {
            self.told(item, seconds);
        }
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
            .filter_map(|stand| match stand {
                Stand::Own(view) => Some(view.as_str()),
                Stand::Shared { view, .. } => view.as_deref(),
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
