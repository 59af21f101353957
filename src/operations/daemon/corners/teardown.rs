//! One teardown.

use crate::adapters::store::Store;
use crate::domain::progress::Reporter;
use crate::foundation::failure::with_causes;
use crate::operations::ci::build::production;
use crate::operations::ci::collect::{Collected, Collecting};
use crate::operations::ci::error::CiError;
use crate::operations::ci::name::CornerName;
use crate::operations::daemon::Daemon;
use crate::operations::daemon::corners::status::{Failure, Phase};
use crate::operations::daemon::corners::work_trees;
use crate::operations::release::{Release, Wanted};
use jiff::Timestamp;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A teardown that was asked for.
pub(super) struct Task {
    pub(super) daemon: Arc<Daemon>,
    pub(super) environment: String,
    pub(super) store: Store,
    pub(super) wanted: Wanted,
    pub(super) name: CornerName,
    pub(super) id: String,
    /// Whether a build of it was under way or waited, and was told to end.
    pub(super) has_build: bool,
    pub(super) stop: CancellationToken,
}

impl Task {
    pub(super) async fn run(self) {
        let ended = match self.taken_down().await {
            // Nothing of what waited had been made.
            Err(CiError::NoCorner { .. }) if self.has_build => Ok(Collected::default()),
            ended => ended,
        };
        match &ended {
            Ok(collected) => tracing::info!(dropped = ?collected.dropped, "the corner is gone"),
            Err(error) => tracing::warn!(error = with_causes(error), "the corner stays"),
        }
        if ended.is_ok() {
            work_trees::forget(&self.wanted, self.name.as_str());
        }
        let shown = &self.daemon.status_board.corners;
        shown.change(&self.environment, self.name.as_str(), |asked| {
            if let Some(teardown) = &mut asked.teardown
                && teardown.id == self.id
            {
                teardown.phase = Phase::Ended;
                teardown.ended_at = Some(Timestamp::now());
                match ended {
                    Ok(collected) => teardown.collected = Some(collected),
                    Err(error) => teardown.failure = Some(Failure::of(&error)),
                }
            }
        });
    }

    async fn taken_down(&self) -> Result<Collected, CiError> {
        let release = Release::followed(&self.wanted, &self.stop).await?;
        let production = production(&release)?;
        let collecting = Collecting {
            store: &self.store,
            materialize: &release.materialize(),
            environment: &self.environment,
            project: &release.project.dbt.name,
            production: &production,
            reporter: &Reporter::silent(),
            stop: &self.stop,
            limit: release.settings.dbt.build_timeout.0,
            dry_run: false,
        };
        collecting.named(self.name.as_str()).await
    }
}
