//! SIGINT and SIGTERM: the first one asks, the second one ends.

use crate::foundation::failure::Class;
use crate::interfaces::console::{CommandError, Output};
use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Starts a task that cancels `stop` at the first signal and ends the process at the second.
///
/// # Errors
/// When the process may not listen to signals.
pub fn watch(stop: CancellationToken, output: Output) -> Result<(), CommandError> {
    let listen = |kind| {
        signal(kind)
            .context("the process cannot listen to signals")
            .map_err(|error| CommandError::new(Class::Permanent, error))
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        output.remark("stopping at the next safe point; again to stop at once");
        stop.cancel();
        either(&mut interrupt, &mut terminate).await;
        // Nothing is lost: the journal has each intent before its effect.
        output.restore_terminal();
        std::process::exit(i32::from(Class::Interrupted.exit_code()));
    });
    Ok(())
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
