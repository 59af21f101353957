//! The status as the command line shows it: the views of a local command, and what only a daemon has.

use crate::domain::lifecycle::policy::Policy;
use crate::domain::progress::ClusterReadiness;
use crate::foundation::escape::visible;
use crate::interfaces::console::output::{Page, View};
use crate::interfaces::record::{Advice, Circumstances, DaemonEntry, DeploymentView, StatusEntry};
use crate::operations::daemon::request::Accepted;
use crate::operations::daemon::status::{Activity, DeploymentStatus, Status};
use serde::Serialize;

/// Whether the worker has nothing to do, or waits for a person.
pub(super) fn rests(activity: Activity) -> bool {
    match activity {
        Activity::Idle
        | Activity::WaitingForPromotion
        | Activity::HeldUp
        | Activity::WaitingForCleanup
        | Activity::WaitingForAPerson => true,
        Activity::Planning | Activity::Releasing | Activity::WaitingForADependency => false,
    }
}

pub(super) fn deployment(environment: &str, status: &DeploymentStatus) -> DeploymentView {
    DeploymentView {
        id: status.id.clone(),
        environment: environment.to_owned(),
        state: status.state,
        created_at: status.created_at,
        updated_at: status.since,
        finished_at: status.finished_at,
        reason: status.reason.clone(),
        by: status.by.clone(),
    }
}

/// What comes next. Who decides is seen by what the worker waits for.
pub(super) fn advice(status: &Status) -> Option<Advice> {
    let decides = |waits: bool| {
        if waits {
            Policy::Manual
        } else {
            Policy::Automatic
        }
    };
    let deployment = status.deployment.as_ref()?;
    Some(
        Advice::new(
            deployment.state,
            &status.environment,
            Circumstances {
                promotion: decides(matches!(
                    status.activity,
                    Activity::WaitingForPromotion | Activity::HeldUp
                )),
                cleanup: decides(status.activity == Activity::WaitingForCleanup),
                is_running: !rests(status.activity),
            },
        )
        .and_approve(&status.environment, status.promotion.as_ref()),
    )
}

pub(in crate::interfaces::cli) fn entry(status: Status) -> StatusEntry {
    StatusEntry {
        deployment: status
            .deployment
            .as_ref()
            .map(|found| deployment(&status.environment, found)),
        advice: advice(&status),
        diff: None,
        waiting_for: status
            .readiness
            .iter()
            .flat_map(ClusterReadiness::reasons)
            .chain(status.readers)
            .collect(),
        held: status.held,
        frozen: status.frozen,
        chain: status.chain.map(|chain| chain.line(&status.environment)),
        kept: status.kept,
        drift: status.drift,
        promotion: status.promotion,
        leader: None,
        daemon: Some(DaemonEntry {
            role: status.role,
            leader: status.leader,
            activity: status.activity,
            next_run: status.next_run,
            revision: status.revision,
            problem: status.problem,
            leftovers: status.leftovers,
        }),
        environment: status.environment,
    }
}

/// `--no-wait`: what was taken up.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(in crate::interfaces::cli) struct AcceptedView(pub(in crate::interfaces::cli) Accepted);

impl View for AcceptedView {
    fn text(&self, _page: Page) -> String {
        let accepted = &self.0;
        let mut text = format!("{}: accepted", visible(&accepted.environment));
        if let Some(deployment) = &accepted.deployment {
            text.push_str(&format!(" (deployment {})", visible(deployment)));
        } else if let Some(run) = &accepted.run {
            text.push_str(&format!(" (run {})", visible(run)));
        } else if let Some(corner) = &accepted.corner {
            let (name, id) = (visible(&corner.name), visible(&corner.id));
            text.push_str(&format!(" (corner {name}, {id})"));
        }
        text.push_str(&format!("\n  {}\n", visible(&accepted.would)));
        text
    }
}
