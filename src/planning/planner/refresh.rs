//! When materialized views are filled, and whether their clusters ever compute anything.
//!
//! 1. A view with `refresh_interval` is filled at the times of its schedule. It is ready when it is complete to
//!    its last refresh, whatever its replicas do in between.
//! 2. One whose first refresh lies ahead is not waited for, nor is what reads it: until then neither has an
//!    answer. The plan names them.
//! 3. A cluster without replicas is refused, unless a schedule (`SCHEDULE = ON REFRESH`) starts one.

use super::candidate::{Candidate, Materialization};
use crate::domain::catalog::{ClusterDefinition, ObjectKind};
use crate::domain::plan::{Plan, Refresh};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

impl Refresh {
    /// What `refresh_interval` of a materialized view asks for; `None` where it follows its inputs.
    #[must_use]
    pub fn of(interval: &Value) -> Option<Self> {
        let text = |key: &str| {
            let value = interval.get(key).and_then(Value::as_str);
            value.is_some_and(|value| !value.is_empty())
        };
        let at_creation = interval.get("at_creation").and_then(Value::as_bool) == Some(true);
        // Without ALIGNED TO the server aligns EVERY to the moment of creation.
        let begins_now = at_creation || text("every") && !text("aligned_to");
        match begins_now {
            true => Some(Self::Scheduled),
            false if text("at") || text("every") => Some(Self::Later),
            false => None,
        }
    }
}

/// The planned nodes that do not follow their inputs.
pub(super) fn planned(
    candidate: &Candidate,
    planned: &BTreeSet<String>,
) -> BTreeMap<String, Refresh> {
    let mut found: BTreeMap<String, Refresh> = planned
        .iter()
        .filter_map(|id| Some((id.clone(), candidate.nodes.get(id)?.refresh?)))
        .collect();
    // What reads one that is filled later has to wait for it, through views and ephemeral models too.
    let mut later: BTreeSet<&str> = BTreeSet::new();
    let mut queue: Vec<&str> = found
        .iter()
        .filter(|(_, refresh)| **refresh == Refresh::Later)
        .map(|(id, _)| id.as_str())
        .collect();
    let mut readers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    if !queue.is_empty() {
        for (id, node) in &candidate.nodes {
            let is_inlined = node.materialization() == Materialization::Ephemeral;
            if planned.contains(id) || is_inlined {
                for parent in &node.parents {
                    readers.entry(parent).or_default().push(id);
                }
            }
        }
    }
    while let Some(id) = queue.pop() {
        if later.insert(id) {
            queue.extend(readers.get(id).into_iter().flatten());
        }
    }
    let later: Vec<String> = later.into_iter().map(str::to_owned).collect();
    for id in later.into_iter().filter(|id| planned.contains(id)) {
        found.insert(id, Refresh::Later);
    }
    found
}

/// Names in the plan's notes what is not waited for.
pub(super) fn tell(plan: &mut Plan) {
    let is_computed = |indexes: usize, kind: Option<ObjectKind>| {
        indexes > 0 || kind == Some(ObjectKind::MaterializedView)
    };
    let later: Vec<&str> = plan
        .nodes
        .iter()
        .filter(|node| node.refresh == Some(Refresh::Later))
        .filter(|node| is_computed(node.indexes, node.kind))
        .map(|node| node.unique_id.as_str())
        .collect();
    if later.is_empty() {
        return;
    }
    let note = format!(
        "filled for the first time by a later refresh (refresh_interval), so not waited for; until then queries of it wait: {}",
        later.join(", ")
    );
    plan.notes.push(note);
}

impl ClusterDefinition {
    /// Whether it gives the cluster a replica, now or by its schedule.
    #[must_use]
    pub fn has_replicas(&self) -> bool {
        match self {
            Self::Managed { options } => {
                option(options, "REPLICATION FACTOR") != Some("0") || self.is_on_refresh()
            }
            Self::Unmanaged { replicas } => !replicas.is_empty(),
        }
    }

    /// Whether the server starts its replicas for refreshes only.
    #[must_use]
    pub fn is_on_refresh(&self) -> bool {
        let Self::Managed { options } = self else {
            return false;
        };
        option(options, "SCHEDULE").is_some_and(|schedule| {
            let mut words = schedule.split_whitespace();
            let is = |word: Option<&str>, wanted: &str| {
                word.is_some_and(|word| word.eq_ignore_ascii_case(wanted))
            };
            let (on, refresh) = (words.next(), words.next());
            let refresh = refresh.map(|word| word.split('(').next().unwrap_or(word));
            is(on, "ON") && is(refresh, "REFRESH")
        })
    }
}

/// The value of an option in the list of `SHOW CREATE CLUSTER`.
fn option<'a>(options: &'a str, key: &str) -> Option<&'a str> {
    let (mut depth, mut is_quoted) = (0_u32, false);
    let items = options.split(move |character| {
        match character {
            '\'' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0 && !is_quoted
    });
    items
        .filter_map(|item| item.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case(key))
        .map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::Refresh;
    use crate::domain::catalog::ClusterDefinition;
    use crate::domain::plan::refusal::RefusalName;
    use crate::planning::planner::sample::World;
    use serde_json::json;

    #[test]
    fn the_first_refresh_is_at_once_or_later() {
        for (interval, expected) in [
            (json!({}), None),
            (json!({"on_commit": true}), None),
            (json!({"every": ""}), None),
            (json!({"at_creation": true}), Some(Refresh::Scheduled)),
            (json!({"every": "1 day"}), Some(Refresh::Scheduled)),
            (
                json!({"at_creation": true, "every": "1 day", "aligned_to": "2024-01-01"}),
                Some(Refresh::Scheduled),
            ),
            (
                json!({"every": "1 day", "aligned_to": "2024-01-01"}),
                Some(Refresh::Later),
            ),
            (json!({"at": "2044-01-01"}), Some(Refresh::Later)),
        ] {
            assert_eq!(Refresh::of(&interval), expected, "{interval}");
        }
    }

    #[test]
    fn what_is_filled_later_is_named_with_what_reads_it() {
        let mut world = World::new();
        world.node(
            "model.shop.inlined",
            "marts",
            "inlined",
            "ephemeral",
            &["model.shop.totals"],
        );
        world.node(
            "model.shop.last",
            "marts",
            "last",
            "materialized_view",
            &["model.shop.inlined"],
        );
        world.change("model.shop.totals", |node| {
            node.refresh = Some(Refresh::Later)
        });
        let plan = world.plan().expect("a plan");
        let of = |id: &str| {
            let mut nodes = plan.nodes.iter();
            nodes
                .find(|node| node.unique_id == id)
                .and_then(|node| node.refresh)
        };
        assert_eq!(of("model.shop.totals"), Some(Refresh::Later));
        assert_eq!(of("model.shop.last"), Some(Refresh::Later));
        assert_eq!(of("model.shop.stg"), None);
        let note = "queries of it wait: model.shop.last, model.shop.totals";
        assert!(
            plan.notes.iter().any(|it| it.ends_with(note)),
            "{:?}",
            plan.notes
        );
        world.change("model.shop.totals", |node| {
            node.refresh = Some(Refresh::Scheduled)
        });
        let plan = world.plan().expect("a plan");
        assert!(
            plan.notes.iter().all(|it| !it.contains("refresh")),
            "{:?}",
            plan.notes
        );
    }

    fn managed(options: &str) -> ClusterDefinition {
        ClusterDefinition::Managed {
            options: options.to_owned(),
        }
    }

    #[test]
    fn a_definition_says_whether_there_will_be_replicas() {
        let unmanaged = ClusterDefinition::Unmanaged {
            replicas: Vec::new(),
        };
        assert!(!unmanaged.has_replicas() && !unmanaged.is_on_refresh());
        for (options, has_replicas, is_on_refresh) in [
            ("SIZE = '25cc'", true, false),
            (
                "MANAGED = true, REPLICATION FACTOR = 0, SIZE = '25cc', SCHEDULE = MANUAL",
                false,
                false,
            ),
            ("REPLICATION FACTOR = 10, SIZE = '25cc'", true, false),
            ("SIZE = 'a, REPLICATION FACTOR = 0'", true, false),
            ("SCHEDULE = ON REFRESH, REPLICATION FACTOR = 0", true, true),
            (
                "SIZE = '25cc', SCHEDULE = ON REFRESH (HYDRATION TIME ESTIMATE = '1 hour')",
                true,
                true,
            ),
            (
                "SCHEDULE = ON REFRESH(HYDRATION TIME ESTIMATE = '1 hour')",
                true,
                true,
            ),
        ] {
            let definition = managed(options);
            assert_eq!(definition.has_replicas(), has_replicas, "{options}");
            assert_eq!(definition.is_on_refresh(), is_on_refresh, "{options}");
        }
    }

    #[test]
    fn a_cluster_on_which_nothing_could_be_ready_is_refused() {
        let mut world = World::new();
        let off = managed("REPLICATION FACTOR = 0, SIZE = '25cc', SCHEDULE = MANUAL");
        world.definitions.insert("compute".to_owned(), Ok(off));
        let refused = world.plan().expect_err("a refusal").0;
        let names: Vec<RefusalName> = refused.iter().map(|refusal| refusal.name).collect();
        assert_eq!(names, [RefusalName::ClusterWithoutReplicas]);
        assert_eq!(refused[0].objects, ["compute"]);
        let on_refresh = managed("SIZE = '25cc', SCHEDULE = ON REFRESH");
        world
            .definitions
            .insert("compute".to_owned(), Ok(on_refresh));
        assert!(world.plan().is_ok());
    }
}
