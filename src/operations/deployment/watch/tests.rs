use super::{Found, News, Watched, found};
use crate::domain::progress::{ClusterReadiness, Health};
use crate::planning::readiness::Verdict;
use jiff::Timestamp;

fn cluster(lag_ms: Option<i64>, waiting_for: &[&str]) -> ClusterReadiness {
    ClusterReadiness {
        cluster: "serving".to_owned(),
        hydrated: 1,
        total: 1,
        lag_ms,
        lagging: Some("marts.totals".to_owned()),
        waiting_for: waiting_for.iter().map(|&why| why.to_owned()).collect(),
        relations: Vec::new(),
    }
}

fn look(watched: &mut Watched, health: Health, lag_ms: Option<i64>) -> Option<News> {
    let found = Found {
        health,
        why: vec![
            "a".to_owned(),
            "b".to_owned(),
            "c".to_owned(),
            "d".to_owned(),
        ],
        at: Timestamp::UNIX_EPOCH,
    };
    watched.take(found, &[cluster(lag_ms, &[])], 2)
}

#[test]
fn worse_and_better_are_told_once_and_when_looks_agree() {
    let mut watched = Watched::default();
    assert_eq!(look(&mut watched, Health::Good, Some(3)), None);
    assert_eq!(look(&mut watched, Health::Degraded, Some(20_000)), None);
    assert_eq!(look(&mut watched, Health::Good, Some(0)), None);
    assert_eq!(look(&mut watched, Health::Degraded, Some(12_000)), None);
    let told = look(&mut watched, Health::Degraded, Some(11_000));
    assert_eq!(told, Some(News::Degraded("a; b; c; and 1 more".to_owned())));
    assert_eq!(look(&mut watched, Health::Degraded, Some(11_000)), None);
    assert_eq!(look(&mut watched, Health::Good, Some(0)), None);
    assert_eq!(
        look(&mut watched, Health::Good, Some(0)),
        Some(News::Recovered)
    );
    assert_eq!(look(&mut watched, Health::Good, Some(0)), None);
    assert_eq!((watched.looks, watched.degraded), (9, 4));
    assert_eq!(watched.worst.map(|worst| worst.lag_ms), Some(20_000));
}

#[test]
fn unknown_is_told_at_once_and_is_neither_good_nor_bad() {
    let mut watched = Watched::default();
    let told = look(&mut watched, Health::Unknown, None);
    assert!(matches!(told, Some(News::Unknown(_))), "{told:?}");
    assert_eq!(look(&mut watched, Health::Unknown, None), None);
    assert_eq!((watched.unknown, watched.degraded), (2, 0));
    assert_eq!(watched.worst, None);
    look(&mut watched, Health::Degraded, None);
    look(&mut watched, Health::Degraded, None);
    assert!(watched.is_told);
    // What is not known any more has not recovered.
    look(&mut watched, Health::Unknown, None);
    assert!(watched.is_told);
    assert_eq!(look(&mut watched, Health::Good, Some(0)), None);
}

#[test]
fn what_is_known_to_be_bad_is_worse_than_what_is_unknown() {
    let verdict = |waiting_for: &[&str], unknown| Verdict {
        ready: waiting_for.is_empty(),
        hopeless: None,
        unknown,
        clusters: vec![cluster(None, waiting_for)],
    };
    assert_eq!(found(verdict(&[], 0)).0, Health::Good);
    assert_eq!(found(verdict(&["lag unknown"], 1)).0, Health::Unknown);
    let both = found(verdict(&["lag unknown", "not hydrated"], 1));
    assert_eq!(both.0, Health::Degraded);
    assert_eq!(both.1[1], "not hydrated (cluster serving)");
}

#[test]
fn a_record_that_follows_goes_on_counting() {
    let mut watched = Watched::default();
    look(&mut watched, Health::Degraded, Some(20_000));
    let kept = serde_json::to_string(&watched).expect("JSON");
    let mut again: Watched = serde_json::from_str(&kept).expect("a record");
    assert_eq!(again, watched);
    let told = look(&mut again, Health::Degraded, Some(1));
    assert!(matches!(told, Some(News::Degraded(_))), "{told:?}");
}
