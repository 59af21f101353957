//! What sinks, sources and connections outside of what is swapped are made from.

use super::native::qualify;
use super::{Builds, Compiled, DeploymentError, Parsed};
use crate::inputs::manifest::Node;
use crate::planning::planner::outside::Written;
use std::collections::BTreeMap;

impl Builds {
    /// The SQL and the comment of each of these nodes, or why it cannot be made without dbt, one clause. `kept` gives
    /// SQL that is known from before.
    ///
    /// # Errors
    /// dbt's, where something must be compiled.
    pub async fn written_outside<'a>(
        &self,
        parsed: &Parsed,
        compiled: &Compiled,
        kept: impl Fn(&str) -> Option<String>,
        ids: impl Iterator<Item = &'a String>,
    ) -> Result<BTreeMap<String, Result<Written, String>>, DeploymentError> {
        let mut found = BTreeMap::new();
        for id in ids {
            let candidate = parsed.candidate.nodes.get(id);
            let node = parsed.manifest.nodes.get(id);
            let (Some(node), Some(candidate)) = (node, candidate) else {
                continue;
            };
            let reason = qualify::of_outside(
                &parsed.manifest,
                node,
                &candidate.materialized,
                &compiled.asking,
            );
            let written = match reason {
                Some(reason) => Err(reason),
                None => {
                    let known = compiled.sql.get(id).cloned().or_else(|| kept(id));
                    let sql = match known {
                        Some(sql) => sql,
                        None => self.compile(&parsed.candidate, id).await?,
                    };
                    let comment = comment(node);
                    Ok(Written { sql, comment })
                }
            };
            found.insert(id.clone(), written);
        }
        Ok(found)
    }
}

/// The comment that dbt writes on what a node makes.
fn comment(node: &Node) -> Option<String> {
    let is_written = node.config.persist_docs.relation && !node.description.is_empty();
    is_written.then(|| node.description.clone())
}
