//! Who still reads the old side, before it goes by itself.
//!
//! They are waited for up to `drain.timeout`, from when they were first looked for, by the server's clock: that is in
//! the journal, so that another process goes on with the same deadline. Then the old side goes and they are cut off, or
//! it is kept, which waits for a person as a check does that asks. Nothing of this changes anything in Materialize.

use super::checks::decision;
use super::soak::Clock;
use super::watch::Watch;
use crate::adapters::materialize::{MaterializeError, readers};
use crate::adapters::store::StoreError;
use crate::domain::lifecycle::state::{Event, State};
use crate::domain::progress::Progress;
use crate::domain::records::deployment::{Deployment, Effect};
use crate::foundation::failure::with_causes;
use crate::inputs::settings::AfterDrain;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::{Context, key};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Who reads, in words, or what became of them. Stored in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readers {
    /// They are waited for.
    Waiting(Vec<String>),
    /// The old side is kept because of them.
    Kept(Vec<String>),
    /// They are cut off.
    CutOff(Vec<String>),
    /// Nobody reads it.
    Gone,
}

impl Readers {
    /// Those that a deployment in this state waits for, as these effects have it.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn waited_for(state: State, effects: &[Effect]) -> Result<Vec<String>, StoreError> {
        let mut effects = effects.iter();
        let effect = effects.find(|it| state == State::Soaking && it.key == key::READERS);
        let found = match effect {
            Some(effect) => effect.result_as::<Self>()?,
            None => None,
        };
        Ok(match found {
            Some(Self::Waiting(readers)) => readers,
            Some(Self::Kept(_) | Self::CutOff(_) | Self::Gone) | None => Vec::new(),
        })
    }
}

/// Whether the old side is kept because it was still read.
pub(super) async fn is_kept(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<bool, DeploymentError> {
    let effect = context.store.effect(&deployment.id, key::READERS).await?;
    let found: Option<Readers> = match effect {
        Some(effect) => effect.result_as()?,
        None => None,
    };
    Ok(matches!(found, Some(Readers::Kept(_))))
}

/// Waits until nobody reads the old side any more, or the time is over; a person is asked then where it is to be kept.
///
/// # Errors
/// The server's and the journal's; [`DeploymentError::Interrupted`].
pub(super) async fn drain(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let settings = &context.settings.drain;
    let asks = context.store.deployment(&deployment.id).await?.asks;
    // What a person decides about is not waited for as well; once kept, it is kept.
    if !settings.asks() || asks {
        return Ok(());
    }
    let old = Old::of(context, deployment).await?;
    let mut clock = Clock::begin(context, deployment, key::DRAIN).await?;
    let effect = context.begin(deployment, key::READERS, &()).await?;
    let mut known: Option<Readers> = effect.result_as()?;
    let mut watch = None;
    loop {
        let left = settings
            .timeout
            .0
            .saturating_sub(clock.passed(context).await);
        let said = match old.readers(context).await? {
            Ok(said) => said,
            Err(why) => vec![format!("it is not known who reads it: {why}")],
        };
        let now = match (said.is_empty(), left.is_zero(), settings.then) {
            (true, _, _) => Readers::Gone,
            (false, false, _) => Readers::Waiting(said),
            (false, true, AfterDrain::Drop) => Readers::CutOff(said),
            (false, true, AfterDrain::Keep) => Readers::Kept(said),
        };
        if known.as_ref() != Some(&now) {
            context.finish(deployment, key::READERS, &now).await?;
            tell(context, &now, left);
        }
        // Another process shows who is waited for as well.
        if known.as_ref() != Some(&now) || watch.is_none() {
            let waiting = match &now {
                Readers::Waiting(said) => said.clone(),
                Readers::Kept(_) | Readers::CutOff(_) | Readers::Gone => Vec::new(),
            };
            context.reporter.send(Progress::Readers { waiting });
        }
        match &now {
            Readers::Gone | Readers::CutOff(_) => return Ok(()),
            Readers::Kept(said) => return keep(context, deployment, said).await,
            Readers::Waiting(_) => {}
        }
        known = Some(now);
        let watch = match &mut watch {
            Some(watch) => watch,
            none @ None => none.insert(Watch::begin(context, deployment).await?),
        };
        watch.look().await?;
        let pause = context.settings.soak_check_interval.0.min(left);
        tokio::select! {
            () = context.cancel.cancelled() => context.interrupted(deployment)?,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Records that a person must decide about the old side.
async fn keep(
    context: &Context<'_>,
    deployment: &Deployment,
    said: &[String],
) -> Result<(), DeploymentError> {
    let reason = format!(
        "a person must decide: the old side is kept because it is still read: {}",
        said.join("; ")
    );
    let event = Event::DecisionAsked {
        reason: reason.clone(),
    };
    context
        .store
        .apply(context.lead, &deployment.id, &event)
        .await?;
    let how = "`cutover cleanup` drops it all the same, `cutover rollback` brings it back; until then both stand";
    decision::told(context, &reason, how);
    Ok(())
}

fn tell(context: &Context<'_>, now: &Readers, left: Duration) {
    let reporter = &context.reporter;
    match now {
        Readers::Waiting(said) => {
            let left = humantime::format_duration(Duration::from_secs(left.as_secs()));
            let who = said.join("; ");
            reporter.note(format!(
                "the old side is still read and stays for at most {left}: {who}"
            ));
        }
        Readers::CutOff(said) => {
            reporter.warning(format!("cut off with the old side: {}", said.join("; ")));
        }
        Readers::Kept(_) | Readers::Gone => {}
    }
}

/// The old side.
struct Old {
    clusters: BTreeSet<String>,
    objects: BTreeSet<String>,
    /// `schema.name` of its objects, by id.
    names: BTreeMap<String, String>,
}

impl Old {
    async fn of(context: &Context<'_>, deployment: &Deployment) -> Result<Self, DeploymentError> {
        let ids = context.recorded_ids(deployment).await?;
        let names = readers_names(deployment);
        Ok(Self {
            clusters: ids.blue_clusters.into_values().collect(),
            objects: names.keys().cloned().collect(),
            names,
        })
    }

    /// Who reads it, in words; the inner error is why that is not known.
    async fn readers(
        &self,
        context: &Context<'_>,
    ) -> Result<Result<Vec<String>, String>, DeploymentError> {
        match readers::of(context.materialize, &self.clusters, &self.objects).await {
            Ok(found) => Ok(Ok(found
                .iter()
                .map(|one| one.sentence(&self.names))
                .collect())),
            Err(error @ MaterializeError::Refused { .. }) => Ok(Err(with_causes(&error))),
            Err(error) => Err(error.into()),
        }
    }
}

fn readers_names(deployment: &Deployment) -> BTreeMap<String, String> {
    let schemas = deployment.plan.schemas.iter();
    let objects = schemas.flat_map(|schema| {
        let objects = schema.objects.iter();
        objects.map(|object| {
            (
                object.id.clone(),
                format!("{}.{}", schema.name, object.name),
            )
        })
    });
    objects.collect()
}
