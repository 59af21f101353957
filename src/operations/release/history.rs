//! What earlier deployments say about the next one.

use super::{Release, ReleaseError};
use crate::adapters::store::Store;
use crate::domain::lifecycle::state::{Event, State};
use crate::domain::records::deployment::RecordedEvent;

/// Deployments whose waits for readiness say how long the next one takes.
const LEARNT_FROM: usize = 5;

/// The most deployments among which those are looked for.
const LEARNT_WITHIN: u32 = 50;

impl Release {
    /// How long the last deployments of this environment waited for readiness, the median. From the
    /// journal alone, so that it stays the same until something is deployed.
    pub(crate) async fn estimated_hydration(
        &self,
        store: &Store,
    ) -> Result<Option<u64>, ReleaseError> {
        let mut waits = Vec::new();
        let past = store.history(Some(&self.environment), LEARNT_WITHIN);
        for deployment in past.await? {
            if waits.len() < LEARNT_FROM {
                waits.extend(hydration(&store.events(&deployment.id).await?));
            }
        }
        Ok(median(waits))
    }
}

/// How long a deployment waited for readiness, in milliseconds; `None` when it never was ready. After
/// an interruption that needed a person, the wait counts from where it began again.
fn hydration(events: &[RecordedEvent]) -> Option<u64> {
    let ready = events
        .iter()
        .position(|event| event.event == Event::Hydrated)?;
    let began = events[..ready]
        .iter()
        .rfind(|event| event.state_after == State::Hydrating)?;
    let waited = events[ready].at.duration_since(began.at);
    u64::try_from(waited.as_millis()).ok()
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(lower.midpoint(upper))
}

#[cfg(test)]
mod tests {
    use super::{hydration, median};
    use crate::domain::lifecycle::state::{Event, State};
    use crate::domain::records::deployment::RecordedEvent;

    fn event(seconds: i64, event: Event, state_after: State) -> RecordedEvent {
        RecordedEvent {
            seq: 1,
            at: jiff::Timestamp::from_second(seconds).expect("a moment"),
            event,
            state_after,
            by: None,
        }
    }

    #[test]
    fn a_wait_for_readiness_is_from_the_build_to_the_tests() {
        let mut events = vec![
            event(10, Event::Staged, State::Building),
            event(100, Event::Built, State::Hydrating),
        ];
        assert_eq!(hydration(&events), None);
        events.push(event(160, Event::Hydrated, State::Verifying));
        events.push(event(170, Event::Verified, State::Ready));
        assert_eq!(hydration(&events), Some(60_000));
    }

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(median(Vec::new()), None);
        assert_eq!(median(vec![7]), Some(7));
        assert_eq!(median(vec![9, 1, 5]), Some(5));
        assert_eq!(median(vec![4, 1, 9, 2]), Some(3));
    }
}
