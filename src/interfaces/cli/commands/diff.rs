//! `diff`: compares both sides of the deployment under way, or tells what is on record of it.

use super::{Commands, active, lead, leader};
use crate::adapters::materialize::watch::Watching;
use crate::adapters::store::Store;
use crate::domain::diff::Mode;
use crate::domain::progress::Reporter;
use crate::domain::records::deployment::Deployment;
use crate::foundation::failure::Class;
use crate::interfaces::cli::handlers::{Answer, Ending};
use crate::interfaces::console::arguments::diff::Diff;
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::record::DiffView;
use crate::operations::deployment::diff::{Wanted, moment};
use crate::operations::error::DeploymentError;
use crate::operations::release::{Driving, Release, ReleaseError};
use tokio_util::sync::CancellationToken;

pub(super) async fn diff(
    commands: &Commands,
    arguments: &Diff,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    if let Some(remote) = leader::asked(commands, &arguments.target, Vec::new(), output).await? {
        return remote.recorded_diff(arguments, output).await;
    }
    if arguments.recorded {
        let release = commands.open(&arguments.target, Vec::new())?;
        let store = release.store().await?;
        let deployment = latest(&release, &store).await?;
        let view = view(&store, &deployment).await?;
        return shown(&view, arguments, output);
    }
    let release = commands.reopened(&arguments.target).await?;
    let store = release.store().await?;
    let lead = lead(&release, &store).await?;
    let active = active(&release, &store).await?;
    let Some(deployment) = active else {
        return Err(DeploymentError::NoDeployment(release.environment.clone()).into());
    };
    release.is_planned_here(&deployment.id, &deployment.plan)?;
    moment(&deployment).map_err(CommandError::from)?;
    let materialize = release.materialize();
    tokio::select! {
        is_ours = release.is_planned_on(&materialize, &deployment.id, &deployment.plan) => is_ours?,
        () = stop.cancelled() => return Err(interrupted(&deployment)),
    }
    let mut diff = release.settings.diff.clone();
    // Somebody asks, so that something is compared.
    if diff.mode == Mode::Off {
        diff.mode = Mode::Report;
    }
    diff.samples = arguments.samples.unwrap_or(diff.samples);
    let wanted = Wanted {
        diff,
        relations: arguments.relations.clone(),
        again: arguments.again,
    };
    let (reporter, news) = Reporter::channel();
    // The result is one document, and nothing stands before it.
    let is_plain = arguments.format.is_none() && !output.is_json();
    let renderer = is_plain.then(|| output.render(news));
    let driving = Driving {
        store: &store,
        lead: &lead,
        reporter,
        stop,
        watching: Watching::default(),
    };
    let compared = release.diff(&driving, &deployment, &wanted).await;
    drop(driving);
    if let Some(renderer) = renderer {
        renderer.finish().await;
    }
    let compared = compared.map_err(CommandError::from)?;
    let view = view(&store, &deployment).await?;
    shown(&view, arguments, output)?;
    Ok(match compared.refusal() {
        Some(_) => Ending::Reported(Class::Permanent),
        None => Ending::Success,
    })
}

fn interrupted(deployment: &Deployment) -> CommandError {
    DeploymentError::Interrupted {
        id: deployment.id.clone(),
        state: deployment.state,
    }
    .into()
}

/// The deployment under way, or else the last one.
async fn latest(release: &Release, store: &Store) -> Result<Deployment, CommandError> {
    let environment = &release.environment;
    let active = store.active(environment).await;
    if let Some(active) = active.map_err(ReleaseError::from)? {
        return Ok(active);
    }
    let latest = store.latest(environment).await;
    let latest = latest.map_err(ReleaseError::from)?;
    latest.ok_or_else(|| DeploymentError::NoDeployment(environment.clone()).into())
}

async fn view(store: &Store, deployment: &Deployment) -> Result<DiffView, CommandError> {
    let effects = store.effects(&deployment.id).await;
    let effects = effects.map_err(ReleaseError::from)?;
    let view = DiffView::new(deployment, &effects);
    Ok(view.map_err(ReleaseError::from)?)
}

/// Prints what is on record, limited to the relations that were asked for.
pub(in crate::interfaces::cli) fn shown(
    view: &DiffView,
    arguments: &Diff,
    output: &Output,
) -> Answer {
    output.diff(&view.only(&arguments.relations), arguments.format);
    Ok(Ending::Success)
}
