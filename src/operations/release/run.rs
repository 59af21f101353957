//! From a wish to a deployment that is driven: plan, record, drive. The command line and the daemon
//! conduct releases with the same code.

use super::{Release, ReleaseError, Wishes};
use crate::adapters::artifacts::Artifacts;
use crate::adapters::materialize::Materialize;
use crate::adapters::materialize::cost::Counts;
use crate::adapters::materialize::watch::Watching;
use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::diff;
use crate::domain::lifecycle::policy::Policy;
use crate::domain::lifecycle::state::Event;
use crate::domain::plan::refusal::RefusalName;
use crate::domain::plan::{Mode, Plan};
use crate::domain::progress::Reporter;
use crate::domain::records::deployment::{Deployment, Kind, NewDeployment, Request};
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::operations::builds::Builds;
use crate::operations::deployment::engine::Recheck;
use crate::operations::deployment::{Engine, Until};
use crate::operations::saga::context::Context;
use crate::operations::saga::statements;
use crate::operations::takedown::leftovers::{self, Leftover};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// The folder of a run that has no deployment yet, and how much was sent to the server for it.
#[derive(Debug)]
pub struct Folder(PathBuf, Counts);

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn of(release: &Release) -> Self {
        let name = format!("planning-{}", uuid::Uuid::now_v7());
        Self(release.runs().join(name), Counts::default())
    }

    /// Removes it, when the plan is not carried out.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(self) -> Result<(), ReleaseError> {
        std::fs::remove_dir_all(&self.0).map_err(|source| ReleaseError::Folder {
            path: self.0.clone(),
            source,
        })
    }

    fn becomes(self, place: &Path) -> Result<(), ReleaseError> {
        std::fs::rename(&self.0, place).map_err(|source| ReleaseError::Folder {
            path: place.to_owned(),
            source,
        })
    }
}

impl Release {
    /// The refusals that the configuration accepts, and these.
    #[must_use]
    pub fn allowed(&self, more: &[RefusalName]) -> BTreeSet<RefusalName> {
        // Words of the configuration were checked when it was loaded.
        let configured = self.settings.allow.iter();
        configured
            .filter_map(|word| word.parse().ok())
            .chain(more.iter().copied())
            .collect()
    }

    /// Plans a release in a folder of its own.
    ///
    /// # Errors
    /// See [`Release::plan`]; the folder is removed then.
    pub async fn planned(
        &self,
        store: &Store,
        wishes: &Wishes,
        reporter: &Reporter,
        stop: &CancellationToken,
    ) -> Result<(Plan, Folder), ReleaseError> {
        // A deployment that was finished first may have needed another commit.
        if let Some(again) = self.at(self.revision.as_deref(), stop).await? {
            return Box::pin(again.planned(store, wishes, reporter, stop)).await;
        }
        for warning in self.project.warnings() {
            reporter.warning(warning);
        }
        // What the project does not say is not worth waiting for dbt.
        self.project.deployment()?;
        let mut folder = Folder::of(self);
        let builds = self.builds(&folder.0, reporter, stop)?;
        if let Err(error) = self.is_for_this(&builds) {
            // A folder that stays does no harm; the error is what matters.
            let _ = folder.remove();
            return Err(error);
        }
        let materialize = self.materialize().until(stop);
        let plan = match self.artifacts() {
            Ok(artifacts) => {
                self.plan(&builds, &materialize, &artifacts, store, wishes)
                    .await
            }
            Err(error) => Err(error),
        };
        match plan {
            Ok(plan) => {
                folder.1 = materialize.counts();
                Ok((plan, folder))
            }
            Err(error) => {
                // A folder that stays does no harm; the error is what matters.
                let _ = folder.remove();
                Err(error)
            }
        }
    }

    /// Records a deployment of the plan, with what was asked for, as that of a run where there is one.
    ///
    /// # Errors
    /// The journal's.
    pub async fn record(
        &self,
        store: &Store,
        lead: &Lead,
        plan: Plan,
        folder: Folder,
        wishes: &Wishes,
        run: Option<&str>,
    ) -> Result<Deployment, ReleaseError> {
        let request = self.request(wishes, &plan);
        let new = NewDeployment { plan, request };
        let deployment = store.create_by(lead, new, run).await?;
        let sent = folder.1;
        folder.becomes(&self.runs().join(&deployment.id))?;
        statements::planning(store, lead, &deployment, sent).await?;
        Ok(deployment)
    }

    fn request(&self, wishes: &Wishes, plan: &Plan) -> Request {
        Request {
            kind: match plan.mode {
                Mode::Full => Kind::Full,
                Mode::Slim => Kind::Changed,
            },
            promotion: match wishes.waits_for_promotion {
                true => Policy::Manual,
                false => self.settings.promotion,
            },
            cleanup: self.settings.cleanup,
            soak: self.settings.soak,
            allow: wishes.allow.iter().map(ToString::to_string).collect(),
            bootstrap: wishes.bootstrap,
            revision: self.revision.clone(),
            back_to: wishes.back_to.clone(),
            override_freeze: wishes.override_freeze.clone(),
            follows: wishes.follows.clone(),
            keep: wishes.keep.or(self.settings.on_failure.kept()),
            checks: self.settings.checks.clone(),
            diff: (self.settings.diff.mode != diff::Mode::Off).then(|| self.settings.diff.clone()),
            conditions: self.settings.conditions(wishes.waits_for_promotion),
        }
    }

    /// Drives a deployment and gives it back as it ended. `event` is what was asked of it. When another
    /// process has taken the lead, what is under way here is stopped, dbt with it: whoever leads now may make
    /// other things under the same names.
    ///
    /// # Errors
    /// See [`Engine::drive`]; [`StoreError::Superseded`] once the lead is lost.
    pub async fn drive(
        &self,
        driving: &Driving<'_>,
        deployment: Deployment,
        until: Until,
        event: Option<Event>,
    ) -> Result<Deployment, ReleaseError> {
        let is_abort = matches!(
            event,
            Some(Event::AbortRequested | Event::KeepingEnded { .. })
        );
        let planned = self
            .as_planned(&deployment, is_abort, &driving.reporter, driving.stop)
            .await?;
        if let Some(planned) = planned {
            return Box::pin(planned.drive(driving, deployment, until, event)).await;
        }
        let span = tracing::info_span!(
            "deployment",
            environment = %deployment.environment,
            deployment_id = %deployment.id
        );
        let stop = driving.stop.child_token();
        let driving = &Driving {
            stop: &stop,
            reporter: driving.reporter.clone(),
            watching: driving.watching.clone(),
            ..*driving
        };
        let id = deployment.id.clone();
        let (mut deployment, mut event) = (deployment, event);
        loop {
            let driven = self.drive_in_certainty(driving, deployment, until, event.take());
            match driven.instrument(span.clone()).await? {
                Driven::Ended(deployment) => return Ok(*deployment),
                Driven::InDoubt => {}
            }
            let text = "the journal has not confirmed for too long that this process leads, so dbt was ended; it goes on once that is certain";
            driving.reporter.warning(text.to_owned());
            driving.store.still_leads(driving.lead).await?;
            tokio::select! {
                () = driving.lead.certain() => {}
                () = driving.lead.lost() => return Err(superseded(driving.lead)),
                () = stop.cancelled() => {}
            }
            deployment = driving.store.deployment(&id).await?;
        }
    }

    /// Drives until it ends, or until dbt had to end because the lead is in doubt.
    async fn drive_in_certainty(
        &self,
        driving: &Driving<'_>,
        deployment: Deployment,
        until: Until,
        event: Option<Event>,
    ) -> Result<Driven, ReleaseError> {
        let hurry = CancellationToken::new();
        let mut parts = self.parts(driving, &deployment)?;
        parts.builds.invoker.hurry = hurry.clone();
        let mut engine = Engine::new(self.context(driving, &parts), deployment);
        let ended = {
            let driven = async {
                engine.unstick().await?;
                if let Some(event) = event {
                    engine.apply(event).await?;
                }
                engine.drive(until).await
            };
            let mut driven = std::pin::pin!(driven);
            loop {
                tokio::select! {
                    ended = &mut driven => break ended,
                    // Nothing but dbt writes without the journal.
                    () = driving.lead.in_doubt(), if !hurry.is_cancelled() => hurry.cancel(),
                    () = driving.lead.lost() => {
                        hurry.cancel();
                        driving.stop.cancel();
                        // It ends at its next boundary, and dbt at once.
                        let ended = driven.await;
                        if let Err(error) = ended {
                            tracing::info!(error = with_causes(&error), "stopped, since the lead was lost");
                        }
                        return Err(superseded(driving.lead));
                    }
                }
            }
        };
        match ended {
            Err(error)
                if hurry.is_cancelled()
                    && !driving.stop.is_cancelled()
                    && error.class() == Class::Interrupted =>
            {
                Ok(Driven::InDoubt)
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok(Driven::Ended(Box::new(engine.deployment().clone()))),
        }
    }

    /// Looks whether a deployment that is ready could be promoted now; see [`Engine::recheck`].
    ///
    /// # Errors
    /// See [`Engine::recheck`].
    pub async fn recheck(
        &self,
        driving: &Driving<'_>,
        deployment: Deployment,
    ) -> Result<Recheck, ReleaseError> {
        let parts = self.parts(driving, &deployment)?;
        let engine = Engine::new(self.context(driving, &parts), deployment);
        Ok(engine.recheck().await?)
    }

    /// Looks once at what serves since the swap; see [`Engine::watch`].
    ///
    /// # Errors
    /// See [`Engine::watch`].
    pub async fn watch(
        &self,
        driving: &Driving<'_>,
        deployment: Deployment,
    ) -> Result<(), ReleaseError> {
        let parts = self.parts(driving, &deployment)?;
        let engine = Engine::new(self.context(driving, &parts), deployment);
        Ok(engine.watch().await?)
    }

    /// Drops what an ended deployment left in Materialize, as far as the journal has the ids of it.
    ///
    /// # Errors
    /// See [`leftovers::take_down`].
    pub async fn take_leftovers_down(
        &self,
        driving: &Driving<'_>,
        deployment: &Deployment,
        leftovers: &[Leftover],
    ) -> Result<(), ReleaseError> {
        // dbt has no part in it; its own folder may be gone and is not made again.
        let folder = Folder::of(self);
        let parts = Parts {
            builds: self.builds(&folder.0, &driving.reporter, driving.stop)?,
            materialize: self.materialize().until(driving.stop),
            artifacts: self.artifacts()?,
        };
        let context = self.context(driving, &parts);
        let taken = leftovers::take_down(&context, deployment, leftovers).await;
        let _ = folder.remove();
        Ok(taken?)
    }

    pub(super) fn parts(
        &self,
        driving: &Driving<'_>,
        deployment: &Deployment,
    ) -> Result<Parts, ReleaseError> {
        let folder = self.runs().join(&deployment.id);
        Ok(Parts {
            builds: self.builds(&folder, &driving.reporter, driving.stop)?,
            materialize: self.materialize().until(driving.stop),
            artifacts: self.artifacts()?,
        })
    }

    pub(super) fn context<'a>(&'a self, driving: &Driving<'a>, parts: &'a Parts) -> Context<'a> {
        Context {
            materialize: &parts.materialize,
            artifacts: &parts.artifacts,
            artifact_key: self.artifact_key(),
            store: driving.store,
            lead: driving.lead,
            settings: &self.settings,
            base: &self.base,
            builds: &parts.builds,
            reporter: driving.reporter.clone(),
            cancel: driving.stop.clone(),
            watching: driving.watching.clone(),
        }
    }
}

/// How a drive ended.
enum Driven {
    /// As it does.
    Ended(Box<Deployment>),
    /// dbt was ended, because this process could not be sure that it leads.
    InDoubt,
}

fn superseded(lead: &Lead) -> ReleaseError {
    let environment = lead.environment().to_owned();
    StoreError::Superseded {
        environment,
        holder: None,
    }
    .into()
}

/// What is opened for each drive.
pub(super) struct Parts {
    pub(super) builds: Builds,
    pub(super) materialize: Materialize,
    pub(super) artifacts: Artifacts,
}

/// What a deployment is driven with.
#[derive(Debug)]
pub struct Driving<'a> {
    /// The journal.
    pub store: &'a Store,
    /// The proof that nobody else works on the environment.
    pub lead: &'a Lead,
    /// Where news go.
    pub reporter: Reporter,
    /// Set when the drive is to stop at the next boundary.
    pub stop: &'a CancellationToken,
    /// What tells how ready the deployment is; kept from one drive to the next.
    pub watching: Watching,
}
