//! What the steering tables do, through an ordinary client.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use mz_sandbox::{Options, Sandbox};
use tokio_postgres::{Client, NoTls};

async fn connect(sandbox: &Sandbox, application: &str) -> Client {
    let url = format!("{}&application_name={application}", sandbox.url());
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(async move {
        // Cut connections end with an error here; the client sees it too.
        let _ = connection.await;
    });
    client
}

async fn start() -> (Sandbox, Client) {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let client = connect(&sandbox, "steering").await;
    (sandbox, client)
}

async fn all(client: &Client, statements: &[&str]) {
    for sql in statements {
        client
            .batch_execute(sql)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
}

async fn text(client: &Client, sql: &str) -> Option<String> {
    client
        .query_one(sql, &[])
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e}"))
        .get(0)
}

/// Polls until the query answers `want`.
async fn until(client: &Client, sql: &str, want: Option<&str>) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let got = text(client, sql).await;
        if got.as_deref() == want {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{sql}: wanted {want:?}, last {got:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("", |c| c.code())
}

const SETUP: [&str; 6] = [
    "CREATE SCHEMA s",
    "CREATE CLUSTER c (SIZE = '25cc')",
    "CREATE TABLE s.t (id int)",
    "INSERT INTO s.t VALUES (1)",
    "CREATE CONNECTION s.kafka TO KAFKA (BROKER 'localhost:9092')",
    "CREATE SECRET s.pw AS 'x'",
];
const HYDRATED: &str = "SELECT bool_and(h.hydrated)::text FROM mz_internal.mz_hydration_statuses h JOIN mz_objects o ON o.id = h.object_id WHERE o.name = 'mv'";
const LAG: &str = "SELECT global_lag::text FROM mz_internal.mz_materialization_lag l JOIN mz_objects o ON o.id = l.object_id WHERE o.name = 'mv'";
const WALLCLOCK: &str = "SELECT max(lag)::text FROM mz_internal.mz_wallclock_global_lag l JOIN mz_objects o ON o.id = l.object_id WHERE o.name = 'mv'";

#[tokio::test]
async fn hydration_and_lag_are_held_and_set() {
    let (sandbox, client) = start().await;
    all(&client, &SETUP).await;
    all(
        &client,
        &["INSERT INTO mz_sandbox.objects (pattern, hydrated) VALUES ('s\\.mv', false)"],
    )
    .await;
    all(
        &client,
        &["CREATE MATERIALIZED VIEW s.mv IN CLUSTER c AS SELECT id FROM s.t"],
    )
    .await;
    let replica = "SELECT bool_and(hydrated)::text FROM mz_internal.mz_hydration_statuses h JOIN mz_cluster_replicas r ON r.id = h.replica_id JOIN mz_clusters c ON c.id = r.cluster_id WHERE c.name = 'c' AND h.object_id LIKE 's%'";
    until(&client, replica, Some("true")).await;
    // A second object of the same age is hydrated by now; the held one is not.
    all(
        &client,
        &["CREATE MATERIALIZED VIEW s.other IN CLUSTER c AS SELECT id FROM s.t"],
    )
    .await;
    until(&client, &HYDRATED.replace("'mv'", "'other'"), Some("true")).await;
    assert_eq!(text(&client, HYDRATED).await.as_deref(), Some("false"));
    assert_eq!(text(&client, LAG).await, None);
    all(&client, &["DELETE FROM mz_sandbox.objects"]).await;
    until(&client, HYDRATED, Some("true")).await;
    until(&client, LAG, Some("00:00:00")).await;
    until(&client, WALLCLOCK, Some("00:00:01")).await;
    all(
        &client,
        &["INSERT INTO mz_sandbox.objects (pattern, lag) VALUES ('s\\..*', '5.5s')"],
    )
    .await;
    assert_eq!(text(&client, LAG).await.as_deref(), Some("00:00:05.5"));
    assert_eq!(text(&client, WALLCLOCK).await.as_deref(), Some("00:00:06"));
    all(
        &client,
        &["UPDATE mz_sandbox.objects SET lag_unknown = true, wallclock_unknown = true"],
    )
    .await;
    assert_eq!(text(&client, LAG).await, None);
    assert_eq!(text(&client, WALLCLOCK).await, None);
    // The pattern is matched against the present name.
    all(&client, &["ALTER SCHEMA s RENAME TO s2"]).await;
    assert_eq!(text(&client, LAG).await.as_deref(), Some("00:00:00"));
    sandbox.stop().await;
}

#[tokio::test]
async fn clusters_and_replicas_fail() {
    let (sandbox, client) = start().await;
    all(&client, &SETUP).await;
    all(
        &client,
        &[
            "INSERT INTO mz_sandbox.clusters (pattern) VALUES ('c')",
            "CREATE MATERIALIZED VIEW s.mv IN CLUSTER c AS SELECT id FROM s.t",
        ],
    )
    .await;
    all(
        &client,
        &[
            "CREATE CLUSTER d (SIZE = '25cc')",
            "CREATE MATERIALIZED VIEW s.other IN CLUSTER d AS SELECT id FROM s.t",
        ],
    )
    .await;
    until(&client, &HYDRATED.replace("'mv'", "'other'"), Some("true")).await;
    assert_eq!(text(&client, HYDRATED).await.as_deref(), Some("false"));
    all(&client, &["DELETE FROM mz_sandbox.clusters"]).await;
    until(&client, HYDRATED, Some("true")).await;
    for _ in 0..3 {
        all(&client, &["INSERT INTO mz_sandbox.replica_events (cluster, status, reason) VALUES ('c', 'offline', 'oom-killed')"]).await;
    }
    assert_eq!(text(&client, HYDRATED).await.as_deref(), Some("false"));
    let ooms = "SELECT count(*)::text FROM mz_internal.mz_cluster_replica_status_history WHERE reason = 'oom-killed' AND occurred_at + INTERVAL '24 hours' > mz_now()";
    assert_eq!(text(&client, ooms).await.as_deref(), Some("3"));
    all(
        &client,
        &["INSERT INTO mz_sandbox.replica_events (cluster, status) VALUES ('c', 'online')"],
    )
    .await;
    assert_eq!(text(&client, HYDRATED).await.as_deref(), Some("true"));
    sandbox.stop().await;
}

#[tokio::test]
async fn a_stalled_sink_blocks_its_repointing() {
    let (sandbox, client) = start().await;
    all(&client, &SETUP).await;
    all(&client, &[
        "CREATE MATERIALIZED VIEW s.mv IN CLUSTER c AS SELECT id FROM s.t",
        "CREATE SINK s.k IN CLUSTER c FROM s.t INTO KAFKA CONNECTION s.kafka (TOPIC 'x') KEY (id) NOT ENFORCED FORMAT JSON ENVELOPE UPSERT",
        "INSERT INTO mz_sandbox.sinks (pattern, error) VALUES ('s\\.k', 'broker gone')",
        "SET statement_timeout = '300ms'",
    ])
    .await;
    let status = "SELECT status FROM mz_internal.mz_sink_statuses WHERE name = 'k'";
    assert_eq!(text(&client, status).await.as_deref(), Some("stalled"));
    let error = client
        .batch_execute("ALTER SINK s.k SET FROM s.mv")
        .await
        .unwrap_err();
    assert_eq!(code(&error), "57014");
    let from = "SELECT r.name FROM mz_internal.mz_object_dependencies d JOIN mz_sinks k ON k.id = d.object_id JOIN mz_objects r ON r.id = d.referenced_object_id WHERE r.type <> 'connection'";
    assert_eq!(text(&client, from).await.as_deref(), Some("t"));
    let other = connect(&sandbox, "other").await;
    let waiting =
        tokio::spawn(async move { other.batch_execute("ALTER SINK s.k SET FROM s.t").await });
    all(&client, &["DELETE FROM mz_sandbox.sinks"]).await;
    waiting.await.unwrap().unwrap();
    all(&client, &["ALTER SINK s.k SET FROM s.mv"]).await;
    assert_eq!(text(&client, from).await.as_deref(), Some("mv"));
    sandbox.stop().await;
}

#[tokio::test]
async fn statements_fail_wait_and_hang() {
    let (sandbox, client) = start().await;
    let victim = connect(&sandbox, "victim").await;
    all(&client, &["INSERT INTO mz_sandbox.faults (pattern, application_name, nth, times, action, argument) VALUES ('name-of-it', 'victim', 2, 2, 'error', '40001')"]).await;
    let sql = "-- name-of-it\nSELECT 1";
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(
            victim
                .query(sql, &[])
                .await
                .err()
                .map(|e| code(&e).to_owned()),
        );
    }
    assert_eq!(
        answers,
        [None, Some("40001".into()), Some("40001".into()), None]
    );
    assert!(
        client.query(sql, &[]).await.is_ok(),
        "another application is not struck"
    );
    assert_eq!(
        text(&client, "SELECT hits::text FROM mz_sandbox.faults")
            .await
            .as_deref(),
        Some("4")
    );

    all(&client, &["DELETE FROM mz_sandbox.faults", "INSERT INTO mz_sandbox.faults (pattern, action, argument) VALUES ('SELECT 2', 'delay', '150')"]).await;
    let begun = Instant::now();
    victim.batch_execute("SELECT 2").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(150));

    all(&client, &["INSERT INTO mz_sandbox.faults (pattern, times, action) VALUES ('SELECT 3', NULL, 'hang')"]).await;
    victim
        .batch_execute("SET statement_timeout = '200ms'")
        .await
        .unwrap();
    assert_eq!(
        code(&victim.batch_execute("SELECT 3").await.unwrap_err()),
        "57014"
    );
    victim
        .batch_execute("SET statement_timeout = '60s'")
        .await
        .unwrap();
    let cancel = victim.cancel_token();
    let hanging = tokio::spawn(async move {
        let canceled = victim.batch_execute("SELECT 3").await;
        (victim.batch_execute("SELECT 3").await, canceled)
    });
    until(
        &client,
        "SELECT hits::text FROM mz_sandbox.faults WHERE action = 'hang'",
        Some("2"),
    )
    .await;
    cancel.cancel_query(NoTls).await.unwrap();
    until(
        &client,
        "SELECT hits::text FROM mz_sandbox.faults WHERE action = 'hang'",
        Some("3"),
    )
    .await;
    all(&client, &["DELETE FROM mz_sandbox.faults"]).await;
    let (released, canceled) = hanging.await.unwrap();
    assert_eq!(code(&canceled.unwrap_err()), "57014");
    released.unwrap();
    sandbox.stop().await;
}

#[tokio::test]
async fn connections_are_cut_before_and_after() {
    let (sandbox, client) = start().await;
    all(&client, &["CREATE SCHEMA a", "CREATE SCHEMA b"]).await;
    let id = "SELECT id FROM mz_schemas WHERE name = 'a'";
    let before = text(&client, id).await;
    for (action, swapped) in [("cut_before", false), ("cut_after", true)] {
        let insert = format!(
            "INSERT INTO mz_sandbox.faults (pattern, application_name, action) VALUES ('^COMMIT', 'victim', '{action}')"
        );
        all(&client, &[insert.as_str()]).await;
        let victim = connect(&sandbox, "victim").await;
        all(&victim, &["BEGIN", "ALTER SCHEMA a SWAP WITH b"]).await;
        let lost = victim.batch_execute("COMMIT").await.unwrap_err();
        assert!(lost.as_db_error().is_none(), "{lost}");
        assert_eq!(text(&client, id).await != before, swapped, "{action}");
        all(&client, &["DELETE FROM mz_sandbox.faults"]).await;
    }
    let insert = "INSERT INTO mz_sandbox.faults (pattern, application_name, action) VALUES ('^COMMIT', 'victim', 'hang_after')";
    all(&client, &[insert]).await;
    let before = text(&client, id).await;
    let victim = connect(&sandbox, "victim").await;
    all(&victim, &["BEGIN", "ALTER SCHEMA a SWAP WITH b"]).await;
    let mut told = sandbox.held().unwrap();
    let earlier = *told.borrow_and_update();
    let committing = tokio::spawn(async move { victim.batch_execute("COMMIT").await });
    told.changed().await.unwrap();
    assert_eq!(*told.borrow(), earlier + 1);
    let held = "SELECT held::text FROM mz_sandbox.faults";
    until(&client, held, Some("1")).await;
    assert_ne!(text(&client, id).await, before);
    assert!(!committing.is_finished());
    all(&client, &["DELETE FROM mz_sandbox.faults"]).await;
    committing.await.unwrap().unwrap();

    all(&client, &["INSERT INTO mz_sandbox.faults (pattern, action, argument) VALUES ('SELECT 7', 'outage', '300')"]).await;
    let begun = Instant::now();
    assert!(client.batch_execute("SELECT 7").await.is_err());
    let again = loop {
        match tokio_postgres::connect(&sandbox.url(), NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                break client;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    assert!(begun.elapsed() >= Duration::from_millis(280));
    again.batch_execute("SELECT 7").await.unwrap();
    sandbox.stop().await;
}

#[tokio::test]
async fn statements_are_logged_by_application() {
    let (sandbox, client) = start().await;
    all(
        &client,
        &["UPDATE mz_sandbox.settings SET value = 'on' WHERE name = 'log_statements'"],
    )
    .await;
    let other = connect(&sandbox, "counted").await;
    for _ in 0..3 {
        other.query("SELECT $1::int4", &[&1]).await.unwrap();
    }
    let count = "SELECT count(*)::text FROM mz_sandbox.statements WHERE application_name = 'counted' AND sql LIKE 'SELECT $1%'";
    assert_eq!(text(&client, count).await.as_deref(), Some("3"));
    sandbox.stop().await;
}
