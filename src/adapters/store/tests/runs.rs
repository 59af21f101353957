//! Runs of the daemon.

use super::{Bed, On, new_deployment};
use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::records::run::{AskedUnder, Cause, NewRun, Outcome, Run};
use jiff::Timestamp;

on_every_backend! {
    a_run_is_recorded_from_its_beginning_to_its_end
    failures_are_counted_for_one_revision
    the_largest_time_of_the_schedule_is_the_last
    runs_are_of_one_environment
    what_was_wished_is_kept_with_its_answer
    a_run_and_its_deployment_are_recorded_together
}

pub(super) fn new_run(cause: Cause, revision: &str) -> NewRun {
    NewRun {
        cause,
        scheduled_for: None,
        revision: Some(revision.to_owned()),
        wishes: None,
    }
}

async fn ended(store: &Store, lead: &Lead, revision: &str, outcome: Outcome) -> Run {
    let run = store
        .begin_run(lead, new_run(Cause::Change, revision))
        .await;
    let id = run.expect("begun").id;
    let run = store.finish_run(lead, &id, outcome, None).await;
    run.expect("finished")
}

async fn a_run_is_recorded_from_its_beginning_to_its_end(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let scheduled_for: Timestamp = "2031-05-06T02:00:00Z".parse().expect("a time");
    let new = NewRun {
        cause: Cause::Schedule,
        scheduled_for: Some(scheduled_for),
        revision: Some("abc\0".to_owned()),
        wishes: None,
    };
    let begun = store.begin_run(&lead, new).await.expect("begun");
    assert_eq!(begun.cause, Cause::Schedule);
    assert_eq!(begun.scheduled_for, Some(scheduled_for));
    assert_eq!((begun.outcome, begun.finished_at), (None, None));
    assert_eq!(store.run(&begun.id).await.expect("found"), begun);
    let open = store.open_runs("prod").await.expect("read");
    assert_eq!(open, std::slice::from_ref(&begun));

    let revised = store.revise_run(&lead, &begun.id, "def").await;
    assert_eq!(revised.expect("revised").revision.as_deref(), Some("def"));
    let attached = store.attach_run(&lead, &begun.id, "d1").await;
    assert_eq!(
        attached.expect("attached").deployment.as_deref(),
        Some("d1")
    );
    let detail = Some("a model \0 fails");
    let finished = store.finish_run(&lead, &begun.id, Outcome::Failed, detail);
    let finished = finished.await.expect("finished");
    assert_eq!(finished.outcome, Some(Outcome::Failed));
    assert_eq!(finished.detail.as_deref(), Some("a model \u{fffd} fails"));
    assert_eq!(finished.deployment.as_deref(), Some("d1"));
    assert_eq!(finished.revision.as_deref(), Some("def"));
    assert!(finished.finished_at >= Some(finished.started_at));
    assert_eq!(store.run(&begun.id).await.expect("found"), finished);
    assert!(store.open_runs("prod").await.expect("read").is_empty());

    for refusal in [
        store.attach_run(&lead, &begun.id, "d2").await,
        store
            .finish_run(&lead, &begun.id, Outcome::Released, None)
            .await,
    ] {
        assert!(
            matches!(
                refusal,
                Err(StoreError::RunFinished {
                    outcome: Outcome::Failed,
                    ..
                })
            ),
            "{refusal:?}"
        );
    }
    let unknown = store.finish_run(&lead, "x", Outcome::Released, None).await;
    assert!(matches!(unknown, Err(StoreError::RunNotFound { .. })));
    let next = ended(&store, &lead, "abc", Outcome::NothingToDo).await;
    let all = store.runs(Some("prod"), 10).await.expect("read");
    assert_eq!(all, [next, finished]);
}

async fn failures_are_counted_for_one_revision(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let counted = async |revision| {
        let counted = store.failures_in_a_row("prod", Some(revision)).await;
        counted.expect("read")
    };
    assert_eq!(counted("a").await, (0, None));
    ended(&store, &lead, "a", Outcome::Failed).await;
    ended(&store, &lead, "a", Outcome::Released).await;
    ended(&store, &lead, "a", Outcome::Failed).await;
    ended(&store, &lead, "a", Outcome::Interrupted).await;
    ended(&store, &lead, "a", Outcome::RolledBack).await;
    let last = ended(&store, &lead, "a", Outcome::Refused).await;
    ended(&store, &lead, "b", Outcome::Skipped).await;
    let open = store.begin_run(&lead, new_run(Cause::Retry, "a")).await;
    assert_eq!(counted("a").await, (3, last.finished_at));
    assert_eq!(counted("b").await, (0, None));
    let id = open.expect("begun").id;
    let over = store.finish_run(&lead, &id, Outcome::NothingToDo, None);
    over.await.expect("finished");
    assert_eq!(counted("a").await, (0, None));
    let other = ended(&store, &lead, "b", Outcome::Failed).await;
    assert_eq!(counted("a").await, (0, None));
    assert_eq!(counted("b").await, (1, other.finished_at));
    let unknown = store.failures_in_a_row("prod", None).await;
    assert_eq!(unknown.expect("read"), (0, None));
}

async fn the_largest_time_of_the_schedule_is_the_last(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    assert_eq!(store.last_scheduled("prod").await.expect("read"), None);
    let times = ["2031-01-02T00:00:00Z", "2031-01-01T00:00:00Z"];
    for time in times {
        let new = NewRun {
            cause: Cause::Schedule,
            scheduled_for: Some(time.parse().expect("a time")),
            revision: None,
            wishes: None,
        };
        store.begin_run(&lead, new).await.expect("begun");
    }
    ended(&store, &lead, "a", Outcome::Released).await;
    let last = store.last_scheduled("prod").await.expect("read");
    assert_eq!(last, Some(times[0].parse().expect("a time")));
    assert_eq!(store.last_scheduled("dev").await.expect("read"), None);
}

async fn runs_are_of_one_environment(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let other = store.lead("dev").await.expect("nobody leads");
    let run = store.begin_run(&lead, new_run(Cause::Api, "a")).await;
    let id = run.expect("begun").id;
    for refusal in [
        store.attach_run(&other, &id, "d").await,
        store.finish_run(&other, &id, Outcome::Released, None).await,
    ] {
        assert!(
            matches!(refusal, Err(StoreError::WrongLead { .. })),
            "{refusal:?}"
        );
    }
    let made = ended(&store, &other, "a", Outcome::Failed).await;
    assert_eq!(made.environment, "dev");
    assert_eq!(store.runs(None, 10).await.expect("read").len(), 2);
    assert_eq!(store.runs(None, 1).await.expect("read").len(), 1);
    assert_eq!(store.runs(Some("dev"), 9).await.expect("read"), [made]);
    // Runs do not stand in the way of deployments.
    let deployment = store.create(&lead, new_deployment("prod")).await;
    let deployment = deployment.expect("created").id;
    let attached = store.attach_run(&lead, &id, &deployment).await;
    assert_eq!(attached.expect("attached").deployment, Some(deployment));
}

async fn what_was_wished_is_kept_with_its_answer(on: On) {
    let (bed, store, lead) = Bed::led(on).await;
    let wishes = serde_json::json!({"full": true, "select": ["a\u{0}b", "ö"]});
    let new = NewRun {
        wishes: Some(wishes.clone()),
        ..new_run(Cause::Api, "a")
    };
    let asked = AskedUnder {
        key: "once",
        fingerprint: "f",
    };
    let answer = |run: &Run| serde_json::json!({"run": run.id});
    let begun = store.begin_asked_run(&lead, new, asked, answer).await;
    let begun = begun.expect("begun");
    drop((store, lead));
    let store = bed.open().await;
    let open = store.open_runs("prod").await.expect("read");
    assert_eq!(open, std::slice::from_ref(&begun));
    assert_eq!(open[0].wishes, Some(wishes));
    let remembered = store.remembered("prod", "once").await.expect("read");
    let remembered = remembered.expect("one");
    assert_eq!(remembered.answer, answer(&begun));
    assert_eq!(remembered.fingerprint, "f");
    // It is for the leader, not for whoever asks for the run.
    let shown = serde_json::json!(begun);
    assert!(shown.get("wishes").is_none(), "{shown}");
}

async fn a_run_and_its_deployment_are_recorded_together(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let given_up = ended(&store, &lead, "a", Outcome::Aborted).await;
    let refused = store.create_by(&lead, new_deployment("prod"), Some(&given_up.id));
    let refused = refused.await.expect_err("the run has ended");
    assert!(
        matches!(refused, StoreError::RunFinished { .. }),
        "{refused}"
    );
    assert_eq!(store.history(None, 9).await.expect("read"), []);
    let run = store.begin_run(&lead, new_run(Cause::Api, "a")).await;
    let run = run.expect("begun").id;
    let made = store.create_by(&lead, new_deployment("prod"), Some(&run));
    let made = made.await.expect("created");
    let attached = store.run(&run).await.expect("read").deployment;
    assert_eq!(attached, Some(made.id));
}

#[test]
fn every_word_is_read_back() {
    for cause in Cause::ALL {
        assert_eq!(cause.as_str().parse(), Ok(cause));
        assert_eq!(serde_json::json!(cause), cause.as_str());
    }
    for outcome in Outcome::ALL {
        assert_eq!(outcome.as_str().parse(), Ok(outcome));
        assert_eq!(serde_json::json!(outcome), outcome.as_str());
    }
    assert!("levitated".parse::<Outcome>().is_err());
    assert!("levitated".parse::<Cause>().is_err());
}
