//! What systemd is told, where it asked to be: ready, reloading, stopping, alive.

use sd_notify::NotifyState;
use std::time::Duration;

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// The daemon answers.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// The daemon stops.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The line that `systemctl status` shows; empty: none.
pub(crate) fn status(line: &str) {
    notify(&[NotifyState::Status(line)]);
}

/// The configuration is read again, until what is given back is dropped.
pub(crate) fn reloading() -> impl Drop {
    struct Reloading;
    impl Drop for Reloading {
        fn drop(&mut self) {
            ready();
        }
    }
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
    Reloading
}

/// Says that the daemon is alive, as often as systemd wants to hear it; for ever.
pub(crate) async fn watchdog() {
    let mut micros = 0;
    if !sd_notify::watchdog_enabled(false, &mut micros) {
        return;
    }
    let mut ticks =
        tokio::time::interval(Duration::from_micros(micros / 2).max(Duration::from_millis(1)));
    loop {
        ticks.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}
