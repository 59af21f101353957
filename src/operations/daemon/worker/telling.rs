//! Telling what happens: to the log, the metrics, the status and whoever listens.

use super::Worker;
use crate::domain::lifecycle::state::State;
use crate::domain::progress::{ClusterReadiness, Progress};
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::operations::daemon::status::News;
use jiff::Timestamp;

impl Worker {
    /// Logs what keeps the worker from its work and shows it.
    pub(crate) fn show_problem(&self, error: &(impl Classify + 'static)) {
        let said = with_causes(error);
        let hint = error
            .hint()
            .unwrap_or_else(|| error.class().hint().to_owned());
        self.show_trouble(error.class(), format!("{said}; {hint}"));
    }

    pub(crate) fn show_trouble(&self, class: Class, text: String) {
        let status = self.daemon.status_board.one(&self.environment);
        let is_new = status.is_none_or(|status| status.problem.as_ref() != Some(&text));
        if is_new {
            match class {
                Class::Transient | Class::Conflict | Class::Interrupted => {
                    tracing::warn!("{text}");
                }
                Class::Usage | Class::Refused | Class::Permanent | Class::Stuck => {
                    tracing::error!("{text}");
                }
            }
        }
        self.change(|status| status.problem = Some(text));
    }

    pub(crate) fn tell(&self, deployment: Option<&str>, progress: Progress) {
        let shown = self.daemon.status_board.one(&self.environment);
        let shown = shown.and_then(|status| Some(status.deployment.as_ref()?.state));
        let (deployment_id, step) = (deployment, shown.map(State::as_str));
        match &progress {
            Progress::State { state, .. } => {
                let state = *state;
                // The engine logs the event.
                tracing::debug!(deployment_id, %state, "entered");
                let now = Timestamp::now();
                let mut before = None;
                self.change(|status| {
                    status.readiness.clear();
                    status.readers.clear();
                    if let Some(shown) = &mut status.deployment
                        && Some(shown.id.as_str()) == deployment
                    {
                        before = Some((shown.state, now.duration_since(shown.since)));
                        shown.state = state;
                        shown.since = now;
                        // It was the reason of the state before.
                        shown.reason = None;
                    }
                });
                let seconds = before.map_or(0.0, |(_, stay)| stay.as_secs_f64());
                let from = before.map(|(from, _)| from);
                self.metrics
                    .state_entered(&self.environment, from, state, seconds);
                self.metrics.readiness(&self.environment, &[]);
            }
            Progress::Watched { health, clusters } => {
                self.metrics.watched(&self.environment, *health);
                self.metrics.readiness(&self.environment, clusters);
                let clusters = without_relations(clusters);
                self.change(|status| status.readiness = clusters);
            }
            Progress::Readiness { clusters } => {
                self.metrics.readiness(&self.environment, clusters);
                let clusters = without_relations(clusters);
                self.change(|status| status.readiness = clusters);
            }
            Progress::Readers { waiting } => {
                let waiting = waiting.clone();
                self.change(|status| status.readers = waiting);
            }
            Progress::Decision { asked } => {
                self.metrics.decision(&self.environment, asked.is_some());
                let asked = asked.clone();
                self.change(|status| {
                    if let Some(shown) = &mut status.deployment {
                        shown.reason = asked;
                    }
                });
            }
            Progress::Note { text } => tracing::info!(deployment_id, step, "{text}"),
            Progress::Warning { text } => tracing::warn!(deployment_id, step, "{text}"),
            Progress::Retry { reason, text } => {
                self.metrics.retried(&self.environment, *reason);
                tracing::warn!(deployment_id, step, reason = reason.as_str(), "{text}");
            }
            Progress::Node {
                unique_id, status, ..
            } => tracing::debug!(deployment_id, step, unique_id, status, "node"),
            Progress::Work { what, item, .. } => {
                tracing::debug!(deployment_id, step, what, item, "work")
            }
        }
        self.daemon.status_board.tell(News {
            environment: self.environment.clone(),
            deployment: deployment.map(str::to_owned),
            at: Timestamp::now(),
            progress,
            corner: None,
        });
    }
}

/// The status shows clusters; relations over time are remembered beside it.
fn without_relations(clusters: &[ClusterReadiness]) -> Vec<ClusterReadiness> {
    let clusters = clusters.iter().map(|cluster| ClusterReadiness {
        cluster: cluster.cluster.clone(),
        lagging: cluster.lagging.clone(),
        waiting_for: cluster.waiting_for.clone(),
        relations: Vec::new(),
        ..*cluster
    });
    clusters.collect()
}
