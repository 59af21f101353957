//! The swap, forwards and backwards.
//!
//! One guarded transaction renames the control schema (the fence), swaps every schema and cluster
//! and commits. SWAP is its own inverse, so it is never sent before the ids have said which side
//! is live: before each attempt and after each unknown or known outcome the ids are read.

use crate::adapters::materialize::catalog::About;
use crate::adapters::materialize::guarded::{Guarded, Names};
use crate::adapters::materialize::{MaterializeError, Statement, ddl};
use crate::domain::lifecycle::state::Event;
use crate::domain::plan::Plan;
use crate::domain::plan::refusal::RefusalName;
use crate::domain::records::deployment::Deployment;
use crate::foundation::failure::{Class, Classify};
use crate::operations::deployment::hold;
use crate::operations::error::DeploymentError;
use crate::operations::green::production_changes;
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::identity::{GreenObject, Ids, Live, SecretNames, unchanged};
use crate::operations::saga::{scope, standing};
use crate::operations::takedown::corners;
use futures_util::FutureExt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Which way the swap goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Green becomes production; generation 0 becomes 1.
    Forward,
    /// The old side becomes production again; generation 1 becomes 2.
    Back,
}

impl Direction {
    fn key(self) -> &'static str {
        match self {
            Direction::Forward => key::SWAP,
            Direction::Back => key::SWAP_BACK,
        }
    }

    fn generation(self) -> u32 {
        match self {
            Direction::Forward => 0,
            Direction::Back => 1,
        }
    }

    fn after(self) -> Live {
        match self {
            Direction::Forward => Live::Green,
            Direction::Back => Live::Blue,
        }
    }

    fn is_before(self, live: &Live) -> bool {
        match self {
            Direction::Forward => *live == Live::Blue,
            Direction::Back => *live == Live::Green,
        }
    }
}

/// How the attempt ended, as the ids say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Swapped {
    /// The other side is live.
    Yes,
    /// Nothing changed, for this reason.
    No(String),
    /// Nothing was sent: whether green is ready must be looked at first, for this reason.
    NotYet(String),
}

impl Swapped {
    /// The end of an attempt to make green live.
    pub(super) fn event(self) -> Event {
        match self {
            Swapped::Yes => Event::SwapCommitted,
            Swapped::No(reason) => Event::SwapDeclined { reason },
            Swapped::NotYet(reason) => Event::SwapPutOff { reason },
        }
    }
}

/// So long after it was seen green is taken for ready; the swap follows within moments.
const READY_FOR: Duration = Duration::from_secs(30);

/// The moment at which this process saw that green is ready, its connection to the server kept since.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready(Instant);

impl Ready {
    /// It was seen just now.
    pub(super) fn seen() -> Self {
        Self(Instant::now())
    }

    /// Why green may not be made live before it is looked at again.
    pub(super) fn is_stale(ready: Option<Self>) -> Option<String> {
        match ready {
            Some(Self(seen)) if seen.elapsed() <= READY_FOR => None,
            Some(Self(seen)) => Some(format!(
                "the swap was not sent within {} s of seeing that green is ready",
                seen.elapsed().as_secs()
            )),
            None => Some(
                "the swap was not sent, and nobody has seen since whether green is ready"
                    .to_owned(),
            ),
        }
    }
}

/// The fence and the swaps, fence first: from it on the server notices every change by others.
fn statements(plan: &Plan, secret: &SecretNames, direction: Direction) -> Vec<Statement> {
    let from = direction.generation();
    let fence = ddl::rename_schema(
        &plan.database,
        &secret.control(from),
        &secret.control(from + 1),
    );
    let schemas = plan
        .schemas
        .iter()
        .map(|schema| ddl::swap_schemas(&schema.name, &schema.green));
    let clusters = plan
        .clusters
        .iter()
        .filter(|cluster| !cluster.scratch)
        .map(|cluster| ddl::swap_clusters(&cluster.name, &cluster.green));
    std::iter::once(fence)
        .chain(schemas)
        .chain(clusters)
        .collect()
}

/// Sends the swap and rolls it back, so that a refusal is seen before promotion is offered.
pub(super) async fn rehearse(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let ids = context.recorded_ids(deployment).await?;
    let green = recorded_green(context, deployment).await?;
    let moved = context.moved_indexes(deployment).await?;
    let about = scope::swap(deployment, &ids, &moved);
    let secret = Context::secret(deployment);
    let statements = statements(&deployment.plan, &secret, Direction::Forward);
    let check = expected(
        deployment,
        &ids,
        &green,
        &moved,
        &secret,
        Direction::Forward,
    );
    let mut answer = context.guarded(&statements, true, &about, &check).await;
    if let Ok(Guarded::Declined(Mismatch::Changed(_))) = &answer
        && corners::make_way(context, deployment, &about).await?
    {
        answer = context.guarded(&statements, true, &about, &check).await;
    }
    match answer {
        Ok(Guarded::Committed) => Ok(()),
        Ok(Guarded::Declined(mismatch)) => Err(not_rehearsed(&mismatch)),
        Err(DeploymentError::Materialize(error @ MaterializeError::Conflict { .. })) => Err(
            DeploymentError::NotRehearsed(in_each_attempt(context, &error)),
        ),
        Ok(Guarded::Unknown(error)) | Err(DeploymentError::Materialize(error)) => {
            if let MaterializeError::Refused { .. } = error {
                // What was renamed or dropped is refused before the check is asked; it names that.
                return Err(match check(&read_names(context, &about).await?) {
                    Err(mismatch) => not_rehearsed(&mismatch),
                    Ok(()) => DeploymentError::Failed(format!(
                        "{}: {error}",
                        RefusalName::RehearsalRefused
                    )),
                });
            }
            Err(error.into())
        }
        Err(error) => Err(error),
    }
}

/// Makes sure that both sides are as they were when the swap was rehearsed. Reads only.
pub(super) async fn is_unchanged(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let ids = context.recorded_ids(deployment).await?;
    let green = recorded_green(context, deployment).await?;
    let moved = context.moved_indexes(deployment).await?;
    let about = scope::swap(deployment, &ids, &moved);
    let secret = Context::secret(deployment);
    let check = expected(
        deployment,
        &ids,
        &green,
        &moved,
        &secret,
        Direction::Forward,
    );
    let mut found = check(&read_names(context, &about).await?);
    if let Err(Mismatch::Changed(_)) = &found
        && corners::make_way(context, deployment, &about).await?
    {
        found = check(&read_names(context, &about).await?);
    }
    found.map_err(|mismatch| not_rehearsed(&mismatch))
}

/// What ended the last of the attempts that the settings allow.
fn in_each_attempt(context: &Context<'_>, error: &MaterializeError) -> String {
    let attempts = context.settings.cutover.attempts;
    format!("{error}, in each of {attempts} attempts")
}

fn not_rehearsed(mismatch: &Mismatch) -> DeploymentError {
    DeploymentError::Failed(format!(
        "the rehearsal of the swap was refused: {}",
        match mismatch {
            Mismatch::Changed(reason) | Mismatch::Altered(reason) => reason.clone(),
            Mismatch::Foreign(reason) => format!("foreign-swap: {reason}"),
        }
    ))
}

/// Whether the swap may be sent now: neither a hold nor a freeze stops a way back.
async fn may_begin(
    context: &Context<'_>,
    deployment: &Deployment,
    direction: Direction,
) -> Result<Result<(), Mismatch>, DeploymentError> {
    match direction {
        Direction::Forward => {
            let stop = hold::stops_swap(context, deployment).await?;
            Ok(stop.map_or(Ok(()), |stop| Err(Mismatch::Altered(stop.sentence()))))
        }
        Direction::Back => Ok(Ok(())),
    }
}

async fn recorded_green(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<Vec<GreenObject>, DeploymentError> {
    context.green_objects(deployment).await?.ok_or_else(|| {
        DeploymentError::Stuck("the journal has no record of green's objects".to_owned())
    })
}

/// Why a check inside the transaction said no.
enum Mismatch {
    /// The sides are as recorded but something in or around them changed.
    Changed(String),
    /// They are as recorded, and what production has was changed since it was carried over to green, or the swap may
    /// not begin now.
    Altered(String),
    /// The sides are not as recorded.
    Foreign(String),
}

fn expected<'a>(
    deployment: &'a Deployment,
    ids: &'a Ids,
    green: &'a [GreenObject],
    moved: &'a [GreenObject],
    secret: &'a SecretNames,
    direction: Direction,
) -> impl Fn(&Names) -> Result<(), Mismatch> + 'a {
    move |names| {
        let live = ids.live(&deployment.plan, names);
        if let Live::Neither(reason) = live {
            return Err(Mismatch::Foreign(reason));
        }
        if !direction.is_before(&live) {
            return Err(Mismatch::Foreign(
                "the other side is live: it was not this deployment that swapped".to_owned(),
            ));
        }
        if ids.generation(secret, names) != Some(direction.generation()) {
            return Err(Mismatch::Foreign(fence_moved(ids, secret, names)));
        }
        match direction {
            Direction::Forward => {
                unchanged(&deployment.plan, ids, green, moved, names).map_err(Mismatch::Changed)
            }
            // Whatever happened meanwhile, the operator asked for the old side.
            Direction::Back => Ok(()),
        }
    }
}

/// Makes the other side live, or finds that it is.
///
/// # Errors
/// Transient ones leave the question open: calling again answers it by the ids. A world that
/// nobody planned is [`DeploymentError::Stuck`].
pub(super) async fn swap(
    context: &Context<'_>,
    deployment: &Deployment,
    direction: Direction,
    mut ready: Option<Ready>,
) -> Result<Swapped, DeploymentError> {
    let ids = context.recorded_ids(deployment).await?;
    let green = recorded_green(context, deployment).await?;
    let moved = context.moved_indexes(deployment).await?;
    let (about, carried) = match direction {
        Direction::Forward => {
            let mut about = scope::swap(deployment, &ids, &moved);
            about.defined = scope::defined(deployment);
            (
                about,
                production_changes::recorded(context, deployment).await?,
            )
        }
        // Only which side is live is compared.
        Direction::Back => (scope::sides(deployment, &ids), None),
    };
    let secret = Context::secret(deployment);
    let statements = statements(&deployment.plan, &secret, direction);
    let effect = context
        .begin(
            deployment,
            direction.key(),
            &statements
                .iter()
                .map(|statement| statement.sql().to_owned())
                .collect::<Vec<_>>(),
        )
        .await?;
    // What follows the swap back renames and drops the new side in the same state, so the ids say
    // nothing about this swap any more once its outcome is on record.
    if direction == Direction::Back && effect.result.is_some() {
        return Ok(Swapped::Yes);
    }
    let sides = scope::sides(deployment, &ids);
    // Nobody can have sent this swap before; the guarded transaction looks anyway.
    let mut is_first = direction == Direction::Forward && effect.attempt == 1;
    loop {
        if !std::mem::take(&mut is_first)
            && let Some(ended) =
                outcome(context, deployment, direction, (&ids, &secret, &sides)).await?
        {
            return Ok(ended);
        }
        if let Some(stale) = Ready::is_stale(ready) {
            return Ok(Swapped::NotYet(stale));
        }
        let is_whole = expected(deployment, &ids, &green, &moved, &secret, direction);
        let left = Mutex::new(None);
        let check = |names: &Names| {
            is_whole(names)?;
            if direction == Direction::Forward {
                let standing = standing::after_swap(&deployment.plan, &ids, names);
                *left.lock().unwrap_or_else(PoisonError::into_inner) = Some(standing);
            }
            let seen = carried
                .as_ref()
                .map(|carried| carried.is_as_seen(&deployment.plan, names));
            seen.unwrap_or(Ok(())).map_err(Mismatch::Altered)
        };
        // The last moment at which a hold or a freeze stops it; what was sent is finished.
        let may_begin = || may_begin(context, deployment, direction).boxed();
        let answer = context
            .guarded_if(&statements, false, (&about, &check), may_begin)
            .await;
        match answer {
            Ok(Guarded::Committed) => {
                let left = left.into_inner().unwrap_or_else(PoisonError::into_inner);
                let key = direction.key();
                match left {
                    Some(standing) => context.finish(deployment, key, &standing).await?,
                    None => context.finish(deployment, key, &true).await?,
                }
                return Ok(Swapped::Yes);
            }
            Ok(Guarded::Unknown(error)) => {
                tracing::warn!(%error, "the answer of COMMIT was lost; asking the ids");
                context.materialize.forget().await;
                ready = None;
            }
            // Each time something made way; a corner that is built meanwhile does so again.
            Ok(Guarded::Declined(Mismatch::Changed(_)))
                if direction == Direction::Forward
                    && corners::make_way(context, deployment, &about).await? => {}
            Ok(Guarded::Declined(Mismatch::Changed(reason))) => return Ok(Swapped::No(reason)),
            Ok(Guarded::Declined(Mismatch::Altered(reason))) => return Ok(Swapped::NotYet(reason)),
            // A moment ago the ids were right: look again, which names what happened.
            Ok(Guarded::Declined(Mismatch::Foreign(reason))) => {
                tracing::warn!(reason, "the sides changed during the swap");
                let names = read_names(context, &about).await?;
                if check(&names).is_ok() {
                    return Ok(Swapped::No(format!("foreign-swap: {reason}")));
                }
            }
            Err(DeploymentError::Materialize(error)) => match error.class() {
                Class::Transient => return Err(error.into()),
                // What was renamed or dropped is refused before the check is asked.
                Class::Permanent
                    if matches!(
                        check(&read_names(context, &about).await?),
                        Err(Mismatch::Foreign(_))
                    ) => {}
                Class::Conflict => {
                    return Ok(Swapped::No(in_each_attempt(context, &error)));
                }
                Class::Usage
                | Class::Refused
                | Class::Permanent
                | Class::Stuck
                | Class::Interrupted => return Ok(Swapped::No(error.to_string())),
            },
            Err(error) => return Err(error),
        }
    }
}

/// How an earlier attempt ended, as the ids say; `None` where both sides are as before the swap.
async fn outcome(
    context: &Context<'_>,
    deployment: &Deployment,
    direction: Direction,
    (ids, secret, sides): (&Ids, &SecretNames, &About),
) -> Result<Option<Swapped>, DeploymentError> {
    let names = read_names(context, sides).await?;
    let generation = ids.generation(secret, &names);
    match ids.live(&deployment.plan, &names) {
        // The fence stands where it stood, so whatever happened, it was not our transaction.
        Live::Neither(reason) if generation == Some(direction.generation()) => {
            Ok(Some(Swapped::No(format!("foreign-swap: {reason}"))))
        }
        Live::Neither(reason) => {
            // Our swap committed when the fence moved on; the other side may be gone since.
            let swapped = generation == Some(direction.generation() + 1)
                && ids
                    .serves(&deployment.plan, &names, &direction.after())
                    .is_ok();
            if !swapped {
                return Err(foreign_swap(&reason));
            }
            context.finish(deployment, direction.key(), &true).await?;
            Ok(Some(Swapped::Yes))
        }
        live if direction.is_before(&live) => match generation {
            Some(generation) if generation == direction.generation() => Ok(None),
            Some(_) => Err(foreign_swap(&fence_moved(ids, secret, &names))),
            // Without the fence nothing is ever swapped, and nobody can restore its id.
            None => Ok(Some(Swapped::No(fence_moved(ids, secret, &names)))),
        },
        Live::Blue | Live::Green if generation == Some(direction.generation()) => {
            Ok(Some(Swapped::No(
                "foreign-swap: the other side is live: it was not this deployment that swapped"
                    .to_owned(),
            )))
        }
        Live::Blue | Live::Green => settled(context, deployment, direction, ids, secret, &names)
            .await
            .map(Some),
    }
}

async fn read_names(context: &Context<'_>, about: &About) -> Result<Names, MaterializeError> {
    context.materialize.session_patiently().await?;
    Names::read(context.materialize, about).await
}

/// The sides are as before the swap and the fence is not.
fn fence_moved(ids: &Ids, secret: &SecretNames, names: &Names) -> String {
    match ids.generation(secret, names) {
        Some(_) => "this deployment swapped and somebody else swapped it back".to_owned(),
        None => format!(
            "the control schema {} is gone: somebody renamed or dropped it",
            secret.control(0)
        ),
    }
}

pub(super) fn foreign_swap(reason: &str) -> DeploymentError {
    DeploymentError::Stuck(format!(
        "foreign-swap: {reason}. Nothing was dropped. Look at both sides, restore the recorded names, then run `cutover resume`"
    ))
}

/// The other side is live. By our transaction? The fence says so.
async fn settled(
    context: &Context<'_>,
    deployment: &Deployment,
    direction: Direction,
    ids: &Ids,
    secret: &SecretNames,
    names: &Names,
) -> Result<Swapped, DeploymentError> {
    let generation = ids.generation(secret, names);
    if generation != Some(direction.generation() + 1) {
        return Err(foreign_swap(&format!(
            "the other side is live but the control schema is in generation {generation:?}: it was not this deployment that swapped"
        )));
    }
    context.finish(deployment, direction.key(), &true).await?;
    Ok(Swapped::Yes)
}
