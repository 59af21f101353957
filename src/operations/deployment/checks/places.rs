//! Where a relation stands on each side. Pure.

use crate::domain::checks::{Moment, Relation, Side};
use crate::domain::plan::{Plan, Strategy};

/// Names of relations on both sides at one moment of a deployment.
#[derive(Debug, Clone)]
pub(in crate::operations::deployment) struct Places {
    moment: Moment,
    strategy: Strategy,
    /// Production name and green name of the schemas that are swapped.
    schemas: Vec<(String, String)>,
    /// The view that is replaced in place, and its replacement's name until it is applied.
    replaced: Option<(Relation, String)>,
}

impl Places {
    /// `secret` is the name of a replacement.
    pub(in crate::operations::deployment) fn new(
        plan: &Plan,
        moment: Moment,
        secret: &str,
    ) -> Self {
        let replaced = plan.replacements.first().map(|view| {
            let relation = Relation {
                schema: view.schema.clone(),
                name: view.name.clone(),
            };
            (relation, secret.to_owned())
        });
        Self {
            moment,
            strategy: plan.strategy,
            schemas: plan
                .schemas
                .iter()
                .map(|schema| (schema.name.clone(), schema.green.clone()))
                .collect(),
            replaced,
        }
    }

    fn aside(&self, relation: &Relation) -> Option<Relation> {
        match self.strategy {
            Strategy::Swap => {
                let (_, green) = self
                    .schemas
                    .iter()
                    .find(|(name, _)| *name == relation.schema)?;
                Some(Relation {
                    schema: green.clone(),
                    name: relation.name.clone(),
                })
            }
            Strategy::Replace => {
                let (view, secret) = self.replaced.as_ref()?;
                (view == relation).then(|| Relation {
                    schema: relation.schema.clone(),
                    name: secret.clone(),
                })
            }
        }
    }

    /// Whether the release makes this relation anew, or takes it away.
    pub(in crate::operations::deployment) fn is_touched(&self, relation: &Relation) -> bool {
        self.aside(relation).is_some()
    }

    /// Where the relation stands on a side; `None` where that side does not exist any more.
    pub(in crate::operations::deployment) fn on(
        &self,
        side: Side,
        relation: &Relation,
    ) -> Option<Relation> {
        let Some(aside) = self.aside(relation) else {
            return Some(relation.clone());
        };
        match (self.moment, side, self.strategy) {
            (Moment::Before, Side::Green, Strategy::Swap | Strategy::Replace)
            | (Moment::Soak, Side::Blue, Strategy::Swap) => Some(aside),
            (Moment::Before, Side::Blue, Strategy::Swap | Strategy::Replace)
            | (Moment::Soak, Side::Green, Strategy::Swap | Strategy::Replace) => {
                Some(relation.clone())
            }
            (Moment::Soak, Side::Blue, Strategy::Replace) => None,
        }
    }
}

/// The cluster on which the checks run: as dbt's tests, a green one before the swap, so that production
/// does not feel them. `None`, the role's own, only where neither profile nor plan name one: it may well
/// be missing, and then every check would be refused.
pub(in crate::operations::deployment) fn cluster(
    plan: &Plan,
    moment: Moment,
    profile: Option<&str>,
) -> Option<String> {
    let tests = plan.test_cluster.as_deref();
    let replaced = plan.replacements.first().map(|view| view.cluster.as_str());
    let swapped = plan
        .clusters
        .iter()
        .find(|cluster| !cluster.scratch)
        .map(|cluster| cluster.name.as_str());
    let name = match moment {
        Moment::Before => tests.or(profile),
        Moment::Soak => profile.or(tests),
    };
    let name = name.or(replaced).or(swapped)?;
    let green = plan.clusters.iter().find(|cluster| cluster.name == name);
    Some(match (moment, green) {
        (Moment::Before, Some(cluster)) => cluster.green.clone(),
        (Moment::Before, None) | (Moment::Soak, _) => name.to_owned(),
    })
}
