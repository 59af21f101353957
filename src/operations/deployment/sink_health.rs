//! Whether sinks run.

use crate::adapters::materialize::{MaterializeError, sinks};
use crate::domain::records::deployment::Deployment;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::Context;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// A sink that is looked at: its id, and what it is called for people.
pub(super) type Watched = (String, String);

pub(super) fn said(name: &str, what: &str) -> String {
    format!("the sink {name} {what}")
}

pub(super) fn is_not_running(status: Option<&str>) -> String {
    format!(
        "is {} and not running",
        status.unwrap_or("without a status")
    )
}

pub(super) async fn statuses(
    context: &Context<'_>,
    ids: impl Iterator<Item = &String>,
) -> Result<BTreeMap<String, String>, MaterializeError> {
    let ids: Vec<&str> = ids.map(String::as_str).collect();
    let session = context.materialize.session_patiently().await?;
    sinks::statuses(&session, &ids).await
}

/// Waits until the sinks run; what each lacks that does not in time.
pub(super) async fn run_again(
    context: &Context<'_>,
    deployment: &Deployment,
    mut sinks: Vec<Watched>,
) -> Result<Vec<String>, DeploymentError> {
    let until = Instant::now() + context.settings.sinks.healthy_timeout.0;
    while !sinks.is_empty() {
        context.interrupted(deployment)?;
        let now = statuses(context, sinks.iter().map(|(id, _)| id)).await?;
        let status = |id: &String| now.get(id).map(String::as_str);
        sinks.retain(|(id, name)| {
            let runs = status(id) == Some("running");
            if runs {
                context.reporter.note(said(name, "runs"));
            }
            !runs
        });
        if Instant::now() >= until {
            let late = sinks.iter();
            let late = late.map(|(id, name)| said(name, &is_not_running(status(id))));
            return Ok(late.collect());
        }
        if !sinks.is_empty() {
            tokio::select! {
                () = context.cancel.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
        }
    }
    Ok(Vec::new())
}
