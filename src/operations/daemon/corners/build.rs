//! One build: in line, in turn, fetched, and built as a command builds.
//!
//! A commit is hostile until proved otherwise. Before anything of it is rendered it is recorded that it is looked into
//! (`ci::record::Attempt`), so that one that ends this process again and again is known by that and set aside.

use crate::adapters::source::SourceError;
use crate::adapters::store::{Lead, Store};
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::domain::progress::{Progress, Reporter};
use crate::domain::records::corner::{Corner, CornerState};
use crate::domain::records::subject::Subject;
use crate::foundation::failure::{Classify, with_causes};
use crate::inputs::settings::Ci;
use crate::operations::ci::build::{Build, Request};
use crate::operations::ci::error::CiError;
use crate::operations::ci::name::CornerName;
use crate::operations::ci::queue::{self, Ask};
use crate::operations::ci::record::{Attempt, Record};
use crate::operations::ci::report::{Kind, Report};
use crate::operations::daemon::Daemon;
use crate::operations::daemon::corners::queue::{Place, Waiting};
use crate::operations::daemon::corners::status::{Failure, Phase};
use crate::operations::daemon::request::BuildWish;
use crate::operations::daemon::status::{News, OfCorner};
use crate::operations::release::{self, Fetched, ReleaseError, Requested, Wanted};
use jiff::Timestamp;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// So often a process may end while it looks into one revision; it may have been ended for another reason.
const DEADLY: u32 = 3;
/// The line is looked at this often, also when it did not move.
const PAUSE: Duration = Duration::from_secs(1);
/// So long a work tree is waited for that somebody removes.
const BUSY: Duration = Duration::from_secs(10);

/// A build that was asked for.
pub(super) struct Task {
    pub(super) daemon: Arc<Daemon>,
    pub(super) environment: String,
    pub(super) store: Store,
    /// The environment, with the configuration that was in force when it was asked.
    pub(super) wanted: Wanted,
    pub(super) waiting: Waiting,
    pub(super) name: CornerName,
    pub(super) wish: BuildWish,
    pub(super) id: String,
    pub(super) subject: Subject,
    /// Cancelled when something later is asked of the same corner.
    pub(super) later: CancellationToken,
    pub(super) stop: CancellationToken,
}

/// A report, and the error that a build ended with before its end.
type Ended = (Report, Option<CiError>);

impl Task {
    pub(super) async fn run(self) {
        tracing::info!(revision = %self.wish.revision, by = %self.subject, "a build was asked for");
        let (reporter, news) = Reporter::channel();
        let building = async {
            let ended = self.in_turn(&reporter).await;
            // Whoever tells the news is to come to their end.
            drop(reporter);
            ended
        };
        let (ended, ()) = tokio::join!(building, self.tell(news));
        let (report, error) = match ended {
            Ok(ended) => ended,
            Err(error) => (self.early(&error), Some(error)),
        };
        self.show_end(report, error.as_ref());
    }

    fn ci(&self) -> Ci {
        let loaded = self.wanted.loaded.as_deref().cloned();
        let loaded = loaded.unwrap_or_else(|| self.daemon.settings().as_ref().clone());
        loaded.settings.ci
    }

    fn change(
        &self,
        change: impl FnOnce(&mut crate::operations::daemon::corners::status::BuildStatus),
    ) {
        let shown = &self.daemon.status_board.corners;
        shown.change_build(&self.environment, self.name.as_str(), &self.id, change);
    }

    /// Passes news on to whoever listens, and to the log.
    async fn tell(&self, mut news: UnboundedReceiver<Progress>) {
        while let Some(progress) = news.recv().await {
            match &progress {
                Progress::Note { text } => tracing::info!("{text}"),
                Progress::Warning { text } | Progress::Retry { text, .. } => {
                    tracing::warn!("{text}");
                }
                Progress::Node {
                    unique_id, status, ..
                } => tracing::debug!(unique_id, status, "node"),
                Progress::State { .. }
                | Progress::Readiness { .. }
                | Progress::Watched { .. }
                | Progress::Decision { .. }
                | Progress::Readers { .. }
                | Progress::Work { .. } => {}
            }
            self.news(progress);
        }
    }

    fn news(&self, progress: Progress) {
        self.daemon.status_board.corners.tell(News {
            environment: self.environment.clone(),
            deployment: None,
            at: Timestamp::now(),
            progress,
            corner: Some(OfCorner {
                name: self.name.to_string(),
                build: self.id.clone(),
            }),
        });
    }

    /// The report of a build that ended before the project was opened.
    fn early(&self, error: &CiError) -> Report {
        let mut report = Report::begun(self.wish.kind(), self.name.as_str(), Timestamp::now());
        report.environment.clone_from(&self.environment);
        let shown = &self.daemon.status_board.corners;
        let shown = shown.one(&self.environment, self.name.as_str());
        report.revision = shown.and_then(|asked| asked.build?.revision);
        report.cut_short(error.class(), with_causes(error));
        report
    }

    fn show_end(&self, report: Report, error: Option<&CiError>) {
        let verdict = report.verdict.as_str();
        let said = report.error.clone();
        tracing::info!(verdict, error = said, "the build ended");
        let failure = error.map(Failure::of);
        let report = Arc::new(report);
        let shown = &self.daemon.status_board.corners;
        shown.change(&self.environment, self.name.as_str(), |asked| {
            let is_last = asked.report.as_ref().is_none_or(|(id, _)| *id < self.id);
            if is_last {
                asked.report = Some((self.id.clone(), report));
            }
            if let Some(build) = &mut asked.build
                && build.id == self.id
            {
                build.phase = Phase::Ended;
                build.position = None;
                build.ended_at = Some(Timestamp::now());
                build.failure = failure;
            }
        });
        self.news(Progress::Note {
            text: format!("the build ended: {verdict}"),
        });
    }

    fn superseded(&self) -> CiError {
        CiError::Superseded(self.name.to_string())
    }

    /// Waits for its turn, and gives it up to whoever comes later.
    async fn in_turn(&self, reporter: &Reporter) -> Result<Ended, CiError> {
        let ci = self.ci();
        let _place = self.place(&ci, reporter).await?;
        self.change(|build| (build.phase, build.position) = (Phase::UnderWay, None));
        let ask = Ask {
            environment: &self.environment,
            name: self.name.as_str(),
            build: &self.id,
            wait: ci.wait.0,
        };
        let lead = tokio::select! {
            lead = queue::lead(&self.store, &ask, reporter, &self.stop) => lead?,
            () = self.later.cancelled() => return Err(self.superseded()),
        };
        let stop = self.stop.child_token();
        let mut working = pin!(self.led(&ci, &lead, &ask, reporter, &stop));
        let error = tokio::select! {
            ended = &mut working => return Ok(ended),
            () = self.later.cancelled() => self.superseded(),
            error = queue::superseded(&self.store, &ask) => error,
        };
        stop.cancel();
        // What was begun is brought to a boundary first; why it ended is known.
        let (mut report, ended) = working.await;
        if ended.is_none() {
            return Ok((report, None));
        }
        report.cut_short(error.class(), with_causes(&error));
        Ok((report, Some(error)))
    }

    /// A place at work, for a corner that does not stand yet.
    async fn place(&self, ci: &Ci, reporter: &Reporter) -> Result<Option<Place>, CiError> {
        let name = self.name.as_str();
        let corner = self.store.corner(&self.environment, name).await?;
        let stands = corner.is_some_and(|corner| corner.state != CornerState::Waiting);
        // Of those that stand there are no more than there may be.
        if stands {
            self.waiting.leave();
            return Ok(None);
        }
        let most = usize::try_from(ci.max_environments).unwrap_or(usize::MAX);
        let began = Instant::now();
        let mut told = None;
        loop {
            let position = match self.waiting.take(most) {
                Ok(place) => return Ok(Some(place)),
                Err(position) => position,
            };
            if told != Some(position) {
                told = Some(position);
                self.change(|build| build.position = Some(position));
                reporter.note(format!("waiting in line, at position {position}"));
            }
            if began.elapsed() >= ci.wait.0 {
                return Err(limit(most, position).into());
            }
            tokio::select! {
                () = self.waiting.moved() => {}
                () = tokio::time::sleep(PAUSE) => {}
                () = self.later.cancelled() => return Err(self.superseded()),
                () = self.stop.cancelled() => return Err(CiError::Interrupted(name.to_owned())),
            }
        }
    }

    /// Builds a corner that is led.
    async fn led(
        &self,
        ci: &Ci,
        lead: &Lead,
        ask: &Ask<'_>,
        reporter: &Reporter,
        stop: &CancellationToken,
    ) -> Ended {
        lead.acts_for(self.subject.clone());
        let ended = self.fetched(ci, lead, ask, reporter, stop).await;
        let (report, error) = match ended {
            Ok(ended) => ended,
            Err(error) => (self.early(&error), Some(error)),
        };
        if let Err(error) = self.finish(lead, &report, error.as_ref()).await {
            tracing::warn!(error = with_causes(&error), "the end was not recorded");
        }
        (report, error)
    }

    async fn fetched(
        &self,
        ci: &Ci,
        lead: &Lead,
        ask: &Ask<'_>,
        reporter: &Reporter,
        stop: &CancellationToken,
    ) -> Result<Ended, CiError> {
        let (corner, record) = self.corner(ci, lead, ask).await?;
        let requested = Requested {
            name: self.name.as_str(),
            reference: &self.wish.revision,
            forks: ci.forks,
        };
        let fetched = self.fetch(&requested, stop).await?;
        let revision = fetched.revision().await?.to_string();
        self.change(|build| build.revision = Some(revision.clone()));
        self.attempt(lead, corner, record, &revision).await?;
        let release = fetched.open().await?;
        reporter.note(format!("{} is {revision}", self.wish.revision));
        let base = match (&self.wish.base, &ci.base) {
            (Some(base), _) => Some(base.to_string()),
            (None, Some(base)) => Some(base.clone()),
            (None, None) => release::followed(&self.wanted)?.map(|base| base.to_string()),
        };
        let request = Request {
            kind: self.wish.kind(),
            name: self.name.clone(),
            all: self.wish.all,
            base,
            state: None,
            selection: self.wish.selection.clone(),
            owner: self.subject.to_string(),
            revision: Some(revision),
        };
        let build = Build {
            release: &release,
            wanted: &self.wanted,
            store: &self.store,
            request: &request,
            reporter,
            stop,
        };
        Ok(build.run_held(lead, ask).await)
    }

    async fn fetch(
        &self,
        requested: &Requested<'_>,
        stop: &CancellationToken,
    ) -> Result<Fetched, CiError> {
        let began = Instant::now();
        loop {
            match Fetched::of_request(&self.wanted, requested, stop).await {
                Ok(Some(fetched)) => return Ok(fetched),
                Ok(None) => return Err(CiError::NoRepository(self.environment.clone())),
                // A teardown removes the work tree at last, and nobody else builds this corner.
                Err(ReleaseError::Source(SourceError::Busy { .. })) if began.elapsed() < BUSY => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(self.unfetched(error)),
            }
        }
    }

    /// The corner, recorded as waiting where there is none. A check lets it stand no longer than it would.
    async fn corner(
        &self,
        ci: &Ci,
        lead: &Lead,
        ask: &Ask<'_>,
    ) -> Result<(Corner, Record), CiError> {
        if self.wish.kind() == Kind::Check
            && let Some(corner) = self.store.corner(ask.environment, ask.name).await?
        {
            let record = queue::read(&corner)?;
            return Ok((corner, record));
        }
        queue::corner(&self.store, lead, ask, ci.ttl.0).await
    }

    /// What the repository said, as it is about what was asked and not about the configuration.
    fn unfetched(&self, error: ReleaseError) -> CiError {
        match error {
            ReleaseError::Source(
                error @ (SourceError::UnknownReference { .. } | SourceError::Gone { .. }),
            ) => CiError::Revision {
                reference: self.wish.revision.to_string(),
                said: error.to_string(),
            },
            error @ (ReleaseError::Settings(_)
            | ReleaseError::Project(_)
            | ReleaseError::Selection(_)
            | ReleaseError::Store(_)
            | ReleaseError::Artifacts(_)
            | ReleaseError::Build(_)
            | ReleaseError::Materialize(_)
            | ReleaseError::Deployment(_)
            | ReleaseError::Source(_)
            | ReleaseError::Bundle(_)
            | ReleaseError::Connection(_)
            | ReleaseError::Folder { .. }
            | ReleaseError::Interrupted) => error.into(),
        }
    }

    /// Records that a revision is looked into, unless that ended the process too often.
    async fn attempt(
        &self,
        lead: &Lead,
        mut corner: Corner,
        mut record: Record,
        revision: &str,
    ) -> Result<(), CiError> {
        let before = record.attempt.take();
        let times = before.filter(|attempt| attempt.revision == revision);
        let times = times.map_or(0, |attempt| attempt.times);
        if times >= DEADLY {
            return Err(CiError::SetAside {
                revision: revision.to_owned(),
                times,
            });
        }
        record.attempt = Some(Attempt {
            revision: revision.to_owned(),
            times: times + 1,
        });
        if self.wish.kind() == Kind::Build {
            record.owner = self.subject.to_string();
            record.revision = Some(revision.to_owned());
        }
        self.write(lead, &mut corner, &record).await
    }

    /// Records that the revision did not end the process, and how the build ended where it did so early. A corner that
    /// nothing was made of is gone.
    async fn finish(
        &self,
        lead: &Lead,
        report: &Report,
        error: Option<&CiError>,
    ) -> Result<(), CiError> {
        // What keeps the revision from being looked into again stays on record.
        if let Some(CiError::SetAside { .. }) = error {
            return Ok(());
        }
        let name = self.name.as_str();
        let Some(mut corner) = self.store.corner(&self.environment, name).await? else {
            return Ok(());
        };
        let mut record = queue::read(&corner)?;
        record.attempt = None;
        let is_told = record.reported.as_deref() == Some(&*self.id);
        let is_own = corner.state == CornerState::Waiting;
        if !is_told && (is_own || report.kind == Kind::Build) {
            record.report = Some(Box::new(report.clone()));
            record.reported = Some(self.id.clone());
        }
        if is_own {
            corner.state = CornerState::Gone;
            corner.ended_at = Some(Timestamp::now());
        }
        self.write(lead, &mut corner, &record).await
    }

    async fn write(
        &self,
        lead: &Lead,
        corner: &mut Corner,
        record: &Record,
    ) -> Result<(), CiError> {
        corner.document = serde_json::to_value(record).map_err(|source| CiError::Record {
            name: corner.name.clone(),
            source,
        })?;
        Ok(self.store.write_corner(lead, corner).await?)
    }
}

fn limit(most: usize, position: usize) -> Refused {
    Refused(vec![Refusal {
        name: RefusalName::CornerLimit,
        message: format!(
            "{most} builds of new corners are under way, as many as ci.max_environments allows, and {} others wait",
            position - 1
        ),
        objects: Vec::new(),
        remedy: "tear corners down that nobody needs, or raise ci.max_environments".to_owned(),
    }])
}
