//! Looking, between releases, whether production still is what was released. Nothing is changed by it.

use super::{Ended, Leading, lost};
use crate::domain::progress::Progress;
use crate::domain::records::drift::{DriftNews, DriftRecord, summary};
use crate::foundation::failure::{Classify, with_causes};
use crate::operations::daemon::status::DriftStatus;
use crate::operations::release::ReleaseError;
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// The longest that a look may take: something else may fall due.
const LONGEST_LOOK: Duration = Duration::from_secs(30);

impl Leading<'_> {
    /// How long it is until the next look; `None` where nobody looks.
    pub(super) fn drift_due(&self) -> Option<Duration> {
        let every = self.worker.loaded().settings.drift_interval.every()?.0;
        let Some(at) = self.worker.memory.drift_at else {
            return Some(Duration::ZERO);
        };
        // The interval may have become a shorter one.
        Some(at.saturating_duration_since(Instant::now()).min(every))
    }

    /// Shows what the journal has of earlier looks.
    pub(super) async fn show_drift(&mut self) -> Result<(), Ended> {
        if self
            .worker
            .loaded()
            .settings
            .drift_interval
            .every()
            .is_none()
        {
            self.show(None);
            return Ok(());
        }
        match self.store.drift(&self.worker.environment).await {
            Ok(Some(record)) => {
                let shown = self.shown();
                self.show(Some(DriftStatus {
                    looked_at: shown.as_ref().and_then(|shown| shown.looked_at),
                    unknown: shown.and_then(|shown| shown.unknown),
                    ..DriftStatus::recorded(record)
                }));
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => self.trouble(&error).await,
        }
    }

    /// Looks once, unless something is asked meanwhile that is to be done first.
    pub(super) async fn look_for_drift(&mut self) -> Result<(), Ended> {
        let every = self.worker.loaded().settings.drift_interval.every();
        let every = every.map_or(LONGEST_LOOK, |span| span.0);
        let before = match self.store.drift(&self.worker.environment).await {
            Ok(before) => before,
            Err(error) => return self.trouble(&error).await,
        };
        let (wanted, store) = (self.worker.wanted(), self.store.clone());
        let known = before.clone().unwrap_or_default();
        let look = async move {
            let release = crate::operations::release::Release::reopen(&wanted).await?;
            release.look_for_drift(&store, known).await
        };
        let look = std::pin::pin!(tokio::time::timeout(LONGEST_LOOK, look));
        let Some(seen) = self.meanwhile(look).await? else {
            return Ok(());
        };
        self.worker.memory.drift_at = Some(Instant::now() + every);
        match seen {
            Ok(Ok(Some(record))) => self.take_drift(before, record).await,
            // Nothing is live that was released.
            Ok(Ok(None)) => {
                self.show(None);
                Ok(())
            }
            Ok(Err(error)) => self.drift_unknown(&error),
            Err(_) => {
                let why = format!("the look took longer than {} s", LONGEST_LOOK.as_secs());
                self.show_unknown(why);
                Ok(())
            }
        }
    }

    /// Records what was found, with what there is to be told of it.
    async fn take_drift(
        &mut self,
        before: Option<DriftRecord>,
        record: DriftRecord,
    ) -> Result<(), Ended> {
        let news = DriftNews::between(&before.clone().unwrap_or_default(), &record);
        if before.as_ref() != Some(&record) {
            let recorded = self.store.set_drift(self.lead, &record, news.as_ref());
            if let Err(error) = recorded.await {
                return self.trouble(&error).await;
            }
        }
        if let Some(news) = news {
            let is_gone = news.found.is_empty();
            let progress = match is_gone {
                true => Progress::Note { text: news.reason },
                false => Progress::Warning {
                    text: format!(
                        "production is not what was released: {}",
                        summary(&news.found)
                    ),
                },
            };
            self.worker.tell(None, progress);
        }
        self.show(Some(DriftStatus {
            looked_at: Some(Timestamp::now()),
            ..DriftStatus::recorded(record)
        }));
        Ok(())
    }

    fn drift_unknown(&self, error: &ReleaseError) -> Result<(), Ended> {
        if let Some(ended) = lost(error) {
            return Err(ended);
        }
        let hint = error
            .hint()
            .unwrap_or_else(|| error.class().hint().to_owned());
        self.show_unknown(format!("{}; {hint}", with_causes(error)));
        Ok(())
    }

    fn show_unknown(&self, why: String) {
        let shown = self.shown();
        let is_new = shown.as_ref().and_then(|shown| shown.unknown.as_ref()) != Some(&why);
        if is_new {
            tracing::warn!(why, "whether production is what was released is not known");
        }
        self.show(Some(DriftStatus {
            unknown: Some(why),
            ..shown.unwrap_or_else(|| DriftStatus::recorded(DriftRecord::default()))
        }));
    }

    fn shown(&self) -> Option<DriftStatus> {
        let environment = &self.worker.environment;
        let status = self.worker.daemon.status_board.one(environment);
        status.and_then(|status| status.drift.clone())
    }

    fn show(&self, drift: Option<DriftStatus>) {
        let known = drift.as_ref().filter(|it| it.unknown.is_none());
        let environment = &self.worker.environment;
        let count = known.map(|known| known.found.len());
        self.worker.metrics.drift(environment, count);
        self.worker.change(|status| status.drift = drift);
    }
}
