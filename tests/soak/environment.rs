//! The projects that are released, each in an environment of its own.

use super::support::{FakeDbt, Replay, SUPPORTED_DBT, World};

/// One environment and its project.
pub struct Environment {
    pub name: &'static str,
    pub replay: Replay,
    pub world: World,
}

impl Environment {
    /// A project in production, with a dbt that answers at once.
    pub async fn produced(name: &'static str, mut world: World) -> Self {
        world.produce_by_sql().await;
        world.project.without_tests();
        let environments = format!("environments:\n  {name}: {{project: {{target: prod}}}}\n");
        world.project.write("cutover.yaml", &environments);
        let replay = Replay::named(&mut world, name).await;
        Self {
            name,
            replay,
            world,
        }
    }

    /// Its part of the configuration of a daemon.
    pub fn configuration(&self, schedule: &str) -> String {
        let folder = self.world.project.path().display();
        format!(
            "  {}:\n    project: {{directory: {folder}, target: prod}}\n{schedule}",
            self.name
        )
    }

    /// What the baseline takes for live is what the journal released last, and both sides serve it.
    pub async fn is_live(&self) {
        let asked = async |arguments: &[&str]| {
            let outcome = self.world.cutover(arguments).await;
            outcome.exits(0).document()
        };
        let baseline = asked(&["baseline", "show", self.name]).await;
        let history = asked(&["history", self.name]).await;
        let deployments = history["deployments"].as_array().expect("deployments");
        let live = deployments
            .iter()
            .find(|deployment| deployment["state"] == "done")
            .expect("a release");
        assert_eq!(
            baseline["live"]["metadata"]["deployment"], live["id"],
            "{baseline}"
        );
        let (marts, serving) = (self.world.name("marts"), self.world.name("serving"));
        let query = format!(
            "SELECT (SELECT max(release) FROM {marts}.totals), (SELECT max(release) FROM {serving}.report)"
        );
        let sides = self.world.sql.rows(&query).await;
        assert_eq!(sides[0][0], sides[0][1]);
    }
}

/// One dbt for all of them: each project's own.
pub fn with_a_dbt_for_each(environments: &mut [Environment]) {
    let cases = environments.iter().map(|environment| {
        let folder = environment.world.project.path().display();
        let dbt = &environment.world.environment["CUTOVER__DBT__EXECUTABLE"];
        format!("'{folder}'*) exec '{dbt}' \"$@\";;\n")
    });
    let script: String = cases.collect();
    let script = format!("case \"$PWD\" in\n{script}*) exit 2;;\nesac");
    let first = &mut environments[0].world;
    let dbt = FakeDbt::write(&first.home().join("each"), SUPPORTED_DBT, &script);
    first.set("DBT__EXECUTABLE", &dbt.path());
}
