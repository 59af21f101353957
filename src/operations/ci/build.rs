//! From a proposal to a verdict: describe, build, hydrate, test, measure.

/// The data of what was built beside production's.
mod compared;
/// What it has to say, put into the report.
mod findings;
/// What a request changes itself.
mod own_changes;
/// From its beginning to its report.
mod run;
/// Unit tests of what is built.
mod units;

use super::choice::{self, Choice};
use super::error::CiError;
use super::make::{self, Made};
use super::name::CornerName;
use super::place::{self, Place};
use super::record::Record;
use super::report::{Kind, ReleaseReport, Report, TestReport, Verdict};
use super::{collect, wait};
use crate::adapters::materialize::Materialize;
use crate::adapters::materialize::catalog::About;
use crate::adapters::store::{Lead, Store};
use crate::domain::catalog::Catalog;
use crate::domain::plan::Plan;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::domain::progress::Reporter;
use crate::domain::records::corner::CornerState;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::inputs::manifest::ResourceType;
use crate::inputs::selection::Selection;
use crate::operations::builds::{Builds, Compiled, Known};
use crate::operations::ci::build::findings::{
    columns, lost, nodes_of, not_run, standing_report, told_described, told_made,
};
use crate::operations::ci::namespace::{self, Work};
use crate::operations::ci::queue::{self, Ask};
use crate::operations::ci::row_counts::{self, Standing};
use crate::operations::describe::{Described, Looking};
use crate::operations::error::DeploymentError;
use crate::operations::green::native::testing::Running;
use crate::operations::release::proposal::Proposal;
use crate::operations::release::{self, Release};
use crate::planning::recipe::document::{Recipe, TestItem};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::pin::pin;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whether it stops after every node was described.
    pub kind: Kind,
    /// The corner.
    pub name: CornerName,
    /// Whether what only differs because production moved on is built, too.
    pub all: bool,
    /// The branch or commit that the request goes to, where it is known.
    pub base: Option<String>,
    /// A manifest to compare with, in the place of what is live.
    pub state: Option<PathBuf>,
    /// What is built, in the place of everything that changed.
    pub selection: Option<Selection>,
    /// Who asks.
    pub owner: String,
    /// The commit, where it is known.
    pub revision: Option<String>,
}

/// One build.
#[derive(Debug)]
pub struct Build<'a> {
    /// The environment, with the project as it is here.
    pub release: &'a Release,
    /// How it was opened.
    pub wanted: &'a release::Wanted,
    /// The journal.
    pub store: &'a Store,
    /// What is asked for.
    pub request: &'a Request,
    /// Who is told.
    pub reporter: &'a Reporter,
    /// When to stop.
    pub stop: &'a CancellationToken,
}

/// What is built, worked out.
struct Worked {
    proposal: Proposal,
    choice: Choice,
    place: Place,
    recipe: Recipe,
    /// The SQL that it is made of, as it reads production.
    compiled: Compiled,
}

impl Build<'_> {
    /// Describes every node, and no more.
    async fn check(&self, report: &mut Report) -> Result<(), CiError> {
        let build = Uuid::now_v7().to_string();
        let folder = self.release.runs().join(format!("planning-{build}"));
        let builds = self.release.builds(&folder, self.reporter, self.stop)?;
        let materialize = self.release.materialize();
        let ended = async {
            let place = Record::default();
            let worked = self
                .work_out(&builds, &materialize, &place, &build, report)
                .await?;
            let described = self
                .describe(&builds, &materialize, &worked, self.stop)
                .await?;
            told_described(report, &described);
            self.told_columns(&worked, &described, report);
            self.unit_tests(&materialize, &worked, &described, report, self.stop)
                .await
        };
        let ended = ended.await;
        // A folder that stays is collected later.
        let _ = std::fs::remove_dir_all(&folder);
        ended
    }

    /// Takes the corner from whoever builds it now, and gives it up to whoever comes later.
    async fn in_turn(&self, report: &mut Report) -> Result<(), CiError> {
        let build = Uuid::now_v7().to_string();
        let ci = &self.release.settings.ci;
        let ask = Ask {
            environment: &self.release.environment,
            name: self.request.name.as_str(),
            build: &build,
            wait: ci.wait.0,
        };
        let lead = queue::lead(self.store, &ask, self.reporter, self.stop).await?;
        let stop = self.stop.child_token();
        let mut working = pin!(self.led(&lead, &ask, &stop, report));
        tokio::select! {
            ended = &mut working => ended,
            error = queue::superseded(self.store, &ask) => {
                stop.cancel();
                // What was begun is brought to a boundary first; why it ended is known.
                let _ = working.await;
                Err(error)
            }
        }
    }

    async fn led(
        &self,
        lead: &Lead,
        ask: &Ask<'_>,
        stop: &CancellationToken,
        report: &mut Report,
    ) -> Result<(), CiError> {
        let materialize = self.release.materialize();
        let ttl = self.release.settings.ci.ttl.0;
        let (corner, mut record) = queue::corner(self.store, lead, ask, ttl).await?;
        record.project.clone_from(&self.release.project.dbt.name);
        materialize.database().clone_into(&mut record.database);
        record.owner.clone_from(&self.request.owner);
        record.revision.clone_from(&self.request.revision);
        ask.build.clone_into(&mut record.build);
        let mut work = Work {
            store: self.store,
            lead,
            materialize: &materialize,
            reporter: self.reporter,
            stop,
            limit: self.release.settings.dbt.build_timeout.0,
            corner,
            record,
        };
        let folder = self.release.runs().join(format!("planning-{}", ask.build));
        let builds = self.release.builds(&folder, self.reporter, stop)?;
        // Before anything is made: whoever follows knows what this one may have left.
        work.write().await?;
        let ended = self.build(&mut work, &builds, ask, report).await;
        let _ = std::fs::remove_dir_all(&folder);
        if ended.is_ok() {
            report.judge();
        }
        let shared = self.release.settings.ci.cluster.shared.as_deref();
        report.corner = standing_report(&work, shared);
        work.record.reported = Some(ask.build.to_owned());
        work.record.report = Some(Box::new(Report {
            verdict: match &ended {
                Ok(()) => report.verdict,
                Err(error) => Verdict::of(error.class()),
            },
            ..report.clone()
        }));
        let next = match work.corner.state {
            // Nothing of it was made.
            CornerState::Waiting => CornerState::Gone,
            CornerState::Building | CornerState::Standing => CornerState::Standing,
            state @ (CornerState::Leaving | CornerState::Gone) => state,
        };
        let recorded = work.enter(next).await;
        ended?;
        recorded
    }

    async fn build(
        &self,
        work: &mut Work<'_>,
        builds: &Builds,
        ask: &Ask<'_>,
        report: &mut Report,
    ) -> Result<(), CiError> {
        let materialize = work.materialize;
        let worked = self
            .work_out(builds, materialize, &work.record, ask.build, report)
            .await?;
        collect::clear_looks(work).await?;
        if worked.choice.nodes.is_empty() && worked.choice.tests.is_empty() {
            return leave_empty(work, report).await;
        }
        let described = self
            .describe(builds, materialize, &worked, work.stop)
            .await?;
        told_described(report, &described);
        self.told_columns(&worked, &described, report);
        self.unit_tests(materialize, &worked, &described, report, work.stop)
            .await?;
        if !described.failed.is_empty() {
            return Ok(());
        }
        // Where only unit tests changed, nothing stands.
        if worked.recipe.items.is_empty() && worked.recipe.tests.is_empty() {
            return leave_empty(work, report).await;
        }
        let production = production(self.release)?;
        let before = Standing::of(&worked.proposal.catalog, &production);
        queue::room(work, ask, self.release.settings.ci.max_environments).await?;
        work.enter(CornerState::Building).await?;
        let cluster = &self.release.settings.ci.cluster;
        let held = namespace::hold(work, &worked.place, cluster, &production).await?;
        apart(work, &before)?;
        let manifest = &worked.proposal.parsed.manifest;
        let brought = make::bring_up(work, builds, manifest, &worked.recipe, held);
        let (made, catalog) = brought.await?;
        told_made(report, &made);
        report.dropped.clone_from(&made.dropped);
        apart(work, &before)?;
        let readiness = &self.release.settings.readiness;
        let waits = wait::until_ready(work, &worked.recipe, &catalog, readiness);
        let waits = waits.await?;
        if !waits.is_empty() {
            return Err(CiError::Failed(format!(
                "it was not hydrated in time: {}",
                waits.join("; ")
            )));
        }
        self.test(work, &worked, &made, report).await?;
        if self.release.settings.ci.count_rows {
            self.count(work, &worked, &made, report).await?;
        }
        if self.release.settings.ci.diff {
            self.compare(work, &worked, &made, report).await?;
        }
        let about = About {
            schemas: production.clone(),
            clusters: production.clone(),
            ..About::default()
        };
        let after = Standing::of(&Catalog::look(materialize, &about).await?, &production);
        apart(work, &after)?;
        for change in after.changed_since(&before) {
            report.notes.push(format!(
                "somebody changed production meanwhile: {change}; what was built here read it as it was"
            ));
        }
        Ok(())
    }

    /// What is built, and where.
    async fn work_out(
        &self,
        builds: &Builds,
        materialize: &Materialize,
        record: &Record,
        build: &str,
        report: &mut Report,
    ) -> Result<Worked, CiError> {
        let release = self.release;
        let mut proposal = release
            .proposal(
                builds,
                materialize,
                &release.artifacts()?,
                self.request.state.as_deref(),
                self.request.selection.as_ref(),
            )
            .await?;
        self.keep_own(&mut proposal, build, report).await?;
        let wanted = self.request.selection.as_ref();
        let outlook = release.outlook(builds, materialize, &proposal, wanted);
        match outlook.await {
            Ok(outlook) => report.release = outlook.map(ReleaseReport::of),
            // It is told and nothing else; a build does without it.
            Err(error) if error.class() == Class::Permanent => report.notes.push(format!(
                "what a release of this would do is not known: {}",
                with_causes(&error)
            )),
            Err(error) => return Err(error.into()),
        }
        let choice = choice::choose(&proposal, release.settings.ci.sources)?;
        report.left_out.extend(choice.left_out.clone());
        report.deleted.clone_from(&proposal.deleted);
        report.notes.extend(proposal.notes.iter().cloned());
        let nodes = &proposal.parsed.candidate.nodes;
        let chosen = choice.nodes.keys().filter_map(|id| nodes.get(id));
        let schemas: BTreeSet<&str> = chosen.map(|node| node.schema.as_str()).collect();
        let mut place = Place::of(&release.settings.ci, &self.request.name, &schemas)?;
        // A corner keeps its names while it stands.
        for (schema, held) in &record.schemas {
            place.schemas.insert(schema.clone(), held.name.clone());
        }
        if let (Some(held), None) = (&record.cluster, &release.settings.ci.cluster.shared) {
            place.cluster.clone_from(&held.name);
        }
        let mut compiled = proposal.compiled.clone();
        let plan = self.plan(&proposal, &choice, &place, builds);
        let known = proposal.kept.as_ref().zip(proposal.outcomes.as_ref());
        let known = known.map(|(kept, outcomes)| Known { kept, outcomes });
        let recipe = builds.recipe_in_corner(&proposal.parsed, &mut compiled, known, &plan);
        let recipe = recipe.await?.map_err(not_native)?;
        report.nodes = nodes_of(&proposal, &choice, &recipe);
        report.not_run = not_run(&proposal, &choice, &recipe);
        let has_hooks = proposal.parsed.manifest.nodes.values();
        if has_hooks
            .into_iter()
            .any(|node| node.resource_type == ResourceType::Operation)
        {
            let note = "hooks of the project (on-run-start, on-run-end) are not run in a corner";
            report.notes.push(note.to_owned());
        }
        Ok(Worked {
            proposal,
            choice,
            place,
            recipe,
            compiled,
        })
    }

    fn plan(&self, proposal: &Proposal, choice: &Choice, place: &Place, builds: &Builds) -> Plan {
        let candidate = &proposal.parsed.candidate;
        let target_cluster = builds.final_cluster(&candidate.cluster_names, None);
        let profile = &self.release.project.profile;
        place::plan(
            candidate,
            choice,
            place,
            (
                &self.release.environment,
                &profile.target,
                &proposal.catalog.database,
            ),
            target_cluster.as_deref(),
        )
    }

    async fn describe(
        &self,
        builds: &Builds,
        materialize: &Materialize,
        worked: &Worked,
        stop: &CancellationToken,
    ) -> Result<Described, CiError> {
        let nothing = BTreeSet::new();
        let looking = Looking {
            materialize,
            builds,
            manifest: &worked.proposal.parsed.manifest,
            database: &worked.proposal.catalog.database,
            to_be_made: &nothing,
            limit: self.release.settings.materialize.statement_timeout.0,
            reporter: self.reporter,
            stop,
        };
        let described = looking.describe(&worked.recipe).await?;
        described.ok_or_else(|| CiError::Interrupted(self.request.name.to_string()))
    }

    /// Puts into the report which columns a release would change.
    fn told_columns(&self, worked: &Worked, described: &Described, report: &mut Report) {
        report.columns = columns(worked, described);
        let allowed = self.release.allowed(&[]);
        report.notes.extend(lost(&report.columns, &allowed));
    }

    /// Runs the tests whose relations are there.
    async fn test(
        &self,
        work: &Work<'_>,
        worked: &Worked,
        made: &Made,
        report: &mut Report,
    ) -> Result<(), CiError> {
        let candidate = &worked.proposal.parsed.candidate;
        let is_missing = |id: &str| made.failed.contains_key(id) || made.skipped.contains_key(id);
        let waits_for = |test: &TestItem| {
            let parents = candidate
                .tests
                .get(&test.unique_id)
                .map(|test| &test.parents);
            let reads = parents.map(|parents| candidate.reads(parents));
            let missing = reads.into_iter().flatten().find(|id| is_missing(id));
            missing.map(str::to_owned)
        };
        let (mut ready, mut refused) = (Vec::new(), BTreeMap::new());
        for test in &worked.recipe.tests {
            match waits_for(test) {
                Some(parent) => {
                    refused.insert(test.unique_id.clone(), parent);
                }
                None => ready.push(test.clone()),
            }
        }
        let running = Running {
            materialize: work.materialize,
            limit: work.limit,
            database: &work.record.database,
            reporter: self.reporter,
            interrupted: &|| match work.stop.is_cancelled() {
                true => Err(DeploymentError::Failed("interrupted".to_owned())),
                false => Ok(()),
            },
        };
        let ended = running.all(&ready, BTreeMap::new()).await;
        work.interrupted()?;
        let manifest = &worked.proposal.parsed.manifest;
        let test = |id: &str| {
            let node = manifest.nodes.get(id);
            TestReport {
                unique_id: id.to_owned(),
                file: node
                    .map(|node| node.original_file_path.clone())
                    .unwrap_or_default(),
                model: node.and_then(|node| node.attached_node.clone()),
                status: "skipped".to_owned(),
                message: None,
                failures: None,
                seconds: 0.0,
            }
        };
        for ended in ended? {
            report.tests.push(TestReport {
                status: ended.status.as_str().to_owned(),
                message: ended.message,
                failures: ended.failures,
                seconds: ended.seconds,
                ..test(&ended.unique_id)
            });
        }
        for (id, parent) in refused {
            report.tests.push(TestReport {
                message: Some(format!("reads {parent}, which is missing")),
                ..test(&id)
            });
        }
        report.tests.sort_by(|a, b| a.unique_id.cmp(&b.unique_id));
        Ok(())
    }

    async fn count(
        &self,
        work: &Work<'_>,
        worked: &Worked,
        made: &Made,
        report: &mut Report,
    ) -> Result<(), CiError> {
        let there: BTreeSet<String> = made.built.keys().chain(&made.kept).cloned().collect();
        let counted = row_counts::rows(
            work.materialize,
            self.release.settings.materialize.statement_timeout.0,
            &worked.place.cluster,
            (&worked.proposal.parsed.candidate, &worked.proposal.catalog),
            &worked.recipe,
            &there,
        );
        let counted = counted.await?;
        for node in &mut report.nodes {
            match counted.get(&node.unique_id) {
                Some(Ok((here, production))) => {
                    node.rows = Some(*here);
                    node.production_rows = *production;
                }
                Some(Err(why)) => report
                    .notes
                    .push(format!("rows of {} were not counted: {why}", node.relation)),
                None => {}
            }
        }
        Ok(())
    }
}

/// Nothing is to stand: what stood before goes.
async fn leave_empty(work: &mut Work<'_>, report: &mut Report) -> Result<(), CiError> {
    if work.corner.state != CornerState::Waiting {
        report.dropped = collect::leave(work).await?;
    }
    Ok(())
}

/// The names of production's schemas and clusters.
///
/// # Errors
/// When the project does not list them.
pub fn production(release: &Release) -> Result<BTreeSet<String>, CiError> {
    let listed = release.project.deployment();
    let listed = listed.map_err(release::ReleaseError::from)?;
    Ok(listed.schemas.into_iter().chain(listed.clusters).collect())
}

/// Makes sure that nothing that the corner holds is production's.
fn apart(work: &Work<'_>, production: &Standing) -> Result<(), CiError> {
    let record = &work.record;
    let schemas = record
        .schemas
        .values()
        .map(|held| ("schema", held.id.as_ref()));
    let cluster = record
        .cluster
        .iter()
        .map(|held| ("cluster", held.id.as_ref()));
    let objects = record
        .objects
        .values()
        .map(|thing| ("object", Some(&thing.id)));
    let mut all = schemas.chain(cluster).chain(objects);
    match all.find(|(kind, id)| id.is_some_and(|id| production.has(kind, id))) {
        None => Ok(()),
        Some((kind, id)) => Err(CiError::Failed(format!(
            "the {kind} {} of the corner stands in production: somebody swapped or renamed it. Nothing more is done to it",
            id.map_or("", String::as_str)
        ))),
    }
}

fn not_native(reasons: BTreeSet<String>) -> CiError {
    Refused(vec![Refusal {
        name: RefusalName::NotNative,
        message: "a corner is built without dbt, and this cannot be".to_owned(),
        objects: reasons.into_iter().collect(),
        remedy: "change what is named, or leave it out with --exclude".to_owned(),
    }])
    .into()
}
