use super::{Asker, Event, InvalidTransition, State, next};
use crate::domain::lifecycle::verb::Verb;
use proptest::prelude::*;

fn reason() -> String {
    "because".to_owned()
}

fn every_event() -> Vec<Event> {
    let mut events = vec![
        Event::PlanStored,
        Event::StagingStarted,
        Event::Staged,
        Event::Built,
        Event::Hydrated,
        Event::Verified,
        Event::PromotionStarted,
        Event::SwapCommitted,
        Event::SwapDeclined { reason: reason() },
        Event::SwapPutOff { reason: reason() },
        Event::Soaked,
        Event::CleanedUp,
        Event::StepFailed { reason: reason() },
        Event::StepKept {
            reason: reason(),
            until: jiff::Timestamp::UNIX_EPOCH,
        },
        Event::Retried,
        Event::KeepingEnded { why: reason() },
        Event::Approved {
            given: 1,
            needed: 2,
        },
        Event::PromotionWaits { reason: reason() },
        Event::GateClosed {
            gate: reason(),
            reason: reason(),
        },
        Event::Expired { reason: reason() },
        Event::AbortRequested,
        Event::UnwoundAfterFailure,
        Event::UnwoundAfterAbort,
        Event::RollbackRequested {
            reason: reason(),
            cause: None,
            forced: false,
            held: false,
        },
        Event::RollbackPutOff { reason: reason() },
        Event::RollbackForced { by: Asker::Cli },
        Event::Degraded { reason: reason() },
        Event::Recovered,
        Event::RolledBack,
        Event::Asked {
            verb: Verb::Promote,
            by: Asker::Cli,
        },
        Event::AskedTooLate {
            verb: Verb::Abort,
            reason: reason(),
        },
    ];
    for state in State::ALL {
        events.push(Event::StuckAt {
            state,
            reason: reason(),
        });
        events.push(Event::Unstuck { state });
    }
    events
}

#[test]
fn the_happy_path_reaches_done() {
    let path = [
        Event::PlanStored,
        Event::StagingStarted,
        Event::Staged,
        Event::Built,
        Event::Hydrated,
        Event::Verified,
        Event::PromotionStarted,
        Event::SwapCommitted,
        Event::Soaked,
        Event::CleanedUp,
    ];
    let end = path.iter().try_fold(State::Pending, next);
    assert_eq!(end, Ok(State::Done));
}

#[test]
fn terminal_states_take_no_event() {
    for state in State::ALL.into_iter().filter(|s| s.is_terminal()) {
        for event in every_event() {
            assert_eq!(
                next(state, &event),
                Err(InvalidTransition {
                    state,
                    event: event.clone()
                })
            );
        }
    }
}

#[test]
fn after_the_swap_was_sent_nothing_unwinds() {
    for state in [
        State::CuttingOver,
        State::Soaking,
        State::CleaningUp,
        State::RollingBack,
    ] {
        for event in [
            Event::StepFailed { reason: reason() },
            Event::AbortRequested,
            Event::UnwoundAfterFailure,
            Event::UnwoundAfterAbort,
        ] {
            assert!(next(state, &event).is_err(), "{state} took {event:?}");
        }
    }
}

#[test]
fn cleaning_up_is_only_reached_through_a_committed_swap() {
    for state in State::ALL {
        for event in every_event() {
            if state != State::CleaningUp && next(state, &event) == Ok(State::CleaningUp) {
                assert!(
                    matches!(
                        (state, &event),
                        (State::Soaking, Event::Soaked)
                            | (
                                State::Stuck,
                                Event::Unstuck {
                                    state: State::CleaningUp
                                }
                            )
                    ),
                    "{state} {event:?}"
                );
            }
        }
    }
}

#[test]
fn only_what_can_be_tried_again_is_kept_and_it_ends_one_way_or_the_other() {
    let kept = Event::StepKept {
        reason: reason(),
        until: jiff::Timestamp::UNIX_EPOCH,
    };
    let from = State::ALL
        .into_iter()
        .filter(|state| next(*state, &kept).is_ok());
    let from: Vec<State> = from.collect();
    assert_eq!(from, [State::Building, State::Hydrating, State::Verifying]);
    let leads = |event: &Event| next(State::Kept, event);
    assert_eq!(leads(&Event::Retried), Ok(State::Building));
    assert_eq!(leads(&Event::AbortRequested), Ok(State::Unwinding));
    assert_eq!(
        leads(&Event::KeepingEnded { why: reason() }),
        Ok(State::Unwinding)
    );
    for event in every_event() {
        if let Ok(after) = leads(&event) {
            let is_known = matches!(
                after,
                State::Kept | State::Building | State::Unwinding | State::Stuck
            );
            assert!(is_known, "{event:?} leads to {after}");
        }
    }
    let by = Asker::Cli;
    assert_eq!(
        Verb::Resume.event(State::Kept, by),
        Ok(Some(Event::Retried))
    );
    assert_eq!(
        Verb::Abort.event(State::Kept, by),
        Ok(Some(Event::AbortRequested))
    );
    assert!(Verb::Promote.event(State::Kept, by).is_err());
    assert!(Verb::RollbackAndHold.event(State::Kept, by).is_err());
    let held = Verb::RollbackAndHold.event(State::Soaking, by);
    assert!(matches!(
        held,
        Ok(Some(Event::RollbackRequested {
            held: true,
            forced: false,
            ..
        }))
    ));
}

proptest! {
    #[test]
    fn words_round_trip(index in 0..State::ALL.len()) {
        let state = State::ALL[index];
        prop_assert_eq!(state.as_str().parse::<State>(), Ok(state));
    }

    #[test]
    fn other_words_are_refused(word in "[a-z_]{0,14}") {
        let known = State::ALL.iter().any(|s| s.as_str() == word);
        prop_assert_eq!(word.parse::<State>().is_ok(), known);
    }

    #[test]
    fn a_random_walk_never_leaves_a_terminal_state(picks in prop::collection::vec(0usize..53, 0..60)) {
        let events = every_event();
        let mut state = State::Pending;
        for pick in picks {
            if let Ok(after) = next(state, &events[pick % events.len()]) {
                prop_assert!(!state.is_terminal());
                state = after;
            }
        }
    }
}
