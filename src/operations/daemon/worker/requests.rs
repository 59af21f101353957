//! Answering requests: at once, one after another, and once for each idempotency key.

use super::Leading;
use crate::adapters::store::StoreError;
use crate::domain::lifecycle::state::{Asker, Event, State};
use crate::domain::lifecycle::verb::Verb;
use crate::domain::records::deployment::Deployment;
use crate::domain::records::run::{AskedUnder, NewRun, Outcome, Run};
use crate::domain::records::subject::Subject;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::operations::daemon::request::{
    Accepted, Command, Declined, Idempotency, Request, Start,
};
use crate::operations::daemon::worker::begin::Trigger;
use crate::operations::daemon::worker::holding;
use crate::operations::deployment::promotion::Approver;
use crate::operations::deployment::requested;
use crate::operations::error::DeploymentError;
use crate::operations::release::back_to;

/// What an abort does before there is a deployment.
const GIVE_UP: &str = "give the release up before it begins";

/// What begins when a release is asked for.
enum Begins {
    /// A release.
    Release {
        /// What it does, in a few words.
        would: &'static str,
        /// Whether what is ready is given up for it.
        is_instead: bool,
    },
    /// The deployment under way is swapped back, since that is where it is to go.
    SwapBack(Box<Deployment>),
}

/// What the worker is doing when a request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Now {
    /// Nothing, or it drives or watches the deployment that the journal has as active.
    Driving,
    /// It plans; there is no deployment yet.
    Planning,
}

/// What a request led to.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Nothing is to be done about it.
    Nothing,
    /// Something was asked of what is under way, and is remembered.
    Act,
}

impl Leading<'_> {
    /// Answers a request and remembers what is to be done about it.
    pub(crate) async fn take(&mut self, request: Request, now: Now) -> Taken {
        let Request {
            command,
            idempotency,
            answer,
        } = request;
        let environment = self.worker.environment.clone();
        if let Some(asked) = &idempotency {
            match self.store.remembered(&environment, &asked.key).await {
                Ok(Some(before)) => {
                    let again = if before.fingerprint == asked.fingerprint {
                        serde_json::from_value(before.answer)
                            .map_err(|error| Declined::Store(error.to_string()))
                    } else {
                        Err(Declined::KeyReused)
                    };
                    let _ = answer.send(again);
                    return Taken::Nothing;
                }
                Ok(None) => {}
                Err(error) => {
                    let _ = answer.send(Err(Declined::Store(error.to_string())));
                    return Taken::Nothing;
                }
            }
        }
        tracing::info!(?command, "asked");
        // The answer to what begins a run is recorded with that.
        let is_start = matches!(command, Command::Start(_));
        let decided = self.decide(command, now, idempotency.as_ref()).await;
        let begins_a_run = |accepted: &Accepted| is_start && accepted.run.is_some();
        let is_recorded = matches!(&decided, Ok((accepted, _)) if begins_a_run(accepted));
        if let (Some(asked), Ok((accepted, _)), false) = (&idempotency, &decided, is_recorded) {
            let remembered = self
                .store
                .remember(
                    self.lead,
                    &environment,
                    &asked.key,
                    &asked.fingerprint,
                    serde_json::json!(accepted),
                )
                .await;
            if let Err(error) = remembered {
                tracing::warn!(%error, "the answer to a request was not remembered");
            }
        }
        match decided {
            Ok((accepted, taken)) => {
                let _ = answer.send(Ok(accepted));
                taken
            }
            Err(declined) => {
                tracing::info!(%declined, "declined");
                let _ = answer.send(Err(declined));
                Taken::Nothing
            }
        }
    }

    async fn decide(
        &mut self,
        command: Command,
        now: Now,
        idempotency: Option<&Idempotency>,
    ) -> Result<(Accepted, Taken), Declined> {
        match command {
            Command::Start(start) => {
                let active = self.active().await?;
                self.start(start, now, active, idempotency).await
            }
            Command::Act {
                verb,
                deployment,
                by,
                subject,
                override_freeze,
            } => {
                let who = (by, subject);
                let active = self.active().await?;
                let wish = (verb, override_freeze);
                self.act((wish, who), deployment.as_deref(), now, active)
                    .await
            }
            // What waits is looked at again at once.
            Command::Approve {
                deployment,
                approver,
            } => {
                let accepted = self.approval(deployment.as_deref(), &approver, false);
                Ok((accepted.await?, Taken::Nothing))
            }
            Command::Hold {
                reason,
                until,
                subject,
            } => Ok((self.hold(reason, until, subject).await?, Taken::Nothing)),
            Command::LiftHold { subject } => Ok((self.lift_hold(subject).await?, Taken::Nothing)),
            // What is under way goes on.
            Command::Corner(asked) => {
                let wanted = self.worker.wanted();
                Ok((self.corners.ask(asked, wanted)?, Taken::Nothing))
            }
            Command::DryRun(command) => Ok((self.would(*command, now).await?, Taken::Nothing)),
        }
    }

    /// What a command would do, judged as it would be, and nothing of it done.
    async fn would(&self, command: Command, now: Now) -> Result<Accepted, Declined> {
        match command {
            Command::Start(start) => {
                let active = self.active().await?;
                match self.may_start(&start, now, active).await? {
                    Begins::SwapBack(active) => {
                        let would = Verb::RollbackAndHold.would(active.state);
                        Ok(self.accepted(None, Some(active.id), &would))
                    }
                    Begins::Release { would, .. } => {
                        Ok(self.accepted(None, None, &start.would(would)))
                    }
                }
            }
            Command::Act {
                verb,
                deployment,
                by,
                override_freeze,
                ..
            } => {
                let Some(active) = self.active().await? else {
                    return match self.to_give_up(now) {
                        Some(run) if verb == Verb::Abort && deployment.is_none() => {
                            Ok(self.accepted(Some(run), None, GIVE_UP))
                        }
                        Some(_) | None => Err(self.nothing_active(deployment.as_deref())),
                    };
                };
                let asked = deployment.as_deref();
                let wish = (verb, override_freeze.is_some());
                let at = self.judge(wish, by, asked, &active).await?;
                let run = self.worker.memory.run.clone();
                Ok(self.accepted(run, Some(active.id), &verb.would(at)))
            }
            Command::Approve {
                deployment,
                approver,
            } => self.approval(deployment.as_deref(), &approver, true).await,
            Command::Hold { until, .. } => {
                Ok(self.accepted(None, None, &holding::would_hold(until)))
            }
            Command::LiftHold { .. } => {
                let hold = self.to_lift().await?;
                Ok(self.accepted(None, None, &holding::would_lift(&hold)))
            }
            Command::Corner(_) | Command::DryRun(_) => Err(Declined::NoDryRun),
        }
    }

    /// An approval of the deployment under way.
    async fn approval(
        &self,
        asked: Option<&str>,
        approver: &Approver,
        is_dry: bool,
    ) -> Result<Accepted, Declined> {
        let Some(active) = self.active().await? else {
            return Err(self.nothing_active(asked));
        };
        is_meant(asked, &active)?;
        let would = self.approve(&active, approver, is_dry).await?;
        let run = self.worker.memory.run.clone();
        Ok(self.accepted(run, Some(active.id), &would))
    }

    /// The run that an abort gives up while there is no deployment.
    fn to_give_up(&self, now: Now) -> Option<String> {
        let memory = &self.worker.memory;
        match now {
            Now::Planning => memory.planning.clone(),
            Now::Driving => memory.accepted().map(str::to_owned),
        }
    }

    fn nothing_active(&self, asked: Option<&str>) -> Declined {
        match asked {
            Some(asked) => Declined::AnotherDeployment {
                asked: asked.to_owned(),
                under_way: None,
            },
            None => Declined::NoDeployment(self.worker.environment.clone()),
        }
    }

    async fn active(&self) -> Result<Option<Deployment>, Declined> {
        let active = self.store.active(&self.worker.environment).await;
        active.map_err(unanswered)
    }

    async fn start(
        &mut self,
        start: Start,
        now: Now,
        active: Option<Deployment>,
        idempotency: Option<&Idempotency>,
    ) -> Result<(Accepted, Taken), Declined> {
        let (would, is_instead) = match self.may_start(&start, now, active).await? {
            Begins::SwapBack(active) => {
                let by = Asker::Api;
                let subject = start.subject.clone().unwrap_or(Subject::Cutover);
                let verb = Verb::RollbackAndHold;
                self.keep(&active, verb, by, subject).await?;
                let would = verb.would(active.state);
                return Ok((self.accepted(None, Some(active.id), &would), Taken::Act));
            }
            Begins::Release { would, is_instead } => (would, is_instead),
        };
        let new = NewRun {
            cause: start.cause,
            scheduled_for: None,
            revision: None,
            wishes: Some(serde_json::json!(start)),
        };
        if let Some(subject) = &start.subject {
            self.lead.acts_for(subject.clone());
        }
        let run = match idempotency {
            Some(Idempotency { key, fingerprint }) => {
                let answer = |run: &Run| {
                    let accepted = self.accepted(Some(run.id.clone()), None, would);
                    serde_json::json!(accepted)
                };
                let asked = AskedUnder { key, fingerprint };
                self.store
                    .begin_asked_run(self.lead, new, asked, answer)
                    .await
            }
            None => self.store.begin_run(self.lead, new).await,
        };
        let id = run.map_err(unanswered)?.id;
        self.worker.memory.next = Some(Trigger {
            cause: start.cause,
            scheduled_for: None,
            run: Some(id.clone()),
            start,
        });
        self.worker.memory.next_at = None;
        // What is kept makes way when it is attended to next, since a run was accepted.
        if is_instead {
            self.worker.memory.asked = Some(Verb::Abort);
        }
        Ok((self.accepted(Some(id), None, would), Taken::Act))
    }

    /// Whether the way back to the named release is a swap back of the deployment under way.
    async fn is_swap_back(&self, active: &Deployment, named: &str) -> Result<bool, Declined> {
        if active.state != State::Soaking {
            return Ok(false);
        }
        let looked = async {
            let release = self.worker.open().await?;
            let artifacts = release.artifacts()?;
            release.earlier(self.store, &artifacts, named).await
        };
        match looked.await {
            Ok(to) => Ok(back_to::is_swap_back(active, &to)),
            // Which one is meant is said when it is planned.
            Err(error) if error.class() == Class::Refused => Ok(false),
            Err(error) => Err(Declined::Store(with_causes(&error))),
        }
    }

    /// Whether a release may begin now, and what would happen then.
    async fn may_start(
        &self,
        start: &Start,
        now: Now,
        active: Option<Deployment>,
    ) -> Result<Begins, Declined> {
        let release = |would, is_instead| Ok(Begins::Release { would, is_instead });
        let busy = |what: String, state: &str| {
            Err(Declined::Busy {
                what,
                state: state.to_owned(),
            })
        };
        if now == Now::Planning {
            return busy("a run".to_owned(), "planning");
        }
        // A retry that nobody asked for makes way.
        if let Some(run) = self.worker.memory.accepted() {
            return busy(format!("the run {run}"), "waiting");
        }
        if let (Some(named), Some(active)) = (&start.to, &active)
            && self.is_swap_back(active, named).await?
        {
            return Ok(Begins::SwapBack(Box::new(active.clone())));
        }
        self.may_begin(start).await?;
        let Some(active) = active else {
            return release("plan and release", false);
        };
        if active.state == State::Kept {
            let would = "drop what is kept of the failed release, then plan and release";
            return release(would, false);
        }
        if active.state == State::Ready && self.worker.memory.stale.is_some() {
            return release("give up what is ready but stale, and release anew", true);
        }
        busy(
            format!("the deployment {}", active.id),
            active.state.as_str(),
        )
    }

    /// Gives up the run that is planned, or waits for its turn; in the journal before it is answered.
    async fn give_up(&mut self, now: Now) -> Result<Option<(Accepted, Taken)>, Declined> {
        let Some(run) = self.to_give_up(now) else {
            return Ok(None);
        };
        let why = Some("it was given up before it was planned");
        self.conclude(&run, Outcome::Aborted, why)
            .await
            .map_err(unanswered)?;
        match now {
            Now::Planning => self.worker.memory.asked = Some(Verb::Abort),
            Now::Driving => self.worker.memory.forget_next(),
        }
        let accepted = self.accepted(Some(run), None, GIVE_UP);
        Ok(Some((accepted, Taken::Act)))
    }

    async fn act(
        &mut self,
        ((verb, override_freeze), (by, subject)): ((Verb, Option<String>), (Asker, Subject)),
        asked: Option<&str>,
        now: Now,
        active: Option<Deployment>,
    ) -> Result<(Accepted, Taken), Declined> {
        let Some(active) = active else {
            if asked.is_none()
                && verb == Verb::Abort
                && let Some(given_up) = self.give_up(now).await?
            {
                self.lead.acts_for(subject);
                return Ok(given_up);
            }
            return Err(self.nothing_active(asked));
        };
        let wish = (verb, override_freeze.is_some());
        let at = self.judge(wish, by, asked, &active).await?;
        if let Some(reason) = override_freeze {
            self.override_freeze(&active, reason, &subject).await?;
        }
        self.keep(&active, verb, by, subject).await?;
        let accepted = self.accepted(
            self.worker.memory.run.clone(),
            Some(active.id),
            &verb.would(at),
        );
        Ok((accepted, Taken::Act))
    }

    /// Whether the state of the deployment under way admits the verb; gives the state, or where a stuck one
    /// got stuck.
    async fn judge(
        &self,
        (verb, is_overridden): (Verb, bool),
        by: Asker,
        asked: Option<&str>,
        active: &Deployment,
    ) -> Result<State, Declined> {
        is_meant(asked, active)?;
        let at = match requested::stuck_at(self.store, active).await {
            Ok(at) => at,
            Err(DeploymentError::Store(error)) => return Err(unanswered(error)),
            Err(error) => return Err(Declined::Store(error.to_string())),
        };
        if let Err(error) = verb.event(at, by) {
            return Err(Declined::NotNow {
                reason: error.to_string(),
                state: active.state,
            });
        }
        if verb == Verb::Promote
            && let Some(stale) = &self.worker.memory.stale
        {
            return Err(Declined::NotNow {
                reason: format!("cannot promote: what is ready is stale, {stale}"),
                state: active.state,
            });
        }
        if verb == Verb::Promote
            && let Some(why) = self.barred(active).await?
        {
            return Err(Declined::NotNow {
                reason: format!("cannot promote: {why}"),
                state: active.state,
            });
        }
        if verb == Verb::Promote && at == State::Ready {
            self.may_swap(active, is_overridden).await?;
        }
        Ok(at)
    }

    /// Records what was asked before it is answered: whoever leads at the next boundary does it.
    async fn keep(
        &mut self,
        active: &Deployment,
        verb: Verb,
        by: Asker,
        subject: Subject,
    ) -> Result<(), Declined> {
        let goes_on_anyway =
            verb == Verb::Resume && !matches!(active.state, State::Stuck | State::Kept);
        if self.worker.memory.asked != Some(verb) && !goes_on_anyway {
            let asked = Event::Asked { verb, by };
            let applied = self.store.apply_by(self.lead, &active.id, &asked, &subject);
            match applied.await {
                Ok(_) => {}
                // It ended while this was decided.
                Err(StoreError::Transition { source, .. }) => {
                    return Err(Declined::NotNow {
                        reason: format!("cannot {verb}: {source}"),
                        state: source.state,
                    });
                }
                Err(error) => return Err(unanswered(error)),
            }
        }
        // What follows is done for whoever asked last.
        self.lead.acts_for(subject);
        self.worker.memory.asked = Some(verb);
        self.worker.memory.asked_by = Some(by);
        Ok(())
    }

    pub(super) fn accepted(
        &self,
        run: Option<String>,
        deployment: Option<String>,
        would: &str,
    ) -> Accepted {
        Accepted {
            environment: self.worker.environment.clone(),
            run,
            deployment,
            would: would.to_owned(),
            corner: None,
        }
    }
}

/// Whether the deployment under way is the one that was named, if any was.
fn is_meant(asked: Option<&str>, active: &Deployment) -> Result<(), Declined> {
    match asked {
        Some(asked) if asked.len() < 8 || !active.id.starts_with(&asked.to_ascii_lowercase()) => {
            Err(Declined::AnotherDeployment {
                asked: asked.to_owned(),
                under_way: Some(active.id.clone()),
            })
        }
        Some(_) | None => Ok(()),
    }
}

pub(super) fn unanswered(error: StoreError) -> Declined {
    Declined::Store(error.to_string())
}
