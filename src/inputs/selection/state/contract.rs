//! Contracts of models: what changed, and what of it breaks them (`ModelNode.same_contract`).

use jiff::{Timestamp, civil};

use super::Error;
use crate::inputs::manifest::{Constraint, Manifest, Node, ResourceType};

/// Materializations in which dbt takes constraints for enforced.
const CONSTRAINED: [&str; 2] = ["table", "incremental"];
/// The one kind of constraint that dbt-materialize declares as enforced.
const ENFORCED: &str = "not_null";

/// Whether a model still promises what it did; other nodes promise nothing.
pub(super) fn is_same(old: &Node, new: &Node) -> bool {
    if new.resource_type != ResourceType::Model {
        return true;
    }
    match (old.contract.enforced, new.contract.enforced) {
        (false, enforced) => !enforced,
        (true, true) => old.contract.checksum == new.contract.checksum,
        (true, false) => false,
    }
}

/// The error for a versioned model that breaks its contract.
pub(super) fn breaks(old: &Manifest, new: &Manifest, id: &str) -> Option<Error> {
    let (before, after) = (old.nodes.get(id)?, new.nodes.get(id)?);
    if after.version.is_none() || !before.contract.enforced || is_same(before, after) {
        return None;
    }
    let breaks = breaking(before, after);
    (!breaks.is_empty()).then(|| Error::ContractBroken {
        file: new.file.clone(),
        id: id.to_owned(),
        breaks,
    })
}

/// The error for a versioned model with a contract that is gone before its time.
pub(super) fn removed(old: &Manifest, new: &Manifest, now: Timestamp) -> Option<Error> {
    let gone = |id: &str, node: &Node| {
        if node.resource_type != ResourceType::Model {
            return None;
        }
        let (version, contract, date, what) = if let Some(it) = new.disabled.get(id) {
            let date = &it.deprecation_date;
            (&it.version, &it.contract, date, "it was disabled")
        } else if new.nodes.contains_key(id) {
            return None;
        } else {
            let date = &node.deprecation_date;
            (
                &node.version,
                &node.contract,
                date,
                "it was deleted or renamed",
            )
        };
        let is_past = date.as_deref().is_some_and(|date| is_before(date, now));
        (version.is_some() && contract.enforced && !is_past).then(|| Error::ContractBroken {
            file: new.file.clone(),
            id: id.to_owned(),
            breaks: vec![what.to_owned()],
        })
    };
    old.nodes.iter().find_map(|(id, node)| gone(id, node))
}

fn breaking(old: &Node, new: &Node) -> Vec<String> {
    let mut breaks = Vec::new();
    if !new.contract.enforced {
        breaks.push("it is no longer enforced".to_owned());
    }
    let was_constrained = is_constrained(old);
    let mut has_column_constraints = false;
    for (name, before) in &old.columns {
        has_column_constraints |= !before.constraints.is_empty();
        let Some(after) = new.columns.get(name) else {
            breaks.push(format!("the column {name} was removed"));
            continue;
        };
        let (from, to) = (before.data_type.as_deref(), after.data_type.as_deref());
        if base_type(from) != base_type(to) {
            let [from, to] = [from, to].map(|name| name.unwrap_or("none"));
            breaks.push(format!("the column {name} was {from} and is {to}"));
        }
        if was_constrained && lost(&before.constraints, &after.constraints) {
            breaks.push(format!("the column {name} lost a constraint"));
        }
    }
    if was_constrained && lost(&old.constraints, &new.constraints) {
        breaks.push("the model lost a constraint".to_owned());
    }
    let has_constraints = has_column_constraints || !old.constraints.is_empty();
    if was_constrained && !is_constrained(new) && has_constraints {
        breaks.push("its materialization does not enforce constraints".to_owned());
    }
    breaks
}

fn is_constrained(node: &Node) -> bool {
    let materialized = node.config.materialized.as_deref();
    materialized.is_some_and(|name| CONSTRAINED.contains(&name))
}

fn lost(old: &[Constraint], new: &[Constraint]) -> bool {
    old.iter()
        .any(|constraint| constraint.kind == ENFORCED && !new.contains(constraint))
}

/// Without length and precision, in lower case.
fn base_type(name: Option<&str>) -> Option<String> {
    let name = name?;
    let base = name.split_once('(').map_or(name, |(base, _)| base);
    Some(base.trim().to_lowercase())
}

/// dbt writes an offset; a date without one is taken for UTC.
fn is_before(date: &str, now: Timestamp) -> bool {
    instant(date).is_some_and(|date| date < now)
}

pub(super) fn instant(date: &str) -> Option<Timestamp> {
    if let Ok(at) = date.parse::<Timestamp>() {
        return Some(at);
    }
    let at: civil::DateTime = date.parse().ok()?;
    at.to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}
