//! The cost model through ordinary clients: how long statements take, who waits for whom, and what is counted.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use mz_sandbox::{Costs, Options, Sandbox, prices};
use tokio_postgres::{Client, NoTls};

async fn connect(sandbox: &Sandbox, application: &str) -> Client {
    let url = format!("{}&application_name={application}", sandbox.url());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    client
}

async fn start(costs: Option<Costs>) -> (Sandbox, Client) {
    let sandbox = Sandbox::start(Options {
        costs,
        ..Options::default()
    })
    .await
    .unwrap();
    let client = connect(&sandbox, "a").await;
    (sandbox, client)
}

fn model(factor: f64) -> Option<Costs> {
    Some(Costs {
        factor,
        readiness: false,
    })
}

fn ms(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1000.0)
}

async fn timed(client: &Client, statements: &[&str]) -> Duration {
    let began = Instant::now();
    for sql in statements {
        client
            .batch_execute(sql)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
    began.elapsed()
}

async fn rows(client: &Client, sql: &str) -> Vec<String> {
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_take_their_price() {
    let (sandbox, client) = start(model(1.0)).await;
    for (sql, price) in [
        ("CREATE SCHEMA s", prices::CREATE_SCHEMA),
        (
            "CREATE CLUSTER c (SIZE = '25cc')",
            prices::CREATE_CLUSTER + prices::REPLICA,
        ),
        ("CREATE VIEW s.v AS SELECT 1 AS x", prices::CREATE_VIEW),
        (
            "SELECT count(*) FROM mz_objects",
            prices::DATAFLOW + prices::DATAFLOW_RELATION,
        ),
        ("SELECT id FROM mz_schemas", prices::PEEK),
        ("DROP VIEW s.v", prices::DROP),
    ] {
        let took = timed(&client, &[sql]).await;
        assert!(took >= ms(price), "{sql}: {took:?}");
        assert!(took < ms(price + 400.0), "{sql}: {took:?}");
    }
    // A failed statement costs nothing more than its turn, and leaves nothing held.
    client.batch_execute("CREATE SCHEMA s").await.unwrap_err();
    let swap = timed(
        &client,
        &[
            "CREATE SCHEMA t",
            "BEGIN",
            "ALTER SCHEMA s SWAP WITH t",
            "COMMIT",
        ],
    )
    .await;
    assert!(
        swap >= ms(prices::CREATE_SCHEMA + prices::BEGIN + prices::SWAP + prices::COMMIT),
        "{swap:?}"
    );
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_of_several_connections_takes_turns_and_peeks_do_not() {
    let (sandbox, client) = start(model(1.0)).await;
    client.batch_execute("CREATE SCHEMA s").await.unwrap();
    let mut building = tokio::task::JoinSet::new();
    let began = Instant::now();
    for n in 0..4 {
        let other = connect(&sandbox, "builder").await;
        building.spawn(async move {
            for m in 0..5 {
                let sql = format!("CREATE VIEW s.v{n}_{m} AS SELECT 1 AS x");
                other.batch_execute(&sql).await.unwrap();
            }
        });
    }
    // Meanwhile a peek waits for nobody, again and again.
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        slowest = slowest.max(timed(&client, &["SELECT id FROM mz_schemas"]).await);
    }
    building.join_all().await;
    assert!(
        began.elapsed() >= ms(20.0 * prices::CREATE_VIEW),
        "{:?}",
        began.elapsed()
    );
    assert!(slowest < ms(20.0 * prices::CREATE_VIEW) / 2, "{slowest:?}");
    // Pipelined on one connection, they are answered one after the other.
    let peek = client.prepare("SELECT id FROM mz_schemas").await.unwrap();
    let began = Instant::now();
    let client = std::sync::Arc::new(client);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (client, peek) = (std::sync::Arc::clone(&client), peek.clone());
        asked.spawn(async move { client.query(&peek, &[]).await.unwrap() });
    }
    asked.join_all().await;
    assert!(began.elapsed() >= ms(20.0 * prices::PEEK));
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_hangs_holds_nobody_up() {
    let (sandbox, client) = start(model(1.0)).await;
    client
        .batch_execute("INSERT INTO mz_sandbox.faults (pattern, action) VALUES ('^CREATE SCHEMA held', 'hang_after')")
        .await
        .unwrap();
    let other = connect(&sandbox, "held").await;
    let held = tokio::spawn(async move { other.batch_execute("CREATE SCHEMA held").await });
    let deadline = Instant::now() + Duration::from_secs(20);
    while rows(&client, "SELECT 'x' FROM mz_sandbox.faults WHERE held > 0")
        .await
        .is_empty()
    {
        assert!(Instant::now() < deadline, "never held");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = timed(&client, &["CREATE SCHEMA free"]).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    client
        .batch_execute("DELETE FROM mz_sandbox.faults")
        .await
        .unwrap();
    held.await.unwrap().unwrap();
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_timeout_ends_the_wait_and_nothing_has_happened() {
    let (sandbox, client) = start(model(20.0)).await;
    client
        .batch_execute("SET statement_timeout = '100ms'")
        .await
        .unwrap();
    let error = client.batch_execute("CREATE SCHEMA s").await.unwrap_err();
    assert_eq!(error.code().map(|c| c.code()), Some("57014"));
    client
        .batch_execute("UPDATE mz_sandbox.settings SET value = 'off' WHERE name = 'costs'")
        .await
        .unwrap();
    assert!(
        rows(&client, "SELECT name FROM mz_schemas WHERE name = 's'")
            .await
            .is_empty()
    );
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_counted_by_class_with_the_model_off_and_on() {
    let (sandbox, client) = start(None).await;
    client
        .batch_execute("UPDATE mz_sandbox.settings SET value = 'on' WHERE name = 'log_statements'")
        .await
        .unwrap();
    let other = connect(&sandbox, "b").await;
    let statements = [
        "/* cutover: schema */ CREATE SCHEMA s",
        "DROP VIEW IF EXISTS s.v",
        "CREATE TABLE s.t (x int)",
        "INSERT INTO s.t VALUES (1)",
        "SELECT id FROM mz_schemas",
        "SELECT name FROM mz_clusters WHERE id LIKE 'u%'",
        "/* cutover: names */ SELECT count(*) FROM mz_objects",
        "SELECT count(*) FROM s.t",
    ];
    let quick = timed(&other, &statements).await;
    let counted = "SELECT concat_ws(' ', class, reads, statements, cost_ms) FROM mz_sandbox.counters WHERE application_name = 'b' ORDER BY class, reads";
    let want = [
        "dataflow catalog 1 66",
        "dataflow user 1 66",
        "ddl  2 105",
        "no_change  1 2",
        "peek catalog 2 14",
        "write  1 35",
    ];
    assert_eq!(rows(&client, counted).await, want);
    assert_eq!(
        rows(&client, "SELECT kind || ': ' || sql FROM mz_sandbox.statements WHERE class = 'dataflow' AND reads = 'catalog'").await,
        ["function count: /* cutover: names */ SELECT count(*) FROM mz_objects"]
    );
    assert!(quick < Duration::from_secs(5));
    // With the model on, what is counted is what is waited for.
    client
        .batch_execute("DELETE FROM mz_sandbox.statements; UPDATE mz_sandbox.settings SET value = '2' WHERE name = 'costs'")
        .await
        .unwrap();
    let slow = timed(&other, &["SELECT count(*) FROM mz_objects"]).await;
    assert!(slow >= ms(132.0), "{slow:?}");
    assert_eq!(rows(&client, counted).await, ["dataflow catalog 1 132"]);
    sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_hydrate_and_tell_their_lag_after_a_real_servers_time() {
    let costs = Costs {
        factor: 0.1,
        readiness: true,
    };
    let (sandbox, client) = start(Some(costs)).await;
    timed(
        &client,
        &[
            "CREATE TABLE t (x int)",
            "CREATE MATERIALIZED VIEW mv IN CLUSTER quickstart AS SELECT * FROM t",
        ],
    )
    .await;
    let began = Instant::now();
    let moment = async |sql: &str| {
        while rows(&client, sql).await != ["yes"] {
            assert!(began.elapsed() < Duration::from_secs(20), "{sql}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        began.elapsed()
    };
    let hydrated = moment("SELECT CASE WHEN bool_and(h.hydrated) THEN 'yes' ELSE 'no' END FROM mz_internal.mz_hydration_statuses h JOIN mz_objects o ON o.id = h.object_id WHERE o.name = 'mv'").await;
    let known = moment("SELECT CASE WHEN global_lag IS NOT NULL THEN 'yes' ELSE 'no' END FROM mz_internal.mz_materialization_lag l JOIN mz_objects o ON o.id = l.object_id WHERE o.name = 'mv'").await;
    // Less the answer to the CREATE, which comes after the object's birth.
    assert!(hydrated >= ms(150.0 - 60.0), "{hydrated:?}");
    assert!(known >= ms(280.0 - 60.0), "{known:?}");
    sandbox.stop().await;
}
