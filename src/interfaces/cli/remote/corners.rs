//! Corners of pull requests by a daemon: asked for, followed, and told as the command without one tells them.
//!
//! What the daemon says of its last build of the name decides; news are only shown. Whoever comes after a restart of
//! the daemon reads the journal's report, where there is one of this build.

use super::{Remote, elsewhere, usage, view};
use crate::domain::progress::Reporter;
use crate::foundation::failure::{Class, Classify};
use crate::interfaces::api::document::{CornerBuild, CornerDocument};
use crate::interfaces::api::problem;
use crate::interfaces::cli::commands::{ci, publish};
use crate::interfaces::cli::handlers::{Answer, Ending};
use crate::interfaces::client::{ClientError, Item, News};
use crate::interfaces::console::arguments::ci::{CiBuild, CiList, CiReport, CiTeardown};
use crate::interfaces::console::{CommandError, Output};
use crate::operations::ci::detect::{self, Detected};
use crate::operations::ci::error::CiError;
use crate::operations::ci::merge_base;
use crate::operations::ci::name::CornerName;
use crate::operations::ci::report::{Kind, Report, Verdict};
use crate::operations::daemon::corners::status::{Failure, Phase};
use anyhow::anyhow;
use jiff::Timestamp;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a daemon that does not answer is waited for; it may be started anew.
const AWAY: Duration = Duration::from_secs(60);

/// A build that is over.
struct Over {
    report: Report,
    failure: Option<Failure>,
}

/// What is followed.
struct Followed<'a> {
    remote: &'a Remote,
    environment: &'a str,
    name: &'a str,
    /// The build or the teardown.
    id: String,
}

impl Remote {
    /// The environment that is meant. Whoever may only build corners has to name it where there are several.
    async fn corner_environment(&self, named: Option<&String>) -> Result<String, CommandError> {
        if let Some(name) = named {
            return Ok(name.clone());
        }
        let hint =
            "name it, for example `cutover ci list ENV`: the token may not look which there are";
        match self.environment(None).await {
            Ok(status) => Ok(status.environment),
            Err(error) if error.class() == Class::Usage => {
                // With the scope ci alone nothing but corners may be looked at.
                let listed = self.client.environments().await;
                let kind = listed.err().and_then(|error| error.kind());
                match kind {
                    Some(problem::Kind::Forbidden) => Err(usage("no environment is named", hint)),
                    Some(_) | None => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn build_corner(
        &self,
        arguments: &CiBuild,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer {
        if arguments.state.is_some() {
            return Err(elsewhere("--state"));
        }
        let variables = publish::variables();
        let found = detect::detect(&variables);
        let name = ci::named(arguments.name.as_ref(), found.as_ref())?;
        let kind = Kind::of(arguments.check);
        let built = async {
            let environment = arguments.target.environment.as_ref();
            let environment = self.corner_environment(environment).await?;
            let reference = detect::reference(&variables);
            let wish = wish(arguments, found.as_ref(), reference, stop).await?;
            if arguments.no_wait {
                let key = Uuid::now_v7().to_string();
                let asking = self
                    .client
                    .build_corner(&environment, name.as_str(), &wish, &key);
                output.document(&view::AcceptedView(asking.await?));
                return Ok(None);
            }
            let over = self.built(&environment, &name, &wish, output, stop).await?;
            Ok::<_, CommandError>(Some(over))
        };
        match built.await {
            Ok(None) => Ok(Ending::Success),
            Ok(Some(over)) => ended(arguments, over, output),
            Err(error) => {
                let early = Report::begun(kind, name.as_str(), Timestamp::now());
                ci::not_begun(arguments, early, &error)?;
                Err(error)
            }
        }
    }

    /// Asks for a build and shows progress until it is over.
    async fn built(
        &self,
        environment: &str,
        name: &CornerName,
        wish: &CornerBuild,
        output: &Output,
        stop: &CancellationToken,
    ) -> Result<Over, CommandError> {
        let name = name.as_str();
        // Listened to before anything can happen. Without it what the daemon shows is enough.
        let mut news = self.client.corner_news(environment, name).await.ok();
        let key = Uuid::now_v7().to_string();
        let accepted = tokio::select! {
            accepted = self.client.build_corner(environment, name, wish, &key) => accepted?,
            () = stop.cancelled() => return Err(unanswered(name)),
        };
        let followed = Followed {
            remote: self,
            environment,
            name,
            id: accepted.corner.map_or(String::new(), |corner| corner.id),
        };
        let (reporter, progress) = Reporter::channel();
        let renderer = output.render(progress);
        reporter.note(accepted.would);
        let over = followed.build(&mut news, wish, &reporter, stop).await;
        drop(reporter);
        renderer.finish().await;
        over
    }

    pub(super) async fn list_corners(&self, arguments: &CiList, output: &Output) -> Answer {
        let environment = arguments.target.environment.as_ref();
        let environment = self.corner_environment(environment).await?;
        output.document(&self.client.corners(&environment).await?);
        Ok(Ending::Success)
    }

    pub(super) async fn tear_corner_down(
        &self,
        arguments: &CiTeardown,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer {
        if arguments.dry_run {
            return Err(elsewhere("--dry-run"));
        }
        let found = detect::detect(&publish::variables());
        let name = ci::named(arguments.name.as_ref(), found.as_ref())?;
        let environment = arguments.target.environment.as_ref();
        let environment = self.corner_environment(environment).await?;
        let key = Uuid::now_v7().to_string();
        let asking = self
            .client
            .tear_corner_down(&environment, name.as_str(), &key);
        let accepted = tokio::select! {
            accepted = asking => accepted?,
            () = stop.cancelled() => return Err(unanswered(name.as_str())),
        };
        let followed = Followed {
            remote: self,
            environment: &environment,
            name: name.as_str(),
            id: accepted.corner.map_or(String::new(), |corner| corner.id),
        };
        let collected = followed.teardown(stop).await?;
        ci::taken_down(environment, false, collected, output)
    }

    /// Publishes a report: one that is a file here, or the last one of a corner.
    pub(super) async fn report_corner(
        &self,
        arguments: &CiReport,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer {
        if arguments.file.is_some() {
            return publish::report(arguments, output, stop).await;
        }
        let found = detect::detect(&publish::variables());
        let name = ci::named(arguments.name.as_ref(), found.as_ref())?;
        let environment = self.corner_environment(arguments.environment.as_ref());
        let environment = environment.await?;
        let document = self.client.corner(&environment, name.as_str()).await?;
        let Some(report) = document.report else {
            let message = format!("there is no report of the corner {name} yet");
            return Err(CommandError::new(Class::Refused, anyhow!(message))
                .with_hint("wait until its build has ended, or build it"));
        };
        publish::published(arguments, &report, None, output, stop).await
    }
}

/// What is asked for.
async fn wish(
    arguments: &CiBuild,
    found: Option<&Detected>,
    reference: Option<String>,
    stop: &CancellationToken,
) -> Result<CornerBuild, CommandError> {
    let given = arguments.revision.as_ref().map(ToString::to_string);
    let told = found.and_then(|found| found.revision.clone());
    let revision = match given.or(reference).or(told) {
        Some(revision) => revision,
        None => checked_out(stop).await?,
    };
    let selection = &arguments.selection;
    Ok(CornerBuild {
        revision,
        base: arguments
            .base
            .clone()
            .or_else(|| found.and_then(|found| found.base.clone())),
        select: selection.select.clone(),
        exclude: selection.exclude.clone(),
        selector: selection.selector.clone(),
        all: arguments.all,
        check: arguments.check,
    })
}

/// The commit that is checked out here.
async fn checked_out(stop: &CancellationToken) -> Result<String, CommandError> {
    let here = std::env::current_dir().ok();
    let head = match &here {
        Some(here) => merge_base::head(here, stop).await?,
        None => None,
    };
    head.ok_or_else(|| {
        usage(
            "no revision is named, none is told by the variables of a CI platform, and none is checked out here",
            "name one with --revision, for example --revision refs/pull/123/merge",
        )
    })
}

/// How a build ended, as the command without a daemon tells it.
fn ended(arguments: &CiBuild, over: Over, output: &Output) -> Answer {
    let Over { report, failure } = over;
    ci::written(arguments, &report)?;
    if let Some(failure) = failure {
        return Err(told(failure));
    }
    output.result(&report);
    Ok(ci::ending(report.verdict))
}

/// A failure as the daemon told it.
fn told(failure: Failure) -> CommandError {
    CommandError::new(failure.class, anyhow!(failure.message)).with_hint(failure.hint)
}

fn unanswered(name: &str) -> CommandError {
    let message = format!("interrupted before the daemon answered for {name}");
    CommandError::new(Class::Interrupted, anyhow!(message))
        .with_hint("`cutover ci list` shows whether it was taken up")
}

impl Followed<'_> {
    /// What the daemon shows; `None` while it does not answer, which may last a while.
    async fn look(
        &self,
        away: &mut Option<Instant>,
    ) -> Result<Option<CornerDocument>, CommandError> {
        match self.remote.client.corner(self.environment, self.name).await {
            Ok(document) => {
                *away = None;
                Ok(Some(document))
            }
            Err(error) => {
                let since = *away.get_or_insert_with(Instant::now);
                if !may_pass(&error) || since.elapsed() > AWAY {
                    return Err(error.into());
                }
                Ok(None)
            }
        }
    }

    fn left(&self) -> CommandError {
        let message = format!("no longer waiting for {}; the daemon goes on", self.name);
        CommandError::new(Class::Interrupted, anyhow!(message))
            .with_hint("`cutover ci list` shows how far it is, `cutover ci teardown` ends it")
    }

    /// The daemon was started anew meanwhile, and nothing says how it ended.
    fn lost(&self) -> CommandError {
        let message = format!(
            "the daemon does not know any more what was asked for {}",
            self.name
        );
        CommandError::new(Class::Transient, anyhow!(message)).with_hint("ask again")
    }

    async fn build(
        &self,
        news: &mut Option<News>,
        wish: &CornerBuild,
        reporter: &Reporter,
        stop: &CancellationToken,
    ) -> Result<Over, CommandError> {
        let mut away = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Err(self.left()),
                () = tokio::time::sleep(PAUSE) => {}
                item = next(news) => match item {
                    Ok(Some(Item::News(told))) => {
                        if told.corner.is_some_and(|corner| corner.build == self.id) {
                            reporter.send(told.progress);
                        }
                        continue;
                    }
                    Ok(Some(Item::Missed(_))) => continue,
                    Ok(None) | Err(_) => *news = None,
                },
            }
            let Some(document) = self.look(&mut away).await? else {
                continue;
            };
            if let Some(over) = self.over(document, wish)? {
                return Ok(over);
            }
        }
    }

    /// The build, when it is over.
    fn over(
        &self,
        document: CornerDocument,
        wish: &CornerBuild,
    ) -> Result<Option<Over>, CommandError> {
        let own = document.build.as_ref().filter(|build| build.id == self.id);
        let report = document.report;
        let is_own = document.reported.as_deref() == Some(&*self.id);
        match (own, report) {
            (Some(build), _) if build.phase != Phase::Ended => Ok(None),
            (Some(build), Some(report)) if is_own => Ok(Some(Over {
                failure: build.failure.clone(),
                report,
            })),
            // It died, and left no report.
            (Some(build), _) => {
                let failure = build.failure.clone().ok_or_else(|| self.lost())?;
                Err(told(failure))
            }
            (None, Some(report)) if is_own => Ok(Some(Over {
                failure: failure_of(&report),
                report,
            })),
            (None, _) => {
                let last = document.build.as_ref();
                if last.is_none_or(|build| build.id < self.id) {
                    return Err(self.lost());
                }
                let error = CiError::Superseded(self.name.to_owned());
                let kind = Kind::of(wish.check);
                let mut report = Report::begun(kind, self.name, Timestamp::now());
                self.environment.clone_into(&mut report.environment);
                report.cut_short(error.class(), error.to_string());
                Ok(Some(Over {
                    failure: failure_of(&report),
                    report,
                }))
            }
        }
    }

    async fn teardown(
        &self,
        stop: &CancellationToken,
    ) -> Result<crate::operations::ci::collect::Collected, CommandError> {
        let mut away = None;
        loop {
            let document = self.look(&mut away).await;
            let teardown = match document {
                Ok(Some(document)) => document.teardown,
                Ok(None) => None,
                Err(error) => return Err(error),
            };
            // A later one has the same end.
            match teardown.filter(|teardown| teardown.id >= self.id) {
                Some(teardown) if teardown.phase == Phase::Ended => {
                    if let Some(failure) = teardown.failure {
                        return Err(told(failure));
                    }
                    return Ok(teardown.collected.unwrap_or_default());
                }
                Some(_) => {}
                // The daemon was started anew.
                None if away.is_none() => return Err(self.lost()),
                None => {}
            }
            tokio::select! {
                () = stop.cancelled() => return Err(self.left()),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
}

/// Whether the same question may be answered a while later.
fn may_pass(error: &ClientError) -> bool {
    error.is_lost() || error.class() == Class::Transient
}

/// Why a build ended before its end, as far as its report says.
fn failure_of(report: &Report) -> Option<Failure> {
    let message = report.error.clone()?;
    let class = match report.verdict {
        Verdict::Passed | Verdict::Failed => Class::Permanent,
        Verdict::Wrong => Class::Usage,
        Verdict::Refused => Class::Refused,
        Verdict::Away => Class::Transient,
        Verdict::Cancelled => Class::Interrupted,
    };
    Some(Failure {
        class,
        message,
        hint: class.hint().to_owned(),
    })
}

async fn next(news: &mut Option<News>) -> Result<Option<Item>, ClientError> {
    match news {
        Some(news) => news.next().await,
        None => std::future::pending().await,
    }
}
