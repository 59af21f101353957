//! `gc`: one round of clearing up by hand.

use super::{Commands, leader, success};
use crate::interfaces::cli::Output;
use crate::interfaces::cli::arguments::Gc;
use crate::interfaces::cli::handlers::Answer;
use crate::interfaces::record::GcView;
use crate::operations::collect::Round;
use crate::operations::release::ReleaseError;
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
    let lead = store
        .lead(&release.environment)
        .await
        .map_err(ReleaseError::from)?;
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
