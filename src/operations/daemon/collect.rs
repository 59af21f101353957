//! Clearing up at intervals, beside the worker, for as long as the environment is led.

use super::{Daemon, Metrics, corners};
use crate::adapters::store::{Lead, Store};
use crate::domain::progress::{Progress, Reporter};
use crate::foundation::failure::{Classify, with_causes};
use crate::inputs::settings::Loaded;
use crate::operations::ci::build::production;
use crate::operations::ci::collect::Collecting;
use crate::operations::ci::error::CiError;
use crate::operations::collect::{Collected, Left, Round};
use crate::operations::metrics::Waste;
use crate::operations::release::{Release, ReleaseError, Wanted};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The first round waits at most this long: a daemon that begins to lead has other things to do.
const FIRST: Duration = Duration::from_secs(60);

/// What the rounds work with.
pub(super) struct Collector {
    pub(super) daemon: Arc<Daemon>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) store: Store,
    pub(super) lead: Arc<Lead>,
    pub(super) settings: watch::Receiver<Arc<Loaded>>,
    pub(super) wanted: Wanted,
    pub(super) stop: CancellationToken,
}

impl Collector {
    /// Clears up at intervals, for ever.
    pub(super) async fn work(mut self) {
        let mut is_first = true;
        loop {
            let pause = self.settings.borrow().settings.retention.pause();
            let pause = if is_first { pause.min(FIRST) } else { pause };
            tokio::select! {
                () = tokio::time::sleep(pause) => is_first = false,
                changed = self.settings.changed() => match changed {
                    // The interval may be another one.
                    Ok(()) => continue,
                    Err(_) => return,
                },
            }
            if let Err(error) = self.round().await {
                tracing::warn!(
                    error = with_causes(&error),
                    hint = error.hint(),
                    "not everything was cleared up"
                );
            }
            if let Err(error) = self.corners().await {
                tracing::warn!(
                    error = with_causes(&error),
                    hint = error.hint(),
                    "not every corner was looked at"
                );
            }
        }
    }

    async fn round(&self) -> Result<(), ReleaseError> {
        let loaded = Arc::clone(&self.settings.borrow());
        let wanted = Wanted {
            loaded: Some(loaded),
            ..self.wanted.clone()
        };
        let release = match Release::open(&wanted) {
            Ok(release) => release,
            Err(error) => {
                // The worker tells it, and a project that was never fetched has nothing to clear up.
                tracing::debug!(error = with_causes(&error), "nothing was cleared up");
                return Ok(());
            }
        };
        let round = Round {
            store: &self.store,
            lead: &self.lead,
            release: &release,
            dry_run: false,
        };
        let collected = round.retain().await;
        if let Ok(collected) = &collected {
            self.count(collected);
        }
        let left = round.garbage(&self.stop).await?;
        self.tell(left);
        collected.map(|_| ())
    }

    /// Drops the corners of pull requests that have expired, and what killed builds left, as `ci gc` does.
    async fn corners(&self) -> Result<(), CiError> {
        let environment = self.lead.environment();
        let wanted = Wanted {
            loaded: Some(Arc::clone(&self.settings.borrow())),
            ..self.wanted.clone()
        };
        let release = match Release::open(&wanted) {
            Ok(release) => release,
            // A project that was never fetched has none, unless the journal says otherwise.
            Err(_) if self.store.corners(environment).await?.is_empty() => return Ok(()),
            Err(_) => Release::followed(&wanted, &self.stop).await?,
        };
        let production = production(&release)?;
        let (reporter, mut news) = Reporter::channel();
        let collecting = Collecting {
            store: &self.store,
            materialize: &release.materialize(),
            environment,
            project: &release.project.dbt.name,
            production: &production,
            reporter: &reporter,
            stop: &self.stop,
            limit: release.settings.dbt.build_timeout.0,
            dry_run: false,
        };
        let collected = collecting.expired().await;
        drop(reporter);
        while let Ok(progress) = news.try_recv() {
            if let Progress::Warning { text } = progress {
                tracing::warn!("{text}");
            }
        }
        let dropped = collected?.dropped;
        for name in &dropped {
            tracing::info!("dropped the corner {name}");
        }
        if !dropped.is_empty() {
            self.metrics
                .collected(environment, Waste::Corners, dropped.len());
        }
        Ok(corners::sweep(&self.daemon, &self.store, environment, &wanted).await?)
    }

    fn count(&self, collected: &Collected) {
        let environment = self.lead.environment();
        let counts = [
            (Waste::Deployments, collected.deployments.len()),
            (Waste::Artifacts, collected.artifacts.len()),
            (Waste::Folders, collected.folders.len()),
        ];
        for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            self.metrics.collected(environment, what, count);
            tracing::info!(?what, count, "cleared up");
        }
        tracing::debug!(?collected, "a round of clearing up has ended");
    }

    fn tell(&self, left: Left) {
        let environment = self.lead.environment();
        for dropped in &left.dropped {
            tracing::info!("dropped the left-over {dropped}");
        }
        if !left.dropped.is_empty() {
            self.metrics
                .collected(environment, Waste::Leftovers, left.dropped.len());
        }
        for problem in &left.problems {
            tracing::warn!("a left-over stays: {problem}");
        }
        let shown = self.daemon.status_board.one(environment);
        let known = shown.map(|status| status.leftovers.clone());
        let is_known = |found| known.as_ref().is_some_and(|known| known.contains(found));
        for found in left.leftovers.iter().filter(|found| !is_known(found)) {
            match found.ended {
                Some(_) => tracing::warn!("found the {found}; nothing uses it"),
                None => tracing::warn!("found the {found}"),
            }
        }
        self.metrics.leftovers(environment, left.leftovers.len());
        self.daemon.status_board.change(environment, |status| {
            status.leftovers = left.leftovers;
        });
    }
}
