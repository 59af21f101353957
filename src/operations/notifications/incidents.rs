//! What a message means for somebody who keeps incidents: one for each deployment, and one for each environment's runs
//! that made no deployment.
//!
//! 1. Trouble triggers the deployment's incident.
//! 2. Whatever somebody asks of a deployment in trouble acknowledges it.
//! 3. It is resolved when a person went on with what was stuck, when what serves is well again, when nobody has to decide
//!    any more, and when the deployment is live, done, rolled back or given up.
//! 4. A deployment that is live resolves what failed before it in the environment.
//!
//! Nothing is sent that could not matter: what resolves is sent only where trouble was told before.

use super::topic_of;
use crate::adapters::notify::{Act, Incident};
use crate::adapters::store::{Due, Message, Store, StoreError};
use crate::domain::lifecycle::state::State;
use crate::domain::records::run::Outcome;
use crate::inputs::settings::notifications::Kind;
use crate::inputs::settings::{Target, Topic};
use std::collections::BTreeSet;

/// How many of the deployments before are looked at.
const BEFORE: u32 = 10;

/// Whether the target keeps incidents.
pub(super) fn keeps(target: &Target) -> bool {
    matches!(target.kind, Kind::Pagerduty { .. })
}

/// Of what is due, what does not follow something of the same incident that waits. `pending` is what waits or is
/// due, in order, up to `most`.
pub(super) fn in_order(due: Vec<Due>, pending: &[Due], most: usize) -> Vec<Due> {
    let numbers: BTreeSet<i64> = due.iter().map(|due| due.message.number).collect();
    let waiting = pending.iter().map(|one| &one.message);
    let waiting: Vec<_> = waiting
        .filter(|one| !numbers.contains(&one.number))
        .collect();
    // Of what lies beyond the last that was read it is not known what it follows.
    let last = pending.last().filter(|_| pending.len() >= most);
    let last = last.map_or(i64::MAX, |last| last.message.number);
    let may = |due: &Due| {
        let message = &due.message;
        let follows =
            |other: &&Message| other.number < message.number && key(other) == key(message);
        message.number <= last && !waiting.iter().any(follows)
    };
    due.into_iter().filter(may).collect()
}

/// The incident that a message is about.
fn key(message: &Message) -> String {
    let of = message.deployment_id.as_deref().unwrap_or("run");
    key_of(&message.environment, of)
}

fn key_of(environment: &str, deployment: &str) -> String {
    format!("cutover/{deployment}/{environment}")
}

/// What a message means; `None` where nothing is to be sent.
pub(super) async fn meant(
    store: &Store,
    topics: &[Topic],
    message: &Message,
) -> Result<Option<Incident>, StoreError> {
    let is_wanted = |topic: Option<Topic>| {
        topic.is_some_and(|topic| Topic::TROUBLE.contains(&topic) && topics.contains(&topic))
    };
    if is_wanted(topic_of(&message.kind, message.deployment_id.is_some())) {
        return Ok(Some(Incident {
            act: Act::Trigger,
            keys: vec![key(message)],
        }));
    }
    let act = match message.kind.as_str() {
        "asked" | "retried" | "rollback_forced" => Act::Acknowledge,
        "unstuck"
        | "recovered"
        | "decision_withdrawn"
        | "swap_committed"
        | "cleaned_up"
        | "rolled_back"
        | "unwound_after_abort"
        | "run_released"
        | "run_nothing_to_do" => Act::Resolve,
        _ => return Ok(None),
    };
    let mut keys = Vec::new();
    match &message.deployment_id {
        Some(id) if !message.kind.starts_with("run_") => {
            if was_trouble(store, id, message, is_wanted).await? {
                keys.push(key(message));
            }
            if message.kind == "swap_committed" {
                let before = store.history(Some(&message.environment), BEFORE).await?;
                let before = before.into_iter().skip_while(|one| one.id != *id).skip(1);
                let failed = before.take_while(|one| {
                    !matches!(one.state, State::Done | State::Soaking | State::CleaningUp)
                });
                let failed = failed.filter(|one| one.state == State::Failed);
                if is_wanted(Some(Topic::Failed)) || is_wanted(Some(Topic::Kept)) {
                    keys.extend(failed.map(|one| key_of(&one.environment, &one.id)));
                }
            }
        }
        Some(_) | None => {
            let run = message.body.get("run").and_then(serde_json::Value::as_str);
            let runs = store.runs(Some(&message.environment), BEFORE).await?;
            let before = runs.iter().skip_while(|one| Some(one.id.as_str()) != run);
            let troubled = before.skip(1).find_map(|one| match one.outcome {
                Some(Outcome::Refused) => Some(is_wanted(Some(Topic::Refused))),
                Some(Outcome::Failed) if one.deployment.is_none() => {
                    Some(is_wanted(Some(Topic::Failed)))
                }
                Some(Outcome::Released | Outcome::NothingToDo) => Some(false),
                Some(
                    Outcome::Failed
                    | Outcome::RolledBack
                    | Outcome::Aborted
                    | Outcome::Stuck
                    | Outcome::Skipped
                    | Outcome::Interrupted,
                )
                | None => None,
            });
            if troubled == Some(true) {
                keys.push(key_of(&message.environment, "run"));
            }
        }
    }
    Ok((!keys.is_empty()).then_some(Incident { act, keys }))
}

/// Whether trouble of the deployment was told before the message.
async fn was_trouble(
    store: &Store,
    id: &str,
    message: &Message,
    is_wanted: impl Fn(Option<Topic>) -> bool,
) -> Result<bool, StoreError> {
    let events = match store.events(id).await {
        Ok(events) => events,
        Err(StoreError::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let seq = message.body.get("seq").and_then(serde_json::Value::as_u64);
    let before = events
        .iter()
        .filter(|event| seq.is_none_or(|seq| u64::from(event.seq) < seq));
    let mut kinds = before.filter_map(|event| {
        let event = serde_json::to_value(&event.event).ok()?;
        Some(event.get("kind")?.as_str()?.to_owned())
    });
    Ok(kinds.any(|kind| is_wanted(topic_of(&kind, true))))
}

#[cfg(test)]
mod tests {
    use super::in_order;
    use crate::adapters::store::{Due, Message};
    use jiff::Timestamp;

    fn due(number: i64, deployment: &str) -> Due {
        Due {
            message: Message {
                number,
                id: String::new(),
                kind: String::new(),
                environment: "prod".to_owned(),
                deployment_id: Some(deployment.to_owned()),
                body: serde_json::Value::Null,
                created_at: Timestamp::UNIX_EPOCH,
            },
            target: "pager".to_owned(),
            attempts: 0,
        }
    }

    #[test]
    fn what_resolves_waits_for_what_it_resolves() {
        let numbers = |due: Vec<Due>| due.iter().map(|one| one.message.number).collect::<Vec<_>>();
        // The first of a waits to be tried again.
        let pending = [due(1, "a"), due(2, "b"), due(3, "a"), due(4, "b")];
        let now = vec![due(2, "b"), due(3, "a"), due(4, "b")];
        assert_eq!(numbers(in_order(now, &pending, 20)), [2, 4]);
        // What was read ends with 2: what the others follow is not known.
        let now = vec![due(2, "b"), due(3, "a"), due(4, "b")];
        assert_eq!(numbers(in_order(now, &pending[..2], 2)), [2]);
    }
}
