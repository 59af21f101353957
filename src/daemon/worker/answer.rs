//! Answering requests: at once, one after another, and once for each idempotency key.

use super::Leading;
use super::launch::Trigger;
use crate::daemon::request::{Accepted, Command, Declined, Request, Start};
use crate::deployment::state::{RollbackCause, State};
use crate::deployment::{DeploymentError, Verb, verb};
use crate::store::{Deployment, NewRun, StoreError};

/// What the worker is doing when a request comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Now {
    /// Nothing, or it drives or watches the deployment that the journal has as active.
    Driving,
    /// It plans; there is no deployment yet.
    Planning,
}

/// What a request led to.
#[derive(Debug)]
pub(super) enum Taken {
    /// Nothing is to be done about it.
    Nothing,
    /// Something was asked of what is under way, and is remembered.
    Act,
}

impl Leading<'_> {
    /// Answers a request and remembers what is to be done about it.
    pub(super) async fn take(&mut self, request: Request, now: Now) -> Taken {
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
        let decided = self.decide(command, now).await;
        if let (Some(asked), Ok((accepted, _))) = (&idempotency, &decided) {
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

    async fn decide(&mut self, command: Command, now: Now) -> Result<(Accepted, Taken), Declined> {
        let active = self
            .store
            .active(&self.worker.environment)
            .await
            .map_err(unanswered)?;
        match command {
            Command::Start(start) => self.start(start, now, active).await,
            Command::Act {
                verb,
                deployment,
                by,
            } => {
                self.act((verb, by), deployment.as_deref(), now, active)
                    .await
            }
        }
    }

    async fn start(
        &mut self,
        start: Start,
        now: Now,
        active: Option<Deployment>,
    ) -> Result<(Accepted, Taken), Declined> {
        let busy = |what: String, state: &str| {
            Err(Declined::Busy {
                what,
                state: state.to_owned(),
            })
        };
        // A retry that only waits for its time makes way.
        let next = self.worker.memory.next.as_ref();
        if now == Now::Planning || next.is_some_and(|next| next.run.is_some()) {
            return busy("a run".to_owned(), "planning");
        }
        let stale = self.worker.memory.stale.clone();
        if let Some(active) = &active
            && !(active.state == State::Ready && stale.is_some())
        {
            return busy(
                format!("the deployment {}", active.id),
                active.state.as_str(),
            );
        }
        let run = self
            .store
            .begin_run(
                self.lead,
                NewRun {
                    cause: start.cause,
                    scheduled_for: None,
                    revision: None,
                },
            )
            .await
            .map_err(unanswered)?;
        let id = run.id.clone();
        self.worker.memory.next = Some(Trigger {
            cause: start.cause,
            scheduled_for: None,
            run: Some(run.id),
            start,
        });
        self.worker.memory.next_at = None;
        let (taken, would) = match active {
            Some(_) => {
                self.worker.memory.asked = Some(Verb::Abort);
                (
                    Taken::Act,
                    "give up what is ready but stale, and release anew",
                )
            }
            None => (Taken::Act, "plan and release"),
        };
        Ok((self.accepted(Some(id), None, would), taken))
    }

    async fn act(
        &mut self,
        (verb, by): (Verb, RollbackCause),
        asked: Option<&str>,
        now: Now,
        active: Option<Deployment>,
    ) -> Result<(Accepted, Taken), Declined> {
        let Some(active) = active else {
            if let Some(asked) = asked {
                return Err(Declined::AnotherDeployment {
                    asked: asked.to_owned(),
                    under_way: None,
                });
            }
            if now == Now::Planning && verb == Verb::Abort {
                self.worker.memory.asked = Some(Verb::Abort);
                return Ok((
                    self.accepted(None, None, "give the planning up"),
                    Taken::Act,
                ));
            }
            return Err(Declined::NoDeployment(self.worker.environment.clone()));
        };
        if let Some(asked) = asked
            && (asked.len() < 8 || !active.id.starts_with(&asked.to_ascii_lowercase()))
        {
            return Err(Declined::AnotherDeployment {
                asked: asked.to_owned(),
                under_way: Some(active.id),
            });
        }
        let at = match verb::stuck_at(self.store, &active).await {
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
        self.worker.memory.asked = Some(verb);
        self.worker.memory.asked_by = Some(by);
        let accepted = self.accepted(
            self.worker.memory.run.clone(),
            Some(active.id),
            &verb.would(at),
        );
        Ok((accepted, Taken::Act))
    }

    fn accepted(&self, run: Option<String>, deployment: Option<String>, would: &str) -> Accepted {
        Accepted {
            environment: self.worker.environment.clone(),
            run,
            deployment,
            would: would.to_owned(),
        }
    }
}

fn unanswered(error: StoreError) -> Declined {
    Declined::Store(error.to_string())
}
