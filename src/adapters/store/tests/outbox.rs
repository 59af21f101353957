//! What others are to be told.

use super::runs::new_run;
use super::{Bed, On, new_deployment};
use crate::adapters::store::{Due, Store, StoreError};
use crate::domain::lifecycle::state::Event;
use crate::domain::records::run::{Cause, Outcome};
use jiff::{Timestamp, ToSpan};

on_every_backend! {
    each_event_and_each_end_of_a_run_leaves_one_message
    each_target_has_its_own_progress
    messages_are_of_one_environment
}

async fn due(store: &Store, targets: &[&str], now: Timestamp) -> Vec<Due> {
    let past = Timestamp::now() - 24.hours();
    let due = store.due("prod", targets, past, now, 100).await;
    due.expect("read")
}

fn kinds(due: &[Due]) -> Vec<&str> {
    due.iter().map(|due| due.message.kind.as_str()).collect()
}

async fn each_event_and_each_end_of_a_run_leaves_one_message(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let run = store.begin_run(&lead, new_run(Cause::Api, "abc")).await;
    let run = run.expect("begun").id;
    let id = store.create(&lead, new_deployment("prod")).await;
    let id = id.expect("created").id;
    store.attach_run(&lead, &run, &id).await.expect("attached");
    store.take_up(&lead, &id).await.expect("taken up");
    let failed = Event::StepFailed {
        reason: "a \0 model fails".to_owned(),
    };
    for event in [&Event::StagingStarted, &failed, &Event::UnwoundAfterFailure] {
        store.apply(&lead, &id, event).await.expect("goes on");
    }
    // What does not fit is not told.
    let unfit = store.apply(&lead, &id, &Event::Staged).await;
    unfit.expect_err("it has ended");
    let finished = store.finish_run(&lead, &run, Outcome::Failed, Some("why"));
    finished.await.expect("finished");
    let again = store.finish_run(&lead, &run, Outcome::Failed, Some("why"));
    again.await.expect_err("it has ended");

    let due = due(&store, &["hook"], Timestamp::now()).await;
    assert_eq!(
        kinds(&due),
        [
            "plan_stored",
            "staging_started",
            "step_failed",
            "unwound_after_failure",
            "run_failed"
        ]
    );
    assert!(due.is_sorted_by_key(|due| due.message.number));
    assert!(due.iter().all(|due| due.attempts == 0));
    let message = &due[2].message;
    assert_eq!(message.deployment_id.as_ref(), Some(&id));
    assert_eq!(message.body["environment"], "prod");
    assert_eq!(message.body["deployment"], id);
    assert_eq!(message.body["state"], "unwinding");
    assert_eq!(message.body["reason"], "a \u{fffd} model fails");
    assert_eq!(message.body["seq"], 3);
    let message = &due[4].message;
    assert_eq!(message.body["run"], run);
    assert_eq!(message.body["deployment"], id);
    assert_eq!(message.body["outcome"], "failed");
    assert_eq!(message.body["detail"], "why");
    assert_eq!(message.body["revision"], "abc");
}

async fn each_target_has_its_own_progress(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let id = store.create(&lead, new_deployment("prod")).await;
    let id = id.expect("created").id;
    let event = Event::StagingStarted;
    store.apply(&lead, &id, &event).await.expect("goes on");
    let now = Timestamp::now();
    let both = due(&store, &["a", "b"], now).await;
    assert_eq!(
        both.iter().map(|d| d.target.as_str()).collect::<Vec<_>>(),
        ["a", "a", "b", "b"]
    );
    let (first, second) = (both[0].message.number, both[1].message.number);
    let limited = store.due("prod", &["a", "b"], now - 1.hour(), now, 1).await;
    assert_eq!(limited.expect("read").len(), 2, "one for each target");

    let later = now + 1.minute();
    store.delivered(&lead, first, "a").await.expect("recorded");
    let failed = store.failed(&lead, first, "b", "no \0 route", Some(later));
    failed.await.expect("recorded");
    let left = due(&store, &["a", "b"], now).await;
    let left: Vec<_> = left
        .iter()
        .map(|d| (d.target.as_str(), d.message.number))
        .collect();
    assert_eq!(left, [("a", second), ("b", second)]);
    let left = due(&store, &["b"], later).await;
    assert_eq!((left[0].message.number, left[0].attempts), (first, 1));
    assert_eq!(left.len(), 2);

    let failed = store.failed(&lead, first, "b", "no route", Some(later));
    failed.await.expect("recorded");
    assert_eq!(due(&store, &["b"], later).await[0].attempts, 2);
    let given_up = store.failed(&lead, first, "b", "no route", None);
    given_up.await.expect("recorded");
    assert_eq!(due(&store, &["b"], later).await.len(), 1);
    // What was delivered stays so.
    let late = store.failed(&lead, first, "a", "late", Some(now));
    late.await.expect("recorded");
    assert_eq!(due(&store, &["a"], later).await.len(), 1);
    let old = store.due("prod", &["a"], later, later, 9).await;
    assert!(old.expect("read").is_empty(), "too old");
    let gone = store.delivered(&lead, 1_000_000, "a").await;
    gone.expect("it was trimmed");
}

async fn messages_are_of_one_environment(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let other = store.lead("dev").await.expect("nobody leads");
    store
        .create(&other, new_deployment("dev"))
        .await
        .expect("created");
    let now = Timestamp::now();
    assert!(due(&store, &["a"], now).await.is_empty());
    let theirs = store.due("dev", &["a"], now - 1.hour(), now, 9).await;
    let number = theirs.expect("read")[0].message.number;
    let wrong = store.delivered(&lead, number, "a").await;
    assert!(matches!(wrong, Err(StoreError::WrongLead { .. })));
    store.delivered(&other, number, "a").await.expect("its own");
}
