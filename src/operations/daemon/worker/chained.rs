//! Releasing what another environment has released.

use super::idle::Due;
use super::{Ended, Leading};
use crate::adapters::store::StoreError;
use crate::domain::records::deployment::Deployment;
use crate::domain::records::run::{Cause, Link, NewRun};
use crate::domain::records::subject::Subject;
use crate::operations::daemon::attempts::Attempts;
use crate::operations::daemon::chain::{Chain, First, Next, newest, next};
use crate::operations::daemon::request::Start;
use crate::operations::daemon::worker::begin::Trigger;
use crate::planning::permission::Stop;
use jiff::Timestamp;
use std::time::Duration;

/// How many deployments of the other environment are looked through for the one that counts.
const LOOK_BACK: u32 = 50;
/// How many runs that follow it are looked through for what came of it.
const RUNS: u32 = 50;

impl Leading<'_> {
    /// What follows from what the other environment has released: a release, when one is due and nothing stops it.
    pub(super) async fn chained(
        &mut self,
        now: Timestamp,
        stop: Option<&Stop>,
    ) -> Result<Due, Ended> {
        let loaded = self.worker.loaded();
        let Some(after) = &loaded.settings.after else {
            self.worker.change(|status| status.chain = None);
            return Ok(Due::Never);
        };
        let pace = loaded.settings.daemon.takeover_interval.0;
        let next = match self.next_of_chain(after, now).await {
            Ok(next) => next,
            Err(error) => return self.trouble(&error).await.map(|()| Due::In(pace)),
        };
        let (text, at) = match (&next, stop) {
            (Next::Nothing(why), _) => (why.clone(), None),
            (Next::At(at, _, why), _) => (why.clone(), Some(*at)),
            (Next::Now(link), Some(stop)) => {
                let text = format!("{} waits: {}", link.words(), stop.sentence());
                (text, stop.until())
            }
            (Next::Now(link), None) => (format!("{} is released here", link.words()), Some(now)),
        };
        let chain = Chain {
            after: after.clone(),
            next: text,
            at,
        };
        self.worker.change(|status| status.chain = Some(chain));
        let Next::Now(link) = next else {
            return Ok(Due::In(pace));
        };
        match stop {
            Some(_) => Ok(Due::In(pace)),
            None => self.begin_chained(link).await,
        }
    }

    /// Records the run that follows a release, before anything is done about it: whoever leads takes it up.
    async fn begin_chained(&mut self, link: Link) -> Result<Due, Ended> {
        self.lead.acts_for(Subject::Cutover);
        let revision = Some(link.revision.clone());
        let start = Start {
            cause: Cause::Chain,
            follows: Some(link),
            ..Start::default()
        };
        let new = NewRun {
            cause: Cause::Chain,
            scheduled_for: None,
            revision,
            wishes: Some(serde_json::json!(start)),
        };
        match self.store.begin_run(self.lead, new).await {
            Ok(run) => Ok(Due::Release(Box::new(Trigger {
                cause: Cause::Chain,
                scheduled_for: None,
                run: Some(run.id),
                start,
            }))),
            Err(error) => {
                self.trouble(&error).await?;
                Ok(Due::In(Duration::ZERO))
            }
        }
    }

    async fn next_of_chain(&mut self, after: &str, now: Timestamp) -> Result<Next, StoreError> {
        let loaded = self.worker.loaded();
        let history = self.store.history(Some(after), LOOK_BACK).await?;
        let first = match newest(&history) {
            Ok(done) => match &self.worker.memory.first {
                Some((id, first)) if *id == done.id => first.clone(),
                Some(_) | None => {
                    let first = First::of(&self.store.deployment(&done.id).await?);
                    self.worker.memory.first = Some((done.id.clone(), first.clone()));
                    first
                }
            },
            Err(first) => first,
        };
        let environment = &self.worker.environment;
        let runs = self.store.chained_runs(environment, RUNS).await?;
        let attempts = Attempts::of(&loaded.settings.schedule);
        let soaked = loaded.settings.soaked.map_or(Duration::ZERO, |span| span.0);
        Ok(next(&first, soaked, &runs, &attempts, now))
    }

    /// Why a release that follows another one, and waits, is not the one to be released any more.
    pub(super) async fn is_superseded(&mut self, deployment: &Deployment) -> Option<String> {
        let follows = deployment.request.follows.as_ref()?;
        let next = self
            .next_of_chain(&follows.environment, Timestamp::now())
            .await;
        match next {
            Ok(Next::Now(newer)) if newer != *follows => {
                Some(format!("{} comes after what it follows", newer.words()))
            }
            Ok(Next::Now(_) | Next::At(..) | Next::Nothing(_)) => None,
            Err(error) => {
                tracing::warn!(%error, "what it follows cannot be looked at");
                None
            }
        }
    }
}
