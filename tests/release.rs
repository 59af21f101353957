//! Releases that go well: what changes, what must not, and what is left behind.

mod support;

use support::{Needs, World};

/// Production as a company keeps it: another owner, grants, default privileges, comments.
async fn dress(world: &World) {
    let [staging, marts, serve] = ["staging", "marts", "serve"].map(|name| world.name(name));
    let [owner, reader] = ["owner", "reader"].map(|name| world.name(name));
    for sql in [
        format!("GRANT {owner} TO {}", world.role()),
        format!("COMMENT ON SCHEMA {marts} IS 'the figures, it''s said'"),
        format!("COMMENT ON CLUSTER {serve} IS 'serves the dashboards'"),
        format!("COMMENT ON MATERIALIZED VIEW {marts}.totals IS 'totals by customer'"),
        format!("COMMENT ON COLUMN {marts}.totals.total IS 'in cents'"),
        format!("COMMENT ON VIEW {staging}.stg_orders IS 'orders, tidied'"),
        format!("COMMENT ON INDEX {marts}.counts_by_n IS 'for the front page'"),
        format!("GRANT USAGE ON SCHEMA {marts} TO {reader}"),
        format!("GRANT USAGE ON SCHEMA {marts} TO PUBLIC"),
        format!("GRANT USAGE ON CLUSTER {serve} TO {reader}"),
        format!("GRANT SELECT ON {marts}.totals TO {reader}"),
        format!("GRANT SELECT ON {staging}.stg_orders TO PUBLIC"),
        format!(
            "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {marts} GRANT SELECT ON TABLES TO {reader}"
        ),
        format!(
            "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {marts} GRANT SELECT ON TABLES TO PUBLIC"
        ),
        format!("ALTER MATERIALIZED VIEW {marts}.totals OWNER TO {owner}"),
        format!("ALTER SCHEMA {marts} OWNER TO {owner}"),
        format!("ALTER CLUSTER {serve} OWNER TO {owner}"),
    ] {
        world.sql.run(&sql).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_changes_the_data_and_nothing_else() {
    let Some(world) = World::start(Needs::AnyServer).await else {
        return;
    };
    let [compute, serve, owner, reader] =
        ["compute", "serve", "owner", "reader"].map(|name| world.name(name));
    for sql in [
        format!("CREATE ROLE {owner}"),
        format!("CREATE ROLE {reader}"),
        format!("DROP CLUSTER {compute}"),
        format!("CREATE CLUSTER {compute} REPLICAS (big (SIZE = '50cc'), small (SIZE = '25cc'))"),
        format!(
            "ALTER CLUSTER {serve} SET (REPLICATION FACTOR = 2, INTROSPECTION INTERVAL = '5s')"
        ),
    ] {
        world.sql.run(&sql).await;
    }
    world.produce().await;
    dress(&world).await;
    let before = world.snapshot().await;
    world.project.set_release(2);

    let planned = world.cutover(&["plan"]).await.exits(0);
    assert_eq!(
        planned.document()["schemas"].as_array().map(Vec::len),
        Some(3)
    );
    world.snapshot().await.is(&before);

    let deployed = world.cutover(&["deploy"]).await.exits(0);
    assert_eq!(
        deployed.states(),
        [
            "planned",
            "staging",
            "building",
            "hydrating",
            "verifying",
            "ready",
            "cutting_over",
            "soaking",
            "cleaning_up",
            "done"
        ]
    );
    assert_eq!(deployed.result()["deployment"]["state"], "done");
    world.serves(2).await;
    world.nothing_left().await;
    let after = world.snapshot().await;
    before.describes_the_same(&after);
    for (name, id) in &before.ids {
        assert_ne!(after.id(name), id, "{name} was not swapped");
    }

    let id = deployed.deployment();
    let history = world.cutover(&["history"]).await.exits(0).document();
    assert_eq!(history["deployments"][0]["id"], id.as_str());
    assert_eq!(history["deployments"][0]["state"], "done");
    let status = world.cutover(&["status"]).await.exits(0).document();
    assert_eq!(status["environments"][0]["deployment"]["state"], "done");
    let shown = world.cutover(&["show", &id]).await.exits(0).document();
    assert_eq!(shown["state"], "done");
    assert!(
        shown["events"]
            .as_array()
            .is_some_and(|events| events.len() >= 10)
    );
    let text = world.cutover_text(&["show", &id]).await.exits(0);
    assert!(text.stdout.contains(&id), "{text}");
}
