//! What of a plan can be described from SQL that is at hand, whoever builds it.

use super::compose::{self, Ingredients};
use super::qualify;
use super::{Builds, Compiled, Known, Parsed};
use crate::domain::catalog::ObjectKind;
use crate::domain::plan::Plan;
use crate::planning::recipe::Recipe;
use crate::planning::recipe::document::FORM;
use std::collections::BTreeMap;

/// What can be described, and why the rest cannot.
#[derive(Debug)]
pub struct Describable {
    /// The recipe of what can; nothing is made by it.
    pub recipe: Recipe,
    /// The other planned nodes: unique id → why.
    pub left_out: BTreeMap<String, String>,
}

impl Builds {
    /// What of a plan can be described. Nothing is compiled for it.
    #[must_use]
    pub fn describable(
        &self,
        parsed: &Parsed,
        compiled: &Compiled,
        known: Option<Known<'_>>,
        plan: &Plan,
    ) -> Describable {
        let (manifest, candidate) = (&parsed.manifest, &parsed.candidate);
        let mut sql = compiled.sql.clone();
        if let Some(Known { kept, outcomes }) = known {
            for node in plan.built() {
                if let (false, Some(text)) = (
                    sql.contains_key(&node.unique_id),
                    kept.sql(outcomes, &node.unique_id),
                ) {
                    sql.insert(node.unique_id.clone(), text.to_owned());
                }
            }
        }
        let around = self.around(&compiled.asking);
        let mut left_out = qualify::undescribable(manifest, plan, around);
        for node in plan.built() {
            let is_known =
                node.kind == Some(ObjectKind::Table) || sql.contains_key(&node.unique_id);
            if !is_known {
                left_out
                    .entry(node.unique_id.clone())
                    .or_insert_with(|| "is compiled only when dbt builds it".to_owned());
            }
        }
        let target_cluster = self.final_cluster(&candidate.cluster_names, None);
        let read = self.reader();
        let (items, reasons) = compose::each(Ingredients {
            manifest,
            candidate,
            plan,
            target_cluster: target_cluster.as_deref(),
            sql: &sql,
            warnings_are_errors: false,
            file: &read,
        });
        for (id, reason) in reasons {
            left_out.entry(id).or_insert(reason);
        }
        let mut items: Vec<_> = items
            .into_iter()
            .filter(|item| !left_out.contains_key(&item.unique_id))
            .collect();
        // What reads one that is left out cannot be described either.
        loop {
            let before = items.len();
            items.retain(|item| {
                let mut parents = item.after.iter();
                match parents.find(|parent| left_out.contains_key(*parent)) {
                    Some(parent) => {
                        let why = format!("reads {parent}, which is not described");
                        left_out.insert(item.unique_id.clone(), why);
                        false
                    }
                    None => true,
                }
            });
            if items.len() == before {
                break;
            }
        }
        let ids: Vec<String> = items.iter().map(|item| item.unique_id.clone()).collect();
        let recipe = Recipe::of(items).unwrap_or_else(|circle| {
            let why = circle.to_string();
            left_out.extend(ids.into_iter().map(|id| (id, why.clone())));
            Recipe {
                form: FORM,
                items: Vec::new(),
                tests: Vec::new(),
            }
        });
        Describable { recipe, left_out }
    }
}
