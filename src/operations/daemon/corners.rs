//! Corners of pull requests, built and torn down for whoever asks, beside the worker and for as long as the environment
//! is led.
//!
//! A request is answered at once. Each build and each teardown is a task of its own, so that neither releases nor other
//! corners wait for it. Who works on a corner holds its lead (`ci::queue`), as a command does; so a later build takes the
//! place of an earlier one wherever either runs. When the environment is not led any more, what is under way ends at
//! its next boundary, as cancelled.

/// One build.
mod build;
/// The line before the door.
mod queue;
/// What is shown of it.
pub mod status;
/// One teardown.
mod teardown;
/// Work trees that nobody needs any more.
mod work_trees;

pub(super) use crate::operations::daemon::corners::work_trees::sweep;

use super::Daemon;
use super::request::{Accepted, AcceptedCorner, BuildWish, CornerRequest, CornerWish, Declined};
use crate::adapters::store::Store;
use crate::domain::records::subject::Subject;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::operations::ci::report::Kind;
use crate::operations::daemon::corners::queue::Line;
use crate::operations::daemon::corners::status::{BuildStatus, Failure, Phase, TeardownStatus};
use crate::operations::release::Wanted;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

/// How many builds and teardowns of an environment may be unfinished; more are declined.
const MOST: usize = 64;

/// The corners of an environment that is led.
pub(super) struct Corners {
    daemon: Arc<Daemon>,
    environment: String,
    store: Store,
    stop: CancellationToken,
    line: Arc<Line>,
    tasks: JoinSet<()>,
    unfinished: BTreeMap<Id, Unfinished>,
}

/// A build or teardown that has not ended.
struct Unfinished {
    name: String,
    /// What it is shown under.
    id: String,
    is_build: bool,
    /// Told when something later is asked of the same corner.
    later: CancellationToken,
}

impl Corners {
    pub(super) fn new(
        daemon: Arc<Daemon>,
        environment: String,
        store: Store,
        stop: CancellationToken,
    ) -> Self {
        Self {
            daemon,
            environment,
            store,
            stop,
            line: Arc::default(),
            tasks: JoinSet::new(),
            unfinished: BTreeMap::new(),
        }
    }

    /// Takes up what is asked, or says why not.
    pub(super) fn ask(
        &mut self,
        asked: CornerRequest,
        wanted: Wanted,
    ) -> Result<Accepted, Declined> {
        self.reap();
        if self.unfinished.len() >= MOST {
            return Err(Declined::Overloaded);
        }
        let CornerRequest {
            name,
            wish,
            subject,
        } = asked;
        let has_repository = wanted.loaded.as_ref().is_some_and(|loaded| {
            // A bundle holds one revision, and a folder none.
            loaded.settings.source.url.is_some()
        });
        let id = Uuid::now_v7().to_string();
        let look = format!("GET …/ci/{name} says how it ends");
        let would = match &wish {
            CornerWish::Build(_) if !has_repository => {
                return Err(Declined::NoRepository(self.environment.clone()));
            }
            CornerWish::Build(build) if build.check => format!("check {}; {look}", build.revision),
            CornerWish::Build(build) => format!("build {}; {look}", build.revision),
            CornerWish::TearDown => format!("drop the corner; {look}"),
        };
        let same = self
            .unfinished
            .values()
            .filter(|it| it.name == name.as_str());
        let same: Vec<&Unfinished> = same.filter(|it| it.is_build).collect();
        for build in &same {
            build.later.cancel();
        }
        let has_build = !same.is_empty();
        let later = CancellationToken::new();
        let is_build = matches!(wish, CornerWish::Build(_));
        let task = match wish {
            CornerWish::Build(build) => {
                self.show_build(name.as_str(), &id, &build, &subject);
                let task = build::Task {
                    daemon: Arc::clone(&self.daemon),
                    environment: self.environment.clone(),
                    store: self.store.clone(),
                    wanted,
                    waiting: self.line.join(&id),
                    name: name.clone(),
                    wish: *build,
                    id: id.clone(),
                    subject,
                    later: later.clone(),
                    stop: self.stop.child_token(),
                };
                let span = tracing::info_span!("corner", corner = %name, build = %id);
                self.tasks.spawn(task.run().instrument(span))
            }
            CornerWish::TearDown => {
                self.show_teardown(name.as_str(), &id, &subject);
                let task = teardown::Task {
                    daemon: Arc::clone(&self.daemon),
                    environment: self.environment.clone(),
                    store: self.store.clone(),
                    wanted,
                    name: name.clone(),
                    id: id.clone(),
                    has_build,
                    stop: self.stop.child_token(),
                };
                let span = tracing::info_span!("corner", corner = %name, teardown = %id);
                self.tasks.spawn(task.run().instrument(span))
            }
        };
        self.unfinished.insert(
            task.id(),
            Unfinished {
                name: name.to_string(),
                id: id.clone(),
                is_build,
                later,
            },
        );
        Ok(Accepted {
            environment: self.environment.clone(),
            run: None,
            deployment: None,
            would,
            corner: Some(AcceptedCorner {
                name: name.to_string(),
                id,
            }),
        })
    }

    fn show_build(&self, name: &str, id: &str, wish: &BuildWish, subject: &Subject) {
        let build = BuildStatus {
            id: id.to_owned(),
            kind: wish.kind(),
            reference: wish.revision.to_string(),
            revision: None,
            by: subject.clone(),
            asked_at: Timestamp::now(),
            phase: Phase::InLine,
            position: None,
            ended_at: None,
            failure: None,
        };
        let shown = &self.daemon.status_board.corners;
        shown.change(&self.environment, name, |asked| asked.build = Some(build));
    }

    fn show_teardown(&self, name: &str, id: &str, subject: &Subject) {
        let teardown = TeardownStatus {
            id: id.to_owned(),
            by: subject.clone(),
            asked_at: Timestamp::now(),
            phase: Phase::UnderWay,
            ended_at: None,
            failure: None,
            collected: None,
        };
        let shown = &self.daemon.status_board.corners;
        shown.change(&self.environment, name, |asked| {
            asked.teardown = Some(teardown);
        });
    }

    /// Forgets the tasks that have ended.
    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.ended(ended.map(|(id, ())| id));
        }
    }

    /// What became of a task. One that died is shown as failed: what it left in Materialize is in the journal, and the
    /// next build or a collection goes on with it, as after a kill.
    fn ended(&mut self, ended: Result<Id, tokio::task::JoinError>) {
        let (id, died) = match ended {
            Ok(id) => (id, None),
            Err(error) => (error.id(), Some(error)),
        };
        let Some(unfinished) = self.unfinished.remove(&id) else {
            return;
        };
        let Some(error) = died else { return };
        if error.is_panic() {
            tracing::error!(corner = unfinished.name, %error, "the work on a corner died");
        }
        let failure = Failure {
            class: match error.is_panic() {
                true => Class::Permanent,
                false => Class::Interrupted,
            },
            message: match error.is_panic() {
                true => "the work on the corner died".to_owned(),
                false => "the daemon ended before the work on the corner had reached a boundary"
                    .to_owned(),
            },
            hint: "see the daemon's log, then ask again".to_owned(),
        };
        let shown = &self.daemon.status_board.corners;
        shown.change(&self.environment, &unfinished.name, |asked| {
            let now = Some(Timestamp::now());
            if let Some(build) = &mut asked.build
                && build.id == unfinished.id
            {
                (build.phase, build.ended_at) = (Phase::Ended, now);
                build.failure = Some(failure.clone());
            }
            if let Some(teardown) = &mut asked.teardown
                && teardown.id == unfinished.id
            {
                (teardown.phase, teardown.ended_at) = (Phase::Ended, now);
                teardown.failure = Some(failure);
            }
        });
    }

    /// Ends everything that is under way, at its next boundary; what has none within the time is cut off.
    pub(super) async fn end(mut self, at_most: Duration) {
        self.stop.cancel();
        let all = async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                let ended = ended.map(|(id, ())| id);
                let id = match &ended {
                    Ok(id) => *id,
                    Err(error) => error.id(),
                };
                self.unfinished.remove(&id);
            }
        };
        if tokio::time::timeout(at_most, all).await.is_ok() {
            return;
        }
        for unfinished in self.unfinished.values() {
            tracing::warn!(
                corner = unfinished.name,
                "work on a corner is cut off; the next build of it, or a collection, goes on"
            );
        }
        self.tasks.shutdown().await;
    }
}

impl Failure {
    /// Of an error, as a command would tell it.
    fn of(error: &(impl Classify + 'static)) -> Self {
        let class = error.class();
        Self {
            class,
            message: with_causes(error),
            hint: error.hint().unwrap_or_else(|| class.hint().to_owned()),
        }
    }
}

impl BuildWish {
    /// What the build does.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::of(self.check)
    }
}
