//! From the project, the baseline and the server to a plan. Nothing is touched.

use super::{Release, ReleaseError, back_to, drifts};
use crate::adapters::artifacts::{Artifacts, Baseline};
use crate::adapters::materialize::{Materialize, replacement};
use crate::adapters::store::Store;
use crate::domain::catalog::{Catalog, ClusterDefinition};
use crate::domain::plan::outside::{Outside, OutsideMake};
use crate::domain::plan::refusal::{RefusalName, Refused};
use crate::domain::plan::{BaselineUsed, Mode, Plan};
use crate::domain::records::hold::BackTo;
use crate::domain::records::run::Link;
use crate::foundation::span::Span;
use crate::foundation::sql::identifier::Qualified;
use crate::inputs::manifest::run_results::RunResults;
use crate::inputs::outcome::Outcomes;
use crate::inputs::project::switches::Switches;
use crate::inputs::selection::state::Comparison;
use crate::inputs::selection::{self, Context, Kept, Selection, Selectors};
use crate::inputs::settings::{Compare, Engine, OnDrift, Scope, Strategy};
use crate::operations::builds::{Builds, Compiled, Green, Known, Parsed, Sql};
use crate::operations::error::DeploymentError;
use crate::operations::release::comparison::{
    Compared, Old, refused_to_replace_all, refused_without_baseline,
};
use crate::operations::release::preview::Apart;
use crate::planning::planner::candidate::{CandidateNode, Input, Promoted};
use crate::planning::planner::changes::Changes;
use crate::planning::planner::clusters::ClusterNames;
use crate::planning::planner::replace::{self, Queries, Reasons};
use crate::planning::planner::side_relations::{VersionPointer, version_pointer};
use crate::planning::planner::slim::{self, Closed};
use crate::planning::planner::{changed_tests, indexes, invariant};
use std::collections::{BTreeMap, BTreeSet};

/// What is wished of a plan.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Whether all of `vars.deployment` is released, whatever the settings say.
    pub full: bool,
    /// Whether missing schemas and clusters are created.
    pub bootstrap: bool,
    /// Refusals accepted by name.
    pub allow: BTreeSet<RefusalName>,
    /// What the release begins with, instead of everything that changed.
    pub selection: Option<Selection>,
    /// Whether somebody is to promote it, whatever the settings say.
    pub waits_for_promotion: bool,
    /// How long green is kept when a step fails before the swap, whatever the settings say.
    pub keep: Option<Span>,
    /// The earlier release to which it goes back.
    pub back_to: Option<BackTo>,
    /// Why a freeze does not stop it.
    pub override_freeze: Option<String>,
    /// The release of another environment that it follows.
    pub follows: Option<Link>,
    /// Whether the server's planner is to describe every planned node.
    pub describe: bool,
}

/// What a plan is made from, besides the wishes.
#[derive(Clone, Copy)]
pub(super) struct Found<'a> {
    pub(super) parsed: &'a Parsed,
    pub(super) catalog: &'a Catalog,
    pub(super) baseline: Option<&'a Baseline>,
}

/// What else a plan is worked out with.
#[derive(Clone, Copy)]
pub(super) struct Planned<'a> {
    pub(super) builds: &'a Builds,
    pub(super) materialize: &'a Materialize,
    pub(super) wishes: &'a Wishes,
    pub(super) outcomes: Option<&'a Outcomes>,
    /// What was compiled so far.
    pub(super) compiled: &'a Compiled,
    /// What releases that were rolled back made outside and left, by id.
    pub(super) left: &'a BTreeMap<String, OutsideMake>,
    /// What differs and is no part of it, nodes and schemas that something left; `None`: all that differs is.
    pub(super) apart: Option<&'a Apart>,
}

impl Release {
    /// Plans a release: of what changed since the baseline, or of all of `vars.deployment` where that
    /// is wished, configured, or the only thing that can be done because there is no baseline.
    ///
    /// # Errors
    /// The project's, dbt's and the server's; a baseline that cannot be trusted; every reason at once
    /// why the release is refused.
    pub async fn plan(
        &self,
        builds: &Builds,
        materialize: &Materialize,
        artifacts: &Artifacts,
        store: &Store,
        wishes: &Wishes,
    ) -> Result<Plan, ReleaseError> {
        let wishes = &back_to::allowing(wishes);
        // What is said wrong is not worth waiting for the server or dbt.
        self.project.deployment()?;
        self.selectors(wishes)?;
        // The server first: it answers at once whether it is there, dbt takes seconds.
        // Nothing is under way yet, so a server that is away is not waited for.
        materialize.session().await?;
        // There is nobody else to build what comes from a bundle.
        let engine = match &self.bundle {
            Some(_) => Engine::Native,
            None => self.settings.build.engine,
        };
        let looked = async {
            let catalog = Catalog::read(materialize).await?;
            let overlaps = self.overlaps(artifacts, store, &catalog, None).await?;
            let accepted = overlaps.accepted(&wishes.allow)?;
            Ok::<_, ReleaseError>((catalog, overlaps, accepted))
        };
        let parsed = async {
            let key = self.artifact_key();
            let pointer = artifacts.current(&key).await?;
            // The baseline says what will have to be compiled.
            let baseline = artifacts.baseline(&key).await?;
            let predicted = match (&baseline, self.settings.compare) {
                (Some(baseline), Compare::Outcome) => baseline
                    .outcomes
                    .known()
                    .and_then(|known| builds.predict(&baseline.manifest, known)),
                (Some(_) | None, _) => None,
            };
            // Where dbt has no part in green, it need not say where that lies. A guess that is wrong costs a
            // second parse, after the first instead of beside it.
            let built_by = baseline.as_ref().and_then(|it| it.metadata.built_by);
            let green = match (engine, built_by) {
                (Engine::Dbt, _) | (Engine::Auto, Some(crate::domain::plan::Engine::Dbt)) => {
                    Green::ByDbt
                }
                (Engine::Native, _)
                | (Engine::Auto, Some(crate::domain::plan::Engine::Native) | None) => Green::ByName,
            };
            let parsed = builds.parse_and_compile(predicted.as_ref(), green).await?;
            Ok((pointer, baseline, parsed))
        };
        // dbt takes longer than the server; a refusal of either ends the other.
        let ((catalog, overlaps, accepted), (pointer, baseline, mut parsed)) =
            tokio::try_join!(looked, parsed)?;
        let (outcomes, mut compiled) = match self.settings.compare {
            Compare::Text => (None, parsed.compiled.clone()),
            Compare::Outcome => {
                let before = baseline.as_ref().and_then(Baseline::before);
                let (outcomes, compiled) = builds.outcomes(&parsed, before).await?;
                (Some(outcomes), compiled)
            }
        };
        let planned_outcomes = outcomes
            .as_ref()
            .map(|outcomes| builds.remember(outcomes))
            .transpose()?;
        let used = BaselineUsed {
            generation: pointer.as_ref().map(|pointer| pointer.generation),
            deployment: pointer.and_then(|pointer| pointer.deployment),
        };
        let kept = baseline
            .as_ref()
            .and_then(|baseline| baseline.compiled.as_ref());
        let known = outcomes.as_ref().zip(kept);
        let known = known.map(|(outcomes, kept)| Known { kept, outcomes });
        let left = self.left_outside(store).await?;
        let mut plan = loop {
            let planned = Planned {
                builds,
                materialize,
                wishes,
                outcomes: outcomes.as_ref(),
                compiled: &compiled,
                left: &left,
                apart: None,
            };
            let found = Found {
                parsed: &parsed,
                catalog: &catalog,
                baseline: baseline.as_ref(),
            };
            let mut plan = self.plan_of(found, planned).await?;
            plan.inputs = match &outcomes {
                Some(outcomes) => outcomes.inputs.clone(),
                None => builds.inputs(&parsed)?,
            };
            if self.bundle.is_some() {
                builds.leave_out_unit_tests(&parsed, &mut plan)?;
            }
            plan.building = builds
                .choose_engine(engine, &parsed, &mut compiled, known, &plan)
                .await?;
            if parsed.green == Green::ByDbt || !plan.needs_green_by_dbt() {
                break plan;
            }
            builds.parse_green(&mut parsed).await?;
        };
        if let (Some(outcomes), None) = (&outcomes, &self.bundle) {
            let sql = Sql { outcomes, kept };
            if plan.building.engine == crate::domain::plan::Engine::Native && !plan.is_empty() {
                builds.complete(&parsed, sql, &mut compiled).await?;
            }
            builds.remember_sql(outcomes, &compiled, kept)?;
            let (listed, revision) = (self.project.deployment()?, self.revision.clone());
            builds.remember_project(&parsed, (&listed, revision), sql, &compiled)?;
        }
        let found = Found {
            parsed: &parsed,
            catalog: &catalog,
            baseline: baseline.as_ref(),
        };
        plan.texts = self.texts(&plan, found, outcomes.as_ref(), &compiled);
        let with = (builds, materialize);
        self.describe(with, found, (&compiled, known), wishes, &mut plan)
            .await?;
        self.tell_readers(materialize, &mut plan).await?;
        self.size_for_hydration(materialize, &mut plan).await?;
        plan.baseline = used;
        plan.outcomes = planned_outcomes;
        plan.settings = Some(self.settings_of_plans());
        plan.accepted.extend(accepted);
        plan.notes.extend(overlaps.unknown);
        plan.notes.extend(self.withheld_note(&plan));
        plan.notes.extend(self.bundle_note());
        if let Some(to) = &wishes.back_to {
            back_to::tell(&mut plan, to);
        }
        plan.estimated_hydration_ms = self.estimated_hydration(store).await?;
        self.refuse_shared(store, &plan).await?;
        builds.fits(&plan)?;
        Ok(plan)
    }

    /// The plan of what was found, but for who builds it.
    pub(super) async fn plan_of(
        &self,
        found: Found<'_>,
        with: Planned<'_>,
    ) -> Result<Plan, ReleaseError> {
        let Planned {
            builds,
            materialize,
            wishes,
            outcomes,
            ..
        } = with;
        let listed = self.project.deployment()?;
        let selectors = self.selectors(wishes)?;
        let schemas: BTreeSet<String> = listed.schemas.iter().cloned().collect();
        let clusters: BTreeSet<String> = listed.clusters.iter().cloned().collect();
        let given = self.project.profile.credentials.cluster.as_deref();
        let names = &found.parsed.candidate.cluster_names;
        let target_cluster = given.map(|given| names.in_catalog(given));
        let target_cluster = target_cluster.as_deref();
        let definitions = definitions(
            materialize,
            found.catalog,
            clusters
                .iter()
                .map(String::as_str)
                .chain(target_cluster.filter(|name| !clusters.contains(*name))),
        )
        .await?;
        let relations = found.baseline;
        let relations =
            relations.map(|baseline| promoted(baseline, names, target_cluster, builds.switches));
        let file = self.project.dbt.vars_file().display().to_string();
        let input = Input {
            mode: Mode::Full,
            environment: &self.environment,
            target: &self.project.profile.target,
            deployment_file: &file,
            schemas: &schemas,
            clusters: &clusters,
            target_cluster,
            candidate: &found.parsed.candidate,
            catalog: found.catalog,
            definitions: &definitions,
            baseline: relations.as_ref(),
            bootstrap: wishes
                .bootstrap
                .then_some(self.settings.bootstrap.cluster_size.as_str()),
            moved: &[],
            outside: Outside::none(),
            allow: &wishes.allow,
        };
        let mut drifted = BTreeSet::new();
        let is_full = wishes.full || (self.settings.scope == Scope::Full && selectors.is_none());
        let mut plan = match found.baseline {
            Some(baseline) if !is_full => {
                let compared = self.compared(Old::of(baseline), found.parsed, builds, outcomes)?;
                let (mut changes, tests) = self.changes(
                    &input,
                    baseline,
                    found.parsed,
                    &compared,
                    selectors.as_ref(),
                    wishes,
                )?;
                if let Some(apart) = with.apart {
                    apart.take_from(&mut changes);
                }
                let outside = self
                    .outside(&input, &mut changes, Some(&compared), found, with)
                    .await?;
                let outside = &outside;
                let input = Input { outside, ..input };
                drifted.extend(changes.drifted.keys().cloned());
                let mut plan = self
                    .changed(
                        &input,
                        &changes,
                        &compared,
                        found.parsed,
                        builds,
                        materialize,
                    )
                    .await?;
                changed_tests::tell(&mut plan, tests);
                plan
            }
            None | Some(_) if self.settings.strategy == Strategy::Replace => {
                return Err(refused_to_replace_all(is_full).into());
            }
            None if selectors.is_some() => return Err(refused_without_baseline().into()),
            None | Some(_) => self.whole(&input, found, with).await?,
        };
        let before = found
            .baseline
            .map(|baseline| before(baseline, found.catalog));
        plan = invariant::keep(plan, &input, &before.unwrap_or_default(), &drifted)
            .map_err(DeploymentError::from)?;
        self.tell_what_stays(is_full, &input, found, with, &mut plan)?;
        if !is_full && found.baseline.is_none() {
            plan.notes
                .push("there is no baseline yet, so all of vars.deployment is released".to_owned());
        }
        Ok(plan)
    }

    /// `selectors.yml`, when something is selected.
    pub(super) fn selectors(&self, wishes: &Wishes) -> Result<Option<Selectors>, ReleaseError> {
        let project = &self.project.dbt;
        let Some(selection) = &wishes.selection else {
            return Ok(None);
        };
        let selectors = Selectors::read(&project.path, &project.renderer(), selection.indirect)?;
        // What the command line says wrong is not worth waiting for dbt.
        selection.parse(&selectors)?;
        Ok(Some(selectors))
    }

    /// What is to be released: what changed, what drifted, what was held back, or what is selected.
    /// And the tests that changed, which begin no release.
    pub(super) fn changes(
        &self,
        input: &Input<'_>,
        baseline: &Baseline,
        parsed: &Parsed,
        compared: &Compared<'_>,
        selectors: Option<&Selectors>,
        wishes: &Wishes,
    ) -> Result<(Changes, BTreeMap<String, String>), ReleaseError> {
        let mut changes = compared.changes(input);
        changes.take_held_back(
            &baseline.metadata.held_back,
            &baseline.metadata.held_back_schemas,
            input,
        );
        let is_refused = self.settings.on_drift == OnDrift::Refuse;
        drifts::take(&mut changes, &baseline.metadata, input, is_refused);
        if let (Some(selectors), Some(selection)) = (selectors, &wishes.selection) {
            let selected = self.selected(
                selection,
                selectors,
                parsed,
                &compared.texts,
                baseline.run_results.as_ref(),
            )?;
            changes.keep_only(&selected, input);
        }
        let tests = changed_tests::found(&compared.texts, &parsed.candidate);
        Ok((changes, tests))
    }

    /// Unique ids of the nodes that a selection means.
    pub(super) fn selected(
        &self,
        selection: &Selection,
        selectors: &Selectors,
        parsed: &Parsed,
        comparison: &Comparison<'_>,
        run_results: Option<&RunResults>,
    ) -> Result<BTreeSet<String>, ReleaseError> {
        let graph = parsed
            .manifest
            .graph()
            .map_err(|error| DeploymentError::Manifest(error.to_string()))?;
        let context = Context {
            comparison: Some(comparison),
            run_results,
            project_dir: self.files(),
            ..Context::new(&parsed.manifest, &graph)
        };
        let spec = selection.parse(selectors)?;
        let selected = selection::evaluate(&spec, &context, &Kept::by_build())?;
        Ok(selected.into_iter().map(str::to_owned).collect())
    }

    /// What changed, in place or by a swap.
    async fn changed(
        &self,
        input: &Input<'_>,
        changes: &Changes,
        compared: &Compared<'_>,
        parsed: &Parsed,
        builds: &Builds,
        materialize: &Materialize,
    ) -> Result<Plan, ReleaseError> {
        let is_empty = changes.seed.nodes.is_empty() && changes.seed.schemas.is_empty();
        if is_empty || self.settings.strategy == Strategy::Swap {
            return self.slim(input, changes, materialize).await;
        }
        let reasons = match self
            .in_place(input, changes, compared, parsed, builds, materialize)
            .await?
        {
            Ok(plan) => return Ok(plan),
            Err(reasons) => reasons,
        };
        if self.settings.strategy == Strategy::Replace {
            return Err(DeploymentError::from(Refused(replace::refusal(&reasons))).into());
        }
        let mut plan = self.slim(input, changes, materialize).await?;
        plan.notes.push(replace::note(&reasons));
        Ok(plan)
    }

    /// The plan of a release in place, or why there is none.
    async fn in_place(
        &self,
        input: &Input<'_>,
        changes: &Changes,
        compared: &Compared<'_>,
        parsed: &Parsed,
        builds: &Builds,
        materialize: &Materialize,
    ) -> Result<Result<Plan, Reasons>, ReleaseError> {
        let differences = changes.seed.nodes.keys().map(|id| {
            let node = parsed.manifest.nodes.get(id);
            let has_hooks = node.is_some_and(|node| node.config.has_hooks());
            (id.clone(), compared.difference(id, has_hooks))
        });
        let target = match replace::target(input, changes, &differences.collect()) {
            Ok(target) => target,
            Err(reasons) => return Ok(Err(reasons)),
        };
        let no = |why: String| Ok(Err(Reasons::from([(target.unique_id.to_owned(), why)])));
        let (tests, left_out) = replace::tests_of(input, &target);
        if self.bundle.is_some() {
            let units = &parsed.manifest.unit_tests;
            let of_dbt = tests.into_iter().filter(|id| !units.contains_key(*id));
            let of_dbt: Vec<&str> = of_dbt.collect();
            if !of_dbt.is_empty() {
                return no(format!(
                    "is read by tests, which dbt runs in a release in place, and a bundle is released without dbt: {}",
                    of_dbt.join(", ")
                ));
            }
        }
        if self.settings.strategy == Strategy::Auto && !left_out.is_empty() {
            return no(format!(
                "is read by tests that also read what is computed from it, or store their failures, and these can only run on a green side: {}",
                left_out.join(", ")
            ));
        }
        let session = materialize.session_patiently().await?;
        if let Some(cluster) = input.catalog.cluster(target.cluster) {
            // One that cannot be cloned is as good as any: nothing is cloned.
            let definition = input.catalog.cluster_definition(&session, cluster).await?;
            let definition = definition.as_ref().ok();
            if let Some(why) = definition.and_then(|it| replace::is_unready(target.cluster, it)) {
                return no(why);
            }
        }
        let node = target.node;
        let name = Qualified::object(&node.database, &node.schema, &node.identifier);
        let live = match replacement::query(&session, &name).await? {
            Ok(query) => query,
            Err(why) => return no(why),
        };
        let new = builds.compile(&parsed.candidate, target.unique_id).await?;
        let session = materialize.session_patiently().await?;
        let serving = replacement::columns(&session, &format!("SELECT * FROM {name}")).await?;
        let replacing = replacement::columns(&session, &new).await?;
        // Where the server does not say, it will when the replacement is made.
        if let (Some(serving), Some(replacing)) = (serving, replacing)
            && let Some(why) = replace::columns_differ(&serving, &replacing)
        {
            return no(why);
        }
        let queries = Queries { new, live };
        Ok(Ok(replace::plan(input, changes, &target, queries)))
    }

    async fn slim(
        &self,
        input: &Input<'_>,
        changes: &Changes,
        materialize: &Materialize,
    ) -> Result<Plan, ReleaseError> {
        let closed = Closed::of(changes, input);
        let mut keys = BTreeMap::new();
        if !closed.indexes.is_empty() {
            let session = materialize.session_patiently().await?;
            for id in closed.indexes.keys() {
                if let Some(index) = input.catalog.objects.get(id) {
                    let key = input.catalog.index_key(&session, index).await?;
                    keys.insert(id.clone(), key);
                }
            }
        }
        Ok(slim::plan(input, changes, &closed, &keys).map_err(DeploymentError::from)?)
    }
}

/// What the last promotion made live: the relations of its manifest with their indexes, and what dbt made
/// beside them.
fn promoted(
    baseline: &Baseline,
    names: &ClusterNames,
    target_cluster: Option<&str>,
    switches: Switches,
) -> BTreeMap<(String, String), Promoted> {
    let manifest = &baseline.manifest;
    let mut live = BTreeMap::new();
    for object in baseline
        .metadata
        .objects
        .iter()
        .filter(|object| object.beside)
    {
        let promoted = Promoted {
            indexes: Vec::new(),
            beside: true,
        };
        live.insert((object.schema.clone(), object.name.clone()), promoted);
    }
    for written in manifest.nodes.values() {
        let stores = written.stores_failures(switches.store_failures);
        if written.relation_name.is_none() && !stores {
            continue;
        }
        let node = CandidateNode::with_clusters(written, names);
        let promoted = Promoted {
            indexes: indexes::wanted(&node, target_cluster),
            beside: false,
        };
        if let Some(VersionPointer::Named(name)) = version_pointer(manifest, written, switches) {
            live.insert((node.schema.clone(), name.to_owned()), promoted.clone());
        }
        live.insert((node.schema, node.identifier), promoted);
    }
    live
}

/// Where the baseline's relations are.
fn before(baseline: &Baseline, catalog: &Catalog) -> invariant::Before {
    let metadata = &baseline.metadata;
    invariant::Before::of(
        &baseline.manifest,
        &catalog.database,
        &metadata.held_back,
        &metadata.held_back_schemas,
    )
}

/// How to clone the clusters concerned.
pub(super) async fn definitions(
    materialize: &Materialize,
    catalog: &Catalog,
    names: impl Iterator<Item = &str>,
) -> Result<BTreeMap<String, Result<ClusterDefinition, String>>, ReleaseError> {
    let session = materialize.session_patiently().await?;
    let mut definitions = BTreeMap::new();
    for name in names {
        if let Some(cluster) = catalog.cluster(name) {
            let definition = catalog.cluster_definition(&session, cluster).await?;
            definitions.insert(name.to_owned(), definition);
        }
    }
    Ok(definitions)
}
