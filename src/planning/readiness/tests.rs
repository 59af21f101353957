use super::{Counterparts, Expectation, ExpectedCluster, ExpectedObject, Judge, Verdict};
use crate::domain::reading::{Reading, ReplicaHealth};
use std::collections::BTreeMap;

fn replica(id: &str) -> ReplicaHealth {
    ReplicaHealth {
        id: id.to_owned(),
        name: format!("r{id}"),
        own_size: true,
        online: Some(true),
        oom_kills: 0,
    }
}

fn expectation() -> Expectation {
    Expectation {
        clusters: BTreeMap::from([(
            "c1".to_owned(),
            ExpectedCluster {
                name: "compute".to_owned(),
                is_on_refresh: false,
                objects: vec![ExpectedObject {
                    id: "g1".to_owned(),
                    name: "s.mv".to_owned(),
                    counterpart: Some("b1".to_owned()),
                    is_scheduled: false,
                }],
            },
        )]),
        threshold_ms: 1000,
        strict: false,
        oom_kill_limit: 3,
        counterparts: Counterparts::InProduction,
    }
}

/// A reading in which everything is as it should be.
fn good() -> Reading {
    Reading {
        now_ms: 1_000_000,
        existing: ["g1", "b1"].map(str::to_owned).into(),
        hydrated: BTreeMap::from([("g1".to_owned(), BTreeMap::from([("1".to_owned(), true)]))]),
        lag_ms: BTreeMap::from([("g1".to_owned(), Some(0))]),
        frontier_ms: BTreeMap::from([
            ("g1".to_owned(), Some(999_000)),
            ("b1".to_owned(), Some(999_500)),
        ]),
        wallclock_ms: BTreeMap::new(),
        replicas: BTreeMap::from([("c1".to_owned(), vec![replica("1")])]),
    }
}

fn judge(change: impl FnOnce(&mut Expectation, &mut Reading)) -> Verdict {
    let (mut expectation, mut reading) = (expectation(), good());
    change(&mut expectation, &mut reading);
    Judge::default().judge(&expectation, &reading)
}

#[track_caller]
fn waits_for(verdict: &Verdict, what: &str) {
    assert!(!verdict.ready);
    let reasons = verdict.clusters[0].waiting_for.join("; ");
    assert!(reasons.contains(what), "{reasons:?} lacks {what:?}");
}

#[test]
fn a_good_reading_is_ready() {
    let verdict = judge(|_, _| {});
    assert!(verdict.ready, "{verdict:?}");
    assert_eq!(verdict.clusters[0].hydrated, 1);
    assert_eq!(verdict.clusters[0].lag_ms, Some(0));
}

#[test]
fn a_cluster_without_objects_is_ready_even_without_replicas() {
    let verdict = judge(|expectation, reading| {
        if let Some(cluster) = expectation.clusters.get_mut("c1") {
            cluster.objects.clear();
        }
        reading.replicas.clear();
    });
    assert!(verdict.ready);
    assert_eq!(verdict.hopeless, None);
}

#[test]
fn a_cluster_with_objects_and_no_replicas_is_hopeless() {
    let verdict = judge(|_, reading| reading.replicas.clear());
    assert!(verdict.hopeless.is_some());
    waits_for(&verdict, "no replicas");
}

/// The object with a refresh schedule, whose frontier is this.
fn scheduled(
    frontier: Option<Option<i64>>,
    change: impl FnOnce(&mut Expectation, &mut Reading),
) -> Verdict {
    judge(|expectation, reading| {
        for cluster in expectation.clusters.values_mut() {
            cluster.is_on_refresh = true;
            for object in &mut cluster.objects {
                object.is_scheduled = true;
            }
        }
        expectation.strict = true;
        reading.hydrated.clear();
        reading.lag_ms.clear();
        reading.replicas.clear();
        reading.frontier_ms.remove("g1");
        if let Some(frontier) = frontier {
            reading.frontier_ms.insert("g1".to_owned(), frontier);
        }
        change(expectation, reading);
    })
}

#[test]
fn a_view_with_a_schedule_is_ready_when_it_is_complete_to_its_last_refresh() {
    // The next refresh lies ahead, or there is none: no replica is needed, and no lag.
    for frontier in [Some(1_000_001), None] {
        let verdict = scheduled(Some(frontier), |_, _| {});
        assert!(verdict.ready, "{verdict:?}");
        assert_eq!(verdict.clusters[0].hydrated, 1);
        // Production's next refresh may be a later one.
        let verdict = scheduled(Some(frontier), |_, reading| {
            reading
                .frontier_ms
                .insert("b1".to_owned(), Some(90_000_000));
            reading.replicas.insert("c1".to_owned(), vec![replica("1")]);
        });
        assert!(verdict.ready, "{verdict:?}");
    }
    // Never filled, or a refresh is under way.
    for frontier in [Some(Some(0)), Some(Some(1_000_000))] {
        waits_for(
            &scheduled(frontier, |_, _| {}),
            "not complete to its last refresh",
        );
    }
    let verdict = scheduled(None, |_, _| {});
    waits_for(&verdict, "frontier of s.mv is not known");
    assert_eq!(verdict.unknown, 1);
}

#[test]
fn a_cluster_that_the_server_starts_for_refreshes_is_waited_for() {
    let verdict = scheduled(Some(Some(0)), |_, _| {});
    assert_eq!(verdict.hopeless, None);
    waits_for(&verdict, "no replica at the moment");
    // What follows its inputs there is waited for, too.
    let verdict = scheduled(Some(Some(999_000)), |expectation, _| {
        for object in expectation
            .clusters
            .values_mut()
            .flat_map(|it| &mut it.objects)
        {
            object.is_scheduled = false;
        }
    });
    assert_eq!(verdict.hopeless, None);
    waits_for(&verdict, "not hydrated");
    // Without a schedule of the cluster nobody starts one.
    let verdict = scheduled(Some(Some(0)), |expectation, _| {
        for cluster in expectation.clusters.values_mut() {
            cluster.is_on_refresh = false;
        }
    });
    assert!(verdict.hopeless.is_some());
}

#[test]
fn what_reads_a_refreshed_view_is_complete_to_the_next_time() {
    let frontiers = |green: i64, blue: i64| {
        judge(|_, reading| {
            reading.frontier_ms.insert("g1".to_owned(), Some(green));
            reading.frontier_ms.insert("b1".to_owned(), Some(blue));
        })
    };
    assert!(frontiers(1_000_001, 90_000_000).ready);
    assert!(frontiers(999_500, 90_000_000).ready);
    waits_for(&frontiers(998_000, 90_000_000), "staler");
}

#[test]
fn unknown_is_never_ready() {
    waits_for(&judge(|_, r| r.hydrated.clear()), "not hydrated");
    waits_for(&judge(|_, r| r.lag_ms.clear()), "lag of s.mv is not known");
    waits_for(
        &judge(|_, r| {
            r.lag_ms.insert("g1".to_owned(), None);
        }),
        "lag of s.mv is not known",
    );
    waits_for(
        &judge(|_, r| {
            r.frontier_ms.remove("g1");
        }),
        "frontier of s.mv is not known",
    );
    waits_for(
        &judge(|_, r| {
            for replica in r.replicas.values_mut().flatten() {
                replica.online = None;
            }
        }),
        "not online",
    );
}

#[test]
fn every_replica_of_its_own_size_counts_and_a_burst_replica_does_not() {
    let second = |own_size: bool, hydrated: bool| {
        judge(|_, reading| {
            reading
                .replicas
                .entry("c1".to_owned())
                .or_default()
                .push(ReplicaHealth {
                    own_size,
                    ..replica("2")
                });
            reading
                .hydrated
                .entry("g1".to_owned())
                .or_default()
                .insert("2".to_owned(), hydrated);
        })
    };
    waits_for(&second(true, false), "not hydrated");
    assert!(second(true, true).ready);
    assert!(second(false, false).ready);
    let only_burst = judge(|_, reading| {
        for replica in reading.replicas.values_mut().flatten() {
            replica.own_size = false;
        }
    });
    assert!(only_burst.hopeless.is_some());
}

#[test]
fn lag_and_freshness_are_held_against_the_threshold() {
    let lag = |ms| {
        judge(|_, r| {
            r.lag_ms.insert("g1".to_owned(), Some(ms));
        })
    };
    assert!(lag(1000).ready);
    waits_for(&lag(1001), "lags 1.0 s behind its sources");
    let blue = |ms| {
        judge(|_, r| {
            r.now_ms = 1_000_500;
            r.frontier_ms.insert("b1".to_owned(), Some(ms));
        })
    };
    assert!(blue(1_000_000).ready);
    waits_for(&blue(1_000_001), "staler than in production");
    // What is in production later than now is read by nobody yet.
    let later = judge(|_, r| {
        r.frontier_ms.insert("b1".to_owned(), Some(9_000_000));
    });
    assert!(later.ready);
    let ahead = judge(|_, r| {
        r.frontier_ms.insert("g1".to_owned(), Some(2_000_000));
    });
    assert!(ahead.ready);
}

#[test]
fn a_complete_object_needs_no_lag() {
    let verdict = judge(|_, r| {
        r.frontier_ms.insert("g1".to_owned(), None);
        r.lag_ms.insert("g1".to_owned(), None);
    });
    assert!(verdict.ready, "{verdict:?}");
}

#[test]
fn the_wall_clock_counts_only_after_hydration_and_never_more_than_production_s_own() {
    let mut judge = Judge::default();
    let expectation = expectation();
    let mut reading = good();
    reading
        .wallclock_ms
        .insert("g1".to_owned(), (5000, 999_000));
    assert!(judge.judge(&expectation, &reading).ready, "sampled before");
    reading
        .wallclock_ms
        .insert("g1".to_owned(), (5000, 1_000_500));
    waits_for(
        &judge.judge(&expectation, &reading),
        "behind the wall clock",
    );
    reading
        .wallclock_ms
        .insert("b1".to_owned(), (5000, 1_000_500));
    assert!(
        judge.judge(&expectation, &reading).ready,
        "blue lags as much"
    );
}

#[test]
fn strict_waits_for_the_wall_clock() {
    waits_for(&judge(|e, _| e.strict = true), "wall-clock lag of s.mv");
    let known = {
        let mut expectation = expectation();
        expectation.strict = true;
        let mut reading = good();
        reading
            .wallclock_ms
            .insert("g1".to_owned(), (1000, 1_000_001));
        Judge::default().judge(&expectation, &reading)
    };
    assert!(known.ready);
}

#[test]
fn replicas_in_trouble_are_not_ready() {
    waits_for(
        &judge(|_, r| {
            for replica in r.replicas.values_mut().flatten() {
                replica.oom_kills = 3;
            }
        }),
        "ran out of memory",
    );
    waits_for(
        &judge(|_, r| {
            for replica in r.replicas.values_mut().flatten() {
                replica.online = Some(false);
            }
        }),
        "not online",
    );
}
