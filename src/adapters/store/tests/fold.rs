//! The stored state is the fold of the events, whatever they are.

use super::{Bed, On, new_deployment, straight};
use crate::domain::lifecycle::state::{Asker, Event, State, next};
use crate::domain::lifecycle::verb::Verb;
use proptest::prelude::*;

fn any_event() -> impl Strategy<Value = Event> {
    let state = || proptest::sample::select(State::ALL.to_vec());
    let reason = || ".{0,12}";
    prop_oneof![
        8 => proptest::sample::select(straight()),
        1 => Just(Event::PlanStored),
        1 => Just(Event::AbortRequested),
        1 => Just(Event::UnwoundAfterFailure),
        1 => Just(Event::UnwoundAfterAbort),
        1 => Just(Event::RolledBack),
        1 => reason().prop_map(|reason| Event::SwapDeclined { reason }),
        1 => reason().prop_map(|reason| Event::SwapPutOff { reason }),
        1 => reason().prop_map(|reason| Event::StepFailed { reason }),
        1 => reason().prop_map(|reason| Event::StepKept { reason, until: jiff::Timestamp::UNIX_EPOCH }),
        1 => Just(Event::Retried),
        1 => reason().prop_map(|why| Event::KeepingEnded { why }),
        1 => reason().prop_map(|reason| Event::RollbackRequested { reason, cause: None, forced: false, held: false }),
        1 => reason().prop_map(|reason| Event::RollbackPutOff { reason }),
        1 => Just(Event::RollbackForced { by: Asker::Cli }),
        1 => reason().prop_map(|reason| Event::Degraded { reason }),
        1 => Just(Event::Recovered),
        1 => reason().prop_map(|reason| Event::PromotionWaits { reason }),
        1 => reason().prop_map(|reason| Event::GateClosed { gate: String::new(), reason }),
        1 => reason().prop_map(|reason| Event::Expired { reason }),
        2 => reason().prop_map(|reason| Event::DecisionAsked { reason }),
        1 => Just(Event::DecisionWithdrawn),
        2 => reason().prop_map(|reason| Event::HeldUp { reason }),
        1 => reason().prop_map(|reason| Event::FreezeOverridden { reason }),
        1 => Just(Event::Asked { verb: Verb::Abort, by: Asker::Api }),
        1 => reason().prop_map(|reason| Event::AskedTooLate { verb: Verb::Rollback, reason }),
        2 => (state(), reason()).prop_map(|(state, reason)| Event::StuckAt { state, reason }),
        2 => state().prop_map(|state| Event::Unstuck { state }),
    ]
}

/// The stored state is the fold of the events.
fn fold(on: On, events: Vec<(Event, bool)>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let bed = Bed::on(on);
        let store = bed.open().await;
        let lead = store.lead("e").await.expect("nobody leads");
        let id = store
            .create(&lead, new_deployment("e"))
            .await
            .expect("created")
            .id;
        let (mut expected, mut count) = (State::Planned, 1);
        for (event, follow) in events {
            // Half of the time an event that leads on, or few sequences get far.
            let event = if follow {
                straight()
                    .into_iter()
                    .find(|e| next(expected, e).is_ok())
                    .unwrap_or(event)
            } else {
                event
            };
            let outcome = store.apply(&lead, &id, &event).await;
            match next(expected, &event) {
                Ok(state) => {
                    expected = state;
                    count += 1;
                    prop_assert_eq!(outcome.map(|d| d.state).ok(), Some(state));
                }
                Err(_) => prop_assert!(outcome.is_err()),
            }
        }
        prop_assert_eq!(store.replay(&id).await.expect("agrees"), expected);
        prop_assert_eq!(store.events(&id).await.expect("read").len(), count);
        prop_assert_eq!(
            store.active("e").await.expect("read").is_some(),
            !expected.is_terminal()
        );
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_stored_state_is_the_fold_of_the_events_on_sqlite(
        events in proptest::collection::vec((any_event(), any::<bool>()), 1..60),
    ) {
        fold(On::Sqlite, events)?;
    }

    #[test]
    fn the_stored_state_is_the_fold_of_the_events_on_postgres(
        events in proptest::collection::vec((any_event(), any::<bool>()), 1..60),
    ) {
        fold(On::Postgres, events)?;
    }
}
