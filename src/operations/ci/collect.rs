//! What has expired, or nobody wants any more: dropped by id, never by CASCADE, one corner after the other. One that
//! cannot be dropped keeps no other from going.
//!
//! What the journal has, goes by the recorded ids. What it does not have is found by its mark, or by a secret name that
//! only corners have, and goes when its mark has expired, whichever journal made it. Everything that goes is first
//! given a secret name, in a transaction that compares ids, so that nothing of production can be under the name that is
//! dropped.

use super::dropping::drop_schemas;
use super::error::CiError;
use super::place::Place;
use super::record::{Held, Record, named_after};
use crate::adapters::materialize::catalog::About;
use crate::adapters::materialize::guarded::{self, Guarded, Names};
use crate::adapters::materialize::{Materialize, MaterializeError, Statement, ddl};
use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::catalog::Catalog;
use crate::domain::catalog::corner::CornerMark;
use crate::domain::progress::Reporter;
use crate::domain::records::corner::{Corner, CornerState, corner_lead};
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::foundation::retry::Pauses;
use crate::operations::ci::namespace::{Work, send};
use crate::operations::ci::queue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long what has no mark yet may be in the making.
const IN_THE_MAKING: SignedDuration = SignedDuration::from_hours(1);

/// How long the record of a corner that is gone is kept.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(30 * 24);

/// What a collection works with.
#[derive(Debug, Clone, Copy)]
pub struct Collecting<'a> {
    /// The journal.
    pub store: &'a Store,
    /// The server.
    pub materialize: &'a Materialize,
    /// The environment.
    pub environment: &'a str,
    /// The dbt project.
    pub project: &'a str,
    /// The names of production's schemas and clusters. What stands under them is none of a corner, whatever mark it has.
    pub production: &'a BTreeSet<String>,
    /// Who is told.
    pub reporter: &'a Reporter,
    /// When to stop.
    pub stop: &'a CancellationToken,
    /// The longest time for one statement.
    pub limit: Duration,
    /// Whether it is only said what would go.
    pub dry_run: bool,
}

/// What a collection came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// The names of the corners that are gone, or would be.
    pub dropped: Vec<String>,
    /// What kept a corner from going, by name.
    pub problems: BTreeMap<String, String>,
}

impl Collecting<'_> {
    /// Drops what has expired, and what was begun to be dropped.
    ///
    /// # Errors
    /// When the journal or the server does not answer at all.
    pub async fn expired(&self) -> Result<Collected, CiError> {
        let now = Timestamp::now();
        let mut collected = Collected::default();
        let corners = self.store.corners(self.environment).await?;
        let mut known: BTreeSet<String> = BTreeSet::new();
        for corner in corners {
            known.insert(corner.id.clone());
            if has_ended(&corner, now) {
                let (name, taken) = (corner.name.clone(), self.collect(corner, now).await);
                self.note(&mut collected, name, taken)?;
            }
        }
        let catalog = Catalog::read(self.materialize).await?;
        for stray in self.strays(&catalog, &known) {
            if stray.expires > now.as_second() {
                continue;
            }
            let (name, taken) = (stray.name.clone(), self.drop_stray(stray).await);
            self.note(&mut collected, name, taken)?;
        }
        if !self.dry_run {
            let before = now.checked_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
            self.store.forget_corners(self.environment, before).await?;
        }
        Ok(collected)
    }

    /// Drops one corner, whether it has expired or not, known to the journal or only marked.
    ///
    /// # Errors
    /// [`CiError::NoCorner`]; what keeps it from going.
    pub async fn named(&self, name: &str) -> Result<Collected, CiError> {
        let corner = self.store.corner(self.environment, name).await?;
        let mut known = BTreeSet::new();
        let mut collected = Collected::default();
        if let Some(corner) = corner {
            known.insert(corner.id.clone());
            if !self.dry_run {
                let lead = self.led(name).await?;
                self.take_down(&lead, name, |_| true).await?;
            }
            collected.dropped.push(name.to_owned());
        }
        let catalog = Catalog::read(self.materialize).await?;
        for stray in self.strays(&catalog, &known) {
            if stray.name == name && self.drop_stray(stray).await? {
                collected.dropped.push(name.to_owned());
            }
        }
        collected.dropped.dedup();
        match collected.dropped.is_empty() {
            true => Err(CiError::NoCorner {
                name: name.to_owned(),
                environment: self.environment.to_owned(),
            }),
            false => Ok(collected),
        }
    }

    fn note(
        &self,
        collected: &mut Collected,
        name: String,
        taken: Result<bool, CiError>,
    ) -> Result<(), CiError> {
        match taken {
            Ok(true) => collected.dropped.push(name),
            Ok(false) => {}
            Err(error @ CiError::Interrupted(_)) => return Err(error),
            Err(error) => {
                let said = with_causes(&error);
                self.reporter
                    .warning(format!("the corner {name} stays: {said}"));
                collected.problems.insert(name, said);
            }
        }
        Ok(())
    }

    /// Takes a corner of the journal down that has expired; whether it went, or would.
    async fn collect(&self, corner: Corner, now: Timestamp) -> Result<bool, CiError> {
        let Some(lead) = self.lead_if_free(&corner.name).await? else {
            return Ok(false);
        };
        match self.dry_run {
            true => Ok(true),
            false => {
                let still = |corner: &Corner| has_ended(corner, now);
                self.take_down(&lead, &corner.name, still).await
            }
        }
    }

    /// Takes a corner of the journal down whose lead is held, if it still is to go: somebody may have built it since.
    async fn take_down(
        &self,
        lead: &Lead,
        name: &str,
        goes: impl Fn(&Corner) -> bool,
    ) -> Result<bool, CiError> {
        let corner = self.store.corner(self.environment, name).await?;
        let Some(corner) = corner.filter(goes) else {
            return Ok(false);
        };
        let record = queue::read(&corner)?;
        let mut work = self.work(lead, corner, record);
        leave(&mut work).await.map(|_| true)
    }

    /// The lead of a corner, where nobody builds it, waits for it or drops it now.
    async fn lead_if_free(&self, name: &str) -> Result<Option<Lead>, CiError> {
        match self.store.lead(&corner_lead(self.environment, name)).await {
            Ok(lead) => Ok(Some(lead)),
            Err(StoreError::Led { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The lead of a corner. A build under way is asked to end when its corner is torn down.
    async fn led(&self, name: &str) -> Result<Lead, CiError> {
        let build = Uuid::now_v7().to_string();
        let ask = queue::Ask {
            environment: self.environment,
            name,
            build: &build,
            wait: Duration::from_secs(60),
        };
        queue::lead(self.store, &ask, self.reporter, self.stop).await
    }

    fn work<'w>(&'w self, lead: &'w Lead, corner: Corner, record: Record) -> Work<'w> {
        Work {
            store: self.store,
            lead,
            materialize: self.materialize,
            reporter: self.reporter,
            stop: self.stop,
            limit: self.limit,
            corner,
            record,
        }
    }

    /// Says of what has a mark that names something else, that it stays.
    fn tell_of_another(&self, name: &str, comment: Option<&str>) {
        if let Some(mark) = comment.and_then(CornerMark::parse)
            && mark.called != name
        {
            self.reporter.warning(format!(
                "{name} has the mark of {}, which belonged to the corner {}: somebody renamed or swapped it; it stays",
                mark.called, mark.name
            ));
        }
    }

    /// What is marked as a corner's, or has a name that only corners have, and is none of the journal's.
    fn strays(&self, catalog: &Catalog, known: &BTreeSet<String>) -> Vec<Stray> {
        let mut strays: BTreeMap<String, Stray> = BTreeMap::new();
        let schemas = catalog
            .schemas
            .values()
            .filter(|it| it.database == catalog.database);
        let schemas = schemas.map(|it| (false, &it.id, &it.name, &it.comment));
        let clusters = catalog.clusters.values();
        let clusters = clusters.map(|it| (true, &it.id, &it.name, &it.comment));
        for (is_cluster, id, name, comment) in schemas.chain(clusters) {
            let mark = CornerMark::on(name, comment.as_deref());
            let Some(stray) = Stray::of(name, mark, self.project, self.environment) else {
                self.tell_of_another(name, comment.as_deref());
                continue;
            };
            if known.contains(&stray.corner) || self.production.contains(name) {
                continue;
            }
            let stray = strays.entry(stray.corner.clone()).or_insert(stray);
            let held = Held {
                name: name.clone(),
                id: Some(id.clone()),
            };
            match is_cluster {
                true => stray.cluster = Some(held),
                false => {
                    stray.schemas.insert(name.clone(), held);
                }
            }
        }
        strays.into_values().collect()
    }

    /// Drops what only its mark tells of; whether it went, or would.
    async fn drop_stray(&self, stray: Stray) -> Result<bool, CiError> {
        // Nobody builds a corner of this name over this journal meanwhile.
        let Some(lead) = self.lead_if_free(&stray.name).await? else {
            return Ok(false);
        };
        if self.dry_run {
            return Ok(true);
        }
        let now = Timestamp::now();
        let corner = Corner {
            id: stray.corner,
            environment: self.environment.to_owned(),
            name: stray.name,
            state: CornerState::Leaving,
            created_at: now,
            updated_at: now,
            expires_at: now,
            ended_at: None,
            wanted: None,
            document: serde_json::Value::Null,
        };
        let record = Record {
            project: self.project.to_owned(),
            database: self.materialize.database().to_owned(),
            schemas: stray.schemas,
            cluster: stray.cluster,
            ..Record::default()
        };
        drop_corner(&self.work(&lead, corner, record)).await?;
        Ok(true)
    }
}

/// Whether a corner of the journal may be collected.
fn has_ended(corner: &Corner, now: Timestamp) -> bool {
    corner.expires_at <= now || corner.state == CornerState::Leaving
}

/// Schemas and a cluster that belong together and to no corner of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stray {
    corner: String,
    name: String,
    expires: i64,
    schemas: BTreeMap<String, Held>,
    cluster: Option<Held>,
}

impl Stray {
    fn of(name: &str, mark: Option<CornerMark>, project: &str, environment: &str) -> Option<Self> {
        let (corner, called, expires) = match mark {
            Some(mark) if (&*mark.project, &*mark.environment) == (project, environment) => {
                (mark.corner, mark.name, mark.expires)
            }
            Some(_) => return None,
            None => {
                let id = named_after(name)?;
                let (seconds, _) = id.get_timestamp()?.to_unix();
                let made = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
                let until = made.checked_add(IN_THE_MAKING).ok()?;
                (
                    id.hyphenated().to_string(),
                    name.to_owned(),
                    until.as_second(),
                )
            }
        };
        Some(Self {
            corner,
            name: called,
            expires,
            schemas: BTreeMap::new(),
            cluster: None,
        })
    }
}

/// A schema or cluster of a corner that is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Going {
    is_cluster: bool,
    id: String,
    /// What was recorded of its name.
    recorded: String,
    /// What it is called now.
    now: String,
    /// The name that only this corner has.
    secret: String,
}

/// What of a corner there is: by the recorded id; where none was recorded before a build was killed, by its secret
/// name, or by its mark.
fn going(work: &Work<'_>, catalog: &Catalog) -> Vec<Going> {
    let is_ours = |name: &str, comment: &Option<String>| {
        let mark = CornerMark::on(name, comment.as_deref());
        mark.is_some_and(|mark| mark.corner == work.corner.id)
    };
    let mut going = Vec::new();
    for (name, held) in &work.record.schemas {
        let secret = work.secret_schema(name);
        let by_id = held.id.as_ref().and_then(|id| catalog.schemas.get(id));
        let found = by_id.or_else(|| catalog.schema(&secret)).or_else(|| {
            let named = catalog.schema(&held.name);
            named.filter(|it| held.id.is_none() && is_ours(&it.name, &it.comment))
        });
        going.extend(found.map(|it| Going {
            is_cluster: false,
            id: it.id.clone(),
            recorded: held.name.clone(),
            now: it.name.clone(),
            secret,
        }));
    }
    if let Some(held) = &work.record.cluster {
        let secret = work.secret_cluster();
        let by_id = held.id.as_ref().and_then(|id| catalog.clusters.get(id));
        let found = by_id.or_else(|| catalog.cluster(&secret)).or_else(|| {
            let named = catalog.cluster(&held.name);
            named.filter(|it| held.id.is_none() && is_ours(&it.name, &it.comment))
        });
        going.extend(found.map(|it| Going {
            is_cluster: true,
            id: it.id.clone(),
            recorded: held.name.clone(),
            now: it.name.clone(),
            secret,
        }));
    }
    going
}

/// Drops everything of a corner that is still there.
///
/// # Errors
/// The server's, what stands in the way among them; it may be called again.
async fn drop_corner(work: &Work<'_>) -> Result<(), CiError> {
    let catalog = Catalog::look(work.materialize, &work.about()).await?;
    let going = going(work, &catalog);
    hide(work, &going).await?;
    let catalog = Catalog::look(work.materialize, &work.about()).await?;
    let session = work.materialize.own_session_within(work.limit).await?;
    let schemas = going.iter().filter(|it| !it.is_cluster);
    let schemas: Vec<_> = schemas
        .filter_map(|it| catalog.schemas.get(&it.id))
        .collect();
    drop_schemas(&session, &catalog, &schemas).await?;
    for it in going.iter().filter(|it| it.is_cluster) {
        if let Some(cluster) = catalog.clusters.get(&it.id) {
            send(&session, &ddl::drop_cluster(&cluster.name)).await?;
        }
    }
    Ok(())
}

/// Gives everything that goes a secret name, if it still stands under the recorded one.
///
/// # Errors
/// [`CiError::Failed`] when something has another name by now; the server's.
async fn hide(work: &Work<'_>, going: &[Going]) -> Result<(), CiError> {
    let shown: Vec<&Going> = going.iter().filter(|it| it.now != it.secret).collect();
    let moved = shown.iter().filter(|it| it.now != it.recorded);
    let moved: Vec<String> = moved
        .map(|it| format!("{} is called {} now", it.recorded, it.now))
        .collect();
    if !moved.is_empty() {
        return Err(CiError::Failed(format!(
            "somebody renamed or swapped what is to go: {}; nothing of it was dropped",
            moved.join(", ")
        )));
    }
    let database = &work.record.database;
    let renames: Vec<Statement> = shown
        .iter()
        .map(|it| match it.is_cluster {
            true => ddl::rename_cluster(&it.now, &it.secret),
            false => ddl::rename_schema(database, &it.now, &it.secret),
        })
        .collect();
    let mut pauses = Pauses::for_at_most(
        Duration::from_millis(20),
        Duration::from_secs(1),
        Duration::from_secs(30),
    );
    let Some((first, rest)) = renames.split_first() else {
        return Ok(());
    };
    let about = work.about();
    loop {
        work.store.still_leads(work.lead).await?;
        let check = |names: &Names| is_as_recorded(&shown, names);
        let answer =
            guarded::transaction(work.materialize, first, rest, false, &about, check).await;
        match answer {
            Ok(Guarded::Committed) => return Ok(()),
            Ok(Guarded::Declined(why)) => return Err(CiError::Failed(why)),
            Ok(Guarded::Unknown(error)) => {
                work.materialize.forget().await;
                return Err(error.into());
            }
            Err(error) if error.class() == Class::Conflict => match pauses.next_pause() {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error.into()),
            },
            // Stored SQL that names the schema in a column reference keeps it from being renamed. What is dropped is
            // then found by id right before.
            Err(MaterializeError::Refused { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the recorded names still are those of the recorded ids.
fn is_as_recorded(shown: &[&Going], names: &Names) -> Result<(), String> {
    for it in shown {
        let by_name = match it.is_cluster {
            true => &names.clusters,
            false => &names.schemas,
        };
        if by_name.get(&it.now) != Some(&it.id) {
            return Err(format!(
                "{} is not the one that was recorded (id {}); nothing was dropped",
                it.now, it.id
            ));
        }
    }
    Ok(())
}

/// Drops all of a corner whose work is led already, because nothing is to be in it any more; gives what left,
/// `schema.name`, sorted.
///
/// # Errors
/// As of a collection; it may be called again.
pub(super) async fn leave(work: &mut Work<'_>) -> Result<Vec<String>, CiError> {
    let objects = work.record.objects.values();
    let mut left: Vec<String> = objects
        .map(|it| format!("{}.{}", it.schema, it.name))
        .collect();
    left.sort_unstable();
    work.enter(CornerState::Leaving).await?;
    clear_looks(work).await?;
    drop_corner(work).await?;
    work.record.schemas.clear();
    work.record.objects.clear();
    work.record.cluster = None;
    work.enter(CornerState::Gone).await?;
    Ok(left)
}

/// Drops what killed builds of an earlier version left of their looks at the nodes of this corner.
///
/// # Errors
/// The server's.
pub(super) async fn clear_looks(work: &mut Work<'_>) -> Result<(), CiError> {
    let looks = work.record.looks.iter();
    let names: BTreeSet<String> = looks
        .flat_map(|(build, schemas)| Place::scratch_schemas(build, *schemas))
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    let about = About {
        schemas: names.clone(),
        ..About::default()
    };
    let catalog = Catalog::look(work.materialize, &about.closely()).await?;
    let schemas: Vec<_> = names
        .iter()
        .filter_map(|name| catalog.schema(name))
        .collect();
    if !schemas.is_empty() {
        let session = work.materialize.own_session_within(work.limit).await?;
        drop_schemas(&session, &catalog, &schemas).await?;
    }
    work.record.looks.clear();
    Ok(())
}
