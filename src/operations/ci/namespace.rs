//! Schemas and cluster of a corner: made, marked, found again, and told from those of others.

use super::error::CiError;
use super::place::Place;
use super::record::{Held, Record};
use crate::adapters::materialize::catalog::About;
use crate::adapters::materialize::{Materialize, Session, Statement, ddl, replica_sizes};
use crate::adapters::store::{Lead, Store};
use crate::domain::catalog::corner::CornerMark;
use crate::domain::catalog::{Catalog, ClusterDefinition};
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::domain::progress::{Progress, Reporter};
use crate::domain::records::corner::{Corner, CornerState};
use crate::foundation::digest::Digest;
use crate::inputs::settings::CornerCluster;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Work on one corner, by the one who leads it.
#[derive(Debug)]
pub struct Work<'a> {
    /// The journal.
    pub store: &'a Store,
    /// The proof that nobody else works on it.
    pub lead: &'a Lead,
    /// The server.
    pub materialize: &'a Materialize,
    /// Who is told.
    pub reporter: &'a Reporter,
    /// When to stop.
    pub stop: &'a CancellationToken,
    /// The longest time for one statement.
    pub limit: Duration,
    /// The corner, as it is in the journal.
    pub corner: Corner,
    /// Its document.
    pub record: Record,
}

impl Work<'_> {
    /// Writes the corner, as it is now, into the journal.
    ///
    /// # Errors
    /// The journal's.
    pub async fn write(&mut self) -> Result<(), CiError> {
        let record = serde_json::to_value(&self.record);
        self.corner.document = record.map_err(|source| CiError::Record {
            name: self.corner.name.clone(),
            source,
        })?;
        Ok(self.store.write_corner(self.lead, &self.corner).await?)
    }

    /// Moves the corner to a state and writes it.
    ///
    /// # Errors
    /// The journal's.
    pub async fn enter(&mut self, state: CornerState) -> Result<(), CiError> {
        self.corner.state = state;
        self.corner.ended_at = (state == CornerState::Gone).then(Timestamp::now);
        self.write().await
    }

    /// Ends the work when somebody asked to stop.
    ///
    /// # Errors
    /// [`CiError::Interrupted`].
    pub fn interrupted(&self) -> Result<(), CiError> {
        match self.stop.is_cancelled() {
            true => Err(CiError::Interrupted(self.corner.name.clone())),
            false => Ok(()),
        }
    }

    /// The mark of what is the corner's and called so.
    #[must_use]
    pub fn mark(&self, called: &str) -> CornerMark {
        CornerMark {
            corner: self.corner.id.clone(),
            name: self.corner.name.clone(),
            environment: self.corner.environment.clone(),
            project: self.record.project.clone(),
            journal: self.store.id().to_owned(),
            expires: self.corner.expires_at.as_second(),
            called: called.to_owned(),
        }
    }

    /// Everything of the corner by id and by each name that it may have, with what is in it.
    #[must_use]
    pub fn about(&self) -> About {
        let mut about = About::default();
        for (schema, held) in &self.record.schemas {
            about.schemas.insert(held.name.clone());
            about.schemas.insert(self.secret_schema(schema));
            about.schema_ids.extend(held.id.clone());
        }
        if let Some(held) = &self.record.cluster {
            about.clusters.insert(held.name.clone());
            about.clusters.insert(self.secret_cluster());
            about.cluster_ids.extend(held.id.clone());
        }
        about.closely()
    }

    /// The name of the counterpart of a production schema before it is marked, and when it goes.
    #[must_use]
    pub fn secret_schema(&self, schema: &str) -> String {
        let digest = Digest::of(schema.as_bytes()).to_string();
        let short: String = digest
            .chars()
            .filter(char::is_ascii_hexdigit)
            .take(12)
            .collect();
        Record::secret(&self.corner.id, &short)
    }

    /// The name of the cluster before it is marked, and when it goes.
    #[must_use]
    pub fn secret_cluster(&self) -> String {
        Record::secret(&self.corner.id, "cluster")
    }
}

/// Sends a statement, again and again while others keep changing the catalog.
///
/// # Errors
/// The server's.
pub async fn send(session: &Session, statement: &Statement) -> Result<(), CiError> {
    Ok(session.execute_despite_others(statement).await?)
}

/// What is to be done for one schema or cluster.
enum Step {
    /// It is there, with or without the right mark.
    There { is_marked: bool },
    /// It is there under its secret name.
    Secret,
    /// It is not there.
    Make,
    /// It is somebody else's.
    Taken,
}

/// Makes sure that every schema of a place and its cluster are there, marked, and known by id; gives the corner as it
/// is then.
///
/// # Errors
/// [`RefusalName::CornerTaken`] names what has such a name and is not this corner's, or was renamed;
/// [`RefusalName::ClusterMissing`] of a shared cluster; the server's and the journal's.
pub async fn hold(
    work: &mut Work<'_>,
    place: &Place,
    cluster: &CornerCluster,
    production: &BTreeSet<String>,
) -> Result<Catalog, CiError> {
    for (schema, name) in &place.schemas {
        let held = work.record.schemas.entry(schema.clone());
        held.or_insert_with(|| Held {
            name: name.clone(),
            id: None,
        });
    }
    if cluster.shared.is_none() && work.record.cluster.is_none() {
        work.record.cluster = Some(Held {
            name: place.cluster.clone(),
            id: None,
        });
    }
    work.write().await?;
    let mut about = work.about();
    about.clusters.extend(cluster.shared.clone());
    let catalog = Catalog::look(work.materialize, &about).await?;
    if let Some(shared) = &cluster.shared {
        is_shared(shared, &catalog, production)?;
    }
    let steps = steps(work, &catalog);
    refuse_taken(work, &steps, production)?;
    let session = work.materialize.own_session_within(work.limit).await?;
    carry_out(work, &session, &steps, cluster).await?;
    let catalog = Catalog::look(work.materialize, &work.about()).await?;
    for held in work.record.schemas.values_mut() {
        held.id = catalog.schema(&held.name).map(|schema| schema.id.clone());
    }
    if let Some(held) = &mut work.record.cluster {
        held.id = catalog
            .cluster(&held.name)
            .map(|cluster| cluster.id.clone());
        work.record.cluster_since.get_or_insert_with(Timestamp::now);
        work.record.size = Some(cluster.size.clone());
        let sizes = BTreeSet::from([cluster.size.as_str()]);
        let session = work.materialize.session_patiently().await?;
        let credits = replica_sizes::credits(&session, &sizes).await?;
        let credits = credits.get(&cluster.size).cloned().flatten();
        work.record.credits_per_hour = credits.and_then(|credits| credits.parse().ok());
    }
    let all = work.record.schemas.values().chain(&work.record.cluster);
    if let Some(gone) = all.clone().find(|held| held.id.is_none()) {
        return Err(CiError::Failed(format!(
            "somebody dropped or renamed {} while it was made",
            gone.name
        )));
    }
    work.write().await?;
    Ok(catalog)
}

/// What is to be done for each schema, in the order of the record, and last for the cluster.
fn steps(work: &Work<'_>, catalog: &Catalog) -> Vec<Step> {
    let step = |held: &Held,
                secret: &str,
                found: &dyn Fn(&str) -> Option<Option<String>>,
                named: Option<&str>| {
        let mark = work.mark(&held.name);
        // What the journal has an id of is that, wherever it is now.
        if let Some(name) = named {
            return match name {
                name if name == held.name => {
                    let comment = found(name).flatten();
                    let is_marked = comment.as_deref() == Some(mark.comment().as_str());
                    Step::There { is_marked }
                }
                name if name == secret => Step::Secret,
                _ => Step::Taken,
            };
        }
        if found(secret).is_some() {
            return Step::Secret;
        }
        match found(&held.name) {
            None => Step::Make,
            Some(comment) => {
                let found = CornerMark::on(&held.name, comment.as_deref());
                let is_ours = found
                    .as_ref()
                    .is_some_and(|found| found.is_of(&mark.project, &mark.environment, &mark.name));
                match is_ours {
                    true => Step::There {
                        is_marked: found.as_ref() == Some(&mark),
                    },
                    false => Step::Taken,
                }
            }
        }
    };
    let schema = |name: &str| Some(catalog.schema(name)?.comment.clone());
    let cluster = |name: &str| Some(catalog.cluster(name)?.comment.clone());
    let mut steps = Vec::new();
    for (name, held) in &work.record.schemas {
        let named = held.id.as_ref().and_then(|id| catalog.schemas.get(id));
        let named = named.map(|schema| schema.name.as_str());
        steps.push(step(held, &work.secret_schema(name), &schema, named));
    }
    if let Some(held) = &work.record.cluster {
        let named = held.id.as_ref().and_then(|id| catalog.clusters.get(id));
        let named = named.map(|cluster| cluster.name.as_str());
        steps.push(step(held, &work.secret_cluster(), &cluster, named));
    }
    steps
}

fn refuse_taken(
    work: &Work<'_>,
    steps: &[Step],
    production: &BTreeSet<String>,
) -> Result<(), CiError> {
    let held = work.record.schemas.values().chain(&work.record.cluster);
    let taken = held
        .zip(steps)
        .filter(|(held, step)| matches!(step, Step::Taken) || production.contains(&held.name));
    let taken: Vec<String> = taken.map(|(held, _)| held.name.clone()).collect();
    if taken.is_empty() {
        return Ok(());
    }
    Err(Refused(vec![Refusal {
        name: RefusalName::CornerTaken,
        message: format!(
            "what has a name of the corner {} is not the corner's, or is what was recorded under another name",
            work.corner.name
        ),
        objects: taken,
        remedy: "choose another --name, or templates ci.schema and ci.cluster.name with which no two names meet; what is a corner's is marked by a comment"
            .to_owned(),
    }])
    .into())
}

/// A cluster that corners share is somebody's, and not production's.
fn is_shared(
    shared: &str,
    catalog: &Catalog,
    production: &BTreeSet<String>,
) -> Result<(), CiError> {
    let refused = |name, message: &str, remedy: &str| {
        Err(Refused(vec![Refusal {
            name,
            message: message.to_owned(),
            objects: vec![shared.to_owned()],
            remedy: remedy.to_owned(),
        }])
        .into())
    };
    if production.contains(shared) {
        return refused(
            RefusalName::CornerTaken,
            "ci.cluster.shared is a cluster of production",
            "name another one",
        );
    }
    match catalog.cluster(shared) {
        Some(_) => Ok(()),
        None => refused(
            RefusalName::ClusterMissing,
            "ci.cluster.shared does not exist",
            "create it, or set it to null, so that each corner has its own",
        ),
    }
}

async fn carry_out(
    work: &Work<'_>,
    session: &Session,
    steps: &[Step],
    cluster: &CornerCluster,
) -> Result<(), CiError> {
    let database = &work.record.database;
    let total = steps.len();
    let mut done = 0;
    let mut told = |item: &str| {
        done += 1;
        work.reporter.send(Progress::Work {
            what: "staged".to_owned(),
            item: item.to_owned(),
            done,
            total,
        });
    };
    for ((schema, held), step) in work.record.schemas.iter().zip(steps) {
        work.interrupted()?;
        let secret = work.secret_schema(schema);
        let comment = work.mark(&held.name).comment();
        let comment = Some(comment.as_str());
        let statements = match step {
            Step::There {
                is_marked: true, ..
            }
            | Step::Taken => Vec::new(),
            Step::There { .. } => vec![ddl::comment_on_schema(database, &held.name, comment)],
            Step::Make => vec![
                ddl::create_schema(database, &secret),
                ddl::comment_on_schema(database, &secret, comment),
                ddl::rename_schema(database, &secret, &held.name),
            ],
            Step::Secret => vec![
                ddl::comment_on_schema(database, &secret, comment),
                ddl::rename_schema(database, &secret, &held.name),
            ],
        };
        for statement in &statements {
            send(session, statement).await?;
        }
        told(&held.name);
    }
    if let (Some(held), Some(step)) = (&work.record.cluster, steps.get(work.record.schemas.len())) {
        work.interrupted()?;
        let secret = work.secret_cluster();
        let comment = work.mark(&held.name).comment();
        let comment = Some(comment.as_str());
        let statements = match step {
            Step::There {
                is_marked: true, ..
            }
            | Step::Taken => Vec::new(),
            Step::There { .. } => vec![ddl::comment_on_cluster(&held.name, comment)],
            Step::Make => vec![
                ddl::create_cluster(&secret, &definition(cluster)),
                ddl::comment_on_cluster(&secret, comment),
                ddl::rename_cluster(&secret, &held.name),
            ],
            Step::Secret => vec![
                ddl::comment_on_cluster(&secret, comment),
                ddl::rename_cluster(&secret, &held.name),
            ],
        };
        for statement in &statements {
            send(session, statement).await?;
        }
        told(&held.name);
    }
    Ok(())
}

fn definition(cluster: &CornerCluster) -> ClusterDefinition {
    let more = cluster.options.as_ref();
    let more = more.map_or_else(String::new, |options| format!(", {options}"));
    let size = crate::foundation::sql::identifier::Literal(&cluster.size);
    ClusterDefinition::Managed {
        options: format!("SIZE = {size}{more}"),
    }
}
