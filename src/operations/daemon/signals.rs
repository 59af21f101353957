//! SIGUSR1 promotes what is ready, SIGUSR2 starts releases, SIGHUP reads the configuration again.

use super::Daemon;
use super::request::{Accepted, Command, Declined, Start};
use crate::domain::lifecycle::role::Role;
use crate::domain::lifecycle::state::Asker;
use crate::domain::lifecycle::verb::Verb;
use crate::domain::records::run::Cause;
use crate::domain::records::subject::Subject;
use crate::foundation::failure::Classify;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often, and how long apart, a worker is asked that has not found out yet whether it leads.
const STARTS: u32 = 20;
const START: Duration = Duration::from_millis(500);

/// The signals, caught from now on.
pub(crate) struct Signals {
    promote: Signal,
    start: Signal,
    reload: Signal,
}

impl Signals {
    /// Catches them; before that each of them would end the process.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            promote: signal(SignalKind::user_defined1())?,
            start: signal(SignalKind::user_defined2())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    /// Does what they ask for, for ever.
    pub(crate) async fn obey(mut self, daemon: Arc<Daemon>) {
        loop {
            let command = tokio::select! {
                _ = self.promote.recv() => {
                    tracing::info!("SIGUSR1: promote what is ready");
                    Command::Act {
                        verb: Verb::Promote,
                        deployment: None,
                        by: Asker::Api,
                        subject: Subject::signal("SIGUSR1"),
                        override_freeze: None,
                    }
                }
                _ = self.start.recv() => {
                    tracing::info!("SIGUSR2: release now");
                    Command::Start(Start {
                        cause: Cause::Signal,
                        subject: Some(Subject::signal("SIGUSR2")),
                        ..Start::default()
                    })
                }
                _ = self.reload.recv() => {
                    tracing::info!("SIGHUP: read the configuration again");
                    daemon.reload.notify_one();
                    continue;
                }
            };
            for environment in daemon.obeying_signals() {
                let (daemon, command) = (Arc::clone(&daemon), command.clone());
                tokio::spawn(async move {
                    let answer = asked(&daemon, &environment, command).await;
                    match answer {
                        Ok(accepted) => {
                            tracing::info!(environment, would = accepted.would, "accepted");
                        }
                        Err(
                            declined @ (Declined::NoDeployment(_) | Declined::NotLeading { .. }),
                        ) => {
                            tracing::info!(environment, %declined, "nothing to do");
                        }
                        Err(declined) => tracing::warn!(
                            environment,
                            %declined,
                            hint = declined.hint(),
                            "declined"
                        ),
                    }
                });
            }
        }
    }
}

/// Asks, and asks again while it is not known yet who leads: a signal may come right after the start.
async fn asked(daemon: &Daemon, environment: &str, command: Command) -> Result<Accepted, Declined> {
    for _ in 0..STARTS {
        let answer = daemon.ask(environment, command.clone(), None).await;
        let status = daemon.status_board.one(environment);
        let is_starting = status.is_some_and(|status| status.role == Role::Starting);
        if !(is_starting && matches!(answer, Err(Declined::NotLeading { .. }))) {
            return answer;
        }
        tokio::time::sleep(START).await;
    }
    daemon.ask(environment, command, None).await
}
