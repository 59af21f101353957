//! What every step works with.

use super::identity::{GreenObject, Ids, SecretNames};
use crate::adapters::artifacts::{Artifacts, Key};
use crate::adapters::materialize::catalog::About;
use crate::adapters::materialize::guarded::{self, Guarded, Names};
use crate::adapters::materialize::watch::Watching;
use crate::adapters::materialize::{Materialize, MaterializeError, Statement};
use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::progress::Reporter;
use crate::domain::records::deployment::{Deployment, Effect};
use crate::foundation::failure::Class;
use crate::foundation::retry::Pauses;
use crate::inputs::settings::Settings;
use crate::operations::error::DeploymentError;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The collaborators of a deployment's steps.
pub struct Context<'a> {
    /// The server.
    pub materialize: &'a Materialize,
    /// The journal.
    pub store: &'a Store,
    /// Where what went live is kept.
    pub artifacts: &'a Artifacts,
    /// Whose artifacts.
    pub artifact_key: Key,
    /// The proof that nobody else works on this environment.
    pub lead: &'a Lead,
    /// The effective configuration.
    pub settings: &'a Settings,
    /// Where relative paths of the configuration begin.
    pub base: &'a Path,
    /// dbt's part.
    pub builds: &'a crate::operations::builds::Builds,
    /// Where news go.
    pub reporter: Reporter,
    /// Set when the operator asks to stop.
    pub cancel: CancellationToken,
    /// What tells how ready green is, for as long as the deployment is under way.
    pub watching: Watching,
}

/// Keys of journalled effects.
pub(crate) mod key {
    /// Creating the control schema and the green (and bootstrapped) schemas and clusters under
    /// secret names. Result: [`super::Ids`].
    pub const CREATE: &str = "create";
    /// Giving them their green (and production) names.
    pub const NAME: &str = "name";
    /// Running dbt on green. Result: [`crate::operations::green::made_by_dbt::Made`], replaced by each run.
    pub const MADE: &str = "run dbt on green";
    /// Making one node without dbt; its unique id follows. Result: when it was done.
    pub const BUILD: &str = "build ";
    /// Recording the objects that dbt built. Result: a list of [`super::GreenObject`].
    pub const RECORD: &str = "record green";
    /// A failure after which green is kept. Result: a list of [`crate::domain::records::kept::FailedNode`].
    pub const FAILED: &str = "what failed";
    /// Looking at what hooks gave the objects of green, before they get their privileges. Result: it, by the id of the
    /// object.
    pub const GIVEN: &str = "what hooks gave";
    /// Once more after its tests ran, where they make something. Result as of [`GIVEN`].
    pub const GIVEN_TESTED: &str = "what hooks gave after tests";
    /// PrivilegeChanges green where the release and people changed the same thing. Result: what, a sentence each.
    pub const CLASHES: &str = "changed on both sides";
    /// Carrying over what was changed in production since the plan. Result: [`crate::operations::green::production_changes::Carried`],
    /// replaced by each look.
    pub const CARRY: &str = "carry changes over";
    /// Finding green ready. Result: since when each of its objects is hydrated, by id, in milliseconds since
    /// the epoch.
    pub const HYDRATED: &str = "hydrated";
    /// Giving green clusters the sizes of production, once they are hydrated. Result: `true`.
    pub const RESIZE: &str = "resize";
    /// Waiting for readiness. Result: what is waited for, replaced as it changes; none when it is ready.
    pub const WAITING: &str = "wait for readiness";
    /// Statements sent. Result: how many of each class, by state; replaced after each step.
    pub const STATEMENTS: &str = "statements";
    /// Recording green once more after its tests ran, where they make something. Result as of [`RECORD`].
    pub const RECORD_TESTED: &str = "record green after tests";
    /// Making indexes of relations that stay on green clusters. Result: a list of
    /// [`super::GreenObject`].
    pub const INDEXES: &str = "make indexes";
    /// Keeping what is about to go live in the artifact store.
    pub const KEEP: &str = "keep artifacts";
    /// Moving the baseline's pointer to the new side.
    pub const PUBLISH: &str = "publish baseline";
    /// Moving it back.
    pub const PUBLISH_BACK: &str = "publish baseline back";
    /// Making the replacement of a view. Result: the replacement.
    pub const REPLACE: &str = "make replacement";
    /// Applying it. Result: the id under which the view serves then.
    pub const APPLY: &str = "apply replacement";
    /// Making a replacement with the old definition; the number of the attempt follows.
    pub const REPLACE_BACK: &str = "make replacement back";
    /// Applying it. Result as of [`APPLY`].
    pub const APPLY_BACK: &str = "apply replacement back";
    /// Keeping what serves again after a replacement was undone.
    pub const KEEP_BACK: &str = "keep artifacts back";
    /// The checks on green. Result: a list of [`crate::operations::deployment::checks::Outcome`].
    pub const CHECKS_BEFORE: &str = "checks before";
    /// The checks during the soak; each run replaces the result, which is as of the checks before.
    pub const CHECKS_SOAK: &str = "checks soak";
    /// Asking a gate; its name follows. Result: [`crate::operations::deployment::promotion::Said`], replaced by each
    /// answer.
    pub const GATE: &str = "gate ";
    /// Comparing the data of green with production's. Result: `true` when each relation has its turn behind it.
    pub const DIFF: &str = "data diff";
    /// Comparing one relation; its unique id follows. Result: [`crate::domain::diff::Entry`], replaced when it is
    /// compared again.
    pub const DIFF_OF: &str = "data diff of ";
    /// Comparing the data of what serves since the swap with the old side's. Result as of [`DIFF`].
    pub const DIFF_SOAK: &str = "data diff soak";
    /// Comparing one relation then. Result as of [`DIFF_OF`].
    pub const DIFF_SOAK_OF: &str = "data diff soak of ";
    /// The beginning of the soak. Result: when, in milliseconds since the epoch by the server's clock.
    pub const SOAK: &str = "soak";
    /// Looking who reads the old side before it goes. Result: since when, as of [`SOAK`].
    pub const DRAIN: &str = "drain";
    /// Who reads it. Result: [`crate::operations::deployment::drain::Readers`], replaced as it changes.
    pub const READERS: &str = "readers of the old side";
    /// Watching what serves, after the swap. Result: [`crate::operations::deployment::watch::Watched`], replaced by
    /// each look.
    pub const WATCH: &str = "watch";
    /// The swap. Result: [`crate::domain::records::drift::Standing`], or `true` where its answer was lost.
    pub const SWAP: &str = "swap";
    /// The swap back.
    pub const SWAP_BACK: &str = "swap back";
    /// Comments and sinks after the swap.
    pub const AFTER_SWAP: &str = "settle";
    /// Comments and sinks after the swap back.
    pub const AFTER_SWAP_BACK: &str = "settle back";
    /// Making one connection, source or table outside; its unique id follows. Result: its id.
    pub const OUTSIDE: &str = "make outside ";
    /// Making one sink after the swap; its unique id follows. Result: its id.
    pub const SINK: &str = "make sink ";
    /// Making one sink as it was, after the swap back; its unique id follows. Result: its id.
    pub const SINK_BACK: &str = "make sink back ";
    /// Giving what was made under a secret name its own; the key of the effect that made it follows.
    pub const NAMED: &str = "name: ";
    /// Sinks of the project after the swap: made, repointed, made anew, and seen running.
    pub const SINKS: &str = "sinks";
    /// The same after the swap back.
    pub const SINKS_BACK: &str = "sinks back";
    /// Dropping one object outside; its id follows.
    pub const DROP_OUTSIDE: &str = "drop outside ";
    /// Saying in Materialize what is live. Result: whether it is said, or why not.
    pub const LIVE: &str = "say what is live";
    /// The same once the old side is back.
    pub const LIVE_BACK: &str = "say what is live back";
    /// Dropping the old side.
    pub const DROP_OLD: &str = "drop old side";
    /// Dropping the new side.
    pub const DROP_GREEN: &str = "drop green side";
}

/// The ids of the schemas that a deployment made, by the production names that the swap gave them;
/// none of one that did not get that far or replaced a view in place.
///
/// # Errors
/// The journal's.
pub async fn green_schemas(
    store: &Store,
    deployment: &str,
) -> Result<BTreeMap<String, String>, StoreError> {
    let ids: Option<Ids> = match store.effect(deployment, key::CREATE).await? {
        Some(effect) => effect.result_as()?,
        None => None,
    };
    Ok(ids.unwrap_or_default().green_schemas)
}

impl Context<'_> {
    /// Journals the intent of an effect; the result comes along when it happened already.
    pub(crate) async fn begin(
        &self,
        deployment: &Deployment,
        key: &str,
        intent: &(impl Serialize + Sync),
    ) -> Result<Effect, DeploymentError> {
        Ok(self
            .store
            .begin_effect(self.lead, &deployment.id, key, intent)
            .await?)
    }

    /// Journals the result of an effect.
    pub(crate) async fn finish(
        &self,
        deployment: &Deployment,
        key: &str,
        result: &(impl Serialize + Sync),
    ) -> Result<(), DeploymentError> {
        Ok(self
            .store
            .finish_effect(self.lead, &deployment.id, key, result)
            .await?)
    }

    /// The recorded ids of both sides, or `None` when staging did not get that far.
    pub(crate) async fn ids(
        &self,
        deployment: &Deployment,
    ) -> Result<Option<Ids>, DeploymentError> {
        let effect = self.store.effect(&deployment.id, key::CREATE).await?;
        Ok(match effect {
            Some(effect) => effect.result_as()?,
            None => None,
        })
    }

    /// The recorded ids of both sides.
    pub(crate) async fn recorded_ids(
        &self,
        deployment: &Deployment,
    ) -> Result<Ids, DeploymentError> {
        self.ids(deployment).await?.ok_or_else(|| {
            DeploymentError::Stuck(format!(
                "the journal of {} has no ids of green although it is {}",
                deployment.id, deployment.state
            ))
        })
    }

    /// The recorded objects of green, or `None` when the build did not finish.
    pub(crate) async fn green_objects(
        &self,
        deployment: &Deployment,
    ) -> Result<Option<Vec<GreenObject>>, DeploymentError> {
        for key in [key::RECORD_TESTED, key::RECORD] {
            if let Some(effect) = self.store.effect(&deployment.id, key).await?
                && let Some(objects) = effect.result_as()?
            {
                return Ok(Some(objects));
            }
        }
        Ok(None)
    }

    /// Whether green was recorded after its tests ran.
    pub(crate) async fn is_tested(&self, deployment: &Deployment) -> Result<bool, DeploymentError> {
        let effect = self
            .store
            .effect(&deployment.id, key::RECORD_TESTED)
            .await?;
        Ok(effect.is_some_and(|effect| effect.result.is_some()))
    }

    /// The recorded indexes of relations that stay, on green clusters.
    pub(crate) async fn moved_indexes(
        &self,
        deployment: &Deployment,
    ) -> Result<Vec<GreenObject>, DeploymentError> {
        if deployment.plan.indexes.is_empty() {
            return Ok(Vec::new());
        }
        let effect = self.store.effect(&deployment.id, key::INDEXES).await?;
        let recorded = match effect {
            Some(effect) => effect.result_as()?,
            None => None,
        };
        recorded.ok_or_else(|| {
            DeploymentError::Stuck("the journal has no record of the indexes made".to_owned())
        })
    }

    /// The secret names of a deployment.
    pub(crate) fn secret(deployment: &Deployment) -> SecretNames {
        SecretNames::of(&deployment.id)
    }

    /// A guarded transaction, repeated under 40001 until `cutover.attempts` are used up. The check sees of
    /// the catalog what `about` names.
    ///
    /// Each attempt asks the journal first whether this process still leads: between the record of
    /// the intent and a later attempt another one may have taken over and decided otherwise.
    ///
    /// # Errors
    /// See [`guarded::transaction`]; the last conflict when the attempts are used up; the journal's.
    pub(crate) async fn guarded<E: Send>(
        &self,
        statements: &[Statement],
        rehearse: bool,
        about: &About,
        check: impl Fn(&Names) -> Result<(), E>,
    ) -> Result<Guarded<E>, DeploymentError> {
        let always = || futures_util::future::ready(Ok(Ok(()))).boxed();
        self.guarded_if(statements, rehearse, (about, check), always)
            .await
    }

    /// As [`Self::guarded`], where `may_begin` is asked before each attempt that is no rehearsal.
    pub(crate) async fn guarded_if<'b, E: Send + 'b>(
        &self,
        statements: &[Statement],
        rehearse: bool,
        (about, check): (&About, impl Fn(&Names) -> Result<(), E>),
        may_begin: impl Fn() -> BoxFuture<'b, Result<Result<(), E>, DeploymentError>>,
    ) -> Result<Guarded<E>, DeploymentError> {
        let Some((first, rest)) = statements.split_first() else {
            return Ok(Guarded::Committed);
        };
        let mut pauses = Pauses::endless(
            Duration::from_millis(20),
            self.settings.cutover.backoff_max.0,
        );
        let mut attempt = 1;
        loop {
            if !rehearse {
                self.store.still_leads(self.lead).await?;
                if let Err(refusal) = may_begin().await? {
                    return Ok(Guarded::Declined(refusal));
                }
            }
            let answer =
                guarded::transaction(self.materialize, first, rest, rehearse, about, &check).await;
            match answer {
                Err(MaterializeError::Conflict { label })
                    if attempt < self.settings.cutover.attempts =>
                {
                    tracing::info!(attempt, label, "the catalog changed; trying again");
                    attempt += 1;
                    let text = format!(
                        "somebody else changed the catalog; attempt {attempt} of {}",
                        self.settings.cutover.attempts
                    );
                    self.reporter.retry(Class::Conflict, text);
                    if let Some(pause) = pauses.next_pause() {
                        tokio::time::sleep(pause).await;
                    }
                }
                other => return Ok(other?),
            }
        }
    }

    /// Sends one statement over the present connection.
    pub(crate) async fn execute(&self, statement: &Statement) -> Result<(), DeploymentError> {
        let session = self.materialize.session().await?;
        Ok(session.execute(statement).await?)
    }

    /// Sends a statement that makes something under a name that only this deployment knows. A refusal while
    /// it `is_there` means that an earlier attempt has made it, the answer to which was lost.
    pub(crate) async fn make(
        &self,
        statement: &Statement,
        is_there: impl AsyncFnOnce() -> Result<bool, DeploymentError>,
    ) -> Result<(), DeploymentError> {
        match self.execute(statement).await {
            Err(error @ DeploymentError::Materialize(MaterializeError::Refused { .. })) => {
                match is_there().await? {
                    true => Ok(()),
                    false => Err(error),
                }
            }
            answer => answer,
        }
    }

    /// Sends statements one after the other. Whoever calls may be called again after some of them.
    ///
    /// # Errors
    /// [`DeploymentError::Interrupted`] between two of them, when the operator asks to stop.
    pub(crate) async fn execute_all(
        &self,
        deployment: &Deployment,
        statements: &[Statement],
    ) -> Result<(), DeploymentError> {
        for statement in statements {
            self.interrupted(deployment)?;
            self.execute(statement).await?;
        }
        Ok(())
    }

    /// The error for a stop that the operator asked for, when there was one.
    pub(crate) fn interrupted(&self, deployment: &Deployment) -> Result<(), DeploymentError> {
        if self.cancel.is_cancelled() {
            return Err(DeploymentError::Interrupted {
                id: deployment.id.clone(),
                state: deployment.state,
            });
        }
        Ok(())
    }
}
