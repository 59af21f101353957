//! What a release of a pull request would do: its plan, but for who builds it. Nothing is touched, and dbt is not asked,
//! unless `strategy` wishes for a release in place.

use super::planning::{Found, Planned};
use super::proposal::Proposal;
use super::{Release, ReleaseError, Wishes};
use crate::adapters::materialize::Materialize;
use crate::domain::catalog::Catalog;
use crate::domain::plan::Plan;
use crate::domain::plan::refusal::Refused;
use crate::inputs::selection::Selection;
use crate::operations::builds::Builds;
use crate::operations::error::DeploymentError;
use crate::planning::planner::changes::Changes;
use std::collections::BTreeSet;

/// What differs from production because that moved on, and not because somebody wants to release it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Apart {
    pub(super) nodes: BTreeSet<String>,
    pub(super) schemas: BTreeSet<String>,
}

impl Apart {
    pub(super) fn take_from(&self, changes: &mut Changes) {
        changes.seed.nodes.retain(|id, _| !self.nodes.contains(id));
        changes
            .seed
            .schemas
            .retain(|schema, _| !self.schemas.contains(schema));
        changes.unreleased.retain(|id, _| !self.nodes.contains(id));
        changes.outside.retain(|id, _| !self.nodes.contains(id));
        changes.gone.clear();
    }
}

impl Release {
    /// Plans a release of a proposal: of what it changes itself, or of what is selected. `None` where it is not
    /// compared with what is live; the refusal where it would be refused. About a peek for each cluster.
    ///
    /// # Errors
    /// The server's, and the project's.
    pub async fn outlook(
        &self,
        builds: &Builds,
        materialize: &Materialize,
        proposal: &Proposal,
        selection: Option<&Selection>,
    ) -> Result<Option<Result<Plan, Refused>>, ReleaseError> {
        let Some(baseline) = &proposal.live else {
            return Ok(None);
        };
        let wishes = Wishes {
            selection: selection.cloned(),
            ..Wishes::default()
        };
        // A schema that the request itself takes something from is swapped, whoever else left it.
        let left = |schema: &str| {
            let mut own = proposal.deleted.values();
            own.any(|relation| relation.starts_with(&format!("{schema}.")))
        };
        let moved = proposal.moved_on.iter();
        let apart = Apart {
            nodes: moved.cloned().collect(),
            schemas: proposal
                .left_by_others
                .iter()
                .filter(|schema| !left(schema))
                .cloned()
                .collect(),
        };
        let catalog = of_its_owner(&proposal.catalog);
        let found = Found {
            parsed: &proposal.parsed,
            catalog: &catalog,
            baseline: Some(baseline),
        };
        let left = std::collections::BTreeMap::new();
        let planned = Planned {
            builds,
            materialize,
            wishes: &wishes,
            outcomes: proposal.outcomes.as_ref(),
            compiled: &proposal.compiled,
            left: &left,
            apart: (apart != Apart::default()).then_some(&apart),
        };
        match self.plan_of(found, planned).await {
            Ok(mut plan) => {
                let outcomes = proposal.outcomes.as_ref();
                plan.texts = self.texts(&plan, found, outcomes, &proposal.compiled);
                Ok(Some(Ok(plan)))
            }
            Err(ReleaseError::Deployment(DeploymentError::Refused(refused))) => {
                Ok(Some(Err(refused)))
            }
            Err(error) => Err(error),
        }
    }
}

/// The catalog as somebody sees it who owns everything: whoever builds a pull request need own nothing of production,
/// and it is others who release.
fn of_its_owner(catalog: &Catalog) -> Catalog {
    let schemas = catalog.schemas.values().map(|it| &it.owner);
    let clusters = catalog.clusters.values().map(|it| &it.owner);
    let objects = catalog.objects.values().map(|it| &it.owner);
    Catalog {
        owned_roles: schemas.chain(clusters).chain(objects).cloned().collect(),
        may_create_schemas: true,
        may_create_clusters: true,
        ..catalog.clone()
    }
}

/// The schemas of relations, `schema.name`.
pub(crate) fn schemas<'r>(relations: impl Iterator<Item = &'r String>) -> BTreeSet<String> {
    let schemas = relations.filter_map(|relation| relation.split_once('.'));
    schemas.map(|(schema, _)| schema.to_owned()).collect()
}
