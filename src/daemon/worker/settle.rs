//! Runs that the journal has as open although nobody works on them: an earlier leader's, or one whose
//! end, or whose deployment, could not be recorded when the journal was away.

use super::{Ended, Leading};
use crate::store::{Deployment, Outcome, StoreError};

impl Leading<'_> {
    /// Ends the runs that an earlier leader left open; the one of the deployment under way goes on.
    pub(super) async fn recover(&mut self) -> Result<(), Ended> {
        let recovered = async {
            let active = self.store.active(&self.worker.environment).await?;
            self.end_left_open(active.as_ref(), "the process that planned it ended")
                .await
        };
        match recovered.await {
            Ok(run) => {
                self.worker.memory.run = run;
                Ok(())
            }
            Err(error) => self.trouble(&error).await,
        }
    }

    /// Ends the runs of this lead that could not be ended in their time. Nothing is under way.
    pub(super) async fn settle(&mut self) -> Result<(), Ended> {
        match self
            .end_left_open(None, "what came of it could not be recorded")
            .await
        {
            Ok(_) => {
                self.worker.memory.run = None;
                Ok(())
            }
            Err(error) => self.trouble(&error).await,
        }
    }

    /// Finds the run that made the deployment under way, where the journal could not say so in time.
    pub(super) async fn find_run(&mut self, deployment: &Deployment) -> Result<(), Ended> {
        if self.worker.memory.run.is_some() {
            return Ok(());
        }
        let found = async {
            let open = self.store.open_runs(&self.worker.environment).await?;
            let mut attached = open.iter();
            if let Some(run) = attached.find(|run| run.deployment.as_ref() == Some(&deployment.id))
            {
                return Ok(Some(run.id.clone()));
            }
            // What earlier leaders left was ended when this lead began, and a deployment comes of the
            // run before it.
            let mut unattached = open.iter().filter(|run| {
                run.deployment.is_none()
                    && !self.is_next(&run.id)
                    && run.started_at <= deployment.created_at
            });
            let Some(run) = unattached.next() else {
                return Ok(None);
            };
            self.store
                .attach_run(self.lead, &run.id, &deployment.id)
                .await?;
            Ok::<_, StoreError>(Some(run.id.clone()))
        };
        match found.await {
            Ok(run) => {
                self.worker.memory.run = run;
                Ok(())
            }
            Err(error) => self.trouble(&error).await,
        }
    }

    /// Ends open runs, but for the one of the deployment under way, which is given back, and the one
    /// that waits for its turn.
    async fn end_left_open(
        &mut self,
        active: Option<&Deployment>,
        why: &str,
    ) -> Result<Option<String>, StoreError> {
        let mut kept = None;
        for run in self.store.open_runs(&self.worker.environment).await? {
            if self.is_next(&run.id) {
                continue;
            }
            let Some(id) = &run.deployment else {
                self.conclude(&run.id, Outcome::Interrupted, Some(why))
                    .await?;
                continue;
            };
            if active.is_some_and(|active| active.id == *id) {
                kept = Some(run.id);
                continue;
            }
            let ended = self.store.deployment(id).await?;
            let outcome = Outcome::of(ended.state);
            self.conclude(&run.id, outcome, ended.reason.as_deref())
                .await?;
        }
        Ok(kept)
    }

    /// Whether a run waits for its turn.
    fn is_next(&self, run: &str) -> bool {
        let next = self.worker.memory.next.as_ref();
        next.is_some_and(|next| next.run.as_deref() == Some(run))
    }
}
