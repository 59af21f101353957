//! `approve`: it takes no lead, since whoever waits for approvals has it.

use super::{Commands, active, leader, success};
use crate::domain::records::deployment::Deployment;
use crate::foundation::failure::{Class, Classify};
use crate::interfaces::cli::handlers::{Answer, Handlers};
use crate::interfaces::cli::remote::view::AcceptedView;
use crate::interfaces::console::arguments::approve::Approve;
use crate::interfaces::console::{CommandError, Output};
use crate::interfaces::record::DryRunView;
use crate::operations::daemon::request::Accepted;
use crate::operations::deployment::promotion::{Approver, approve};
use crate::operations::error::DeploymentError;
use anyhow::anyhow;
use tokio_util::sync::CancellationToken;

pub(super) async fn run(
    commands: &Commands,
    arguments: &Approve,
    output: &Output,
    stop: &CancellationToken,
) -> Answer {
    if let Some(remote) = leader::asked(commands, &arguments.target, Vec::new(), output).await? {
        return remote.approve(arguments, output, stop).await;
    }
    let release = commands.reopened(&arguments.target).await?;
    let store = release.store().await?;
    let Some(deployment) = active(&release, &store).await? else {
        return Err(DeploymentError::NoDeployment(release.environment.clone()).into());
    };
    is_meant(arguments, &deployment)?;
    let approver = Approver::of_process();
    let says = approve(&store, &deployment, &approver, arguments.dry_run).await;
    let says = says.map_err(|error| {
        let (class, hint) = (error.class(), error.hint());
        let error = CommandError::new(class, anyhow::Error::new(error));
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    })?;
    if arguments.dry_run {
        output.document(&DryRunView {
            command: "approve".to_owned(),
            environment: release.environment.clone(),
            would: vec![says],
        });
        return success();
    }
    output.document(&AcceptedView(Accepted {
        environment: release.environment.clone(),
        run: None,
        deployment: Some(deployment.id),
        would: says,
        corner: None,
    }));
    success()
}

fn is_meant(arguments: &Approve, deployment: &Deployment) -> Result<(), CommandError> {
    let meant = arguments.deployment.as_deref();
    if meant.is_none_or(|meant| {
        meant.len() >= 8 && deployment.id.starts_with(&meant.to_ascii_lowercase())
    }) {
        return Ok(());
    }
    let message = format!(
        "the deployment {} is not the one under way; that is {}",
        meant.unwrap_or_default(),
        deployment.id
    );
    Err(CommandError::new(Class::Refused, anyhow!(message))
        .with_hint("`cutover status` shows what is under way"))
}
