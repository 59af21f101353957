//! What lies outside of what is swapped and goes with a side: what the project does not have any more with the old
//! one, and what was made for a release that did not go live with the new one.

use super::Goes;
use crate::domain::catalog::ObjectKind;
use crate::domain::lifecycle::state::State;
use crate::domain::plan::outside::OutsideLeft;
use crate::domain::progress::Progress;
use crate::domain::records::deployment::Deployment;
use crate::operations::error::DeploymentError;
use crate::operations::green::outside as green_outside;
use crate::operations::saga::context::Context;
use crate::operations::saga::outside::{self, Dropped};

/// Drops the sinks that the project does not have any more, before the old side goes, which they may read.
///
/// # Errors
/// As of [`outside::drop_by_id`].
pub(super) async fn drop_sinks(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    drop_left(context, deployment, |left| left.kind == ObjectKind::Sink).await
}

/// Drops what goes after a side: the sources, tables and connections that the project does not have any more after
/// the old one, and what was made before the build after the new one of a release that never went live.
///
/// # Errors
/// As of [`outside::drop_by_id`].
pub(super) async fn follow(
    context: &Context<'_>,
    deployment: &Deployment,
    goes: Goes,
) -> Result<(), DeploymentError> {
    match goes {
        Goes::Old => drop_left(context, deployment, |left| left.kind != ObjectKind::Sink).await,
        Goes::Green if deployment.state == State::RollingBack => {
            green_outside::tell_what_stays(context, deployment);
            Ok(())
        }
        Goes::Green => green_outside::unmake(context, deployment).await,
    }
}

async fn drop_left(
    context: &Context<'_>,
    deployment: &Deployment,
    goes: impl Fn(&OutsideLeft) -> bool,
) -> Result<(), DeploymentError> {
    let drops = &deployment.plan.outside.drops;
    for (number, left) in drops.iter().enumerate().filter(|(_, left)| goes(left)) {
        context.interrupted(deployment)?;
        match outside::drop_by_id(context, deployment, &left.id).await? {
            Dropped::Yes => context.reporter.send(Progress::Work {
                what: "dropped".to_owned(),
                item: format!("{} {}", left.kind, left.place),
                done: number + 1,
                total: drops.len(),
            }),
            Dropped::Needed(by) => context.reporter.warning(format!(
                "the {} {}, which the project does not have any more, stays: {by} depends on it",
                left.kind, left.place
            )),
        }
    }
    Ok(())
}
