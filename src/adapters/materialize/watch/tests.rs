use super::{Ended, Heard, Reading, Watch, Watching, subscription};
use crate::adapters::materialize::Statement;
use crate::adapters::materialize::server::Materialize;
use crate::adapters::materialize::server::tests::materialize;
use mz_sandbox::{Options, Sandbox};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LONGEST_WAIT: Duration = Duration::from_secs(60);

async fn run(materialize: &Materialize, sql: &str) {
    let session = materialize.session().await.expect("a session");
    let statement = Statement::new("set the scene", sql);
    session.execute(&statement).await.expect(sql);
}

async fn value(materialize: &Materialize, sql: &str) -> String {
    let session = materialize.session().await.expect("a session");
    let rows = session.simple(&Statement::new("look", sql)).await;
    let rows = rows.expect(sql);
    rows[0].get(0).unwrap_or_default().to_owned()
}

/// A view that does not hydrate before it is let, with its cluster: ids.
async fn held() -> (Sandbox, Materialize, BTreeSet<String>, BTreeSet<String>) {
    let sandbox = Sandbox::start(Options::default()).await.expect("a sandbox");
    let materialize = materialize(&sandbox, "materialize");
    for sql in [
        "INSERT INTO mz_sandbox.objects (pattern, hydrated) VALUES ('public\\.mv', false)",
        "CREATE CLUSTER c (SIZE = '25cc', REPLICATION FACTOR = 2)",
        "CREATE TABLE t (id int)",
        "CREATE MATERIALIZED VIEW mv IN CLUSTER c AS SELECT id FROM t",
    ] {
        run(&materialize, sql).await;
    }
    let object = value(&materialize, "SELECT id FROM mz_objects WHERE name = 'mv'").await;
    let cluster = value(&materialize, "SELECT id FROM mz_clusters WHERE name = 'c'").await;
    (sandbox, materialize, [object].into(), [cluster].into())
}

/// Waits for what is heard to be so.
async fn until(watch: &Watch, mut is_so: impl FnMut(&Heard) -> bool) -> Heard {
    let mut heard = watch.heard();
    let waited = tokio::time::timeout(LONGEST_WAIT, heard.wait_for(|heard| is_so(heard))).await;
    waited.expect("in time").expect("a task").clone()
}

fn last(heard: &Heard) -> Option<&Arc<Reading>> {
    heard.readings.back()
}

fn is_hydrated(heard: &Heard, object: &str) -> bool {
    last(heard).is_some_and(|reading| {
        let replicas = reading.hydrated.get(object);
        replicas.is_some_and(|replicas| replicas.values().all(|hydrated| *hydrated))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_knows_what_the_server_does() {
    let (_sandbox, materialize, objects, clusters) = held().await;
    let object = objects.first().expect("an object").clone();
    let watching = Watching::default();
    let watch = watching.of(&materialize, &objects, &clusters);
    let first = until(&watch, |heard| last(heard).is_some()).await;
    assert!(!is_hydrated(&first, &object) && first.is_fresh());

    run(
        &materialize,
        "UPDATE mz_sandbox.objects SET hydrated = true",
    )
    .await;
    let asked = async {
        let question = format!(
            "SELECT bool_and(hydrated)::text FROM mz_internal.mz_hydration_statuses WHERE object_id = '{object}'"
        );
        while value(&materialize, &question).await != "true" {}
        Instant::now()
    };
    let told = async {
        until(&watch, |heard| is_hydrated(heard, &object)).await;
        Instant::now()
    };
    let (asked, told) = tokio::join!(asked, told);
    // The server tells every 100 ms here, and the machine may be busy.
    let late = told.saturating_duration_since(asked);
    assert!(late < Duration::from_secs(2), "told {late:?} late");

    // What is asked for at one moment is what was told.
    let known = |heard: &Heard| {
        let lag = last(heard).and_then(|reading| reading.lag_ms.get(&object).copied().flatten());
        lag.is_some()
    };
    let heard = until(&watch, known).await;
    let session = materialize.session().await.expect("a session");
    let read = Reading::take(&session, &objects, &clusters).await;
    let read = read.expect("a reading");
    let told = last(&heard).expect("a reading");
    assert_eq!(told.existing, read.existing);
    assert_eq!(told.hydrated, read.hydrated);
    assert_eq!(told.lag_ms, read.lag_ms);
    assert_eq!(told.replicas, read.replicas);
    assert!((read.now_ms - told.now_ms).abs() < 60_000);
    assert!(told.frontier_ms[&object] <= read.frontier_ms[&object]);
    assert_eq!(told.replicas.values().flatten().count(), 2);

    // One that asks the same goes on; one about others is another.
    let same = watching.of(&materialize, &objects, &clusters);
    assert!(Arc::ptr_eq(&same, &watch));
    let other = watching.of(&materialize, &objects, &BTreeSet::new());
    assert!(!Arc::ptr_eq(&other, &watch));
    until(&other, |heard| last(heard).is_some()).await;
    assert_eq!(materialize.counts().subscriptions, 2);

    let watch = watching.of(&materialize, &objects, &clusters);
    run(&materialize, "DROP MATERIALIZED VIEW mv").await;
    until(&watch, |heard| {
        last(heard).is_some_and(|reading| reading.existing.is_empty())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_is_refused_or_cut_says_which() {
    let (_sandbox, materialize, objects, clusters) = held().await;
    let watching = Watching::default();
    for (action, argument, is_refused) in [("error", "42501", true), ("cut_before", "", false)] {
        run(
            &materialize,
            &format!(
                "INSERT INTO mz_sandbox.faults (pattern, action, argument) VALUES ('cutover: readiness watch', '{action}', '{argument}')"
            ),
        )
        .await;
        let watch = watching.of(&materialize, &objects, &clusters);
        let heard = until(&watch, |heard| heard.ended.is_some()).await;
        assert_eq!(matches!(heard.ended, Some(Ended::Refused(_))), is_refused);
        run(&materialize, "DELETE FROM mz_sandbox.faults").await;
        // It is begun anew.
        let again = watching.of(&materialize, &objects, &clusters);
        assert!(!Arc::ptr_eq(&again, &watch));
        until(&again, |heard| last(heard).is_some()).await;
        run(
            &materialize,
            "INSERT INTO mz_sandbox.faults (pattern, action) VALUES ('cutover: readiness watch.*FETCH', 'cut_before')",
        )
        .await;
        let heard = until(&again, |heard| heard.ended.is_some()).await;
        assert!(matches!(heard.ended, Some(Ended::Lost(_))));
        run(&materialize, "DELETE FROM mz_sandbox.faults").await;
    }
}

#[test]
fn what_is_kept_is_far_enough_apart_and_ends_with_the_last() {
    let mut heard = Heard::default();
    for now_ms in (0..100_000).step_by(100) {
        heard.take(Reading {
            now_ms,
            ..Reading::default()
        });
        assert_eq!(last(&heard).map(|it| it.now_ms), Some(now_ms));
    }
    let times: Vec<i64> = heard.readings.iter().map(|it| it.now_ms).collect();
    assert_eq!(times.len(), super::KEPT);
    let kept = &times[..times.len() - 1];
    let far = kept
        .windows(2)
        .all(|pair| pair[1] - pair[0] >= super::APART_MS);
    assert!(far, "{times:?}");
}

#[test]
fn nothing_is_asked_about_nothing() {
    let clusters: BTreeSet<String> = ["u1".to_owned()].into();
    let sql = subscription(&BTreeSet::new(), &clusters, 0);
    assert!(!sql.contains("mz_frontiers") && sql.contains("cluster_id IN ('u1')"));
    assert!(!sql.contains("IN ()"));
}
