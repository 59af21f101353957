//! What a swap leaves live, for those who look later whether it still is.

use super::identity::Ids;
use crate::adapters::materialize::guarded::Names;
use crate::adapters::materialize::live::written;
use crate::domain::plan::Plan;
use crate::domain::records::drift::Standing;
use std::collections::BTreeSet;

/// What is live once these names were swapped, as the transaction that swaps saw it a moment before.
pub(crate) fn after_swap(plan: &Plan, ids: &Ids, names: &Names) -> Standing {
    let mut standing = Standing::default();
    let mut green = BTreeSet::new();
    for schema in &plan.schemas {
        if let Some(id) = ids.green_schemas.get(&schema.name) {
            standing
                .places
                .insert(format!("schema {}", schema.name), id.clone());
            green.insert(format!("schema {id}"));
        }
    }
    for cluster in plan.clusters.iter().filter(|cluster| !cluster.scratch) {
        if let Some(id) = ids.green_clusters.get(&cluster.name) {
            standing
                .places
                .insert(format!("cluster {}", cluster.name), id.clone());
            if let Some(definition) = names.definitions.get(&cluster.green) {
                let what = format!("cluster {id}");
                standing.made.insert(what, written(definition));
            }
            green.insert(format!("cluster {id}"));
        }
    }
    for (id, (schema, cluster)) in &names.objects {
        let cluster = cluster.as_ref().map(|cluster| format!("cluster {cluster}"));
        let is_on = cluster.is_some_and(|cluster| green.contains(&cluster));
        if is_on || green.contains(&format!("schema {schema}")) {
            green.insert(format!("object {id}"));
        }
    }
    for what in green {
        if let Some(raw) = names.raw.get(&what) {
            standing.owned.insert(what, raw.clone());
        }
    }
    standing
}

#[cfg(test)]
mod tests {
    use super::after_swap;
    use crate::adapters::materialize::guarded::Names;
    use crate::domain::catalog::ClusterDefinition;
    use crate::operations::saga::identity::Ids;
    use crate::planning::planner::render::sample;

    #[test]
    fn what_is_left_is_all_of_green_under_the_names_of_production() {
        let plan = sample::shop();
        let schema = plan.schemas[0].name.clone();
        let mut clusters = plan.clusters.iter().filter(|it| !it.scratch);
        let cluster = clusters.next().expect("a cluster").clone();
        let mut ids = Ids::default();
        ids.green_schemas.insert(schema.clone(), "u1".to_owned());
        ids.blue_schemas.insert(schema.clone(), "u8".to_owned());
        ids.green_clusters
            .insert(cluster.name.clone(), "u3".to_owned());
        let mut names = Names::default();
        for (what, at) in [("u5", "u1"), ("u6", "u8"), ("u7", "u9")] {
            let on = (what == "u7").then(|| "u3".to_owned());
            names.objects.insert(what.to_owned(), (at.to_owned(), on));
        }
        for what in [
            "schema u1",
            "schema u8",
            "cluster u3",
            "object u5",
            "object u6",
            "object u7",
        ] {
            names
                .raw
                .insert(what.to_owned(), format!("owner of {what}"));
        }
        let options = "SIZE = '25cc'".to_owned();
        let definition = ClusterDefinition::Managed { options };
        names.definitions.insert(cluster.green.clone(), definition);
        let left = after_swap(&plan, &ids, &names);
        let owned: Vec<&str> = left.owned.keys().map(String::as_str).collect();
        // What reads from elsewhere on its cluster goes live with it.
        assert_eq!(owned, ["cluster u3", "object u5", "object u7", "schema u1"]);
        assert_eq!(left.places[&format!("schema {schema}")], "u1");
        assert_eq!(left.places[&format!("cluster {}", cluster.name)], "u3");
        assert_eq!(left.made["cluster u3"], "SIZE = '25cc'");
    }
}
