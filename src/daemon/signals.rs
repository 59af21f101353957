//! SIGUSR1 promotes what is ready, SIGUSR2 starts releases, SIGHUP reads the configuration again.

use super::Daemon;
use super::request::{Command, Declined, Start};
use crate::deployment::Verb;
use crate::failure::Classify;
use crate::store::Cause;
use std::io;
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals, caught from now on.
pub(super) struct Signals {
    promote: Signal,
    start: Signal,
    reload: Signal,
}

impl Signals {
    /// Catches them; before that each of them would end the process.
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self {
            promote: signal(SignalKind::user_defined1())?,
            start: signal(SignalKind::user_defined2())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    /// Does what they ask for, for ever.
    pub(super) async fn obey(mut self, daemon: Arc<Daemon>) {
        loop {
            let command = tokio::select! {
                _ = self.promote.recv() => {
                    tracing::info!("SIGUSR1: promote what is ready");
                    Command::Act { verb: Verb::Promote, deployment: None }
                }
                _ = self.start.recv() => {
                    tracing::info!("SIGUSR2: release now");
                    Command::Start(Start { cause: Cause::Signal, ..Start::default() })
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
                    let answer = daemon.ask(&environment, command, None).await;
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
