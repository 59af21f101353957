//! `ci build`, `list`, `teardown` and `gc`.

use super::{Commands, success};
use crate::adapters::store::Store;
use crate::domain::progress::Reporter;
use crate::domain::records::subject::Subject;
use crate::foundation::failure::Class;
use crate::inputs::settings::Settings;
use crate::interfaces::cli::handlers::{Answer, Ending};
use crate::interfaces::console::arguments::Target;
use crate::interfaces::console::arguments::ci::{CiBuild, CiGc, CiList, CiState, CiTeardown};
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::record::{CornersView, TakenDownView};
use crate::operations::ci::build::{self, Build, Request};
use crate::operations::ci::collect::{Collected, Collecting};
use crate::operations::ci::detect::{self, Detected};
use crate::operations::ci::error::CiError;
use crate::operations::ci::name::CornerName;
use crate::operations::ci::report::{Kind, Report, Verdict};
use crate::operations::ci::{listing, merge_base};
use crate::operations::release::{self, Release};
use jiff::Timestamp;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// What the platform says of this job; nothing where there is none.
fn detected() -> Option<Detected> {
    detect::detect(&super::publish::variables())
}

/// The corner that is meant.
pub(in crate::interfaces::cli) fn named(
    given: Option<&CornerName>,
    found: Option<&Detected>,
) -> Result<CornerName, CiError> {
    match given {
        Some(name) => Ok(name.clone()),
        None => {
            let name = found.and_then(|found| found.name.as_ref());
            Ok(name.ok_or(CiError::Nameless)?.parse()?)
        }
    }
}

/// The environment that is meant, opened with the project as it is here.
fn opened(
    commands: &Commands,
    target: &Target,
) -> Result<(Release, release::Wanted), CommandError> {
    if commands.global.bundle.is_some() {
        let error =
            anyhow::anyhow!("a corner is built from the project's files, not from a bundle");
        return Err(CommandError::new(Class::Usage, error).with_hint("leave out --bundle"));
    }
    let mut wanted = commands.wanted(target, Vec::new());
    wanted.is_here = true;
    if wanted.environment.is_none() {
        let settings = Settings::load(&release::sources(&wanted))?.settings;
        let mut names = settings.environments.keys();
        wanted.environment = match (&settings.ci.against, names.len()) {
            (Some(against), _) => Some(against.clone()),
            (None, 0) => None,
            (None, 1) => names.next().cloned(),
            (None, _) => return Err(CiError::Against(names.cloned().collect()).into()),
        };
    }
    Ok((Release::open(&wanted)?, wanted))
}

async fn journal(release: &Release) -> Result<Store, CommandError> {
    Ok(release.store().await?)
}

/// What a build needs before it can begin.
struct Prepared {
    release: Release,
    wanted: release::Wanted,
    store: Store,
    request: Request,
}

pub(super) async fn build(
    commands: &Commands,
    arguments: &CiBuild,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    super::waits(arguments.no_wait)?;
    if arguments.revision.is_some() {
        let error = anyhow::anyhow!("--revision needs a daemon that fetches it");
        return Err(CommandError::new(Class::Usage, error).with_hint(
            "name it with --server or in CUTOVER_SERVER; without one the project is built as it is here",
        ));
    }
    let found = detected();
    let name = named(arguments.name.as_ref(), found.as_ref())?;
    let kind = Kind::of(arguments.check);
    let early = Report::begun(kind, name.as_str(), Timestamp::now());
    let prepared = prepared(
        commands,
        arguments,
        (kind, name),
        found.as_ref(),
        output,
        stop,
    )
    .await;
    let Prepared {
        release,
        wanted,
        store,
        request,
    } = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            not_begun(arguments, early, &error)?;
            return Err(error);
        }
    };
    let (reporter, news) = Reporter::channel();
    let renderer = output.render(news);
    if let Some(found) = &found {
        reporter.note(format!("the job is one of {}", found.platform.as_str()));
    }
    let build = Build {
        release: &release,
        wanted: &wanted,
        store: &store,
        request: &request,
        reporter: &reporter,
        stop,
    };
    let (report, error) = build.run().await;
    drop(reporter);
    renderer.finish().await;
    written(arguments, &report)?;
    if let Some(error) = error {
        return Err(error.into());
    }
    output.result(&report);
    Ok(ending(report.verdict))
}

/// What is left to say when the report was printed.
pub(in crate::interfaces::cli) fn ending(verdict: Verdict) -> Ending {
    match verdict {
        Verdict::Passed => Ending::Success,
        Verdict::Failed
        | Verdict::Wrong
        | Verdict::Refused
        | Verdict::Away
        | Verdict::Cancelled => Ending::Reported(Class::Permanent),
    }
}

async fn prepared(
    commands: &Commands,
    arguments: &CiBuild,
    (kind, name): (Kind, CornerName),
    told: Option<&Detected>,
    output: &Output,
    stop: &CancellationToken,
) -> Result<Prepared, CommandError> {
    let (release, wanted) = opened(commands, &arguments.target)?;
    super::warn(&release, output);
    let store = journal(&release).await?;
    let revision = match told.and_then(|found| found.revision.clone()) {
        Some(revision) => Some(revision),
        // It is told and nothing else; a project need not be in a repository.
        None => merge_base::head(release.folder(), stop)
            .await
            .unwrap_or_else(|error| {
                tracing::info!(%error, "the commit is not known");
                None
            }),
    };
    let request = Request {
        kind,
        name,
        all: arguments.all,
        base: arguments
            .base
            .clone()
            .or_else(|| told.and_then(|found| found.base.clone())),
        state: arguments.state.clone(),
        selection: selection(arguments),
        owner: told
            .and_then(|found| found.owner.clone())
            .unwrap_or_else(|| Subject::of_process().to_string()),
        revision,
    };
    Ok(Prepared {
        release,
        wanted,
        store,
        request,
    })
}

/// What is selected; what is only excluded is taken out of what changed.
fn selection(arguments: &CiBuild) -> Option<crate::inputs::selection::Selection> {
    let given = &arguments.selection;
    let is_given =
        !given.select.is_empty() || !given.exclude.is_empty() || given.selector.is_some();
    is_given.then(|| given.of_tests())
}

/// Writes the files of a build that did not begin: what keeps it from that is what their readers look for.
pub(in crate::interfaces::cli) fn not_begun(
    arguments: &CiBuild,
    mut report: Report,
    error: &CommandError,
) -> Result<(), CiError> {
    let environment = arguments.target.environment.clone();
    report.environment = environment.unwrap_or_default();
    report.cut_short(error.class(), error.messages().join(": "));
    written(arguments, &report)
}

/// Writes the files that were asked for.
pub(in crate::interfaces::cli) fn written(
    arguments: &CiBuild,
    report: &Report,
) -> Result<(), CiError> {
    let write = |path: &Path, text: std::io::Result<String>| {
        text.and_then(|text| std::fs::write(path, text))
            .map_err(|source| CiError::Report {
                path: path.display().to_string(),
                source,
            })
    };
    if let Some(path) = &arguments.markdown {
        write(path, Ok(report.markdown()))?;
    }
    if let Some(path) = &arguments.json {
        let json = serde_json::to_string_pretty(report).map_err(std::io::Error::from);
        write(path, json)?;
    }
    if let Some(path) = &arguments.junit {
        write(path, report.junit())?;
    }
    Ok(())
}

/// Writes what is live as dbt knows it, after a look at whether it is.
pub(super) async fn state(commands: &Commands, arguments: &CiState, output: &Output) -> Answer {
    let (release, _) = opened(commands, &arguments.target)?;
    super::baseline::state(&release, &arguments.directory, arguments.force, output).await
}

pub(super) async fn list(commands: &Commands, arguments: &CiList, output: &Output) -> Answer {
    let (release, _) = opened(commands, &arguments.target)?;
    let store = journal(&release).await?;
    let corners = listing::listed(&store, &release.environment, Timestamp::now()).await?;
    output.document(&CornersView {
        environment: release.environment.clone(),
        corners,
    });
    success()
}

pub(super) async fn teardown(
    commands: &Commands,
    arguments: &CiTeardown,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    let name = named(arguments.name.as_ref(), detected().as_ref())?;
    collected(
        commands,
        &arguments.target,
        Some(&name),
        arguments.dry_run,
        output,
        stop,
    )
    .await
}

pub(super) async fn gc(
    commands: &Commands,
    arguments: &CiGc,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    collected(
        commands,
        &arguments.target,
        None,
        arguments.dry_run,
        output,
        stop,
    )
    .await
}

async fn collected(
    commands: &Commands,
    target: &Target,
    name: Option<&CornerName>,
    dry_run: bool,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    let (release, _) = opened(commands, target)?;
    let store = journal(&release).await?;
    let materialize = release.materialize();
    let reporter = Reporter::silent();
    let production = build::production(&release)?;
    let collecting = Collecting {
        store: &store,
        materialize: &materialize,
        environment: &release.environment,
        project: &release.project.dbt.name,
        production: &production,
        reporter: &reporter,
        stop,
        limit: release.settings.dbt.build_timeout.0,
        dry_run,
    };
    let collected = match name {
        Some(name) => collecting.named(name.as_str()).await?,
        None => collecting.expired().await?,
    };
    taken_down(release.environment.clone(), dry_run, collected, output)
}

/// What was dropped, and whether all of it was.
pub(in crate::interfaces::cli) fn taken_down(
    environment: String,
    dry_run: bool,
    collected: Collected,
    output: &Output,
) -> Answer {
    let is_whole = collected.problems.is_empty();
    output.document(&TakenDownView {
        environment,
        dry_run,
        collected,
    });
    match is_whole {
        true => success(),
        false => Ok(Ending::Reported(Class::Permanent)),
    }
}
