//! Where readings of readiness come from: the server tells them, or it is asked.
//!
//! The server is subscribed to where it lets this role do so; what the subscription knows already
//! counts. Where it is refused, lost or silent, the server is asked at a growing pace.

use crate::adapters::materialize::watch::{Ended, Watch, Watching};
use crate::adapters::materialize::{Materialize, MaterializeError};
use crate::domain::progress::Reporter;
use crate::domain::reading::Reading;
use crate::foundation::failure::{Class, Classify};
use crate::operations::saga::context::Context;
use crate::planning::readiness::Expectation;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a watch may say nothing before the server is asked once beside it. It says something about
/// every second.
const SILENCE: Duration = Duration::from_secs(10);

/// What readings are taken with.
#[derive(Debug, Clone, Copy)]
pub struct Listening<'a> {
    /// The server.
    pub materialize: &'a Materialize,
    /// What it tells by itself.
    pub watching: &'a Watching,
    /// Who is told that it has to be asked.
    pub reporter: &'a Reporter,
    /// When to stop.
    pub cancel: &'a CancellationToken,
}

impl<'a> Listening<'a> {
    /// That of a deployment.
    pub(crate) fn of(context: &'a Context<'a>) -> Self {
        Self {
            materialize: context.materialize,
            watching: &context.watching,
            reporter: &context.reporter,
            cancel: &context.cancel,
        }
    }
}

/// Readings of what is expected, and of its counterparts.
#[derive(Debug)]
pub struct Readings<'a> {
    with: Listening<'a>,
    objects: BTreeSet<String>,
    clusters: BTreeSet<String>,
    /// `None` where the server is asked.
    watch: Option<Arc<Watch>>,
    /// The server's clock at the last reading that was given.
    seen_ms: i64,
    has_asked: bool,
}

impl<'a> Readings<'a> {
    /// Begins to listen.
    #[must_use]
    pub fn of(with: Listening<'a>, expectation: &Expectation) -> Self {
        let objects = expectation
            .clusters
            .values()
            .flat_map(|cluster| &cluster.objects)
            .flat_map(|object| std::iter::once(&object.id).chain(&object.counterpart))
            .cloned()
            .collect();
        let clusters = expectation.clusters.keys().cloned().collect();
        let mut readings = Self {
            with,
            objects,
            clusters,
            watch: None,
            seen_ms: i64::MIN,
            has_asked: false,
        };
        if !readings.objects.is_empty() {
            readings.watch = Some(readings.begin());
        }
        readings
    }

    fn begin(&self) -> Arc<Watch> {
        let Listening {
            materialize,
            watching,
            ..
        } = self.with;
        watching.of(materialize, &self.objects, &self.clusters)
    }

    /// Readings that were not given yet, oldest first, the last of them of the present; none when the
    /// operator asks to stop. Where the server is asked, it is so after `pause`.
    ///
    /// # Errors
    /// The server's, when it is asked and does not come back.
    pub async fn next(&mut self, pause: Duration) -> Result<Vec<Arc<Reading>>, MaterializeError> {
        if let Some(watch) = self.watch.clone() {
            match self.hear(&watch).await {
                Hearing::Readings(readings) => return Ok(readings),
                Hearing::Silence => {}
                Hearing::Ended(Ended::Refused(why)) => {
                    self.watch = None;
                    let text = format!(
                        "the server does not let readiness be subscribed to, so it is asked again and again: {why}"
                    );
                    self.with.reporter.note(text);
                }
                Hearing::Ended(Ended::Lost(why)) => {
                    tracing::warn!(
                        why,
                        "the subscription to readiness was lost; asking instead"
                    );
                    let reading = self.ask().await?;
                    // The server is there again.
                    self.watch = Some(self.begin());
                    return Ok(self.given(reading));
                }
            }
        } else if self.has_asked {
            tokio::select! {
                () = self.with.cancel.cancelled() => return Ok(Vec::new()),
                () = tokio::time::sleep(pause) => {}
            }
        }
        let reading = self.ask().await?;
        Ok(self.given(reading))
    }

    /// One reading of the present; `None` when the operator asks to stop. A server that does not answer is
    /// not waited for.
    ///
    /// # Errors
    /// The server's.
    pub(crate) async fn present(&mut self) -> Result<Option<Arc<Reading>>, MaterializeError> {
        // What is known counts, although it was given before.
        self.seen_ms = i64::MIN;
        let mut is_lost = false;
        if let Some(watch) = self.watch.clone() {
            match self.hear(&watch).await {
                Hearing::Readings(mut readings) => return Ok(readings.pop()),
                Hearing::Silence => {}
                Hearing::Ended(Ended::Refused(_)) => self.watch = None,
                Hearing::Ended(Ended::Lost(_)) => is_lost = true,
            }
        }
        let reading = self.ask_once().await?;
        if is_lost {
            self.watch = Some(self.begin());
        }
        Ok(self.given(reading).pop())
    }

    fn given(&mut self, reading: Reading) -> Vec<Arc<Reading>> {
        self.seen_ms = self.seen_ms.max(reading.now_ms);
        vec![Arc::new(reading)]
    }

    async fn hear(&mut self, watch: &Watch) -> Hearing {
        let mut heard = watch.heard();
        let deadline = tokio::time::Instant::now() + SILENCE;
        loop {
            {
                let now = heard.borrow_and_update();
                if let Some(ended) = &now.ended {
                    return Hearing::Ended(ended.clone());
                }
                let new = now.readings.iter().filter(|it| it.now_ms > self.seen_ms);
                let new: Vec<Arc<Reading>> = new.cloned().collect();
                if let Some(last) = new.last()
                    && now.is_fresh()
                {
                    self.seen_ms = last.now_ms;
                    return Hearing::Readings(new);
                }
            }
            tokio::select! {
                () = self.with.cancel.cancelled() => return Hearing::Readings(Vec::new()),
                changed = heard.changed() => if changed.is_err() {
                    return Hearing::Ended(Ended::Lost("its task ended".to_owned()));
                },
                () = tokio::time::sleep_until(deadline) => {
                    tracing::warn!("the server has been silent about readiness; asking beside the watch");
                    return Hearing::Silence;
                }
            }
        }
    }

    /// One reading; a lost connection is made again and the reading repeated.
    async fn ask(&mut self) -> Result<Reading, MaterializeError> {
        loop {
            self.with.materialize.session_patiently().await?;
            match self.ask_once().await {
                Err(error) if error.class() == Class::Transient => {
                    tracing::warn!(%error, "reading the readiness again");
                    self.with.materialize.forget().await;
                }
                answer => return answer,
            }
        }
    }

    async fn ask_once(&mut self) -> Result<Reading, MaterializeError> {
        self.has_asked = true;
        let session = self.with.materialize.session().await?;
        Reading::take(&session, &self.objects, &self.clusters).await
    }
}

/// What came of listening to a watch.
enum Hearing {
    Readings(Vec<Arc<Reading>>),
    Silence,
    Ended(Ended),
}
