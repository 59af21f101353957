//! `plan` and `deploy`.

use super::step::{With, carry_out, outcome, waiting};
use super::{Commands, active, holding, lead, leader, overriding, success, waits};
use crate::adapters::materialize::watch::Watching;
use crate::adapters::store::Store;
use crate::domain::checks::{Check, Moment};
use crate::domain::diff::Mode;
use crate::domain::lifecycle::policy::Policy;
use crate::domain::lifecycle::state::{Awaited, State};
use crate::domain::lifecycle::verb::Verb;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::domain::plan::{Engine, Plan, Strategy};
use crate::domain::progress::Reporter;
use crate::domain::records::deployment::Deployment;
use crate::domain::records::hold::BackTo;
use crate::foundation::failure::Class;
use crate::inputs::settings::{Override, Settings};
use crate::interfaces::cli::handlers::{Answer, Ending, Handlers};
use crate::interfaces::console::arguments::{self, Deploy, Scope, Target};
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::record::{DryRunView, OutcomeView, TestedView};
use crate::operations::deployment::{Until, hold, keeping, promotion, requested};
use crate::operations::error::DeploymentError;
use crate::operations::release::{Driving, Release, ReleaseError, Wishes, back_to};
use serde_json::json;
use tokio_util::sync::CancellationToken;

pub(super) async fn plan(
    commands: &Commands,
    arguments: &arguments::Plan,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    if arguments.scope.test_only {
        return test_only(
            commands,
            &arguments.target,
            &arguments.scope,
            true,
            output,
            stop,
        )
        .await;
    }
    let flags = scoped(&arguments.scope);
    let release = commands.fetched(&arguments.target, flags, stop).await?;
    super::warn(&release, output);
    let store = release.store().await?;
    let to = earlier(&release, &store, &arguments.scope).await?;
    if let Some(to) = &to
        && let Some(active) = active(&release, &store).await?
        && back_to::is_swap_back(&active, to)
    {
        output.remark(&swaps_back(to));
    }
    let release = going_back(release, to.as_ref(), stop).await?;
    let wishes = Wishes {
        back_to: to,
        describe: arguments.describe,
        ..wishes(&release, &arguments.scope)
    };
    let (plan, folder) = release
        .planned(&store, &wishes, &Reporter::silent(), stop)
        .await?;
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
    if arguments.scope.test_only {
        let (target, scope) = (&arguments.target, &arguments.scope);
        return test_only(commands, target, scope, arguments.dry_run, output, stop).await;
    }
    let flags = flags(arguments);
    let remote = leader::asked(commands, &arguments.target, flags.clone(), output).await?;
    if let Some(remote) = remote {
        return remote.deploy(arguments, output, stop).await;
    }
    waits(arguments.no_wait)?;
    let release = commands.fetched(&arguments.target, flags, stop).await?;
    let store = release.store().await?;
    let lead = lead(&release, &store).await?;
    let active = active(&release, &store).await?;
    if let Some(active) = &active {
        release.is_planned_here(&active.id, &active.plan)?;
    }
    let to = earlier(&release, &store, &arguments.scope).await?;
    if let (Some(to), Some(active)) = (&to, &active)
        && back_to::is_swap_back(active, to)
    {
        output.remark(&swaps_back(to));
        let with = With {
            release: &release,
            store: &store,
            lead: &lead,
        };
        let (verb, is_dry) = (Verb::RollbackAndHold, arguments.dry_run);
        return carry_out(with, verb, active.clone(), is_dry, output, stop).await;
    }
    let overrides = arguments.override_freeze.is_some();
    holding::may_begin(&release, &store, overrides).await?;
    if let Some(active) = &active
        && (arguments.dry_run
            || active.awaits().is_some_and(|it| it != Awaited::Look)
                && !is_over(&store, active).await?)
    {
        return Err(already_active(active));
    }
    let (reporter, news) = Reporter::channel();
    let renderer = output.render(news);
    if let Some(fetched) = release.fetched() {
        reporter.note(fetched);
    }
    let driving = Driving {
        store: &store,
        lead: &lead,
        reporter: reporter.clone(),
        stop,
        watching: Watching::default(),
    };
    let is_free = match active {
        Some(active) => finish_interrupted(&release, &driving, active).await,
        None => Ok(()),
    };
    let release = match going_back(release, to.as_ref(), stop).await {
        Ok(release) => release,
        Err(error) => {
            drop(driving);
            renderer.finish().await;
            return Err(error);
        }
    };
    let wishes = Wishes {
        keep: arguments.keep,
        override_freeze: arguments.override_freeze.clone(),
        back_to: to,
        ..wishes(&release, &arguments.scope)
    };
    let planned = match is_free {
        Ok(()) => {
            reporter.note(match release.bundle {
                Some(_) if wishes.back_to.is_some() => {
                    "planning from what was kept of that release"
                }
                Some(_) => "planning from the bundle",
                None => "planning: dbt parses the project",
            });
            let planned = release.planned(&store, &wishes, &reporter, stop).await;
            planned.map_err(CommandError::from)
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
        let held = match &wishes.back_to {
            Some(to) => hold::hold_here(&store, &lead, to, &to.deployment).await,
            None => hold::lift(&store, &lead).await,
        };
        held.map_err(ReleaseError::from)?;
        return nothing_to_do(&release, output);
    }
    let deployment = release
        .record(&store, &lead, plan, folder, &wishes, None)
        .await?;
    let ended = release
        .drive(&driving, deployment, waiting(Until::default()), None)
        .await;
    renderer.finish().await;
    let ended = ended.map_err(|error| CommandError::from(error).under_way())?;
    outcome(&release, ended, output)
}

/// Runs tests on production. It reads and records nothing, so it takes no lead and asks no daemon.
async fn test_only(
    commands: &Commands,
    target: &Target,
    scope: &Scope,
    is_dry: bool,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    let release = commands.fetched(target, Vec::new(), stop).await?;
    let selection = scope.selection.of_tests();
    let environment = release.environment.clone();
    if is_dry {
        let silent = Reporter::silent();
        let found = release.test_production(&selection, true, &silent, stop);
        output.document(&TestedView::of(environment, found.await?, true));
        return success();
    }
    let (reporter, news) = Reporter::channel();
    let renderer = output.render(news);
    reporter.note("dbt parses the project, then runs its tests on production");
    let tested = release.test_production(&selection, false, &reporter, stop);
    let tested = tested.await;
    renderer.finish().await;
    let view = TestedView::of(environment, tested?, false);
    output.result(&view);
    Ok(match (view.has_failed(), view.could_run_none()) {
        (true, _) => Ending::Reported(Class::Permanent),
        (false, true) => Ending::Reported(Class::Refused),
        (false, false) => Ending::Success,
    })
}

/// Finishes, or unwinds, what an earlier process left in the middle.
///
/// # Errors
/// `deployment-active` when it waits for a person afterwards; what stopped it.
async fn finish_interrupted(
    release: &Release,
    driving: &Driving<'_>,
    active: Deployment,
) -> Result<(), CommandError> {
    let is_kept = active.state == State::Kept;
    driving.reporter.note(match is_kept {
        true => format!(
            "what is kept of the failed deployment {} is dropped first",
            active.id
        ),
        false => format!(
            "the deployment {} was interrupted while {}; finishing it first",
            active.id, active.state
        ),
    });
    let active = driving
        .store
        .take_up(driving.lead, &active.id)
        .await
        .map_err(ReleaseError::from)?;
    let (verb, event) = match is_kept {
        true => (Verb::Resume, Some(keeping::makes_way())),
        false => requested::taken_up(driving.store, driving.lead, &active, Verb::Resume).await?,
    };
    match release.drive(driving, active, verb.until(), event).await {
        Ok(ended) if ended.state.is_terminal() => Ok(()),
        Ok(waiting) => Err(already_active(&waiting)),
        // It was given up: production is as it was before, and the way is free.
        Err(ReleaseError::Deployment(error @ DeploymentError::Unwound { .. })) => {
            driving.reporter.warning(error.to_string());
            Ok(())
        }
        Err(error) => Err(CommandError::from(error).under_way()),
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

/// Whether what is ready is given up by whoever takes it up: its time is over, or a gate said no.
async fn is_over(store: &Store, active: &Deployment) -> Result<bool, CommandError> {
    let look = promotion::look(store, active, false).await;
    let look = look.map_err(ReleaseError::from)?;
    Ok(look.is_some_and(|look| look.ends().is_some()))
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
    .chain(scoped(&arguments.scope))
    .collect()
}

/// What a plan and a release have in common.
fn scoped(scope: &Scope) -> Vec<Override> {
    let strategy = scope.strategy.map(|strategy| json!(strategy));
    let strategy = strategy.map(|strategy| overriding("--strategy", "strategy", strategy));
    let text = scope.diff_text.map(|shown| json!(shown.is_on()));
    let text = text.map(|text| overriding("--diff-text", "diff_text", text));
    strategy.into_iter().chain(text).collect()
}

/// The earlier release to which it goes back, where one is named.
async fn earlier(
    release: &Release,
    store: &Store,
    scope: &Scope,
) -> Result<Option<BackTo>, ReleaseError> {
    let Some(named) = &scope.to else {
        return Ok(None);
    };
    let artifacts = release.artifacts()?;
    release.earlier(store, &artifacts, named).await.map(Some)
}

/// The environment with the project as that release had it.
async fn going_back(
    release: Release,
    to: Option<&BackTo>,
    stop: &CancellationToken,
) -> Result<Release, CommandError> {
    Ok(match to {
        Some(to) => release.going_back(to, stop).await?,
        None => release,
    })
}

fn swaps_back(to: &BackTo) -> String {
    format!(
        "the old side still stands and is the release {}: going back to it is a swap back",
        to.words()
    )
}

fn wishes(release: &Release, scope: &Scope) -> Wishes {
    Wishes {
        full: scope.full,
        bootstrap: scope.bootstrap,
        allow: release.allowed(&scope.allow),
        selection: scope.selection.selection(),
        waits_for_promotion: false,
        keep: None,
        back_to: None,
        override_freeze: None,
        follows: None,
        describe: release.settings.describe,
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
        format!(
            "build {} nodes in them {}",
            plan.nodes.len(),
            match plan.building.engine {
                Engine::Dbt => "with dbt",
                Engine::Native => "without dbt",
            }
        ),
        "wait until every object there is hydrated and fresh".to_owned(),
        format!(
            "run {} tests on them and rehearse the swap",
            plan.tests.len()
        ),
    ];
    would.extend(would_check(settings, Moment::Before));
    would.extend(would_compare(settings));
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
        Moment::Soak => "on production, and bring the old side back if a required one fails",
    };
    (number > 0).then(|| format!("run {number} checks {what}"))
}

fn would_compare(settings: &Settings) -> Option<String> {
    match settings.diff.mode {
        Mode::Off => None,
        Mode::Report => {
            Some("compare its data with production's, and tell what differs".to_owned())
        }
        Mode::Gate => Some(
            "compare its data with production's, and go no further where more differs than diff.thresholds allows"
                .to_owned(),
        ),
    }
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
    would.extend(would_compare(settings));
    would.push(match settings.promotion {
        Policy::Automatic => format!("apply it to {views} in one statement"),
        Policy::Manual => format!("wait for `cutover promote`, then apply it to {views}"),
    });
    would.extend(would_check(settings, Moment::Soak));
    would
}
