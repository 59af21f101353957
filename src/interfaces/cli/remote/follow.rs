//! Waiting for what was asked: news over a stream while there is one, the status in any case. The
//! status decides, and for a release its run, which also says what came of it when there is no
//! deployment; news are only shown.

use super::view;
use crate::domain::lifecycle::policy::Policy;
use crate::domain::lifecycle::state::State;
use crate::domain::lifecycle::verb::Verb;
use crate::domain::progress::{Progress, Reporter};
use crate::domain::records::run::{Outcome, Run};
use crate::foundation::failure::Class;
use crate::foundation::span::moment;
use crate::interfaces::api::document::{Act, Release};
use crate::interfaces::api::problem::Kind;
use crate::interfaces::cli::handlers::{Answer, Ending};
use crate::interfaces::client::{Client, ClientError, Item, News};
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::record::{Advice, Circumstances, DeploymentView, OutcomeView};
use crate::operations::daemon::request::Accepted;
use crate::operations::daemon::status::Status;
use crate::operations::error::DeploymentError;
use anyhow::anyhow;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The pause between two looks at the status.
const PAUSE: Duration = Duration::from_millis(500);

/// Where no run is known, a worker that has shown no change for so long had nothing to do.
const NOTHING_TO_DO: Duration = Duration::from_secs(5);

/// How long a daemon that does not answer is waited for; it may be started anew.
const AWAY: Duration = Duration::from_secs(60);

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wish {
    /// A release.
    Release(Release),
    /// Something of the deployment under way.
    Act(Verb, Act),
}

impl Wish {
    pub(super) async fn ask(
        &self,
        client: &Client,
        environment: &str,
        key: &str,
    ) -> Result<Accepted, ClientError> {
        match self {
            Wish::Release(release) => client.release(environment, release, key).await,
            Wish::Act(verb, act) => client.act(environment, *verb, act, key).await,
        }
    }
}

/// What was asked, and the status as it was before.
pub(super) struct Followed<'a> {
    client: &'a Client,
    before: Status,
    wish: Wish,
    /// Whether the release that was wished is a swap back of the deployment under way.
    swaps_back: bool,
}

impl<'a> Followed<'a> {
    pub(super) fn new(client: &'a Client, before: Status, wish: Wish) -> Self {
        Self {
            client,
            before,
            wish,
            swaps_back: false,
        }
    }

    /// Asks, and shows progress until nothing goes on without a person.
    pub(super) async fn until_it_ends(
        mut self,
        key: &str,
        output: &Output,
        stop: &CancellationToken,
    ) -> Answer {
        let environment = &self.before.environment.clone();
        // Listened to before anything can happen. Without it the status is enough.
        let mut news = self.client.news(Some(environment)).await.ok();
        let accepted = tokio::select! {
            accepted = self.wish.ask(self.client, environment, key) => accepted?,
            () = stop.cancelled() => return Err(self.unanswered()),
        };
        let (reporter, progress) = Reporter::channel();
        let renderer = output.render(progress);
        reporter.note(accepted.would);
        self.swaps_back = self.is_release() && accepted.run.is_none();
        let run = accepted.run.filter(|_| self.is_release());
        let after = self.rest(&mut news, run, &reporter, stop).await;
        renderer.finish().await;
        let (after, run) = after?;
        match run {
            Some((run, outcome)) => self.concluded(run, outcome, &after, output).await,
            None => self.outcome(after, output),
        }
    }

    fn is_release(&self) -> bool {
        matches!(self.wish, Wish::Release(_))
    }

    /// The status when the worker rests again, or when the run that was begun is over, with that one.
    async fn rest(
        &self,
        news: &mut Option<News>,
        mut run: Option<String>,
        reporter: &Reporter,
        stop: &CancellationToken,
    ) -> Result<(Status, Option<(Run, Outcome)>), CommandError> {
        let mut shown = self.before.clone();
        let mut has_moved = false;
        let mut quiet_since = Instant::now();
        let mut away_since = None;
        loop {
            let is_listening = news.is_some();
            tokio::select! {
                () = stop.cancelled() => return Err(self.left()),
                () = tokio::time::sleep(PAUSE) => {}
                item = next(news) => {
                    quiet_since = Instant::now();
                    match item {
                        Ok(Some(Item::News(news))) => {
                            let is_state = matches!(news.progress, Progress::State { .. });
                            reporter.send(news.progress);
                            if !is_state {
                                continue;
                            }
                        }
                        Ok(Some(Item::Missed(_))) => {}
                        Ok(None) | Err(_) => *news = None,
                    }
                }
            }
            let looked = async {
                // The run first: what it says has happened the status shows afterwards.
                let begun = self.run(&mut run).await?;
                let status = self.client.environment(&self.before.environment).await?;
                Ok::<_, ClientError>((begun, status))
            };
            let (begun, status) = match looked.await {
                Ok(looked) => looked,
                Err(error) => {
                    let since = *away_since.get_or_insert_with(Instant::now);
                    if !error.is_lost() || since.elapsed() > AWAY {
                        return Err(error.into());
                    }
                    continue;
                }
            };
            away_since = None;
            if !is_listening {
                show_changes(&shown, &status, reporter);
            }
            if let Some(problem) = &status.problem
                && shown.problem != status.problem
            {
                reporter.warning(problem);
            }
            let before = &self.before;
            has_moved |= !view::rests(status.activity)
                || status.activity != before.activity
                || status.deployment != before.deployment;
            if shown != status {
                quiet_since = Instant::now();
            }
            let is_over = match begun {
                Some(run) => match run.outcome {
                    Some(outcome) => return Ok((status, Some((run, outcome)))),
                    None => run.deployment.is_some(),
                },
                None => has_moved || quiet_since.elapsed() > NOTHING_TO_DO,
            };
            if view::rests(status.activity) && is_over {
                return Ok((status, None));
            }
            shown = status;
        }
    }

    /// The run that was begun; one that the journal does not have is forgotten.
    async fn run(&self, id: &mut Option<String>) -> Result<Option<Run>, ClientError> {
        let Some(known) = &id else { return Ok(None) };
        match self.client.run(known).await {
            Ok(run) => Ok(Some(run)),
            Err(error) if matches!(error.kind(), Some(Kind::UnknownRun | Kind::NotFound)) => {
                *id = None;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn unanswered(&self) -> CommandError {
        let name = &self.before.environment;
        let message = format!("interrupted before the daemon answered for {name}");
        CommandError::new(Class::Interrupted, anyhow!(message))
            .with_hint("`cutover status` shows whether it was taken up")
    }

    fn left(&self) -> CommandError {
        let name = &self.before.environment;
        let message = format!("no longer waiting for {name}; the daemon goes on");
        CommandError::new(Class::Interrupted, anyhow!(message))
            .with_hint("`cutover status` shows how far it is, `cutover abort` gives it up")
    }

    /// How a run ended, with the classes that the local command has.
    async fn concluded(
        &self,
        run: Run,
        outcome: Outcome,
        after: &Status,
        output: &Output,
    ) -> Answer {
        let Some(id) = &run.deployment else {
            return self.without_deployment(outcome, run.detail, output);
        };
        // Whatever the daemon began meanwhile, this is about the deployment of the run.
        let deployment = self.client.deployment(id).await?.deployment;
        if let Some(error) = self.failure(&deployment, run.detail.as_ref(), after) {
            return Err(error);
        }
        let shown = after.deployment.as_ref();
        let advice = match shown.filter(|shown| shown.id == *id) {
            Some(_) => view::advice(after),
            None => Some(Advice::new(
                deployment.state,
                &run.environment,
                Circumstances {
                    promotion: Policy::Automatic,
                    cleanup: Policy::Automatic,
                    is_running: !deployment.state.is_terminal(),
                },
            )),
        };
        output.result(&OutcomeView {
            environment: run.environment,
            deployment: Some(deployment),
            advice,
        });
        Ok(Ending::Success)
    }

    /// How a run ended that made no deployment.
    fn without_deployment(
        &self,
        outcome: Outcome,
        detail: Option<String>,
        output: &Output,
    ) -> Answer {
        let said = detail.unwrap_or_else(|| format!("the run ended: {outcome}"));
        let of_class = |class| Err(CommandError::new(class, anyhow!(said.clone())));
        match outcome {
            Outcome::NothingToDo | Outcome::Released => {
                self.nothing_to_do(output);
                Ok(Ending::Success)
            }
            Outcome::Failed | Outcome::RolledBack => of_class(Class::Permanent),
            Outcome::Aborted => Err(DeploymentError::Failed(
                "the release was given up while it was planned".to_owned(),
            )
            .into()),
            Outcome::Refused | Outcome::Skipped => of_class(Class::Refused),
            Outcome::Interrupted => Err(CommandError::new(Class::Transient, anyhow!(said))
                .with_hint(
                    "the daemon tries again by itself; `cutover status` shows how far it is",
                )),
            Outcome::Stuck => of_class(Class::Stuck),
        }
    }

    fn nothing_to_do(&self, output: &Output) {
        output.result(&OutcomeView {
            environment: self.before.environment.clone(),
            deployment: None,
            advice: None,
        });
    }

    /// How the status says that it ended, with the classes that the local command has.
    fn outcome(&self, after: Status, output: &Output) -> Answer {
        let environment = &self.before.environment;
        let is_new = after.deployment != self.before.deployment;
        let is_release = self.is_release();
        let found = after.deployment.as_ref().filter(|_| is_new || !is_release);
        let Some(found) = found.map(|found| view::deployment(environment, found)) else {
            if let Some(problem) = after.problem {
                return Err(CommandError::new(Class::Refused, anyhow!(problem)));
            }
            self.nothing_to_do(output);
            return Ok(Ending::Success);
        };
        if let Some(error) = self.failure(&found, after.problem.as_ref(), &after) {
            return Err(error);
        }
        output.result(&OutcomeView {
            environment: environment.clone(),
            advice: view::advice(&after),
            deployment: Some(found),
        });
        Ok(Ending::Success)
    }

    fn failure(
        &self,
        found: &DeploymentView,
        problem: Option<&String>,
        after: &Status,
    ) -> Option<CommandError> {
        let until = || {
            let kept = after.kept.as_ref();
            kept.map_or_else(String::new, |kept| moment(kept.until))
        };
        let reason = || {
            let said = found.reason.as_ref().or(problem);
            said.cloned()
                .unwrap_or_else(|| format!("it is {}", found.state))
        };
        let id = || found.id.clone();
        let is_forward = match &self.wish {
            Wish::Release(_) => !self.swaps_back,
            Wish::Act(verb, _) => *verb == Verb::Promote,
        };
        let error = match found.state {
            State::Failed => DeploymentError::Unwound {
                id: id(),
                reason: reason(),
            },
            State::Kept => DeploymentError::Kept {
                id: id(),
                reason: reason(),
                until: until(),
            },
            State::Stuck => DeploymentError::Stuck(reason()),
            State::Aborted if is_forward => {
                DeploymentError::Failed(format!("the deployment {} was aborted", found.id))
            }
            State::RolledBack if is_forward => DeploymentError::Failed(format!(
                "the deployment {} was rolled back: {}",
                found.id,
                reason()
            )),
            State::Ready if matches!(self.wish, Wish::Act(Verb::Promote, _)) => {
                DeploymentError::Declined(reason())
            }
            State::Pending
            | State::Planned
            | State::Staging
            | State::Building
            | State::Hydrating
            | State::Verifying
            | State::Ready
            | State::CuttingOver
            | State::Soaking
            | State::CleaningUp
            | State::Done
            | State::Unwinding
            | State::Aborted
            | State::RollingBack
            | State::RolledBack => return None,
        };
        Some(error.into())
    }
}

async fn next(news: &mut Option<News>) -> Result<Option<Item>, ClientError> {
    match news {
        Some(news) => news.next().await,
        None => std::future::pending().await,
    }
}

/// Without a stream, what the status says of progress.
fn show_changes(shown: &Status, status: &Status, reporter: &Reporter) {
    let place = |status: &Status| {
        let deployment = status.deployment.as_ref();
        deployment.map(|found| (found.id.clone(), found.state))
    };
    if let Some((deployment, state)) = place(status)
        && place(shown) != place(status)
    {
        reporter.send(Progress::State { deployment, state });
    }
    if shown.readiness != status.readiness {
        let clusters = status.readiness.clone();
        reporter.send(Progress::Readiness { clusters });
    }
}
