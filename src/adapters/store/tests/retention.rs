//! What is forgotten.

use super::runs::new_run;
use super::{Bed, On, new_deployment, straight};
use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::lifecycle::state::State;
use crate::domain::records::run::{Cause, NewRun, Outcome};
use jiff::{Timestamp, ToSpan};
use serde_json::json;

on_every_backend! {
    old_deployments_and_runs_go_and_the_rest_stays
    nothing_goes_before_its_time
}

/// A run with a deployment that went well.
async fn released(store: &Store, lead: &Lead) -> (String, String) {
    let run = store.begin_run(lead, new_run(Cause::Api, "a")).await;
    let run = run.expect("begun").id;
    let new = new_deployment(lead.environment());
    let id = store.create(lead, new).await.expect("created").id;
    store.attach_run(lead, &run, &id).await.expect("attached");
    let begun = store.begin_effect(lead, &id, "stage", &1).await;
    begun.expect("begun");
    for event in straight() {
        store.apply(lead, &id, &event).await.expect("goes on");
    }
    let finished = store.finish_run(lead, &run, Outcome::Released, None);
    finished.await.expect("finished");
    (id, run)
}

async fn old_deployments_and_runs_go_and_the_rest_stays(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let other = store.lead("dev").await.expect("nobody leads");
    let (theirs, _) = released(&store, &other).await;
    let new = NewRun {
        cause: Cause::Schedule,
        scheduled_for: Some(Timestamp::now()),
        revision: None,
        wishes: None,
    };
    let scheduled = store.begin_run(&lead, new).await.expect("begun").id;
    let finished = store.finish_run(&lead, &scheduled, Outcome::NothingToDo, None);
    finished.await.expect("finished");
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(released(&store, &lead).await);
    }
    let open = store.begin_run(&lead, new_run(Cause::Api, "a")).await;
    let open = open.expect("begun").id;
    let active = store.create(&lead, new_deployment("prod")).await;
    let active = active.expect("created").id;
    let soon = Timestamp::now() + 1.minute();
    let due = store.due("prod", &["hook"], soon - 1.hour(), soon, 1).await;
    let number = due.expect("read")[0].message.number;
    let told = store.delivered(&lead, number, "hook").await;
    told.expect("recorded");
    let spare = [made[1].0.clone()];

    let wrong = store.trim(&lead, "dev", 0, soon, &[]).await;
    assert!(matches!(wrong, Err(StoreError::WrongLead { .. })));
    let removed = store.trim(&lead, "prod", 1, soon, &spare).await;
    assert_eq!(
        removed.expect("removed"),
        [made[0].0.clone(), made[2].0.clone()]
    );
    for gone in [&made[0].0, &made[2].0] {
        let found = store.events(gone).await;
        assert!(matches!(found, Err(StoreError::NotFound { .. })));
    }
    for (kept, state) in [
        (&made[1].0, State::Done),
        (&made[3].0, State::Done),
        (&active, State::Planned),
        (&theirs, State::Done),
    ] {
        assert_eq!(store.replay(kept).await.expect("whole"), state);
    }
    assert_eq!(store.effects(&made[1].0).await.expect("read").len(), 1);
    let runs = store.runs(Some("prod"), 10).await.expect("read");
    let runs: Vec<_> = runs.into_iter().map(|run| run.id).collect();
    assert_eq!(
        runs,
        [&open, &made[3].1, &made[1].1, &scheduled].map(Clone::clone)
    );
    let left = store
        .due("prod", &["new"], soon - 1.hour(), soon, 100)
        .await;
    let left = left.expect("read");
    // Ten of each release and one of its run; the active one's; the scheduled run's.
    assert_eq!(left.len(), 2 * 11 + 2);
    assert!(left.is_sorted_by_key(|due| due.message.number));
    let again = store.trim(&lead, "prod", 1, soon, &spare).await;
    assert!(again.expect("removed").is_empty());
    let all = store.trim(&lead, "prod", 0, soon, &[]).await;
    assert_eq!(
        all.expect("removed"),
        [made[1].0.clone(), made[3].0.clone()]
    );
    assert!(store.last_scheduled("prod").await.expect("read").is_some());
}

async fn nothing_goes_before_its_time(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let (id, run) = released(&store, &lead).await;
    let answer = store.remember(&lead, "prod", "k", "f", json!(1)).await;
    answer.expect("recorded");
    let past = Timestamp::now() - 1.minute();
    let removed = store.trim(&lead, "prod", 0, past, &[]).await;
    assert!(removed.expect("nothing").is_empty());
    store.deployment(&id).await.expect("there");
    store.run(&run).await.expect("there");
    let known = store.remembered("prod", "k").await.expect("read");
    assert!(known.is_some());
}
