//! The daemon that leads an environment. What a command would be refused by its lead is asked of it.

use super::Commands;
use crate::adapters::store::{Holder, StoreError};
use crate::inputs::settings::Override;
use crate::interfaces::cli::remote::Remote;
use crate::interfaces::console::arguments::Target;
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::record::LeaderEntry;
use crate::operations::daemon::status;
use crate::operations::release::{Release, ReleaseError};

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
    let Some((environment, holder)) = found(commands, target, flags).await? else {
        return Ok(None);
    };
    if commands.global.bundle.is_some() {
        return Err(led_with_a_bundle(&environment, holder));
    }
    let (remote, _) = Remote::of_leader(&holder, &environment, &commands.global).await?;
    output.remark(&format!(
        "{environment} is led by the daemon at {}, which does it",
        remote.place()
    ));
    Ok(Some(remote))
}

/// A daemon releases what its own configuration names.
fn led_with_a_bundle(environment: &str, holder: Holder) -> CommandError {
    let refused = CommandError::from(StoreError::Led {
        environment: environment.to_owned(),
        holder: Some(holder),
    });
    refused.with_hint(
        "leave --bundle out and the daemon does it, with the bundle of its own configuration (source.bundle)"
            .to_owned(),
    )
}

/// For what a daemon does by itself.
///
/// # Errors
/// The refusal, when a daemon leads.
pub(super) async fn none(commands: &Commands, target: &Target) -> Result<(), CommandError> {
    let Some((environment, holder)) = found(commands, target, Vec::new()).await? else {
        return Ok(());
    };
    let address = holder.address.clone().unwrap_or_default();
    let holder = Some(holder);
    let refused = CommandError::from(StoreError::Led {
        environment,
        holder,
    });
    Err(refused.with_hint(format!(
        "the daemon at {address} clears up by itself, every `retention.interval`; `cutover status` shows what it found"
    )))
}

async fn found(
    commands: &Commands,
    target: &Target,
    flags: Vec<Override>,
) -> Result<Option<(String, Holder)>, CommandError> {
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
    let holder = holder.map_err(ReleaseError::from)?;
    let daemon = holder.filter(|holder| holder.address.is_some());
    Ok(daemon.map(|holder| (environment, holder)))
}

/// For `status`: who leads, and what it says of the environment where it answers.
pub(super) async fn seen(
    commands: &Commands,
    holder: Option<Holder>,
    environment: &str,
) -> Option<(LeaderEntry, Option<status::Status>)> {
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
