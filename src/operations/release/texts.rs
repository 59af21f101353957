//! The text that a release changes: the compiled SQL of each changed node beside that which is live.

use super::Release;
use super::planning::Found;
use crate::adapters::artifacts::KeptOutcomes;
use crate::domain::plan::{Plan, Texts};
use crate::inputs::outcome::{Difference, Outcomes, Verdict};
use crate::operations::builds::Compiled;
use crate::planning::planner::texts::{Written, config, texts};
use std::collections::BTreeSet;

impl Release {
    /// What of a plan is written otherwise than in the baseline; `None` where that is not to be shown, or no outcomes of
    /// both are known.
    pub(super) fn texts(
        &self,
        plan: &Plan,
        found: Found<'_>,
        outcomes: Option<&Outcomes>,
        compiled: &Compiled,
    ) -> Option<Texts> {
        let (baseline, new) = (found.baseline?, outcomes?);
        let manifest = &found.parsed.manifest;
        let KeptOutcomes::Known(old) = &baseline.outcomes else {
            return None;
        };
        if !self.settings.diff_text {
            return None;
        }
        let kept = baseline.compiled.as_ref();
        let built = plan.built().map(|node| node.unique_id.as_str());
        let replaced = plan.replacements.iter().map(|view| view.node.as_str());
        let ids: BTreeSet<&str> = built.chain(replaced).collect();
        let mut written = Vec::new();
        for id in ids {
            let Verdict::Differs(differences) = new.verdict(id, old) else {
                continue;
            };
            let (Some(before), Some(now)) = (old.nodes.get(id), new.nodes.get(id)) else {
                continue;
            };
            let is_held_back = baseline.metadata.held_back.contains_key(id);
            let is_other = differences.iter().any(Difference::is_of_sql);
            // What was held back was never live.
            let of_then = kept.filter(|_| !is_held_back);
            let of_then = of_then.and_then(|kept| kept.of_then(old, id));
            let of_now = compiled.sql.get(id).map(String::as_str);
            let of_now = of_now.or_else(|| kept.and_then(|kept| kept.sql(new, id)));
            let sql = of_then.zip(of_now).filter(|_| is_other);
            written.push(Written {
                unique_id: id,
                file: manifest
                    .nodes
                    .get(id)
                    .map_or("", |node| node.original_file_path.as_str()),
                is_unknown: is_other && sql.is_none(),
                sql,
                config: config(before, now),
            });
        }
        Some(texts(written))
    }
}
