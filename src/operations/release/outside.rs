//! What is asked before a release decides about sinks, sources and connections outside of what it swaps.

use super::comparison::{Compared, Old};
use super::planning::{Found, Planned};
use super::{Release, ReleaseError};
use crate::adapters::artifacts::Baseline;
use crate::adapters::materialize::sinks;
use crate::adapters::store::Store;
use crate::domain::lifecycle::state::State;
use crate::domain::plan::Plan;
use crate::domain::plan::outside::{Outside, OutsideMake};
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::key;
use crate::planning::planner::candidate::Input;
use crate::planning::planner::changes::Changes;
use crate::planning::planner::full;
use crate::planning::planner::outside::{self, Given};
use std::collections::{BTreeMap, BTreeSet};

/// How many deployments back it is looked for what a rollback left.
const BACK: u32 = 20;

impl Release {
    /// Decides about what changed outside.
    ///
    /// # Errors
    /// dbt's, where something must be compiled; the server's.
    pub(super) async fn outside(
        &self,
        input: &Input<'_>,
        changes: &mut Changes,
        compared: Option<&Compared<'_>>,
        found: Found<'_>,
        with: Planned<'_>,
    ) -> Result<Outside, ReleaseError> {
        if changes.outside.is_empty() && changes.gone.is_empty() {
            return Ok(Outside::default());
        }
        let of_baseline = |id: &str| {
            let baseline = found.baseline?;
            known(baseline, id)
        };
        // What the baseline was compiled to is what it is now where the outcomes say so.
        let kept = |id: &str| {
            let (outcomes, baseline) = (with.outcomes?, found.baseline?);
            let kept = baseline.compiled.as_ref()?;
            kept.sql(outcomes, id).map(str::to_owned)
        };
        let ids = changes.outside.keys();
        let written = with
            .builds
            .written_outside(found.parsed, with.compiled, kept, ids)
            .await?;
        let mut shown = BTreeMap::new();
        let live = outside::changed_sinks(input, changes);
        if !live.is_empty() {
            let session = with.materialize.session_patiently().await?;
            for sink in live {
                if let Some(name) = found.catalog.qualified(sink, &sink.name) {
                    shown.insert(sink.id.clone(), sinks::definition(&session, &name).await?);
                }
            }
        }
        let is_body_alone = |id: &&String| {
            let difference = compared.map(|it| it.difference(id, false));
            difference.is_some_and(|it| it.is_body_alone && !it.changes.is_empty())
        };
        let given = Given {
            written,
            before: changes
                .outside
                .keys()
                .filter_map(|id| Some((id.clone(), of_baseline(id)?)))
                .collect(),
            is_body_alone: changes
                .outside
                .keys()
                .filter(is_body_alone)
                .cloned()
                .collect::<BTreeSet<String>>(),
            shown,
            left: with.left.clone(),
        };
        Ok(outside::decide(input, changes, &given))
    }

    /// The plan of a release of everything, with what of it lies outside.
    ///
    /// # Errors
    /// As of [`Release::outside`]; every reason at once why the release is refused.
    pub(super) async fn whole(
        &self,
        input: &Input<'_>,
        found: Found<'_>,
        with: Planned<'_>,
    ) -> Result<Plan, ReleaseError> {
        let mut changes = Changes::default();
        let mut compared = None;
        if let Some(baseline) = found.baseline {
            let old = Old::of(baseline);
            let beside = self.compared(old, found.parsed, with.builds, with.outcomes)?;
            let mut all = beside.changes(input);
            all.take_held_back(&baseline.metadata.held_back, &BTreeMap::new(), input);
            changes.outside = all.outside;
            changes.gone = all.gone;
            compared = Some(beside);
        }
        changes.take_missing(input);
        let outside = self
            .outside(input, &mut changes, compared.as_ref(), found, with)
            .await?;
        let input = Input {
            outside: &outside,
            ..*input
        };
        let plan = full::plan_beside(&input, changes.refused);
        let mut plan = plan.map_err(DeploymentError::from)?;
        plan.notes.extend(changes.notes);
        Ok(plan)
    }

    /// What releases of this environment that were rolled back made outside and left, by id.
    ///
    /// # Errors
    /// The journal's.
    pub(super) async fn left_outside(
        &self,
        store: &Store,
    ) -> Result<BTreeMap<String, OutsideMake>, ReleaseError> {
        let mut left = BTreeMap::new();
        for summary in store.history(Some(&self.environment), BACK).await? {
            if summary.state != State::RolledBack {
                continue;
            }
            let deployment = store.deployment(&summary.id).await?;
            for make in deployment.plan.outside.makes {
                let key = format!("{}{}", key::OUTSIDE, make.node);
                let effect = store.effect(&summary.id, &key).await?;
                let id = match effect {
                    Some(effect) => effect.result_as::<String>()?,
                    None => None,
                };
                if let Some(id) = id {
                    left.insert(id, make);
                }
            }
        }
        Ok(left)
    }
}

/// What a node was made from in the baseline, where that is known.
fn known(baseline: &Baseline, id: &str) -> Option<String> {
    let kept = || {
        let (kept, outcomes) = (baseline.compiled.as_ref()?, baseline.outcomes.known()?);
        kept.sql(outcomes, id).map(str::to_owned)
    };
    let written = || baseline.manifest.nodes.get(id)?.compiled_code.clone();
    kept().or_else(written)
}
