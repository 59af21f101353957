//! The way back: the old side is looked at as green was before the swap, and then swapped in.
//!
//! An old side that is kept may lose what it needs: somebody turns its cluster off to save money, a replica
//! runs out of memory. To swap it in then would replace what serves, however wrong, by what does not answer.
//! So one that is not ready is waited for where a check asked for it and nobody is there, for a time that is
//! a setting; and a person decides, at once where a person asked.

use super::cutover::{self, Direction, Ready, Swapped};
use super::{project_sinks, soak};
use crate::adapters::materialize::catalog::About;
use crate::adapters::materialize::guarded::Names;
use crate::domain::catalog::ObjectKind;
use crate::domain::lifecycle::state::{Asker, Event};
use crate::domain::plan::Plan;
use crate::domain::records::deployment::{Deployment, RecordedEvent};
use crate::operations::error::DeploymentError;
use crate::operations::green::hydrate::{self, Wait, Waited};
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::identity::{GreenObject, Ids, Live};
use crate::operations::saga::scope;
use crate::planning::readiness::{ExpectedCluster, ExpectedObject};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a look takes at most when somebody waits for its answer. Several readings in a row must agree.
const LOOK: Duration = Duration::from_secs(10);

/// How the way back went.
pub(crate) enum Back {
    /// The old side serves.
    Swapped,
    /// It is not ready and is waited for; this is to be told first.
    PutOff(String),
}

/// How the rollback was asked for, as the journal has it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    by_check: bool,
    /// Ready or not.
    is_forced: bool,
    /// Since when it waits, unless a person has looked since.
    put_off: Option<Timestamp>,
}

impl Asked {
    fn of(events: &[RecordedEvent]) -> Self {
        let mut asked = Self::default();
        let mut was_stuck = false;
        for recorded in events.iter().rev() {
            let event = &recorded.event;
            if let Event::RollbackRequested { cause, forced, .. } = event {
                asked.by_check = *cause == Some(Asker::Check);
                asked.is_forced |= *forced;
                return asked;
            }
            asked.is_forced |= matches!(event, Event::RollbackForced { .. });
            was_stuck |= matches!(event, Event::Unstuck { .. });
            // The first of several counts.
            if matches!(event, Event::RollbackPutOff { .. }) && !was_stuck {
                asked.put_off = Some(recorded.at);
            }
        }
        asked
    }
}

/// Whether somebody asked for the old side ready or not.
///
/// # Errors
/// The journal's.
pub(crate) async fn is_forced(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<bool, DeploymentError> {
    let events = context.store.events(&deployment.id).await?;
    Ok(Asked::of(&events).is_forced)
}

/// Makes the old side live, or finds that it is.
///
/// # Errors
/// [`DeploymentError::Stuck`] where the old side is not ready and a person is to decide, and where the swap
/// was refused; the server's and the journal's.
pub(crate) async fn swap(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<Back, DeploymentError> {
    loop {
        if is_still_swapped(context, deployment).await?
            && let Some(reason) = look(context, deployment).await?
        {
            return Ok(Back::PutOff(reason));
        }
        // What is told about readiness is not asked for any more.
        context.watching.end();
        let looked = Some(Ready::seen());
        // They read what goes, and would send what nobody is to see any more.
        project_sinks::unmake(context, deployment).await?;
        match cutover::swap(context, deployment, Direction::Back, looked).await? {
            Swapped::Yes => return Ok(Back::Swapped),
            Swapped::NotYet(reason) => {
                let text = format!("{reason}; the old side is looked at again");
                context.reporter.note(text);
                context.interrupted(deployment)?;
            }
            Swapped::No(reason) => {
                return Err(DeploymentError::Stuck(format!(
                    "the swap back was refused: {reason}. Run `cutover resume` to try again"
                )));
            }
        }
    }
}

/// Whether the new side serves as far as is known. Where anything else is the case the swap finds out what.
async fn is_still_swapped(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<bool, DeploymentError> {
    let effect = context.store.effect(&deployment.id, key::SWAP_BACK).await?;
    if effect.is_some_and(|effect| effect.result.is_some()) {
        return Ok(false);
    }
    let ids = context.recorded_ids(deployment).await?;
    context.materialize.session_patiently().await?;
    let names = Names::read(context.materialize, &scope::sides(deployment, &ids)).await?;
    Ok(ids.live(&deployment.plan, &names) == Live::Green)
}

/// Waits for the old side as long as the one who asked would; the reason why it goes on waiting, where that
/// is not told yet.
async fn look(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<Option<String>, DeploymentError> {
    let events = context.store.events(&deployment.id).await?;
    let asked = Asked::of(&events);
    if asked.is_forced {
        context
            .reporter
            .warning("the old side is swapped in ready or not, as somebody asked".to_owned());
        hydrate::nothing_is_waited_for(context, deployment).await?;
        return Ok(None);
    }
    let most = context.settings.cutover.rollback_wait.0;
    let (limit, is_patient) = match asked.put_off {
        None => (LOOK, false),
        Some(since) => {
            let waited = Timestamp::now().duration_since(since);
            (
                most.saturating_sub(Duration::try_from(waited).unwrap_or_default()),
                true,
            )
        }
    };
    let swapped_ms = soak::swapped_at(&events).as_millisecond();
    let (clusters, gone) = old_side(context, deployment).await?;
    let objects = clusters.values().flat_map(|cluster| &cluster.objects);
    let since = objects.map(|it| (it.id.clone(), swapped_ms)).collect();
    let reason = if gone.is_empty() {
        let wait = Wait {
            side: "the old side",
            clusters,
            since,
            samples: context.settings.readiness.samples,
            limit,
            is_patient,
        };
        match hydrate::until_ready(context, deployment, wait).await? {
            Waited::Ready(_) => return Ok(None),
            Waited::NotReady(reason) => reason,
        }
    } else {
        format!("somebody dropped {} of the old side", gone.join(", "))
    };
    if asked.by_check && asked.put_off.is_none() && gone.is_empty() && !most.is_zero() {
        context.reporter.warning(format!(
            "the rollback waits up to {} for the old side: {reason}",
            humantime::format_duration(most)
        ));
        return Ok(Some(reason));
    }
    Err(DeploymentError::Stuck(format!(
        "old-side-not-ready: {reason}. The new side still serves. Repair the old side and run `cutover resume`, or swap it in all the same with `cutover rollback --force`"
    )))
}

/// What the old side computes, on the clusters that compute it; and what of it is gone, for people.
async fn old_side(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(BTreeMap<String, ExpectedCluster>, Vec<String>), DeploymentError> {
    let ids = context.recorded_ids(deployment).await?;
    let green = context.green_objects(deployment).await?.unwrap_or_default();
    let moved = context.moved_indexes(deployment).await?;
    let green: Vec<GreenObject> = green.into_iter().chain(moved).collect();
    let plan = &deployment.plan;
    let objects = computed(plan);
    let about = About {
        cluster_ids: ids.blue_clusters.values().cloned().collect(),
        names_only: false,
        ..About::default()
    }
    .and_objects(objects.iter().map(|(id, _)| id));
    context.materialize.session_patiently().await?;
    let names = Names::read(context.materialize, &about).await?;
    Ok(expected(plan, &ids, &green, &objects, &names))
}

/// Ids and places (`schema`, `name`) of what the old side computes.
fn computed(plan: &Plan) -> Vec<(String, (String, String))> {
    let in_schemas = plan.schemas.iter().flat_map(|schema| {
        let objects = schema.objects.iter().filter(|object| {
            matches!(
                object.kind,
                ObjectKind::MaterializedView | ObjectKind::Index
            )
        });
        objects.map(|object| {
            let place = (schema.name.clone(), object.name.clone());
            (object.id.clone(), place)
        })
    });
    let indexes = plan.indexes.iter().map(|index| {
        let place = (index.schema.clone(), index.name.clone());
        (index.id.clone(), place)
    });
    in_schemas.chain(indexes).collect()
}

fn expected(
    plan: &Plan,
    ids: &Ids,
    green: &[GreenObject],
    objects: &[(String, (String, String))],
    names: &Names,
) -> (BTreeMap<String, ExpectedCluster>, Vec<String>) {
    let now: BTreeMap<(&str, &str), &str> = green
        .iter()
        .map(|object| {
            let place = (object.schema.as_str(), object.name.as_str());
            (place, object.id.as_str())
        })
        .collect();
    let on_refresh = hydrate::on_refresh(plan);
    // By what the release has there: of a view whose schedule is new, too much is asked and not too little.
    let refreshes = hydrate::refreshes(plan);
    let mut clusters: BTreeMap<String, ExpectedCluster> = ids
        .blue_clusters
        .iter()
        .map(|(name, id)| {
            let cluster = ExpectedCluster {
                name: name.clone(),
                is_on_refresh: on_refresh.contains(name.as_str()),
                objects: Vec::new(),
            };
            (id.clone(), cluster)
        })
        .collect();
    let mut gone = Vec::new();
    for (id, (schema, name)) in objects {
        let called = format!("{schema}.{name}");
        let Some((_, cluster)) = names.objects.get(id) else {
            gone.push(called);
            continue;
        };
        if let Some(cluster) = cluster.as_ref().and_then(|id| clusters.get_mut(id)) {
            cluster.objects.push(ExpectedObject {
                id: id.clone(),
                name: called,
                counterpart: now
                    .get(&(schema.as_str(), name.as_str()))
                    .map(|id| (*id).to_owned()),
                is_scheduled: refreshes.contains_key(&(schema.as_str(), name.as_str())),
            });
        }
    }
    (clusters, gone)
}

#[cfg(test)]
mod tests {
    use super::Asked;
    use crate::domain::lifecycle::state::{Asker, Event, State};
    use crate::domain::records::deployment::RecordedEvent;
    use jiff::Timestamp;

    fn asked(events: &[Event]) -> Asked {
        let mut second = 0;
        let events: Vec<RecordedEvent> = events
            .iter()
            .map(|event| {
                second += 1;
                RecordedEvent {
                    seq: 1,
                    at: Timestamp::from_second(second).expect("a time"),
                    event: event.clone(),
                    state_after: State::RollingBack,
                    by: None,
                }
            })
            .collect();
        Asked::of(&events)
    }

    fn requested(cause: Asker, forced: bool) -> Event {
        Event::RollbackRequested {
            reason: "because".to_owned(),
            cause: Some(cause),
            forced,
            held: false,
        }
    }

    fn put_off() -> Event {
        Event::RollbackPutOff {
            reason: "no replicas".to_owned(),
        }
    }

    #[test]
    fn the_journal_says_how_a_rollback_was_asked_for() {
        let at = |second| Some(Timestamp::from_second(second).expect("a time"));
        let by_check = requested(Asker::Check, false);
        let waits = asked(&[by_check.clone(), put_off()]);
        assert!(waits.by_check && !waits.is_forced && waits.put_off == at(2));
        let stuck = Event::StuckAt {
            state: State::RollingBack,
            reason: "because".to_owned(),
        };
        let unstuck = Event::Unstuck {
            state: State::RollingBack,
        };
        let resumed = [by_check, put_off(), stuck, unstuck];
        // Whoever resumes has it waited for anew.
        assert_eq!(asked(&resumed).put_off, None);
        let again: Vec<Event> = resumed.iter().cloned().chain([put_off()]).collect();
        assert_eq!(asked(&again).put_off, at(5));
        let by = Asker::Cli;
        let forced: Vec<Event> = again
            .into_iter()
            .chain([Event::RollbackForced { by }])
            .collect();
        assert!(asked(&forced).is_forced);
        let by_hand = asked(&[requested(Asker::Cli, true)]);
        assert!(by_hand.is_forced && !by_hand.by_check);
        assert!(!asked(&[requested(Asker::Cli, false)]).is_forced);
    }
}
