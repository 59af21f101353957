//! The final names of clusters: what `generate_cluster_name` of the adapter makes of the names that
//! models, tests, indexes and the profile give.
//!
//! The adapter's own macro changes nothing. A project or package may override it, for example to put
//! the target's name in front; then only dbt can say what a name becomes, and it is asked for every
//! name in use. Everything that planning compares are final names: those of `vars.deployment`, of the
//! catalog and of the plan. What a project gives is called *given* here.

use super::candidate::ClusterUse;
use crate::domain::plan::GREEN_SUFFIX;
use crate::inputs::manifest::Manifest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The macros that decide, as dbt-materialize calls them.
const MACROS: [&str; 2] = ["generate_cluster_name", "generate_deploy_cluster_name"];
/// The packages whose macros change nothing.
const OWN_PACKAGES: [&str; 3] = ["dbt", "dbt_postgres", "dbt_materialize"];

/// The final name of each cluster that a project gives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterNames(Option<BTreeMap<String, FinalName>>);

/// What dbt makes of one given name; as dbt writes it into SQL, spaces around it taken off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinalName {
    /// Without `deploy: true`.
    pub production: String,
    /// With `deploy: true`.
    pub green: String,
}

impl ClusterNames {
    /// The names of a project that overrides the macros, by given name.
    #[must_use]
    pub fn overridden(names: BTreeMap<String, FinalName>) -> Self {
        Self(Some(names))
    }

    /// The production cluster that a given name means.
    #[must_use]
    pub fn named(&self, given: &str) -> ClusterUse {
        match self.0.as_ref().and_then(|names| names.get(given)) {
            Some(name) => ClusterUse::of(&name.production),
            None => ClusterUse::of(given),
        }
    }

    /// The production cluster that a given name means, as the catalog calls it.
    #[must_use]
    pub fn in_catalog(&self, given: &str) -> String {
        match self.named(given) {
            ClusterUse::Named(name) | ClusterUse::NeedsQuotes(name) => name,
        }
    }

    /// What a profile must give so that it means this production cluster; `None` where no name in use
    /// leads there.
    #[must_use]
    pub fn given_for<'a>(&'a self, cluster: &'a str) -> Option<&'a str> {
        let Some(names) = &self.0 else {
            return Some(cluster);
        };
        let leads_there = |given: &str| self.named(given) == ClusterUse::Named(cluster.to_owned());
        names
            .keys()
            .map(String::as_str)
            .find(|given| leads_there(given))
    }

    /// Given names of these production clusters that with `deploy: true` do not mean the green side:
    /// the given name, and what it means then.
    pub fn without_suffix<'a>(
        &'a self,
        clusters: &'a BTreeSet<&str>,
    ) -> impl Iterator<Item = (&'a str, &'a FinalName)> {
        let names = self.0.iter().flatten();
        names
            .filter(|(_, name)| match ClusterUse::of(&name.production) {
                ClusterUse::Named(cluster) => {
                    let green = ClusterUse::Named(format!("{cluster}{GREEN_SUFFIX}"));
                    clusters.contains(cluster.as_str()) && ClusterUse::of(&name.green) != green
                }
                ClusterUse::NeedsQuotes(_) => false,
            })
            .map(|(given, name)| (given.as_str(), name))
    }
}

/// The names that dbt must be asked for: all that the project gives, where it overrides what a name
/// becomes; else none. `profile` is the profile's cluster.
#[must_use]
pub fn to_ask_for(manifest: &Manifest, profile: Option<&str>) -> BTreeSet<String> {
    let overrides = manifest.macros.values().any(|found| {
        MACROS.contains(&found.name.as_str())
            && !OWN_PACKAGES.contains(&found.package_name.as_str())
    });
    if !overrides {
        return BTreeSet::new();
    }
    let nodes = manifest.nodes.values().flat_map(|node| {
        let indexes = node.config.indexes.iter();
        let indexed_on = indexes.filter_map(|index| index.cluster.as_deref());
        node.config.cluster.as_deref().into_iter().chain(indexed_on)
    });
    let unit_tests = manifest.unit_tests.values();
    let unit_tests = unit_tests.filter_map(|test| test.config.get("cluster")?.as_str());
    nodes
        .chain(unit_tests)
        .chain(profile)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{ClusterNames, FinalName, to_ask_for};
    use crate::inputs::manifest::sample::{manifest, model, with};
    use crate::planning::planner::candidate::ClusterUse;
    use serde_json::json;
    use std::collections::{BTreeMap, BTreeSet};

    fn names(pairs: &[(&str, &str, &str)]) -> ClusterNames {
        let pairs = pairs.iter().map(|(given, production, green)| {
            let name = FinalName {
                production: (*production).to_owned(),
                green: (*green).to_owned(),
            };
            ((*given).to_owned(), name)
        });
        ClusterNames::overridden(pairs.collect())
    }

    #[test]
    fn without_an_override_a_name_is_what_is_given() {
        let names = ClusterNames::default();
        assert_eq!(names.named("Compute"), ClusterUse::of("Compute"));
        assert_eq!(names.in_catalog("Compute"), "compute");
        assert_eq!(names.given_for("compute"), Some("compute"));
        assert_eq!(
            names.without_suffix(&BTreeSet::from(["compute"])).count(),
            0
        );
    }

    #[test]
    fn an_overridden_name_is_what_dbt_says_folded_as_sql_is() {
        let names = names(&[("compute", "Prod_compute", "Prod_compute_dbt_deploy")]);
        let prod = ClusterUse::Named("prod_compute".to_owned());
        assert_eq!(names.named("compute"), prod);
        assert_eq!(names.in_catalog("compute"), "prod_compute");
        assert_eq!(names.given_for("prod_compute"), Some("compute"));
        assert_eq!(names.given_for("compute"), None);
        let deployed = BTreeSet::from(["prod_compute"]);
        assert_eq!(names.without_suffix(&deployed).count(), 0);
    }

    #[test]
    fn a_name_that_misses_the_green_cluster_is_found_where_it_is_deployed() {
        let names = names(&[
            ("a", "prod_a", "prod_a\n_dbt_deploy"),
            ("b", "prod_b", "prod_b"),
            ("c", "prod_c", "prod_c_dbt_deploy"),
        ]);
        let found = |clusters: &[&str]| {
            let clusters: BTreeSet<&str> = clusters.iter().copied().collect();
            let found = names.without_suffix(&clusters);
            found.map(|(given, _)| given.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found(&["prod_a", "prod_c"]), ["a"]);
        assert_eq!(found(&["prod_b"]), ["b"]);
        assert_eq!(found(&["other"]), Vec::<String>::new());
    }

    #[test]
    fn dbt_is_asked_only_where_somebody_else_than_the_adapter_decides() {
        let nodes = || {
            vec![
                with(
                    model("a", &[]),
                    json!({"config": {"cluster": "x", "indexes": [{"columns": ["i"], "cluster": "y"}]}}),
                ),
                model("b", &[]),
            ]
        };
        let decides = |package: &str, name: &str| {
            json!({
                "unique_id": format!("macro.{package}.{name}"), "name": name, "package_name": package,
                "resource_type": "macro", "original_file_path": "macros/m.sql", "macro_sql": "",
                "depends_on": {"macros": []},
            })
        };
        let asked = |package: &str, name: &str| {
            let mut all = nodes();
            all.push(decides(package, name));
            to_ask_for(&manifest(all), Some("p"))
        };
        let all = BTreeSet::from(["p", "x", "y"].map(str::to_owned));
        assert_eq!(asked("shop", "generate_cluster_name"), all);
        assert_eq!(asked("a_package", "generate_deploy_cluster_name"), all);
        for (package, name) in [
            ("dbt_materialize", "generate_cluster_name"),
            ("shop", "generate_schema_name"),
        ] {
            assert_eq!(asked(package, name), BTreeSet::new(), "{package} {name}");
        }
        assert_eq!(
            ClusterNames::overridden(BTreeMap::new()).given_for("x"),
            None
        );
    }
}
