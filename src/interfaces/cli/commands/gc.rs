//! `gc`: one round of clearing up by hand.

use super::{Commands, lead, leader, success};
use crate::adapters::materialize::watch::Watching;
use crate::adapters::store::{Lead, Store};
use crate::domain::progress::Reporter;
use crate::interfaces::cli::handlers::Answer;
use crate::interfaces::console::arguments::Gc;
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::record::GcView;
use crate::operations::collect::Round;
use crate::operations::deployment::{Until, keeping};
use crate::operations::error::DeploymentError;
use crate::operations::release::{Driving, Release, ReleaseError};
use tokio_util::sync::CancellationToken;

pub(super) async fn gc(
    commands: &Commands,
    arguments: &Gc,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    leader::none(commands, &arguments.target).await?;
    let release = commands.open(&arguments.target, Vec::new())?;
    let store = release.store().await?;
    let lead = lead(&release, &store).await?;
    if !arguments.dry_run {
        drop_kept(&release, &store, &lead, output, stop).await?;
    }
    let round = Round {
        store: &store,
        lead: &lead,
        release: &release,
        dry_run: arguments.dry_run,
    };
    let collected = round.retain().await?;
    let left = round.garbage(stop).await?;
    output.document(&GcView {
        environment: release.environment.clone(),
        dry_run: arguments.dry_run,
        collected,
        left,
    });
    success()
}

/// Drops what is kept of a release that failed, where its time is over.
async fn drop_kept(
    release: &Release,
    store: &Store,
    lead: &Lead,
    output: &Output,
    stop: &CancellationToken,
) -> Result<(), CommandError> {
    let active = store
        .active(&release.environment)
        .await
        .map_err(ReleaseError::from)?;
    let Some(active) = active else {
        return Ok(());
    };
    let is_over = keeping::is_over(store, &active).await;
    if !is_over.map_err(ReleaseError::from)? {
        return Ok(());
    }
    release.is_planned_here(&active.id, &active.plan)?;
    let materialize = release.materialize();
    release
        .is_planned_on(&materialize, &active.id, &active.plan)
        .await?;
    let active = store
        .take_up(lead, &active.id)
        .await
        .map_err(ReleaseError::from)?;
    let (reporter, news) = Reporter::channel();
    let renderer = output.render(news);
    let driving = Driving {
        store,
        lead,
        reporter,
        stop,
        watching: Watching::default(),
    };
    let ended = release
        .drive(&driving, active, Until::default(), Some(keeping::over()))
        .await;
    drop(driving);
    renderer.finish().await;
    match ended {
        Ok(_) | Err(ReleaseError::Deployment(DeploymentError::Unwound { .. })) => Ok(()),
        Err(error) => Err(CommandError::from(error).under_way()),
    }
}
