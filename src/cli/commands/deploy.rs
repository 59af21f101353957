//! `plan` and `deploy`.

use super::step::{Work, outcome};
use super::{Commands, overriding, success};
use crate::cli::arguments::{self, Deploy, Scope};
use crate::cli::handlers::Answer;
use crate::cli::output::views::{DryRunView, OutcomeView};
use crate::cli::{CommandError, Output};
use crate::deployment::{DeploymentError, Until};
use crate::plan::{Mode, Plan, Refusal, RefusalName, Refused, Strategy};
use crate::progress::Reporter;
use crate::release::{Release, ReleaseError, Wishes};
use crate::settings::Override;
use crate::settings::checks::Moment;
use crate::settings::{Check, Policy, Settings};
use crate::store::{Deployment, Kind, NewDeployment, Request, Store};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

pub(super) async fn plan(
    commands: &Commands,
    arguments: &arguments::Plan,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    let release = commands.open(&arguments.target, strategy(&arguments.scope))?;
    let store = release.store().await?;
    let planned = planned(
        &release,
        &store,
        &arguments.scope,
        &Reporter::silent(),
        stop,
    )
    .await;
    let (plan, folder) = planned?;
    folder.remove()?;
    output.plan(&plan, arguments.format);
    success()
}

pub(super) async fn deploy(
    commands: &Commands,
    arguments: &Deploy,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    let release = commands.open(&arguments.target, flags(arguments))?;
    let store = release.store().await?;
    let lead = store
        .lead(&release.environment)
        .await
        .map_err(ReleaseError::from)?;
    let active = store
        .active(&release.environment)
        .await
        .map_err(ReleaseError::from)?;
    if let Some(active) = &active {
        release.is_planned_here(&active.id, &active.plan)?;
    }
    if let Some(active) = &active
        && (arguments.dry_run || active.waits_for_a_person())
    {
        return Err(already_active(active));
    }
    let (reporter, news) = Reporter::channel();
    let renderer = output.render(news);
    let work = Work {
        release: &release,
        store: &store,
        lead: &lead,
        reporter: reporter.clone(),
    };
    let is_free = match active {
        Some(active) => finish_interrupted(&work, active, stop).await,
        None => Ok(()),
    };
    let planned = match is_free {
        Ok(()) => {
            reporter.note("planning: dbt parses the project");
            planned(&release, &store, &arguments.scope, &reporter, stop).await
        }
        Err(error) => Err(error),
    };
    let (plan, folder) = match planned {
        Ok(planned) => planned,
        Err(error) => {
            renderer.finish().await;
            return Err(error);
        }
    };
    if arguments.dry_run {
        renderer.finish().await;
        folder.remove()?;
        output.plan(&plan, None);
        output.document(&DryRunView {
            command: "deploy".to_owned(),
            environment: release.environment.clone(),
            would: would(&plan, &release.settings),
        });
        return success();
    }
    output.announce(&plan);
    if plan.is_empty() {
        renderer.finish().await;
        folder.remove()?;
        return nothing_to_do(&release, output);
    }
    let request = request(&release.settings, &arguments.scope, &plan);
    let deployment = store
        .create(&lead, NewDeployment { plan, request })
        .await
        .map_err(ReleaseError::from)?;
    folder.becomes(&release.runs().join(&deployment.id))?;
    let ended = work.drive(deployment, Until::default(), stop, None).await;
    renderer.finish().await;
    outcome(&release, ended?, output)
}

/// Finishes, or unwinds, what an earlier process left in the middle.
///
/// # Errors
/// `deployment-active` when it waits for a person afterwards; what stopped it.
async fn finish_interrupted(
    work: &Work<'_>,
    active: Deployment,
    stop: &CancellationToken,
) -> Result<(), CommandError> {
    work.reporter.note(format!(
        "the deployment {} was interrupted while {}; finishing it first",
        active.id, active.state
    ));
    let active = work
        .store
        .take_up(work.lead, &active.id)
        .await
        .map_err(ReleaseError::from)?;
    match work.drive(active, Until::default(), stop, None).await {
        Ok(ended) if ended.state.is_terminal() => Ok(()),
        Ok(waiting) => Err(already_active(&waiting)),
        // It was given up: production is as it was before, and the way is free.
        Err(ReleaseError::Deployment(error @ DeploymentError::Unwound { .. })) => {
            work.reporter.warning(error.to_string());
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Production is as the project says: that is a success.
fn nothing_to_do(release: &Release, output: &Output) -> Answer {
    output.result(&OutcomeView {
        environment: release.environment.clone(),
        deployment: None,
        advice: None,
    });
    success()
}

fn already_active(active: &Deployment) -> CommandError {
    DeploymentError::from(Refused(vec![Refusal {
        name: RefusalName::DeploymentActive,
        message: "a deployment of this environment waits for a decision".to_owned(),
        objects: vec![format!("{} ({})", active.id, active.state)],
        remedy: "`cutover status` shows what it waits for and which commands can be run".to_owned(),
    }]))
    .into()
}

fn flags(arguments: &Deploy) -> Vec<Override> {
    [
        (
            "--promotion",
            "promotion",
            arguments.promotion.map(|policy| json!(policy)),
        ),
        (
            "--cleanup",
            "cleanup",
            arguments.cleanup.map(|policy| json!(policy)),
        ),
        ("--soak", "soak", arguments.soak.map(|soak| json!(soak))),
    ]
    .into_iter()
    .filter_map(|(flag, path, value)| Some(overriding(flag, path, value?)))
    .chain(strategy(&arguments.scope))
    .collect()
}

fn strategy(scope: &Scope) -> Vec<Override> {
    let strategy = scope.strategy.map(|strategy| json!(strategy));
    strategy
        .map(|strategy| overriding("--strategy", "strategy", strategy))
        .into_iter()
        .collect()
}

fn allowed(settings: &Settings, scope: &Scope) -> BTreeSet<RefusalName> {
    // Words of the configuration were checked when it was loaded.
    let configured = settings.allow.iter().filter_map(|word| word.parse().ok());
    configured.chain(scope.allow.iter().copied()).collect()
}

fn request(settings: &Settings, scope: &Scope, plan: &Plan) -> Request {
    Request {
        kind: match plan.mode {
            Mode::Full => Kind::Full,
            Mode::Slim => Kind::Changed,
        },
        promotion: settings.promotion,
        cleanup: settings.cleanup,
        soak: settings.soak,
        allow: allowed(settings, scope)
            .into_iter()
            .map(|name| name.to_string())
            .collect(),
        bootstrap: scope.bootstrap,
        checks: settings.checks.clone(),
    }
}

/// The folder of a run that has no deployment yet.
struct Folder(PathBuf);

impl Folder {
    fn of(release: &Release) -> Self {
        let name = format!("planning-{}", uuid::Uuid::now_v7());
        Self(release.runs().join(name))
    }

    fn remove(self) -> Result<(), ReleaseError> {
        std::fs::remove_dir_all(&self.0).map_err(|source| ReleaseError::Folder {
            path: self.0.clone(),
            source,
        })
    }

    fn becomes(self, place: &std::path::Path) -> Result<(), ReleaseError> {
        std::fs::rename(&self.0, place).map_err(|source| ReleaseError::Folder {
            path: place.to_owned(),
            source,
        })
    }
}

async fn planned(
    release: &Release,
    store: &Store,
    scope: &Scope,
    reporter: &Reporter,
    stop: &CancellationToken,
) -> Result<(Plan, Folder), CommandError> {
    // What the project does not say is not worth waiting for dbt.
    release.project.deployment().map_err(ReleaseError::from)?;
    let folder = Folder::of(release);
    let builds = release.builds(&folder.0, reporter, stop)?;
    let wishes = Wishes {
        full: scope.full,
        bootstrap: scope.bootstrap,
        allow: allowed(&release.settings, scope),
        selection: scope.selection.selection(),
    };
    let materialize = release.materialize();
    let plan = match release.artifacts() {
        Ok(artifacts) => {
            release
                .plan(&builds, &materialize, &artifacts, store, &wishes)
                .await
        }
        Err(error) => Err(error),
    };
    match plan {
        Ok(plan) => Ok((plan, folder)),
        Err(error) => {
            // A folder that stays does no harm; the error is what matters.
            let _ = folder.remove();
            Err(error.into())
        }
    }
}

fn would(plan: &Plan, settings: &Settings) -> Vec<String> {
    if plan.strategy == Strategy::Replace {
        return would_replace(plan, settings);
    }
    let mut would = vec![
        format!(
            "create {} green schemas and {} green clusters",
            plan.schemas.len(),
            plan.clusters.len()
        ),
        format!("build {} nodes in them with dbt", plan.nodes.len()),
        "wait until every object there is hydrated and fresh".to_owned(),
        format!(
            "run {} tests on them and rehearse the swap",
            plan.tests.len()
        ),
    ];
    would.extend(would_check(settings, Moment::Before));
    match settings.promotion {
        Policy::Automatic => {
            would.push("swap them with production in one transaction".to_owned());
        }
        Policy::Manual => would.push("wait for `cutover promote`, then swap".to_owned()),
    }
    would.extend(would_check(settings, Moment::Soak));
    match settings.cleanup {
        Policy::Automatic => would.push(format!(
            "drop the old side after a soak of {}",
            humantime::format_duration(settings.soak.0)
        )),
        Policy::Manual => would.push("keep the old side until `cutover cleanup`".to_owned()),
    }
    would
}

fn would_check(settings: &Settings, moment: Moment) -> Option<String> {
    let is_then = |check: &&Check| check.run().contains(&moment);
    let number = settings.checks.iter().filter(is_then).count();
    let what = match moment {
        Moment::Before => "on the new side, before anything is swapped",
        Moment::Soak => "on production, and bring the old side back if one fails",
    };
    (number > 0).then(|| format!("run {number} checks {what}"))
}

fn would_replace(plan: &Plan, settings: &Settings) -> Vec<String> {
    let views: Vec<String> = plan
        .replacements
        .iter()
        .map(|view| format!("{}.{}", view.schema, view.name))
        .collect();
    let views = views.join(", ");
    let mut would = vec![
        format!("create a replacement of {views} beside it"),
        "wait until it is hydrated and fresh".to_owned(),
        format!("run {} tests on it", plan.tests.len()),
    ];
    would.extend(would_check(settings, Moment::Before));
    would.push(match settings.promotion {
        Policy::Automatic => format!("apply it to {views} in one statement"),
        Policy::Manual => format!("wait for `cutover promote`, then apply it to {views}"),
    });
    would.extend(would_check(settings, Moment::Soak));
    would
}
