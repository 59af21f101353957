//! `status`, `history` and `show`: they read the journal and nothing else.

use super::{Commands, leader, success};
use crate::adapters::store::{Store, StoreError};
use crate::domain::lifecycle::policy::Policy;
use crate::domain::lifecycle::state::State;
use crate::interfaces::cli::handlers::Answer;
use crate::interfaces::cli::remote::view;
use crate::interfaces::console::arguments::{History, Show, Status, Target};
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::record::{
    Advice, Circumstances, DeploymentView, HistoryView, RunsView, ShowView, StatusEntry, StatusView,
};
use crate::operations::daemon::status::DriftStatus;
use crate::operations::deployment::diff::Recorded;
use crate::operations::deployment::drain::Readers;
use crate::operations::deployment::{hold, keeping, promotion};
use crate::operations::green::hydrate::Waiting;
use crate::operations::release::{Release, ReleaseError};
use std::collections::BTreeSet;

/// The most deployments whose environments `status` lists.
const LOOK_BACK: u32 = 10_000;

async fn store(commands: &Commands, environment: Option<&String>) -> Result<Store, CommandError> {
    let target = Target {
        environment: environment.cloned(),
    };
    Ok(Release::journal(&commands.wanted(&target, Vec::new())).await?)
}

pub(super) async fn status(commands: &Commands, arguments: &Status, output: &Output) -> Answer {
    let store = store(commands, arguments.environment.as_ref()).await?;
    let names: BTreeSet<String> = match &arguments.environment {
        Some(name) => BTreeSet::from([name.clone()]),
        None => store
            .history(None, LOOK_BACK)
            .await
            .map_err(ReleaseError::from)?
            .into_iter()
            .map(|summary| summary.environment)
            .collect(),
    };
    let mut environments = Vec::new();
    for name in names {
        environments.push(entry(commands, &store, name).await?);
    }
    output.document(&StatusView { environments });
    success()
}

/// A daemon that leads knows more than its journal does.
async fn entry(
    commands: &Commands,
    store: &Store,
    environment: String,
) -> Result<StatusEntry, CommandError> {
    let holder = store.holder(&environment).await.unwrap_or_default();
    let (leader, said) = match leader::seen(commands, holder, &environment).await {
        Some((leader, said)) => (Some(leader), said),
        None => (None, None),
    };
    let entry = match said {
        Some(status) => view::entry(status),
        None => recorded(commands, store, environment)
            .await
            .map_err(ReleaseError::from)?,
    };
    let diff = last_diff(store, entry.deployment.as_ref()).await;
    let diff = diff.map_err(ReleaseError::from)?;
    Ok(StatusEntry {
        leader,
        diff,
        ..entry
    })
}

/// How the last data diff of a deployment went, as the journal has it.
async fn last_diff(
    store: &Store,
    deployment: Option<&DeploymentView>,
) -> Result<Option<String>, StoreError> {
    let Some(deployment) = deployment else {
        return Ok(None);
    };
    let recorded = Recorded::of(&store.effects(&deployment.id).await?)?;
    let last = recorded.all().last();
    Ok(last.map(|(_, record)| record.summary()))
}

async fn recorded(
    commands: &Commands,
    store: &Store,
    environment: String,
) -> Result<StatusEntry, StoreError> {
    let latest = match store.active(&environment).await? {
        Some(active) => Some(active),
        None => store.latest(&environment).await?,
    };
    let (mut waiting_for, mut readers) = (Vec::new(), Vec::new());
    if let Some(latest) = &latest {
        let effects = store.effects(&latest.id).await?;
        let waiting = Waiting::recorded(latest.state, &effects)?;
        waiting_for = waiting.map_or_else(Vec::new, |waiting| waiting.reasons);
        readers = Readers::waited_for(latest.state, &effects)?;
    }
    waiting_for.append(&mut readers);
    let settings = commands.settings_of(&environment);
    let freeze = settings.as_ref().map(|settings| settings.freeze.as_slice());
    let freeze = freeze.unwrap_or_default();
    let permission = hold::permission(store, &environment, freeze, false).await?;
    let after = settings
        .as_ref()
        .and_then(|settings| settings.after.as_ref());
    let kept = match &latest {
        Some(latest) => keeping::kept(store, latest).await?,
        None => None,
    };
    let drift = store.drift(&environment).await?;
    let drift = drift.filter(|record| !record.found.is_empty());
    let promotion = match &latest {
        Some(latest) if latest.state == State::Ready => promotion::standing(store, latest).await?,
        Some(_) | None => None,
    };
    // Whoever holds the lock works on it.
    let is_running = store.is_led(&environment).await.unwrap_or(true);
    Ok(StatusEntry {
        daemon: None,
        leader: None,
        held: permission.held().cloned(),
        frozen: permission.frozen().cloned(),
        chain: after.map(|after| {
            format!("{after} → {environment}: a daemon that leads it says what comes next")
        }),
        kept,
        drift: drift.map(DriftStatus::recorded),
        diff: None,
        waiting_for,
        advice: latest.as_ref().map(|deployment| {
            Advice::new(
                deployment.state,
                &environment,
                Circumstances {
                    promotion: match permission.stops_swap() {
                        Some(_) => Policy::Manual,
                        None => deployment.promotion(),
                    },
                    cleanup: deployment.cleanup(),
                    is_running,
                },
            )
            .and_approve(&environment, promotion.as_ref())
        }),
        promotion,
        deployment: latest.as_ref().map(DeploymentView::from),
        environment,
    })
}

pub(super) async fn history(commands: &Commands, arguments: &History, output: &Output) -> Answer {
    let store = store(commands, arguments.environment.as_ref()).await?;
    if arguments.runs {
        let runs = store.runs(arguments.environment.as_deref(), arguments.limit);
        let runs = runs.await.map_err(ReleaseError::from)?;
        output.document(&RunsView { runs });
        return success();
    }
    let deployments = store
        .history(arguments.environment.as_deref(), arguments.limit)
        .await
        .map_err(ReleaseError::from)?;
    let environments: BTreeSet<&String> = deployments.iter().map(|it| &it.environment).collect();
    let mut held = Vec::new();
    for environment in environments {
        let found = hold::held(&store, environment).await;
        held.extend(found.map_err(ReleaseError::from)?);
    }
    output.document(&HistoryView {
        deployments: deployments.into_iter().map(DeploymentView::from).collect(),
        held,
    });
    success()
}

pub(super) async fn show(commands: &Commands, arguments: &Show, output: &Output) -> Answer {
    let store = store(commands, None).await?;
    let view = record(&store, &arguments.deployment)
        .await
        .map_err(ReleaseError::from)?;
    output.document_as(&view, arguments.format);
    success()
}

async fn record(store: &Store, id: &str) -> Result<ShowView, StoreError> {
    let deployment = store.deployment(id).await?;
    let events = store.events(&deployment.id).await?;
    let effects = store.effects(&deployment.id).await?;
    let promotion = promotion::standing(store, &deployment).await?;
    ShowView::new(deployment, events, effects, promotion)
}
