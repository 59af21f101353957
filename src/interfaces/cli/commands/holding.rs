//! `hold` and `release`. A hold stops whoever leads, also a process that cannot be asked: it is written into the journal.

use super::{Commands, leader, success};
use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::records::deployment::Deployment;
use crate::domain::records::hold;
use crate::domain::records::subject::Subject;
use crate::foundation::failure::Class;
use crate::inputs::settings::Settings;
use crate::interfaces::cli::handlers::Answer;
use crate::interfaces::cli::remote::Remote;
use crate::interfaces::console::arguments::{Hold, LiftHold, Target};
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::record::{DryRunView, HoldView};
use crate::operations::deployment::hold::{
    NewHold, held, hold_as_it_is, is_overridden, lift_now, permission,
};
use crate::operations::error::DeploymentError;
use crate::operations::release::{self, Release, ReleaseError};
use crate::planning::permission::Stop;
use jiff::Timestamp;

pub(super) async fn hold(commands: &Commands, arguments: &Hold, output: &Output) -> Answer {
    let until = until(arguments)?;
    if let Some(remote) = asked(commands, &arguments.target, output).await {
        return remote.hold(arguments, output).await;
    }
    let (environment, store) = journal(commands, &arguments.target).await?;
    if arguments.dry_run {
        let until = match until {
            Some(until) => format!("until {}", crate::foundation::span::moment(until)),
            None => "until it is lifted".to_owned(),
        };
        return would(
            "hold",
            environment,
            format!("begin no release and swap nothing {until}"),
            output,
        );
    }
    let lead = if_free(&store, &environment).await?;
    let wish = NewHold {
        environment: environment.clone(),
        reason: arguments.reason.clone(),
        until,
    };
    let held = hold_as_it_is(&store, lead.as_ref(), wish, Subject::of_process()).await;
    output.document(&HoldView {
        environment,
        held: Some(held.map_err(ReleaseError::from)?),
        lifted: None,
    });
    success()
}

pub(super) async fn lift(commands: &Commands, arguments: &LiftHold, output: &Output) -> Answer {
    if let Some(remote) = asked(commands, &arguments.target, output).await {
        return remote.lift(arguments, output).await;
    }
    let (environment, store) = journal(commands, &arguments.target).await?;
    let now = held(&store, &environment)
        .await
        .map_err(ReleaseError::from)?;
    let Some(first) = now.first() else {
        return Err(nothing_holds(&environment));
    };
    if arguments.dry_run {
        let what = format!("lift what holds it ({})", first.clause());
        return would("release", environment, what, output);
    }
    let lead = if_free(&store, &environment).await?;
    let by = Subject::of_process();
    let lifted = lift_now(&store, lead.as_ref(), &environment, &by).await;
    let Some(lifted) = lifted.map_err(ReleaseError::from)? else {
        return Err(nothing_holds(&environment));
    };
    let left = held(&store, &environment)
        .await
        .map_err(ReleaseError::from)?;
    output.document(&HoldView {
        environment,
        held: left.into_iter().next(),
        lifted: Some(lifted),
    });
    success()
}

/// The daemon that leads. One that cannot be asked is stopped all the same: the journal says what holds.
async fn asked(commands: &Commands, target: &Target, output: &Output) -> Option<Remote> {
    match leader::asked(commands, target, Vec::new(), output).await {
        Ok(remote) => remote,
        Err(error) => {
            let why = error.messages().join(": ");
            output.remark(&format!("{why}; it is written into the journal instead"));
            None
        }
    }
}

fn would(command: &str, environment: String, what: String, output: &Output) -> Answer {
    output.document(&DryRunView {
        command: command.to_owned(),
        environment,
        would: vec![what],
    });
    success()
}

fn nothing_holds(environment: &str) -> CommandError {
    let error = anyhow::anyhow!("nothing holds {environment}");
    CommandError::new(Class::Refused, error)
        .with_hint("`cutover status` shows what can be done now")
}

fn until(arguments: &Hold) -> Result<Option<Timestamp>, CommandError> {
    let until = arguments.until.as_deref();
    let until = until.map(|text| hold::until(text, Timestamp::now()));
    until.transpose().map_err(|problem| {
        CommandError::new(Class::Usage, anyhow::anyhow!("--until: {problem}"))
            .with_hint("write a duration such as 2h, or a moment such as 2026-12-24T16:00:00Z")
    })
}

/// The name of the environment and its journal.
async fn journal(commands: &Commands, target: &Target) -> Result<(String, Store), CommandError> {
    let environment = match &target.environment {
        Some(name) => name.clone(),
        None => commands.reopened(target).await?.environment,
    };
    let store = Release::journal(&commands.wanted(target, Vec::new())).await?;
    Ok((environment, store))
}

/// The lead where nobody has it: what is told of a hold is in one transaction with it then.
async fn if_free(store: &Store, environment: &str) -> Result<Option<Lead>, CommandError> {
    match store.lead(environment).await {
        Ok(lead) => Ok(Some(lead)),
        Err(StoreError::Led { .. }) => Ok(None),
        Err(error) => Err(ReleaseError::from(error).into()),
    }
}

impl Commands {
    /// The configuration of an environment, where it has one.
    pub(super) fn settings_of(&self, environment: &str) -> Option<Settings> {
        let target = Target {
            environment: Some(environment.to_owned()),
        };
        let loaded = release::configuration(&self.wanted(&target, Vec::new()));
        loaded.ok().map(|loaded| loaded.settings)
    }
}

/// Whether a release that somebody asks for may begin.
///
/// # Errors
/// What stops it, with how to go on all the same.
pub(super) async fn may_begin(
    release: &Release,
    store: &Store,
    is_overridden: bool,
) -> Result<(), CommandError> {
    let (environment, freeze) = (&release.environment, &release.settings.freeze);
    let found = permission(store, environment, freeze, is_overridden).await;
    let stop = found.map_err(ReleaseError::from)?.stops_beginning(false);
    stop.map_or(Ok(()), |stop| Err(stopped(&stop, environment)))
}

/// Whether a deployment may be promoted.
///
/// # Errors
/// What stops it, with how to go on all the same.
pub(super) async fn may_swap(
    release: &Release,
    store: &Store,
    deployment: &Deployment,
    overrides: bool,
) -> Result<(), CommandError> {
    let (environment, freeze) = (&release.environment, &release.settings.freeze);
    let before = is_overridden(store, deployment).await;
    let is_overridden = overrides || before.map_err(ReleaseError::from)?;
    let found = permission(store, environment, freeze, is_overridden).await;
    let stop = found.map_err(ReleaseError::from)?.stops_swap();
    stop.map_or(Ok(()), |stop| Err(stopped(&stop, environment)))
}

fn stopped(stop: &Stop, environment: &str) -> CommandError {
    CommandError::from(DeploymentError::NotNow(stop.sentence())).with_hint(stop.remedy(environment))
}
