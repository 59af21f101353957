//! `promote`, `rollback`, `abort`, `resume` and `cleanup`: they act on the deployment under way.

use super::{Commands, active, holding, lead, leader, success, waits};
use crate::adapters::materialize::watch::Watching;
use crate::adapters::store::{Lead, Store};
use crate::domain::lifecycle::policy::Policy;
use crate::domain::lifecycle::state::{Asker, Event, State};
use crate::domain::lifecycle::verb::Verb;
use crate::domain::progress::Reporter;
use crate::domain::records::deployment::Deployment;
use crate::interfaces::cli::handlers::Answer;
use crate::interfaces::console::arguments::{Promote, Step};
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::record::{Advice, Circumstances, DeploymentView, DryRunView, OutcomeView};
use crate::operations::deployment::{Until, keeping, promotion, requested};
use crate::operations::error::DeploymentError;
use crate::operations::release::{Driving, Release, ReleaseError};
use tokio_util::sync::CancellationToken;

pub(super) async fn run(
    commands: &Commands,
    verb: Verb,
    arguments: &Step,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    run_with(commands, verb, (arguments, None), output, stop).await
}

/// `promote`, which a hold or a freeze stops.
pub(super) async fn promote(
    commands: &Commands,
    arguments: &Promote,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    let reason = arguments.override_freeze.as_deref();
    let asked = (&arguments.step, reason);
    run_with(commands, Verb::Promote, asked, output, stop).await
}

async fn run_with(
    commands: &Commands,
    verb: Verb,
    (arguments, override_freeze): (&Step, Option<&str>),
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    if let Some(remote) = leader::asked(commands, &arguments.target, Vec::new(), output).await? {
        return remote
            .step(verb, (arguments, override_freeze), output, stop)
            .await;
    }
    waits(arguments.no_wait)?;
    let release = commands.reopened(&arguments.target).await?;
    let store = release.store().await?;
    let lead = lead(&release, &store).await?;
    let active = active(&release, &store).await?;
    let Some(deployment) = active else {
        return nothing_active(verb, &release, &store, output).await;
    };
    if verb == Verb::Promote && deployment.state == State::Ready {
        let overrides = override_freeze.is_some();
        holding::may_swap(&release, &store, &deployment, overrides).await?;
        if let (Some(reason), false) = (override_freeze, arguments.dry_run) {
            let reason = reason.to_owned();
            let event = Event::FreezeOverridden { reason };
            let applied = store.apply(&lead, &deployment.id, &event).await;
            applied.map_err(ReleaseError::from)?;
        }
    }
    let with = With {
        release: &release,
        store: &store,
        lead: &lead,
    };
    carry_out(with, verb, deployment, arguments.dry_run, output, stop).await
}

/// What a verb is carried out with.
#[derive(Clone, Copy)]
pub(super) struct With<'a> {
    /// The environment.
    pub(super) release: &'a Release,
    /// The journal.
    pub(super) store: &'a Store,
    /// The proof that nobody else works on it.
    pub(super) lead: &'a Lead,
}

/// Does what was asked of the deployment under way.
pub(super) async fn carry_out(
    with: With<'_>,
    verb: Verb,
    deployment: Deployment,
    dry_run: bool,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    let With {
        release,
        store,
        lead,
    } = with;
    release.is_planned_here(&deployment.id, &deployment.plan)?;
    let at = requested::stuck_at(store, &deployment).await?;
    verb.event(at, Asker::Cli).map_err(DeploymentError::from)?;
    is_approved(store, verb, &deployment).await?;
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
    if dry_run {
        output.document(&DryRunView {
            command: verb.word().to_owned(),
            environment: release.environment.clone(),
            would: vec![verb.would(at)],
        });
        return success();
    }
    let is_over = verb == Verb::Resume
        && keeping::is_over(store, &deployment)
            .await
            .map_err(ReleaseError::from)?;
    if verb == Verb::Resume && !is_over {
        release.is_resumable(&deployment, stop).await?;
    }
    let deployment = store
        .take_up(lead, &deployment.id)
        .await
        .map_err(ReleaseError::from)?;
    let (done, event) = match is_over {
        true => (verb, Some(keeping::over())),
        false => requested::taken_up(store, lead, &deployment, verb).await?,
    };
    let (reporter, news) = Reporter::channel();
    let renderer = output.render(news);
    if done != verb {
        reporter.warning(format!("a daemon accepted to {done}, which is done now"));
    }
    let driving = Driving {
        store,
        lead,
        reporter,
        stop,
        watching: Watching::default(),
    };
    let ended = release
        .drive(&driving, deployment, waiting(done.until()), event)
        .await;
    renderer.finish().await;
    let ended = ended.map_err(|error| CommandError::from(error).under_way())?;
    outcome(release, ended, output)
}

/// How far a command drives: it waits itself, as nobody else does.
pub(super) fn waiting(until: Until) -> Until {
    Until {
        waits: true,
        ..until
    }
}

/// Refuses to promote what is not approved. Gates are asked by whoever drives, and a candidate whose time is over is
/// given up.
async fn is_approved(
    store: &Store,
    verb: Verb,
    deployment: &Deployment,
) -> Result<(), CommandError> {
    if verb != Verb::Promote {
        return Ok(());
    }
    let look = promotion::look(store, deployment, true).await;
    let look = look.map_err(ReleaseError::from)?;
    match look.filter(|look| look.missing_approvals() > 0 && !look.is_decided()) {
        Some(look) => {
            let why = look.bars().unwrap_or_default();
            Err(DeploymentError::NotNow(format!("cannot promote: {why}")).into())
        }
        None => Ok(()),
    }
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
        Some(latest) => {
            output.remark("nothing is under way, so there is nothing to resume; this is the latest deployment");
            outcome(release, latest, output)
        }
        None => Err(DeploymentError::NoDeployment(release.environment.clone()).into()),
    }
}

/// Prints how a deployment stands and what comes next.
pub(super) fn outcome(release: &Release, deployment: Deployment, output: &Output) -> Answer {
    let advice = Advice::new(
        deployment.state,
        &release.environment,
        Circumstances {
            // What is still ready waits for a person, or for the end of a hold or a freeze.
            promotion: match deployment.state == State::Ready {
                true => Policy::Manual,
                false => deployment.promotion(),
            },
            cleanup: deployment.cleanup(),
            is_running: false,
        },
    );
    output.result(&OutcomeView {
        environment: release.environment.clone(),
        deployment: Some(DeploymentView::from(&deployment)),
        advice: Some(advice),
    });
    success()
}
