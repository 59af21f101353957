//! Watching what serves since the swap: hydration, lag and replicas, by the readiness query.
//!
//! It tells and changes nothing: what lags may lag because its sources do, or because everybody reads
//! the new side for the first time, and a swap back is not free. Durable is what was found so far, in
//! the journal, replaced by each look, so that a process that follows goes on counting.

use super::{replace, soak};
use crate::adapters::materialize::MaterializeError;
use crate::adapters::store::StoreError;
use crate::domain::lifecycle::state::Event;
use crate::domain::plan::Strategy;
use crate::domain::progress::{ClusterReadiness, Health, Progress};
use crate::domain::records::deployment::{Deployment, Effect};
use crate::foundation::failure::with_causes;
use crate::operations::error::DeploymentError;
use crate::operations::green::hydrate;
use crate::operations::green::readings::{Listening, Readings};
use crate::operations::saga::context::{Context, key};
use crate::planning::readiness::{Counterparts, Expectation, Judge, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The most reasons that one sentence has.
const REASONS: usize = 3;

/// What was found since the swap.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// How often it was looked.
    pub looks: u64,
    /// How often something was known to be bad.
    pub degraded: u64,
    /// How often something could not be read, and nothing was known to be bad.
    pub unknown: u64,
    /// The worst lag of a cluster whose lag was known, and where.
    pub worst: Option<WorstLag>,
    /// What the last look found.
    pub last: Option<Found>,
    /// How many looks in a row found what the last one did.
    pub in_a_row: u64,
    /// Whether it was told that what serves is degraded, and not yet that it has recovered: the events
    /// of the journal say so.
    #[serde(skip)]
    pub is_told: bool,
}

/// The worst lag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorstLag {
    /// Behind the sources, in milliseconds.
    pub lag_ms: i64,
    /// The production name of the cluster.
    pub cluster: String,
    /// The object.
    pub object: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What a look found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// In a word.
    pub health: Health,
    /// Why it is not good.
    pub why: Vec<String>,
    /// When.
    pub at: Timestamp,
}

/// What is told after a look.
#[derive(Debug, Clone, PartialEq, Eq)]
enum News {
    Degraded(String),
    Recovered,
    /// Something cannot be read any more.
    Unknown(String),
}

impl Watched {
    /// What is on record among these effects.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn recorded(effects: &[Effect]) -> Result<Option<Self>, StoreError> {
        let effect = effects.iter().find(|effect| effect.key == key::WATCH);
        match effect {
            Some(effect) => effect.result_as(),
            None => Ok(None),
        }
    }

    /// Takes a look in. Worse and better are told when `enough` looks in a row found them.
    fn take(&mut self, found: Found, clusters: &[ClusterReadiness], enough: u64) -> Option<News> {
        let before = self.last.as_ref().map(|last| last.health);
        let health = found.health;
        self.in_a_row = match before == Some(health) {
            true => self.in_a_row.saturating_add(1),
            false => 1,
        };
        self.looks = self.looks.saturating_add(1);
        for cluster in clusters {
            let worst = self.worst.as_ref().map(|worst| worst.lag_ms);
            if let Some(lag_ms) = cluster.lag_ms
                && worst.is_none_or(|worst| lag_ms > worst)
            {
                self.worst = Some(WorstLag {
                    lag_ms,
                    cluster: cluster.cluster.clone(),
                    object: cluster.lagging.clone(),
                    at: found.at,
                });
            }
        }
        let why = sentence(&found.why);
        self.last = Some(found);
        match health {
            Health::Good if self.is_told && self.in_a_row >= enough => {
                self.is_told = false;
                Some(News::Recovered)
            }
            Health::Good => None,
            Health::Degraded => {
                self.degraded = self.degraded.saturating_add(1);
                (!self.is_told && self.in_a_row >= enough).then(|| {
                    self.is_told = true;
                    News::Degraded(why)
                })
            }
            Health::Unknown => {
                self.unknown = self.unknown.saturating_add(1);
                (before != Some(Health::Unknown)).then_some(News::Unknown(why))
            }
        }
    }
}

fn sentence(why: &[String]) -> String {
    let mut text = why[..why.len().min(REASONS)].join("; ");
    if why.len() > REASONS {
        text.push_str(&format!("; and {} more", why.len() - REASONS));
    }
    text
}

/// Looks at what a deployment released.
pub(super) struct Watch<'a> {
    context: &'a Context<'a>,
    deployment: &'a Deployment,
    expectation: Expectation,
    readings: Readings<'a>,
    judge: Judge,
    watched: Watched,
}

impl<'a> Watch<'a> {
    /// Begins, or goes on with what is on record.
    ///
    /// # Errors
    /// The journal's.
    pub(super) async fn begin(
        context: &'a Context<'a>,
        deployment: &'a Deployment,
    ) -> Result<Self, DeploymentError> {
        let mut clusters = match deployment.plan.strategy {
            Strategy::Swap => hydrate::released(context, deployment).await?,
            Strategy::Replace => replace::released(context, deployment).await?,
        };
        // Of a cluster that computes nothing of it there is nothing to be known.
        clusters.retain(|_, cluster| !cluster.objects.is_empty());
        let settings = context.settings;
        let threshold = settings.soak_lag_limit.0.as_millis();
        let expectation = Expectation {
            clusters,
            threshold_ms: i64::try_from(threshold).unwrap_or(i64::MAX),
            strict: false,
            oom_kill_limit: i64::from(settings.readiness.oom_kill_limit),
            counterparts: Counterparts::OnTheOldSide,
        };
        let events = context.store.events(&deployment.id).await?;
        let swapped = soak::swapped_at(&events);
        let ids: Vec<&String> = expectation.clusters.keys().collect();
        let begun = context.begin(deployment, key::WATCH, &ids).await?;
        let mut watched: Watched = begun.result_as()?.unwrap_or_default();
        let mut told = events.iter().rev().map(|recorded| &recorded.event);
        let told = told.find(|event| matches!(event, Event::Degraded { .. } | Event::Recovered));
        watched.is_told = matches!(told, Some(Event::Degraded { .. }));
        Ok(Self {
            context,
            deployment,
            judge: Judge::hydrated_at(&expectation, swapped.as_millisecond()),
            readings: Readings::of(Listening::of(context), &expectation),
            expectation,
            watched,
        })
    }

    /// Looks once, tells what has changed and records it. A server that does not answer is told too.
    ///
    /// # Errors
    /// The journal's; [`DeploymentError::Interrupted`].
    pub(super) async fn look(&mut self) -> Result<(), DeploymentError> {
        let (context, deployment) = (self.context, self.deployment);
        let answered = tokio::select! {
            answered = self.read() => answered,
            () = context.cancel.cancelled() => return context.interrupted(deployment),
        };
        let (health, why, clusters) = match answered {
            Ok(Some(verdict)) => found(verdict),
            Ok(None) => return context.interrupted(deployment),
            Err(error) => {
                context.materialize.forget().await;
                let why = format!("it cannot be read: {}", with_causes(&error));
                (Health::Unknown, vec![why], Vec::new())
            }
        };
        let at = Timestamp::now();
        let enough = u64::from(context.settings.readiness.samples);
        let news = self
            .watched
            .take(Found { health, why, at }, &clusters, enough);
        context
            .reporter
            .send(Progress::Watched { health, clusters });
        self.tell(news).await?;
        context.finish(deployment, key::WATCH, &self.watched).await
    }

    async fn tell(&self, news: Option<News>) -> Result<(), DeploymentError> {
        let (context, deployment) = (self.context, self.deployment);
        let reporter = &context.reporter;
        // The event first: it is what a process that follows knows to have been told.
        let record = async |event: Event| {
            let id = &deployment.id;
            context.store.apply(context.lead, id, &event).await
        };
        match news {
            None => {}
            Some(News::Unknown(why)) => reporter.warning(format!(
                "how what serves since the swap is doing is UNKNOWN: {why}"
            )),
            Some(News::Degraded(reason)) => {
                let text = format!(
                    "what serves since the swap is DEGRADED: {reason}; it goes on serving, `cutover rollback` brings the old side back"
                );
                record(Event::Degraded { reason }).await?;
                reporter.warning(text);
            }
            Some(News::Recovered) => {
                record(Event::Recovered).await?;
                reporter.note("what serves since the swap is as it should be again");
            }
        }
        Ok(())
    }

    /// `None` when the operator asks to stop.
    async fn read(&mut self) -> Result<Option<Verdict>, MaterializeError> {
        let Some(reading) = self.readings.present().await? else {
            return Ok(None);
        };
        let mut verdict = self.judge.judge(&self.expectation, &reading);
        for cluster in &mut verdict.clusters {
            let expected = self.expectation.clusters.values();
            let gone = expected
                .filter(|expected| expected.name == cluster.cluster)
                .flat_map(|expected| &expected.objects)
                .filter(|object| !reading.existing.contains(&object.id))
                .map(|object| format!("somebody dropped {}", object.name));
            cluster.waiting_for.extend(gone);
        }
        Ok(Some(verdict))
    }
}

fn found(verdict: Verdict) -> (Health, Vec<String>, Vec<ClusterReadiness>) {
    let why: Vec<String> = verdict
        .clusters
        .iter()
        .flat_map(ClusterReadiness::reasons)
        .collect();
    let health = if why.len() > verdict.unknown {
        Health::Degraded
    } else if verdict.unknown > 0 {
        Health::Unknown
    } else {
        Health::Good
    };
    (health, why, verdict.clusters)
}

#[cfg(test)]
mod tests;
