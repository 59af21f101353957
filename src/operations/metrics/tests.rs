use super::{Delivery, Metrics, NAMES, Waste};
use crate::domain::lifecycle::role::Role;
use crate::domain::lifecycle::state::{Asker, State};
use crate::domain::progress::{ClusterReadiness, Health};
use crate::domain::records::run::Outcome as Run;
use crate::foundation::failure::Class;
use std::time::Duration;

fn all() -> Metrics {
    let metrics = Metrics::new();
    metrics.state_entered("prod", Some(State::CleaningUp), State::Done, 2.0);
    metrics.expect_environment("prod");
    metrics.run_ended("prod", Run::Released);
    metrics.rolled_back("prod", Some(Asker::Check));
    metrics.watched("prod", Health::Unknown);
    metrics.readiness("prod", &[reading("serving", Some(20))]);
    metrics.retried("prod", Class::Conflict);
    metrics.fired_late("prod", Duration::from_millis(3));
    metrics.role("prod", Role::Leader);
    metrics.next_run("prod", Some(jiff::Timestamp::UNIX_EPOCH));
    metrics.collected("prod", Waste::Deployments, 2);
    metrics.held("prod", true);
    metrics.drift("prod", Some(1));
    metrics.frozen("prod", true);
    metrics.leftovers("prod", 1);
    metrics.expect_target("ops");
    metrics.notified("ops", Delivery::Delivered);
    metrics.reloaded(true);
    metrics.answered("/v1/environments", "GET", 200, Duration::from_millis(1));
    metrics
}

fn reading(cluster: &str, lag_ms: Option<i64>) -> ClusterReadiness {
    ClusterReadiness {
        cluster: cluster.to_owned(),
        hydrated: 1,
        total: 2,
        lag_ms,
        lagging: None,
        waiting_for: Vec::new(),
        relations: Vec::new(),
    }
}

#[test]
fn every_name_is_documented_and_told() {
    let page = all().text();
    let document = include_str!("../../../docs/metrics.md");
    for (name, help) in NAMES {
        assert!(
            page.contains(&format!("# HELP {name} {help}")),
            "{name}\n{page}"
        );
        let documented = [format!("`{name}`"), format!("`{name}_total`")];
        assert!(documented.iter().any(|d| document.contains(d)), "{name}");
    }
    let told = page.lines().filter(|line| line.starts_with("# HELP"));
    assert_eq!(told.count(), NAMES.len());
}

#[test]
fn what_is_gone_is_not_told_any_more() {
    let metrics = all();
    metrics.role("ci", Role::Standby);
    metrics.readiness("prod", &[reading("batch", None)]);
    let page = metrics.text();
    assert!(!page.contains("serving"), "{page}");
    assert!(page.contains(r#"cutover_planned_objects{environment="prod",cluster="batch"} 2"#));
    assert!(!page.contains("cutover_lag_milliseconds{"), "{page}");
    metrics.forget("prod");
    let page = metrics.text();
    assert!(!page.contains("prod"), "{page}");
    assert!(
        page.contains(r#"cutover_leader{environment="ci"} 0"#),
        "{page}"
    );
}

#[test]
fn one_state_is_marked_at_a_time() {
    let metrics = all();
    let page = metrics.text();
    let marked: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("cutover_deployment_state{") && line.ends_with(" 1"))
        .collect();
    assert_eq!(
        marked,
        [r#"cutover_deployment_state{environment="prod",state="done"} 1"#]
    );
    let ended = r#"cutover_deployments_total{environment="prod",outcome="done"} 1"#;
    assert!(page.contains(ended), "{page}");
}

#[test]
fn counters_begin_at_zero() {
    let metrics = Metrics::new();
    metrics.expect_environment("prod");
    metrics.expect_target("ops");
    let page = metrics.text();
    for begun in [
        r#"cutover_deployments_total{environment="prod",outcome="failed"} 0"#,
        r#"cutover_deployments_total{environment="prod",outcome="rolled_back"} 0"#,
        r#"cutover_runs_total{environment="prod",outcome="refused"} 0"#,
        r#"cutover_rollbacks_total{environment="prod",cause="check"} 0"#,
        r#"cutover_rollbacks_total{environment="prod",cause="unknown"} 0"#,
        r#"cutover_soak_looks_total{environment="prod",found="unknown"} 0"#,
        r#"cutover_retries_total{environment="prod",reason="transient"} 0"#,
        r#"cutover_collected_total{environment="prod",what="leftovers"} 0"#,
        r#"cutover_schedule_lateness_seconds_bucket{le="+Inf",environment="prod"} 0"#,
        r#"cutover_notifications_total{target="ops",outcome="given_up"} 0"#,
        r#"cutover_config_reloads_total{outcome="refused"} 0"#,
    ] {
        assert!(page.lines().any(|line| line == begun), "{begun}\n{page}");
    }
    // Gauges do not: nobody knows them yet.
    assert!(!page.contains("cutover_lag_milliseconds{"), "{page}");
    metrics.retried("prod", Class::Transient);
    metrics.expect_environment("prod");
    let page = metrics.text();
    let kept = r#"cutover_retries_total{environment="prod",reason="transient"} 1"#;
    assert!(page.contains(kept), "{page}");
}

#[test]
fn who_stands_by_tells_nothing_of_the_release() {
    let metrics = all();
    metrics.lead_ended("prod");
    let page = metrics.text();
    for gone in [
        "cutover_deployment_state{",
        "cutover_planned_objects{",
        "cutover_next_run_timestamp_seconds{",
        "cutover_drift{",
        "cutover_leftovers{",
    ] {
        assert!(!page.contains(gone), "{gone}\n{page}");
    }
    assert!(page.contains(r#"cutover_runs_total{environment="prod",outcome="released"} 1"#));
}
