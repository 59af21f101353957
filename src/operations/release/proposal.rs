//! What a pull request would change: the project as it is here beside what is live, and beside what it was where
//! the request began. Nothing is touched.

use super::{Release, ReleaseError, Wishes};
use crate::adapters::artifacts::{Artifacts, Baseline, KeptOutcomes};
use crate::adapters::materialize::Materialize;
use crate::domain::catalog::Catalog;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::foundation::failure::with_causes;
use crate::inputs::manifest::{Manifest, Resource};
use crate::inputs::outcome::{KeptSql, Outcomes, Verdict};
use crate::inputs::selection::Selection;
use crate::inputs::settings::Compare;
use crate::operations::builds::{Builds, Compiled, Green, Parsed};
use crate::operations::error::DeploymentError;
use crate::operations::release::comparison::{Compared, Old};
use crate::operations::release::preview::schemas;
use crate::planning::planner::changed_tests;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The project beside what is live.
#[derive(Debug)]
pub struct Proposal {
    /// The project as it is here.
    pub parsed: Parsed,
    /// What comes out of it; `None` where texts are compared.
    pub outcomes: Option<Outcomes>,
    /// What was compiled already.
    pub compiled: Compiled,
    /// SQL that an earlier release kept.
    pub kept: Option<KeptSql>,
    /// The server, with all that users made.
    pub catalog: Catalog,
    /// What comes out differently: unique id → how.
    pub changed: BTreeMap<String, String>,
    /// Tests that are new or changed: unique id → how.
    pub changed_tests: BTreeMap<String, String>,
    /// Relations that the project does not make any more: unique id → `schema.name`.
    pub deleted: BTreeMap<String, String>,
    /// The nodes and tests that a selection means; `None` where nothing was selected.
    pub selected: Option<BTreeSet<String>>,
    /// The nodes that a selection leaves out.
    pub excluded: BTreeSet<String>,
    /// What people should know.
    pub notes: Vec<String>,
    /// What is live; `None` where it is compared with a given state.
    pub live: Option<Box<Baseline>>,
    /// Nodes that differ only because production moved on.
    pub moved_on: BTreeSet<String>,
    /// Schemas from which a relation is gone only because production has one more by now.
    pub left_by_others: BTreeSet<String>,
}

/// What a proposal is compared with.
enum Before {
    /// What is live.
    Live(Box<Baseline>),
    /// A manifest that somebody gave, and its content hash.
    Given(Box<Manifest>, String),
}

impl Before {
    /// A manifest that dbt wrote: a file, or a folder with one.
    fn read(state: &Path) -> Result<Self, ReleaseError> {
        let file = match state.is_dir() {
            true => state.join("manifest.json"),
            false => state.to_owned(),
        };
        let wrong = |text: String| DeploymentError::Manifest(text);
        let manifest = Manifest::read(&file).map_err(|error| wrong(with_causes(&error)))?;
        let content = manifest.content_hash();
        let content = content.map_err(|error| wrong(error.to_string()))?;
        Ok(Self::Given(Box::new(manifest), content))
    }

    fn old(&self) -> Old<'_> {
        match self {
            Self::Live(baseline) => Old::of(baseline),
            Self::Given(manifest, content) => Old {
                manifest,
                content,
                outcomes: &KeptOutcomes::Absent,
            },
        }
    }

    fn baseline(&self) -> Option<&Baseline> {
        match self {
            Self::Live(baseline) => Some(baseline),
            Self::Given(..) => None,
        }
    }
}

impl Release {
    /// Compares the project with what is live, or with a given state: a folder with a manifest, or that file.
    ///
    /// # Errors
    /// The project's, dbt's and the server's; [`RefusalName::BaselineMissing`] where nothing is live; a baseline or a
    /// state that cannot be trusted or is of another project.
    pub async fn proposal(
        &self,
        builds: &Builds,
        materialize: &Materialize,
        artifacts: &Artifacts,
        state: Option<&Path>,
        selection: Option<&Selection>,
    ) -> Result<Proposal, ReleaseError> {
        // What is said wrong is not worth waiting for the server or dbt.
        self.project.deployment()?;
        let excludes = selection.and_then(only_excludes);
        let wishes = Wishes {
            selection: excludes.clone().or_else(|| selection.cloned()),
            ..Wishes::default()
        };
        let selectors = self.selectors(&wishes)?;
        let before = match state {
            Some(state) => Before::read(state)?,
            None => {
                let baseline = artifacts.baseline(&self.artifact_key()).await?;
                Before::Live(Box::new(baseline.ok_or_else(without_baseline)?))
            }
        };
        let old = before.old();
        // The server first: it answers at once whether it is there, dbt takes seconds.
        materialize.session().await?;
        let looked = async { Ok::<_, ReleaseError>(Catalog::read(materialize).await?) };
        let parsed = async {
            let known = old.outcomes.known();
            let predicted = known.and_then(|known| builds.predict(old.manifest, known));
            let predicted = predicted.filter(|_| self.settings.compare == Compare::Outcome);
            let parsed = builds.parse_and_compile(predicted.as_ref(), Green::ByName);
            Ok(parsed.await?)
        };
        let (catalog, parsed) = tokio::try_join!(looked, parsed)?;
        if state.is_some() {
            let same = old.manifest.is_state_of(&parsed.manifest);
            same.map_err(|error| DeploymentError::Manifest(with_causes(&error)))?;
        }
        let (outcomes, compiled) = match self.settings.compare {
            Compare::Text => (None, parsed.compiled.clone()),
            Compare::Outcome => {
                let known = before.baseline().and_then(Baseline::before);
                let (outcomes, compiled) = builds.outcomes(&parsed, known).await?;
                (Some(outcomes), compiled)
            }
        };
        let compared = self.compared(old, &parsed, builds, outcomes.as_ref())?;
        let named = match (&selectors, &wishes.selection) {
            (Some(selectors), Some(selection)) => {
                let results = before.baseline();
                let results = results.and_then(|baseline| baseline.run_results.as_ref());
                Some(self.selected(selection, selectors, &parsed, &compared.texts, results)?)
            }
            _ => None,
        };
        let (selected, excluded) = match excludes.is_some() {
            true => (None, named.unwrap_or_default()),
            false => (named, BTreeSet::new()),
        };
        Ok(Proposal {
            changed: changed(&compared, &parsed),
            changed_tests: changed_tests::found(&compared.texts, &parsed.candidate),
            deleted: deleted(&compared, &parsed),
            notes: compared.notes().to_vec(),
            kept: before.baseline().and_then(|live| live.compiled.clone()),
            selected,
            excluded,
            catalog,
            compiled,
            outcomes: outcomes.clone(),
            live: match before {
                Before::Live(baseline) => Some(baseline),
                Before::Given(..) => None,
            },
            moved_on: BTreeSet::new(),
            left_by_others: BTreeSet::new(),
            parsed,
        })
    }

    /// What comes out of the project as it was where a pull request began. `now` is what comes out of the request: SQL
    /// of nodes with the same inputs is not compiled again.
    ///
    /// # Errors
    /// dbt's.
    pub async fn outcomes_before(
        &self,
        builds: &Builds,
        now: &Outcomes,
    ) -> Result<Outcomes, ReleaseError> {
        let parsed = builds.parse_and_compile(None, Green::ByName).await?;
        let known = crate::inputs::outcome::Before {
            manifest: None,
            outcomes: now,
        };
        let (outcomes, _) = builds.outcomes(&parsed, Some(known)).await?;
        Ok(outcomes)
    }
}

impl Proposal {
    /// Takes out what is as it was where the request began: it differs from production because production moved on.
    /// Gives it, unique id → how it differs from production.
    pub fn keep_own(&mut self, began: &Outcomes) -> BTreeMap<String, String> {
        let Some(now) = &self.outcomes else {
            return BTreeMap::new();
        };
        let is_own = |id: &String| now.verdict(id, began) != Verdict::Same;
        let all = std::mem::take(&mut self.changed);
        let (own, others) = all.into_iter().partition(|(id, _)| is_own(id));
        self.changed = own;
        self.changed_tests.retain(|id, _| {
            let (here, there) = (now.tests.get(id), began.tests.get(id));
            here.is_none() || here != there
        });
        let all = std::mem::take(&mut self.deleted);
        let (own, of_others): (BTreeMap<_, _>, BTreeMap<_, _>) = all
            .into_iter()
            .partition(|(id, _)| began.nodes.contains_key(id));
        self.deleted = own;
        self.left_by_others = schemas(of_others.values());
        let others: BTreeMap<String, String> = others;
        self.moved_on = others.keys().cloned().collect();
        others
    }
}

/// What a selection leaves out, where it does nothing else.
fn only_excludes(selection: &Selection) -> Option<Selection> {
    let is_it = selection.select.is_empty()
        && selection.selector.is_none()
        && !selection.exclude.is_empty();
    is_it.then(|| Selection {
        select: selection.exclude.clone(),
        exclude: Vec::new(),
        ..selection.clone()
    })
}

fn changed(compared: &Compared<'_>, parsed: &Parsed) -> BTreeMap<String, String> {
    let nodes = parsed.candidate.nodes.iter();
    nodes
        .filter(|(_, node)| !node.stores_failures)
        .filter_map(|(id, _)| Some((id.clone(), compared.differs(id)?)))
        .collect()
}

fn deleted(compared: &Compared<'_>, parsed: &Parsed) -> BTreeMap<String, String> {
    let mut deleted = BTreeMap::new();
    for (id, old) in compared.texts.deleted() {
        if let Resource::Node(old) = old
            && old.resource_type.makes_relations()
            && !parsed.candidate.nodes.contains_key(id)
        {
            let schema = old.schema.clone().unwrap_or_default();
            deleted.insert(id.to_owned(), format!("{schema}.{}", old.identifier()));
        }
    }
    deleted
}

fn without_baseline() -> DeploymentError {
    Refused(vec![Refusal {
        name: RefusalName::BaselineMissing,
        message: "a pull request is compared with what is live, and nothing that is live is known"
            .to_owned(),
        objects: Vec::new(),
        remedy: "release everything once with `cutover deploy --full`, take over what is live with `cutover baseline import`, or name a folder with its manifest by --state"
            .to_owned(),
    }])
    .into()
}
