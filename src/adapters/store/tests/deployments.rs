//! Deployments, their events and effects.

use super::{Bed, On, created, new_deployment, straight};
use crate::adapters::store::StoreError;
use crate::domain::lifecycle::policy::Policy;
use crate::domain::lifecycle::state::{Event, State};
use crate::foundation::failure::{Class, Classify};
use serde_json::json;

on_every_backend! {
    a_deployment_is_recorded_whole_and_planned
    one_deployment_of_an_environment_is_active
    an_event_that_does_not_fit_changes_nothing
    the_reason_is_the_one_that_explains_the_state
    whether_a_person_is_asked_is_what_the_events_say
    an_effect_keeps_its_first_intent
    a_result_of_null_is_a_result
    what_was_recorded_is_there_after_a_crash
    of_concurrent_events_each_is_applied_once
    a_prefix_names_a_deployment_when_it_is_the_only_one
}

async fn a_deployment_is_recorded_whole_and_planned(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let new = new_deployment("prod");
    let made = store.create(&lead, new.clone()).await.expect("created");
    assert_eq!(made.state, State::Planned);
    assert_eq!((&made.plan, &made.request), (&new.plan, &new.request));
    assert_eq!((made.attempt, made.finished_at), (1, None));
    assert_eq!(store.deployment(&made.id).await.expect("found"), made);
    assert_eq!(
        store.active("prod").await.expect("read"),
        Some(made.clone())
    );
    assert_eq!(
        store.latest("prod").await.expect("read"),
        Some(made.clone())
    );
    assert_eq!(store.active("other").await.expect("read"), None);
    let events = store.events(&made.id).await.expect("read");
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].seq, &events[0].event), (1, &Event::PlanStored));
    assert_eq!(
        store.replay(&made.id).await.expect("agrees"),
        State::Planned
    );
}

async fn one_deployment_of_an_environment_is_active(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let other = store.lead("dev").await.expect("another environment");
    let first = created(&store, &lead).await;
    let refusal = store
        .create(&lead, new_deployment("prod"))
        .await
        .expect_err("one is active");
    assert!(
        matches!(&refusal, StoreError::DeploymentActive { id, state: State::Planned, .. } if *id == first.id),
        "{refusal:?}"
    );
    assert_eq!(refusal.class(), Class::Refused);
    store
        .create(&other, new_deployment("dev"))
        .await
        .expect("another environment");
    let under_way = async || -> Vec<String> {
        let listed = store.under_way().await.expect("listed").into_iter();
        listed.map(|summary| summary.environment).collect()
    };
    assert_eq!(under_way().await, ["dev", "prod"]);

    for event in straight() {
        store
            .apply(&lead, &first.id, &event)
            .await
            .expect("goes on");
    }
    let done = store.deployment(&first.id).await.expect("found");
    assert_eq!(done.state, State::Done);
    assert_eq!(under_way().await, ["dev"]);
    assert_eq!(done.finished_at, Some(done.updated_at));
    assert_eq!(store.active("prod").await.expect("read"), None);
    let second = store
        .create(&lead, new_deployment("prod"))
        .await
        .expect("the first has ended");
    assert_eq!(
        store.latest("prod").await.expect("read").map(|d| d.id),
        Some(second.id.clone())
    );

    let all = store.history(None, 10).await.expect("read");
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].id, second.id);
    let own = store.history(Some("prod"), 10).await.expect("read");
    assert_eq!(
        own.iter()
            .map(|s| (s.id.as_str(), s.state))
            .collect::<Vec<_>>(),
        [
            (second.id.as_str(), State::Planned),
            (first.id.as_str(), State::Done)
        ]
    );
    assert_eq!(store.history(None, 1).await.expect("read").len(), 1);
    assert!(
        store
            .history(Some("none"), 1)
            .await
            .expect("read")
            .is_empty()
    );
}

async fn an_event_that_does_not_fit_changes_nothing(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let made = created(&store, &lead).await;
    let refusal = store
        .apply(&lead, &made.id, &Event::SwapCommitted)
        .await
        .expect_err("nothing was staged");
    assert!(
        matches!(refusal, StoreError::Transition { .. }),
        "{refusal:?}"
    );
    assert_eq!(store.deployment(&made.id).await.expect("found"), made);
    assert_eq!(store.events(&made.id).await.expect("read").len(), 1);
}

async fn whether_a_person_is_asked_is_what_the_events_say(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let id = created(&store, &lead).await.id;
    let asked = |reason: &str| Event::DecisionAsked {
        reason: reason.to_owned(),
    };
    for (event, asks) in [
        (Event::StagingStarted, None),
        (Event::Staged, None),
        (Event::Built, None),
        (Event::Hydrated, None),
        (Event::Verified, None),
        (asked("before"), Some("before")),
        (Event::PromotionStarted, None),
        (
            Event::SwapPutOff {
                reason: "away".to_owned(),
            },
            None,
        ),
        (Event::PromotionStarted, None),
        (Event::SwapCommitted, None),
        (asked("soak"), Some("soak")),
        (Event::Recovered, Some("soak")),
        (Event::DecisionWithdrawn, None),
        (asked("again"), Some("again")),
        (Event::Soaked, None),
    ] {
        let applied = store.apply(&lead, &id, &event).await.expect("goes on");
        assert_eq!(applied.asks, asks.is_some(), "{event:?}");
        let is_manual = applied.cleanup() == Policy::Manual;
        assert_eq!(is_manual, asks.is_some(), "{event:?}");
        assert_eq!(applied.reason.as_deref(), asks, "{event:?}");
        assert_eq!(store.deployment(&id).await.expect("found"), applied);
        let listed = store.history(None, 1).await.expect("read");
        assert_eq!(listed[0].asks, applied.asks, "{event:?}");
    }
}

async fn the_reason_is_the_one_that_explains_the_state(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let id = created(&store, &lead).await.id;
    let failed = Event::StepFailed {
        reason: "a model fails".to_owned(),
    };
    let stuck = Event::StuckAt {
        state: State::Unwinding,
        reason: "a schema was taken".to_owned(),
    };
    let mut reasons = Vec::new();
    for event in [
        Event::StagingStarted,
        failed,
        stuck,
        Event::Unstuck {
            state: State::Unwinding,
        },
        Event::UnwoundAfterFailure,
    ] {
        reasons.push(
            store
                .apply(&lead, &id, &event)
                .await
                .expect("goes on")
                .reason,
        );
    }
    assert_eq!(
        reasons.iter().map(Option::as_deref).collect::<Vec<_>>(),
        [
            None,
            Some("a model fails"),
            Some("a schema was taken"),
            Some("a model fails"),
            Some("a model fails")
        ]
    );
    assert_eq!(store.replay(&id).await.expect("agrees"), State::Failed);
}

async fn an_effect_keeps_its_first_intent(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let id = created(&store, &lead).await.id;
    assert!(store.effect(&id, "stage").await.expect("read").is_none());
    let unbegun = store
        .finish_effect(&lead, &id, "stage", &1)
        .await
        .expect_err("no intent");
    assert!(
        matches!(unbegun, StoreError::EffectNotBegun { .. }),
        "{unbegun:?}"
    );

    let first = store
        .begin_effect(&lead, &id, "stage", &json!({"id": "u1"}))
        .await
        .expect("begun");
    assert_eq!((first.attempt, &first.result), (1, &None));
    let again = store
        .begin_effect(&lead, &id, "stage", &json!({"id": "u2"}))
        .await
        .expect("begun");
    assert_eq!((again.attempt, &again.intent), (2, &json!({"id": "u1"})));
    assert_eq!(again.started_at, first.started_at);
    store
        .finish_effect(&lead, &id, "stage", &vec!["u9"])
        .await
        .expect("finished");
    let known = store
        .begin_effect(&lead, &id, "stage", &json!(null))
        .await
        .expect("begun");
    assert_eq!(
        known.result_as::<Vec<String>>().expect("a list"),
        Some(vec!["u9".to_owned()])
    );
    assert!(known.result_as::<u32>().is_err());
    assert!(known.finished_at.is_some());

    store
        .begin_effect(&lead, &id, "another", &())
        .await
        .expect("begun");
    let keys: Vec<String> = store
        .effects(&id)
        .await
        .expect("read")
        .into_iter()
        .map(|e| e.key)
        .collect();
    assert_eq!(keys, ["stage", "another"]);

    store
        .apply(&lead, &id, &Event::AbortRequested)
        .await
        .expect("goes on");
    store
        .apply(&lead, &id, &Event::UnwoundAfterAbort)
        .await
        .expect("goes on");
    let ended = store
        .begin_effect(&lead, &id, "late", &())
        .await
        .expect_err("it has ended");
    assert!(
        matches!(
            ended,
            StoreError::Ended {
                state: State::Aborted,
                ..
            }
        ),
        "{ended:?}"
    );
    assert!(store.take_up(&lead, &id).await.is_err());
}

async fn a_result_of_null_is_a_result(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let id = created(&store, &lead).await.id;
    store
        .begin_effect(&lead, &id, "drop", &())
        .await
        .expect("begun");
    store
        .finish_effect(&lead, &id, "drop", &())
        .await
        .expect("finished");
    let effect = store
        .effect(&id, "drop")
        .await
        .expect("read")
        .expect("there");
    assert_eq!(effect.result, Some(serde_json::Value::Null));
}

async fn what_was_recorded_is_there_after_a_crash(on: On) {
    let bed = Bed::on(on);
    let (id, before) = {
        let store = bed.open().await;
        let lead = store.lead("prod").await.expect("nobody leads");
        let id = created(&store, &lead).await.id;
        store
            .apply(&lead, &id, &Event::StagingStarted)
            .await
            .expect("goes on");
        store
            .begin_effect(&lead, &id, "stage", &json!({"schema": "x"}))
            .await
            .expect("begun");
        let before = store.deployment(&id).await.expect("found");
        (id, before)
    };
    let store = bed.open().await;
    assert_eq!(store.deployment(&id).await.expect("found"), before);
    let effect = store
        .effect(&id, "stage")
        .await
        .expect("read")
        .expect("there");
    assert_eq!((effect.result, effect.attempt), (None, 1));
    let lead = store.lead("prod").await.expect("the leader is gone");
    let taken = store.take_up(&lead, &id).await.expect("goes on");
    assert_eq!((taken.attempt, taken.state), (2, State::Staging));
    assert_eq!(store.replay(&id).await.expect("agrees"), State::Staging);
}

async fn of_concurrent_events_each_is_applied_once(on: On) {
    let bed = Bed::on(on);
    let (one, two) = (bed.open().await, bed.open().await);
    let lead = std::sync::Arc::new(one.lead("prod").await.expect("nobody leads"));
    let id = created(&one, &lead).await.id;
    for event in straight() {
        let mut tasks = tokio::task::JoinSet::new();
        for store in [&one, &two, &one, &two] {
            let (store, lead, id, event) = (store.clone(), lead.clone(), id.clone(), event.clone());
            tasks.spawn(async move { store.apply(&lead, &id, &event).await.is_ok() });
        }
        let outcomes = tasks.join_all().await;
        assert_eq!(outcomes.iter().filter(|ok| **ok).count(), 1, "{event:?}");
    }
    assert_eq!(two.events(&id).await.expect("read").len(), 10);
    assert_eq!(two.replay(&id).await.expect("agrees"), State::Done);
}

async fn a_prefix_names_a_deployment_when_it_is_the_only_one(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let other = store.lead("dev").await.expect("nobody leads");
    let one = created(&store, &lead).await.id;
    assert_eq!(
        store
            .deployment(&one[..1].to_uppercase())
            .await
            .expect("only one")
            .id,
        one
    );
    let two = store
        .create(&other, new_deployment("dev"))
        .await
        .expect("created")
        .id;
    assert_eq!(store.deployment(&one).await.expect("whole").id, one);
    let ambiguous = store.deployment(&one[..1]).await.expect_err("two begin so");
    let StoreError::Ambiguous { ids, .. } = &ambiguous else {
        panic!("{ambiguous:?}");
    };
    assert_eq!(ids, &[two, one]);
    for nobody in ["", " ", "%", "_", "zz", "'"] {
        let missing = store
            .deployment(nobody)
            .await
            .expect_err("nothing begins so");
        assert!(
            matches!(missing, StoreError::NotFound { .. }),
            "{missing:?}"
        );
    }
    for missing in [
        store.events("x").await.map(|_| ()),
        store.effects("x").await.map(|_| ()),
        store.replay("x").await.map(|_| ()),
        store.apply(&lead, "x", &Event::Staged).await.map(|_| ()),
        store.begin_effect(&lead, "x", "k", &()).await.map(|_| ()),
        store.finish_effect(&lead, "x", "k", &()).await,
    ] {
        assert!(
            matches!(missing, Err(StoreError::NotFound { .. })),
            "{missing:?}"
        );
    }
}
