//! What an event makes of a deployment, and as which row it is written.

use super::error::StoreError;
use super::row::{Change, EventRow, Head};
use super::{json, now, reason, stamp};
use crate::domain::lifecycle::state::{self, Event, State};

/// What an event makes of a deployment.
pub(super) fn applied(
    head: Head,
    past: &[EventRow],
    event: Event,
    by: String,
) -> Result<Change, StoreError> {
    let before = head.state()?;
    let state = after(&head.id, before, &event)?;
    let is_elsewhere = state != before;
    let mut events = past
        .iter()
        .map(|row| row.recorded(&head.id).map(|recorded| recorded.event))
        .collect::<Result<Vec<_>, _>>()?;
    let at = stamp(now());
    let seq = past.last().map_or(0, |last| last.seq) + 1;
    let row = event_row(seq, at.clone(), &event, state, by)?;
    events.push(event);
    Ok(Change {
        head: Head {
            state: state.as_str().to_owned(),
            active: !state.is_terminal(),
            finished_at: state.is_terminal().then(|| at.clone()),
            reason: reason::reason(state, &events),
            asks: reason::asks(state, &events),
            updated_at: if is_elsewhere { at } else { head.updated_at },
            ..head
        },
        event: Some(row),
    })
}

pub(super) fn after(id: &str, state: State, event: &Event) -> Result<State, StoreError> {
    state::next(state, event).map_err(|source| StoreError::Transition {
        id: id.to_owned(),
        source,
    })
}

pub(super) fn unended(head: &Head, key: &str) -> Result<(), StoreError> {
    let state = head.state()?;
    if state.is_terminal() {
        return Err(StoreError::Ended {
            id: head.id.clone(),
            state,
            key: key.to_owned(),
        });
    }
    Ok(())
}

pub(super) fn event_row(
    seq: u32,
    at: String,
    event: &Event,
    after: State,
    by: String,
) -> Result<EventRow, StoreError> {
    let body = json("the event", event)?;
    let kind = serde_json::from_slice::<Tag>(body.as_bytes())
        .map_err(|source| StoreError::Unwritable {
            what: "the event".to_owned(),
            source,
        })?
        .kind;
    Ok(EventRow {
        seq,
        at,
        kind,
        body,
        state_after: after.as_str().to_owned(),
        by: Some(by),
    })
}

/// The word that tells events apart in their documents.
#[derive(serde::Deserialize)]
struct Tag {
    kind: String,
}
