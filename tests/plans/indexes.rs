//! Indexes of production are those that the project says, or something is said about them.

use crate::support::{Needs, World};

async fn import(world: &World) {
    let target = world.home().join("target").display().to_string();
    let parsed = world.dbt(&["parse", "--target-path", &target]).await;
    assert_eq!(parsed.code, Some(0), "{parsed}");
    let manifest = format!("{target}/manifest.json");
    let import = ["baseline", "import", "--replace", "--manifest", &manifest];
    world.cutover(&import).await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_told_by_its_key_and_its_cluster() {
    let Some(mut world) = World::prepared(Needs::AnyServer).await else {
        return;
    };
    world.set("SCOPE", "slim");
    // The server chooses the columns of a default index, so that any would do.
    world.project.replace(
        "models/serving/report.sql",
        "'default': True",
        "'columns': ['customer']",
    );
    let [report, serving, serve, compute] =
        ["serving.report", "serving", "serve", "compute"].map(|name| world.name(name));
    import(&world).await;
    world.cutover(&["plan", "--full"]).await.exits(0);
    world
        .cutover(&["plan"])
        .await
        .exits(0)
        .says("\"schemas\":[]");

    for (cluster, key) in [(&serve, "total"), (&compute, "customer")] {
        // As many as the project says, and it is not that one.
        for sql in [
            format!("DROP INDEX {serving}.report_index"),
            format!("CREATE INDEX report_index IN CLUSTER {cluster} ON {report} ({key})"),
        ] {
            world.sql.run(&sql).await;
        }
        import(&world).await;
        let missing = format!("index (customer) of {report} on {serve} missing");
        world
            .cutover(&["plan"])
            .await
            .exits(3)
            .says("drift: ")
            .says(&missing);
        let unmanaged = format!("{serving}.report_index");
        world
            .cutover(&["plan", "--full"])
            .await
            .exits(3)
            .says("unmanaged-object: ")
            .says(&unmanaged);
        world.set("ON_DRIFT", "rebuild");
        let rebuild = ["plan", "--allow", "unmanaged-object"];
        let plan = world.cutover(&rebuild).await.exits(0).document();
        let nodes = plan["nodes"].as_array().cloned().unwrap_or_default();
        let report = nodes.iter().find(|node| node["identifier"] == "report");
        let reason = report
            .and_then(|node| node["reason"].as_str())
            .unwrap_or_default();
        assert!(reason.contains(&missing), "{plan}");
        world.set("ON_DRIFT", "refuse");
    }
}
