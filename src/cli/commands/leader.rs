//! The daemon that leads an environment. What a command would be refused by its lead is asked of it.

use super::Commands;
use crate::cli::arguments::Target;
use crate::cli::output::views::LeaderEntry;
use crate::cli::remote::Remote;
use crate::cli::{CommandError, Output};
use crate::daemon::board;
use crate::release::{Release, ReleaseError};
use crate::settings::Override;
use crate::store::Holder;

/// The daemon that leads the environment; `None` when nobody leads, or a process that answers
/// nowhere: whoever tries to lead is told about that one.
///
/// # Errors
/// Faults of the configuration and the journal; a daemon that does not answer here.
pub(super) async fn asked(
    commands: &Commands,
    target: &Target,
    flags: Vec<Override>,
    output: &Output,
) -> Result<Option<Remote>, CommandError> {
    let environment = match &target.environment {
        Some(name) => name.clone(),
        // Without a project there is no name; the command itself says so.
        None => match commands.open(target, flags.clone()) {
            Ok(release) => release.environment,
            Err(_) => return Ok(None),
        },
    };
    let store = Release::journal(&commands.wanted(target, flags)).await?;
    let holder = store.holder(&environment).await;
    let Some(holder) = holder.map_err(ReleaseError::from)? else {
        return Ok(None);
    };
    if holder.address.is_none() {
        return Ok(None);
    }
    let (remote, _) = Remote::of_leader(&holder, &environment, &commands.global).await?;
    output.remark(&format!(
        "{environment} is led by the daemon at {}, which does it",
        remote.place()
    ));
    Ok(Some(remote))
}

/// For `status`: who leads, and what it says of the environment where it answers.
pub(super) async fn seen(
    commands: &Commands,
    holder: Option<Holder>,
    environment: &str,
) -> Option<(LeaderEntry, Option<board::Status>)> {
    let holder = holder.filter(|holder| holder.address.is_some())?;
    let said = Remote::of_leader(&holder, environment, &commands.global).await;
    let status = said.ok().map(|(_, status)| status);
    let entry = LeaderEntry {
        address: holder.address.unwrap_or_default(),
        answers: status.is_some(),
        pid: holder.pid,
        since: holder.since,
    };
    Some((entry, status))
}
