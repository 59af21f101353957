//! Work trees of requests. They only save a fetch; one that is gone is made again.

use crate::adapters::source::Source;
use crate::adapters::store::{Store, StoreError};
use crate::foundation::failure::with_causes;
use crate::operations::daemon::Daemon;
use crate::operations::daemon::corners::status::Phase;
use crate::operations::release::{self, Wanted};

/// Removes the work tree of one request.
pub(crate) fn forget(wanted: &Wanted, name: &str) {
    if let Ok(Some(source)) = release::repository(wanted) {
        remove(&source, name);
    }
}

fn remove(source: &Source, name: &str) {
    match source.forget_request(name) {
        Ok(true) => tracing::debug!(name, "removed the work tree of a request"),
        Ok(false) => tracing::debug!(name, "the work tree of a request is in use"),
        Err(error) => tracing::warn!(
            name,
            error = with_causes(&error),
            "the work tree of a request stays"
        ),
    }
}

/// Removes the work trees of requests that have no corner, and of which nothing is asked at present.
///
/// # Errors
/// The journal's.
pub(in crate::operations::daemon) async fn sweep(
    daemon: &Daemon,
    store: &Store,
    environment: &str,
    wanted: &Wanted,
) -> Result<(), StoreError> {
    let Ok(Some(source)) = release::repository(wanted) else {
        return Ok(());
    };
    for name in source.request_names() {
        // One that no request can have is Cutover's own.
        if name.starts_with('~') {
            continue;
        }
        let asked = daemon.status_board.corners.one(environment, &name);
        let build = asked.and_then(|asked| asked.build);
        let is_asked = build.is_some_and(|build| build.phase != Phase::Ended);
        if !is_asked && store.corner(environment, &name).await?.is_none() {
            remove(&source, &name);
        }
    }
    Ok(())
}
