//! `promote`, `rollback`, `abort`, `resume` and `cleanup`: they act on the deployment under way.

use super::{Commands, success};
use crate::cli::arguments::Step;
use crate::cli::handlers::Answer;
use crate::cli::output::Advice;
use crate::cli::output::advice::Circumstances;
use crate::cli::output::views::{DeploymentView, DryRunView, OutcomeView};
use crate::cli::{CommandError, Output};
use crate::deployment::state::{Event, State};
use crate::deployment::{Context, DeploymentError, Engine, Until, engine};
use crate::progress::Reporter;
use crate::release::{Release, ReleaseError};
use crate::store::{Deployment, Lead, Store};
use tokio_util::sync::CancellationToken;

/// What is asked of the deployment under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Promote,
    Rollback,
    Abort,
    Resume,
    Cleanup,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Verb::Promote => "promote",
            Verb::Rollback => "rollback",
            Verb::Abort => "abort",
            Verb::Resume => "resume",
            Verb::Cleanup => "cleanup",
        }
    }

    fn until(self) -> Until {
        Until {
            promote: self == Verb::Promote,
            clean_up: self == Verb::Cleanup,
        }
    }

    /// The event that the verb adds, or why the state does not admit the verb. `at` is the state,
    /// or where a stuck deployment got stuck.
    fn event(self, at: State) -> Result<Option<Event>, String> {
        let no = |why: String| Err(format!("cannot {}: {why}", self.word()));
        match self {
            Verb::Resume => Ok(None),
            Verb::Promote if matches!(at, State::Ready | State::CuttingOver) => Ok(None),
            Verb::Promote => no(format!("the deployment is {at}, not ready")),
            Verb::Cleanup if matches!(at, State::Soaking | State::CleaningUp) => Ok(None),
            Verb::Cleanup => no(format!(
                "the deployment is {at}; there is no old side to drop"
            )),
            Verb::Rollback if at == State::Soaking => Ok(Some(Event::RollbackRequested {
                reason: "requested by an operator".to_owned(),
            })),
            Verb::Rollback if at == State::RollingBack => Ok(None),
            Verb::Rollback if at == State::CleaningUp => {
                no("the old side is already being dropped".to_owned())
            }
            Verb::Rollback => no(format!(
                "the deployment is {at}; production was not changed by it"
            )),
            Verb::Abort if at.is_before_cutover() => Ok(Some(Event::AbortRequested)),
            Verb::Abort if at == State::Unwinding => Ok(None),
            Verb::Abort if at == State::CuttingOver => no(
                "the swap was sent and its outcome must be found out first; run `cutover resume`"
                    .to_owned(),
            ),
            Verb::Abort => no(format!(
                "the deployment is {at}; `cutover rollback` undoes a swap"
            )),
        }
    }

    fn would(self, at: State) -> Vec<String> {
        let text = match self {
            Verb::Promote => {
                "check readiness and rehearse again, swap green with production in one transaction, then soak and clean up as the deployment was told"
            }
            Verb::Rollback => {
                "swap the old side back in one transaction, point sinks back, and drop the new side"
            }
            Verb::Abort => "drop green by its recorded ids; production is not touched",
            Verb::Resume => "find out by the recorded ids what has happened, and go on from there",
            Verb::Cleanup => {
                "drop the old side by its recorded ids, object by object, without CASCADE"
            }
        };
        vec![format!("{text} (the deployment is {at})")]
    }
}

pub(super) async fn run(
    commands: &Commands,
    verb: Verb,
    arguments: &Step,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    let release = commands.open(&arguments.target, Vec::new())?;
    let store = release.store().await?;
    let lead = store
        .lead(&release.environment)
        .await
        .map_err(ReleaseError::from)?;
    let active = store
        .active(&release.environment)
        .await
        .map_err(ReleaseError::from)?;
    let Some(deployment) = active else {
        return nothing_active(verb, &release, &store, output).await;
    };
    release.is_planned_here(&deployment.id, &deployment.plan)?;
    let at = stuck_at(&store, &deployment).await?;
    let event = verb.event(at).map_err(DeploymentError::NotNow)?;
    let materialize = release.materialize();
    tokio::select! {
        is_ours = release.is_planned_on(&materialize, &deployment.id, &deployment.plan) => is_ours?,
        () = stop.cancelled() => {
            return Err(DeploymentError::Interrupted {
                id: deployment.id,
                state: deployment.state,
            }
            .into());
        }
    }
    if arguments.dry_run {
        output.document(&DryRunView {
            command: verb.word().to_owned(),
            environment: release.environment.clone(),
            would: verb.would(at),
        });
        return success();
    }
    let deployment = store
        .take_up(&lead, &deployment.id)
        .await
        .map_err(ReleaseError::from)?;
    let (reporter, news) = Reporter::channel();
    let renderer = output.render(news);
    let work = Work {
        release: &release,
        store: &store,
        lead: &lead,
        reporter,
    };
    let ended = work.drive(deployment, verb.until(), stop, event).await;
    renderer.finish().await;
    outcome(&release, ended?, output)
}

/// Running `resume` when nothing is under way changes nothing and is no fault.
async fn nothing_active(verb: Verb, release: &Release, store: &Store, output: &Output) -> Answer {
    if verb != Verb::Resume {
        return Err(DeploymentError::NoDeployment(release.environment.clone()).into());
    }
    let latest = store
        .latest(&release.environment)
        .await
        .map_err(ReleaseError::from)?;
    match latest {
        Some(latest) => outcome(release, latest, output),
        None => Err(DeploymentError::NoDeployment(release.environment.clone()).into()),
    }
}

/// The state, or where a stuck deployment got stuck.
async fn stuck_at(store: &Store, deployment: &Deployment) -> Result<State, CommandError> {
    if deployment.state != State::Stuck {
        return Ok(deployment.state);
    }
    let events = store
        .events(&deployment.id)
        .await
        .map_err(ReleaseError::from)?;
    Ok(engine::stuck_at(&events).unwrap_or(State::Stuck))
}

/// What drives a deployment.
pub(super) struct Work<'a> {
    pub(super) release: &'a Release,
    pub(super) store: &'a Store,
    pub(super) lead: &'a Lead,
    pub(super) reporter: Reporter,
}

impl Work<'_> {
    /// Drives the deployment and gives it back as it ended.
    pub(super) async fn drive(
        &self,
        deployment: Deployment,
        until: Until,
        stop: &CancellationToken,
        event: Option<Event>,
    ) -> Result<Deployment, ReleaseError> {
        let is_abort = event == Some(Event::AbortRequested);
        let planned = self
            .release
            .as_planned(&deployment, is_abort, &self.reporter, stop)
            .await?;
        let release = planned.as_ref().unwrap_or(self.release);
        let folder = release.runs().join(&deployment.id);
        let builds = release.builds(&folder, &self.reporter, stop)?;
        let materialize = release.materialize();
        let artifacts = release.artifacts()?;
        let context = Context {
            materialize: &materialize,
            artifacts: &artifacts,
            artifact_key: release.artifact_key(),
            store: self.store,
            lead: self.lead,
            settings: &release.settings,
            builds: &builds,
            reporter: self.reporter.clone(),
            cancel: stop.clone(),
        };
        let mut engine = Engine::new(context, deployment);
        engine.unstick().await?;
        if let Some(event) = event {
            engine.apply(event).await?;
        }
        engine.drive(until).await?;
        Ok(engine.deployment().clone())
    }
}

/// Prints how a deployment stands and what comes next.
pub(super) fn outcome(release: &Release, deployment: Deployment, output: &Output) -> Answer {
    let advice = Advice::new(
        deployment.state,
        &release.environment,
        Circumstances {
            promotion: deployment.request.promotion,
            cleanup: deployment.request.cleanup,
            is_running: false,
        },
    );
    output.result(&OutcomeView {
        environment: release.environment.clone(),
        deployment: Some(view(&deployment)),
        advice: Some(advice),
    });
    success()
}

/// A deployment as it is printed.
pub(super) fn view(deployment: &Deployment) -> DeploymentView {
    DeploymentView {
        id: deployment.id.clone(),
        environment: deployment.environment.clone(),
        state: deployment.state,
        created_at: deployment.created_at,
        updated_at: deployment.updated_at,
        finished_at: deployment.finished_at,
        reason: deployment.reason.clone(),
    }
}
