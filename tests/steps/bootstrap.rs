//! The first release into an empty database.

use crate::support::{Needs, World};

#[tokio::test(flavor = "multi_thread")]
async fn what_production_lacks_is_made_only_when_asked_for() {
    let Some(mut world) = World::start(Needs::AnyServer).await else {
        return;
    };
    world
        .sql
        .run(&format!("DROP CLUSTER {}", world.name("serve")))
        .await;
    let before = world.snapshot().await;

    let refused = world.cutover(&["deploy"]).await.exits(3);
    for part in [
        "schema-missing",
        "cluster-missing",
        &world.name("serve"),
        &world.name("marts"),
        "--bootstrap",
    ] {
        assert!(refused.all().contains(part), "no {part}\n{refused}");
    }
    world.snapshot().await.is(&before);

    // A first release that fails takes back what it made. A description would find out before.
    world.set("DESCRIBE", "false");
    let good = world.project.read("models/marts/counts.sql");
    world
        .project
        .replace("models/marts/counts.sql", "count(*)", "no_such_column");
    world
        .cutover(&["deploy", "--bootstrap"])
        .await
        .exits(1)
        .says("no_such_column");
    world.snapshot().await.is(&before);

    world.project.write("models/marts/counts.sql", &good);
    world.set("DESCRIBE", "true");
    world.cutover(&["deploy", "--bootstrap"]).await.exits(0);
    world.serves(1).await;
    world.nothing_left().await;
    world
        .snapshot()
        .await
        .id(&format!("cluster {}", world.name("serve")));
}
