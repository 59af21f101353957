//! What in production is not as it was promoted, as a release sees it.

use crate::adapters::artifacts::Metadata;
use crate::adapters::artifacts::drift::{self, Change};
use crate::domain::catalog::ObjectKind;
use crate::planning::planner::candidate::Input;
use crate::planning::planner::changes::Changes;
use crate::planning::planner::indexes;
use std::collections::BTreeSet;

/// Takes what drifted since the baseline, and the indexes that the project says and production lacks: to
/// be refused, or else to be made again.
pub(super) fn take(
    changes: &mut Changes,
    metadata: &Metadata,
    input: &Input<'_>,
    is_refused: bool,
) {
    let drifts = drift::found(metadata, input.catalog);
    // Indexes that no promotion recorded as live and that the project has not got since.
    let told: BTreeSet<&str> = drifts
        .iter()
        .filter(|drift| drift.kind == ObjectKind::Index && !drift.is_extra())
        .map(|drift| drift.schema.as_str())
        .collect();
    for lost in indexes::lost(input) {
        if changes.seed.nodes.contains_key(&lost.node) || told.contains(lost.schema.as_str()) {
            continue;
        }
        if is_refused {
            changes.drifted.insert(lost.shown, "missing".to_owned());
        } else {
            let what = format!("drift: {} missing", lost.shown);
            changes.take_drift(&lost.schema, &lost.relation, what, input);
        }
    }
    for drift in drifts {
        let name = format!("{}.{}", drift.schema, drift.name);
        match drift.change {
            Change::Extra { .. } => changes
                .notes
                .push(format!("production has {name}, which no promotion made")),
            Change::Missing { .. } | Change::Recreated { .. } if is_refused => {
                changes
                    .drifted
                    .insert(name, drift.change.as_str().to_owned());
            }
            Change::Missing { .. } | Change::Recreated { .. } => {
                let what = format!("drift: {name} {}", drift.change.as_str());
                changes.take_drift(&drift.schema, &drift.name, what, input);
            }
        }
    }
}
